"""What the line of an error target says: nothing."""

from __future__ import annotations

from typing import ClassVar, Self

from attrs import frozen

from vmgr.core.tabletype import TableType


@frozen(repr=False)
class ErrorTable(TableType):
    """``error``: every request fails (``drivers/md/dm-target.c``)."""

    target: ClassVar[str] = "error"

    @classmethod
    def parse(cls, params: str) -> Self:
        """The kernel takes any parameters and forgets them: so does this."""
        return cls()

    def params(self) -> str:
        """Nothing."""
        return ""
