# ruff: noqa: E402 - the suite is imported after pytest was told to rewrite its assertions
"""Statistics on the kernel itself: the conformance suite, real input and output, and dmstats beside us."""

from __future__ import annotations

import json
import mmap
import os
import shlex
from collections.abc import Callable, Iterator

import pytest

pytest.register_assert_rewrite("tests.support.stats_conformance")

from tests.support.dmsetup import LINK, OURS, THEIRS, Do, Step, agree, run_tool
from tests.support.stats_conformance import StatsConformance, StatsRig, device, done
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.statistics import Statistics

SECTOR = 512


def transfer(path: str, sector: int, sectors: int, *, write: bool) -> None:
    """One request past the cache."""
    fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, sectors * SECTOR) as buffer:
            call = os.pwritev if write else os.preadv
            assert call(fd, [buffer], sector * SECTOR) == sectors * SECTOR
    finally:
        os.close(fd)


class KernelRig:
    """The suite's machine, on the lab's kernel."""

    def __init__(self) -> None:
        self.dm = DmClient.open(use_udev=False)

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool) -> None:
        transfer(f"/dev/mapper/{name}", sector, sectors, write=write)


@pytest.fixture
def rig(_machine: None) -> Iterator[StatsRig]:
    rig = KernelRig()
    yield rig
    rig.dm.close()


class TestKernelStatistics(StatsConformance):
    """The suite on the kernel."""


# -- beside dmstats -------------------------------------------------------------------------------------

THREE = (
    "create one --table '0 2048 zero'",
    Step("create two", stdin="0 1024 zero\n1024 1024 error\n"),
    "create three --notable",
)
"""Two devices to count in, one of two segments, and one that has nothing to count."""

REGIONS = (
    *THREE,
    "stats create one",
    "stats create one --start 512k --length 1024 --bounds 300us,5ms,1s",
    "stats create one --start 512 --length 512 --bounds 1ms,10ms --programid other",
    "stats create one --segments",
    "stats create two --areas 4 --start 0 --length 1m",
    "stats create two --areasize 64k --userdata mine",
    "stats create two --segments --bounds 10us",
)

ALL_BUT_START = (
    "statsname,group_id,region_id,obj_type,region_start,region_len,area_count,area_id,area_len,program_id,precise,"
    "hist_bins,hist_bounds,hist_ranges,hist_count,hist_count_bounds,hist_count_ranges,hist_percent,"
    "hist_percent_bounds,hist_percent_ranges,util,await,read_await,write_await,queue_size,throughput,service_time,"
    "reads_per_sec,interval,interval_ns,major,minor,open"
)
"""dmstats makes a mistake with where the areas of a whole region start: it multiplies with a mark of its own."""


def test_regions_are_made_as_dmstats_makes_them() -> None:
    """Listed by each in every way, after being made by each."""
    agree(
        *REGIONS,
        "stats list",
        "stats list one two",
        "stats list one -v",
        "stats list one --histogram -v",
        "stats list --allprograms",
        "stats list --programid other --histogram",
        "stats list --units s",
        "stats list --units b --nosuffix",
        "stats list --noheadings",
        "stats list --noheadings --separator ,",
        "stats list --nameprefixes --unquoted",
        "stats list --rows",
        "stats list --region",
        "stats list --area --units k",
        "stats list --group",
        "stats list -o statsname,group_id,region_id,area_id,precise,hist_bins,obj_type -v",
        "stats list -o +hist_ranges,devno,open --notimesuffix",
        "stats list -o name,region_id -O -region_start",
        "stats list -o name,region_id,area_start --area -O -area_start,name",
        "stats list -S program_id=other --allprograms",
        "stats list -S 'obj_type=group'",
        "stats list -S 'area_count>1'",
        "stats list -o name,id,start,len",
        Step("stats list -o no_such_column", status=1),
        "stats list three",
        Step("stats list absent", status=1),
        "stats list -u no-uuid",
        "stats list -j 254 -m 1",
        tools=(OURS,),
    )


def test_reports_are_as_dmstats_makes_them() -> None:
    agree(
        *REGIONS,
        "stats print two --regionid 1",
        "stats print --regionid 1 one",
        Step("stats print one --regionid 9", status=1),
        Step("stats print one", status=1),
        "stats report one",
        "stats report one --histogram",
        "stats report --histogram --relative --notimesuffix",
        "stats report --raw one",
        "stats report --area --units s",
        "stats report --region --histogram",
        "stats report --group",
        f"stats report -o {ALL_BUT_START}",
        f"stats report --noheadings --allprograms -o {ALL_BUT_START}",
        "stats report three",
        "stats report --count 2 --interval 1 one -o name,region_id,area_id,read_count,util",
        Step("stats report --interval 0", status=1),
        Step("stats report --units x", status=1),
        Step("stats report absent", status=1),
        tools=(LINK,),
    )


def test_groups_are_made_as_dmstats_makes_them() -> None:
    agree(
        *THREE,
        *["stats create one --length 64 --start 0", "stats create one --length 64 --start 64 --userdata mine"] * 2,
        "stats create one --length 64 --start 128 --bounds 1ms",
        "stats create one --length 64 --start 192 --bounds 2ms",
        Step("stats group one --regions 4-5", status=1),
        Step("stats group one --regions 3,9", status=1),
        Step("stats group one --regions x", status=1),
        Step("stats group one", status=1),
        Step("stats group --regions 0", status=1),
        "stats group one --regions 0-1,4 --alias some",
        Step("stats group one --regions 1,2", status=1),
        "stats group one --regions 2,5",
        "stats list",
        "stats list -v --histogram",
        "stats report",
        "stats report --group --histogram",
        "stats report --group -o region_id,util,throughput",
        "stats delete one --regionid 1",
        "stats list",
        "stats ungroup one --groupid 0",
        "stats list -o +user_data",
        Step("stats ungroup one", status=1),
        "stats delete one --groupid 2",
        "stats list",
        "stats create two --segments --alias whole",
        "stats list two",
        "stats create two --segments --nogroup",
        "stats list two",
    )


def test_regions_are_deleted_as_dmstats_deletes_them() -> None:
    agree(
        *REGIONS,
        Step("stats delete two", status=1),
        Step("stats delete --regionid 0", status=1),
        Step("stats delete two --regionid 9", status=1),
        Step("stats delete one --regionid 2", status=1),  # another program's
        "stats delete one --regionid 2 --programid other",
        "stats delete two --regionid 0",
        "stats list --allprograms",
        "stats delete one two --allregions",
        "stats list --allprograms",
        "stats create --alldevices --length 8 --start 0",
        "stats list",
        "stats clear --allregions",
        Step("stats clear one", status=1),
        Step("stats clear one --regionid 7", status=1),
        "stats delete --alldevices --allregions",
        "stats list",
        Step("stats create", status=1),
        Step("stats create one --areas 2 --areasize 8", status=1),
        Step("stats create one --bounds 5ms,1ms", status=1),
        Step("stats create one --bounds x", status=1),
        Step("stats create one --programid ''", status=1),
        Step("stats create absent", status=1),
        "stats create one --programid '' --force",
        "stats list --allprograms",
        Step("stats nonsense", status=1),
    )


def io(name: str) -> None:
    for sector, sectors in ((8, 8), (64, 64), (1024, 8)):
        transfer(f"/dev/mapper/{name}", sector, sectors, write=True)
    transfer(f"/dev/mapper/{name}", 960, 128, write=False)


COUNTED = (
    "name,region_id,area_id,obj_type,read_count,read_sector_count,write_count,write_sector_count,reads_per_sec,"
    "writes_per_sec,read_size_per_sec,write_size_per_sec,avg_request_size,throughput,in_progress_count"
)


def test_what_is_read_and_written_is_reported_as_dmstats_reports_it() -> None:
    """The same requests, counted by the kernel for each tool; times differ, numbers may not."""
    one, do = THREE[0], Do(lambda: io("one"))
    wanted = agree(
        one,
        "stats create one --areas 2 --bounds 1s",
        "stats create one --start 0 --length 128",
        "stats create one --start 1024 --length 1024",
        "stats group one --regions 1,2",
        do,
        f"stats report -o {COUNTED} --units k",
        do,
        f"stats report -o {COUNTED}",
        do,
        "stats report -o region_id,area_id,hist_count_bounds,hist_percent,hist_percent_ranges",
        f"stats report -o {COUNTED}",
        do,
        Step("stats print one --regionid 0", same=lambda text: " ".join(text.split()[:4])),
        "stats clear one --regionid 0",
        "stats print one --regionid 0",
        do,
        Step("stats print one --regionid 0 --clear", same=lambda text: " ".join(text.split()[:4])),
        "stats print one --regionid 0",
    )
    counted = [line.split()[4:8] for line in wanted[6].stdout.splitlines()[1:3]]
    assert counted == [["1", "64", "2", "72"], ["1", "64", "1", "8"]]


FIGURES = (
    "name,region_id,area_id,obj_type,read_count,read_sector_count,read_time,write_count,write_sector_count,write_time,"
    "io_ticks,queue_ticks,read_ticks,write_ticks,reads_per_sec,writes_per_sec,read_size_per_sec,write_size_per_sec,"
    "avg_request_size,queue_size,await,read_await,write_await,throughput,util,hist_count_bounds,hist_count_ranges,"
    "hist_percent,hist_percent_bounds,hist_percent_ranges"
)
"""All that follows from counters, without merges and service time: those of dmstats are always 0."""


@pytest.mark.parametrize("options", ["", "--precise"])
def test_figures_are_dmstats_own(
    rig: StatsRig, make_disk: Callable[[float], str], monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    """Of the very same counters, times among them, each makes the same figures, to the last digit."""
    number = os.stat(make_disk(8)).st_rdev
    run_ours(f"create one --table '0 16384 linear {os.major(number)}:{os.minor(number)} 0'")
    run_ours(f"stats create one --areas 4 --bounds 20us,50us,1ms,7ms {options}")
    run_ours(f"stats create one --start 64 --length 8192 {options}")
    run_ours(f"stats create one --start 10000 --length 1000 {options}")
    run_ours("stats group one --regions 1,2")
    for turn in range(150):
        place = 8 + 104 * turn
        transfer("/dev/mapper/one", place, 8 << turn % 5, write=turn % 3 != 0)
    stats = Statistics(rig.dm, by_name("one"))
    kept = {region.id: stats.text(region.id) for region in stats.regions()}
    theirs = run_tool(THEIRS, ["stats", "report", "one", "-o", FIGURES])
    monkeypatch.setattr(Statistics, "text", lambda self, region_id, **_: kept[region_id])
    assert run_tool(OURS, ["stats", "report", "one", "-o", FIGURES]) == theirs
    assert len(theirs[1].splitlines()) == 1 + 6 + 1 + 1


def run_ours(words: str) -> str:
    """What ``vmgr dm`` prints; it must succeed."""
    status, out, err = run_tool(OURS, shlex.split(words))
    assert (status, err) == (0, "")
    return out


def test_json_has_numbers(rig: StatsRig) -> None:
    """What was read and written, in sectors and requests."""
    stats = device(rig, "one")
    run_ours("stats create one --areas 2 --userdata 'two words' --bounds 1ms,1s")
    io("one")
    rows = json.loads(run_ours("stats report --json"))["statistics"]
    assert [(row["obj_type"], row["area_id"], row["area_start"], row["group_id"]) for row in rows] == [
        ("area", 0, 0, None), ("area", 1, 1024, None), ("region", 0, 0, None),
    ]  # fmt: skip
    assert [row["writes_per_sec"] for row in rows] == [2, 1, 3]
    assert [row["read_size_per_sec"] for row in rows] == [64, 64, 128]
    (region,) = json.loads(run_ours("stats list --json -o +user_data,precise,hist_ranges,devno"))["statistics"]
    assert region["user_data"] == "two words"
    assert region["precise"] is False
    assert region["region_len"] == 2048
    assert region["hist_ranges"] == [[0, 1_000_000], [1_000_000, 1_000_000_000], [1_000_000_000, None]]
    io("one")
    (printed,) = json.loads(run_ours("stats print --json --allregions --clear"))["regions"]
    assert [area["counters"]["writes"] for area in printed["areas"]] == [2, 1]
    assert [sum(area["histogram"]["counts"]) for area in printed["areas"]] == [3, 2]
    assert done(stats.areas(0)) == [(0, 0, 0, 0)] * 2
    assert json.loads(run_ours("stats delete one --allregions --json")) == {
        "deleted": [{"device": "one", "regions": [0]}]
    }
    assert stats.regions() == ()
