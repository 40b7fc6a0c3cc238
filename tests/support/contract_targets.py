"""RAID 1, thin pools and caches as far as the plugin contract is concerned: the paper test, executed.

These are no plugins to use. They decode and encode what LVM2 wrote, make the devices that it made, and make new
volumes as far as a test looks at it; what is left out is arithmetic and options, not hooks.
See ``docs/architecture.md``, "The plugin contract on paper".
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from vmgr.core.context import Context
from vmgr.core.exchange import Built, Need, Run, SpaceNeeds, TargetMessage, ZeroRange
from vmgr.core.hooks import (
    PLAIN_ROLE,
    ColumnSpec,
    KernelTarget,
    Names,
    OptionSpec,
    Pending,
    Status,
    StatusOutcome,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.ids import LvName, Uuid
from vmgr.core.model import (
    Area,
    Fields,
    FieldValue,
    LogicalVolume,
    LvArea,
    Reference,
    Section,
    Segment,
    SegmentBody,
    VolumeGroup,
)
from vmgr.core.naming import dm_name, dm_uuid
from vmgr.core.requests import (
    ConvertVolume,
    CreateVolume,
    ExtendVolume,
    FinishVolume,
    RemoveVolumes,
    Request,
    TakeBack,
    option,
)
from vmgr.core.table import DevRef, DmDevice, KernelLine, TargetLine
from vmgr.core.targets import Targets
from vmgr.core.tools import ToolRun
from vmgr.core.units import Extents, Sectors
from vmgr.plugins import linear, snapshot, striped

HIDDEN = ("READ", "WRITE")


def _dev(group: VolumeGroup, lv: Uuid, layer: str = "") -> DevRef:
    return DevRef(dm_uuid(group.id, lv, layer))


def _whole(lv: Uuid, length: Extents) -> LvArea:
    return LvArea(lv, Extents(0), length)


def _line(group: VolumeGroup, segment: Segment, target: str, *args: DevRef | str) -> tuple[TargetLine, ...]:
    size = group.extent_size
    return (TargetLine(segment.start.sectors(size), segment.length.sectors(size), target, args),)


def _with_body(volume: LogicalVolume, body: SegmentBody) -> LogicalVolume:
    return evolve(volume, segments=(evolve(volume.segments[0], body=body),))


def _suffixed(group: VolumeGroup, volume: LogicalVolume, base: DmDevice, layer: str) -> tuple[DmDevice, ...]:
    return (evolve(base, uuid=dm_uuid(group.id, volume.id, layer)),)


# -- RAID 1 ---------------------------------------------------------------------------------------


@frozen
class Raid1Body(SegmentBody):
    areas: tuple[Area, ...]
    metas: tuple[Uuid, ...]
    region_size: int

    @property
    def references(self) -> tuple[Reference, ...]:
        return tuple(Reference(lv, "rmeta") for lv in self.metas)


class Raid1:
    @hookimpl
    def target_info(self) -> TargetInfo:
        return TargetInfo(
            "raid1",
            "copies",
            ("raid1",),
            frozenset(("device_count", "region_size", "raids")),
            (Raid1Body,),
            (KernelTarget("raid", (1, 9, 0)),),
            types=("raid1",),
            options=(OptionSpec("mirrors", "number", "Number of copies.", ("lvcreate",), "m"),),
            columns=(ColumnSpec("copy_percent", "Cpy%Sync", "percent", "How far the copies are."),),
            over_plain=True,
            exclusive=True,
        )

    @hookimpl
    def decode_segment(self, length: Extents, fields: Mapping[str, FieldValue], names: Names) -> Raid1Body:
        raids = fields["raids"]
        assert isinstance(raids, tuple)
        return Raid1Body(
            tuple(names.area(str(name), 0, length) for name in raids[1::2]),
            tuple(names.lv(str(name)) for name in raids[::2]),
            int(fields["region_size"]),  # type: ignore[arg-type]
        )

    @hookimpl
    def encode_segment(self, body: Raid1Body, names: Names) -> tuple[str, Fields]:
        raids = [
            name
            for meta, image in zip(body.metas, body.areas, strict=True)
            for name in (names.lv_name(meta), names.area_name(image))
        ]
        count = ("device_count", len(body.areas))
        return "raid1", (count, ("region_size", body.region_size), ("raids", tuple(raids)))

    @hookimpl
    def change(self, group: VolumeGroup, request: Request, ctx: Context) -> Built | None:
        if not isinstance(request, CreateVolume):
            return None
        copies = int(option(request.options, "mirrors") or 1) + 1

        def needs(extents: Extents) -> SpaceNeeds:
            return SpaceNeeds(
                extents,
                (Need(PLAIN_ROLE, copies, extents), Need("meta", copies, Extents(1), with_role=PLAIN_ROLE)),
            )

        placed = ctx.place(needs)
        helpers: list[LogicalVolume] = []
        zero: list[ZeroRange] = []
        plain = evolve(request, type=None, options=())
        ids: dict[str, list[Uuid]] = {PLAIN_ROLE: [], "meta": []}
        for role, word in ((PLAIN_ROLE, "rimage"), ("meta", "rmeta")):
            for number in range(copies):
                part = len(helpers)
                below = LogicalVolume(
                    ctx.stamp.part(part).uuid(0), LvName(f"{ctx.volume.name}_{word}_{number}"), HIDDEN
                )
                runs = tuple(Run((run.areas[number],)) for run in placed.grant[role])
                helpers += ctx.make(group, plain, below, part, runs=runs).volumes
                ids[role].append(below.id)
                first = runs[0].areas[0]
                if role == "meta":
                    zero.append(ZeroRange(first, Sectors(0), first.length.sectors(group.extent_size)))
        length = helpers[0].size
        body = Raid1Body(tuple(_whole(lv, length) for lv in ids[PLAIN_ROLE]), tuple(ids["meta"]), 4096)
        top = evolve(ctx.volume, segments=(Segment(Extents(0), length, body),))
        return Built((top, *helpers), (top.id,), zero=tuple(zero), notes=placed.notes)

    @hookimpl
    def segment_lines(self, group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
        body = segment.body
        assert isinstance(body, Raid1Body)
        legs = [
            _dev(group, lv)
            for meta, image in zip(body.metas, body.areas, strict=True)
            for lv in (meta, image.lv)  # type: ignore[union-attr]
        ]
        words = ("raid1", "3", "0", "region_size", str(body.region_size), str(len(body.areas)))
        return _line(group, segment, "raid", *words, *legs)

    @hookimpl
    def parse_status(self, lines: tuple[KernelLine, ...]) -> Status:
        words = lines[0].params.split()
        done, _, whole = words[3].partition("/")
        percent = 100.0 * int(done) / int(whole)
        lost = set(words[2]) - {"A", "a"}
        if percent < 100:
            return Status(StatusOutcome.WAITING, percent, "degraded" if lost else "", f"{percent:.2f}% in sync")
        return Status(StatusOutcome.DEGRADED if lost else StatusOutcome.READY, percent, "degraded" if lost else "")

    @hookimpl
    def pending(self, volume: LogicalVolume) -> tuple[Pending, ...]:
        """A rebuilt image is marked as such until it is in sync, or it would be rebuilt at each activation."""
        return (Pending("rebuild", StatusOutcome.READY),) if "REBUILD" in volume.status else ()

    @hookimpl
    def describe(self, volume: LogicalVolume, segment: Segment, status: Status | None) -> VolumeFacts:
        body = segment.body
        assert isinstance(body, Raid1Body)
        if volume.id in body.metas:
            return VolumeFacts("raid1", "e", "r")
        if any(isinstance(a, LvArea) and a.lv == volume.id for a in body.areas):
            return VolumeFacts("raid1", "i", "r")
        return VolumeFacts("raid1", "r", "r", values=(("copy_percent", status.percent if status else None),))


# -- thin -----------------------------------------------------------------------------------------


@frozen
class PoolBody(SegmentBody):
    areas: tuple[Area, ...]
    metadata: Uuid
    transaction: int
    rest: Fields
    create: tuple[int, ...] = ()
    delete: tuple[int, ...] = ()

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.metadata, "tmeta"),)

    @property
    def own_layer(self) -> str:
        return "pool" if self.transaction else "tpool"


@frozen
class ThinBody(SegmentBody):
    """``origin`` is no reference: the snapshot does not need it, and it may go."""

    pool: Uuid
    transaction: int
    device: int
    origin: Uuid | None = None

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.pool, "pool"),)


class Thin:
    @hookimpl
    def target_info(self) -> TargetInfo:
        keys = ("metadata", "pool", "transaction_id", "thin_pool", "device_id", "origin", "message1")
        return TargetInfo(
            "thin",
            "volumes from a shared pool",
            ("thin-pool", "thin"),
            frozenset((*keys, "chunk_size", "discards", "zero_new_blocks")),
            (PoolBody, ThinBody),
            (KernelTarget("thin-pool"), KernelTarget("thin")),
            types=("thin", "thin-pool"),
            options=(OptionSpec("thinpool", "word", "The pool.", ("lvcreate",)),),
            exclusive=True,
        )

    @hookimpl
    def decode_segment(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
    ) -> SegmentBody:
        number = int(fields["transaction_id"])  # type: ignore[arg-type]
        if type_word == "thin":
            origin = fields.get("origin")
            pool, device = names.lv(str(fields["thin_pool"])), int(fields["device_id"])  # type: ignore[arg-type]
            return ThinBody(pool, number, device, names.lv(str(origin)) if origin else None)
        rest = tuple((k, fields[k]) for k in ("chunk_size", "discards", "zero_new_blocks") if k in fields)
        data = names.area(str(fields["pool"]), 0, length)
        return PoolBody((data,), names.lv(str(fields["metadata"])), number, rest)

    @hookimpl
    def encode_segment(self, body: SegmentBody, names: Names) -> tuple[str, Fields]:
        if isinstance(body, ThinBody):
            fields: Fields = (
                ("thin_pool", names.lv_name(body.pool)),
                ("transaction_id", body.transaction),
                ("device_id", body.device),
            )
            return "thin", fields + ((("origin", names.lv_name(body.origin)),) if body.origin else ())
        assert isinstance(body, PoolBody)
        told = [("create", device) for device in body.create] + [("delete", device) for device in body.delete]
        messages = tuple(
            (f"message{n}", Section(((word, str(device)),))) for n, (word, device) in enumerate(told, 1)
        )
        return "thin-pool", (
            ("metadata", names.lv_name(body.metadata)),
            ("pool", names.area_name(body.areas[0])),
            ("transaction_id", body.transaction),
            *body.rest,
            *messages,
        )

    @hookimpl
    def change(self, group: VolumeGroup, request: Request, ctx: Context) -> Built | None:
        if isinstance(request, FinishVolume):
            return self._told(group, ctx)
        if isinstance(request, RemoveVolumes):
            return self._removed(group, request)
        if isinstance(request, TakeBack):
            return self._untold(group, ctx)
        if not isinstance(request, CreateVolume):
            return None
        pool = group.lv_by_name[str(option(request.options, "thinpool"))]
        body = pool.segments[0].body
        assert isinstance(body, PoolBody)
        taken = [s.body.device for lv in group.lvs for s in lv.segments if isinstance(s.body, ThinBody)]
        device = max(taken, default=0) + 1
        thin = ThinBody(pool.id, body.transaction, device)
        return Built(
            (
                evolve(ctx.volume, segments=(Segment(Extents(0), ctx.extents, thin),)),
                _with_body(pool, evolve(body, transaction=body.transaction + 1, create=(*body.create, device))),
            ),
            (ctx.volume.id,),
        )

    @staticmethod
    def _removed(group: VolumeGroup, request: RemoveVolumes) -> Built | None:
        """Pools that stay are told which devices go, all in one transaction."""
        gone: dict[Uuid, list[int]] = {}
        for lv in request.lvs:
            body = group.lv_by_id[lv].segments[0].body
            if isinstance(body, ThinBody) and body.pool not in request.lvs:
                gone.setdefault(body.pool, []).append(body.device)
        pools = []
        for lv, devices in gone.items():
            body = group.lv_by_id[lv].segments[0].body
            assert isinstance(body, PoolBody)
            told = evolve(body, transaction=body.transaction + 1, delete=(*body.delete, *devices))
            pools.append(_with_body(group.lv_by_id[lv], told))
        return Built(tuple(pools), tuple(gone)) if pools else None

    @staticmethod
    def _untold(group: VolumeGroup, ctx: Context) -> Built | None:
        """Without the volumes that the pool did not make."""
        body = ctx.volume.segments[0].body
        if not isinstance(body, PoolBody) or not body.create:
            return None
        made = [
            lv.id
            for lv in group.lvs
            for s in lv.segments
            if isinstance(s.body, ThinBody) and s.body.pool == ctx.volume.id and s.body.device in body.create
        ]
        pool = _with_body(ctx.volume, evolve(body, transaction=body.transaction - 1, create=()))
        return Built((pool,), (pool.id,), removed=tuple(made))

    @hookimpl
    def may_change(self, part: LogicalVolume, request: Request) -> bool:
        """A pool's data may become longer, or something else."""
        return part.name.endswith(("_tdata", "_tmeta")) and isinstance(request, ExtendVolume | ConvertVolume)

    @hookimpl
    def before_activation(self, volume: LogicalVolume, ctx: Context) -> tuple[ToolRun, ...]:
        """The pool's metadata are checked before it runs."""
        body = volume.segments[0].body
        program = ctx.tools.get("thin_check")
        if not isinstance(body, PoolBody) or program is None:
            return ()
        return (ToolRun(program, ("-q", body.metadata), (body.metadata,)),)

    @staticmethod
    def _told(group: VolumeGroup, ctx: Context) -> Built | None:
        """Without the messages, once the pool has them."""
        body = ctx.volume.segments[0].body
        if not isinstance(body, PoolBody) or not (body.create or body.delete):
            return None
        device = ctx.live.get(dm_uuid(group.id, ctx.volume.id, "tpool"))
        if device is None or not device.status:
            return None
        if int(device.status[0].params.split()[0]) != body.transaction:
            return None
        return Built((_with_body(ctx.volume, evolve(body, create=(), delete=())),), (ctx.volume.id,))

    @hookimpl
    def segment_lines(self, group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
        body = segment.body
        if isinstance(body, ThinBody):
            return _line(group, segment, "thin", _dev(group, body.pool, "tpool"), str(body.device))
        assert isinstance(body, PoolBody)
        data = body.areas[0]
        assert isinstance(data, LvArea)
        chunk = str(dict(body.rest)["chunk_size"])
        devices = (_dev(group, body.metadata, "tmeta"), _dev(group, data.lv, "tdata"))
        return _line(group, segment, "thin-pool", *devices, chunk, "0", "0")

    @hookimpl
    def layers(self, group: VolumeGroup, volume: LogicalVolume, base: DmDevice) -> tuple[DmDevice, ...]:
        for user in group.referrers.get(volume.id, ()):
            body = user.segments[0].body
            if isinstance(body, PoolBody):
                return _suffixed(group, volume, base, "tmeta" if body.metadata == volume.id else "tdata")
        body = volume.segments[0].body
        if not isinstance(body, PoolBody) or not body.transaction:
            return (base,)
        pool = evolve(
            base,
            name=dm_name(group.name, volume.name, "tpool"),
            uuid=dm_uuid(group.id, volume.id, "tpool"),
            link=None,
        )
        line = TargetLine(Sectors(0), base.size, "linear", (DevRef(pool.uuid), "0"))
        return pool, evolve(base, table=(line,), read_only=True, link=None, exclusive=False)

    @hookimpl
    def messages(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[TargetMessage, ...]:
        body = volume.segments[0].body
        if not isinstance(body, PoolBody) or not (body.create or body.delete):
            return ()
        device, sent = dm_uuid(group.id, volume.id, "tpool"), f"{body.transaction} "
        return (
            *(TargetMessage(device, f"create_thin {n}", sent) for n in body.create),
            *(TargetMessage(device, f"delete {n}", sent) for n in body.delete),
            TargetMessage(device, f"set_transaction_id {body.transaction - 1} {body.transaction}", sent),
        )

    @hookimpl
    def status_device(self, group: VolumeGroup, volume: LogicalVolume) -> str | None:
        own = isinstance(volume.segments[0].body, PoolBody)
        return dm_uuid(group.id, volume.id, "tpool") if own else None

    @hookimpl
    def parse_status(self, lines: tuple[KernelLine, ...]) -> Status:
        words = lines[0].params.split()
        if lines[0].target == "thin":
            return Status(percent=100.0 * int(words[0]) / int(lines[0].length))
        used, _, total = words[2].partition("/")
        return Status(percent=100.0 * int(used) / int(total), own=int(words[0]))

    @hookimpl
    def pending(self, volume: LogicalVolume) -> tuple[Pending, ...]:
        body = volume.segments[0].body
        told = isinstance(body, PoolBody) and (body.create or body.delete)
        return (Pending("messages"),) if told else ()


# -- cache ----------------------------------------------------------------------------------------


@frozen
class CacheBody(SegmentBody):
    areas: tuple[Area, ...]
    pool: Uuid

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.pool, "cache pool"),)


@frozen
class CachePoolBody(SegmentBody):
    areas: tuple[Area, ...]
    metadata: Uuid
    rest: Fields

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.metadata, "cmeta"),)


class Cache:
    @hookimpl
    def target_info(self) -> TargetInfo:
        keys = ("cache_pool", "origin", "data", "metadata", "metadata_format", "chunk_size", "cache_mode", "policy")
        return TargetInfo(
            "cache",
            "a fast device before a slow one",
            ("cache", "cache-pool"),
            frozenset(keys),
            (CacheBody, CachePoolBody),
            (KernelTarget("cache"),),
            types=("cache", "cache-pool"),
            exclusive=True,
        )

    @hookimpl
    def decode_segment(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
    ) -> SegmentBody | None:
        if type_word == "cache":
            return CacheBody((names.area(str(fields["origin"]), 0, length),), names.lv(str(fields["cache_pool"])))
        if type_word != "cache-pool+METADATA_FORMAT":
            return None
        keys = ("metadata_format", "chunk_size", "cache_mode", "policy")
        data = names.area(str(fields["data"]), 0, length)
        return CachePoolBody((data,), names.lv(str(fields["metadata"])), tuple((k, fields[k]) for k in keys))

    @hookimpl
    def encode_segment(self, body: SegmentBody, names: Names) -> tuple[str, Fields]:
        if isinstance(body, CacheBody):
            return "cache", (
                ("cache_pool", names.lv_name(body.pool)),
                ("origin", names.area_name(body.areas[0])),
            )
        assert isinstance(body, CachePoolBody)
        return "cache-pool+METADATA_FORMAT", (
            ("data", names.area_name(body.areas[0])),
            ("metadata", names.lv_name(body.metadata)),
            *body.rest,
        )

    @hookimpl
    def segment_lines(self, group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
        body = segment.body
        if isinstance(body, CachePoolBody):
            return ()
        assert isinstance(body, CacheBody)
        pool = group.lv_by_id[body.pool].segments[0].body
        assert isinstance(pool, CachePoolBody)
        data, origin = pool.areas[0], body.areas[0]
        assert isinstance(data, LvArea)
        assert isinstance(origin, LvArea)
        rest = dict(pool.rest)
        devices = (
            _dev(group, pool.metadata, "cmeta"),
            _dev(group, data.lv, "cdata"),
            _dev(group, origin.lv, "real"),
        )
        words = (str(rest["chunk_size"]), "2", "metadata2", str(rest["cache_mode"]), str(rest["policy"]), "0")
        return _line(group, segment, "cache", *devices, *words)

    @hookimpl
    def layers(self, group: VolumeGroup, volume: LogicalVolume, base: DmDevice) -> tuple[DmDevice, ...]:
        for user in group.referrers.get(volume.id, ()):
            body = user.segments[0].body
            if isinstance(body, CacheBody):
                return _suffixed(group, volume, base, "real")
            if isinstance(body, CachePoolBody):
                return _suffixed(group, volume, base, "cmeta" if body.metadata == volume.id else "cdata")
        return (base,)

    @hookimpl
    def parse_status(self, lines: tuple[KernelLine, ...]) -> Status:
        params = lines[0].params
        if params.startswith(("Fail", "Error")):
            return Status(StatusOutcome.FAILED, None, params.split()[0].lower())
        used, _, total = params.split()[3].partition("/")
        return Status(percent=100.0 * int(used) / int(total))


CONTRACT = Targets(
    [
        ("linear", linear),
        ("striped", striped),
        ("snapshot", snapshot),
        ("raid1", Raid1()),
        ("thin", Thin()),
        ("cache", Cache()),
    ]
)
"""The built-in targets and those of the paper test."""
