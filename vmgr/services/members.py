"""Physical volumes of groups: which join, which leave, and which come back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change, combine
from vmgr.core.errors import AlreadyExists, Refused
from vmgr.core.group_requests import CreatePv
from vmgr.core.ids import Uuid
from vmgr.core.operations.group import rewritten
from vmgr.core.resolve import Members
from vmgr.outcome import Outcome
from vmgr.services.labels import (
    NewPv,
    enter_devices,
    existing_pv,
    find_device,
    owner,
    prepare,
    require_distinct,
    way_out,
)
from vmgr.system.devices import device_number

if TYPE_CHECKING:
    from vmgr.core.model import PhysicalVolume, VolumeGroup
    from vmgr.core.operations.group import Joining
    from vmgr.core.view import GroupView, PvView, SystemView
    from vmgr.session import Session


def joining_pvs(
    session: Session, view: SystemView, paths: Sequence[str], label: CreatePv, members: Sequence[PvView] = ()
) -> tuple[list[Joining], list[NewPv], dict[Uuid, PvView]]:
    """What devices bring into a group of ``members``: orphans as they are, others once they are labelled."""
    from vmgr.core.operations.group import Joining
    from vmgr.system.topology import check_block_sizes

    joining: list[Joining] = []
    new: list[NewPv] = []
    known: dict[Uuid, PvView] = {}
    require_distinct(paths)
    devices = [find_device(session, path) for path in paths]
    numbers = {(pv.major, pv.minor) for pv in members}
    check_block_sizes(
        [*devices, *(d for d in session.look(detail=True).devices if d.number in numbers)], session.config
    )
    for path, device in zip(paths, devices, strict=True):
        pv = existing_pv(view, device)
        if pv is not None and pv.vg is not None:
            raise AlreadyExists(
                f"physical volume '{path}' is already in {owner(view, pv)}",
                hint=way_out(view, pv, path),
            )
        if pv is not None and pv in view.duplicates:
            raise Refused(
                f"{path} has the UUID of the physical volume on another device",
                hint="hide one of the two copies (devices/filter in lvm.conf), or vgimportclone(8)",
            )
        if pv is not None and not pv.layout.used:
            joining.append(Joining(pv.layout, device.path))
            known[pv.id] = pv
        else:
            made = prepare(session, view, path, label)
            new.append(made)
            joining.append(Joining(made.label.layout, device.path, made.label))
    return joining, new, known


def carry_out_joining(
    session: Session, change: Change, view: GroupView | None, new: Sequence[NewPv], known: dict[Uuid, PvView]
) -> Outcome:
    """Carry out a change by which ``new`` and ``known`` physical volumes join a group; new ones are wiped first."""

    def wipe() -> None:
        for pv in new:
            pv.wipe(session)

    return session.carry_out(change, view, new_pvs=known, first=wipe)


def extend(
    session: Session,
    vg: str,
    devices: Sequence[str],
    label: CreatePv,
    *,
    restore_missing: bool = False,
) -> Outcome:
    """Add physical volumes to a group, or take back ones that had gone missing and are there again."""
    from vmgr.core.operations.group import extend_group

    if restore_missing:
        return _restore_missing(session, vg, devices)
    session.admit(devices)
    with session.changing(vg, whole_namespace=True, missing=True) as view:
        system = session.view(detail=True, foreign=True)
        joining, new, known = joining_pvs(session, system, devices, label, tuple(view.pvs.values()))
        change = extend_group(view.group, joining, session.targets)
        created = tuple(f'Physical volume "{n.label.device}" successfully created.' for n in new)
        outcome = carry_out_joining(session, evolve(change, done=created + change.done), view, new, known)
        enter_devices(session, add=[(j.device, j.layout.id) for j in joining])
        return outcome


def _restore_missing(session: Session, vg: str, devices: Sequence[str]) -> Outcome:
    from vmgr.core.missing import without_mark

    with session.changing(vg, whole_namespace=True, missing=True) as view:
        members = Members((view,), device_number)
        back: list[PhysicalVolume] = []
        for path in devices:
            pv = view.group.pv_by_id[members.of(view, path).id]
            if not pv.missing:
                raise Refused(f"{path} is not marked as missing in volume group {vg}")
            back.append(without_mark(pv))
        done = (f'Volume group "{vg}" successfully extended',)
        return session.carry_out(Change(view.group, view.group.with_pv(*back), done=done), view)


def reduce(
    session: Session,
    vg: str,
    devices: Sequence[str] = (),
    *,
    all_unused: bool = False,
    missing: bool = False,
) -> Outcome:
    """Take physical volumes out of a group: those named, all unused ones, or those that are missing.

    One that has left the group and still holds its older text, because the command that took it out did not end,
    is taken out to the end.
    """
    from vmgr.core.operations.group import reduce_group

    if missing:
        return _remove_missing(session, vg)
    with session.changing(vg, whole_namespace=True) as view:
        group = view.group
        begun: dict[Uuid, PvView] = {}
        if all_unused:
            begun = {pv.id: pv for pv in view.removed}
            ids = [pv.id for pv in group.pvs if not group.used.get(pv.id)]
            last = [pv for pv in group.pvs if pv.id in ids][-1:] if len(ids) == len(group.pvs) else []
            ids = [pv for pv in ids if pv not in [one.id for one in last]]
            if not (ids or last or begun):
                raise Refused(f"volume group {vg} has no unused physical volume to remove")
        else:
            last = []
            members = Members((view,), device_number)
            left = Members((evolve(view, pvs={pv.id: pv for pv in view.removed}),), device_number)
            ids = []
            for path in devices:
                if not path.startswith("@"):
                    found = None if members.find(path) else left.find(path)
                    if found is not None:
                        begun[found[1].id] = found[1]
                    else:
                        ids.append(members.of(view, path).id)
            tags = {path[1:] for path in devices if path.startswith("@")}
            ids += [pv.id for pv in group.pvs if tags.intersection(pv.tags) and pv.id not in ids]
            if not (ids or begun) and tags:
                return Outcome()
        outcome = Outcome()
        if ids or begun:
            # Any change of the group clears what a PV that has left it still holds.
            change = reduce_group(group, ids, session.targets) if ids else evolve(rewritten(group), done=())
            done = tuple(f'Removed "{pv.device}" from volume group "{group.name}"' for pv in begun.values())
            outcome = session.carry_out(evolve(change, done=done + change.done), view)
        return outcome + Outcome(errors=tuple(_final(group, pv) for pv in last))


def _final(group: VolumeGroup, pv: PhysicalVolume) -> Refused:
    return Refused(
        f'cannot remove final physical volume "{pv.device}" from volume group "{group.name}"',
        hint=f"vgremove {group.name} removes the group",
    )


def _remove_missing(session: Session, vg: str) -> Outcome:
    """Drop missing physical volumes; with ``--force`` also the volumes that lay on them."""
    from vmgr.core.missing import without_mark
    from vmgr.core.operations.group import reduce_group
    from vmgr.services.activation import pvs_below
    from vmgr.services.volumes import removal_of_all

    with session.changing(vg, whole_namespace=True, missing=True) as view:
        lost = {pv.id for pv in view.missing}
        if not lost:
            return Outcome(notes=(f'Volume group "{vg}" is already consistent.',))
        # The operations refuse a group with devices marked as missing; what they make here has none left.
        group = view.group.with_pv(*map(without_mark, view.missing))
        hit = [lv for lv in group.lvs if lv.visible and lost & set(pvs_below(group, lv))]
        if hit and not session.options.force:
            raise Refused(
                f"volumes lie on missing physical volumes of {vg}: {', '.join(lv.name for lv in hit)}",
                hint="connect their devices; or give up these volumes:"
                f" vgreduce --removemissing --force {group.name}",
            )
        removal = removal_of_all(session, group, hit)
        assert removal.after is not None
        whole = combine((removal, reduce_group(removal.after, lost, session.targets, missing=True)))
        done = (f'Wrote out consistent volume group "{vg}".',)
        return session.carry_out(evolve(whole, before=view.group, done=whole.done + done), view)
