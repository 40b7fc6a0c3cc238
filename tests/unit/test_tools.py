"""Programs that a change runs on inactive volumes, and states that it waits for."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from attrs import evolve, frozen

from tests.support.rig import TARGETS, Rig
from tests.unit.test_commit import create, tables
from vmgr.core.change import Change
from vmgr.core.errors import DeviceError, InUse, KernelError, NotFound, StoppedHalfway, VmgrError
from vmgr.core.model import VolumeGroup
from vmgr.core.step import Step
from vmgr.core.steps import Commit
from vmgr.core.table import KernelLine
from vmgr.core.tool_steps import RunTool
from vmgr.core.tools import ToolRun, ToolStatus, WaitUntil
from vmgr.system.toolrun import Finished, run_to_end
from vmgr.testing import machine as memory

SH = "/bin/sh"


class Programs:
    """Stands for running programs: notes the arguments, and what the kernel has while one runs."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.calls: list[tuple[str, ...]] = []
        self.seen: list[list[str]] = []
        self.status = 0

    def __call__(self, path: str, arguments: tuple[str, ...], *, secret: str | None = None) -> Finished:
        self.rig.life.breathe()
        self.calls.append((path, *arguments))
        self.seen.append(sorted(device.name for device in self.rig.live.values()))
        return Finished(self.status, "", "first line\nlast line\n", False)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A group with the inactive volume ``data``."""
    rig = Rig(tmp_path / "dev")
    rig.do(create(rig, "data"))
    rig.do(lambda group: Change(group, group, deactivate=(group.lvs[0].id,)))
    return rig


@pytest.fixture
def programs(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Programs:
    found = Programs(rig)
    monkeypatch.setattr("vmgr.system.toolrun.run_to_end", found)
    monkeypatch.setattr(memory.Devices, "_check_node", lambda *_: None)
    return found


def check(group: VolumeGroup, **more: object) -> ToolRun:
    lv = group.lvs[0].id
    return ToolRun(SH, ("-q", lv), (lv,), **more)  # type: ignore[arg-type]


def tagged(group: VolumeGroup, *runs: ToolRun) -> Change:
    return Change(group, evolve(group, tags=("t",)), tools=runs)


def test_a_program_runs_on_a_device_that_is_there_for_the_time_only(rig: Rig, programs: Programs) -> None:
    plan = rig.do(lambda group: tagged(group, check(group)))
    assert "run sh -q vg-data" in [str(step) for step in plan.steps]
    assert programs.calls == [(SH, "-q", f"{rig.dev_dir}/mapper/vg-data")]
    assert programs.seen == [["vg-data"]]
    assert rig.live == {}
    assert rig.group.tags == ("t",)
    assert not (rig.dev_dir / "vg" / "data").exists()


def test_it_runs_before_anything_is_written(rig: Rig, programs: Programs) -> None:
    words = [str(step).split()[0] for step in rig.plan(tagged(rig.group, check(rig.group))).steps]
    assert words.index("run") < words.index("write") < words.index("commit")


def test_a_new_volume_can_be_formatted_before_it_is_committed(rig: Rig, programs: Programs) -> None:
    def make(group: VolumeGroup) -> Change:
        change = create(rig, "more", zero=False, wipe_signatures=False, activate=False)(group)
        assert change.after is not None
        lv = change.after.lv_by_name["more"].id
        return evolve(change, tools=(ToolRun(SH, (lv,), (lv,), new=True),))

    rig.do(make)
    assert programs.seen == [["vg-more"]]
    assert rig.live == {}
    assert "more" in rig.group.lv_by_name


@pytest.mark.parametrize("meaning", [ToolStatus(3, words="{volume} is damaged", hint="repair {volume}"), None])
def test_a_failure_changes_nothing_and_says_what_the_status_means(
    rig: Rig, programs: Programs, meaning: ToolStatus | None
) -> None:
    programs.status = 3
    before = (rig.group, tables(rig.live), rig.world.content())
    run = check(rig.group, statuses=(meaning,) if meaning else ())
    with pytest.raises(VmgrError) as caught:
        rig.do(lambda group: tagged(group, run))
    assert caught.value.message == ("vg/data is damaged" if meaning else "sh failed with status 3 on vg/data")
    assert caught.value.hint == ("repair vg/data" if meaning else "see sh(8)")
    assert caught.value.details == ("first line", "last line")
    assert (rig.group, tables(rig.live), rig.world.content()) == before


def test_a_status_that_is_fine_is_told_and_the_change_goes_on(rig: Rig, programs: Programs) -> None:
    programs.status = 1
    rig.do(lambda group: tagged(group, check(group, statuses=(ToolStatus(1, fine=True, words="repaired"),))))
    assert rig.group.tags == ("t",)


def test_what_a_program_did_is_undone_where_the_change_is(rig: Rig, programs: Programs) -> None:
    lv = rig.group.lvs[0].id
    run = check(rig.group, undo=ToolRun(SH, ("--back", lv), (lv,)))

    def fail(step: Step) -> None:
        if isinstance(step, Commit):
            raise DeviceError("made to fail")

    with pytest.raises(DeviceError):
        rig.run(rig.plan(tagged(rig.group, run)), fail)
    assert [call[1] for call in programs.calls] == ["-q", "--back"]
    assert programs.seen == [["vg-data"], ["vg-data"]]
    assert rig.live == {}
    assert rig.group.tags == ()


@pytest.mark.parametrize("visible", [True, False])
def test_after_a_kill_at_any_call_the_next_command_puts_the_device_in_order(
    rig: Rig, programs: Programs, visible: bool
) -> None:
    """What the program worked on is a volume like any other: one that is shown stays, active; a hidden one goes."""
    if not visible:
        (lv,) = rig.group.lvs
        hidden = evolve(lv, status=tuple(word for word in lv.status if word != "VISIBLE"))
        rig.do(lambda group: Change(group, evolve(group, lvs=(hidden,))))
    plan = rig.plan(tagged(rig.group, check(rig.group)))
    saved = rig.save()
    left = 0
    for point in itertools.count():
        rig.load(saved)
        if not rig.dies(lambda: rig.run(plan), after=point):
            break
        left += bool(rig.live)
        rig.heal()
        assert rig.heal().steps == (), point
        if not visible:
            assert rig.live == {}
        assert all(device.has_live and not device.suspended for device in rig.live.values())
        rig.do(create(rig, "afterwards", 1))
    assert left >= 2


def test_no_program_works_on_an_active_volume(rig: Rig, programs: Programs) -> None:
    rig.do(lambda group: Change(group, group, activate=(group.lvs[0].id,)))
    with pytest.raises(InUse, match="vg/data must be inactive while sh works on it"):
        rig.plan(tagged(rig.group, check(rig.group)))


def test_a_program_that_is_not_installed_is_missed_before_anything_is_done(rig: Rig) -> None:
    from vmgr.activation import KernelDevices
    from vmgr.dm.client import DmClient

    run = evolve(check(rig.group), program="/usr/sbin/thin_marvel")
    devices = KernelDevices(DmClient(rig.kernel), rig.numbers, ask=lambda _: False, say=lambda _: None)
    with pytest.raises(NotFound, match="/usr/sbin/thin_marvel is not there") as caught:
        devices.check(rig.plan(tagged(rig.group, run)).steps, TARGETS.kernel_target)
    assert "install thin_marvel" in caught.value.hint


# -- running for real -----------------------------------------------------------------------------


def test_a_programs_status_and_words_are_kept() -> None:
    done = run_to_end(SH, ("-c", "echo one; seq 9 >&2; exit 7"))
    assert (done.status, done.output, done.interrupted) == (7, "one\n", False)
    assert done.last_words == ("5", "6", "7", "8", "9")
    assert run_to_end(SH, ("-c", "read a; echo $a"), secret="said\n").last_words == ("said",)


# -- waiting --------------------------------------------------------------------------------------


@frozen
class After:
    """Met at the ``times``-th look."""

    times: int
    looks: list[tuple[KernelLine, ...]]

    def met(self, lines: tuple[KernelLine, ...]) -> bool:
        self.looks.append(lines)
        return len(self.looks) >= self.times

    def __str__(self) -> str:
        return "all is in sync"


def waiting(rig: Rig, times: int, seconds: float) -> tuple[Change, After]:
    condition = After(times, [])
    late = KernelError("not in sync yet", hint="lvs -o+sync_percent")
    lv = rig.group.lvs[0].id
    until = WaitUntil(lv, condition, seconds, late)
    return Change(rig.group, evolve(rig.group, tags=("t",)), activate=(lv,), waits=(until,)), condition


def test_a_wait_ends_when_the_status_shows_the_state(rig: Rig) -> None:
    change, condition = waiting(rig, 3, 60)
    plan = rig.plan(change)
    assert str(plan.steps[-1]) == "wait until all is in sync (vg-data)"
    rig.run(plan)
    assert [[line.target for line in look] for look in condition.looks] == [["linear"]] * 3


def test_a_wait_that_takes_too_long_leaves_the_change_and_says_what_to_do(rig: Rig) -> None:
    change, _ = waiting(rig, 1000, 0)
    with pytest.raises(StoppedHalfway, match="1 of its steps still pending") as caught:
        rig.run(rig.plan(change))
    assert "not in sync yet" in caught.value.details[0]
    assert "lvs -o+sync_percent" in caught.value.hint
    assert rig.group.tags == ("t",)
    assert [device.name for device in rig.live.values()] == ["vg-data"]


def test_the_steps_say_what_they_need(rig: Rig, programs: Programs) -> None:
    (step,) = [s for s in rig.plan(tagged(rig.group, check(rig.group))).steps if isinstance(s, RunTool)]
    assert step.program == SH
    assert [device.name for device in step.names] == ["vg-data"]
    assert [line.target for line in step.loads] == ["linear"]
    assert step.undo is None
