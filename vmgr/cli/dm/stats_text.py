"""Sizes, percentages and histograms as dmstats prints them, and histograms as JSON has them."""

from __future__ import annotations

from struct import pack, unpack
from typing import TYPE_CHECKING

from vmgr.dm.counters import time_words

if TYPE_CHECKING:
    from vmgr.core.sizes import Units
    from vmgr.dm.counters import Histogram


class Style:
    """How values become text. ``padded``: histograms have columns of their own."""

    __slots__ = ("padded", "suffix", "units")

    def __init__(self, units: Units, *, suffix: bool = True, padded: bool = True) -> None:
        self.units = units
        self.suffix = suffix
        self.padded = padded

    def size(self, sectors: int) -> str:
        """A size. As with dmstats, a unit stands there only if it is chosen for each size."""
        from vmgr.core.sizes import UNIT, display_size
        from vmgr.core.units import Sectors

        return display_size(Sectors(sectors), self.units, suffix=False, form=UNIT)


# -- percentages, as libdevmapper rounds them -----------------------------------------------------------


def _millionths(part: int, whole: int) -> int:
    """A share in millionths of a percent; 0 and 100 % only if it is exactly that (``dm_make_percent``)."""
    if not part or part == whole:
        return 100_000_000 if part else 0
    return min(max(int(100_000_000 * (part / whole)), 1), 99_999_999)


def _single(number: float) -> float:
    return float(unpack("f", pack("f", number))[0])


def share_text(part: int, whole: int, *, exact: bool = False) -> str:
    """A percentage with two digits; unless ``exact``, never 0.00 or 100.00 for what is neither.

    Rounded as C floats are (``dm_percent_to_float``, ``dm_percent_to_round_float``).
    """
    millionths = _millionths(part, whole)
    if not exact and 0 < millionths < 10_000:
        return "0.01"
    if not exact and 99_990_000 < millionths < 100_000_000:
        return "99.99"
    return f"{_single(_single(millionths) / 1_000_000):.2f}"


# -- histograms -----------------------------------------------------------------------------------------


def histogram_text(histogram: Histogram | None, name: str, style: Style) -> str:
    """A histogram column, laid out as ``dm_histogram_to_string`` does."""
    if histogram is None:
        return ""
    what, _, around = name.removeprefix("hist_").partition("_")
    if what in ("bounds", "ranges"):
        return ",".join(_time_text(lower, upper, what, style) for lower, upper in histogram.ranges)
    parts = []
    total = histogram.total
    for (lower, upper), count in zip(histogram.ranges, histogram.counts, strict=True):
        width = 6 if style.padded else 0
        before = ""
        if around:
            wide = 0 if not style.padded else 6 if style.suffix else 10
            bound = _time_text(lower, upper, around, style)
            before = f"{bound if around == 'ranges' and upper is not None else bound.rjust(wide)}:"
            # A longer bound takes its room from the number.
            width = max(0, width - (len(before) - wide - 1)) if width else 0
        if what == "percent":
            shown = f"{share_text(count, total, exact=True).rjust(width)}%"
        else:
            shown = str(count).rjust(width)
        parts.append(before + shown)
    separator = ("," if style.padded else ":") if around else ("" if style.padded else ":")
    return separator.join(parts)


def _time_text(lower: int, upper: int | None, around: str, style: Style) -> str:
    words = time_words if style.suffix else str
    if around == "bounds":
        return words(lower)
    return f">{words(lower)}" if upper is None else f"{words(lower)}-{words(upper)}"


def histogram_json(histogram: Histogram | None, name: str) -> object:
    """A histogram column as JSON has it: an item for each range, times in nanoseconds; null for none."""
    if histogram is None:
        return None
    what, _, around = name.removeprefix("hist_").partition("_")
    if what == "bounds":
        return [lower for lower, _ in histogram.ranges]
    if what == "ranges":
        return [list(pair) for pair in histogram.ranges]
    numbers = histogram.percentages if what == "percent" else histogram.counts
    if not around:
        return list(numbers)
    key = "percent" if what == "percent" else "count"
    return [
        {"from": lower, **({"below": upper} if around == "ranges" else {}), key: number}
        for (lower, upper), number in zip(histogram.ranges, numbers, strict=True)
    ]
