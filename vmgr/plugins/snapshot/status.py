"""What the kernel says of a snapshot, and what reports say of it.

Status lines: ``USED/TOTAL METADATA`` in sectors, or a word (``drivers/md/dm-snap.c``, ``snapshot_status``). USED
counts the metadata, too. The percentages are LVM2's (``lib/metadata/lv.c``, ``device_mapper/libdm-report.c``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.hooks import Status, StatusOutcome, VolumeFacts
from vmgr.core.value import Value
from vmgr.plugins.snapshot.body import merging_into, snapshot_in, snapshots_of

if TYPE_CHECKING:
    from vmgr.core.model import LogicalVolume, Segment, VolumeGroup

INVALID, OVERFLOW, MERGE_FAILED, UNKNOWN = "invalid", "overflow", "merge failed", "unknown"

_NUMBERS = re.compile(r"(\d+)/(\d+)(?: (\d+))?", re.ASCII).fullmatch

_WORDS = {
    # What does not fit any more makes a snapshot useless, and it counts as full.
    "Invalid": Status(StatusOutcome.FAILED, 100.0, INVALID),
    "Overflow": Status(StatusOutcome.FAILED, 100.0, OVERFLOW),
    "Merge failed": Status(StatusOutcome.FAILED, None, MERGE_FAILED),
}
_STRANGE = Status(StatusOutcome.FAILED, None, UNKNOWN)


@frozen(repr=False)
class Fill(Value):
    """How many sectors of a COW volume are in use, and how many there are."""

    used: int
    total: int


def percentage(part: int, whole: int) -> float:
    """``part`` of ``whole`` in millionths of a percent, rounded down; 0 and 100 only where they are exact."""
    if part == whole or not whole:
        return 100.0
    if not part:
        return 0.0
    return min(max(int(100_000_000 * part / whole), 1), 99_999_999) / 1_000_000


def parse(target: str, params: str) -> Status:
    """The status line of a ``snapshot``, ``snapshot-origin`` or ``snapshot-merge`` target."""
    if target == "snapshot-origin":
        return Status()
    params = params.strip()
    match = _NUMBERS(params)
    if match is None:
        return _WORDS.get(params, _STRANGE)
    used, total, metadata = int(match[1]), int(match[2]), match[3]
    empty = metadata is not None and used == int(metadata)
    percent = 0.0 if empty else percentage(used, total)
    merging = target == "snapshot-merge" and not empty
    return Status(
        StatusOutcome.WAITING if merging else StatusOutcome.READY,
        percent,
        progress=f"{percent:.2f}% left" if merging else "",
        own=Fill(used, total),
    )


def facts(group: VolumeGroup, volume: LogicalVolume, segment: Segment, status: Status | None) -> VolumeFacts:
    """What a snapshot adds to the facts of its COW volume and of its origin."""
    snapshot = snapshot_in(group, volume)
    if snapshot is not None:
        merging = snapshot.body.merging
        values: list[tuple[str, object]] = [
            ("origin", snapshot.body.origin),
            ("origin_uuid", snapshot.body.origin.dashed),
            ("origin_size", snapshot.volume.size.sectors(group.extent_size)),
            ("chunk_size", snapshot.body.chunk_size),
            ("lv_merging", merging),
            ("lv_role", ("public", "snapshot", "thicksnapshot")),
            ("lv_modules", ("snapshot",)),
        ]
        return _facts("S" if merging else "s", status, values)
    snapshots = snapshots_of(group, volume)
    if not snapshots:
        return VolumeFacts("snapshot")
    merging = merging_into(group, volume) is not None
    kind = "O" if merging else "o"
    if snapshots[0].body is not segment.body:
        # The volume is the origin of several snapshots: the first one's call has said it all.
        return VolumeFacts("snapshot", kind, "s")
    values = [
        ("origin_size", volume.size.sectors(group.extent_size)),
        ("lv_merging", merging),
        ("lv_role", ("origin", "thickorigin", *(("multithickorigin",) if len(snapshots) > 1 else ()))),
        ("lv_modules", ("snapshot",)),
    ]
    return _facts(kind, status if merging else None, values)


def _facts(kind: str, status: Status | None, values: list[tuple[str, object]]) -> VolumeFacts:
    state = ""
    if status is not None and (status.health or isinstance(status.own, Fill)):
        state = {INVALID: "IS", MERGE_FAILED: "mM"}.get(status.health, "")
        values = [
            *values,
            ("lv_merge_failed", status.health == MERGE_FAILED),
            ("lv_snapshot_invalid", status.health == INVALID),
        ]
        if status.percent is not None:
            values += [("data_percent", status.percent), ("snap_percent", status.percent)]
    return VolumeFacts("snapshot", kind, "s", state, values=tuple(values))
