"""What lay on a device or on free extents before: no new volume and no new physical volume keeps it by accident."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.tools import check_group, kernel_tables, lvm, vmgr

FAILED = 5


def what_is_on(path: str) -> str:
    """The type that blkid finds, empty for none."""
    return subprocess.run(
        ["blkid", "-p", "-o", "value", "-s", "TYPE", path], capture_output=True, text=True, check=False
    ).stdout.strip()


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    """A group ``tank`` on whose first free extents an ext4 lies."""
    disks = [make_disk(64), make_disk(64)]
    vmgr("vgcreate", "tank", *disks)
    leave_a_file_system()
    return disks


def leave_a_file_system() -> None:
    vmgr("lvcreate", "-y", "-L8m", "-n", "old", "tank")
    subprocess.run(["mkfs.ext4", "-q", "/dev/tank/old"], check=True, capture_output=True)
    vmgr("lvremove", "-y", "tank/old")


@pytest.mark.parametrize("answer", ["", "n\n"])
@pytest.mark.parametrize("more", [(), ("-Zn", "-Wy"), ("--test",)])
def test_without_a_yes_there_is_no_volume(pvs: list[str], answer: str, more: tuple[str, ...]) -> None:
    before = lvm("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout
    done = vmgr("lvcreate", "-L8m", "-n", "new", *more, "tank", stdin=answer, status=None)
    assert done.returncode == (0 if "--test" in more else FAILED)
    if "--test" not in more:
        assert "ext4 signature" in done.stderr
    assert lvm("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout == before
    assert not kernel_tables()
    vmgr("lvcreate", "-an", "-L8m", "-n", "new", "tank")
    vmgr("lvchange", "-ay", "tank/new")
    assert what_is_on("/dev/tank/new") == "ext4", "what nobody agreed to lose is still there"
    check_group("tank", pvs)


@pytest.mark.parametrize(
    ("options", "left"),
    [(("-y",), ""), (("-Wn",), ""), (("-Wn", "-Zn"), "ext4"), (("-Zn",), "ext4"), (("-y", "-Zn", "-Wy"), "")],
)
def test_options_keep_the_meaning_that_they_have_for_lvm2(
    pvs: list[str], options: tuple[str, ...], left: str
) -> None:
    for tool in (vmgr, lvm):
        tool("lvcreate", *options, "-L8m", "-n", "new", "tank")
        assert what_is_on("/dev/tank/new") == left, tool
        tool("lvremove", "-y", "tank/new")
        leave_a_file_system()


@pytest.mark.parametrize(
    "options", [("-an", "-Zy"), ("-an", "-Wy"), ("-pr", "-Zy"), ("-ky", "-Zy"), ("-aay", "-Wy")], ids=" ".join
)
def test_a_volume_that_cannot_be_cleared_is_not_made(pvs: list[str], options: tuple[str, ...]) -> None:
    for tool in (vmgr, lvm):
        # LVM2 2.03.16 says so and ends with 0, 2.03.40 with 5
        done = tool("lvcreate", *options, "-L8m", "-n", "new", "tank", status=FAILED if tool is vmgr else None)
        assert "annot zero" in done.stdout + done.stderr
        assert not lvm("lvs", "--noheadings", "tank").stdout
    shut = ("--config", 'activation/volume_list=["other"]')
    vmgr("lvcreate", *shut, "-L8m", "-n", "new", "tank", status=FAILED)
    vmgr("lvcreate", *shut, "-Zn", "-L8m", "-n", "new", "tank")
    assert not kernel_tables()


def test_a_new_snapshot_begins_with_an_empty_store(make_disk: Callable[[float], str]) -> None:
    """Where it lies there was another one's store, or a file system: neither is asked about, as in LVM2."""
    vmgr("vgcreate", "tank", make_disk(64))
    vmgr("lvcreate", "-y", "-L8m", "-n", "origin", "tank")
    for name in ("one", "two"):
        vmgr("lvcreate", "-s", "-L8m", "-n", name, "tank/origin", stdin="")
        assert lvm("lvs", "--noheadings", "-o", "snap_percent", f"tank/{name}").stdout.strip() == "0.00"
        lab.run("dd", "if=/dev/urandom", "of=/dev/tank/origin", "bs=1M", "count=2", "conv=fsync")
        vmgr("lvremove", "-y", f"tank/{name}")
    vmgr("lvcreate", "-L8m", "-n", "plain", "-Zn", "-Wy", "tank", stdin="")
    assert what_is_on("/dev/tank/plain") == ""


@pytest.mark.parametrize("command", [("pvcreate",), ("vgcreate", "new"), ("vgextend", "tank")], ids=" ".join)
def test_a_disk_with_a_file_system_becomes_no_physical_volume_without_a_yes(
    pvs: list[str], make_disk: Callable[[float], str], command: tuple[str, ...]
) -> None:
    disk = make_disk(32)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True, capture_output=True)
    vmgr(*command, disk, stdin="", status=FAILED)
    assert what_is_on(disk) == "ext4"
    done = vmgr(*command, "-y", disk)
    assert f"Wiping ext4 signature on {disk}" in done.stderr
    assert what_is_on(disk) == "LVM2_member"
