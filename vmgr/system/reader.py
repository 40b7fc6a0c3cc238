"""Reading many devices for a scan, so that one that hangs does not take the command with it.

A read from a device that does not answer (a lost path with ``queue_if_no_path``, a dead server behind
nbd) cannot be interrupted by anybody, nor can the process that waits in it be killed or end. So
:class:`GuardedReader` lets a forked helper do the reading, into memory that both share. The helper has closed
everything else: it holds no lock, no terminal, no pipe that somebody waits for. One that has not answered
within ``patience`` is set aside and another one goes on with the other devices; after ``limit`` seconds
those set aside are given up, and their devices are reported and treated as missing. The kernel frees a helper
when the device answers at last. The fork costs about a millisecond.

What this does not cover: opening a device for writing and writing to it happen in the command itself, on
devices that have just answered a read.
"""

from __future__ import annotations

import os
import select
from errno import EINVAL, EIO
from mmap import mmap
from struct import Struct
from time import monotonic
from typing import TYPE_CHECKING

from vmgr.core.errors import DeviceError, VmgrError
from vmgr.core.units import Bytes
from vmgr.system.disk import io_error, open_error

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from vmgr.system.devices import Device

    Want = tuple[Device, int, int]

    class Reader(Protocol):
        """Reads parts of devices in batches."""

        def read_many(self, wants: Sequence[Want]) -> list[bytes | VmgrError]:
            """For each (device, offset, length) the bytes, fewer at the device's end, or why there are none.

            Sets each device's ``size``.
            """

        def close(self) -> None:
            """Let go of the devices."""


ALIGN = 4096
"""Reads are widened to this: no device has larger logical blocks, and pages are no smaller."""

LIMIT = 60.0
"""Seconds that a device has to answer: longer than a disk takes to spin up, or a path to fail over."""

PATIENCE = 1.0
_ARENA = 16 << 20
_REQUEST = Struct("<QQQI")  # offset, length, place in the arena, length of the path
_REPLY = Struct("<iiQQ")  # errno, whether the open failed, bytes read, size of the device


class _Server:
    """Reads in this process, each device opened once."""

    def __init__(self) -> None:
        self.fds: dict[str, int] = {}
        self.sizes: dict[str, int] = {}

    def open(self, path: str) -> int:
        fd = self.fds.get(path)
        if fd is None:
            try:
                fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
            except OSError as error:
                if error.errno != EINVAL:  # a file system without direct I/O
                    raise
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.fds[path] = fd
            self.sizes[path] = os.lseek(fd, 0, os.SEEK_END)
        return fd

    def close(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self.fds.clear()


def _fill(fd: int, view: memoryview, offset: int) -> int:
    """Read until ``view`` is full or the device ends; how many bytes there were."""
    done = 0
    while done < len(view):
        got = os.preadv(fd, [view[done:]], offset + done)
        done += got
        if not got or got % 512:
            break
    return done


def _widen(offset: int, length: int) -> tuple[int, int]:
    first = offset // ALIGN * ALIGN
    return first, -(-(offset + length) // ALIGN) * ALIGN - first


class DirectReader:
    """Reads in the calling process: for image files, and where a helper is not wanted."""

    def __init__(self) -> None:
        self._server = _Server()
        self._pages: mmap | None = None

    def read_many(self, wants: Sequence[Want]) -> list[bytes | VmgrError]:
        """As :meth:`Reader.read_many`."""
        results: list[bytes | VmgrError] = []
        for device, offset, length in wants:
            first, wide = _widen(offset, length)
            if self._pages is None or wide > len(self._pages):
                self._pages = mmap(-1, max(wide, 256 << 10))
            try:
                fd = self._server.open(device.path)
            except OSError as error:
                results.append(open_error(device.path, error, write=False))
                continue
            device.size = Bytes(self._server.sizes[device.path])
            try:
                got = _fill(fd, memoryview(self._pages)[:wide], first)
            except OSError as error:
                results.append(io_error(device.path, "read", offset, length, error))
                continue
            results.append(self._pages[offset - first : min(offset - first + length, got)])
        return results

    def close(self) -> None:
        """As :meth:`Reader.close`."""
        self._server.close()


class _Helper:
    """A forked process that reads what it is told to, and the memory it reads into."""

    def __init__(self) -> None:
        self.arena = mmap(-1, _ARENA)
        ask_in, self.ask = os.pipe()
        self.answer, answer_out = os.pipe()
        self.since = monotonic()
        self.dead = False
        try:
            self.pid = os.fork()
        except OSError:
            for fd in (ask_in, self.ask, self.answer, answer_out):
                os.close(fd)
            raise
        if self.pid == 0:
            try:
                _serve(ask_in, answer_out, self.arena)
            finally:
                os._exit(0)
        os.close(ask_in)
        os.close(answer_out)

    def request(self, device: Device, offset: int, length: int, place: int) -> None:
        path = os.fsencode(device.path)
        self.since = monotonic()
        try:
            os.write(self.ask, _REQUEST.pack(offset, length, place, len(path)) + path)
        except BrokenPipeError:
            pass  # the reply's absence tells

    def reply(self, seconds: float) -> tuple[int, int, int, int] | None:
        """(errno, open failed, bytes, size); None if there is none yet. A helper that died gives EIO."""
        poll = select.poll()
        poll.register(self.answer, select.POLLIN)
        if not poll.poll(max(0.0, seconds) * 1000):
            return None
        raw = os.read(self.answer, _REPLY.size)
        if len(raw) < _REPLY.size:
            self.dead = True
            return EIO, 0, 0, 0
        errno, failed, got, size = _REPLY.unpack(raw)
        return errno, failed, got, size

    def close(self, *, stuck: bool = False) -> None:
        os.close(self.ask)
        os.close(self.answer)
        if stuck:
            os.kill(self.pid, 9)  # takes effect when the device answers; nobody waits for that
        # A helper that nobody asks any more ends by itself, and mostly after the command: no need to wait here.
        _ended.append(self.pid)
        _reap()


def _serve(ask: int, answer: int, arena: mmap) -> None:
    """The helper's whole life: close everything else, then read until nobody asks any more."""
    import signal

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the command; the helper ends with it
    kept = sorted((ask, answer))
    os.closerange(0, kept[0])
    os.closerange(kept[0] + 1, kept[1])
    os.closerange(kept[1] + 1, max(1024, kept[1] + 256))
    server = _Server()
    while True:
        head = os.read(ask, _REQUEST.size)
        if len(head) < _REQUEST.size:
            return
        offset, length, place, path_length = _REQUEST.unpack(head)
        path = os.fsdecode(os.read(ask, path_length))
        errno = failed = got = 0
        try:
            fd = server.open(path)
        except OSError as error:
            errno, failed = error.errno or EIO, 1
        else:
            try:
                got = _fill(fd, memoryview(arena)[place : place + length], offset)
            except OSError as error:
                errno = error.errno or EIO
        os.write(answer, _REPLY.pack(errno, failed, got, server.sizes.get(path, 0)))


_ended: list[int] = []
"""Helpers that were told to end and have not been collected; a program that goes on collects them next time."""


def _reap() -> None:
    for pid in _ended[:]:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _ended.remove(pid)
        except ChildProcessError:
            _ended.remove(pid)


class GuardedReader:
    """Reads through a helper process; see the module's text. ``hung`` are devices that have been given up."""

    def __init__(self, *, limit: float = LIMIT, patience: float = PATIENCE) -> None:
        self._limit = limit
        self._patience = min(patience, limit)
        self._helper: _Helper | None = None
        self._direct = DirectReader()
        self.hung: set[str] = set()

    def read_many(self, wants: Sequence[Want]) -> list[bytes | VmgrError]:
        """As :meth:`Reader.read_many`."""
        if self._helper is None and not self._start():
            return self._direct.read_many(wants)
        results: list[bytes | VmgrError] = [b""] * len(wants)
        aside: list[tuple[_Helper, int, int, int]] = []
        for number, (device, offset, length) in enumerate(wants):
            if device.path in self.hung:
                results[number] = self._given_up(device)
                continue
            first, wide = _widen(offset, length)
            parts: list[bytes] = []
            at = first
            while at < first + wide:
                size = min(_ARENA, first + wide - at)
                if self._helper is None and not self._start():
                    results[number] = self._direct.read_many([wants[number]])[0]
                    break
                helper = self._helper
                assert helper is not None
                helper.request(device, at, size, 0)
                reply = helper.reply(self._patience)
                if reply is None:
                    if wide > _ARENA:  # one of several parts: wait for it here
                        reply = helper.reply(self._limit)
                    if reply is None:
                        aside.append((helper, number, first, offset))
                        self._helper = None
                        break
                outcome = self._outcome(helper, device, offset, length, reply)
                if helper.dead:
                    helper.close()
                    self._helper = None
                if isinstance(outcome, VmgrError):
                    results[number] = outcome
                    break
                parts.append(outcome)
                at += size
                if len(outcome) < size:
                    at = first + wide
            else:
                results[number] = b"".join(parts)[offset - first : offset - first + length]
        for helper, number, first, offset in aside:
            device, _, length = wants[number]
            reply = helper.reply(helper.since + self._limit - monotonic())
            if reply is None:
                self.hung.add(device.path)
                results[number] = self._given_up(device)
                helper.close(stuck=True)
                continue
            outcome = self._outcome(helper, device, offset, length, reply)
            results[number] = (
                outcome[offset - first : offset - first + length] if isinstance(outcome, bytes) else outcome
            )
            helper.close()
        return results

    def _start(self) -> bool:
        """Start a helper; False where no process can be made, and the command reads by itself."""
        try:
            self._helper = _Helper()
        except OSError:
            return False
        return True

    def _outcome(
        self, helper: _Helper, device: Device, offset: int, length: int, reply: tuple[int, int, int, int]
    ) -> bytes | VmgrError:
        errno, failed, got, size = reply
        if errno:
            error = OSError(errno, os.strerror(errno))
            if failed:
                return open_error(device.path, error, write=False)
            return io_error(device.path, "read", offset, length, error)
        device.size = Bytes(size)
        return helper.arena[:got]

    def _given_up(self, device: Device) -> DeviceError:
        return DeviceError(
            f"{device.path} has not answered a read for {self._limit:.0f} seconds; it is treated as missing",
            hint="see the kernel log; dmsetup info, multipath -ll or the device's server may tell why",
        )

    def close(self) -> None:
        """As :meth:`Reader.close`."""
        self._direct.close()
        if self._helper is not None:
            self._helper.close()
            self._helper = None


def make_reader(devices: Sequence[Device]) -> Reader:
    """The reader for these devices: guarded unless they are image files or ``VMGR_READ_LIMIT`` is 0 (seconds)."""
    text = os.environ.get("VMGR_READ_LIMIT", "")
    try:
        limit = float(text) if text else LIMIT
    except ValueError:
        limit = LIMIT
    if limit <= 0 or all(device.major < 0 for device in devices):
        return DirectReader()
    return GuardedReader(limit=limit)
