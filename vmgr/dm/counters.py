"""The kernel's input/output statistics as values: counters, latency histograms, and figures computed from them.

Pure: nothing here calls a kernel; :mod:`vmgr.dm.statistics` does. All times are
nanoseconds, even where the kernel counted milliseconds. Formats: ``drivers/md/dm-stats.c`` of Linux and
``Documentation/admin-guide/device-mapper/statistics.rst``; figures: ``libdm/libdm-stats.c`` of LVM2.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import fields_dict, frozen

from vmgr.core.errors import InvalidSize

if TYPE_CHECKING:
    from collections.abc import Iterable

MILLISECOND = 1_000_000
SECOND = 1_000_000_000
UNITS = {"ns": 1, "us": 1_000, "ms": MILLISECOND, "s": SECOND}
"""Nanoseconds in each unit in which a time may be written."""

_TIMED = (3, 7, 9, 10, 11, 12)
"""Positions of the counters that are times, in the kernel's order."""


@frozen
class Counters:
    """The kernel's thirteen counters, in its order; those that end in ``_ns`` are times.

    ``io_ns`` is the time during which at least one request was in progress, ``queue_ns`` the same weighted by the
    number of requests; ``reading_ns`` and ``writing_ns`` are the time with at least one read or write in progress.
    ``read_ns`` and ``write_ns`` are the sums of all requests' durations. ``in_progress`` is the present number of
    requests, not a sum: clearing does not change it.
    """

    reads: int = 0
    reads_merged: int = 0
    read_sectors: int = 0
    read_ns: int = 0
    writes: int = 0
    writes_merged: int = 0
    write_sectors: int = 0
    write_ns: int = 0
    in_progress: int = 0
    io_ns: int = 0
    queue_ns: int = 0
    reading_ns: int = 0
    writing_ns: int = 0

    @classmethod
    def of_kernel(cls, numbers: Iterable[int], *, precise: bool) -> Counters:
        """From the kernel's numbers. Times there are milliseconds, or nanoseconds if the region is ``precise``."""
        found = list(numbers)
        if not precise:
            for place in _TIMED:
                found[place] *= MILLISECOND
        return cls(*found)

    @classmethod
    def total(cls, several: Iterable[Counters]) -> Counters:
        """The sum of each counter, over a region's areas or a group's regions."""
        rows = [tuple(getattr(one, name) for name in COUNTERS) for one in several]
        return cls(*(sum(column) for column in zip(*rows, strict=True)))


COUNTERS = tuple(fields_dict(Counters))
"""The names of the counters, in the kernel's order."""


@frozen
class Histogram:
    """A latency histogram: numbers of requests by duration.

    ``bounds`` are ascending times. The requests in ``counts[i]`` took at least ``bounds[i - 1]`` and less than
    ``bounds[i]``. There is one more count than bounds: the last bin has no upper bound.
    """

    bounds: tuple[int, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """How many requests were counted."""
        return sum(self.counts)

    @property
    def ranges(self) -> tuple[tuple[int, int | None], ...]:
        """(lower bound, upper bound) of each bin; the upper bound of the last is None."""
        return tuple(zip((0, *self.bounds), (*self.bounds, None), strict=True))

    @property
    def percentages(self) -> tuple[float, ...]:
        """The share of each bin in the total, in percent; all 0 when nothing was counted."""
        total = self.total
        return tuple(100 * count / total if total else 0.0 for count in self.counts)

    @classmethod
    def sum(cls, several: Iterable[Histogram]) -> Histogram | None:
        """The sum of several histograms with the same bounds; None if there are none."""
        rows = list(several)
        if not rows:
            return None
        if len({row.bounds for row in rows}) > 1:
            raise ValueError("histograms with different bounds cannot be added up")
        return cls(rows[0].bounds, tuple(map(sum, zip(*(row.counts for row in rows), strict=True))))


@frozen
class Figures:
    """Rates and averages computed from counters of an interval of ``interval_ns``.

    Definitions as in libdm, except for merges per second and the service time: LVM2 up to 2.03.16 divides these by
    10**9 and 10**6 too much, so it always shows 0.
    """

    counters: Counters
    interval_ns: int = SECOND

    def __attrs_post_init__(self) -> None:
        if self.interval_ns <= 0:
            raise ValueError("an interval must be longer than 0")

    def _per_second(self, count: int) -> float:
        return count * SECOND / self.interval_ns

    @property
    def reads_merged_per_sec(self) -> float:
        """Reads merged with the one before, per second."""
        return self._per_second(self.counters.reads_merged)

    @property
    def writes_merged_per_sec(self) -> float:
        """Writes merged with the one before, per second."""
        return self._per_second(self.counters.writes_merged)

    @property
    def reads_per_sec(self) -> float:
        """Reads completed, per second."""
        return self._per_second(self.counters.reads)

    @property
    def writes_per_sec(self) -> float:
        """Writes completed, per second."""
        return self._per_second(self.counters.writes)

    @property
    def read_sectors_per_sec(self) -> float:
        """Sectors read, per second."""
        return self._per_second(self.counters.read_sectors)

    @property
    def write_sectors_per_sec(self) -> float:
        """Sectors written, per second."""
        return self._per_second(self.counters.write_sectors)

    @property
    def throughput(self) -> float:
        """Requests completed, per second."""
        return self._per_second(self.counters.reads + self.counters.writes)

    @property
    def average_request_size(self) -> float:
        """Sectors in a request, on average."""
        c = self.counters
        return _ratio(c.read_sectors + c.write_sectors, c.reads + c.writes)

    @property
    def queue_size(self) -> float:
        """Requests in progress, on average."""
        return self.counters.queue_ns / self.interval_ns

    @property
    def await_ns(self) -> float:
        """How long a request took, on average."""
        c = self.counters
        return _ratio(c.read_ns + c.write_ns, c.reads + c.writes)

    @property
    def read_await_ns(self) -> float:
        """How long a read took, on average."""
        return _ratio(self.counters.read_ns, self.counters.reads)

    @property
    def write_await_ns(self) -> float:
        """How long a write took, on average."""
        return _ratio(self.counters.write_ns, self.counters.writes)

    @property
    def utilisation(self) -> float:
        """The share of the interval in which a request was in progress, from 0 to 1.

        Capped at 1, because counters that were not cleared at the start of the interval may cover a longer time.
        """
        return min(self.counters.io_ns, self.interval_ns) / self.interval_ns

    @property
    def service_time_ns(self) -> float:
        """How long the device was busy for each request, on average."""
        c = self.counters
        return _ratio(min(c.io_ns, self.interval_ns), c.reads + c.writes)


def _ratio(amount: int, count: int) -> float:
    return amount / count if count else 0.0


# -- times as people write them ---------------------------------------------------------------------


def parse_bounds(text: str) -> tuple[int, ...]:
    """Histogram bounds as ``dmstats --bounds`` takes them: ``100us,5ms,1s``. A bare number is in nanoseconds.

    Raises :class:`InvalidSize` for a word that is not a time, and for bounds that :func:`check_bounds` refuses.
    (LVM2 gives a bare number the unit of the one before it: ``1ms,5`` has a bound of 5 ms there. Here the 5 ns are
    refused for being below 1 ms.)
    """
    bounds = []
    for word in text.split(","):
        match = re.fullmatch(r"(\d+)(ns|us|ms|s)?", word, re.ASCII)
        if match is None:
            what = f"{word!r} is not a time" if word else "a bound is empty"
            raise InvalidSize(f"histogram bounds {text!r}: {what}", hint="write times such as 500us,10ms,1s")
        bounds.append(int(match[1]) * UNITS[match[2] or "ns"])
    check_bounds(bounds)
    return tuple(bounds)


def check_bounds(bounds: Iterable[int]) -> None:
    """Refuse bounds that the kernel refuses: they must ascend, and the first must be larger than 0.

    Raises :class:`InvalidSize`.
    """
    last = 0
    for bound in bounds:
        if bound >= 1 << 64:
            raise InvalidSize("a histogram bound is too large", hint="times must fit in 64 bits of nanoseconds")
        if bound <= last:
            what = f"{time_words(bound)} is not above {time_words(last)}" if last else "0 is not a bound"
            raise InvalidSize(
                f"histogram bounds must rise: {what}",
                hint="give each bound once, the smallest first, as in 1ms,10ms",
            )
        last = bound


def needs_precision(bounds: Iterable[int]) -> bool:
    """Whether a bound is not a whole number of milliseconds, so that the region must count nanoseconds."""
    return any(bound % MILLISECOND for bound in bounds)


def time_words(nanoseconds: int) -> str:
    """A time in the largest unit in which it is a whole number: ``1s``, ``10ms``, ``1500us``. (0 is ``0s``.)"""
    unit = next(unit for unit in ("s", "ms", "us", "ns") if not nanoseconds % UNITS[unit])
    return f"{nanoseconds // UNITS[unit]}{unit}"
