"""Logical volumes: create, remove, rename, change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core import devices
from vmgr.core.errors import Interrupted, Refused, VmgrError
from vmgr.core.operations.checks import find_volume
from vmgr.core.plan import is_active
from vmgr.core.requests import READ_AHEAD_AUTO, RemoveVolume
from vmgr.outcome import Outcome
from vmgr.services.subjects import Chosen, choose, for_each, together

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ChangeVolume, CreateVolume, RenameVolume
    from vmgr.core.subject import Subject
    from vmgr.core.view import GroupView
    from vmgr.session import Session


# -- create ---------------------------------------------------------------------------------------


def create(session: Session, view: GroupView, request: CreateVolume) -> Change:
    """The change that makes a volume, activates and wipes it."""
    from vmgr.core.operations.create import create_volume
    from vmgr.session.surroundings import machine_for
    from vmgr.system.rules import allocation_rules

    _require_wipeable(request)
    settled = _settled(session, view, request)
    change = create_volume(
        view.group,
        settled,
        session.targets,
        session.stamp(),
        live=session.live(table=True),
        rules=allocation_rules(session.config),
        machine=machine_for(session, view.group),
    )
    if settled.activate != "n":
        session.need_client()  # last: names that are not there and space that is not there are told first
    return _as_listed(session, change)


def _settled(session: Session, view: GroupView, request: CreateVolume) -> CreateVolume:
    """The request with what the configuration says where it says nothing."""
    from vmgr.system.rules import auto_activates, reads_ahead

    config = session.config
    zero = request.zero is not False
    wipe = request.wipe_signatures
    if wipe is None:
        wipe = zero and config.flag("allocation/wipe_signatures_when_zeroing_new_lvs")
    activate = request.activate
    if activate == "ay":
        activate = "y" if auto_activates(config, view.group.name, request.name or "", request.tags) else "n"
    skip = False if request.ignore_skip and request.activation_skip is None else request.activation_skip
    read_ahead = request.read_ahead
    if read_ahead is None:
        read_ahead = READ_AHEAD_AUTO if reads_ahead(config) else 0
    if request.numbers is not None:
        _kernel_gives_majors(session, request.numbers[0])
    return evolve(
        request,
        zero=zero,
        wipe_signatures=wipe,
        activate=activate,
        activation_skip=skip,
        read_ahead=_whole_pages(session, read_ahead),
    )


def _require_wipeable(request: CreateVolume) -> None:
    """Raise :class:`Refused`, as LVM2 does, if a volume must be cleared but cannot be written to."""
    if not (request.zero or (request.wipe_signatures and request.zero is None)):
        return
    if request.activate == "n":
        what = "inactive"
    elif request.activate == "ay":
        what = "auto activated"
    elif request.read_only:
        what = "read-only"
    elif request.activation_skip and not request.ignore_skip:
        what = "skipped from activation"
    else:
        return
    raise Refused(
        f"cannot zero {what} logical volume with option -Zy or -Wy",
        hint="leave -Zy and -Wy out to keep the data on its extents; or make it active and writable",
    )


def _as_listed(session: Session, change: Change) -> Change:
    """The change without activation of what ``activation/volume_list`` leaves out.

    Raises :class:`Refused` for a volume that would have to be cleared: it would keep old data.
    """
    from vmgr.system.rules import may_activate

    group = change.after
    assert group is not None
    out = [lv for lv in change.activate if not may_activate(session.config, group, group.lv_by_id[lv])]
    for wipe in change.wipe:
        if wipe.lv in out:
            raise Refused(
                f"cannot clear {group.name}/{group.lv_by_id[wipe.lv].name}, because activation/volume_list does not"
                " let it be activated",
                hint="add it to the list in lvm.conf(5); or keep the data on its extents: -Zn",
            )
    if not out:
        return change
    return evolve(change, activate=tuple(lv for lv in change.activate if lv not in out))


def _kernel_gives_majors(session: Session, major: int) -> None:
    """Say that a major number that was asked for counts for nothing (as in LVM2)."""
    if major > 0:
        session.dialogue.warn(
            f"WARNING: Ignoring supplied major number {major} - kernel assigns major numbers dynamically."
            " Using major number 0 instead."
        )


def _whole_pages(session: Session, sectors: int) -> int:
    """A read-ahead as the kernel takes it, a multiple of its page, with a word to the user (as in LVM2)."""
    import resource

    page = resource.getpagesize() // 512
    if sectors <= 0 or not sectors % page:
        return sectors
    whole = max(sectors - sectors % page, page)
    session.dialogue.warn(
        f"WARNING: Overriding readahead to {whole} sectors, a multiple of {page // 2}K page size."
    )
    return whole


# -- remove ---------------------------------------------------------------------------------------


def remove(session: Session, view: GroupView, request: RemoveVolume) -> Change:
    """The change that removes one volume, after a question if it is active or has dependents."""
    _confirmed(session, view, [find_volume(view.group, request.lv)])
    return _alone(*_removal(session, view.group, (request,)))


def remove_each(session: Session, subjects: Sequence[Subject]) -> Outcome:
    """Remove volumes, or all volumes of groups, after a question for each that is active or has dependents."""
    return for_each(choose(session, subjects, all_if_none=False), lambda item: _remove_in(session, item))


def _remove_in(session: Session, chosen: Chosen) -> Outcome:
    with session.changing(chosen.vg, missing=True) as view:
        agreed = _confirmed(session, view, chosen.volumes(view.group))
        volumes = [view.group.lv_by_id[lv] for lv in agreed]
        return together(volumes, lambda some: _remove_some(session, chosen.vg, some), lambda lv: agreed[lv.id])


def _confirmed(session: Session, view: GroupView, volumes: list[LogicalVolume]) -> dict[Uuid, tuple[Uuid, ...]]:
    """The volumes whose removal is agreed to, each with all that goes with it; none is there twice."""
    from vmgr.core.operations.remove import removal_set

    group, live = view.group, session.live()
    agreed: dict[Uuid, tuple[Uuid, ...]] = {}
    gone: set[Uuid] = set()
    refused: list[str] = []
    for volume in volumes:
        if volume.id in gone:
            continue
        going = removal_set(group, volume, session.targets)
        name = f"{group.name}/{volume.name}"
        others = [lv.name for lv in going if lv.visible and lv.id != volume.id]
        active = is_active(group, volume, live)
        state = "active " if active else ""
        if not volume.visible and _removal(session, view.group, [RemoveVolume(volume.id)])[1]:
            question = ""  # it is going to be refused
        elif not volume.visible:
            ids = devices.together(group, (volume.id,), session.targets)
            whole = [f"{group.name}/{group.lv_by_id[i].name}" for i in ids if group.lv_by_id[i].visible]
            owner = ", ".join(whole) or "what it is part of"
            question = f"Removing {name} may leave {owner} inconsistent. Proceed?"
        elif others:
            question = f"Do you really want to remove {state}logical volume {name} and with it {', '.join(others)}?"
        elif active:
            question = f"Do you really want to remove active logical volume {name}?"
        else:
            question = ""
        if question and not (session.options.force or session.options.test) and not session.dialogue.ask(question):
            refused.append(name)
            continue
        taken = tuple(lv.id for lv in going)
        gone.update(taken)
        for lv in taken:
            agreed.pop(lv, None)
        agreed[volume.id] = taken
    if refused:
        raise Interrupted(f"logical volume {', '.join(refused)} not removed", hint="answer y, or use --yes")
    return agreed


def _remove_some(session: Session, vg: str, volumes: Sequence[LogicalVolume]) -> Outcome:
    view = session.locked_group(vg)
    requests = [RemoveVolume(volume.id) for volume in volumes]
    return _as_far_as_possible(session, view, *_removal(session, view.group, requests))


def removal_of_all(session: Session, group: VolumeGroup, volumes: Iterable[LogicalVolume]) -> Change:
    """The removal of all ``volumes`` of a locked group. Raises why the first that must stay has to."""
    change, refused = _removal(session, group, [RemoveVolume(volume.id) for volume in volumes])
    for error in refused.values():
        raise error
    return change


def _removal(
    session: Session, group: VolumeGroup, requests: Sequence[RemoveVolume]
) -> tuple[Change, dict[Uuid, VmgrError]]:
    from vmgr.core.operations.remove import remove_volumes
    from vmgr.session.surroundings import machine_for

    live = session.live(table=True, status=session.wants_status(group))
    machine = machine_for(session, group)
    return remove_volumes(group, requests, session.targets, session.stamp(), live=live, machine=machine)


def _alone(change: Change, refused: Mapping[Uuid, VmgrError]) -> Change:
    """The change of one volume. Raises what speaks against it."""
    for error in refused.values():
        raise error
    return change


def _as_far_as_possible(
    session: Session, view: GroupView, change: Change, refused: Mapping[Uuid, VmgrError]
) -> Outcome:
    """Carry out a change of several volumes, and tell why others were left out of it. An only error is raised."""
    errors = tuple(refused.values())
    if not change.done:
        if len(errors) == 1:
            raise errors[0]
        return Outcome(errors=errors)
    return session.carry_out(change, view) + Outcome(errors=errors)


# -- rename ---------------------------------------------------------------------------------------


def rename(session: Session, view: GroupView, request: RenameVolume) -> Change:
    """The change that gives a volume another name; live devices and links follow."""
    from vmgr.core.operations.rename import rename_volume
    from vmgr.session.surroundings import machine_for

    live, machine = session.live(table=True), machine_for(session, view.group)
    return rename_volume(view.group, request, session.targets, live=live, machine=machine)


# -- change ---------------------------------------------------------------------------------------


def change(session: Session, view: GroupView, request: ChangeVolume) -> Change:
    """The change of one volume's properties."""
    from vmgr.core.operations.change import change_volume
    from vmgr.session.surroundings import machine_for

    live = session.live(table=True)
    request, machine = _as_kernel_takes(session, request), machine_for(session, view.group)
    return change_volume(view.group, request, session.targets, session.stamp(), live=live, machine=machine)


def change_each(session: Session, subjects: Sequence[Subject], request: ChangeVolume) -> Outcome:
    """Change volumes' properties as ``request`` says; those of one group in one commit."""
    request = _as_kernel_takes(session, request)
    chosen = choose(session, subjects, all_if_none=False)

    def one(item: Chosen) -> Outcome:
        with session.changing(item.vg, missing=True) as view:
            volumes = item.volumes(view.group)
            return together(
                volumes, lambda some: _change_some(session, item.vg, some, request), lambda lv: (lv.id,)
            )

    return for_each(chosen, one)


def _as_kernel_takes(session: Session, request: ChangeVolume) -> ChangeVolume:
    """The request with a read-ahead and numbers that the kernel takes, with a word to the user."""
    if request.numbers is not None:
        _kernel_gives_majors(session, request.numbers[0])
    if request.read_ahead is None:
        return request
    return evolve(request, read_ahead=_whole_pages(session, request.read_ahead))


def _change_some(session: Session, vg: str, volumes: Sequence[LogicalVolume], request: ChangeVolume) -> Outcome:
    from vmgr.core.operations.change import change_volumes
    from vmgr.session.surroundings import machine_for

    view = session.locked_group(vg)
    live = session.live(table=True)
    requests = [evolve(request, lv=volume.id) for volume in volumes]
    machine = machine_for(session, view.group)
    made, refused = change_volumes(
        view.group, requests, session.targets, session.stamp(), live=live, machine=machine
    )
    return _as_far_as_possible(session, view, made, refused)
