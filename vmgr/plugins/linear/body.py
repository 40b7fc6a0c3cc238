"""What a linear segment consists of: one area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.model import LvArea, PvArea, SegmentBody

if TYPE_CHECKING:
    from vmgr.core.model import Area
    from vmgr.core.units import Extents


@frozen(repr=False)
class LinearBody(SegmentBody):
    """A segment that lies on one area: the only member of ``areas``, as long as the segment."""

    areas: tuple[Area, ...]

    @property
    def area(self) -> Area:
        """The area."""
        return self.areas[0]

    def with_areas(self, areas: tuple[Area, ...]) -> LinearBody:
        """The same on another area."""
        if len(areas) != 1:
            raise TypeError("a linear segment lies on one area")
        return LinearBody(areas)

    def part(self, start: Extents, length: Extents) -> LinearBody:
        """``length`` extents of it from its extent ``start`` on."""
        area = self.areas[0]
        if isinstance(area, PvArea):
            return LinearBody((PvArea(area.pv, area.start + start, length),))
        return LinearBody((LvArea(area.lv, area.start + start, length),))
