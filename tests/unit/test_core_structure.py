"""The rules that keep data apart hold alike for volumes that were read and for those that were left unread."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.groups import a_group, create, uuid
from tests.support.ondisk import HEADER
from tests.support.stacks import TARGETS
from vmgr.core.ids import LvName
from vmgr.core.model import LogicalVolume, LvArea, PvArea, Segment, VolumeGroup
from vmgr.core.structure import broken_rules
from vmgr.core.units import Extents
from vmgr.ondisk.codec import encode_group
from vmgr.ondisk.decode import decode_any
from vmgr.ondisk.fast import decode_canonical
from vmgr.plugins.linear.body import LinearBody


def plain(name: str, *areas: tuple[str, int, int], of: type = PvArea) -> LogicalVolume:
    """A volume with a segment for each (what it lies on, start, length)."""
    segments = []
    at = 0
    for on, start, length in areas:
        body = LinearBody((of(uuid(on), Extents(start), Extents(length)),))
        segments.append(Segment(Extents(at), Extents(length), body))
        at += length
    return LogicalVolume(uuid(name), LvName(name), segments=tuple(segments))


GROUP = a_group(20, 20)

places = st.tuples(st.sampled_from(["pv0", "pv1"]), st.integers(0, 22), st.integers(1, 4))


@given(st.lists(st.lists(places, min_size=1, max_size=2), min_size=1, max_size=6))
def test_unread_volumes_break_the_same_rules_as_read_ones(drawn):
    """And they break them exactly where an extent is used twice or is not there."""
    group = evolve(GROUP, lvs=tuple(plain(f"v{n}", *areas) for n, areas in enumerate(drawn)))
    text = encode_group(group, TARGETS, HEADER)
    quick = decode_canonical(text, TARGETS)
    assert quick is not None
    read = decode_any(text, TARGETS).group
    found = broken_rules(quick.group)
    assert set(found) == set(broken_rules(read))
    used = [
        (on, extent) for areas in drawn for on, start, length in areas for extent in range(start, start + length)
    ]
    shared = len(used) != len(set(used))
    beyond = any(extent >= 20 for _, extent in used)
    assert any("times, by" in rule for _, rule in found) == shared
    assert any("not within" in rule for _, rule in found) == beyond


def test_a_sound_group_breaks_none():
    group = create(create(a_group(20, 20), "5", "a"), "8", "b", stripes=2)
    assert broken_rules(group) == ()


@pytest.mark.parametrize(
    ("volumes", "says"),
    [
        ((plain("a", ("pv0", 0, 5)), plain("b", ("pv0", 4, 1))), ("/dev/pv0", "extent 4 is used 2 times, by a, b")),
        (
            (plain("a", ("pv0", 0, 9)), plain("b", ("pv0", 2, 2)), plain("c", ("pv0", 6, 3))),
            ("/dev/pv0", "extents 6 to 8 are used 2 times, by a, c"),
        ),
        ((plain("a", ("pv0", 0, 2), ("pv0", 1, 2)),), ("/dev/pv0", "extent 1 is used 2 times, by a")),
        (
            (plain("a", ("pv1", 18, 4)),),
            ("a", "an area of 4 extents from 18 is not within what it lies on (/dev/pv1 has 20)"),
        ),
        (
            (plain("a", ("pv0", 0, 4)), plain("b", ("a", 0, 2), of=LvArea), plain("c", ("a", 1, 1), of=LvArea)),
            ("a", "extent 1 is used 2 times, by b, c"),
        ),
        (
            (plain("a", ("pv0", 0, 4)), plain("b", ("a", 0, 5), of=LvArea)),
            ("b", "an area of 5 extents from 0 is not within what it lies on (a has 4)"),
        ),
        ((plain("a", ("a", 0, 1), of=LvArea),), ("a", "an area is on the volume itself")),
        (
            (plain("a", ("b", 0, 1), of=LvArea), plain("b", ("a", 0, 1), of=LvArea)),
            ("a", "it lies on itself: a, b"),
        ),
        (
            (plain("a", ("pv0", 0, 4_000_000_000), ("pv0", 0, 4_000_000_000)),),
            ("a", "it has 8000000000 extents, more than the format can count (4294967295)"),
        ),
        (
            (plain("a", ("pv0", 0, 1)), evolve(plain("b", ("pv0", 1, 1)), id=uuid("a"))),
            ("b", f"two logical volumes have the UUID {uuid('a').dashed}: a, b"),
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) and isinstance(value[0], str) else "",
)
def test_what_is_said(volumes, says):
    """The volume or device, the rule, and everyone who takes part."""
    assert says in broken_rules(evolve(GROUP, lvs=volumes))


def test_two_physical_volumes_of_one_uuid_are_named():
    pv = GROUP.pvs[0]
    group: VolumeGroup = evolve(GROUP, pvs=(*GROUP.pvs, evolve(pv, device="/dev/other")))
    assert broken_rules(group) == (
        ("/dev/other", f"two physical volumes have the UUID {pv.id.dashed}: /dev/pv0, /dev/other"),
    )
