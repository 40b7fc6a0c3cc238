"""Conversions that plugins offer, and following what they start in the kernel until its end is written down."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import StoppedHalfway, VmgrError
from vmgr.outcome import Outcome
from vmgr.services.batch import WITHOUT_ALL_DEVICES, resolved
from vmgr.services.subjects import Chosen, choose, for_each

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.hooks import TargetStatus
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import ConvertVolume, RepairVolume
    from vmgr.core.subject import Subject
    from vmgr.core.table import LiveDevice
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
    touched: list[Uuid] = []
    missing = type(request).__name__ in WITHOUT_ALL_DEVICES
    with session.changing(chosen.vg, missing=missing) as view:
        names = [lv.name for lv in chosen.volumes(view.group)]
    for name in names:
        with session.changing(chosen.vg, missing=missing) as view:
            volume = view.group.volume(name)
            made = change(session, view, resolved(session, view, evolve(request, lv=volume.id)))
            outcome += session.carry_out(made, view)
            assert made.after is not None
            touched += _changed(view.group, made.after, volume)
    if session.options.test:
        return outcome
    if session.options.background:
        follow_in_background(session, chosen.vg, under_way(session, Chosen.all(chosen.vg)))
        return outcome
    for lv in dict.fromkeys(touched):
        outcome += follow(session, chosen.vg, lv, session.options.interval)
    return outcome


def _changed(before: VolumeGroup, after: VolumeGroup, volume: LogicalVolume) -> list[Uuid]:
    """Volumes in which something may be going on now: the one named and those it is bound to."""
    bound = {reference.lv for user in after.referrers.get(volume.id, ()) for reference in user.references()}
    return [lv.id for lv in after.lvs if lv.visible and (lv.id == volume.id or lv.id in bound)]


# -- what is going on in the kernel ---------------------------------------------------------------


def status_of(
    session: Session, group: VolumeGroup, volume: LogicalVolume, live: Mapping[str, LiveDevice]
) -> TargetStatus | None:
    """The status of what a volume is going through, None while it is not active; ``live`` has status and tables."""
    device = live.get(session.targets.status_device(group, volume, live))
    if device is None or not device.status:
        return None
    line = device.status[0]
    return session.targets.parse_status(line.target, line.params)


def finish(session: Session, vg: str, lv: Uuid) -> tuple[bool, Outcome]:
    """Write down the end of a process on volume ``lv`` if it has ended; whether anything is still going on."""
    from vmgr.core.operations.convert import finish_volume
    from vmgr.session.surroundings import machine_for

    with session.changing(vg) as view:
        group = view.group
        volume = group.lv_by_id.get(lv)
        if volume is None:
            return False, Outcome()
        live = session.live(status=True, table=True)
        status = status_of(session, group, volume, live)
        if status is None:
            return False, Outcome()
        if status.health:
            raise VmgrError(
                f"{group.name}/{volume.name}: {status.health}",
                hint="dmesg has the kernel's reason; the volumes are as they were when it happened",
            )
        if not status.done:
            if status.running and status.percent is not None:
                session.dialogue.progress(f"{group.name}/{volume.name}: {status.percent:.2f}% left")
            return status.running, Outcome()
        change = finish_volume(
            group, lv, session.targets, session.stamp(), live=live, machine=machine_for(session, group)
        )
        if change is None:
            return False, Outcome()
        return False, session.carry_out(change, view)


def under_way(session: Session, chosen: Chosen, *, required: bool = False) -> list[Uuid]:
    """Those of the chosen volumes in which the kernel is doing something whose end has to be written down.

    ``required``: raise what keeps the device mapper away, once it is known that there is what was named.
    """
    with session.changing(chosen.vg, activating=True) as view:
        group = view.group
        bound = [lv for lv in chosen.volumes(group) if lv.visible and group.referrers.get(lv.id)]
        if required and not session.options.test:
            session.need_client()
        live = session.live(status=True, table=True) if bound else {}
        found = []
        for lv in bound:
            status = status_of(session, group, lv, live)
            if status is not None and (status.running or status.done):
                found.append(lv.id)
        return found


def poll(session: Session, subjects: Sequence[Subject]) -> Outcome:
    """Wait for the end of all that goes on in these volumes, and write it down."""

    def one(item: Chosen) -> Outcome:
        outcome = Outcome()
        for lv in under_way(session, item, required=True):
            if session.options.test:
                outcome += finish(session, item.vg, lv)[1]  # what has ended is planned, the rest not waited for
            else:
                outcome += follow(session, item.vg, lv, None)
        return outcome

    return for_each(choose(session, subjects), one)


def follow_in_background(session: Session, vg: str, volumes: Sequence[Uuid]) -> None:
    """Do :func:`follow` for each volume in a process of its own, which outlives this command.

    If that process is lost, nothing is: the end of what goes on is written down by the next poll
    (``vgchange --poll y``) or activation.
    """
    if not volumes or session.options.test:
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
            for lv in volumes:
                follow(fresh, vg, lv, None)
    finally:
        os._exit(0)


def follow(session: Session, vg: str, lv: Uuid, interval: int | None) -> Outcome:
    """Wait for the end of what goes on in volume ``lv``, looking every ``interval`` seconds, and write it down."""
    pause = session.config.number("activation/polling_interval") if interval is None else interval
    wait = 0.1
    try:
        while True:
            going, outcome = finish(session, vg, lv)
            if not going:
                return outcome
            time.sleep(min(wait, max(pause, 0.1)))
            wait *= 2
    except KeyboardInterrupt:
        raise StoppedHalfway(
            "no longer waiting: the kernel goes on by itself; only its end is not written down yet",
            hint=f"see how far it is: lvs {vg}; finish it: vgchange --poll y {vg}",
        ) from None
