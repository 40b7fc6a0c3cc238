"""Running plans: a failure before the commit undoes everything; one after it leaves nothing half done unsaid."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.plugins import a_group
from tests.support.rig import TARGETS, Rig
from vmgr.commit import Committer
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.errors import DeviceError, Interrupted, InUse, StoppedHalfway, VmgrError
from vmgr.core.ids import LvName
from vmgr.core.model import VolumeGroup
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.remove import remove_volume
from vmgr.core.operations.rename import rename_volume
from vmgr.core.phases import Plan
from vmgr.core.requests import CreateVolume, ExtendVolume, RemoveVolume, RenameVolume
from vmgr.core.step import Step
from vmgr.core.steps import (
    Backup,
    Commit,
    CreateDevice,
    LoadTable,
    RemoveDevice,
    Resume,
    SendMessage,
    ShowVolume,
    Suspend,
    WipeVolume,
    WriteText,
)
from vmgr.core.table import DevRef, DmDevice, KernelLine, LiveDevice, TargetLine
from vmgr.core.units import Extents, Sectors
from vmgr.dm import abi

Operation = Callable[[VolumeGroup], Change]


def size(extents: int, sign: str = "") -> SizeSpec:
    return SizeSpec(Extents(extents), sign)


def create(rig: Rig, name: str, extents: int = 8, **more: object) -> Operation:
    request = CreateVolume(size=size(extents), name=LvName(name), **more)  # type: ignore[arg-type]
    return lambda group: create_volume(group, request, TARGETS, rig.stamp(), live=rig.live)


def snapshot(rig: Rig, name: str, origin: str) -> Operation:
    def make(group: VolumeGroup) -> Change:
        request = CreateVolume(
            size=size(6), name=LvName(name), origin=group.lv_by_name[origin].id, options=(("snapshot", True),)
        )
        return create_volume(group, request, TARGETS, rig.stamp(), live=rig.live)

    return make


def extend(rig: Rig, name: str, extents: int) -> Operation:
    def make(group: VolumeGroup) -> Change:
        request = ExtendVolume(group.lv_by_name[name].id, size(extents, "+"))
        return extend_volume(group, request, TARGETS, rig.stamp(), live=rig.live)

    return make


def remove(rig: Rig, name: str) -> Operation:
    return lambda group: remove_volume(group, RemoveVolume(group.lv_by_name[name].id), TARGETS, live=rig.live)


def rename(rig: Rig, name: str, new: str) -> Operation:
    return lambda group: rename_volume(
        group, RenameVolume(group.lv_by_name[name].id, LvName(new)), TARGETS, live=rig.live
    )


SCENES: dict[str, tuple[Callable[[Rig], list[Operation]], Callable[[Rig], Operation]]] = {
    "create": (lambda r: [create(r, "other")], lambda r: create(r, "data")),
    "create striped": (lambda r: [], lambda r: create(r, "data", options=(("stripes", 2),))),
    "extend": (lambda r: [create(r, "data")], lambda r: extend(r, "data", 4)),
    "snapshot": (lambda r: [create(r, "data")], lambda r: snapshot(r, "snap", "data")),
    "second snapshot": (
        lambda r: [create(r, "data"), snapshot(r, "snap", "data")],
        lambda r: snapshot(r, "more", "data"),
    ),
    "extend snapshot": (
        lambda r: [create(r, "data"), snapshot(r, "snap", "data")],
        lambda r: extend(r, "snap", 2),
    ),
    "remove": (lambda r: [create(r, "data")], lambda r: remove(r, "data")),
    "remove snapshot": (lambda r: [create(r, "data"), snapshot(r, "snap", "data")], lambda r: remove(r, "snap")),
    "rename": (lambda r: [create(r, "data")], lambda r: rename(r, "data", "better")),
    "rename origin": (
        lambda r: [create(r, "data"), snapshot(r, "snap", "data")],
        lambda r: rename(r, "data", "better"),
    ),
}

scenes = pytest.mark.parametrize("scene", SCENES)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "dev")


def tables(live: dict[str, LiveDevice]) -> dict[str, tuple[str, tuple[str, ...] | None, bool]]:
    """What matters of the kernel's devices: name, live table and whether suspended, by UUID. Numbers may differ."""
    names = {f"{d.major}:{d.minor}": d.uuid for d in live.values()}

    def clean(text: str) -> str:
        return " ".join(names.get(word, word) for word in text.split())

    return {d.uuid: (d.name, tuple(clean(str(line)) for line in d.table or ()), d.suspended) for d in live.values()}


def prepared(rig: Rig, scene: str) -> Operation:
    before, last = SCENES[scene]
    for operation in before(rig):
        rig.do(operation)
    return last(rig)


@scenes
def test_a_plan_makes_what_a_fresh_activation_would_make(rig: Rig, scene: str) -> None:
    """After a change on live devices the kernel has exactly the devices of the new group, none suspended."""
    from vmgr.core.devices import stack

    operation = prepared(rig, scene)
    plan = rig.do(operation)
    group, live = rig.group, rig.live
    assert plan.changes[0].after is not None
    assert group == plan.changes[0].after
    active = [lv.id for lv in group.lvs if lv.visible]
    assert set(live) == {d.uuid for d in stack(group, active, TARGETS, live)}
    assert all(not d.suspended and not d.has_inactive for d in live.values())


def content(group: VolumeGroup) -> VolumeGroup:
    """A group but for how often it has been written."""
    return evolve(group, seqno=0)


@scenes
@pytest.mark.parametrize("kind", [DeviceError, RuntimeError])
def test_a_failure_at_any_step_leaves_the_old_or_the_new_state(rig: Rig, scene: str, kind: type[Exception]) -> None:
    """Until all devices run with their new tables all is undone, the commit too; then what is pending is named.

    Also for a fault of our own: it must not leave a device suspended.
    """
    operation = prepared(rig, scene)
    plan = rig.plan(operation(rig.group))
    saved, old_group, old_live = rig.save(), rig.group, tables(rig.live)
    phases = plan.phases
    until = len(plan.steps) - len(phases.tail)
    for number in range(len(plan.steps)):
        rig.load(saved)

        def fail(step: Step, doomed: Step = plan.steps[number]) -> None:
            if step is doomed:
                raise kind("made to fail")

        with pytest.raises((kind, StoppedHalfway)) as caught:
            rig.run(plan, fail)
        live = rig.live
        assert all(not d.suspended for d in live.values()), number
        if number < until:
            assert caught.type is kind
            assert content(rig.group) == content(old_group)
            if not _removed_before(plan, number):
                assert tables(live) == old_live, number
            assert not any(d.has_inactive for d in live.values())
        else:
            assert caught.type is StoppedHalfway
            assert rig.group == plan.changes[0].after
            assert any(str(plan.steps[number]) in line for line in caught.value.details)
            assert all(d.has_live for d in live.values()), "nothing is left half made"


@pytest.mark.parametrize("scene", ["extend", "snapshot", "second snapshot", "extend snapshot", "remove snapshot"])
def test_a_table_that_the_kernel_refuses_at_resume_changes_nothing(rig: Rig, scene: str) -> None:
    """The kernel drops it, so that another resume would succeed, with the old one: a failure all the same."""
    plan = rig.plan(prepared(rig, scene)(rig.group))
    saved, old_group, old_live = rig.save(), rig.group, tables(rig.live)
    for resume in plan.phases.resumes:
        rig.load(saved)
        device = resume.device  # type: ignore[union-attr]

        def refuse(step: Step, name: str = device.name, resume: Step = resume) -> None:
            if step is resume:
                table = next(d for d in rig.kernel._devices.values() if d.name == name).inactive
                assert table is not None
                table.lines = (KernelLine(Sectors(0), Sectors(8), "linear", "7:1 999999999"),)

        with pytest.raises(VmgrError, match="does not fit"):
            rig.run(plan, refuse)
        assert content(rig.group) == content(old_group)
        assert tables(rig.live) == old_live
        assert not any(d.has_inactive for d in rig.live.values())
        rig.do(create(rig, "afterwards", 1))


def test_metadata_that_cannot_be_taken_back_are_named(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The devices run all the same, on the tables that they had."""
    from vmgr.system.metadata import MetadataStore

    plan = rig.plan(prepared(rig, "extend")(rig.group))
    old_live = tables(rig.live)

    def fail(step: Step) -> None:
        if isinstance(step, Resume):
            monkeypatch.setattr(MetadataStore, "write_text", broken)
            raise DeviceError("made to fail")

    def broken(*_: object) -> None:
        raise DeviceError("no more writes")

    with pytest.raises(StoppedHalfway, match="committed, but its devices run on") as caught:
        rig.run(plan, fail)
    assert any("no more writes" in line for line in caught.value.details)
    assert "vgchange --refresh" in caught.value.hint
    assert tables(rig.live) == old_live


def test_a_fault_while_undoing_leaves_nothing_suspended(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    from vmgr.system.metadata import MetadataStore

    plan = rig.plan(prepared(rig, "second snapshot")(rig.group))
    assert any(isinstance(step, Suspend) for step in plan.steps)

    def fail(step: Step) -> None:
        if isinstance(step, Commit):
            raise DeviceError("made to fail")

    def broken(*_: object) -> None:
        raise OSError(5, "made to fail as well")

    monkeypatch.setattr(MetadataStore, "revert", broken)
    with pytest.raises(DeviceError) as caught:
        rig.run(plan, fail)
    assert any("revert the metadata" in line for line in caught.value.details)
    assert all(not d.suspended for d in rig.live.values())


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_whatever_the_cause_what_could_not_be_undone_is_said(rig: Rig, kind: type[BaseException]) -> None:
    """A device that stays suspended is named, also when it was a fault of our own that began it."""
    plan = rig.plan(prepared(rig, "extend")(rig.group))

    def fail(step: Step) -> None:
        if isinstance(step, Commit):
            rig.kernel.refuses = lambda request: request.command is abi.DEV_SUSPEND
            raise kind

    with pytest.raises(StoppedHalfway, match="could be undone") as caught:
        rig.run(plan, fail)
    assert any("vg-data is left suspended" in line for line in caught.value.details)
    assert "vgchange --refresh" in caught.value.hint


@pytest.mark.parametrize(
    ("scene", "kind", "hint"),
    [("create", Backup, "vgcfgbackup vg"), ("remove snapshot", RemoveDevice, "vmgr dm remove vg-snap")],
)
def test_what_is_pending_is_followed_by_what_does_it(rig: Rig, scene: str, kind: type[Step], hint: str) -> None:
    """A backup file is not repaired by activating, nor is a device that should be gone."""
    plan = rig.plan(prepared(rig, scene)(rig.group))

    def fail(step: Step) -> None:
        if isinstance(step, kind):
            raise DeviceError("made to fail")

    with pytest.raises(StoppedHalfway) as caught:
        rig.run(plan, fail)
    assert hint in caught.value.hint
    assert "activate again" not in caught.value.hint


def _removed_before(plan: Plan, number: int) -> bool:
    """Whether devices that merely go were removed before the failing step: inactive, described as before."""
    from vmgr.core.steps import RemoveDevice

    return any(isinstance(step, RemoveDevice) for step in plan.steps[:number])


@scenes
def test_a_power_cut_at_any_point_leaves_the_old_or_the_new_group(rig: Rig, scene: str) -> None:
    """After a cut the disks hold one of the two groups, whole, that can be activated and changed."""
    plan = rig.plan(prepared(rig, scene)(rig.group))
    saved, old_group = rig.save(), rig.group
    found = []
    for point in itertools.count():
        rig.load(saved)
        if not rig.dies(lambda: rig.run(plan), after=point):
            break
        rig.kernel._devices.clear()  # the machine starts again
        group = rig.group
        assert group in (old_group, plan.changes[0].after), point
        found.append(group == plan.changes[0].after)
        rig.do(lambda g: Change(g, g, activate=tuple(lv.id for lv in g.lvs if lv.visible)))
        rig.do(create(rig, "afterwards", 1))
    assert found == sorted(found)
    assert set(found) == {False, True}


@pytest.mark.parametrize("scene", ["create", "rename", "remove"])
def test_an_interrupt_during_the_commit_does_not_undo_it(
    rig: Rig, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Ctrl-C between two areas waits: the first has the change by then, so the rest is carried out, too."""
    import os
    import signal

    from vmgr.system.metadata import MetadataStore

    plan = rig.plan(prepared(rig, scene)(rig.group))
    write = MetadataStore._write_header
    areas = []

    def interrupted(self: MetadataStore, target: object, header: object) -> None:
        write(self, target, header)  # type: ignore[arg-type]
        areas.append(target)
        if len(areas) == 3:  # two areas precommitted, the first of two committed
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(MetadataStore, "_write_header", interrupted)
    with pytest.raises(StoppedHalfway, match="interrupted"):
        rig.run(plan)
    assert len(areas) == 4
    group, live = rig.group, rig.live
    assert group == plan.changes[0].after
    assert {d.name for d in live.values()} == {f"vg-{lv.name}" for lv in group.lvs}


def test_suspends_enclose_the_commit_and_nothing_else(rig: Rig) -> None:
    """Between the first suspend and the last resume of a suspended device there is only the commit."""
    operation = prepared(rig, "second snapshot")
    steps = rig.plan(operation(rig.group)).steps
    first = next(i for i, s in enumerate(steps) if isinstance(s, Suspend))
    last = max(i for i, s in enumerate(steps) if isinstance(s, Resume) and not s.fresh)
    between = [type(s) for s in steps[first : last + 1]]
    assert set(between) == {Suspend, Commit, Resume}
    assert between.count(Commit) == 1


@scenes
def test_what_lies_on_a_device_is_suspended_before_it_and_resumed_after_it(rig: Rig, scene: str) -> None:
    """I/O in flight above a suspended device would wait for ever, and with it a file system's freeze."""
    operation = prepared(rig, scene)
    plan = rig.plan(operation(rig.group))
    down = [s.device for s in plan.steps if isinstance(s, Suspend)]
    up = [s.device for s in plan.steps if isinstance(s, Resume)]
    for order, sign in ((down, -1), (up, 1)):
        place = {d.uuid: i * sign for i, d in enumerate(order)}
        for device in order:
            assert all(place[need] < place[device.uuid] for need in device.needs() if need in place)


def test_an_extended_store_is_suspended_below_its_snapshot(rig: Rig) -> None:
    """Extending a snapshot reloads its COW device, so the snapshot above is suspended first, then the store."""
    operation = prepared(rig, "extend snapshot")
    names = [s.device.name for s in rig.plan(operation(rig.group)).steps if isinstance(s, Suspend)]
    assert names.index("vg-snap") < names.index("vg-snap-cow")


def test_an_open_volume_is_not_removed(rig: Rig) -> None:
    """A volume that something has open stays, in the kernel and on the disks."""
    rig.do(create(rig, "data"))
    (device,) = rig.kernel._devices.values()
    device.opens = 1
    before, group = tables(rig.live), rig.group
    with pytest.raises(InUse, match="vg/data in use"):
        rig.do(remove(rig, "data"))
    assert (tables(rig.live), rig.group) == (before, group)


def test_devices_of_another_group_are_never_touched(rig: Rig) -> None:
    """A plan names only devices of the group it is for."""
    foreign = f"LVM-{'x' * 64}"
    rig.by_another("else-where", foreign, "zero")
    rig.do(create(rig, "data"))
    plan = rig.do(remove(rig, "data"))
    assert foreign in rig.live
    assert not any("else-where" in str(step) for step in plan.steps)


def test_a_refresh_suspends_and_resumes_without_a_commit(rig: Rig) -> None:
    rig.do(create(rig, "data"))
    rig.do(snapshot(rig, "snap", "data"))
    group, before = rig.group, tables(rig.live)
    plan = rig.do(lambda group: Change(group, group, refresh=tuple(lv.id for lv in group.lvs if lv.visible)))
    assert any(isinstance(step, Suspend) for step in plan.steps)
    assert not any(isinstance(step, Commit) for step in plan.steps)
    assert rig.group == group
    assert tables(rig.live) == before


def cut_short(rig: Rig, operation: Operation, last: type[Step]) -> None:
    """Run a plan up to and with its first step of a kind, as if the machine's vmgr were killed then."""
    plan = rig.plan(operation(rig.group))
    place = next(i for i, step in enumerate(plan.steps) if isinstance(step, last))
    rig.run(Plan((Change(None, None),), plan.steps[: place + 1]))


@pytest.mark.parametrize("last", [LoadTable, Suspend])
@pytest.mark.parametrize("scene", ["extend", "extend snapshot"])
def test_a_table_that_a_killed_command_left_waiting_never_becomes_live(
    rig: Rig, scene: str, last: type[Step]
) -> None:
    """Its change was not committed: the space that it names may be somebody else's by now."""
    from vmgr.core.devices import stack

    rig.do(create(rig, "bystander"))
    cut_short(rig, prepared(rig, scene), last)
    old = tables(rig.live)
    assert rig.heal().told
    assert {u: table for u, (_, table, _) in tables(rig.live).items()} == {
        u: table for u, (_, table, _) in old.items()
    }
    assert not any(d.suspended or d.has_inactive for d in rig.live.values())
    rig.do(create(rig, "more"))
    rig.do(snapshot(rig, "again", "data"))
    wanted = stack(rig.group, [lv.id for lv in rig.group.lvs if lv.visible], TARGETS, rig.live)
    sizes = {d.uuid: int(d.size) for d in wanted}
    assert {u: sum(int(line.length) for line in d.table or ()) for u, d in rig.live.items()} == sizes
    assert not any(d.suspended or d.has_inactive for d in rig.live.values())


def test_a_device_whose_table_was_refused_keeps_nothing_else_from_being_changed(rig: Rig) -> None:
    """Its own activation tries again."""

    def refuse(step: Step) -> None:
        if isinstance(step, LoadTable):
            raise DeviceError("made to fail")

    with pytest.raises(StoppedHalfway):
        rig.run(rig.plan(create(rig, "data", zero=False, wipe_signatures=False)(rig.group)), refuse)
    plan = rig.do(create(rig, "other"))
    assert not any("vg-data" in str(step) for step in plan.steps)
    rig.do(lambda group: Change(group, group, activate=(group.lv_by_name["data"].id,)))
    assert all(d.has_live and not d.suspended for d in rig.live.values())


def test_a_new_volume_that_may_not_be_wiped_is_not_there(rig: Rig) -> None:
    """It would keep somebody's old data. Nothing of it is committed, written or left in the kernel."""
    rig.do(create(rig, "other"))
    group, kernel, disks = rig.group, tables(rig.live), rig.world.content()

    def decline(step: Step) -> None:
        if isinstance(step, WipeVolume):
            raise Interrupted("not wiping")

    with pytest.raises(Interrupted):
        rig.run(rig.plan(create(rig, "data", options=(("stripes", 2),))(group)), decline)
    assert (rig.group, tables(rig.live), rig.world.content()) == (group, kernel, disks)


def test_a_new_volume_is_wiped_before_the_commit_and_shown_after_it(rig: Rig) -> None:
    kinds = [type(step) for step in rig.plan(create(rig, "data")(rig.group)).steps]
    order = [CreateDevice, LoadTable, Resume, WipeVolume, WriteText, Commit, ShowVolume]
    assert [kind for kind in kinds if kind in order] == order


def test_nothing_is_written_before_the_archive(rig: Rig) -> None:
    """A new disk of a group that cannot be archived keeps what is on it."""
    from vmgr.core.change import LabelPv
    from vmgr.core.operations.group import Joining, extend_group
    from vmgr.core.steps import Archive, WriteLabel
    from vmgr.testing.machine import MIB, layout

    new = layout(3, 16 * MIB)
    joining = [Joining(new, "/dev/d3", LabelPv("/dev/d3", new))]
    plan = rig.plan(extend_group(rig.group, joining, TARGETS))
    assert [type(step) for step in plan.steps[:2]] == [Archive, WriteLabel]


def test_what_lies_on_a_device_that_did_not_take_its_message_is_not_made() -> None:
    """A thin volume that the pool never heard of would be made of whatever has its number."""
    pool = DmDevice("vg-pool", "LVM-pool", (TargetLine(Sectors(0), Sectors(8), "thin-pool"),))
    thin = DmDevice("vg-thin", "LVM-thin", (TargetLine(Sectors(0), Sectors(8), "thin", (DevRef(pool.uuid), "1")),))
    done: list[str] = []

    class Devices:
        def __getattr__(self, name: str) -> object:
            return nullcontext if name == "critical" else lambda *_, **__: done.append(name)

        def message(self, device: DmDevice, text: str, unless: str) -> None:
            raise DeviceError("no space for metadata")

    committer = Committer(Devices(), Devices())  # type: ignore[arg-type]
    group = a_group()
    steps = (
        Commit(group),
        SendMessage(pool, "create_thin 1", ""),
        CreateDevice(thin),
        LoadTable(thin, fresh=True),
        Resume(thin, fresh=True),
    )
    with pytest.raises(StoppedHalfway, match="4 of its steps still pending") as caught:
        committer.run(Plan((Change(group, group),), steps))
    assert caught.value.unsent == (pool.uuid,)
    assert not {"create", "load", "resume"} & set(done)
