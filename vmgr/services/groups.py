"""Volume groups: create, remove, rename, change, check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change, combine
from vmgr.core.errors import AlreadyExists, GroupUnusable, Interrupted
from vmgr.core.group_requests import ChangeGroup, CreateGroup, CreatePv
from vmgr.core.ids import VgName
from vmgr.core.operations.group import rewritten
from vmgr.core.plan import active_volumes
from vmgr.core.subject import Subject
from vmgr.core.units import Sectors
from vmgr.outcome import Outcome
from vmgr.services.batch import run_one
from vmgr.services.labels import (
    enter_devices,
)
from vmgr.services.members import carry_out_joining, joining_pvs
from vmgr.services.subjects import Chosen, choose, for_each

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup
    from vmgr.core.view import GroupView, SystemView
    from vmgr.session import Session


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
        joining, new, known = joining_pvs(session, view, devices, label)
        change = create_group(name, joining, _settled(session, request), session.targets, session.stamp())
        created = tuple(f'Physical volume "{n.label.device}" successfully created.' for n in new)
        outcome = carry_out_joining(session, evolve(change, done=created + change.done), None, new, known)
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


def remove(session: Session, subjects: Sequence[Subject]) -> Outcome:
    """Remove groups with all their volumes, after a question for each group that has some."""
    from vmgr.core.operations.group import remove_group
    from vmgr.services.volumes import removal_of_all

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
            emptied = removal_of_all(session, group, volumes)
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
    """Check groups' metadata. ``update`` writes the group again, which repairs damaged and old copies."""
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
                    hint=f"write them again: vgck --updatemetadata {chosen.vg}",
                )
            return session.carry_out(rewritten(view.group), view, repair=True)

    return for_each(choose(session, subjects), one)
