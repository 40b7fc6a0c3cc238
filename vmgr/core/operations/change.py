"""Changes attributes of volumes that leave their extents where they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change
from vmgr.core.context import NO_MACHINE, NO_STAMP, Context, Machine
from vmgr.core.errors import Refused, VmgrError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.naming import dm_uuid
from vmgr.core.operations.checks import (
    changed_tags,
    find_volume,
    full_name,
    require_changeable,
    require_policy,
    require_visible,
    with_built,
    with_flag,
)
from vmgr.core.operations.create import require_numbers
from vmgr.core.requests import NO_NUMBERS, READ_AHEAD_AUTO
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ChangeVolume, Stamp
    from vmgr.core.targets import Targets
    from vmgr.core.tools import ToolRun, WaitUntil


def change_volume(
    group: VolumeGroup,
    request: ChangeVolume,
    targets: Targets,
    stamp: Stamp = NO_STAMP,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Change a volume's attributes.

    ``read_ahead`` :data:`~vmgr.core.requests.READ_AHEAD_AUTO` is "auto", ``numbers``
    :data:`~vmgr.core.requests.NO_NUMBERS` none. As in LVM2, asking for what is already so raises :class:`Refused`,
    unless it is a permission that the kernel has otherwise: then the volume is refreshed.
    """
    made, refused = change_volumes(group, (request,), targets, stamp, live=live, machine=machine)
    for error in refused.values():
        raise error
    return made


def change_volumes(
    group: VolumeGroup,
    requests: Iterable[ChangeVolume],
    targets: Targets,
    stamp: Stamp = NO_STAMP,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> tuple[Change, dict[Uuid, VmgrError]]:
    """Change the attributes of many volumes in one change that is checked once; each as :func:`change_volume` does.

    Those that cannot be changed stay as they are; the second value says why, by UUID.
    """
    require_changeable(group, missing=True)
    refused: dict[Uuid, VmgrError] = {}
    changed: list[LogicalVolume] = []
    refresh: list[Uuid] = []
    zero: list[ZeroRange] = []
    needs: list[Uuid] = []
    tools: list[ToolRun] = []
    waits: list[WaitUntil] = []
    notes: list[str] = []
    done: list[str] = []
    after = group
    for request in requests:
        try:
            volume = find_volume(after, request.lv)
            context = Context(volume, targets, stamp, live, machine)
            new, said = _changed(after, volume, request, targets, context)
            built = targets.changes(after, (volume,), request, evolve(context, volume=new))
        except VmgrError as error:
            refused[request.lv] = error
            continue
        if new != volume:
            changed.append(new)
        if said:
            refresh.append(volume.id)
            notes += said
        if built:
            after = after.with_lv(*changed)
            changed.clear()
        for each in built:
            after = with_built(after, each, targets)
            zero += each.zero
            needs += each.needs_active
            tools += each.tools
            waits += each.waits
            notes += each.notes
        done.append(f"Logical volume {full_name(group, volume)} changed.")
    if changed:
        after = after.with_lv(*changed)
    require_valid(after, targets)
    change = Change(
        before=group,
        after=after,
        refresh=tuple(refresh),
        zero=tuple(zero),
        needs_active=tuple(needs),
        tools=tuple(tools),
        waits=tuple(waits),
        notes=tuple(notes),
        done=tuple(done),
    )
    return change, refused


def _changed(
    group: VolumeGroup, volume: LogicalVolume, request: ChangeVolume, targets: Targets, context: Context
) -> tuple[LogicalVolume, tuple[str, ...]]:
    """The volume as it shall be; a note where only the kernel differs from that."""
    targets.check_request(group, volume, request, context)
    require_visible(group, volume, "change", request, targets)
    name = full_name(group, volume)
    new, notes = _permission(group, volume, request, context.live)
    new = _policy(new, request, name)
    new = _read_ahead(new, request, name)
    new = _numbers(new, request, name)
    new = _flags(new, request)
    if request.profile is not None:
        new = evolve(new, profile=request.profile)
    return evolve(new, tags=changed_tags(new.tags, request.add_tags, request.del_tags)), notes


def _permission(
    group: VolumeGroup, volume: LogicalVolume, request: ChangeVolume, live: Live
) -> tuple[LogicalVolume, tuple[str, ...]]:
    """The volume with its new permission; a note if it has it already and only the kernel differs."""
    if request.read_only is None:
        return volume, ()
    if request.read_only != volume.writable:
        name = full_name(group, volume)
        word = "read only" if request.read_only else "writable"
        device = live.get(dm_uuid(group.id, volume.id))
        if device is None or device.read_only == request.read_only:
            raise Refused(f'logical volume "{name}" is already {word}')
        return volume, (f"Logical volume {name} is already {word}.  Refreshing kernel state.",)
    return evolve(volume, status=with_flag(volume.status, "WRITE", not request.read_only)), ()


def _policy(volume: LogicalVolume, request: ChangeVolume, name: str) -> LogicalVolume:
    if request.alloc is None:
        return volume
    require_policy(request.alloc)
    if request.alloc == volume.alloc:
        raise Refused(f"allocation policy of logical volume {name} is already {request.alloc}")
    return evolve(volume, alloc=request.alloc)


def _read_ahead(volume: LogicalVolume, request: ChangeVolume, name: str) -> LogicalVolume:
    if request.read_ahead is None:
        return volume
    read_ahead = None if request.read_ahead == READ_AHEAD_AUTO else request.read_ahead
    if read_ahead == volume.read_ahead:
        raise Refused(f"read ahead is already {'auto' if read_ahead is None else read_ahead} for {name}")
    return evolve(volume, read_ahead=read_ahead)


def _numbers(volume: LogicalVolume, request: ChangeVolume, name: str) -> LogicalVolume:
    if request.numbers is None:
        return volume
    if request.numbers == NO_NUMBERS:
        if "FIXED_MINOR" not in volume.status:
            raise Refused(f"minor number is already not persistent for {name}")
        return evolve(volume, status=with_flag(volume.status, "FIXED_MINOR", False), major=None, minor=None)
    major, minor = request.numbers
    require_numbers(major, minor)
    major = 0  # as LVM2 keeps it: the kernel gives the major number, whatever is asked for
    return evolve(volume, status=with_flag(volume.status, "FIXED_MINOR", True), major=major, minor=minor)


def _flags(volume: LogicalVolume, request: ChangeVolume) -> LogicalVolume:
    flags = volume.flags
    if request.activation_skip is not None:
        flags = _ordered(with_flag(flags, "ACTIVATION_SKIP", request.activation_skip))
    if request.autoactivate is not None:
        flags = _ordered(with_flag(flags, "NOAUTOACTIVATE", not request.autoactivate))
    return evolve(volume, flags=flags)


_FLAG_ORDER = ("WRITE_LOCKED", "ACTIVATION_SKIP", "NOAUTOACTIVATE", "ERROR_WHEN_FULL", "CACHE_VOL")


def _ordered(flags: tuple[str, ...]) -> tuple[str, ...]:
    """Flags in LVM2's order; unknown ones last, as they came."""
    known = [flag for flag in _FLAG_ORDER if flag in flags]
    return (*known, *(flag for flag in flags if flag not in _FLAG_ORDER))
