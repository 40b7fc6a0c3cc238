"""What the parameters of a table's line mean: the contract of the types that target plugins provide.

A plugin has a frozen subclass of :class:`TableType` for each of its kernel targets and returns them from the hook
``table_types``. The device-mapper library makes values of lines with them (:class:`vmgr.dm.tables.Tables`). They
say no more than the kernel's line does: volumes and groups are not known here.
"""

from __future__ import annotations

from typing import ClassVar, Self

from vmgr.core.errors import InvalidTable
from vmgr.core.value import Value


class TableType(Value):
    """Base of the typed parameters of one target: use with ``@frozen(repr=False)``.

    Devices are words, as tables have them: ``major:minor``, which is what the kernel prints, or a path, which it
    takes, too. ``parse(value.params()) == value`` holds for every value, and for every line that the kernel prints
    ``parse(params).params() == params``.
    """

    __slots__ = ()

    target: ClassVar[str]
    """The name of the kernel's target."""

    @classmethod
    def parse(cls, params: str) -> Self:
        """The value of a line's parameters.

        Raises :class:`vmgr.core.errors.InvalidTable` for parameters that the target would not take.
        """
        raise NotImplementedError

    def params(self) -> str:
        """The parameters as the kernel takes and prints them."""
        raise NotImplementedError

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that the line refers to, in its order, repetitions kept. Default: none."""
        return ()


def split_params(params: str, least: int, most: int | None, form: str) -> list[str]:
    """The words of ``params``, at least ``least`` and at most ``most`` (None: any number).

    ``form`` is what they should look like, for the message; ``""`` for none. Raises :class:`InvalidTable`.
    """
    words = params.split()
    if len(words) < least or (most is not None and len(words) > most):
        raise InvalidTable(f"{params!r} is not {form}" if form else f"it takes no parameters, and not {params!r}")
    return words


def parse_number(word: str, what: str, *, least: int = 0, bits: int = 64) -> int:
    """A number of at most ``bits`` bits, in decimal digits; ``what`` names it. Raises :class:`InvalidTable`."""
    if not (word.isascii() and word.isdigit()):
        raise InvalidTable(f"{what} {word!r} is not a number")
    number = int(word)
    if not least <= number < 1 << bits:
        raise InvalidTable(f"{what} {number} is not between {least} and {(1 << bits) - 1}")
    return number
