"""Subject ``locks``: LVM2's lock files, the processes that hold them, and files left over.

A lock is a ``flock`` on a file in ``global/locking_dir`` (:mod:`vmgr.system.locks`). A file that is not
locked does no harm: the next command locks it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding
from vmgr.doctor.processes import Process, process
from vmgr.doctor.roots import Roots, names, read

if TYPE_CHECKING:
    from vmgr.system.config import Config

SUBJECT = "locks"
LONG = 3600
"""A lock whose process has run for this many seconds is reported."""


@frozen
class Lock:
    """One lock file: its holders, and how many wait. ``hidden`` counts holders outside of this container."""

    path: str
    holders: tuple[Process, ...] = ()
    exclusive: bool = False
    waiters: int = 0
    hidden: int = 0


@frozen
class Facts:
    """``exists`` and ``writable`` are about the lock directory; ``parent`` is the path that is in the way, if any.

    ``listed`` is False if ``/proc/locks`` cannot be read: then the holders of locks are not known.
    """

    directory: str
    root: bool
    exists: bool
    writable: bool
    parent: str = ""
    locks: tuple[Lock, ...] = ()
    listed: bool = True
    wait: bool = True
    read_only: bool = False


def gather(roots: Roots, config: Config, uid: int | None = None) -> Facts:
    """Examine the lock directory without taking a lock."""
    directory = roots.at(config.text("global/locking_dir").rstrip("/") or "/")
    exists = os.path.isdir(directory)
    parent = directory
    while not os.path.lexists(parent) and parent not in ("/", ""):
        parent = os.path.dirname(parent)
    usable = os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK)
    text = read(f"{roots.proc}/locks")
    held = _held(text or "")
    found = []
    for name in names(directory):
        path = f"{directory}/{name}"
        if not name.startswith(("P_", "V_")):
            continue
        try:
            status = os.stat(path, follow_symlinks=False)
        except OSError:
            continue
        entries = held.get(status.st_ino, ())
        number = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
        # Some file systems have one device number for stat and another in the list: then only inodes are compared.
        entries = tuple(e for e in entries if e[0] == number) or entries
        have = [entry for entry in entries if not entry[3]]
        pids = [entry[2] for entry in have]
        found.append(
            Lock(
                path,
                tuple(process(roots, pid) for pid in pids if pid > 0),
                any(entry[1] for entry in have),
                sum(1 for entry in entries if entry[3]),
                sum(1 for pid in pids if pid <= 0),
            )
        )
    return Facts(
        directory,
        (os.geteuid() if uid is None else uid) == 0,
        exists,
        usable,
        "" if usable else parent,
        tuple(found),
        text is not None,
        config.flag("global/wait_for_locks"),
        config.flag("global/metadata_read_only"),
    )


def _held(text: str) -> dict[int, tuple[tuple[str, bool, int, bool], ...]]:
    """``flock`` locks of ``/proc/locks`` by inode: (device, exclusive, process, waiting)."""
    found: dict[int, tuple[tuple[str, bool, int, bool], ...]] = {}
    for line in text.splitlines():
        # "1: FLOCK  ADVISORY  WRITE 1234 08:01:131337 0 EOF"; waiters have "->" as their second word
        words = line.split()[1:]
        waits = words[:1] == ["->"]
        words = words[1:] if waits else words
        if len(words) < 5 or words[0] != "FLOCK":
            continue
        device, _, inode = words[4].rpartition(":")
        try:
            entry = (device.lower(), words[2] == "WRITE", int(words[3]), waits)
            found[int(inode)] = (*found.get(int(inode), ()), entry)
        except ValueError:
            continue
    return found


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about locks."""
    known: dict[str, Fact] = {"directory": facts.directory}
    found = []
    if not facts.writable and facts.root:
        what = "is not a directory" if not os.path.basename(facts.parent) else "cannot be written to"
        found.append(
            Finding(
                "locks.directory",
                SUBJECT,
                PROBLEM,
                f"the lock directory {facts.directory} cannot be used: {facts.parent} {what}",
                f"make {facts.parent} a writable directory, or set global/locking_dir in lvm.conf",
                facts=known,
            )
        )
    elif facts.exists or facts.writable:
        made = "" if facts.exists else "; the first command makes it"
        found.append(
            Finding(
                "locks.directory-ok", SUBJECT, OK, f"the lock directory is {facts.directory}{made}", facts=known
            )
        )
    if facts.read_only:
        found.append(
            Finding(
                "locks.metadata-read-only",
                SUBJECT,
                WARNING,
                "global/metadata_read_only is set: no command will change a group",
                "unset global/metadata_read_only in lvm.conf, if that is not intended",
            )
        )
    if facts.locks and not facts.listed:
        found.append(
            Finding("locks.unknown", SUBJECT, WARNING, "/proc/locks cannot be read: the holders are not known")
        )
        return tuple(found)
    left = []
    for lock in facts.locks:
        if lock.holders or lock.hidden:
            found.append(_held_lock(lock))
        elif not lock.path.endswith(":aux"):
            left.append(lock.path)
    if left:
        found.append(
            Finding(
                "locks.left-over",
                SUBJECT,
                NOTE,
                f"{len(left)} lock file{'s' if len(left) > 1 else ''} left by commands that were killed; they do no"
                " harm",
                facts={"files": tuple(left)},
            )
        )
    return tuple(found)


def what_is_locked(path: str) -> str:
    """What a lock file locks, in words."""
    name = os.path.basename(path)
    gate = ":aux" if name.endswith(":aux") else ""
    name = name.removesuffix(":aux")
    words = "all groups" if name == "P_global" else f"the group {name[2:]}" if name.startswith("V_") else name
    return f"{words} (next in line)" if gate else words


def _held_lock(lock: Lock) -> Finding:
    holder = lock.holders[0] if lock.holders else None
    who = str(holder) if holder else "a process outside of this container"
    facts: dict[str, Fact] = {
        "file": lock.path,
        "exclusive": lock.exclusive,
        "pids": tuple(str(p.pid) for p in lock.holders),
        "waiters": lock.waiters,
    }
    waiting = f"; {lock.waiters} command{'s wait' if lock.waiters > 1 else ' waits'} for it" if lock.waiters else ""
    text = f"{what_is_locked(lock.path)} is locked by {who}"
    stopped = next((p for p in lock.holders if p.state in ("T", "t")), None)
    if stopped is not None:
        return Finding(
            "locks.stopped",
            SUBJECT,
            PROBLEM,
            f"{text}, which is stopped{waiting}",
            f"kill -CONT {stopped.pid}",
            facts=facts,
        )
    if holder is not None and holder.age is not None and holder.age >= LONG and (lock.exclusive or lock.waiters):
        return Finding(
            "locks.long",
            SUBJECT,
            PROBLEM if lock.waiters else WARNING,
            f"{text}, which runs for {holder.age // 3600} h{waiting}",
            f"ps -fp {holder.pid}  # shows what it does; kill {holder.pid} if it is not needed",
            facts=facts,
        )
    return Finding("locks.held", SUBJECT, NOTE, f"{text}{waiting}", facts=facts)
