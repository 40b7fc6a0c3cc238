"""Zero and error volumes: made by one tool, worked on by the other, and what reading and writing them does."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.tools import Tool, check_group, kernel_tables, kernel_uuids, lvm, vmgr

BOTH_WAYS = pytest.mark.parametrize(
    ("first", "second"), [("vmgr", "lvm"), ("lvm", "vmgr")], ids=["vmgr-then-lvm", "lvm-then-vmgr"]
)
COLUMNS = (
    "lv_name,lv_uuid,lv_attr,lv_size,segtype,devices,stripes,data_stripes,stripe_size,lv_modules,lv_role,seg_size"
)


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    return [make_disk(64)]


def agree(disks: list[str]) -> None:
    check_group("tank", disks)
    ours = vmgr("lvs", "-a", "--segments", "-o", COLUMNS, "--units", "s", "tank")
    theirs = lvm("lvs", "-a", "--segments", "-o", COLUMNS, "--units", "s", "tank")
    assert ours.stdout == theirs.stdout


@BOTH_WAYS
@pytest.mark.parametrize("kind", ["zero", "error"])
def test_a_volume_of_one_tool_is_worked_on_by_the_other(first: str, second: str, kind: str, pvs: list[str]) -> None:
    one, other = Tool(first), Tool(second)
    one("vgcreate", "tank", *pvs)
    one("lvcreate", "-q", "--type", kind, "-L", "1T", "-n", "big", "tank")
    agree(pvs)
    assert kernel_tables() == {"tank-big": [f"0 {1 << 31} {kind}"]}
    other("lvextend", "-L", "+4M", "tank/big")
    other("lvreduce", "-y", "-L", "12M", "tank/big")
    agree(pvs)
    assert kernel_tables() == {"tank-big": [f"0 {12 * 2048} {kind}"]}
    uuids = kernel_uuids()
    other("lvchange", "-an", "tank/big")
    one("lvchange", "-ay", "tank/big")
    assert kernel_uuids() == uuids
    other("lvcreate", "-q", "-l", "1", "-Zn", "-Wn", "-n", "plain", "tank")
    one("lvextend", "-L", "+4M", "tank/big")
    other("lvremove", "-y", "tank")
    agree(pvs)


@pytest.mark.parametrize("tool", ["vmgr", "lvm"])
def test_plain_volumes_go_on_as_nothing(tool: str, pvs: list[str]) -> None:
    """Both make the same segments and tables of ``lvextend --type``."""
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-n", "mixed", "tank")
    for kind in ("zero", "error", "error", "linear", "zero"):
        do("lvextend", "-l", "+1", "--type", kind, "tank/mixed")
    (disk,) = pvs
    number = f"{os.major(os.stat(disk).st_rdev)}:{os.minor(os.stat(disk).st_rdev)}"
    assert kernel_tables() == {
        "tank-mixed": [
            f"0 8192 linear {number} 2048",
            "8192 8192 zero",
            "16384 16384 error",
            f"32768 8192 linear {number} 10240",
            "40960 8192 zero",
        ]
    }
    check_group("tank", pvs)
    columns = ("lvs", "--segments", "-o", "lv_name,lv_attr,segtype,devices,seg_size", "tank")
    assert vmgr(*columns).stdout == lvm(*columns).stdout


def test_reading_gives_zeros_and_errors(pvs: list[str]) -> None:
    vmgr("vgcreate", "tank", *pvs)
    vmgr("lvcreate", "--type", "zero", "-l", "1", "-n", "void", "tank")
    vmgr("lvcreate", "--type", "error", "-l", "1", "-n", "wall", "tank")
    lab.write_at("/dev/tank/void", 0, b"x" * 4096)
    assert lab.read_at("/dev/tank/void", 0, 4096) == bytes(4096)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        lab.read_at("/dev/tank/wall", 0, 4096)


def test_a_snapshot_of_a_zero_volume_holds_what_is_written(pvs: list[str]) -> None:
    vmgr("vgcreate", "tank", *pvs)
    vmgr("lvcreate", "--type", "zero", "-L", "1T", "-n", "void", "tank")
    vmgr("lvcreate", "-s", "-L", "8M", "-n", "huge", "tank/void")
    lab.write_at("/dev/tank/huge", 1 << 39, b"x" * 4096)
    assert lab.read_at("/dev/tank/huge", 1 << 39, 4096) == b"x" * 4096
    assert lab.read_at("/dev/tank/huge", 0, 4096) == bytes(4096)
    check_group("tank", pvs)
    assert vmgr("lvs", "tank").stdout == lvm("lvs", "tank").stdout


def test_it_takes_no_stripes_and_no_physical_volume(pvs: list[str]) -> None:
    vmgr("vgcreate", "tank", *pvs)
    said = vmgr("lvcreate", "--type", "zero", "-l", "1", "-i", "2", "tank", status=3).stderr
    assert "a zero volume takes no --stripes" in said
    said = vmgr("lvcreate", "--type", "zero", "-l", "1", "tank", *pvs, status=3).stderr
    assert "lies on no physical volume" in said
    assert vmgr("lvs", "--noheadings", "tank").stdout == ""
