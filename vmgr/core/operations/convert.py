"""Turns volumes into something else, and writes down what has ended in the kernel. Both are the plugins' doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.change import Change, Wipe
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    require_changeable,
    require_fresh,
    require_policy,
    require_unlocked,
    require_visible,
    with_built,
)
from vmgr.core.operations.placing import Where, place
from vmgr.core.operations.sizing import Sized
from vmgr.core.space import effective_policy
from vmgr.core.targets import NOTHING_LIVE
from vmgr.core.units import Extents
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live, TargetStatus
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import ConvertVolume, Stamp
    from vmgr.core.targets import Targets


def convert_volume(
    group: VolumeGroup,
    request: ConvertVolume,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    rules: AllocationRules = DEFAULT_RULES,
) -> Change:
    """Carry out a conversion that a plugin offers.

    A hidden volume may be named where nothing is to be written: by a request that is given again, and goes on with
    what the first one has begun.

    Raises :class:`UsageError` where none does, :class:`NoSpace` with details where it needs space.
    """
    require_changeable(group)
    require_policy(request.alloc)
    volume = find_volume(group, request.lv)
    require_unlocked(group, volume, "convert")
    targets.check_request(group, volume, request, live)
    require_fresh(group, stamp)
    policy = effective_policy(group, request.alloc, volume.alloc)
    needs = targets.convert_needs(group, request)
    placed = place(group, Sized(Extents(needs.extents)), lambda _: needs, Where(policy, request.pvs, rules))
    built = targets.convert(group, request, placed.grant, stamp, live)
    if built.volumes or built.removed:
        require_visible(group, volume, "convert")
    after = with_built(group, built, targets)
    require_valid(after, targets)
    new = after.lv_by_id.get(built.main)
    fresh = built.main not in group.lv_by_id
    return Change(
        before=group,
        after=after,
        activate=(built.main,) if fresh and built.activate else (),
        start=(built.main,),
        zero=built.zero,
        wipe=(Wipe(built.main),) if fresh and built.wipe and built.activate else (),
        notes=placed.notes + built.notes,
        done=() if built.notes else (f"Logical volume {full_name(group, new or volume)} converted.",),
    )


def finish_volume(
    group: VolumeGroup, lv: Uuid, status: TargetStatus, targets: Targets, stamp: Stamp
) -> Change | None:
    """The change that is due after a process in the kernel (a merge) has ended; None: nothing is."""
    require_changeable(group)
    built = targets.finish(group, find_volume(group, lv), status, stamp)
    if built is None:
        return None
    after = with_built(group, built, targets)
    require_valid(after, targets)
    return Change(before=group, after=after, zero=built.zero, notes=built.notes)
