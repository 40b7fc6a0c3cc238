"""Validation: each invariant is noticed when it is broken, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.groups import STAMP, TARGETS, a_group, a_pv, create, grown_groups, snapshot_of, uuid
from tests.support.pair_target import PairBody
from vmgr.core.errors import InvalidGroup
from vmgr.core.ids import LvName
from vmgr.core.model import LogicalVolume, LvArea, PvArea, Segment, UnknownBody, VolumeGroup
from vmgr.core.units import Extents, Sectors
from vmgr.core.validate import require_valid, validate
from vmgr.plugins.linear.body import LinearBody
from vmgr.plugins.striped.body import StripedBody


def a_sound_group() -> VolumeGroup:
    group = create(a_group(20, 20, 20), "10", "a")
    group = create(group, "8", "b", stripes=2)
    group = create(group, "4", "pair", type="pair", options=())
    return snapshot_of(group, "a", "4", "snap")


SOUND = a_sound_group()


def with_lv(name: str, **fields: Any) -> VolumeGroup:
    return SOUND.with_lv(evolve(SOUND.lv_by_name[name], **fields))


def with_segment(name: str, **fields: Any) -> VolumeGroup:
    lv = SOUND.lv_by_name[name]
    return SOUND.with_lv(evolve(lv, segments=(evolve(lv.segments[0], **fields), *lv.segments[1:])))


def linear(pv: str, start: int, length: int) -> LinearBody:
    return LinearBody((PvArea(uuid(pv), Extents(start), Extents(length)),))


def twin(name: str, lv_id: str) -> LogicalVolume:
    body = linear("pv2", 15, 1)
    return LogicalVolume(uuid(lv_id), LvName(name), segments=(Segment(Extents(0), Extents(1), body),))


def test_a_sound_group_is_valid() -> None:
    assert validate(SOUND, TARGETS) == ()
    require_valid(SOUND, TARGETS)


@given(grown_groups())
def test_what_operations_make_is_valid(group: VolumeGroup) -> None:
    assert validate(group, TARGETS) == ()


BROKEN: list[tuple[str, Callable[[], VolumeGroup], str]] = [
    ("an extent size that is no power of 2", lambda: evolve(SOUND, extent_size=Sectors(1000)), "extents of 1000"),
    ("no extent size", lambda: evolve(SOUND, extent_size=Sectors(0)), "extents of 0"),
    ("a group that inherits its policy", lambda: evolve(SOUND, alloc="inherit"), "policy 'inherit'"),
    ("a name that was not checked", lambda: evolve(SOUND, name="a b"), "not been checked"),
    ("no physical volume", lambda: evolve(SOUND, pvs=()), "no physical volume"),
    ("too many physical volumes", lambda: evolve(SOUND, max_pv=2), "3 physical volumes"),
    ("too many logical volumes", lambda: evolve(SOUND, max_lv=2), "4 logical volumes"),
    ("a PV twice", lambda: evolve(SOUND, pvs=(*SOUND.pvs, a_pv(0, 20))), "two physical volumes"),
    (
        "a volume's UUID twice",
        lambda: evolve(SOUND, lvs=(*SOUND.lvs, evolve(twin("c", "c"), id=SOUND.lvs[0].id))),
        "two logical volumes have the UUID",
    ),
    ("a volume's name twice", lambda: evolve(SOUND, lvs=(*SOUND.lvs, twin("a", "c"))), "have the name a"),
    ("names that are too long together", lambda: SOUND.with_lv(twin("n" * 123, "c")), "too long"),
    ("a volume's unknown policy", lambda: with_lv("a", alloc="cling_by_tags"), "policy 'cling_by_tags'"),
    ("no segments", lambda: with_lv("b", segments=()), "no segments"),
    ("a gap before the first segment", lambda: with_segment("b", start=Extents(1)), "starts at extent 1, not at 0"),
    ("an empty segment", lambda: with_segment("a", length=Extents(0), body=linear("pv0", 0, 10)), "has length 0"),
    (
        "a segment that is no multiple of its step",
        lambda: with_segment("b", length=Extents(7)),
        "7 extents, not a multiple of 2",
    ),
    ("an area beyond its PV", lambda: with_segment("a", body=linear("pv0", 15, 10)), "not within what it lies on"),
    ("an area before its PV", lambda: with_segment("a", body=linear("pv0", -1, 10)), "not within what it lies on"),
    ("an empty area", lambda: with_segment("a", body=linear("pv2", 19, 0)), "not within what it lies on"),
    ("an area on an unknown PV", lambda: with_segment("a", body=linear("other", 0, 10)), "unknown physical volume"),
    ("extents used twice", lambda: with_segment("a", body=linear("pv1", 0, 10)), "used 2 times, by a, b"),
    (
        "an area on a volume that is too short",
        lambda: with_segment("pair_leg_0", length=Extents(3)),
        "not within what it lies on (pair_leg_0 has 3)",
    ),
    ("an area on an unknown volume", lambda: SOUND.without_lv(SOUND.lv_by_name["pair_leg_1"].id), "unknown volume"),
    ("a reference to an unknown volume", lambda: SOUND.without_lv(SOUND.lv_by_name["pair_log"].id), "its log is"),
    (
        "a rule of a target",
        lambda: with_segment(
            "b", body=StripedBody((PvArea(uuid("pv2"), Extents(12), Extents(8)),), Sectors(128))
        ),
        "at least two stripes",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "says"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_broken_invariant_is_noticed(broken: Callable[[], VolumeGroup], says: str) -> None:
    """The violation names its subject and the rule; nothing crashes on a group that makes no sense."""
    group = broken()
    found = validate(group, TARGETS)
    assert any(says in f"{v.subject}: {v.rule}" for v in found), found
    with pytest.raises(InvalidGroup) as caught:
        require_valid(group, TARGETS)
    assert len(caught.value.details) == len(found)


def test_volumes_that_lie_on_each_other_are_noticed() -> None:
    def body(name: str) -> PairBody:
        area = LvArea(uuid(name), Extents(0), Extents(1))
        return PairBody((area, area), SOUND.lv_by_name["a"].id)

    circle = [
        LogicalVolume(uuid(name), LvName(name), segments=(Segment(Extents(0), Extents(1), body(other)),))
        for name, other in (("x", "y"), ("y", "z"), ("z", "x"))
    ]
    found = validate(SOUND.with_lv(*circle), TARGETS)
    assert "it lies on itself: x, y, z" in [v.rule for v in found]


def test_segments_of_unknown_types_are_left_alone() -> None:
    """What no plugin knows is kept; the model's own rules hold for it, a target's cannot be asked."""
    unknown = Segment(Extents(0), Extents(5), UnknownBody("vdo", ()))
    group = SOUND.with_lv(LogicalVolume(uuid("u"), LvName("u"), segments=(unknown,)))
    assert validate(group, TARGETS) == ()


def test_an_unknown_segment_does_not_hide_a_broken_one() -> None:
    unknown = Segment(Extents(0), Extents(5), UnknownBody("vdo", ()))
    body = StripedBody((PvArea(uuid("pv2"), Extents(15), Extents(2)),), Sectors(128))
    second = Segment(Extents(5), Extents(2), body)
    group = SOUND.with_lv(LogicalVolume(uuid("u"), LvName("u"), segments=(unknown, second)))
    assert [v.rule for v in validate(group, TARGETS)] == ["a stripe set has at least two stripes"]


@given(grown_groups(), st.data())
def test_an_area_that_moves_onto_another_is_noticed(group: VolumeGroup, data: st.DataObject) -> None:
    """Whichever two volumes come to share an extent, it is noticed."""
    plain = [lv for lv in group.lvs if lv.segments and type(lv.segments[0].body) is LinearBody]
    if len(plain) < 2:
        return
    one, other = data.draw(st.permutations(plain))[:2]
    target = other.segments[0].body.areas[0]
    assert isinstance(target, PvArea)
    extent = data.draw(st.integers(int(target.start), int(target.start) + int(target.length) - 1))
    body = LinearBody((PvArea(target.pv, Extents(extent), Extents(1)),))
    moved = evolve(one, segments=(Segment(Extents(0), Extents(1), body),))
    rules = [v.rule for v in validate(group.with_lv(moved))]
    assert any("is used 2 times" in rule for rule in rules)


def test_the_stamp_gives_each_part_its_own_uuids() -> None:
    """UUIDs of a batch never meet, whatever number each takes."""
    found = {part.uuid(n) for part in (STAMP, STAMP.part(0), STAMP.part(1)) for n in range(20)}
    assert len(found) == 60
