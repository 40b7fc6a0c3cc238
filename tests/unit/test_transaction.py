"""Changes of several groups that are one: a power cut at any write leaves every volume in one usable group at most.

The next command that changes one of the groups ends what was begun, or says what does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from tests.support.machine import World, uuid
from tests.support.machine import group as make
from tests.support.ondisk import TARGETS
from vmgr.core.change import Change
from vmgr.core.effects import effects
from vmgr.core.errors import DeviceError, GroupUnusable, InUse, NotFound, Refused, StoppedHalfway
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.plan import plan_change, plan_together
from vmgr.core.transaction import arranged, finished, keeper, require_inactive
from vmgr.core.view import GroupView, SystemView
from vmgr.outcome import RunOptions
from vmgr.session import Session
from vmgr.system.config import load
from vmgr.system.locks import Locks
from vmgr.system.metadata import MetadataStore
from vmgr.testing.machine import MIB, layout

SIZE = 8 * MIB


def group(name: str, *pvs: int, seqno: int = 0) -> VolumeGroup:
    """A group with a volume on each of its physical volumes: ``lv1`` on the first disk..."""
    parts = [make(name, pvs=(pv,), lvs=1, first=100 * pv) for pv in pvs]
    lvs = tuple(evolve(lv, name=LvName(f"lv{pv}")) for pv, part in zip(pvs, parts, strict=True) for lv in part.lvs)
    members = tuple(pv for part in parts for pv in part.pvs)
    return evolve(parts[0], id=Uuid(name.ljust(32, "0")), seqno=seqno, pvs=members, lvs=lvs)


def without(group: VolumeGroup, *pvs: int) -> VolumeGroup:
    """A group without these physical volumes and what lies on them."""
    gone = {uuid(pv) for pv in pvs}
    return evolve(
        group,
        pvs=tuple(pv for pv in group.pvs if pv.id not in gone),
        lvs=tuple(lv for lv in group.lvs if not any(area.pv in gone for area in lv.areas())),  # type: ignore[union-attr]
    )


def joined(group: VolumeGroup, other: VolumeGroup) -> VolumeGroup:
    return evolve(group, pvs=(*group.pvs, *other.pvs), lvs=(*group.lvs, *other.lvs))


@frozen
class Scene:
    """Groups as they are, and what the changes make of them (None: nothing), by name."""

    before: tuple[VolumeGroup, ...]
    after: dict[str, Callable[[dict[str, VolumeGroup]], VolumeGroup | None]]


SPLIT = Scene(
    (group("old", 1, 2, 3, 4),),
    {"old": lambda g: without(g["old"], 3, 4), "new": lambda _: group("new", 3, 4)},
)
SCENES = {
    "split": SPLIT,
    "split into a group that is there": Scene(
        (group("old", 1, 2, 3), group("there", 4)),
        {"old": lambda g: without(g["old"], 3), "there": lambda g: joined(g["there"], group("there", 3))},
    ),
    "merge": Scene(
        (group("from", 1, 2), group("to", 3, 4)),
        {"from": lambda _: None, "to": lambda g: joined(g["to"], g["from"])},
    ),
    "merge, names the other way round": Scene(
        (group("zfrom", 1, 2), group("to", 3, 4)),
        {"zfrom": lambda _: None, "to": lambda g: joined(g["to"], g["zfrom"])},
    ),
}


class Machine(World):
    """Four disks with the groups of a scene, and commands on them."""

    def __init__(self, scene: Scene, locks: Path, mdas: tuple[int, ...] = (1, 1, 1, 1)) -> None:
        super().__init__(4)
        self.locks = locks
        self.label(*(layout(n, SIZE, count) for n, count in enumerate(mdas, 1)))
        for one in scene.before:
            self.session().carry_out(
                Change(None, one), None, new_pvs={pv.id: pv for pv in self.view().orphans if pv.id in one.pv_by_id}
            )

    def session(self) -> Session:
        session = Session(RunOptions(use_kernel=False), None, TARGETS)
        session._config = self.config
        session._locks = Locks(str(self.locks))
        session.look = lambda *, detail=False: self.scan()  # type: ignore[method-assign]
        session.store = lambda pvs, *, repair: self.store(pvs.values())  # type: ignore[method-assign]
        return session

    def together(self, scene: Scene) -> None:
        """What the command of a scene does."""
        session = self.session()
        names = [one.name for one in scene.before]
        with session.changing_together(names, new=[name for name in scene.after if name not in names]) as views:
            found = {view.group.name: view for view in views}
            groups = {name: view.group for name, view in found.items()}
            parts: list[tuple[Change, GroupView | None]] = [
                (Change(groups.get(VgName(name)), after(groups)), found.get(VgName(name)))  # type: ignore[arg-type]
                for name, after in scene.after.items()
            ]
            session.carry_out(*parts[0], also=parts[1:])
        session.close()

    def at_every_cut(self, scene: Scene) -> Iterator[int]:
        """The machine after each beginning of the writes of a scene."""
        before = self.content()
        begin = len(self.journal.events)
        self.together(scene)
        events = self.journal.events[begin:]
        for cut in range(len(events) + 1):
            self.restore(before)
            for disk, entry in events[:cut]:
                if entry is not None:
                    disk.data[entry[0] : entry[0] + len(entry[1])] = entry[1]
            yield cut

    def restore(self, content: dict[str, bytes]) -> None:
        for path, data in content.items():
            self.disks[path].data = bytearray(data)

    def texts(self) -> list[VolumeGroup]:
        """The newest text of each group on the disks, whatever is believed of it."""
        scan = self.scan()
        scan.view()
        newest: dict[str, VolumeGroup] = {}
        for text in scan._texts.values():
            if text.places and text.group and text.seqno >= newest.get(text.vgid, text.group).seqno:
                newest[text.vgid] = text.group
        return list(newest.values())


def usable(view: SystemView) -> dict[str, list[str]]:
    """The groups in which each volume could be activated: all its physical volumes are there, and it may be."""
    found: dict[str, list[str]] = {}
    for one in view.groups:
        for lv in one.group.lvs:
            if not one.group.exported and all(area.pv in one.pvs for area in lv.areas()):  # type: ignore[union-attr]
                found.setdefault(lv.id, []).append(one.group.name)
    return found


def shared(groups: list[VolumeGroup]) -> set[Uuid]:
    """Physical volumes that two groups list."""
    lists = [set(one.pv_by_id) for one in groups]
    return {pv for n, one in enumerate(lists) for other in lists[n + 1 :] for pv in one & other}


@pytest.mark.parametrize("mdas", [(1, 1, 1, 1), (2, 2, 2, 2), (1, 0, 0, 1), (1, 0, 1, 0)])
@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_a_cut_leaves_each_volume_in_one_group_and_the_next_command_ends_it(scene, mdas, tmp_path):
    if scene is SCENES["split into a group that is there"] and not all(mdas):
        mdas = (1, 1, 0, 1)  # what goes over has no text of its own
    machine = Machine(scene, tmp_path, mdas)
    volumes = {lv.id for one in scene.before for lv in one.lvs}
    begun = 0
    for _ in machine.at_every_cut(scene):
        view = machine.view()
        found = usable(view)
        assert all(len(names) == 1 for names in found.values())
        hidden = volumes - found.keys()
        assert hidden <= {lv.id for one in view.groups if one.group.exported for lv in one.group.lvs}
        cut = shared(machine.texts())
        begun += bool(cut)
        saved = machine.content()
        for name in [one.group.name for one in view.groups]:
            session = machine.session()
            try:
                with session.changing(name, exported=True) as one:
                    assert not one.begun
                    assert not one.missing
            except NotFound:
                assert cut, "it has gone into the other one"
            assert shared(machine.texts()) == set()
            after = machine.view()
            assert all(len(names) == 1 for names in usable(after).values())
            for left in after.groups:
                assert not left.missing
                assert {pv.vg for pv in left.pvs.values()} == {left.group.id}
            if cut:
                session.close()
                assert machine.content() != saved
            session.close()
            machine.restore(saved)
    assert begun >= 2 or mdas[1] == 0, "one text has taken the other's only place"


@pytest.mark.parametrize("scene", ["split", "merge"])
def test_an_activation_takes_what_is_there_where_nothing_can_be_written(scene, tmp_path, monkeypatch):
    """A change is refused with the reason."""
    machine = Machine(SCENES[scene], tmp_path)
    name = {"split": "old", "merge": "to"}[scene]
    begun = 0
    for _ in machine.at_every_cut(SCENES[scene]):
        (found,) = machine.view((name,)).groups
        if not found.begun:
            continue
        begun += 1
        saved = machine.content()
        session = machine.session()

        def refuse(*_: object, **__: object) -> None:
            raise DeviceError("/dev/d1: read-only")

        session.carry_out = refuse  # type: ignore[method-assign]
        with session.changing(name, activating=True) as view:
            assert view.begun
        with pytest.raises(DeviceError, match="read-only"), session.changing(name):
            pass
        session.close()
        assert machine.content() == saved
    assert begun


def test_a_group_that_is_still_exported_says_what_to_run(tmp_path):
    machine = Machine(SPLIT, tmp_path)
    seen = 0
    for _ in machine.at_every_cut(SPLIT):
        new = [one.group for one in machine.view().groups if one.group.name == "new"]
        if new and new[0].exported:
            session = machine.session()
            with pytest.raises(GroupUnusable, match="is exported") as caught, session.changing("new"):
                pass
            assert "vgimport new" in caught.value.hint
            session.close()
            seen += 1
    assert seen >= 3


def test_without_a_cut_all_is_as_it_was_asked_for(tmp_path):
    machine = Machine(SPLIT, tmp_path)
    machine.together(SPLIT)
    groups = {one.group.name: one.group for one in machine.view().groups}
    assert {name: [lv.name for lv in one.lvs] for name, one in groups.items()} == {
        "old": ["lv1", "lv2"],
        "new": ["lv3", "lv4"],
    }
    assert (groups["old"].seqno, groups["new"].seqno, groups["new"].exported) == (2, 2, False)
    assert machine.view().problems == ()


def test_what_a_split_changes_is_told_as_what_it_is():
    plans = plan_together([plan_change(change, {}, TARGETS) for change in arranged(split_changes())])
    told = [f"{effect.action} {effect.name}" for effect in effects(plans) if effect.kind in ("lv", "vg")]
    assert told == ["created new", "moved new/lv3", "moved new/lv4", "changed old"]


# -- a commit that fails after another ------------------------------------------------------------


def refuse_commit(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    commit = MetadataStore.commit

    def refusing(self: MetadataStore, group: VolumeGroup, first: tuple[Uuid, ...] = ()) -> None:
        if group.name == name:
            raise DeviceError("made to fail")
        commit(self, group, first)

    monkeypatch.setattr(MetadataStore, "commit", refusing)


TAGS = Scene(
    (group("one", 1, 2), group("two", 3, 4)),
    {name: lambda g, name=name: evolve(g[name], tags=("t",)) for name in ("one", "two")},  # type: ignore[misc]
)


def assert_nothing_precommitted(machine: Machine) -> None:
    scan = machine.scan()
    scan.view()
    areas = [area for pv in scan._pvs for area in pv.areas]
    assert areas
    assert all(area.header is None or area.header.precommitted.empty for area in areas)


def test_a_second_commit_that_fails_takes_the_first_back(tmp_path, monkeypatch):
    machine = Machine(TAGS, tmp_path)
    before = machine.texts()
    refuse_commit(monkeypatch, "two")
    with pytest.raises(DeviceError, match="made to fail") as caught:
        machine.together(TAGS)
    assert any("could not commit two" in line for line in caught.value.details)
    assert [evolve(one, seqno=1) for one in machine.texts()] == before
    assert_nothing_precommitted(machine)
    monkeypatch.undo()
    machine.together(TAGS)
    assert [one.tags for one in machine.texts()] == [("t",), ("t",)]


def test_a_first_commit_that_fails_changes_nothing(tmp_path, monkeypatch):
    machine = Machine(TAGS, tmp_path)
    before = machine.texts()
    refuse_commit(monkeypatch, "one")
    with pytest.raises(DeviceError, match="made to fail"):
        machine.together(TAGS)
    assert machine.texts() == before
    assert_nothing_precommitted(machine)


def test_where_physical_volumes_have_changed_hands_what_is_pending_is_named_and_done_next(tmp_path, monkeypatch):
    machine = Machine(SPLIT, tmp_path)
    refuse_commit(monkeypatch, "old")
    with pytest.raises(StoppedHalfway, match="3 of its steps still pending") as caught:
        machine.together(SPLIT)
    assert [line.split(" (")[0] for line in caught.value.details] == [
        "pending: commit old",
        "pending: import new",
        "pending: back up metadata of old",
    ]
    assert "vgck --updatemetadata old; vgimport new; vgcfgbackup old" in caught.value.hint
    assert [one.group.exported for one in machine.view().groups] == [True, False]
    monkeypatch.undo()
    session = machine.session()
    with session.changing("old") as view:
        assert [pv.id for pv in view.group.pvs] == [uuid(1), uuid(2)]
    session.close()


@pytest.mark.parametrize("scene", ["split", "merge"])
def test_what_goes_to_another_group_is_not_discarded(scene, tmp_path, monkeypatch):
    """The volumes on it are the other group's now, with all that is in them."""
    told: list[object] = []
    monkeypatch.setattr("vmgr.system.discards.discard", lambda ranges, *_, **__: told.extend(ranges) or ())
    machine = Machine(SCENES[scene], tmp_path)
    machine.config = load(["devices/issue_discards=1"])
    machine.together(SCENES[scene])
    assert told == []
    session = machine.session()
    with session.changing(machine.view().groups[0].group.name) as view:
        session.carry_out(Change(view.group, evolve(view.group, lvs=())), view)
    session.close()
    assert told, "what is given up is"


# -- the order of the steps -----------------------------------------------------------------------


def plan(*changes: Change) -> list[str]:
    return [str(s) for s in plan_together([plan_change(c, {}, TARGETS) for c in arranged(changes)]).steps]


def split_changes() -> tuple[Change, Change]:
    old = group("old", 1, 2, 3, 4, seqno=7)
    return Change(old, evolve(without(old, 3, 4), seqno=8)), Change(None, group("new", 3, 4, seqno=2))


def test_all_is_prepared_before_the_first_commit_and_the_taker_is_committed_first():
    steps = [step for step in plan(*split_changes()) if not step.startswith("mark")]
    assert steps == [
        "archive metadata of old (seqno 7)",
        "write metadata of new (seqno 1)",
        "precommit new (seqno 1)",
        "write metadata of old (seqno 8)",
        "precommit old (seqno 8)",
        "commit new (seqno 1)",
        "commit old (seqno 8)",
        "import new (seqno 2)",
        "back up metadata of new",
        "back up metadata of old",
    ]


def test_groups_that_share_nothing_are_committed_in_the_order_given():
    one, two = group("one", 1, seqno=3), group("two", 2, seqno=5)
    changes = [Change(g, evolve(g, tags=("t",), seqno=g.seqno + 1)) for g in (two, one)]
    commits = [step for step in plan(*changes) if step.startswith("commit")]
    assert commits == ["commit two (seqno 6)", "commit one (seqno 4)"]


def test_several_changes_of_one_group_are_one():
    one = group("one", 1, 2, seqno=3)
    tagged = evolve(one, tags=("t",))
    (change,) = arranged([Change(one, tagged), Change(tagged, without(tagged, 2))])
    assert (change.before, change.after) == (one, without(tagged, 2))


def test_nothing_is_written_to_what_a_group_hands_over():
    """Its label stays in use, and its text is the other group's."""
    old, new = split_changes()
    giver = next(c for c in arranged([old, new]) if c.before is not None)
    assert giver.handed_over == (uuid(3), uuid(4))
    assert not [s for s in plan(old, new) if s.startswith("remove metadata") or s.endswith("as unused")]


# -- what is refused ------------------------------------------------------------------------------


def test_nothing_is_in_two_groups_afterwards():
    old = group("old", 1, 2)
    with pytest.raises(Refused, match="physical volume /dev/d2 would be in two volume groups, old and new"):
        arranged([Change(old, evolve(old, tags=("t",))), Change(None, group("new", 2))])
    with pytest.raises(Refused, match="logical volume lv2 would be in two volume groups"):
        arranged([Change(old, evolve(old, pvs=old.pvs[:1])), Change(None, group("new", 2))])
    with pytest.raises(Refused, match="two volume groups would be called same"):
        arranged([Change(None, group("same", 1)), Change(None, evolve(group("same", 2), id=Uuid("x" * 32)))])


def test_groups_do_not_take_from_each_other_at_once():
    one, two = group("one", 1, 2), group("two", 3, 4)
    swapped = (joined(without(one, 2), group("one", 3)), joined(without(two, 3), group("two", 2)))
    with pytest.raises(Refused, match="from each other at once"):
        arranged([Change(one, swapped[0]), Change(two, swapped[1])])


def test_a_volume_that_goes_to_another_group_is_inactive():
    old, new = split_changes()
    changes = arranged([old, new])
    assert old.before is not None
    active = dm_uuid(old.before.id, old.before.lv_by_name["lv3"].id)
    with pytest.raises(InUse, match="logical volume old/lv3 must be inactive") as caught:
        require_inactive(changes, {active})
    assert "lvchange -an old/lv3" in caught.value.hint
    require_inactive(changes, {dm_uuid(old.before.id, old.before.lv_by_name["lv1"].id)})


# -- whose physical volumes are, after a cut ------------------------------------------------------


def exported(one: VolumeGroup) -> VolumeGroup:
    return evolve(one, status=("EXPORTED", *one.status))


def test_the_exported_group_has_them_where_the_volumes_are_the_same():
    old, new = group("old", 1, 2, 3), exported(group("new", 3))
    assert keeper(old, new, {}) is keeper(new, old, {}) is new
    change = finished(new, old)
    assert (change.before, change.after) == (old, evolve(without(old, 3), seqno=1))


def test_a_group_that_has_been_written_over_all_of_another_has_swallowed_it():
    part, whole = group("part", 1, 2), joined(group("whole", 3), group("part", 1, 2))
    texts = {uuid(1): {whole.id}, uuid(2): {part.id}}
    assert keeper(part, whole, texts) is keeper(whole, part, texts) is whole
    assert finished(whole, part).before is whole


def test_a_group_that_was_imported_too_early_is_not_swallowed():
    """``vgimport`` between the commits of a split: its text is on all that it has."""
    old, new = group("old", 1, 2, 3), group("new", 2, 3)
    assert keeper(old, new, {uuid(1): {old.id}, uuid(2): {new.id}, uuid(3): {new.id}}) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(group("old", 1, 2), group("new", 3), id="nothing shared"),
        pytest.param(group("old", 1, 2), exported(evolve(group("new", 2), lvs=())), id="a volume would be lost"),
        pytest.param(exported(group("old", 1, 2)), exported(group("new", 2)), id="both exported"),
        pytest.param(group("old", 1, 2), evolve(group("new", 2), lvs=()), id="made anew on a disk that was away"),
        pytest.param(group("old", 1, 2), group("new", 2, 3), id="neither has all of the other"),
    ],
)
def test_whatever_no_transaction_explains_is_left_alone(one, other):
    texts = {uuid(n): {one.id, other.id} for n in (1, 2, 3)}
    assert keeper(one, other, texts) is keeper(other, one, texts) is None
