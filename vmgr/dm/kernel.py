"""The interface to the kernel's device mapper: the ``Kernel`` protocol, and its implementation with ``ioctl``.

:class:`IoctlKernel` is the only caller of ``ioctl`` on the control node. All code that takes a
:class:`Kernel` also runs on :class:`vmgr.testing.fake_kernel.FakeKernel`.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Protocol

from vmgr.core.errors import KernelError
from vmgr.dm import abi, control
from vmgr.dm.failure import NoDeviceMapper, Unsupported, command_name
from vmgr.dm.wire import Reply, Request, pack_request, request_size, unpack_reply, wipe

if TYPE_CHECKING:
    from vmgr.dm.abi import Version
    from vmgr.dm.failure import DmError
    from vmgr.dm.kmsg import KernelLog

SMALL = 1024
"""``fcntl.ioctl`` lets other threads run during the call only if the buffer has at most this size (it copies
such a buffer). So commands that can block (suspend, resume, remove, wait) use no larger one."""

ROOM = 16 * 1024
LARGEST = 256 * 1024 * 1024


class Kernel(Protocol):
    """The device mapper, as a client uses it."""

    @property
    def version(self) -> Version:
        """The interface's version."""

    def call(self, request: Request) -> Reply:
        """Run one command. Raises :class:`vmgr.dm.failure.DmError` when it is refused.

        A command or flag that this kernel's version lacks is refused before the call (``Unsupported``, which names
        it). With the flag for secure data, the data of request and reply may be secret. The reply's data is then a
        ``bytearray``, for the caller to wipe, and all copies made here are wiped.
        """

    def poll(self, timeout: float | None) -> bool:
        """Wait until a device has had an event since the last ``DEV_ARM_POLL``; False after ``timeout`` seconds."""

    def block_major(self) -> int:
        """The major number of device-mapper devices."""

    def watch(self) -> Watch:
        """The same device mapper through another descriptor, which is armed independently."""


class Watch(Kernel, Protocol):
    """A kernel with a descriptor that becomes readable at the first event since the last arming."""

    def fileno(self) -> int:
        """The descriptor."""

    def close(self) -> None:
        """Close it."""


def check(request: Request, version: Version) -> None:
    """Refuse what a kernel of interface ``version`` lacks, and flags that the command ignores.

    The second is a programming error (``ValueError``), because a silently ignored flag would do harm.
    """
    command, flags = request.command, request.flags
    if flags & ~command.flags:
        stray = ", ".join(abi.flag_names(flags & ~command.flags))
        raise ValueError(f"{command.name} does not take the flag {stray}")
    if version < command.since:
        raise _too_old(f"command {command_name(request)}", command.since, version)
    if flags & ~abi.OLD_FLAGS:
        for flag in abi.FLAGS:
            if flags & flag.bit and version < abi.flag_since(command, flag):
                needed = abi.flag_since(command, flag)
                raise _too_old(f"flag {flag.name} of {command_name(request)}", needed, version)


def _too_old(what: str, since: Version, version: Version) -> Unsupported:
    needs, has = ".".join(map(str, since)), ".".join(map(str, version))
    return Unsupported(
        f"the kernel's device mapper has no {what}: it came with interface {needs}, this is {has}",
        hint="a newer kernel is needed",
    )


class IoctlKernel:
    """The running kernel, through ``DEV_DIR/mapper/control``. The first command opens that node."""

    def __init__(self, dev_dir: str = "/dev", *, log: KernelLog | None = None) -> None:
        """``log`` None: the kernel's own."""
        self._dev_dir = dev_dir
        self._log = log
        self._fd = -1
        self._version: Version | None = None
        self._major: int | None = None
        # Buffers are kept, so that a call between suspend and resume needs no new memory. A list's
        # pop and append are atomic, so two threads never share a buffer.
        self._small = [bytearray(SMALL)]
        self._large = [bytearray(abi.DATA_START + ROOM)]

    def __enter__(self) -> IoctlKernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the control node. The next call opens it again."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
        if self._log is not None:
            self._log.close()
            self._log = None

    def __del__(self) -> None:
        # A client that was never closed must not keep its descriptor open, and the module in use.
        try:
            self.close()
        except OSError:
            return  # there is no caller to report an error to

    def fileno(self) -> int:
        """The descriptor of the control node, for ``poll``."""
        if self._fd < 0:
            self._fd = control.open_control(self._dev_dir)
        return self._fd

    @property
    def version(self) -> Version:
        """The interface's version, asked once. Raises :class:`NoDeviceMapper` unless its major version is 4."""
        if self._version is None:
            version = self._ioctl(Request(abi.VERSION)).version
            if version[0] != 4:
                raise NoDeviceMapper(
                    f"the kernel's device mapper has interface {'.'.join(map(str, version))}; vmgr supports 4"
                )
            self._version = version
        return self._version

    def block_major(self) -> int:
        """The major number of device-mapper devices, from ``/proc/devices``."""
        if self._major is None:
            self.fileno()  # loads the module
            self._major = control.block_major()
        return self._major

    def watch(self) -> IoctlKernel:
        """The control node, opened once more."""
        other = IoctlKernel(self._dev_dir)
        other._version, other._major = self._version, self._major
        return other

    def call(self, request: Request) -> Reply:
        """Run one command; see :meth:`Kernel.call`."""
        check(request, self._version or self.version)
        return self._ioctl(request)

    def poll(self, timeout: float | None) -> bool:
        """Wait for the event that ``DEV_ARM_POLL`` armed; see :meth:`Kernel.poll`."""
        import select

        poller = select.poll()
        poller.register(self.fileno(), select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def _ioctl(self, request: Request) -> Reply:
        command = request.command
        fd = self._fd if self._fd >= 0 else self.fileno()
        secret = bool(request.flags & abi.SECURE_DATA)
        log = self._marked_log() if command.logs else None
        # A wait starts with a small buffer, because with a large one no other thread could run. If the reply does
        # not fit, the event has happened, so the same call with a larger buffer returns at once.
        room = ROOM if command.reply and command is not abi.DEV_WAIT else 0
        while True:
            size = request_size(request, room)
            if secret:
                size = max(size, SMALL + abi.ALIGNMENT)  # smaller ones the interpreter copies to its stack
            buffers = self._small if size <= SMALL else self._large
            buffer = self._take(buffers, size)
            # Zeroed, because the kernel leaves bytes of its reply unwritten.
            buffer[abi.DATA_START :] = bytes(len(buffer) - abi.DATA_START)
            try:
                pack_request(buffer, request)
                while True:
                    try:
                        result = fcntl.ioctl(fd, command.code, buffer, True)
                        break
                    except InterruptedError:
                        continue  # the handler has run; one that raises does not come here
                    except OSError as e:
                        raise self._refusal(request, e.errno or 0, buffer, log) from None
                if result > 0:
                    # A message to a device without a live table: neither delivered nor refused by the kernel.
                    raise self._refusal(request, errno.ENODATA, buffer, log)
                if command.silent:
                    return Reply(self._version or unpack_reply(buffer).version)
                reply = unpack_reply(buffer, secret=secret)
            finally:
                if secret:
                    wipe(buffer)
                if not buffers and len(buffer) <= abi.DATA_START + 16 * ROOM:
                    buffers.append(buffer)
            if not (reply.flags & abi.BUFFER_FULL and command.reply):
                return reply
            if secret:
                wipe(reply.data)
            if room >= LARGEST:
                raise KernelError(f"device mapper: {command.name}: the reply is longer than {LARGEST} bytes")
            room = 2 * room or ROOM

    def _marked_log(self) -> KernelLog:
        if self._log is None:
            # A refusal while a device is suspended must not load a module to explain it.
            from vmgr.dm import errnos  # noqa: F401
            from vmgr.dm.kmsg import KernelLog

            self._log = KernelLog()
        self._log.mark()
        return self._log

    @staticmethod
    def _refusal(request: Request, code: int, buffer: bytearray, log: KernelLog | None) -> DmError:
        # With secure data the kernel wipes the header, too, even when it refuses.
        reply = unpack_reply(buffer)._replace(data=b"") if any(buffer[: abi.HEADER.size]) else None
        from vmgr.dm.errnos import explain

        return explain(request, code, reply=reply, log=log.since() if log is not None else ())

    @staticmethod
    def _take(buffers: list[bytearray], size: int) -> bytearray:
        try:
            buffer = buffers.pop()
        except IndexError:
            return bytearray(max(size, SMALL))
        return buffer if len(buffer) >= size else bytearray(size)
