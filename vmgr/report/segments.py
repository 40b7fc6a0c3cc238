"""The values of the columns of segments. As in :mod:`vmgr.report.volumes`, plugins provide the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.ids import Uuid
from vmgr.core.model import PvArea, SegmentBody

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.model import LogicalVolume, Segment
    from vmgr.report.facts import GroupFacts

    SegmentValue = Callable[[GroupFacts, LogicalVolume, Segment], object]


class FreeBody(SegmentBody):
    """A run of free extents in reports of physical volumes, like LVM2's type ``free``."""

    __slots__ = ()


FREE = FreeBody()


def _segtype(g: GroupFacts, lv: LogicalVolume, segment: Segment) -> str:
    return "free" if segment.body is FREE else g.segtype(lv, segment)


def _given(g: GroupFacts, lv: LogicalVolume, segment: Segment, name: str) -> object:
    return None if segment.body is FREE else g.segment_facts(lv, segment).values.get(name)


def _stripes(g: GroupFacts, lv: LogicalVolume, segment: Segment) -> object:
    given = _given(g, lv, segment, "stripes")
    return len(segment.body.areas) if given is None else given


def _data_stripes(g: GroupFacts, lv: LogicalVolume, segment: Segment) -> object:
    given = _given(g, lv, segment, "data_stripes")
    return len(segment.body.areas) if given is None else given


def _data_copies(g: GroupFacts, lv: LogicalVolume, segment: Segment) -> object:
    given = _given(g, lv, segment, "data_copies")
    return (1 if segment.body.areas else None) if given is None else given


def _areas(g: GroupFacts, segment: Segment, *, ranges: bool, mark: bool) -> tuple[str, ...]:
    """The areas as words: ``DEVICE(EXTENT)``, or ``DEVICE:FIRST-LAST`` for ``ranges``.

    As in LVM2, a volume below is shown from its own start to its end, whatever part of it is used.
    """
    words = []
    for area in segment.body.areas:
        if isinstance(area, PvArea):
            name, start, length = g.device(area.pv), int(area.start), int(area.length)
        else:
            lower = g.group.lv_by_id.get(area.lv)
            name = "" if lower is None else g.lv_name(lower.id) if mark else str(lower.name)
            start, length = 0, int(lower.size) if lower is not None else 0
        words.append(f"{name}:{start}-{start + length - 1}" if ranges else f"{name}({start})")
    return tuple(words)


VALUES: dict[str, SegmentValue] = {
    "segtype": _segtype,
    "stripes": _stripes,
    "data_stripes": _data_stripes,
    "data_copies": _data_copies,
    "seg_start": lambda g, lv, s: int(s.start) * g.extent_size,
    "seg_start_pe": lambda g, lv, s: int(s.start),
    "seg_size": lambda g, lv, s: int(s.length) * g.extent_size,
    "seg_size_pe": lambda g, lv, s: int(s.length),
    "seg_tags": lambda g, lv, s: tuple(sorted(s.tags)),
    "seg_pe_ranges": lambda g, lv, s: _areas(g, s, ranges=True, mark=False),
    "seg_le_ranges": lambda g, lv, s: _areas(g, s, ranges=True, mark=True),
    "devices": lambda g, lv, s: _areas(g, s, ranges=False, mark=False),
}
"""The value of each column that the core knows."""

SEPARATORS = {"seg_pe_ranges": " ", "devices": ",", "metadata_devices": ","}
"""Lists whose items are always separated by this, whatever lvm.conf says."""


def fact(name: str, absent: object) -> SegmentValue:
    """The value function of a column that plugins fill."""

    def value(g: GroupFacts, lv: LogicalVolume, segment: Segment) -> object:
        found = _given(g, lv, segment, name)
        if found is None:
            return absent
        return g.lv_name(found) if isinstance(found, Uuid) else found

    return value
