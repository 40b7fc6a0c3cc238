"""LVM2's lock files: the locks that keep commands of vmgr and of LVM2 on one host apart.

Locks are ``flock(2)`` locks on files in ``global/locking_dir``: ``P_global`` for the set of devices and group
names, ``V_GROUP`` for one group. Order: global first, then groups by name. The protocol is that of
``lib/misc/lvm-flock.c``: with ``global/prioritise_write_locks`` every taker passes through an exclusive lock on
``FILE:aux``, so that readers cannot starve a writer; after a lock is got, the file must still be the one at
that path (else it was removed meanwhile: try again); the last holder removes the file.

Which lock a command needs (LVM2 2.03.16): reading all groups, or PVs: global shared, then each group
shared; reading one group by name: that group shared; changing a group: that group exclusive;
making, removing or renaming groups, adding or removing PVs: global exclusive, then the groups exclusive.
"""

from __future__ import annotations

import errno
import os
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from typing import TYPE_CHECKING

from vmgr.core.errors import Interrupted, LockFailed, NotPermitted, Refused
from vmgr.system.rundir import StaleHints

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from vmgr.system.config import Config

GLOBAL = "P_global"
_AUX = ":aux"

NORMAL = "normal"
NO_LOCKING = "nolocking"
"""No lock file is touched (``--nolocking``)."""
READ_ONLY = "readonly"
"""Shared locks are granted without a file, exclusive ones refused (``--readonly``)."""
IGNORE_FAILURE = "ignorelockingfailure"
"""As normal; if the lock directory cannot be used, as ``readonly`` with activation allowed (also ``--sysinit``)."""


NO_ROOM = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""The errors that mean that no file can be made, even by root. Readers then work without a lock."""

METADATA_READ_ONLY = "operation prohibited while global/metadata_read_only is set"
METADATA_READ_ONLY_HINT = "unset it in lvm.conf or with --config"
"""Why metadata are not written, whatever the lock."""

SOON = 1.0
"""Seconds after which waiting for a lock is reported."""


class NoLockFile(LockFailed):
    """The lock directory, or its file system, takes no file."""


class Held:
    """A lock that is held; a context manager that releases it. Made by :class:`Locks`."""

    def __init__(self, locks: Locks, path: str, fd: int, exclusive: bool) -> None:
        self._locks = locks
        self.path = path
        self.fd = fd
        self.exclusive = exclusive
        self.depth = 1

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Release the lock. Remove the file if no other process holds it."""
        if self.depth == 0:
            return
        self.depth -= 1
        if self.depth == 0:
            self._locks._forget(self)
            if self.fd >= 0:
                flock(self.fd, LOCK_UN)
                _drop(self.path, self.fd)
                self.fd = -1


class Locks:
    """The locks of one command. With the exclusive global lock LVM2's ``hints`` are emptied.

    ``wait`` False makes a lock that is held elsewhere an error at once. ``on_wait(path, holder)`` is called
    once when a lock has been waited for for ``soon`` seconds, in a thread of its own; ``holder`` says who has it,
    as far as the kernel tells. ``on_none`` is called once, with a sentence, where a reader gets no lock because the
    directory takes no file; without it that is an error.
    """

    def __init__(
        self,
        directory: str,
        *,
        wait: bool = True,
        write_priority: bool = True,
        metadata_read_only: bool = False,
        mode: str = NORMAL,
        on_wait: Callable[[str, str], None] | None = None,
        on_none: Callable[[str], None] | None = None,
        soon: float = SOON,
        hints: StaleHints | None = None,
    ) -> None:
        self.on_none = on_none
        self._soon = soon
        self._told_none = False
        self.directory = directory.rstrip("/") or "/"
        self.wait = wait
        self.write_priority = write_priority
        self.metadata_read_only = metadata_read_only
        self.mode = mode
        self.on_wait = on_wait
        self._hints = hints
        self._held: dict[str, Held] = {}
        self._ready = False
        self._exposed = True

    @classmethod
    def from_config(
        cls,
        config: Config,
        *,
        mode: str = NORMAL,
        on_wait: Callable[[str, str], None] | None = None,
        on_none: Callable[[str], None] | None = None,
        keep_hints: bool = False,
    ) -> Locks:
        """Locks as lvm.conf sets them (``global/locking_dir``, ``wait_for_locks``...).

        ``keep_hints``: nothing will be changed, so that LVM2's hints stay true.
        """
        return cls(
            config.text("global/locking_dir"),
            wait=config.flag("global/wait_for_locks"),
            write_priority=config.flag("global/prioritise_write_locks"),
            metadata_read_only=config.flag("global/metadata_read_only"),
            mode=mode,
            on_wait=on_wait,
            on_none=on_none,
            hints=None if keep_hints or config.text("devices/hints") == "none" else StaleHints(),
        )

    def all_groups(self, *, exclusive: bool = False) -> Held:
        """The global lock. A shared one that is held becomes exclusive when that is asked for.

        Raises :class:`LockFailed`, :class:`NotPermitted`, :class:`Refused` (read-only) or :class:`Interrupted`.
        """
        held = self._take(GLOBAL, exclusive, activating=False, convert=True)
        if exclusive and self._hints is not None:
            # Who takes this lock changes which devices or groups there are.
            self._hints.begin()
        return held

    def group(self, name: str, *, exclusive: bool = False, activating: bool = False) -> Held:
        """The lock of the group ``name``; several must be taken in the order of their names.

        ``activating`` tells that the exclusive lock serves to activate and nothing is written to disks.
        Raises as :meth:`all_groups` does.
        """
        if not name or "/" in name or name in (".", ".."):
            raise LockFailed(f"cannot lock {name!r}: not a group name")
        return self._take(f"V_{name}", exclusive, activating=activating, convert=False)

    def holds(self, name: str | None, *, exclusive: bool = False) -> bool:
        """Whether this command holds the lock of group ``name`` (None: the global lock), strong enough."""
        held = self._held.get(f"{self.directory}/{GLOBAL if name is None else f'V_{name}'}")
        return held is not None and (held.exclusive or not exclusive)

    def release_all(self) -> None:
        """Release whatever is held, last taken first."""
        for held in reversed(list(self._held.values())):
            held.depth = 1
            held.release()

    # -- one lock ---------------------------------------------------------------------------------

    def _forget(self, held: Held) -> None:
        if self._held.get(held.path) is held:
            del self._held[held.path]
        if self._hints is not None and held.path.endswith(f"/{GLOBAL}"):
            self._hints.end()

    def _take(self, file: str, exclusive: bool, *, activating: bool, convert: bool) -> Held:
        path = f"{self.directory}/{file}"
        held = self._held.get(path)
        if held is not None:
            if exclusive and not held.exclusive:
                if not convert:
                    raise LockFailed(f"{path} is held for reading by this command and cannot be taken for writing")
                self._refuse(activating=False)
                if held.fd >= 0:
                    # The kernel gives the shared lock up before it waits: the file may be another one after that.
                    self._flock(held.fd, path, LOCK_EX)
                    if not _still_there(path, held.fd):
                        stale, held.fd = held.fd, self._lock_one(path, LOCK_EX)
                        os.close(stale)
                elif self.mode in (NORMAL, IGNORE_FAILURE) and self._prepare(True, False):
                    held.fd = self._lock_file(path, LOCK_EX)  # the shared one was done without
                held.exclusive = True
            held.depth += 1
            return held
        fd = -1
        if self.mode != NO_LOCKING:
            if exclusive:
                self._refuse(activating=activating and file != GLOBAL)
            try:
                if self.mode != READ_ONLY and self._prepare(exclusive, activating and file != GLOBAL):
                    fd = self._lock_file(path, LOCK_EX if exclusive else LOCK_SH)
            except NoLockFile as error:
                if exclusive or self.on_none is None:
                    raise
                self._without(error)
        held = Held(self, path, fd, exclusive)
        self._held[path] = held
        return held

    def _without(self, error: NoLockFile) -> None:
        if not self._told_none and self.on_none is not None:
            self._told_none = True
            self.on_none(f"reading without a lock: {error.message}")

    def _refuse(self, *, activating: bool) -> None:
        """Refuse an exclusive lock; what only activates may have it where metadata are not to be written."""
        if self.mode == READ_ONLY:
            raise Refused("operation prohibited while --readonly is set", hint="leave --readonly out")
        if self.metadata_read_only and not activating:
            raise Refused(METADATA_READ_ONLY, hint=METADATA_READ_ONLY_HINT)

    def _prepare(self, exclusive: bool, activating: bool) -> bool:
        """Make the lock directory; False when locks shall be done without because it cannot be made."""
        if self._ready:
            return True
        from vmgr.system.ownership import changeable_by_others, require_own_directory

        require_own_directory(self.directory)
        try:
            os.makedirs(self.directory, 0o700, exist_ok=True)
            self._exposed = bool(changeable_by_others(self.directory, (os.geteuid(),)))
            self._ready = os.access(self.directory, os.R_OK | os.W_OK | os.X_OK)
            reason, full = "it is not writable", os.geteuid() == 0
        except OSError as error:
            reason, full = error.strerror or str(error), error.errno in NO_ROOM
        if self._ready:
            return True
        if self.mode == IGNORE_FAILURE and (not exclusive or activating):
            return False
        message = f"cannot use the lock directory {self.directory}: {reason}"
        if full:
            raise NoLockFile(message, hint="make it writable, or correct global/locking_dir in lvm.conf")
        if os.geteuid() != 0:
            raise NotPermitted(message, hint="run the command as root")
        raise LockFailed(message, hint="correct global/locking_dir, or read without locks: --nolocking")

    def _lock_file(self, path: str, operation: int) -> int:
        if not self.write_priority:
            return self._lock_one(path, operation)
        aux = self._lock_one(path + _AUX, LOCK_EX)
        try:
            # A writer keeps the gate shut while it waits, so that no new reader gets past it.
            if operation == LOCK_EX:
                return self._lock_one(path, operation)
        finally:
            _drop(path + _AUX, aux)
        return self._lock_one(path, operation)

    def _lock_one(self, path: str, operation: int) -> int:
        while True:
            flags = os.O_CREAT | os.O_APPEND | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            try:
                if self._exposed:
                    from vmgr.system.ownership import open_own

                    fd = open_own(path, flags, 0o700)
                else:
                    fd = os.open(path, flags, 0o700)
            except OSError as error:
                message = f"cannot open lock file {path}: {error.strerror}"
                if isinstance(error, PermissionError):
                    raise NotPermitted(message, hint="run the command as root") from None
                if error.errno in NO_ROOM:
                    raise NoLockFile(message, hint="make room there, or correct global/locking_dir") from None
                raise LockFailed(message, hint="read without locks: --nolocking") from None
            try:
                self._flock(fd, path, operation)
                if _still_there(path, fd):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _flock(self, fd: int, path: str, operation: int) -> None:
        """``flock`` with the waiting that the settings ask for; the file stays open on failure."""
        try:
            flock(fd, operation | LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            raise LockFailed(f"cannot lock {path}: {error.strerror}") from None
        holder = _holder(os.fstat(fd).st_ino)
        if not self.wait:
            raise LockFailed(
                f"cannot lock {path}: it is held by {holder}",
                hint="try again when that command has ended, or allow waiting: global/wait_for_locks=1",
            )
        from threading import Timer  # loaded only by those who wait

        timer = Timer(self._soon, self.on_wait or (lambda *_: None), (path, holder))
        timer.daemon = True
        timer.start()
        try:
            flock(fd, operation)
        except (KeyboardInterrupt, InterruptedError):
            raise Interrupted(f"giving up waiting for the lock {path}") from None
        except OSError as error:
            raise LockFailed(f"cannot lock {path}: {error.strerror}") from None
        finally:
            timer.cancel()


def _still_there(path: str, fd: int) -> bool:
    """Whether the open file is the one at ``path``."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    here = os.fstat(fd)
    return (there.st_ino, there.st_dev) == (here.st_ino, here.st_dev)


def _drop(path: str, fd: int) -> None:
    """Close a lock file, and remove it if no other process has it locked and it is still the one at ``path``."""
    try:
        flock(fd, LOCK_EX | LOCK_NB)
        if _still_there(path, fd):
            os.unlink(path)
    except OSError:
        pass
    os.close(fd)


def _holder(inode: int) -> str:
    """Who holds a flock on the file with ``inode``, in words, from ``/proc/locks``."""
    try:
        with open("/proc/locks") as file:
            for line in file:
                words = line.split()
                # "1: FLOCK  ADVISORY  WRITE 1234 08:01:131337 0 EOF"; waiters have "->" as second word
                if len(words) > 5 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                    with open(f"/proc/{words[4]}/comm") as comm:
                        return f"process {words[4]} ({comm.read().strip()})"
    except OSError:
        pass
    return "another command"
