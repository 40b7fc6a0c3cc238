"""What a scan believes of what it finds: newest intact text, doubles, splits, foreign groups, strangers."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.machine import World, group, uuid
from tests.support.ondisk import TARGETS
from vmgr.core.errors import AmbiguousName, DamagedMetadata, GroupUnusable, NotFound
from vmgr.core.pv import MdaArea
from vmgr.core.units import Bytes
from vmgr.system.config import Config, parse
from vmgr.system.devices import Device
from vmgr.system.scan import Scan
from vmgr.testing.machine import MIB, layout

SIZE = 8 * MIB


def world_of(count: int, *, mdas: int = 1, config: str = "") -> World:
    world = World(count, config=Config([parse(config, "test")], system_dir=""))
    world.label(*(layout(n, SIZE, mdas) for n in range(1, count + 1)))
    return world


# -- choosing -------------------------------------------------------------------------------------


def test_the_newest_text_counts_and_the_older_pv_is_outdated():
    """A PV that missed a change does not decide what the group is."""
    world = world_of(2)
    world.write(group())
    old = bytes(world.disks["/dev/d2"].data)
    world.write(group(seqno=2, lvs=2))
    world.disks["/dev/d2"].data = bytearray(old)
    view = world.view().group("vg")
    assert view.group.seqno == 2
    assert view.outdated == (uuid(2),)
    assert any("ignoring metadata seqno 1 on /dev/d2 for seqno 2" in problem for problem in view.problems)


def test_a_damaged_newest_text_gives_way_to_an_older_intact_one():
    """A text with a wrong checksum is never believed; the older whole one is, and the damage is told."""
    world = world_of(2)
    world.write(group())
    old = bytes(world.disks["/dev/d2"].data)
    world.write(group(seqno=2, lvs=2))
    world.disks["/dev/d2"].data = bytearray(old)
    at = world.disks["/dev/d1"].data.rfind(b"creation_time", 4096, MIB)
    world.disks["/dev/d1"].data[at] ^= 1
    view = world.view()
    assert view.group("vg").group.seqno == 1
    assert view.group("vg").damaged == (uuid(1),)
    assert any("sequence number 2 is damaged" in problem for problem in view.problems)


def test_an_intact_text_that_is_not_understood_is_never_written_over(monkeypatch):
    """A newer text with right checksums that cannot be read makes the group readable and not changeable."""
    from vmgr.system import metadata

    world = world_of(2)
    world.write(group(lvs=1))
    old = bytes(world.disks["/dev/d2"].data)
    plain = metadata.encode_group
    monkeypatch.setattr(
        metadata, "encode_group", lambda *a, **k: plain(*a, **k).replace("extent_size = 64", "extent_size = 0")
    )
    world.write(group(lvs=1, seqno=2))
    world.disks["/dev/d2"].data = bytearray(old)
    view = world.view().group("vg")
    assert view.group.seqno == 1
    with pytest.raises(GroupUnusable, match=r"cannot be understood.*sequence number 2"):
        view.check_changeable()
    assert any("cannot be understood" in problem for problem in world.view().problems)


@pytest.mark.parametrize("what", ["extent_size = 64", "version = 1", 'format = "lvm2"'])
def test_a_group_that_is_there_and_not_understood_is_not_called_missing(what, monkeypatch):
    """Its name is known, so the reason is given; what is written later gets a higher number all the same."""
    from vmgr.system import metadata

    world = world_of(1)
    plain = metadata.encode_group
    odd = what.replace("64", "0").replace("= 1", "= 9").replace("lvm2", "lvm9")
    monkeypatch.setattr(metadata, "encode_group", lambda *a, **k: plain(*a, **k).replace(what, odd))
    world.write(group(pvs=(1,), seqno=7))
    scan = world.scan()
    view = scan.view()
    with pytest.raises(DamagedMetadata, match="cannot be read"):
        view.group("vg")
    (problem,) = view.problems
    assert problem.startswith("intact metadata that cannot be understood: volume group vg, sequence number 7")
    assert scan.seqno_of(group().id) == 7


def test_a_damaged_copy_is_passed_over_for_an_intact_one_of_the_same_text():
    """If the first copy of a text is damaged the next one is read."""
    world = world_of(2, mdas=2)
    new = group(lvs=3)
    world.write(new)
    at = world.disks["/dev/d1"].data.find(b"logical_volumes", 4096, MIB)
    world.disks["/dev/d1"].data[at] ^= 1
    view = world.view().group("vg")
    assert view.group == new
    assert view.damaged == (uuid(1),)


@pytest.mark.parametrize("which", [0, 1])
def test_damage_in_either_copy_of_a_text_is_told(which):
    """Also where it was not needed: the other copy may be the next to go."""
    world = world_of(2)
    new = group(lvs=3)
    world.write(new)
    disk = world.disks[f"/dev/d{which + 1}"]
    disk.data[disk.data.find(b"logical_volumes", 4096, MIB)] ^= 1
    view = world.view().group("vg")
    assert view.group == new
    assert view.damaged == (uuid(which + 1),)
    (problem,) = view.problems
    assert f"/dev/d{which + 1}: the metadata text" in problem


def test_damage_of_a_group_s_only_metadata_area_is_told_by_its_device():
    """Nobody knows the group by then; the healthy one beside it is there, alone, too."""
    world = world_of(2)
    world.write(group("ill", pvs=(1,)))
    world.write(group("fit", pvs=(2,), first=200))
    world.disks["/dev/d1"].data[4096 + 24] ^= 1
    for only in (None, ("fit",)):
        view = world.view(only)
        assert [found.group.name for found in view.groups] == ["fit"]
        (problem,) = view.problems
        assert "/dev/d1: the metadata header at byte 4096 is damaged: its checksum is wrong" in problem


def test_a_metadata_area_behind_the_end_of_its_device_is_told():
    """A label that promises more than there is."""
    world = world_of(2, mdas=2)
    world.write(group())
    world.disks["/dev/d2"].data = world.disks["/dev/d2"].data[: SIZE - MIB + 100]
    view = world.view().group("vg")
    assert view.damaged == (uuid(2),)
    assert any(problem.startswith("volume group vg: /dev/d2: ") for problem in view.problems)


def test_sectors_that_cannot_be_read_are_told_by_their_device():
    """The start of the disk can be read, and its second metadata area not."""
    from vmgr.core.errors import DeviceError

    world = world_of(2, mdas=2)
    world.write(group())
    plain = world.reader.read_many

    def read_many(wants):
        bad = DeviceError("/dev/d2: read of 512 bytes failed: Input/output error")
        return [
            bad if want[0].path == "/dev/d2" and want[1] > MIB else answer
            for want, answer in zip(wants, plain(wants), strict=True)
        ]

    world.reader.read_many = read_many  # type: ignore[method-assign]
    view = world.view().group("vg")
    assert view.damaged == (uuid(2),)
    assert any("/dev/d2: read of 512 bytes failed" in problem for problem in view.problems)


def test_two_halves_changed_apart_are_shown_and_not_changed():
    """Different texts with one sequence number: no guess, no change."""
    world = world_of(2)
    world.write(group())
    before = world.content()
    world.write(group(seqno=2, lvs=1))
    one = bytes(world.disks["/dev/d1"].data)
    for path, disk in world.disks.items():
        disk.data = bytearray(before[path])
    world.write(group(seqno=2, lvs=2))
    world.disks["/dev/d1"].data = bytearray(one)
    view = world.view().group("vg")
    assert "different metadata with one sequence number" in view.unchangeable
    view.check_readable()
    with pytest.raises(GroupUnusable, match="different metadata"):
        view.check_changeable()


def test_no_intact_copy_is_a_problem_and_its_pv_is_not_free():
    """A PV whose only text is damaged is never shown as one that can be taken."""
    world = world_of(1)
    world.write(group(pvs=(1,)))
    at = world.disks["/dev/d1"].data.find(b"physical_volumes", 4096, MIB)
    world.disks["/dev/d1"].data[at] ^= 1
    view = world.view()
    assert view.groups == ()
    assert any("no intact copy" in problem for problem in view.problems)
    (pv,) = view.orphans
    assert (pv.vg_name, pv.unused) == ("vg", False)


def test_a_damaged_header_is_a_problem_and_its_pv_is_not_free_if_marked_used():
    """The label's in-use flag outlives a destroyed metadata area."""
    world = world_of(1)
    world.write(group(pvs=(1,)))
    world.store().mark(group(pvs=(1,)), (uuid(1),), used=True)
    world.disks["/dev/d1"].data[4096:4608] = b"\xee" * 512
    (pv,) = world.view().orphans
    assert pv.mdas[0].problem
    assert not pv.unused


def test_a_missing_pv_is_named_with_its_last_device():
    """The group is there in part, cannot be changed, and says which device to look for."""
    world = world_of(2)
    world.write(group())
    world.disks["/dev/d2"].data[512:1024] = bytes(512)
    view = world.view().group("vg")
    assert view.partial
    assert [pv.id for pv in view.missing] == [uuid(2)]
    assert any("last seen on /dev/d2" in problem for problem in view.problems)
    with pytest.raises(GroupUnusable, match="missing"):
        view.check_changeable()
    view.check_changeable(missing=True)


def test_a_pv_that_was_taken_out_while_away_is_named():
    """A device that comes back with a group's old text is not counted as its member."""
    world = world_of(3)
    world.write(group(pvs=(1, 2, 3)))
    away = bytes(world.disks["/dev/d3"].data)
    world.store().remove_text(group(pvs=(1, 2, 3)), (uuid(3),))
    world.write(group(pvs=(1, 2), seqno=2))
    world.disks["/dev/d3"].data = bytearray(away)
    view = world.view()
    assert set(view.group("vg").pvs) == {uuid(1), uuid(2)}
    assert any(
        "outdated PV /dev/d3 seqno 1 has been removed in current VG vg seqno 2" in problem
        for problem in view.problems
    )
    assert [pv.id for pv in view.group("vg").removed] == [uuid(3)]
    (pv,) = view.orphans
    assert (pv.vg_name, pv.unused) == ("vg", False)


def test_a_pv_that_went_to_another_group_while_one_was_away_stays_there():
    """The old group's text on the device that comes back gives it no right to the other group's device."""
    world = world_of(2)
    world.write(group())
    away = bytes(world.disks["/dev/d1"].data)
    gone = world.disks.pop("/dev/d1")
    world.store().remove_text(group(), (uuid(2),))
    world.write(group("zoo", pvs=(2,), first=200))
    world.disks["/dev/d1"] = gone
    gone.data = bytearray(away)
    for view in (world.view(), world.view(("vg",))):
        old = view.group("vg")
        assert set(old.pvs) == {uuid(1)}
        assert any("/dev/d2 belongs to volume group zoo by now" in problem for problem in old.problems)
        with pytest.raises(GroupUnusable, match="missing"):
            old.check_changeable()
        assert old.outdated == ()
    whole = world.view()
    assert set(whole.group("zoo").pvs) == {uuid(2)}
    assert world.view(("zoo",)).group("zoo").problems == ()


def test_a_pv_without_metadata_area_belongs_by_the_other_pvs_text():
    """``--metadatacopies 0``: the group's text elsewhere says whose it is."""
    world = World(2)
    world.label(layout(1, SIZE), layout(2, SIZE, mdas=0))
    world.write(group())
    view = world.view()
    assert set(view.group("vg").pvs) == {uuid(1), uuid(2)}
    assert view.orphans == ()
    assert view.problems == ()


def test_a_device_smaller_than_its_pv_is_told():
    """A shrunk device is the loss of data to come."""
    world = world_of(1)
    world.write(group(pvs=(1,)))
    world.disks["/dev/d1"].data = world.disks["/dev/d1"].data[: 4 * MIB]
    assert any("fewer than" in problem for problem in world.view().group("vg").problems)


# -- names ----------------------------------------------------------------------------------------


def two_groups(world: World, names: tuple[str, str] = ("one", "two")) -> None:
    world.write(group(names[0], pvs=(1,)))
    world.write(group(names[1], pvs=(2,), first=200))


def test_groups_of_one_name_are_told_apart():
    """Two groups with one name are both there; asking by name is an error that gives their UUIDs."""
    world = world_of(2)
    two_groups(world, ("vg", "vg"))
    view = world.view()
    assert len(view.groups) == 2
    with pytest.raises(AmbiguousName) as caught:
        view.group("vg")
    assert len(caught.value.details) == 2
    assert view.group_by_id(group(first=200).id).group.pvs[0].id == uuid(2)


def test_the_own_group_is_preferred_to_a_foreign_one_of_its_name():
    """Only one of the two is this host's."""
    world = world_of(2)
    world.write(group("vg", pvs=(1,)))
    world.write(evolve(group("vg", pvs=(2,), first=200), system_id="elsewhere"))
    assert world.view().group("vg").group.system_id == ""


def test_an_unknown_name_is_not_found():
    """Asking for a group that is not there says so."""
    with pytest.raises(NotFound):
        world_of(1).view().group("vg")


@pytest.mark.parametrize(("ours", "foreign"), [("here", True), ("elsewhere", False)])
def test_a_foreign_group_is_shown_as_such_and_refused(ours, foreign):
    """A group with another host's system ID is not touched."""
    world = world_of(1, config=f'global/system_id_source="lvmlocal" local/system_id="{ours}"')
    world.write(evolve(group(pvs=(1,)), system_id="elsewhere"))
    view = world.view().group("vg")
    assert view.foreign is foreign
    if foreign:
        with pytest.raises(GroupUnusable, match="another host"):
            view.check_readable()
    else:
        view.check_changeable()


def test_a_host_without_system_id_may_not_use_a_group_that_has_one():
    """No system ID here, one there: foreign."""
    world = world_of(1)
    world.write(evolve(group(pvs=(1,)), system_id="elsewhere"))
    assert world.view().group("vg").foreign


def test_only_the_asked_groups_are_decoded():
    """Of fifty groups, one text is read in full when one is asked for."""
    world = world_of(2)
    two_groups(world)
    scan = world.scan()
    view = scan.view(("two",))
    assert [name for name, _ in view.names] == ["one", "two"]
    assert [found.group.name for found in view.groups] == ["two"]
    assert view.orphans == ()
    assert [text.name for text in scan._texts.values() if text.raw is not None] == ["two"]


def test_every_copy_of_a_text_is_read_once_and_one_is_decoded(monkeypatch):
    """Four areas, one text: each is held against its checksum, as LVM2 does, and one is understood."""
    from vmgr.system import scan

    world = World(2, size=16 * MIB)
    world.label(layout(1, 16 * MIB, 2), layout(2, 16 * MIB, 2))
    for seqno in range(1, 4):
        world.write(group(seqno=seqno, lvs=200))
    decoded = []
    plain = scan.decode_group
    monkeypatch.setattr(scan, "decode_group", lambda *a: decoded.append(a) or plain(*a))
    world.reader.reads.clear()
    world.view()
    assert len(decoded) == 1
    assert sum(1 for _, _, length in world.reader.reads if length > 4096 and length != 128 << 10) <= 4


# -- doubles --------------------------------------------------------------------------------------


def doubled(config: str = "") -> World:
    world = world_of(2, config=config)
    world.write(group())
    double = type(world.disks["/dev/d1"])(Bytes(SIZE), path="/dev/d3", content=bytes(world.disks["/dev/d2"].data))
    world.disks["/dev/d3"] = double
    return world


def test_a_double_is_set_aside_and_the_group_not_changed():
    """A copy of a disk: the device with the recorded name is used, the group is not changeable."""
    view = doubled().view()
    assert view.group("vg").pvs[uuid(2)].device == "/dev/d2"
    assert [pv.device for pv in view.duplicates] == ["/dev/d3"]
    assert any("not using /dev/d3" in problem for problem in view.problems)
    with pytest.raises(GroupUnusable, match="on two devices"):
        view.group("vg").check_changeable()
    with pytest.raises(AmbiguousName):
        view.pv("/dev/d3")


def test_the_double_of_the_right_size_is_preferred():
    """Size goes before name, as in LVM2."""
    world = doubled()
    world.disks["/dev/d2"].data += bytes(MIB)
    assert world.view().group("vg").pvs[uuid(2)].device == "/dev/d3"


def test_lvm_conf_can_allow_changes_with_doubles():
    """``devices/allow_changes_with_duplicate_pvs``: the operator knows what they do."""
    doubled("devices/allow_changes_with_duplicate_pvs=1").view().group("vg").check_changeable()


# -- devices --------------------------------------------------------------------------------------


def test_a_device_that_cannot_be_read_does_not_hide_the_others():
    """One broken disk is a problem; the rest is found."""
    world = world_of(2)
    world.write(group(pvs=(1,)))
    world.disks["/dev/d2"].fail_reads = True
    view = world.view()
    assert view.group("vg").problems == ()
    assert any("/dev/d2" in problem for problem in view.problems)


def test_a_damaged_label_is_told():
    """A label with a wrong checksum makes no PV, and is named among the problems."""
    world = world_of(1)
    world.disks["/dev/d1"].data[540] ^= 1
    view = world.view()
    assert any("label" in problem for problem in view.problems)


@pytest.mark.parametrize(
    ("offset", "content", "reason"),
    [
        (0, b"\xfc\x4e\x2b\xa9", "md component"),
        (4096, b"\xfc\x4e\x2b\xa9", "md component"),
        (0, b"HM\1\0", "LVM1"),
    ],
)
def test_devices_of_others_are_not_physical_volumes(offset, content, reason):
    """Even with a valid label: what belongs to an md array or LVM1 is not used."""
    world = World(1)
    world.label(evolve(layout(1, SIZE), mdas=(MdaArea(Bytes(8192), Bytes(65536)),)))
    world.disks["/dev/d1"].data[offset : offset + len(content)] = content
    scan = world.scan()
    view = scan.view()
    assert (view.orphans, view.others) == ((), ())
    assert [reason in text for text in scan.refused.values()] == [True]


def test_an_md_superblock_at_the_end_is_looked_for_when_the_size_is_odd():
    """md 1.0 and 0.90 leave the label visible on the parts: their size gives them away."""
    world = World(1)
    world.label(evolve(layout(1, SIZE), size=Bytes(SIZE - MIB)))
    world.disks["/dev/d1"].data[SIZE - 8192 : SIZE - 8188] = b"\xfc\x4e\x2b\xa9"
    assert world.view().orphans == ()
    world.config = Config([parse("devices/md_component_detection=0", "test")], system_dir="")
    assert len(world.view().orphans) == 1


def test_a_device_below_the_minimum_size_is_not_used():
    """``devices/pv_min_size``."""
    world = World(1, size=MIB)
    scan = world.scan()
    assert scan.view().others == ()
    assert list(scan.refused.values()) == ["device is too small (pv_min_size)"]


# -- under the lock -------------------------------------------------------------------------------


def test_refresh_sees_a_change_made_since_the_scan():
    """After the lock is taken, what somebody committed in between is read anew; otherwise nothing is."""
    world = world_of(2)
    world.write(group())
    scan = world.scan()
    assert scan.view().group("vg").group.seqno == 1
    assert scan.refresh("vg") is False
    world.write(group(seqno=2, lvs=1))
    assert scan.refresh("vg") is True
    assert scan.view().group("vg").group == group(seqno=2, lvs=1)


def test_refresh_forgives_what_a_scan_saw_in_the_middle_of_a_change():
    """A text that was torn while somebody wrote it is whole under the lock."""
    world = world_of(1)
    world.write(group(pvs=(1,)))
    disk = world.disks["/dev/d1"]
    at = disk.data.find(b"physical_volumes", 4096, MIB)
    disk.data[at] ^= 1
    scan = world.scan()
    assert scan.view().groups == ()
    disk.data[at] ^= 1
    assert scan.refresh("vg") is True
    assert scan.view().group("vg").problems == ()
    assert scan.view().problems == ()


def test_device_objects_are_the_ones_given():
    """A scan looks at the devices that it is given and at no others."""
    world = world_of(2)
    devices = [Device("/dev/d1", -1, 0)]
    view = Scan(world.config, world.scan()._targets, devices=devices, reader=world.reader).view()
    assert [pv.device for pv in view.orphans] == ["/dev/d1"]


def test_a_device_that_is_not_used_is_told_with_the_reason():
    world = world_of(2, config='devices { filter = ["r|d2|"] }')
    with pytest.raises(NotFound, match=r"/dev/d2 is not used: .*devices/filter"):
        world.view().pv("/dev/d2")
    with pytest.raises(NotFound, match="failed to find physical volume"):
        world.view().pv("/dev/d9")


# -- devices that do not answer -------------------------------------------------------------------


def silent_world(*silent: str) -> tuple[World, Scan, list[str]]:
    """``vg`` on the first two disks, ``far`` on the third; a scan in which ``silent`` do not answer."""
    world = world_of(3)
    world.write(group())
    world.write(group("far", pvs=(3,), first=300))
    world.reader.silent = list(silent)
    waits: list[str] = []
    devices = [Device(path, -1, n) for n, path in enumerate(world.disks)]
    return world, Scan(world.config, TARGETS, devices=devices, reader=world.reader, on_wait=waits.append), waits


def test_a_device_that_does_not_answer_is_named_and_hides_nothing_else():
    _, scan, waits = silent_world("/dev/d3")
    view = scan.view()
    assert [found.group.name for found in view.groups] == ["vg"]
    assert any("/dev/d3 has not answered" in problem for problem in view.problems)
    assert view.group("vg").unanswered == ()
    assert [device.device for device in view.others] == []
    assert waits == []


def test_a_group_that_is_whole_without_the_device_does_not_wait_for_it():
    world, scan, waits = silent_world("/dev/d3")
    scan.await_groups(["vg"])
    assert waits == []
    assert world.reader.silent == ["/dev/d3"]
    scan.view().group("vg").check_changeable()


@pytest.mark.parametrize("names", [["far"], ["nowhere"], ["vg", "far"]])
def test_a_device_that_may_hold_a_part_of_a_named_group_is_waited_for(names):
    world, scan, waits = silent_world("/dev/d3")
    scan.await_groups(names)
    assert world.reader.silent == []
    (said,) = waits
    assert "/dev/d3" in said
    assert f"volume group {names[-1]}" in said
    view = scan.view()
    assert [found.group.name for found in view.groups] == ["far", "vg"]
    assert view.problems == ()


def test_the_wait_ends_when_the_group_is_whole():
    world, scan, _ = silent_world("/dev/d2", "/dev/d3")
    scan.await_groups(["vg"])
    assert world.reader.silent == ["/dev/d3"]
    assert not scan.view().group("vg").partial


def test_a_pv_that_may_be_on_a_device_that_does_not_answer_is_not_missing():
    """Nothing is changed, activated or repaired on the strength of silence, whatever is allowed for missing PVs."""
    _, scan, _ = silent_world("/dev/d2")
    view = scan.view().group("vg")
    assert view.unanswered == ("/dev/d2",)
    assert not any("missing" in problem for problem in view.problems)
    for check in (view.check_trusted, view.check_changeable, lambda: view.check_changeable(missing=True)):
        with pytest.raises(GroupUnusable, match="/dev/d2 did not answer"):
            check()


def test_a_pv_that_the_metadata_know_to_be_missing_is_not_waited_for():
    world = world_of(3)
    whole = group()
    gone = evolve(whole.pvs[1], flags=("MISSING",))
    world.write(evolve(whole, pvs=(whole.pvs[0], gone)))
    world.disks["/dev/d2"].data[:] = bytes(SIZE)
    world.reader.silent = ["/dev/d3"]
    waits: list[str] = []
    devices = [Device(path, -1, n) for n, path in enumerate(world.disks)]
    scan = Scan(world.config, TARGETS, devices=devices, reader=world.reader, on_wait=waits.append)
    scan.await_groups(["vg"])
    assert waits == []
    assert scan.view().group("vg").unanswered == ()


def test_a_member_that_stops_answering_after_the_scan_is_waited_for_under_the_lock():
    world, scan, waits = silent_world()
    world.reader.silent = ["/dev/d1"]
    assert scan.refresh("vg")
    assert scan.view().group("vg").unanswered == ("/dev/d1",)
    scan.await_groups(["vg"])
    assert len(waits) == 1
    assert scan.view().group("vg").unanswered == ()
