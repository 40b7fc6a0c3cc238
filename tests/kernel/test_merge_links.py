"""Where udev does not run, no link is left to a snapshot that is merged: neither while it is, nor afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.tools import vmgr

LINKS = Path("/dev/tank")


def links() -> set[str]:
    return {path.name for path in LINKS.iterdir()} if LINKS.exists() else set()


@pytest.fixture
def origin(make_disk: Callable[[float], str]) -> None:
    """``tank/data`` with a snapshot ``tank/snap`` that differs from it."""
    vmgr("vgcreate", "tank", make_disk(64))
    vmgr("lvcreate", "-L8m", "-n", "data", "tank")
    vmgr("lvcreate", "-s", "-L8m", "-n", "snap", "tank/data")
    with open("/dev/tank/data", "r+b", buffering=0) as device:
        device.write(os.urandom(1 << 20))
        os.fsync(device.fileno())


def test_a_merge_in_the_foreground(origin: None) -> None:
    assert links() == {"data", "snap"}
    vmgr("lvconvert", "--merge", "tank/snap")
    assert links() == {"data"}


def test_a_merge_in_the_background(origin: None) -> None:
    vmgr("lvconvert", "-b", "--merge", "tank/snap")
    assert links() == {"data"}
    vmgr("vgchange", "--poll", "y", "tank")
    assert links() == {"data"}


def test_a_merge_that_waits_for_the_next_activation(origin: None) -> None:
    with open("/dev/tank/data", "rb"):
        vmgr("lvconvert", "--merge", "tank/snap")
    vmgr("lvchange", "-an", "tank/data")
    assert links() == set()
    vmgr("lvchange", "-ay", "tank/data")
    assert "snap" not in links()
    vmgr("vgchange", "--poll", "y", "tank")
    deadline = time.monotonic() + 60
    while "snap" in vmgr("lvs", "-a", "--noheadings", "-o", "lv_name", "tank").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert links() == {"data"}


def test_a_link_of_another_device_stays(origin: None, make_disk: Callable[[float], str]) -> None:
    """What somebody put in the link's place is not the snapshot's."""
    (LINKS / "snap").unlink()
    (LINKS / "snap").symlink_to("/dev/null")
    vmgr("lvconvert", "--merge", "tank/snap")
    assert os.readlink(LINKS / "snap") == "/dev/null"
    (LINKS / "snap").unlink()
