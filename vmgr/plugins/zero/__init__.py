"""The target for volumes that lie nowhere: reads give zeros.

On disk a segment is its type word and its length, nothing else (``lib/zero/zero.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError
from vmgr.core.hooks import ColumnSpec, KernelTarget, TargetInfo, VolumeFacts, hookimpl
from vmgr.core.model import SegmentBody
from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from vmgr.core.exchange import Built, SpaceNeeds
    from vmgr.core.model import Fields, LogicalVolume, Segment, VolumeGroup
    from vmgr.core.requests import CreateVolume, ExtendVolume
    from vmgr.core.table import TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.units import Extents

WORD = "zero"

MANUAL = """\
A volume of type zero lies nowhere: reading it gives zeros, and what is written to it is dropped. It takes no space
in its group, so it may be of any size. A snapshot of a zero volume holds what is written to the snapshot, and so
makes a very large volume on little space.

lvcreate --type zero -L 1t makes one. It can be extended and reduced like any other, and segments of this type may
follow those of plain volumes: lvextend --type zero.\
"""


class ZeroBody(SegmentBody):
    """A segment that lies nowhere: reads give zeros. All are equal.

    Without fields there is nothing for attrs to do, and not asking it saves start-up time.
    """

    __slots__ = ()
    __attrs_attrs__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is ZeroBody

    def __hash__(self) -> int:
        return hash(ZeroBody)


@hookimpl
def target_info() -> TargetInfo:
    """Say what the plugin is."""
    return TargetInfo(
        name=WORD,
        summary="reads give zeros, and what is written is dropped",
        segment_types=(WORD,),
        fields=frozenset(),
        bodies=(ZeroBody,),
        kernel_targets=(KernelTarget(WORD),),
        types=(WORD,),
        columns=(
            ColumnSpec("stripes", "#Str", "number", "Number of stripes or mirror/raid1 legs.", per_segment=True),
            ColumnSpec(
                "data_stripes",
                "#DStr",
                "number",
                "Number of data stripes or mirror/raid1 legs.",
                per_segment=True,
            ),
            ColumnSpec(
                "stripe_size",
                "Stripe",
                "size",
                "For stripes, amount of data placed on one device before switching to the next.",
                per_segment=True,
            ),
            ColumnSpec("lv_modules", "Modules", "list", "Kernel device-mapper modules required for this LV."),
        ),
        manual=MANUAL,
        plain=True,
    )


# -- on disk --------------------------------------------------------------------------------------


@hookimpl
def decode_segment(type_word: str) -> ZeroBody | None:
    """Nothing to read. A type word with flags is another kind of thing."""
    return ZeroBody() if type_word == WORD else None


@hookimpl
def encode_segment() -> tuple[str, Fields]:
    """Nothing to write."""
    return WORD, ()


# -- making and changing --------------------------------------------------------------------------


@hookimpl
def space_needed(request: CreateVolume | ExtendVolume, extents: Extents) -> SpaceNeeds:
    """A size without space."""
    from vmgr.core.exchange import SpaceNeeds

    if request.pvs:
        raise UsageError("a zero volume lies on no physical volume", hint="leave the physical volumes out")
    return SpaceNeeds(extents, ())


@hookimpl
def build_volumes(blank: LogicalVolume, extents: Extents) -> Built:
    """One segment more, which the core joins to one like it. There is nothing to wipe."""
    from attrs import evolve

    from vmgr.core.exchange import Built
    from vmgr.core.model import Segment

    segment = Segment(blank.size, extents, ZeroBody())
    return Built((evolve(blank, segments=(*blank.segments, segment)),), blank.id, wipe=False)


@hookimpl
def join_segments(first: Segment, second: Segment) -> ZeroBody | None:
    """All are alike."""
    return ZeroBody() if (first.tags, first.extra) == (second.tags, second.extra) else None


@hookimpl
def cut_segment() -> ZeroBody:
    """A part is like the whole."""
    return ZeroBody()


# -- in the kernel --------------------------------------------------------------------------------


@hookimpl
def segment_lines(group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
    """One line without parameters."""
    from vmgr.core.table import TargetLine

    size = group.extent_size
    return (TargetLine(segment.start.sectors(size), segment.length.sectors(size), WORD),)


@hookimpl
def table_types() -> tuple[type[TableType], ...]:
    """The line of a zero target."""
    from vmgr.plugins.zero.table import ZeroTable

    return (ZeroTable,)


# -- for people -----------------------------------------------------------------------------------

_FACTS = VolumeFacts(
    WORD,
    kind="v",
    target="v",
    values=(("stripes", 0), ("data_stripes", 0), ("stripe_size", Sectors(0)), ("lv_modules", (WORD,))),
)


@hookimpl
def describe() -> VolumeFacts:
    """All zero segments are alike: virtual."""
    return _FACTS
