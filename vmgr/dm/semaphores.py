"""System V semaphores for udev's cookies: the system calls through libc, and the kernel's list of semaphores.

:mod:`vmgr.dm.udev` and :mod:`vmgr.dm.cookies` use these semaphores as cookies.
"""

from __future__ import annotations

import errno
import os
from typing import Any, NamedTuple

from vmgr.core.errors import KernelError, NotFound, NotPermitted

_IPC_CREAT, _IPC_EXCL, _IPC_NOWAIT = 0o1000, 0o2000, 0o4000
_IPC_RMID, _GETPID, _GETVAL, _GETZCNT = 0, 11, 12, 15

LIST = "sysvipc/sem"
"""The kernel's list, below ``/proc``. It exists if and only if the kernel has semaphores."""

_GONE = errno.EIDRM, errno.EINVAL


class Listed(NamedTuple):
    """One line of the kernel's list: times in seconds since 1970, 0 for never."""

    key: int
    semid: int
    uid: int
    operated: int
    changed: int


def listed(proc: str = "/proc") -> tuple[Listed, ...]:
    """Every semaphore of this machine (of this IPC namespace), in the kernel's order; none if it has no list."""
    try:
        with open(os.path.join(proc, LIST), encoding="ascii") as f:
            lines = f.read().splitlines()[1:]
    except OSError:
        return ()
    found = []
    for line in lines:
        # key semid perms nsems uid gid cuid cgid otime ctime (ipc/sem.c, sysvipc_sem_proc_show)
        words = line.split()
        if len(words) >= 10:
            # The key is printed with a sign.
            found.append(
                Listed(int(words[0]) & 0xFFFF_FFFF, int(words[1]), int(words[4]), int(words[8]), int(words[9]))
            )
    return tuple(found)


class Semaphores:
    """The system calls, through libc."""

    def __init__(self) -> None:
        import ctypes

        class Sembuf(ctypes.Structure):
            _fields_ = (("num", ctypes.c_ushort), ("op", ctypes.c_short), ("flags", ctypes.c_short))

        class Timespec(ctypes.Structure):
            _fields_ = (("sec", ctypes.c_long), ("nsec", ctypes.c_long))

        self._libc = ctypes.CDLL(None, use_errno=True)
        self._get_errno = ctypes.get_errno
        self._byref: Any = ctypes.byref
        self._sembuf, self._timespec = Sembuf, Timespec
        # Looked up now, so that the dynamic loader has nothing to do between suspend and resume.
        self._semget, self._semop, self._semctl = self._libc.semget, self._libc.semop, self._libc.semctl
        self._semtimedop = self._libc.semtimedop

    def create(self, key: int) -> int | None:
        """A new semaphore of value 0; its id, or None when the key is taken."""
        semid = self._semget(key, 1, 0o600 | _IPC_CREAT | _IPC_EXCL)
        if semid >= 0:
            return int(semid)
        code = self._get_errno()
        if code == errno.EEXIST:
            return None
        if code == errno.ENOSPC:
            raise KernelError(
                "no semaphore is left to wait for udev with",
                hint="raise the limit in /proc/sys/kernel/sem, or remove stale ones: `vmgr dm udevcomplete_all 60`",
            )
        raise KernelError(f"cannot make a semaphore to wait for udev with: {os.strerror(code)}")

    def find(self, key: int) -> int | None:
        """The id of the semaphore with ``key``; None when there is none. Raises :class:`NotPermitted`."""
        semid = self._semget(key, 1, 0)
        if semid >= 0:
            return int(semid)
        if self._get_errno() == errno.EACCES:
            raise NotPermitted(f"cannot use the semaphore {key:#x}: permission denied", hint="run as root")
        return None

    def add(self, semid: int, amount: int) -> None:
        """Add to the value without waiting. No error if the semaphore is gone or would fall below zero."""
        code = self._change(semid, amount)
        if code and code not in _GONE and code != errno.EAGAIN:
            raise KernelError(f"cannot change a semaphore shared with udev: {os.strerror(code)}")

    def subtract(self, semid: int) -> bool:
        """Subtract 1; False if the value is 0. Raises :class:`NotFound`, :class:`NotPermitted`."""
        code = self._change(semid, -1)
        if not code:
            return True
        if code == errno.EAGAIN:
            return False
        raise self._failed("change", semid, code)

    def _change(self, semid: int, amount: int) -> int:
        operation = self._sembuf(0, amount, _IPC_NOWAIT)
        return self._get_errno() if self._semop(semid, self._byref(operation), 1) < 0 else 0

    def wait_zero(self, semid: int, timeout: float) -> bool:
        """Wait for the value 0; False after ``timeout`` seconds. A removed semaphore counts as 0."""
        operation = self._sembuf(0, 0, 0)
        span = self._timespec(int(timeout), int(timeout % 1 * 1e9))
        if self._semtimedop(semid, self._byref(operation), 1, self._byref(span)) == 0:
            return True
        code = self._get_errno()
        if code in _GONE:
            return True
        if code in (errno.EAGAIN, errno.EINTR):
            return False
        raise KernelError(f"cannot wait for udev: {os.strerror(code)}")

    def value(self, semid: int) -> int | None:
        """The value; None if the semaphore is gone or belongs to another user."""
        value = int(self._semctl(semid, 0, _GETVAL))
        return value if value >= 0 else None

    def waiters(self, semid: int) -> int:
        """The number of processes that wait for the value 0; 0 if permission is denied."""
        return max(int(self._semctl(semid, 0, _GETZCNT)), 0)

    def last_process(self, semid: int) -> int:
        """The process that last changed the value, which may be gone; 0 if not known."""
        return max(int(self._semctl(semid, 0, _GETPID)), 0)

    def remove(self, semid: int) -> None:
        """Remove the semaphore; no error if it is gone. Raises :class:`NotPermitted`."""
        if self._semctl(semid, 0, _IPC_RMID) < 0:
            code = self._get_errno()
            if code not in _GONE:
                raise self._failed("remove", semid, code)

    @staticmethod
    def _failed(what: str, semid: int, code: int) -> KernelError | NotFound | NotPermitted:
        text = f"cannot {what} the semaphore {semid} shared with udev"
        if code in _GONE:
            return NotFound(f"{text}: it is gone")
        if code in (errno.EACCES, errno.EPERM):
            return NotPermitted(f"{text}: permission denied", hint="run as root")
        return KernelError(f"{text}: {os.strerror(code)}")
