"""What runs without vmgr's knowing how: counted, named, and never taken for inactive."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.support.tools import kernel_tables, lvm, vmgr

FAILED = 5


@pytest.fixture
def group(make_disk: Callable[[float], str]) -> str:
    """A plain volume beside a mirrored one and a thin pool with a volume, all active."""
    lvm("vgcreate", "-s", "1m", "tank", *(make_disk(64) for _ in range(2)))
    lvm("lvcreate", "-y", "-L4m", "-n", "plain", "tank")
    lvm("lvcreate", "-y", "--type", "raid1", "-m1", "-L4m", "-n", "r", "tank")
    lvm("lvcreate", "-y", "-T", "-L8m", "-V4m", "-n", "thin", "tank/pool")
    return "tank"


def letters(*words: str) -> dict[str, str]:
    done = vmgr("lvs", *words, "--noheadings", "-o", "lv_name,lv_attr", "tank")
    return dict(line.split() for line in done.stdout.splitlines())  # type: ignore[misc]


def test_deactivation_leaves_what_it_does_not_understand_whole_counts_and_names_it(group: str) -> None:
    before = kernel_tables()
    done = vmgr("vgchange", "-an", group, status=FAILED)
    left = {name: table for name, table in before.items() if name != "tank-plain"}
    assert kernel_tables() == left
    assert '3 logical volume(s) in volume group "tank" now active' in done.stderr
    assert f"{len(left)} devices run on in volume group tank that vmgr does not understand" in done.stderr
    for name in left:
        assert f"{name} (logical volume tank/" in done.stderr
    assert "lvm vgchange -an tank" in done.stderr
    one = vmgr("lvchange", "-an", "tank/r", status=FAILED)
    assert "cannot deactivate logical volume tank/r: no installed plugin understands it" in one.stderr
    assert kernel_tables() == left
    lvm("vgchange", "-an", group)
    assert "0 logical volume(s)" in vmgr("vgchange", "-an", group).stderr


def test_a_pool_that_runs_is_active_and_everything_is_unknown_without_the_kernel(group: str) -> None:
    assert {name: attr[4] for name, attr in letters().items()} == dict.fromkeys(("plain", "pool", "r", "thin"), "a")
    assert {attr[4:6] for attr in letters("--driverloaded", "n").values()} == {"XX"}
    assert {attr[4:6] for attr in letters("--readonly").values()} == {"XX"}
    fields = "lv_name,lv_active,lv_active_locally,lv_suspended,lv_live_table,lv_device_open,lv_kernel_minor"
    for words in (("lvs", "--driverloaded", "n"), ("lvs", "--readonly")):
        ours = vmgr(*words, "-o", fields, group).stdout
        assert ours == lvm(*words, "-o", fields, group).stdout
    for words in (("lvdisplay",), ("lvdisplay", "-c"), ("lvscan",), ("vgdisplay",)):
        ours = vmgr(*words, "--driverloaded", "n").stdout
        assert "available" not in ours
        assert ours.count("inactive") == (4 if words == ("lvscan",) else 0)
