"""Volume groups: create, extend, reduce, remove, rename, change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change, combine
from vmgr.core.errors import AlreadyExists, GroupUnusable, Interrupted, Refused
from vmgr.core.group_requests import ChangeGroup, CreateGroup, CreatePv
from vmgr.core.ids import Uuid, VgName
from vmgr.core.plan import active_volumes
from vmgr.core.resolve import Members
from vmgr.core.subject import Subject
from vmgr.core.units import Sectors
from vmgr.outcome import Outcome
from vmgr.services.batch import run_one
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
from vmgr.services.subjects import Chosen, choose, for_each
from vmgr.system.devices import device_number

if TYPE_CHECKING:
    from vmgr.core.model import PhysicalVolume, VolumeGroup
    from vmgr.core.operations.group import Joining
    from vmgr.core.view import GroupView, PvView, SystemView
    from vmgr.session import Session


def _joining(
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


def create(
    session: Session,
    vg: str,
    devices: Sequence[str],
    request: CreateGroup,
    label: CreatePv,
) -> Outcome:
    """Make a group of physical volumes; devices that are none become some."""
    from vmgr.core.operations.group import create_group

    name = VgName(vg)
    with session.locks.all_groups(exclusive=True), session.locks.group(name, exclusive=True):
        session.admit(devices, making=True)
        view = session.view(detail=True, foreign=True)
        session.look().await_groups([name])  # a device that does not answer may hold a group of that name
        view = session.view(detail=True, foreign=True)
        _require_free(session, view, name)
        joining, new, known = _joining(session, view, devices, label)
        change = create_group(name, joining, _settled(session, request), session.targets, session.stamp())
        created = tuple(f'Physical volume "{n.label.device}" successfully created.' for n in new)
        outcome = _run(session, evolve(change, done=created + change.done), None, new, known)
        enter_devices(session, add=[(j.device, j.layout.id) for j in joining], before=view)
        return outcome


def _settled(session: Session, request: CreateGroup) -> CreateGroup:
    """The request with what the configuration says where it says nothing."""
    size, copies, system_id = request.extent_size, request.metadata_copies, request.system_id
    if size is None:
        size = Sectors(session.config.number("allocation/physical_extent_size") * 2)
    if copies is None:
        copies = session.config.number("metadata/vgmetadatacopies")
    if system_id is None:
        system_id = session.system_id
    return evolve(request, extent_size=size, metadata_copies=copies, system_id=system_id)


def _require_free(session: Session, view: SystemView, name: str) -> None:
    import os

    if any(name == known for known, _ in view.names):
        raise AlreadyExists(f"a volume group called {name} already exists", hint="choose another name")
    path = f"{session.config.dev_dir}/{name}"
    if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise AlreadyExists(f"{path} already exists in the file system", hint="choose another name")


def _run(
    session: Session, change: Change, view: GroupView | None, new: Sequence[NewPv], known: dict[Uuid, PvView]
) -> Outcome:
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
        joining, new, known = _joining(session, system, devices, label, tuple(view.pvs.values()))
        change = extend_group(view.group, joining, session.targets)
        created = tuple(f'Physical volume "{n.label.device}" successfully created.' for n in new)
        outcome = _run(session, evolve(change, done=created + change.done), view, new, known)
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
    from vmgr.core.operations.remove import remove_volumes
    from vmgr.core.requests import RemoveVolume
    from vmgr.services.activation import pvs_below
    from vmgr.session.surroundings import machine_for

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
        live = session.live(table=True, status=True) if hit else {}
        removal, refused = remove_volumes(
            group,
            [RemoveVolume(lv.id) for lv in hit],
            session.targets,
            session.stamp(),
            live=live,
            machine=machine_for(session, group),
        )
        for error in refused.values():
            raise error
        assert removal.after is not None
        whole = combine((removal, reduce_group(removal.after, lost, session.targets, missing=True)))
        done = (f'Wrote out consistent volume group "{vg}".',)
        return session.carry_out(evolve(whole, before=view.group, done=whole.done + done), view)


def remove(session: Session, subjects: Sequence[Subject]) -> Outcome:
    """Remove groups with all their volumes, after a question for each group that has some."""
    from vmgr.core.operations.group import remove_group
    from vmgr.core.operations.remove import remove_volumes
    from vmgr.core.requests import RemoveVolume
    from vmgr.session.surroundings import machine_for

    def one(chosen: Chosen) -> Outcome:
        with session.changing(chosen.vg, whole_namespace=True, missing=True) as view:
            group = view.group
            volumes = [lv for lv in group.lvs if lv.visible]
            if volumes and not (session.options.force or session.options.test):
                active = len(active_volumes(group, session.live()))
                state = f", {active} of them active" if active else ""
                question = (
                    f'Do you really want to remove volume group "{group.name}"'
                    f" containing {len(volumes)} logical volumes{state}?"
                )
                if not session.dialogue.ask(question):
                    raise Interrupted(f'volume group "{group.name}" not removed', hint="answer y, or use --yes")
            live = session.live(table=True)
            emptied, refused = remove_volumes(
                group,
                [RemoveVolume(lv.id) for lv in volumes],
                session.targets,
                session.stamp(),
                live=live,
                machine=machine_for(session, group),
            )
            for error in refused.values():
                raise error
            assert emptied.after is not None
            return session.carry_out(combine((emptied, remove_group(emptied.after))), view)

    with session.locks.all_groups(exclusive=True):
        return for_each(choose(session, subjects, all_if_none=False), one)


def rename(session: Session, old: str, new: str) -> Outcome:
    """Give a group, named by name or UUID, another name; its active volumes' devices follow.

    A rename that was cut short after its commit and is given again is carried through.
    """
    from vmgr.core.operations.group import rename_group

    name = VgName(new)
    with session.locks.all_groups(exclusive=True):
        session.look().await_groups([session.meant(old), name])
        view = session.view(foreign=True)
        begun = _begun(session, view, old, name)
        group = begun or view.group(old)
        for first in sorted({old if begun else group.group.name, name, *group.former}):
            session.locks.group(first, exclusive=True)
        session.forget()
        view = session.view(foreign=True)
        found = view.group_by_id(group.group.id)
        found.check_changeable(exported=True)
        if not begun and name != found.group.name:
            _require_free(session, view, name)
        session.heal(found)
        before = evolve(found.group, name=VgName(old)) if begun else found.group
        return session.carry_out(rename_group(before, name, session.targets), found)


def _begun(session: Session, view: SystemView, old: str, new: str) -> GroupView | None:
    """The group called ``new`` of which something still has the name ``old``, which no group has: it was renamed
    by a command that did not end.
    """
    if any(name == old for name, _ in view.names):
        return None
    groups = [group for group in view.groups if group.group.name == new]
    return groups[0] if len(groups) == 1 and session.was_called(groups[0], old) else None


def change(session: Session, view: GroupView, request: ChangeGroup) -> Change:
    """The change of a group's properties."""
    from vmgr.core.operations.group_change import change_group

    group = view.group
    if request.system_id is not None:
        _confirm_system_id(session, group, request.system_id)
    return change_group(
        group,
        request,
        session.targets,
        stamp=session.stamp(),
        active=bool(active_volumes(group, session.live())),
        missing=request.only_tags,
    )


def change_each(session: Session, subjects: Sequence[Subject], request: ChangeGroup) -> Outcome:
    """Change groups' properties; no subject means all of them."""
    return for_each(choose(session, subjects), lambda chosen: run_one(session, chosen.vg, request))


def _confirm_system_id(session: Session, group: VolumeGroup, new: str) -> None:
    """Ask before a group leaves this host, or is open to any (LVM2 ``vgchange``).

    Raises :class:`Interrupted` for a no.
    """
    from vmgr.system.identity import local_system_ids

    if new == group.system_id:
        return
    if not new:
        session.dialogue.warn("WARNING: Removing the system ID allows unsafe access from other hosts.")
        question = f"Remove system ID {group.system_id} from volume group {group.name}?"
    elif new in local_system_ids(session.config):
        return
    else:
        own = session.system_id
        why = (
            f"Requested system ID {new} does not match local system ID {own}."
            if own
            else "No local system ID is set."
        )
        session.dialogue.warn(f"WARNING: {why}")
        session.dialogue.warn(f"WARNING: Volume group {group.name} might become inaccessible from this machine.")
        question = f"Set foreign system ID {new} on volume group {group.name}?"
    if not session.options.test and not session.dialogue.ask(question):
        raise Interrupted(f"volume group {group.name} system ID not changed", hint="answer y, or use --yes")


def check(session: Session, subjects: Sequence[Subject], *, update: bool = False) -> Outcome:
    """Check groups' metadata; ``update`` writes damaged and old copies anew by writing the group once more."""
    from vmgr.core.validate import validate

    def one(chosen: Chosen) -> Outcome:
        purpose = "change" if update else "check"
        with session.changing(chosen.vg, missing=True, purpose=purpose, writing=update) as view:
            broken = validate(view.group, session.targets)
            if broken:
                raise GroupUnusable(
                    f"the metadata of volume group {chosen.vg} breaks {len(broken)} rules of the volume model",
                    details=tuple(f"{v.subject}: {v.rule}" for v in broken),
                    hint="restore a good version: vgcfgrestore --list",
                )
            if view.missing and not update:
                raise GroupUnusable(
                    f"the volume group is missing {len(view.missing)} physical volumes: {chosen.vg}",
                    details=tuple(f"{pv.id.dashed}, last seen on {pv.device}" for pv in view.missing),
                    hint=f"connect their devices, or drop them: vgreduce --removemissing {chosen.vg}",
                )
            old = (*view.outdated, *view.removed)
            if not (old or view.damaged or (update and view.relabel)):
                return Outcome()
            if not update:
                raise GroupUnusable(
                    f"volume group {chosen.vg} has {len(old)} old and {len(view.damaged)} damaged copies"
                    " of its metadata",
                    hint=f"write them anew: vgck --updatemetadata {chosen.vg}",
                )
            return session.carry_out(rewritten(view.group), view, repair=True)

    return for_each(choose(session, subjects), one)


def rewritten(group: VolumeGroup) -> Change:
    """A change that writes a group as it is, with a new sequence number."""
    return Change(group, evolve(group, seqno=group.seqno + 1), done=(f'Volume group "{group.name}" updated',))
