"""Regions of a device in which the kernel counts input and output, and groups of them, as values. Pure.

Groups are an invention of dmstats; the kernel has none. dmstats stores a group in the auxiliary data of its
first region as ``DMS_GROUP=ALIAS:MEMBERS#DATA``. This module does the same, so that both see the same
groups (``libdm/libdm-stats.c`` of LVM2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import InvalidName, InvalidSize, KernelError
from vmgr.core.units import Sectors
from vmgr.dm.counters import MILLISECOND, Counters, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

TAG = "DMS_GROUP="
NOTHING = "-"
"""The kernel's word for a missing program ID or missing auxiliary data."""


@frozen
class Region:
    """A range of a device with counters for each ``step`` sectors of it.

    ``bounds`` are the bounds of its histograms in nanoseconds; empty: no histograms. ``aux_data`` is the kernel's
    (:data:`NOTHING` is ``""`` here); ``user_data`` and ``group`` are parts of it. ``program_id`` may be empty.
    """

    id: int
    start: Sectors
    length: Sectors
    step: Sectors
    program_id: str = ""
    aux_data: str = ""
    precise: bool = False
    bounds: tuple[int, ...] = ()

    @property
    def area_count(self) -> int:
        """The number of areas; the last may be shorter than ``step``."""
        return -(-int(self.length) // int(self.step))

    @property
    def end(self) -> Sectors:
        """The first sector after the region."""
        return self.start + self.length

    @property
    def group(self) -> Group | None:
        """The group whose first region this is; None if there is none or its tag cannot be read."""
        alias, members, _ = read_tag(self.aux_data)
        try:
            ids = parse_ids(members) if members else ()
        except InvalidSize:
            return None
        return Group(self.id, ids, alias) if ids[:1] == (self.id,) else None

    @property
    def user_data(self) -> str:
        """The auxiliary data without a group's tag."""
        return read_tag(self.aux_data)[2]


@frozen
class Group:
    """Regions that are reported together. ``id`` is that of the first region; ``alias`` may be empty."""

    id: int
    regions: tuple[int, ...]
    alias: str = ""

    @property
    def members(self) -> str:
        """The regions as dmstats writes them: ``0-3,7``."""
        return format_ids(self.regions)

    @property
    def tag(self) -> str:
        """The group's tag in the auxiliary data of its first region."""
        return f"{TAG}{self.alias}:{self.members}"


@frozen
class Area:
    """The counters of one ``step`` of a region. ``length`` is less than the step if the last area is shorter."""

    id: int
    start: Sectors
    length: Sectors
    counters: Counters
    histogram: Histogram | None = None


MOST_IDS = 1_000_000
"""The most regions in a list: a damaged tag must not use up the memory."""

# -- the kernel's lines -------------------------------------------------------------------------------

_REGION = r"(\d+): (\d+)\+(\d+) (\d+) (\S*) ?(.*?)( precise_timestamps)?(?: histogram:([\d,]+))?"
_COUNTERS = r"(\d+)\+(\d+)((?: -?\d+){13})(?: ([\d:]+))?"


def parse_region(line: str) -> Region:
    """One line of the answer to ``@stats_list``. Raises :class:`KernelError` for anything else.

    Auxiliary data may contain blanks. The kernel does not quote them, so data that end
    in `` precise_timestamps`` are mistaken for that option.
    """
    match = re.fullmatch(_REGION, line, re.ASCII | re.DOTALL)
    if match is None:
        raise KernelError(f"device mapper: cannot read the line {line!r} about a statistics region")
    number, start, length, step, program, aux, precise, bounds = match.groups()
    scale = 1 if precise else MILLISECOND
    return Region(
        int(number),
        Sectors(int(start)),
        Sectors(int(length)),
        Sectors(int(step)),
        "" if program == NOTHING else program,
        "" if aux == NOTHING else aux,
        bool(precise),
        tuple(int(bound) * scale for bound in bounds.split(",")) if bounds else (),
    )


def parse_area(line: str, region: Region) -> Area:
    """One line of the answer to ``@stats_print``. Raises :class:`KernelError` for anything else.

    The kernel prints the region's step as the length of every area. Here the last area ends with the region.
    """
    match = re.fullmatch(_COUNTERS, line, re.ASCII)
    counts = tuple(map(int, match[4].split(":"))) if match is not None and match[4] else ()
    if match is None or len(counts) != (len(region.bounds) + 1 if region.bounds else 0):
        raise KernelError(f"device mapper: cannot read the line {line!r} of counters")
    start = Sectors(int(match[1]))
    return Area(
        (int(start) - int(region.start)) // int(region.step),
        start,
        min(region.step, region.end - start),
        Counters.of_kernel(map(int, match[3].split()), precise=region.precise),
        Histogram(region.bounds, counts) if counts else None,
    )


# -- groups -------------------------------------------------------------------------------------------


def read_tag(aux_data: str) -> tuple[str, str, str]:
    """Split auxiliary data into (alias, members, rest). Without a readable tag, all of it is the rest."""
    # dmstats drops what stands before a tag, too.
    _, found, after = aux_data.partition(TAG)
    alias, colon, after = after.partition(":")
    if not (found and colon):
        return "", "", aux_data
    members, _, rest = after.partition("#")
    return alias, members, "" if rest == NOTHING else rest


def groups_of(regions: Iterable[Region]) -> tuple[Group, ...]:
    """The groups of ``regions``, without members that are not in ``regions``."""
    regions = tuple(regions)
    present = {region.id for region in regions}
    found = (region.group for region in regions)
    return tuple(
        Group(group.id, tuple(n for n in group.regions if n in present), group.alias)
        for group in found
        if group is not None
    )


def check_word(text: str, what: str) -> None:
    """Refuse a program ID or alias that the kernel would not return unchanged."""
    if any(character.isspace() or character == "\\" for character in text) or text == NOTHING:
        raise InvalidName(f"{what} {text!r} is not a word", hint="it may have no blanks and no backslashes")


def check_alias(text: str) -> None:
    """Refuse an alias that could not be read back from a group's tag. An empty string is valid: no alias."""
    check_word(text, "alias")
    if ":" in text:
        raise InvalidName(f"alias {text!r} may not contain ':'", hint="in a group's tag, ':' ends the alias")


def parse_ids(text: str) -> tuple[int, ...]:
    """Parse region IDs as dmstats does (``0-3,7``); ascending, without repeats. Raises :class:`InvalidSize`."""
    found: set[int] = set()
    for part in filter(None, (word.strip() for word in text.split(","))):
        match = re.fullmatch(r"(\d{1,9})(?:-(\d{1,9}))?", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InvalidSize(f"cannot read {part!r} in the list of regions {text!r}", hint="write, say, 0-3,7")
        if last - first > MOST_IDS:
            raise InvalidSize(f"{part!r} names too many regions", hint=f"a group may have {MOST_IDS}")
        found.update(range(first, last + 1))
    if not found:
        raise InvalidSize("no region is named", hint="write, say, 0-3,7")
    return tuple(sorted(found))


def format_ids(ids: Iterable[int]) -> str:
    """Region IDs as dmstats writes them: ``0-3,7``."""
    runs: list[list[int]] = []
    for number in sorted(ids):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def overlaps(regions: Iterable[Region]) -> tuple[tuple[int, int], ...]:
    """Pairs of overlapping regions: each region with the earlier one that ends last."""
    found: list[tuple[int, int]] = []
    furthest: Region | None = None
    for region in sorted(regions, key=lambda region: (region.start, region.id)):
        if furthest is not None and furthest.end > region.start:
            found.append((furthest.id, region.id))
        if furthest is None or region.end > furthest.end:
            furthest = region
    return tuple(found)
