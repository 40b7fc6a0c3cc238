"""One command's dealings with the machine: configuration, locks, scan, kernel, and carrying out a change.

The services (:mod:`vmgr.services`) say what to do; this says how a change gets from a value to the disks, always
the same way: under the lock, freshly read, checked, planned, and then run by the committer.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import (
    AlreadyExists,
    GroupUnusable,
    InUse,
    InvalidGroup,
    KernelError,
    NotPermitted,
    StoppedHalfway,
    VmgrError,
)
from vmgr.outcome import Outcome, RunOptions

if TYPE_CHECKING:
    from vmgr.activation import KernelDevices, NoDevices
    from vmgr.core.change import Change
    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.effects import Effect
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.phases import Plan
    from vmgr.core.requests import Stamp
    from vmgr.core.step import Step
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import GroupView, PvView, SystemView
    from vmgr.dm.client import DmClient
    from vmgr.outcome import Dialogue
    from vmgr.system.config import Config
    from vmgr.system.devicesfile import DevicesFile
    from vmgr.system.locks import Locks
    from vmgr.system.metadata import MetadataStore
    from vmgr.system.reader import Reader
    from vmgr.system.scan import Scan
    from vmgr.system.stall import StallWatch


REMOVE_RETRY = 3.0
"""Seconds for which a device that is busy is tried to be removed again (``activation/retry_deactivation``)."""


class Silence:
    """A dialogue with nobody: questions get one fixed answer, messages go nowhere."""

    def __init__(self, yes: bool) -> None:
        self._yes = yes

    def ask(self, question: str) -> bool:
        """The fixed answer."""
        return self._yes

    def secret(self, question: str) -> str | None:
        """Nobody knows."""
        return None

    def warn(self, message: str) -> None:
        """Nobody listens."""

    def progress(self, message: str) -> None:
        """Nobody watches."""

    def detail(self, message: str, level: int = 1) -> None:
        """Nobody asks."""


class Session:
    """The machine as one command sees it. Everything is opened when it is first needed."""

    def __init__(
        self, options: RunOptions, dialogue: Dialogue | None = None, targets: Targets | None = None
    ) -> None:
        self._options = options
        self.dialogue: Dialogue = dialogue or Silence(options.yes)
        self._config: Config | None = None
        self._targets = targets
        self._locks: Locks | None = None
        self._scan: Scan | None = None
        self._reader: Reader | None = None
        self.unnamed: set[str] = set()
        """Groups that the user did not name: no command waits for their devices for ever."""
        self._detail = False
        self._said: set[str] = set()
        self._foretold: dict[str, Mapping[str, LiveDevice]] = {}
        """In a test, the devices of groups, by the beginning of their UUIDs, as if they had been put in order."""
        self._admitted: tuple[str, ...] = ()
        self._makes_file = False
        self._client: DmClient | None = None
        self._no_client: VmgrError | None = None
        self.watch: StallWatch | None = None
        """Tells of what does not return while a change is carried out."""
        self.changed: list[Effect] = []
        """What has been changed so far, in order, whatever came of the rest."""

    def child(self) -> Session:
        """A session for a process forked off this one: same options, nothing shared, nobody to talk to."""
        return Session(evolve(self._options, yes=True), None, self._targets)

    def close(self) -> None:
        """Let go of locks, disks and the device mapper."""
        self.forget()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        if self._locks is not None:
            self._locks.release_all()
        if self._client is not None:
            self._client.close()
            self._client = None

    # -- what there is ----------------------------------------------------------------------------

    @property
    def options(self) -> RunOptions:
        """How the command runs: as it was told to, and where that says nothing as the configuration wants it."""
        if self._config is None:
            self._settle()
        return self._options

    @property
    def config(self) -> Config:
        """The configuration of this machine, with the command's own on top."""
        if self._config is None:
            self._settle()
        assert self._config is not None
        return self._config

    def _settle(self) -> None:
        """Read the configuration, and let it say what the options leave open."""
        from vmgr.system import config

        options = self._options
        self._config = config.load(
            options.config, command_profile=options.command_profile, metadata_profile=options.metadata_profile
        )
        for warning in self._config.warnings:
            self.dialogue.warn(f"WARNING: {warning}")
        if self._config.flag("global/test"):
            self._options = evolve(options, test=True)

    @property
    def targets(self) -> Targets:
        """The installed target plugins."""
        if self._targets is None:
            from vmgr.registry import load_targets

            self._targets = load_targets(self.dialogue.warn)
        return self._targets

    @property
    def locks(self) -> Locks:
        """LVM2's lock files, as the options and lvm.conf want them used."""
        if self._locks is None:
            from vmgr.system import locks

            options = self.options
            mode = locks.NORMAL
            # LVM2 2.03 has only locking with files; for its older kinds it does what comes nearest.
            kind = self.config.number("global/locking_type")
            if kind != 1:
                instead = {0: "no locks are taken", 5: "no locks are taken", 4: "nothing is changed"}
                self.dialogue.warn(
                    f"WARNING: locking_type ({kind}) is deprecated: {instead.get(kind, 'locks are files')}"
                )
            if not options.locking or kind in (0, 5):
                mode = locks.NO_LOCKING
            elif options.read_only or kind == 4:
                mode = locks.READ_ONLY
            elif options.ignore_lock_failure:
                mode = locks.IGNORE_FAILURE
            self._locks = locks.Locks.from_config(
                self.config, mode=mode, on_wait=self._waiting, on_none=self._without_lock, keep_hints=options.test
            )
        return self._locks

    def _waiting(self, path: str, holder: str) -> None:
        self.dialogue.progress(f"Waiting for the lock {path}" + (f", held by {holder}" if holder else ""))

    def _without_lock(self, why: str) -> None:
        self.dialogue.warn(f"WARNING: {why}")

    def stamp(self) -> Stamp:
        """The time, this host's name and fresh randomness, for operations."""
        from vmgr.system.identity import make_stamp

        return make_stamp()

    @property
    def system_id(self) -> str:
        """This host's system ID; empty if it has none."""
        from vmgr.system.identity import system_id

        return system_id(self.config)

    # -- reading ----------------------------------------------------------------------------------

    def look(self, *, detail: bool = False) -> Scan:
        """A scan of the devices, kept for the rest of the command; what it says of a group is true under its lock.

        ``detail`` finds out about devices all that matters before they become physical volumes.
        """
        if self._scan is None or (detail and not self._detail):
            from vmgr.system.devicesfile import selection
            from vmgr.system.scan import Scan

            self.forget()
            self._detail = detail
            options = self.options
            listed = selection(
                self.config,
                devices=options.devices or (),
                devices_file=options.devices_file,
                system_id=self.system_id,
                also=self._admitted,
                making=self._makes_file,
            )
            self._scan = Scan(
                self.config,
                self.targets,
                detail=detail,
                listed=listed,
                reader=self._reader,
                on_wait=self.dialogue.progress,
            )
            self._reader = None
            for name in listed.absent(self._scan.devices) if listed is not None else ():
                self.warn_once(f"Device not found for {name}.")
            if listed is not None and listed.file is not None:
                self._correct(listed.file, self._scan)
        return self._scan

    def _correct(self, file: DevicesFile, scan: Scan) -> None:
        """Bring the devices file up to date with what was found; what cannot be written now is left to the next."""
        options = self.options
        fixes = scan.listed.fixes if scan.listed is not None else ()
        for old, new in fixes:
            self.dialogue.detail(f"Devices file entry {old} becomes {new}")
        if fixes and options.locking and not (options.test or options.read_only):
            try:
                file.correct(fixes, command=options.command)
            except VmgrError as error:
                self.dialogue.detail(f"The devices file is not updated: {error.message}")

    def admit(self, devices: Iterable[str], *, making: bool = False) -> None:
        """Look at ``devices``, which are to become physical volumes, though the devices file may not have them.

        ``making``: a devices file that is not there will be made.
        """
        self._admitted = tuple(devices)
        self._makes_file = making
        self.forget()

    def forget(self) -> None:
        """The devices have changed: the next look reads them again."""
        if self._scan is not None:
            self._reader = self._scan.close()
            self._scan = None

    def view(
        self, only: Collection[str] | None = None, *, foreign: bool = False, detail: bool = False
    ) -> SystemView:
        """What is on the devices, with the groups ``only`` (default: all) decoded. Problems become warnings."""
        from vmgr.system.identity import local_system_ids
        from vmgr.system.mismatch import mismatches

        scan = self.look(detail=detail)
        if only is not None and scan.silent:
            scan.await_groups([name for name in only if name not in self.unnamed])
        view = scan.view(only, system_ids=local_system_ids(self.config))
        if not foreign and any(group.foreign for group in view.groups):
            view = evolve(view, groups=tuple(group for group in view.groups if not group.foreign or only))
        for problem in scan.unopened:
            if problem not in self._said:
                self._said.add(problem)
                self.dialogue.detail(problem)
        moved = mismatches(view.groups, scan.strays) if not self.options.read_only else ()
        for problem in (*_without_rights(scan.unopened), *view.problems, *moved):
            self.warn_once(problem)
        return view

    def shared_view(
        self,
        only: Collection[str] | None = None,
        *,
        foreign: bool = False,
        shared: bool = True,
        detail: bool = False,
    ) -> SystemView:
        """A view for reading only, under shared locks: of the groups named, or of all.

        Of all, those of other hosts are left out (unless ``foreign``) where nothing of them is active here, and
        without ``shared`` those that hosts share under locks where ``use_lvmlockd`` is off, as in LVM2.
        """
        from contextlib import ExitStack

        if only is not None:
            only = [self.meant(name) for name in only]
        with ExitStack() as held:
            if only is None:
                held.enter_context(self.locks.all_groups())
                names = [name for name, _ in self.look(detail=detail).names]
            else:
                names = sorted(only)
            before = dict.fromkeys(names, self._scan)
            for name in names:
                held.enter_context(self.locks.group(name))
                if before[name] is not None and self._scan is not None:
                    self._scan.refresh(name)
            view = self.view(only, foreign=True, detail=detail)
        return evolve(view, groups=tuple(self._readable(view.groups, only, foreign=foreign, shared=shared)))

    def _readable(
        self, groups: Iterable[GroupView], only: Collection[str] | None, *, foreign: bool, shared: bool
    ) -> Iterator[GroupView]:
        from vmgr.core.usable import lock_manager

        for view in groups:
            if view.foreign and not foreign:
                if self.active_here(view):
                    self.warn_foreign(view)
                    view = evolve(view, active=True)
                elif only is None:
                    continue
            manager = lock_manager(view.group)
            if manager:
                if self.config.flag("global/use_lvmlockd") and manager != "clvm":
                    self.dialogue.warn(f"WARNING: Reading VG {view.group.name} without a lock.")
                elif only is None and not shared:
                    if manager == "clvm":
                        self.dialogue.progress(f"Skipping clustered VG {view.group.name}.")
                    continue
            yield view

    # -- the kernel -------------------------------------------------------------------------------

    def client(self) -> DmClient | None:
        """The device mapper, or None where there is none; :meth:`need_client` says why."""
        if self._client is None and self._no_client is None:
            if not self.options.use_kernel or not self.config.flag("global/activation"):
                self._no_client = KernelError(
                    "the device mapper is not to be used (--driverloaded n, or activation = 0 in lvm.conf)",
                    hint="leave that option out, or do not activate: -an",
                )
                return None
            from vmgr.dm.control import check_control

            try:
                check_control(self.config.dev_dir)  # before the client is loaded, which costs as much as a scan
                from vmgr.dm.client import DmClient

                client = DmClient.open(
                    dev_dir=self.config.dev_dir,
                    use_udev=None if self.options.udev_sync and self.config.flag("activation/udev_sync") else False,
                    rules=self.config.flag("activation/udev_rules"),
                    warn=lambda text: self.dialogue.warn(f"WARNING: {text}"),
                )
                client.version()
                self._client = client
            except (KernelError, NotPermitted) as error:
                self._no_client = error
        return self._client

    def need_client(self) -> DmClient:
        """The device mapper. Raises what keeps it away where there is none."""
        client = self.client()
        if client is None:
            assert self._no_client is not None
            raise self._no_client
        return client

    def live(self, *, status: bool = False, table: bool = False, prefix: str = "LVM-") -> Mapping[str, LiveDevice]:
        """What the kernel has, by device-mapper UUID; empty where there is no device mapper."""
        if self.options.read_only:
            return {}
        client = self.client()
        if client is None:
            return {}
        found = {d.uuid: d for d in client.devices(prefix=prefix, status=status, tables=table)}
        for group, devices in self._foretold.items():
            found = {uuid: device for uuid, device in found.items() if not uuid.startswith(group)}
            found |= {uuid: device for uuid, device in devices.items() if uuid.startswith(prefix)}
        return found

    def wants_status(self, group: VolumeGroup) -> bool:
        """Whether a target of the group's volumes reads status lines: asking for them costs a call a device."""
        return any(self.targets.has_status(body) for body in group.by_body)

    def meant(self, text: str) -> str:
        """The name of the group that a user calls ``text``: its name, or where none is called so its UUID."""
        from vmgr.core.ids import GroupName, printed_uuid

        uuid = None if isinstance(text, GroupName) else printed_uuid(text)
        if uuid is None:
            return text
        names = self.look().names
        if any(name == text for name, _ in names):
            return text
        return next((GroupName(name, uuid) for name, known in names if known == uuid), text)

    def locked_group(self, name: str) -> GroupView:
        """The group called ``name``, whose lock is held, as it is on the disks now."""
        name = self.meant(name)
        if self._scan is not None:
            self._scan.refresh(name)
        return self.view((name,)).group(name)

    # -- changing ---------------------------------------------------------------------------------

    @contextmanager
    def changing(
        self,
        name: str,
        *,
        whole_namespace: bool = False,
        activating: bool = False,
        leaving: bool = False,
        refreshing: bool = False,
        purpose: str = "change",
        **allow: bool,
    ) -> Iterator[GroupView]:
        """The group called ``name`` (see :meth:`meant`), locked and freshly read, for a change or an activation.

        ``whole_namespace`` also locks group names and devices (for what adds or removes those).
        ``activating`` is for what changes no metadata, ``leaving`` for what only lets go of devices: that is
        possible whoever owns the group. ``purpose`` says in a refusal what could not be done. ``allow`` names
        states that are no hindrance: ``missing``, ``exported``.
        """
        if whole_namespace:
            self.locks.all_groups(exclusive=True)
        name = self.meant(name)
        with self.locks.group(name, exclusive=True, activating=activating):
            view = self.locked_group(name)
            if leaving:
                self._require_ours_or_active(view)
            elif activating:
                from vmgr.core.usable import require_imported, require_local

                view.check_readable()
                require_local(view.group)
                require_imported(view.group)
            else:
                view.check_changeable(**allow)
                from vmgr.core.usable import require_known

                require_known(view.group, purpose)
            view = self._under_one_name(view)
            self.heal(view, refreshing=refreshing)
            try:
                yield view
            except InvalidGroup as error:
                raise _whose_fault(view.group, self.targets, error) from error

    def active_here(self, view: GroupView) -> bool:
        """Whether the kernel of this machine has devices of the group."""
        return any(uuid.startswith(f"LVM-{view.group.id}") for uuid in self.live())

    def _require_ours_or_active(self, view: GroupView) -> None:
        """A group of another host that is active here is let go of, and both hosts may have written to it."""
        if not view.foreign:
            return
        if not self.active_here(view):
            view.check_readable()
        self.warn_foreign(view)

    def warn_foreign(self, view: GroupView) -> None:
        """Say that volumes of another host's group are active here."""
        group = view.group
        self.dialogue.warn(
            f"WARNING: Found LVs active in VG {group.name} with foreign system ID {group.system_id}."
            "  Possible data corruption."
        )

    def _under_one_name(self, view: GroupView) -> GroupView:
        """The locked group, written anew where a rename that did not end left areas with the older name.

        To LVM2 that is the group under its older name, or two groups that each miss disks. What cannot be written
        now is left to the next command: a group is activated from disks that cannot be written to, too. Nothing is
        written where the lock may be missing (``--ignorelockingfailure``).
        """
        group = view.group
        options = self.options
        if not view.former or options.test or not options.locking or options.ignore_lock_failure:
            return view
        from vmgr.core.change import Change
        from vmgr.core.usable import require_known

        names = ", ".join(view.former)
        try:
            view.check_changeable(exported=True)
            require_known(group)
            self.carry_out(Change(group, evolve(group, seqno=group.seqno + 1)), view, touch_devices=False)
        except VmgrError as error:
            self.warn_once(f"volume group {group.name} is still called {names} on some disks: {error.message}")
            return view
        self.warn_once(f"volume group {group.name} was still called {names} on some disks, and is not any more")
        return self.locked_group(group.name)

    def was_called(self, view: GroupView, name: str) -> bool:
        """Whether something of a group still has ``name``: metadata, devices, nodes or links."""
        if name in view.former:
            return True
        client = self.client()
        if client is None:
            return False
        from vmgr.healer import Healer

        return Healer(view.group, client, self.config.dev_dir, self.warn_once).was_called(name)

    def heal(self, view: GroupView, *, refreshing: bool = False) -> None:
        """Put in order what a command that did not end left in the kernel for this group, whose lock is held.

        Each device is named in a warning, and so is what is left alone. ``refreshing``: devices that somebody
        suspended are about to be resumed, and not worth a word.
        """
        from vmgr.core.usable import lock_manager

        group = view.group
        if view.faults or view.unchangeable or view.foreign or lock_manager(group):
            return  # what the devices shall be is in doubt, or not this host's to say
        if not self.options.locking or not self.locks.holds(group.name, exclusive=True):
            return  # another command may be at work on them
        client = self.client()
        if client is None:
            return
        from vmgr.core.change import Change
        from vmgr.core.phases import Plan
        from vmgr.healer import Healer

        healer = Healer(
            group, client, self.config.dev_dir, lambda text: self.warn_once(f"volume group {group.name}: {text}")
        )
        if not self.options.test:
            healer.mend_nodes()
        found = healer.find(
            self.targets,
            {uuid: pv.number for uuid, pv in view.pvs.items()},
            lambda live: self._device_rules(Change(group, group), dict(view.pvs), live),
        )
        before = "without --test, before all else: " if self.options.test else ""
        for text in (*(before + text for text in found.told), *found.left, *(() if refreshing else found.held)):
            self.warn_once(f"volume group {group.name}: {text}")
        if not found.steps:
            return
        if self.options.test:
            self._foretold[f"LVM-{group.id}"] = found.after
            return
        from vmgr.commit import Committer

        store = self._store({}, repair=False)
        try:
            with self._watching():
                devices = self._devices(dict(view.pvs))
                Committer(store, devices, progress=self._progress).run(Plan(Change(group, group), found.steps))
        except VmgrError as error:
            error.message = f"cannot put in order what a command left in volume group {group.name}: {error.message}"
            error.args = (error.message,)
            raise
        finally:
            store.close()

    def warn_once(self, text: str) -> None:
        """Say something that would be said again at every look."""
        if text not in self._said:
            self._said.add(text)
            self.dialogue.warn(f"WARNING: {text}")

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
        """Plan a change of a locked group, check that the plan can be run, and, unless this is a test, run it.

        ``view`` is the group as it was read, None for a new one; ``new_pvs`` are PVs that join it.
        ``touch_devices`` off leaves the kernel's devices as they are, whatever the new metadata say. ``repair``
        makes metadata areas anew whose headers are damaged. ``first`` is called once all has been checked, before
        the first step, and not in a test.
        """
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
        if self.config.flag("devices/scan_lvs"):
            self.forget()  # a scan that has a volume open keeps it from being removed
        live = self.live(table=True) if touch_devices else {}
        if touch_devices and change.before is not None:
            self._require_reachable(change.before)
        if touch_devices:
            require_room(change, {uuid: int(pv.size) // 512 for uuid, pv in pvs.items()})
        numbers = {uuid: pv.number for uuid, pv in pvs.items()}
        require_unmapped(change, live, numbers)
        try:
            plan = plan_change(change, live, self.targets, self._device_rules(change, pvs, live))
        except InUse as error:
            from vmgr.system.usage import with_holders

            raise with_holders(error, live) from None
        if live:
            require_in_place(plan, live, numbers)
        self._require_free_names(plan)
        outcome = Outcome(done=change.done, notes=change.notes, plans=(plan,))
        if not plan.steps:
            return outcome
        with self._watching():
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

        store, devices = self._store(pvs, repair=repair), self._devices(pvs)
        if view is not None and view.faults:
            store.text_before = view.text.rstrip(b"\0")
        try:
            store.check(plan.steps)
            devices.check(plan.steps, self.targets.kernel_target)
            if self.options.test:
                return outcome
            if first is not None:
                first()
            Committer(store, devices, progress=self._progress).run(plan)
            self.changed += effects(plan)
            if touch_devices:
                self._discard(plan.change, pvs)
        except StoppedHalfway:
            self.changed += effects(plan)
            raise
        finally:
            store.close()
            self.forget()
            for warning in store.warnings:
                self.dialogue.warn(f"WARNING: {warning}")
        return outcome

    def _device_rules(
        self, change: Change, pvs: Mapping[Uuid, PvView], live: Mapping[str, LiveDevice]
    ) -> DeviceRules:
        """What the configuration says of the change's devices; nothing where there will be none."""
        from vmgr.core.devicerules import NO_RULES

        group = change.after or change.before
        if group is None or not (live or change.activate or change.refresh):
            return NO_RULES
        from vmgr.system.rules import device_rules
        from vmgr.system.topology import read_ahead

        return device_rules(self.config, group, {uuid: read_ahead(pv.major, pv.minor) for uuid, pv in pvs.items()})

    def _discard(self, change: Change, pvs: Mapping[Uuid, PvView]) -> None:
        """Tell the devices what they need not keep any more, where lvm.conf wants that.

        A command that is killed before leaves it undone, which costs nothing but space in a thin disk.
        """
        if change.before is None or not self.config.flag("devices/issue_discards"):
            return
        from vmgr.core.mapped import released
        from vmgr.system.discards import discard
        from vmgr.system.disk import Disk

        numbers = {uuid: pv.number for uuid, pv in pvs.items()}
        ranges = list(released(change, self.live(table=True, prefix=""), numbers))
        for problem in discard(ranges, pvs, self.dialogue.detail, open_disk=partial(Disk.open, watch=self.watch)):
            self.dialogue.warn(f"WARNING: {problem}")

    def _require_reachable(self, group: VolumeGroup) -> None:
        """Raise what keeps the device mapper away where the kernel has devices of the group all the same.

        Without them a change would take active volumes for inactive, and free what is being written to. Who said
        that the device mapper is not to be used is believed.
        """
        if self.client() is not None or not self.options.use_kernel or not self.config.flag("global/activation"):
            return
        from vmgr.system.devices import mapped_uuids

        if any(uuid.startswith(f"LVM-{group.id}") for uuid in mapped_uuids()):
            self.need_client()

    def _require_free_names(self, plan: Plan) -> None:
        """Refuse a change whose devices' names others have, LVM's or not: found out after the commit it is late."""
        from vmgr.core.naming import split_dm_uuid

        named = [step.names for step in plan.steps if step.names is not None]
        client = self.client() if named else None
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

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Tell of whatever does not return while a change is carried out."""
        from vmgr.system.stall import StallWatch

        with StallWatch(self.dialogue.progress) as self.watch:
            try:
                yield
            finally:
                self.watch = None

    def _progress(self, step: Step) -> None:
        self.dialogue.detail(str(step))

    def _store(self, pvs: Mapping[Uuid, PvView], *, repair: bool) -> MetadataStore:
        from vmgr.system.archive import Archives
        from vmgr.system.disk import Disk
        from vmgr.system.identity import text_header
        from vmgr.system.metadata import MetadataStore

        return MetadataStore(
            pvs.values(),
            self.targets,
            lambda description: text_header(description, self.config),
            Archives.from_config(self.config, autobackup=self.options.autobackup),
            command=self.options.command,
            repair=repair,
            write=not self.options.test,
            open_disk=partial(Disk.open, watch=self.watch),
        )

    def _devices(self, pvs: Mapping[Uuid, PvView]) -> KernelDevices | NoDevices:
        from vmgr.activation import KernelDevices, NoDevices

        client = self.client()
        if client is None:
            assert self._no_client is not None
            return NoDevices(self._no_client)
        return KernelDevices(
            client,
            {uuid: pv.number for uuid, pv in pvs.items()},
            ask=self.dialogue.ask,
            say=self.dialogue.warn,
            tell=self.dialogue.progress,
            dev_dir=self.config.dev_dir,
            remove_retry=REMOVE_RETRY if self.config.flag("activation/retry_deactivation") else 0.0,
            priority=self.config.number("activation/process_priority"),
            reserve=self.config.number("activation/reserved_memory") * 1024,
            watch=self.watch,
        )


def _without_rights(unopened: Collection[str]) -> tuple[str, ...]:
    """What to say when devices could not be opened because a user who is not root may not open any."""
    import os

    return (
        ("this is not root: devices cannot be opened, so what is on them is not seen",)
        if unopened and os.geteuid()
        else ()
    )


def _whose_fault(group: VolumeGroup, targets: Targets, error: InvalidGroup) -> VmgrError:
    """What to say when a change would make an invalid group: often the group was invalid before."""
    from vmgr.core.validate import validate

    broken = validate(group, targets)
    if not broken:
        return error
    return GroupUnusable(
        f"the metadata of volume group {group.name} breaks a rule of the volume model:"
        f" {broken[0].subject}: {broken[0].rule}",
        details=tuple(f"{v.subject}: {v.rule}" for v in broken[1:]),
        hint=f"nothing was changed; bring back good metadata: vgcfgrestore --list {group.name}",
    )
