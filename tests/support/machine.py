"""A machine in memory for tests of reading and writing metadata: disks, a scan of them, a store for them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.ondisk import HEADER, TARGETS, Rows
from vmgr.core.change import LabelPv
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, Segment, VolumeGroup
from vmgr.core.pv import PvLayout
from vmgr.core.units import Extents, Sectors
from vmgr.core.view import PvView, SystemView
from vmgr.system.devices import Device
from vmgr.system.metadata import MetadataStore
from vmgr.system.scan import Scan
from vmgr.testing.machine import NO_FILES, Disks


def uuid(n: int) -> Uuid:
    """A UUID that is easy to tell from others."""
    return Uuid(f"{n:032d}")


class World(Disks):
    """Disks ``/dev/d1``, ``/dev/d2``... in memory."""

    def scan(self) -> Scan:
        """A fresh scan of all disks."""
        devices = [Device(path, -1, n) for n, path in enumerate(self.disks)]
        return Scan(self.config, TARGETS, devices=devices, reader=self.reader)

    def view(self, only: Iterable[str] | None = None) -> SystemView:
        """What a fresh scan finds."""
        return self.scan().view(None if only is None else tuple(only))

    def store(self, pvs: Iterable[PvView] | None = None) -> MetadataStore:
        """A store that may write to all PVs that there are."""
        pvs = self.view().pvs() if pvs is None else pvs
        return MetadataStore(
            pvs,
            TARGETS,
            lambda description: HEADER._replace(description=description),
            NO_FILES,
            command="test",
            open_disk=self.open,  # type: ignore[arg-type]
        )

    def label(self, *layouts: PvLayout) -> None:
        """Make the n-th disk the n-th PV."""
        store = self.store(())
        for path, one in zip(self.disks, layouts, strict=False):
            store.write_label(LabelPv(path, one))

    def write(self, group: VolumeGroup) -> None:
        """Write, precommit and commit; the labels say "in use" before, so that the last write is the commit."""
        store = self.store()
        store.mark(group, tuple(group.pv_by_id), used=True)
        store.write_text(group)
        store.precommit(group)
        store.commit(group)


def group(
    name: str = "vg", *, pvs: Iterable[int] = (1, 2), seqno: int = 1, lvs: int = 0, first: int = 100
) -> VolumeGroup:
    """A group on PVs ``pvs`` with small volumes."""
    numbers = tuple(pvs)
    members = tuple(
        PhysicalVolume(uuid(n), f"/dev/d{n}", ("ALLOCATABLE",), Sectors(16384), Sectors(2048), Extents(7 * 32))
        for n in numbers
    )
    volumes = tuple(
        LogicalVolume(
            uuid(first + n),
            LvName(f"lv{n}"),
            segments=(Segment(Extents(0), Extents(1), Rows((PvArea(uuid(numbers[0]), Extents(n), Extents(1)),))),),
        )
        for n in range(lvs)
    )
    return VolumeGroup(uuid(first * 10 + 7), VgName(name), seqno, Sectors(64), pvs=members, lvs=volumes)
