"""How many stripes of what size a request means, and how its size is rounded.

The rules and messages are LVM2's (``tools/toollib.c`` ``_validate_stripe_params``, ``lib/metadata/lv_manip.c``
``_lvresize_adjust_extents``, ``_round_to_stripe_boundary``).
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import InvalidSize, Refused, UsageError
from vmgr.core.sizes import display_size, with_extents
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.striped.body import StripedBody

if TYPE_CHECKING:
    from vmgr.core.context import Context
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import CreateVolume, ExtendVolume, Options

STRIPE_SIZE = "metadata/stripesize"
"""The setting for the stripe size where nothing is said."""

MIN_STRIPE_SIZE = Sectors(8)
"""4 KiB: the page size, less the kernel does not take."""

MAX_STRIPE_SIZE = Sectors(1 << 31)
"""1 TiB, LVM2's ``STRIPE_SIZE_LIMIT``."""

MAX_STRIPES = 128


@frozen
class Shape:
    """``stripes`` stripes of ``stripe_size`` sectors; ``notes`` say where that came from.

    ``step`` is the multiple, in extents of the volume, that a segment's length must have, so that each area is a
    whole number of stripes.
    """

    stripes: int
    stripe_size: Sectors
    step: int
    notes: tuple[str, ...]


def stripes_given(options: Options) -> int | None:
    """The number of stripes that a request asks for. Raises :class:`UsageError` for one out of range."""
    from vmgr.core.requests import number

    stripes = number(options, "stripes")
    if stripes is None:
        return None
    if not 1 <= stripes <= MAX_STRIPES:
        raise UsageError(f"number of stripes ({stripes}) must be between 1 and {MAX_STRIPES}")
    return stripes


def shape_for(group: VolumeGroup, request: CreateVolume | ExtendVolume, ctx: Context) -> Shape:
    """The shape that a request means, from its options or from the segments that it continues."""
    from vmgr.core.requests import CreateVolume, number

    stripes = stripes_given(request.options)
    value = number(request.options, "stripesize")
    size = None if value is None else Sectors(value)
    notes: list[str] = []
    if size is not None:
        _check_size(size)
    if not isinstance(request, CreateVolume):
        stripes, size, notes = _continue(ctx.volume, stripes, size)
    if stripes is None:
        raise UsageError("say how many stripes to make", hint="give -i NUMBER")
    if size is None:
        size = Sectors(ctx.number(STRIPE_SIZE))
        _check_size(size)
        notes.append(f"Using default stripesize {display_size(size)}.")
    if size > group.extent_size:
        notes.append(
            f"Reducing requested stripe size {display_size(size)} to maximum,"
            f" physical extent size {display_size(group.extent_size)}."
        )
        size = group.extent_size
    _check_count(group, request, stripes)
    return Shape(stripes, size, step_of(group, stripes, size), tuple(notes))


def step_of(group: VolumeGroup, stripes: int, size: Sectors) -> int:
    """The multiple of extents for which each area is a whole number of stripes (the kernel asks for that)."""
    return stripes * (int(size) // gcd(int(size), int(group.extent_size)))


def rounded(
    group: VolumeGroup, request: CreateVolume | ExtendVolume, extents: Extents, step: int
) -> tuple[Extents, tuple[str, ...]]:
    """``extents`` as a multiple of ``step``, and what to tell the user.

    Rounds up; a percentage for which that would be too much rounds down.
    """
    from vmgr.core.amounts import Percent
    from vmgr.core.requests import CreateVolume

    rest = int(extents) % step
    if not rest:
        return extents, ()
    down, up = Extents(int(extents) - rest), Extents(int(extents) - rest + step)
    percent = request.size is not None and isinstance(request.size.value, Percent)
    result = down if percent and group.free < up and down else up
    word = "down" if result is down else "up"
    if isinstance(request, CreateVolume):
        old, new = with_extents(extents, group.extent_size), with_extents(result, group.extent_size)
        return result, (f"Rounding size {old} {word} to stripe boundary size {new}.",)
    before = group.lv_by_id[request.lv].size
    return result, (
        f"Rounding size ({before + extents} extents) {word} to stripe boundary size for segment"
        f" ({before + result} extents).",
    )


def _check_size(size: Sectors) -> None:
    if size > MAX_STRIPE_SIZE:
        raise InvalidSize(f"stripe size cannot be larger than {display_size(MAX_STRIPE_SIZE)}")
    if size < MIN_STRIPE_SIZE or int(size) & (int(size) - 1):
        raise InvalidSize(
            f"invalid stripe size {display_size(size)}",
            hint="a stripe size is a power of 2 of at least 4 KiB",
        )


def _continue(
    volume: LogicalVolume, stripes: int | None, size: Sectors | None
) -> tuple[int | None, Sectors | None, list[str]]:
    """What the volume's segments say about what was left open."""
    notes: list[str] = []
    if stripes is not None and size is not None:
        return stripes, size, notes
    counts = {len(s.body.areas) for s in volume.segments if s.body.areas}
    sizes = {s.body.stripe_size for s in volume.segments if isinstance(s.body, StripedBody)}
    if (stripes is None and len(counts) > 1) or (size is None and len(sizes) > 1):
        raise Refused(
            "the volume's segments have different numbers of stripes or stripe sizes",
            hint="give the number of stripes (-i) and the stripe size (-I)",
        )
    if stripes is None:
        stripes = counts.pop() if counts else None
    if size is None and sizes:
        size = sizes.pop()
        notes.append(f"Using stripesize of last segment {display_size(size)}")
    return stripes, size, notes


def _check_count(group: VolumeGroup, request: CreateVolume | ExtendVolume, stripes: int) -> None:
    from vmgr.core.requests import CreateVolume

    # An extension may have its policy from the volume; whether the areas can be had is the allocator's to say.
    if request.alloc == "anywhere" or not isinstance(request, CreateVolume):
        return
    pvs = len({r.pv for r in request.pvs}) if request.pvs else len(group.pvs)
    if stripes > pvs:
        raise Refused(
            f"number of stripes ({stripes}) must not exceed number of physical volumes ({pvs})",
            hint="add physical volumes to the group, or let stripes share one: --alloc anywhere",
        )
