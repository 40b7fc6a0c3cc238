"""A transaction of two groups that a power cut ends at any write, read by LVM2: nothing is lost or usable twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.unit.test_transaction import SCENES, SIZE, Machine, Scene
from vmgr.core.errors import NotFound


@pytest.fixture
def lvm(tmp_path: Path) -> Iterator[Lvm2]:
    with Lvm2(tmp_path / "lvm") as found:
        for n in range(1, 5):
            found.disk(tmp_path / f"d{n}.img", SIZE)
        yield found


def give(machine: Machine, lvm: Lvm2) -> None:
    """The disks as they are, to LVM2."""
    for device, disk in zip(lvm.devices, machine.disks.values(), strict=True):
        with open(device, "r+b") as file:
            file.write(disk.data)
            file.flush()
            os.fsync(file.fileno())


def volumes(lvm: Lvm2) -> dict[str, list[str]]:
    """The groups in which LVM2 would activate each volume. It lists none of an exported group."""
    found: dict[str, list[str]] = {}
    for line in lvm.run("lvs", "--noheadings", "-o", "lv_name,vg_name,lv_attr").splitlines():
        name, group, attr = line.split()
        assert attr[8] == "-", "no volume is partial"
        found.setdefault(name, []).append(group)
    return found


def members(lvm: Lvm2) -> list[tuple[str, str]]:
    lines = lvm.run("pvs", "--noheadings", "-o", "pv_name,vg_name").splitlines()
    return [(line.split()[0], line.split()[1]) for line in lines]


@requires_lvm2
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_lvm2_reads_every_cut(scene: Scene, tmp_path: Path, lvm: Lvm2) -> None:
    machine = Machine(scene, tmp_path / "locks")
    all_volumes = {lv.name for one in scene.before for lv in one.lvs}
    seen: dict[str, None] = {}
    last = None
    for _ in machine.at_every_cut(scene):
        content = machine.content()
        headers = [data[:8192] for data in content.values()]
        if headers == last:
            continue
        last = headers
        give(machine, lvm)
        before = volumes(lvm)
        assert all(len(groups) == 1 for groups in before.values()), before
        missing = all_volumes - before.keys()
        exported = [line.split()[0] for line in lvm.run("vgs", "--noheadings", "-S", "vg_exported=1").splitlines()]
        assert bool(missing) == bool(missing and exported)
        seen[str(sorted(members(lvm)))] = None
        for name in [one.group.name for one in machine.view().groups]:
            session = machine.session()
            try:
                with session.changing(name, exported=True):
                    pass
            except NotFound:
                pass
            session.close()
            give(machine, lvm)
            owners = members(lvm)
            assert len({device for device, _ in owners}) == len(owners), owners
            assert sorted(device for device, _ in owners) == sorted(lvm.devices)
            for group in exported:
                lvm.run("vgimport", group)
            assert volumes(lvm).keys() == all_volumes
            machine.restore(content)
    assert len(seen) >= 2
