"""Settings of lvm.conf that show in the kernel: vmgr makes the same devices of them as LVM2."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import Tool, kernel_tables, vmgr

BOTH = pytest.mark.parametrize("tool", ["vmgr", "lvm"])
LISTED = 'activation/read_only_volume_list=["tank/data", "@keep"]'


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    return [make_disk(64), make_disk(64)]


def read_only() -> dict[str, bool]:
    """Of every mapped device, by name, whether the kernel lets nobody write to it."""
    listed = lab.run("dmsetup", "info", "-c", "--noheadings", "-o", "name,read_only").stdout
    return {name: word == "Read-only" for name, word in (line.strip().split(":") for line in listed.splitlines())}


def read_ahead(path: str) -> int:
    return int(lab.run("blockdev", "--getra", path).stdout)


@BOTH
def test_volumes_of_the_list_are_activated_read_only(tool: str, pvs: list[str]) -> None:
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    for name, tag in (("data", "x"), ("kept", "keep"), ("free", "x")):
        do("lvcreate", "-q", "-an", "-Zn", "-Wn", "-l", "1", "-n", name, "--addtag", tag, "tank")
    do("vgchange", "-ay", "tank", "--config", LISTED)
    assert read_only() == {"tank-data": True, "tank-kept": True, "tank-free": False}
    shown = dict(row.split() for row in do("lvs", "--noheadings", "-o", "name,attr").splitlines())
    assert shown == {"data": "-Ri-a-----", "kept": "-Ri-a-----", "free": "-wi-a-----"}
    # Without the list a refresh makes them writable again; a change of something else leaves them as they are.
    do("lvextend", "-q", "-l", "+1", "tank/free", "--config", LISTED)
    assert read_only()["tank-data"]
    do("lvchange", "--refresh", "tank/data")
    assert read_only() == {"tank-data": False, "tank-kept": True, "tank-free": False}


@BOTH
def test_a_new_volume_of_the_list_is_not_cleared_and_the_command_says_so(tool: str, pvs: list[str]) -> None:
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    run = lab.run(tool, "lvcreate", "-y", "-l", "1", "-n", "data", "tank", "--config", LISTED, check=False)
    assert run.returncode == 0, run.stderr
    assert "WARNING: Read-only activated logical volume tank/data not zeroed." in run.stderr
    assert read_only() == {"tank-data": True}


@BOTH
def test_a_volume_that_leaves_its_read_ahead_to_the_kernel_gets_that_of_its_disk(tool: str, pvs: list[str]) -> None:
    do = Tool(tool)
    lab.run("blockdev", "--setra", "4096", pvs[0])
    lab.run("blockdev", "--setra", "64", pvs[1])
    do("vgcreate", "tank", *pvs)
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-n", "fast", "tank", pvs[0])
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-n", "slow", "tank", pvs[1])
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "2", "-i", "2", "-I", "64k", "-n", "wide", "tank")
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-r", "512", "-n", "own", "tank", pvs[0])
    kernels = read_ahead("/dev/tank/slow")
    assert kernels not in (64, 4096)
    assert read_ahead("/dev/tank/fast") == 4096
    assert read_ahead("/dev/tank/wide") >= 2 * 2 * 128
    assert read_ahead("/dev/tank/own") == 512
    do("lvcreate", "-q", "-s", "-l", "1", "-n", "snap", "tank/fast")
    assert read_ahead("/dev/tank/fast") == 4096
    do("vgchange", "-an", "tank")
    do("vgchange", "-ay", "tank", "--config", 'activation/readahead="none"')
    assert {name: read_ahead(f"/dev/tank/{name}") for name in ("fast", "slow", "wide", "own")} == {
        "fast": 0,
        "slow": 0,
        "wide": 0,
        "own": 512,
    }


@BOTH
def test_freed_space_is_discarded_if_that_is_wanted(tool: str, pvs: list[str], loops: lab.Loops) -> None:
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    for name in ("one", "two"):
        do("lvcreate", "-q", "-Zn", "-Wn", "-l", "4", "-n", name, "tank", pvs[0])
        lab.write_at(f"/dev/tank/{name}", 0, lab.pattern(1, 16 << 20))
    lab.run("sync")

    def blocks() -> int:
        return os.stat(loops.backing_file(pvs[0])).st_blocks // 2048

    assert blocks() >= 32
    do("lvremove", "-y", "tank/one")
    assert blocks() >= 32
    do("lvreduce", "-y", "-l", "2", "tank/two", "--config", "devices/issue_discards=1")
    assert 24 <= blocks() < 32
    assert lab.read_at("/dev/tank/two", 0, 8 << 20) == lab.pattern(1, 16 << 20)[: 8 << 20]
    do("vgremove", "-y", "tank", "--config", "devices/issue_discards=1")
    assert 16 <= blocks() < 20


def test_space_that_a_device_still_maps_is_not_discarded(pvs: list[str], loops: lab.Loops) -> None:
    """A foreign device on a volume's extents keeps its data, whatever the metadata say."""
    vmgr("vgcreate", "tank", pvs[0])
    vmgr("lvcreate", "-q", "-an", "-Zn", "-Wn", "-l", "4", "-n", "one", "tank")
    number = os.stat(pvs[0]).st_rdev
    lab.run(
        "dmsetup", "create", "other", "--table",
        f"0 8192 linear {os.major(number)}:{os.minor(number)} {2048 + 8192}",
    )  # fmt: skip
    lab.write_at("/dev/mapper/other", 0, lab.pattern(2, 4 << 20))
    vmgr("lvremove", "-y", "tank/one", "--config", "devices/issue_discards=1")
    Path("/proc/sys/vm/drop_caches").write_text("3")
    assert lab.read_at("/dev/mapper/other", 0, 4 << 20) == lab.pattern(2, 4 << 20)
    assert set(kernel_tables()) == {"other"}


@BOTH
def test_a_mirror_of_a_group_is_no_device_for_another_group(tool: str, pvs: list[str]) -> None:
    """Whoever reads a mirror with a failed leg may wait for ever, so it is left alone unless that is wanted."""
    do = Tool(tool)
    Tool("lvm")("vgcreate", "tank", *pvs)
    Tool("lvm")("lvcreate", "-q", "--type", "mirror", "-m1", "--mirrorlog", "core", "-l", "4", "-n", "m", "tank")
    seen = "devices/scan_lvs=1"
    do("pvcreate", "-y", "/dev/tank/m", "--config", seen, status=5)
    do("pvcreate", "-y", "/dev/tank/m", "--config", f"{seen} devices/ignore_lvm_mirrors=0")
    assert "/dev/tank/m" not in do("pvs", "--noheadings", "-o", "name", "--config", seen)


@BOTH
def test_a_volume_to_be_skipped_is_active_at_once_if_the_mark_is_to_be_ignored(tool: str, pvs: list[str]) -> None:
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-k", "y", "-n", "skipped", "tank")
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "1", "-k", "y", "-K", "-n", "active", "tank")
    shown = dict(row.split() for row in do("lvs", "--noheadings", "-o", "name,attr").splitlines())
    assert shown == {"skipped": "-wi------k", "active": "-wi-a----k"}


@BOTH
def test_a_resize_to_the_size_that_is_there(tool: str, pvs: list[str]) -> None:
    """Without a file system to resize it is an error, as in LVM2."""
    do = Tool(tool)
    do("vgcreate", "tank", *pvs)
    do("lvcreate", "-q", "-Zn", "-Wn", "-l", "2", "-n", "data", "tank")
    do("lvresize", "-l", "2", "tank/data", status=5)
    do("lvextend", "-l", "2", "tank/data", status=5)


@BOTH
def test_where_metadata_are_read_only_volumes_are_activated_all_the_same(tool: str, pvs: list[str]) -> None:
    """LVM2 does not obey global/metadata_read_only; vmgr does, and hinders nothing that writes no metadata."""
    do, setting = Tool(tool), ("--config", "global/metadata_read_only=1")
    do("vgcreate", "tank", *pvs)
    do("lvcreate", "-q", "-an", "-Zn", "-Wn", "-l", "1", "-n", "data", "tank")
    seqno = do("vgs", "--noheadings", "-o", "seqno", "tank")
    for words, active in (
        ("vgchange -ay tank", True), ("lvchange --refresh tank/data", True), ("vgmknodes", True),
        ("vgchange --poll y tank", True), ("vgck tank", True), ("vgcfgbackup tank", True),
        ("lvchange -an tank/data", False), ("lvchange -ay tank/data", True), ("vgchange -an tank", False),
    ):  # fmt: skip
        do(*words.split(), *setting)
        assert bool(kernel_tables()) is active, words
    assert do("vgs", "--noheadings", "-o", "seqno", "tank") == seqno
    if tool == "vmgr":
        for words in ("lvchange --addtag x tank/data", "vgck --updatemetadata tank", "vgremove -f tank"):
            run = lab.run(tool, *words.split(), *setting, check=False)
            assert run.returncode == 5
            assert "operation prohibited while global/metadata_read_only is set" in run.stderr
        assert do("vgs", "--noheadings", "-o", "seqno", "tank") == seqno
