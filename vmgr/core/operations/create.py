"""Makes volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.change import Change, Wipe
from vmgr.core.context import NO_MACHINE, Context, Machine
from vmgr.core.errors import Refused, UsageError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.model import LogicalVolume
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    next_name,
    require_changeable,
    require_free_name,
    require_fresh,
    require_policy,
    with_built,
    with_flag,
)
from vmgr.core.operations.placing import Where, place_for
from vmgr.core.operations.sizing import size_for_new
from vmgr.core.requests import READ_AHEAD_AUTO
from vmgr.core.space import effective_policy
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.exchange import Placed
    from vmgr.core.hooks import Live
    from vmgr.core.ids import LvName, Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import CreateVolume, Stamp
    from vmgr.core.targets import Targets


def create_volume(
    group: VolumeGroup,
    request: CreateVolume,
    targets: Targets,
    stamp: Stamp,
    *,
    live: Live = NOTHING_LIVE,
    rules: AllocationRules = DEFAULT_RULES,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Make the volume that ``request`` describes.

    The change activates, zeroes and wipes it unless the request says otherwise. Raises :class:`NoSpace` with what
    would fit, :class:`AlreadyExists`, :class:`InvalidName`, :class:`GroupUnusable`, :class:`Refused` and
    :class:`UsageError`.
    """
    require_changeable(group)
    require_policy(request.alloc)
    require_fresh(group, stamp)
    if request.origin is not None:
        origin = find_volume(group, request.origin)
        targets.check_request(group, origin, request, Context(origin, targets, stamp, live, machine))
    _require_room(group)
    name = next_name(group) if request.name is None else require_free_name(group, request.name)

    sized = size_for_new(group, request)
    where = Where(effective_policy(group, request.alloc), request.pvs, rules)

    def check(placed: Placed) -> None:
        if request.size is None and not placed.extents:
            raise UsageError(
                "no size given for the new volume", hint="say how large it shall be: -L SIZE or -l EXTENTS"
            )

    blank = _blank(request, name, stamp)
    place = place_for(group, sized, where, check=check)
    context = Context(blank, targets, stamp, live, machine, extents=sized.extents, place=place)
    built = targets.change(group, request, context)
    after = with_built(group, built, targets)
    ids = after.lv_by_id
    mains = [ids[lv] for lv in built.mains]
    if empty := [lv.name for lv in mains if not lv.size]:
        raise Refused(f"the new volume {empty[0]} would have no extents", hint="give a larger size")
    require_valid(after, targets)
    active = request.activate != "n" and (request.activation_skip is not True or request.ignore_skip)
    new = tuple(lv.id for lv in mains if lv.id not in group.lv_by_id)
    wipes = new if built.wipe is None else built.wipe
    wipe = _wipe(request, wipes, after) if active else ()
    zeroed = {w.lv for w in wipe if w.zero}
    return Change(
        before=group,
        after=after,
        activate=(new if built.activate is None else built.activate) if active else (),
        zero=built.zero,
        needs_active=built.needs_active,
        tools=built.tools,
        waits=built.waits,
        wipe=wipe,
        notes=built.notes
        + tuple(
            f"WARNING: Logical volume {full_name(after, ids[lv])} not zeroed." for lv in wipes if lv not in zeroed
        ),
        done=tuple(f'Logical volume "{lv.name}" created.' for lv in mains) if built.done is None else built.done,
    )


def _require_room(group: VolumeGroup) -> None:
    if group.max_lv and sum(1 for lv in group.lvs if lv.visible) >= group.max_lv:
        raise Refused(
            f"volume group {group.name} already has as many logical volumes as it may have ({group.max_lv})",
            hint=f"raise the limit: vgchange -l {group.max_lv + 1} {group.name}",
        )


def _blank(request: CreateVolume, name: LvName, stamp: Stamp) -> LogicalVolume:
    status: tuple[str, ...] = ("READ", "VISIBLE") if request.read_only else ("READ", "WRITE", "VISIBLE")
    major = minor = None
    if request.numbers is not None:
        major, minor = request.numbers
        require_numbers(major, minor)
        major = 0  # as LVM2 keeps it: the kernel gives the major number, whatever is asked for
        status = with_flag(status, "FIXED_MINOR", True)
    flags: tuple[str, ...] = ()
    if request.activation_skip:
        flags += ("ACTIVATION_SKIP",)
    if not request.autoactivate:
        flags += ("NOAUTOACTIVATE",)
    read_ahead = request.read_ahead if request.read_ahead != READ_AHEAD_AUTO else None
    return LogicalVolume(
        id=stamp.uuid(0),
        name=name,
        status=status,
        flags=flags,
        tags=tuple(dict.fromkeys(request.tags)),
        created=stamp.time,
        host=stamp.host,
        alloc=request.alloc,
        read_ahead=read_ahead,
        profile=request.profile,
        major=major,
        minor=minor,
    )


MAJOR_MAX, MINOR_MAX = 4095, 1048575
"""The kernel's limits (``linux/kdev_t.h``: 12 bits and 20)."""


def require_numbers(major: int, minor: int) -> None:
    """Raise :class:`Refused` for persistent numbers that no device can have; major -1 is any."""
    if not -1 <= major <= MAJOR_MAX:
        raise Refused(f"invalid major number {major}", hint=f"use 0 to {MAJOR_MAX}")
    if not 0 <= minor <= MINOR_MAX:
        raise Refused(f"invalid minor number {minor}", hint=f"use 0 to {MINOR_MAX}")


def _wipe(request: CreateVolume, volumes: tuple[Uuid, ...], after: VolumeGroup) -> tuple[Wipe, ...]:
    zero, signatures = request.zero is not False, request.wipe_signatures is not False
    if not (zero or signatures):
        return ()
    return tuple(Wipe(lv, zero=zero, signatures=signatures) for lv in volumes if after.lv_by_id[lv].writable)
