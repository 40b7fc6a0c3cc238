"""The target for copy-on-write snapshots ("old-style" ones, of any volume).

On disk a snapshot is two volumes (:mod:`.body`), in the kernel it is four devices with its origin (:mod:`.stack`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata, InUse, Refused, UsageError
from vmgr.core.hooks import (
    Claim,
    ColumnSpec,
    KernelTarget,
    OptionSpec,
    Pending,
    Status,
    StatusOutcome,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.naming import dm_uuid
from vmgr.core.units import Sectors
from vmgr.plugins.snapshot.body import (
    SnapshotBody,
    body_of,
    merging_into,
    snapshot_in,
    snapshots_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.context import Context
    from vmgr.core.exchange import Built, Violation
    from vmgr.core.hooks import Live, Names
    from vmgr.core.ids import Uuid
    from vmgr.core.model import Fields, FieldValue, LogicalVolume, Segment, VolumeGroup
    from vmgr.core.requests import Claimed, Request
    from vmgr.core.table import DmDevice, KernelLine, TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.units import Extents

WORD = "snapshot"

MANUAL = """\
A snapshot shows its origin as it was when the snapshot was taken, while the origin goes on changing. It can be
written to, too. Before a part of the origin changes for the first time, the kernel copies the old content into the
snapshot's COW (copy-on-write) volume; what is written to the snapshot itself goes there as well. The unit of
this is a chunk, whose size -c sets: a power of 2 from 4 KiB (the default) to 512 KiB.

The size of a snapshot is that of its COW volume: how much may change before it is full. A snapshot that is full is
invalid: its content is lost, and lvs shows the letter I in the fifth place of its attributes. The origin is not
affected. Watch the column Data% and extend the snapshot with lvextend in time. It never needs to be larger than
the origin and some metadata; -l 100%ORIGIN gives it that size, and then it cannot become full.

An origin may have several snapshots; each makes writing to the origin slower. There are no snapshots of
snapshots. An origin and its snapshots are active together. While it has snapshots an origin cannot be made smaller,
and can be made longer only while it is inactive. Removing an origin removes its snapshots.

lvconvert --merge puts a snapshot's content back into its origin, which thereby becomes what it was when the
snapshot was taken. If the origin or the snapshot is open, the merge begins when they are next activated. From
its beginning on the origin shows the content that it will have, and it can be used while the merge goes on. In the
end the snapshot is removed.\
"""

_LVCREATE = ("lvcreate",)


@hookimpl
def target_info() -> TargetInfo:
    """Say what the plugin is."""
    return TargetInfo(
        name="snapshot",
        summary="a volume as it was at one moment, by copying what changes",
        segment_types=(WORD,),
        fields=frozenset(("chunk_size", "origin", "cow_store", "merging_store")),
        bodies=(SnapshotBody,),
        # The error target of a merging snapshot is part of the device mapper itself.
        kernel_targets=(
            KernelTarget("snapshot", (1, 10, 2)),
            KernelTarget("snapshot-origin", module="dm-snapshot", config="DM_SNAPSHOT"),
            KernelTarget("snapshot-merge", module="dm-snapshot", config="DM_SNAPSHOT"),
        ),
        types=("snapshot",),
        options=(
            OptionSpec("snapshot", "flag", "Take a snapshot of the volume that is named.", _LVCREATE, "s"),
            OptionSpec(
                "chunksize",
                "size",
                "The unit in which a snapshot copies: a power of 2 from 4k to 512k.",
                _LVCREATE,
                "c",
                metavar="Size",
                default_unit="k",
            ),
            OptionSpec(
                "merge",
                "flag",
                "Put the content of a snapshot back into its origin, and remove the snapshot when that is done. If"
                " one of them is open, this begins when they are next activated.",
                ("lvconvert",),
                aliases=("mergesnapshot",),
            ),
        ),
        columns=(
            ColumnSpec("origin", "Origin", "string", "Volume that this one was taken of."),
            ColumnSpec(
                "origin_uuid",
                "Origin UUID",
                "string",
                "UUID of the volume that this one was taken of.",
            ),
            ColumnSpec("origin_size", "OSize", "size", "Size of the origin."),
            ColumnSpec(
                "data_percent",
                "Data%",
                "percent",
                "How full its space is, if it is active.",
            ),
            ColumnSpec("snap_percent", "Snap%", "percent", "How full its copy-on-write space is, if it is active."),
            ColumnSpec(
                "chunk_size",
                "Chunk",
                "size",
                "Unit of copying or of allocation.",
                per_segment=True,
            ),
            ColumnSpec("lv_role", "Role", "list", "LV role."),
            ColumnSpec("lv_modules", "Modules", "list", "Kernel device-mapper modules required for this LV."),
            ColumnSpec("lv_merging", "Merging", "binary", "Whether a merge into the origin is going on or due."),
            ColumnSpec("lv_merge_failed", "MergeFailed", "binary", "Whether a merge failed."),
            ColumnSpec("lv_snapshot_invalid", "SnapInvalid", "binary", "Whether its copy-on-write space is lost."),
        ),
        manual=MANUAL,
        over_plain=True,
        rank=100,  # of whatever kind the origin is, the snapshot is of all of it
    )


# -- on disk --------------------------------------------------------------------------------------


@hookimpl
def decode_segment(type_word: str, fields: Mapping[str, FieldValue], names: Names) -> SnapshotBody | None:
    """Read a bookkeeping volume's segment; one that merges says ``merging_store`` for ``cow_store``."""
    if type_word != WORD:
        return None
    chunk, origin = fields.get("chunk_size"), fields.get("origin")
    merging = "merging_store" in fields
    if merging and "cow_store" in fields:
        raise DamagedMetadata("a snapshot cannot have both a 'cow_store' and a 'merging_store'")
    cow = fields.get("merging_store" if merging else "cow_store")
    if not isinstance(chunk, int) or chunk < 1:
        raise DamagedMetadata("a snapshot has no 'chunk_size'")
    if not isinstance(origin, str) or not isinstance(cow, str):
        raise DamagedMetadata("a snapshot must name its 'origin' and its 'cow_store'")
    return SnapshotBody(names.lv(origin), names.lv(cow), Sectors(chunk), merging)


@hookimpl
def encode_segment(body: SnapshotBody, names: Names) -> tuple[str, Fields]:
    """Write a bookkeeping volume's segment."""
    return WORD, (
        ("chunk_size", int(body.chunk_size)),
        ("origin", names.lv_name(body.origin)),
        ("merging_store" if body.merging else "cow_store", names.lv_name(body.cow)),
    )


@hookimpl
def group_read(group: VolumeGroup) -> VolumeGroup:
    """Show the COW volumes that the text hides, and hide the bookkeeping volumes that it shows."""
    found = [lv for lv in group.by_body.get(SnapshotBody, ()) if body_of(lv) is not None]
    if not found:
        return group
    changed = []
    for book in found:
        body = body_of(book)
        assert body is not None
        changed.append(_shown(book, False))
        if (cow := group.lv_by_id.get(body.cow)) is not None:  # a damaged text may name one that is not there
            changed.append(_shown(cow, not body.merging))
    return group.with_lv(*changed)


@hookimpl
def group_written(group: VolumeGroup) -> VolumeGroup:
    """Hide COW volumes, and show the bookkeeping volumes of those that do not merge."""
    found = [lv for lv in group.by_body.get(SnapshotBody, ()) if body_of(lv) is not None]
    if not found:
        return group
    changed = []
    for book in found:
        body = body_of(book)
        assert body is not None
        changed.append(_shown(book, not body.merging))
        if (cow := group.lv_by_id.get(body.cow)) is not None:
            changed.append(_shown(cow, False))
    return group.with_lv(*changed)


_BEFORE_VISIBLE = frozenset(("READ", "WRITE", "FIXED_MINOR"))


def _shown(lv: LogicalVolume, visible: bool) -> LogicalVolume:
    """The volume with or without ``VISIBLE`` in its status, in LVM2's place (``lib/format_text/flags.c``)."""
    from attrs import evolve

    if lv.visible == visible:
        return lv
    rest = tuple(word for word in lv.status if word != "VISIBLE")
    if visible:
        at = sum(1 for word in rest if word in _BEFORE_VISIBLE)
        rest = (*rest[:at], "VISIBLE", *rest[at:])
    return evolve(lv, status=rest)


# -- making and changing --------------------------------------------------------------------------


@hookimpl
def claim(request: Claimed) -> int | None:
    """Claim what is of an origin and has a size; without a size another kind may know what to do."""
    from vmgr.core.requests import CreateVolume, option

    if not isinstance(request, CreateVolume):
        return None
    if request.type not in (None, WORD):
        return Claim.NO
    asked = request.type == WORD or bool(option(request.options, "snapshot"))
    if request.origin is None:
        if asked:
            raise UsageError("a snapshot needs an origin", hint="name the volume to take it of")
        return Claim.NO
    return Claim.YES if request.size is not None or request.type == WORD else Claim.IF_NOBODY_ELSE


@hookimpl
def check_request(group: VolumeGroup, volume: LogicalVolume, request: Request, ctx: Context) -> None:
    """Keep origins and COW volumes from changes that would lose data."""
    from vmgr.core.requests import ConvertVolume, ExtendVolume, ReduceVolume, RemoveVolume

    name, live = f"{group.name}/{volume.name}", ctx.live
    snapshot = snapshot_in(group, volume)
    if isinstance(request, ExtendVolume | ReduceVolume) and snapshots_of(group, volume):
        if isinstance(request, ReduceVolume):
            raise Refused(f"{name} has snapshots and cannot be reduced", hint="remove its snapshots first")
        if dm_uuid(group.id, volume.id) in live:
            raise InUse(
                f"{name} has snapshots and can be resized only while it is inactive",
                hint=f"deactivate it first: lvchange -an {name}",
            )
    if snapshot is None:
        return
    if snapshot.body.merging:
        if isinstance(request, RemoveVolume):
            _check_merged(group, volume, snapshot.body, live)
        elif not isinstance(request, ConvertVolume):
            origin = f"{group.name}/{group.lv_by_id[snapshot.body.origin].name}"
            raise Refused(
                f"snapshot {name} is being merged into {origin}",
                hint=f"use {origin}, with which it comes up and goes down;"
                f" to wait for the end of the merge: vgchange --poll y {group.name}",
            )
    if isinstance(request, ReduceVolume):
        _check_used(group, volume, request, snapshot.body, live)


def _check_used(
    group: VolumeGroup, volume: LogicalVolume, request: Request, body: SnapshotBody, live: Live
) -> None:
    """A COW volume fills from its start, so what is not used yet can go. Only the kernel knows how much that is."""
    from vmgr.core.operations.sizing import size_for_change
    from vmgr.core.requests import ReduceVolume
    from vmgr.plugins.snapshot.cow import check_min
    from vmgr.plugins.snapshot.merge import live_health
    from vmgr.plugins.snapshot.status import Fill

    assert isinstance(request, ReduceVolume)
    new = size_for_change(group, volume, request.size, ()).extents
    check_min(group, new, body.chunk_size)
    status = live_health(group, volume, live)
    fill = status.own if status is not None else None
    if not isinstance(fill, Fill):
        raise Refused(
            f"{group.name}/{volume.name} is a snapshot, and how much of it is in use is not known",
            hint="activate it, so that the kernel can say",
        )
    if new.sectors(group.extent_size) < fill.used:
        raise Refused(
            f"snapshot {group.name}/{volume.name} uses {fill.used} sectors already, more than the new size"
        )


def _check_merged(group: VolumeGroup, volume: LogicalVolume, body: SnapshotBody, live: Live) -> None:
    """A merge that goes on must end, or the origin is neither what it was nor what it shall be.

    One that failed, or whose snapshot has become invalid, does not end; one whose volumes are inactive does not go
    on. LVM2 removes these snapshots, too (``lib/metadata/lv_manip.c``, ``lv_remove_single``).
    """
    from vmgr.plugins.snapshot.merge import live_health
    from vmgr.plugins.snapshot.status import INVALID, MERGE_FAILED, parse

    device = live.get(dm_uuid(group.id, body.origin))
    if device is None:
        return
    lines = [line for line in device.status or () if line.target == "snapshot-merge"]
    status = parse(lines[0].target, lines[0].params) if lines else live_health(group, volume, live)
    if status is not None and status.health in (INVALID, MERGE_FAILED):
        return
    raise Refused(
        f"cannot remove merging snapshot {group.name}/{volume.name}",
        hint=f"to wait for the end of the merge, after which it is gone: vgchange --poll y {group.name}",
    )


@hookimpl
def size_limit(group: VolumeGroup, volume: LogicalVolume) -> tuple[Extents, str] | None:
    """A COW volume need not be longer than all of its origin."""
    from vmgr.core.sizes import with_extents
    from vmgr.plugins.snapshot.cow import max_extents

    snapshot = snapshot_in(group, volume)
    if snapshot is None:
        return None
    origin = group.lv_by_id[snapshot.body.origin]
    most = max_extents(group, origin.size, snapshot.body.chunk_size)
    return most, f"Reached maximum COW size {with_extents(most, group.extent_size)}."


@hookimpl
def change(group: VolumeGroup, request: Request, ctx: Context) -> Built | None:
    """Make a COW volume and its bookkeeping; begin and end merges."""
    from vmgr.core.requests import ConvertVolume, CreateVolume, FinishVolume

    if isinstance(request, CreateVolume):
        from vmgr.plugins.snapshot.making import build

        return build(group, request, ctx)
    if isinstance(request, ConvertVolume):
        from vmgr.plugins.snapshot.merge import start

        return start(group, request, ctx.live)
    if isinstance(request, FinishVolume):
        from vmgr.plugins.snapshot.merge import end

        return end(group, ctx.volume, ctx.live)
    return None


@hookimpl
def removed_with(group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
    """With a COW volume goes its bookkeeping, with an origin go its snapshots."""
    snapshot = snapshot_in(group, volume)
    if snapshot is not None:
        return (snapshot.volume.id,)
    return tuple(s.body.cow for s in snapshots_of(group, volume))


@hookimpl
def check_volume(group: VolumeGroup, volume: LogicalVolume) -> tuple[Violation, ...]:
    """A bookkeeping volume has one segment, whose volumes are each in one role only."""
    from vmgr.core.exchange import Violation

    body = body_of(volume)
    origin = group.lv_by_id.get(body.origin) if body else None
    cow = group.lv_by_id.get(body.cow) if body else None
    if body is None or len(volume.segments) != 1 or origin is None or cow is None:
        return (Violation(volume.name, "a snapshot is one segment with an origin and a COW volume"),)
    rules = (
        (origin.id == cow.id, "a snapshot's origin and its COW volume are different volumes"),
        (snapshot_in(group, origin) is not None, "a snapshot's origin is not itself a snapshot"),
        (bool(snapshots_of(group, cow)), "a snapshot's COW volume is not the origin of another"),
        (body_of(origin) is not None or body_of(cow) is not None, "a snapshot is not of a snapshot's bookkeeping"),
        (
            sum(1 for lv in group.referrers[cow.id] if (b := body_of(lv)) and b.cow == cow.id) > 1,
            "a COW volume belongs to one snapshot",
        ),
        (
            sum(1 for s in snapshots_of(group, origin) if s.body.merging) > 1,
            "at most one snapshot is merged into an origin at a time",
        ),
        (volume.size > origin.size, "a snapshot is not longer than its origin"),
        (int(body.chunk_size) & (int(body.chunk_size) - 1) != 0, "a chunk size is a power of 2"),
        (volume.visible, "a snapshot's bookkeeping volume is hidden"),
        (cow.visible == body.merging, "a snapshot is visible exactly when it does not merge"),
    )
    return tuple(Violation(volume.name, rule) for broken, rule in rules if broken)


# -- in the kernel --------------------------------------------------------------------------------


@hookimpl
def segment_lines() -> tuple[TargetLine, ...]:
    """A bookkeeping volume has no device."""
    return ()


@hookimpl
def layers(
    group: VolumeGroup, volume: LogicalVolume, base: DmDevice, live: Live, start: bool
) -> tuple[DmDevice, ...]:
    """Put the snapshot targets on origins and COW volumes."""
    from vmgr.plugins.snapshot.stack import devices_of

    return devices_of(group, volume, base, live, start)


@hookimpl
def companions(group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
    """An origin and its snapshots are active together."""
    snapshot = snapshot_in(group, volume)
    if snapshot is not None:
        return (snapshot.body.origin,)
    return tuple(s.body.cow for s in snapshots_of(group, volume))


@hookimpl
def status_device(group: VolumeGroup, volume: LogicalVolume, live: Live) -> str | None:
    """A merge is seen in the origin; of any other origin its own segments are of interest."""
    from vmgr.plugins.snapshot.stack import is_merge_target

    snapshot = snapshot_in(group, volume)
    origin = group.lv_by_id[snapshot.body.origin] if snapshot is not None else volume
    top = dm_uuid(group.id, origin.id)
    runs = merging_into(group, origin) is not None and top in live and bool(is_merge_target(live[top]))
    if snapshot is not None:
        return top if snapshot.body.merging and runs else None
    if not snapshots_of(group, volume) or runs:
        return None
    return dm_uuid(group.id, volume.id, "real")


@hookimpl
def parse_status(lines: tuple[KernelLine, ...]) -> Status:
    """Fill, progress and health. Each of the targets fills a device alone."""
    from vmgr.plugins.snapshot.status import parse

    return parse(lines[0].target, lines[0].params)


@hookimpl
def pending(volume: LogicalVolume) -> tuple[Pending, ...]:
    """A merge that was asked for: it has ended once the origin says so."""
    body = body_of(volume)
    return (Pending("merge", StatusOutcome.READY, body.origin),) if body is not None and body.merging else ()


@hookimpl
def table_types() -> tuple[type[TableType], ...]:
    """The lines of origins, snapshots and merges."""
    from vmgr.plugins.snapshot.table import MergeTable, OriginTable, SnapshotTable

    return (OriginTable, SnapshotTable, MergeTable)


# -- for people -----------------------------------------------------------------------------------


@hookimpl
def describe(group: VolumeGroup, volume: LogicalVolume, segment: Segment, status: Status | None) -> VolumeFacts:
    """Letters and columns of origins and COW volumes."""
    from vmgr.plugins.snapshot.status import facts

    return facts(group, volume, segment, status)
