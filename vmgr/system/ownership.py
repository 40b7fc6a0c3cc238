"""Who can change what lies at a path: what root trusts must be root's, all the way down.

A directory that everybody can write to (/tmp, /run/lock) is no danger to what lies in it as long as it is sticky:
nobody can rename or replace another's entry there. But somebody may have been first, with a link of the name
that is about to be used.
"""

from __future__ import annotations

import os
from errno import ELOOP
from stat import S_ISDIR, S_ISLNK, S_ISREG, S_ISVTX
from typing import TYPE_CHECKING

from vmgr.core.errors import NotPermitted

if TYPE_CHECKING:
    from collections.abc import Collection


def changeable_by_others(path: str, owners: Collection[int] = (0,), *, below: Collection[str] = ()) -> str:
    """Who but ``owners`` (user numbers) could change what is at ``path``, in words; empty when nobody could.

    All directories on the way count, links resolved, but for those in ``below`` (real paths) and above these. What
    is not there is nobody's. Source: path_resolution(7), and the sticky bit in inode(7).
    """
    path = os.path.realpath(path)
    parts = [part for part in path.split("/") if part]
    for number in range(len(parts) + 1):
        place = "/" + "/".join(parts[:number])
        if any(f"{given}/".startswith(f"{place.rstrip('/')}/") for given in below):
            continue
        try:
            found = os.lstat(place)
        except OSError:
            return ""
        if found.st_uid not in owners and found.st_uid != 0:
            return f"{place} belongs to user {_user(found.st_uid)}"
        sticky = S_ISDIR(found.st_mode) and found.st_mode & S_ISVTX and number < len(parts)
        if sticky or S_ISLNK(found.st_mode):
            continue
        if found.st_mode & 0o002:
            return f"everybody can write to {place}"
        if found.st_mode & 0o020 and found.st_gid != 0:
            return f"group {_group(found.st_gid)} can write to {place}"
    return ""


def open_own(path: str, flags: int, mode: int = 0o600) -> int:
    """Open a file of ours, as :func:`os.open` does, where others may have put something in its place.

    In a directory that others can write to no link is followed; and it must be a plain file of root or of the
    caller with this name alone. Raises :class:`OSError` as open does, :class:`NotPermitted` for what is not ours.
    """
    if not changeable_by_others(os.path.dirname(os.path.abspath(path)), (os.geteuid(),)):
        return os.open(path, flags | os.O_CLOEXEC, mode)
    try:
        # Not blocking: opening a pipe would wait for its other end.
        fd = os.open(path, (flags & ~os.O_TRUNC) | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno == ELOOP:
            raise _not_ours(path, "it is a link") from None
        raise
    found = os.fstat(fd)
    why = ""
    if not S_ISREG(found.st_mode):
        why = "it is not a plain file"
    elif found.st_uid not in (0, os.geteuid()):
        why = f"it belongs to user {_user(found.st_uid)}"
    elif found.st_nlink > 1:
        why = "the file has another name elsewhere"
    if why:
        os.close(fd)
        raise _not_ours(path, why)
    if flags & os.O_TRUNC:
        os.ftruncate(fd, 0)
    return fd


def open_unlinked(path: str) -> int:
    """Open a file for reading that the user named. A link is not followed where others could have made it.

    Raises :class:`OSError` as :func:`os.open` does, and :class:`NotPermitted` for such a link.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != ELOOP:
            raise
    if changeable_by_others(os.path.dirname(os.path.abspath(path)), (os.geteuid(),)):
        raise NotPermitted(
            f"not reading {path}: it is a link, in a directory that others can write to",
            hint="name the file that it leads to",
        )
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def require_own_directory(path: str) -> None:
    """Raise :class:`NotPermitted` for a directory that lies where others can write and is not ours.

    A link counts as what it leads to only where nobody else could have made it.
    """
    parent = os.path.dirname(os.path.abspath(path.rstrip("/") or "/"))
    if not changeable_by_others(parent, (os.geteuid(),)):
        return
    try:
        found = os.lstat(path.rstrip("/"))
    except OSError:
        return
    if S_ISLNK(found.st_mode):
        raise _not_ours(path, "it is a link")
    if found.st_uid not in (0, os.geteuid()):
        raise _not_ours(path, f"it belongs to user {_user(found.st_uid)}")


def _not_ours(path: str, why: str) -> NotPermitted:
    return NotPermitted(
        f"not using {path}: {why}, in a directory that others can write to",
        hint="find out who put it there, then remove it",
    )


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return str(number)


def _group(number: int) -> str:
    try:
        import grp

        return grp.getgrgid(number).gr_name
    except (ImportError, KeyError):
        return str(number)
