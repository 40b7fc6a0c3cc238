"""What the line of a striped target says."""

from __future__ import annotations

from itertools import chain
from typing import ClassVar, Self

from attrs import frozen

from vmgr.core.errors import InvalidTable
from vmgr.core.tabletype import TableType, parse_number, split_params
from vmgr.core.units import Sectors

_FORM = "STRIPES CHUNK (DEVICE START)..."


@frozen(repr=False)
class StripedTable(TableType):
    """``striped STRIPES CHUNK (DEVICE START)...``: ``chunk`` sectors go to each of ``stripes`` in turn.

    ``stripes`` are pairs of a device and the first sector there (``drivers/md/dm-stripe.c``). The length of the
    line is a multiple of the number of stripes, and what each stripe has of it one of the chunk.
    """

    target: ClassVar[str] = "striped"

    chunk: Sectors
    stripes: tuple[tuple[str, Sectors], ...]

    @classmethod
    def parse(cls, params: str) -> Self:
        """As many pairs as the first word says; what follows them the kernel ignores, and is refused here."""
        words = split_params(params, 4, None, _FORM)
        count = parse_number(words[0], "the number of stripes", least=1, bits=32)
        chunk = parse_number(words[1], "the chunk size", least=1, bits=32)
        if len(words) != 2 + 2 * count:
            raise InvalidTable(f"{params!r} is not {_FORM} with {count} stripes")
        stripes = tuple(
            (words[i], Sectors(parse_number(words[i + 1], "the start"))) for i in range(2, len(words), 2)
        )
        return cls(Sectors(chunk), stripes)

    def params(self) -> str:
        """The parameters as the kernel prints them."""
        pairs = chain.from_iterable((device, str(start)) for device, start in self.stripes)
        return " ".join((str(len(self.stripes)), str(self.chunk), *pairs))

    @property
    def devices(self) -> tuple[str, ...]:
        """The device of each stripe."""
        return tuple(device for device, _ in self.stripes)
