"""Merging a snapshot back into its origin: the conversion that asks for it, and its end.

Rules and messages are LVM2's (``tools/lvconvert.c`` ``_lvconvert_merge_old_snapshot``, ``tools/lvconvert_poll.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import Refused
from vmgr.core.exchange import Built
from vmgr.core.hooks import StatusOutcome
from vmgr.core.naming import dm_uuid
from vmgr.core.requests import option
from vmgr.plugins.snapshot.body import body_of, merging_into, snapshot_in
from vmgr.plugins.snapshot.stack import delay, is_merge_target
from vmgr.plugins.snapshot.status import INVALID, parse

if TYPE_CHECKING:
    from vmgr.core.hooks import Live, Status
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ConvertVolume
    from vmgr.plugins.snapshot.body import Snapshot


def live_health(group: VolumeGroup, cow: LogicalVolume, live: Live) -> Status | None:
    """The status of a snapshot's device, None if it is not active or was not asked for."""
    device = live.get(dm_uuid(group.id, cow.id))
    if device is None or not device.status:
        return None
    line = device.status[0]
    return parse(line.target, line.params) if line.target == "snapshot" else None


def start(group: VolumeGroup, request: ConvertVolume, live: Live) -> Built:
    """Mark a snapshot as merging. It merges now if nobody has it or its origin open, else when next activated."""
    option(request.options, "merge")  # there is no other conversion of a snapshot
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
            return _again(group, origin, other, live)
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
    return Built((hidden, marked), (origin.id,), notes=notes, done=())


def _again(group: VolumeGroup, origin: LogicalVolume, snapshot: Snapshot, live: Live) -> Built:
    """What comes of the request where the metadata ask for that merge already: it begins, if it only waited.

    So it is when the command that asked for it was killed before the devices followed. LVM2 ends with 5 for a merge
    that runs, and for one that waits.
    """
    name, origin_name = (f"{group.name}/{lv.name}" for lv in (group.lv_by_id[snapshot.body.cow], origin))
    top = live.get(dm_uuid(group.id, origin.id))
    if top is not None and is_merge_target(top):
        raise Refused(
            f"snapshot {name} is already being merged into {origin_name}",
            hint=f"to wait for the end, and have it written down: vgchange --poll y {group.name}",
        )
    now, why = delay(group, origin, snapshot, live)
    if now:
        return Built((), (origin.id,), done=(), notes=(f"Merging of volume {name} started.",))
    begin = (
        f"close both, then: lvchange --refresh {origin_name}" if why else f"activate it: lvchange -ay {origin_name}"
    )
    raise Refused(
        f"snapshot {name} is already to be merged into {origin_name}, which begins when that is next activated",
        details=(why,) if why else (),
        hint=begin,
    )


def end(group: VolumeGroup, book: LogicalVolume, live: Live) -> Built | None:
    """The snapshot goes once the kernel says that all of it is back in the origin; ``book`` keeps its books."""
    body = body_of(book)
    top = live.get(dm_uuid(group.id, body.origin)) if body is not None else None
    if body is None or not body.merging or top is None:
        return None
    lines = [line for line in top.status or () if line.target == "snapshot-merge"]
    if not lines or parse(lines[0].target, lines[0].params).outcome != StatusOutcome.READY:
        return None  # it has not begun, or goes on: without the snapshot its content would be lost
    origin = group.lv_by_id[body.origin]
    return Built(
        (),
        (origin.id,),
        removed=(body.cow, book.id),
        notes=(f"Merge of snapshot into logical volume {group.name}/{origin.name} has finished.",),
    )
