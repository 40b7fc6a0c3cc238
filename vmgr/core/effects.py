"""What a plan that was carried out has changed, in the words of a user: volumes, groups, physical volumes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.devices import own_uuid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.phases import Plan

LV, VG, PV, DEVICE, FILE = "lv", "vg", "pv", "device", "file"


class Effect(NamedTuple):
    """One change.

    ``action``: ``created``, ``removed``, ``renamed``, ``changed``, ``activated``, ``deactivated``,
    ``reloaded``; of a volume that went to another group ``moved``; of a physical volume also ``added`` to a group
    and ``dropped`` from it, of a device ``wiped``, of a file ``written``. ``kind`` is one of the above. ``name`` is
    the new name (``group/volume``), or a path; ``uuid`` is empty for devices and files.
    """

    action: str
    kind: str
    name: str
    uuid: str = ""


def effects(plan: Plan) -> tuple[Effect, ...]:
    """What a plan changes once all of it is done, physical volumes first. Hidden volumes are not mentioned."""
    found = list(_labels(plan))
    had = {lv.id for change in plan.changes if change.before is not None for lv in change.before.lvs}
    has = {lv.id for change in plan.changes if change.after is not None for lv in change.after.lvs}
    for change in plan.changes:
        found += _metadata(change.before, change.after, had & has)
    for change in plan.changes:
        found += _devices(plan, change)
    return tuple(found)


_KINDS = {LV: "logical volume", VG: "volume group", PV: "physical volume", DEVICE: "device", FILE: "file"}


def sentence(effect: Effect) -> str:
    """An effect for people: ``logical volume vg/home created``."""
    return f"{_KINDS[effect.kind]} {effect.name} {effect.action}"


def _labels(plan: Plan) -> Iterator[Effect]:
    for step in plan.steps:
        path, uuid = step.label_of
        if path:
            yield Effect(step.effect, PV, path, uuid)


def _metadata(before: VolumeGroup | None, after: VolumeGroup | None, kept: Collection[Uuid]) -> Iterator[Effect]:
    """``kept`` are the volumes that are there before and after, in whatever group."""
    group = after or before
    if group is None or before == after:
        return
    action = "created" if before is None else "removed" if after is None else "changed"
    if before is not None and after is not None:
        if before.name != after.name:
            action = "renamed"
        yield from _members(before, after)
    yield Effect(action, VG, group.name, group.id.dashed)
    yield from _volumes(before, after, kept)


def _members(before: VolumeGroup, after: VolumeGroup) -> Iterator[Effect]:
    for pv in after.pvs:
        old = before.pv_by_id.get(pv.id)
        if old is None or (old is not pv and old != pv):
            yield Effect("added" if old is None else "changed", PV, pv.device, pv.id.dashed)
    for pv in before.pvs:
        if pv.id not in after.pv_by_id:
            yield Effect("dropped", PV, pv.device, pv.id.dashed)


def _volumes(before: VolumeGroup | None, after: VolumeGroup | None, kept: Collection[Uuid]) -> Iterator[Effect]:
    """A group's new name is not a change of its volumes."""
    old = before.lv_by_id if before is not None else {}
    new = after.lv_by_id if after is not None else {}
    if after is not None:
        for volume in after.lvs:
            was = old.get(volume.id)
            if was is volume or not (volume.visible or (was is not None and was.visible)):
                continue
            if was is None:
                yield _of("moved" if volume.id in kept else "created", after, volume)
            elif was.name != volume.name:
                yield _of("renamed", after, volume)
            elif was != volume:
                yield _of("changed", after, volume)
    if before is not None:
        for volume in before.lvs:
            if volume.visible and volume.id not in new and volume.id not in kept:
                yield _of("removed", before, volume)


def _devices(plan: Plan, change: Change) -> Iterator[Effect]:
    """Volumes that are there before and after, and whose own device comes, goes, or gets another table."""
    group = change.after or change.before
    acts: dict[str, str] = {}
    for step in plan.steps:
        if step.device_uuid and step.effect:
            acts.setdefault(step.device_uuid, step.effect)  # what is made is loaded, too
    if group is None or change.after is None or not acts:
        return
    for volume in group.lvs:
        action = acts.get(own_uuid(group, volume))
        if action is not None and volume.visible:
            yield _of(action, group, volume)


def _of(action: str, group: VolumeGroup, volume: LogicalVolume) -> Effect:
    return Effect(action, LV, f"{group.name}/{volume.name}", volume.id.dashed)
