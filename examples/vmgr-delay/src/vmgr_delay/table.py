"""What the line of a delay target says."""

from __future__ import annotations

from attrs import frozen
from vmgr.core.errors import InvalidTable
from vmgr.core.tabletype import TableType, parse_number, split_params


@frozen
class DelayTable(TableType):
    """``delay (DEVICE START MS)...``: for reads, writes, flushes.

    One device is for all, two leave flushes to that of writes.
    """

    target = "delay"

    places: tuple[tuple[str, int, int], ...]

    @classmethod
    def parse(cls, params):
        words = split_params(params, 3, 9, "(DEVICE START MS)...")
        if len(words) % 3:
            raise InvalidTable(
                f"{params!r} is not (DEVICE START MS)..."
            )
        return cls(
            tuple(
                (
                    words[i],
                    parse_number(words[i + 1], "the start"),
                    parse_number(words[i + 2], "the delay", bits=32),
                )
                for i in range(0, len(words), 3)
            )
        )

    def params(self):
        return " ".join(
            str(word) for place in self.places for word in place
        )

    @property
    def devices(self):
        return tuple(device for device, _, _ in self.places)
