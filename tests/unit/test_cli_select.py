"""``--select`` of changing commands: what matches is ordered by name, and nothing else ever is."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.cli_stage import Recorder
from tests.support.groups import TARGETS, a_group, create
from vmgr.core.ids import Tag, VgName
from vmgr.core.subject import Subject
from vmgr.core.view import GroupView, SystemView


@pytest.fixture
def app(monkeypatch):
    one = create(create(a_group(30), "5", "a"), "10", "b")
    one = evolve(one, tags=(Tag("t"),))
    two = create(a_group(30, id=one.id.swapcase(), name=VgName("two")), "7", "c")
    assert one.lv_by_name["a"].id == two.lv_by_name["c"].id  # as after a disk has been copied
    view = SystemView(groups=(GroupView(one, {}), GroupView(two, {})))
    app = Recorder().install(monkeypatch)
    app.targets = TARGETS
    monkeypatch.setattr(app, "view", lambda **kwargs: view)
    return app


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-S", "lv_size>=28m"], [Subject("vg", "b"), Subject("two", "c")]),
        (["-S", "lv_size>=28m", "vg"], [Subject("vg", "b")]),
        (["-S", "lv_name!=b", "@t"], [Subject("vg", "a")]),
        (["-S", "lv_name=a || lv_name=b", "-S", "lv_name=b"], [Subject("vg", "b")]),
        (["-S", "vg_name=two", "two/c"], [Subject("two", "c")]),
    ],
)
def test_volumes_that_match_are_ordered(app, words, expected):
    assert app.run("lvremove", *words) == 0
    assert list(app.call[1][0]) == expected


def test_groups_that_match_are_ordered(app):
    assert app.run("vgchange", "-ay", "-S", "vg_free_count=15") == 0
    assert list(app.call[1][0]) == [Subject("vg")]


@pytest.mark.parametrize("line", ["lvremove", "vgremove", "lvchange -ay", "vgchange -ay", "vgchange --addtag x"])
def test_a_selection_that_nothing_matches_changes_nothing(app, line):
    """For vgchange no name means every group, so nothing may be ordered at all."""
    assert app.run(*line.split(), "-S", "vg_name=nonesuch") == 0
    assert [call for call in app.calls if call[1][0]] == []
    if line.startswith("vgchange"):
        assert app.calls == []


def test_a_selection_that_cannot_be_read_is_a_wrong_command_line(app):
    assert app.run("lvremove", "-S", "==") == 3
    assert app.calls == []
