"""A target that is nobody's: a volume on two hidden legs with a hidden log beside the first.

It stands for mirrors and the like in tests of the core: helpers below a volume, several needs at once, areas on
other volumes, a length that is not the sum of the space.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from vmgr.core.context import Context
from vmgr.core.errors import Refused
from vmgr.core.exchange import Built, Need, SpaceNeeds
from vmgr.core.hooks import OptionSpec, TargetInfo, hookimpl
from vmgr.core.ids import LvName, Uuid
from vmgr.core.model import (
    Area,
    Fields,
    FieldValue,
    LogicalVolume,
    LvArea,
    PvArea,
    Reference,
    Segment,
    SegmentBody,
    VolumeGroup,
)
from vmgr.core.requests import CreateVolume, ExtendVolume, Request, Stamp, option
from vmgr.core.table import TargetLine
from vmgr.core.units import Extents
from vmgr.plugins.linear.body import LinearBody


@frozen
class PairBody(SegmentBody):
    """Two legs, and a log."""

    areas: tuple[Area, ...]
    log: Uuid

    def with_areas(self, areas: tuple[Area, ...]) -> PairBody:
        return evolve(self, areas=areas)

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.log, "log"),)


class PairPlugin:
    """``--type pair``; ``--apart`` puts the legs on different PVs, which is the default."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        return TargetInfo(
            "pair", "two legs", ("pair",), frozenset(), (PairBody,), (), ("pair",),
            (OptionSpec("together", "flag", "Let legs share a PV.", ("lvcreate",)),),
        )  # fmt: skip

    @hookimpl
    def decode_segment(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue]
    ) -> SegmentBody | None:
        return None

    @hookimpl
    def encode_segment(self, body: PairBody) -> tuple[str, Fields]:
        return "pair", ()

    @hookimpl
    def segment_lines(self, group: VolumeGroup, volume: LogicalVolume, segment: Segment) -> tuple[TargetLine, ...]:
        return ()

    @hookimpl
    def change(self, request: Request, ctx: Context) -> Built | None:
        if isinstance(request, ExtendVolume):
            raise Refused("a pair cannot be extended")
        if not isinstance(request, CreateVolume):
            return None
        distinct = not option(request.options, "together")

        def needs(extents: Extents) -> SpaceNeeds:
            return SpaceNeeds(
                extents,
                (Need("legs", 2, extents, distinct), Need("log", 1, Extents(1), with_role="legs", whole=True)),
            )

        placed = ctx.place(needs)
        grant, blank, stamp = placed.grant, ctx.volume, ctx.stamp
        legs = [
            self._part(blank, stamp, i + 1, f"leg_{i}", [run.areas[i] for run in grant["legs"]]) for i in (0, 1)
        ]
        log = self._part(blank, stamp, 3, "log", [run.areas[0] for run in grant["log"]])
        length = legs[0].size
        body = PairBody(tuple(LvArea(leg.id, Extents(0), length) for leg in legs), log.id)
        main = evolve(blank, segments=(Segment(Extents(0), length, body),))
        return Built((main, *legs, log), (main.id,), notes=placed.notes)

    @staticmethod
    def _part(blank: LogicalVolume, stamp: Stamp, number: int, word: str, areas: list[PvArea]) -> LogicalVolume:
        segments = []
        start = Extents(0)
        for area in areas:
            segments.append(Segment(start, area.length, LinearBody((area,))))
            start = start + area.length
        return LogicalVolume(
            stamp.uuid(number), LvName(f"{blank.name}_{word}"), ("READ", "WRITE"), segments=tuple(segments)
        )
