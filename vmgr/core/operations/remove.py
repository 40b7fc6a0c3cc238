"""Removes volumes, with all that cannot be without them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.change import Change
from vmgr.core.errors import Refused
from vmgr.core.operations.checks import (
    find_volume,
    full_name,
    in_text_order,
    require_changeable,
    require_unlocked,
    require_visible,
)
from vmgr.core.targets import NOTHING_LIVE
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import RemoveVolume
    from vmgr.core.targets import Targets


def removal_set(group: VolumeGroup, volume: LogicalVolume, targets: Targets) -> tuple[LogicalVolume, ...]:
    """``volume`` and all volumes that go with it, those that depend on others before these.

    The visible ones among them are what a user should be asked about.
    """
    by_id = group.lv_by_id
    found: dict[Uuid, None] = {}

    def visit(lv: LogicalVolume, path: tuple[Uuid, ...]) -> None:
        if lv.id in path:
            return
        for other in targets.removed_with(group, lv):
            if other in by_id and other not in found:
                visit(by_id[other], (*path, lv.id))
        found.setdefault(lv.id)

    visit(volume, ())
    return tuple(by_id[lv] for lv in found)


def remove_volume(
    group: VolumeGroup, request: RemoveVolume, targets: Targets, *, live: Live = NOTHING_LIVE
) -> Change:
    """Remove a volume and what goes with it: its hidden parts, and the volumes that are nothing without it.

    Raises :class:`Refused` for a hidden volume and for one that others still lie on or refer to.
    """
    require_changeable(group)
    volume = find_volume(group, request.lv)
    require_visible(group, volume, "remove")
    targets.check_request(group, volume, request, live)
    going = removal_set(group, volume, targets)
    ids = {lv.id for lv in going}
    for lv in going:
        require_unlocked(group, lv, "remove")
        users = [user.name for user in group.referrers.get(lv.id, ()) if user.id not in ids]
        if users:
            raise Refused(
                f"logical volume {full_name(group, lv)} is used by {', '.join(users)}",
                hint=f"remove {'that volume' if len(users) == 1 else 'those volumes'} first",
            )
    after = in_text_order(group.without_lv(*ids))
    require_valid(after, targets)
    return Change(
        before=group,
        after=after,
        done=tuple(f'Logical volume "{lv.name}" successfully removed.' for lv in going if lv.visible),
    )
