# ruff: noqa: E402 - the suite is imported after pytest was told to rewrite its assertions
"""Statistics on the fake kernel, which behaves as the real one; and what is worked out without any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.register_assert_rewrite("tests.support.stats_conformance")

from tests.support.stats_conformance import StatsConformance, StatsRig, device
from vmgr.core.errors import InvalidSize, KernelError
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient
from vmgr.dm.counters import COUNTERS, Counters, Figures, Histogram, parse_bounds, time_words
from vmgr.dm.failure import Unsupported
from vmgr.dm.regions import (
    Group,
    Region,
    format_ids,
    groups_of,
    parse_area,
    parse_ids,
    parse_region,
    read_tag,
)
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

MS = 1_000_000


class FakeRig:
    """The suite's machine, in memory."""

    def __init__(self, version: tuple[int, int, int] = (4, 47, 0)) -> None:
        self.kernel = FakeKernel(version=version)
        self.dm = DmClient(self.kernel, nodes=FakeNodes())

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool) -> None:
        self.kernel.transfer(name, sector, sectors, write=write, nanoseconds=5 * MS)


@pytest.fixture
def rig() -> StatsRig:
    return FakeRig()


class TestFakeStatistics(StatsConformance):
    """The suite on the fake."""


# -- kernels that lack something ------------------------------------------------------------------------


def test_a_kernel_without_statistics_is_said_to_have_none() -> None:
    rig = FakeRig((4, 25, 0))
    with pytest.raises(Unsupported, match=r"has no statistics: they came with interface 4\.26\.0, this is 4\.25"):
        device(rig).regions()


def test_a_kernel_without_histograms_is_asked_for_none() -> None:
    rig = FakeRig((4, 32, 0))
    stats = device(rig)
    with pytest.raises(Unsupported, match=r"no histograms of latency: they came with interface 4\.33\.0"):
        stats.create(bounds=(MS,))
    with pytest.raises(Unsupported, match="no precise timestamps"):
        stats.create(precise=True)
    assert stats.create() == 0


def test_areas_that_need_too_much_memory_are_refused_in_words() -> None:
    stats = device(FakeRig())
    with pytest.raises(KernelError, match="more memory than the kernel allows for statistics") as caught:
        stats.create(start=Sectors(0), length=Sectors(1 << 40), area_size=Sectors(1))
    assert "a quarter" in caught.value.hint


# -- lines ----------------------------------------------------------------------------------------------


def test_a_region_s_line_is_read() -> None:
    line = "3: 2048+4096 512 dmstats my data precise_timestamps histogram:1000,2000"
    assert parse_region(line) == Region(
        3, Sectors(2048), Sectors(4096), Sectors(512), "dmstats", "my data", True, (1000, 2000)
    )


def test_bounds_of_a_region_that_is_not_precise_are_milliseconds() -> None:
    assert parse_region("0: 0+8 8 - - histogram:1,20").bounds == (MS, 20 * MS)
    assert parse_region("0: 0+8 8 - -") == Region(0, Sectors(0), Sectors(8), Sectors(8))


@pytest.mark.parametrize("line", ["", "x", "0: 0+8", "0: 0-8 8 - -", "0 0+8 8 - -"])
def test_a_line_that_is_none_is_an_error(line: str) -> None:
    with pytest.raises(KernelError, match="cannot read the line"):
        parse_region(line)


REGION = parse_region("0: 100+20 8 - - histogram:1,2")
PRECISE = parse_region("0: 100+20 8 - - precise_timestamps")


def test_an_area_s_line_is_read() -> None:
    area = parse_area("116+8 1 2 3 4 5 6 7 8 9 10 11 12 13 7:0:1", REGION)
    assert (area.id, area.start, area.length) == (2, 116, 4)
    assert area.counters == Counters(1, 2, 3, 4 * MS, 5, 6, 7, 8 * MS, 9, 10 * MS, 11 * MS, 12 * MS, 13 * MS)
    assert area.histogram == Histogram((MS, 2 * MS), (7, 0, 1))


def test_a_precise_area_counts_nanoseconds() -> None:
    area = parse_area("100+8 1 2 3 4 5 6 7 8 9 10 11 12 13", PRECISE)
    assert area.counters == Counters(*range(1, 14))
    assert area.histogram is None


@pytest.mark.parametrize(
    "line",
    ["100+8 1 2 3", "100+8 1 2 3 4 5 6 7 8 9 10 11 12 13", "100+8 1 2 3 4 5 6 7 8 9 10 11 12 13 1:2", "x"],
)
def test_an_area_s_line_must_have_what_the_region_says(line: str) -> None:
    with pytest.raises(KernelError, match="of counters"):
        parse_area(line, REGION)


# -- groups ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aux", "parts"),
    [
        ("", ("", "", "")),
        ("plain", ("", "", "plain")),
        ("DMS_GROUP=alias:0-2,5#data", ("alias", "0-2,5", "data")),
        ("DMS_GROUP=:0#-", ("", "0", "")),
        ("DMS_GROUP=:0", ("", "0", "")),
        ("DMS_GROUP=a#b:0#c#d", ("a#b", "0", "c#d")),
        ("DMS_GROUP=broken", ("", "", "DMS_GROUP=broken")),
    ],
)
def test_a_tag_is_read_as_dmstats_reads_it(aux: str, parts: tuple[str, str, str]) -> None:
    assert read_tag(aux) == parts


def region(number: int, aux: str = "") -> Region:
    return Region(number, Sectors(0), Sectors(8), Sectors(8), aux_data=aux)


def test_a_group_is_its_first_region_s() -> None:
    assert region(1, "DMS_GROUP=:1-2#-").group == Group(1, (1, 2))
    assert region(0, "DMS_GROUP=:1-2#-").group is None
    assert region(0, "DMS_GROUP=:0-x#-").group is None
    assert region(0, "DMS_GROUP=:0-4000000000#-").group is None


def test_members_that_are_gone_are_left_out() -> None:
    assert groups_of([region(0, "DMS_GROUP=g:0-5#-"), region(4)]) == (Group(0, (0, 4), "g"),)


@given(st.sets(st.integers(0, 2000), min_size=1))
def test_lists_of_regions_are_read_as_they_are_written(ids: set[int]) -> None:
    assert parse_ids(format_ids(ids)) == tuple(sorted(ids))


def test_lists_of_regions_are_written_with_ranges() -> None:
    assert format_ids([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"
    assert parse_ids(" 3, 1-2 ,9") == (1, 2, 3, 9)


@pytest.mark.parametrize("text", ["", ",", "a", "1-", "-1", "2-1", "1--2", "0-9999999"])
def test_lists_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidSize):
        parse_ids(text)


# -- bounds and times -----------------------------------------------------------------------------------


def test_bounds_have_units() -> None:
    assert parse_bounds("5,1us,1ms,2s") == (5, 1000, MS, 2_000_000_000)


@pytest.mark.parametrize("text", ["", ",", "1,", "x", "1m", "5ms,5ms", "2ms,1ms", "0", "1 ms", "-1", "1.5ms"])
def test_bad_bounds_are_refused(text: str) -> None:
    with pytest.raises(InvalidSize, match="bound"):
        parse_bounds(text)


@given(st.integers(1, 1 << 60))
def test_a_time_is_written_so_that_it_is_read(nanoseconds: int) -> None:
    assert parse_bounds(time_words(nanoseconds)) == (nanoseconds,)


def test_a_time_is_written_in_its_largest_whole_unit() -> None:
    assert [time_words(n) for n in (0, 999, 1000, 1500, 10 * MS, 1500 * MS, 2000 * MS)] == [
        "0s", "999ns", "1us", "1500ns", "10ms", "1500ms", "2s",
    ]  # fmt: skip


# -- figures --------------------------------------------------------------------------------------------


def test_figures_follow_from_counters_and_the_interval() -> None:
    """Worked out by hand, for two seconds."""
    counters = Counters(
        reads=10, reads_merged=4, read_sectors=80, read_ns=20 * MS, writes=30, writes_merged=2, write_sectors=720,
        write_ns=180 * MS, in_progress=1, io_ns=500 * MS, queue_ns=1000 * MS, reading_ns=15 * MS,
        writing_ns=490 * MS,
    )  # fmt: skip
    figures = Figures(counters, 2_000_000_000)
    assert figures.reads_merged_per_sec == 2
    assert figures.writes_merged_per_sec == 1
    assert figures.reads_per_sec == 5
    assert figures.writes_per_sec == 15
    assert figures.read_sectors_per_sec == 40
    assert figures.write_sectors_per_sec == 360
    assert figures.throughput == 20
    assert figures.average_request_size == 20
    assert figures.queue_size == 0.5
    assert figures.await_ns == 5 * MS
    assert figures.read_await_ns == 2 * MS
    assert figures.write_await_ns == 6 * MS
    assert figures.utilisation == 0.25
    assert figures.service_time_ns == 12.5 * MS


def test_figures_of_nothing_are_0() -> None:
    figures = Figures(Counters())
    names = [name for name, value in vars(Figures).items() if isinstance(value, property)]
    assert len(names) == 14
    assert {getattr(figures, name) for name in names} == {0}


def test_a_device_is_never_busier_than_all_the_time() -> None:
    assert Figures(Counters(io_ns=5_000_000_000), 1_000_000_000).utilisation == 1


def test_an_interval_lasts() -> None:
    with pytest.raises(ValueError, match="interval"):
        Figures(Counters(), 0)


@given(st.lists(st.tuples(*[st.integers(0, 1 << 40)] * 13)))
def test_totals_are_the_sums_of_each_counter(rows: list[tuple[int, ...]]) -> None:
    total = Counters.total(Counters(*row) for row in rows)
    for place, name in enumerate(COUNTERS):
        assert getattr(total, name) == sum(row[place] for row in rows)


def test_a_histogram_tells_shares_and_ranges() -> None:
    histogram = Histogram((10, 20), (1, 0, 3))
    assert histogram.total == 4
    assert histogram.percentages == (25, 0, 75)
    assert histogram.ranges == ((0, 10), (10, 20), (20, None))
    assert Histogram((10,), (0, 0)).percentages == (0, 0)


def test_histograms_add_up_if_they_are_alike() -> None:
    assert Histogram.sum([]) is None
    assert Histogram.sum([Histogram((5,), (1, 2)), Histogram((5,), (10, 20))]) == Histogram((5,), (11, 22))
    with pytest.raises(ValueError, match="different bounds"):
        Histogram.sum([Histogram((5,), (1, 2)), Histogram((6,), (1, 2))])
