"""The devices of origins and snapshots.

As LVM2 makes them (``lib/activate/dev_manager.c`` ``_add_new_lv_to_dtree``), for an origin ``base`` and
its snapshot ``snap``::

    vg-base        snapshot-origin over vg-base-real, or snapshot-merge while a snapshot goes back into it
    vg-base-real   the origin's own segments
    vg-snap        snapshot over vg-base-real and vg-snap-cow; error while it is the one that merges
    vg-snap-cow    the COW volume's own segments

A merge that the metadata ask for does not begin while someone has the origin or the snapshot open: what
they read would change under them. The snapshot stays one then, until the volumes are next activated or refreshed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import PluginError
from vmgr.core.naming import dm_name, dm_uuid
from vmgr.core.table import DevRef, DmDevice, TargetLine
from vmgr.core.units import Sectors
from vmgr.plugins.snapshot.body import merging_into, snapshot_in, snapshots_of

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.plugins.snapshot.body import Snapshot

PERSISTENT = "P"
"""The exception store's kind: it survives a deactivation."""


def devices_of(
    group: VolumeGroup, volume: LogicalVolume, base: DmDevice, live: Live, start: bool
) -> tuple[DmDevice, ...]:
    """The devices of an origin or a COW volume; ``(base,)`` for any other volume."""
    snapshot = snapshot_in(group, volume)
    if snapshot is not None:
        return _snapshot(group, volume, base, snapshot, live, start)
    if snapshots_of(group, volume):
        return _origin(group, volume, base, live, start)
    return (base,)


def _origin(
    group: VolumeGroup, volume: LogicalVolume, base: DmDevice, live: Live, start: bool
) -> tuple[DmDevice, ...]:
    real = _helper(group, volume, base, "real")
    merging = merging_into(group, volume)
    runs = merging is not None and merge_runs(group, volume, merging, live, start)
    top = live.get(dm_uuid(group.id, volume.id))
    # Writes to an origin that runs before its snapshot would not be copied into that.
    after = tuple(
        dm_uuid(group.id, s.body.cow) for s in snapshots_of(group, volume) if not (runs and s.body.merging)
    )
    if merging is not None and runs:
        line = TargetLine(Sectors(0), base.size, "snapshot-merge", _args(group, merging))
    else:
        line = TargetLine(Sectors(0), base.size, "snapshot-origin", (DevRef(real.uuid),))
    # The kernel takes no table for a merge into an origin while one goes on (``dm-snap.c``, "already merging").
    fixed = runs and top is not None and bool(is_merge_target(top))
    return real, evolve(base, table=(line,), after=after, exclusive=False, fixed=fixed)


def _snapshot(
    group: VolumeGroup, volume: LogicalVolume, base: DmDevice, snapshot: Snapshot, live: Live, start: bool
) -> tuple[DmDevice, ...]:
    # It holds what its origin holds, but links by content (/dev/disk/by-uuid) are the origin's.
    base = evolve(base, low_priority=True)
    # The exceptions are written also where the snapshot itself is read-only.
    cow = evolve(_helper(group, volume, base, "cow"), read_only=False)
    length = snapshot.volume.size.sectors(group.extent_size)
    origin = group.lv_by_id[snapshot.body.origin]
    after: tuple[str, ...] = ()
    if snapshot.body.merging and merge_runs(group, origin, snapshot, live, start):
        # Until the merging origin has taken over its exceptions, the snapshot must keep them.
        after = (dm_uuid(group.id, origin.id),)
        line = TargetLine(Sectors(0), length, "error")
    else:
        line = TargetLine(Sectors(0), length, "snapshot", _args(group, snapshot))
    return cow, evolve(base, table=(line,), after=after, exclusive=False)


def _args(group: VolumeGroup, snapshot: Snapshot) -> tuple[DevRef | str, ...]:
    """``ORIGIN COW P CHUNK`` (kernel documentation, ``device-mapper/snapshot.rst``)."""
    body = snapshot.body
    return (
        DevRef(dm_uuid(group.id, body.origin, "real")),
        DevRef(dm_uuid(group.id, body.cow, "cow")),
        PERSISTENT,
        str(body.chunk_size),
    )


def _helper(group: VolumeGroup, volume: LogicalVolume, base: DmDevice, layer: str) -> DmDevice:
    return evolve(
        base,
        name=dm_name(group.name, volume.name, layer),
        uuid=dm_uuid(group.id, volume.id, layer),
        link=None,
        numbers=None,
    )


# -- merging --------------------------------------------------------------------------------------


def is_merge_target(device: LiveDevice) -> bool | None:
    """Whether a merge runs in a live device; None if neither its table nor its status was asked for."""
    lines = device.table if device.table is not None else device.status
    return None if lines is None else any(line.target == "snapshot-merge" for line in lines)


def merge_runs(group: VolumeGroup, origin: LogicalVolume, snapshot: Snapshot, live: Live, start: bool) -> bool:
    """Whether a merge that the metadata ask for runs, or shall begin now."""
    top = live.get(dm_uuid(group.id, origin.id))
    if top is not None:
        running = is_merge_target(top)
        if running is None:
            raise PluginError(f"the table of {top.name} is needed to tell whether a merge runs")
        if running:
            return True
        if not start or top.open_count:
            return False
    cow = live.get(dm_uuid(group.id, snapshot.body.cow))
    return cow is None or not cow.open_count


def delay(group: VolumeGroup, origin: LogicalVolume, snapshot: Snapshot, live: Live) -> tuple[bool, str]:
    """Whether a merge asked for now starts now; and if not because something is open, what LVM2 says to that."""
    top = live.get(dm_uuid(group.id, origin.id))
    if top is None:
        return False, ""
    if top.open_count:
        return False, "Delaying merge since origin is open."
    cow = live.get(dm_uuid(group.id, snapshot.body.cow))
    if cow is not None and cow.open_count:
        return False, "Delaying merge since snapshot is open."
    return True, ""
