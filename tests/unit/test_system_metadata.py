"""The writer of metadata: what it leaves on disks when all goes well, on failures, and in a power cut."""

from __future__ import annotations

from itertools import product

import pytest
from attrs import evolve
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.machine import World, group, uuid
from vmgr.core.change import LabelPv
from vmgr.core.errors import DeviceError, GroupUnusable, InUse, NoSpace, Refused
from vmgr.core.exchange import ZeroRange
from vmgr.core.model import ALL_COPIES, PvArea, VolumeGroup
from vmgr.core.units import Extents, Sectors
from vmgr.testing.machine import MIB, layout
from vmgr.testing.memory_disk import MemoryDisk, after_cut, sector_count

SIZE = 8 * MIB


def two_pvs(mdas: int = 1, **more: int) -> World:
    world = World(2)
    world.label(layout(1, SIZE, mdas, **more), layout(2, SIZE, mdas, **more))
    return world


def found(world: World, name: str = "vg") -> VolumeGroup:
    return world.view().group(name).group


# -- all goes well --------------------------------------------------------------------------------


@pytest.mark.parametrize("mdas", [1, 2])
def test_what_is_committed_is_what_a_scan_finds(mdas):
    """Written, precommitted and committed text comes back equal, from every area."""
    world = two_pvs(mdas)
    new = group(lvs=3)
    world.write(new)
    view = world.view().group("vg")
    assert view.group == new
    assert view.problems == ()
    assert [mda.seqno for pv in view.pvs.values() for mda in pv.mdas] == [1] * 2 * mdas


def test_a_precommitted_text_is_not_believed():
    """Until the commit a reader finds the old group."""
    world = two_pvs()
    world.write(group(seqno=1))
    store = world.store()
    store.write_text(group(seqno=2, lvs=1))
    assert found(world).seqno == 1
    store.precommit(group(seqno=2, lvs=1))
    assert found(world).seqno == 1
    assert world.view().problems == ()
    store.commit(group(seqno=2, lvs=1))
    assert found(world).seqno == 2


def test_revert_leaves_the_headers_as_they_were():
    """After a revert the header sectors are byte for byte those from before."""
    world = two_pvs()
    world.write(group())
    before = {path: disk.data[4096:4608] for path, disk in world.disks.items()}
    store = world.store()
    store.write_text(group(seqno=2))
    store.precommit(group(seqno=2))
    store.revert(group(seqno=2))
    assert {path: disk.data[4096:4608] for path, disk in world.disks.items()} == before


def test_many_generations_wrap_around_a_small_ring():
    """In a ring of 16 KiB each of fifty texts in a row is found again after its commit."""
    world = two_pvs(mda_size=16 << 10)
    for seqno in range(1, 51):
        new = group(seqno=seqno, lvs=seqno % 7)
        world.write(new)
        assert found(world) == new


def test_each_step_is_on_the_disk_before_the_call_returns():
    """The last thing that each call does to each disk is a flush."""
    world = two_pvs()
    store = world.store()
    for step in (store.write_text, store.precommit, store.commit):
        step(group())
        assert all(disk.log[-1] is None for disk in world.disks.values())


def test_a_text_that_does_not_fit_changes_nothing():
    """A full metadata area is refused by name before anything is written to any area that is named."""
    world = two_pvs(mda_size=16 << 10)
    world.write(group())
    headers = {path: disk.data[4096:4608] for path, disk in world.disks.items()}
    with pytest.raises(NoSpace):
        world.write(group(seqno=2, lvs=60))
    assert {path: disk.data[4096:4608] for path, disk in world.disks.items()} == headers
    assert found(world).seqno == 1


def test_removing_the_text_makes_orphans():
    """Without a text the PVs belong to no group; their labels stay."""
    world = two_pvs()
    world.write(group())
    world.store().remove_text(group(), (uuid(1), uuid(2)))
    world.store().mark(group(), (uuid(1), uuid(2)), used=False)
    view = world.view()
    assert view.groups == ()
    assert sorted(pv.device for pv in view.orphans) == ["/dev/d1", "/dev/d2"]
    assert all(pv.unused for pv in view.orphans)


def test_marking_sets_the_flag_and_nothing_else():
    """The in-use flag goes into the label; the rest of the label stays."""
    world = two_pvs()
    world.write(group())
    world.store().mark(group(), (uuid(1), uuid(2)), used=True)
    marked = world.view().group("vg").pvs[uuid(1)].layout
    assert marked.used
    world.store().mark(group(), (uuid(1),), used=False)
    assert world.view().group("vg").pvs[uuid(1)].layout == evolve(marked, ext_flags=0)


def test_a_label_replaces_one_in_another_sector_even_without_zeroing():
    """A PV has one label: an old one in another sector goes when the new one is written."""
    world = World(1)
    world.store(()).write_label(LabelPv("/dev/d1", evolve(layout(1, SIZE), label_sector=3)))
    world.disks["/dev/d1"].data[0:4] = b"boot"
    world.store(()).write_label(LabelPv("/dev/d1", layout(2, SIZE), zero=False))
    (pv,) = world.view().orphans
    assert (pv.id, pv.layout.label_sector) == (uuid(2), 1)
    assert world.disks["/dev/d1"].data[0:4] == b"boot"
    assert world.disks["/dev/d1"].data[1536:1544] == bytes(8)


def test_a_wiped_label_is_no_physical_volume():
    """Wiping leaves a device that is no PV, and bytes outside the label alone."""
    world = two_pvs()
    world.disks["/dev/d1"].data[0:4] = b"boot"
    world.store().wipe_label("/dev/d1")
    view = world.view()
    assert [pv.device for pv in view.orphans] == ["/dev/d2"]
    assert [other.device for other in view.others] == ["/dev/d1"]
    assert world.disks["/dev/d1"].data[0:4] == b"boot"


def test_a_label_larger_than_its_device_is_refused():
    """A layout for a longer device is not written."""
    world = World(1)
    before = world.content()
    with pytest.raises(Refused):
        world.label(layout(1, SIZE + MIB))
    assert world.content() == before


def test_zeroing_stays_within_the_granted_space():
    """Exactly the asked sectors are zeroed; more than was granted is refused."""
    world = two_pvs()
    disk = world.disks["/dev/d2"]
    disk.data[MIB:] = b"\xff" * (SIZE - MIB)
    store = world.store()
    area = PvArea(uuid(2), Extents(2), Extents(1))
    store.zero(group(), ZeroRange(area, Sectors(1), Sectors(2)))
    start = MIB + 2 * 64 * 512 + 512
    assert disk.data[start : start + 1024] == bytes(1024)
    assert disk.data[start - 1] == disk.data[start + 1024] == 0xFF
    with pytest.raises(Refused):
        store.zero(group(), ZeroRange(area, Sectors(63), Sectors(2)))


# -- all does not go well -------------------------------------------------------------------------


def test_a_device_that_cannot_be_written_stops_the_change_before_it_counts():
    """A write error before the commit is raised, and the old group is still what everybody sees."""
    world = two_pvs()
    world.write(group())
    store = world.store()
    world.disks["/dev/d2"].fail_writes = True
    with pytest.raises(DeviceError):
        store.write_text(group(seqno=2))
    world.disks["/dev/d2"].fail_writes = False
    store.revert(group(seqno=2))
    assert found(world).seqno == 1
    assert world.view().problems == ()


def test_one_area_with_the_commit_is_enough():
    """If only one copy can be committed the change counts, a warning says so, and the other is seen to be old."""
    world = two_pvs()
    world.write(group())
    store = world.store()
    store.write_text(group(seqno=2))
    store.precommit(group(seqno=2))
    world.disks["/dev/d2"].fail_writes = True
    store.commit(group(seqno=2))
    assert len(store.warnings) == 1
    world.disks["/dev/d2"].fail_writes = False
    view = world.view().group("vg")
    assert view.group.seqno == 2
    assert view.outdated == (uuid(2),)


def test_no_area_with_the_commit_is_an_error():
    """If no copy can be committed the caller hears of it, and the old group stands."""
    world = two_pvs()
    world.write(group())
    store = world.store()
    store.write_text(group(seqno=2))
    store.precommit(group(seqno=2))
    for disk in world.disks.values():
        disk.fail_writes = True
    with pytest.raises(DeviceError):
        store.commit(group(seqno=2))
    for disk in world.disks.values():
        disk.fail_writes = False
    assert found(world).seqno == 1


def test_an_outdated_copy_is_written_with_the_next_change():
    """A copy that missed a change has the next one, and all is well again."""
    world = two_pvs()
    world.write(group())
    store = world.store()
    store.write_text(group(seqno=2))
    store.precommit(group(seqno=2))
    world.disks["/dev/d2"].fail_writes = True
    store.commit(group(seqno=2))
    world.disks["/dev/d2"].fail_writes = False
    world.write(group(seqno=3))
    view = world.view().group("vg")
    assert (view.group.seqno, view.outdated, view.problems) == (3, (), ())


def test_metadata_that_changed_since_the_scan_is_not_overwritten():
    """A writer without a lock in between is noticed; its text is not lost."""
    world = two_pvs()
    world.write(group())
    slow = world.store()
    world.write(group(seqno=2, lvs=1))
    before = world.content()
    with pytest.raises(InUse):
        slow.write_text(group(seqno=2, lvs=2))
    assert world.content() == before


def test_a_device_that_holds_another_pv_by_now_is_not_written_to():
    """Device names move: the label is checked again before the first write."""
    world = two_pvs()
    world.write(group())
    store = world.store()
    one, two = world.disks["/dev/d1"], world.disks["/dev/d2"]
    one.data, two.data = two.data, one.data
    before = world.content()
    with pytest.raises(DeviceError, match="does not hold physical volume"):
        store.write_text(group(seqno=2))
    assert world.content() == before


def in_use(world: World) -> list[bool]:
    """Of each metadata area of the group, by physical volume, whether it is in use."""
    pvs = sorted(world.view().group("vg").pvs.values(), key=lambda pv: pv.device)
    return [not area.ignored for pv in pvs for area in pv.layout.mdas]


def test_of_areas_that_are_all_ignored_one_is_put_into_use():
    """At least one copy must be there (LVM2 ``_vg_adjust_ignored_mdas``)."""
    world = World(1)
    one = layout(1, SIZE, 2)
    world.label(evolve(one, mdas=tuple(evolve(area, ignored=True) for area in one.mdas)))
    world.write(group(pvs=(1,)))
    assert in_use(world) == [True, False]


def test_a_group_without_a_metadata_area_cannot_be_written():
    world = World(1)
    world.label(layout(1, SIZE, mdas=0))
    with pytest.raises(GroupUnusable, match="no metadata area"):
        world.write(group(pvs=(1,)))


def test_as_many_areas_are_in_use_as_the_group_wants():
    """The first of each physical volume before the second of any; the number may exceed what there is."""
    world = two_pvs(2)
    world.write(group())
    assert in_use(world) == [True] * 4
    for seqno, (copies, used) in enumerate(
        [
            (3, [True, True, True, False]),
            (2, [True, False, True, False]),
            (1, [True, False, False, False]),
            (9, [True] * 4),
            (1, [True, False, False, False]),
            (0, [True, False, False, False]),
            (ALL_COPIES, [True] * 4),
        ],
        2,
    ):
        new = evolve(group(seqno=seqno, lvs=1), metadata_copies=copies)
        world.write(new)
        assert in_use(world) == used
        written = evolve(new, metadata_copies=0 if copies == ALL_COPIES else copies)
        assert (found(world), world.view().problems) == (written, ())


def test_ignored_areas_are_left_alone():
    """With one PV's area ignored the text is in the other's, and the first has none."""
    world = World(2)
    one = layout(1, SIZE)
    world.label(evolve(one, mdas=tuple(evolve(area, ignored=True) for area in one.mdas)), layout(2, SIZE))
    before = bytes(world.disks["/dev/d1"].data[4096:MIB])
    world.write(group())
    assert bytes(world.disks["/dev/d1"].data[4096:MIB]) == before
    view = world.view().group("vg")
    assert view.problems == ()
    assert set(view.pvs) == {uuid(1), uuid(2)}


# -- the power fails ------------------------------------------------------------------------------


def _whole_change(world: World, new: VolumeGroup) -> list[tuple[MemoryDisk, tuple[int, bytes] | None]]:
    before = len(world.journal.events)
    world.write(new)
    return world.journal.events[before:]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cut_anywhere_leaves_the_old_or_the_new_group(data):
    """Whatever of the writes since each disk's last flush reached it: a reader finds one of the two groups."""
    world = two_pvs(data.draw(st.sampled_from([1, 2])), mda_size=data.draw(st.sampled_from([16 << 10, MIB - 4096])))
    seqno = 1
    for seqno in range(1, data.draw(st.integers(1, 9)) + 1):
        copies = data.draw(st.sampled_from([0, 0, 1, 2]))
        world.write(evolve(group(seqno=seqno, lvs=data.draw(st.integers(0, 4))), metadata_copies=copies))
    old = found(world)
    start = {disk: bytes(disk.data) for disk in world.disks.values()}
    copies = data.draw(st.sampled_from([0, 1, 2, ALL_COPIES]))
    new = evolve(group(seqno=seqno + 1, lvs=data.draw(st.integers(0, 6))), metadata_copies=copies)
    events = _whole_change(world, new)
    cut = data.draw(st.integers(0, len(events)))
    for disk, before in start.items():
        log = [entry for owner, entry in events[:cut] if owner is disk]
        last = max((n for n, entry in enumerate(log) if entry is None), default=-1)
        loose = [entry for entry in log[last + 1 :] if entry is not None]
        kept = [data.draw(st.integers(0, sector_count(entry))) for entry in loose]
        disk.data = bytearray(after_cut(before, log, kept))
    view = world.view().group("vg")
    new = evolve(new, metadata_copies=0 if copies == ALL_COPIES else copies)
    assert view.group in (old, new)
    if cut == len(events):
        assert view.group == new
    # ... and it can be changed again, after which every copy is as it should be.
    third = group(seqno=view.group.seqno + 1, lvs=1)
    world.write(third)
    assert world.view().group("vg").group == third
    assert world.view().problems == ()


def test_every_cut_with_every_subset_of_loose_writes():
    """On one PV, exhaustively: each write after the last flush there, not there, or half there."""
    for generation in (1, 2, 5):
        world = World(1)
        world.label(layout(1, SIZE, mda_size=16 << 10))
        for seqno in range(1, generation + 1):
            world.write(group(pvs=(1,), seqno=seqno, lvs=3))
        old = found(world)
        (disk,) = world.disks.values()
        before = bytes(disk.data)
        new = group(pvs=(1,), seqno=generation + 1, lvs=4)
        log = [entry for _, entry in _whole_change(world, new)]
        seen = set()
        for cut in range(len(log) + 1):
            last = max((n for n in range(cut) if log[n] is None), default=-1)
            counts = [sector_count(entry) for entry in log[last + 1 : cut]]
            for kept in product(*({0, n // 2, n} for n in counts)):
                disk.data = bytearray(after_cut(before, log[:cut], kept))
                seqno = world.view().group("vg").group.seqno
                assert seqno in (old.seqno, new.seqno)
                seen.add(seqno)
        assert seen == {old.seqno, new.seqno}


def test_a_cut_while_a_group_is_removed_leaves_the_group_or_orphans():
    """The group is there as a whole until its last text is gone."""
    world = two_pvs()
    world.write(group())
    start = {disk: bytes(disk.data) for disk in world.disks.values()}
    before = len(world.journal.events)
    world.store().remove_text(group(), (uuid(1), uuid(2)))
    events = world.journal.events[before:]
    for cut in range(len(events) + 1):
        for disk, content in start.items():
            disk.data = bytearray(after_cut(content, [e for owner, e in events[:cut] if owner is disk], [0]))
        view = world.view()
        if view.groups:
            assert set(view.group("vg").pvs) == {uuid(1), uuid(2)}
        else:
            assert len(view.orphans) == 2


@settings(max_examples=200, deadline=None)
@example(at=2, offset=11, bit=4)
@given(at=st.integers(0, 2), offset=st.integers(0, 4095), bit=st.integers(0, 7))
def test_a_flipped_bit_in_one_copy_never_hides_or_changes_the_group(at, offset, bit):
    """Label, header or text of one PV damaged anywhere: the group is the one on the other PV."""
    world = two_pvs()
    new = group(lvs=4)
    world.write(new)
    base = (0, 4096, 4608)[at]
    size = (2048, 512, 1500)[at]
    world.disks["/dev/d1"].data[base + offset % size] ^= 1 << bit
    assert world.view().group("vg").group == new
