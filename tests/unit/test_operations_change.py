"""Attributes of volumes, and turning volumes into something else."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from tests.support.groups import STAMP, TARGETS, a_group, after, create, snapshot_of, volume
from vmgr.core.change import Change
from vmgr.core.errors import Refused, UsageError
from vmgr.core.ids import Tag
from vmgr.core.model import LogicalVolume, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.operations.change import change_volume
from vmgr.core.operations.checks import with_flag
from vmgr.core.operations.convert import convert_volume, finish_volume
from vmgr.core.requests import NO_NUMBERS, READ_AHEAD_AUTO, ChangeVolume, ConvertVolume
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors


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
    with pytest.raises(Refused, match="already read only"):
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
    assert (lv.status, lv.major, lv.minor) == (
        ("READ", "WRITE", "FIXED_MINOR", "VISIBLE"),
        0,
        9,
    )  # the kernel gives the major
    lv = changed(group, numbers=NO_NUMBERS)
    assert (lv.status, lv.major, lv.minor) == (("READ", "WRITE", "VISIBLE"), None, None)
    with pytest.raises(Refused, match="not persistent"):
        change(PLAIN, numbers=NO_NUMBERS)
    with pytest.raises(Refused):
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
    assert change(group, autoactivate=False).after == group
    assert change(PLAIN, autoactivate=True).after == PLAIN


def test_unknown_words_keep_their_place() -> None:
    assert with_flag(("READ", "SOMETHING", "VISIBLE"), "WRITE", True) == ("READ", "SOMETHING", "WRITE", "VISIBLE")
    assert with_flag(("A", "B"), "C", True) == ("A", "B", "C")
    assert with_flag(("A", "B"), "A", False) == ("B",)


def test_hidden_volumes_are_not_changed() -> None:
    group = create(a_group(20, 20, 20), "4", "pair", type="pair", options=())
    request = ChangeVolume(volume(group, "pair_log").id, add_tags=(Tag("x"),))
    with pytest.raises(Refused, match="internal"):
        change_volume(group, request, TARGETS)


# -- conversion -----------------------------------------------------------------------------------


def test_a_conversion_that_nobody_offers_is_refused() -> None:
    request = ConvertVolume(volume(PLAIN, "a").id, (("thinpool", True),))
    with pytest.raises(UsageError, match="no plugin offers"):
        convert_volume(PLAIN, request, TARGETS, STAMP)


def test_a_merge_that_has_ended_is_written_down() -> None:
    """Begun, the snapshot is merging and hidden; ended, it is gone and its space is free."""
    group = snapshot_of(PLAIN, "a", "2", "s")
    request = ConvertVolume(volume(group, "s").id, (("merge", True),))
    merging = after(convert_volume(group, request, TARGETS, STAMP))
    assert merging != group
    origin = volume(merging, "a").id
    ((book, pending),) = TARGETS.pending(merging)
    assert finish_volume(merging, book.id, pending.name, TARGETS, STAMP) is None
    line = KernelLine(Sectors(0), Sectors(8), "snapshot-merge", "16/2048 16")
    uuid = dm_uuid(merging.id, origin)
    live = {uuid: LiveDevice("top", uuid, 253, 0, status=(line,))}
    done = finish_volume(merging, book.id, pending.name, TARGETS, STAMP, live=live)
    assert done is not None
    assert [lv.name for lv in after(done).lvs] == ["a"]
    assert after(done).free == PLAIN.free
