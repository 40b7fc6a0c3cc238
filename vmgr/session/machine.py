"""What a command needs of its machine: configuration, locks, the device mapper, and what writes to disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import KernelError, NotPermitted, VmgrError
from vmgr.outcome import RunOptions

if TYPE_CHECKING:
    from vmgr.activation import KernelDevices, NoDevices
    from vmgr.core.change import Change
    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.effects import Effect
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import Stamp
    from vmgr.core.step import Step
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import PvView
    from vmgr.dm.client import DmClient
    from vmgr.outcome import Dialogue
    from vmgr.system.config import Config
    from vmgr.system.locks import Locks
    from vmgr.system.metadata import MetadataStore
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


class Machine:
    """The machine as one command uses it. Everything is opened when it is first needed."""

    def __init__(
        self, options: RunOptions, dialogue: Dialogue | None = None, targets: Targets | None = None
    ) -> None:
        self._options = options
        self.dialogue: Dialogue = dialogue or Silence(options.yes)
        self._config: Config | None = None
        self._targets = targets
        self._locks: Locks | None = None
        self._said: set[str] = set()
        self._foretold: dict[str, Mapping[str, LiveDevice]] = {}
        """In a test, the devices of groups, by the beginning of their UUIDs, as if they had been put in order."""
        self._client: DmClient | None = None
        self._no_client: VmgrError | None = None
        self.watch: StallWatch | None = None
        """Tells of what does not return while a change is carried out."""
        self.for_the_time: tuple[Uuid, ...] = ()
        """Volumes that are active for this command alone."""
        self.committed: list[VolumeGroup] = []
        """Groups as they were committed while the present one is locked."""
        self.changed: list[Effect] = []
        """What has been changed so far, in order, whatever came of the rest."""

    def close(self) -> None:
        """Let go of locks and the device mapper."""
        if self._locks is not None:
            self._locks.release_all()
        if self._client is not None:
            self._client.close()
            self._client = None

    def warn_once(self, text: str) -> None:
        """Say something that would be said again at every look."""
        if text not in self._said:
            self._said.add(text)
            self.dialogue.warn(f"WARNING: {text}")

    # -- what there is ----------------------------------------------------------------------------

    @property
    def options(self) -> RunOptions:
        """How the command runs: as it was told to, and where that says nothing as the configuration wants it."""
        if self._config is None:
            self._settle()
        return self._options

    @contextmanager
    def with_options(self, **options: object) -> Iterator[None]:
        """Run with other options for the time, by the names of :class:`RunOptions`."""
        if not options:
            yield
            return
        before = self.options
        self._options = evolve(before, **options)  # type: ignore[arg-type]
        try:
            yield
        finally:
            self._options = before

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

    # -- what changes the machine --------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Tell of whatever does not return while a change is carried out."""
        from vmgr.system.stall import StallWatch

        with StallWatch(self.dialogue.progress) as self.watch:
            try:
                yield
            finally:
                self.watch = None

    def store(self, pvs: Mapping[Uuid, PvView], *, repair: bool) -> MetadataStore:
        """What writes labels, metadata and backup files; only to ``pvs``. ``repair`` makes damaged areas anew."""
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

    def devices(self, pvs: Mapping[Uuid, PvView]) -> KernelDevices | NoDevices:
        """What changes devices; ``pvs`` are the physical volumes that they may lie on."""
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

    def device_rules(
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

    def tell_step(self, step: Step) -> None:
        """Say which step of a plan is being taken."""
        self.dialogue.detail(str(step))
