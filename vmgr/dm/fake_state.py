"""What the fake kernel keeps of each device and table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.core.table import KernelLine


class FakeTable:
    """A loaded table: its lines as the kernel would print them, and the devices that it opens."""

    __slots__ = ("deps", "lines", "read_only")

    def __init__(self, lines: tuple[KernelLine, ...], read_only: bool, deps: tuple[int, ...]) -> None:
        self.lines = lines
        self.read_only = read_only
        self.deps = deps

    @property
    def size(self) -> int:
        """The end of the last line, in sectors."""
        last = self.lines[-1]
        return int(last.start) + int(last.length)


class FakeDevice:
    """A device, with the tables in its two slots and the opens that tests make."""

    __slots__ = (
        "deferred", "event_nr", "inactive", "live", "minor", "name", "opens", "read_only", "settled", "status",
        "suspended", "uuid",
    )  # fmt: skip

    def __init__(self, name: str, uuid: str, minor: int) -> None:
        self.name, self.uuid, self.minor = name, uuid, minor
        self.live: FakeTable | None = None
        self.inactive: FakeTable | None = None
        self.suspended = False
        self.read_only = False
        self.deferred = False
        self.opens = 0
        self.event_nr = 0
        self.settled = False
        """Whether a table was ever loaded: only the first load checks the areas."""
        self.status: dict[int, str] = {}
