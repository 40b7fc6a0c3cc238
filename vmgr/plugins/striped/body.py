"""What a stripe set consists of: equal areas side by side, and how much goes to each in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.model import LvArea, PvArea, SegmentBody

if TYPE_CHECKING:
    from vmgr.core.model import Area
    from vmgr.core.units import Extents, Sectors


@frozen(repr=False)
class StripedBody(SegmentBody):
    """Data goes to each of ``areas`` in turn, ``stripe_size`` sectors at a time.

    The areas are equally long; the segment is as long as all of them together.
    """

    areas: tuple[Area, ...]
    stripe_size: Sectors

    @property
    def step(self) -> int:
        """A segment consists of whole rows of extents."""
        return len(self.areas)

    @property
    def read_ahead(self) -> Sectors:
        """Twice a whole row of stripes, so that reading ahead keeps all disks busy (LVM2 does the same)."""
        return self.stripe_size * (2 * len(self.areas))

    def with_areas(self, areas: tuple[Area, ...]) -> StripedBody:
        """The same on other areas."""
        if len(areas) != len(self.areas):
            raise TypeError(f"a set of {len(self.areas)} stripes needs as many areas")
        return StripedBody(areas, self.stripe_size)

    def part(self, start: Extents, length: Extents) -> StripedBody:
        """In each stripe ``length`` extents from its extent ``start`` on."""
        return StripedBody(
            tuple(
                PvArea(a.pv, a.start + start, length)
                if isinstance(a, PvArea)
                else LvArea(a.lv, a.start + start, length)
                for a in self.areas
            ),
            self.stripe_size,
        )
