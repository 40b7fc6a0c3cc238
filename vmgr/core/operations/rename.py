"""Gives volumes other names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change
from vmgr.core.context import NO_MACHINE, Context, Machine
from vmgr.core.errors import AlreadyExists, UsageError
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.ids import LvName
from vmgr.core.model import LvArea
from vmgr.core.operations.checks import (
    find_volume,
    require_changeable,
    require_device_name,
    require_free_name,
    require_unlocked,
    require_visible,
)
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import RenameVolume
    from vmgr.core.targets import Targets


def rename_volume(
    group: VolumeGroup,
    request: RenameVolume,
    targets: Targets,
    *,
    live: Live = NOTHING_LIVE,
    machine: Machine = NO_MACHINE,
) -> Change:
    """Rename a volume; its hidden parts that are named after it (``lv_rimage_0``) follow.

    Raises :class:`AlreadyExists`, :class:`InvalidName` and, for a hidden volume, :class:`Refused`.
    """
    require_changeable(group)
    volume = find_volume(group, request.lv)
    targets.check_request(group, volume, request, Context(volume, targets, live=live, machine=machine))
    require_visible(group, volume, "rename", request, targets)
    require_unlocked(group, volume, "rename")
    if request.name == volume.name:
        raise UsageError("old and new logical volume names must differ", hint="choose another name")
    name = require_free_name(group, request.name)
    renamed = [evolve(volume, name=name)]
    for part in _parts(group, volume):
        require_unlocked(group, part, "rename")
        new = LvName(f"{name}{part.name[len(volume.name) :]}")
        if new in group.lv_by_name:
            raise AlreadyExists(
                f"logical volume {new!r}, the new name of {part.name!r}, already exists in volume group"
                f" {group.name!r}",
                hint="choose another name",
            )
        require_device_name(group.name, new)
        renamed.append(evolve(part, name=new))
    after = group.with_lv(*renamed)
    require_valid(after, targets)
    return Change(
        before=group,
        after=after,
        done=(f'Renamed "{volume.name}" to "{name}" in volume group "{group.name}"',),
    )


def _parts(group: VolumeGroup, volume: LogicalVolume) -> list[LogicalVolume]:
    """Hidden volumes below ``volume`` whose names begin with its own and an underscore."""
    by_id = group.lv_by_id
    prefix = f"{volume.name}_"
    found: dict[Uuid, LogicalVolume] = {}
    todo = [volume]
    while todo:
        lv = todo.pop()
        below = [a.lv for a in lv.areas() if isinstance(a, LvArea)]
        below += [r.lv for r in lv.references()]
        for lv_id in below:
            part = by_id.get(lv_id)
            if part is None or part.visible or part.id in found or not part.name.startswith(prefix):
                continue
            found[part.id] = part
            todo.append(part)
    return list(found.values())
