# ruff: noqa: E402 - the suite is imported after pytest was told to rewrite its assertions
"""The fake kernel behaves as the real one: the conformance suite, and what only a fake can do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.support.dm_conformance")

from tests.support.dm_conformance import DmConformance, Rig
from vmgr.dm import abi
from vmgr.dm.client import DmClient
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes


class FakeRig:
    """The suite's machine, in memory."""

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.dm = DmClient(self.kernel, nodes=FakeNodes())

    def disk(self, mib: int, *, block: int = 512) -> tuple[int, int]:
        numbers = 7, len(self.kernel.disks)
        self.kernel.disks[abi.dev_number(*numbers)] = mib * 2048
        self.kernel.blocks[abi.dev_number(*numbers)] = block // 512
        return numbers

    def claim(self, numbers: tuple[int, int]) -> None:
        self.kernel.busy.add(abi.dev_number(*numbers))

    def unclaim(self, numbers: tuple[int, int]) -> None:
        self.kernel.busy.clear()

    def hold(self, name: str) -> None:
        self.kernel.hold(name)

    def release(self, name: str) -> None:
        self.kernel.release(name)


@pytest.fixture
def rig() -> Rig:
    return FakeRig()


class TestFakeKernel(DmConformance):
    """The suite on the fake."""
