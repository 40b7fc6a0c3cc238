"""Space that the metadata call free and that must not be given to anybody: live devices map it, or it is not there.

A device outlives its volume where the metadata were restored under it (``vgcfgrestore``), where its removal failed
after a commit, or where a command was killed. A file system on it may still be written to.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import InUse, NoSpace
from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import KernelLine, LiveDevice

_NUMBERS = re.compile(r"\d+:\d+", re.ASCII).fullmatch

Range = tuple[int, int]
"""Half-open, in sectors of a device."""


def require_unmapped(change: Change, live: Mapping[str, LiveDevice], numbers: Mapping[Uuid, str]) -> None:
    """Raise :class:`InUse` when space that ``change`` takes, free so far, is mapped by a live device.

    ``live`` has tables; ``numbers`` are the ``major:minor`` of the physical volumes. What a table maps is read
    generically: a device number followed by a sector, each with its equal share of the line.
    """
    if change.after is None or not live:
        return
    by_number: dict[str, list[tuple[Range, LiveDevice]]] | None = None
    for pv_id, (first, last) in _gained(change.before, change.after):
        if by_number is None:
            by_number = {}
            for device in live.values():
                for number, mapped in _mapped(device.table or ()):
                    by_number.setdefault(number, []).append((mapped, device))
        pv = change.after.pv_by_id[pv_id]
        on_it = {
            device.name
            for (start, end), device in by_number.get(numbers.get(pv_id, ""), ())
            if start < last and first < end
        }
        if on_it:
            names = ", ".join(sorted(on_it))
            size = int(change.after.extent_size)
            low, high = (first - int(pv.pe_start)) // size, (last - int(pv.pe_start) - 1) // size
            raise InUse(
                f"extents {low} to {high} of {pv.device} are free by the metadata, but live devices"
                f" lie on some of them and may be written to: {names}",
                hint="their tables are not what the metadata say: load them anew (lvchange --refresh), or unmount"
                f" and remove them (vmgr dm remove {min(on_it)}), then try again",
            )


def require_room(change: Change, sizes: Mapping[Uuid, int]) -> None:
    """Raise :class:`NoSpace` when space that ``change`` takes lies behind the end of its device.

    ``sizes`` are the devices' lengths in sectors: one may have become smaller than its metadata say.
    """
    if change.after is None:
        return
    for pv_id, (_, last) in _gained(change.before, change.after):
        pv = change.after.pv_by_id[pv_id]
        if last > sizes.get(pv_id, last):
            extent = (last - int(pv.pe_start) - 1) // int(change.after.extent_size)
            raise NoSpace(
                f"{pv.device} has {sizes[pv_id]} sectors, and extent {extent} would end at sector {last}",
                hint=f"it has become smaller: give its old size back, or adapt the metadata (pvresize {pv.device})",
            )


def released(
    change: Change, live: Mapping[str, LiveDevice], numbers: Mapping[Uuid, str]
) -> Iterator[tuple[Uuid, Sectors, Sectors]]:
    """The space that ``change`` gave back: physical volume, first sector and length on its device.

    What a live device still maps is left out: it may be written to, whatever the metadata say.
    """
    if change.before is None:
        return
    group = change.before
    taken: dict[str, list[Range]] = {}
    for device in live.values():
        for number, mapped in _mapped(device.table or ()):
            taken.setdefault(number, []).append(mapped)
    kept = change.after or evolve(group, lvs=())
    for pv_id, (first, last) in _gained(kept, group):
        for start, end in _joined(sorted(taken.get(numbers.get(pv_id, ""), ()))):
            if start < last and first < end:
                if first < start:
                    yield pv_id, Sectors(first), Sectors(start - first)
                first = max(first, end)
        if first < last:
            yield pv_id, Sectors(first), Sectors(last - first)


def _gained(before: VolumeGroup | None, after: VolumeGroup) -> Iterator[tuple[Uuid, Range]]:
    """The sectors of physical volumes that are used afterwards and were not before.

    In sectors and not in extents: the two groups may have extents of different sizes (``vgchange -s``).
    """
    for pv in after.used:
        held = _joined(_runs(before, pv)) if before is not None else []
        ends = [last for _, last in held]
        for start, end in _runs(after, pv):
            # Of ten thousand runs only those that meet this one are looked at.
            for first, last in held[bisect_right(ends, start) : bisect_left(held, (end, end))]:
                if start < first:
                    yield pv, (start, first)
                start = max(start, last)
            if start < end:
                yield pv, (start, end)


def _runs(group: VolumeGroup, pv: Uuid) -> list[Range]:
    areas = group.used.get(pv, ())
    if not areas:
        return []
    origin, size = int(group.pv_by_id[pv].pe_start), int(group.extent_size)
    return sorted((origin + int(a.start) * size, origin + int(a.start + a.length) * size) for a in areas)


def _joined(runs: Iterable[Range]) -> list[Range]:
    """Sorted runs, neighbours made one: so their ends are in order, too."""
    found: list[Range] = []
    for start, end in runs:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def _mapped(table: Iterable[KernelLine]) -> Iterator[tuple[str, Range]]:
    """(device number, sectors) of what lines lie on."""
    for line in table:
        words = line.params.split()
        found = [
            (word, int(offset))
            for word, offset in pairwise(words)
            if _NUMBERS(word) and offset.isascii() and offset.isdigit()
        ]
        for number, offset in found:
            yield number, (offset, offset + int(line.length) // len(found))
