"""``stats list`` and ``stats report``: rows of areas, regions and groups, once or again and again.

What is walked, and in which order, is dmstats' (``_stats_walk_next`` of ``libdm/libdm-stats.c``): of each device
the areas, then the regions, then the groups. A report clears the counters that it reads, so that each tells of
its own interval; a list does so only if a column shows counters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm import stats_columns
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.reading import sweep
from vmgr.cli.dm.repeating import repetition
from vmgr.cli.dm.report import DeviceReport, say_help
from vmgr.cli.dm.stats_columns import META, STATS, Sample
from vmgr.cli.dm.stats_text import Style
from vmgr.core.errors import EXIT_OK, VmgrError
from vmgr.dm.address import by_number
from vmgr.dm.counters import SECOND
from vmgr.dm.regions import groups_of
from vmgr.dm.statistics import RegionNotFound, Statistics

if TYPE_CHECKING:
    from vmgr.cli.dm.facts import Facts
    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import LiveDevice
    from vmgr.dm.regions import Area, Group, Region
    from vmgr.report.catalog import Catalog, Column

PROGRAM = "dmstats"
"""Whose regions are meant unless something else is said; new ones get this program ID, too."""


def program_of(invocation: Invocation) -> str | None:
    """The program ID that chooses regions; None for all."""
    if invocation.flag("allprograms"):
        return None
    text = invocation.text("programid")
    # dmstats takes an empty one for all, too.
    return PROGRAM if text is None else text or None


class StatsReport(DeviceReport):
    """A report on regions, which can show what is known of their devices beside."""

    def __init__(self, context: Context, default: str, *, prefix: str, sections: int, style: Style) -> None:
        super().__init__(context, default=default, prefix=prefix, sections=sections)
        self._style = style

    @property
    def counts(self) -> bool:
        """Whether a column needs the counters."""
        return bool(self._sections & STATS)

    def all_columns(self) -> Catalog:
        """The columns of statistics and of devices."""
        return stats_columns.catalog()

    def value(self, facts: Facts, column: Column) -> object:
        """What a column holds, for selecting and sorting."""
        assert isinstance(facts, Sample)
        return stats_columns.value(facts, column.name)

    def shown(self, facts: Facts, column: Column, value: object) -> str:
        """A value as text."""
        assert isinstance(facts, Sample)
        return stats_columns.text(facts, column.name, value, self._style)

    def typed(self, facts: Facts, column: Column, value: object) -> object:
        """A value as JSON has it."""
        assert isinstance(facts, Sample)
        return stats_columns.typed(facts, column.name, value)


class Clock:
    """Intervals between reports, as dmstats measures them (``_update_interval_times`` of ``dmsetup.c``).

    The first interval is taken to be as long as it was asked for: nobody knows when the counters were last cleared.
    """

    def __init__(self, seconds: int) -> None:
        import time

        self._now = time.monotonic_ns
        self._sleep = time.sleep
        self._asked = seconds * SECOND
        self._due = self._now() + self._asked
        self._read: int | None = None
        self._fresh = True
        self.interval_ns = self._asked

    def counted(self) -> None:
        """The counters of a device were read; the first of a round ends the interval."""
        if not self._fresh:
            return
        self._fresh = False
        now = self._now()
        if self._read is not None:
            self.interval_ns = max(1, now - self._read)
        self._read = now

    def wait(self) -> int:
        """Wait for the next round; how many were missed because the last took too long."""
        missed = max(0, (self._now() - self._due) // self._asked)
        self._due += missed * self._asked
        self._sleep(max(0, self._due - self._now()) / SECOND)
        self._due += self._asked
        self._fresh = True
        return int(missed)


def listing(invocation: Invocation) -> int:
    """Show the regions."""
    areas, histogram = invocation.times("verbose") > 0, invocation.flag("histogram")
    if histogram:
        default = stats_columns.LIST_AREAS_HISTOGRAM if areas else stats_columns.LIST_HISTOGRAM
    else:
        default = stats_columns.LIST_AREAS if areas else stats_columns.LIST
    kinds, skip = _kinds(invocation)
    if areas:
        kinds, skip = ("area", "region", "group"), True
    return _run(invocation, default, kinds, skip, prefix="region", sections=META)


def report(invocation: Invocation) -> int:
    """Show what was counted."""
    if invocation.flag("histogram"):
        relative = invocation.flag("relative")
        default = stats_columns.REPORT_RELATIVE if relative else stats_columns.REPORT_HISTOGRAM
    else:
        default = stats_columns.RAW if invocation.flag("raw") else stats_columns.REPORT
    kinds, _ = _kinds(invocation)
    skip = not any(invocation.flag(kind) for kind in ("area", "region", "group"))
    if skip:
        kinds = ("area", "region", "group")
    return _run(invocation, default, kinds, skip, prefix="", sections=META | STATS)


def _kinds(invocation: Invocation) -> tuple[tuple[str, ...], bool]:
    asked = tuple(kind for kind in ("area", "region", "group") if invocation.flag(kind))
    return asked or ("region", "group"), False


def _run(
    invocation: Invocation, default: str, kinds: tuple[str, ...], skip: bool, *, prefix: str, sections: int
) -> int:
    from vmgr.core.sizes import parse_units

    rounds, seconds = repetition(invocation)
    headings = not invocation.flag("noheadings")
    units = parse_units(invocation.text("units") or "h")
    style = Style(units, suffix=not invocation.flag("notimesuffix"), padded=headings)
    with Context(invocation) as context:
        shown = StatsReport(context, default, prefix=prefix, sections=sections, style=style)
        if shown.help:
            say_help(context, shown.help)
            return EXIT_OK
        clock = Clock(seconds)
        while True:
            status = _round(context, shown, clock, kinds, skip)
            rounds -= 1
            if not rounds or status:
                return status
            if not context.json:
                context.terminal.data("\n")
            _flush()
            missed = clock.wait()
            if missed:
                context.warn(f"Try increasing --interval ({missed} missed timer events).")
            shown.clear()


def _round(context: Context, shown: StatsReport, clock: Clock, kinds: tuple[str, ...], skip: bool) -> int:
    def one(device: LiveDevice) -> None:
        for sample in samples(context, shown, device, clock, kinds, skip):
            shown.add(sample)

    try:
        status = sweep(context, one)
    except VmgrError:
        if not context.json:
            context.terminal.data(shown.text())
        raise
    if context.json:
        context.emit_json({"statistics": shown.as_json()})
    else:
        context.terminal.data(shown.text())
    return status


def samples(
    context: Context, shown: StatsReport, device: LiveDevice, clock: Clock, kinds: tuple[str, ...], skip: bool
) -> list[Sample]:
    """The rows of one device. ``skip``: no row for a region with a single area, which has one itself."""
    stats = Statistics(context.client(), by_number(device.major, device.minor))
    regions = stats.regions(program_of(context.invocation))
    only = context.invocation.number("regionid")
    if only is not None:
        regions = tuple(region for region in regions if region.id == only)
    counted: dict[int, tuple[Area, ...]] = {}
    if shown.counts:
        for region in regions:
            try:
                counted[region.id] = stats.areas(region, clear=True)
            except RegionNotFound:
                continue  # it went away meanwhile
        regions = tuple(region for region in regions if region.id in counted)
    if regions and shown.counts:
        clock.counted()
    groups = groups_of(regions)
    of = {number: group for group in groups for number in group.regions}
    tree = shown.facts(device).tree

    def row(kind: str, *members: Region, group: Group | None, area: int = 0, one: bool = False) -> Sample:
        found = tuple(each for region in members for each in counted.get(region.id, ()))
        if one:
            found = found[area : area + 1]
        sample = Sample(
            context, device, kind, members, group=group, area=area, counted=found, interval_ns=clock.interval_ns
        )
        sample.tree = tree
        return sample

    rows: list[Sample] = []
    if "area" in kinds:
        for region in regions:
            group = of.get(region.id)
            rows += [row("area", region, group=group, area=at, one=True) for at in range(region.area_count)]
    if "region" in kinds:
        wanted = [region for region in regions if not skip or region.area_count > 1]
        rows += [row("region", region, group=of.get(region.id)) for region in wanted]
    if "group" in kinds:
        by_id = {region.id: region for region in regions}
        rows += [row("group", *(by_id[n] for n in group.regions), group=group) for group in groups]
    return rows


def _flush() -> None:
    import sys

    if sys.stdout is not None:
        sys.stdout.flush()
