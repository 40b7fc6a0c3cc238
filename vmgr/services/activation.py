"""Activating, deactivating and refreshing volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from vmgr.core import devices
from vmgr.core.change import Change
from vmgr.core.context import Context
from vmgr.core.errors import (
    GroupUnusable,
    Interrupted,
    PluginError,
    Refused,
    UnclaimedSegment,
    UsageError,
    VmgrError,
)
from vmgr.core.kinds import way_out
from vmgr.core.model import LvArea, PvArea
from vmgr.core.operations.checks import require_visible
from vmgr.core.plan import is_active
from vmgr.core.requests import ChangeVolume
from vmgr.core.running import describe_device, running_volumes, strange_devices, understood, unknown_types
from vmgr.core.usable import TOLD
from vmgr.dm.address import by_uuid
from vmgr.outcome import Outcome
from vmgr.services.subjects import Chosen, choose, for_each, together
from vmgr.system.rules import auto_activates, may_activate

if TYPE_CHECKING:
    from vmgr.core.group_requests import Activate
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.subject import Subject
    from vmgr.core.tools import ToolRun
    from vmgr.core.view import GroupView
    from vmgr.session import Session


def activate(session: Session, subjects: Sequence[Subject], request: Activate) -> Outcome:
    """Activate, deactivate or refresh what ``subjects`` mean; none means all groups."""
    if request.mode != "n":
        _completeness(session, request)
    chosen = choose(session, subjects, leaving=request.mode == "n")
    outcome = for_each(chosen, lambda item: _without_faulty(session, item, request))
    if session.options.poll and request.mode != "n" and not session.options.test:
        from vmgr.services.conversion import follow_in_background, under_way

        for item in chosen:
            follow_in_background(session, item.vg, under_way(session, Chosen.all(item.vg)))
    return outcome


def _completeness(session: Session, request: Activate) -> str:
    """``complete``, ``degraded`` or ``partial``. Raises :class:`UsageError` for another word in lvm.conf."""
    word = request.completeness or session.config.text("activation/activation_mode")
    if word not in ("complete", "degraded", "partial"):
        raise UsageError(
            f'invalid activation/activation_mode "{word}" in the configuration',
            hint='set it to "complete", "degraded" or "partial"',
        )
    return word


def _without_faulty(session: Session, chosen: Chosen, request: Activate) -> Outcome:
    """As :func:`_in_group`. A plugin that fails is left out, and its volumes with it; the others come up."""
    while True:
        try:
            outcome = _in_group(session, chosen, request)
            faults = [error for error in outcome.errors if isinstance(error, PluginError)]
            if not faults:
                return outcome
        except PluginError as error:
            faults = [error]
        # Raises where it cannot be left out, or is already: then another attempt ends no better.
        session.targets.leave_out(faults[0], again=False)
        session.forget()


def _in_group(session: Session, chosen: Chosen, request: Activate) -> Outcome:
    with session.changing(
        chosen.vg, activating=True, leaving=request.mode == "n", refreshing=request.mode == "refresh"
    ) as view:
        group = view.group
        if request.mode == "ay" and chosen.whole and "NOAUTOACTIVATE" in group.flags:
            return Outcome()
        if request.mode != "n":
            view.check_trusted()
        volumes = chosen.volumes(group)  # what is not there is told first: the device mapper would not help
        session.need_client()
        if request.mode == "n" and view.faults:
            return _take_down(session, view, chosen)
        if request.mode == "y" and view.partial and _completeness(session, request) == "partial":
            raise GroupUnusable(
                f"volume group {group.name} cannot be activated in part: vmgr does not put error targets in the"
                " place of missing physical volumes",
                hint="connect the missing devices, or use LVM2's vgchange --partial",
            )
        errors: list[VmgrError] = []
        wanted: list[LogicalVolume] = []
        test = _Test(session, view, request, named=not chosen.whole)
        for volume in volumes:
            try:
                if test.wanted(volume) and test.known(volume):
                    wanted.append(volume)
            except Interrupted:
                raise
            except VmgrError as error:
                if not chosen.whole and len(chosen.names) == 1:
                    raise
                errors.append(error)
        outcome = together(
            wanted,
            lambda some: _run(session, chosen.vg, some, request),
            lambda lv: devices.together(group, (lv.id,), session.targets),
        )
        outcome += Outcome(errors=(*errors, *test.strangers()))
        if chosen.whole and request.mode == "n":
            outcome += Outcome(errors=_still_running(session, group))
        if chosen.whole and request.mode == "n" and not outcome.errors and not session.options.test:
            from vmgr.system.rundir import forget_online

            forget_online(group.name)
        if chosen.whole and request.mode in ("y", "ay", "n"):
            outcome += Outcome(done=(_count(session, group),))
        return outcome


def _take_down(session: Session, view: GroupView, chosen: Chosen) -> Outcome:
    """Deactivate volumes of a group whose metadata cannot be trusted: what the kernel has of them."""
    from vmgr.core.takedown import live_volumes

    live = session.live()
    volumes = {lv.id for lv in chosen.volumes(view.group)}
    ids = tuple(lv for lv in live_volumes(view.group.id, live) if chosen.whole or lv in volumes)
    outcome = session.carry_out(Change(view.group, view.group, deactivate=ids, takedown=True), view)
    if not chosen.whole:
        return outcome
    if not session.options.test:
        from vmgr.system.rundir import forget_online

        forget_online(view.group.name)
    return outcome + Outcome(done=(_count(session, view.group),))


def _count(session: Session, group: VolumeGroup) -> str:
    number = len(running_volumes(group, session.live()))
    return f'{number} logical volume(s) in volume group "{group.name}" now active'


def _still_running(session: Session, group: VolumeGroup) -> tuple[VmgrError, ...]:
    """What to say of devices that a deactivation of the whole group leaves, because no plugin understands them."""
    devices = strange_devices(group, session.live(table=True), session.targets)
    if not devices:
        return ()
    number = "1 device runs" if len(devices) == 1 else f"{len(devices)} devices run"
    return (
        GroupUnusable(
            f"{number} on in volume group {group.name} that vmgr does not understand",
            details=tuple(describe_device(group, device) for device in devices),
            hint=f"deactivate them with LVM2's own tools: lvm vgchange -an {group.name}",
        ),
    )


class _Test:
    """Which volumes of a group a request is to be carried out for. What all need is found out once."""

    def __init__(self, session: Session, view: GroupView, request: Activate, *, named: bool) -> None:
        self._session = session
        self._view = view
        self._request = request
        self._named = named
        self._live = session.live()
        self._missing = {pv.id for pv in view.missing}
        self._strangers: list[LogicalVolume] = []

    def wanted(self, volume: LogicalVolume) -> bool:
        """Whether it is to be carried out for this volume. Raises what speaks against it."""
        request, group, config = self._request, self._view.group, self._session.config
        name = f"{group.name}/{volume.name}"
        if not volume.visible:
            context = Context(volume, self._session.targets, live=self._live)
            self._session.targets.check_request(group, volume, ChangeVolume(volume.id), context)
            require_visible(group, volume, "activate or deactivate")
        if request.mode == "n":
            if not understood(group, volume):
                if self._named:
                    self._refuse_strange(volume)
                return False  # told of once for all of them
            if not is_active(group, volume, self._live):
                return False
            self._confirm_companions(volume)
            return True
        if request.mode == "refresh":
            return is_active(group, volume, self._live) or volume.id in self._running
        if "ACTIVATION_SKIP" in volume.flags and not request.ignore_skip:
            if self._named:
                self._session.dialogue.warn(
                    f"Logical volume {name} is marked to be skipped at activation (use -K to ignore it)"
                )
            return False
        if request.mode == "ay" and (
            "NOAUTOACTIVATE" in volume.flags
            or not auto_activates(config, group.name, volume.name, (*group.tags, *volume.tags))
        ):
            return False
        if not may_activate(config, group, volume):
            raise Refused(
                f"not activating {name}: it is not in activation/volume_list",
                hint="add it to the list in lvm.conf(5), or give another with --config",
            )
        lost = self._lost(volume) if self._missing else []
        if lost:
            raise GroupUnusable(
                f"refusing activation of {name}: physical volume {', '.join(pv.dashed for pv in lost)} is missing",
                hint=f"connect its device (vgextend --restoremissing {group.name} DEVICE takes back one that is"
                f" marked so); vgreduce --removemissing --force {group.name} gives up what was on it",
            )
        return True

    def known(self, volume: LogicalVolume) -> bool:
        """Whether plugins know all that the volume consists of; where not, it is one of :meth:`strangers`."""
        if self._request.mode == "n" or understood(self._view.group, volume):
            return True
        self._strangers.append(volume)
        return False

    def strangers(self) -> tuple[VmgrError, ...]:
        """What to say of the volumes that would be brought up, or loaded anew, if a plugin knew them."""
        if not self._strangers:
            return ()
        group, mode = self._view.group, self._request.mode
        act, option = ("refresh", "--refresh") if mode == "refresh" else ("activate", f"-a{mode}")
        words = {lv.name: [*dict.fromkeys(unknown_types(group, lv))] for lv in self._strangers}
        names = [f"{name} ({', '.join(types)})" for name, types in words.items()]
        more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
        what = "logical volumes of types" if len(names) > 1 else "a logical volume of a type"
        subjects = " ".join(f"{group.name}/{name}" for name in words) if self._named else group.name
        return (
            UnclaimedSegment(
                f"cannot {act} {what} that no installed plugin knows, in volume group {group.name}:"
                f" {', '.join(names[:TOLD])}{more}",
                hint=way_out(
                    [word for types in words.values() for word in types],
                    f"lvm {'lv' if self._named else 'vg'}change {option} {subjects}",
                ),
            ),
        )

    def _lost(self, volume: LogicalVolume) -> list[Uuid]:
        """The missing physical volumes below what would come up: an origin has its snapshots' stores with it.

        One that is back may be marked as missing still: what it holds is older than the rest.
        """
        group = self._view.group
        with_it = devices.together(group, (volume.id,), self._session.targets)
        below = dict.fromkeys(pv for i in with_it for pv in pvs_below(group, group.lv_by_id[i]))
        return [pv for pv in below if pv in self._missing]

    def _refuse_strange(self, volume: LogicalVolume) -> None:
        """Raise if a volume runs that no plugin understands: taking down its top alone would leave the rest."""
        group = self._view.group
        if volume.id in self._running:
            name = f"{group.name}/{volume.name}"
            raise GroupUnusable(
                f"cannot deactivate logical volume {name}: no installed plugin understands it",
                hint=f"deactivate it with LVM2's own tools: lvm lvchange -an {name}",
            )

    @cached_property
    def _running(self) -> frozenset[Uuid]:
        """The volumes that run, those that no plugin understands among them."""
        return frozenset(lv.id for lv in running_volumes(self._view.group, self._live))

    def _confirm_companions(self, volume: LogicalVolume) -> None:
        """Ask before a named volume takes down another that would outlive its removal: a snapshot its origin."""
        from vmgr.core.operations.remove import removal_set

        session, group = self._session, self._view.group
        if not self._named or session.options.test:
            return
        with_it = devices.together(group, (volume.id,), session.targets)
        if len(with_it) < 2:
            return
        own = {lv.id for lv in removal_set(group, volume, session.targets)}
        others = [lv.name for i in with_it if i not in own and (lv := group.lv_by_id[i]).visible]
        if others:
            name = f"{group.name}/{volume.name}"
            question = f"Change of {name} will also change {', '.join(others)}. Proceed?"
            if not session.dialogue.ask(question):
                raise Interrupted(f"logical volume {name} not changed", hint="answer y, or use --yes")


def pvs_below(group: VolumeGroup, volume: LogicalVolume) -> list[Uuid]:
    """The physical volumes that a volume lies on, through whatever is between."""
    by_id = group.lv_by_id
    found: dict[Uuid, None] = {}
    todo, seen = [volume.id], set()
    while todo:
        lv = todo.pop()
        if lv in seen or lv not in by_id:
            continue
        seen.add(lv)
        for area in by_id[lv].areas():
            if isinstance(area, PvArea):
                found.setdefault(area.pv)
            elif isinstance(area, LvArea):
                todo.append(area.lv)
        todo.extend(reference.lv for reference in by_id[lv].references())
    return list(found)


def _run(session: Session, vg: str, volumes: Sequence[LogicalVolume], request: Activate) -> Outcome:
    view = session.locked_group(vg)
    ids = tuple(lv.id for lv in volumes)
    group = view.group
    change = Change(
        before=group,
        after=group,
        activate=ids if request.mode in ("y", "ay") else (),
        deactivate=ids if request.mode == "n" else (),
        refresh=ids if request.mode == "refresh" else (),
        tools=_checks(session, view, ids) if request.mode in ("y", "ay") else (),
    )
    return session.carry_out(change, view)


def _checks(session: Session, view: GroupView, ids: tuple[Uuid, ...]) -> tuple[ToolRun, ...]:
    """Programs that plugins want to be run before these volumes are activated."""
    group, targets = view.group, session.targets
    if not ids or not targets.checks_activation(group):
        return ()
    from vmgr.core.devices import inactive
    from vmgr.session.surroundings import machine_for

    context = Context(
        group.lv_by_id[ids[0]], targets, live=session.live(table=True), machine=machine_for(session, group)
    )
    return targets.before_activation(group, inactive(group, ids, context.live), context)


@contextmanager
def active_for_the_time(session: Session, view: GroupView, volume: LogicalVolume) -> Iterator[None]:
    """Activate a volume of a locked group that is not active, and deactivate it afterwards.

    Raises what speaks against its activation. A command that is killed inside leaves it active.
    """
    from vmgr.core.group_requests import Activate

    request = Activate("y", ignore_skip=True)
    view.check_trusted()
    session.need_client()
    _Test(session, view, request, named=True).wanted(volume)
    group = view.group
    session.carry_out(Change(before=group, after=group, activate=(volume.id,)), view)
    try:
        yield
    finally:
        session.carry_out(Change(before=group, after=group, deactivate=(volume.id,)), view)


def make_nodes(session: Session, subjects: Sequence[Subject] = ()) -> Outcome:
    """Make missing nodes and links of active volumes, with the kernel's numbers."""
    from vmgr.core.devices import stack
    from vmgr.core.plan import active_volumes

    client = session.need_client()

    def one(chosen: Chosen) -> Outcome:
        with session.changing(chosen.vg, activating=True) as view:
            view.check_trusted()
            live = session.live(table=True)
            active = active_volumes(view.group, live)
            for device in stack(view.group, active, session.targets, live):
                if device.uuid in live and not session.options.test:
                    client.show(by_uuid(device.uuid), link=device.link)
        return Outcome()

    return for_each(choose(session, subjects), one)
