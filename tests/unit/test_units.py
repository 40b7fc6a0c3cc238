"""Units do not mix."""

from __future__ import annotations

import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.ids import Uuid
from vmgr.core.model import PvArea
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.plugins.linear.body import LinearBody


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mod])
def test_two_units_do_not_combine(op) -> None:
    """Adding extents to sectors is an error, not a number."""
    with pytest.raises(TypeError):
        op(Sectors(8), Extents(8))


def test_a_unit_and_a_plain_number_do_not_add() -> None:
    """A bare number has no unit, so it cannot be added either."""
    with pytest.raises(TypeError):
        Sectors(1) + 1


def test_products_of_units_are_refused() -> None:
    """Sectors times sectors is no size."""
    with pytest.raises(TypeError):
        Sectors(2) * Sectors(2)


@given(st.integers(0, 2**50), st.integers(0, 2**50))
def test_arithmetic_keeps_the_unit(a: int, b: int) -> None:
    """Sums, differences and multiples are of the same unit and of the right amount."""
    total = Sectors(a) + Sectors(b)
    assert type(total) is Sectors
    assert total == a + b
    assert type(total * 3) is Sectors
    assert total - Sectors(b) == a


@given(st.integers(0, 2**40), st.sampled_from([1, 2, 8, 8192, 24576]))
def test_extents_up_and_down_enclose_the_size(sectors: int, extent_size: int) -> None:
    """Rounding down never gives more, rounding up never less, and they differ by one at most."""
    size, extent = Sectors(sectors), Sectors(extent_size)
    down, up = size.extents_down(extent), size.extents_up(extent)
    assert down.sectors(extent) <= size <= up.sectors(extent)
    assert int(up) - int(down) in (0, 1)


@given(st.integers(0, 2**60))
def test_bytes_round_up_to_sectors(n: int) -> None:
    """A started sector counts as a whole one."""
    sectors = Bytes(n).sectors()
    assert n <= sectors.bytes() < n + 512


def test_a_value_shows_all_its_fields() -> None:
    """The repr that values share says what attrs' own would: the class, and each field with its value."""
    area = PvArea(Uuid("a" * 32), Extents(2), Extents(3))
    assert repr(area) == f"PvArea(pv={'a' * 32!r}, start=Extents(2), length=Extents(3))"
    assert repr(LinearBody((area,))) == f"LinearBody(areas=({area!r},))"
