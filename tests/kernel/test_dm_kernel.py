# ruff: noqa: E402 - the suite is imported after pytest was told to rewrite its assertions
"""The conformance suite on the kernel itself: what it says here, the fake has to say too."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator

import pytest

pytest.register_assert_rewrite("tests.support.dm_conformance")

from tests.support.dm_conformance import DmConformance, Rig
from vmgr.dm.client import DmClient
from vmgr.dm.kernel import IoctlKernel
from vmgr.testing.fake_kernel import FakeNodes


class KernelRig:
    """The suite's machine, on the lab's kernel. Nodes are another test's matter."""

    def __init__(self, make_disk: Callable[..., str]) -> None:
        self.kernel = IoctlKernel()
        self.dm = DmClient(self.kernel, nodes=FakeNodes())
        self._make_disk = make_disk
        self._open: dict[str, int] = {}
        self._paths: dict[tuple[int, int], str] = {}
        self._claim = -1

    def disk(self, mib: int, *, block: int = 512) -> tuple[int, int]:
        path = self._make_disk(mib, sector_size=block)
        number = os.stat(path).st_rdev
        numbers = os.major(number), os.minor(number)
        self._paths[numbers] = path
        return numbers

    def claim(self, numbers: tuple[int, int]) -> None:
        self._claim = os.open(self._paths[numbers], os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)

    def unclaim(self, numbers: tuple[int, int]) -> None:
        os.close(self._claim)

    def hold(self, name: str) -> None:
        device = self.dm.info(name=name)
        assert device is not None
        path = f"/dev/dm-test-{os.getpid()}"  # /run is mounted nodev
        os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(device.major, device.minor))
        try:
            self._open[name] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.unlink(path)

    def release(self, name: str) -> None:
        os.close(self._open.pop(name))


@pytest.fixture
def rig(make_disk: Callable[..., str]) -> Iterator[Rig]:
    rig = KernelRig(make_disk)
    yield rig
    rig.kernel.close()


class TestKernel(DmConformance):
    """The suite on the kernel."""
