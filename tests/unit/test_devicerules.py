"""What lvm.conf says of devices: which are read-only, how far the kernel reads ahead, what is discarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.groups import a_group, create, snapshot_of, uuid, volume
from tests.support.rig import TARGETS, Rig
from tests.unit.test_commit import create as made
from tests.unit.test_commit import remove
from vmgr.core.change import Change
from vmgr.core.devicerules import DeviceRules
from vmgr.core.devices import stack
from vmgr.core.ids import Uuid
from vmgr.core.mapped import released
from vmgr.core.model import VolumeGroup
from vmgr.core.plan import plan_change
from vmgr.core.steps import Resume
from vmgr.core.table import DmDevice
from vmgr.core.units import Sectors
from vmgr.system.config import Config, parse
from vmgr.system.rules import device_rules


def devices(group: VolumeGroup, rules: DeviceRules) -> dict[str, DmDevice]:
    active = [lv.id for lv in group.lvs if lv.visible]
    return {d.name: rules.applied(group, d) for d in stack(group, active, TARGETS)}


def test_only_the_own_device_of_a_listed_volume_is_read_only() -> None:
    """A snapshot's store below it is written to whatever the snapshot itself is."""
    group = snapshot_of(create(a_group(50), "8", "data"), "data", "4", "snap")
    rules = DeviceRules(read_only=frozenset((volume(group, "data").id, volume(group, "snap").id)))
    assert {name: device.read_only for name, device in devices(group, rules).items()} == {
        "vg-data-real": False,
        "vg-data": True,
        "vg-snap-cow": False,
        "vg-snap": True,
    }


def test_the_list_of_lvm_conf_names_groups_volumes_and_tags() -> None:
    group = create(create(a_group(50), "2", "data"), "2", "other")
    for words, names in (('"vg/data"', ["data"]), ('"vg"', ["data", "other"]), ('"@no"', []), ("", [])):
        config = Config([parse(f"activation/read_only_volume_list=[{words}]", "test")])
        assert device_rules(config, group, {}).read_only == {volume(group, name).id for name in names}
    assert device_rules(Config(), group, {}).read_only == frozenset()


def test_read_ahead_is_that_of_the_first_disk_unless_the_volume_says_otherwise() -> None:
    group = create(create(a_group(50), "2", "data"), "2", "own", read_ahead=512)
    rules = DeviceRules(read_ahead={pv.id: Sectors(4096) for pv in group.pvs})
    found = devices(group, rules)
    assert (found["vg-data"].read_ahead, found["vg-data"].read_ahead_at_least) == (4096, True)
    assert (found["vg-own"].read_ahead, found["vg-own"].read_ahead_at_least) == (512, False)
    none = devices(group, DeviceRules(read_ahead=rules.read_ahead, no_read_ahead=True))
    assert (none["vg-data"].read_ahead, none["vg-data"].read_ahead_at_least) == (0, False)
    assert none["vg-own"].read_ahead == 512


def test_an_unknown_device_is_left_as_it_is() -> None:
    group = a_group(5)
    device = DmDevice("x", "CRYPT-x", ())
    assert DeviceRules(read_only=frozenset((uuid("x"),))).applied(group, device) is device


def test_the_planner_makes_devices_as_the_rules_want_them(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "dev")
    change = made(rig, "data", 4)(rig.group)
    assert change.after is not None
    rules = DeviceRules(read_only=frozenset((change.after.lv_by_name["data"].id,)))  # type: ignore[index]
    resumed = [step.device for step in plan_change(change, {}, TARGETS, rules).steps if isinstance(step, Resume)]
    assert [device.read_only for device in resumed] == [True]


# -- what is given back ---------------------------------------------------------------------------

NUMBERS = {Uuid(f"{n:032d}"): f"7:{n}" for n in (1, 2)}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "dev")


def given_back(rig: Rig, change: Change) -> list[tuple[str, int, int]]:
    return [(NUMBERS[pv], int(start), int(length)) for pv, start, length in released(change, rig.live, NUMBERS)]


def test_what_a_removal_gives_back(rig: Rig) -> None:
    rig.do(made(rig, "kept", 4))
    rig.do(made(rig, "data", 8))
    start = int(rig.group.pvs[0].pe_start)
    change = remove(rig, "data")(rig.group)
    rig.do(lambda _: change)
    assert given_back(rig, change) == [("7:1", start + 4 * 128, 8 * 128)]


def test_a_removed_group_gives_back_all_of_its_volumes_space(rig: Rig) -> None:
    rig.do(made(rig, "data", 8, options=(("stripes", 2),), activate=False))
    start = int(rig.group.pvs[0].pe_start)
    assert given_back(rig, Change(rig.group, None)) == [(f"7:{n}", start, 4 * 128) for n in (1, 2)]


def test_what_a_device_still_maps_is_not_given_back(rig: Rig) -> None:
    rig.do(made(rig, "data", 8))
    change = remove(rig, "data")(rig.group)
    assert given_back(rig, change) == []


def test_a_new_group_and_a_change_that_frees_nothing_give_nothing_back(rig: Rig) -> None:
    change = made(rig, "data", 8)(rig.group)
    assert given_back(rig, change) == []
