"""Reading and writing one block device or disk image.

Block devices are opened with ``O_DIRECT``: what is read is what is on the medium, and nothing that is read for a
moment pushes other data out of the page cache. Buffers are page-aligned and transfers are whole logical
blocks; a smaller write is read, changed and written back. Image files (tests, ``--devices`` of plain
files) go through the page cache. Nothing is durable before :meth:`Disk.flush` returns.

:class:`Disk` works in the calling process, so a device that hangs makes it hang: the kernel lets nobody
interrupt such a read or write. What is waited for is told by the :class:`~vmgr.system.stall.StallWatch` that it is
given. A scan, which touches devices that the user did not name, reads through :mod:`vmgr.system.reader`.
"""

from __future__ import annotations

import errno
import os
from contextlib import nullcontext
from fcntl import F_DUPFD_CLOEXEC, fcntl, ioctl
from mmap import mmap
from stat import S_ISBLK, S_ISREG
from typing import TYPE_CHECKING

from vmgr.core.errors import DeviceError, InUse, NotFound, NotPermitted, VmgrError
from vmgr.core.units import Bytes

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType
    from typing import Self

    from vmgr.system.stall import StallWatch

BLKROGET = 0x125E
BLKSSZGET = 0x1268
BLKDISCARD = 0x1277
BLKPBSZGET = 0x127B
BLKZEROOUT = 0x127F
"""``linux/fs.h``. The last writes zeros, with the device's own command for it where there is one."""

_CHUNK = 1 << 20

_NOWATCH: AbstractContextManager[object] = nullcontext()
"""The watch that does nothing."""

READ_ONLY_HINT = "blockdev --setrw, or unlock the medium"


class Disk:
    """An open block device or image file. A context manager; not shared between threads.

    ``logical_block`` and ``physical_block`` are the device's block sizes in bytes (1 for a file).
    """

    def __init__(self, path: str, fd: int, watch: StallWatch | None = None) -> None:
        self.path = path
        self._watch = watch
        self.fd = fd
        info = os.fstat(fd)
        self.is_block = S_ISBLK(info.st_mode)
        self.number = info.st_rdev if self.is_block else 0
        self.logical_block = self._number(BLKSSZGET, 512) if self.is_block else 1
        self._pages: mmap | None = None
        self._size: Bytes | None = None

    @classmethod
    def open(
        cls, path: str, *, write: bool = False, exclusive: bool = False, watch: StallWatch | None = None
    ) -> Self:
        """Open ``path``. ``exclusive`` fails when the device is mounted or another device lies on it.

        ``watch`` tells of whatever the device does not answer.

        Raises :class:`NotFound`, :class:`NotPermitted`, :class:`InUse` or :class:`DeviceError`.
        """
        flags = (os.O_RDWR if write else os.O_RDONLY) | os.O_CLOEXEC
        try:
            mode = os.stat(path).st_mode
            if S_ISBLK(mode):
                flags |= os.O_DIRECT | (os.O_EXCL if exclusive else 0)
            elif not S_ISREG(mode):
                raise DeviceError(
                    f"{path} is not a block device", hint="name a disk, a partition or a mapped device"
                )
            with _NOWATCH if watch is None else watch.on(f"{path}, which does not open"):
                fd = _above_standard(os.open(path, flags))
        except OSError as error:
            raise open_error(path, error, write=write) from None
        return cls(path, fd, watch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the device; what was not flushed may be lost in a power cut."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _watched(self, what: str, offset: int, length: int) -> AbstractContextManager[object]:
        if self._watch is None:
            return _NOWATCH
        return self._watch.on(f"{self.path}, which does not answer a {what} of {length} bytes at byte {offset}")

    def _number(self, request: int, default: int) -> int:
        try:
            return int.from_bytes(ioctl(self.fd, request, bytes(4)), "little")
        except OSError:
            return default

    @property
    def size(self) -> Bytes:
        """The device's length, as the kernel knows it."""
        if self._size is None:
            self._size = Bytes(os.lseek(self.fd, 0, os.SEEK_END))
        return self._size

    @property
    def physical_block(self) -> int:
        """The block size that the medium works in; 512 where it is not known."""
        return self._number(BLKPBSZGET, 512) if self.is_block else 1

    @property
    def read_only(self) -> bool:
        """Whether the kernel refuses to write to the device (``blockdev --setro``, write-protected media)."""
        return bool(self._number(BLKROGET, 0)) if self.is_block else not os.access(self.path, os.W_OK)

    # -- reading ----------------------------------------------------------------------------------

    def read(self, offset: Bytes, length: Bytes) -> bytes:
        """Exactly ``length`` bytes from ``offset``. Raises :class:`DeviceError`, also for a read past the end."""
        first, last = self._span(int(offset), int(length))
        skip = int(offset) - first
        return bytes(self._fill(first, last - first)[skip : skip + int(length)])

    def _span(self, offset: int, length: int) -> tuple[int, int]:
        block = self.logical_block
        return offset // block * block, -(-(offset + length) // block) * block

    def _fill(self, offset: int, length: int) -> memoryview:
        """Read whole blocks into the page-aligned buffer, valid until the next transfer."""
        view = self._buffer(length)
        done = 0
        while done < length:
            try:
                with self._watched("read", offset + done, length - done):
                    got = os.preadv(self.fd, [view[done:]], offset + done)
            except OSError as error:
                raise io_error(self.path, "read", offset + done, length - done, error) from None
            if not got:
                raise DeviceError(
                    f"{self.path}: cannot read {length} bytes at byte {offset}: it ends at byte {offset + done}",
                    hint="has the device become smaller?",
                )
            done += got
        return view

    def _buffer(self, length: int) -> memoryview:
        if self._pages is None or len(self._pages) < length:
            self._pages = mmap(-1, max(-(-length // 4096) * 4096, 4096))
        return memoryview(self._pages)[:length]

    # -- writing ----------------------------------------------------------------------------------

    def write(self, offset: Bytes, data: bytes) -> None:
        """Write ``data``; blocks that it covers in part keep their other bytes. Raises :class:`DeviceError`."""
        at, rest = int(offset), memoryview(data)
        if at < 0 or at + len(data) > self.size:
            raise DeviceError(
                f"{self.path}: refusing to write {len(data)} bytes at byte {at}: the device has {self.size} bytes",
                hint="has the device become smaller?",
            )
        while rest:
            part = rest[:_CHUNK]
            first, last = self._span(at, len(part))
            if (first, last) == (at, at + len(part)):
                view = self._buffer(last - first)
            else:
                view = self._fill(first, last - first)
            view[at - first : at - first + len(part)] = part
            self._put(first, view)
            at += len(part)
            rest = rest[_CHUNK:]

    def _put(self, offset: int, view: memoryview) -> None:
        done = 0
        while done < len(view):
            try:
                with self._watched("write", offset + done, len(view) - done):
                    done += os.pwritev(self.fd, [view[done:]], offset + done)
            except OSError as error:
                raise io_error(self.path, "write", offset + done, len(view) - done, error) from None

    def zero(self, offset: Bytes, length: Bytes) -> None:
        """Fill ``length`` bytes from ``offset`` with zeros. Raises :class:`DeviceError`."""
        at, end = int(offset), int(offset) + int(length)
        if at < 0 or end > self.size:
            self.write(offset, bytes(1) * min(int(length), 1 << 16))  # raises, and says why
            raise DeviceError(f"{self.path}: refusing to write past the end of the device")
        block = self.logical_block
        if self.is_block and length >= _CHUNK and at % block == 0 and end % block == 0:
            try:
                with self._watched("write", at, int(length)):
                    ioctl(self.fd, BLKZEROOUT, at.to_bytes(8, "little") + int(length).to_bytes(8, "little"))
                return
            except OSError:
                pass  # an old kernel or driver: write them one by one
        zeros = bytes(min(_CHUNK, int(length)))
        while at < end:
            self.write(Bytes(at), zeros[: end - at])
            at += len(zeros)

    def discard(self, offset: Bytes, length: Bytes) -> None:
        """Tell the device that the range holds nothing of use. Raises :class:`DeviceError`."""
        try:
            with self._watched("discard", int(offset), int(length)):
                ioctl(self.fd, BLKDISCARD, int(offset).to_bytes(8, "little") + int(length).to_bytes(8, "little"))
        except OSError as error:
            raise io_error(self.path, "discard", int(offset), int(length), error) from None

    def flush(self) -> None:
        """Make all that was written durable, the device's own cache included. Raises :class:`DeviceError`."""
        try:
            with _NOWATCH if self._watch is None else self._watch.on(f"{self.path}, which does not answer a flush"):
                os.fsync(self.fd)
        except OSError as error:
            raise DeviceError(
                f"{self.path}: cannot flush: {error.strerror}", hint="see the kernel log; the device may be failing"
            ) from None


def _above_standard(fd: int) -> int:
    """Keep a disk off the numbers 0 to 2, where a program that was started without them gets its files.

    Whoever prints an error to number 2 would print it onto the disk.
    """
    if fd > 2:
        return fd
    try:
        return fcntl(fd, F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def io_error(path: str, what: str, offset: int, length: int, error: OSError) -> DeviceError:
    """The error for a failed transfer."""
    return DeviceError(
        f"{path}: {what} of {length} bytes at byte {offset} failed: {error.strerror}",
        hint="see the kernel log; the device may be failing",
    )


def open_error(path: str, error: OSError, *, write: bool) -> VmgrError:
    """The error for a failed open, by what the kernel said."""
    if error.errno == errno.EBUSY:
        from vmgr.system.usage import users

        return InUse(
            f"cannot open {path} exclusively: {', '.join(users(path)) or 'it is in use'}",
            hint="unmount it, or stop what uses it (lsblk shows mounts and devices on it)",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(f"cannot open {path}: {error.strerror}", hint="run the command as root")
    if error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.ENOMEDIUM, errno.ENOTDIR):
        return NotFound(f"device {path} not found: {error.strerror}", hint="check the name; lsblk lists devices")
    if error.errno == errno.EROFS and write:
        return DeviceError(f"cannot write to {path}: it is read-only", hint=READ_ONLY_HINT)
    return DeviceError(f"cannot open {path}: {error.strerror}", hint="see the kernel log")
