"""What volumes consist of: the rules of the volume model that every group on a disk is held to when it is read.

They are those that keep data apart. A group that breaks one is shown, and neither activated nor changed:
two of its volumes may be one place on a disk (LVM2 refuses such a group: ``lib/metadata/merge.c``,
``check_lv_segments``, and ``lib/metadata/pv_manip.c``, ``check_pv_segments``). The numbers are those of
:mod:`vmgr.core.validate`, which holds every new version of a group to these and to some rules more.

3. no two physical volumes and no two volumes have one UUID;
5. every volume has segments, which cover it from its extent 0 on without a gap or an overlap, each longer than
   nothing and a multiple of its body's step, and no more extents than 32 bits count;
6. every area lies within an existing physical volume, or within an existing volume of the group other than its own;
7. no extent of a physical volume, or of a volume that others lie on, is in two areas. There is no exception: while
   extents are moved or mirrored, the volume that moves them has them, and others lie on that one;
8. every reference names a volume of the group; volumes do not lie on or refer to each other in a circle.

Segments whose type no plugin knows are not looked into. Volumes that were left unread
(:class:`~vmgr.core.model.Shape`) stay so: ten thousand of them cost a hundredth of the report that shows them.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import islice
from operator import add, gt
from typing import TYPE_CHECKING

from vmgr.core.model import LvArea, PvArea

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup

    Broken = tuple[str, str]
    """What breaks a rule (a volume's name, a device), and the rule in words for a person."""

_MOST_EXTENTS = (1 << 32) - 1
_SHIFT = 40
"""Start and length of an area are packed into one integer for sorting; extents are counted in 32 bits."""

_MASK = (1 << _SHIFT) - 1
_OUTSIDE = "an area of {} extents from {} is not within what it lies on"


def broken_rules(group: VolumeGroup) -> tuple[Broken, ...]:
    """Every rule that the group's structure breaks, and what breaks it."""
    all_unread = len(group.unread[0]) == len(group.lvs)
    apart = [] if all_unread else [lv for lv in group.lvs if lv.shape is None]
    found = (*_unique(group), *_segments(apart))
    if not _disjoint(group, apart):
        found += tuple(_areas(group, apart))
    return (*found, *_references(group, apart))


def _unique(group: VolumeGroup) -> Iterator[Broken]:
    """3. UUIDs are unique."""
    if len(group.pv_by_id) != len(group.pvs):
        yield from _twice([(pv.id, pv.device or pv.id.dashed) for pv in group.pvs], "physical")
    if len({lv.id for lv in group.lvs}) != len(group.lvs):
        yield from _twice([(lv.id, lv.name) for lv in group.lvs], "logical")


def _twice(items: Iterable[tuple[Uuid, str]], what: str) -> Iterator[Broken]:
    seen: dict[Uuid, str] = {}
    for uuid, name in items:
        if uuid in seen:
            yield name, f"two {what} volumes have the UUID {uuid.dashed}: {seen[uuid]}, {name}"
        seen.setdefault(uuid, name)


def _segments(apart: Iterable[LogicalVolume]) -> Iterator[Broken]:
    """5. Segments cover their volume."""
    for lv in apart:
        segments = lv.segments
        if not segments:
            yield lv.name, "it has no segments"
        position = 0
        for segment in segments:
            length = segment.length
            if segment.start != position:
                yield lv.name, f"a segment starts at extent {segment.start}, not at {position}"
            if length <= 0:
                yield lv.name, f"the segment at extent {segment.start} has length {length}"
            step = segment.body.step
            if step != 1 and int(length) % step:
                yield lv.name, f"the segment at {segment.start} has {length} extents, not a multiple of {step}"
            position = int(segment.start) + int(length)
        if position > _MOST_EXTENTS:
            yield lv.name, f"it has {position} extents, more than the format can count ({_MOST_EXTENTS})"


# -- areas ----------------------------------------------------------------------------------------


_SPACE = 1 << 33
"""Physical volumes are put end to end, each in so many extents: no area reaches further than two 32-bit numbers."""


def _disjoint(group: VolumeGroup, apart: Iterable[LogicalVolume]) -> bool:
    """Whether all areas lie on physical volumes, within them, and share nothing: so it nearly always is.

    Ten thousand rounds of a loop are felt in a report, so the volumes that were left unread are seen through by
    functions of the interpreter. Where the answer is no, :func:`_areas` finds out what is wrong.
    """
    base = {pv.id: at * _SPACE for at, pv in enumerate(group.pvs)}
    shapes, within, lengths = group.unread
    by_shape = {shape: base[shape.pv] for shape in set(shapes)}
    starts = list(map(add, map(by_shape.__getitem__, shapes), within))
    ends = list(map(add, starts, lengths))
    for lv in apart:
        for segment in lv.segments:
            for area in segment.body.areas:
                if type(area) is not PvArea or area.pv not in base:
                    return False
                start, length = int(area.start), int(area.length)
                if start < 0 or length <= 0 or start + length >= _SPACE:
                    return False
                starts.append(base[area.pv] + start)
                ends.append(base[area.pv] + start + length)
    starts.sort()
    ends.sort()
    if any(map(gt, ends, islice(starts, 1, None))):
        return False
    for pv in group.pvs:
        last = bisect_left(ends, base[pv.id] + _SPACE) - 1
        if last >= 0 and ends[last] > base[pv.id] + int(pv.pe_count):
            return False
    return True


def _areas(group: VolumeGroup, apart: Iterable[LogicalVolume]) -> Iterator[Broken]:
    """6. and 7. Areas lie within what they lie on, and apart from each other."""
    places: dict[Uuid, list[int]] = {pv.id: [] for pv in group.pvs}
    for lv in group.lvs:
        shape = lv.shape
        if shape is not None:  # it lies on a physical volume that is there: the reader of the text has looked
            places[shape.pv].append(lv.start << _SHIFT | lv.size)
    on_volumes: dict[Uuid, list[int]] = {}
    for lv in apart:
        for segment in lv.segments:
            for area in segment.body.areas:
                start, length = int(area.start), int(area.length)
                if type(area) is PvArea:
                    found = places.get(area.pv)
                    if found is None:
                        yield lv.name, f"an area is on unknown physical volume {area.pv.dashed}"
                        continue
                else:
                    assert isinstance(area, LvArea)
                    if area.lv not in group.lv_by_id:
                        yield lv.name, f"an area is on unknown volume {area.lv.dashed}"
                        continue
                    if area.lv == lv.id:
                        yield lv.name, "an area is on the volume itself"
                        continue
                    found = on_volumes.setdefault(area.lv, [])
                if start < 0 or length <= 0 or start + length > _MOST_EXTENTS:
                    yield lv.name, _OUTSIDE.format(length, start)
                else:
                    found.append(start << _SHIFT | length)
    for pv in group.pvs:
        yield from _places(group, pv.id, places[pv.id], int(pv.pe_count))
    for lv_id, packed in on_volumes.items():
        yield from _places(group, lv_id, packed, int(group.lv_by_id[lv_id].size))


def _places(group: VolumeGroup, on: Uuid, packed: list[int], size: int) -> Iterator[Broken]:
    """The rules for the areas on one volume of ``size`` extents: they end within it and share no extent."""
    packed.sort()
    end = 0
    for item in packed:
        start = item >> _SHIFT
        if start < end:
            yield _shared(group, on, start, min(end, start + (item & _MASK)))
        last = start + (item & _MASK)
        if last > size:
            yield _beyond(group, on, start, last, size)
        if last > end:
            end = last


def _shared(group: VolumeGroup, on: Uuid, first: int, end: int) -> Broken:
    users = _users(group, on, first, end)
    which = f"extent {first} is" if end - first == 1 else f"extents {first} to {end - 1} are"
    return _title(group, on), f"{which} used {max(len(users), 2)} times, by {', '.join(dict.fromkeys(users))}"


def _beyond(group: VolumeGroup, on: Uuid, first: int, end: int, size: int) -> Broken:
    users = ", ".join(dict.fromkeys(_users(group, on, first, end)))
    where = _title(group, on)
    return users, _OUTSIDE.format(end - first, first) + f" ({where} has {size})"


def _users(group: VolumeGroup, on: Uuid, first: int, end: int) -> list[str]:
    return [
        lv.name
        for lv in group.lvs
        for area in lv.areas()
        if (area.pv if isinstance(area, PvArea) else area.lv) == on
        and area.start < end
        and int(area.start) + int(area.length) > first
    ]


def _title(group: VolumeGroup, on: Uuid) -> str:
    pv = group.pv_by_id.get(on)
    return group.lv_by_id[on].name if pv is None else pv.device or on.dashed


# -- volumes on volumes ---------------------------------------------------------------------------


def _references(group: VolumeGroup, apart: Iterable[LogicalVolume]) -> Iterator[Broken]:
    """8. What volumes need exists, and nothing needs itself."""
    below: dict[Uuid, set[Uuid]] = {}
    for lv in apart:
        for segment in lv.segments:
            body = segment.body
            for reference in body.references:
                if reference.lv not in group.lv_by_id:
                    yield lv.name, f"its {reference.role} is unknown volume {reference.lv.dashed}"
                below.setdefault(lv.id, set()).add(reference.lv)
            for area in body.areas:
                if type(area) is not PvArea:
                    assert isinstance(area, LvArea)
                    if area.lv != lv.id:  # told with the areas
                        below.setdefault(lv.id, set()).add(area.lv)
    if below:
        yield from _circles(group, below)


def _circles(group: VolumeGroup, below: dict[Uuid, set[Uuid]]) -> Iterator[Broken]:
    done: set[Uuid] = set()
    for start in below:
        path: dict[Uuid, None] = {}
        todo: list[tuple[Uuid, bool]] = [(start, False)]
        while todo:
            lv, leaving = todo.pop()
            if leaving:
                path.pop(lv, None)
                done.add(lv)
            elif lv in path:
                circle = list(path)[list(path).index(lv) :]
                names = ", ".join(group.lv_by_id[one].name for one in circle if one in group.lv_by_id)
                yield group.lv_by_id[lv].name if lv in group.lv_by_id else lv, f"it lies on itself: {names}"
                return
            elif lv not in done:
                path[lv] = None
                todo.append((lv, True))
                todo.extend((other, False) for other in below.get(lv, ()))
