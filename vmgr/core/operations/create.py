"""Makes volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.change import Change, Wipe
from vmgr.core.errors import Refused, UsageError
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
from vmgr.core.operations.placing import Where, place
from vmgr.core.operations.sizing import size_for_new
from vmgr.core.requests import READ_AHEAD_AUTO
from vmgr.core.space import effective_policy
from vmgr.core.targets import NOTHING_LIVE
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.exchange import Built
    from vmgr.core.hooks import Live
    from vmgr.core.ids import LvName
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
        targets.check_request(group, find_volume(group, request.origin), request, live)
    _require_room(group)
    name = next_name(group) if request.name is None else require_free_name(group, request.name)

    sized = size_for_new(group, request)
    where = Where(effective_policy(group, request.alloc), request.pvs, rules)
    placed = place(group, sized, lambda extents: targets.space_needed(group, request, extents), where)
    if request.size is None and not placed.needs.extents:
        raise UsageError(
            "no size given for the new volume", hint="say how large it shall be: -L SIZE or -l EXTENTS"
        )

    blank = _blank(request, name, stamp)
    built = targets.build_volumes(group, request, blank, placed.grant, stamp, placed.needs.extents)
    after = with_built(group, built, targets)
    if not after.lv_by_id[built.main].size:
        raise Refused(f"the new volume {name} would have no extents", hint="give a larger size")
    require_valid(after, targets)
    active = request.activate != "n" and (request.activation_skip is not True or request.ignore_skip)
    wipe = _wipe(request, built, after) if active else ()
    notes = placed.notes + built.notes
    if built.wipe and not (wipe and wipe[0].zero):
        notes += (f"WARNING: Logical volume {full_name(after, after.lv_by_id[built.main])} not zeroed.",)
    return Change(
        before=group,
        after=after,
        activate=(built.main,) if active and built.activate else (),
        zero=built.zero,
        wipe=wipe,
        notes=notes,
        done=(f'Logical volume "{after.lv_by_id[built.main].name}" created.',),
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


def _wipe(request: CreateVolume, built: Built, after: VolumeGroup) -> tuple[Wipe, ...]:
    zero, signatures = request.zero is not False, request.wipe_signatures is not False
    if not built.wipe or not (zero or signatures):
        return ()
    if not after.lv_by_id[built.main].writable:
        return ()
    return (Wipe(built.main, zero=zero, signatures=signatures),)
