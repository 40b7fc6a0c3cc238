"""Which volumes run: also those that no plugin understands, by the devices that carry their UUID."""

from __future__ import annotations

from attrs import evolve

from tests.support.groups import TARGETS, a_group, create, snapshot_of, uuid
from vmgr.core.devices import stack
from vmgr.core.ids import LvName
from vmgr.core.model import LogicalVolume, Segment, UnknownBody, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.running import describe_device, running_volumes, strange_devices, understood
from vmgr.core.table import LiveDevice
from vmgr.core.units import Extents


def group() -> VolumeGroup:
    """A plain volume, an origin with a snapshot, and a pool that nobody here knows."""
    made = snapshot_of(create(create(a_group(40), "4", "plain"), "4", "origin"), "origin", "4", "copy")
    pool = LogicalVolume(
        uuid("pool"),
        LvName("pool"),
        status=("READ", "WRITE", "VISIBLE"),
        segments=(Segment(Extents(0), Extents(4), UnknownBody("thin-pool", ())),),
    )
    return evolve(made, lvs=(*made.lvs, pool))


def device(name: str, dm: str) -> LiveDevice:
    return LiveDevice(name=name, uuid=dm, major=253, minor=0, table=())


def live(vg: VolumeGroup, *names: str) -> dict[str, LiveDevice]:
    ids = [vg.lv_by_name[name].id for name in names]
    return {d.uuid: device(d.name, d.uuid) for d in stack(vg, ids, TARGETS)}


def test_a_pool_runs_as_soon_as_it_has_any_device_whatever_its_suffix() -> None:
    vg = group()
    found = dm_uuid(vg.id, uuid("pool"), "tpool")
    assert [lv.name for lv in running_volumes(vg, {found: device("vg-pool-tpool", found)})] == ["pool"]
    assert running_volumes(vg, {}) == []
    assert [lv.name for lv in running_volumes(vg, live(vg, "plain"))] == ["plain"]


def test_a_leftover_layer_does_not_make_an_understood_volume_run() -> None:
    vg = group()
    found = dm_uuid(vg.id, vg.lv_by_name["origin"].id, "real")
    assert running_volumes(vg, {found: device("vg-origin-real", found)}) == []


def test_the_devices_of_understood_volumes_are_not_strange_with_all_their_layers() -> None:
    vg = group()
    assert strange_devices(vg, live(vg, "plain", "origin", "copy"), TARGETS) == ()


def test_strange_are_the_devices_of_unknown_types_and_those_that_the_metadata_do_not_have() -> None:
    vg = group()
    pool, lost = dm_uuid(vg.id, uuid("pool"), "tpool"), dm_uuid(vg.id, uuid("lost"))
    other = dm_uuid(uuid("another"), uuid("pool"), "tpool")
    devices = {d: device(n, d) for n, d in (("vg-pool-tpool", pool), ("vg-lost", lost), ("other-pool", other))}
    found = strange_devices(vg, devices | live(vg, "plain"), TARGETS)
    assert [describe_device(vg, d) for d in found] == [
        "vg-lost (the metadata have no such logical volume)",
        "vg-pool-tpool (logical volume vg/pool, segment type thin-pool)",
    ]


def test_a_volume_over_one_that_is_not_understood_is_not_understood_either() -> None:
    vg = group()
    assert not understood(vg, vg.lv_by_name["pool"])
    assert understood(vg, vg.lv_by_name["copy"])
