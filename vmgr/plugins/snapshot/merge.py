"""Merging a snapshot back into its origin: the conversion that asks for it, and its end.

Rules and messages are LVM2's (``tools/lvconvert.c`` ``_lvconvert_merge_old_snapshot``, ``tools/lvconvert_poll.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import Refused
from vmgr.core.exchange import Built
from vmgr.core.naming import dm_uuid
from vmgr.plugins.snapshot.body import merging_into, snapshot_in
from vmgr.plugins.snapshot.stack import delay
from vmgr.plugins.snapshot.status import INVALID, parse

if TYPE_CHECKING:
    from vmgr.core.hooks import Live, TargetStatus
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ConvertVolume


def live_health(group: VolumeGroup, cow: LogicalVolume, live: Live) -> TargetStatus | None:
    """The status of a snapshot's device, None if it is not active or was not asked for."""
    device = live.get(dm_uuid(group.id, cow.id))
    if device is None or not device.status:
        return None
    line = device.status[0]
    return parse(line.target, line.params) if line.target == "snapshot" else None


def start(group: VolumeGroup, request: ConvertVolume, live: Live) -> Built:
    """Mark a snapshot as merging. It merges now if nobody has it or its origin open, else when next activated."""
    volume = group.lv_by_id[request.lv]
    snapshot = snapshot_in(group, volume)
    name = f"{group.name}/{volume.name}"
    if snapshot is None:
        raise Refused(f"{name} is not a mergeable logical volume", hint="give the name of a snapshot")
    origin = group.lv_by_id[snapshot.body.origin]
    origin_name = f"{group.name}/{origin.name}"
    other = merging_into(group, origin)
    if other is not None:
        if other.body.cow == volume.id:
            raise Refused(f"snapshot {name} is already being merged into {origin_name}")
        merging = group.lv_by_id[other.body.cow].name
        raise Refused(
            f"cannot merge snapshot {name} into the origin {origin_name} with merging snapshot"
            f" {group.name}/{merging}",
            hint="wait until that merge has ended",
        )
    if not origin.writable:
        raise Refused(
            f"cannot merge snapshot {name} into the read-only origin {origin_name}",
            hint=f"make it writable: lvchange -p rw {origin_name}",
        )
    status = live_health(group, volume, live)
    if status is not None and status.health == INVALID:
        raise Refused(f"unable to merge invalidated snapshot LV {name}", hint=f"remove it: lvremove {name}")
    now, why = delay(group, origin, snapshot, live)
    if now:
        notes: tuple[str, ...] = (f"Merging of volume {name} started.",)
    else:
        notes = (f"Merging of snapshot {name} will occur on next activation of {origin_name}.",)
        if why:
            notes = (why, *notes)
    hidden = evolve(volume, status=tuple(word for word in volume.status if word != "VISIBLE"))
    segment = snapshot.volume.segments[0]
    marked = evolve(snapshot.volume, segments=(evolve(segment, body=evolve(snapshot.body, merging=True)),))
    return Built((hidden, marked), origin.id, wipe=False, activate=False, notes=notes)


def end(group: VolumeGroup, volume: LogicalVolume, status: TargetStatus) -> Built | None:
    """The snapshot goes once all of it is back in the origin."""
    snapshot = merging_into(group, volume)
    if snapshot is None or not status.done:
        return None
    return Built(
        (),
        volume.id,
        removed=(snapshot.body.cow, snapshot.volume.id),
        wipe=False,
        activate=False,
        notes=(f"Merge of snapshot into logical volume {group.name}/{volume.name} has finished.",),
    )
