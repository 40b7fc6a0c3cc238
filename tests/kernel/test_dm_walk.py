"""The fake device mapper and the kernel answer the same random walks alike, reply for reply."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support.dm_conformance.rig import until
from tests.support.dm_walk import DISK, NAMES, outcome, walk
from vmgr.dm import abi, wire
from vmgr.dm.failure import DmError
from vmgr.dm.kernel import IoctlKernel
from vmgr.dm.wire import Request
from vmgr.testing.fake_kernel import FakeKernel

STEPS = 200


@pytest.mark.parametrize("seed", range(12))
def test_fake_and_kernel_walk_alike(seed: int, make_disk: Callable[[float], str]) -> None:
    """A difference is the fake's mistake; the walk that led there is in the message."""
    found = [os.stat(make_disk(DISK / 2048)).st_rdev for _ in range(2)]
    disks = [abi.dev_number(os.major(number), os.minor(number)) for number in found]
    with IoctlKernel() as kernel:
        major = kernel.block_major()
        fake = FakeKernel({abi.major_minor(dev): DISK for dev in disks}, version=kernel.version, major=major)
        steps: list[str] = []
        try:
            for text, make in walk(seed, STEPS):
                request = make(disks, major)
                if _would_lie_on_itself(fake, request):
                    continue
                steps.append(text)
                doomed = {minor for minor, device in fake._devices.items() if device.deferred}
                theirs, ours = outcome(kernel, request, disks, major), outcome(fake, request, disks, major)
                steps[-1] += f" -> {theirs if isinstance(theirs, str) else 'ok'}"
                assert ours == theirs, "\n".join(steps)
                for minor in doomed - set(fake._devices):
                    # The kernel removes in the background what is closed at last; its number is the last to go.
                    until(lambda minor=minor: _free(kernel, minor))
        finally:
            _remove(kernel)


def _would_lie_on_itself(fake: FakeKernel, request: Request) -> bool:
    """Whether a load would make a ring: Linux before 6.4 takes it, and the devices could never be removed."""
    if request.command is not abi.TABLE_LOAD:
        return False
    try:
        top = fake._state.dev(fake._state.find(request))
    except Exception:
        return False
    lines = wire.unpack_table(request.data, request.target_count)
    pending = [dev for line in lines for dev in abi.numbers_in(line.params)]
    seen: set[int] = set()
    while pending:
        dev = pending.pop()
        if dev == top:
            return True
        device = fake._devices.get(abi.major_minor(dev)[1])
        if dev in seen or device is None or abi.major_minor(dev)[0] != fake.major:
            continue
        seen.add(dev)
        for table in (device.live, device.inactive):
            pending += table.deps if table is not None else ()
    return False


def _free(kernel: IoctlKernel, minor: int) -> bool:
    """Whether the minor number can be had; given back at once."""
    try:
        kernel.call(Request(abi.DEV_CREATE, "probe", dev=abi.dev_number(0, minor), flags=abi.PERSISTENT_DEV))
    except DmError:
        return False
    kernel.call(Request(abi.DEV_REMOVE, "probe"))
    return True


def _remove(kernel: IoctlKernel) -> None:
    for _ in NAMES:
        kernel.call(Request(abi.REMOVE_ALL))
