"""The fake kernel behind a descriptor: something that ``poll`` and an event loop can wait for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.dm import abi
from vmgr.dm.kernel import check
from vmgr.dm.wire import Reply

if TYPE_CHECKING:
    from vmgr.dm.abi import Version
    from vmgr.dm.fake import FakeKernel
    from vmgr.dm.fake_state import FakeState
    from vmgr.dm.wire import Request


class FakeWatch:
    """What opening the control node once more gives: the same devices, and an arming of its own.

    Unlike the fake kernel itself it really waits in :meth:`poll`: another thread or a signal may end that.
    """

    def __init__(self, kernel: FakeKernel, state: FakeState) -> None:
        self._kernel, self._state = kernel, state
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        state.watches.append(self)

    @property
    def version(self) -> Version:
        """The interface's version."""
        return self._kernel.version

    def call(self, request: Request) -> Reply:
        """Run one command; see :meth:`vmgr.dm.kernel.Kernel.call`."""
        if request.command is not abi.DEV_ARM_POLL:
            return self._kernel.call(request)
        check(request, self.version)
        self._kernel.calls.append(request)
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass  # there was none
        return Reply(self.version)

    def notify(self) -> None:
        """There was an event."""
        os.eventfd_write(self._fd, 1)

    def poll(self, timeout: float | None) -> bool:
        """Wait for an event since the last arming; False after ``timeout`` seconds."""
        import select

        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def block_major(self) -> int:
        """The major number of the devices."""
        return self._kernel.major

    def watch(self) -> FakeWatch:
        """One more."""
        return FakeWatch(self._kernel, self._state)

    def fileno(self) -> int:
        """The descriptor, an eventfd."""
        return self._fd

    def close(self) -> None:
        """Close it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._state.watches.remove(self)
            os.close(fd)
