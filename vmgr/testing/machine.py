"""A whole machine in memory: disks with a group on them, a kernel with a device mapper, and the committer between.

Everything but the hardware is the real thing: targets, operations, planner, metadata writer, device-mapper client.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import evolve

from vmgr.activation import KernelDevices
from vmgr.commit import Committer
from vmgr.core.change import Change, LabelPv, Wipe
from vmgr.core.group_requests import CreateGroup
from vmgr.core.healing import Remains, find_remains
from vmgr.core.ids import Uuid, VgName
from vmgr.core.model import VolumeGroup
from vmgr.core.naming import split_dm_name
from vmgr.core.operations.group import Joining, create_group
from vmgr.core.phases import Plan
from vmgr.core.plan import plan_change
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.requests import Stamp
from vmgr.core.step import Step
from vmgr.core.table import DmDevice, KernelLine, LiveDevice
from vmgr.core.targets import Targets
from vmgr.core.units import Bytes, Sectors
from vmgr.core.view import PvView
from vmgr.dm import abi
from vmgr.dm.address import by_uuid
from vmgr.dm.client import DmClient
from vmgr.dm.errnos import explain
from vmgr.dm.failure import NodeError
from vmgr.dm.wire import Reply, Request
from vmgr.ondisk.codec import TextHeader
from vmgr.system.archive import Archives
from vmgr.system.config import Config
from vmgr.system.devices import Device
from vmgr.system.metadata import MetadataStore
from vmgr.system.scan import Scan
from vmgr.testing.fake_kernel import FakeKernel
from vmgr.testing.fake_state import FakeDevice
from vmgr.testing.fake_targets import TARGETS, AnyTarget, FakeTarget
from vmgr.testing.memory_disk import Journal, MemoryDisk, MemoryReader

MIB = 1 << 20
NO_FILES = Archives("", "", archive=False, backup=False)
HEADER = TextHeader("", "host.example", 1700000000, "Tue Nov 14 22:13:20 2023", "Linux host.example", "vmgr")

Saved = tuple[dict[str, bytes], dict[int, FakeDevice]]

QUESTIONS = (abi.VERSION, abi.LIST_DEVICES, abi.DEV_STATUS, abi.TABLE_STATUS, abi.TABLE_DEPS, abi.LIST_VERSIONS)
"""Commands that change nothing."""


class Killed(BaseException):
    """What a command meets when it is killed: from then on it does nothing any more, whatever it catches."""


class Life:
    """How many changes of kernel and disks a command may still make; None: as many as it likes."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.dead = False
        self.spent = 0

    def spend(self) -> None:
        """One more change is about to be made."""
        self.breathe()
        if self.left is not None and self.spent >= self.left:
            self.dead = True
            raise Killed
        self.spent += 1

    def breathe(self) -> None:
        """Nothing is done by who is dead."""
        if self.dead:
            raise Killed

    def renew(self, left: int | None = None) -> None:
        """Another command begins."""
        self.left, self.dead, self.spent = left, False, 0


class MortalKernel(FakeKernel):
    """A kernel that no longer hears a command which was killed, and can refuse requests."""

    def __init__(
        self, life: Life, disks: dict[tuple[int, int], int], targets: Iterable[FakeTarget] = TARGETS
    ) -> None:
        super().__init__(disks, targets=targets)
        self.life = life
        self.refuses: Callable[[Request], bool] = lambda _: False

    def call(self, request: Request) -> Reply:
        """As the base class, unless the caller is dead or the request is refused."""
        if request.command in QUESTIONS:
            self.life.breathe()
        else:
            self.life.spend()
            if self.refuses(request):
                raise explain(request, errno.ENOMEM)
        return super().call(request)


class MortalDisk:
    """A disk's file in the hands of a command that may be killed."""

    def __init__(self, disk: MemoryDisk, life: Life) -> None:
        self._disk, self._life = disk, life

    def __getattr__(self, name: str) -> object:
        return getattr(self._disk, name)

    def write(self, offset: Bytes, data: bytes) -> None:
        """As the disk's own, which counts as a change."""
        self._life.spend()
        self._disk.write(offset, data)

    def zero(self, offset: Bytes, length: Bytes) -> None:
        """As the disk's own, which counts as a change."""
        self._life.spend()
        self._disk.zero(offset, length)

    def __enter__(self) -> MortalDisk:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def layout(n: int, size: int, mdas: int = 1, mda_size: int = MIB - 4096) -> PvLayout:
    """LVM2's default layout for the n-th device of ``size`` bytes, with small areas if asked."""
    areas = [MdaArea(Bytes(4096), Bytes(mda_size))]
    if mdas == 2:
        areas.append(MdaArea(Bytes(size - MIB), Bytes(MIB)))
    start = max(MIB, 4096 + mda_size)
    return PvLayout(Uuid(f"{n:032d}"), Bytes(size), (DiskArea(Bytes(start), Bytes(0)),), tuple(areas[:mdas]))


class Disks:
    """Disks ``/dev/d1``, ``/dev/d2``... in memory, of ``size`` bytes each."""

    def __init__(self, count: int = 2, size: int = 8 * MIB, config: Config | None = None) -> None:
        self.journal = Journal()
        self.disks = {
            f"/dev/d{n}": MemoryDisk(Bytes(size), path=f"/dev/d{n}", journal=self.journal)
            for n in range(1, count + 1)
        }
        self.config = config or Config(system_dir="")
        self.reader = MemoryReader(self.disks)

    def open(self, path: str, *, write: bool = False, exclusive: bool = False) -> MemoryDisk:
        """Stands for ``Disk.open``."""
        return self.disks[path]

    def content(self) -> dict[str, bytes]:
        """All bytes of all disks."""
        return {path: bytes(disk.data) for path, disk in self.disks.items()}


class MemoryMachine:
    """Disks of 16 MiB with a group ``vg`` of extents of 64 KiB, and a kernel without devices.

    ``dev_dir`` is a directory for nodes and links. A command on it may be killed after any number of
    changes (:meth:`dies`), and what it left be put in order (:meth:`heal`).
    """

    def __init__(self, dev_dir: Path, targets: Targets, disks: int = 2) -> None:
        numbers = range(1, disks + 1)
        self.targets = targets
        self.world = Disks(disks, 16 * MIB)
        self.life = Life()
        known = {target.name for target in TARGETS}
        needs = {need.name: need for info in targets.infos() for need in info.kernel_targets}
        others = [AnyTarget(name, need.version) for name, need in needs.items() if name not in known]
        self.kernel = MortalKernel(self.life, {(7, n): 16 * MIB // 512 for n in numbers}, (*TARGETS, *others))
        self.dev_dir = dev_dir
        (dev_dir / "mapper").mkdir(parents=True, exist_ok=True)
        self.stamps = 0
        """How many stamps there have been: set it back, and a command makes the same once more."""
        self.numbers = {Uuid(f"{n:032d}"): f"7:{n}" for n in numbers}
        layouts = [layout(n, 16 * MIB) for n in numbers]
        joining = [
            Joining(one, path, LabelPv(path, one)) for one, path in zip(layouts, self.world.disks, strict=True)
        ]
        request = CreateGroup(extent_size=Sectors(128))
        self.run(self.plan(create_group(VgName("vg"), joining, request, targets, self.stamp())))

    def stamp(self) -> Stamp:
        """Another stamp each time."""
        self.stamps += 1
        return Stamp(hashlib.sha256(b"rig%d" % self.stamps).digest(), 1700000000, "host")

    @property
    def group(self) -> VolumeGroup:
        """The group as a fresh scan finds it."""
        devices = [Device(path, -1, n) for n, path in enumerate(self.world.disks)]
        view = Scan(self.world.config, self.targets, devices=devices, reader=self.world.reader).view()
        (found,) = view.groups
        return found.group

    @property
    def live(self) -> dict[str, LiveDevice]:
        """What the kernel has, with tables and status."""
        client = DmClient(self.kernel, dev_dir=str(self.dev_dir))
        return {d.uuid: d for d in client.devices(tables=True, status=True)}

    def plan(self, change: Change) -> Plan:
        """The plan for a change, as a session makes it."""
        if change.after is not None and change.changes_metadata:
            seqno = change.before.seqno + 1 if change.before is not None else 1
            change = evolve(change, after=evolve(change.after, seqno=seqno))
        return plan_change(change, self.live, self.targets)

    def heal(self) -> Remains:
        """Put in order what a killed command left, as a session does before every change."""
        live = self.live
        client = DmClient(self.kernel, dev_dir=str(self.dev_dir))
        remains = find_remains(
            self.group,
            live,
            {d.uuid: client.table(by_uuid(d.uuid), inactive=True) for d in live.values() if d.has_inactive},
            self.targets,
            self.numbers,
            {d.uuid for d in live.values() if d.has_live and not self._has_link(d)},
        )
        if remains.steps:
            self.run(Plan((Change(self.group, self.group),), remains.steps))
        return remains

    def _has_link(self, device: LiveDevice) -> bool:
        vg, lv, layer = split_dm_name(device.name)
        return bool(layer) or os.path.lexists(f"{self.dev_dir}/{vg}/{lv}")

    def do(self, operation: Callable[[VolumeGroup], Change]) -> Plan:
        """Plan and run an operation on the group as it is."""
        plan = self.plan(operation(self.group))
        self.run(plan)
        return plan

    def run(self, plan: Plan, progress: Callable[[Step], None] | None = None) -> None:
        """Run a plan on the disks and the kernel."""
        store = MetadataStore(
            self._pvs(),
            self.targets,
            lambda description: HEADER._replace(description=description),
            NO_FILES,
            command="test",
            open_disk=lambda path, **_: MortalDisk(self.world.open(path), self.life),  # type: ignore[arg-type]
        )
        client = DmClient(self.kernel, dev_dir=str(self.dev_dir))
        devices = Devices(
            client, self.numbers, ask=lambda _: False, say=lambda _: None, dev_dir=str(self.dev_dir), remove_retry=0
        )
        Committer(store, devices, progress=progress).run(plan)

    def by_another(self, name: str, uuid: str, target: str, params: str = "") -> None:
        """A running device of 8 sectors that another tool made; without a node where the user may not make one."""
        client = DmClient(self.kernel, dev_dir=str(self.dev_dir))
        client.create(name, uuid)
        client.load(by_uuid(uuid), [KernelLine(Sectors(0), Sectors(8), target, params)])
        with suppress(NodeError):
            client.resume(by_uuid(uuid))

    def dies(self, command: Callable[[], object], *, after: int) -> bool:
        """Kill a command when it has made ``after`` changes; whether it got that far."""
        self.life.renew(after)
        try:
            command()
        except Killed:
            return True
        finally:
            self.life.renew()
        return False

    def _pvs(self) -> tuple[PvView, ...]:
        devices = [Device(path, -1, n) for n, path in enumerate(self.world.disks)]
        return Scan(self.world.config, self.targets, devices=devices, reader=self.world.reader).view().pvs()

    def save(self) -> Saved:
        """All that there is on disks and in the kernel, to come back to with :meth:`load`."""
        import copy

        return self.world.content(), copy.deepcopy(self.kernel._devices)

    def load(self, saved: Saved) -> None:
        """Make everything as it was when ``saved`` was taken."""
        import copy

        content, devices = saved
        for path, data in content.items():
            self.world.disks[path].data[:] = data
        self.kernel._devices = copy.deepcopy(devices)


class Devices(KernelDevices):
    """The device-mapper side without wiping (there are no nodes to wipe through) and without locking memory."""

    def wipe(self, device: DmDevice, wipe: Wipe) -> None:
        """Only wait for udev."""
        self.settle()

    @contextmanager
    def critical(self) -> Iterator[None]:
        """Nothing is locked."""
        yield
