"""Random walks through the commands: whatever is asked, bytes lose nothing, and a refusal changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.dm_shim import Shim
from tests.support.dm_walk import DISK, outcome, walk
from vmgr.dm import abi
from vmgr.dm import kernel as kernel_module
from vmgr.dm.failure import DmError
from vmgr.dm.kernel import IoctlKernel, Kernel
from vmgr.dm.wire import Request
from vmgr.testing.fake_kernel import FakeKernel

DISKS = [abi.dev_number(7, 0), abi.dev_number(7, 1)]


def machine() -> FakeKernel:
    return FakeKernel({(7, 0): DISK, (7, 1): DISK})


@pytest.fixture(scope="module")
def null() -> Iterator[int]:
    fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    yield fd
    os.close(fd)


@given(seed=st.integers(0, 2**32))
def test_a_walk_through_bytes_is_the_same_walk(null: int, seed: int) -> None:
    """The caller of ioctl, packing and unpacking add nothing and lose nothing."""
    direct, behind = machine(), machine()
    door = IoctlKernel()
    door._fd = null
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernel_module.fcntl, "ioctl", Shim(behind).ioctl)
        for text, make in walk(seed, 60):
            request = make(DISKS, direct.major)
            assert outcome(door, request, DISKS, direct.major) == outcome(direct, request, DISKS, direct.major), (
                text
            )
        assert state(door) == state(direct)
    door._fd = -1
    door.close()


def state(kernel: Kernel) -> list[object]:
    """Everything that can be asked about every device."""
    found: list[object] = []
    for minor in range(4):
        for command, flags in (
            (abi.DEV_STATUS, 0),
            (abi.DEV_STATUS, abi.QUERY_INACTIVE_TABLE),
            (abi.TABLE_STATUS, abi.STATUS_TABLE),
            (abi.TABLE_STATUS, abi.STATUS_TABLE | abi.QUERY_INACTIVE_TABLE),
            (abi.TABLE_DEPS, 0),
        ):
            request = Request(command, dev=abi.dev_number(254, minor), flags=flags)
            found.append(outcome(kernel, request, DISKS, 254))
    return found


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_a_refused_command_changes_nothing(seed: int) -> None:
    """Except a resume: it loses a table that does not fit and leaves the device suspended, as the kernel does."""
    kernel = machine()
    for text, make in walk(seed, 60):
        before = state(kernel)
        request = make(DISKS, kernel.major)
        try:
            kernel.call(request)
        except DmError:
            if request.command is not abi.DEV_SUSPEND:
                assert state(kernel) == before, text


@given(seed=st.integers(0, 2**32))
def test_what_a_table_refers_to_is_open(seed: int) -> None:
    """After any walk, live or waiting, whatever went meanwhile."""
    kernel = machine()
    for _, make in walk(seed, 60):
        try:
            kernel.call(make(DISKS, kernel.major))
        except DmError:
            continue
    for device in list(kernel._devices.values()):
        for table in (device.live, device.inactive):
            for dev in table.deps if table is not None else ():
                major, minor = abi.major_minor(dev)
                if major == kernel.major:
                    assert kernel.call(Request(abi.DEV_STATUS, dev=dev)).open_count > 0, minor
