"""Makes volumes longer, and decides which way a resize goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import asdict, evolve

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.change import Change
from vmgr.core.context import NO_MACHINE, Context, Machine
from vmgr.core.errors import Refused, SameSize, UsageError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    require_changeable,
    require_policy,
    require_unlocked,
    require_visible,
    with_built,
)
from vmgr.core.operations.placing import Where, first_areas, place_for
from vmgr.core.operations.sizing import require_countable, size_changed, size_for_change
from vmgr.core.requests import ExtendVolume, ReduceVolume
from vmgr.core.space import effective_policy
from vmgr.core.units import Extents
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.exchange import Placed
    from vmgr.core.hooks import Live
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.operations.sizing import Sized
    from vmgr.core.requests import ResizeVolume, Stamp
    from vmgr.core.targets import Targets


def extend_volume(
    group: VolumeGroup,
    request: ExtendVolume,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    rules: AllocationRules = DEFAULT_RULES,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Make a volume longer.

    A volume that has reached its target's limit stays as it is, and the change says so. Raises
    :class:`Refused` where the new size is not larger, and :class:`NoSpace` with what would fit.
    """
    if request.size.sign == "-":
        raise UsageError("a volume is not extended by a negative size", hint="use lvreduce")
    require_changeable(group)
    require_policy(request.alloc)
    volume = find_volume(group, request.lv)
    context = Context(volume, targets, stamp, live, machine)
    targets.check_request(group, volume, request, context)
    require_visible(group, volume, "resize", request, targets)
    require_unlocked(group, volume, "resize")
    sized = size_for_change(group, volume, request.size, request.pvs)
    if sized.extents < volume.size:
        raise Refused(
            f"new size given ({sized.extents} extents) not larger than existing size ({volume.size} extents)",
            hint="give a larger size, or a growth such as +1g; lvreduce makes a volume smaller",
        )
    return _extend(group, request, sized, targets, context, rules)


def resize_volume(
    group: VolumeGroup,
    request: ResizeVolume,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    rules: AllocationRules = DEFAULT_RULES,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Make a volume longer or shorter, whichever its new size is."""
    from vmgr.core.operations.reduce import reduce_volume

    if request.size.sign == "-" or shrinks(group, request):
        reduction = ReduceVolume(request.lv, request.size, request.options)
        return reduce_volume(group, reduction, targets, stamp, live=live, machine=machine)
    extension = ExtendVolume(**asdict(request, recurse=False))
    return extend_volume(group, extension, targets, stamp, live=live, rules=rules, machine=machine)


def shrinks(group: VolumeGroup, request: ResizeVolume) -> bool:
    """Whether a resize would make the volume shorter; for the question that goes before it."""
    volume = find_volume(group, request.lv)
    return size_for_change(group, volume, request.size, request.pvs).extents < volume.size


def _extend(
    group: VolumeGroup,
    request: ExtendVolume,
    sized: Sized,
    targets: Targets,
    context: Context,
    rules: AllocationRules,
) -> Change:
    volume = context.volume
    own = volume.size
    notes = sized.notes
    limit = targets.size_limit(group, volume)
    if limit is not None and sized.extents > limit[0]:
        notes += (limit[1],)
        sized = evolve(sized, extents=max(limit[0], own))
        if sized.extents == own:
            return Change(group, group, notes=notes, done=(_done(group, volume),))
    if sized.extents == own:
        raise SameSize(
            f"new size ({own} extents) matches existing size ({own} extents)",
            details=notes,
            hint="give a larger size, or a growth such as +1g",
        )
    gain = evolve(sized, extents=Extents(int(sized.extents) - int(own)), notes=())
    policy = effective_policy(group, request.alloc, volume.alloc)
    where = Where(policy, request.pvs, rules, first_areas(volume))

    def check(placed: Placed) -> None:
        require_countable(group, int(own) + int(placed.extents))

    place = place_for(group, gain, where, own=int(own), check=check)
    built = targets.change(group, request, evolve(context, extents=gain.extents, place=place))
    after = with_built(group, built, targets)
    require_valid(after, targets)
    new = after.lv_by_id[volume.id]
    return Change(
        before=group,
        after=after,
        zero=built.zero,
        needs_active=built.needs_active,
        tools=built.tools,
        waits=built.waits,
        activate=built.activate or (),
        notes=notes + built.notes,
        done=(size_changed(group, volume, new.size), _done(group, volume)) if built.done is None else built.done,
    )


def _done(group: VolumeGroup, volume: LogicalVolume) -> str:
    return f"Logical volume {full_name(group, volume)} successfully resized."
