"""Where physical volumes lie: on other groups' volumes, on legs of arrays, on another disk than the one in use."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import kernel_tables, lvm, vmgr

FAILED = 5
SCAN_LVS = ("--config", "devices/scan_lvs=1")


def test_a_volume_that_carries_a_physical_volume_can_be_deactivated(make_disk: Callable[[float], str]) -> None:
    """The scan looks into it and must not keep it busy; a volume on it does."""
    vmgr("vgcreate", "outer", make_disk(64))
    vmgr("lvcreate", "-L32m", "-n", "disk", "outer")
    vmgr("vgcreate", "inner", "/dev/outer/disk", *SCAN_LVS)
    vmgr("lvcreate", "-L8m", "-n", "data", "inner", *SCAN_LVS)
    vmgr("vgchange", "-an", "outer", *SCAN_LVS, status=FAILED)
    vmgr("vgchange", "-an", "inner", *SCAN_LVS)
    vmgr("lvchange", "-an", "outer/disk", *SCAN_LVS)
    assert not kernel_tables()
    vmgr("vgchange", "-ay", "outer", *SCAN_LVS)
    vmgr("lvremove", "-y", "outer/disk", *SCAN_LVS)
    assert not kernel_tables()


SET_ARRAY_INFO, ADD_NEW_DISK, RUN_ARRAY, STOP_ARRAY = 0x40480923, 0x40140921, 0x400C0930, 0x0932
"""``linux/raid/md_u.h``."""


@pytest.fixture
def array(make_disk: Callable[[float], str]) -> Iterator[tuple[str, str]]:
    """A RAID 1 without superblocks on two disks, as ``mdadm --build`` makes it; its path and its first leg's."""
    legs = [make_disk(32), make_disk(32)]
    subprocess.run(["modprobe", "raid1"], check=False, capture_output=True)
    node = "/dev/md0"
    if not os.path.exists(node):
        os.mknod(node, 0o60600, os.makedev(9, 0))
    try:
        fd = os.open(node, os.O_RDWR)
    except OSError as error:
        pytest.skip(f"expected: the kernel has no md: {error}")
    try:
        size = 32 << 10  # KiB
        fcntl.ioctl(
            fd, SET_ARRAY_INFO, struct.pack("18i", 0, 90, 0, 0, 1, size, 2, 2, 0, 1, 0, 1, 2, 2, 0, 0, 0, 0)
        )
        for number, leg in enumerate(legs):
            where = os.stat(leg).st_rdev
            disk = struct.pack("5i", number, os.major(where), os.minor(where), number, 6)
            fcntl.ioctl(fd, ADD_NEW_DISK, disk)
        fcntl.ioctl(fd, RUN_ARRAY, struct.pack("3i", 0, 0, 0))
        os.close(fd)
        yield node, legs[0]
    finally:
        fd = os.open(node, os.O_RDWR)
        fcntl.ioctl(fd, STOP_ARRAY)
        os.close(fd)


def test_a_leg_of_a_running_array_is_no_physical_volume(array: tuple[str, str]) -> None:
    """Without a superblock it begins as the array does, label and all."""
    whole, leg = array
    vmgr("vgcreate", "tank", whole)
    lab.run("blockdev", "--flushbufs", whole)
    done = vmgr("pvs", "--noheadings", "-o", "pv_name", "--config", "devices/md_component_checks=start")
    assert done.stdout.split() == [whole]
    assert "duplicate" not in done.stderr
    done = vmgr("vgchange", "--addtag", "t", "tank")
    assert "WARNING" not in done.stderr
    vmgr("pvs", leg, status=FAILED)
    vmgr("vgremove", "tank")


@pytest.fixture
def moved(make_disk: Callable[[float], str]) -> Iterator[tuple[str, str]]:
    """The volume ``tank/data`` is active on a disk of which only a copy is to be seen; the disk and the copy."""
    disk, copy = make_disk(64), make_disk(64)
    vmgr("vgcreate", "tank", disk)
    vmgr("lvcreate", "-L8m", "-n", "data", "tank")
    Path(copy).write_bytes(Path(disk).read_bytes())
    yield disk, copy
    lab.run("dmsetup", "remove", "tank-data", check=False)


def test_a_volume_that_runs_on_another_disk_is_told_of_and_not_moved(moved: tuple[str, str]) -> None:
    disk, copy = moved
    hidden = ("--config", f'devices/filter=["r|^{disk}$|"]')
    before = kernel_tables()
    for tool in (vmgr, lvm):
        said = tool("lvs", "tank", *hidden).stderr
        assert f"Device mismatch detected for tank/data which is accessing {disk} instead of {copy}" in said, tool
    done = vmgr("lvextend", "-l+1", "tank/data", *hidden, status=FAILED)
    assert "runs on the device" in done.stderr
    vmgr("lvextend", "--test", "-l+1", "tank/data", *hidden, status=FAILED)
    assert kernel_tables() == before
    vmgr("vgchange", "--addtag", "t", "tank", *hidden)  # what loads no table moves nothing
    assert kernel_tables() == before
    vmgr("lvchange", "--refresh", "tank/data", *hidden)
    assert kernel_tables() != before


@pytest.mark.parametrize("other", ["of the same group", "of another group"])
def test_a_volume_that_runs_on_another_physical_volume_in_use_is_told_of(
    make_disk: Callable[[float], str], other: str
) -> None:
    """LVM2 tells of devices only on which it found no physical volume of the group."""
    disk, second = make_disk(64), make_disk(64)
    vmgr("vgcreate", "tank", disk, *([second] if other == "of the same group" else []))
    if other == "of another group":
        vmgr("vgcreate", "barn", second)
    vmgr("lvcreate", "-L8m", "-n", "data", "tank", disk)
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data", disk)
    assert "mismatch" not in vmgr("lvs", "tank").stderr
    (line,) = kernel_tables()["tank-data-real"]
    for name in ("tank-data-real",):
        lab.run("dmsetup", "suspend", name)
        lab.run("dmsetup", "reload", name, stdin=f"0 {8 << 11} linear {second} 4096\n")
        lab.run("dmsetup", "resume", name)
    told = f"Device mismatch detected for tank/data which is accessing {second} instead of {disk}"
    for words in (("lvs", "tank"), ("lvs",), ("lvchange", "--addtag", "x", "tank/snap")):
        assert vmgr(*words).stderr.count(told) == 1, words
    assert "mismatch" not in vmgr("lvs", "barn", status=None).stderr
    assert told in vmgr("vgchange", "--refresh", "tank").stderr
    assert "mismatch" not in vmgr("lvs", "tank").stderr
    assert kernel_tables()["tank-data-real"] == [line]
    vmgr("vgchange", "-an", "tank")
