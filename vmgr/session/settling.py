"""Writing down what is over: what metadata still ask for, and the kernel has done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from vmgr.core.errors import GroupUnusable, VmgrError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.change import Change
    from vmgr.core.errors import StoppedHalfway
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.view import GroupView
    from vmgr.outcome import Outcome
    from vmgr.session.survey import Survey

Due = tuple["Uuid", str]
"""Something that is pending: the volume whose metadata say so, and the name that its plugin gives it."""


CarryOut = Callable[["Change", "GroupView | None"], "Outcome"]
"""Carries out a change of a locked group."""


def finish_change(session: Survey, view: GroupView, due: Due, live: Mapping[str, LiveDevice]) -> Change | None:
    """The change that writes down the end of what is pending; None where its plugin has nothing to write."""
    from vmgr.core.operations.convert import finish_volume
    from vmgr.session.surroundings import machine_for

    lv, name = due
    machine = machine_for(session, view.group)
    return finish_volume(view.group, lv, name, session.targets, session.stamp(), live=live, machine=machine)


def settled(session: Survey, view: GroupView, carry_out: CarryOut) -> GroupView:
    """The locked group, after what is to be written down at once has been: a message that a target has got.

    Asked after each commit, and before a change, for a command that was killed between the two.
    """
    tried: set[Due] = set()
    while session.options.locking:
        pending = session.targets.pending(view.group)
        due = next(
            ((lv.id, each.name) for lv, each in pending if each.until is None and (lv.id, each.name) not in tried),
            None,
        )
        if due is None:
            return view
        tried.add(due)
        try:
            view.check_changeable()
            change = finish_change(session, view, due, session.live(status=True, table=True))
            if change is None:
                continue
            notes = carry_out(change, view).notes
        except GroupUnusable:
            return view  # whoever wants to change it is told why not
        except VmgrError as error:
            session.warn_once(f"volume group {view.group.name}: an end is not written down: {error.message}")
            return view
        for note in notes:
            session.dialogue.progress(note)
        view = session.locked_group(view.group.name)
    return view


def brought_up(session: Survey, view: GroupView | None, change: Change, carry_out: CarryOut) -> tuple[Uuid, ...]:
    """Activate what ``change`` needs for the time of the command; what was not active before, to be put back."""
    from vmgr.core.change import Change
    from vmgr.core.plan import active_volumes

    group = change.before
    assert group is not None
    active = active_volumes(group, session.live())
    missing = tuple(lv for lv in change.needs_active if lv not in active and lv in group.lv_by_id)
    if missing:
        carry_out(Change(group, group, activate=missing), view)
    return missing


def put_back(session: Survey, name: str, carry_out: CarryOut) -> None:
    """Deactivate what was activated for the time. That it cannot be is a warning: nothing is lost by it."""
    from vmgr.core.change import Change

    volumes, session.for_the_time = session.for_the_time, ()
    try:
        view = session.locked_group(name)
        left = tuple(lv for lv in volumes if lv in view.group.lv_by_id)
        session.for_the_time = tuple(
            lv for lv in volumes if lv not in left
        )  # those of a transaction's other groups
        carry_out(Change(view.group, view.group, deactivate=left), view)
    except VmgrError as error:
        session.dialogue.warn(f"WARNING: what was activated for this command stays active: {error.message}")


def taken_back(session: Survey, group: VolumeGroup, error: StoppedHalfway, carry_out: CarryOut) -> None:
    """Take back a committed change of which a target did not take its message, as the target's plugin says how.

    What comes of it is added to the details of ``error``.
    """
    from vmgr.core.naming import split_dm_uuid
    from vmgr.core.operations.convert import take_back
    from vmgr.session.surroundings import machine_for

    unsent = [parts for uuid in error.unsent if (parts := split_dm_uuid(uuid)) and parts[0] == group.id]
    for lv in dict.fromkeys(parts[1] for parts in unsent):
        try:
            view = session.locked_group(group.name)
            live = session.live(status=True, table=True)
            machine = machine_for(session, view.group)
            change = take_back(view.group, lv, session.targets, session.stamp(), live=live, machine=machine)
            if change is None:
                continue
            carry_out(change, view)
        except VmgrError as other:
            error.details = (*error.details, f"it could not be taken back: {other.message}")
        else:
            error.details = (*error.details, "the change was taken back", *change.notes)
            error.hint = "the target did not take its message: dmesg has the kernel's reason"
