"""A plan is printed so that a person can check it, and a program can read it."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from tests.support.cli_stage import Recorder
from tests.support.groups import STAMP, TARGETS, a_group
from vmgr.cli.plan_text import plan_json, plan_text
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.ids import LvName
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.plan import plan_change
from vmgr.core.requests import CreateVolume, ExtendVolume
from vmgr.core.table import LiveDevice
from vmgr.core.units import Extents
from vmgr.outcome import Outcome


def counted(change: Change) -> Change:
    return evolve(change, after=evolve(change.after, seqno=change.before.seqno + 1))


@pytest.fixture(scope="module")
def group():
    made = create_volume(
        a_group(20, 30), CreateVolume(size=SizeSpec(Extents(10)), name=LvName("my-lv")), TARGETS, STAMP
    )
    return counted(made).after


@pytest.fixture(scope="module")
def extension(group):
    """A live volume gets 15 extents more, on two PVs."""
    from vmgr.core.naming import dm_name, dm_uuid

    (lv,) = group.lvs
    live = LiveDevice(dm_name(group.name, lv.name), dm_uuid(group.id, lv.id), 253, 0)
    change = extend_volume(
        group, ExtendVolume(lv.id, SizeSpec(Extents(15), "+")), TARGETS, STAMP, live={live.uuid: live}
    )
    return plan_change(counted(change), {live.uuid: live}, TARGETS)


def test_a_plan_shows_the_metadata_that_change_the_steps_in_order_and_the_tables(extension):
    text = plan_text(extension, TARGETS)
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == (
        "Plan for volume group vg: volume group vg changed, logical volume vg/my-lv changed,"
        f" logical volume vg/my-lv reloaded (seqno 2 to 3), in {len(extension.steps)} steps"
    )
    assert "-\tseqno = 2" in lines
    assert "+\tseqno = 3" in lines
    steps = [line for line in lines if line[:1].isdigit() and ". " in line[:4]]
    assert [int(step.split(".")[0]) for step in steps] == list(range(1, len(extension.steps) + 1))
    order = [step.partition(". ")[2] for step in steps]
    assert order.index("suspend vg-my--lv") < order.index("resume vg-my--lv")
    (commit,) = [step for step in order if step.startswith("commit vg")]
    assert commit.endswith("<- from here on the change is final")
    tables = [line for line in lines if " linear " in line]
    assert tables
    assert all("/dev/pv" in line for line in tables)
    sectors = sum(int(line.split()[1]) for line in tables)
    assert sectors == 25 * 8192


def test_a_plan_as_json_has_the_same_in_it(extension):
    plan = json.loads(json.dumps(plan_json(extension, TARGETS)))
    assert plan["vg_name"] == "vg"
    assert [step["text"] for step in plan["steps"]] == [str(step) for step in extension.steps]
    assert plan["steps"][plan["commit_at"]]["step"] == "Commit"
    assert "seqno = 2" in plan["metadata"]["before"]
    assert "seqno = 3" in plan["metadata"]["after"]
    assert any(" linear " in line for step in plan["steps"] for line in step.get("table", ()))


def test_a_new_group_and_a_removed_one_are_shown_whole(group):
    made = plan_text(plan_change(Change(None, group), {}, TARGETS), TARGETS)
    gone = plan_text(plan_change(Change(group, None), {}, TARGETS), TARGETS)
    assert "\n      +vg {\n" in made
    assert "\n      -vg {\n" in gone


def test_a_plan_that_changes_no_metadata_says_so(group):
    change = Change(group, group, activate=(group.lvs[0].id,))
    plan = plan_change(change, {}, TARGETS)
    text = plan_text(plan, TARGETS)
    assert "metadata: no change" in text
    assert "create device vg-my--lv" in text
    assert plan_json(plan, TARGETS)["metadata"] is None


def test_test_mode_prints_the_plan_in_the_place_of_what_was_done(extension, monkeypatch, capsys):
    app = Recorder(Outcome(done=("It is done.",), plans=(extension,))).install(monkeypatch)
    app.targets = TARGETS
    assert app.run("lvremove", "-t", "vg/lv") == 0
    out = capsys.readouterr().out
    assert out == plan_text(extension, TARGETS)
    assert app.run("lvremove", "-t", "--reportformat", "json", "vg/lv") == 0
    answer = json.loads(capsys.readouterr().out)["vmgr"]
    assert answer["test"] is True
    assert answer["done"] == []
    assert answer["plans"] == [plan_json(extension, TARGETS)]
