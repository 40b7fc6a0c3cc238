"""From a request and a length to granted space: the target's rounding, allocation, and what would fit instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules, allocate
from vmgr.core.errors import NoSpace, Refused, VmgrError
from vmgr.core.exchange import Placed
from vmgr.core.model import PvArea
from vmgr.core.operations.sizing import Sized
from vmgr.core.sizes import with_extents
from vmgr.core.space import effective_policy, largest
from vmgr.core.units import Extents

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.context import NeedsOf, Place
    from vmgr.core.exchange import Grant, SpaceNeeds
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import PvRange


@frozen
class Where:
    """Where space may come from. ``first``: areas of the first segment of a volume that is extended."""

    policy: str
    pvs: tuple[PvRange, ...] = ()
    rules: AllocationRules = DEFAULT_RULES
    first: tuple[PvArea, ...] = ()


def place_for(
    base: VolumeGroup,
    sized: Sized,
    where: Where,
    *,
    own: int = 0,
    check: Callable[[Placed], None] | None = None,
) -> Place:
    """The :class:`~vmgr.core.context.Place` of an operation; ``check`` raises for what may not be had."""

    def finds(
        needs_of: NeedsOf,
        *,
        extents: Extents | None = None,
        group: VolumeGroup | None = None,
        pvs: tuple[PvRange, ...] | None = None,
    ) -> Placed:
        asked = sized if extents is None else Sized(extents)
        placed = place(group or base, asked, needs_of, where if pvs is None else evolve(where, pvs=pvs), own=own)
        if check is not None:
            check(placed)
        return placed

    return finds


def place(group: VolumeGroup, sized: Sized, needs_of: NeedsOf, where: Where, *, own: int = 0) -> Placed:
    """Space for a gain of ``sized.extents``, as ``needs_of`` says what such a gain needs.

    An approximate size takes what can be had. ``own`` is the length that the volume has already, for messages.
    Raises :class:`NoSpace`, with the largest size that would fit in its hint.
    """
    needs = needs_of(sized.extents)
    notes = sized.notes
    step = max(needs.step, 1)
    rest = int(sized.extents) % step
    if sized.percent and rest and int(group.free) < int(sized.extents) - rest + step:
        down = Extents(int(sized.extents) - rest)
        if not down:
            raise Refused(
                f"{sized.extents} extents are less than the {step} that this volume takes at a time",
                hint="give a larger size, or fewer stripes",
            )
        notes += (
            f"Rounding size ({own + sized.extents} extents) down to stripe boundary size ({own + down} extents)",
        )
        needs = needs_of(down)
    try:
        return Placed(_try(group, needs, where, sized.approximate), needs.extents, notes + needs.notes)
    except NoSpace as error:
        if sized.approximate and len(needs.needs) > 1:
            best = _best(group, needs_of, where, int(needs.extents), step)
            if best:
                needs = needs_of(Extents(best))
                return Placed(_try(group, needs, where, False), needs.extents, notes + needs.notes)
        raise _with_hint(error, group, needs_of, where, int(needs.extents), step, own) from None


def _try(group: VolumeGroup, needs: SpaceNeeds, where: Where, approximate: bool) -> Grant:
    return allocate(
        group,
        needs.needs,
        policy=where.policy,
        pvs=where.pvs,
        rules=where.rules,
        approximate=approximate,
        first=where.first,
    )


def _best(group: VolumeGroup, needs_of: NeedsOf, where: Where, below: int, step: int) -> int:
    """The largest gain under ``below`` that can be placed, by trying."""

    def fits(extents: int) -> bool:
        try:
            _try(group, needs_of(Extents(extents)), where, False)
        except VmgrError:
            return False
        return True

    return largest(fits, below, step)


def _with_hint(
    error: NoSpace,
    group: VolumeGroup,
    needs_of: NeedsOf,
    where: Where,
    wanted: int,
    step: int,
    own: int,
) -> NoSpace:
    best = _best(group, needs_of, where, wanted, step)
    policy = effective_policy(group, where.policy)
    hints: list[str] = []
    if best:
        size = with_extents(Extents(best), group.extent_size)
        hints.append(f"the largest {'growth' if own else 'size'} that fits is {size}")
    if where.pvs and _fits_wider(group, needs_of, evolve(where, pvs=()), wanted):
        hints.append("it fits without the list of physical volumes")
    elif policy in ("contiguous", "cling") and _fits_wider(group, needs_of, evolve(where, policy="normal"), wanted):
        hints.append("it fits with --alloc normal")
    elif policy == "normal" and _fits_wider(group, needs_of, evolve(where, policy="anywhere"), wanted):
        hints.append("it fits with --alloc anywhere, which puts parallel parts on one physical volume")
    elif not best:
        hints.append(f"add a physical volume (vgextend {group.name}) or remove a volume")
    return NoSpace(error.message, hint="; ".join(hints), details=error.details)


def _fits_wider(group: VolumeGroup, needs_of: NeedsOf, where: Where, wanted: int) -> bool:
    try:
        _try(group, needs_of(Extents(wanted)), where, False)
    except VmgrError:
        return False
    return True


def first_areas(volume: LogicalVolume) -> tuple[PvArea, ...]:
    """The PV areas of a volume's first segment."""
    if not volume.segments:
        return ()
    return tuple(a for a in volume.segments[0].body.areas if isinstance(a, PvArea))
