"""``make install``, ``make uninstall``, ``make deb``: what is laid down, that it runs, and that it goes again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = "/usr/bin/python3"
needs_debian = pytest.mark.skipif(
    not Path(PYTHON).exists() or shutil.which("dpkg-deb") is None,
    reason="expected: needs Debian's python3 and dpkg-deb",
)


def make(what: str, prefix: str, destdir: str = "", status: int = 0) -> str:
    """What ``make install`` or ``make uninstall`` runs."""
    done = subprocess.run(
        [sys.executable, "tools/install.py", what, "--prefix", prefix, "--destdir", destdir, "--python", PYTHON],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout + done.stderr


def files(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*") if not path.is_dir()}


@pytest.fixture
def strict_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@needs_debian
def test_everything_has_its_place_below_destdir_and_prefix(tmp_path: Path, strict_umask: None) -> None:
    make("install", "/usr", str(tmp_path / "stage"))
    usr = tmp_path / "stage/usr"
    found = files(usr)
    for place in (
        "bin/vmgr",
        "share/man/man8/vmgr.8",
        "share/man/man7/vmgr-json.7",
        "share/man/man7/vmgr-lvm2.7",
        "share/man/man7/vmgr-plugins.7",
        "share/bash-completion/completions/vmgr",
        "share/zsh/site-functions/_vmgr",
        "share/fish/vendor_completions.d/vmgr.fish",
        "lib/systemd/system/vmgr-activation@.service",
        "lib/udev/rules.d/69-vmgr.rules",
        "lib/tmpfiles.d/vmgr.conf",
        "lib/modules-load.d/vmgr.conf",
        "lib/python3/dist-packages/vmgr/plugins/linear/__init__.py",
    ):
        assert place in found
    assert list((tmp_path / "stage").iterdir()) == [usr]
    assert str(tmp_path) not in (usr / "bin/vmgr").read_text()
    assert "@" not in (usr / "lib/systemd/system/vmgr-activation@.service").read_text().replace("activation@", "")
    modes = {oct(path.stat().st_mode & 0o7777) for path in usr.rglob("*") if path.is_file()}
    assert modes == {"0o644", "0o755"}
    assert {oct(path.stat().st_mode & 0o7777) for path in usr.rglob("*") if path.is_dir()} == {"0o755"}
    make("uninstall", "/usr", str(tmp_path / "stage"))
    assert list(usr.iterdir()) == []


@pytest.mark.skipif(shutil.which("make") is None, reason="expected: needs make")
def test_destdir_and_prefix_may_be_in_the_environment() -> None:
    environment = {**os.environ, "DESTDIR": "/staged", "PREFIX": "/usr"}
    command = ["make", "--dry-run", "install"]
    said = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert '--prefix "/usr" --destdir "/staged"' in said
    said = subprocess.run(
        [*command, "DESTDIR=/other"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert '--destdir "/other"' in said


@needs_debian
def test_it_runs_from_a_prefix_where_python_does_not_look(tmp_path: Path) -> None:
    prefix = tmp_path / "of my own"
    said = make("install", str(prefix))
    assert f"Installed vmgr below {prefix}, for {PYTHON}:" in said
    for line in said.splitlines():
        if line.startswith(("  program", "  modules", "  completion", "  system")):
            assert Path(line[15:].partition(" (")[0]).exists(), line
    assert {line.split()[0] for line in said.splitlines() if line.startswith("  ")} >= {
        "program", "modules", "man", "completion", "system",
    }  # fmt: skip
    assert f"Take it away with: make uninstall 'PREFIX={prefix}'" in said
    other = tmp_path / "elsewhere"
    (other / "vmgr").mkdir(parents=True)  # neither the current directory nor PYTHONPATH decides what runs
    (other / "vmgr/__init__.py").write_text("raise SystemExit('the wrong vmgr')")
    done = subprocess.run(
        [prefix / "bin/vmgr", "version"],
        cwd=other, env={"PATH": "/usr/bin", "PYTHONPATH": str(other)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "vmgr version" in done.stdout
    plugins = subprocess.run([prefix / "bin/vmgr", "plugins"], capture_output=True, text=True, check=True).stdout
    assert {"linear", "striped", "snapshot"} <= set(plugins.split())
    assert any(path.endswith(".pyc") for path in files(prefix))
    make("uninstall", str(prefix))
    assert files(prefix) == set()
    assert "not installed" in make("uninstall", str(prefix), status=1)


@needs_debian
def test_a_newer_version_leaves_nothing_of_an_older_one_and_nothing_of_others_goes(tmp_path: Path) -> None:
    prefix = tmp_path / "p"
    make("install", str(prefix))
    package = prefix / "lib/vmgr/vmgr"
    (record,) = prefix.glob("lib/vmgr/vmgr-*.dist-info/RECORD")
    (package / "gone.py").write_text("")
    outside = tmp_path / "precious"
    outside.write_text("")
    with record.open("a") as file:
        file.write("vmgr/gone.py,,\n../../../precious,,\n")
    (prefix / "bin/others").write_text("")
    assert "precious" in make("install", str(prefix))
    assert not (package / "gone.py").exists()
    make("uninstall", str(prefix))
    assert files(prefix) == {"bin/others"}
    assert outside.exists()


@needs_debian
def test_a_place_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = make("install", str(tmp_path / "file"), status=1)
    assert said.startswith("make install: ")
    assert said.count("\n") == 1
    assert "is not an absolute path" in make("install", "relative", status=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@needs_debian
def test_completions_are_taken_by_their_shells(tmp_path: Path, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"expected: {shell} is not installed")
    make("install", "/usr", str(tmp_path))
    (script,) = [path for path in tmp_path.rglob("*vmgr*") if shell in str(path) and path.is_file()]
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_debian
def test_the_same_source_gives_the_same_package(tmp_path: Path) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    built = []
    for name in ("a", "b"):
        done = subprocess.run(
            [sys.executable, "tools/deb.py", str(tmp_path / name)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        built.append(Path(done.stdout.strip()).read_bytes())
    assert built[0] == built[1]


@needs_debian
@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="expected: needs systemd")
def test_systemd_takes_its_files(tmp_path: Path) -> None:
    make("install", "/usr", str(tmp_path))
    conf = tmp_path / "usr/lib/tmpfiles.d/vmgr.conf"
    (tmp_path / "run").mkdir()
    command = ["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if os.geteuid() == 0:
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "run/lock/lvm").stat().st_mode & 0o777 == 0o700
    unit = tmp_path / "usr/lib/systemd/system/vmgr-activation@.service"
    assert "ExecStart=-/usr/bin/vmgr" in unit.read_text()
