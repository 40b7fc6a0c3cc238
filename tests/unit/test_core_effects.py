"""What a plan has changed, in a user's words."""

from __future__ import annotations

from attrs import evolve

from tests.support.groups import STAMP, TARGETS, a_group, create, rename
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.effects import effects
from vmgr.core.ids import VgName
from vmgr.core.naming import dm_name, dm_uuid
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.group import remove_group, rename_group
from vmgr.core.operations.remove import remove_volume
from vmgr.core.plan import plan_change
from vmgr.core.requests import CreateVolume, RemoveVolume
from vmgr.core.table import LiveDevice
from vmgr.core.units import Extents


def said(change: Change, live: dict | None = None) -> list[str]:
    if change.before is not None and change.after is not None and change.before != change.after:
        change = evolve(change, after=evolve(change.after, seqno=change.before.seqno + 1))
    found = effects(plan_change(change, live or {}, TARGETS))
    group = change.after or change.before
    known = {group.id.dashed, *(lv.id.dashed for g in (change.before, change.after) if g for lv in g.lvs)}
    assert all(effect.uuid in known for effect in found if effect.kind in ("lv", "vg"))
    return [f"{effect.action} {effect.kind} {effect.name}" for effect in found]


def running(group, *names: str) -> dict[str, LiveDevice]:
    found = {}
    for number, name in enumerate(names):
        uuid = dm_uuid(group.id, group.lv_by_name[name].id)
        found[uuid] = LiveDevice(dm_name(group.name, name), uuid, 253, number)
    return found


def test_a_new_volume_changes_its_group_and_is_activated():
    change = create_volume(a_group(20), CreateVolume(size=SizeSpec(Extents(3))), TARGETS, STAMP)
    assert said(change) == ["changed vg vg", "created lv vg/lvol0", "activated lv vg/lvol0"]


def test_a_volume_that_is_not_activated_is_only_made():
    request = CreateVolume(size=SizeSpec(Extents(3)), activate=False, zero=False, wipe_signatures=False)
    assert said(create_volume(a_group(20), request, TARGETS, STAMP)) == ["changed vg vg", "created lv vg/lvol0"]


def test_a_removed_volume_is_not_deactivated_besides():
    group = create(a_group(20), "3")
    (lv,) = group.lvs
    live = running(group, lv.name)
    change = remove_volume(group, RemoveVolume(lv.id), TARGETS, live=live)
    assert said(change, live) == ["changed vg vg", f"removed lv vg/{lv.name}"]


def test_hidden_volumes_are_not_mentioned():
    group = create(a_group(20), "4", name="origin")
    request = CreateVolume(
        size=SizeSpec(Extents(2)),
        origin=group.lvs[0].id,
        activate=False,
        name="snap",
        options=(("snapshot", True),),
    )
    change = create_volume(group, request, TARGETS, STAMP)
    assert len([lv for lv in change.after.lvs if not lv.visible]) > 0
    assert "created lv vg/snap" in said(change)
    assert [line for line in said(change) if "snapshot" in line] == []


def test_names():
    group = create(a_group(20), "3", name="old")
    assert said(Change(group, rename(group, "old", "new"))) == ["changed vg vg", "renamed lv vg/new"]
    assert said(rename_group(group, VgName("other"), TARGETS)) == ["renamed vg other"]


def test_activation_alone_changes_no_metadata():
    group = create(create(a_group(20), "3", name="a"), "3", name="b")
    a, b = (group.lv_by_name[name].id for name in "ab")
    assert said(Change(group, group, activate=(a,))) == ["activated lv vg/a"]
    assert said(Change(group, group, activate=(a,), deactivate=(b,)), running(group, "b")) == [
        "activated lv vg/a",
        "deactivated lv vg/b",
    ]
    assert said(Change(group, group, refresh=(b,)), running(group, "b")) == ["reloaded lv vg/b"]
    assert said(Change(group, group, deactivate=(a,))) == []


def test_groups_come_and_go_with_their_physical_volumes():
    group = a_group(20, 30)
    assert said(Change(None, group)) == ["created vg vg"]
    assert said(remove_group(group)) == ["removed vg vg"]
    assert said(Change(group, evolve(group, pvs=group.pvs[:1]))) == ["dropped pv /dev/pv1", "changed vg vg"]
    assert said(Change(evolve(group, pvs=group.pvs[:1]), group)) == ["added pv /dev/pv1", "changed vg vg"]
