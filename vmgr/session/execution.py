"""How a change gets from a value to the disks: planned, checked, and then run by the committer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import AlreadyExists, InUse, Refused, StoppedHalfway, VmgrError
from vmgr.outcome import Outcome

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.phases import Plan
    from vmgr.core.view import GroupView, PvView
    from vmgr.session.survey import Survey


class Execution:
    """Changes on one machine."""

    def __init__(self, machine: Survey) -> None:
        self._machine = machine

    def carry_out(
        self,
        change: Change,
        view: GroupView | None,
        *,
        new_pvs: Mapping[Uuid, PvView] | None = None,
        touch_devices: bool = True,
        repair: bool = False,
        first: Callable[[], None] | None = None,
    ) -> Outcome:
        """As :meth:`vmgr.session.Session.carry_out`."""
        if change.changes_metadata and self._machine.config.flag("global/metadata_read_only"):
            from vmgr.system.locks import METADATA_READ_ONLY, METADATA_READ_ONLY_HINT

            # Also what an activation finds to be written (the end of a merge): its lock was not refused.
            raise Refused(METADATA_READ_ONLY, hint=METADATA_READ_ONLY_HINT)
        from vmgr.core.mapped import require_room, require_unmapped
        from vmgr.core.mismatch import require_in_place
        from vmgr.core.missing import with_marks
        from vmgr.core.plan import plan_change

        if view is not None and len(view.pvs) < len(view.group.pvs):
            known = {*view.pvs, *(new_pvs or ())}
            change = evolve(change, absent=tuple(pv.id for pv in view.group.pvs if pv.id not in known))
        if change.after is not None and change.changes_metadata:
            change = evolve(change, after=with_marks(change.after, change.absent))
            assert change.after is not None
            seqno = max(change.after.seqno, change.before.seqno + 1 if change.before is not None else 1)
            change = evolve(change, after=evolve(change.after, seqno=seqno))
        pvs: dict[Uuid, PvView] = dict(view.pvs) if view is not None else {}
        pvs.update(new_pvs or {})
        if view is not None and change.changes_metadata:
            kept = change.after.pv_by_id if change.after is not None else {}
            left = {pv.id: pv for pv in view.removed if pv.id not in kept}
            pvs.update(left)
            change = evolve(change, outdated=tuple(left), relabel=view.relabel)
        if self._machine.config.flag("devices/scan_lvs"):
            self._machine.forget()  # a scan that has a volume open keeps it from being removed
        live = self._machine.live(table=True) if touch_devices else {}
        if touch_devices and change.before is not None:
            self._require_reachable(change.before)
        if touch_devices:
            require_room(change, {uuid: int(pv.size) // 512 for uuid, pv in pvs.items()})
        numbers = {uuid: pv.number for uuid, pv in pvs.items()}
        require_unmapped(change, live, numbers)
        try:
            plan = plan_change(change, live, self._machine.targets, self._machine.device_rules(change, pvs, live))
        except InUse as error:
            from vmgr.system.usage import with_holders

            raise with_holders(error, live) from None
        if live:
            require_in_place(plan, live, numbers)
        self._require_free_names(plan)
        outcome = Outcome(done=change.done, notes=change.notes, plans=(plan,))
        if not plan.steps:
            return outcome
        with self._machine.watching():
            return self._run(plan, outcome, view, pvs, repair=repair, first=first, touch_devices=touch_devices)

    def _run(
        self,
        plan: Plan,
        outcome: Outcome,
        view: GroupView | None,
        pvs: Mapping[Uuid, PvView],
        *,
        repair: bool,
        first: Callable[[], None] | None,
        touch_devices: bool,
    ) -> Outcome:
        """Check that a plan can be run, and, unless this is a test, run it."""
        from vmgr.commit import Committer
        from vmgr.core.effects import effects

        if plan.change.after is not None and plan.change.changes_metadata:
            from vmgr.ondisk.proof import require_readable

            require_readable(plan.change.before, plan.change.after, self._machine.targets)
        store, devices = self._machine.store(pvs, repair=repair), self._machine.devices(pvs)
        if view is not None and view.faults:
            store.text_before = view.text.rstrip(b"\0")
        try:
            store.check(plan.steps)
            devices.check(plan.steps, self._machine.targets.kernel_target)
            if self._machine.options.test:
                return outcome
            if first is not None:
                first()
            Committer(store, devices, progress=self._machine.tell_step).run(plan)
            self._machine.changed += effects(plan)
            if touch_devices:
                self._discard(plan.change, pvs)
        except StoppedHalfway:
            self._machine.changed += effects(plan)
            raise
        finally:
            store.close()
            self._machine.forget()
            for warning in store.warnings:
                self._machine.dialogue.warn(f"WARNING: {warning}")
        return outcome

    def _discard(self, change: Change, pvs: Mapping[Uuid, PvView]) -> None:
        """Tell the devices what they need not keep any more, where lvm.conf wants that.

        A command that is killed before leaves it undone, which costs nothing but space in a thin disk.
        """
        if change.before is None or not self._machine.config.flag("devices/issue_discards"):
            return
        from vmgr.core.mapped import released
        from vmgr.system.discards import discard
        from vmgr.system.disk import Disk

        numbers = {uuid: pv.number for uuid, pv in pvs.items()}
        machine = self._machine
        ranges = list(released(change, machine.live(table=True, prefix=""), numbers))
        open_disk = partial(Disk.open, watch=machine.watch)
        for problem in discard(ranges, pvs, machine.dialogue.detail, open_disk=open_disk):
            machine.dialogue.warn(f"WARNING: {problem}")

    def _require_reachable(self, group: VolumeGroup) -> None:
        """Raise what keeps the device mapper away where the kernel has devices of the group all the same.

        Without them a change would take active volumes for inactive, and free what is being written to. Who said
        that the device mapper is not to be used is believed.
        """
        if (
            self._machine.client() is not None
            or not self._machine.options.use_kernel
            or not self._machine.config.flag("global/activation")
        ):
            return
        from vmgr.system.devices import mapped_uuids

        if any(uuid.startswith(f"LVM-{group.id}") for uuid in mapped_uuids()):
            self._machine.need_client()

    def _require_free_names(self, plan: Plan) -> None:
        """Refuse a change whose devices' names others have, LVM's or not: found out after the commit it is late."""
        from vmgr.core.naming import split_dm_uuid

        named = [step.names for step in plan.steps if step.names is not None]
        client = self._machine.client() if named else None
        if client is None:
            return
        going = {step.frees for step in plan.steps if step.frees}
        taken = {entry.name for entry in client.names()}
        blames: dict[str, VmgrError] = {}
        for device in named:
            found = client.info(name=device.name) if device.name in taken else None
            if found is not None and found.uuid != device.uuid and found.uuid not in going:
                error = AlreadyExists(
                    f"the kernel has another device called {device.name} ({found.uuid or 'without a UUID'})",
                    hint=f"see what it is (vmgr dm info {device.name}); remove it, or choose another name",
                )
                blames.setdefault((split_dm_uuid(device.uuid) or ("", "", ""))[1], error)
        if blames:
            first = next(iter(blames.values()))
            raise AlreadyExists(first.message, hint=first.hint, blames=blames)
