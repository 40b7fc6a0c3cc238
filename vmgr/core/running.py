"""Which volumes run, those included that no installed plugin understands; pure.

A device of a volume carries the UUIDs of group and volume in its own, so that much can be told of any device,
whatever its target is: that the volume runs, not whether that is all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from vmgr.core.devices import own_uuid, stack
from vmgr.core.model import LvArea, UnknownBody
from vmgr.core.naming import UUID_PREFIX, dm_uuid, split_dm_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets

LENGTH = len(UUID_PREFIX) + 32 + 32
"""Of the part of a device's UUID that is a volume's; a suffix may follow."""


def understood(group: VolumeGroup, volume: LogicalVolume) -> bool:
    """Whether installed plugins know all that the volume consists of."""
    return next(unknown_types(group, volume), None) is None


def unknown_types(group: VolumeGroup, volume: LogicalVolume) -> Iterator[str]:
    """The type words that no installed plugin knows, of the volume and of what it consists of, its own first."""
    by_id = group.lv_by_id
    todo, seen = [volume], set()
    while todo:
        lv = todo.pop()
        if lv.id in seen:
            continue
        seen.add(lv.id)
        if lv.shape is not None:
            continue  # a plain volume, not yet read
        for segment in lv.segments:
            if isinstance(segment.body, UnknownBody):
                yield segment.body.type_word
            todo.extend(by_id[a.lv] for a in segment.body.areas if isinstance(a, LvArea) and a.lv in by_id)
            todo.extend(by_id[r.lv] for r in segment.body.references if r.lv in by_id)


def running_volumes(group: VolumeGroup, live: Live) -> list[LogicalVolume]:
    """The visible volumes that run. One that is not understood does as soon as the kernel has any device of it."""
    if not live:
        return []
    whole = {uuid[:LENGTH] for uuid in live}

    def runs(lv: LogicalVolume) -> bool:
        return own_uuid(group, lv) in live if understood(group, lv) else dm_uuid(group.id, lv.id) in whole

    return [lv for lv in group.lvs if lv.visible and runs(lv)]


def strange_devices(group: VolumeGroup, live: Live, targets: Targets) -> tuple[LiveDevice, ...]:
    """The group's devices that belong to no volume that is understood, by name. ``live`` is with tables.

    They are those of volumes without a plugin, with what these lie on, and those of volumes that the metadata do
    not have.
    """
    mine = {uuid: device for uuid, device in live.items() if uuid.startswith(UUID_PREFIX + group.id)}
    if not mine:
        return ()
    known = [lv.id for lv in group.lvs if lv.visible and understood(group, lv)]
    for device in stack(group, known, targets, live):
        mine.pop(device.uuid, None)
    return tuple(sorted(mine.values(), key=lambda device: device.name))


def describe_device(group: VolumeGroup, device: LiveDevice) -> str:
    """A device with the volume that it is part of: ``gg-r_rimage_0 (logical volume gg/r_rimage_0)``."""
    vgid, lvid, _ = split_dm_uuid(device.uuid) or ("", "", "")
    lv = group.lv_by_id.get(cast("Uuid", lvid)) if vgid == group.id else None
    if lv is None:
        return f"{device.name} (the metadata have no such logical volume)"
    words = sorted({s.body.type_word for s in lv.segments if isinstance(s.body, UnknownBody)})
    kind = f", segment type {' and '.join(words)}" if words else ""
    return f"{device.name} (logical volume {group.name}/{lv.name}{kind})"
