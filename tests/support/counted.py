"""A machine in memory that counts what a command does: lines of vmgr's code, calls to the kernel, checks of groups.

Command line, services, planner, committer, metadata writer and device-mapper client are the real ones; disks, nodes
and kernel are in memory.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

from attrs import evolve

import vmgr
from tests.support.groups import snapshot_of
from tests.support.machine import World
from vmgr.cli.main import main
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, Segment, VolumeGroup
from vmgr.core.units import Extents, Sectors
from vmgr.dm import abi
from vmgr.dm.client import DmClient
from vmgr.plugins.linear import LinearBody
from vmgr.registry import load_targets
from vmgr.session import Session
from vmgr.system.devices import Device
from vmgr.testing.fake_kernel import FakeKernel
from vmgr.testing.fake_nodes import FakeNodes
from vmgr.testing.machine import MIB, layout

SIZE = 8 * MIB
TARGETS = load_targets()
HOME = os.path.dirname(vmgr.__file__)
FAKES = ("fake", "memory_disk", "abi")
"""Files whose lines are not the command's; the last has what the kernel's stand-in computes numbers with."""


def plain(count: int, disks: int = 2) -> VolumeGroup:
    """A group ``vg`` of ``count`` linear volumes ``lv0``, ``lv1``... of one extent each, some extents apart."""
    pvs = tuple(
        PhysicalVolume(
            Uuid(f"{n:032d}"), f"/dev/d{n}", ("ALLOCATABLE",), Sectors(SIZE // 512), Sectors(2048), Extents(440)
        )
        for n in range(1, disks + 1)
    )
    lvs = tuple(
        LogicalVolume(
            Uuid(f"{100000 + n:032d}"),
            LvName(f"lv{n}"),
            segments=(
                Segment(Extents(0), Extents(1), LinearBody((PvArea(pvs[0].id, Extents(3 * n), Extents(1)),))),
            ),
        )
        for n in range(count)
    )
    return VolumeGroup(Uuid(f"{7:032d}"), VgName("vg"), 1, Sectors(32), pvs=pvs, lvs=lvs)


def with_snapshots(count: int) -> VolumeGroup:
    """A group of ``count`` volumes with a snapshot each, ``s0``, ``s1``..."""
    group = plain(count)
    for n in range(count):
        group = snapshot_of(group, f"lv{n}", "1", f"s{n}")
    return group


class Links(FakeNodes):
    """Nodes in memory; links in a folder as well, where commands look for them."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir()

    def link(self, group: str, volume: str, name: str) -> bool:
        """Make the link."""
        path = self._directory / group / volume
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to("/dev/null")
        return super().link(group, volume, name)

    def unlink(self, group: str, volume: str, name: str, major: int, minor: int) -> bool:
        """Remove the link."""
        gone = super().unlink(group, volume, name, major, minor)
        if gone:
            (self._directory / group / volume).unlink()
        return gone


class Counted:
    """The machine. ``groups`` lie on its disks."""

    def __init__(self, monkeypatch: Any, directory: Path, *groups: VolumeGroup) -> None:
        disks = sum(len(group.pvs) for group in groups)
        self.world = World(disks, SIZE)
        self.numbers = {path: (7, n) for n, path in enumerate(self.world.disks, 1)}
        for path, number in self.numbers.items():
            self.world.disks[path].number = os.makedev(*number)
        self.world.label(*(evolve(layout(n, SIZE), ext_flags=1) for n in range(1, disks + 1)))
        for group in groups:
            store = self.world.store()
            store._targets = TARGETS
            store.write_text(group)
            store.precommit(group)
            store.commit(group)
        self.kernel = FakeKernel(dict.fromkeys(self.numbers.values(), SIZE // 512))
        self.nodes = Links(directory / "dev")
        self.counts: Counter[str] = Counter()
        self._client = DmClient(self.kernel, nodes=self.nodes, dev_dir=str(directory / "dev"))
        self._environment(monkeypatch, directory)
        monkeypatch.setattr("vmgr.system.scan.discover", self._discover)
        monkeypatch.setattr("vmgr.system.scan.make_reader", lambda *_, **__: self.world.reader)
        monkeypatch.setattr("vmgr.system.devices.device_number", self.numbers.get)
        monkeypatch.setattr("vmgr.system.disk.Disk.open", lambda path, **_: self.world.open(path))
        monkeypatch.setattr(Session, "client", lambda _: self._client)
        # The numbers of these devices may be other devices' of this machine.
        monkeypatch.setattr("vmgr.dm.holders.holders_of", lambda numbers: dict.fromkeys(numbers, ()))
        monkeypatch.setattr("vmgr.system.mismatch.listed", self._listed)
        self._count(monkeypatch, "validations", "vmgr.core.validate.validate")
        self._count(monkeypatch, "plans", "vmgr.core.plan.plan_change")

    def _environment(self, monkeypatch: Any, directory: Path) -> None:
        for variable in [key for key in os.environ if key.startswith(("LVM_", "DM_", "VMGR_"))]:
            monkeypatch.delenv(variable)
        (directory / "lvm.conf").write_text(
            f'global {{ locking_dir="{directory}/lock" }}\nactivation {{ udev_sync=0 }}\n'
            f'backup {{ backup_dir="{directory}/backup" archive_dir="{directory}/archive" }}\n'
            "devices { use_devicesfile=0 }\n"
        )
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(directory))
        monkeypatch.setenv("DM_DEV_DIR", str(directory / "dev"))

    def _count(self, monkeypatch: Any, what: str, place: str) -> None:
        from importlib import import_module

        module, _, name = place.rpartition(".")
        real = getattr(import_module(module), name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.counts[what] += 1
            return real(*args, **kwargs)

        monkeypatch.setattr(place, counted)

    def _discover(self, *_: Any, **__: Any) -> list[Device]:
        return [Device(path, *number) for path, number in self.numbers.items()]

    def _listed(self, folder: str) -> list[str] | None:
        """What sysfs would say of who lies on a disk."""
        number, what = folder.split("/")[-2:]
        if what != "holders" or number not in {f"{major}:{minor}" for major, minor in self.numbers.values()}:
            return None
        wanted = abi.dev_number(*map(int, number.split(":")))
        there = self.kernel._state.devices.values()
        return [f"dm-{device.minor}" for device in there if device.live and wanted in device.live.deps]

    def run(self, *words: str, status: int = 0) -> None:
        """Run a command."""
        found = main(["vmgr", *words])
        assert found == status, f"{words}: status {found}"

    def measure(self, *words: str, status: int = 0) -> Counter[str]:
        """Run a command, and count the lines of vmgr's code that it runs, its calls to the kernel, and so on."""
        self.counts.clear()
        calls, writes = len(self.kernel.calls), len(self.world.journal.events)
        lines = 0

        def inside(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal lines
            if event == "line":
                lines += 1
            return inside

        def entered(frame: FrameType, event: str, _: Any) -> Any:
            path = frame.f_code.co_filename
            ours = path.startswith(HOME) and not os.path.basename(path).startswith(FAKES)
            return inside if ours else None

        before = sys.gettrace()
        sys.settrace(entered)
        try:
            self.run(*words, status=status)
        finally:
            sys.settrace(before)
        self.counts["lines"] = lines
        self.counts["kernel"] = len(self.kernel.calls) - calls
        self.counts["writes"] = len(self.world.journal.events) - writes
        return self.counts
