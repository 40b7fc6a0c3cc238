"""Backup files and archives of metadata, where and as LVM2 keeps them.

``backup_dir/GROUP`` is the group as it is now; ``archive_dir/GROUP_NNNNN-RANDOM.vg`` are earlier states, numbered
upwards. A file appears under its name only when it is whole and on disk: it is written under a temporary name
first. Old archives go when there are more than ``retain_min`` and they are older than ``retain_days``.
``lib/format_text/archive.c`` of LVM2 is the source of names and rules.
"""

from __future__ import annotations

import os
import re
from errno import EACCES, EDQUOT, ENOSPC, ENOTDIR, EPERM, EROFS
from stat import S_ISBLK, S_ISCHR, S_ISDIR, S_ISFIFO, S_ISREG
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import NotFound, NotPermitted, Refused, VmgrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.system.config import Config

_NUMBER = re.compile(r"(\d+)")

_PLENTY = 256 << 20
"""Free bytes that suffice for any text: more than the largest metadata area."""


@frozen
class ArchiveFile:
    """An archive file in the directory: its path, its number, and when it was written (seconds since 1970)."""

    path: str
    index: int
    written: float


_START = 4096
"""Bytes in which a text says whose it is: LVM2 writes a group's UUID first."""

CHANGE_GOES_ON = "or correct the backup section of lvm.conf; -An goes on without a backup"
"""What else to do where files are kept on the way of a change."""

OTHER_DIRECTORY = "or correct the backup section of lvm.conf; vgcfgbackup --file FILE writes elsewhere"
"""What else to do where the file in the backup directory is what was asked for."""

OTHER_FILE = "or name another file"
"""What else to do where the user named the file."""


class Archives:
    """The two directories. ``umask`` takes bits from the permissions of what is made there.

    ``otherwise`` is what a user can do in place of putting right a directory that cannot be written to.
    """

    def __init__(
        self,
        archive_dir: str,
        backup_dir: str,
        *,
        archive: bool = True,
        backup: bool = True,
        retain_min: int = 10,
        retain_days: int = 30,
        umask: int = 0o077,
        otherwise: str = CHANGE_GOES_ON,
    ) -> None:
        self.archive_dir = archive_dir
        self.backup_dir = backup_dir
        self.archive_enabled = archive and bool(archive_dir)
        self.backup_enabled = backup and bool(backup_dir)
        self.retain_min = retain_min
        self.retain_days = retain_days
        self.umask = umask
        self._otherwise = otherwise

    @classmethod
    def from_config(
        cls, config: Config, *, autobackup: bool | None = None, otherwise: str = CHANGE_GOES_ON
    ) -> Archives:
        """As the ``backup`` section of lvm.conf says; ``autobackup`` (``-A``) overrules whether to write."""
        # Without a system directory (LVM_SYSTEM_DIR="") there is no place for files.
        somewhere = bool(config.system_dir)
        return cls(
            config.text("backup/archive_dir"),
            config.text("backup/backup_dir"),
            archive=somewhere and (config.flag("backup/archive") if autobackup is None else autobackup),
            backup=somewhere and (config.flag("backup/backup") if autobackup is None else autobackup),
            retain_min=config.number("backup/retain_min"),
            retain_days=config.number("backup/retain_days"),
            umask=config.number("global/umask"),
            otherwise=otherwise,
        )

    # -- writing ----------------------------------------------------------------------------------

    def check(self, directory: str, size: Callable[[], int]) -> None:
        """Raise what would keep a text of ``size`` bytes from being written into ``directory``; writes nothing.

        How long the text is, is only asked where room is short.
        """
        from vmgr.system.ownership import require_own_directory

        if os.path.isdir(directory):
            require_own_directory(directory)
        place = os.path.abspath(directory)
        while not os.path.exists(place):
            place = os.path.dirname(place)  # it would be made
        state = os.statvfs(place)
        reason = 0
        if state.f_flag & os.ST_RDONLY:
            reason = EROFS
        elif not os.path.isdir(place):
            reason = ENOTDIR
        elif not os.access(place, os.W_OK | os.X_OK):
            reason = EACCES
        elif state.f_files and not state.f_ffree:
            reason = ENOSPC
        else:
            free = state.f_frsize * (state.f_bavail if os.geteuid() else state.f_bfree)
            if state.f_blocks and free < _PLENTY and free < size() + state.f_frsize:
                reason = ENOSPC
        if reason:
            raise _error(directory, OSError(reason, os.strerror(reason)), self._otherwise)

    def write_archive(self, name: str, text: bytes, *, now: float) -> str:
        """Keep ``text`` as the next archive of group ``name``; returns its path, empty when archiving is off.

        ``now`` is in seconds since 1970. Raises :class:`VmgrError` or :class:`NotPermitted`; nothing is left behind
        then, and no old archive is gone.
        """
        if not self.archive_enabled:
            return ""
        from vmgr.system.ownership import require_own_directory

        directory = self.archive_dir
        require_own_directory(directory)
        temporary = self._write_temporary(directory, text, self._otherwise)
        try:
            known = self.list(name)
            index = known[-1].index + 1 if known else 0
            number = int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF
            for attempt in range(index, index + 10):
                path = f"{directory}/{name}_{attempt:05}-{number}.vg"
                try:
                    os.link(temporary, path)  # unlike a rename, never replaces another file
                    break
                except FileExistsError:
                    continue
                except OSError as error:
                    raise _error(path, error, self._otherwise) from None
            else:
                raise VmgrError(f"no free name for an archive of {name} in {directory}")
        finally:
            os.unlink(temporary)
        _sync_directory(directory)
        self._expire([*known, ArchiveFile(path, attempt, now)], now)
        return path

    def write_backup(self, name: str, text: bytes) -> str:
        """Replace the backup of group ``name``; returns its path, empty when backups are off.

        Raises :class:`VmgrError` or :class:`NotPermitted`; the old backup is still there then.
        """
        if not self.backup_enabled:
            return ""
        from vmgr.system.ownership import require_own_directory

        require_own_directory(self.backup_dir)
        path = f"{self.backup_dir}/{name}"
        self.write_file(path, text, otherwise=self._otherwise)
        return path

    def write_file(self, path: str, text: bytes, *, otherwise: str = "") -> None:
        """Write ``text`` to any path (``vgcfgbackup --file``), whole or not at all.

        ``otherwise`` is what can be done in place of putting right a directory that cannot be written to.
        A pipe or a terminal takes the text and stays what it is. Raises :class:`Refused` for a block device, a
        directory or a socket.
        """
        if _takes_text(path):
            try:
                with open(path, "wb", buffering=0) as file:
                    _write_all(file.fileno(), text)
            except OSError as error:
                raise _error(path, error, otherwise) from None
            return
        directory = os.path.dirname(path) or "."
        temporary = self._write_temporary(directory, text, otherwise)
        try:
            os.rename(temporary, path)
        except OSError as error:
            os.unlink(temporary)
            raise _error(path, error, otherwise) from None
        _sync_directory(directory)

    def remove_backup(self, name: str) -> None:
        """Remove the backup of a group that is gone; its archives stay. A missing file is fine."""
        if not self.backup_enabled:
            return
        try:
            os.unlink(f"{self.backup_dir}/{name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise _error(f"{self.backup_dir}/{name}", error, self._otherwise) from None

    def _write_temporary(self, directory: str, text: bytes, otherwise: str) -> str:
        """Write a file with a name of its own into ``directory``, made if need be, and make it durable."""
        host = os.uname().nodename.replace("/", "?")
        number = int.from_bytes(os.urandom(4), "little") & 0x7FFFFFFF
        path = f"{directory}/.lvm_{host}_{os.getpid()}_{number}"
        try:
            if not os.path.isdir(directory):
                os.makedirs(directory, 0o777 & ~self.umask)
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666 & ~self.umask)
        except OSError as error:
            raise _error(directory, error, otherwise) from None
        try:
            try:
                _write_all(fd, text)
                os.fsync(fd)
            finally:
                os.close(fd)
        except BaseException as error:
            os.unlink(path)
            if isinstance(error, OSError):
                raise _error(directory, error, otherwise) from None
            raise
        return path

    def _expire(self, files: list[ArchiveFile], now: float) -> None:
        """Remove archives that are too old, oldest number first, as long as enough are left."""
        left = len(files)
        for file in files:
            if left <= self.retain_min:
                return
            if file.written > now - self.retain_days * 86400:
                continue
            try:
                os.unlink(file.path)
            except OSError:
                continue  # it is tried again next time
            left -= 1

    # -- reading ----------------------------------------------------------------------------------

    def list(self, name: str) -> list[ArchiveFile]:
        """The archives of group ``name``, oldest number first."""
        found = []
        try:
            with os.scandir(self.archive_dir) as entries:
                for entry in entries:
                    group, _, rest = entry.name.rpartition("_")
                    number = _NUMBER.match(rest)
                    if group == name and number and entry.name.endswith(".vg"):
                        found.append(ArchiveFile(entry.path, int(number[1]), entry.stat().st_mtime))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _error(self.archive_dir, error, "or correct backup/archive_dir in lvm.conf") from None
        return sorted(found, key=lambda file: (file.index, file.path))

    def read(self, path: str) -> bytes:
        """The text of a backup or archive file. A link in a directory that others can write to is not followed.

        Raises :class:`NotFound`, :class:`NotPermitted` or :class:`VmgrError`.
        """
        from vmgr.system.ownership import open_unlinked

        try:
            with open(open_unlinked(path), "rb") as file:
                return file.read()
        except FileNotFoundError:
            raise NotFound(
                f"there is no backup file {path}", hint="vgcfgrestore --list GROUP lists what can be restored"
            ) from None
        except OSError as error:
            raise _error(path, error, "") from None

    def owner(self, name: str, *, archived: bool = False) -> str:
        """The UUID, with dashes, of the group in the backup of ``name``, or in its last archive; empty if unknown.

        Only the start of the file is read, whatever it is.
        """
        if not name or "/" in name:
            return ""
        from vmgr.system.ownership import open_unlinked

        try:
            files = self.list(name) if archived else []
            path = files[-1].path if files else "" if archived else self.backup_path(name)
            with open(open_unlinked(path), "rb") as file:
                start = file.read(_START)
        except (OSError, VmgrError):
            return ""
        found = re.search(rb"^%s \{\s*id = \"([-\w]+)\"" % re.escape(name.encode()), start, re.M)
        return found[1].decode() if found else ""

    def backup_path(self, name: str) -> str:
        """Where the backup of group ``name`` is, or would be."""
        return f"{self.backup_dir}/{name}"


_CURES = {
    EACCES: "run the command as root",
    EDQUOT: "free some space",
    ENOSPC: "free some space",
    ENOTDIR: "put a directory in the place of the file",
    EPERM: "let files be made there (lsattr -d shows what keeps them out)",
    EROFS: "mount its file system for writing (remount,rw)",
}


def _error(path: str, error: OSError, otherwise: str) -> VmgrError:
    """The error with what puts the cause right, if that can be said, and what can be done ``otherwise``."""
    message = f"{path}: {error.strerror}"
    cure = _CURES.get(error.errno or 0, "")
    if isinstance(error, PermissionError) and os.geteuid():
        return NotPermitted(message, hint=_CURES[EACCES])
    if error.errno == EACCES:
        cure = ""  # root is kept out for a reason that is not known here
    hint = f"{cure} {otherwise}".strip() if cure else otherwise.removeprefix("or ")
    return (NotPermitted if isinstance(error, PermissionError) else VmgrError)(message, hint=hint)


def _takes_text(path: str) -> bool:
    """Whether the text goes into what is at ``path`` (a pipe, a terminal), which a file must not replace."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    if S_ISREG(mode):
        return False
    if S_ISFIFO(mode) or S_ISCHR(mode):
        return True
    kind = "a block device" if S_ISBLK(mode) else "a directory" if S_ISDIR(mode) else "no file"
    raise Refused(f"not writing to {path}: it is {kind}", hint="name a file")


def _write_all(fd: int, text: bytes) -> None:
    rest = memoryview(text)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _sync_directory(directory: str) -> None:
    """Make a new name durable; a file system that cannot is left to itself."""
    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.fsync(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
