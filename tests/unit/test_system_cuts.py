"""A power cut between two writes of any change of a group: one group, one name; the next change puts all in order.

Every write, labels included, is a point where the power fails. The writes themselves are cut elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.machine import World, group, uuid
from tests.support.ondisk import TARGETS
from vmgr.core.change import Change, LabelPv
from vmgr.core.errors import DeviceError, NotFound, Refused
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import VolumeGroup
from vmgr.core.view import GroupView, SystemView
from vmgr.outcome import RunOptions
from vmgr.services.groups import rename
from vmgr.services.members import reduce
from vmgr.session import Session
from vmgr.system.locks import Locks
from vmgr.testing.machine import MIB, layout

SIZE = 8 * MIB
ALL = (1, 2, 3)
VG = group(pvs=ALL).id


class Machine(World):
    """Three disks whose changes go the way that a command's go."""

    def __init__(self, mdas: int = 1) -> None:
        super().__init__(3)
        self.label(*(layout(n, SIZE, mdas) for n in ALL))

    def change(self, make: Callable[[VolumeGroup], Change]) -> None:
        """Carry out a change of the group as it is found."""
        view = next((view for view in self.view().groups if view.group.id == VG), None)
        self.carry_out(make(view.group if view is not None else group()), view)

    def carry_out(self, change: Change, view: GroupView | None) -> None:
        """Carry out a change; PVs that join are those on the disks."""
        session = Session(RunOptions(use_kernel=False), None, TARGETS)
        session._config = self.config
        session.store = lambda pvs, *, repair: self.store(pvs.values())  # type: ignore[method-assign,assignment]
        joining = {pv.id: pv for pv in self.view().orphans}
        session.carry_out(change, view, new_pvs=joining)

    def at_every_cut(self, make: Callable[[VolumeGroup], Change]):
        """The machine after each beginning of the writes of a change."""
        before = self.content()
        begin = len(self.journal.events)
        self.change(make)
        events = self.journal.events[begin:]
        done = self.content()
        for cut in range(len(events) + 1):
            for path, disk in self.disks.items():
                disk.data = bytearray(before[path])
            for disk, entry in events[:cut]:
                if entry is not None:
                    disk.data[entry[0] : entry[0] + len(entry[1])] = entry[1]
            yield cut
        assert self.content() == done


def the_group(view: SystemView) -> GroupView:
    """The only group; it is there once by name, by UUID and by content."""
    (found,) = view.groups
    assert view.names == ((found.group.name, found.group.id),)
    return found


def in_order(machine: Machine, members: tuple[int, ...]) -> VolumeGroup:
    """After a change of the group: every copy is the same and nothing is said."""
    machine.change(lambda g: Change(g, evolve(g, seqno=g.seqno + 1)))
    view = machine.view()
    found = the_group(view)
    assert view.problems == ()
    assert set(found.pvs) == {uuid(n) for n in members} == set(found.group.pv_by_id)
    for pv in found.pvs.values():
        assert pv.layout.used
        assert [mda.seqno for mda in pv.mdas] == [found.group.seqno] * len(pv.mdas)
    for pv in view.orphans:
        assert pv.unused
    return found.group


@pytest.mark.parametrize("mdas", [1, 2])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda g: evolve(g, name=VgName("other")), id="vgrename"),
        pytest.param(lambda g: evolve(g, id=Uuid("n" * 32)), id="vgchange --uuid"),
        pytest.param(lambda g: evolve(g, tags=("t",)), id="vgchange --addtag"),
        pytest.param(lambda g: evolve(g, lvs=g.lvs[:1]), id="lvremove"),
    ],
)
def test_a_cut_leaves_one_group_with_all_its_physical_volumes(change, mdas, monkeypatch):
    """The newest text decides, also about the name and the UUID; nothing is missing."""
    machine = Machine(mdas)
    machine.change(lambda _: Change(None, group(pvs=ALL, lvs=2)))
    before = the_group(machine.view()).group
    after = evolve(change(before), seqno=before.seqno + 1)
    seen = set()
    for _ in machine.at_every_cut(lambda g: Change(g, change(g))):
        found = the_group(machine.view())
        assert found.group in (before, after)
        assert not found.missing
        seen.add(found.group.seqno)
        by_name = machine.view((found.group.name,))
        assert [view.group for view in by_name.groups] == [found.group]
        monkeypatch.setattr("tests.unit.test_system_cuts.VG", found.group.id)
        saved = machine.content()
        assert in_order(machine, ALL).name == found.group.name
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)
        monkeypatch.undo()
    assert len(seen) == 2


def test_a_cut_while_a_physical_volume_leaves_never_lets_it_come_back():
    """Until the commit it is a member; afterwards it is cleared by the next change."""
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL)))
    kept = (1, 2)
    for _ in machine.at_every_cut(lambda g: Change(g, evolve(g, pvs=g.pvs[:2]))):
        found = the_group(machine.view()).group
        saved = machine.content()
        in_order(machine, ALL if uuid(3) in found.pv_by_id else kept)
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)


@pytest.mark.parametrize("words", [{"devices": ("/dev/d3",)}, {"all_unused": True}], ids=["named", "all unused"])
def test_a_removal_of_a_physical_volume_that_is_given_again_is_carried_through(words, tmp_path):
    """As long as the PV still holds the older text that would bring it back to LVM2's lists."""
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL)))
    (one,), (two,) = (group(pvs=(n,), lvs=1, first=100 * n).lvs for n in (1, 2))
    machine.change(lambda g: Change(g, evolve(g, lvs=(one, evolve(two, name=LvName("lv1"))))))
    begun = gone = 0
    for _ in machine.at_every_cut(lambda g: Change(g, evolve(g, pvs=g.pvs[:2]))):
        found = the_group(machine.view())
        begun += bool(found.removed)
        saved = machine.content()
        session = command_on(machine, tmp_path)
        if uuid(3) in found.group.pv_by_id or found.removed:
            (done,) = reduce(session, "vg", **words).done
            assert done == 'Removed "/dev/d3" from volume group "vg"'
        else:
            gone += 1
            with pytest.raises((NotFound, Refused)):
                reduce(session, "vg", **words)
        session.close()
        view = machine.view()
        left = the_group(view)
        assert not left.removed
        assert set(left.group.pv_by_id) == {uuid(1), uuid(2)}
        assert [(pv.id, pv.unused) for pv in view.orphans] == [(uuid(3), True)]
        assert view.problems == ()
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)
    assert begun >= 2
    assert gone


def test_a_cut_while_a_physical_volume_joins_leaves_it_free_or_a_member():
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=(1, 2))))
    whole = group(pvs=ALL)
    for _ in machine.at_every_cut(lambda g: Change(g, evolve(g, pvs=whole.pvs))):
        found = the_group(machine.view()).group
        saved = machine.content()
        in_order(machine, ALL if uuid(3) in found.pv_by_id else (1, 2))
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)


def test_a_cut_while_a_group_is_made_where_another_was_leaves_nothing_or_the_new_one():
    """The areas still hold the bytes of the group that was removed; they name nothing."""
    machine = Machine()
    machine.change(lambda _: Change(None, group("old", pvs=ALL, lvs=3, first=200)))
    old = machine.view().group("old")
    machine.carry_out(Change(old.group, None), old)
    labels = tuple(LabelPv(f"/dev/d{n}", layout(n, SIZE)) for n in ALL)
    for _ in machine.at_every_cut(lambda _: Change(None, group(pvs=ALL), labels=labels)):
        view = machine.view()
        assert {name for name, _ in view.names} <= {"vg"}
        if not view.groups:
            assert all(pv.unused for pv in view.orphans)
            continue
        saved = machine.content()
        in_order(machine, ALL)
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)


def test_a_cut_while_a_group_is_removed_leaves_it_whole_or_gone():
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL)))
    for _ in machine.at_every_cut(lambda g: Change(g, None)):
        view = machine.view()
        if not view.groups:
            assert all(pv.unused for pv in view.orphans)
        else:
            assert not the_group(view).missing
            saved = machine.content()
            in_order(machine, ALL)
            for path, data in saved.items():
                machine.disks[path].data = bytearray(data)


# -- physical volumes that were away ---------------------------------------------------------------


def away_and_back(changes: Callable[[Machine], None]) -> Machine:
    """The third PV is away while the group loses it and ``changes`` are made, and is back then."""
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL)))
    hidden = machine.disks.pop("/dev/d3")
    view = the_group(machine.view())
    machine.carry_out(Change(view.group, evolve(view.group, pvs=view.group.pvs[:2])), view)
    changes(machine)
    machine.disks["/dev/d3"] = hidden
    return machine


def test_an_outdated_pv_is_no_member_and_the_next_change_clears_it():
    machine = away_and_back(lambda m: m.change(lambda g: Change(g, evolve(g, tags=("t",)))))
    view = machine.view()
    found = the_group(view)
    assert set(found.pvs) == {uuid(1), uuid(2)}
    assert [pv.id for pv in found.removed] == [uuid(3)]
    in_order(machine, (1, 2))
    (free,) = machine.view().orphans
    assert free.unused
    assert free.mdas[0].seqno is None


def test_an_outdated_pv_does_not_bring_back_a_removed_group():
    """At whatever write the removal is cut: the third PV never makes the group what it was."""
    machine = away_and_back(lambda _: None)
    for _ in machine.at_every_cut(lambda g: Change(g, None)):
        view = machine.view()
        for found in view.groups:
            assert set(found.group.pv_by_id) == {uuid(1), uuid(2)}
    assert machine.view().groups == ()
    assert all(pv.unused for pv in machine.view().orphans)


def test_an_outdated_pv_that_cannot_be_written_is_a_warning():
    machine = away_and_back(lambda _: None)
    machine.disks["/dev/d3"].fail_writes = True
    view = the_group(machine.view())
    machine.change(lambda g: Change(g, evolve(g, tags=("t",))))
    assert the_group(machine.view()).group.tags == ("t",)
    assert [pv.id for pv in the_group(machine.view()).removed] == [pv.id for pv in view.removed]


def test_old_labels_are_brought_up_to_date_with_the_next_change():
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL)))
    for n, fields in ((1, {"ext_version": 1}), (2, {"ext_flags": 0})):
        from vmgr.ondisk.label import encode_label

        old = evolve(layout(n, SIZE), **{"ext_version": 2, "ext_flags": 1, **fields})
        machine.disks[f"/dev/d{n}"].data[512:1024] = encode_label(old)
    found = the_group(machine.view())
    assert found.relabel == (uuid(1), uuid(2))
    assert any("/dev/d1 in VG vg is using an old PV header" in problem for problem in found.problems)
    assert any("/dev/d2 in VG vg is missing the used flag" in problem for problem in found.problems)
    in_order(machine, ALL)


# -- a rename that is given again ------------------------------------------------------------------


def command_on(machine: Machine, tmp_path: Path) -> Session:
    """The session of a command on this machine, with real locks."""
    session = Session(RunOptions(use_kernel=False), None, TARGETS)
    session._config = machine.config
    session._locks = Locks(str(tmp_path))
    session.look = lambda *, detail=False: machine.scan()  # type: ignore[method-assign]
    session.store = lambda pvs, *, repair: machine.store(pvs.values())  # type: ignore[method-assign,assignment]
    return session


def renamed(g: VolumeGroup) -> Change:
    return Change(g, evolve(g, name=VgName("new")))


def names_on_disks(machine: Machine) -> set[str]:
    return {text.name for text in machine.scan()._texts.values() if text.places}


def test_a_rename_given_again_after_a_cut_ends_well_while_a_disk_has_the_old_name(tmp_path):
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL, lvs=2)))
    between = 0
    for _ in machine.at_every_cut(renamed):
        found = the_group(machine.view())
        assert found.former == (("vg",) if names_on_disks(machine) == {"vg", "new"} else ())
        saved = machine.content()
        session = command_on(machine, tmp_path)
        if found.group.name == "vg" or found.former:
            between += bool(found.former)
            (done,) = rename(session, "vg", "new").done
            assert "successfully renamed" in done
        else:
            with pytest.raises(NotFound, match='"vg" not found'):
                rename(session, "vg", "new")
        session.close()
        assert names_on_disks(machine) == {"new"}
        assert the_group(machine.view()).problems == ()
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)
    assert between >= 2


def test_the_next_activation_gives_all_disks_of_a_group_one_name(tmp_path):
    """LVM2 takes a group whose disks have two names for two groups that each miss some."""
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL, lvs=2)))
    for _ in machine.at_every_cut(renamed):
        name = the_group(machine.view()).group.name
        before = the_group(machine.view())
        saved = machine.content()
        session = command_on(machine, tmp_path)
        with session.changing(name, activating=True) as view:
            assert view.group == evolve(before.group, seqno=before.group.seqno + bool(before.former))
            assert names_on_disks(machine) == {name}
        session.close()
        assert before.former or machine.content() == saved, "else activating writes nothing"
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)


@pytest.mark.parametrize("mode", ["test", "disk", "no lock"])
def test_where_nothing_may_be_written_a_group_with_two_names_is_activated_all_the_same(mode, tmp_path):
    machine = Machine()
    machine.change(lambda _: Change(None, group(pvs=ALL, lvs=2)))
    for _ in machine.at_every_cut(renamed):
        if not the_group(machine.view()).former:
            continue
        saved = machine.content()
        session = command_on(machine, tmp_path)
        if mode == "disk":

            def refuse(*_: object, **__: object) -> None:
                raise DeviceError("/dev/d1: read-only")

            session.carry_out = refuse  # type: ignore[method-assign]
        else:
            no_lock = mode == "no lock"
            session._options = RunOptions(use_kernel=False, test=not no_lock, ignore_lock_failure=no_lock)
        with session.changing("new", activating=True) as view:
            assert view.former == ("vg",)
        session.close()
        assert machine.content() == saved


@pytest.mark.parametrize("old", ["aaa", "zzz"], ids=["comes first", "comes last"])
@pytest.mark.parametrize("activating", [True, False])
def test_a_group_with_two_names_is_written_under_the_locks_of_both(old, activating, tmp_path, monkeypatch):
    """Taken in the order of the names, so that two commands never wait for each other."""
    machine = Machine()
    machine.change(lambda _: Change(None, group(old, pvs=ALL, lvs=2)))
    taken: list[str] = []
    take = Locks.group

    def note(locks: Locks, name: str, **more: bool) -> object:
        held = [one for one in (old, "new") if locks.holds(one)]
        assert all(one <= name for one in held), f"{name} is taken while {held} are held"
        taken.append(name)
        return take(locks, name, **more)

    monkeypatch.setattr(Locks, "group", note)
    written = 0
    for _ in machine.at_every_cut(renamed):
        found = the_group(machine.view())
        if not found.former:
            continue
        saved = machine.content()
        session = command_on(machine, tmp_path)
        store = session.store

        def checked(pvs: object, *, repair: bool, session: Session = session, store: Callable[..., object] = store):
            assert session.locks.holds(old, exclusive=True)
            assert session.locks.holds("new", exclusive=True)
            return store(pvs, repair=repair)

        session.store = checked  # type: ignore[method-assign,assignment]
        taken.clear()
        with session.changing("new", activating=activating):
            assert names_on_disks(machine) == {"new"}
            assert sorted(taken[1:]) == taken[1:] == sorted([old, "new"])
            written += 1
        session.close()
        for path, data in saved.items():
            machine.disks[path].data = bytearray(data)
    assert written >= 2
