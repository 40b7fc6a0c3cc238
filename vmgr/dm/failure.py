"""What the kernel's refusals mean, in words, for each command.

:func:`explain` turns an errno into an error that keeps all that was asked: command, device, request,
errno. Its class is also one of the core's, so that callers can catch "in use" or "not found"
without knowing of ioctls. The meanings are those of ``drivers/md/dm-ioctl.c`` and ``dm.c``.
"""

from __future__ import annotations

import errno as _e
import os
from typing import TYPE_CHECKING

from vmgr.core.errors import AlreadyExists, InUse, KernelError, NotFound, NotPermitted

if TYPE_CHECKING:
    from vmgr.dm.wire import Request


class DmError(KernelError):
    """The kernel refused a command.

    ``command`` is its name, ``device`` what was asked for in words, ``request`` all of it,
    ``errno`` the kernel's number and ``errno_name`` its word.
    """

    def __init__(self, message: str, request: Request, errno: int, *, hint: str = "", device: str = "") -> None:
        super().__init__(message, hint=hint)
        self.request = request
        self.errno = errno
        self.command = command_name(request)
        self.device = device or device_words(request)

    @property
    def errno_name(self) -> str:
        """The errno's name, such as ``EBUSY``."""
        return _e.errorcode.get(self.errno, str(self.errno))


class DmNotFound(DmError, NotFound):
    """There is no such device."""

    code = NotFound.code


class DmExists(DmError, AlreadyExists):
    """The name, the UUID or the minor number is taken."""

    code = AlreadyExists.code


class DmInUse(DmError, InUse):
    """The device is open, or what a table refers to is held by someone else."""

    code = InUse.code


class DmNotPermitted(DmError, NotPermitted):
    """The caller may not talk to the device mapper."""

    code = NotPermitted.code


class NoDeviceMapper(KernelError):
    """The kernel has no device mapper, or an interface of another generation."""


class Unsupported(KernelError):
    """The running kernel's device mapper is too old for a command or a flag."""


class NodeError(KernelError):
    """The kernel has done what was asked, and a node or link in the device directory could not be made to match."""


def command_name(request: Request) -> str:
    """The command in words: one ioctl suspends and resumes, another renames and sets a UUID."""
    from vmgr.dm import abi  # loaded by whoever made the request; not needed to say that there is no device mapper

    command = request.command
    if command is abi.DEV_SUSPEND and not request.flags & abi.SUSPEND:
        return "resume"
    if command is abi.DEV_RENAME and request.flags & abi.UUID:
        return "setuuid"
    if command is abi.TABLE_STATUS and request.flags & abi.STATUS_TABLE:
        return "table"
    return command.name


def device_words(request: Request) -> str:
    """The device that a request names, in words."""
    if request.name:
        return request.name
    if request.uuid:
        return request.uuid
    if request.dev:
        from vmgr.dm import abi

        major, minor = abi.major_minor(request.dev)
        return f"{major}:{minor}"
    return ""


_LOG = "the kernel's log says why: dmesg | tail"
_ROOT = "run as root (CAP_SYS_ADMIN is needed)"
_CLOSE = "unmount it or close what uses it; see `lsof` and `dmsetup ls --tree`"
_TAKEN = "a device of that name or UUID exists already"
_NAME = "the kernel does not take that name"
_TABLE_LACKS = "a device that its table refers to does not exist"
_TABLE_READ_ONLY = "a device that its table refers to is read-only"

_Meaning = tuple[type[DmError], str, str]

_MEANINGS: dict[tuple[str, int], _Meaning] = {
    ("create", _e.EBUSY): (DmExists, _TAKEN, "see `dmsetup info -c`"),
    ("create", _e.ENXIO): (DmExists, "the minor number is taken", "see `dmsetup info -c`"),
    ("create", _e.EINVAL): (DmError, _NAME, "a name has no '/'"),
    ("create", _e.ENOMEM): (DmError, "the kernel has no memory for another device", ""),
    ("create", _e.EMFILE): (DmError, "no minor number is left", ""),
    ("remove", _e.EBUSY): (DmInUse, "it is in use", _CLOSE),
    ("rename", _e.EBUSY): (DmExists, "the new name is taken", "choose another name"),
    ("rename", _e.EINVAL): (DmError, _NAME, "a name has no '/' and at most 127 bytes"),
    ("setuuid", _e.EBUSY): (DmExists, "another device has that UUID", ""),
    ("setuuid", _e.EINVAL): (DmError, "it has a UUID already, which cannot be changed", ""),
    ("load", _e.EINVAL): (DmError, "the kernel does not take that table", _LOG),
    ("load", _e.EBUSY): (DmInUse, "a device that its table refers to is in use", "see `lsblk` for what holds it"),
    ("load", _e.ENXIO): (DmNotFound, "the device, or one that its table refers to, does not exist", _LOG),
    ("load", _e.ENODEV): (DmNotFound, _TABLE_LACKS, _LOG),
    ("load", _e.ENOENT): (DmNotFound, _TABLE_LACKS, _LOG),
    ("load", _e.ELOOP): (DmError, "its table refers to itself", ""),
    ("load", _e.ENOMEM): (DmError, "the kernel has no memory for that table", ""),
    ("load", _e.EROFS): (DmError, _TABLE_READ_ONLY, "load the table read-only"),
    ("resume", _e.EINVAL): (
        DmError,
        "it has no table, or the one that was loaded does not fit the devices below it",
        _LOG,
    ),
    ("message", _e.EINVAL): (DmError, "the target does not take it, or no target is at that sector", _LOG),
    ("message", _e.ENODATA): (DmError, "it has no live table", "resume it first"),
    ("target-version", _e.EINVAL): (
        DmNotFound,
        "the kernel has no such target",
        "load its module: modprobe dm-NAME",
    ),
    ("setgeometry", _e.EINVAL): (DmError, "the geometry is out of range", ""),
    ("version", _e.EINVAL): (DmError, "the kernel's interface is of another generation than 4", ""),
}

_ANY_COMMAND: dict[int, _Meaning] = {
    _e.ENXIO: (DmNotFound, "there is no such device", ""),
    _e.EBUSY: (DmInUse, "it is in use", ""),
    _e.EACCES: (DmNotPermitted, "permission denied", _ROOT),
    _e.EPERM: (DmNotPermitted, "permission denied", _ROOT),
    _e.ENOTTY: (DmError, "the kernel does not know this command", ""),
    _e.ENOMEM: (DmError, "the kernel has no memory", ""),
}


def explain(request: Request, errno: int) -> DmError:
    """The error for a command that the kernel refused with ``errno``."""
    command = command_name(request)
    kind, meaning, hint = (
        _MEANINGS.get((command, errno)) or _ANY_COMMAND.get(errno) or (DmError, os.strerror(errno).lower(), "")
    )
    device = device_words(request)
    word = _e.errorcode.get(errno, str(errno))
    subject = f"{command} {device}" if device else command
    return kind(f"device mapper: {subject}: {meaning} ({word})", request, errno, hint=hint)
