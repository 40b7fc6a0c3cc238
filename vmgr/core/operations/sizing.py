"""From what a user wrote after ``-L`` or ``-l`` to extents: rounding, percentages, limits.

The rules are LVM2's (``tools/lvcreate.c``, ``_update_extents_params``; ``lib/metadata/lv_manip.c``,
``_lvresize_adjust_size``, ``_lvresize_extents_from_percent`` and ``_lvresize_adjust_extents``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.amounts import Percent
from vmgr.core.errors import Refused, UsageError
from vmgr.core.model import LvArea, PvArea
from vmgr.core.operations.checks import full_name
from vmgr.core.sizes import MAX_EXTENTS, display_size, with_extents
from vmgr.core.space import usable_pvs
from vmgr.core.units import Extents, Sectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.core.amounts import SizeSpec
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import CreateVolume, PvRange


@frozen
class Sized:
    """``extents`` for a request. ``approximate``: less will do if that is all there is. ``percent``: it was one."""

    extents: Extents
    approximate: bool = False
    percent: bool = False
    notes: tuple[str, ...] = ()


def percent_of(percent: int, count: int, *, up: bool) -> int:
    """``percent`` percent of ``count``, rounded up or down."""
    return (percent * int(count) + (99 if up else 0)) // 100


def require_countable(group: VolumeGroup, extents: int) -> Extents:
    """``extents`` if the format can count so many in a volume. Raises :class:`Refused`."""
    if extents > MAX_EXTENTS:
        size = group.extent_size
        limit = display_size(Sectors((MAX_EXTENTS + 1) * int(size)))
        raise Refused(
            f"volume too large ({extents} extents) for extent size {display_size(size)}",
            hint=f"it must be smaller than {limit}; larger extents allow larger volumes (vgcreate -s)",
        )
    return Extents(extents)


def _from_sectors(group: VolumeGroup, sectors: Sectors) -> Sized:
    size = group.extent_size
    extents = require_countable(group, sectors.extents_up(size))
    notes: tuple[str, ...] = ()
    if int(sectors) % int(size):
        notes = (f"Rounding up size to full physical extent {display_size(extents.sectors(size))}",)
    return Sized(extents, notes=notes)


def free_extents(group: VolumeGroup, pvs: Sequence[PvRange]) -> Extents:
    """Free extents of the PVs (and ranges) in ``pvs`` that may be used."""
    return Extents.total(run.length for _, runs in usable_pvs(group, pvs) for run in runs)


# -- a new volume ---------------------------------------------------------------------------------


def size_for_new(group: VolumeGroup, request: CreateVolume) -> Sized:
    """The extents that a creation asks for, 0 where it names no size.

    Every percentage is approximate: what fits of it is taken.
    """
    if request.size is None:
        return Sized(Extents(0))
    if request.size.sign:
        raise UsageError("the size of a new volume may not be relative", hint="leave the sign out")
    value = request.size.value
    if isinstance(value, Sectors):
        return _require_some(group, _from_sectors(group, value))
    if isinstance(value, Extents):
        return _require_some(group, Sized(require_countable(group, value)))
    notes: tuple[str, ...] = ()
    free = int(group.free)
    match value.of:
        case "VG":
            extents = percent_of(value.value, group.extents, up=False)
            if extents > free:
                extents = free
                remaining = display_size(group.free.sectors(group.extent_size))
                notes = (f"Reducing {value.value}%VG to remaining free space {remaining} in VG.",)
        case "FREE":
            extents = percent_of(value.value, free, up=False)
        case "PVS":
            base = free_extents(group, request.pvs) if request.pvs else group.extents
            extents = percent_of(value.value, base, up=False)
        case "ORIGIN" if request.origin is not None:
            extents = percent_of(value.value, group.lv_by_id[request.origin].size, up=True)
        case "ORIGIN":
            raise Refused("%ORIGIN needs an origin: the volume is no snapshot", hint="use %FREE, %PVS or %VG")
        case _:
            more = ", %ORIGIN" if request.origin is not None else ""
            raise Refused(f"a new volume's size cannot be %{value.of}", hint=f"use %FREE{more}, %PVS or %VG")
    sized = Sized(require_countable(group, extents), approximate=True, percent=True, notes=notes)
    if not extents:
        raise Refused(
            f"{value.value}%{value.of} of volume group {group.name} is 0 extents: a volume needs at least one",
            hint="vgs shows what is free",
        )
    return sized


def _require_some(group: VolumeGroup, sized: Sized) -> Sized:
    if int(sized.extents) <= 0:
        raise Refused(f"a new volume in {group.name} needs at least one extent", hint="give a larger size")
    return sized


# -- an existing volume ---------------------------------------------------------------------------


def physical_extents(group: VolumeGroup, volume: LogicalVolume) -> Extents:
    """The extents of PVs that a volume and the hidden volumes below it occupy."""
    by_id = group.lv_by_id
    todo: list[Uuid] = [volume.id]
    seen: set[Uuid] = set()
    total = 0
    while todo:
        lv = todo.pop()
        if lv in seen or lv not in by_id:
            continue
        seen.add(lv)
        for area in by_id[lv].areas():
            if isinstance(area, PvArea):
                total += int(area.length)
            elif isinstance(area, LvArea) and not by_id[area.lv].visible:
                todo.append(area.lv)
        todo.extend(r.lv for r in by_id[lv].references() if r.lv in by_id and not by_id[r.lv].visible)
    return Extents(total)


def _origin_size(group: VolumeGroup, volume: LogicalVolume) -> Extents:
    """The length of what ``volume`` is a snapshot of: the ``origin`` of a segment that it takes part in."""
    for lv in (volume, *group.referrers.get(volume.id, ())):
        for reference in lv.references():
            if reference.role == "origin" and reference.lv != volume.id:
                return group.lv_by_id[reference.lv].size
    raise Refused(f"logical volume {group.name}/{volume.name} has no origin", hint="use %LV, %FREE, %PVS or %VG")


def size_for_change(
    group: VolumeGroup, volume: LogicalVolume, size: SizeSpec, pvs: Sequence[PvRange] = ()
) -> Sized:
    """The length, in extents, that ``volume`` shall get. May be less than, more than, or equal to its own.

    An absolute or growing size is rounded up, a shrinking one takes away at most what was said.
    """
    own = int(volume.size)
    shrinks = size.sign == "-"
    value = size.value
    notes: tuple[str, ...] = ()
    physical = False
    approximate = False
    if isinstance(value, Sectors):
        unit = int(group.extent_size)
        amount = int(value) // unit if shrinks else -(-int(value) // unit)
        if int(value) % unit:
            rounded = display_size(Sectors(amount * unit))
            notes = (f"Rounding size to boundary between physical extents: {rounded}.",)
    elif isinstance(value, Percent):
        amount, notes = _percent(group, volume, value, size.sign, pvs)
        physical = value.of in ("VG", "FREE", "PVS")
        approximate = physical and (not size.sign or (size.sign == "+" and value.of == "FREE"))
    else:
        amount = int(value)
    existing = own
    below = int(physical_extents(group, volume)) if physical else 0
    if below:
        existing = below
    if shrinks:
        new = existing - amount
        if new <= 0:
            raise Refused(
                f"cannot reduce {group.name}/{volume.name} below 1 extent",
                hint=f"it has {with_extents(volume.size, group.extent_size)}; lvremove removes it",
            )
    else:
        new = existing + amount if size.sign == "+" else amount
    if below and below != own:
        # Physical extents, counted in all legs: the volume's own length changes in proportion.
        new = own + (new - existing) * own // existing
    if new <= 0:
        raise Refused("a new size of 0 is not permitted", hint="lvremove removes a volume")
    extents = require_countable(group, new)
    return Sized(extents, approximate, isinstance(value, Percent), notes)


def _percent(
    group: VolumeGroup, volume: LogicalVolume, percent: Percent, sign: str, pvs: Sequence[PvRange]
) -> tuple[int, tuple[str, ...]]:
    up = sign != "-"
    match percent.of:
        case "VG":
            amount = percent_of(percent.value, group.extents, up=up)
            most = int(volume.size) + int(group.free)
            if not sign and amount > most:
                remaining = display_size(Sectors(most * int(group.extent_size)))
                return most, (f"Reducing {percent.value}%VG to remaining free space {remaining} in VG.",)
            return amount, ()
        case "FREE":
            return percent_of(percent.value, group.free, up=up), ()
        case "PVS":
            base = free_extents(group, pvs) if pvs else group.extents
            return percent_of(percent.value, base, up=up), ()
        case "LV":
            return percent_of(percent.value, volume.size, up=up), ()
        case "ORIGIN":
            return percent_of(percent.value, _origin_size(group, volume), up=up), ()
    raise UsageError(f"unknown base of a percentage: %{percent.of}")


def size_changed(group: VolumeGroup, volume: LogicalVolume, new: Extents) -> str:
    """What LVM2 says of a resize."""
    name = full_name(group, volume)
    if volume.size == new:
        return f"Size of logical volume {name} unchanged from {with_extents(new, group.extent_size)}."
    return (
        f"Size of logical volume {name} changed from {with_extents(volume.size, group.extent_size)}"
        f" to {with_extents(new, group.extent_size)}."
    )
