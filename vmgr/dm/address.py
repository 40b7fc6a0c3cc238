"""Addresses of devices: by UUID, by name, or by number. Also the devices that a table's text refers to."""

from __future__ import annotations

import os
from stat import S_ISBLK
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import InvalidName
from vmgr.core.table import LiveDevice
from vmgr.dm.abi import MAJORS, MINORS, dev_number, numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.table import KernelLine


class DevId(NamedTuple):
    """The address of one device; exactly one field is set. See :func:`by_uuid`, :func:`by_name`, `by_number`."""

    uuid: str = ""
    name: str = ""
    numbers: tuple[int, int] | None = None

    def __str__(self) -> str:
        if self.numbers is not None:
            return f"{self.numbers[0]}:{self.numbers[1]}"
        return self.uuid or self.name


Dev = str | DevId | LiveDevice
"""What commands accept as a device. A plain string is a UUID or a name; one that is the UUID of one device
and the name of another is refused (:class:`vmgr.core.errors.AmbiguousName`)."""


def by_uuid(uuid: str) -> DevId:
    """The device whose device-mapper UUID is ``uuid``."""
    return DevId(uuid=uuid)


def by_name(name: str) -> DevId:
    """The device called ``name`` (without ``/dev/mapper/``)."""
    return DevId(name=name)


def by_number(major: int, minor: int) -> DevId:
    """The device ``major:minor``. Raises :class:`vmgr.core.errors.InvalidName` for numbers out of range."""
    if not (0 <= major < MAJORS and 0 <= minor < MINORS):
        raise InvalidName(f"invalid device number {major}:{minor}")
    return DevId(numbers=(major, minor))


def devices_in(lines: Iterable[KernelLine]) -> tuple[int, ...]:
    """The block devices that tables refer to, as numbers (:func:`vmgr.dm.abi.dev_number`), in order.

    As for the kernel, a reference is ``major:minor`` or the absolute path of a node.
    """
    found: list[int] = []
    for line in lines:
        found += numbers_in(line.params)
        if "/" in line.params:
            found += (number for word in line.params.split() if word[0] == "/" and (number := _number_at(word)))
    return tuple(found)


def _number_at(path: str) -> int:
    """The number of the block device at ``path``; 0 where there is none."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return 0
    return dev_number(os.major(state.st_rdev), os.minor(state.st_rdev)) if S_ISBLK(state.st_mode) else 0
