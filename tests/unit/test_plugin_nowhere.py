"""Zero and error volumes lie nowhere: they take no space, are not wiped, and may follow plain segments."""

from __future__ import annotations

import pytest

from tests.support.plugins import STAMP, a_group
from tests.support.stacks import TARGETS
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.devices import stack
from vmgr.core.errors import UsageError
from vmgr.core.ids import LvName
from vmgr.core.model import VolumeGroup
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.requests import CreateVolume, ExtendVolume, PvRange, ReduceVolume
from vmgr.core.units import Extents
from vmgr.plugins.error import ErrorBody
from vmgr.plugins.zero import ZeroBody

KINDS = pytest.mark.parametrize("kind", ["zero", "error"])


def make(group: VolumeGroup, kind: str, size: SizeSpec, **more: object) -> VolumeGroup:
    after = create_volume(group, CreateVolume(size, LvName("v"), kind, **more), TARGETS, STAMP).after  # type: ignore[arg-type]
    assert after is not None
    return after


def lines(group: VolumeGroup) -> list[str]:
    found = stack(group, [lv.id for lv in group.lvs], TARGETS)
    return [f"{t.start} {t.length} {t.target} {t.params(lambda _: 'pv')}".rstrip() for d in found for t in d.table]


@KINDS
def test_it_may_be_larger_than_its_group_and_takes_nothing_of_it(kind: str) -> None:
    group = a_group()
    after = make(group, kind, SizeSpec(Extents(1 << 20)))
    assert after.free == group.free
    assert lines(after) == [f"0 {8192 << 20} {kind}"]


@KINDS
def test_nothing_is_wiped_and_nothing_said_of_it(kind: str) -> None:
    change = create_volume(a_group(), CreateVolume(SizeSpec(Extents(1)), LvName("v"), kind), TARGETS, STAMP)
    assert (change.wipe, change.zero, change.notes) == ((), (), ())
    assert change.activate


@KINDS
def test_a_percentage_is_of_the_free_space(kind: str) -> None:
    group = a_group()
    after = make(group, kind, SizeSpec(Percent(50, "FREE")))
    assert after.lv_by_name[LvName("v")].size == int(group.free) // 2


@KINDS
def test_growing_and_shrinking_leave_one_segment(kind: str) -> None:
    group = make(a_group(), kind, SizeSpec(Extents(4)))
    volume = group.lvs[0].id
    longer = extend_volume(group, ExtendVolume(volume, SizeSpec(Extents(3), "+")), TARGETS, STAMP.part(1)).after
    assert longer is not None
    assert lines(longer) == [f"0 {7 * 8192} {kind}"]
    assert len(longer.lv_by_id[volume].segments) == 1
    shorter = reduce_volume(longer, ReduceVolume(volume, SizeSpec(Extents(2))), TARGETS).after
    assert shorter is not None
    assert lines(shorter) == [f"0 {2 * 8192} {kind}"]


def test_plain_segments_nothing_and_errors_follow_each_other() -> None:
    group = make(a_group(), "linear", SizeSpec(Extents(1)))
    volume = group.lvs[0].id
    for number, kind in enumerate(("zero", "error", "linear")):
        request = ExtendVolume(volume, SizeSpec(Extents(1), "+"), kind)
        after = extend_volume(group, request, TARGETS, STAMP.part(number + 1)).after
        assert after is not None
        group = after
    assert lines(group) == [
        "0 8192 linear pv 2048",
        "8192 8192 zero",
        "16384 8192 error",
        "24576 8192 linear pv 10240",
    ]


@KINDS
def test_physical_volumes_and_stripes_are_refused(kind: str) -> None:
    group = a_group()
    with pytest.raises(UsageError, match="lies on no physical volume"):
        make(group, kind, SizeSpec(Extents(1)), pvs=(PvRange(group.pvs[0].id),))
    with pytest.raises(UsageError, match="takes no --stripes"):
        make(group, kind, SizeSpec(Extents(1)), options=(("stripes", 2),))


def test_bodies_are_equal_to_their_like_only() -> None:
    assert ZeroBody() == ZeroBody()
    assert ErrorBody() == ErrorBody()
    assert ZeroBody() != ErrorBody()
    assert len({ZeroBody(), ZeroBody(), ErrorBody()}) == 2
    assert repr(ZeroBody()) == "ZeroBody()"
