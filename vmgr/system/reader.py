"""Reading many devices for a scan, so that one that hangs does not take the command with it.

A read from a device that does not answer (a suspended one, a lost path with ``queue_if_no_path``, a dead server
behind nbd) cannot be interrupted by anybody, nor can the process that waits in it be killed or end. So
:class:`GuardedReader` lets forked helpers do the reading, into memory that both share. A helper has closed
everything else: it holds no lock, no terminal, no pipe that somebody waits for.

One helper reads all devices as long as each answers at once. When one lets it wait, more are started, twice as many
each time, so that any number of devices that hang is asked within the same second. The time of a device begins when
its helper turns to it, and a helper that waits for a processor is not taken for one that waits for its device.
A device that has not answered after ``patience`` is told of (:class:`NoAnswer`); its helper stays, and whoever
needs the device waits for it with :meth:`GuardedReader.answered`, as long as the kernel takes. "Did not answer" is
never "is not there".

Opening a device for writing and writing to it happen in the command itself, on devices that have just answered a
read; :mod:`vmgr.system.stall` tells of one that hangs then.
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

            A device that does not answer gives :class:`NoAnswer`. Sets each device's ``size``.
            """

        def answered(self, devices: Sequence[Device]) -> list[Device]:
            """Wait for devices that have not answered; those that have by now, as soon as there is one."""

        def close(self) -> None:
            """Let go of the devices."""


class NoAnswer(DeviceError):
    """A device has not answered so far: what is on it is not known."""


ALIGN = 4096
"""Reads are widened to this: no device has larger logical blocks, and pages are no smaller."""

PATIENCE = 0.8
"""Seconds that a device has to answer a command that may do without it."""

_STALL = 0.03
"""Seconds without an answer after which more devices are asked at once."""

_HELPERS = 128
_ARENA = 16 << 20
_REQUEST = Struct("<QQQI")  # offset, length, place in the arena, length of the path
_REPLY = Struct("<iiQQ")  # errno, whether the open failed, bytes read, size of the device
_BEGUN = Struct("<d")  # behind the arena: when the helper turned to the device, 0 before that


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno != EINVAL:  # a file system without direct I/O
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


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
    """Reads in the calling process, each device opened once: for image files, and where a helper is not wanted."""

    def __init__(self) -> None:
        self._fds: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._pages: mmap | None = None

    def read_many(self, wants: Sequence[Want]) -> list[bytes | VmgrError]:
        """As :meth:`Reader.read_many`."""
        results: list[bytes | VmgrError] = []
        for device, offset, length in wants:
            first, wide = _widen(offset, length)
            if self._pages is None or wide > len(self._pages):
                self._pages = mmap(-1, max(wide, 256 << 10))
            fd = self._fds.get(device.path)
            if fd is None:
                try:
                    fd = self._fds[device.path] = _open(device.path)
                except OSError as error:
                    results.append(open_error(device.path, error, write=False))
                    continue
                self._sizes[device.path] = os.lseek(fd, 0, os.SEEK_END)
            device.size = Bytes(self._sizes[device.path])
            try:
                got = _fill(fd, memoryview(self._pages)[:wide], first)
            except OSError as error:
                results.append(io_error(device.path, "read", offset, length, error))
                continue
            results.append(self._pages[offset - first : min(offset - first + length, got)])
        return results

    def answered(self, devices: Sequence[Device]) -> list[Device]:
        """As :meth:`Reader.answered`: whatever hangs makes the command hang."""
        return list(devices)

    def close(self) -> None:
        """As :meth:`Reader.close`."""
        for fd in self._fds.values():
            os.close(fd)
        self._fds.clear()


class _Helper:
    """A forked process that reads on request, and the shared memory for the data."""

    def __init__(self) -> None:
        self.arena = mmap(-1, _ARENA + ALIGN)
        self._mark = _ARENA
        ask_in, self.ask = os.pipe()
        self.answer, answer_out = os.pipe()
        self.dead = False
        try:
            self.pid = os.fork()
        except OSError:
            for fd in (ask_in, self.ask, self.answer, answer_out):
                os.close(fd)
            raise
        if self.pid == 0:
            try:
                _serve(ask_in, answer_out, self.arena, self._mark)
            finally:
                os._exit(0)
        os.close(ask_in)
        os.close(answer_out)

    def request(self, device: Device, offset: int, length: int, place: int) -> None:
        path = os.fsencode(device.path)
        _BEGUN.pack_into(self.arena, self._mark, 0)
        try:
            os.write(self.ask, _REQUEST.pack(offset, length, place, len(path)) + path)
        except BrokenPipeError:
            pass  # the reply's absence tells

    @property
    def begun(self) -> float:
        """When the helper turned to the device; 0 before that, which is the machine's fault, not the device's."""
        begun: float = _BEGUN.unpack_from(self.arena, self._mark)[0]
        return begun

    @property
    def runs(self) -> bool:
        """Whether the helper waits for a processor and not for its device."""
        try:
            with open(f"/proc/{self.pid}/stat") as file:
                return file.read().rpartition(")")[2].split(maxsplit=1)[0] == "R"
        except (OSError, IndexError):
            return False

    def reply(self) -> tuple[int, int, int, int]:
        """(errno, open failed, bytes, size), when there is an answer. A helper that died gives EIO."""
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


def _serve(ask: int, answer: int, arena: mmap, mark: int) -> None:
    """The main loop of the reading process: close all other files, then serve requests until the end."""
    import signal

    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)  # Ctrl-C is for the command; the helper ends with it
    kept = sorted((ask, answer))
    os.closerange(0, kept[0])
    os.closerange(kept[0] + 1, kept[1])
    os.closerange(kept[1] + 1, max(1024, kept[1] + 256))
    while True:
        head = os.read(ask, _REQUEST.size)
        if len(head) < _REQUEST.size:
            return
        offset, length, place, path_length = _REQUEST.unpack(head)
        path = os.fsdecode(os.read(ask, path_length))
        _BEGUN.pack_into(arena, mark, monotonic())
        errno = failed = got = size = 0
        try:
            fd = _open(path)
        except OSError as error:
            errno, failed = error.errno or EIO, 1
        else:
            try:
                size = os.lseek(fd, 0, os.SEEK_END)
                got = _fill(fd, memoryview(arena)[place : place + length], offset)
            except OSError as error:
                errno = error.errno or EIO
            # Closed before the answer: a volume that carries a physical volume is not in use because it was read,
            # neither for this command nor for the next, and a helper that hangs holds no other device.
            os.close(fd)
        os.write(answer, _REPLY.pack(errno, failed, got, size))


_ended: list[int] = []
"""Helpers that were told to end and have not been collected; a program that goes on collects them next time."""


def _reap() -> None:
    for pid in _ended[:]:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _ended.remove(pid)
        except ChildProcessError:
            _ended.remove(pid)


class _Turn:
    """What is to be read of one device, one part after the other; ``places`` are numbers of results."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.todo: list[tuple[int, int, int]] = []  # number, offset, length: last first
        self.at = 0
        self.parts: list[bytes] = []

    def begin(self) -> None:
        """Start with the next part."""
        _, offset, _ = self.todo[-1]
        self.at, self.parts = offset // ALIGN * ALIGN, []

    @property
    def end(self) -> int:
        """Where what is read now ends."""
        _, offset, length = self.todo[-1]
        first, wide = _widen(offset, length)
        return first + wide


class GuardedReader:
    """Reads through helper processes; see the module's text."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._direct = DirectReader()
        self._free: list[_Helper] = []
        self._stuck: dict[str, _Helper] = {}
        """By path: helpers whose device has not answered."""

    def read_many(self, wants: Sequence[Want]) -> list[bytes | VmgrError]:
        """As :meth:`Reader.read_many`."""
        results: list[bytes | VmgrError] = [b""] * len(wants)
        turns: dict[str, _Turn] = {}
        for number, (device, offset, length) in enumerate(wants):
            if device.path in self._stuck and not self._collect([device.path], 0):
                results[number] = _no_answer(device)
            else:
                turns.setdefault(device.path, _Turn(device)).todo.insert(0, (number, offset, length))
        waiting = list(turns.values())[::-1]
        busy: dict[int, tuple[_Helper, _Turn]] = {}
        poll = select.poll()
        together = 1
        while waiting or busy:
            while waiting and len(busy) < together:
                helper = self._free.pop() if self._free else self._start()
                if helper is None:
                    if busy:
                        together = len(busy)
                        break
                    self._read_here(waiting.pop(), results)
                    continue
                turn = waiting.pop()
                turn.begin()
                busy[helper.answer] = helper, turn
                poll.register(helper.answer, select.POLLIN)
                self._ask(helper, turn)
            if not busy:
                continue
            now = monotonic()
            until = min(helper.begun or now for helper, _ in busy.values()) + self._patience - now
            ready = poll.poll((_STALL if waiting else max(until, _STALL)) * 1000)
            for fd, _ in ready:
                helper, turn = busy[fd]
                if self._take(helper, turn, results):
                    self._ask(helper, turn)
                    continue
                poll.unregister(fd)
                del busy[fd]
                if helper.dead:
                    helper.close()
                else:
                    self._free.append(helper)
                if turn.todo:
                    waiting.append(turn)
            if ready:
                continue
            if waiting:
                together = min(2 * together, _HELPERS)
            now = monotonic()
            for fd, (helper, turn) in list(busy.items()):
                if helper.begun and now - helper.begun >= self._patience and not helper.runs:
                    poll.unregister(fd)
                    del busy[fd]
                    self._stuck[turn.device.path] = helper
                    for number, _, _ in turn.todo:
                        results[number] = _no_answer(turn.device)
        return results

    def answered(self, devices: Sequence[Device]) -> list[Device]:
        """As :meth:`Reader.answered`."""
        for device in devices:
            if device.path not in self._stuck:
                return [device]  # asked anew, it may answer
        free = self._collect([device.path for device in devices], None)
        return [device for device in devices if device.path in free]

    def _collect(self, paths: Sequence[str], seconds: float | None) -> set[str]:
        """Those of ``paths`` whose late answer is there, after a wait of ``seconds`` (None: for ever) for one."""
        of = {self._stuck[path].answer: path for path in paths}
        poll = select.poll()
        for fd in of:
            poll.register(fd, select.POLLIN)
        found = set()
        for fd, _ in poll.poll(None if seconds is None else seconds * 1000):
            helper = self._stuck.pop(of[fd])
            helper.reply()  # of no use any more: the device is read again
            if helper.dead:
                helper.close()
            else:
                self._free.append(helper)
            found.add(of[fd])
        return found

    def _start(self) -> _Helper | None:
        """Start a helper; None where no process can be made, and the command reads by itself."""
        try:
            return _Helper()
        except OSError:
            return None

    @staticmethod
    def _ask(helper: _Helper, turn: _Turn) -> None:
        helper.request(turn.device, turn.at, min(_ARENA, turn.end - turn.at), 0)

    def _take(self, helper: _Helper, turn: _Turn, results: list[bytes | VmgrError]) -> bool:
        """Take an answer; whether the helper is to go on with the same device."""
        number, offset, length = turn.todo[-1]
        size = min(_ARENA, turn.end - turn.at)
        outcome = self._outcome(helper, turn.device, offset, length, helper.reply())
        if isinstance(outcome, bytes):
            turn.parts.append(outcome)
            turn.at += size
            if turn.at < turn.end and len(outcome) == size:
                return not helper.dead
            first = offset // ALIGN * ALIGN
            results[number] = b"".join(turn.parts)[offset - first : offset - first + length]
        else:
            results[number] = outcome
        turn.todo.pop()
        if not turn.todo or helper.dead:
            return False
        turn.begin()
        return True

    def _read_here(self, turn: _Turn, results: list[bytes | VmgrError]) -> None:
        for number, offset, length in turn.todo:
            results[number] = self._direct.read_many([(turn.device, offset, length)])[0]

    @staticmethod
    def _outcome(
        helper: _Helper, device: Device, offset: int, length: int, reply: tuple[int, int, int, int]
    ) -> bytes | VmgrError:
        errno, failed, got, size = reply
        if errno:
            error = OSError(errno, os.strerror(errno))
            if failed:
                return open_error(device.path, error, write=False)
            return io_error(device.path, "read", offset, length, error)
        device.size = Bytes(size)
        return helper.arena[:got]

    def successor(self) -> GuardedReader | None:
        """Close this one; what takes its place knows which devices have not answered. None: all have."""
        stuck, self._stuck = self._stuck, {}
        self.close()
        if not stuck:
            return None
        next_one = GuardedReader(patience=self._patience)
        next_one._stuck = stuck
        return next_one

    def close(self) -> None:
        """As :meth:`Reader.close`."""
        self._direct.close()
        for helper in self._free:
            helper.close()
        for helper in self._stuck.values():
            helper.close(stuck=True)
        self._free, self._stuck = [], {}


def _no_answer(device: Device) -> NoAnswer:
    state = "is suspended and has not answered a read" if device.suspended else "has not answered a read"
    return NoAnswer(
        f"{device.path} {state}; what is on it is not known",
        hint="see the kernel log; vmgr dm info, multipath -ll or the device's server may tell why",
    )


def make_reader(devices: Sequence[Device]) -> Reader:
    """The reader for these devices: guarded unless they are image files or ``VMGR_READ_LIMIT`` is 0 (seconds)."""
    text = os.environ.get("VMGR_READ_LIMIT", "")
    try:
        limit = float(text) if text else PATIENCE
    except ValueError:
        limit = PATIENCE
    if limit <= 0 or all(device.major < 0 for device in devices):
        return DirectReader()
    return GuardedReader(patience=limit)
