# ruff: noqa: E402 - the suite is imported after pytest was told to rewrite its assertions
"""Statistics on the kernel itself: the conformance suite, real input and output, and dmstats beside us."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.support.stats_conformance")

from tests.support.stats_conformance import StatsConformance, StatsRig
from vmgr.dm.client import DmClient

SECTOR = 512


def transfer(path: str, sector: int, sectors: int, *, write: bool) -> None:
    """One request past the cache."""
    fd = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT | os.O_CLOEXEC)
    try:
        with mmap.mmap(-1, sectors * SECTOR) as buffer:
            call = os.pwritev if write else os.preadv
            assert call(fd, [buffer], sector * SECTOR) == sectors * SECTOR
    finally:
        os.close(fd)


class KernelRig:
    """The suite's machine, on the lab's kernel."""

    def __init__(self) -> None:
        self.dm = DmClient.open(use_udev=False)

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool) -> None:
        transfer(f"/dev/mapper/{name}", sector, sectors, write=write)


@pytest.fixture
def rig(_machine: None) -> Iterator[StatsRig]:
    rig = KernelRig()
    yield rig
    rig.dm.close()


class TestKernelStatistics(StatsConformance):
    """The suite on the kernel."""
