"""The invariants of the volume model, each with the function that checks it.

A group is valid when:

1. it has a well-formed name, a known allocation policy that is not ``inherit``, and extents of a size that is a
   power of two or a multiple of 128 KiB (:func:`check_group`);
2. it has at least one physical volume, and not more physical or visible logical volumes than its limits
   (:func:`check_counts`);
3. no two of its physical volumes and no two of its volumes have one UUID, no two volumes one name
   (:func:`check_unique`);
4. every volume's name is well-formed and, with the group's, short enough for the kernel; its policy is known
   (:func:`check_names`);
5. every volume has segments, which cover it from its extent 0 on without a gap or an overlap, each longer than
   nothing and a multiple of its body's step (:func:`check_segments`);
6. every area lies within an existing physical volume, or within an existing volume of the group, other than its own
   (:func:`check_areas`);
7. no extent of a physical volume is in two areas (:func:`check_overlaps`);
8. every reference names a volume of the group; volumes do not lie on or refer to each other in a circle
   (:func:`check_references`);
9. every target's own rules for its volumes hold (:func:`check_targets`).

:func:`require_valid` runs after every operation, always, on the whole group, so this code is written for speed: the
usual case costs one pass over the volumes, and details are only worked out for what is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidGroup
from vmgr.core.exchange import Violation
from vmgr.core.ids import LvName, VgName
from vmgr.core.model import POLICIES, LvArea, PvArea

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.targets import Targets

_VOLUME_POLICIES = frozenset(POLICIES) - {"cling_by_tags"}
_GROUP_POLICIES = _VOLUME_POLICIES - {"inherit"}
_ODD_EXTENT_UNIT = 256
_NAMES_MAX = 124
"""The most characters that a group's and a volume's name may have together (LVM2 ``vg_validate``)."""


def require_valid(group: VolumeGroup, targets: Targets) -> None:
    """Raise :class:`InvalidGroup`, with every violation in its details, unless the group is valid."""
    violations = validate(group, targets)
    if violations:
        raise InvalidGroup(
            f"volume group {group.name} would not be valid: {violations[0].subject}: {violations[0].rule}",
            hint="nothing was changed; this is a fault in vmgr or in a plugin, please report it",
            details=tuple(f"{v.subject}: {v.rule}" for v in violations),
        )


def validate(group: VolumeGroup, targets: Targets | None = None) -> tuple[Violation, ...]:
    """All invariants that ``group`` breaks; without ``targets`` not the targets' own."""
    found = [
        *check_group(group),
        *check_counts(group),
        *check_unique(group),
        *check_names(group),
        *check_segments(group),
        *check_areas(group),
        *check_overlaps(group),
        *check_references(group),
    ]
    # A target may rely on the model's own rules, so it is not asked about a group that breaks them.
    if targets is not None and not found:
        found += check_targets(group, targets)
    return tuple(found)


def check_group(group: VolumeGroup) -> Iterable[Violation]:
    """1. The group's own values."""
    size = int(group.extent_size)
    if size <= 0 or (size & (size - 1) and size % _ODD_EXTENT_UNIT):
        yield Violation(group.name, f"extents of {size} sectors are neither a power of 2 nor a multiple of 128 KiB")
    if group.alloc not in _GROUP_POLICIES:
        yield Violation(group.name, f"allocation policy {group.alloc!r} is none of a group's")
    if type(group.name) is not VgName:
        yield Violation(group.name, "its name has not been checked")


def check_counts(group: VolumeGroup) -> Iterable[Violation]:
    """2. How many physical and logical volumes there are."""
    if not group.pvs:
        yield Violation(group.name, "it has no physical volume")
    if group.max_pv and len(group.pvs) > group.max_pv:
        yield Violation(group.name, f"it has {len(group.pvs)} physical volumes, more than its limit {group.max_pv}")
    if group.max_lv:
        visible = sum(1 for lv in group.lvs if lv.visible)
        if visible > group.max_lv:
            yield Violation(group.name, f"it has {visible} logical volumes, more than its limit {group.max_lv}")


def check_unique(group: VolumeGroup) -> Iterable[Violation]:
    """3. UUIDs and names are unique."""
    if len(group.pv_by_id) != len(group.pvs):
        yield from _twice((pv.id for pv in group.pvs), "physical volumes have UUID")
    if len(group.lv_by_id) != len(group.lvs):
        yield from _twice((lv.id for lv in group.lvs), "logical volumes have UUID")
    if len(group.lv_by_name) != len(group.lvs):
        yield from _twice((lv.name for lv in group.lvs), "logical volumes have the name")


def _twice(items: Iterable[str], what: str) -> Iterable[Violation]:
    seen: set[str] = set()
    for item in items:
        if item in seen:
            yield Violation(item, f"two {what} {item}")
        seen.add(item)


def check_names(group: VolumeGroup) -> Iterable[Violation]:
    """4. Names fit, policies are known. (Characters are checked when an :class:`LvName` is made.)"""
    room = _NAMES_MAX - len(group.name)
    for lv in group.lvs:
        name = lv.name
        if len(name) > room or type(name) is not LvName:
            yield Violation(name, "its name is too long for a device, or has not been checked")
        if lv.alloc not in _VOLUME_POLICIES:
            yield Violation(name, f"allocation policy {lv.alloc!r} is none of a volume's")


def check_segments(group: VolumeGroup) -> Iterable[Violation]:
    """5. Segments cover their volume."""
    for lv in group.lvs:
        segments = lv.segments
        if not segments:
            yield Violation(lv.name, "it has no segments")
        position = 0
        for segment in segments:
            length = segment.length
            if segment.start != position:
                yield Violation(lv.name, f"a segment starts at extent {segment.start}, not at {position}")
            if length <= 0:
                yield Violation(lv.name, f"the segment at extent {segment.start} has length {length}")
            step = segment.body.step
            if step != 1 and int(length) % step:
                yield Violation(
                    lv.name, f"the segment at {segment.start} has {length} extents, not a multiple of {step}"
                )
            position = int(segment.start) + int(length)


def check_areas(group: VolumeGroup) -> Iterable[Violation]:
    """6. Areas lie within what they lie on."""
    ends = {pv.id: int(pv.pe_count) for pv in group.pvs}
    get = ends.get
    for lv in group.lvs:
        for segment in lv.segments:
            for area in segment.body.areas:
                start, length = area.start, area.length
                if type(area) is PvArea:
                    end = get(area.pv)
                    if end is None:
                        yield Violation(lv.name, f"an area is on unknown physical volume {area.pv.dashed}")
                        continue
                else:
                    assert isinstance(area, LvArea)
                    below = group.lv_by_id.get(area.lv)
                    if below is None or below is lv:
                        yield Violation(lv.name, f"an area is on unknown volume {area.lv.dashed}")
                        continue
                    end = int(below.size)
                if start < 0 or length <= 0 or int.__add__(start, length) > end:
                    yield Violation(
                        lv.name, f"an area of {length} extents from {start} is not within what it lies on ({end})"
                    )


_SHIFT = 40
"""Start and length of an area are packed into one integer for sorting; extents are counted in 32 bits."""


def check_overlaps(group: VolumeGroup) -> Iterable[Violation]:
    """7. No extent of a physical volume is used twice."""
    places: dict[Uuid, list[int]] = {pv.id: [] for pv in group.pvs}
    other: list[int] = []
    for lv in group.lvs:
        for segment in lv.segments:
            for area in segment.body.areas:
                if type(area) is PvArea:
                    places.get(area.pv, other).append(int(area.start) << _SHIFT | int(area.length))
    mask = (1 << _SHIFT) - 1
    for pv, packed in places.items():
        packed.sort()
        end = 0
        for item in packed:
            start = item >> _SHIFT
            if start < end:
                yield _overlap(group, pv, start)
            end = start + (item & mask)


def _overlap(group: VolumeGroup, pv: Uuid, extent: int) -> Violation:
    users = [
        lv.name
        for lv in group.lvs
        for area in lv.areas()
        if isinstance(area, PvArea) and area.pv == pv and area.start <= extent < area.end
    ]
    device = group.pv_by_id[pv].device or pv.dashed
    return Violation(device, f"extent {extent} is used {len(users)} times, by {', '.join(dict.fromkeys(users))}")


def check_references(group: VolumeGroup) -> Iterable[Violation]:
    """8. What volumes need exists, and nothing needs itself."""
    below: dict[Uuid, set[Uuid]] = {}
    by_id = group.lv_by_id
    for lv in group.lvs:
        for segment in lv.segments:
            body = segment.body
            for reference in body.references:
                if reference.lv not in by_id:
                    yield Violation(lv.name, f"its {reference.role} is unknown volume {reference.lv.dashed}")
                below.setdefault(lv.id, set()).add(reference.lv)
            for area in body.areas:
                if type(area) is not PvArea:
                    below.setdefault(lv.id, set()).add(area.lv)  # type: ignore[union-attr]
    if below:
        yield from _circles(by_id, below)


def _circles(by_id: dict[Uuid, LogicalVolume], below: dict[Uuid, set[Uuid]]) -> Iterable[Violation]:
    done: set[Uuid] = set()
    for start in below:
        path: set[Uuid] = set()
        todo: list[tuple[Uuid, bool]] = [(start, False)]
        while todo:
            lv, leaving = todo.pop()
            if leaving:
                path.discard(lv)
                done.add(lv)
            elif lv in path:
                yield Violation(by_id[lv].name if lv in by_id else lv, "it lies on itself, through other volumes")
                return
            elif lv not in done:
                path.add(lv)
                todo.append((lv, True))
                todo.extend((other, False) for other in below.get(lv, ()))


def check_targets(group: VolumeGroup, targets: Targets) -> Iterable[Violation]:
    """9. The targets' own rules."""
    check = targets.check_volume
    for lv in group.lvs:
        yield from check(group, lv)
