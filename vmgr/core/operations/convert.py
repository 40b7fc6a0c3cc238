"""Turns volumes into something else, and writes down what has ended in the kernel. Both are the plugins' doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.change import Change, Wipe
from vmgr.core.context import NO_MACHINE, Context, Machine
from vmgr.core.hooks import NOTHING_LIVE
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
from vmgr.core.operations.placing import Where, place_for
from vmgr.core.operations.sizing import Sized
from vmgr.core.requests import FinishVolume, RepairVolume, TakeBack
from vmgr.core.space import effective_policy
from vmgr.core.units import Extents
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import ConvertVolume, Stamp
    from vmgr.core.targets import Targets


def convert_volume(
    group: VolumeGroup,
    request: ConvertVolume | RepairVolume,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    rules: AllocationRules = DEFAULT_RULES,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Carry out a conversion that a plugin offers.

    A hidden volume may be named where nothing is to be written: by a request that is given again, and goes on with
    what the first one has begun.

    Raises :class:`UsageError` where none does, :class:`NoSpace` with details where it needs space.
    """
    require_changeable(group, missing=isinstance(request, RepairVolume))
    require_policy(request.alloc)
    volume = find_volume(group, request.lv)
    require_unlocked(group, volume, "convert")
    context = Context(volume, targets, stamp, live, machine)
    targets.check_request(group, volume, request, context)
    require_fresh(group, stamp)
    policy = effective_policy(group, request.alloc, volume.alloc)
    place = place_for(group, Sized(Extents(0)), Where(policy, request.pvs, rules))
    built = targets.change(group, request, evolve(context, place=place))
    if built.volumes or built.removed:
        require_visible(group, volume, "convert", request, targets)
    after = with_built(group, built, targets)
    require_valid(after, targets)
    new = after.lv_by_id.get(built.main)
    fresh = tuple(lv for lv in built.mains if lv not in group.lv_by_id)
    activate = fresh if built.activate is None else built.activate
    wipe = fresh if built.wipe is None else built.wipe
    word = "repaired" if isinstance(request, RepairVolume) else "converted"
    done = (f"Logical volume {full_name(group, new or volume)} {word}.",)
    return Change(
        before=group,
        after=after,
        activate=activate,
        start=built.mains,
        zero=built.zero,
        needs_active=built.needs_active,
        tools=built.tools,
        waits=built.waits,
        wipe=tuple(Wipe(lv) for lv in wipe if lv in activate),
        notes=built.notes,
        done=done if built.done is None else built.done,
    )


def finish_volume(
    group: VolumeGroup,
    lv: Uuid,
    name: str,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change | None:
    """The change that is due after what is pending in a volume under ``name`` has ended; None: nothing is."""
    require_changeable(group)
    context = Context(find_volume(group, lv), targets, stamp, live, machine)
    built = targets.own_change(group, FinishVolume(lv, name), context)
    if built is None:
        return None
    after = with_built(group, built, targets)
    require_valid(after, targets)
    return Change(before=group, after=after, zero=built.zero, notes=built.notes, done=built.done or ())


def take_back(
    group: VolumeGroup,
    lv: str,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change | None:
    """The change that undoes one of which the device of volume ``lv`` did not take its message, if any does."""
    volume = next((one for one in group.lvs if one.id == lv), None)
    if volume is None:
        return None
    built = targets.own_change(group, TakeBack(volume.id), Context(volume, targets, stamp, live, machine))
    if built is None:
        return None
    after = with_built(group, built, targets)
    require_valid(after, targets)
    return Change(before=group, after=after, notes=built.notes)
