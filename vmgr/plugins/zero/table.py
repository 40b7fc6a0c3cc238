"""What the line of a zero target says: nothing."""

from __future__ import annotations

from typing import ClassVar, Self

from attrs import frozen

from vmgr.core.tabletype import TableType, split_params


@frozen(repr=False)
class ZeroTable(TableType):
    """``zero``: reads give zeros, writes are dropped (``drivers/md/dm-zero.c``)."""

    target: ClassVar[str] = "zero"

    @classmethod
    def parse(cls, params: str) -> Self:
        """No parameters."""
        split_params(params, 0, 0, "")
        return cls()

    def params(self) -> str:
        """Nothing."""
        return ""
