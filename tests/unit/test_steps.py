"""What each step of a plan says about itself."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from attrs import fields

from tests.support.machine import group
from tests.support.rig import Rig
from tests.unit.test_commit import SCENES, prepared
from vmgr.core import step as base
from vmgr.core import steps, tool_steps
from vmgr.core.phases import Plan
from vmgr.core.step import DeviceStep, GroupStep, Step
from vmgr.core.steps import Revert, WriteText

KINDS = [
    kind
    for module in (steps, tool_steps)
    for kind in vars(module).values()
    if inspect.isclass(kind) and issubclass(kind, Step) and kind not in (Step, DeviceStep, GroupStep)
]


@pytest.fixture
def plans(tmp_path: Path) -> list[Plan]:
    found = []
    for number, scene in enumerate(SCENES):
        rig = Rig(tmp_path / f"dev{number}")
        found.append(rig.plan(prepared(rig, scene)(rig.group)))
    return found


def test_whatever_can_be_pending_after_a_commit_says_what_does_it(plans: list[Plan]) -> None:
    pending = {type(step): step for plan in plans for step in plan.phases.tail}
    assert len(pending) == 4
    assert [kind for kind, step in pending.items() if not step.hint] == []


def test_a_step_with_a_device_names_it(plans: list[Plan]) -> None:
    for plan in plans:
        for step in plan.steps:
            has_device = any(field.name in ("device", "uuid") for field in fields(type(step)))
            assert bool(step.device_uuid) == (has_device and not step.label_of[0]), step


def test_what_is_written_before_the_commit_can_be_taken_back() -> None:
    assert WriteText(group()).undo == Revert(group())


def test_only_the_committer_has_a_list_of_all_steps() -> None:
    """Whoever else needs to know something of a step asks it; a new kind needs a class and a call there."""
    known = {}
    for path in Path(base.__file__).parents[1].rglob("*.py"):
        text = path.read_text()
        if "core.steps" in text or "core.tool_steps" in text:
            names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
            known[path.name] = names & {kind.__name__ for kind in KINDS}
    assert known["commit.py"] == {kind.__name__ for kind in KINDS}
    makers = {"plan.py", "healing.py", "takedown.py", "steps.py", "tool_steps.py"}
    asking = {name: names for name, names in known.items() if name not in {"commit.py", *makers}}
    assert {name for name, names in asking.items() if names} == {"metadata.py", "mismatch.py"}
