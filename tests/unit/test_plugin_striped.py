"""The striped target: shapes, rounding, extension onto other shapes, tables, and where sectors lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plugins import a_group, area, create, extend, extents_of, lines_of, needs_of
from tests.support.stacks import TARGETS
from tests.unit.test_plugin_linear import Names
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.errors import DamagedMetadata, InvalidSize, Refused, UsageError
from vmgr.core.exchange import SpaceNeeds
from vmgr.core.ids import LvName
from vmgr.core.model import Segment, VolumeGroup
from vmgr.core.requests import CreateVolume, ExtendVolume, Options
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.striped.body import StripedBody


def body(*areas: tuple[int, int, int], size: int = 128) -> StripedBody:
    return StripedBody(tuple(area(*a) for a in areas), Sectors(size))


def options(stripes: int | None = None, size: int | None = None) -> Options:
    given = (("stripes", stripes), ("stripesize", None if size is None else Sectors(size)))
    return tuple((name, value) for name, value in given if value is not None)


def needs(
    extents: int,
    stripes: int | None = None,
    size: int | None = None,
    *,
    group: VolumeGroup | None = None,
    spec: SizeSpec | None = None,
    alloc: str = "inherit",
) -> SpaceNeeds:
    request = CreateVolume(spec or extents_of(extents), LvName("x"), options=options(stripes, size), alloc=alloc)
    return needs_of(group or a_group(), request, extents)


# -- on disk --------------------------------------------------------------------------------------


def test_a_set_is_decoded_and_encoded_alike() -> None:
    fields = {"stripe_count": 2, "stripe_size": 128, "stripes": ("pv0", 4, "pv1", 9)}
    found, extra = TARGETS.decode("striped", Extents(6), fields, Names())  # type: ignore[arg-type]
    assert (found, extra) == (body((0, 4, 3), (1, 9, 3)), ())
    assert TARGETS.encode(found, Names()) == ("striped", tuple(fields.items()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"stripe_count": 0},
        {"stripe_count": "2"},
        {"stripe_count": None},
        {"stripe_size": 0},
        {"stripe_size": None},
        {"stripes": ("pv0", 4)},
        {"stripes": ("pv0", 4, "pv1", "9")},
        {"stripes": (4, "pv0", 9, "pv1")},
        {"stripes": None},
        {"stripe_count": 4, "stripes": ("pv0", 0) * 4},
    ],
)
def test_a_set_that_makes_no_sense_is_damage(change: dict[str, object]) -> None:
    fields = {"stripe_count": 2, "stripe_size": 128, "stripes": ("pv0", 4, "pv1", 9)} | change
    with pytest.raises(DamagedMetadata):
        TARGETS.decode("striped", Extents(6), fields, Names())  # type: ignore[arg-type]


# -- requests -------------------------------------------------------------------------------------


def test_several_stripes_make_a_set() -> None:
    for type_word in (None, "striped"):
        request = CreateVolume(extents_of(4), LvName("x"), type_word, None, options(2))
        assert TARGETS.choose(a_group(), request).name == "striped"


def test_an_option_that_its_kind_does_not_take_is_named() -> None:
    for asked, message in (
        ((("chunksize", Sectors(8)),), "a linear volume takes no --chunksize"),
        ((("chunksize", Sectors(8)), ("stripes", 2)), "a striped volume takes no --chunksize"),
    ):
        with pytest.raises(UsageError, match=message):
            TARGETS.choose(a_group(), CreateVolume(extents_of(4), LvName("x"), options=asked))


@pytest.mark.parametrize("stripes", [0, -1, 129])
def test_the_number_of_stripes_has_bounds(stripes: int) -> None:
    with pytest.raises(UsageError, match="between 1 and 128"):
        needs(4, stripes)


@pytest.mark.parametrize("size", [4, 6, 12, 100, 1])
def test_a_stripe_size_is_a_power_of_two_from_4k(size: int) -> None:
    with pytest.raises(InvalidSize, match="invalid stripe size"):
        needs(4, 2, size)


def test_a_stripe_size_has_a_largest_value() -> None:
    with pytest.raises(InvalidSize, match=r"cannot be larger than 1\.00 TiB"):
        needs(4, 2, 1 << 32)


def test_the_default_stripe_size_is_64k() -> None:
    found = needs(4, 2)
    assert found.notes == ("Using default stripesize 64.00 KiB.",)
    group, _ = create(a_group(), "x", [[area(0, 0, 2), area(1, 0, 2)]], options=options(2))
    assert lines_of(group, "x") == [f"0 {4 * 8192} striped 2 128 /dev/pv0 2048 /dev/pv1 2049"]


def test_stripes_lie_on_different_pvs() -> None:
    (need,) = needs(4, 2, 8).needs
    assert (need.role, need.areas, need.extents, need.distinct) == ("data", 2, 2, True)


def test_more_stripes_than_pvs_need_the_policy_anywhere() -> None:
    with pytest.raises(Refused, match=r"stripes \(4\) must not exceed number of physical volumes \(3\)"):
        needs(4, 4, 8)
    assert needs(4, 4, 8, alloc="anywhere").needs[0].areas == 4


def test_the_size_is_rounded_up_to_whole_rows() -> None:
    found = needs(15, 2, 8)
    assert (found.extents, found.step) == (16, 2)
    assert found.notes == (
        "Rounding size 60.00 MiB (15 extents) up to stripe boundary size 64.00 MiB (16 extents).",
    )


def test_a_percentage_is_rounded_down_where_there_is_not_enough() -> None:
    spec = SizeSpec(Percent(100, "FREE"))
    found = needs(29, 2, 8, group=a_group(extents=9), spec=spec)
    assert found.extents == 28
    assert "down to stripe boundary" in found.notes[0]
    assert needs(25, 2, 8, group=a_group(extents=9), spec=spec).extents == 26


def test_a_stripe_larger_than_an_extent_is_made_smaller() -> None:
    found = needs(8, 2, 16384)
    assert found.notes == ("Reducing requested stripe size 8.00 MiB to maximum, physical extent size 4.00 MiB.",)
    assert found.step == 2


def test_areas_hold_whole_stripes_also_where_an_extent_does_not() -> None:
    # 384 KiB extents, 256 KiB stripes: the kernel refuses an area of one extent.
    found = needs(2, 2, 512, group=a_group(extent_size=768))
    assert (found.step, found.extents) == (4, 4)


# -- extending ------------------------------------------------------------------------------------


def striped(group: VolumeGroup | None = None, size: int = 8) -> VolumeGroup:
    return create(group or a_group(), "x", [[area(0, 0, 2), area(1, 0, 2)]], options=options(2, size))[0]


def extend_needs(group: VolumeGroup, extents: int, given: Options = ()) -> SpaceNeeds:
    request = ExtendVolume(group.lv_by_name["x"].id, SizeSpec(Extents(extents), "+"), None, given)
    return needs_of(group, request, extents)


def test_an_extension_goes_on_with_the_last_shape() -> None:
    found = extend_needs(striped(), 2)
    assert found.notes == ("Using stripesize of last segment 4.00 KiB",)
    assert found.needs[0].areas == 2
    assert found.needs[0].after == (area(0, 0, 2), area(1, 0, 2))


def test_an_extension_rounds_its_own_part() -> None:
    assert extend_needs(striped(), 3).notes[-1] == (
        "Rounding size (7 extents) up to stripe boundary size for segment (8 extents)."
    )


def test_an_extension_may_have_another_number_of_stripes() -> None:
    group = extend(striped(), "x", [[area(0, 4, 1), area(1, 4, 1), area(2, 4, 1)]], options=options(3))
    assert lines_of(group, "x") == [
        f"0 {4 * 8192} striped 2 8 /dev/pv0 2048 /dev/pv1 2049",
        f"{4 * 8192} {3 * 8192} striped 3 8 /dev/pv0 {2048 + 4 * 8192} /dev/pv1 {2049 + 4 * 8192}"
        f" /dev/pv2 {2050 + 4 * 8192}",
    ]


def test_one_stripe_goes_on_as_a_linear_segment() -> None:
    group = extend(striped(), "x", [[area(2, 0, 5)]], options=options(1))
    assert lines_of(group, "x")[1] == f"{4 * 8192} {5 * 8192} linear /dev/pv2 2050"


def test_a_linear_volume_goes_on_in_stripes() -> None:
    group, _ = create(a_group(), "x", [[area(0, 0, 2)]])
    assert extend_needs(group, 2, options(2)).notes == ("Using default stripesize 64.00 KiB.",)
    group = extend(group, "x", [[area(0, 4, 1), area(1, 0, 1)]], options=options(2))
    assert [type(s.body).__name__ for s in group.lv_by_name["x"].segments] == ["LinearBody", "StripedBody"]


def test_how_to_go_on_must_be_said_where_shapes_differ() -> None:
    group = extend(striped(), "x", [[area(0, 4, 1), area(1, 4, 1)]], options=options(2, 64))
    with pytest.raises(Refused, match="stripe sizes"):
        extend_needs(group, 2)
    assert extend_needs(group, 2, options(2, 64)).extents == 2
    mixed = extend(striped(), "x", [[area(2, 0, 2)]], options=options(1))
    mixed = extend(mixed, "x", [[area(0, 4, 1), area(1, 4, 1)]], options=options(2))
    with pytest.raises(Refused):
        extend_needs(mixed, 2)


# -- segments -------------------------------------------------------------------------------------


def segment(start: int, it: StripedBody) -> Segment:
    return Segment(Extents(start), Extents.total(a.length for a in it.areas), it)


def test_sets_of_one_shape_join_where_all_their_areas_do() -> None:
    first = segment(0, body((0, 0, 2), (1, 4, 2)))
    assert TARGETS.join(a_group(), first, segment(4, body((0, 2, 1), (1, 6, 1)))) == body((0, 0, 3), (1, 4, 3))
    for other in (
        body((0, 2, 1), (1, 7, 1)),
        body((1, 6, 1), (0, 2, 1)),
        body((0, 2, 1), (1, 6, 1), size=64),
        body((0, 2, 1), (1, 6, 1), (2, 0, 1)),
    ):
        assert TARGETS.join(a_group(), first, segment(4, other)) is None


def test_a_set_is_cut_between_rows_only() -> None:
    whole = segment(0, body((0, 0, 3), (1, 4, 3)))
    assert TARGETS.cut(a_group(), whole, Extents(2), Extents(4)) == body((0, 1, 2), (1, 5, 2))
    for start, length in ((1, 2), (0, 3)):
        with pytest.raises(Refused, match="multiples of 2 extents"):
            TARGETS.cut(a_group(), whole, Extents(start), Extents(length))


def test_unequal_areas_and_single_stripes_break_the_rules() -> None:
    group = striped()
    volume = group.lv_by_name["x"]
    for broken in (body((0, 0, 2), (1, 0, 3)), body((0, 0, 2))):
        from attrs import evolve

        bad = evolve(volume, segments=(segment(0, broken),))
        assert TARGETS.check_volume(group.with_lv(bad), bad)


@given(
    st.integers(2, 5),
    st.integers(3, 11).map(lambda n: 1 << n),
    st.integers(0, 3 * 2048),
    st.integers(1, 3 * 2048),
)
def test_each_sector_lies_where_the_kernel_puts_it(stripes: int, size: int, start: int, length: int) -> None:
    """The kernel's rule: stripe number s is row s // n of area s % n (``drivers/md/dm-stripe.c``)."""
    it = segment(0, body(*((n, 0, 4) for n in range(stripes)), size=size))
    found = TARGETS.map_read(a_group(stripes), it, Sectors(start), Sectors(length)) or ()
    placed = {}
    at = start
    for part in found:
        assert part.start == at
        for n in range(part.length):
            placed[at + n] = (part.area, part.offset + Sectors(n))
        at += int(part.length)
    assert at == start + length
    for sector in {start, start + length - 1, start + length // 2}:
        number, within = divmod(sector, size)
        assert placed[sector] == (it.body.areas[number % stripes], number // stripes * size + within)
