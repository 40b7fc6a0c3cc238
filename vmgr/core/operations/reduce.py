"""Makes volumes shorter. What lies behind the new end is lost; asking first is up to the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change
from vmgr.core.context import NO_MACHINE, NO_STAMP, Context, Machine
from vmgr.core.errors import Refused, SameSize, UsageError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    require_changeable,
    require_unlocked,
    require_visible,
    with_built,
)
from vmgr.core.operations.sizing import size_changed, size_for_change
from vmgr.core.sizes import with_extents
from vmgr.core.units import Extents
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ReduceVolume, Stamp
    from vmgr.core.targets import Targets


def reduce_volume(
    group: VolumeGroup,
    request: ReduceVolume,
    targets: Targets,
    stamp: Stamp = NO_STAMP,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Make a volume shorter.

    Where the new end falls between stripes, the volume keeps the whole of them. Raises :class:`Refused` where
    the new size is not smaller or is nothing at all.
    """
    require_changeable(group)
    volume = find_volume(group, request.lv)
    context = Context(volume, targets, stamp, live, machine)
    targets.check_request(group, volume, request, context)
    require_visible(group, volume, "resize", request, targets)
    require_unlocked(group, volume, "resize")
    if request.size.sign == "+":
        raise UsageError("a volume is not reduced by a positive size", hint="use lvextend")
    own = volume.size
    sized = size_for_change(group, volume, request.size)
    if sized.extents > own:
        raise Refused(
            f"new size given ({sized.extents} extents) not less than existing size ({own} extents)",
            hint="give a smaller size, or a reduction such as -1g; lvextend makes a volume larger",
        )
    if sized.extents == own:
        raise _same(group, volume, sized.notes)
    new, notes = _whole_stripes(volume, sized.extents)
    if new == own:
        raise _same(group, volume, sized.notes + notes)
    built = targets.change(group, request, evolve(context, extents=new))
    after = with_built(group, built, targets)
    require_valid(after, targets)
    return Change(
        before=group,
        after=after,
        activate=built.activate or (),
        zero=built.zero,
        needs_active=built.needs_active,
        tools=built.tools,
        waits=built.waits,
        notes=sized.notes + notes + built.notes,
        done=(
            size_changed(group, volume, after.lv_by_id[volume.id].size),
            f"Logical volume {full_name(group, volume)} successfully resized.",
        )
        if built.done is None
        else built.done,
    )


def _same(group: VolumeGroup, volume: LogicalVolume, rounded: tuple[str, ...]) -> SameSize:
    """What to raise for a size that is the volume's, after it has been ``rounded`` perhaps: then it was smaller."""
    own = volume.size
    step = int(volume.segments[-1].body.step) if volume.segments else 1
    least = f"the least that it can be reduced by is {with_extents(Extents(step), group.extent_size)}"
    return SameSize(
        f"new size ({own} extents) matches existing size ({own} extents)",
        details=rounded,
        hint=least if rounded else "give a smaller size, or a reduction such as -1g",
    )


def _whole_stripes(volume: LogicalVolume, new: Extents) -> tuple[Extents, tuple[str, ...]]:
    """The new length, rounded up so that the segment in which it ends keeps whole stripes."""
    for segment in volume.segments:
        if new <= segment.end:
            kept = new - segment.start
            step = segment.body.step
            if int(kept) % step:
                rounded = segment.start + kept.round_up(step)
                note = f"Rounding size ({new} extents) up to stripe boundary size for segment ({rounded} extents)."
                return rounded, (note,)
            break
    return new, ()
