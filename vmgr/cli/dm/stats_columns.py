"""The columns of ``stats list`` and ``stats report``: what each shows of an area, a region or a group.

Names, headings, widths and order are dmstats' (``_report_fields`` of ``libdm/dm-tools/dmsetup.c``), because
scripts depend on them. The columns of ``info`` can be shown beside them. Where dmstats' own arithmetic goes wrong
(merges per second, service time, where the row of a whole region starts) the right value is shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm import columns
from vmgr.cli.dm.facts import Facts
from vmgr.cli.dm.stats_text import Style, histogram_json, histogram_text, share_text
from vmgr.dm.counters import MILLISECOND, SECOND, Counters, Figures, Histogram
from vmgr.report.catalog import SPECIAL, Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.dm.context import Context
    from vmgr.core.table import LiveDevice
    from vmgr.dm.regions import Area, Group, Region
    from vmgr.report.catalog import Row

STATS, META = 1 << 8, 1 << 9
"""Sections: columns that need the counters, and those that need the list of regions alone."""

SECTIONS = (
    *(section for section in columns.SECTIONS if section[0] != SPECIAL),
    (STATS, "Mapped Device Statistics", "stats_"),
    (META, "Mapped Device Statistics Region Information", "region_"),
    *(section for section in columns.SECTIONS if section[0] == SPECIAL),
)

_COUNTERS: tuple[Row, ...] = (
    ("read_count", STATS, "number", "#Reads", 6, "Reads completed."),
    ("reads_merged_count", STATS, "number", "#RdMrgs", 7, "Reads merged with the one before."),
    ("read_sector_count", STATS, "number", "#RdSectors", 10, "Sectors read."),
    ("read_time", STATS, "number", "AccRdTime", 11, "How long all reads took together, in ns."),
    ("write_count", STATS, "number", "#Writes", 7, "Writes completed."),
    ("writes_merged_count", STATS, "number", "#WrMrgs", 7, "Writes merged with the one before."),
    ("write_sector_count", STATS, "number", "#WrSectors", 10, "Sectors written."),
    ("write_time", STATS, "number", "AccWrTime", 11, "How long all writes took together, in ns."),
    ("in_progress_count", STATS, "number", "#InProg", 7, "Requests in progress at this moment."),
    ("io_ticks", STATS, "number", "IoTicks", 7, "Time with a request in progress, in ns."),
    ("queue_ticks", STATS, "number", "QueueTicks", 10, "The same, times how many were, in ns."),
    ("read_ticks", STATS, "number", "RdTicks", 7, "Time with a read in progress, in ns."),
    ("write_ticks", STATS, "number", "WrTicks", 7, "Time with a write in progress, in ns."),
)  # fmt: skip
"""In the kernel's order of counters."""

_FIGURES: tuple[Row, ...] = (
    ("reads_merged_per_sec", STATS, "number", "RMrg/s", 6, "Reads merged per second."),
    ("writes_merged_per_sec", STATS, "number", "WMrg/s", 6, "Writes merged per second."),
    ("reads_per_sec", STATS, "number", "R/s", 3, "Reads per second."),
    ("writes_per_sec", STATS, "number", "W/s", 3, "Writes per second."),
    ("read_size_per_sec", STATS, "number", "RSz/s", 5, "How much is read per second."),
    ("write_size_per_sec", STATS, "number", "WSz/s", 5, "How much is written per second."),
    ("avg_request_size", STATS, "number", "AvgRqSz", 7, "Size of a request, on average."),
    ("queue_size", STATS, "number", "QSize", 5, "Requests in progress, on average."),
    ("await", STATS, "number", "AWait", 5, "How long a request takes, on average, in ms."),
    ("read_await", STATS, "number", "RdAWait", 7, "How long a read takes, on average, in ms."),
    ("write_await", STATS, "number", "WrAWait", 7, "How long a write takes, on average, in ms."),
    ("throughput", STATS, "number", "Throughput", 10, "Requests per second."),
    ("service_time", STATS, "number", "SvcTm", 5, "How long a request keeps the device busy, on average, in ms."),
    ("util", STATS, "number", "Util%", 5, "The share of the time with a request in progress, in percent."),
)  # fmt: skip

_REST: tuple[Row, ...] = (
    ("hist_count", STATS, "string", "Histogram Counts", 16, "How many requests took how long."),
    ("hist_count_bounds", STATS, "string", "Histogram Counts", 16, "The same, after the least time of each."),
    ("hist_count_ranges", STATS, "string", "Histogram Counts", 16, "The same, after the range of times of each."),
    ("hist_percent", STATS, "string", "Histogram%", 10, "The share of requests that took so long, in percent."),
    ("hist_percent_bounds", STATS, "string", "Histogram%", 10, "The same, after the least time of each."),
    ("hist_percent_ranges", STATS, "string", "Histogram%", 10, "The same, after the range of times of each."),

    ("interval_ns", STATS, "number", "IntervalNs", 10, "How long the counters were gathered, in ns."),
    ("interval", STATS, "number", "Interval", 8, "How long the counters were gathered, in s."),

    ("region_id", META, "number", "RgID", 4, "The region's number, or the numbers of a group's."),
    ("region_start", META, "size", "RgStart", 7, "Where the region starts."),
    ("region_len", META, "size", "RgSize", 6, "How long the region is."),
    ("area_id", META, "number", "ArID", 4, "The area's number."),
    ("area_start", META, "size", "ArStart", 7, "Where the area starts on the device."),
    ("area_len", META, "size", "ArSize", 6, "How long an area is."),
    ("area_offset", META, "size", "ArOff", 5, "Where the area starts in the region."),
    ("area_count", META, "number", "#Areas", 6, "How many areas the region has."),
    ("group_id", META, "number", "GrpID", 5, "The group's number."),
    ("program_id", META, "string", "ProgID", 6, "Which program the region is of."),
    ("user_data", META, "string", "UserData", 8, "What the program noted down with it."),
    ("precise", META, "string", "Precise", 7, "1 if nanoseconds are counted."),
    ("hist_bins", META, "string", "#Bins", 9, "How many ranges of time the histogram has."),
    ("hist_bounds", META, "string", "Histogram Bounds", 16, "The least time of each."),
    ("hist_ranges", META, "string", "Histogram Ranges", 16, "The range of times of each."),
    ("stats_name", META, "string", "Name", 16, "The group's alias, or the device's name."),
    ("obj_type", META, "string", "ObjType", 7, "What the row is about: area, region or group."),
)  # fmt: skip

_ROWS = (
    *(row for row in columns.ROWS if row[1] != SPECIAL), *_COUNTERS, *_FIGURES, *_REST,
    *(row for row in columns.ROWS if row[1] == SPECIAL),
)  # fmt: skip

# -- what is shown without -o ---------------------------------------------------------------------------

_OBJECT = "statsname,group_id,region_id,obj_type"
_AREA = f"{_OBJECT},area_id,area_start,area_len"
_REGION = f"{_OBJECT},region_start,region_len,area_count,area_len"
_AREA_FULL = f"{_OBJECT},region_start,region_len,area_count,area_id,area_start,area_len"
_HISTOGRAM = f"{_REGION},util,await"
REPORT = (
    f"{_AREA},reads_merged_per_sec,writes_merged_per_sec,reads_per_sec,writes_per_sec,read_size_per_sec,"
    "write_size_per_sec,avg_request_size,queue_size,util,await,read_await,write_await"
)
RAW = (
    f"{_AREA},read_count,reads_merged_count,read_sector_count,read_time,read_ticks,write_count,writes_merged_count,"
    "write_sector_count,write_time,write_ticks,in_progress_count,io_ticks,queue_ticks"
)
REPORT_HISTOGRAM = f"{_HISTOGRAM},hist_count_bounds"
REPORT_RELATIVE = f"{_HISTOGRAM},hist_percent_bounds"
LIST = f"{_REGION},program_id"
LIST_AREAS = f"{_AREA_FULL},program_id"
LIST_HISTOGRAM = f"{_REGION},hist_bins,hist_bounds"
LIST_AREAS_HISTOGRAM = f"{_AREA_FULL},hist_bins,hist_bounds"


def catalog() -> Catalog:
    """All columns, those of ``info`` among them."""
    return Catalog(_ROWS, SECTIONS)


# -- rows -----------------------------------------------------------------------------------------------


class Sample(Facts):
    """A row: an area, a region or a group, with its counters if they were read.

    ``regions`` are those that it is made of: one, or a group's. ``area`` is the number of the area. ``counted`` are
    all areas that it is made of, empty when the counters were not read.
    """

    __slots__ = ("_figures", "area", "counted", "group", "interval_ns", "kind", "regions")

    def __init__(
        self,
        context: Context,
        device: LiveDevice,
        kind: str,
        regions: tuple[Region, ...],
        *,
        group: Group | None = None,
        area: int = 0,
        counted: tuple[Area, ...] = (),
        interval_ns: int = SECOND,
    ) -> None:
        super().__init__(context, device)
        self.kind = kind
        self.regions = regions
        self.group = group
        self.area = area
        self.counted = counted
        self.interval_ns = interval_ns
        self._figures: Figures | None = None

    @property
    def region(self) -> Region:
        """The region, or a group's first."""
        return self.regions[0]

    @property
    def grouped(self) -> bool:
        """Whether this is the row of a group."""
        return self.kind == "group"

    @property
    def length(self) -> int:
        """Sectors of the region, or of all regions of a group."""
        return sum(int(region.length) for region in self.regions)

    @property
    def offset(self) -> int:
        """Sectors from the region's start."""
        return self.area * int(self.region.step) if self.kind == "area" else 0

    @property
    def counters(self) -> Counters:
        """The sum over all areas."""
        if not self.counted:
            return Counters()
        return (
            self.counted[0].counters if len(self.counted) == 1 else Counters.total(a.counters for a in self.counted)
        )

    @property
    def figures(self) -> Figures:
        """What follows from the counters."""
        if self._figures is None:
            self._figures = Figures(self.counters, self.interval_ns)
        return self._figures

    @property
    def histogram(self) -> Histogram | None:
        """The sum over all areas; without counters one of zeros. None unless every region has one."""
        if not all(region.bounds for region in self.regions):
            return None
        bounds = self.region.bounds
        counted = [area.histogram for area in self.counted if area.histogram is not None]
        return Histogram.sum(counted) or Histogram(bounds, (0,) * (len(bounds) + 1))

    @property
    def region_ids(self) -> list[int]:
        """The numbers of its regions."""
        return [region.id for region in self.regions]


# -- what columns hold ----------------------------------------------------------------------------------


def _counter(place: int) -> Callable[[Sample], object]:
    from vmgr.dm.counters import COUNTERS

    name = COUNTERS[place]
    return lambda s: getattr(s.figures.counters, name)


def _bins(s: Sample) -> int:
    return len(s.region.bounds) + 1 if s.region.bounds and not s.grouped else 0


VALUES: dict[str, Callable[[Sample], object]] = {
    **{str(row[0]): _counter(place) for place, row in enumerate(_COUNTERS)},
    "reads_merged_per_sec": lambda s: s.figures.reads_merged_per_sec,
    "writes_merged_per_sec": lambda s: s.figures.writes_merged_per_sec,
    "reads_per_sec": lambda s: s.figures.reads_per_sec,
    "writes_per_sec": lambda s: s.figures.writes_per_sec,
    "read_size_per_sec": lambda s: s.figures.read_sectors_per_sec,
    "write_size_per_sec": lambda s: s.figures.write_sectors_per_sec,
    "avg_request_size": lambda s: s.figures.average_request_size,
    "queue_size": lambda s: s.figures.queue_size,
    "await": lambda s: s.figures.await_ns / MILLISECOND,
    "read_await": lambda s: s.figures.read_await_ns / MILLISECOND,
    "write_await": lambda s: s.figures.write_await_ns / MILLISECOND,
    "throughput": lambda s: s.figures.throughput,
    "service_time": lambda s: s.figures.service_time_ns / MILLISECOND,
    "util": lambda s: 100 * s.figures.utilisation,
    "interval_ns": lambda s: s.interval_ns,
    "interval": lambda s: s.interval_ns / SECOND,
    "region_id": lambda s: s.region.id,
    "region_start": lambda s: int(s.region.start),
    "region_len": lambda s: s.length,
    "area_id": lambda s: s.area,
    "area_start": lambda s: int(s.region.start) + s.offset,
    "area_len": lambda s: s.length if s.grouped else int(s.region.step),
    "area_offset": lambda s: s.offset,
    "area_count": lambda s: 1 if s.grouped else s.region.area_count,
    "group_id": lambda s: s.group.id if s.group is not None else None,
    "program_id": lambda s: "dmstats" if s.grouped else s.region.program_id,
    "user_data": lambda s: "" if s.grouped else s.region.user_data,
    "precise": lambda s: str(int(s.region.precise)),
    "hist_bins": lambda s: str(_bins(s)),
    "stats_name": lambda s: (s.group.alias if s.group is not None else "") or s.name,
    "obj_type": lambda s: s.kind,
}
"""What is selected and sorted by. Columns of ``info`` and of histograms are not here."""

TYPED: dict[str, Callable[[Sample], object]] = {
    "region_id": lambda s: s.region_ids if s.grouped else s.region.id,
    "precise": lambda s: s.region.precise,
    "hist_bins": _bins,
}
"""Where JSON has something better: sizes are sectors there, times of histograms nanoseconds."""


def value(s: Sample, name: str) -> object:
    """What a column holds."""
    if name.startswith("hist_") and name not in VALUES:
        return histogram_text(s.histogram, name, Style(("h", 1)))
    found = VALUES.get(name)
    return columns.VALUES[name](s) if found is None else found(s)


def typed(s: Sample, name: str, value: object) -> object:
    """What a column holds, for JSON."""
    if name.startswith("hist_") and name not in VALUES:
        return histogram_json(s.histogram, name)
    better = TYPED.get(name)
    if better is not None:
        return better(s)
    other = columns.TYPED.get(name)
    return value if other is None or name in VALUES else other(s)


def text(s: Sample, name: str, value: object, style: Style) -> str:
    """What a column shows."""
    if name.startswith("hist_") and name not in VALUES:
        return histogram_text(s.histogram, name, style)
    if name in ("region_start", "region_len", "area_start", "area_len", "area_offset"):
        return style.size(int(value))  # type: ignore[call-overload]
    if name in ("read_size_per_sec", "write_size_per_sec", "avg_request_size"):
        return style.size(int(value))  # type: ignore[call-overload]
    if name == "region_id" and s.grouped and s.group is not None:
        return s.group.members
    if name == "group_id":
        return "-" if value is None else str(value)
    if name == "util":
        return share_text(int(1_000_000 * s.figures.utilisation), 1_000_000)
    if name == "interval":
        return f"{value:.6f}"
    if isinstance(value, float):
        return f"{value:.2f}"
    return ",".join(value) if isinstance(value, tuple) else str(value)
