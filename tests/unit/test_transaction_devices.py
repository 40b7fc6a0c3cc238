"""A transaction of two groups with active volumes: killed at any call, the next commands bring both in order."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.rig import TARGETS, Rig
from tests.support.rig_session import RigSession
from tests.unit.test_commit import create, extend, tables
from vmgr.core.change import Change
from vmgr.core.devices import stack
from vmgr.core.errors import DeviceError, InUse
from vmgr.core.ids import VgName
from vmgr.core.model import VolumeGroup
from vmgr.core.steps import Step
from vmgr.system import locks


class Session(RigSession):
    """A session with locks: what a killed command left is put in order only under one."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self._locks = locks.Locks(str(rig.dev_dir / "lock"))


def groups(rig: Rig) -> dict[str, VolumeGroup]:
    return {view.group.name: view.group for view in Session(rig).view().groups}


def parted(rig: Rig) -> tuple[Change, Change]:
    """The group's second disk with what lies on it becomes a group of its own."""
    old = rig.group
    going = old.pvs[1]
    over = tuple(lv for lv in old.lvs if any(area.pv == going.id for area in lv.areas()))  # type: ignore[union-attr]
    new = evolve(old, id=rig.stamp().uuid(0), name=VgName("other"), seqno=0, pvs=(going,), lvs=over)
    kept = tuple(lv for lv in old.lvs if lv not in over)
    return Change(old, evolve(old, pvs=old.pvs[:1], lvs=kept)), Change(None, new)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Groups ``vg`` and ``other`` on a disk each, with an active volume ``data`` in each."""
    rig = Rig(tmp_path / "dev")
    session = Session(rig)
    with session.changing_together(["vg"], new=["other"]) as (view,):
        old, new = parted(rig)
        session.carry_out(old, view, also=[(new, None)])
    session.close()
    for name in ("vg", "other"):
        session = Session(rig)
        with session.changing(name) as view:
            session.carry_out(create(rig, "data")(view.group), view)
        session.close()
    assert sorted(d.name for d in rig.live.values()) == ["other-data", "vg-data"]
    return rig


def both_longer(rig: Rig) -> None:
    session = Session(rig)
    try:
        with session.changing_together(["vg", "other"]) as views:
            one, two = [(extend(rig, "data", 4)(view.group), view) for view in views]
            session.carry_out(*one, also=[two])
    finally:
        if not rig.life.dead:
            session.close()


def lengths(rig: Rig) -> dict[str, int]:
    return {name: int(group.lvs[0].size) for name, group in groups(rig).items()}


def in_order(rig: Rig) -> None:
    """Each group's devices are what its metadata say, and run."""
    for name, group in groups(rig).items():
        wanted = stack(group, [lv.id for lv in group.lvs], TARGETS, rig.live)
        live = {d.uuid: d for d in rig.live.values() if d.name.startswith(f"{name}-")}
        assert {d.uuid: sum(int(line.length) for line in d.table or ()) for d in live.values()} == {
            d.uuid: int(d.size) for d in wanted
        }
        assert not any(d.suspended or d.has_inactive for d in live.values())


def test_a_kill_at_any_call_leaves_each_group_as_it_was_or_as_it_shall_be(rig: Rig) -> None:
    saved = rig.save()
    seen = set()
    for point in itertools.count():
        rig.load(saved)
        if not rig.dies(lambda: both_longer(rig), after=point):
            break
        seen.add(tuple(sorted(lengths(rig).items())))
        for name in ("other", "vg"):
            session = Session(rig)
            with session.changing(name):
                pass
            session.close()
        in_order(rig)
    assert seen == {
        (("other", 8), ("vg", 8)),
        (("other", 8), ("vg", 12)),
        (("other", 12), ("vg", 12)),
    }
    assert lengths(rig) == {"other": 12, "vg": 12}
    in_order(rig)


@pytest.mark.parametrize("group", ["vg", "other"])
@pytest.mark.parametrize("word", ["commit", "resume"])
def test_a_failure_in_one_group_leaves_both_as_they_were(
    rig: Rig, group: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vmgr.session.machine import Machine

    before, live = lengths(rig), tables(rig.live)

    def fail(self: Machine, step: Step) -> None:
        if str(step).startswith((f"{word} {group} ", f"{word} {group}-")):
            raise DeviceError("made to fail")

    monkeypatch.setattr(Machine, "tell_step", fail)
    with pytest.raises(DeviceError, match="made to fail"):
        both_longer(rig)
    monkeypatch.undo()
    assert lengths(rig) == before
    assert tables(rig.live) == live
    in_order(rig)
    both_longer(rig)
    in_order(rig)


def test_an_active_volume_keeps_its_physical_volumes_in_their_group(tmp_path: Path) -> None:
    rig = Rig(tmp_path / "dev")
    rig.do(create(rig, "near", int(rig.group.pvs[0].pe_count)))
    rig.do(create(rig, "far", 200))
    session = Session(rig)
    before = rig.world.content()
    with session.changing("vg") as view:
        old, new = parted(rig)
        assert [lv.name for lv in (new.after.lvs if new.after else ())] == ["far"]
        with pytest.raises(InUse, match="vg/far must be inactive"):
            session.carry_out(old, view, also=[(new, None)])
    assert rig.world.content() == before
    session.close()
