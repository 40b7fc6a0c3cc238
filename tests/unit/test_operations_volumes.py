"""Creating, extending, reducing, removing and renaming volumes: what comes out, what is said, what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tests.support.groups import (
    STAMP,
    TARGETS,
    a_group,
    after,
    create,
    creation,
    extend,
    extension,
    places,
    pv_list,
    reduce,
    reduction,
    remove,
    rename,
    snapshot_of,
    uuid,
    volume,
)
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Wipe
from vmgr.core.errors import (
    EXIT_FAILED,
    AlreadyExists,
    GroupUnusable,
    InvalidName,
    NoSpace,
    NotFound,
    Refused,
    UsageError,
    VmgrError,
)
from vmgr.core.ids import LvName, Tag, VgName
from vmgr.core.model import LogicalVolume, Segment, UnknownBody, VolumeGroup
from vmgr.core.operations.checks import next_name, require_changeable
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume, resize_volume, shrinks
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import removal_set, remove_volume
from vmgr.core.operations.sizing import physical_extents
from vmgr.core.requests import CreateVolume, ExtendVolume, ReduceVolume, RemoveVolume, ResizeVolume
from vmgr.core.sizes import MAX_EXTENTS, parse_extents, parse_size
from vmgr.core.units import Extents, Sectors

# -- creating -------------------------------------------------------------------------------------


def test_a_new_volume_is_activated_wiped_and_announced() -> None:
    change = creation(a_group(20), "10", "a")
    lv = volume(after(change), "a")
    assert change.before == a_group(20)
    assert (lv.status, lv.flags, lv.alloc, lv.size) == (("READ", "WRITE", "VISIBLE"), (), "inherit", 10)
    assert (lv.created, lv.host) == (1_700_000_000, "host")
    assert change.activate == (lv.id,)
    assert change.wipe == (Wipe(lv.id, zero=True, signatures=True),)
    assert change.done == ('Logical volume "a" created.',)
    assert change.notes == ()


def test_an_operation_leaves_the_sequence_number_alone() -> None:
    """Counting is for whoever commits, once for a change."""
    assert after(creation(a_group(20), "10", "a")).seqno == 1


def test_the_same_stamp_makes_the_same_group() -> None:
    assert creation(a_group(20), "10", "a") == creation(a_group(20), "10", "a")


def test_an_inactive_volume_is_not_wiped() -> None:
    """There is no device to wipe, and the user is told."""
    change = creation(a_group(20), "10", "a", activate=False)
    assert (change.activate, change.wipe) == ((), ())
    assert change.notes == ("WARNING: Logical volume vg/a not zeroed.",)


def test_a_volume_marked_to_be_skipped_stays_inactive() -> None:
    change = creation(a_group(20), "10", "a", activation_skip=True)
    assert volume(after(change), "a").flags == ("ACTIVATION_SKIP",)
    assert (change.activate, change.wipe) == ((), ())


def test_a_read_only_volume_is_not_wiped() -> None:
    change = creation(a_group(20), "10", "a", read_only=True)
    assert volume(after(change), "a").status == ("READ", "VISIBLE")
    assert change.activate
    assert change.wipe == ()


def test_wiping_can_be_asked_for_in_parts() -> None:
    change = creation(a_group(20), "10", "a", zero=False)
    assert change.wipe == (Wipe(change.activate[0], zero=False, signatures=True),)
    assert change.notes == ("WARNING: Logical volume vg/a not zeroed.",)
    assert creation(a_group(20), "10", "a", zero=False, wipe_signatures=False).wipe == ()


def test_properties_of_a_new_volume() -> None:
    change = creation(
        a_group(20),
        "10",
        "a",
        tags=(Tag("x"), Tag("y"), Tag("x")),
        numbers=(253, 7),
        read_ahead=256,
        autoactivate=False,
        alloc="contiguous",
    )
    lv = volume(after(change), "a")
    assert lv.tags == ("x", "y")
    assert lv.status == ("READ", "WRITE", "FIXED_MINOR", "VISIBLE")
    assert (lv.major, lv.minor, lv.read_ahead, lv.alloc) == (0, 7, 256, "contiguous")
    assert lv.flags == ("NOAUTOACTIVATE",)
    assert volume(create(a_group(20), "1", "a", read_ahead=-1), "a").read_ahead is None


def test_sizes_are_rounded_up_to_whole_extents_and_that_is_said() -> None:
    request = CreateVolume(size=parse_size("5m"), name=LvName("a"))
    change = create_volume(a_group(20), request, TARGETS, STAMP)
    assert volume(after(change), "a").size == 2
    assert change.notes == ("Rounding up size to full physical extent 8.00 MiB",)


def test_stripes_are_rounded_up_and_that_is_said() -> None:
    change = creation(a_group(20, 20), "5", "a", stripes=2)
    assert volume(after(change), "a").size == 6
    assert any("20.00 MiB (5 extents) up to stripe boundary size 24.00 MiB (6 extents)" in n for n in change.notes)


@pytest.mark.parametrize(
    ("size", "pvs", "extents"),
    [
        ("100%FREE", (), 30),
        ("50%FREE", (), 15),
        ("50%VG", (), 20),
        ("100%VG", (), 30),
        ("100%PVS", (), 30),
        ("100%PVS", ("pv1",), 20),
        ("100%PVS", ("pv1:0-9",), 10),
        ("7%FREE", (), 2),
    ],
)
def test_percentages_of_a_new_volume(size: str, pvs: tuple[str, ...], extents: int) -> None:
    """Of 40 extents 10 are in use; percentages are rounded down, and what is there is enough."""
    group = create(a_group(20, 20), "10", "a")
    assert volume(create(group, size, "b", pvs=pvs), "b").size == extents


def test_too_much_of_the_group_is_cut_to_what_is_free_and_that_is_said() -> None:
    group = create(a_group(40), "10", "a")
    change = creation(group, "100%VG", "b")
    assert change.notes == ("Reducing 100%VG to remaining free space 120.00 MiB in VG.",)


def test_all_free_space_in_stripes_takes_what_fits_side_by_side() -> None:
    change = creation(a_group(20, 7), "100%FREE", "a", stripes=2)
    assert places(after(change), "a") == [["pv0:0+7", "pv1:0+7"]]
    assert any("Rounding size (27 extents) down to stripe boundary size (26 extents)" in n for n in change.notes)


def test_a_percentage_for_several_needs_takes_the_most_that_fits() -> None:
    """A pair needs its size twice and an extent for the log: 9 of 20 extents on each PV... of two with 10."""
    group = create(a_group(10, 10), "100%FREE", "a", type="pair", options=())
    assert volume(group, "a").size == 9
    assert volume(group, "a_log").size == 1


def test_no_percentage_of_nothing() -> None:
    with pytest.raises(Refused, match="0 extents"):
        create(create(a_group(20), "20", "a"), "100%FREE", "b")
    with pytest.raises(Refused, match="0 extents"):
        create(a_group(20), "1%VG", "a")


@pytest.mark.parametrize("size", ["50%LV", "50%ORIGIN"])
def test_percentages_that_mean_nothing_for_a_new_volume(size: str) -> None:
    with pytest.raises(Refused):
        create(a_group(20), size, "a")


def test_names_are_found_as_lvm2_finds_them() -> None:
    """One more than the highest number after ``lvol``, also where more follows; never a gap."""
    group = a_group(100)
    for name in (None, None, "lvol7", "other", "lvol3x"):
        group = create(group, "1", name)
    assert [lv.name for lv in group.lvs] == ["lvol0", "lvol1", "lvol7", "other", "lvol3x"]
    assert next_name(group) == "lvol8"
    assert next_name(create(group, "1", "lvol12tail")) == "lvol13"


def test_new_volumes_come_before_hidden_ones() -> None:
    """LVM2 writes visible volumes first, so that is the order of a group."""
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    group = create(group, "4", "b")
    assert [lv.name for lv in group.lvs] == ["pair", "b", "pair_leg_0", "pair_leg_1", "pair_log"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("a", AlreadyExists),
        ("snapshot1", InvalidName),
        ("pvmove0", InvalidName),
        ("x_mlog", InvalidName),
        ("n" * 123, InvalidName),
        ("-" .join("n" * 62), InvalidName),
    ],
)  # fmt: skip
def test_names_that_are_taken_reserved_or_too_long_are_refused(name: str, error: type[VmgrError]) -> None:
    """Hyphens count twice in device names, so 123 characters with hyphens are too many."""
    group = create(a_group(20), "1", "a")
    with pytest.raises(error) as caught:
        create(group, "1", name)
    assert caught.value.hint


def test_a_size_is_needed() -> None:
    with pytest.raises(UsageError, match="no size"):
        create_volume(a_group(20), CreateVolume(name=LvName("a")), TARGETS, STAMP)


@pytest.mark.parametrize(
    "size", [SizeSpec(Extents(5), "+"), SizeSpec(Extents(5), "-"), SizeSpec(Sectors(8192), "+")]
)
def test_a_new_volumes_size_is_not_relative(size: SizeSpec) -> None:
    with pytest.raises(UsageError, match="relative"):
        create_volume(a_group(20), CreateVolume(size=size), TARGETS, STAMP)


def test_a_volume_too_large_for_the_format_is_refused() -> None:
    for size in (Extents(MAX_EXTENTS + 1), Sectors((MAX_EXTENTS + 1) * 8192)):
        with pytest.raises(Refused, match="too large") as caught:
            create_volume(a_group(20), CreateVolume(size=SizeSpec(size)), TARGETS, STAMP)
        assert caught.value.exit_code == EXIT_FAILED


@pytest.mark.parametrize("size", [Extents(0), Sectors(0), Extents(-1)])
def test_an_empty_volume_is_refused(size: Extents | Sectors) -> None:
    with pytest.raises(VmgrError, match="at least one extent"):
        create_volume(a_group(20), CreateVolume(size=SizeSpec(size)), TARGETS, STAMP)


def test_what_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(NoSpace) as caught:
        create(create(a_group(20, 10), "5", "a"), "26", "b")
    assert str(caught.value) == 'volume group "vg" has insufficient free space (25 extents): 26 required'
    assert caught.value.hint == "the largest size that fits is 100.00 MiB (25 extents)"
    assert caught.value.details == (
        "/dev/pv0: 15 free extents: 26 are needed",
        "/dev/pv1: 10 free extents: 26 are needed",
    )


def test_no_more_volumes_than_the_group_may_have() -> None:
    group = create(a_group(20, max_lv=1), "1", "a")
    with pytest.raises(Refused, match="as many logical volumes as it may have") as caught:
        create(group, "1", "b")
    assert "vgchange -l 2 vg" in caught.value.hint


@pytest.mark.parametrize("numbers", [(-2, 0), (4096, 0), (253, -1), (253, 1 << 20)])
def test_device_numbers_out_of_range_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(Refused):
        create(a_group(20), "1", "a", numbers=numbers)


@pytest.mark.parametrize("alloc", ["cling_by_tags", "", "Normal"])
def test_unknown_policies_are_refused(alloc: str) -> None:
    with pytest.raises(UsageError):
        create(a_group(20), "1", "a", alloc=alloc)


def test_an_unknown_origin_is_refused() -> None:
    with pytest.raises(NotFound):
        create(a_group(20), "1", "a", origin=uuid("other"))


# -- groups that may not be changed ---------------------------------------------------------------


def unknown(group: VolumeGroup) -> VolumeGroup:
    segment = Segment(Extents(0), Extents(1), UnknownBody("vdo", ()))
    return group.with_lv(LogicalVolume(uuid("u"), LvName("u"), segments=(segment,)))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": ("EXPORTED", "RESIZEABLE", "READ", "WRITE")}, "exported"),
        ({"status": ("RESIZEABLE", "READ")}, "read-only"),
        ({"status": ("RESIZEABLE", "READ", "WRITE", "CLUSTERED")}, "clustered"),
        ({"lock_type": "sanlock"}, "sanlock"),
    ],
)
def test_groups_that_may_not_be_changed(fields: dict[str, Any], says: str) -> None:
    group = evolve(create(a_group(20), "5", "a"), **fields)
    for operation in (
        lambda: create(group, "1", "b"),
        lambda: extend(group, "a", "+1"),
        lambda: reduce(group, "a", "-1"),
        lambda: remove(group, "a"),
        lambda: rename(group, "a", "b"),
    ):
        with pytest.raises(GroupUnusable, match=says):
            operation()


def test_groups_with_missing_pvs_or_unknown_types_may_not_be_changed() -> None:
    group = a_group(20)
    partial = evolve(group, pvs=(evolve(group.pvs[0], flags=("MISSING",)),))
    with pytest.raises(GroupUnusable, match="while PVs are missing: pv0000") as caught:
        create(partial, "1", "b")
    assert "vgreduce --removemissing" in caught.value.hint
    with pytest.raises(GroupUnusable, match=r"no installed plugin knows: .*\(vdo\)"):
        create(unknown(group), "1", "b")
    require_changeable(partial, missing=True)
    require_changeable(unknown(group), unknown=True)


def test_a_group_of_another_host_may_not_be_changed() -> None:
    group = a_group(20, system_id="elsewhere")
    require_changeable(group)
    require_changeable(group, host="elsewhere")
    with pytest.raises(GroupUnusable, match="another host's"):
        require_changeable(group, host="here")


# -- extending ------------------------------------------------------------------------------------


def test_extending_says_what_lvm2_says() -> None:
    change = extension(create(a_group(100), "25", "a"), "a", "50")
    assert change.done == (
        "Size of logical volume vg/a changed from 100.00 MiB (25 extents) to 200.00 MiB (50 extents).",
        "Logical volume vg/a successfully resized.",
    )
    assert (change.activate, change.deactivate, change.refresh) == ((), (), ())


@pytest.mark.parametrize(
    ("size", "extents"),
    [
        ("30", 30),
        ("+5", 15),
        ("200%LV", 20),
        ("+50%LV", 15),
        ("+25%LV", 13),
        ("50%VG", 50),
        ("+10%VG", 20),
        ("100%VG", 90),
        ("+100%FREE", 90),
        ("100%FREE", 80),
        ("+50%FREE", 50),
        ("50%PVS", 50),
    ],
)
def test_sizes_of_an_extension(size: str, extents: int) -> None:
    """The volume has 10 of 100 extents, another 10: growth is rounded up."""
    group = create(create(a_group(100), "10", "a"), "10", "b")
    assert volume(extend(group, "a", size), "a").size == extents


def test_an_extension_rounds_a_size_up_to_whole_extents() -> None:
    group = create(a_group(100), "10", "a")
    request = ExtendVolume(volume(group, "a").id, parse_size("+5m"))
    change = extend_volume(group, request, TARGETS, STAMP)
    assert volume(after(change), "a").size == 12
    assert change.notes == ("Rounding size to boundary between physical extents: 8.00 MiB.",)


def test_an_extension_must_make_the_volume_longer() -> None:
    group = create(a_group(100), "10", "a")
    with pytest.raises(Refused, match=r"new size given \(9 extents\) not larger than existing size \(10 extents\)"):
        extend(group, "a", "9")
    with pytest.raises(Refused, match=r"new size \(10 extents\) matches existing size \(10 extents\)") as caught:
        extend(group, "a", "10")
    assert caught.value.exit_code == EXIT_FAILED
    with pytest.raises(UsageError, match="negative"):
        extend(group, "a", "-1")


def test_an_extension_that_does_not_fit_names_the_growth_that_would() -> None:
    group = create(create(a_group(100), "10", "a"), "10", "b")
    with pytest.raises(NoSpace) as caught:
        extend(group, "a", "+81")
    assert caught.value.hint == "the largest growth that fits is 320.00 MiB (80 extents)"


def test_a_percentage_of_nothing_at_all_is_refused() -> None:
    """LVM2 calls it a success; vmgr says why nothing could be had."""
    group = create(a_group(20, 20), "10", "a", alloc="contiguous")
    group = create(group, "10", "b", pvs=["pv0"])
    with pytest.raises(NoSpace) as caught:
        extend(group, "a", "+100%FREE")
    assert "it fits with --alloc normal" in caught.value.hint


def test_a_volume_can_go_on_in_stripes() -> None:
    group = extend(create(a_group(20, 20), "3", "a"), "a", "+4", stripes=2)
    assert places(group, "a") == [["pv0:0+3"], ["pv0:3+2", "pv1:0+2"]]


def test_an_extension_keeps_the_volumes_policy() -> None:
    group = create(a_group(20, 20), "5", "a", alloc="contiguous", pvs=["pv0"])
    group = create(group, "1", "b", pvs=["pv0"])
    with pytest.raises(NoSpace, match="contiguous"):
        extend(group, "a", "+1")
    assert volume(extend(group, "a", "+1", alloc="normal"), "a").alloc == "contiguous"


def test_listed_pvs_of_an_extension() -> None:
    group = create(a_group(20, 20), "5", "a")
    assert places(extend(group, "a", "+2", pvs=["pv1:7-9"]), "a") == [["pv0:0+5"], ["pv1:7+2"]]
    assert volume(extend(group, "a", "+100%PVS", pvs=["pv1"]), "a").size == 25


def test_hidden_and_locked_volumes_are_not_resized() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    with pytest.raises(Refused, match="internal") as caught:
        extend(group, "pair_leg_0", "+1")
    assert "pair" in caught.value.hint
    plain = create(a_group(20), "5", "a")
    locked = plain.with_lv(evolve(volume(plain, "a"), status=("READ", "WRITE", "VISIBLE", "LOCKED")))
    for operation in (
        lambda: extend(locked, "a", "+1"),
        lambda: reduce(locked, "a", "-1"),
        lambda: remove(locked, "a"),
    ):
        with pytest.raises(Refused, match="locked"):
            operation()


def test_a_snapshot_stops_at_the_size_that_it_can_use() -> None:
    """Growth beyond what a snapshot of this origin can ever hold is cut, and said."""
    group = snapshot_of(create(a_group(400), "100", "a"), "a", "50", "s")
    change = extension(group, "s", "+200")
    limit = volume(after(change), "s").size
    assert 100 <= limit < 250
    assert any("maximum" in note for note in change.notes)
    again = extension(after(change), "s", "+1")
    assert again.before == again.after
    assert again.done == ("Logical volume vg/s successfully resized.",)


def test_a_resize_goes_either_way() -> None:
    group = create(a_group(100), "10", "a")

    def resized(size: str) -> int:
        request = ResizeVolume(volume(group, "a").id, parse_extents(size))
        assert shrinks(group, request) == (size in ("5", "-5", "50%LV"))
        return int(volume(after(resize_volume(group, request, TARGETS, STAMP)), "a").size)

    assert [resized(s) for s in ("5", "-5", "50%LV", "15", "+5", "150%LV")] == [5, 5, 5, 15, 15, 15]
    with pytest.raises(Refused, match="matches existing size"):
        resized("10")


def test_percentages_of_a_volume_with_legs_count_its_physical_extents() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    assert physical_extents(group, volume(group, "pair")) == 9


# -- reducing -------------------------------------------------------------------------------------


def test_reducing_says_what_lvm2_says() -> None:
    change = reduction(create(a_group(100), "50", "a"), "a", "25")
    assert change.done == (
        "Size of logical volume vg/a changed from 200.00 MiB (50 extents) to 100.00 MiB (25 extents).",
        "Logical volume vg/a successfully resized.",
    )
    assert places(after(change), "a") == [["pv0:0+25"]]


@pytest.mark.parametrize(("size", "extents"), [("-3", 7), ("-25%LV", 8), ("50%LV", 5), ("-5%VG", 5), ("1", 1)])
def test_sizes_of_a_reduction(size: str, extents: int) -> None:
    """At most what was said is taken away."""
    assert volume(reduce(create(a_group(100), "10", "a"), "a", size), "a").size == extents


def test_a_reduction_by_a_size_takes_away_at_most_that() -> None:
    """Data are never cut off for the sake of a round number."""
    group = create(a_group(100), "10", "a")
    request = ReduceVolume(volume(group, "a").id, parse_size("-9m"))
    change = reduce_volume(group, request, TARGETS)
    assert volume(after(change), "a").size == 8
    assert change.notes == ("Rounding size to boundary between physical extents: 8.00 MiB.",)


def test_segments_behind_the_new_end_go() -> None:
    group = extend(create(a_group(10, 10), "8", "a"), "a", "+8")
    assert places(group, "a") == [["pv0:0+10"], ["pv1:0+6"]]
    assert places(reduce(group, "a", "12"), "a") == [["pv0:0+10"], ["pv1:0+2"]]
    assert places(reduce(group, "a", "10"), "a") == [["pv0:0+10"]]
    assert places(reduce(group, "a", "3"), "a") == [["pv0:0+3"]]


def test_a_reduction_keeps_whole_stripes_and_says_so() -> None:
    group = create(a_group(20, 20), "10", "a", stripes=2)
    change = reduction(group, "a", "5")
    assert volume(after(change), "a").size == 6
    assert change.notes == ("Rounding size (5 extents) up to stripe boundary size for segment (6 extents).",)
    with pytest.raises(Refused, match="matches existing size"):
        reduction(group, "a", "-1")


def test_reductions_that_are_refused() -> None:
    group = create(a_group(100), "10", "a")
    with pytest.raises(Refused, match="below 1 extent"):
        reduce(group, "a", "-10")
    with pytest.raises(Refused, match="below 1 extent"):
        reduce(group, "a", "-11")
    with pytest.raises(Refused, match="not less than existing size"):
        reduce(group, "a", "11")
    with pytest.raises(Refused, match="matches existing size"):
        reduce(group, "a", "10")
    with pytest.raises(UsageError, match="positive"):
        reduce(group, "a", "+1")
    with pytest.raises(Refused, match="snapshots"):
        reduce(snapshot_of(group, "a", "5", "s"), "a", "5")


# -- removing -------------------------------------------------------------------------------------


def test_removing_says_what_lvm2_says() -> None:
    group = create(a_group(20), "5", "a")
    change = remove_volume(group, RemoveVolume(volume(group, "a").id), TARGETS)
    assert change.done == ('Logical volume "a" successfully removed.',)
    assert after(change) == a_group(20)


def test_hidden_parts_go_with_their_volume() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    change = remove_volume(group, RemoveVolume(volume(group, "pair").id), TARGETS)
    assert after(change).lvs == ()
    assert change.done == ('Logical volume "pair" successfully removed.',)
    with pytest.raises(Refused, match="internal"):
        remove(group, "pair_log")


def test_snapshots_go_with_their_origin_and_before_it() -> None:
    group = create(a_group(100), "10", "a")
    for name in ("s", "t"):
        group = snapshot_of(group, "a", "5", name)
    going = removal_set(group, volume(group, "a"), TARGETS)
    assert [lv.name for lv in going if lv.visible] in (["s", "t", "a"], ["t", "s", "a"])
    assert remove(group, "a").lvs == ()
    left = remove(group, "s")
    assert [lv.name for lv in left.lvs if lv.visible] == ["a", "t"]
    assert len(left.lvs) == 3


def test_a_volume_that_another_needs_is_not_removed() -> None:
    """A visible volume that is part of another stays until the other goes."""
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    leg = volume(group, "pair_leg_0")
    group = group.with_lv(evolve(leg, status=(*leg.status, "VISIBLE")))
    with pytest.raises(Refused, match="vg/pair_leg_0 is used by pair"):
        remove(group, "pair_leg_0")


def test_an_unknown_volume_is_not_found() -> None:
    with pytest.raises(NotFound):
        remove_volume(a_group(20), RemoveVolume(uuid("other")), TARGETS)


# -- renaming -------------------------------------------------------------------------------------


def test_renaming_takes_the_hidden_parts_along() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    group = rename(group, "pair", "two")
    assert [lv.name for lv in group.lvs] == ["two", "two_leg_0", "two_leg_1", "two_log"]


def test_renaming_leaves_other_volumes_alone() -> None:
    group = create(create(a_group(20), "1", "a"), "1", "a_b")
    assert [lv.name for lv in rename(group, "a", "c").lvs] == ["c", "a_b"]


@pytest.mark.parametrize(
    ("new", "error"),
    [("a", UsageError), ("b", AlreadyExists), ("x_tdata", InvalidName), ("n" * 124, InvalidName)],
)
def test_names_that_cannot_be_given(new: str, error: type[VmgrError]) -> None:
    group = create(create(a_group(20), "1", "a"), "1", "b")
    with pytest.raises(error):
        rename(group, "a", new)


def test_a_part_whose_new_name_is_taken_stands_in_the_way() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    group = create(group, "1", "two_log")
    with pytest.raises(AlreadyExists, match="two_log"):
        rename(group, "pair", "two")


def test_hidden_volumes_are_not_renamed() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    with pytest.raises(Refused, match="internal"):
        rename(group, "pair_log", "log")


def test_long_group_names_leave_less_for_volumes() -> None:
    group = a_group(20, name=VgName("g" * 100))
    create(group, "1", "n" * 24)
    with pytest.raises(InvalidName):
        create(group, "1", "n" * 25)


def test_pv_lists_of_tests_mean_what_they_say() -> None:
    group = a_group(20, 20)
    assert [(p.pv, p.ranges) for p in pv_list(group, "pv1:3")] == [(uuid("pv1"), ((3, 3),))]


def test_a_size_within_a_row_of_stripes_says_what_was_rounded_and_what_can_be_had() -> None:
    """LVM2 prints the line, too; a hint to give a smaller size would be wrong, as it was smaller."""
    from vmgr.core.errors import SameSize
    from vmgr.core.operations.reduce import reduce_volume
    from vmgr.core.requests import ReduceVolume

    group = create(a_group(20, 20), "8", options=(("stripes", 2),), name="s")
    (lv,) = group.lvs
    for size in (SizeSpec(Extents(7)), SizeSpec(Extents(1), "-")):
        with pytest.raises(SameSize) as caught:
            reduce_volume(group, ReduceVolume(lv.id, size), TARGETS)
        error = caught.value
        assert error.message == "new size (8 extents) matches existing size (8 extents)"
        assert error.details == ("Rounding size (7 extents) up to stripe boundary size for segment (8 extents).",)
        assert error.hint == "the least that it can be reduced by is 8.00 MiB (2 extents)"
    with pytest.raises(SameSize) as caught:
        reduce_volume(group, ReduceVolume(lv.id, SizeSpec(Extents(8))), TARGETS)
    assert (caught.value.details, caught.value.hint) == ((), "give a smaller size, or a reduction such as -1g")
    change = reduce_volume(group, ReduceVolume(lv.id, SizeSpec(Extents(5))), TARGETS)
    assert change.notes[0] == "Rounding size (5 extents) up to stripe boundary size for segment (6 extents)."


def test_a_resize_by_less_than_an_extent_downwards_is_a_reduction() -> None:
    from vmgr.core.errors import SameSize
    from vmgr.core.operations.extend import resize_volume

    group = create(a_group(20), "8")
    (lv,) = group.lvs
    with pytest.raises(SameSize) as caught:
        resize_volume(group, ResizeVolume(lv.id, SizeSpec(Sectors(2048), "-")), TARGETS, STAMP)
    assert caught.value.details == ("Rounding size to boundary between physical extents: 0   .",)
