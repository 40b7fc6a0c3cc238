"""How a change gets from a value to the disks: planned, checked, and then run by the committer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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
    from vmgr.core.table import LiveDevice
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
        also: Sequence[tuple[Change, GroupView | None]] = (),
        new_pvs: Mapping[Uuid, PvView] | None = None,
        touch_devices: bool = True,
        repair: bool = False,
        first: Callable[[], None] | None = None,
    ) -> Outcome:
        """As :meth:`vmgr.session.Session.carry_out`."""
        from vmgr.core.plan import plan_change, plan_together
        from vmgr.core.transaction import arranged, require_inactive

        machine = self._machine
        parts = ((change, view), *also)
        if any(one.changes_metadata for one, _ in parts) and machine.config.flag("global/metadata_read_only"):
            from vmgr.system.locks import METADATA_READ_ONLY, METADATA_READ_ONLY_HINT

            # Also what an activation finds to be written (the end of a merge): its lock was not refused.
            raise Refused(METADATA_READ_ONLY, hint=METADATA_READ_ONLY_HINT)
        views = [found for _, found in parts if found is not None]
        pvs = {uuid: pv for found in views for uuid, pv in found.pvs.items()}
        pvs.update(new_pvs or {})
        given = [_on_these_devices(one, found, pvs) for one, found in parts]
        outdated = {uuid for one in given for uuid in one.outdated}
        pvs.update((pv.id, pv) for found in views for pv in found.removed if pv.id in outdated)
        changes = [_numbered(one) for one in arranged(given)]
        if machine.config.flag("devices/scan_lvs"):
            machine.forget()  # a scan that has a volume open keeps it from being removed
        # Labels of devices that are in no group concern nothing that the kernel has.
        touch_devices = touch_devices and any(one.before or one.after for one in changes)
        live = machine.live(table=True) if touch_devices else {}
        require_inactive(changes, live)
        for one in changes:
            self._check(one, pvs, live, touch_devices=touch_devices)
        try:
            plan = plan_together(
                [plan_change(one, live, machine.targets, machine.device_rules(one, pvs, live)) for one in changes]
            )
        except InUse as error:
            from vmgr.system.usage import with_holders

            raise with_holders(error, live) from None
        if live:
            from vmgr.core.mismatch import require_in_place

            require_in_place(plan, live, {uuid: pv.number for uuid, pv in pvs.items()})
        self._require_free_names(plan)
        outcome = Outcome(
            done=tuple(line for one in given for line in one.done),
            notes=tuple(line for one in given for line in one.notes),
            plans=(plan,),
        )
        if plan.steps:
            with machine.watching():
                self._run(plan, views, pvs, repair=repair, first=first, touch_devices=touch_devices)
        return outcome

    def _check(
        self, change: Change, pvs: Mapping[Uuid, PvView], live: Mapping[str, LiveDevice], *, touch_devices: bool
    ) -> None:
        """Raise what keeps a change from being made on these devices."""
        from vmgr.core.mapped import require_room, require_unmapped

        if touch_devices:
            if change.before is not None:
                self._require_reachable(change.before)
            require_room(change, {uuid: int(pv.size) // 512 for uuid, pv in pvs.items()})
        require_unmapped(change, live, {uuid: pv.number for uuid, pv in pvs.items()})

    def _run(
        self,
        plan: Plan,
        views: Iterable[GroupView],
        pvs: Mapping[Uuid, PvView],
        *,
        repair: bool,
        first: Callable[[], None] | None,
        touch_devices: bool,
    ) -> None:
        """Check that a plan can be run, and, unless this is a test, run it."""
        from vmgr.commit import Committer
        from vmgr.core.effects import effects

        machine = self._machine
        for change in plan.changes:
            if change.after is not None and change.changes_metadata:
                from vmgr.ondisk.proof import require_readable

                require_readable(change.before, change.after, machine.targets)
        store, devices = machine.store(pvs, repair=repair), machine.devices(pvs)
        store.texts_before = {view.group.id: view.text.rstrip(b"\0") for view in views if view.faults}
        try:
            store.check(plan.steps)
            devices.check(plan.steps, machine.targets.kernel_target)
            if machine.options.test:
                return
            if first is not None:
                first()
            Committer(store, devices, progress=machine.tell_step).run(plan)
            machine.changed += effects(plan)
            if touch_devices:
                for change in plan.changes:
                    self._discard(change, pvs)
        except StoppedHalfway:
            machine.changed += effects(plan)
            raise
        finally:
            store.close()
            machine.forget()
            for warning in store.warnings:
                machine.dialogue.warn(f"WARNING: {warning}")

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
        ranges = [
            found
            for found in released(change, machine.live(table=True, prefix=""), numbers)
            if found[0] not in change.handed_over  # the volumes on it are another group's now
        ]
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

        named = [device for step in plan.steps for device in step.names]
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


def _on_these_devices(change: Change, view: GroupView | None, pvs: Mapping[Uuid, PvView]) -> Change:
    """A change with what its group's devices add: which are absent, outdated, or to be labelled anew."""
    from vmgr.core.missing import with_marks

    if view is None:
        return change
    absent = tuple(pv.id for pv in view.group.pvs if pv.id not in pvs and pv.id not in change.handed_over)
    change = evolve(change, absent=absent)
    if not change.changes_metadata:
        return change
    if change.after is not None:
        change = evolve(change, after=with_marks(change.after, absent))
    kept = change.after.pv_by_id if change.after is not None else {}
    left = tuple(pv.id for pv in view.removed if pv.id not in kept)
    return evolve(change, outdated=left, relabel=view.relabel)


def _numbered(change: Change) -> Change:
    """A change whose new text has its sequence number; one that is committed twice has the last."""
    before, after = change.before, change.after
    if after is None or not change.changes_metadata:
        return change
    steps = 2 if change.taken_from else 1
    seqno = max(after.seqno, (before.seqno if before is not None else 0) + steps)
    return evolve(change, after=evolve(after, seqno=seqno))
