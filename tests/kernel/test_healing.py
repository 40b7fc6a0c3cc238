"""What a killed command left, and what a refused table leaves, on a real kernel. The kill matrix has all points."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.proof.machine import quiet, vmgr_program
from tests.proof.tracer import trace
from tests.support import lab
from tests.support.tools import check_group, kernel_tables, lvm, vmgr

FAILED = 5
EXTENT = 64 << 10
SNAPSHOT = ("lvcreate", "-y", "-s", "-l4", "-n", "snap", "tank/data")


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    """A group on two disks with a volume that holds something."""
    disks = [make_disk(32), make_disk(32)]
    vmgr("vgcreate", "-s", "64k", "tank", *disks)
    vmgr("lvcreate", "-y", "-l8", "-n", "data", "tank")
    lab.write_at("/dev/tank/data", 0, lab.pattern(1, 8 * EXTENT))
    return disks


def suspended() -> set[str]:
    text = lab.run("dmsetup", "info", "-c", "--noheadings", "--separator", " ", "-o", "name,suspended").stdout
    return {line.split()[0] for line in text.splitlines() if line.endswith("Suspended")}


def run(*words: str, kill_at: int | None = None) -> list[str]:
    """Run a command of vmgr in a child, killed at a call; the calls that it made."""
    out = os.memfd_create("out")

    def program() -> None:
        quiet(out, out)
        vmgr_program(words)()

    try:
        return [str(event) for event in trace(program, kill_at=kill_at).events]
    finally:
        os.close(out)


def points(*words: str) -> dict[str, int]:
    """The calls of a command at which it suspends, commits to the first and the second disk, and resumes."""
    calls = run(*words)
    suspend = next(n for n, call in enumerate(calls) if call.startswith("dm suspend"))
    resume = next(n for n, call in enumerate(calls) if n > suspend and call.startswith("dm resume"))
    writes = [n for n in range(suspend, resume) if calls[n].startswith("pwrite")]
    assert len(writes) == 2, calls[suspend : resume + 1]
    found = {"commit": writes[0], "second commit": writes[1], "resume": resume}
    return {name: n + 1 for name, n in found.items()}


HEALERS = {
    "vgchange --refresh": ("vgchange", "--refresh", "tank"),
    "vgchange -ay": ("vgchange", "-ay", "tank"),
    "vgchange -an": ("vgchange", "-an", "tank"),
    "lvchange --refresh": ("lvchange", "--refresh", "tank/data"),
    "lvremove": ("lvremove", "-ff", "-y", "tank/data"),
    "again": SNAPSHOT,
}


def test_a_snapshot_killed_around_its_commit_leaves_what_any_command_puts_in_order(pvs: list[str]) -> None:
    """The origin was suspended; it runs again, before or after its snapshot, and holds what it held."""
    at = points(*SNAPSHOT)
    vmgr("lvremove", "-ff", "tank/snap")
    for point, number in at.items():
        for healer, words in HEALERS.items():
            run(*SNAPSHOT, kill_at=number)
            assert "tank-data" in suspended(), point
            done = vmgr(*words, status=None)
            made = lab.run("lvs", "--noheadings", "-o", "name", "tank").stdout.split()
            again = healer == "again" and point != "commit"
            assert done.returncode == (FAILED if again else 0), (point, healer, done.stderr)
            assert "tank-data was left suspended, and runs again" in done.stderr
            assert suspended() == set(), (point, healer)
            if healer == "lvremove":
                assert made == []
                vmgr("lvcreate", "-y", "-l8", "-n", "data", "tank")
                lab.write_at("/dev/tank/data", 0, lab.pattern(1, 8 * EXTENT))
                continue
            assert ("snap" in made) == (point != "commit" or healer == "again"), (point, healer)
            vmgr("vgchange", "-ay", "tank")
            assert lab.read_at("/dev/tank/data", 0, 8 * EXTENT) == lab.pattern(1, 8 * EXTENT)
            if "snap" in made:
                lab.write_at("/dev/tank/data", 0, lab.pattern(2, EXTENT))
                assert lab.read_at("/dev/tank/snap", 0, EXTENT) == lab.pattern(1, EXTENT), (point, healer)
                lab.write_at("/dev/tank/data", 0, lab.pattern(1, EXTENT))
                vmgr("lvremove", "-ff", "tank/snap")
            assert set(kernel_tables()) == {"tank-data"}
            vmgr("lvchange", "--addtag", "x", "tank/data")  # what was committed to one disk only is on both then
            check_group("tank", pvs)


def test_a_test_run_plans_for_what_will_have_been_put_in_order(pvs: list[str]) -> None:
    at = points(*SNAPSHOT)
    vmgr("lvremove", "-ff", "tank/snap")
    run(*SNAPSHOT, kill_at=at["commit"])
    assert suspended() == {"tank-data"}
    done = vmgr("lvextend", "--test", "-l+1", "tank/data")
    assert "without --test, before all else: tank-data was left suspended" in done.stderr
    assert "tank-snap was left behind" in done.stderr
    assert suspended() == {"tank-data"}
    vmgr("lvextend", "-l+1", "tank/data")
    assert suspended() == set()
    assert set(kernel_tables()) == {"tank-data"}


def test_a_device_that_somebody_suspended_is_resumed_by_a_refresh_only(pvs: list[str]) -> None:
    lab.run("dmsetup", "suspend", "tank-data")
    for words in (["lvcreate", "-y", "-l1", "-n", "more", "tank"], ["vgchange", "-ay", "tank"]):
        assert "lvchange --refresh tank/data" in vmgr(*words).stderr
    before = vmgr("vgs", "-o", "seqno").stdout
    for words in (
        ["lvextend", "-l+1", "tank/data"], ["lvextend", "-r", "-l+1", "tank/data"], list(SNAPSHOT),
        ["lvreduce", "-y", "-l-1", "tank/data"], ["lvreduce", "-y", "--fs", "ignore", "-l-1", "tank/data"],
        ["lvchange", "-y", "-pr", "tank/data"],
    ):  # fmt: skip
        assert "tank-data is suspended" in vmgr(*words, status=FAILED).stderr
    assert suspended() == {"tank-data"}
    assert vmgr("vgs", "-o", "seqno").stdout == before
    assert "is suspended" not in vmgr("lvchange", "--refresh", "tank/data").stderr
    assert suspended() == set()


def test_what_lvm2_left_is_put_in_order_as_well(pvs: list[str]) -> None:
    """A table that waits and was never committed does not become live."""
    tables = kernel_tables()
    lab.run("dmsetup", "load", "tank-data", "--table", "0 2048 zero")
    lab.run("dmsetup", "suspend", "tank-data")
    assert "tank-data was left suspended" in vmgr("lvchange", "--addtag", "x", "tank/data").stderr
    assert suspended() == set()
    assert kernel_tables() == tables
    check_group("tank", pvs)


@pytest.mark.parametrize("words", [["lvextend", "-l+1", "tank/data"], ["lvextend", "-l+1", "tank/snap"]])
def test_a_table_that_the_kernel_refuses_changes_nothing(
    words: list[str], make_disk: Callable[..., str], pvs: list[str]
) -> None:
    """Blocks of 4096 bytes, extents of 1024: a length that is no whole number of blocks is refused at resume."""
    vmgr("vgremove", "-ff", "tank")
    disk = make_disk(32, sector_size=4096)
    vmgr("vgcreate", "-s", "1k", "tank", disk)
    vmgr("lvcreate", "-y", "-l32", "-n", "data", "tank")
    vmgr("lvcreate", "-y", "-s", "-l32", "-n", "snap", "tank/data")
    if "tank/data" in words:
        vmgr("lvremove", "-ff", "tank/snap")
    tables, sizes = kernel_tables(), vmgr("lvs", "-o", "name,size", "tank").stdout
    done = vmgr(*words, status=FAILED)
    assert "all devices have the tables that they had" in done.stderr
    assert kernel_tables() == tables
    assert vmgr("lvs", "-o", "name,size", "tank").stdout == sizes
    assert suspended() == set()
    assert lvm("vgck", "tank").returncode == 0
    vmgr("lvcreate", "-y", "-l4", "-n", "more", "tank")
    vmgr("vgremove", "-ff", "tank")


def test_a_device_that_somebody_suspended_is_taken_away_at_the_users_word_as_by_lvm2(pvs: list[str]) -> None:
    """What leaves it as it is goes on, and so does what does away with it; each says that it is suspended."""
    lab.run("dmsetup", "suspend", "tank-data")
    for words in (["lvchange", "--addtag", "x", "tank/data"], ["lvrename", "tank", "data", "old"]):
        assert "is suspended" in vmgr(*words).stderr
    assert suspended() == {"tank-old"}
    assert "is suspended" in vmgr("lvchange", "-an", "tank/old").stderr
    assert kernel_tables() == {}
    for words in (["lvremove", "-y", "tank/old"], ["vgremove", "-ff", "-y", "tank"]):
        vmgr("lvchange", "-ay", "tank/old", status=None)
        if "old" in vmgr("lvs", "--noheadings", "-o", "name", "tank").stdout:
            lab.run("dmsetup", "suspend", "tank-old")
        vmgr(*words)
        assert kernel_tables() == {}
