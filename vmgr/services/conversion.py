"""Conversions that plugins offer, and following what they start in the kernel until its end is written down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import StoppedHalfway, VmgrError
from vmgr.outcome import Outcome
from vmgr.services.batch import WITHOUT_ALL_DEVICES, resolved
from vmgr.services.subjects import Chosen, choose, for_each
from vmgr.session.settling import Due, finish_change

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.hooks import Status
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ConvertVolume, RepairVolume
    from vmgr.core.subject import Subject
    from vmgr.core.view import GroupView
    from vmgr.session import Session


def change(session: Session, view: GroupView, request: ConvertVolume | RepairVolume) -> Change:
    """The change that begins a conversion."""
    from vmgr.core.operations.convert import convert_volume
    from vmgr.session.surroundings import machine_for
    from vmgr.system.rules import allocation_rules

    return convert_volume(
        view.group,
        request,
        session.targets,
        session.stamp(),
        live=session.live(table=True, status=True),
        rules=allocation_rules(session.config),
        machine=machine_for(session, view.group),
    )


def convert_each(session: Session, subjects: Sequence[Subject], request: ConvertVolume | RepairVolume) -> Outcome:
    """Convert volumes; unless it shall go on in the background, wait for the end of what has been started."""
    return for_each(choose(session, subjects, all_if_none=False), lambda item: _in_group(session, item, request))


def _in_group(session: Session, chosen: Chosen, request: ConvertVolume | RepairVolume) -> Outcome:
    outcome = Outcome()
    touched: list[Due] = []
    missing = type(request).__name__ in WITHOUT_ALL_DEVICES
    with session.changing(chosen.vg, missing=missing) as view:
        names = [lv.name for lv in chosen.volumes(view.group)]
    for name in names:
        with session.changing(chosen.vg, missing=missing) as view:
            volume = view.group.volume(name)
            made = change(session, view, resolved(session, view, evolve(request, lv=volume.id)))
            outcome += session.carry_out(made, view)
            assert made.after is not None
            before = dict.fromkeys((lv.id, each.name) for lv, each in session.targets.pending(view.group))
            after = ((lv.id, each.name) for lv, each in session.targets.pending(made.after))
            touched += [due for due in after if due not in before or due[0] == volume.id]
    if session.options.test:
        return outcome
    if session.options.background:
        follow_in_background(session, chosen.vg, under_way(session, Chosen.all(chosen.vg)))
        return outcome
    for due in dict.fromkeys(touched):
        outcome += follow(session, chosen.vg, due, session.options.interval)
    return outcome


# -- what is going on in the kernel ---------------------------------------------------------------


def finish(session: Session, vg: str, due: Due) -> tuple[bool, Outcome]:
    """Write down the end of what is pending if it has ended; whether it is still going on."""
    with session.changing(vg) as view:
        group = view.group
        found = next(
            ((lv, pending) for lv, pending in session.targets.pending(group) if (lv.id, pending.name) == due), None
        )
        if found is None:
            return False, Outcome()
        volume, pending = found
        live = session.live(status=True, table=True)
        status = session.targets.pending_status(group, volume, pending, live)
        if pending.until is not None:
            if status is None:
                return False, Outcome()
            if status.outcome != pending.until:
                return _not_yet(session, group, group.lv_by_id[pending.on or volume.id], status), Outcome()
        change = finish_change(session, view, due, live)
        return False, Outcome() if change is None else session.carry_out(change, view)


def _not_yet(session: Session, group: VolumeGroup, volume: LogicalVolume, status: Status) -> bool:
    """Whether it goes on. Raises :class:`VmgrError` where it has failed."""
    from vmgr.core.hooks import StatusOutcome

    name = f"{group.name}/{volume.name}"
    if status.outcome == StatusOutcome.FAILED:
        raise VmgrError(
            f"{name}: {status.health or status.outcome}",
            hint="dmesg has the kernel's reason; the volumes are as they were when it happened",
        )
    if status.outcome != StatusOutcome.WAITING:
        return False
    if status.progress:
        session.dialogue.progress(f"{name}: {status.progress}")
    return True


def under_way(session: Session, chosen: Chosen, *, required: bool = False) -> list[Due]:
    """What is pending in the chosen volumes, and goes on in the kernel or has ended there.

    ``required``: raise what keeps the device mapper away, once it is known that there is what was named.
    """
    from vmgr.core.hooks import StatusOutcome

    with session.changing(chosen.vg, activating=True) as view:
        group = view.group
        of = {lv.id for lv in chosen.volumes(group)}
        if required and not session.options.test:
            session.need_client()
        pending = session.targets.pending(group)
        if not pending:
            return []
        live = session.live(status=True, table=True)
        found = []
        for volume, each in pending:
            if not of & {volume.id, each.on}:
                continue
            status = session.targets.pending_status(group, volume, each, live)
            if status is not None and status.outcome in (StatusOutcome.WAITING, each.until):
                found.append((volume.id, each.name))
        return found


def poll(session: Session, subjects: Sequence[Subject]) -> Outcome:
    """Wait for the end of all that goes on in these volumes, and write it down."""

    def one(item: Chosen) -> Outcome:
        outcome = Outcome()
        for due in under_way(session, item, required=True):
            if session.options.test:
                outcome += finish(session, item.vg, due)[1]  # what has ended is planned, the rest not waited for
            else:
                outcome += follow(session, item.vg, due, None)
        return outcome

    return for_each(choose(session, subjects), one)


def follow_in_background(session: Session, vg: str, dues: Sequence[Due]) -> None:
    """Do :func:`follow` for each of them in a process of its own, which outlives this command.

    If that process is lost, nothing is: the end of what goes on is written down by the next poll
    (``vgchange --poll y``) or activation.
    """
    if not dues or session.options.test:
        return
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    try:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.closerange(3, 1024)
            os.chdir("/")
            fresh = session.child()
            for due in dues:
                follow(fresh, vg, due, None)
    finally:
        os._exit(0)


def follow(session: Session, vg: str, due: Due, interval: int | None) -> Outcome:
    """Wait for the end of what is pending, looking every ``interval`` seconds, and write it down."""
    pause = session.config.number("activation/polling_interval") if interval is None else interval
    wait = 0.1
    try:
        while True:
            going, outcome = finish(session, vg, due)
            if not going:
                return outcome
            time.sleep(min(wait, max(pause, 0.1)))
            wait *= 2
    except KeyboardInterrupt:
        raise StoppedHalfway(
            "no longer waiting: the kernel goes on by itself; only its end is not written down yet",
            hint=f"see how far it is: lvs {vg}; finish it: vgchange --poll y {vg}",
        ) from None
