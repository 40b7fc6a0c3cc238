"""What it takes to make a snapshot, and what it is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from vmgr.core.amounts import Percent
from vmgr.core.errors import Refused, UsageError
from vmgr.core.exchange import Built, ZeroRange
from vmgr.core.ids import LvName
from vmgr.core.model import LogicalVolume, PvArea, Segment
from vmgr.core.requests import OptionValues, number, option
from vmgr.core.sizes import display_size
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.snapshot.body import SnapshotBody, merging_into, snapshot_in
from vmgr.plugins.snapshot.cow import DEFAULT_CHUNK, HEADER, check_chunk, check_min, max_extents

if TYPE_CHECKING:
    from vmgr.core.context import Context, NeedsOf
    from vmgr.core.exchange import Placed, SpaceNeeds
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import CreateVolume

OWN_OPTIONS = ("snapshot", "chunksize")


def origin_of(group: VolumeGroup, request: CreateVolume) -> LogicalVolume:
    """The volume that a snapshot is asked for. Raises :class:`Refused` for one that cannot have one."""
    if request.origin is None:
        raise UsageError("a snapshot needs an origin", hint="name the volume to take it of")
    origin = group.lv_by_id[request.origin]
    what = ""
    if snapshot_in(group, origin) is not None:
        what = "snapshots"
    elif "LOCKED" in origin.status:
        what = "locked volumes"
    elif "PVMOVE" in origin.status:
        what = "pvmoved volumes"
    elif not origin.visible:
        what = "hidden volumes"
    elif merging_into(group, origin) is not None:
        what = "an origin that has a merging snapshot"
    if what:
        raise Refused(f"snapshots of {what} are not supported: {group.name}/{origin.name}")
    return origin


def chunk_of(request: CreateVolume) -> Sectors:
    """The chunk size that a request means."""
    value = number(request.options, "chunksize")
    return DEFAULT_CHUNK if value is None else check_chunk(Sectors(value))


def _store(request: CreateVolume) -> CreateVolume:
    """The request for the COW volume alone: plain space."""
    option(request.options, "snapshot")  # its being here is all that it says
    options = request.options
    if isinstance(options, OptionValues):
        options = options.without(*OWN_OPTIONS)
    return evolve(request, type=None, origin=None, options=options)


def _limited(group: VolumeGroup, request: CreateVolume, origin: LogicalVolume, needs_of: NeedsOf) -> NeedsOf:
    """The space of the COW volume, as ``needs_of`` has it: no more than the whole origin can need."""
    chunk = chunk_of(request)
    size = request.size
    if size is None:
        raise Refused("say how large the snapshot may become", hint="give -L SIZE or -l EXTENTS")
    most = max_extents(group, origin.size, chunk)

    def needs(extents: Extents) -> SpaceNeeds:
        if isinstance(size.value, Percent) and size.value.of == "ORIGIN":
            extents = extents + most - origin.size
        notes: tuple[str, ...] = ()
        if extents > most:
            asked, given = (display_size(e.sectors(group.extent_size)) for e in (extents, most))
            notes = (f"Reducing COW size {asked} down to maximum usable size {given}.",)
            extents = most
        check_min(group, extents, chunk)
        store = needs_of(extents)
        return evolve(store, notes=notes + store.notes)

    return needs


def build(group: VolumeGroup, request: CreateVolume, ctx: Context) -> Built:
    """The COW volume under the snapshot's name, and the bookkeeping volume."""
    origin = origin_of(group, request)

    def place(needs_of: NeedsOf, **given: Any) -> Placed:
        return ctx.place(_limited(group, request, origin, needs_of), **given)

    store = ctx.make(group, _store(request), ctx.volume, 0, place=place)
    cow = next(lv for lv in store.volumes if lv.id == ctx.volume.id)
    first = cow.segments[0].body.areas[0]
    if not isinstance(first, PvArea):
        raise Refused("a snapshot's COW volume must lie on physical volumes")
    body = SnapshotBody(origin.id, cow.id, chunk_of(request))
    book = LogicalVolume(
        id=ctx.stamp.uuid(1),
        name=_next_name(group),
        status=("READ", "WRITE"),
        created=ctx.stamp.time,
        host=ctx.stamp.host,
        segments=(Segment(Extents(0), origin.size, body),),
    )
    return Built(
        (*store.volumes, book),
        (cow.id,),
        zero=(*store.zero, ZeroRange(first, Sectors(0), HEADER)),
        wipe=(),
        activate=(),
        notes=store.notes,
    )


def _next_name(group: VolumeGroup) -> LvName:
    """``snapshotN`` with the number after the highest one, as LVM2 counts."""
    taken = [lv.name[8:] for lv in group.lvs if lv.name.startswith("snapshot")]
    numbers = [int(n) for n in taken if n.isascii() and n.isdigit()]
    return LvName(f"snapshot{max(numbers, default=-1) + 1}")
