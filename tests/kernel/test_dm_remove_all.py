"""Removing all devices at once leaves no node and no cookie, with udev and without."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.dm_conformance import line, words
from vmgr.dm.client import DmClient, by_name


def build(dm: DmClient, path: str) -> None:
    found = os.stat(path).st_rdev
    disk = os.major(found), os.minor(found)
    with dm.transaction():
        for i in range(3):
            dm.create(f"low{i}", f"UUID-low{i}")
            dm.load(by_name(f"low{i}"), [line(0, 2048, "linear", f"{words(disk)} {2048 * i}")])
            lower = dm.resume(by_name(f"low{i}"))
            dm.create(f"up{i}", f"UUID-up{i}")
            dm.load(by_name(f"up{i}"), [line(0, 2048, "linear", f"{words(lower)} 0")])
            dm.resume(by_name(f"up{i}"))


def nodes() -> list[str]:
    return sorted(set(os.listdir("/dev/mapper")) - {"control"})


def cookies() -> str:
    return subprocess.run(["dmsetup", "udevcookies"], capture_output=True, text=True, check=True).stdout


def check_removal(dm: DmClient, path: str) -> None:
    build(dm, path)
    assert len(nodes()) == 6
    fd = os.open("/dev/mapper/up1", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert dm.remove_all() == ("low1", "up1")
        assert nodes() == ["low1", "up1"]
        assert dm.warnings == []
    finally:
        os.close(fd)
    lab.settle()
    assert dm.remove_all() == ()
    assert nodes() == []
    assert dm.warnings == []
    assert "No" in cookies() or not cookies().strip() or len(cookies().splitlines()) == 1


def test_without_udev_no_node_is_left(make_disk: Callable[[float], str]) -> None:
    with DmClient.open(use_udev=False) as dm:
        check_removal(dm, make_disk(8))


@pytest.mark.udev
def test_with_udev_no_node_is_left_and_nothing_is_said_of_it(make_disk: Callable[[float], str]) -> None:
    """The kernel announces no cookie for these; the client does not complain of udev, which may be at it still."""
    with DmClient.open(use_udev=True) as dm:
        check_removal(dm, make_disk(8))
    lab.settle()
    assert nodes() == []
    assert not os.path.lexists("/dev/disk/by-id/dm-name-up0")
