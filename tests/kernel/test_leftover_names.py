"""Nodes and links that a killed command did not come to go with the next one for the group, and no others."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.tools import vmgr


@pytest.fixture
def tank(make_disk: Callable[[float], str]) -> str:
    disk = make_disk(64)
    vmgr("vgcreate", "tank", disk)
    vmgr("lvcreate", "-l1", "-n", "data", "tank")
    return disk


def names() -> set[str]:
    found = {f"/dev/mapper/{name}" for name in os.listdir("/dev/mapper")} - {"/dev/mapper/control"}
    for group in ("tank", "pool"):
        if os.path.isdir(f"/dev/{group}"):
            found |= {f"/dev/{group}/{name}" for name in os.listdir(f"/dev/{group}")}
    return found


@pytest.mark.parametrize(
    "command", [["lvchange", "--addtag", "x", "tank/data"], ["vgchange", "--refresh", "tank"], ["vgchange", "-an"]]
)
def test_what_a_killed_command_left_is_taken_away(command: list[str], tank: str) -> None:
    before = names()
    number = os.stat("/dev/mapper/tank-data").st_rdev
    os.mknod("/dev/mapper/tank-gone", 0o60660, os.makedev(254, 250))
    os.symlink("/dev/mapper/tank-gone", "/dev/tank/gone")
    os.mknod("/dev/mapper/tank-half.4194000~", 0o60660, os.makedev(254, 250))
    os.symlink("/dev/mapper/tank-data", "/dev/tank/data.4194000~")
    # The group was called pool, and the kernel's part of its renaming was done.
    os.mknod("/dev/mapper/pool-data", 0o60660, number)
    os.mkdir("/dev/pool")
    os.symlink("/dev/mapper/pool-data", "/dev/pool/data")
    vmgr(*command)
    assert names() == (set() if "-an" in command else before)
    assert not os.path.exists("/dev/pool")


def test_other_devices_keep_their_names(tank: str) -> None:
    lab.run("dmsetup", "create", "tank-foreign", "--table", "0 8 zero")
    lab.run("dmsetup", "create", "other", "--table", "0 8 zero")
    os.mkdir("/dev/pool")
    os.symlink("/dev/mapper/other", "/dev/pool/other")
    os.symlink("/dev/mapper/tank-foreign", "/dev/tank/foreign")
    before = names()
    vmgr("lvchange", "--addtag", "x", "tank/data")
    vmgr("vgchange", "--refresh")
    assert names() == before
    os.unlink("/dev/pool/other")
    os.rmdir("/dev/pool")
