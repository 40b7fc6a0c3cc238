"""What the device mapper's statistics do, as one suite: it runs on the fake and, in the lab, on the real kernel.

Each test states a fact of the kernel's, or of :mod:`vmgr.dm.statistics` upon it. Where the two differ, the fake
is wrong. A subclass gives the fixture ``rig``.
"""

from __future__ import annotations

import errno
from typing import Protocol

import pytest

from vmgr.core.errors import AlreadyExists, InvalidName, InvalidSize, NotFound, Refused
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.counters import parse_bounds
from vmgr.dm.failure import DmError, DmNotFound
from vmgr.dm.regions import Area, Group, Region
from vmgr.dm.statistics import RegionNotFound, Statistics

SIZE = 2048
"""Sectors of the devices here."""


class StatsRig(Protocol):
    """What the suite needs of a machine."""

    dm: DmClient

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool) -> None:
        """Read or write, past every cache, with one request."""


def device(rig: StatsRig, name: str = "a") -> Statistics:
    """A device of zeros, and its statistics."""
    rig.dm.create(name)
    rig.dm.load(by_name(name), [KernelLine(Sectors(0), Sectors(SIZE), "zero", "")])
    rig.dm.resume(by_name(name))
    return Statistics(rig.dm, by_name(name))


def region(number: int, start: int = 0, length: int = SIZE, step: int = SIZE, **more: object) -> Region:
    return Region(number, Sectors(start), Sectors(length), Sectors(step), **more)  # type: ignore[arg-type]


def done(areas: tuple[Area, ...]) -> list[tuple[int, int, int, int]]:
    """Reads, sectors read, writes, sectors written of each area."""
    counters = [area.counters for area in areas]
    return [(c.reads, c.read_sectors, c.writes, c.write_sectors) for c in counters]


class StatsConformance:
    """The suite."""

    # -- regions -------------------------------------------------------------------------------------

    def test_a_new_device_has_no_regions(self, rig: StatsRig) -> None:
        assert device(rig).regions() == ()

    def test_a_region_is_the_whole_device_unless_said_otherwise(self, rig: StatsRig) -> None:
        stats = device(rig)
        assert stats.create() == 0
        assert stats.regions() == (region(0),)

    def test_a_region_may_be_a_range(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(start=Sectors(8), length=Sectors(24))
        stats.create(start=Sectors(2000))
        stats.create(length=Sectors(10))
        assert [(r.start, r.length) for r in stats.regions()] == [(8, 24), (2000, 48), (0, 10)]

    def test_a_region_may_have_areas_of_a_size(self, rig: StatsRig) -> None:
        stats = device(rig)
        number = stats.create(area_size=Sectors(1000))
        assert stats.regions() == (region(0, step=1000),)
        assert [(area.id, area.start, area.length) for area in stats.areas(number)] == [
            (0, 0, 1000), (1, 1000, 1000), (2, 2000, 48),
        ]  # fmt: skip

    def test_a_region_may_have_a_number_of_areas(self, rig: StatsRig) -> None:
        """Equal ones, rounded up: there may be fewer than were asked for, and the last may be short."""
        stats = device(rig)
        stats.create(areas=4)
        stats.create(areas=3)
        stats.create(length=Sectors(10), areas=6)
        assert [(int(r.step), r.area_count) for r in stats.regions()] == [(512, 4), (683, 3), (2, 5)]

    def test_more_areas_than_sectors_are_a_sector_each(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(length=Sectors(3), areas=100)
        assert stats.regions()[0].area_count == 3

    def test_regions_may_overlap_and_reach_beyond_the_end(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(start=Sectors(1), length=Sectors(SIZE))
        stats.create(start=Sectors(1 << 40), length=Sectors(1))
        assert [r.id for r in stats.regions()] == [0, 1]

    def test_the_lowest_free_number_is_taken(self, rig: StatsRig) -> None:
        stats = device(rig)
        assert [stats.create() for _ in range(3)] == [0, 1, 2]
        stats.delete(1)
        assert [r.id for r in stats.regions()] == [0, 2]
        assert stats.create(length=Sectors(8)) == 1
        assert [r.id for r in stats.regions()] == [0, 1, 2]

    def test_regions_of_two_devices_have_nothing_to_do_with_each_other(self, rig: StatsRig) -> None:
        a, b = device(rig, "a"), device(rig, "b")
        a.create()
        a.create()
        assert b.create(areas=2) == 0
        assert len(a.regions()) == 2
        assert len(b.regions()) == 1

    def test_a_program_finds_its_own_regions(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(program_id="dmstats")
        stats.create(program_id="7")
        stats.create()
        assert [r.program_id for r in stats.regions()] == ["dmstats", "7", ""]
        assert stats.regions("dmstats") == (region(0, program_id="dmstats"),)
        assert [r.id for r in stats.regions("7")] == [1]
        assert [r.id for r in stats.regions("")] == [2]
        assert stats.regions("another") == ()

    @pytest.mark.parametrize("text", ["word", "two words", "a\\b\tc", "ä€", "-x", "a" * 3000])
    def test_auxiliary_data_come_back_as_they_were(self, rig: StatsRig, text: str) -> None:
        stats = device(rig)
        stats.create(program_id="p", aux_data=text, precise=True, bounds=(1, 2))
        stats.create(program_id="p")
        stats.set_aux(1, text)
        assert [r.aux_data for r in stats.regions()] == [text, text]
        assert [r.program_id for r in stats.regions()] == ["p", "p"]
        stats.set_aux(1, "")
        assert stats.region(1).aux_data == ""

    def test_regions_outlive_a_table(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create()
        rig.dm.load(by_name("a"), [KernelLine(Sectors(0), Sectors(8), "zero", "")])
        rig.dm.resume(by_name("a"))
        assert stats.regions() == (region(0),)

    def test_a_suspended_device_can_be_asked_and_told(self, rig: StatsRig) -> None:
        stats = device(rig)
        rig.dm.suspend(by_name("a"))
        assert stats.create() == 0
        assert len(stats.areas(0)) == 1
        stats.delete(0)
        rig.dm.resume(by_name("a"))

    # -- histograms and time -------------------------------------------------------------------------

    def test_bounds_in_whole_milliseconds_need_no_precision(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(bounds=parse_bounds("1ms,20ms,3s"))
        assert stats.regions() == (region(0, bounds=(1_000_000, 20_000_000, 3_000_000_000)),)
        histogram = stats.areas(0)[0].histogram
        assert histogram is not None
        assert histogram.bounds == (1_000_000, 20_000_000, 3_000_000_000)
        assert histogram.counts == (0, 0, 0, 0)

    def test_finer_bounds_make_a_region_precise(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(bounds=parse_bounds("500us,1ms"))
        stats.create(precise=True)
        assert stats.regions() == (
            region(0, bounds=(500_000, 1_000_000), precise=True),
            region(1, precise=True),
        )

    # -- counters ------------------------------------------------------------------------------------

    def test_a_new_region_has_counted_nothing(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(areas=2)
        assert done(stats.areas(0)) == [(0, 0, 0, 0)] * 2

    def test_requests_are_counted_where_they_are(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(areas=2, bounds=(1, 1 << 50))
        for sector in (8, 16, 1032):
            rig.transfer("a", sector, 8, write=True)
        rig.transfer("a", 1024, 16, write=False)
        areas = stats.areas(0)
        assert done(areas) == [(0, 0, 2, 16), (1, 16, 1, 8)]
        assert [area.histogram.total for area in areas if area.histogram] == [2, 2]
        assert [area.counters.in_progress for area in areas] == [0, 0]

    def test_a_request_counts_in_each_area_that_it_touches(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(start=Sectors(4), length=Sectors(12), area_size=Sectors(6))
        stats.create(start=Sectors(100), length=Sectors(8))
        rig.transfer("a", 8, 16, write=True)
        assert done(stats.areas(0)) == [(0, 0, 1, 2), (0, 0, 1, 6)]
        assert done(stats.areas(1)) == [(0, 0, 0, 0)]

    def test_what_was_before_is_not_counted(self, rig: StatsRig) -> None:
        stats = device(rig)
        rig.transfer("a", 8, 8, write=True)
        stats.create()
        assert done(stats.areas(0)) == [(0, 0, 0, 0)]

    def test_reading_leaves_counters_as_they_are(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create()
        rig.transfer("a", 8, 8, write=True)
        assert done(stats.areas(0)) == done(stats.areas(0)) == [(0, 0, 1, 8)]
        stats.text(0)
        assert done(stats.areas(0)) == [(0, 0, 1, 8)]

    def test_counters_can_be_read_and_cleared_at_once(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(areas=2, bounds=(1, 1 << 50))
        rig.transfer("a", 8, 8, write=True)
        rig.transfer("a", 1032, 8, write=False)
        assert done(stats.areas(0, clear=True)) == [(0, 0, 1, 8), (1, 8, 0, 0)]
        again = stats.areas(0)
        assert done(again) == [(0, 0, 0, 0)] * 2
        assert all(area.histogram is not None and not area.histogram.total for area in again)

    def test_only_the_areas_that_are_shown_are_cleared(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(areas=4)
        for sector in (8, 520, 1032, 1544):
            rig.transfer("a", sector, 8, write=True)
        one = (0, 0, 1, 8)
        assert [area.id for area in stats.areas(0, first=1, count=2, clear=True)] == [1, 2]
        assert done(stats.areas(0)) == [one, (0, 0, 0, 0), (0, 0, 0, 0), one]

    def test_a_part_of_the_areas_can_be_asked_for(self, rig: StatsRig) -> None:
        stats = device(rig)
        number = stats.create(areas=8)
        assert [area.id for area in stats.areas(number, first=5)] == [5, 6, 7]
        assert [area.id for area in stats.areas(number, count=2)] == [0, 1]
        assert [area.id for area in stats.areas(number, first=7, count=5)] == [7]
        assert stats.areas(number, first=8, count=1) == ()
        assert stats.areas(number, count=0) == ()

    def test_clearing_sets_a_region_to_0(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(areas=2)
        stats.create()
        rig.transfer("a", 8, 8, write=True)
        stats.clear(0)
        assert done(stats.areas(0)) == [(0, 0, 0, 0)] * 2
        assert done(stats.areas(1)) == [(0, 0, 1, 8)]

    def test_the_text_is_the_kernel_s(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(start=Sectors(8), length=Sectors(12), area_size=Sectors(8))
        assert stats.text(0) == "8+8 0 0 0 0 0 0 0 0 0 0 0 0 0\n16+8 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

    def test_many_areas_come_whole(self, rig: StatsRig) -> None:
        """More than fits into a first answer, and with clearing: nothing may be lost to a second try."""
        stats = device(rig)
        number = stats.create(area_size=Sectors(1), bounds=parse_bounds("1ms,2ms,4ms,8ms,16ms"))
        rig.transfer("a", 0, 8, write=True)
        rig.transfer("a", 2040, 8, write=True)
        areas = stats.areas(number, clear=True)
        assert [area.id for area in areas] == list(range(SIZE))
        written = [area.id for area in areas if area.counters.writes]
        assert written == [*range(8), *range(2040, 2048)]
        assert not any(area.counters.writes for area in stats.areas(number))

    # -- refusals ------------------------------------------------------------------------------------

    def test_a_region_that_is_not_there_is_not_found(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create()
        for call in (stats.clear, stats.delete, stats.text):
            with pytest.raises(RegionNotFound) as caught:
                call(5)
            assert caught.value.errno == errno.ENOENT
            assert caught.value.message == "device mapper: statistics of a: it has no statistics region 5 (ENOENT)"
        for call in (stats.areas, stats.region, lambda n: stats.set_aux(n, "x")):  # type: ignore[assignment]
            with pytest.raises(NotFound, match="a has no statistics region 5"):
                call(5)
        assert [r.id for r in stats.regions()] == [0]

    def test_a_device_that_is_not_there_is_not_found(self, rig: StatsRig) -> None:
        stats = Statistics(rig.dm, by_name("absent"))
        for call in (stats.regions, stats.create, lambda: stats.text(0), lambda: stats.delete(0)):
            with pytest.raises(DmNotFound) as caught:
                call()
            assert caught.value.errno_name == "ENXIO"

    def test_a_device_without_a_live_table_has_no_whole(self, rig: StatsRig) -> None:
        """The kernel would count one sector; that is refused here. A range is taken."""
        rig.dm.create("a")
        stats = Statistics(rig.dm, by_name("a"))
        with pytest.raises(Refused, match="a has no live table"):
            stats.create()
        assert stats.regions() == ()
        assert rig.dm.message(by_name("a"), 0, "@stats_create - /1") == "0"
        assert stats.create(start=Sectors(0), length=Sectors(8)) == 1
        assert [int(r.length) for r in stats.regions()] == [1, 8]

    @pytest.mark.parametrize("bounds", [(0,), (5, 5), (5, 4), (1, 1 << 64)])
    def test_bounds_that_do_not_rise_are_refused_before(self, rig: StatsRig, bounds: tuple[int, ...]) -> None:
        stats = device(rig)
        with pytest.raises(InvalidSize, match="bound"):
            stats.create(bounds=bounds)
        assert stats.regions() == ()

    @pytest.mark.parametrize(
        "wrong",
        [
            {"areas": 0},
            {"areas": -1},
            {"areas": 1 << 32},
            {"area_size": Sectors(0)},
            {"length": Sectors(0)},
            {"start": Sectors(SIZE)},
            {"start": Sectors(SIZE + 1)},
        ],
    )
    def test_sizes_of_nothing_are_refused_before(self, rig: StatsRig, wrong: dict[str, int]) -> None:
        stats = device(rig)
        with pytest.raises(InvalidSize):
            stats.create(**wrong)  # type: ignore[arg-type]
        assert stats.regions() == ()

    @pytest.mark.parametrize("word", ["two words", "a\\b", "-", "tab\t"])
    def test_program_ids_that_are_no_words_are_refused_before(self, rig: StatsRig, word: str) -> None:
        stats = device(rig)
        with pytest.raises(InvalidName):
            stats.create(program_id=word)
        assert stats.regions() == ()

    @pytest.mark.parametrize(
        "text",
        [
            "@stats_create",
            "@stats_create -",
            "@stats_create - 0",
            "@stats_create - /0",
            "@stats_create 5 /1",
            "@stats_create 5+0 /1",
            "@stats_create - /1 1 unknown",
            "@stats_create - /1 2 precise_timestamps",
            "@stats_create - /1 1 histogram:",
            "@stats_create - /1 1 histogram:0",
            "@stats_create - /1 1 histogram:2,1",
            "@stats_create - /1 1 histogram:1,x",
            "@stats_create - /1 program aux more",
            "@stats_list a b",
            "@stats_print",
            "@stats_print 0 1",
            "@stats_print 0 1 2 3",
            "@stats_print 0 x 2",
            "@stats_print x",
            "@stats_clear",
            "@stats_delete 0 0",
            "@stats_set_aux 0",
            "@stats_unknown",
        ],
    )
    def test_the_kernel_refuses_other_messages(self, rig: StatsRig, text: str) -> None:
        stats = device(rig)
        stats.create()
        with pytest.raises(DmError) as caught:
            rig.dm.message(by_name("a"), 0, text)
        assert caught.value.errno_name == "EINVAL"
        assert [r.id for r in stats.regions()] == [0]

    # -- groups --------------------------------------------------------------------------------------

    def test_a_group_is_noted_down_with_its_first_region(self, rig: StatsRig) -> None:
        stats = device(rig)
        for _ in range(4):
            stats.create(program_id="dmstats")
        stats.set_aux(0, "mine")
        assert stats.group((3, 0, 1), "name") == Group(0, (0, 1, 3), "name")
        assert stats.region(0).aux_data == "DMS_GROUP=name:0-1,3#mine"
        assert stats.groups() == (Group(0, (0, 1, 3), "name"),)
        assert stats.region(0).user_data == "mine"

    def test_new_data_do_not_end_a_group(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create()
        stats.create()
        stats.group((0, 1))
        stats.set_aux(0, "new")
        assert stats.groups() == (Group(0, (0, 1)),)
        assert stats.region(0).user_data == "new"

    def test_ungrouping_leaves_the_regions_and_their_data(self, rig: StatsRig) -> None:
        stats = device(rig)
        for number in range(3):
            stats.create(aux_data=f"mine{number}")
        stats.group((1, 2))
        assert stats.ungroup(1) == Group(1, (1, 2))
        assert stats.groups() == ()
        assert [r.aux_data for r in stats.regions()] == ["mine0", "mine1", "mine2"]

    def test_a_group_can_be_deleted_with_its_regions(self, rig: StatsRig) -> None:
        stats = device(rig)
        for _ in range(4):
            stats.create()
        stats.group((1, 3))
        stats.ungroup(1, delete=True)
        assert [r.id for r in stats.regions()] == [0, 2]

    def test_a_deleted_region_leaves_its_group(self, rig: StatsRig) -> None:
        stats = device(rig)
        for _ in range(3):
            stats.create()
        stats.group((0, 1, 2), "name")
        stats.delete(1)
        assert stats.region(0).aux_data == "DMS_GROUP=name:0,2#-"
        stats.delete(0)
        assert stats.groups() == ()
        assert [r.id for r in stats.regions()] == [2]

    def test_a_region_is_in_one_group_at_most(self, rig: StatsRig) -> None:
        stats = device(rig)
        for _ in range(3):
            stats.create()
        stats.group((0, 1))
        with pytest.raises(AlreadyExists, match="region 1 is in group 0"):
            stats.group((1, 2))
        with pytest.raises(NotFound, match="no statistics region 9"):
            stats.group((2, 9))
        with pytest.raises(NotFound, match="no group 2"):
            stats.ungroup(2)
        with pytest.raises(Refused):
            stats.group(())
        with pytest.raises(InvalidName):
            stats.group((2,), "a:b")
        assert stats.groups() == (Group(0, (0, 1)),)

    def test_histograms_in_a_group_are_alike(self, rig: StatsRig) -> None:
        stats = device(rig)
        stats.create(bounds=(1_000_000,))
        stats.create(bounds=(2_000_000,))
        stats.create()
        with pytest.raises(Refused, match="different bounds"):
            stats.group((0, 1))
        stats.group((0, 2))
        assert stats.groups() == (Group(0, (0, 2)),)
