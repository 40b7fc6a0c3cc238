"""Sectors, bytes and extents as types of their own.

A size in the wrong unit is the classic way to lose data in a volume manager, so each unit
is a class and mixing two of them raises ``TypeError`` (and is refused by mypy). They are
subclasses of ``int``: they compare, hash and print as integers, and cost what integers cost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

SECTOR_SIZE = 512
"""Bytes in a sector, whatever the disk's own block size: the kernel's unit and LVM2's."""


class _Unit(int):
    """An integer that only adds to, subtracts from and divides by its own kind.

    ``__add__`` and its siblings narrow what ``int`` accepts on purpose, hence the
    ``override`` exemptions: they are the point of the class.
    """

    __slots__ = ()

    def _same(self, other: object) -> None:
        if type(other) is not type(self):
            raise TypeError(f"cannot combine {type(self).__name__} with {type(other).__name__}")

    def __add__(self, other: Self) -> Self:  # type: ignore[override]
        self._same(other)
        return type(self)(int.__add__(self, other))

    def __sub__(self, other: Self) -> Self:  # type: ignore[override]
        self._same(other)
        return type(self)(int.__sub__(self, other))

    def __mul__(self, other: int) -> Self:
        if isinstance(other, _Unit):
            raise TypeError(f"cannot multiply {type(self).__name__} by {type(other).__name__}")
        return type(self)(int.__mul__(self, other))

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> Self:
        if isinstance(other, _Unit):
            raise TypeError("divide by a plain number; extents_down and extents_up convert units")
        return type(self)(int.__floordiv__(self, other))

    def __mod__(self, other: int) -> Self:
        if isinstance(other, _Unit) and type(other) is not type(self):
            raise TypeError(f"cannot divide {type(self).__name__} by {type(other).__name__}")
        return type(self)(int.__mod__(self, other))

    def __neg__(self) -> Self:
        return type(self)(int.__neg__(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({int(self)})"

    def __str__(self) -> str:
        return int.__repr__(self)

    def round_up(self, step: int) -> Self:
        """The smallest multiple of ``step`` that is not less than this."""
        return type(self)(-(-int(self) // int(step)) * int(step))

    def round_down(self, step: int) -> Self:
        """The largest multiple of ``step`` that is not more than this."""
        return type(self)(int(self) // int(step) * int(step))

    @classmethod
    def total(cls, items: Iterable[Self]) -> Self:
        """Add up ``items`` (``sum`` would start from a plain 0)."""
        return cls(sum(map(int, items)))


class Bytes(_Unit):
    """A number of bytes."""

    __slots__ = ()

    def sectors(self) -> Sectors:
        """The same size in sectors, rounded up to a whole one."""
        return Sectors(-(-int(self) // SECTOR_SIZE))


class Sectors(_Unit):
    """A number of 512-byte sectors."""

    __slots__ = ()

    def bytes(self) -> Bytes:
        """The same size in bytes."""
        return Bytes(int(self) * SECTOR_SIZE)

    def extents_down(self, extent_size: Sectors) -> Extents:
        """How many whole extents of ``extent_size`` fit in this."""
        return Extents(int(self) // int(extent_size))

    def extents_up(self, extent_size: Sectors) -> Extents:
        """How many extents of ``extent_size`` are needed to hold this."""
        return Extents(-(-int(self) // int(extent_size)))


class Extents(_Unit):
    """A number of extents; what one measures is the group's ``extent_size``."""

    __slots__ = ()

    def sectors(self, extent_size: Sectors) -> Sectors:
        """The same size in sectors, in a group with extents of ``extent_size``."""
        return Sectors(int(self) * int(extent_size))
