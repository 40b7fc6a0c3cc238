"""Runs the command and carries its streams, signals and status over the serial line."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import signal
import struct
import termios
import time
from typing import Any

from vmgr.lab import wire
from vmgr.lab.guest import ending

_CHUNK = 4096
_MOST_WAITING = 64 * 1024
_TIOCSWINSZ = 0x5414
_TYPED_INTERRUPTS = (b"\x03", b"\x1c")


class Line:
    """The serial line to the host, raw and non-blocking, with a queue of bytes to send."""

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        mode = termios.tcgetattr(self.fd)
        mode[0] = mode[1] = mode[3] = 0
        mode[2] = termios.CS8 | termios.CREAD | termios.CLOCAL
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSANOW, mode)
        self.waiting = bytearray()
        self._frames = wire.Frames()

    def send(self, kind: bytes, payload: bytes = b"") -> None:
        """Queue one frame."""
        self.waiting += wire.frame(kind, payload)

    def push(self) -> None:
        """Write as much as the line accepts now."""
        while self.waiting:
            try:
                done = os.write(self.fd, self.waiting[:_CHUNK])
            except BlockingIOError:
                return
            if done == 0:
                return
            del self.waiting[:done]

    def take(self) -> list[tuple[bytes, bytes]]:
        """Read the received frames."""
        try:
            data = os.read(self.fd, _MOST_WAITING)
        except BlockingIOError:
            return []
        return self._frames.feed(data)

    def flush(self) -> None:
        """Write everything, however long it takes."""
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        while self.waiting:
            poll.poll(1000)
            self.push()

    def fail(self, text: str) -> None:
        """Report to the host that the set-up failed, and wait for its reply."""
        self.send(wire.FAILED, text.encode(errors="replace"))
        self._await_bye()

    def finish(self) -> None:
        """Report to the host that all data is on disk, and wait for its reply."""
        self.send(wire.DONE)
        self._await_bye()

    def _await_bye(self) -> None:
        self.flush()
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        end = time.monotonic() + 5
        while time.monotonic() < end and poll.poll(1000):
            if any(kind == wire.BYE for kind, _ in self.take()):
                return


class _Command:
    """The command's process and our ends of its streams (None once closed)."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.feed: int | None = None
        self.outputs: dict[int, bytes] = {}
        self.master: int | None = None
        self._to_close: list[int] = []
        self._actions: list[tuple[Any, ...]] = []
        if config["tty"]:
            self._open_tty(config["window"])
        streams = config["streams"]
        if streams[0] == "pipe":
            theirs, self.feed = os.pipe()
            os.set_blocking(self.feed, False)
            self._give(theirs, 0)
        elif streams[0] != "tty":
            self._actions.append((os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0))
        for number, kind in ((1, wire.STDOUT), (2, wire.STDERR)):
            if streams[number] == "pipe":
                ours, theirs = os.pipe()
                os.set_blocking(ours, False)
                self.outputs[ours] = kind
                self._give(theirs, number)
            elif streams[number] == "same":
                self._actions.append((os.POSIX_SPAWN_DUP2, 1, number))
            elif streams[number] != "tty":
                self._actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0))
        argv = config["command"]
        self.pid = os.posix_spawnp(
            argv[0],
            argv,
            dict(os.environ),
            file_actions=self._actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT],
        )
        for fd in self._to_close:
            os.close(fd)

    def _give(self, fd: int, number: int) -> None:
        self._actions.append((os.POSIX_SPAWN_DUP2, fd, number))
        self._to_close.append(fd)

    def _open_tty(self, window: list[int]) -> None:
        self.master, slave = os.openpty()
        os.set_blocking(self.master, False)
        self.resize(*window)
        name = os.ttyname(slave)
        # A session leader's first terminal becomes its controlling one; the three are then copies.
        self._actions.append((os.POSIX_SPAWN_OPEN, 0, name, os.O_RDWR, 0))
        self._actions += [(os.POSIX_SPAWN_DUP2, 0, 1), (os.POSIX_SPAWN_DUP2, 0, 2)]
        self._to_close.append(slave)
        self.outputs[self.master] = wire.STDOUT
        self.feed = self.master

    def resize(self, rows: int, columns: int) -> None:
        if self.master is not None:
            fcntl.ioctl(self.master, _TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, number: int) -> None:
        try:
            os.kill(-self.pid, number)
        except (ProcessLookupError, PermissionError):
            pass

    def end_input(self) -> None:
        if self.feed is None:
            return
        if self.feed != self.master:
            os.close(self.feed)
        self.feed = None

    def close_output(self, kind: bytes) -> None:
        for fd in [fd for fd, this in self.outputs.items() if this == kind and fd != self.master]:
            del self.outputs[fd]
            os.close(fd)


def run_command(line: Line, config: dict[str, Any]) -> None:
    """Run the command of ``config`` to its end and send its status."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    line.send(wire.READY)
    try:
        try:
            os.chdir(config["cwd"])
        except OSError as error:
            line.send(wire.NOTE, f"the directory {config['cwd']} is not in the lab ({error.strerror})".encode())
            os.chdir("/")
        command = _Command(config)
    except OSError as error:
        name = config["command"][0]
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        reason = "command not found" if missing and "/" not in name else error.strerror
        line.send(wire.NOTE, f"{name}: {reason}".encode(errors="replace"))
        line.send(wire.STATUS, bytes([127 if missing else 126]))
        return
    line.send(wire.STATUS, bytes([_Relay(line, command, reader).run()]))


class _Relay:
    """The loop that moves bytes until the command ends."""

    def __init__(self, line: Line, command: _Command, wakeups: int) -> None:
        self.line = line
        self.command = command
        self.wakeups = wakeups
        self.input = bytearray()
        self.unthanked = 0
        self.input_ended = False
        self.stopping = False

    def run(self) -> int:
        """Relay until the command ends: its status, 128 + n for a signal."""
        status = None
        while status is None:
            self._turn()
            status = self._reap()
        ending.kill_all()
        self._drain()
        return status

    def _turn(self) -> None:
        line, command = self.line, self.command
        poll = select.poll()
        poll.register(line.fd, select.POLLIN | (select.POLLOUT if line.waiting else 0))
        poll.register(self.wakeups, select.POLLIN)
        if len(line.waiting) < _MOST_WAITING:
            for fd in command.outputs:
                poll.register(fd, select.POLLIN)
        if self.input and command.feed is not None:
            listen = select.POLLIN if command.feed in command.outputs else 0
            poll.register(command.feed, select.POLLOUT | listen)
        for fd, events in poll.poll():
            if fd == line.fd:
                if events & select.POLLIN:
                    for kind, payload in line.take():
                        self._obey(kind, payload)
            elif fd == self.wakeups:
                os.read(fd, 4096)
            elif fd in command.outputs and events & ~select.POLLOUT:
                self._forward(fd)
        if self.unthanked and len(self.input) < _MOST_WAITING:
            # Ask for more before passing this on, so that the host fills the line meanwhile.
            line.send(wire.TAKEN, wire.NUMBER.pack(self.unthanked))
            line.push()
            self.unthanked = 0
        self._write_input()
        line.push()

    def _forward(self, fd: int) -> bool:
        """Pass on the available data of one output; False if there is none now."""
        try:
            data = os.read(fd, _CHUNK * 4)
        except BlockingIOError:
            return False
        except OSError:  # EIO: the terminal's last user is gone
            data = b""
        if data:
            self.line.send(self.command.outputs[fd], data)
            return True
        del self.command.outputs[fd]
        if fd != self.command.master:
            os.close(fd)
        return False

    def _drain(self) -> None:
        for fd in list(self.command.outputs):
            while self._forward(fd):
                if len(self.line.waiting) >= _MOST_WAITING:
                    self.line.flush()

    def _obey(self, kind: bytes, payload: bytes) -> None:
        command = self.command
        if kind == wire.STDIN:
            if payload:
                self.input += payload
                self.unthanked += len(payload)
            else:
                self.input_ended = True
        elif kind == wire.SIGNAL:
            command.signal(payload[0])
            self.line.send(wire.SIGNALLED)
        elif kind == wire.WINDOW:
            command.resize(*wire.WINDOW_SIZE.unpack(payload))
        elif kind == wire.CLOSED:
            command.close_output(wire.STDOUT if payload[0] == 1 else wire.STDERR)
        elif kind == wire.STOP and not self.stopping:
            self.stopping = True
            command.signal(signal.SIGKILL)

    def _write_input(self) -> None:
        command = self.command
        while self.input and command.feed is not None:
            piece = bytes(self.input[:_CHUNK])
            try:
                done = os.write(command.feed, piece)
            except BlockingIOError:
                return
            except OSError:  # the command closed its standard input: drop the rest
                command.end_input()
                break
            if command.feed == command.master and any(key in piece[:done] for key in _TYPED_INTERRUPTS):
                self.line.send(wire.SIGNALLED)
            del self.input[:done]
        if command.feed is None:
            self.input.clear()
        if self.input_ended and not self.input:
            command.end_input()

    def _reap(self) -> int | None:
        """Reap ended processes. Return the command's exit status if it has ended."""
        found = None
        while True:
            try:
                pid, raw = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return found
            if pid == 0:
                return found
            if pid == self.command.pid:
                code = os.waitstatus_to_exitcode(raw)
                found = code if code >= 0 else 128 - code
