"""A target plugin for vmgr: volumes on which each request waits."""

from __future__ import annotations

from attrs import evolve, frozen
from vmgr.core.errors import DamagedMetadata, UsageError
from vmgr.core.exchange import Built, Need, SpaceNeeds
from vmgr.core.hooks import (
    PLAIN_ROLE,
    ColumnSpec,
    KernelTarget,
    OptionSpec,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.model import PvArea, Segment, SegmentBody
from vmgr.core.requests import CreateVolume, ExtendVolume, option
from vmgr.core.table import PvRef, TargetLine


@frozen
class DelayBody(SegmentBody):
    """A segment on one area, whose requests wait."""

    areas: tuple[PvArea, ...]
    delay: int  # milliseconds

    def with_areas(self, areas):
        return evolve(self, areas=areas)


@hookimpl
def target_info():
    return TargetInfo(
        name="delay",
        summary="each request waits for some milliseconds",
        segment_types=("delay",),
        fields=frozenset(("delay", "area")),
        bodies=(DelayBody,),
        kernel_targets=(KernelTarget("delay", (1, 2, 0)),),
        types=("delay",),
        options=(
            OptionSpec(
                "delay",
                "number",
                "How many milliseconds each request waits.",
                ("lvcreate",),
                metavar="MS",
            ),
        ),
        columns=(
            ColumnSpec(
                "delay",
                "Delay",
                "number",
                "Milliseconds that requests wait.",
                per_segment=True,
            ),
        ),
        manual="A delay volume makes each request wait for some"
        " milliseconds (--delay, 100 if nothing is said).",
    )


# What is stored


@hookimpl
def decode_segment(length, fields, names):
    match fields:
        case {"delay": int(delay), "area": (str(name), int(start))}:
            return DelayBody((names.area(name, start, length),), delay)
    raise DamagedMetadata("a delay segment needs 'delay' and 'area'")


@hookimpl
def encode_segment(body, names):
    (area,) = body.areas
    where = (names.area_name(area), int(area.start))
    return "delay", (("delay", body.delay), ("area", where))


# What a request makes


def _delay(request, volume):
    """The delay that a request means, or that the volume has."""
    value = option(request.options, "delay")
    if value is None and volume.segments:
        return volume.segments[-1].body.delay
    delay = 100 if value is None else int(value)
    if delay < 0:
        raise UsageError(
            f"a delay of {delay} milliseconds is not possible",
            hint="give 0 or more",
        )
    return delay


@hookimpl
def change(request, ctx):
    if not isinstance(request, CreateVolume | ExtendVolume):
        return None  # the core knows how to do the rest
    delay, volume = _delay(request, ctx.volume), ctx.volume
    placed = ctx.place(
        lambda extents: SpaceNeeds(
            extents, (Need(PLAIN_ROLE, 1, extents),)
        )
    )
    segments, start = list(volume.segments), volume.size
    for run in placed.grant[PLAIN_ROLE]:
        body = DelayBody(run.areas, delay)
        segments.append(Segment(start, run.extents, body))
        start += run.extents
    longer = evolve(volume, segments=tuple(segments))
    return Built((longer,), (volume.id,), notes=placed.notes)


@hookimpl
def cut_segment(segment, start, length):
    (area,) = segment.body.areas
    part = PvArea(area.pv, area.start + start, length)
    return evolve(segment.body, areas=(part,))


# What the kernel gets, and what reports say


@hookimpl
def segment_lines(group, segment):
    size = group.extent_size
    (area,) = segment.body.areas
    offset = group.pv_by_id[area.pv].pe_start + area.start.sectors(size)
    args = (PvRef(area.pv), str(offset), str(segment.body.delay))
    start, length = (
        n.sectors(size) for n in (segment.start, segment.length)
    )
    return (TargetLine(start, length, "delay", args),)


@hookimpl
def table_types():
    from vmgr_delay.table import DelayTable

    return (DelayTable,)


@hookimpl
def describe(segment):
    return VolumeFacts("delay", values=(("delay", segment.body.delay),))
