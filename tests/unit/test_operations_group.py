"""Groups: made, extended, reduced, renamed, changed, removed."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.groups import (
    STAMP,
    TARGETS,
    a_group,
    after,
    create,
    grown_groups,
    snapshot_of,
    uuid,
    volume,
)
from vmgr.core.change import LabelPv
from vmgr.core.errors import (
    AlreadyExists,
    GroupUnusable,
    InvalidName,
    NotFound,
    Refused,
    UsageError,
    VmgrError,
)
from vmgr.core.group_requests import ChangeGroup, ChangePv, CreateGroup
from vmgr.core.ids import Tag, VgName
from vmgr.core.model import PvArea, VolumeGroup
from vmgr.core.operations.group import (
    Joining,
    create_group,
    extend_group,
    joined_pv,
    reduce_group,
    remove_group,
    rename_group,
    require_extent_size,
)
from vmgr.core.operations.group_change import change_group, change_pvs, with_extent_size
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import Bytes, Extents, Sectors

MIB = 1 << 20


def a_layout(word: str, mib: int, *mdas: tuple[int, int]) -> PvLayout:
    """A PV of ``mib`` MiB with its data from the first one on."""
    return PvLayout(
        uuid(word),
        Bytes(mib * MIB),
        (DiskArea(Bytes(MIB), Bytes(0)),),
        tuple(MdaArea(Bytes(offset), Bytes(size)) for offset, size in mdas),
    )


def joining(word: str, mib: int = 41, label: bool = False) -> Joining:
    layout = a_layout(word, mib, (4096, MIB - 4096))
    device = f"/dev/{word}"
    return Joining(layout, device, LabelPv(device, layout) if label else None)


# -- making ---------------------------------------------------------------------------------------


def test_a_new_group() -> None:
    change = create_group(VgName("vg"), [joining("x"), joining("y", label=True)], CreateGroup(), TARGETS, STAMP)
    group = after(change)
    assert change.before is None
    assert (group.name, group.extent_size, group.seqno, group.alloc) == ("vg", 8192, 0, "normal")
    assert group.status == ("RESIZEABLE", "READ", "WRITE")
    assert [(pv.device, pv.pe_count, pv.pe_start, pv.status) for pv in group.pvs] == [
        ("/dev/x", 10, 2048, ("ALLOCATABLE",)),
        ("/dev/y", 10, 2048, ("ALLOCATABLE",)),
    ]
    assert [label.device for label in change.labels] == ["/dev/y"]
    assert change.done == ('Volume group "vg" successfully created',)


def test_properties_of_a_new_group() -> None:
    group = after(
        create_group(
            VgName("vg"),
            [joining("x")],
            CreateGroup(
                extent_size=Sectors(256),
                alloc="cling",
                max_lv=5,
                max_pv=6,
                tags=(Tag("t"),),
                metadata_copies=1,
                system_id="here",
                autoactivate=False,
            ),
            TARGETS,
            STAMP,
        )
    )
    assert (group.extent_size, group.alloc, group.max_lv, group.max_pv, group.tags) == (256, "cling", 5, 6, ("t",))
    assert (group.metadata_copies, group.system_id, group.flags) == (1, "here", ("NOAUTOACTIVATE",))
    assert group.extents == 320


def test_groups_that_cannot_be_made() -> None:
    with pytest.raises(UsageError, match="at least one physical volume"):
        create_group(VgName("vg"), [], CreateGroup(), TARGETS, STAMP)
    with pytest.raises(UsageError, match="cannot inherit"):
        create_group(VgName("vg"), [joining("x")], CreateGroup(alloc="inherit"), TARGETS, STAMP)
    with pytest.raises(Refused, match="may have 1 physical volumes"):
        create_group(VgName("vg"), [joining("x"), joining("y")], CreateGroup(max_pv=1), TARGETS, STAMP)
    with pytest.raises(AlreadyExists, match="/dev/x"):
        create_group(VgName("vg"), [joining("x"), joining("x")], CreateGroup(), TARGETS, STAMP)
    with pytest.raises(Refused, match="no room for an extent"):
        create_group(VgName("vg"), [joining("x", 3)], CreateGroup(), TARGETS, STAMP)


def test_extents_end_where_a_second_metadata_area_begins() -> None:
    layout = a_layout("x", 41, (4096, MIB - 4096), (37 * MIB, 4 * MIB))
    assert joined_pv(layout, "/dev/x", Sectors(8192)).pe_count == 9


@pytest.mark.parametrize("sectors", [1, 2, 8, 256, 768, 1024, 8192, 1 << 31])
def test_extent_sizes_that_can_be(sectors: int) -> None:
    require_extent_size(Sectors(sectors))


@pytest.mark.parametrize("sectors", [0, -1, 3, 100, 255, 257, 1000, 1 << 32])
def test_extent_sizes_that_cannot_be(sectors: int) -> None:
    with pytest.raises(Refused):
        require_extent_size(Sectors(sectors))


# -- physical volumes -----------------------------------------------------------------------------


def test_extending_a_group() -> None:
    change = extend_group(a_group(20), [joining("x", label=True)], TARGETS)
    assert [pv.device for pv in after(change).pvs] == ["/dev/pv0", "/dev/x"]
    assert len(change.labels) == 1
    assert change.done == ('Volume group "vg" successfully extended',)


def test_groups_that_cannot_be_extended() -> None:
    with pytest.raises(GroupUnusable, match="not resizeable") as caught:
        extend_group(a_group(20, status=("READ", "WRITE")), [joining("x")], TARGETS)
    assert "vgchange -xy vg" in caught.value.hint
    with pytest.raises(Refused, match="may have 1 physical volumes, and would have 2"):
        extend_group(a_group(20, max_pv=1), [joining("x")], TARGETS)
    with pytest.raises(AlreadyExists):
        extend_group(a_group(20), [joining("pv0")], TARGETS)
    with pytest.raises(UsageError):
        extend_group(a_group(20), [], TARGETS)


def test_reducing_a_group() -> None:
    change = reduce_group(a_group(20, 20), [uuid("pv0")], TARGETS)
    assert [pv.device for pv in after(change).pvs] == ["/dev/pv1"]
    assert change.done == ('Removed "/dev/pv0" from volume group "vg"',)


def test_groups_that_cannot_be_reduced() -> None:
    group = create(a_group(20, 20), "5", "a")
    with pytest.raises(Refused, match='"/dev/pv0" still in use') as caught:
        reduce_group(group, [uuid("pv0")], TARGETS)
    assert caught.value.hint.endswith(": a")
    with pytest.raises(Refused, match='final physical volume "/dev/pv0"'):
        reduce_group(a_group(20), [uuid("pv0")], TARGETS)
    with pytest.raises(NotFound):
        reduce_group(group, [uuid("other")], TARGETS)
    with pytest.raises(UsageError):
        reduce_group(group, [], TARGETS)


def test_a_missing_pv_can_be_dropped_when_that_is_asked_for() -> None:
    group = a_group(20, 20)
    group = evolve(group, pvs=(group.pvs[0], evolve(group.pvs[1], flags=("MISSING",))))
    with pytest.raises(GroupUnusable):
        reduce_group(group, [uuid("pv1")], TARGETS)
    assert not after(reduce_group(group, [uuid("pv1")], TARGETS, missing=True)).partial


def test_attributes_of_a_physical_volume() -> None:
    group = a_group(20)
    off = after(change_pvs(group, (uuid("pv0"),), ChangePv(allocatable=False), TARGETS))
    assert not off.pvs[0].allocatable
    with pytest.raises(VmgrError):
        create(off, "1", "a")
    assert after(change_pvs(off, (uuid("pv0"),), ChangePv(allocatable=True), TARGETS)) == group
    same = change_pvs(group, (uuid("pv0"),), ChangePv(allocatable=True), TARGETS)
    assert not same.changes_metadata
    assert same.notes == ('Physical volume "/dev/pv0" is already allocatable.',)
    tagged = after(change_pvs(group, (uuid("pv0"),), ChangePv(add_tags=(Tag("t"),)), TARGETS))
    assert tagged.pvs[0].tags == ("t",)
    assert after(change_pvs(tagged, (uuid("pv0"),), ChangePv(del_tags=(Tag("t"),)), TARGETS)) == group


# -- removing and renaming ------------------------------------------------------------------------


def test_removing_a_group() -> None:
    change = remove_group(a_group(20))
    assert change.after is None
    assert change.done == ('Volume group "vg" successfully removed',)
    with pytest.raises(Refused, match="still contains 1 logical volume"):
        remove_group(create(a_group(20), "1", "a"))


def test_renaming_a_group() -> None:
    change = rename_group(create(a_group(20), "1", "a"), VgName("other"), TARGETS)
    assert after(change).name == "other"
    assert change.done == ('Volume group "vg" successfully renamed to "other"',)
    with pytest.raises(Refused, match="must differ"):
        rename_group(a_group(20), VgName("vg"), TARGETS)


def test_a_groups_name_that_makes_devices_names_too_long_is_refused() -> None:
    group = create(a_group(20), "1", "n" * 60)
    with pytest.raises(InvalidName):
        rename_group(group, VgName("g" * 65), TARGETS)


# -- attributes -----------------------------------------------------------------------------------


def test_changing_a_group() -> None:
    change = change_group(a_group(20), ChangeGroup(alloc="cling", max_lv=3, max_pv=4, add_tags="t"), TARGETS)
    group = after(change)
    assert (group.alloc, group.max_lv, group.max_pv, group.tags) == ("cling", 3, 4, ("t",))
    assert change.done == ('Volume group "vg" successfully changed',)


def test_resizeable_comes_and_goes_in_its_place() -> None:
    group = after(change_group(a_group(20), ChangeGroup(resizeable=False), TARGETS))
    assert group.status == ("READ", "WRITE")
    assert after(change_group(group, ChangeGroup(resizeable=True), TARGETS)) == a_group(20)


@pytest.mark.parametrize(
    "asked",
    [
        {"resizeable": True},
        {"alloc": "normal"},
        {"autoactivate": True},
        {"system_id": ""},
        {"max_lv": 1},
        {"max_pv": 1},
        {"system_id": "other", "active": True},
        {"new_uuid": True, "active": True},
        {"alloc": "inherit"},
        {"max_lv": -1},
    ],
)
def test_changes_that_are_refused(asked: dict[str, object]) -> None:
    """What is so already, limits below what there is, and what active volumes forbid."""
    group = create(create(a_group(20, 20), "1", "a"), "1", "b")
    active = bool(asked.get("active"))
    asked = {name: value for name, value in asked.items() if name != "active"}
    with pytest.raises((Refused, UsageError)) as caught:
        change_group(group, ChangeGroup(**asked), TARGETS, stamp=STAMP, active=active)  # type: ignore[arg-type]
    assert str(caught.value)


def test_hidden_volumes_do_not_count_towards_the_limit() -> None:
    group = snapshot_of(create(a_group(20), "5", "a"), "a", "2", "s")
    assert after(change_group(group, ChangeGroup(max_lv=2), TARGETS)).max_lv == 2


def test_a_new_uuid() -> None:
    group = after(change_group(a_group(20), ChangeGroup(new_uuid=True), TARGETS, stamp=STAMP))
    assert group.id == STAMP.uuid(0) != uuid("group")


def test_smaller_extents_keep_every_volume_where_it_is() -> None:
    group = create(create(a_group(20, 20), "5", "a"), "6", "b", stripes=2)
    group = snapshot_of(group, "a", "3", "s")
    small = after(change_group(group, ChangeGroup(extent_size=Sectors(2048)), TARGETS))
    assert small.extent_size == 2048
    for lv in group.lvs:
        if not lv.segments[0].body.areas:
            continue
        mine, theirs = lv.segments[0].body.areas[0], volume(small, lv.name).segments[0].body.areas[0]
        assert int(mine.start) * 8192 == int(theirs.start) * 2048
        assert int(mine.length) * 8192 == int(theirs.length) * 2048
    assert after(change_group(small, ChangeGroup(extent_size=Sectors(8192)), TARGETS)) == group


def test_larger_extents_must_fit_what_is_there() -> None:
    group = create(a_group(20), "5", "a")
    with pytest.raises(Refused, match="not a whole number of extents"):
        change_group(group, ChangeGroup(extent_size=Sectors(16384)), TARGETS)
    with pytest.raises(Refused):
        change_group(group, ChangeGroup(extent_size=Sectors(1000)), TARGETS)
    with pytest.raises(GroupUnusable, match="not resizeable"):
        change_group(evolve(group, status=("READ", "WRITE")), ChangeGroup(extent_size=Sectors(4096)), TARGETS)
    same = change_group(group, ChangeGroup(extent_size=Sectors(8192)), TARGETS)
    assert not same.changes_metadata
    assert same.notes == ("Physical extent size of VG vg is already 4.00 MiB.",)


@given(grown_groups(), st.sampled_from((1024, 2048, 4096)))
def test_another_extent_size_moves_no_sector(group: VolumeGroup, size: int) -> None:
    """There and back again gives the same group."""
    there = with_extent_size(group, Sectors(size))
    sectors = {
        (a.pv, int(a.start) * int(g.extent_size), int(a.length) * int(g.extent_size))
        for g in (group, there)
        for lv in g.lvs
        for a in lv.areas()
        if isinstance(a, PvArea)
    }
    assert len(sectors) == sum(1 for lv in group.lvs for a in lv.areas() if isinstance(a, PvArea))
    assert with_extent_size(there, group.extent_size) == group
    assert there.free == Extents(int(group.free) * (8192 // size))
