"""Which active volumes lie on devices that are not their physical volumes, as sysfs tells.

In the ordinary case nothing is asked of single volumes: devices that carry no PV in use are asked who holds them,
of which there are few, and so is each PV of the groups looked at where the kernel's devices were asked for anyway.
Only volumes for which the answer is not what their metadata say are looked at one by one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from vmgr.core.ids import Uuid
from vmgr.core.model import PvArea
from vmgr.core.naming import UUID_PREFIX, split_dm_uuid
from vmgr.system.devices import SYSFS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from vmgr.core.model import LogicalVolume
    from vmgr.core.table import LiveDevice
    from vmgr.core.view import GroupView
    from vmgr.system.devices import Device


def mismatches(groups: Iterable[GroupView], devices: Iterable[Device]) -> Iterator[str]:
    """A sentence, in LVM2's words, for each volume of ``groups`` that lies on one of ``devices``, not their PVs."""
    by_id: dict[str, GroupView] = {shown.group.id: shown for shown in groups}
    for device in devices:
        for uuid in _holders(device):
            vg, lv, _ = split_dm_uuid(uuid) or ("", "", "")
            shown = by_id.get(vg)
            if shown is not None and lv in shown.group.lv_by_id and not _is_part(device, vg):
                yield _sentence(shown, Uuid(lv), device.path)


def misplaced(shown: GroupView, live: Mapping[str, LiveDevice]) -> tuple[Uuid, ...]:
    """The active volumes of a group that do not lie on just the physical volumes that their metadata name.

    ``live`` are the kernel's devices by UUID. One listing for each physical volume is asked of sysfs. A volume
    whose table is older than its metadata is among them, too: :func:`elsewhere` tells.
    """
    group = shown.group
    prefix = f"{UUID_PREFIX}{group.id}"
    start, end = len(prefix), len(prefix) + 32
    volume_of = {f"dm-{d.minor}": uuid[start:end] for uuid, d in live.items() if uuid.startswith(prefix)}
    if not volume_of:
        return ()
    by_id = cast("Mapping[str, LogicalVolume]", group.lv_by_id)
    running = [by_id[lv] for lv in set(volume_of.values()) if lv in by_id]
    differing: set[tuple[str, Uuid]] = set()
    for pv in shown.pvs.values():
        holders = listed(f"{SYSFS}/dev/block/{pv.number}/holders")
        if holders is None:
            return ()  # sysfs is not there, or the device went away: nothing is known
        differing.update([(volume_of[name], pv.id) for name in holders if name in volume_of])
    differing ^= {(lv.id, lv.shape.pv) for lv in running if lv.shape is not None}
    differing ^= {(lv.id, pv) for lv in running if lv.shape is None for pv in _named(lv)}
    return tuple(by_id[lv].id for lv in sorted({lv for lv, _ in differing}) if lv in by_id)


def elsewhere(
    shown: GroupView, volumes: Iterable[Uuid], live: Mapping[str, LiveDevice], devices: Iterable[Device]
) -> Iterator[str]:
    """A sentence for each of ``volumes`` that lies on one of ``devices`` which is none of its physical volumes."""
    by_number = {f"{device.major}:{device.minor}": device for device in devices}
    prefix = f"{UUID_PREFIX}{shown.group.id}"
    devices_of: dict[str, list[LiveDevice]] = {}
    for uuid, one in live.items():
        if uuid.startswith(prefix):
            devices_of.setdefault(uuid[len(prefix) : len(prefix) + 32], []).append(one)
    for lv in volumes:
        volume = shown.group.lv_by_id[lv]
        allowed = {shown.pvs[pv].number for pv in _named(volume) if pv in shown.pvs}
        for one in devices_of.get(lv, ()):
            for name in listed(f"{SYSFS}/dev/block/{one.major}:{one.minor}/slaves") or ():
                number = _read(f"{SYSFS}/class/block/{name}/dev")
                device = by_number.get(number)
                if device is not None and number not in allowed and not _is_part(device, shown.group.id):
                    yield _sentence(shown, lv, device.path)


def _named(volume: LogicalVolume) -> set[Uuid]:
    """The physical volumes that a volume's own segments lie on."""
    if volume.shape is not None:
        return {volume.shape.pv}
    return {area.pv for area in volume.areas() if isinstance(area, PvArea)}


def _sentence(shown: GroupView, lv: Uuid, path: str) -> str:
    group = shown.group
    volume = group.lv_by_id[lv]
    where = dict.fromkeys(
        shown.pvs[area.pv].device for area in volume.areas() if isinstance(area, PvArea) and area.pv in shown.pvs
    )
    return (
        f"Device mismatch detected for {group.name}/{volume.name} which is accessing {path}"
        f" instead of {', '.join(where) or 'a missing device'}"
    )


def _is_part(device: Device, vg: str) -> bool:
    """Whether a device is one of the group's own: an origin's, below its snapshots."""
    return device.attribute("dm/uuid").startswith(f"{UUID_PREFIX}{vg}")


def _holders(device: Device) -> Iterator[str]:
    """The device-mapper UUIDs of what lies on a device."""
    for name in listed(f"{device.sysfs}/holders") or ():
        uuid = _read(f"{SYSFS}/class/block/{name}/dm/uuid")
        if uuid:
            yield uuid  # without one it is no mapped device, or is gone


def listed(folder: str) -> list[str] | None:
    """The names in a folder of sysfs; None where it is not there."""
    try:
        return os.listdir(folder)
    except OSError:
        return None


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""
