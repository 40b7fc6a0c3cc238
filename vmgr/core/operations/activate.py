"""Says which volumes shall be active, inactive, or have their tables loaded anew. No metadata change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vmgr.core.change import Change
from vmgr.core.devices import together
from vmgr.core.errors import GroupUnusable, Refused, UnclaimedSegment
from vmgr.core.model import LvArea, PvArea, UnknownBody
from vmgr.core.operations.checks import find_volume, full_name

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.targets import Targets


def activate_volumes(
    group: VolumeGroup,
    volumes: Iterable[Uuid],
    targets: Targets,
    *,
    ignore_skip: bool = False,
    missing: Iterable[Uuid] = (),
    wanted: Callable[[LogicalVolume], bool] | None = None,
) -> Change:
    """Activate ``volumes``, with what must be active together with them.

    Left out, with a note: those marked to be skipped unless ``ignore_skip``, and those that ``wanted`` (the
    configuration's ``volume_list``) refuses. ``missing`` are PVs that were not found; with those that the metadata
    mark, a volume on one of them is refused, as one whose segments no plugin knows is.
    """
    _require_usable(group)
    chosen: list[Uuid] = []
    notes: list[str] = []
    lost = {pv.id for pv in group.pvs if pv.missing} | set(missing)
    for lv_id in volumes:
        volume = find_volume(group, lv_id)
        _require_own(group, volume, "activate")
        if "ACTIVATION_SKIP" in volume.flags and not ignore_skip:
            notes.append(f"ACTIVATION_SKIP flag set for LV {full_name(group, volume)}, skipping activation.")
            continue
        if wanted is not None and not wanted(volume):
            notes.append(f"Not activating {full_name(group, volume)} since it does not pass activation filter.")
            continue
        require_complete(group, volume, lost)
        chosen.append(lv_id)
    return Change(group, group, activate=_with_companions(group, chosen, targets), notes=tuple(notes))


def activatable(
    group: VolumeGroup,
    *,
    auto: bool = False,
    ignore_skip: bool = False,
    missing: Iterable[Uuid] = (),
    wanted: Callable[[LogicalVolume], bool] | None = None,
) -> tuple[tuple[Uuid, ...], tuple[str, ...]]:
    """The group's volumes that ``vgchange -ay`` activates (``-aay`` with ``auto``), and why others are left out.

    ``auto`` leaves out groups and volumes that are marked ``NOAUTOACTIVATE``. Unlike :func:`activate_volumes`, a
    volume that cannot be activated does not stand in the way of the others.
    """
    if auto and ("NOAUTOACTIVATE" in group.flags or "NOAUTOACTIVATE" in group.status):
        return (), ()
    lost = {pv.id for pv in group.pvs if pv.missing} | set(missing)
    chosen: list[Uuid] = []
    notes: list[str] = []
    for volume in group.lvs:
        if not volume.visible or (auto and "NOAUTOACTIVATE" in (*volume.flags, *volume.status)):
            continue
        if "ACTIVATION_SKIP" in volume.flags and not ignore_skip:
            continue
        if wanted is not None and not wanted(volume):
            continue
        try:
            require_complete(group, volume, lost)
        except (Refused, UnclaimedSegment) as error:
            notes.append(str(error))
            continue
        chosen.append(volume.id)
    return tuple(chosen), tuple(notes)


def deactivate_volumes(group: VolumeGroup, volumes: Iterable[Uuid], targets: Targets) -> Change:
    """Deactivate ``volumes``, with what is active together with them. What is in use is the planner's to refuse."""
    chosen = []
    for lv_id in volumes:
        volume = find_volume(group, lv_id)
        _require_own(group, volume, "deactivate")
        chosen.append(lv_id)
    return Change(group, group, deactivate=_with_companions(group, chosen, targets))


def refresh_volumes(group: VolumeGroup, volumes: Iterable[Uuid], targets: Targets) -> Change:
    """Load the tables of ``volumes`` that are active anew; leaves inactive ones alone."""
    _require_usable(group)
    chosen = []
    for lv_id in volumes:
        volume = find_volume(group, lv_id)
        _require_own(group, volume, "refresh")
        require_complete(group, volume, {pv.id for pv in group.pvs if pv.missing})
        chosen.append(lv_id)
    return Change(group, group, refresh=_with_companions(group, chosen, targets))


def now_active(group: VolumeGroup, count: int) -> str:
    """What LVM2 says after ``vgchange -a``."""
    return f'{count} logical volume(s) in volume group "{group.name}" now active'


def _with_companions(group: VolumeGroup, volumes: list[Uuid], targets: Targets) -> tuple[Uuid, ...]:
    return together(group, volumes, targets) if volumes else ()


def _require_usable(group: VolumeGroup) -> None:
    if group.exported:
        raise GroupUnusable(f"volume group {group.name} is exported", hint=f"bring it back: vgimport {group.name}")


def _require_own(group: VolumeGroup, volume: LogicalVolume, what: str) -> None:
    if not volume.visible:
        raise Refused(
            f"cannot {what} internal logical volume {full_name(group, volume)} by itself",
            hint=f"{what} the volume that it is part of",
        )


def require_complete(group: VolumeGroup, volume: LogicalVolume, lost: set[Uuid]) -> None:
    """Raise unless plugins know all that ``volume`` consists of and all PVs that it lies on are there.

    :class:`Refused` names the missing PVs, :class:`UnclaimedSegment` the unknown type.
    """
    by_id = group.lv_by_id
    todo = [volume.id]
    seen: set[Uuid] = set()
    absent: dict[Uuid, None] = {}
    while todo:
        lv_id = todo.pop()
        if lv_id in seen or lv_id not in by_id:
            continue
        seen.add(lv_id)
        for segment in by_id[lv_id].segments:
            body = segment.body
            if isinstance(body, UnknownBody):
                raise UnclaimedSegment(
                    f"logical volume {full_name(group, volume)} has a segment of type {body.type_word!r},"
                    " which no installed plugin knows",
                    hint="install the plugin for this type",
                )
            for area in body.areas:
                if isinstance(area, PvArea):
                    if area.pv in lost:
                        absent.setdefault(area.pv)
                elif isinstance(area, LvArea):
                    todo.append(area.lv)
            todo.extend(r.lv for r in body.references)
    if absent:
        names = ", ".join(pv.dashed for pv in absent)
        raise Refused(
            f"logical volume {full_name(group, volume)} lies on missing physical volumes: {names}",
            hint="connect the missing devices",
        )
