"""Deactivation where the metadata cannot be trusted: by the kernel's tables, users first, and nothing of others."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.groups import a_group, create, uuid
from tests.support.rig import TARGETS
from vmgr.core.change import Change
from vmgr.core.errors import InUse
from vmgr.core.naming import dm_uuid
from vmgr.core.plan import plan_change
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.takedown import live_volumes
from vmgr.core.units import Sectors

GROUP = create(create(create(a_group(20, 20), "2", "top"), "2", "low"), "2", "other")
GROUP = GROUP.with_lv(evolve(GROUP.lv_by_name["low"], status=("READ", "WRITE")))


def device(lv, minor: int, *on: str, layer: str = "", open_count: int = 0, group=GROUP) -> LiveDevice:
    """A device of volume ``lv`` (a name, or a UUID that the group does not have) on ``on``."""
    volume = GROUP.lv_by_name.get(lv)
    name = f"vg-{lv}" + (f"-{layer}" if layer else "")
    table = tuple(KernelLine(Sectors(n * 8), Sectors(8), "linear", f"{where} 0") for n, where in enumerate(on))
    id_ = volume.id if volume else uuid(lv)
    return LiveDevice(name, dm_uuid(group.id, id_, layer), 253, minor, open_count=open_count, table=table)


def taken(live: list[LiveDevice], *names: str) -> list[str]:
    ids = tuple(GROUP.lv_by_name[n].id if n in GROUP.lv_by_name else uuid(n) for n in names)
    change = Change(GROUP, GROUP, deactivate=ids, takedown=True)
    return [str(step) for step in plan_change(change, {d.uuid: d for d in live}, TARGETS).steps]


def test_users_go_first_and_hidden_volumes_follow_when_nothing_else_lies_on_them():
    live = [device("low", 0, "7:1", open_count=1), device("top", 1, "253:0"), device("other", 2, "7:1")]
    assert taken(live, "top") == ["remove device vg-top", "remove device vg-low"]


def test_a_hidden_volume_that_another_still_lies_on_stays():
    live = [device("low", 0, "7:1", open_count=2), device("top", 1, "253:0"), device("other", 2, "253:0")]
    assert taken(live, "top") == ["remove device vg-top"]


def test_devices_of_volumes_that_the_metadata_do_not_have_are_known_by_their_uuid():
    foreign = evolve(GROUP, id=uuid("foreign"))
    live = [device("lost", 0, "7:1"), device("top", 1, "7:1", layer="real"), device("other", 2, group=foreign)]
    assert set(live_volumes(GROUP.id, {d.uuid: d for d in live})) == {uuid("lost"), GROUP.lv_by_name["top"].id}
    assert sorted(taken(live, "lost", "top")) == ["remove device vg-lost", "remove device vg-top-real"]


def test_what_is_open_is_refused_before_anything_goes():
    live = [device("low", 0, "7:1", open_count=1), device("top", 1, "253:0", open_count=1)]
    with pytest.raises(InUse, match="vg/top in use"):
        taken(live, "top")
