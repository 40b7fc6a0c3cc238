"""The Debian package: installed by dpkg, used, upgraded and removed, on a machine of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import vmgr

ROOT = Path(__file__).parents[2]
OVER = ("usr", "var")
"""What of the lab's root is read-only, and written by dpkg."""


class Host:
    """A machine as dpkg sees it: what is written to /usr and /var lands in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lab.run("mount", "-t", "tmpfs", "tmpfs", str(folder))
        for name in OVER:
            (folder / name / "work").mkdir(parents=True)
            (folder / name / "upper").mkdir()

    def run(self, script: str, status: int = 0) -> str:
        """Run a shell script there, with nothing of this checkout in its environment; what it says."""
        mounts = [
            f"mount -t overlay overlay -o lowerdir=/{name},upperdir={self.folder}/{name}/upper,"
            f"workdir={self.folder}/{name}/work /{name}"
            for name in OVER
        ]
        environment = {"PATH": "/usr/bin:/usr/sbin:/bin:/sbin", "LC_ALL": "C.UTF-8", "MANPATH": "/usr/share/man"}
        done = subprocess.run(
            ["unshare", "-m", "sh", "-ec", "\n".join([*mounts, "cd /", script])],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def files(self) -> list[str]:
        """The files below /usr that are not the machine's own."""
        upper = self.folder / "usr/upper"
        return sorted(f"/usr/{path.relative_to(upper)}" for path in upper.rglob("*") if not path.is_dir())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The package, as ``make deb`` builds it: outside of the lab, which is much quicker, where that was done."""
    if path := os.environ.get("VMGR_DEB"):
        return path
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools/deb.py"), str(tmp_path_factory.mktemp("deb"))],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    lab.run("umount", str(tmp_path))


def test_it_installs_runs_and_goes_without_a_trace(
    package: str, host: Host, make_disk: Callable[[float], str]
) -> None:
    disk = make_disk(64)
    # man-db's trigger alone takes longer than all the rest.
    assert "Setting up vmgr" in host.run(f"dpkg --no-triggers --force-unsafe-io -i {package}")
    assert "install ok installed" in host.run("dpkg -s vmgr")
    said = host.run(
        f"""command -v vmgr
        vmgr version
        vmgr plugins
        vmgr vgcreate shop {disk}
        vmgr lvcreate -n books -L 8M shop
        vmgr lvs --noheadings -o lv_name,lv_attr shop
        man -w vmgr vmgr-lvcreate vmgr-dm vmgr-doctor"""
    )
    assert said.startswith("/usr/bin/vmgr\n")
    assert "books -wi-a-----" in said
    assert "/usr/share/man/man8/vmgr.8.gz" in said
    assert "snapshot" in said
    said = host.run(
        """vmgr doctor control
        vmgr dm create held --table '0 8 zero'
        ln -s /usr/bin/vmgr /run/dmsetup
        /run/dmsetup info -c --noheadings -o name,attr held
        /run/dmsetup info nowhere || echo "status $?"
        /run/dmsetup remove held
        rm /run/dmsetup
        test -s /usr/share/doc/vmgr/docs/installation-guide.md"""
    )
    assert "/dev/mapper/control (10:" in said
    assert "held:L--w\nstatus 1\n" in said  # what failed is said on standard error
    compiled = [path for path in host.files() if path.endswith(".pyc")]
    assert any("/vmgr/core/__pycache__/model." in path for path in compiled)
    before = host.files()
    host.run(f"dpkg --no-triggers --force-unsafe-io -i {package} && vmgr version")  # an upgrade
    assert [path for path in host.files() if path not in before] == []
    # Live volumes do not keep the package from going, nor go with it.
    host.run("dpkg --no-triggers --force-unsafe-io -r vmgr")
    assert [path for path in host.files() if "vmgr" in path] == []
    assert "shop-books" in lab.run("dmsetup", "ls").stdout
    host.run("dpkg --no-triggers --force-unsafe-io -P vmgr")
    host.run("dpkg -s vmgr", status=1)


def test_its_files_are_root_s_and_nobody_else_may_write_them(package: str) -> None:
    lines = lab.run("dpkg-deb", "-c", package).stdout.splitlines()
    assert {line.split()[1] for line in lines} == {"root/root"}
    assert {line.split()[0] for line in lines} == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
    assert [line.split()[-1] for line in lines if line.startswith("-rwx")] == ["./usr/bin/vmgr"]


@pytest.mark.udev
def test_a_new_pv_asks_for_its_activation_only_where_lvm2_does_not(make_disk: Callable[[float], str]) -> None:
    disk = make_disk(64)
    vmgr("vgcreate", "shop", disk)
    wanted = f"vmgr-activation@{Path(disk).name}.service"
    rules = Path("/run/udev/rules.d")
    rules.mkdir(parents=True, exist_ok=True)
    rule = rules / "69-vmgr.rules"
    text = (ROOT / "packaging/69-vmgr.rules").read_text()
    try:
        assert wanted not in asked_for(rule, text, disk)
        without_lvm2 = "".join(line for line in text.splitlines(True) if not line.startswith("TEST=="))
        assert without_lvm2 != text
        assert wanted in asked_for(rule, without_lvm2, disk)
    finally:
        rule.unlink()
        lab.run("udevadm", "control", "--reload")


def asked_for(rule: Path, text: str, disk: str) -> str:
    """The services that udev's database wants for a disk, with ``text`` as the rule."""
    rule.write_text(text)
    lab.run("udevadm", "control", "--reload")
    lab.run("udevadm", "trigger", "--settle", disk)
    return lab.run("udevadm", "info", "--query=property", "--property=SYSTEMD_WANTS", "--value", disk).stdout
