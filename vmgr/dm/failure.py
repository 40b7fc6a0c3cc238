"""The errors of the device mapper. Each has the command, the device, the request and the errno.

Most also inherit from one of the core's error classes, so that callers can catch "in use" or "not found" without
knowing about ioctls. :func:`vmgr.dm.errnos.explain` makes them when the kernel refuses a command.
"""

from __future__ import annotations

import errno as _e
from typing import TYPE_CHECKING

from vmgr.core.errors import AlreadyExists, InUse, KernelError, NotFound, NotPermitted

if TYPE_CHECKING:
    from vmgr.dm.wire import Reply, Request


class DmError(KernelError):
    """The kernel refused a command.

    ``command`` is its name, ``device`` the device in words, ``request`` the header and the data that were sent
    (without secret data), ``reply`` the header that the kernel returned, None if it returned none, ``errno`` the
    kernel's number and ``errno_name`` its name. ``log`` are the lines that the device mapper meanwhile wrote to
    the kernel's log, oldest first, as far as they can be read.
    """

    def __init__(
        self,
        message: str,
        request: Request,
        errno: int,
        *,
        hint: str = "",
        device: str = "",
        reply: Reply | None = None,
        log: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.request = request
        self.reply = reply
        self.errno = errno
        self.log = log
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
    """The device is open, or a device that a table refers to is in use elsewhere."""

    code = InUse.code


class DmNotPermitted(DmError, NotPermitted):
    """The caller may not talk to the device mapper."""

    code = NotPermitted.code


class NoDeviceMapper(KernelError):
    """The kernel has no device mapper, or an interface of another major version."""


class Unsupported(KernelError):
    """The running kernel's device mapper is too old for a command or a flag."""


class NodeError(KernelError):
    """The kernel did what was asked, but a node or link in the device directory could not be updated."""


def command_name(request: Request) -> str:
    """The command in words: one ioctl suspends and resumes, another renames and sets a UUID."""
    from vmgr.dm import abi  # already loaded by the request's caller; not needed to report a missing device mapper

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
