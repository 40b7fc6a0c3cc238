"""How a caller says which device: by UUID, by name, or by number, never by a guess between them."""

from __future__ import annotations

from typing import NamedTuple

from vmgr.core.errors import InvalidName
from vmgr.core.table import LiveDevice
from vmgr.dm.abi import MAJORS, MINORS


class DevId(NamedTuple):
    """One device; exactly one of the three is set. Made by :func:`by_uuid`, :func:`by_name`, :func:`by_number`."""

    uuid: str = ""
    name: str = ""
    numbers: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.numbers is not None:
            return f"{self.numbers[0]}:{self.numbers[1]}"
        return self.uuid or self.name


Dev = str | DevId | LiveDevice
"""What commands take for a device. A plain string is looked for among UUIDs and names, and refused
(:class:`vmgr.core.errors.AmbiguousName`) if it is the UUID of one device and the name of another."""


def by_uuid(uuid: str) -> DevId:
    """The device whose device-mapper UUID is ``uuid``."""
    return DevId(uuid=uuid)


def by_name(name: str) -> DevId:
    """The device called ``name`` (without ``/dev/mapper/``)."""
    return DevId(name=name)


def by_number(major: int, minor: int) -> DevId:
    """The device ``major:minor``. Raises :class:`vmgr.core.errors.InvalidName` for numbers that none can have."""
    if not (0 <= major < MAJORS and 0 <= minor < MINORS):
        raise InvalidName(f"invalid device number {major}:{minor}")
    return DevId(numbers=(major, minor))
