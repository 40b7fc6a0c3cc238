"""The critical section: nothing in it may wait for a suspended disk.

Between suspend and resume, a page fault on a program file, an import, or a swapped-out page may have to be read
from the suspended device itself, which never ends. A process that ends or is stopped there leaves the device
suspended, and other programs waiting for it. So the process first loads what it needs and locks its memory; it
blocks signals until the end, and raises its priority, as LVM2 does (``lib/mm/memlock.c``,
``lib/misc/lvm-signal.c``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

_MCL_CURRENT, _MCL_FUTURE = 1, 2

PRIORITY = -18
"""LVM2's default for ``activation/process_priority``."""

RESERVE = 8 * 1024 * 1024
"""Bytes of heap to allocate and touch beforehand (LVM2's ``activation/reserved_memory`` is 8 MiB)."""

_CHUNK = 64 * 1024
"""Below malloc's threshold for ``mmap``: larger blocks go straight back to the system when freed."""


class _Process:
    """The state of this process, shared by all open sections."""

    def __init__(self) -> None:
        self.depth = 0
        self.locked = False
        self._libc: Any = None
        self._old_priority: int | None = None
        self._cap: bytearray | None = None
        self._old_mask: Any = None

    def lock(self, priority: int | None, reserve: int) -> None:
        import ctypes

        preload()
        if self._libc is None:
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._libc.munlockall  # noqa: B018 - looked up now, so that the loader has nothing to do later
        self._reserve(reserve)
        self.locked = self._libc.mlockall(_MCL_CURRENT | _MCL_FUTURE) == 0
        self._hold_signals()
        if priority is not None:
            try:
                old = os.getpriority(os.PRIO_PROCESS, 0)
                if priority < old:
                    os.setpriority(os.PRIO_PROCESS, 0, priority)
                    self._old_priority = old
            except OSError:
                pass  # no privilege: slower, not wrong

    def _hold_signals(self) -> None:
        """Block every signal that would end or stop the process, except those for its own faults."""
        import signal

        s = signal.Signals
        faults = {s.SIGABRT, s.SIGBUS, s.SIGFPE, s.SIGILL, s.SIGSEGV, s.SIGSYS, s.SIGTRAP}
        self._old_mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)

    def _reserve(self, size: int) -> None:
        """Make the allocator hold ``size`` bytes of touched memory.

        The last block is kept: it is the top of the heap, so the free blocks below it do not go back to the system.
        """
        blocks = [bytearray(_CHUNK) for _ in range(size // _CHUNK)]
        self._cap = blocks.pop() if blocks else None
        del blocks

    def unlock(self) -> None:
        if self.locked:
            self._libc.munlockall()
            self.locked = False
        self._cap = None
        if self._old_priority is not None:
            try:
                os.setpriority(os.PRIO_PROCESS, 0, self._old_priority)
            except OSError:
                pass
            self._old_priority = None
        if self._old_mask is not None:
            import signal

            mask, self._old_mask = self._old_mask, None
            # Last of all, because blocked signals arrive now, and may raise.
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)


_process = _Process()


class critical_section:
    """``with critical_section():`` around suspend to resume. Sections nest; only the outermost does anything.

    Signals that would end or stop the process are blocked until the end (Ctrl-C raises there). In a
    program with several threads they may still reach another thread.

    If memory cannot be locked (no privilege, a limit), the section runs anyway; see
    :attr:`locked`. ``priority`` None leaves the priority unchanged.
    """

    def __init__(self, *, priority: int | None = PRIORITY, reserve: int = RESERVE) -> None:
        self._priority, self._reserve = priority, reserve

    @property
    def locked(self) -> bool:
        """Whether memory is locked now."""
        return _process.locked

    def __enter__(self) -> critical_section:
        if not _process.depth:
            _process.lock(self._priority, self._reserve)
        _process.depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _process.depth -= 1
        if not _process.depth:
            _process.unlock()


def held() -> bool:
    """Whether a critical section is open in this process."""
    return _process.depth > 0


def preload() -> None:
    """Import everything that is used between suspend and resume, error handling included."""
    import importlib

    for name in ("traceback", "linecache", "vmgr.dm.client", "vmgr.dm.holders", "vmgr.dm.nodes", "vmgr.dm.udev"):
        importlib.import_module(name)
