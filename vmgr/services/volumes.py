"""Logical volumes: create, remove, rename, change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import Interrupted, Refused, UsageError, VmgrError
from vmgr.core.ids import LvName
from vmgr.core.plan import is_active
from vmgr.orders import READ_AHEAD_AUTO, Outcome, Subject, VolumeChange, VolumeOrder
from vmgr.services.subjects import Chosen, choose, for_each, pv_ranges, together

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume
    from vmgr.core.view import GroupView
    from vmgr.session import Session


# -- create ---------------------------------------------------------------------------------------


def create(session: Session, vg: str, order: VolumeOrder) -> Outcome:
    """Make a volume in the group ``vg``, activate and wipe it."""
    from vmgr.core.operations.create import create_volume
    from vmgr.core.requests import CreateVolume
    from vmgr.system.rules import allocation_rules, auto_activates, option_defaults, reads_ahead

    config = session.config
    with session.changing(vg) as view:
        group = view.group
        zero = True if order.zero is None else order.zero
        wipe = order.wipe
        if wipe is None:
            wipe = zero and config.flag("allocation/wipe_signatures_when_zeroing_new_lvs")
        activate = order.activate != "n"
        if order.activate == "ay":
            activate = auto_activates(config, group.name, order.name or "", order.tags)
        skip = False if order.ignore_skip and order.skip_activation is None else order.skip_activation
        _require_wipeable(order, skipped=skip is True and not order.ignore_skip)
        if activate:
            session.need_client()
        read_ahead = order.read_ahead
        if read_ahead is None:
            read_ahead = READ_AHEAD_AUTO if reads_ahead(config) else 0
        read_ahead = _whole_pages(session, read_ahead)
        if order.minor is not None:
            _kernel_gives_majors(session, order.major)
        request = CreateVolume(
            size=order.size,
            name=None if order.name is None else LvName.chosen(order.name),
            type=order.type,
            origin=None if order.origin is None else group.volume(order.origin).id,
            options=order.options,
            pvs=pv_ranges(view, order.pvs),
            alloc=order.alloc,
            tags=order.tags,
            read_only=order.read_only,
            activate=activate,
            zero=zero,
            wipe_signatures=wipe,
            autoactivate=order.autoactivate,
            activation_skip=skip,
            read_ahead=read_ahead,
            numbers=None if order.minor is None else (order.major, order.minor),
            defaults=option_defaults(config),
            ignore_skip=order.ignore_skip,
            profile=order.profile,
        )
        change = create_volume(
            group,
            request,
            session.targets,
            session.stamp(),
            live=session.live(table=True),
            rules=allocation_rules(config),
        )
        return session.carry_out(_as_listed(session, change), view)


def _require_wipeable(order: VolumeOrder, *, skipped: bool) -> None:
    """Raise :class:`Refused` where a volume shall be cleared that nobody can write to, as LVM2 does."""
    if not (order.zero or (order.wipe and order.zero is None)):
        return
    if order.activate == "n":
        what = "inactive"
    elif order.activate == "ay":
        what = "auto activated"
    elif order.read_only:
        what = "read-only"
    elif skipped:
        what = "skipped from activation"
    else:
        return
    raise Refused(
        f"cannot zero {what} logical volume with option -Zy or -Wy",
        hint="leave -Zy and -Wy out, and what lies on its extents stays there; or make it active and writable",
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
                hint="add it to the list in lvm.conf(5); or keep what lies on its extents: -Zn",
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


def remove(session: Session, subjects: Sequence[Subject], *, force: int = 0) -> Outcome:
    """Remove volumes, or all volumes of groups, after a question for each that is active or has dependents."""
    chosen = choose(session, subjects, all_if_none=False)
    return for_each(chosen, lambda item: _remove_in(session, item, force))


def _remove_in(session: Session, chosen: Chosen, force: int) -> Outcome:
    with session.changing(chosen.vg, missing=True) as view:
        agreed = _confirmed(session, view, chosen.volumes(view.group), force)
        volumes = [view.group.lv_by_id[lv] for lv in agreed]
        return together(volumes, lambda some: _remove_some(session, chosen.vg, some), lambda lv: agreed[lv.id])


def _confirmed(
    session: Session, view: GroupView, volumes: list[LogicalVolume], force: int
) -> dict[Uuid, tuple[Uuid, ...]]:
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
        if others:
            question = f"Do you really want to remove {state}logical volume {name} and with it {', '.join(others)}?"
        elif active:
            question = f"Do you really want to remove active logical volume {name}?"
        else:
            question = ""
        if question and not force and not session.options.test and not session.dialogue.ask(question):
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
    from vmgr.core.operations.remove import remove_volumes
    from vmgr.core.requests import RemoveVolume

    view = session.locked_group(vg)
    live = session.live(table=True, status=session.wants_status(view.group))
    requests = [RemoveVolume(volume.id) for volume in volumes]
    return _as_far_as_possible(session, view, *remove_volumes(view.group, requests, session.targets, live=live))


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


def rename(session: Session, vg: str, old: str, new: str) -> Outcome:
    """Give a volume another name; live devices and links follow."""
    from vmgr.core.operations.rename import rename_volume
    from vmgr.core.requests import RenameVolume

    with session.changing(vg) as view:
        volume = view.group.volume(old)
        request = RenameVolume(volume.id, LvName.chosen(new))
        change = rename_volume(view.group, request, session.targets, live=session.live(table=True))
        return session.carry_out(change, view)


# -- change ---------------------------------------------------------------------------------------


def change(session: Session, subjects: Sequence[Subject], order: VolumeChange) -> Outcome:
    """Change volumes' properties; those of one group in one commit."""
    if order.read_ahead is not None:
        order = evolve(order, read_ahead=_whole_pages(session, order.read_ahead))
    if order.persistent:
        _kernel_gives_majors(session, order.major)
    chosen = choose(session, subjects, all_if_none=False)

    def one(item: Chosen) -> Outcome:
        with session.changing(item.vg, missing=True) as view:
            volumes = item.volumes(view.group)
            return together(volumes, lambda some: _change_some(session, item.vg, some, order), lambda lv: (lv.id,))

    return for_each(chosen, one)


def _change_some(session: Session, vg: str, volumes: Sequence[LogicalVolume], order: VolumeChange) -> Outcome:
    from vmgr.core.operations.change import NO_NUMBERS, change_volumes
    from vmgr.core.requests import ChangeVolume

    numbers = None
    if order.persistent is not None:
        if order.persistent and order.minor is None:
            raise UsageError(
                "a persistent number needs --minor", hint="give --minor NUMBER, and --major if it matters"
            )
        numbers = (order.major, order.minor or 0) if order.persistent else NO_NUMBERS
    view = session.locked_group(vg)
    live = session.live(table=True)
    requests = [
        ChangeVolume(
            volume.id,
            read_only=order.read_only,
            alloc=order.alloc,
            add_tags=order.add_tags,
            del_tags=order.del_tags,
            read_ahead=order.read_ahead,
            numbers=numbers,
            autoactivate=order.autoactivate,
            activation_skip=order.skip_activation,
        )
        for volume in volumes
    ]
    return _as_far_as_possible(session, view, *change_volumes(view.group, requests, session.targets, live=live))
