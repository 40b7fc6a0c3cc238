"""vmgr and LVM2 take over from each other on a live system, in both directions, for every kind of volume."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.tools import Tool, check_group, kernel_tables, kernel_uuids, lvm, suspended, vmgr

BOTH_WAYS = pytest.mark.parametrize(
    ("first", "second"), [("vmgr", "lvm"), ("lvm", "vmgr")], ids=["vmgr-then-lvm", "lvm-then-vmgr"]
)

KINDS = {
    "linear": ["-L", "40M"],
    "striped": ["-L", "40M", "-i", "2", "-I", "16k"],
}

EVERYTHING = (
    "lv_name,lv_uuid,lv_attr,lv_size,lv_tags,origin,snap_percent,devices,seg_size_pe,seg_start_pe,stripes,stripe_size,"
    "chunk_size,seg_pe_ranges,lv_active,lv_dm_path,lv_permissions,lv_time,lv_host"
)


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    return [make_disk(128), make_disk(128)]


def shown(tool: Tool, what: str, columns: str, vg: str) -> str:
    return tool(what, "-a", "-o", columns, "--units", "s", vg) if what == "lvs" else tool(what, "-o", columns, vg)


def agree(vg: str, disks: list[str]) -> None:
    """LVM2 accepts what is on the disks, and both tools show the same."""
    check_group(vg, disks)
    assert shown(Tool("vmgr"), "lvs", EVERYTHING, vg) == shown(Tool("lvm"), "lvs", EVERYTHING, vg)
    for what in ("vgs", "pvs"):
        columns = [what] if what == "vgs" else [what, "-o", "+pv_used,pv_uuid,pe_start,pv_mda_free"]
        assert vmgr(*columns).stdout == lvm(*columns).stdout
    vmgr("vgcfgbackup", "-f", "/tmp/ours", vg)
    lvm("vgcfgbackup", "-f", "/tmp/theirs", vg)
    assert _body("/tmp/ours") == _body("/tmp/theirs")
    assert suspended() == []


def _body(path: str) -> str:
    """A backup file without its header, which says who wrote it and when."""
    with open(path) as file:
        lines = file.read().splitlines()
    return "\n".join(lines[lines.index("") + 1 :][12:])


@BOTH_WAYS
@pytest.mark.parametrize("kind", KINDS)
def test_a_volume_of_one_tool_is_worked_on_by_the_other(first: str, second: str, kind: str, pvs: list[str]) -> None:
    """Made by one; extended, deactivated, activated and removed by the other; devices and data stay right."""
    a, b = Tool(first), Tool(second)
    a("pvcreate", *pvs)
    a("vgcreate", "tank", *pvs)
    a("lvcreate", "-y", "-n", "data", *KINDS[kind], "tank")
    agree("tank", pvs)
    data = lab.pattern(1, 4 << 20)
    lab.write_at("/dev/tank/data", 0, data)

    b("lvextend", "-L", "+24M", "tank/data")
    agree("tank", pvs)
    tables, uuids = kernel_tables(), kernel_uuids()

    for off, on in ((a, b), (b, a)):
        off("vgchange", "-an", "tank")
        assert kernel_tables() == {}
        on("vgchange", "-ay", "tank")
        assert kernel_tables() == tables
        assert kernel_uuids() == uuids
        assert lab.read_at("/dev/tank/data", 0, len(data)) == data

    b("lvrename", "tank", "data", "da-ta")
    agree("tank", pvs)
    assert set(kernel_tables()) == {"tank-da--ta"}
    a("lvreduce", "-y", "-f", "-L", "-24M", "tank/da-ta")
    agree("tank", pvs)
    assert lab.read_at("/dev/tank/da-ta", 0, len(data)) == data
    b("lvremove", "-y", "tank/da-ta")
    b("vgremove", "tank")
    a("pvremove", *pvs)
    assert kernel_tables() == {}


@BOTH_WAYS
@pytest.mark.parametrize("kind", KINDS)
def test_snapshots_are_handed_over(first: str, second: str, kind: str, pvs: list[str]) -> None:
    """One tool's origin gets the other's snapshots; both keep the data of their moment through every hand-over."""
    a, b = Tool(first), Tool(second)
    a("vgcreate", "tank", *pvs)
    a("lvcreate", "-y", "-n", "data", *KINDS[kind], "tank")
    old, new, newer = (lab.pattern(n, 2 << 20) for n in range(3))
    lab.write_at("/dev/tank/data", 0, old)

    b("lvcreate", "-s", "-n", "one", "-L", "8M", "tank/data")
    lab.write_at("/dev/tank/data", 0, new)
    agree("tank", pvs)
    a("lvcreate", "-s", "-n", "two", "-L", "12M", "-c", "8k", "tank/data")
    lab.write_at("/dev/tank/data", 0, newer)
    agree("tank", pvs)
    tables, uuids = kernel_tables(), kernel_uuids()
    assert len(tables) == 6

    def contents() -> list[bytes]:
        return [lab.read_at(f"/dev/tank/{name}", 0, 2 << 20) for name in ("one", "two", "data")]

    assert contents() == [old, new, newer]
    for off, on in ((a, b), (b, a)):
        off("vgchange", "-an", "tank")
        assert kernel_tables() == {}
        on("lvchange", "-ay", "tank/one" if on is a else "tank/data", *([] if on is b else ["-y"]))
        assert kernel_tables() == tables
        assert kernel_uuids() == uuids
        assert contents() == [old, new, newer]

    b("lvextend", "-L", "+4M", "tank/one")
    agree("tank", pvs)
    assert contents() == [old, new, newer]
    a("lvremove", "-y", "tank/one")
    agree("tank", pvs)
    assert lab.read_at("/dev/tank/two", 0, 2 << 20) == new
    b("lvremove", "-y", "tank/two")
    agree("tank", pvs)
    assert lab.read_at("/dev/tank/data", 0, 2 << 20) == newer
    assert set(kernel_tables()) == {"tank-data"}
    a("vgremove", "-y", "tank")
    assert kernel_tables() == {}


@pytest.mark.udev
@BOTH_WAYS
def test_the_hand_over_leaves_udev_with_nothing_to_do(first: str, second: str, pvs: list[str]) -> None:
    """With udevd running both tools find each other's nodes and links, and no cookie is left by either."""
    a, b = Tool(first), Tool(second)
    a("vgcreate", "tank", *pvs)
    a("lvcreate", "-y", "-n", "data", "-L", "32M", "tank")
    b("lvcreate", "-s", "-n", "snap", "-L", "8M", "tank/data")
    tables = kernel_tables()
    b("vgchange", "-an", "tank")
    assert not os.path.lexists("/dev/tank")
    a("vgchange", "-ay", "tank")
    assert kernel_tables() == tables
    for name in ("data", "snap"):
        assert os.path.realpath(f"/dev/tank/{name}").startswith("/dev/dm-")
    agree("tank", pvs)
    b("lvrename", "tank", "data", "moved")
    a("lvremove", "-y", "tank/moved")
    assert lab.run("dmsetup", "udevcookies").stdout.strip().splitlines()[1:] == []
    assert kernel_tables() == {}
    b("vgremove", "tank")


@BOTH_WAYS
def test_a_merge_is_begun_by_one_and_seen_by_the_other(first: str, second: str, pvs: list[str]) -> None:
    """A merge brings back the snapshot's data, and both tools agree that the snapshot is gone."""
    a, b = Tool(first), Tool(second)
    a("vgcreate", "tank", *pvs)
    a("lvcreate", "-y", "-n", "data", "-L", "32M", "tank")
    old, new = lab.pattern(1, 2 << 20), lab.pattern(2, 2 << 20)
    lab.write_at("/dev/tank/data", 0, old)
    b("lvcreate", "-s", "-n", "snap", "-L", "8M", "tank/data")
    lab.write_at("/dev/tank/data", 0, new)
    a("lvconvert", "--merge", "-i", "1", "tank/snap")
    lab.until(lambda: set(kernel_tables()) == {"tank-data"}, "the merge to end")
    agree("tank", pvs)
    assert lab.read_at("/dev/tank/data", 0, 2 << 20) == old
    b("vgremove", "-y", "tank")


def test_a_merge_waits_while_the_origin_is_open(pvs: list[str]) -> None:
    """With the origin in use the merge starts at its next activation, whichever tool does that."""
    vmgr("vgcreate", "tank", *pvs)
    vmgr("lvcreate", "-n", "data", "-L", "32M", "tank")
    old, new = lab.pattern(1, 2 << 20), lab.pattern(2, 2 << 20)
    lab.write_at("/dev/tank/data", 0, old)
    vmgr("lvcreate", "-s", "-n", "snap", "-L", "8M", "tank/data")
    lab.write_at("/dev/tank/data", 0, new)
    with open("/dev/tank/data", "rb"):
        vmgr("lvconvert", "--merge", "tank/snap")
        assert lab.read_at("/dev/tank/data", 0, 2 << 20) == new
        assert any("snapshot-origin" in line for line in kernel_tables()["tank-data"])
    vmgr("vgchange", "-an", "tank")
    vmgr("vgchange", "-ay", "tank")
    lab.until(lambda: set(kernel_tables()) == {"tank-data"}, "the merge to end")
    assert lab.read_at("/dev/tank/data", 0, 2 << 20) == old
    agree("tank", pvs)
    vmgr("vgremove", "-y", "tank")
