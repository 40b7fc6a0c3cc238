"""Synchronisation with udev: cookies, and waiting until the rules have handled a device, with a time limit.

A cookie is a System V semaphore that udev's rules and vmgr share. Its key is ``0x0d4d`` and 16 random
bits. It starts at 1. Each command that makes a uevent adds 1 and hands the low 16 bits to the
kernel, which passes them on as ``DM_COOKIE``. The rule file ``95-dm-notify.rules`` runs
``dmsetup udevcomplete``, which subtracts 1. A waiting command subtracts the initial 1 and waits
for zero. The high 16 bits (``abi.UDEV_*``) tell the rules what to leave alone. All of this works as in
libdevmapper (``libdm/libdm-common.c``, ``libdm/libdevmapper.h``), because both use the same rules.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import NotFound, UdevTimeout, UsageError
from vmgr.dm import abi
from vmgr.dm.semaphores import Semaphores

if TYPE_CHECKING:
    from collections.abc import Mapping

MAGIC = 0x0D4D
"""The upper half of every cookie's key."""

SEMAPHORES = "/proc/sysvipc/sem"
CONTROL_SOCKET = "/run/udev/control"
RULES = "95-dm-notify.rules"
"""The file whose rule completes cookies."""

NODE_RULES = ("10-dm.rules", "55-dm.rules", "60-dm.rules")
"""Names of the file whose rules make the links in ``/dev/mapper``: LVM2's own, Debian's, and an older Debian's."""

RULES_DIRS = (
    "/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d",
    "/lib/udev/rules.d",
)  # fmt: skip
"""Where udev looks for rules. Of files of the same name, the first counts (udev(7))."""

TIMEOUT = 30.0
"""Seconds without progress after which to stop waiting for udev."""


def check_cookie(value: int) -> int:
    """``value`` if it is a cookie's key. Raises :class:`UsageError`."""
    if value >> abi.UDEV_SHIFT != MAGIC or not value & 0xFFFF:
        raise UsageError(
            f"{value:#x} is not a cookie of the device mapper", hint=f"a cookie is {MAGIC:#x} and four digits more"
        )
    return value


class Cookie:
    """One semaphore, shared with udev until :meth:`wait` or :meth:`remove`."""

    __slots__ = ("_sem", "base", "pending", "semid")

    def __init__(self, sem: Semaphores, base: int, semid: int) -> None:
        self._sem = sem
        self.base = base
        """The low 16 bits of the key, which travel through the kernel."""
        self.semid = semid
        self.pending = 0
        """The number of announced events, completed or not."""

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
        """Wait until udev has handled every event. Remove the semaphore in any case.

        Raises :class:`UdevTimeout` after ``timeout`` seconds without progress.
        """
        try:
            self._wait(timeout)
        finally:
            self.remove()

    def _wait(self, timeout: float) -> None:
        sem = self._sem
        left = sem.value(self.semid)
        if left is None:
            return  # removed by `dmsetup udevcomplete_all`: an administrator decided not to wait
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
            # Short waits, so that progress is noticed and restarts the time limit.
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


class Udev:
    """A running udev that makes the nodes and completes cookies, with the options for working with it.

    ``sync`` False (dmsetup's ``--noudevsync``): the client does not wait for udev. ``rules`` False
    (``--noudevrules``): udev's rules leave nodes alone, and the client makes them. ``verify``: after waiting, the
    client makes the nodes that udev did not make. ``cookie``: a cookie that the caller made and releases
    (``--udevcookie``); commands are announced in it, and the client neither waits nor verifies. ``timeout``:
    seconds without progress after which the client stops waiting.
    """

    def __init__(
        self,
        *,
        timeout: float = TIMEOUT,
        sync: bool = True,
        rules: bool = True,
        verify: bool = True,
        cookie: int = 0,
    ) -> None:
        self.timeout = timeout
        self.sync = sync
        self.rules = rules
        self.verify = verify
        self.cookie = check_cookie(cookie) if cookie else 0
        self._semaphores: Semaphores | None = None
        self._lent: Cookie | None = None

    @property
    def trusted(self) -> bool:
        """Whether nodes are left to udev without a check afterwards."""
        return self.rules and not (self.sync and self.verify and not self.cookie)

    @property
    def flags(self) -> int:
        """The flags for the rules with each command (``abi.UDEV_*``)."""
        if not self.rules:
            return abi.UDEV_DISABLE_DM_RULES | abi.UDEV_DISABLE_SUBSYSTEM_RULES
        return abi.UDEV_DISABLE_LIBRARY_FALLBACK if self.trusted else 0

    def prepare(self) -> None:
        """Load what waiting needs. Call this before any device is suspended.

        Raises :class:`NotFound` if the caller's cookie does not exist.
        """
        if self._semaphores is None:
            self._semaphores = Semaphores()
        if self.cookie and self.sync and self._lent is None:
            semid = self._semaphores.find(self.cookie)
            if semid is None:
                raise NotFound(
                    f"there is no udev cookie {self.cookie:#x}", hint="make one with `vmgr dm udevcreatecookie`"
                )
            self._lent = Cookie(self._semaphores, self.cookie & 0xFFFF, semid)

    def new_cookie(self) -> Cookie:
        """Make a cookie of value 1. Raises :class:`KernelError` if no semaphore is available."""
        self.prepare()
        assert self._semaphores is not None
        while True:
            base = int.from_bytes(os.urandom(2), "little")
            if not base:
                continue  # 0 means "no cookie" to the kernel
            semid = self._semaphores.create(MAGIC << abi.UDEV_SHIFT | base)
            if semid is not None:
                # A new semaphore is 0 on Linux. Adding 1 avoids SETVAL, whose argument is a union by value.
                self._semaphores.add(semid, 1)
                return Cookie(self._semaphores, base, semid)

    def lent_cookie(self) -> Cookie | None:
        """The caller's cookie, which the client must not wait for or remove; None if there is none."""
        if self.cookie:
            self.prepare()
        return self._lent

    def rescan(self, major: int, minor: int) -> None:
        """Let the rules run for a block device again, as after a write to it, without waiting for them."""
        try:
            with open(f"/sys/dev/block/{major}:{minor}/uevent", "wb", buffering=0) as f:
                f.write(b"change")
        except OSError:
            pass  # gone, or sysfs is read-only: then the next event makes the rules run


# -- is there a udev --------------------------------------------------------------------------------


class UdevState(NamedTuple):
    """The state of this machine's udev; see :func:`udev_state`."""

    running: bool
    """udevd listens."""
    node_rules: str
    """The file with the rules that make the nodes; empty if there is none."""
    notify_rules: str
    """The file with the rule that completes cookies; empty when there is none."""
    masked: tuple[str, ...]
    """Files that hide one of the two (empty, or links to ``/dev/null``)."""
    broken: str
    """The program that the notify rule runs, when it is not there: cookies are not completed."""
    semaphores: bool
    """The kernel has semaphores to share."""
    disabled: bool
    """``DM_DISABLE_UDEV`` is in the environment."""
    elsewhere: bool
    """The device directory is not the one that udev manages."""

    @property
    def usable(self) -> bool:
        """Whether udev makes the nodes and completes cookies."""
        return (
            self.running
            and bool(self.node_rules and self.notify_rules)
            and not self.broken
            and self.semaphores
            and not self.disabled
            and not self.elsewhere
        )

    def reasons(self) -> tuple[str, ...]:
        """The reasons not to rely on udev, in words; none if it is usable."""
        found = []
        if self.disabled:
            found.append("DM_DISABLE_UDEV is set")
        if self.elsewhere:
            found.append("DM_DEV_DIR is not /dev, which udev manages")
        if not self.running:
            found.append("udevd does not run")
        hidden = {os.path.basename(path): path for path in self.masked}
        for path, names in ((self.node_rules, NODE_RULES), (self.notify_rules, (RULES,))):
            masks = [hidden[name] for name in names if name in hidden]
            if not path:
                found.append(f"{masks[0]} masks udev's rules" if masks else f"udev's rules {names[0]} are missing")
        if self.broken:
            found.append(f"{self.notify_rules} runs {self.broken}, which is missing")
        if not self.semaphores:
            found.append("the kernel has no System V semaphores")
        return tuple(found)


def udev_state(
    dev_dir: str = "/dev",
    environ: Mapping[str, str] | None = None,
    *,
    control: str = CONTROL_SOCKET,
    directories: tuple[str, ...] = RULES_DIRS,
    proc: str = "/proc",
) -> UdevState:
    """Find out whether udev runs and has the device mapper's rules. Changes nothing and waits for nothing."""
    environ = os.environ if environ is None else environ
    masked: list[str] = []
    node_rules = ""
    for name in NODE_RULES:
        path = _rules_file(name, directories, masked)
        node_rules = node_rules or path
    notify_rules = _rules_file(RULES, directories, masked)
    return UdevState(
        running(control, proc),
        node_rules,
        notify_rules,
        tuple(masked),
        _missing_program(notify_rules) if notify_rules else "",
        os.path.exists(os.path.join(proc, "sysvipc/sem")),
        environ.get("DM_DISABLE_UDEV") is not None,
        os.path.realpath(dev_dir) != "/dev",
    )


def running(control: str = CONTROL_SOCKET, proc: str = "/proc") -> bool:
    """Whether udevd runs: its control socket exists, and a process listens on it.

    libudev's ``udev_queue_get_udev_is_active`` checks only the file, which a killed udevd leaves behind.
    """
    if not os.path.exists(control):
        return False
    try:
        with open(os.path.join(proc, "net/unix"), encoding="utf-8", errors="surrogateescape") as f:
            text = f.read()
    except OSError:
        return True
    if text.find(f" {control}\n") >= 0:
        return True
    # Not a socket of this network namespace, but perhaps of another.
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as probe:
        try:
            probe.connect(control)
        except ConnectionRefusedError:
            return False
        except OSError:
            pass  # permission denied, or too many connections: a process listens
    return True


def _rules_file(name: str, directories: tuple[str, ...], masked: list[str]) -> str:
    """The rules file that udev reads; empty if there is none. A file that hides it is added to ``masked``."""
    for directory in directories:
        path = os.path.join(directory, name)
        if os.path.lexists(path):
            # The first directory wins. An empty file masks, and so does a link to /dev/null.
            try:
                if os.path.isfile(path) and os.path.getsize(path):
                    return path
            except OSError:
                pass
            masked.append(path)
            return ""
    return ""


def _missing_program(path: str) -> str:
    """The program of the notify rule in ``path``, if that is missing."""
    import re

    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            text = f.read()
    except OSError:
        return ""
    programs = re.findall(r'^[^#\n]*RUN\+?="(/[^ "]+) (?:dm )?udevcomplete ', text, re.MULTILINE)
    missing = [program for program in programs if not os.path.exists(program)]
    return missing[0] if missing and len(missing) == len(programs) else ""


def rules_installed(directories: tuple[str, ...] = RULES_DIRS) -> bool:
    """Whether rules make the nodes and complete cookies. Without these, every wait would end with a timeout."""
    masked: list[str] = []
    path = _rules_file(RULES, directories, masked)
    if not path or _missing_program(path):
        return False
    return any(_rules_file(name, directories, masked) for name in NODE_RULES)


def detect(
    dev_dir: str = "/dev",
    environ: Mapping[str, str] | None = None,
    *,
    timeout: float = TIMEOUT,
    sync: bool = True,
    rules: bool = True,
    verify: bool = True,
    cookie: int = 0,
) -> Udev | None:
    """The udev that manages ``dev_dir``, or None if the caller must make the nodes itself.

    None if udevd does not run, lacks the device mapper's rules or manages another directory, if
    ``DM_DISABLE_UDEV`` is set, or if the kernel has no semaphores. :func:`udev_state` gives the reason.
    The other arguments are those of :class:`Udev`.
    """
    environ = os.environ if environ is None else environ
    if environ.get("DM_DISABLE_UDEV") is not None or os.path.realpath(dev_dir) != "/dev":
        return None
    if not (running() and rules_installed() and os.path.exists(SEMAPHORES)):
        return None
    return Udev(timeout=timeout, sync=sync, rules=rules, verify=verify, cookie=cookie)


# -- udev's database --------------------------------------------------------------------------------


def properties(major: int, minor: int) -> dict[str, str]:
    """The properties of a block device in udev's database; empty if it is not there."""
    import pyudev

    try:
        device = pyudev.Devices.from_device_number(pyudev.Context(), "block", os.makedev(major, minor))
    except pyudev.DeviceNotFoundError:
        return {}
    return dict(device.properties)


def settle(major: int, minor: int, *, timeout: float = TIMEOUT) -> dict[str, str]:
    """Wait until a block device is in udev's database, and return its properties.

    Raises :class:`UdevTimeout`. Listens before it reads the database, so that no event is missed.
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
        # Other devices' events also end the wait, and the loop reads again. 1 s, because an event may be lost.
        monitor.poll(timeout=min(remaining, 1.0))
