"""What a killed command leaves, at every point of every command, and what the next command makes of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.rig import TARGETS, Rig
from tests.unit.test_commit import SCENES, Operation, create, extend, remove, snapshot, tables
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.devices import stack
from vmgr.core.errors import InUse
from vmgr.core.ids import VgName
from vmgr.core.model import VolumeGroup
from vmgr.core.operations.convert import convert_volume
from vmgr.core.operations.group import rename_group
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.phases import Plan
from vmgr.core.requests import ConvertVolume, ReduceVolume
from vmgr.core.steps import Suspend
from vmgr.core.table import KernelLine
from vmgr.core.units import Extents, Sectors
from vmgr.dm.address import by_name, by_uuid
from vmgr.dm.client import DmClient
from vmgr.healer import Healer


def visible(group: VolumeGroup) -> tuple[str, ...]:
    return tuple(lv.id for lv in group.lvs if lv.visible)


def activate(group: VolumeGroup) -> Change:
    return Change(group, group, activate=visible(group))


def deactivate(group: VolumeGroup) -> Change:
    return Change(group, group, deactivate=visible(group))


def refresh(group: VolumeGroup) -> Change:
    return Change(group, group, refresh=visible(group))


def reduce(rig: Rig, name: str) -> Operation:
    return lambda group: reduce_volume(
        group, ReduceVolume(group.lv_by_name[name].id, SizeSpec(Extents(2), "-")), TARGETS, live=rig.live
    )


def merge(rig: Rig, name: str) -> Operation:
    return lambda group: convert_volume(
        group,
        ConvertVolume(group.lv_by_name[name].id, (("merge", True),)),
        TARGETS,
        rig.stamp(),
        live=rig.live,
    )


def remove_all(rig: Rig) -> Operation:
    from vmgr.core.change import combine

    def make(group: VolumeGroup) -> Change:
        changes = []
        for name in ("snap", "data"):
            changes.append(remove(rig, name)(group))
            assert changes[-1].after is not None
            group = changes[-1].after
        return combine(changes)

    return make


def with_snapshot(rig: Rig) -> list[Operation]:
    return [create(rig, "data"), snapshot(rig, "snap", "data")]


def stopped(rig: Rig) -> list[Operation]:
    return [*with_snapshot(rig), deactivate]


COMMANDS: dict[str, tuple[Callable[[Rig], list[Operation]], Callable[[Rig], Operation]]] = {
    **SCENES,
    "reduce": (lambda r: [create(r, "data")], lambda r: reduce(r, "data")),
    "merge": (with_snapshot, lambda r: merge(r, "snap")),
    "remove origin and snapshot": (with_snapshot, remove_all),
    "activate": (stopped, lambda _: activate),
    "deactivate": (with_snapshot, lambda _: deactivate),
    "refresh": (with_snapshot, lambda _: refresh),
}

NEXT: dict[str, Callable[[Rig], Operation]] = {
    "refresh": lambda _: refresh,
    "activate": lambda _: activate,
    "deactivate": lambda _: deactivate,
    "create": lambda r: create(r, "afterwards", 1),
}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "dev")


def killed_everywhere(rig: Rig, command: str) -> Iterator[tuple[int, Plan]]:
    """Kill a command at each of its changes of kernel and disks; the machine as it is then, again and again."""
    before, last = COMMANDS[command]
    for operation in before(rig):
        rig.do(operation)
    plan = rig.plan(last(rig)(rig.group))
    saved = rig.save()
    for point in itertools.count():
        rig.load(saved)
        if not rig.dies(lambda: rig.run(plan), after=point):
            assert point > 1
            return
        yield point, plan


def is_in_order(rig: Rig) -> None:
    """All devices are those that the metadata ask for, and run with their tables; nothing else is there."""
    group, live = rig.group, rig.live
    assert all(d.has_live and not d.suspended and not d.has_inactive for d in live.values())
    active = [lv.id for lv in group.lvs if lv.visible and f"LVM-{group.id}{lv.id}" in live]
    wanted = {d.uuid: d for d in stack(group, active, TARGETS, live)}
    assert set(live) == set(wanted)
    numbers = {f"{d.major}:{d.minor}": u for u, d in live.items()}

    def number(ref: object) -> str:
        pv = getattr(ref, "pv", None)
        return rig.numbers[pv] if pv is not None else next(n for n, u in numbers.items() if u == ref.uuid)  # type: ignore[attr-defined]

    for uuid, device in wanted.items():
        assert live[uuid].name == device.name
        lines = tuple(KernelLine(ln.start, ln.length, ln.target, ln.params(number)) for ln in device.table)
        assert live[uuid].table == lines
        assert live[uuid].read_only == device.read_only


@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_killed_at_any_point_left_is_put_in_order(rig: Rig, command: str) -> None:
    """The metadata are the old or the new ones, the devices follow them, and another look finds nothing."""
    old = rig.group
    for point, plan in killed_everywhere(rig, command):
        old = plan.changes[0].before or old
        group = rig.group
        assert group in (old, plan.changes[0].after), point
        before = tables(rig.live)
        remains = rig.heal()
        is_in_order(rig)
        foretold = {u: (d.name, d.suspended, d.has_inactive, d.has_live) for u, d in remains.after.items()}
        if remains.steps:
            assert foretold == {u: (d.name, False, False, True) for u, d in rig.live.items()}, (
                "what a test run counts on"
            )
        assert rig.group == group, "healing writes no metadata"
        if tables(rig.live) != before:
            assert remains.told, point
        assert rig.heal().steps == (), point
        rig.do(create(rig, "afterwards", 1))
        is_in_order(rig)


@pytest.mark.parametrize("following", NEXT)
@pytest.mark.parametrize("command", ["snapshot", "extend snapshot", "remove snapshot", "merge"])
def test_every_command_after_a_killed_one_does_its_work(rig: Rig, command: str, following: str) -> None:
    for _ in itertools.islice(killed_everywhere(rig, command), 1, None, 2):
        rig.heal()
        rig.do(NEXT[following](rig))
        is_in_order(rig)
        assert bool(rig.live) == (following != "deactivate") or following == "create"


@pytest.mark.parametrize(
    "command", ["snapshot", "second snapshot", "extend", "merge", "remove snapshot", "activate"]
)
def test_a_killed_healing_is_healed(rig: Rig, command: str) -> None:
    """What it leaves that looks like somebody's own suspension is told, with what resumes it."""
    for _ in killed_everywhere(rig, command):
        saved = rig.save()
        for point in itertools.count():
            rig.load(saved)
            if not rig.dies(rig.heal, after=point):
                break
            remains = rig.heal()
            if remains.held:
                assert all("--refresh" in line for line in remains.held)
                rig.do(refresh)
            is_in_order(rig)


def test_an_origin_killed_with_its_new_snapshot_before_the_commit_runs_as_before(rig: Rig) -> None:
    """Nothing that was meant to be is left, and what was there is named."""
    rig.do(create(rig, "data"))
    old = tables(rig.live)
    plan = rig.plan(snapshot(rig, "snap", "data")(rig.group))
    suspends = [n for n, step in enumerate(plan.steps) if isinstance(step, Suspend)]
    rig.run(Plan((Change(None, None),), plan.steps[: suspends[-1] + 1]))
    assert any(d.suspended for d in rig.live.values())
    told = rig.heal().told
    assert tables(rig.live) == old
    assert any(line.startswith("vg-data was left suspended") for line in told)
    for name in ("vg-snap", "vg-snap-cow", "vg-data-real"):
        assert f"{name} was left behind, and is removed" in told


def test_a_renamed_group_is_known_by_its_old_name_until_all_its_devices_have_the_new_one(rig: Rig) -> None:
    """So that ``vgrename`` given again after it was killed knows what was meant, and ends what was begun."""
    rig.do(create(rig, "data"))
    rig.do(create(rig, "more", 1))
    plan = rig.plan(rename_group(rig.group, VgName("new"), TARGETS))
    saved = rig.save()
    known = 0
    for point in itertools.count():
        rig.load(saved)
        if not rig.dies(lambda: rig.run(plan), after=point):
            break
        if rig.group.name == "vg":
            continue
        client = DmClient(rig.kernel, dev_dir=str(rig.dev_dir))

        def was_called(name: str, client: DmClient = client) -> bool:
            return Healer(rig.group, client, str(rig.dev_dir), lambda _: None, lambda *_: False).was_called(name)

        assert was_called("vg") == any(d.name.startswith("vg-") for d in rig.live.values()), point
        assert not was_called("other")
        known += was_called("vg")
        rig.heal()
        assert not was_called("vg")
        assert {d.name for d in rig.live.values()} == {"new-data", "new-more"}
    assert known > 1


def test_a_device_that_somebody_suspended_is_told_and_left(rig: Rig) -> None:
    """Whoever did it may rely on it: its table is what it shall be, and nothing waits."""
    rig.do(create(rig, "data"))
    rig.do(create(rig, "other"))
    DmClient(rig.kernel, dev_dir=str(rig.dev_dir)).suspend(by_name("vg-data"))
    remains = rig.heal()
    assert (remains.steps, remains.told) == ((), ())
    assert len(remains.held) == 1
    assert remains.held[0].startswith("vg-data is suspended")
    assert "lvchange --refresh vg/data" in remains.held[0]
    rig.do(create(rig, "more", 1))
    rig.do(activate)
    with pytest.raises(InUse, match="vg-data is suspended"):
        rig.do(extend(rig, "data", 1))
    assert [d.name for d in rig.live.values() if d.suspended] == ["vg-data"]
    rig.do(refresh)
    is_in_order(rig)


def test_what_waits_beside_a_suspended_device_s_right_table_is_a_killed_command_s(rig: Rig) -> None:
    rig.do(create(rig, "data"))
    dm = DmClient(rig.kernel, dev_dir=str(rig.dev_dir))
    table = dm.table(by_name("vg-data"))
    dm.load(by_name("vg-data"), [KernelLine(Sectors(0), Sectors(8), "zero", "")])
    dm.suspend(by_name("vg-data"))
    assert rig.heal().told
    assert dm.table(by_name("vg-data")) == table
    is_in_order(rig)


def test_a_volume_under_which_the_metadata_were_restored_is_told_and_left(rig: Rig) -> None:
    """It runs, and was shown to its users; nobody asked them."""
    rig.do(create(rig, "data"))
    rig.do(create(rig, "lost"))
    group = rig.group
    without = group.without_lv(group.lv_by_name["lost"].id)
    rig.run(
        Plan(
            (Change(None, None),),
            tuple(s for s in rig.plan(Change(group, without)).steps if "device" not in str(s)),
        )
    )
    assert "lost" not in rig.group.lv_by_name
    remains = rig.heal()
    assert remains.steps == ()
    assert any("vmgr dm remove vg-lost" in line for line in remains.left)
    assert "vg-lost" in {d.name for d in rig.live.values()}


def test_a_device_that_was_left_behind_and_is_open_is_told_and_left(rig: Rig) -> None:
    rig.do(create(rig, "data"))
    rig.by_another("vg-snap-cow", f"LVM-{rig.group.id}{'x' * 32}-cow", "linear", "7:1 0")
    rig.kernel.hold("vg-snap-cow")
    remains = rig.heal()
    assert remains.steps == ()
    assert any("in use" in line and "vmgr dm remove vg-snap-cow" in line for line in remains.left)
    rig.kernel.release("vg-snap-cow")
    assert rig.heal().told == ("vg-snap-cow was left behind, and is removed",)


def test_devices_of_another_group_are_never_touched(rig: Rig) -> None:
    dm = DmClient(rig.kernel, dev_dir=str(rig.dev_dir))
    foreign = f"LVM-{'x' * 64}-cow"
    dm.create("vg-stranger", foreign)
    dm.load(by_uuid(foreign), [KernelLine(Sectors(0), Sectors(8), "linear", "7:1 0")])
    assert rig.heal().steps == ()
    assert "vg-stranger" in {d.name for d in rig.live.values()}
