"""A target plugin for vmgr: volumes that remember which blocks were written when."""

from __future__ import annotations

from attrs import evolve, frozen
from vmgr.plugin import (
    ColumnSpec,
    DamagedMetadata,
    KernelTarget,
    LvArea,
    OptionSpec,
    Reference,
    SegmentBody,
    Status,
    StatusOutcome,
    TargetInfo,
    Uuid,
    VolumeFacts,
    hookimpl,
)

META = "meta"
HIDDEN = ("READ", "WRITE")
LEAST_BLOCK = 8


@frozen
class EraBody(SegmentBody):
    """A whole volume on a hidden one with the data, beside one with the eras."""

    areas: tuple[LvArea, ...]
    meta: Uuid
    block: int  # sectors

    @property
    def references(self):
        return (Reference(self.meta, META),)

    def with_areas(self, areas):
        return evolve(self, areas=areas)


@frozen
class EraStatus:
    """What the kernel says: the era that is current, and how full the metadata are."""

    era: int
    used: int
    total: int


@hookimpl
def target_info():
    return TargetInfo(
        name="era",
        summary="remembers which blocks were written when",
        segment_types=("era",),
        fields=frozenset(("block_size", "data", "metadata")),
        bodies=(EraBody,),
        kernel_targets=(KernelTarget("era"), KernelTarget("linear")),
        types=("era",),
        options=(
            OptionSpec(
                "erablock",
                "size",
                "How large the blocks are whose writes are remembered (512 KiB).",
                ("lvcreate",),
                default_unit="k",
            ),
        ),
        columns=(
            ColumnSpec("era", "Era", "number", "The current era, if it is active."),
            ColumnSpec(
                "metadata_percent",
                "Meta%",
                "percent",
                "How full the space for eras is, if it is active.",
            ),
        ),
        manual="""An era volume remembers for each block (--erablock) in which
        era it was last written. `vmgr dm message GROUP-VOLUME 0 checkpoint`
        begins another era; era_invalidate(8) lists what was written since one.

        Its data and its eras are on hidden volumes of their own. It can be
        extended while it is inactive.""",
        over_plain=True,
        exclusive=True,
    )


# What is stored


@hookimpl
def decode_segment(length, fields, names):
    match fields:
        case {"block_size": int(block), "data": str(data), "metadata": str(meta)}:
            return EraBody((names.area(data, 0, length),), names.lv(meta), block)
    raise DamagedMetadata("an era segment needs 'block_size', 'data' and 'metadata'")


@hookimpl
def encode_segment(body, names):
    (area,) = body.areas
    return "era", (
        ("block_size", body.block),
        ("data", names.area_name(area)),
        ("metadata", names.lv_name(body.meta)),
    )


# What a request makes


@hookimpl
def change(group, request, ctx):
    from vmgr.plugin import CreateVolume, ExtendVolume

    if isinstance(request, CreateVolume):
        return _create(group, request, ctx)
    if isinstance(request, ExtendVolume):
        return _extend(group, request, ctx)
    return None  # the core knows how to do the rest


def _create(group, request, ctx):
    from vmgr.plugin import (
        PLAIN_ROLE,
        Built,
        Extents,
        LogicalVolume,
        LvName,
        Need,
        Run,
        Sectors,
        Segment,
        SpaceNeeds,
        UsageError,
        ZeroRange,
        option,
    )

    block = int(option(request.options, "erablock") or 1024)
    if block < LEAST_BLOCK or block % LEAST_BLOCK:
        raise UsageError(
            f"blocks of {block} sectors are not possible",
            hint="--erablock takes a multiple of 4 KiB",
        )
    space = Extents(max(1, (8 << 20) // 512 // int(group.extent_size)))
    placed = ctx.place(
        lambda extents: SpaceNeeds(extents, (Need(PLAIN_ROLE, 1, extents), Need(META, 1, space, whole=True)))
    )
    plain = evolve(request, type=None, options=())
    parts = []
    for role in (PLAIN_ROLE, META):
        number = len(parts)
        name = LvName(f"{ctx.volume.name}_{'emeta' if role == META else 'edata'}")
        below = LogicalVolume(ctx.stamp.part(number).uuid(0), name, HIDDEN)
        runs = tuple(Run(run.areas) for run in placed.grant[role])
        parts += ctx.make(group, plain, below, number, runs=runs).volumes
    data, meta = parts
    body = EraBody((LvArea(data.id, Extents(0), data.size),), meta.id, block)
    top = evolve(ctx.volume, segments=(Segment(Extents(0), data.size, body),))
    # The kernel makes new metadata where the first block holds zeros.
    first = placed.grant[META][0].areas[0]
    zero = (ZeroRange(first, Sectors(0), Sectors(8)),)
    return Built((top, data, meta), (top.id,), zero=zero, notes=placed.notes)


def _extend(group, request, ctx):
    from vmgr.plugin import Built, Extents, InUse, Segment

    (segment,) = ctx.volume.segments
    uuid = f"LVM-{group.id}{ctx.volume.id}"
    if uuid in ctx.live:
        # The target reads its metadata when the longer table is loaded, while the old one still writes to them.
        raise InUse(
            f"{ctx.volume.name} is active, and an era volume is extended while it is not",
            hint=f"vmgr lvchange -an {group.name}/{ctx.volume.name}",
        )
    (area,) = segment.body.areas
    data = group.lv_by_id[area.lv]
    plain = evolve(request, lv=data.id, type=None)
    built = ctx.make(group, plain, data, 0)
    (longer,) = built.volumes
    whole = LvArea(longer.id, Extents(0), longer.size)
    top = evolve(
        ctx.volume,
        segments=(Segment(Extents(0), longer.size, evolve(segment.body, areas=(whole,))),),
    )
    return Built((top, longer), (top.id,), notes=built.notes)


@hookimpl
def check_volume(group, volume):
    from vmgr.plugin import Violation

    found = []
    for segment in volume.segments:
        body = segment.body
        if isinstance(body, EraBody) and (
            body.block < LEAST_BLOCK or body.block % LEAST_BLOCK or len(volume.segments) > 1
        ):
            found.append(Violation(volume.name, "an era volume is one segment of whole blocks"))
    return tuple(found)


# What the kernel gets, and what reports say


@hookimpl
def segment_lines(group, segment):
    from vmgr.plugin import DevRef, TargetLine

    body = segment.body
    size = group.extent_size
    start, length = segment.start.sectors(size), segment.length.sectors(size)
    meta, data = (DevRef(f"LVM-{group.id}{lv}") for lv in (body.meta, body.areas[0].lv))
    return (TargetLine(start, length, "era", (meta, data, str(body.block))),)


@hookimpl
def parse_status(lines):
    match lines[0].params.split():
        case [_, blocks, era, _]:
            used, _, total = blocks.partition("/")
            own = EraStatus(int(era), int(used), int(total))
            return Status(percent=100 * own.used / own.total, own=own)
        case ["Error" | "Fail"]:
            return Status(StatusOutcome.FAILED, health="failed")
    return Status()


@hookimpl
def describe(volume, segment, status):
    body = segment.body
    if volume.id == body.meta:
        return VolumeFacts("era", kind="e")
    own = status.own if status is not None else None
    if any(area.lv == volume.id for area in body.areas) or not isinstance(own, EraStatus):
        return VolumeFacts("era")
    values = (("era", own.era), ("metadata_percent", status.percent))
    return VolumeFacts("era", values=values)
