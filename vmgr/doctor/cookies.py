"""Subject ``cookies``: the semaphores with which commands wait for udev, and those that are left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.dm.semaphores import LIST
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding, Repair
from vmgr.doctor.processes import process
from vmgr.doctor.roots import read

if TYPE_CHECKING:
    from vmgr.doctor.roots import Roots

SUBJECT = "cookies"
OLD = 600
"""Seconds without progress after which a cookie counts as left over (udev's own limit for an event is 180)."""


@frozen
class Found:
    """One cookie. ``age`` is the time since its last change, in seconds; ``count`` is None if not readable.

    ``owner`` is the living process that it belongs to, in words, if known; ``waiting``: a process waits for it.
    """

    value: int
    semid: int
    age: int
    count: int | None
    owner: str = ""
    waiting: bool = False


@frozen
class Facts:
    """``listed`` is False if the kernel has no list of semaphores, ``readable`` is False without ``/proc``."""

    listed: bool
    cookies: tuple[Found, ...] = ()
    readable: bool = True


def gather(roots: Roots, now: float | None = None) -> Facts:
    """List the cookies of this machine, without changing any. Ages are relative to ``now``."""
    if read(f"{roots.proc}/{LIST}") is None:
        return Facts(False, readable=read(f"{roots.proc}/devices") is not None)
    import time

    from vmgr.dm.cookies import cookies

    clock = time.time()
    now = clock if now is None else now
    found = []
    for cookie in cookies(roots.proc):
        operated = max(cookie.changed, cookie.operated)
        age = max(0, int(now) - operated)
        left = cookie.left
        found.append(Found(cookie.value, cookie.semid, age, left, *_owner(roots, cookie.semid, clock - operated)))
    return Facts(True, tuple(found))


def _owner(roots: Roots, semid: int, age: float) -> tuple[str, bool]:
    """The living process that last changed a cookie, in words, and whether a process waits for it."""
    from vmgr.dm.semaphores import Semaphores

    calls = Semaphores()
    waiting = calls.waiters(semid) > 0
    pid = calls.last_process(semid)
    found = process(roots, pid) if pid > 0 else None
    # A process that started after the cookie's last change has only reused the number of the one that made it.
    if found is not None and found.state not in ("", "Z", "X") and (found.age is None or found.age + 2 >= age):
        return str(found), waiting
    return "a process" if waiting else "", waiting


def may_go(cookie: Found) -> bool:
    """Whether a cookie is old and belongs to no process."""
    return cookie.age >= OLD and cookie.count is not None and not cookie.owner and not cookie.waiting


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about cookies."""
    if not facts.readable:
        text = "cookies were not looked at: /proc cannot be read"
        return (Finding("cookies.unreadable", SUBJECT, WARNING, text, "mount -t proc proc /proc"),)
    if not facts.listed:
        return (
            Finding(
                "cookies.no-semaphores",
                SUBJECT,
                WARNING,
                "the kernel has no System V semaphores: no command can wait for udev, so vmgr makes nodes itself",
                "use a kernel with CONFIG_SYSVIPC",
            ),
        )
    found = []
    for cookie in facts.cookies:
        value = f"{cookie.value:#x}"
        known: dict[str, Fact] = {
            "cookie": value,
            "semid": cookie.semid,
            "age": cookie.age,
            "count": cookie.count,
            "owner": cookie.owner or None,
            "waiting": cookie.waiting,
        }
        age = in_words(cookie.age)
        if cookie.age < OLD:
            doing = (
                f"{cookie.owner} waits for udev" if cookie.waiting else f"in use by {cookie.owner or 'a command'}"
            )
            text = f"cookie {value}: {doing}, {age} old"
            found.append(Finding("cookies.in-use", SUBJECT, NOTE, text, facts=known))
        elif cookie.count is None:
            text = f"cookie {value} has not changed for {age}; only root can see whether a command waits for it"
            remedy = "sudo vmgr doctor cookies"
            found.append(Finding("cookies.unknown", SUBJECT, WARNING, text, remedy, facts=known))
        elif cookie.owner:
            what = "waits" if cookie.waiting else "may still wait"
            text = f"cookie {value}: {cookie.owner} {what} for udev, without progress for {age}"
            remedy = f"vmgr dm udevcomplete {value}  # the command then goes on without udev"
            found.append(Finding("cookies.waited-for", SUBJECT, PROBLEM, text, remedy, facts=known))
        else:
            text = f"cookie {value} is left over: no command waits for it, and it has not changed for {age}"
            repair = Repair("cookie", f"remove the cookie {value}", (cookie.value, cookie.semid))
            remedy = f"vmgr dm udevcomplete_all {OLD // 60}"
            found.append(Finding("cookies.left-over", SUBJECT, PROBLEM, text, remedy, repair, known))
    if not found:
        found.append(Finding("cookies.none", SUBJECT, OK, "no cookie is left over"))
    return tuple(found)


def in_words(seconds: int) -> str:
    """A span of time: ``3 min``, ``5 h``, ``2 days``."""
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7200:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 172800 else f"{seconds // 86400} days"
