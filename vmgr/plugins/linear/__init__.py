"""The target for volumes that lie on physical volumes as they are: one area after the other.

There is no type "linear" in metadata: LVM2 stores such a segment as a stripe set of one stripe
(``type = "striped"``, ``stripe_count = 1``; ``lib/striped/striped.c``). This plugin claims exactly those.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata, Refused, UsageError
from vmgr.core.hooks import (
    PLAIN_ROLE,
    Claim,
    KernelTarget,
    OptionSpec,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.model import PvArea, Segment
from vmgr.core.naming import dm_uuid
from vmgr.core.plain import STRIPE_COLUMNS
from vmgr.core.units import Sectors
from vmgr.plugins.linear.body import LinearBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.context import Context
    from vmgr.core.exchange import Built, MappedRange, SpaceNeeds
    from vmgr.core.hooks import Names
    from vmgr.core.model import Fields, FieldValue, LogicalVolume, VolumeGroup
    from vmgr.core.requests import Claimed, CreateVolume, ExtendVolume, Request
    from vmgr.core.table import Arg, TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.units import Extents

STORED_AS = "striped"
"""The type word of the metadata text."""

MANUAL = """\
A linear volume maps each of its extents to one extent of a physical volume. It is what lvcreate makes when
nothing else is asked for, and the fastest and simplest kind of volume: what is written to it is
written to one place.

A linear volume can be extended by any number of extents, on any physical volume, while it is in use. LVM2
stores it as a stripe set of one stripe.\
"""

_COMMANDS = ("lvcreate", "lvextend", "lvresize")


@hookimpl
def target_info() -> TargetInfo:
    """Say what the plugin is."""
    return TargetInfo(
        name="linear",
        summary="each extent lies on one extent of a physical volume",
        segment_types=(STORED_AS,),
        fields=frozenset(("stripe_count", "stripes")),
        bodies=(LinearBody,),
        kernel_targets=(KernelTarget("linear", module="dm-mod", config="BLK_DEV_DM"),),
        types=("linear",),
        # With one stripe these are taken and mean nothing, as LVM2 takes them.
        options=(
            OptionSpec("stripes", "number", "Number of stripes: 1 for none.", _COMMANDS, "i", metavar="Number"),
            OptionSpec(
                "stripesize",
                "size",
                "Of no use with one stripe.",
                _COMMANDS,
                "I",
                metavar="Size",
                default_unit="k",
            ),
        ),
        columns=STRIPE_COLUMNS,
        manual=MANUAL,
        quiet=True,
        uniform=True,
        plain=True,
    )


# -- on disk --------------------------------------------------------------------------------------


@hookimpl
def decode_segment(
    type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
) -> LinearBody | None:
    """Claim a stripe set of one stripe."""
    if type_word != STORED_AS or fields.get("stripe_count") != 1:
        return None
    stripes = fields.get("stripes")
    if type(stripes) is tuple and len(stripes) == 2:
        name, start = stripes
        if type(name) is str and type(start) is int:
            return LinearBody((names.area(name, start, length),))
    raise DamagedMetadata("a segment of one stripe must have one area in 'stripes'")


@hookimpl
def encode_segment(body: LinearBody, names: Names) -> tuple[str, Fields]:
    """Write a stripe set of one stripe."""
    area = body.areas[0]
    return STORED_AS, (("stripe_count", 1), ("stripes", (names.area_name(area), int(area.start))))


# -- making and changing --------------------------------------------------------------------------


def _stripes(request: CreateVolume | ExtendVolume) -> int | None:
    from vmgr.core.requests import number

    return number(request.options, "stripes")


@hookimpl
def claim(group: VolumeGroup, request: Claimed) -> int:
    """Claim what has one stripe, and what asks for nothing in particular."""
    from vmgr.core.requests import CreateVolume, ExtendVolume

    if not isinstance(request, CreateVolume | ExtendVolume):
        return Claim.NO
    stripes = _stripes(request)
    if request.type == "linear":
        if stripes not in (None, 1):
            raise UsageError("cannot use stripes with the linear type", hint="leave -i out, or use --type striped")
        return Claim.YES
    if request.type not in (None, STORED_AS) or stripes not in (None, 1):
        return Claim.NO
    if isinstance(request, CreateVolume):
        if request.origin is not None:
            return Claim.NO
        return Claim.YES if request.type == STORED_AS or stripes == 1 else Claim.IF_NOBODY_ELSE
    segments = group.lv_by_id[request.lv].segments
    if not segments:
        return Claim.IF_NOBODY_ELSE
    last = segments[-1].body
    if isinstance(last, LinearBody):
        return Claim.YES
    # One stripe after a stripe set is a linear segment.
    return Claim.YES if stripes == 1 else Claim.NO


@hookimpl
def change(request: Request, ctx: Context) -> Built | None:
    """A segment for each run of one area."""
    from attrs import evolve

    from vmgr.core.exchange import Built
    from vmgr.core.requests import CreateVolume, ExtendVolume

    if not isinstance(request, CreateVolume | ExtendVolume):
        return None
    volume = ctx.volume
    _stripes(request)  # one, or nothing was said
    placed = ctx.place(lambda extents: _needs(volume, request, extents))
    segments = list(volume.segments)
    start = volume.size
    for run in placed.grant[PLAIN_ROLE]:
        segments.append(Segment(start, run.extents, LinearBody(run.areas)))
        start = start + run.extents
    return Built((evolve(volume, segments=tuple(segments)),), (volume.id,), notes=placed.notes)


def _needs(volume: LogicalVolume, request: CreateVolume | ExtendVolume, extents: Extents) -> SpaceNeeds:
    """One area of the volume's gain."""
    from vmgr.core.exchange import Need, SpaceNeeds
    from vmgr.core.requests import option

    after: tuple[PvArea, ...] = ()
    segments = volume.segments
    stripes = _stripes(request)
    if len({len(s.body.areas) for s in segments if s.body.areas}) > 1 and stripes is None:
        raise Refused(
            "the volume's segments have different numbers of stripes",
            hint="say how to go on: -i1, or a number of stripes (-i) and a stripe size (-I)",
        )
    if segments:
        last = segments[-1].body.areas
        if len(last) == 1 and isinstance(last[0], PvArea):
            after = (last[0],)
    notes: tuple[str, ...] = ()
    if option(request.options, "stripesize") is not None:
        notes = ("Ignoring stripesize argument with single stripe.",)
    return SpaceNeeds(extents, (Need(PLAIN_ROLE, 1, extents, after=after),), notes=notes)


@hookimpl
def join_segments(first: Segment, second: Segment) -> LinearBody | None:
    """Join what lies on neighbouring extents of one physical volume, as LVM2 does."""
    a, b = first.body.areas[0], second.body.areas[0]
    if not (isinstance(a, PvArea) and isinstance(b, PvArea)) or a.pv != b.pv or a.end != b.start:
        return None
    if (first.tags, first.extra) != (second.tags, second.extra):
        return None
    return LinearBody((PvArea(a.pv, a.start, a.length + b.length),))


@hookimpl
def cut_segment(segment: Segment, start: Extents, length: Extents) -> LinearBody:
    """Cut at any extent."""
    assert isinstance(segment.body, LinearBody)
    return segment.body.part(start, length)


# -- in the kernel --------------------------------------------------------------------------------


@hookimpl
def segment_lines(group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
    """One line: ``linear DEVICE OFFSET`` (kernel documentation, ``device-mapper/linear.rst``)."""
    from vmgr.core.table import DevRef, PvRef, TargetLine

    size = group.extent_size
    area = segment.body.areas[0]
    where: Arg
    offset = area.start.sectors(size)
    if isinstance(area, PvArea):
        where = PvRef(area.pv)
        offset = group.pv_by_id[area.pv].pe_start + offset
    else:
        where = DevRef(dm_uuid(group.id, area.lv))
    start = segment.start.sectors(size)
    return (TargetLine(start, segment.length.sectors(size), "linear", (where, str(offset))),)


@hookimpl
def table_types() -> tuple[type[TableType], ...]:
    """The line of a linear target."""
    from vmgr.plugins.linear.table import LinearTable

    return (LinearTable,)


# -- for people -----------------------------------------------------------------------------------

_FACTS = VolumeFacts("linear", values=(("stripes", 1), ("data_stripes", 1), ("stripe_size", Sectors(0))))


@hookimpl
def describe() -> VolumeFacts:
    """All linear segments are alike."""
    return _FACTS


@hookimpl
def map_read(segment: Segment, start: Sectors, length: Sectors) -> tuple[MappedRange, ...]:
    """The sectors lie side by side."""
    from vmgr.core.exchange import MappedRange

    return (MappedRange(start, length, segment.body.areas[0], start),)
