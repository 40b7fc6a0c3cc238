"""The meaning of each errno for each command, in words, with what to do about it.

Loaded when the first command is refused. Source: the return values in ``drivers/md/dm-ioctl.c``, ``dm.c``,
``dm-table.c`` and ``dm-stats.c`` of Linux 6.1, in the targets' constructors, and in the block layer below them.
"""

from __future__ import annotations

import errno as _e
import os
from typing import TYPE_CHECKING

from vmgr.dm import abi
from vmgr.dm.failure import (
    DmError,
    DmExists,
    DmInUse,
    DmNotFound,
    DmNotPermitted,
    command_name,
    device_words,
)

if TYPE_CHECKING:
    from vmgr.dm.wire import Reply, Request

Meaning = tuple[type[DmError], str, str]
"""The class of the error, what is wrong, and what to do."""

LOG = "the kernel's log says why: dmesg | tail"
_ROOT = "run as root (CAP_SYS_ADMIN is needed)"
_CLOSE = "unmount it or close what uses it; see `lsof` and `vmgr dm ls --tree`"
_LIST = "see `vmgr dm info -c`"
_DEVICES = "`vmgr dm ls` lists the devices"
_HOLDERS = "see `lsblk` for what holds it"
_NAME = "a name has 1 to 127 bytes and no '/', and is not '.', '..' or 'control'"
_TABLE_LACKS = "a device that its table refers to does not exist"
_UNFIT = "it has no table, or the one that was loaded does not fit the devices below it"
_FROZEN = "its file system is frozen already, or cannot be frozen now"

_MEANINGS: dict[tuple[str, int], Meaning] = {
    ("version", _e.EINVAL): (DmError, "the kernel's interface does not have major version 4", ""),
    ("create", _e.EBUSY): (DmExists, "a device of that name or UUID exists already", _LIST),
    ("create", _e.ENXIO): (DmError, "the kernel has no minor number or no memory left for another device", ""),
    ("create", _e.EINVAL): (DmError, "the kernel does not take that name", _NAME),
    ("create", _e.ENOMEM): (DmError, "the kernel has no memory for another device", ""),
    ("create", _e.EMFILE): (DmError, "no minor number is left", ""),
    ("remove", _e.EBUSY): (DmInUse, "it is in use", _CLOSE),
    ("remove", _e.EEXIST): (DmInUse, "it is in use, and its removal was not deferred until it is closed", _CLOSE),
    ("rename", _e.EBUSY): (DmExists, "the new name is taken", "choose another name"),
    ("rename", _e.EINVAL): (DmError, "the kernel does not take that name", _NAME),
    ("setuuid", _e.EBUSY): (DmExists, "another device has that UUID", _LIST),
    ("setuuid", _e.EINVAL): (
        DmError,
        "it has a UUID already, which cannot be changed, or the new one does not have 1 to 128 bytes",
        "",
    ),
    ("load", _e.EINVAL): (DmError, "the kernel does not take that table", LOG),
    ("load", _e.EBUSY): (DmInUse, "a device that its table refers to is in use", _HOLDERS),
    ("load", _e.ENXIO): (DmNotFound, "the device, or one that its table refers to, does not exist", LOG),
    ("load", _e.ENODEV): (DmNotFound, _TABLE_LACKS, LOG),
    ("load", _e.ENOENT): (DmNotFound, _TABLE_LACKS, LOG),
    ("load", _e.ENOTBLK): (DmError, "its table refers to something that is not a block device", LOG),
    ("load", _e.EOVERFLOW): (DmError, "a device number in its table is out of range", LOG),
    ("load", _e.EEXIST): (
        DmExists,
        "something else in the kernel has the device's name or number",
        LOG,
    ),
    ("load", _e.ELOOP): (DmError, "its table refers to itself", "refer to another device"),
    ("load", _e.ENOMEM): (DmError, "the kernel has no memory for that table", ""),
    ("load", _e.EROFS): (DmError, "a device that its table refers to is read-only", "load the table read-only"),
    ("load", _e.EACCES): (
        DmNotPermitted,
        "permission denied, or a device that its table refers to is read-only",
        f"{_ROOT}, or load the table read-only",
    ),
    ("load", _e.EIO): (DmError, "a device that its table refers to cannot be read or written", LOG),
    ("load", _e.EPERM): (DmNotPermitted, "the kernel does not permit the use of a device in its table", LOG),
    ("load", _e.ENOKEY): (DmNotFound, "a key that its table names is not in the kernel's keyring", ""),
    ("suspend", _e.EBUSY): (DmInUse, _FROZEN, "see who froze it, or suspend it without freezing (--nolockfs)"),
    ("suspend", _e.EINVAL): (DmError, "something else suspended it at the same moment, or a target refused", LOG),
    ("suspend", _e.EINTR): (DmError, "a signal ended the wait for input and output in progress", ""),
    ("resume", _e.EBUSY): (DmInUse, _FROZEN, "see who froze it, or resume it without freezing (--nolockfs)"),
    ("resume", _e.EINVAL): (DmError, _UNFIT, LOG),
    ("resume", _e.EINTR): (DmError, "a signal ended the wait for input and output in progress", ""),
    ("resume", _e.EIO): (
        DmError,
        "a target cannot start, because a device below it cannot be read or written",
        LOG,
    ),
    ("wait", _e.EINTR): (DmError, "a signal ended the wait", ""),
    ("message", _e.EINVAL): (DmError, "the target does not take it, or no target is at that sector", LOG),
    ("message", _e.ENODATA): (DmError, "it has no live table", "resume it first"),
    ("message", _e.ENXIO): (DmNotFound, "there is no such device, or it is being removed", ""),
    ("message", _e.ENOENT): (DmNotFound, "what the message names does not exist", ""),
    ("message", _e.EEXIST): (DmExists, "what the message would make exists already", ""),
    ("message", _e.EBUSY): (DmInUse, "what the message is about is in use, or the device is being removed", LOG),
    ("message", _e.ENOMEM): (DmError, "the kernel has no memory for what the message asks", ""),
    ("message", _e.ENOSPC): (DmError, "there is no space for what the message asks", LOG),
    ("message", _e.EOPNOTSUPP): (DmError, "the target cannot do that in its present state", LOG),
    ("setgeometry", _e.EINVAL): (
        DmError,
        "the geometry is out of range",
        "at most 65535 cylinders, 255 heads and 255 sectors, and a start within them",
    ),
    ("target-version", _e.EINVAL): (
        DmNotFound,
        "the kernel has no such target",
        "load its module: modprobe dm-NAME",
    ),
}

_ANY_COMMAND: dict[int, Meaning] = {
    _e.ENXIO: (DmNotFound, "there is no such device", _DEVICES),
    _e.EBUSY: (DmInUse, "it is in use", ""),
    _e.EEXIST: (DmExists, "it exists already", ""),
    _e.EINVAL: (DmError, "the kernel does not take it", LOG),
    _e.EACCES: (DmNotPermitted, "permission denied", _ROOT),
    _e.EPERM: (DmNotPermitted, "permission denied", _ROOT),
    _e.ENOTTY: (DmError, "the kernel does not know this command", "a newer kernel is needed"),
    _e.ENOMEM: (DmError, "the kernel has no memory", ""),
    _e.EFAULT: (DmError, "the kernel could not copy the command's data", ""),
    _e.EINTR: (DmError, "a signal ended it", ""),
    _e.EROFS: (DmError, "a device is read-only", ""),
    _e.ELOOP: (DmError, "a device would lie on itself", ""),
}


def meaning(request: Request, command: str, errno: int) -> Meaning:
    """The meaning of ``errno`` as the answer to ``request``, whose command is called ``command``."""
    if command == "create" and errno == _e.ENXIO and request.flags & abi.PERSISTENT_DEV:
        number = abi.major_minor(request.dev)[1]
        return DmExists, f"the minor number is taken: {number}", _LIST
    if errno == _e.EINVAL and request.name and request.uuid and command not in ("create", "list", "targets"):
        return DmError, "a name and a UUID were given, and the kernel takes one of them", ""
    return _MEANINGS.get((command, errno)) or _ANY_COMMAND.get(errno) or (DmError, os.strerror(errno).lower(), "")


def explain(request: Request, errno: int, *, reply: Reply | None = None, log: tuple[str, ...] = ()) -> DmError:
    """The error for a command that the kernel refused with ``errno``."""
    from vmgr.dm.kmsg import telling

    command = command_name(request)
    kind, words, hint = meaning(request, command, errno)
    if request.flags & abi.SECURE_DATA:
        request = request._replace(data=b"")
    device = device_words(request)
    subject = f"{command} {device}" if device else command
    message = f"device mapper: {subject}: {words} ({_e.errorcode.get(errno, errno)})"
    said = telling(log)
    if said:
        message = f"{message}: {said}"
        hint = "" if hint == LOG else hint
    return kind(message, request, errno, hint=hint, reply=reply, log=log)
