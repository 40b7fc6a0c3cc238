"""The linear target: what it claims, makes and maps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plugins import a_group, area, create, extend, extents_of, lines_of, needs_of, uuid
from tests.support.stacks import TARGETS
from vmgr.core.amounts import SizeSpec
from vmgr.core.errors import DamagedMetadata, Refused, UsageError
from vmgr.core.ids import LvName, Tag
from vmgr.core.model import LvArea, Segment, UnknownBody
from vmgr.core.requests import CreateVolume, ExtendVolume, Options
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.linear.body import LinearBody


class Names:
    """PVs are called by their number; ``lv0`` is a volume."""

    def area(self, name: str, start: int, length: int) -> object:
        if name.startswith("lv"):
            return LvArea(uuid(name), Extents(start), Extents(length))
        return area(int(name.removeprefix("pv")), start, length)

    def area_name(self, it: object) -> str:
        return str(getattr(it, "pv", getattr(it, "lv", "")))[:3]


def decode(type_word: str = "striped", length: int = 10, **fields: object) -> object:
    return TARGETS.decode(type_word, Extents(length), fields, Names())[0]  # type: ignore[arg-type]


def test_a_stripe_set_of_one_stripe_is_linear() -> None:
    assert decode(stripe_count=1, stripes=("pv1", 7)) == LinearBody((area(1, 7, 10),))


def test_fields_that_lvm2_does_not_write_here_are_kept() -> None:
    body, extra = TARGETS.decode(
        "striped",
        Extents(2),
        {"stripe_count": 1, "stripes": ("pv0", 0), "stripe_size": 64, "new": "x"},
        Names(),  # type: ignore[arg-type]
    )
    assert isinstance(body, LinearBody)
    assert extra == (("stripe_size", 64), ("new", "x"))


@pytest.mark.parametrize("stripes", [(), ("pv0",), ("pv0", 0, "pv1", 0), (0, "pv0"), ("pv0", "0"), 3, None])
def test_stripes_that_are_not_one_area_are_damage(stripes: object) -> None:
    with pytest.raises(DamagedMetadata):
        decode(stripe_count=1, stripes=stripes)


def test_what_is_decoded_is_encoded_alike() -> None:
    body = LinearBody((area(1, 7, 10),))
    assert TARGETS.encode(body, Names()) == ("striped", (("stripe_count", 1), ("stripes", ("pv1", 7))))  # type: ignore[arg-type]


def test_another_type_word_is_nobody_s() -> None:
    assert isinstance(decode("linear", stripe_count=1, stripes=("pv1", 7)), UnknownBody)


# -- requests -------------------------------------------------------------------------------------


def chosen(options: Options = (), type: str | None = None) -> str:
    return TARGETS.choose(a_group(), CreateVolume(extents_of(4), LvName("x"), type, None, options)).name


@pytest.mark.parametrize(
    ("options", "type"),
    [
        ((), None),
        ((), "linear"),
        ((), "striped"),
        ((("stripes", 1),), None),
        ((("stripes", 1),), "striped"),
        ((("stripesize", Sectors(128)),), None),
    ],
)
def test_what_has_one_stripe_is_made_linear(options: Options, type: str | None) -> None:
    assert chosen(options, type) == "linear"


def test_the_linear_type_takes_no_stripes() -> None:
    with pytest.raises(UsageError, match="cannot use stripes with the linear type"):
        chosen((("stripes", 2),), "linear")


def test_a_stripe_size_without_stripes_is_taken_and_means_nothing() -> None:
    request = CreateVolume(extents_of(4), LvName("x"), options=(("stripesize", Sectors(128)),))
    needs = needs_of(a_group(), request, 4)
    assert needs.notes == ("Ignoring stripesize argument with single stripe.",)
    assert (needs.extents, needs.step) == (4, 1)


def test_each_run_becomes_a_segment() -> None:
    group, built = create(a_group(), "x", [[area(0, 5, 3)], [area(2, 0, 4)]])
    assert (built.wipe, built.activate) == (None, None)
    assert built.main == group.lv_by_name["x"].id
    assert lines_of(group, "x") == [
        f"0 {3 * 8192} linear /dev/pv0 {2048 + 5 * 8192}",
        f"{3 * 8192} {4 * 8192} linear /dev/pv2 2050",
    ]


def test_an_extension_continues_where_the_volume_ends() -> None:
    group, _ = create(a_group(), "x", [[area(0, 5, 3)]])
    volume = group.lv_by_name["x"]
    request = ExtendVolume(volume.id, SizeSpec(Extents(2), "+"))
    needs = needs_of(group, request, 2)
    assert needs.needs[0].after == (area(0, 5, 3),)
    group = extend(group, "x", [[area(1, 0, 2)]])
    assert [s.start for s in group.lv_by_name["x"].segments] == [0, 3]


def test_how_to_go_on_must_be_said_where_segments_differ() -> None:
    group, _ = create(a_group(), "x", [[area(0, 0, 2), area(1, 0, 2)]], options=(("stripes", 2),))
    group = extend(group, "x", [[area(2, 0, 2)]], options=(("stripes", 1),))
    request = ExtendVolume(group.lv_by_name["x"].id, SizeSpec(Extents(2), "+"))
    with pytest.raises(Refused, match="different numbers of stripes"):
        needs_of(group, request, 2)


# -- segments -------------------------------------------------------------------------------------


def segment(start: int, pv: int, at: int, length: int, tags: tuple[str, ...] = ()) -> Segment:
    return Segment(Extents(start), Extents(length), LinearBody((area(pv, at, length),)), tuple(map(Tag, tags)))


def test_neighbours_on_one_pv_join() -> None:
    joined = TARGETS.join(a_group(), segment(0, 0, 0, 3), segment(3, 0, 3, 4))
    assert joined == LinearBody((area(0, 0, 7),))


@pytest.mark.parametrize(
    "second", [segment(3, 0, 4, 4), segment(3, 1, 3, 4), segment(3, 0, 3, 4, ("tag",)), segment(3, 0, 0, 1)]
)
def test_others_do_not_join(second: Segment) -> None:
    assert TARGETS.join(a_group(), segment(0, 0, 0, 3), second) is None


def test_areas_of_volumes_do_not_join() -> None:
    halves = [
        Segment(Extents(n), Extents(1), LinearBody((LvArea(uuid("a"), Extents(n), Extents(1)),))) for n in (0, 1)
    ]
    assert TARGETS.join(a_group(), halves[0], halves[1]) is None


@given(st.integers(1, 50), st.data())
def test_parts_join_to_the_whole(length: int, data: st.DataObject) -> None:
    group = a_group()
    whole = segment(0, 1, 7, length)
    cut = data.draw(st.integers(1, length))
    first = TARGETS.cut(group, whole, Extents(0), Extents(cut))
    if cut == length:
        assert first == whole.body
        return
    second = TARGETS.cut(group, whole, Extents(cut), Extents(length - cut))
    assert (
        TARGETS.join(
            group,
            Segment(Extents(0), Extents(cut), first),
            Segment(Extents(cut), Extents(length - cut), second),
        )
        == whole.body
    )


def test_a_move_takes_one_area_for_one() -> None:
    body = LinearBody((area(0, 0, 2),))
    assert body.with_areas((area(1, 4, 2),)) == LinearBody((area(1, 4, 2),))
    with pytest.raises(TypeError):
        body.with_areas((area(1, 4, 1), area(2, 4, 1)))


def test_sectors_lie_side_by_side() -> None:
    (found,) = TARGETS.map_read(a_group(), segment(3, 0, 5, 2), Sectors(10), Sectors(20)) or ()
    assert (found.start, found.length, found.area, found.offset) == (10, 20, area(0, 5, 2), 10)


def test_a_line_over_a_volume_refers_to_its_device() -> None:
    group, _ = create(a_group(), "x", [[area(0, 0, 1)]])
    below = group.lv_by_name["x"]
    body = LinearBody((LvArea(below.id, Extents(2), Extents(1)),))
    (line,) = TARGETS.segment_lines(group, below, Segment(Extents(0), Extents(1), body))
    assert line.args[1] == str(2 * 8192)
    assert line.refs()[0].uuid == f"LVM-{group.id}{below.id}"  # type: ignore[union-attr]
