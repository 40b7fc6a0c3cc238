"""The free runs of physical volumes while an allocation is under way: the allocator's only mutable state.

The order of the runs is LVM2's (``lib/metadata/pv_map.c``), with what looks odd in it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmgr.core.model import PvArea
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid


class FreeRun:
    """A free run during one allocation; ``left`` of its extents are not yet claimed by this attempt."""

    __slots__ = ("count", "left", "pool", "start")

    def __init__(self, pool: Pool, start: int, count: int) -> None:
        self.pool = pool
        self.start = start
        self.count = count
        self.left = count


class Pool:
    """The free runs of one physical volume, longest first; equal ones in the order they came.

    ``claimed`` is how many of them an attempt has claimed, in part or whole. There may be thousands of runs, and an
    attempt for each: what an attempt did not touch is not looked at to undo it.
    """

    __slots__ = ("claimed", "pv", "runs")

    def __init__(self, pv: Uuid, free: Iterable[PvArea]) -> None:
        self.pv = pv
        self.claimed = 0
        runs = [FreeRun(self, int(area.start), int(area.length)) for area in free]
        self.runs: list[FreeRun] = sorted(runs, key=_longest_first)

    def _insert(self, run: FreeRun, size: int) -> None:
        if not self.claimed:  # so they are in order
            self.runs.insert(bisect_right(self.runs, -size, key=_longest_first), run)
            return
        for index, other in enumerate(self.runs):
            if size > other.count:
                self.runs.insert(index, run)
                return
        self.runs.append(run)

    def copy(self) -> Pool:
        """A pool of its own with the same runs."""
        return Pool(self.pv, [PvArea(self.pv, Extents(r.start), Extents(r.count)) for r in self.runs])

    def claim(self, run: FreeRun, length: int) -> None:
        """Claim ``length`` extents of ``run`` for the attempt at hand."""
        if run.left == run.count:
            self.claimed += 1
        run.left -= length

    def moved(self, run: FreeRun) -> int:
        """Put a run whose ``left`` changed where it belongs now; gives its index."""
        self.runs.remove(run)
        self._insert(run, run.left)
        return self.runs.index(run)

    def consume(self, run: FreeRun, length: int) -> None:
        """Take ``length`` extents from the start of ``run`` for good."""
        self.runs.remove(run)
        if run.left != run.count:
            self.claimed -= 1
        if length < run.count:
            run.start += length
            run.count -= length
            run.left = run.count
            self._insert(run, run.count)

    def reset(self) -> None:
        """Give back what an attempt had claimed."""
        index = 0
        while self.claimed and index < len(self.runs):
            run = self.runs[index]
            if run.left != run.count:
                run.left = run.count
                self.claimed -= 1
                index = self.moved(run)
            index += 1


def _longest_first(run: FreeRun) -> int:
    return -run.count
