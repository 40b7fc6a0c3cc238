"""Attributes of volumes, and turning volumes active and inactive."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tests.support.groups import STAMP, TARGETS, a_group, after, create, snapshot_of, uuid, volume
from vmgr.core.change import Change
from vmgr.core.errors import GroupUnusable, NotFound, Refused, UnclaimedSegment, UsageError
from vmgr.core.hooks import TargetStatus
from vmgr.core.ids import LvName, Tag
from vmgr.core.model import LogicalVolume, Segment, UnknownBody, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.operations.activate import (
    activatable,
    activate_volumes,
    deactivate_volumes,
    now_active,
    refresh_volumes,
)
from vmgr.core.operations.change import NO_NUMBERS, change_volume
from vmgr.core.operations.checks import with_flag
from vmgr.core.operations.convert import convert_volume, finish_volume
from vmgr.core.operations.create import READ_AHEAD_AUTO
from vmgr.core.requests import ChangeVolume, ConvertVolume
from vmgr.core.table import LiveDevice
from vmgr.core.units import Extents


def change(group: VolumeGroup, **changes: Any) -> Change:
    live = changes.pop("live", {})
    return change_volume(group, ChangeVolume(volume(group, "a").id, **changes), TARGETS, live=live)


def changed(group: VolumeGroup, **changes: Any) -> LogicalVolume:
    return volume(after(change(group, **changes)), "a")


PLAIN = create(a_group(20, 20, 20), "5", "a")


# -- attributes -----------------------------------------------------------------------------------


def test_a_change_says_what_lvm2_says() -> None:
    assert change(PLAIN, add_tags=(Tag("x"),)).done == ("Logical volume vg/a changed.",)


def test_permission_comes_and_goes_in_its_place() -> None:
    group = after(change(PLAIN, read_only=True))
    assert volume(group, "a").status == ("READ", "VISIBLE")
    assert changed(group, read_only=False).status == ("READ", "WRITE", "VISIBLE")


def test_a_permission_that_is_set_already_is_refused() -> None:
    with pytest.raises(Refused, match="already writable"):
        change(PLAIN, read_only=False)
    with pytest.raises(Refused, match="already read-only"):
        change(after(change(PLAIN, read_only=True)), read_only=True)


def test_a_permission_that_only_the_kernel_lacks_is_refreshed() -> None:
    lv = volume(PLAIN, "a")
    name = dm_uuid(PLAIN.id, lv.id)
    live = {name: LiveDevice("vg-a", name, 253, 0, read_only=True)}
    done = change(PLAIN, read_only=False, live=live)
    assert done.before == done.after
    assert done.refresh == (lv.id,)
    assert done.notes == ("Logical volume vg/a is already writable.  Refreshing kernel state.",)
    with pytest.raises(Refused):
        change(PLAIN, read_only=False, live={name: evolve(live[name], read_only=False)})


def test_tags_are_added_once_and_taken_away() -> None:
    group = after(change(PLAIN, add_tags=(Tag("x"), Tag("y"), Tag("x"))))
    assert volume(group, "a").tags == ("x", "y")
    assert changed(group, add_tags=(Tag("z"),), del_tags=(Tag("x"), Tag("none"))).tags == ("y", "z")


def test_read_ahead() -> None:
    group = after(change(PLAIN, read_ahead=256))
    assert volume(group, "a").read_ahead == 256
    assert changed(group, read_ahead=READ_AHEAD_AUTO).read_ahead is None
    assert changed(group, read_ahead=0).read_ahead == 0
    with pytest.raises(Refused, match="already 256"):
        change(group, read_ahead=256)
    with pytest.raises(Refused, match="already auto"):
        change(PLAIN, read_ahead=READ_AHEAD_AUTO)


def test_persistent_numbers() -> None:
    group = after(change(PLAIN, numbers=(253, 9)))
    lv = volume(group, "a")
    assert (lv.status, lv.major, lv.minor) == (("READ", "WRITE", "FIXED_MINOR", "VISIBLE"), 253, 9)
    lv = changed(group, numbers=NO_NUMBERS)
    assert (lv.status, lv.major, lv.minor) == (("READ", "WRITE", "VISIBLE"), None, None)
    with pytest.raises(Refused, match="not persistent"):
        change(PLAIN, numbers=NO_NUMBERS)
    with pytest.raises(UsageError):
        change(PLAIN, numbers=(253, 1 << 20))


def test_policy() -> None:
    assert changed(PLAIN, alloc="cling").alloc == "cling"
    with pytest.raises(Refused, match="already inherit"):
        change(PLAIN, alloc="inherit")
    with pytest.raises(UsageError, match="unknown allocation policy"):
        change(PLAIN, alloc="tight")


def test_flags_stand_in_lvm2s_order() -> None:
    group = after(change(PLAIN, autoactivate=False))
    group = after(change(group, activation_skip=True))
    assert volume(group, "a").flags == ("ACTIVATION_SKIP", "NOAUTOACTIVATE")
    assert changed(group, activation_skip=False).flags == ("NOAUTOACTIVATE",)
    with pytest.raises(Refused, match="already no"):
        change(group, autoactivate=False)
    with pytest.raises(Refused, match="already yes"):
        change(PLAIN, autoactivate=True)


def test_unknown_words_keep_their_place() -> None:
    assert with_flag(("READ", "SOMETHING", "VISIBLE"), "WRITE", True) == ("READ", "SOMETHING", "WRITE", "VISIBLE")
    assert with_flag(("A", "B"), "C", True) == ("A", "B", "C")
    assert with_flag(("A", "B"), "A", False) == ("B",)


def test_hidden_volumes_are_not_changed() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    request = ChangeVolume(volume(group, "pair_log").id, add_tags=(Tag("x"),))
    with pytest.raises(Refused, match="internal"):
        change_volume(group, request, TARGETS)


# -- activation -----------------------------------------------------------------------------------


def with_unknown(group: VolumeGroup) -> VolumeGroup:
    segment = Segment(Extents(0), Extents(1), UnknownBody("vdo", ()))
    return group.with_lv(LogicalVolume(uuid("u"), LvName("u"), segments=(segment,)))


def ids(group: VolumeGroup, *names: str) -> list[Any]:
    return [volume(group, name).id for name in names]


def test_activation_changes_no_metadata() -> None:
    done = activate_volumes(PLAIN, ids(PLAIN, "a"), TARGETS)
    assert not done.changes_metadata
    assert done.activate == tuple(ids(PLAIN, "a"))


def test_snapshots_are_active_with_their_origin_and_the_other_way_round() -> None:
    group = snapshot_of(PLAIN, "a", "2", "s")
    for name in ("a", "s"):
        up = activate_volumes(group, ids(group, name), TARGETS).activate
        assert set(ids(group, "a", "s")) <= set(up)
        down = deactivate_volumes(group, ids(group, name), TARGETS).deactivate
        assert set(ids(group, "a", "s")) <= set(down)
        again = refresh_volumes(group, ids(group, name), TARGETS).refresh
        assert set(ids(group, "a", "s")) <= set(again)


def test_volumes_marked_to_be_skipped_are_skipped_with_a_note() -> None:
    group = after(change(PLAIN, activation_skip=True))
    done = activate_volumes(group, ids(group, "a"), TARGETS)
    assert done.activate == ()
    assert "ACTIVATION_SKIP" in done.notes[0]
    assert activate_volumes(group, ids(group, "a"), TARGETS, ignore_skip=True).activate
    assert activatable(group) == ((), ())
    assert activatable(group, ignore_skip=True)[0] == tuple(ids(group, "a"))


def test_the_configuration_may_leave_volumes_out() -> None:
    done = activate_volumes(PLAIN, ids(PLAIN, "a"), TARGETS, wanted=lambda lv: False)
    assert done.activate == ()
    assert "does not pass activation filter" in done.notes[0]
    assert activatable(PLAIN, wanted=lambda lv: lv.name != "a") == ((), ())


def test_automatic_activation_heeds_its_marks() -> None:
    """A mark on the volume or on the group; activation by hand does not heed it."""
    group = after(change(create(PLAIN, "1", "b"), autoactivate=False))
    assert activatable(group, auto=True)[0] == tuple(ids(group, "b"))
    assert activatable(group)[0] == tuple(ids(group, "a", "b"))
    assert activatable(evolve(group, flags=("NOAUTOACTIVATE",)), auto=True) == ((), ())


def test_hidden_volumes_are_not_activated_by_themselves() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    for operation in (activate_volumes, deactivate_volumes, refresh_volumes):
        with pytest.raises(Refused, match="internal"):
            operation(group, ids(group, "pair_log"), TARGETS)
    assert activatable(group)[0] == tuple(ids(group, "pair"))


def test_volumes_on_missing_pvs_stay_inactive() -> None:
    """One by name is refused; among others it is left out with a note, and the others come up."""
    group = create(create(a_group(5, 5), "5", "a"), "5", "b")
    lost = uuid("pv1")
    with pytest.raises(Refused, match="missing physical volumes: pv1000"):
        activate_volumes(group, ids(group, "b"), TARGETS, missing=[lost])
    chosen, notes = activatable(group, missing=[lost])
    assert chosen == tuple(ids(group, "a"))
    assert len(notes) == 1
    marked = evolve(group, pvs=(group.pvs[0], evolve(group.pvs[1], flags=("MISSING",))))
    assert activatable(marked)[0] == tuple(ids(group, "a"))


def test_a_missing_pv_below_a_hidden_part_counts() -> None:
    group = create(a_group(20, 20), "4", "pair", type="pair", options=())
    with pytest.raises(Refused, match="missing"):
        activate_volumes(group, ids(group, "pair"), TARGETS, missing=[uuid("pv1")])


def test_known_volumes_of_a_group_with_unknown_types_can_be_activated() -> None:
    group = with_unknown(PLAIN)
    assert activate_volumes(group, ids(group, "a"), TARGETS).activate
    with pytest.raises(UnclaimedSegment, match="vdo"):
        activate_volumes(group, ids(group, "u"), TARGETS)
    chosen, notes = activatable(group)
    assert chosen == tuple(ids(group, "a"))
    assert len(notes) == 1


def test_exported_groups_are_not_activated_but_can_be_deactivated() -> None:
    group = evolve(PLAIN, status=("EXPORTED", *PLAIN.status))
    with pytest.raises(GroupUnusable):
        activate_volumes(group, ids(group, "a"), TARGETS)
    assert deactivate_volumes(group, ids(group, "a"), TARGETS).deactivate


def test_unknown_volumes_are_not_found() -> None:
    with pytest.raises(NotFound):
        activate_volumes(PLAIN, [uuid("other")], TARGETS)


def test_what_is_said_of_a_group() -> None:
    assert now_active(PLAIN, 2) == '2 logical volume(s) in volume group "vg" now active'


# -- conversion -----------------------------------------------------------------------------------


def test_a_conversion_that_nobody_offers_is_refused() -> None:
    request = ConvertVolume(volume(PLAIN, "a").id, (("thinpool", True),))
    with pytest.raises(UsageError, match="no target offers"):
        convert_volume(PLAIN, request, TARGETS, STAMP)


def test_a_merge_that_has_ended_is_written_down() -> None:
    """Begun, the snapshot is merging and hidden; ended, it is gone and its space is free."""
    group = snapshot_of(PLAIN, "a", "2", "s")
    request = ConvertVolume(volume(group, "s").id, (("merge", True),))
    merging = after(convert_volume(group, request, TARGETS, STAMP))
    assert merging != group
    origin = volume(merging, "a").id
    assert finish_volume(merging, origin, TargetStatus(), TARGETS, STAMP) is None
    done = finish_volume(merging, origin, TargetStatus(done=True), TARGETS, STAMP)
    assert done is not None
    assert [lv.name for lv in after(done).lvs] == ["a"]
    assert after(done).free == PLAIN.free
