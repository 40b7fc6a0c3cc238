"""Removes volumes, with all that cannot be without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from vmgr.core.change import Change
from vmgr.core.context import NO_MACHINE, NO_STAMP, Context, Machine
from vmgr.core.errors import Refused, VmgrError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    in_text_order,
    require_changeable,
    require_unlocked,
    require_visible,
    with_built,
)
from vmgr.core.requests import RemoveVolumes
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import RemoveVolume, Stamp
    from vmgr.core.targets import Targets


def removal_set(group: VolumeGroup, volume: LogicalVolume, targets: Targets) -> tuple[LogicalVolume, ...]:
    """``volume`` and all volumes that go with it, those that depend on others before these.

    The visible ones among them are what a user should be asked about.
    """
    by_id = group.lv_by_id
    found: dict[Uuid, None] = {}

    def visit(lv: LogicalVolume, path: tuple[Uuid, ...]) -> None:
        if lv.id in path:
            return
        for other in targets.removed_with(group, lv):
            if other in by_id and other not in found:
                visit(by_id[other], (*path, lv.id))
        found.setdefault(lv.id)

    visit(volume, ())
    return tuple(by_id[lv] for lv in found)


def remove_volume(
    group: VolumeGroup,
    request: RemoveVolume,
    targets: Targets,
    stamp: Stamp = NO_STAMP,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Remove a volume and what goes with it: its hidden parts, and the volumes that are nothing without it.

    Raises :class:`Refused` for a hidden volume (unless nothing that stays has a part in it) and for one that others
    still lie on or refer to.
    """
    change, refused = remove_volumes(group, (request,), targets, stamp, live=live, machine=machine)
    for error in refused.values():
        raise error
    return change


def remove_volumes(
    group: VolumeGroup,
    requests: Iterable[RemoveVolume],
    targets: Targets,
    stamp: Stamp = NO_STAMP,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> tuple[Change, dict[Uuid, VmgrError]]:
    """Remove many volumes, with what goes with each, in one change that is checked once.

    Those that cannot be removed stay; the second value says why, by UUID. A volume that others lie on or refer to
    can be removed together with these, in whatever order they are named.
    """
    require_changeable(group, missing=True)
    refused: dict[Uuid, VmgrError] = {}
    sets: dict[Uuid, tuple[LogicalVolume, ...]] = {}
    for request in requests:
        try:
            volume = find_volume(group, request.lv)
            context = Context(volume, targets, stamp, live, machine)
            targets.check_request(group, volume, request, context)
            going = removal_set(group, volume, targets)
            if not _stands_alone(group, volume, going):
                require_visible(group, volume, "remove", request, targets)
            for lv in going:
                require_unlocked(group, lv, "remove")
        except VmgrError as error:
            refused[request.lv] = error
        else:
            sets[request.lv] = going
    gone: dict[Uuid, LogicalVolume] = {}
    while sets:
        gone = {lv.id: lv for going in sets.values() for lv in going}
        held = {lv: reason for lv, going in sets.items() if (reason := _still_used(group, going, gone))}
        if not held:
            break
        refused |= held
        sets = {lv: going for lv, going in sets.items() if lv not in held}
    else:
        return Change(group, group), refused
    context = Context(next(iter(gone.values())), targets, stamp, live, machine)
    built = targets.changes(group, gone.values(), RemoveVolumes(tuple(gone)), context)
    after = in_text_order(group.without_lv(*gone))
    for each in built:
        after = with_built(after, each, targets)
    require_valid(after, targets)
    told = [lv.name for lv in gone.values() if lv.visible or lv.id in sets]
    done = tuple(f'Logical volume "{name}" successfully removed.' for name in told)
    for each in built:
        done += each.done or ()
    change = Change(
        before=group,
        after=after,
        zero=tuple(zero for each in built for zero in each.zero),
        needs_active=tuple(lv for each in built for lv in each.needs_active),
        tools=tuple(tool for each in built for tool in each.tools),
        waits=tuple(wait for each in built for wait in each.waits),
        notes=tuple(note for each in built for note in each.notes),
        done=done,
    )
    return change, refused


def _stands_alone(group: VolumeGroup, volume: LogicalVolume, going: Iterable[LogicalVolume]) -> bool:
    """Whether a hidden volume is nobody's part: its users go with it, as a merging snapshot's bookkeeping does.

    What its plugin has against its removal has been asked before.
    """
    users = {user.id for user in group.referrers.get(volume.id, ())}
    return bool(users) and users <= {lv.id for lv in going}


def _still_used(
    group: VolumeGroup, going: Iterable[LogicalVolume], gone: Mapping[Uuid, LogicalVolume]
) -> Refused | None:
    """What to raise where a volume that stays lies on or refers to one of ``going``."""
    for lv in going:
        users = [user.name for user in group.referrers.get(lv.id, ()) if user.id not in gone]
        if users:
            return Refused(
                f"logical volume {full_name(group, lv)} is used by {', '.join(users)}",
                hint=f"remove {'that volume' if len(users) == 1 else 'those volumes'} first",
            )
    return None
