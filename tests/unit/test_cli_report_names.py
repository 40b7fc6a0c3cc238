"""What reports are asked for on the command line is what they show, and the kernel is asked for what that takes."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from attrs import evolve

from tests.support.cli_stage import Recorder
from tests.support.stacks import TARGETS, load_stack
from vmgr.core.ids import Tag, Uuid, VgName
from vmgr.core.view import GroupView, SystemView


class Stage(Recorder):
    """An application with the groups given, and a kernel that tells status lines only to those who ask."""

    def __init__(self, *groups: GroupView, live=MappingProxyType({})) -> None:
        super().__init__()
        self.targets = TARGETS
        self.groups = groups
        self.kernel = live

    def view(self, **kwargs):
        return SystemView(groups=self.groups)

    def live(self, *, status=False):
        return self.kernel if status else {u: evolve(d, status=None) for u, d in self.kernel.items()}

    def read_ahead(self, major, minor):
        return None


def merging() -> GroupView:
    """A group with a hidden volume: a snapshot on its way back into its origin."""
    made = load_stack("merge-started")
    return GroupView(evolve(made.group, tags=(Tag("t"),)), {})


def copy(view: GroupView) -> GroupView:
    """The group with the same volumes on other disks."""
    group = evolve(view.group, id=Uuid(view.group.id.swapcase()), name=VgName("copy"), tags=())
    return GroupView(group, {})


def listed(capsys) -> list[str]:
    return capsys.readouterr().out.split()


@pytest.mark.parametrize("word", ["vg", "@t"])
def test_all_shows_hidden_volumes_of_what_is_named(monkeypatch, capsys, word):
    stage = Stage(merging()).install(monkeypatch)
    assert stage.run("lvs", "--noheadings", "-o", "vg_name,lv_name") == 0
    visible = listed(capsys)
    assert stage.run("lvs", "-a", "--noheadings", "-o", "vg_name,lv_name") == 0
    everything = listed(capsys)
    assert "[snap]" in everything
    assert "[snap]" not in visible
    assert stage.run("lvs", "-a", "--noheadings", "-o", "vg_name,lv_name", word) == 0
    assert listed(capsys) == everything
    assert stage.run("lvs", "--noheadings", "-o", "vg_name,lv_name", word) == 0
    assert listed(capsys) == visible


def test_naming_a_group_does_not_show_the_volumes_of_its_copy(monkeypatch, capsys):
    one = merging()
    stage = Stage(copy(one), one).install(monkeypatch)
    assert stage.run("lvs", "--noheadings", "-o", "vg_name", "vg/base") == 0
    assert listed(capsys) == ["vg"]
    assert stage.run("lvs", "--noheadings", "-o", "vg_name", "copy") == 0
    assert set(listed(capsys)) == {"copy"}
    assert stage.run("lvs", "--noheadings", "-o", "vg_name", "@t") == 0
    assert set(listed(capsys)) == {"vg"}
    assert stage.run("lvdisplay", "copy/base") == 0
    assert "VG Name                copy" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["lvs", "lvdisplay"])
def test_an_exported_group_that_is_named_is_an_error_and_the_others_are_shown(monkeypatch, capsys, command):
    one = merging()
    away = copy(one)
    away = evolve(away, group=evolve(away.group, status=(*away.group.status, "EXPORTED")))
    stage = Stage(away, one).install(monkeypatch)
    assert stage.run(command, "copy", "vg") == 5
    out, err = capsys.readouterr()
    assert "volume group copy is exported" in err
    assert "base" in out
    assert "copy" not in out
    assert stage.run(command) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "copy" not in out
    assert stage.run("vgs", "copy") == 0


def test_a_group_of_another_host_is_shown_only_where_that_is_asked_for(monkeypatch, capsys):
    stage = Stage(evolve(merging(), foreign=True)).install(monkeypatch)
    for command in ("lvs", "vgs"):
        assert stage.run(command, "vg") == 5
        out, err = capsys.readouterr()
        assert "another host" in err
        assert out == ""
        assert stage.run(command, "--foreign", "vg") == 0
        assert "vg" in capsys.readouterr().out


def test_lvscan_sees_that_a_snapshot_is_lost(monkeypatch, capsys):
    made = load_stack("snapshot-invalid")
    stage = Stage(GroupView(made.group, {}), live=made.live).install(monkeypatch)
    assert stage.run("lvscan") == 0
    assert "  inactive Snapshot '/dev/vg/snap'" in capsys.readouterr().out


def test_commands_that_change_can_select_by_what_only_the_kernel_knows(monkeypatch):
    made = load_stack("snapshots")
    stage = Stage(GroupView(made.group, {}), live=made.live).install(monkeypatch)
    assert stage.run("lvremove", "-y", "-S", "origin=base && data_percent<1") == 0
    (name, (subjects,), _) = stage.call
    assert name == "lvremove"
    assert sorted(s.lv for s in subjects) == ["snap", "snap-2"]
