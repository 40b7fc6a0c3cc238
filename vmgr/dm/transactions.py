"""Transactions of one client: it waits for udev and updates nodes once for several commands, after the last resume.

Each command of :class:`vmgr.dm.client.DmClient` that udev acts on goes through :meth:`Transactional._eventful`, and
ends in :meth:`Transactional._settle`, which waits and updates nodes at once or at the end of a transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import KernelError
from vmgr.dm import abi
from vmgr.dm.failure import DmError
from vmgr.dm.kernel import IoctlKernel
from vmgr.dm.query import DmReader
from vmgr.dm.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vmgr.dm.abi import Command
    from vmgr.dm.address import Dev
    from vmgr.dm.failure import DmInUse
    from vmgr.dm.kernel import Kernel
    from vmgr.dm.pending import PendingWork
    from vmgr.dm.wire import Reply


class Transactional(DmReader):
    """A reader that tracks the changes of its client."""

    _pending: PendingWork

    def __init__(self, kernel: Kernel, warn: Callable[[str], None] | None) -> None:
        super().__init__(kernel)
        self.warnings: list[str] = []
        """All warnings so far."""
        self._warn = warn
        self._suspended: set[int] = set()
        self._depth = 0

    def transaction(self) -> Transaction:
        """``with client.transaction():`` waits for udev only once, at the end, for all commands inside."""
        return Transaction(self)

    def sync(self) -> None:
        """Wait for udev and update nodes and links now; while a device is suspended, at its resume."""
        if not self._suspended:
            self._pending.finish()

    def suspended(self) -> bool:
        """Whether a device that this client suspended is still suspended."""
        return bool(self._suspended)

    def look(self, name: str) -> Reply | None:
        """The header that the kernel returns for the device ``name``; None when there is none."""
        return self._ask(Request(abi.DEV_STATUS, name))

    def warn(self, text: str) -> None:
        """Pass a warning on to the caller."""
        self.warnings.append(text)
        if self._warn is not None:
            self._warn(text)

    # -- inside --------------------------------------------------------------------------------------

    def _settle(self) -> None:
        if not self._depth and not self._suspended:
            self._pending.finish()

    def _leave(self, failed: bool) -> None:
        self._depth -= 1
        if self._depth:
            return
        # A failure left these devices suspended; the semaphore must be removed all the same.
        try:
            self._pending.finish()
        except KernelError as e:
            if not failed:
                raise
            self.warn(e.message)

    def _eventful(self, dev: Dev, command: Command, udev_flags: int, flags: int = 0, data: bytes = b"") -> Reply:
        """Run a command that udev acts on: announce it in the cookie, and retract that if it raises no event."""
        request = self._request(dev, command, flags)
        if self.kernel.version < abi.COOKIE_SINCE:
            return self.kernel.call(request._replace(data=data) if data else request)
        event_nr, cookie = self._pending.announce(udev_flags)
        try:
            reply = self.kernel.call(request._replace(event_nr=event_nr, data=data))
        except BaseException:
            self._pending.retract(cookie)
            raise
        if not reply.flags & abi.UEVENT_GENERATED and self.kernel.version >= abi.UEVENT_FLAG_SINCE:
            self._pending.retract(cookie)
        return reply

    def _reopen(self, dev: Dev, udev_flags: int) -> None:
        """After a refused resume, resume a device on its old table.

        The kernel suspends a running device to swap its table, drops a table that does not fit, and leaves the
        device suspended. A device that the caller suspended stays suspended, because the caller knows the rest.
        """
        reply = self._ask(self._request(dev, abi.DEV_STATUS, 0))
        if reply is None or reply.dev in self._suspended or not reply.flags & abi.SUSPEND:
            return
        if reply.flags & abi.ACTIVE_PRESENT:
            try:
                self._eventful(dev, abi.DEV_SUSPEND, udev_flags)
            except DmError as e:
                self.warn(f"{e.message}; it is left suspended")

    def _say_who(self, error: DmInUse, *devs: int) -> None:
        """Add to an error what keeps the devices busy."""
        if not isinstance(self.kernel, IoctlKernel) or self._suspended:
            return  # while a device is suspended, opening files may wait for ever
        from vmgr.dm.holders import in_words

        error.details = tuple(text for dev in dict.fromkeys(devs) for text in in_words(*abi.major_minor(dev)))
        if error.details:
            error.message = f"{error.message}: {error.details[0]}"
            error.args = (error.message,)


class Transaction:
    """Groups commands under one cookie; see :meth:`Transactional.transaction`. Only the outermost one waits."""

    __slots__ = ("_client",)

    def __init__(self, client: Transactional) -> None:
        self._client = client

    def __enter__(self) -> Transaction:
        self._client._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client._leave(kind is not None)

    def sync(self) -> None:
        """Wait now for the commands so far; see :meth:`Transactional.sync`."""
        self._client.sync()
