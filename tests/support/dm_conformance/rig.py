"""What the suite needs of a machine, and the short words that its tests are written in."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import pytest

from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient
from vmgr.dm.failure import DmError
from vmgr.dm.kernel import Kernel

MIB = 2048
"""Sectors in a mebibyte."""


class Rig(Protocol):
    """What the suite needs of a machine."""

    dm: DmClient
    kernel: Kernel

    def disk(self, mib: int, *, block: int = 512) -> tuple[int, int]:
        """A block device outside of the device mapper, with logical blocks of so many bytes: (major, minor)."""

    def claim(self, numbers: tuple[int, int]) -> None:
        """Hold a block device for oneself, as a mount does."""

    def unclaim(self, numbers: tuple[int, int]) -> None:
        """Let go of it."""

    def hold(self, name: str) -> None:
        """Open a device."""

    def release(self, name: str) -> None:
        """Close it again."""


def line(start: int, length: int, target: str, params: str = "") -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


def zeros(length: int = MIB) -> list[KernelLine]:
    return [line(0, length, "zero")]


def words(numbers: tuple[int, int] | LiveDevice) -> str:
    if isinstance(numbers, LiveDevice):
        numbers = numbers.major, numbers.minor
    return f"{numbers[0]}:{numbers[1]}"


def refused(call: Callable[[], object]) -> str:
    """The errno's name with which the kernel refuses ``call``."""
    with pytest.raises(DmError) as caught:
        call()
    return caught.value.errno_name


def until(condition: Callable[[], bool]) -> None:
    """Wait for what the kernel does in the background, a few seconds at most."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def started(rig: Rig, name: str = "a", lines: list[KernelLine] | None = None, uuid: str = "") -> LiveDevice:
    """A device with a live table."""
    rig.dm.create(name, uuid)
    rig.dm.load(name, zeros() if lines is None else lines)
    return rig.dm.resume(name)


def stack(rig: Rig) -> tuple[LiveDevice, LiveDevice]:
    """Device ``upper`` on device ``lower``."""
    lower = started(rig, "lower")
    return lower, started(rig, "upper", [line(0, MIB, "linear", f"{words(lower)} 0")])
