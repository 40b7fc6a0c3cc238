"""What an error segment consists of: nothing."""

from __future__ import annotations

from vmgr.core.model import SegmentBody


class ErrorBody(SegmentBody):
    """A segment that lies nowhere: requests fail. All are equal.

    Without fields there is nothing for attrs to do, and not asking it saves start-up time.
    """

    __slots__ = ()
    __attrs_attrs__ = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is ErrorBody

    def __hash__(self) -> int:
        return hash(ErrorBody)
