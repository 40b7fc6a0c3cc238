"""Runs a program under ptrace, counts the system calls that change something, and kills it at one of them.

The program has no part in it: a filter (seccomp) that the child lays on itself before the program starts stops it
at the entry of the calls in :data:`_CALLS`, and the tracer looks at their arguments. Nothing else is slowed down. A
process that is killed at the entry of a call has not made it: that is the state after the call before.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable
from contextlib import contextmanager

from attrs import field, frozen, mutable

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]

# include/uapi/linux/ptrace.h, prctl.h, seccomp.h, wait.h
_TRACEME, _CONT, _GETREGS, _SETOPTIONS = 0, 7, 12, 0x4200
_FORK, _VFORK, _CLONE, _EXEC, _SECCOMP, _EXITKILL = 2, 4, 8, 16, 128, 1 << 20
_EVENT_SECCOMP = 7
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 38, 22
_WALL = 0x40000000
_RET_TRACE, _RET_ALLOW = 0x7FF00000, 0x7FFF0000

# arch/x86/entry/syscalls/syscall_64.tbl
_IOCTL, _OPENAT = 16, 257
_CALLS = {
    1: "write", 18: "pwrite64", 20: "writev", 74: "fsync", 75: "fdatasync", 76: "truncate", 77: "ftruncate",
    82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 88: "symlink", 133: "mknod",
    258: "mkdirat", 259: "mknodat", 263: "unlinkat", 264: "renameat", 265: "linkat", 266: "symlinkat",
    296: "pwritev", 316: "renameat2", 328: "pwritev2", _IOCTL: "ioctl", _OPENAT: "openat",
}  # fmt: skip
_ON_FILES = {"write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate", "pwritev", "pwritev2"}
_PATH_AT = {
    "truncate": 0, "rename": 1, "mkdir": 0, "rmdir": 0, "link": 1, "unlink": 0, "symlink": 1, "mknod": 0,
    "mkdirat": 1, "mknodat": 1, "unlinkat": 1, "renameat": 3, "linkat": 3, "symlinkat": 2, "renameat2": 3,
    "openat": 1,
}  # fmt: skip
"""Which argument is the path that is made, changed or gone."""

# include/uapi/linux/dm-ioctl.h
_DM = {
    0: "version", 1: "remove_all", 2: "list", 3: "create", 4: "remove", 5: "rename", 6: "suspend", 7: "status",
    8: "wait", 9: "load", 10: "clear", 11: "deps", 12: "table", 13: "targets", 14: "message", 15: "geometry",
    16: "arm_poll", 17: "get_target_version",
}  # fmt: skip
_DM_CHANGES = {
    "remove_all",
    "create",
    "remove",
    "rename",
    "suspend",
    "resume",
    "load",
    "clear",
    "message",
    "geometry",
}
_DM_SUSPEND_FLAG = 1 << 1
_BLOCK = {0x1277: "discard", 0x127D: "secure discard", 0x127F: "zero out", 0x1261: "flush"}

PLACES = ("/dev/", "/etc/lvm/")
"""Below these a changed file counts."""

_NOT_CHANGES = ("/dev/null", "/dev/tty", "/dev/pts/", "/dev/shm/", "/dev/urandom", "/dev/kmsg")


@frozen
class Event:
    """A call at whose entry the program was stopped: what it does, to what, and whether anything changes by it.

    A flush changes nothing that a process can see: it matters to a power cut only.
    """

    call: str
    what: str
    changes: bool

    def __str__(self) -> str:
        return f"{self.call} {self.what}".rstrip()


@mutable
class Trace:
    """What became of a program: the calls that it made, its status (None: killed here) and what it printed."""

    events: list[Event] = field(factory=list)
    status: int | None = None
    killed_at: Event | None = None
    late: bool = False


class _Regs(ctypes.Structure):
    _fields_ = [("words", ctypes.c_ulong * 27)]


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> None:
    if _libc.ptrace(request, pid, address, data) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def install_filter() -> None:
    """Make the calling process stop, for its tracer, at the calls that may change something."""
    load, equal, masked, back, both = 0x20, 0x15, 0x45, 0x06, 0x54
    plain = [number for number in _CALLS if number not in (_IOCTL, _OPENAT)]
    program: list[tuple[int, int | str, int | str, int]] = [(load, 0, 0, 0)]
    program += [(equal, "trace", 0, number) for number in plain]
    program += [(equal, 0, 2, _OPENAT), (load, 0, 0, 32), (masked, "trace", "allow", os.O_CREAT)]
    program += [(equal, 0, "allow", _IOCTL), (load, 0, 0, 24), (both, 0, 0, 0xFF00)]
    program += [(equal, "trace", 0, 0xFD00), (equal, "trace", "allow", 0x1200)]
    allow, trace = len(program), len(program) + 1
    program += [(back, 0, 0, _RET_ALLOW), (back, 0, 0, _RET_TRACE)]
    code = b""
    for at, (operation, yes, no, value) in enumerate(program):
        jumps = [
            {"trace": trace, "allow": allow}[goal] - at - 1 if isinstance(goal, str) else goal for goal in (yes, no)
        ]
        code += struct.pack("<HBBI", operation, *jumps, value)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = ctypes.create_string_buffer(struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(buffer)), 16)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))
    if _libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.c_void_p(ctypes.addressof(head)), None, None):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot filter system calls: {os.strerror(number)}")


def trace(
    program: Callable[[], object],
    *,
    kill_at: int | None = None,
    seconds: float = 60,
    see: Callable[[int, str, list[int]], None] | None = None,
) -> Trace:
    """Run ``program`` in a child and kill it, with all its own, at the entry of its ``kill_at``-th counted call.

    They are counted from 1.

    ``see(pid, call, arguments)`` is told of every counted call. What does not end in ``seconds`` is killed, and
    ``late`` says so.
    """
    first = os.fork()
    if first == 0:
        try:
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            install_filter()
            program()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(126)
        os._exit(0)
    result = Trace()
    alive = {first}
    os.waitpid(first, 0)
    _ptrace(_SETOPTIONS, first, 0, _FORK | _VFORK | _CLONE | _EXEC | _SECCOMP | _EXITKILL)
    _ptrace(_CONT, first)
    try:
        with _limit(seconds):
            while alive:
                pid, raw = os.waitpid(-1, _WALL)
                if os.WIFEXITED(raw) or os.WIFSIGNALED(raw):
                    alive.discard(pid)
                    if pid == first and result.killed_at is None:
                        result.status = os.waitstatus_to_exitcode(raw)
                    continue
                alive.add(pid)
                if result.killed_at is None:
                    _stopped(pid, raw, result, kill_at, see, alive)
    except TimeoutError:
        result.late = True
        for pid in alive:
            _kill(pid)
        return result
    return result


def _stopped(
    pid: int,
    raw: int,
    result: Trace,
    kill_at: int | None,
    see: Callable[[int, str, list[int]], None] | None,
    alive: set[int],
) -> None:
    """Deal with one stop of a traced process."""
    event, number = raw >> 16, os.WSTOPSIG(raw)
    deliver = 0
    if event == _EVENT_SECCOMP:
        found, words = _event(pid)
        if found is not None:
            result.events.append(found)
            if see is not None:
                see(pid, found.call, words)
            if kill_at is not None and len(result.events) == kill_at:
                result.killed_at = found
                for each in alive:
                    _kill(each)
                return
    elif event == 0 and number not in (signal.SIGSTOP, signal.SIGTRAP):
        deliver = number
    try:
        _ptrace(_CONT, pid, 0, deliver)
    except ProcessLookupError:
        pass  # it was killed while it stood still


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@contextmanager
def _limit(seconds: float):
    def over(_number: int, _frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _event(pid: int) -> tuple[Event | None, list[int]]:
    regs = _Regs()
    _ptrace(_GETREGS, pid, 0, ctypes.addressof(regs))
    words = regs.words
    call = _CALLS.get(words[15], "")
    arguments = [words[n] for n in (14, 13, 12, 7, 9, 8)]
    if call == "ioctl":
        return _ioctl(pid, arguments), arguments
    if call in _ON_FILES:
        return _on_file(pid, call, arguments[0]), arguments
    path = text_at(pid, arguments[_PATH_AT[call]])
    if not path.startswith(PLACES) or path.startswith(_NOT_CHANGES):
        return None, arguments
    if call == "openat":
        return (None if os.path.exists(path) else Event("create file", path, True)), arguments
    return Event(call, path, True), arguments


def _on_file(pid: int, call: str, fd: int) -> Event | None:
    path = file_of(pid, fd)
    if not path.startswith(PLACES) or path.startswith(_NOT_CHANGES):
        return None
    return Event(call, path, not call.startswith(("fsync", "fdatasync")))


def _ioctl(pid: int, arguments: list[int]) -> Event | None:
    request = arguments[1] & 0xFFFFFFFF
    if request >> 8 & 0xFF == 0x12:
        name = _BLOCK.get(request)
        return Event(name, file_of(pid, arguments[0]), True) if name else None
    call = _DM.get(request & 0xFF, str(request & 0xFF))
    head = memory_at(pid, arguments[2], 305)
    (flags,) = struct.unpack_from("=I", head, 28)
    if call == "suspend" and not flags & _DM_SUSPEND_FLAG:
        call = "resume"
    name, uuid = (head[a : head.index(0, a)].decode(errors="replace") for a in (48, 176))
    return Event(f"dm {call}", name or uuid, call in _DM_CHANGES)


def file_of(pid: int, fd: int) -> str:
    """The path of a process's open file."""
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


def memory_at(pid: int, address: int, length: int) -> bytes:
    """Bytes of a stopped process's memory."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(length)


def text_at(pid: int, address: int) -> str:
    """A string, ended by a zero, of a stopped process's memory; at most to the end of the page after the next."""
    found = b""
    while b"\0" not in found and len(found) < 8192:
        step = 4096 - address % 4096
        found += memory_at(pid, address, step)
        address += step
    return os.fsdecode(found.split(b"\0")[0])
