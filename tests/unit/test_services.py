"""What the services say and plan, on the machine in memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.rig import TARGETS, Rig
from tests.support.rig_session import RigSession
from tests.unit.test_commit import create, snapshot
from tests.unit.test_transaction import SCENES, Machine
from vmgr.core.change import Change
from vmgr.core.errors import GroupUnusable, NotFound, Refused, UnclaimedSegment, UsageError
from vmgr.core.group_requests import Activate, ChangeGroup
from vmgr.core.ids import LvName, Uuid
from vmgr.core.model import LogicalVolume, Segment, UnknownBody, VolumeGroup
from vmgr.core.requests import ChangeVolume, CreateVolume, RemoveVolume, RemoveVolumes, RenameVolume
from vmgr.core.steps import Commit, MarkPvs, RemoveText
from vmgr.core.subject import Subject
from vmgr.core.units import Extents
from vmgr.outcome import Outcome, RunOptions
from vmgr.report.facts import Context, GroupFacts
from vmgr.services import activation, batch, groups, members


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A group with one active volume, ``data``, on the first disk."""
    made = Rig(tmp_path / "dev")
    made.do(create(made, "data"))
    return made


def strange(name: str, word: str) -> LogicalVolume:
    """A volume of a type that no plugin knows."""
    body = UnknownBody(word, ())
    return LogicalVolume(
        Uuid(name.ljust(32, "0")),
        LvName(name),
        status=("READ", "WRITE", "VISIBLE"),
        segments=(Segment(Extents(0), Extents(4), body),),
    )


def with_strangers(rig: Rig, *types: str) -> None:
    """Volumes ``s0``, ``s1``... of these types, as another tool wrote them."""

    def more(group: VolumeGroup) -> Change:
        made = (strange(f"s{n}", word) for n, word in enumerate(types))
        return Change(group, evolve(group, lvs=(*group.lvs, *made)))

    rig.do(more)


@pytest.mark.parametrize("mode", ["y", "ay"])
def test_volumes_that_nobody_understands_are_named_with_the_command_that_brings_them_up(rig, mode):
    with_strangers(rig, "thin-pool", "thin")
    whole = activation.activate(RigSession(rig), [Subject("vg")], Activate(mode))
    (error,) = whole.errors
    assert isinstance(error, UnclaimedSegment)
    assert "s0 (thin-pool), s1 (thin)" in error.message
    assert f"lvm vgchange -a{mode} vg;" in error.hint
    one = activation.activate(RigSession(rig), [Subject("vg", "s1")], Activate(mode))
    (error,) = one.errors
    assert "s1 (thin)" in error.message
    assert "s0" not in error.message
    assert f"lvm lvchange -a{mode} vg/s1;" in error.hint


def test_the_volumes_beside_those_that_nobody_understands_come_up(rig):
    with_strangers(rig, "thin-pool", "thin")
    activation.activate(RigSession(rig), [Subject("vg")], Activate("n"))
    assert not rig.live
    activation.activate(RigSession(rig), [Subject("vg")], Activate("y"))
    assert [device.name for device in rig.live.values()] == ["vg-data"]


def test_no_command_of_lvm2s_is_named_for_a_type_that_it_does_not_know_either(rig):
    with_strangers(rig, "marvel")
    (error,) = activation.activate(RigSession(rig), [Subject("vg")], Activate("y")).errors
    assert "lvm vgchange" not in error.hint
    assert "install the plugin" in error.hint


@pytest.mark.parametrize(("update", "words"), [(False, "cannot check"), (True, "cannot change")])
def test_a_check_of_a_group_with_unknown_types_changes_nothing_and_says_so(rig, update, words):
    with_strangers(rig, "thin-pool")
    with pytest.raises(GroupUnusable, match=f"{words} volume group vg: .* s0") as caught:
        groups.check(RigSession(rig), [Subject("vg")], update=update)
    assert ("lvm vgck vg" in caught.value.hint) is not update


def test_the_hint_of_vgreduce_can_be_typed_as_it_stands(rig):
    with pytest.raises(Refused) as caught:
        members.reduce(RigSession(rig, away=["/dev/d1"]), "vg", missing=True)
    assert caught.value.hint.endswith("vgreduce --removemissing --force vg")


@pytest.mark.parametrize("away", ["/dev/d1", "/dev/d2"])
def test_nothing_is_planned_on_a_device_that_is_away(rig, away):
    session = RigSession(rig, RunOptions(test=True, force=1), away=[away])
    (plan,) = members.reduce(session, "vg", missing=True).plans
    assert plan.steps
    assert not [step for step in plan.steps if isinstance(step, MarkPvs | RemoveText)]


def test_removing_a_group_clears_the_devices_that_are_there_and_no_others(rig):
    session = RigSession(rig, away=["/dev/d2"])
    there = rig.group.pvs[0].id
    (plan,) = groups.remove(session, [Subject("vg")]).plans
    cleared = [step.pvs for step in plan.steps if isinstance(step, MarkPvs | RemoveText)]
    assert cleared == [(there,), (there,)]


def test_an_origin_is_partial_with_a_snapshots_store_and_its_other_snapshots_are_not(tmp_path):
    """The letter p, as LVM2 shows it."""
    rig = Rig(tmp_path / "dev")
    rig.do(create(rig, "base", 230))
    rig.do(snapshot(rig, "near", "base"))  # beside it, on the first disk
    rig.do(snapshot(rig, "far", "base"))  # reaches to the second one
    view = RigSession(rig, away=["/dev/d2"]).view().group("vg")
    facts = GroupFacts(Context(TARGETS, str, None, {}), view)
    partial = {lv.name for lv in view.group.lvs if lv.visible and facts.is_partial(lv)}
    assert partial == {"base", "far"}


def test_a_node_that_cannot_be_made_is_told_of_and_keeps_no_change_from_being_made(rig, monkeypatch):
    """A read-only /dev, say: what the kernel does counts."""
    (rig.dev_dir / "mapper" / "vg-data").unlink(missing_ok=True)

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "mknod", refused)
    session = RigSession(rig)
    activation.activate(session, [Subject("vg")], Activate("n"))
    assert not rig.live
    (warning,) = session.heard.warnings
    assert "cannot make the node" in warning
    assert "vmgr vgmknodes" in warning


def test_requests_for_one_group_are_one_commit_and_see_each_other(rig):
    requests = (
        CreateVolume(name="more", size="4m"),
        CreateVolume(name="copy", origin="more", size="4m", options={"snapshot": True}),
        ChangeVolume("data", add_tags="old"),
        RenameVolume("data", "was"),
    )
    seqno = rig.group.seqno
    (plan,) = batch.run(RigSession(rig), "vg", requests).plans
    assert [type(step) for step in plan.steps].count(Commit) == 1
    assert rig.group.seqno == seqno + 1
    assert {lv.name for lv in rig.group.lvs if lv.visible} == {"more", "copy", "was"}
    assert rig.group.volume("was").tags == ("old",)
    assert {device.name for device in rig.live.values()} >= {"vg-more", "vg-copy", "vg-was"}
    assert not any("data" in device.name for device in rig.live.values())


def test_of_several_requests_none_is_carried_out_where_one_cannot_be(rig):
    before = rig.group
    with pytest.raises(NotFound, match="vg/nothing"):
        batch.run(RigSession(rig), "vg", (CreateVolume(size="4m"), RemoveVolume("nothing")))
    assert rig.group == before


def test_properties_of_a_group_are_changed_in_one_commit_with_those_of_its_volumes(rig):
    seqno = rig.group.seqno
    batch.run(RigSession(rig), "vg", (ChangeGroup(add_tags="a", max_lv=7), ChangeVolume("data", add_tags="b")))
    group = rig.group
    assert (group.seqno, group.tags, group.max_lv, group.volume("data").tags) == (seqno + 1, ("a",), 7, ("b",))


def test_no_request_is_no_commit_and_one_of_the_cores_own_is_refused(rig):
    seqno = rig.group.seqno
    assert batch.run(RigSession(rig), "vg", ()) == batch.run_together(RigSession(rig), {"vg": ()}) == Outcome()
    with pytest.raises(UsageError, match="a RemoveVolumes is asked of plugins"):
        batch.run(RigSession(rig), "vg", (RemoveVolumes((rig.group.volume("data").id,)),))
    assert rig.group.seqno == seqno


def test_requests_for_several_groups_are_one_transaction(tmp_path):
    machine = Machine(SCENES["merge"], tmp_path)
    before = {view.group.name: view.group.seqno for view in machine.view().groups}
    requests = {
        "to": (RenameVolume("lv3", "new"),),
        "from": (ChangeGroup(add_tags="a"), ChangeVolume("lv1", add_tags="b")),
    }
    outcome = batch.run_together(machine.session(), requests)
    commits = [step.group.name for plan in outcome.plans for step in plan.steps if isinstance(step, Commit)]
    assert commits == ["to", "from"]
    groups = {view.group.name: view.group for view in machine.view().groups}
    assert {name: group.seqno - before[name] for name, group in groups.items()} == {"to": 1, "from": 1}
    assert groups["to"].volume("new")
    assert (groups["from"].tags, groups["from"].volume("lv1").tags) == (("a",), ("b",))


def test_of_requests_for_several_groups_none_is_carried_out_where_one_cannot_be(tmp_path):
    machine = Machine(SCENES["merge"], tmp_path)
    content = machine.content()
    requests = {"to": (RenameVolume("lv3", "new"),), "from": (RemoveVolume("nothing"),)}
    with pytest.raises(NotFound, match="from/nothing"):
        batch.run_together(machine.session(), requests)
    assert machine.content() == content
