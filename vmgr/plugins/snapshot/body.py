"""What a snapshot's bookkeeping volume holds, and how to find the snapshots of a volume.

LVM2 describes a snapshot in a hidden volume ``snapshotN``, as long as the origin was when the snapshot was
taken, which refers to the origin and to the COW volume: the one that users see under the snapshot's name,
and that holds the chunks that were copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.model import LogicalVolume, Reference, SegmentBody, VolumeGroup
from vmgr.core.value import Value

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.units import Sectors


@frozen(repr=False)
class SnapshotBody(SegmentBody):
    """``cow`` holds what ``origin`` was, in chunks of ``chunk_size`` sectors; ``merging``: it shall go back."""

    origin: Uuid
    cow: Uuid
    chunk_size: Sectors
    merging: bool = False

    @property
    def references(self) -> tuple[Reference, ...]:
        """The origin and the COW volume."""
        return (Reference(self.origin, "origin"), Reference(self.cow, "cow"))


@frozen(repr=False)
class Snapshot(Value):
    """A snapshot: its bookkeeping volume, and that one's body."""

    volume: LogicalVolume
    body: SnapshotBody


def body_of(volume: LogicalVolume) -> SnapshotBody | None:
    """The body of a bookkeeping volume; None for any other."""
    if volume.segments and isinstance(volume.segments[0].body, SnapshotBody):
        return volume.segments[0].body
    return None


def _around(group: VolumeGroup, volume: LogicalVolume) -> list[Snapshot]:
    found = []
    for lv in group.referrers.get(volume.id, ()):
        body = body_of(lv)
        if body is not None:
            found.append(Snapshot(lv, body))
    return found


def snapshots_of(group: VolumeGroup, origin: LogicalVolume) -> tuple[Snapshot, ...]:
    """The snapshots that were taken of ``origin``, in the group's order."""
    return tuple(s for s in _around(group, origin) if s.body.origin == origin.id)


def snapshot_in(group: VolumeGroup, cow: LogicalVolume) -> Snapshot | None:
    """The snapshot whose COW volume ``cow`` is; None if it is none."""
    for found in _around(group, cow):
        if found.body.cow == cow.id:
            return found
    return None


def merging_into(group: VolumeGroup, origin: LogicalVolume) -> Snapshot | None:
    """The snapshot that is, or waits to be, merged into ``origin``."""
    for found in snapshots_of(group, origin):
        if found.body.merging:
            return found
    return None
