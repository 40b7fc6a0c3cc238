"""Groups whose metadata came to break rules while they were active: nothing starts, what runs can be stopped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.texts import committed, put
from tests.support.tools import check_group, kernel_tables, vmgr

FAILED = 5


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    """A group with two plain volumes, and an origin with its snapshot, all active."""
    disks = [make_disk(64)]
    vmgr("vgcreate", "tank", *disks)
    for name in ("a", "b", "base"):
        vmgr("lvcreate", "-l2", "-n", name, "tank")
    vmgr("lvcreate", "-s", "-l1", "-n", "snap", "tank/base")
    return disks


def spoil(disk: str, name: str, old: str, new: str) -> str:
    """Change the text on the disk within a volume's section; gives the good one."""
    good = committed(disk)
    at = good.index(f"\n{name} {{")
    assert re.search(old, good[at:])
    put(disk, good[:at] + re.sub(old, new, good[at:], count=1))
    return good


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("b", r'"pv0", \d+', '"pv0", 0'),  # where a is
        ("b", r'"pv0", \d+', '"b", 0'),
        ("b", r'"pv0", \d+', '"pv0", 9000'),
        ("b", r'"pv0"', '"nobody"'),
        ("snap", r"extent_count = 1", "extent_count = -1"),  # left out, and its device is there all the same
    ],
    ids=["shared extents", "on itself", "beyond the end", "on nothing", "not understood"],
)
def test_what_runs_is_taken_down_and_nothing_is_started(
    name: str, old: str, new: str, pvs: list[str], tmp_path: Path
) -> None:
    good = spoil(pvs[0], name, old, new)
    tables = kernel_tables()
    assert {"tank-a", "tank-b", "tank-base", "tank-base-real", "tank-snap", "tank-snap-cow"} <= set(tables)
    for words in (
        ["vgchange", "--refresh", "tank"],
        ["lvchange", "--refresh", "tank/a"],
        ["vgchange", "-ay", "tank"],
        ["lvextend", "-l+1", "tank/a"],
        ["vgmknodes", "tank"],
    ):
        assert "breaks a rule" in vmgr(*words, status=FAILED).stderr
    assert kernel_tables() == tables
    vmgr("lvchange", "-an", "tank/a")
    assert set(kernel_tables()) == set(tables) - {"tank-a"}
    assert not Path("/dev/tank/a").is_symlink()
    vmgr("lvchange", "-ay", "tank/a", status=FAILED)
    vmgr("vgchange", "-ay", status=FAILED)
    vmgr("vgchange", "-an", "tank")
    assert not kernel_tables()
    assert not Path("/dev/tank").exists()
    vmgr("vgchange", "-aay", status=FAILED)
    assert not kernel_tables()
    file = tmp_path / "good"
    file.write_text(good)
    vmgr("vgcfgrestore", "-f", str(file), "tank")
    vmgr("vgchange", "-ay", "tank")
    assert kernel_tables() == tables
    check_group("tank", pvs)


def test_what_is_open_is_not_taken_down(pvs: list[str]) -> None:
    spoil(pvs[0], "b", r'"pv0", \d+', '"pv0", 0')
    tables = kernel_tables()
    with open("/dev/tank/a", "rb"):
        said = vmgr("vgchange", "-an", "tank", status=FAILED).stderr
        assert "logical volume tank/a in use" in said
        assert "open in process" in said
    assert kernel_tables() == tables
    vmgr("vgchange", "-an", "tank")
    assert not kernel_tables()
