"""udev's part: cookies, and waiting for the rules to be done with a device, always with a bound.

A cookie is a System V semaphore that udev's rules and vmgr share. Its key is ``0x0d4d`` and 16 random
bits. It starts at 1; each command that makes a uevent adds 1 and hands the low 16 bits to the
kernel, which passes them on as ``DM_COOKIE``; the rule file ``95-dm-notify.rules`` runs
``dmsetup udevcomplete``, which subtracts 1. To wait is to subtract the first 1 and wait
for zero. The high 16 bits (``abi.UDEV_*``) tell the rules what to leave alone. All of this is as
libdevmapper does it (``libdm/libdm-common.c``, ``libdm/libdevmapper.h``), because the same rules answer.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING, Any

from vmgr.core.errors import KernelError, UdevTimeout
from vmgr.dm import abi

if TYPE_CHECKING:
    from collections.abc import Mapping

# -- semaphores -------------------------------------------------------------------------------------

MAGIC = 0x0D4D
_IPC_CREAT, _IPC_EXCL, _IPC_NOWAIT = 0o1000, 0o2000, 0o4000
_IPC_RMID, _GETVAL = 0, 12

SEMAPHORES = "/proc/sysvipc/sem"
CONTROL_SOCKET = "/run/udev/control"
RULES = "95-dm-notify.rules"
RULES_DIRS = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")

TIMEOUT = 30.0
"""Seconds without any progress after which udev is given up on."""


class Cookie:
    """One semaphore, shared with udev until :meth:`wait` or :meth:`remove`."""

    __slots__ = ("_sem", "base", "pending", "semid")

    def __init__(self, sem: Semaphores, base: int, semid: int) -> None:
        self._sem = sem
        self.base = base
        """The low 16 bits of the key, which travel through the kernel."""
        self.semid = semid
        self.pending = 0
        """Events that were announced, whether udev is done with them or not."""

    @property
    def value(self) -> int:
        """The whole key, as ``dmsetup udevcookies`` prints it."""
        return MAGIC << abi.UDEV_SHIFT | self.base

    def announce(self) -> None:
        """Add 1: a command is about to make a uevent."""
        self._sem.add(self.semid, 1)
        self.pending += 1

    def retract(self) -> None:
        """Subtract 1: the command made no uevent."""
        self._sem.add(self.semid, -1)
        self.pending -= 1

    def wait(self, timeout: float = TIMEOUT) -> None:
        """Wait until udev is done with every event, then remove the semaphore, whatever happens.

        Raises :class:`UdevTimeout` when nothing moves for ``timeout`` seconds.
        """
        try:
            self._wait(timeout)
        finally:
            self.remove()

    def _wait(self, timeout: float) -> None:
        sem = self._sem
        left = sem.value(self.semid)
        if left is None:
            return  # removed by `dmsetup udevcomplete_all`: someone decided not to wait
        sem.add(self.semid, -1)
        left -= 1
        deadline = time.monotonic() + timeout
        while left:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise UdevTimeout(
                    f"udev is not done with {left} of {self.pending} device-mapper events after"
                    f" {timeout:g} seconds without progress (cookie {self.value:#x})",
                    hint="see `udevadm info /dev/mapper/NAME` and the journal of systemd-udevd;"
                    " DM_DISABLE_UDEV=1 makes vmgr do without it",
                )
            # Short naps, so that progress is seen and the bound starts anew with it.
            if sem.wait_zero(self.semid, min(remaining, 1.0)):
                return
            now = sem.value(self.semid)
            if now is None:
                return
            if now < left:
                left, deadline = now, time.monotonic() + timeout

    def remove(self) -> None:
        """Remove the semaphore; no error if it is gone."""
        self._sem.remove(self.semid)


class Semaphores:
    """The three system calls, through libc."""

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
        # Looked up now: between suspend and resume the dynamic loader shall have nothing to do.
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
                hint="raise the limit in /proc/sys/kernel/sem, or remove stale ones: `dmsetup udevcomplete_all 60`",
            )
        raise KernelError(f"cannot make a semaphore to wait for udev with: {os.strerror(code)}")

    def find(self, key: int) -> int | None:
        """The id of the semaphore with ``key``; None when there is none."""
        semid = self._semget(key, 1, 0)
        return int(semid) if semid >= 0 else None

    def add(self, semid: int, amount: int) -> None:
        """Add to the value without waiting. No error if the semaphore is gone or would fall below zero."""
        operation = self._sembuf(0, amount, _IPC_NOWAIT)
        if self._semop(semid, self._byref(operation), 1) < 0:
            code = self._get_errno()
            if code not in (errno.EIDRM, errno.EINVAL, errno.EAGAIN):
                raise KernelError(f"cannot change a semaphore shared with udev: {os.strerror(code)}")

    def wait_zero(self, semid: int, timeout: float) -> bool:
        """Wait for the value 0; False after ``timeout`` seconds. A removed semaphore counts as 0."""
        operation = self._sembuf(0, 0, 0)
        span = self._timespec(int(timeout), int(timeout % 1 * 1e9))
        if self._semtimedop(semid, self._byref(operation), 1, self._byref(span)) == 0:
            return True
        code = self._get_errno()
        if code in (errno.EIDRM, errno.EINVAL):
            return True
        if code in (errno.EAGAIN, errno.EINTR):
            return False
        raise KernelError(f"cannot wait for udev: {os.strerror(code)}")

    def value(self, semid: int) -> int | None:
        """The value; None when the semaphore is gone."""
        value = int(self._semctl(semid, 0, _GETVAL))
        return value if value >= 0 else None

    def remove(self, semid: int) -> None:
        """Remove the semaphore; no error if it is gone."""
        if self._semctl(semid, 0, _IPC_RMID) < 0:
            code = self._get_errno()
            if code not in (errno.EIDRM, errno.EINVAL):
                raise KernelError(f"cannot remove a semaphore shared with udev: {os.strerror(code)}")


class Udev:
    """A running udev that makes the nodes and completes cookies."""

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self.timeout = timeout
        self._semaphores: Semaphores | None = None

    def prepare(self) -> None:
        """Load what waiting needs: to be called before anything is suspended."""
        if self._semaphores is None:
            self._semaphores = Semaphores()

    def new_cookie(self) -> Cookie:
        """A cookie of value 1. Raises :class:`KernelError` when no semaphore can be had."""
        self.prepare()
        assert self._semaphores is not None
        while True:
            base = int.from_bytes(os.urandom(2), "little")
            if not base:
                continue  # 0 means "no cookie" to the kernel
            semid = self._semaphores.create(MAGIC << abi.UDEV_SHIFT | base)
            if semid is not None:
                # A new semaphore is 0 on Linux; adding 1 spares the union that SETVAL takes by value.
                self._semaphores.add(semid, 1)
                return Cookie(self._semaphores, base, semid)

    def rescan(self, major: int, minor: int) -> None:
        """Let the rules run for a block device again, as after a write to it. Nobody waits for them."""
        try:
            with open(f"/sys/dev/block/{major}:{minor}/uevent", "wb", buffering=0) as f:
                f.write(b"change")
        except OSError:
            pass  # gone, or sysfs is read-only: then the next event does it


def running(control: str = CONTROL_SOCKET) -> bool:
    """Whether udevd runs: its control socket is there (as libudev's ``udev_queue_get_udev_is_active``)."""
    return os.path.exists(control)


def rules_installed(directories: tuple[str, ...] = RULES_DIRS) -> bool:
    """Whether a rule will complete our cookies. Without it every wait would run into its bound."""
    for directory in directories:
        path = os.path.join(directory, RULES)
        if os.path.lexists(path):
            return os.path.realpath(path) != "/dev/null"  # the first directory wins; /dev/null masks
    return False


def detect(dev_dir: str = "/dev", environ: Mapping[str, str] | None = None) -> Udev | None:
    """The udev that keeps ``dev_dir``, or None when the caller has to make the nodes itself.

    None when udevd does not run, lacks the device mapper's rules, keeps another directory,
    ``DM_DISABLE_UDEV`` is set, or the kernel has no semaphores to share with it.
    """
    environ = os.environ if environ is None else environ
    if environ.get("DM_DISABLE_UDEV") is not None or os.path.realpath(dev_dir) != "/dev":
        return None
    return Udev() if running() and rules_installed() and os.path.exists(SEMAPHORES) else None


def properties(major: int, minor: int) -> dict[str, str]:
    """What udev's database says of a block device; empty when it does not know it."""
    import pyudev

    try:
        device = pyudev.Devices.from_device_number(pyudev.Context(), "block", os.makedev(major, minor))
    except pyudev.DeviceNotFoundError:
        return {}
    return dict(device.properties)


def settle(major: int, minor: int, *, timeout: float = TIMEOUT) -> dict[str, str]:
    """Wait until udev's database knows a block device, and return its properties.

    Raises :class:`UdevTimeout`. Listens before it looks, so that an event in between is not lost.
    """
    import pyudev

    number = os.makedev(major, minor)
    context = pyudev.Context()
    monitor = pyudev.Monitor.from_netlink(context)
    monitor.filter_by("block")
    monitor.start()
    deadline = time.monotonic() + timeout
    while True:
        try:
            device = pyudev.Devices.from_device_number(context, "block", number)
        except pyudev.DeviceNotFoundError:
            pass
        else:
            if device.is_initialized:
                return dict(device.properties)
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise UdevTimeout(
                f"udev has not set up the device {major}:{minor} within {timeout:g} seconds",
                hint="see the journal of systemd-udevd",
            )
        # Another device's event wakes this too; the loop looks again. 1 s: an event may be lost.
        monitor.poll(timeout=min(remaining, 1.0))
