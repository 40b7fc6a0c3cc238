"""Free space of a group: where it is, which of it a request may use, and why something did not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from vmgr.core.errors import NoSpace
from vmgr.core.model import PvArea
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from vmgr.core.exchange import Need
    from vmgr.core.ids import Uuid
    from vmgr.core.model import PhysicalVolume, VolumeGroup
    from vmgr.core.requests import PvRange


def free_runs(group: VolumeGroup, pv: PhysicalVolume, ranges: Iterable[tuple[int, int]] = ()) -> tuple[PvArea, ...]:
    """The runs of free extents of ``pv``, by start; with ``ranges`` (first, last) only what lies in them.

    A run that spans two ranges is given once for each. Whether the PV may be used is not asked.
    """
    gaps: list[tuple[int, int]] = []
    position = 0
    for area in group.used.get(pv.id, ()):
        start = int(area.start)
        if start > position:
            gaps.append((position, start))
        position = max(position, start + int(area.length))
    if position < int(pv.pe_count):
        gaps.append((position, int(pv.pe_count)))
    bounds = [(int(first), int(last) + 1) for first, last in ranges]
    if bounds:
        gaps = [
            (max(start, low), min(end, high))
            for low, high in bounds
            for start, end in gaps
            if start < high and low < end
        ]
    return tuple(PvArea(pv.id, Extents(start), Extents(end - start)) for start, end in gaps)


def usable_pvs(group: VolumeGroup, pvs: Sequence[PvRange] = ()) -> list[tuple[PhysicalVolume, tuple[PvArea, ...]]]:
    """The PVs that may be allocated from and their free runs, in the order in which they are considered.

    That is the order of ``pvs``, or the group's own where there are none. PVs that are missing or not
    allocatable are left out.
    """
    ranges: dict[Uuid, list[tuple[Extents, Extents]] | None] = {}
    for item in pvs:
        if not item.ranges:
            ranges[item.pv] = None
        elif (known := ranges.setdefault(item.pv, [])) is not None:
            known.extend(item.ranges)
    by_id = group.pv_by_id
    chosen = [by_id[pv] for pv in ranges] if pvs else group.pvs
    return [
        (pv, free_runs(group, pv, ranges.get(pv.id) or ())) for pv in chosen if pv.allocatable and not pv.missing
    ]


def effective_policy(group: VolumeGroup, *policies: str | None) -> str:
    """The first of ``policies`` that does not inherit, then the group's."""
    for policy in (*policies, group.alloc):
        if policy is not None and policy != "inherit":
            return policy
    return "normal"


# -- why not ---------------------------------------------------------------------------------------


def no_space(group: VolumeGroup, need: Need, policy: str, pvs: Sequence[PvRange]) -> NoSpace:
    """What to raise for a need that could not be met."""
    usable = usable_pvs(group, pvs)
    free = sum(int(run.length) for _, runs in usable for run in runs)
    wanted = int(need.extents) * need.areas
    if policy != "anywhere" and need.distinct and need.areas > len(usable):
        message = f"{need.areas} physical volumes are needed side by side, and there are {len(usable)} to use"
    elif wanted > free:
        message = f'volume group "{group.name}" has insufficient free space ({free} extents): {wanted} required'
    else:
        side = f" as {need.areas} areas of {need.extents}" if need.areas > 1 else ""
        message = (
            f"volume group {group.name} has no {wanted} free extents{side} where allocation policy"
            f" {policy!r} allows them"
        )
    return NoSpace(message, details=explain(group, need, policy, pvs))


def explain(group: VolumeGroup, need: Need, policy: str, pvs: Sequence[PvRange] = ()) -> tuple[str, ...]:
    """For each PV of the group one line: what it has free, or why it may not be used."""
    usable = {pv.id: runs for pv, runs in usable_pvs(group, pvs)}
    listed = {item.pv for item in pvs}
    lines: list[str] = []
    for pv in group.pvs:
        runs = usable.get(pv.id, ())
        if pvs and pv.id not in listed:
            reason = "not among the physical volumes that were given"
        elif pv.missing:
            reason = "missing"
        elif not pv.allocatable:
            reason = "not allocatable (pvchange -x y allows it)"
        elif pv.id in need.avoid:
            reason = "holds another part of the volume, which this one must be kept apart from"
        elif not runs:
            reason = "no free extents" + (
                " in the given ranges" if any(i.ranges for i in pvs if i.pv == pv.id) else ""
            )
        else:
            reason = _describe_runs(pv, runs, need, policy)
        lines.append(f"{pv.device or pv.id.dashed}: {reason}")
    return tuple(lines)


def _describe_runs(pv: PhysicalVolume, runs: tuple[PvArea, ...], need: Need, policy: str) -> str:
    free = sum(int(run.length) for run in runs)
    longest = max(int(run.length) for run in runs)
    text = f"{free} free extents" + (f" in {len(runs)} runs, the longest of {longest}" if len(runs) > 1 else "")
    wanted = int(need.extents)
    if policy == "contiguous" or need.whole:
        ends = [area.end for area in need.after if area.pv == pv.id]
        follow = [int(run.length) for run in runs if run.start in ends]
        if need.after and policy == "contiguous":
            if not follow:
                return text + ", none where the volume ends"
            if max(follow) < wanted:
                return text + f", {max(follow)} where the volume ends: {wanted} are needed there"
        elif longest < wanted:
            return text + f": one run of {wanted} is needed"
    elif policy in ("cling", "cling_by_tags") and need.after and pv.id not in {area.pv for area in need.after}:
        return text + ", but the volume is not on it (policy cling)"
    elif free < wanted:
        return text + (f": {wanted} are needed for each area" if need.areas > 1 else f": {wanted} are needed")
    return text


def largest(fits: Callable[[int], bool], below: int, step: int = 1) -> int:
    """The largest multiple of ``step`` under ``below`` for which ``fits``, 0 if there is none. Bisects."""
    low, high = 0, (below - 1) // step
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * step):
            low = middle
        else:
            high = middle - 1
    return low * step
