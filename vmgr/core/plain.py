"""What plugins of plain targets share: columns that all of them fill, and all of a target that lies nowhere.

A plain target's segments are no more than what their lines say (:class:`vmgr.core.hooks.TargetInfo`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError
from vmgr.core.hooks import ColumnSpec, KernelTarget, TargetInfo, VolumeFacts, hookimpl
from vmgr.core.model import SegmentBody
from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.context import Context
    from vmgr.core.exchange import Built
    from vmgr.core.model import Fields, Segment, VolumeGroup
    from vmgr.core.requests import Request
    from vmgr.core.table import TargetLine
    from vmgr.core.tabletype import TableType

STRIPE_COLUMNS = (
    ColumnSpec("stripes", "#Str", "number", "Number of stripes or mirror/raid1 legs.", per_segment=True),
    ColumnSpec("data_stripes", "#DStr", "number", "Number of data stripes or mirror/raid1 legs.", per_segment=True),
    ColumnSpec(
        "stripe_size",
        "Stripe",
        "size",
        "For stripes, amount of data placed on one device before switching to the next.",
        per_segment=True,
    ),
)
"""LVM2's columns on stripes, which it has for every plain segment, also for one without any."""


class NowhereBody(SegmentBody):
    """A segment that lies nowhere: all of a class are equal.

    Without fields there is nothing for attrs to do, and not asking it saves start-up time.
    """

    __slots__ = ()
    __attrs_attrs__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))


class Nowhere:
    """The plugin of a target whose segments are a type word and a length, on disk as in the kernel.

    ``word`` is the type word of ``lvcreate --type``, of the metadata and of the table. ``table_types`` is asked
    when somebody wants lines taken apart.
    """

    def __init__(
        self,
        word: str,
        body: type[NowhereBody],
        *,
        summary: str,
        manual: str,
        kernel_target: KernelTarget,
        table_types: Callable[[], tuple[type[TableType], ...]],
    ) -> None:
        self._word = word
        self._body = body()
        self._table_types = table_types
        self._info = TargetInfo(
            name=word,
            summary=summary,
            segment_types=(word,),
            fields=frozenset(),
            bodies=(body,),
            kernel_targets=(kernel_target,),
            types=(word,),
            columns=(
                *STRIPE_COLUMNS,
                ColumnSpec("lv_modules", "Modules", "list", "Kernel device-mapper modules required for this LV."),
            ),
            manual=manual,
            plain=True,
        )
        self._facts = VolumeFacts(
            word,
            kind="v",
            target="v",
            values=(("stripes", 0), ("data_stripes", 0), ("stripe_size", Sectors(0)), ("lv_modules", (word,))),
        )

    @hookimpl
    def target_info(self) -> TargetInfo:
        """Say what the plugin is."""
        return self._info

    @hookimpl
    def decode_segment(self, type_word: str) -> NowhereBody | None:
        """Nothing to read. A type word with flags is another kind of thing."""
        return self._body if type_word == self._word else None

    @hookimpl
    def encode_segment(self) -> tuple[str, Fields]:
        """Nothing to write."""
        return self._word, ()

    @hookimpl
    def change(self, request: Request, ctx: Context) -> Built | None:
        """A size without space: one segment more, which the core joins to one like it. There is nothing to wipe."""
        from attrs import evolve

        from vmgr.core.exchange import Built, SpaceNeeds
        from vmgr.core.model import Segment
        from vmgr.core.requests import CreateVolume, ExtendVolume

        if not isinstance(request, CreateVolume | ExtendVolume):
            return None
        if request.pvs:
            raise UsageError(
                f"a volume of type {self._word} lies on no physical volume", hint="leave the physical volumes out"
            )
        placed = ctx.place(lambda extents: SpaceNeeds(extents, ()))
        volume = ctx.volume
        segment = Segment(volume.size, placed.extents, self._body)
        longer = evolve(volume, segments=(*volume.segments, segment))
        return Built((longer,), (volume.id,), wipe=(), notes=placed.notes)

    @hookimpl
    def join_segments(self, first: Segment, second: Segment) -> NowhereBody | None:
        """All are alike."""
        return self._body if (first.tags, first.extra) == (second.tags, second.extra) else None

    @hookimpl
    def cut_segment(self) -> NowhereBody:
        """A part is like the whole."""
        return self._body

    @hookimpl
    def segment_lines(self, group: VolumeGroup, segment: Segment) -> tuple[TargetLine, ...]:
        """One line without parameters."""
        from vmgr.core.table import TargetLine

        size = group.extent_size
        return (TargetLine(segment.start.sectors(size), segment.length.sectors(size), self._word),)

    @hookimpl
    def table_types(self) -> tuple[type[TableType], ...]:
        """The line of the target."""
        return self._table_types()

    @hookimpl
    def describe(self) -> VolumeFacts:
        """All segments are alike: virtual."""
        return self._facts
