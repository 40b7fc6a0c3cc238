"""Deactivation by what the kernel has, for a group whose metadata cannot tell what lies on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.ids import Uuid
from vmgr.core.inuse import below, refuse_open
from vmgr.core.naming import split_dm_name, split_dm_uuid
from vmgr.core.phases import Plan
from vmgr.core.steps import RemoveDevice

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.hooks import Live
    from vmgr.core.table import LiveDevice


def live_volumes(group: Uuid, live: Live) -> tuple[Uuid, ...]:
    """The volumes of ``group`` that have devices, whether its metadata knows them or not."""
    found = (split_dm_uuid(uuid) for uuid in live)
    return tuple(dict.fromkeys(str.__new__(Uuid, parts[1]) for parts in found if parts and parts[0] == group))


def plan_takedown(change: Change, live: Live) -> Plan:
    """Remove the devices of ``change.deactivate``, and helper devices that nothing else lies on, users first.

    ``live`` has tables. Raises :class:`~vmgr.core.errors.InUse` for a device that is open.
    """
    assert change.before is not None
    group = change.before
    own: dict[str, LiveDevice] = {}
    for uuid, device in live.items():
        parts = split_dm_uuid(uuid)
        if parts is not None and parts[0] == group.id:
            own[uuid] = device
    gone = {uuid for uuid in own if _volume(uuid) in change.deactivate}
    helpers = {uuid for uuid in own if uuid not in gone and _is_helper(change, uuid)}
    users: dict[str, set[str]] = {}
    for uuid, device in live.items():
        for number in below(device):
            users.setdefault(number, set()).add(uuid)
    while True:
        idle = {uuid for uuid in helpers - gone if (on := users.get(_number(own[uuid]), set())) and on <= gone}
        if not idle:
            break
        gone |= idle
    refuse_open(gone, live, group)
    steps: list[RemoveDevice] = []
    left = set(gone)
    while left:
        free = sorted(uuid for uuid in left if not users.get(_number(own[uuid]), set()) & left)
        for uuid in free or sorted(left):
            vg, lv, layer = split_dm_name(own[uuid].name)
            steps.append(RemoveDevice(uuid, own[uuid].name, (vg, lv) if lv and not layer else None))
        left -= set(free or left)
    return Plan((change,), tuple(steps))


def _volume(uuid: str) -> str:
    parts = split_dm_uuid(uuid)
    return parts[1] if parts is not None else ""


def _number(device: LiveDevice) -> str:
    return f"{device.major}:{device.minor}"


def _is_helper(change: Change, uuid: str) -> bool:
    """Whether a device is no volume that somebody asked for: it has a suffix, or its volume is hidden."""
    assert change.before is not None
    parts = split_dm_uuid(uuid)
    volume = change.before.lv_by_id.get(str.__new__(Uuid, parts[1])) if parts is not None else None
    return bool(parts and parts[2]) or (volume is not None and not volume.visible)
