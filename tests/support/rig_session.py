"""A session of commands on the machine in memory: the services' own code, on the rig's disks and kernel."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from tests.support.ondisk import HEADER
from tests.support.rig import TARGETS, Rig
from vmgr.activation import KernelDevices, NoDevices
from vmgr.core.ids import Uuid
from vmgr.core.view import PvView
from vmgr.dm.client import DmClient
from vmgr.outcome import RunOptions
from vmgr.session import Session
from vmgr.system import locks
from vmgr.system.config import load
from vmgr.system.devices import Device
from vmgr.system.metadata import MetadataStore
from vmgr.system.scan import Scan
from vmgr.testing.machine import NO_FILES, Devices, MortalDisk


class Hearer:
    """A dialogue that says yes and keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.asked: list[str] = []

    def ask(self, question: str) -> bool:
        self.asked.append(question)
        return True

    def secret(self, question: str) -> str | None:
        return None

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, message: str) -> None:
        pass

    def detail(self, message: str, level: int = 1) -> None:
        pass


class RigSession(Session):
    """A session on a rig. ``away`` are paths of disks that are not there."""

    def __init__(self, rig: Rig, options: RunOptions | None = None, *, away: Collection[str] = ()) -> None:
        self.heard = Hearer()
        super().__init__(options or RunOptions(), self.heard, TARGETS)
        self._rig, self._away = rig, away
        for n, disk in enumerate(rig.world.disks.values(), 1):
            disk.number = os.makedev(7, n)
        self._config = load([f'devices/dir="{rig.dev_dir}"', "backup/backup=0", "backup/archive=0"])
        self._locks = locks.Locks(str(rig.dev_dir / "lock"), mode=locks.NO_LOCKING)
        self._client = DmClient(rig.kernel, dev_dir=str(rig.dev_dir))

    def look(self, *, detail: bool = False) -> Scan:
        if self._scan is None:
            devices = [
                Device(path, 7, n) for n, path in enumerate(self._rig.world.disks, 1) if path not in self._away
            ]
            self._scan = Scan(self.config, TARGETS, devices=devices, reader=self._rig.world.reader)
        return self._scan

    def forget(self) -> None:
        self._scan = None

    def store(self, pvs: Mapping[Uuid, PvView], *, repair: bool) -> MetadataStore:
        rig = self._rig
        return MetadataStore(
            pvs.values(),
            TARGETS,
            lambda description: HEADER._replace(description=description),
            NO_FILES,
            command="test",
            repair=repair,
            write=not self.options.test,
            open_disk=lambda path, **_: MortalDisk(rig.world.open(path), rig.life),  # type: ignore[arg-type]
        )

    def devices(self, pvs: Mapping[Uuid, PvView]) -> KernelDevices | NoDevices:
        assert self._client is not None
        return Devices(
            self._client,
            {uuid: pv.number for uuid, pv in pvs.items()},
            ask=self.heard.ask,
            say=self.heard.warn,
            dev_dir=str(self._rig.dev_dir),
            remove_retry=0,
        )
