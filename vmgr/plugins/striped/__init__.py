"""The target for stripe sets: data goes to several physical volumes in turn.

LVM2 stores linear segments under the same type word, with one stripe; this plugin leaves those alone
(``lib/striped/striped.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata, Refused
from vmgr.core.hooks import (
    PLAIN_ROLE,
    Claim,
    KernelTarget,
    OptionSpec,
    SettingSpec,
    TargetInfo,
    VolumeFacts,
    hookimpl,
)
from vmgr.core.model import PvArea, Segment
from vmgr.core.naming import dm_uuid
from vmgr.core.plain import STRIPE_COLUMNS
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.striped.body import StripedBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.context import Context
    from vmgr.core.exchange import Built, MappedRange, SpaceNeeds, Violation
    from vmgr.core.hooks import Names
    from vmgr.core.model import Fields, FieldValue, LogicalVolume, VolumeGroup
    from vmgr.core.requests import Claimed, Request
    from vmgr.core.table import Arg, TargetLine
    from vmgr.core.tabletype import TableType

WORD = "striped"

MANUAL = """\
A striped volume spreads its data over several physical volumes: the first stripe size of it lies on the first, the
next on the second, and so on in turn. Large reads and writes then use all of them at once. The failure of
any one of them loses the volume.

-i says how many stripes, each on a physical volume of its own (unless the policy is anywhere), and -I how much goes
to one before the next: a power of 2 from 4 KiB to the size of an extent, 64 KiB if nothing is said. The size
is rounded to whole rows of extents. Smaller stripes spread even small requests, larger ones leave more physical
volumes free for other requests.

An extension goes on with the number and size of stripes that the volume has. With -i and -I it may be of another
shape, which is then a segment of its own: this is how a volume of three stripes is extended onto two
new physical volumes, or with -i1 onto a single one.\
"""

_COMMANDS = ("lvcreate", "lvextend", "lvresize")


@hookimpl
def target_info() -> TargetInfo:
    """Say what the plugin is."""
    return TargetInfo(
        name="striped",
        summary="data goes to several physical volumes in turn",
        segment_types=(WORD,),
        fields=frozenset(("stripe_count", "stripe_size", "stripes")),
        bodies=(StripedBody,),
        kernel_targets=(KernelTarget("striped", module="dm-mod", config="BLK_DEV_DM"),),
        types=("striped",),
        options=(
            OptionSpec(
                "stripes",
                "number",
                "Number of stripes: of physical volumes that data is spread over.",
                _COMMANDS,
                "i",
                metavar="Number",
            ),
            OptionSpec(
                "stripesize",
                "size",
                "Amount of data that goes to one physical volume before the next: a power of 2 from 4k to the"
                " extent size.",
                _COMMANDS,
                "I",
                metavar="Size",
                default_unit="k",
            ),
        ),
        columns=STRIPE_COLUMNS,
        settings=(
            SettingSpec("metadata/stripesize", "size", Sectors(128), "The stripe size where -I says no other."),
        ),
        manual=MANUAL,
        quiet=True,
        uniform=True,
        plain=True,
    )


# -- on disk --------------------------------------------------------------------------------------


@hookimpl
def decode_segment(
    type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
) -> StripedBody | None:
    """Claim what has more than one stripe."""
    count = fields.get("stripe_count")
    if count == 1 or type_word != WORD:
        return None
    if not isinstance(count, int) or count < 1:
        raise DamagedMetadata(f"a stripe set cannot have {count!r} stripes ('stripe_count')")
    size = fields.get("stripe_size")
    if not isinstance(size, int) or size < 1:
        raise DamagedMetadata(f"a set of {count} stripes has no 'stripe_size'")
    stripes = fields.get("stripes")
    if not isinstance(stripes, tuple) or len(stripes) != 2 * count or int(length) % count:
        raise DamagedMetadata(f"a set of {count} stripes must have as many equal areas in 'stripes'")
    each = Extents(int(length) // count)
    areas = []
    for name, start in zip(stripes[::2], stripes[1::2], strict=True):
        if not isinstance(name, str) or not isinstance(start, int):
            raise DamagedMetadata("'stripes' must hold pairs of a name and an extent")
        areas.append(names.area(name, start, each))
    return StripedBody(tuple(areas), Sectors(size))


@hookimpl
def encode_segment(body: StripedBody, names: Names) -> tuple[str, Fields]:
    """Write count, size and areas, in LVM2's order."""
    stripes: list[str | int] = []
    for area in body.areas:
        stripes += (names.area_name(area), int(area.start))
    return WORD, (
        ("stripe_count", len(body.areas)),
        ("stripe_size", int(body.stripe_size)),
        ("stripes", tuple(stripes)),
    )


# -- making and changing --------------------------------------------------------------------------


@hookimpl
def claim(group: VolumeGroup, request: Claimed) -> int:
    """Claim what asks for several stripes, or continues a stripe set."""
    from vmgr.core.requests import CreateVolume, ExtendVolume
    from vmgr.plugins.striped.sizing import stripes_given

    if not isinstance(request, CreateVolume | ExtendVolume) or request.type not in (None, WORD):
        return Claim.NO
    stripes = stripes_given(request.options)
    if isinstance(request, CreateVolume) and request.origin is not None:
        return Claim.NO
    if stripes is not None:
        return Claim.YES if stripes > 1 else Claim.NO
    if isinstance(request, CreateVolume):
        return Claim.NO
    segments = group.lv_by_id[request.lv].segments
    return Claim.YES if segments and isinstance(segments[-1].body, StripedBody) else Claim.NO


@hookimpl
def change(group: VolumeGroup, request: Request, ctx: Context) -> Built | None:
    """A segment for each run of as many areas as there are stripes, on different physical volumes."""
    from attrs import evolve

    from vmgr.core.exchange import Built, Need, SpaceNeeds
    from vmgr.core.requests import CreateVolume, ExtendVolume
    from vmgr.plugins.striped.sizing import rounded, shape_for

    if not isinstance(request, CreateVolume | ExtendVolume):
        return None
    volume = ctx.volume
    shape = shape_for(group, request, ctx)
    after: tuple[PvArea, ...] = ()
    if volume.segments:
        last = volume.segments[-1].body.areas
        if len(last) == shape.stripes:
            after = tuple(a for a in last if isinstance(a, PvArea))

    def needs(extents: Extents) -> SpaceNeeds:
        extents, notes = rounded(group, request, extents, shape.step)
        need = Need(PLAIN_ROLE, shape.stripes, Extents(int(extents) // shape.stripes), after=after)
        return SpaceNeeds(extents, (need,), shape.step, shape.notes + notes)

    placed = ctx.place(needs)
    segments = list(volume.segments)
    start = volume.size
    for run in placed.grant[PLAIN_ROLE]:
        length = run.extents * shape.stripes
        segments.append(Segment(start, length, StripedBody(run.areas, shape.stripe_size)))
        start = start + length
    return Built((evolve(volume, segments=tuple(segments)),), (volume.id,), notes=placed.notes)


@hookimpl
def join_segments(first: Segment, second: Segment) -> StripedBody | None:
    """Join sets of one shape whose areas are neighbours, as LVM2 does."""
    a, b = _body(first), _body(second)
    if len(a.areas) != len(b.areas) or a.stripe_size != b.stripe_size:
        return None
    if (first.tags, first.extra) != (second.tags, second.extra):
        return None
    joined = []
    for x, y in zip(a.areas, b.areas, strict=True):
        if not (isinstance(x, PvArea) and isinstance(y, PvArea)) or x.pv != y.pv or x.end != y.start:
            return None
        joined.append(PvArea(x.pv, x.start, x.length + y.length))
    return StripedBody(tuple(joined), a.stripe_size)


@hookimpl
def cut_segment(group: VolumeGroup, segment: Segment, start: Extents, length: Extents) -> StripedBody:
    """Cut between whole rows of extents."""
    from vmgr.plugins.striped.sizing import step_of

    body = _body(segment)
    stripes = len(body.areas)
    step = step_of(group, stripes, body.stripe_size)
    if int(start) % step or int(length) % step:
        raise Refused(
            f"a set of {stripes} stripes can only be cut at multiples of {step} extents",
            hint=f"choose a size that is a multiple of {step} extents",
        )
    return body.part(start // stripes, length // stripes)


@hookimpl
def check_volume(group: VolumeGroup, volume: LogicalVolume) -> tuple[Violation, ...]:
    """Areas of a set are equal and hold whole stripes."""
    from vmgr.core.exchange import Violation

    found = []
    for segment in volume.segments:
        body = segment.body
        if not isinstance(body, StripedBody):
            continue
        if len(body.areas) < 2:
            found.append(Violation(volume.name, "a stripe set has at least two stripes"))
        if len({a.length for a in body.areas}) > 1:
            found.append(Violation(volume.name, "areas of a stripe set are equally long"))
    return tuple(found)


# -- in the kernel --------------------------------------------------------------------------------


@hookimpl
def segment_lines(group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
    """One line: ``striped COUNT SIZE (DEVICE OFFSET)...`` (kernel documentation, ``device-mapper/striped.rst``)."""
    from vmgr.core.table import DevRef, PvRef, TargetLine

    size = group.extent_size
    body = _body(segment)
    args: list[Arg] = [str(len(body.areas)), str(body.stripe_size)]
    for area in body.areas:
        offset = area.start.sectors(size)
        if isinstance(area, PvArea):
            args += (PvRef(area.pv), str(group.pv_by_id[area.pv].pe_start + offset))
        else:
            args += (DevRef(dm_uuid(group.id, area.lv)), str(offset))
    return (TargetLine(segment.start.sectors(size), segment.length.sectors(size), "striped", tuple(args)),)


@hookimpl
def table_types() -> tuple[type[TableType], ...]:
    """The line of a striped target."""
    from vmgr.plugins.striped.table import StripedTable

    return (StripedTable,)


# -- for people -----------------------------------------------------------------------------------


@hookimpl
def describe(segment: Segment) -> VolumeFacts:
    """Number and size of the stripes."""
    body = _body(segment)
    count = len(body.areas)
    return VolumeFacts(
        "striped",
        values=(("stripes", count), ("data_stripes", count), ("stripe_size", body.stripe_size)),
    )


@hookimpl
def map_read(segment: Segment, start: Sectors, length: Sectors) -> tuple[MappedRange, ...]:
    """One range for each stripe that the sectors touch."""
    from vmgr.core.exchange import MappedRange

    body = _body(segment)
    size, count = int(body.stripe_size), len(body.areas)
    found = []
    at, end = int(start), int(start) + int(length)
    while at < end:
        row, within = divmod(at, size)
        upto = min(end, at - within + size)
        offset = row // count * size + within
        found.append(MappedRange(Sectors(at), Sectors(upto - at), body.areas[row % count], Sectors(offset)))
        at = upto
    return tuple(found)


def _body(segment: Segment) -> StripedBody:
    assert isinstance(segment.body, StripedBody)
    return segment.body
