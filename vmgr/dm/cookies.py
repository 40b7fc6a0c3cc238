"""udev's cookies for administrators: list them, make one, complete it, release it, decode its flags.

:mod:`vmgr.dm.udev` explains cookies. Each operation does what dmsetup's
``udevcookies``, ``udevcreatecookie``, ``udevcomplete``, ``udevcomplete_all``, ``udevreleasecookie`` and
``udevflags`` do (``libdm/dm-tools/dmsetup.c``), but a release has a time limit here. Nothing here calls the device
mapper.
"""

from __future__ import annotations

from typing import NamedTuple

from vmgr.core.errors import KernelError, NotFound, NotPermitted, UsageError
from vmgr.dm import abi, semaphores
from vmgr.dm.semaphores import Semaphores
from vmgr.dm.udev import MAGIC, TIMEOUT, Cookie, Udev, check_cookie

_FLAGS = (
    "DISABLE_DM_RULES", "DISABLE_SUBSYSTEM_RULES", "DISABLE_DISK_RULES", "DISABLE_OTHER_RULES", "LOW_PRIORITY",
    "DISABLE_LIBRARY_FALLBACK", "PRIMARY_SOURCE",
)  # fmt: skip
"""Names of the lower eight flags, from bit 16 of a cookie's value upwards; the eighth has no name."""


class CookieState(NamedTuple):
    """One cookie that exists."""

    value: int
    """The whole key, ``0x0d4d0001`` to ``0x0d4dffff``."""
    semid: int
    left: int | None
    """The semaphore's value: events that udev has not completed, and 1 until someone waits. None: not readable."""
    operated: int
    """When it last counted up or down, in seconds since 1970; 0 for never."""
    changed: int
    """When it was made, in seconds since 1970."""
    uid: int


class Completion(NamedTuple):
    """The result of :func:`complete_all`: removed cookies, and a sentence for each that could not be removed."""

    completed: tuple[int, ...]
    skipped: tuple[int, ...]
    failed: tuple[str, ...]


def cookies(proc: str = "/proc") -> tuple[CookieState, ...]:
    """Every cookie of this machine, in the kernel's order. Waits for nothing and changes nothing."""
    found = [entry for entry in semaphores.listed(proc) if entry.key >> abi.UDEV_SHIFT == MAGIC]
    if not found:
        return ()
    calls = Semaphores()
    return tuple(
        CookieState(entry.key, entry.semid, calls.value(entry.semid), entry.operated, entry.changed, entry.uid)
        for entry in found
    )


def create() -> int:
    """Make a cookie for several commands (``--udevcookie``) and return its value. :func:`release` ends it."""
    return Udev().new_cookie().value


def complete(value: int) -> bool:
    """Subtract one from the cookie, as udev's rules do at the end of an event. True if ``value`` has a cookie.

    The upper half of ``value`` may hold flags for the rules, as in ``DM_COOKIE``. A value with flags only
    has no cookie, and nothing is done. Raises :class:`NotFound`, :class:`NotPermitted`, or
    :class:`KernelError` when the cookie is already at zero.
    """
    if not value & 0xFFFF:
        return False
    cookie = MAGIC << abi.UDEV_SHIFT | value & 0xFFFF
    calls = Semaphores()
    if not calls.subtract(_find(calls, cookie)):
        raise KernelError(f"the udev cookie {cookie:#x} has no event left to complete")
    return True


def complete_all(age: int = 0, *, now: float | None = None) -> Completion:
    """Remove every cookie that was not made or changed within the last ``age`` minutes.

    Commands that wait for one of them go on. ``now`` is in seconds since 1970.
    """
    if now is None:
        import time

        now = time.time()
    calls = Semaphores()
    completed, skipped, failed = [], [], []
    for cookie in cookies():
        if max(cookie.changed, cookie.operated) + age * 60 > int(now):
            skipped.append(cookie.value)
            continue
        try:
            calls.remove(cookie.semid)
        except (KernelError, NotFound, NotPermitted) as e:
            failed.append(f"cannot remove the udev cookie {cookie.value:#x}: {e.message}")
        else:
            completed.append(cookie.value)
    return Completion(tuple(completed), tuple(skipped), tuple(failed))


def release(value: int, *, timeout: float = TIMEOUT) -> None:
    """Wait until udev has handled every event announced in a cookie. Remove the cookie in any case.

    Raises :class:`NotFound`, :class:`UsageError` for a value that is not a cookie, and
    :class:`vmgr.core.errors.UdevTimeout` after ``timeout`` seconds without progress.
    """
    check_cookie(value)
    calls = Semaphores()
    semid = _find(calls, value)
    cookie = Cookie(calls, value & 0xFFFF, semid)
    count = calls.value(semid)
    if count == 0:
        cookie.remove()
        raise KernelError(f"the udev cookie {value:#x} was completed more often than announced; it is removed")
    cookie.pending = max((count or 1) - 1, 0)
    cookie.wait(timeout)


def parse_cookie(text: str) -> int:
    """A cookie's value as a command line or ``DM_COOKIE`` gives it: decimal, or with ``0x`` or ``0`` in front.

    Raises :class:`UsageError` for anything else, for 0, and for numbers of more than 32 bits.
    """
    digits = text.strip().removeprefix("+").lower()
    base = 16 if digits.startswith("0x") else 8 if digits.startswith("0") else 10
    try:
        value = int(digits, base) if digits.isalnum() and digits.isascii() and "o" not in digits else 0
    except ValueError:
        value = 0
    if not 0 < value <= 0xFFFF_FFFF:
        raise UsageError(f"{text!r} is not a cookie", hint="a cookie is a number such as 0xd4d1234")
    return value


def decode_flags(value: int) -> tuple[str, ...]:
    """The udev variables that the flags in a cookie's upper half set, lowest bit first.

    The subsystems' own flags, in the upper eight bits, are named by number.
    """
    names = []
    for bit in range(16):
        if not value >> abi.UDEV_SHIFT & 1 << bit:
            continue
        if bit < len(_FLAGS):
            names.append(f"DM_UDEV_{_FLAGS[bit]}_FLAG")
        elif bit < 8:
            names.append(f"DM_UDEV_FLAG{bit}")
        else:
            names.append(f"DM_SUBSYSTEM_UDEV_FLAG{bit - 8}")
    return tuple(names)


def _find(calls: Semaphores, value: int) -> int:
    semid = calls.find(value)
    if semid is None:
        raise NotFound(f"there is no udev cookie {value:#x}", hint="`vmgr dm udevcookies` lists the existing ones")
    return semid
