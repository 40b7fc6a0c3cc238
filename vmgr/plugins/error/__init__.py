"""The target for volumes that lie nowhere: requests fail.

On disk a segment is its type word and its length, nothing else (``lib/error/errseg.c``).
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

WORD = "error"

MANUAL = """\
A volume of type error lies nowhere: every request to it fails. It takes no space in its group. It stands in for
what is lost or must not be touched, and serves to test how programs take failures.

lvcreate --type error -L 1g makes one. Segments of this type may follow those of plain volumes: lvextend --type
error gives a volume a bad end.\
"""


class ErrorBody(SegmentBody):
    """A segment that lies nowhere: requests fail. All are equal.

    Without fields there is nothing for attrs to do, and not asking it saves start-up time.
    """

    __slots__ = ()
    __attrs_attrs__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is ErrorBody

    def __hash__(self) -> int:
        return hash(ErrorBody)


@hookimpl
def target_info() -> TargetInfo:
    """Say what the plugin is."""
    return TargetInfo(
        name=WORD,
        summary="every request to it fails",
        segment_types=(WORD,),
        fields=frozenset(),
        bodies=(ErrorBody,),
        kernel_targets=(KernelTarget(WORD, module="dm-mod", config="BLK_DEV_DM"),),
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
def decode_segment(type_word: str) -> ErrorBody | None:
    """Nothing to read. A type word with flags is another kind of thing."""
    return ErrorBody() if type_word == WORD else None


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
        raise UsageError("an error volume lies on no physical volume", hint="leave the physical volumes out")
    return SpaceNeeds(extents, ())


@hookimpl
def build_volumes(blank: LogicalVolume, extents: Extents) -> Built:
    """One segment more, which the core joins to one like it. There is nothing to wipe."""
    from attrs import evolve

    from vmgr.core.exchange import Built
    from vmgr.core.model import Segment

    segment = Segment(blank.size, extents, ErrorBody())
    return Built((evolve(blank, segments=(*blank.segments, segment)),), blank.id, wipe=False)


@hookimpl
def join_segments(first: Segment, second: Segment) -> ErrorBody | None:
    """All are alike."""
    return ErrorBody() if (first.tags, first.extra) == (second.tags, second.extra) else None


@hookimpl
def cut_segment() -> ErrorBody:
    """A part is like the whole."""
    return ErrorBody()


# -- in the kernel --------------------------------------------------------------------------------


@hookimpl
def segment_lines(group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
    """One line without parameters."""
    from vmgr.core.table import TargetLine

    size = group.extent_size
    return (TargetLine(segment.start.sectors(size), segment.length.sectors(size), WORD),)


@hookimpl
def table_types() -> tuple[type[TableType], ...]:
    """The line of an error target."""
    from vmgr.plugins.error.table import ErrorTable

    return (ErrorTable,)


# -- for people -----------------------------------------------------------------------------------

_FACTS = VolumeFacts(
    WORD,
    kind="v",
    target="v",
    values=(("stripes", 0), ("data_stripes", 0), ("stripe_size", Sectors(0)), ("lv_modules", (WORD,))),
)


@hookimpl
def describe() -> VolumeFacts:
    """All error segments are alike: virtual."""
    return _FACTS
