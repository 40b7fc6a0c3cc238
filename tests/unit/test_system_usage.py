"""A volume that is in use: what has it open is said, in LVM2's words."""

from __future__ import annotations

import pytest

from tests.support.groups import a_group, create
from vmgr.core.errors import InUse
from vmgr.core.inuse import refuse_open
from vmgr.core.naming import dm_uuid
from vmgr.core.table import LiveDevice
from vmgr.dm.holders import Holder
from vmgr.system.usage import with_holders

GROUP = create(create(a_group(20), "3", name="a"), "3", name="b")


def live(*opened: str) -> dict[str, LiveDevice]:
    found = {}
    for number, name in enumerate("ab"):
        uuid = dm_uuid(GROUP.id, GROUP.lv_by_name[name].id)
        found[uuid] = LiveDevice(f"vg-{name}", uuid, 253, number, open_count=int(name in opened))
    return found


def refused(monkeypatch, devices: dict[str, LiveDevice], held: dict[int, list[Holder]]) -> InUse:
    monkeypatch.setattr(
        "vmgr.dm.holders.holders_of", lambda numbers: {n: tuple(held.get(n[1], ())) for n in numbers}
    )
    with pytest.raises(InUse) as caught:
        refuse_open(devices, devices, GROUP)
    return with_holders(caught.value, devices)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        ([Holder("mount", "/srv")], "logical volume vg/a contains a filesystem in use"),
        (
            [Holder("process", "process 7 (dd)"), Holder("mount", "/srv")],
            "logical volume vg/a contains a filesystem in use",
        ),
        ([Holder("device", "luks (dm-9, 253:9)")], "logical volume vg/a is used by another device"),
        ([Holder("process", "process 7 (dd)")], "logical volume vg/a in use"),
        ([Holder("swap", "/dev/dm-0")], "logical volume vg/a in use"),
        ([], "logical volume vg/a in use"),
    ],
)  # fmt: skip
def test_the_volume_and_what_has_it_open_are_named(monkeypatch, held, message):
    error = refused(monkeypatch, live("a"), {0: held})
    assert error.message == message
    assert error.details == tuple(str(holder) for holder in held)
    assert "unmount" in error.hint


def test_each_volume_is_blamed_for_its_own_reason(monkeypatch):
    held = {0: [Holder("mount", "/srv")], 1: [Holder("process", "process 7 (dd)")]}
    error = refused(monkeypatch, live("a", "b"), held)
    said = {GROUP.lv_by_id[lv].name: one.message for lv, one in error.blames.items()}
    assert said == {
        "a": "logical volume vg/a contains a filesystem in use",
        "b": "logical volume vg/b in use",
    }


def test_a_device_that_is_not_open_is_not_in_use():
    devices = live()
    refuse_open(devices, devices, GROUP)
