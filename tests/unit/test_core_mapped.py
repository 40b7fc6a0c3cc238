"""Space that is free by the metadata and mapped by a live device is given to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tests.support.rig import TARGETS, Rig
from tests.unit.test_commit import create, extend, remove
from vmgr.core.change import Change
from vmgr.core.errors import InUse, NoSpace
from vmgr.core.group_requests import ChangeGroup
from vmgr.core.ids import Uuid
from vmgr.core.mapped import released, require_room, require_unmapped
from vmgr.core.operations.group_change import change_group
from vmgr.core.plan import plan_change
from vmgr.core.units import Sectors

NUMBERS = {Uuid(f"{n:032d}"): f"7:{n}" for n in (1, 2)}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path / "dev")


def forget(rig: Rig, change: Change) -> None:
    """Write a change's metadata and leave the kernel's devices as they are, as a restore of metadata does."""
    assert change.after is not None
    change = evolve(change, after=evolve(change.after, seqno=rig.group.seqno + 1))
    rig.run(plan_change(change, {}, TARGETS))


@pytest.mark.parametrize("stripes", [1, 2])
def test_space_below_a_device_whose_volume_is_gone_is_refused(rig: Rig, stripes: int) -> None:
    rig.do(create(rig, "data", 8, options=(("stripes", stripes),) if stripes > 1 else ()))
    forget(rig, remove(rig, "data")(rig.group))
    change = create(rig, "other", 4)(rig.group)
    with pytest.raises(InUse, match=r"live devices lie on some of them .*: vg-data"):
        require_unmapped(change, rig.live, NUMBERS)


def test_space_below_the_old_end_of_a_device_is_refused(rig: Rig) -> None:
    """The volume is shorter by the metadata; its device is as long as ever."""
    rig.do(create(rig, "data", 8))
    old = rig.group
    rig.do(extend(rig, "data", 4))
    forget(rig, Change(rig.group, old))
    with pytest.raises(InUse, match="extents 8 to 8 of"):
        require_unmapped(create(rig, "other", 1)(rig.group), rig.live, NUMBERS)


def test_neighbours_of_what_is_mapped_and_unused_devices_are_no_hindrance(rig: Rig) -> None:
    for options in ((), (("stripes", 2),)):
        for name in ("a", "b"):
            change = create(rig, f"{name}{len(options)}", 8, options=options)(rig.group)
            require_unmapped(change, rig.live, NUMBERS)
            rig.do(lambda _, change=change: change)
    require_unmapped(extend(rig, "a0", 3)(rig.group), rig.live, NUMBERS)
    require_unmapped(remove(rig, "a0")(rig.group), rig.live, NUMBERS)


def test_space_behind_the_end_of_a_device_that_became_smaller_is_refused(rig: Rig) -> None:
    """64 KiB an extent from sector 2048 on: the device ends within the fifth."""
    small = dict.fromkeys(NUMBERS, 2048 + 4 * 128 + 1)
    require_room(create(rig, "data", 4)(rig.group), small)
    with pytest.raises(NoSpace, match="extent 4 would end at sector 2688"):
        require_room(create(rig, "data", 5)(rig.group), small)


@pytest.mark.parametrize("size", [64, 256])
def test_extents_of_another_size_give_nothing_back_and_take_nothing(rig: Rig, size: int) -> None:
    """``vgchange -s`` moves no volume: what it would give back to the devices is the volumes' data."""
    for name in ("before", "data"):
        rig.do(create(rig, name, 8))
    rig.do(remove(rig, "before"))
    change = change_group(rig.group, ChangeGroup(extent_size=Sectors(size)), TARGETS)
    assert change.after is not None
    assert change.after.extent_size == size != rig.group.extent_size
    require_unmapped(change, rig.live, NUMBERS)
    assert list(released(change, {}, NUMBERS)) == []
