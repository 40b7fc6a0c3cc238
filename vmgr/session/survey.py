"""What a command sees on the devices: scans, and views of groups."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import DamagedMetadata, LockFailed, NotFound, VmgrError
from vmgr.core.ids import GroupName
from vmgr.core.naming import UUID_PREFIX
from vmgr.session.machine import Machine

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import GroupView, SystemView
    from vmgr.outcome import Dialogue, RunOptions
    from vmgr.system.devicesfile import DevicesFile
    from vmgr.system.reader import Reader
    from vmgr.system.scan import Scan


class Survey(Machine):
    """A machine whose devices are looked at; a scan is kept until something has changed."""

    def __init__(
        self, options: RunOptions, dialogue: Dialogue | None = None, targets: Targets | None = None
    ) -> None:
        super().__init__(options, dialogue, targets)
        self._scan: Scan | None = None
        self._reader: Reader | None = None
        self.unnamed: set[str] = set()
        """Groups that the user did not name: no command waits for their devices for ever."""
        self._detail = False
        self._admitted: tuple[str, ...] = ()
        self._makes_file = False
        self._unplaced: dict[str, GroupView] = {}
        """Groups of which it is not known yet whether their volumes run on their physical volumes, by UUID."""
        self._placed: set[str] = set()

    def close(self) -> None:
        """Let go of disks, too."""
        self.forget()
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        super().close()

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
        for group in view.groups:
            if group.group.id not in self._placed:
                self._unplaced[group.group.id] = group
        return view

    def live(self, *, status: bool = False, table: bool = False, prefix: str = "LVM-") -> Mapping[str, LiveDevice]:
        """As :meth:`Machine.live`; volumes of the groups seen so far that run elsewhere are told of, once."""
        live = super().live(status=status, table=table, prefix=prefix)
        if live and self._unplaced and prefix in ("", UUID_PREFIX):
            groups, self._unplaced = self._unplaced, {}
            self._placed.update(groups)
            self._tell_misplaced(groups.values(), live)
        return live

    def _tell_misplaced(self, groups: Iterable[GroupView], live: Mapping[str, LiveDevice]) -> None:
        from vmgr.system.mismatch import elsewhere, misplaced

        for shown in groups:
            if not misplaced(shown, live) or self._scan is None:
                continue
            # Another command may have changed the group since it was read: what is certain is said, under its lock.
            name = GroupName(shown.group.name, shown.group.id)
            try:
                with self.locks.group(shown.group.name):
                    self._scan.refresh(name)
                    now = self.view((name,), foreign=True).group(name)
                    running = super().live()
                    problems = [*elsewhere(now, misplaced(now, running), running, self._scan.devices)]
            except (NotFound, DamagedMetadata, LockFailed):
                continue  # it is gone, or in another's hands
            for problem in problems:
                self.warn_once(problem)

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

    def wants_status(self, group: VolumeGroup) -> bool:
        """Whether a target of the group's volumes reads status lines: asking for them costs a call a device."""
        return any(self.targets.has_status(body) for body in group.by_body)

    def meant(self, text: str) -> str:
        """The name of the group that a user calls ``text``: its name, or where none is called so its UUID."""
        from vmgr.core.ids import printed_uuid

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

    def active_here(self, view: GroupView) -> bool:
        """Whether the kernel of this machine has devices of the group."""
        return any(uuid.startswith(f"LVM-{view.group.id}") for uuid in self.live())

    def warn_foreign(self, view: GroupView) -> None:
        """Say that volumes of another host's group are active here."""
        group = view.group
        self.dialogue.warn(
            f"WARNING: Found LVs active in VG {group.name} with foreign system ID {group.system_id}."
            "  Possible data corruption."
        )


def _without_rights(unopened: Collection[str]) -> tuple[str, ...]:
    """What to say when devices could not be opened because a user who is not root may not open any."""
    import os

    return (
        ("this is not root: devices cannot be opened, so what is on them is not seen",)
        if unopened and os.geteuid()
        else ()
    )
