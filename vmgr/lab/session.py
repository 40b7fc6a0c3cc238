"""The loop on the host's side of one running machine: streams, signals, limits, status."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Callable

from vmgr.core.errors import LabError
from vmgr.lab import wire
from vmgr.lab.launch import Machine
from vmgr.lab.options import LabOptions
from vmgr.lab.streams import Output
from vmgr.lab.terminal import window_of

TIMED_OUT = 124
"""Exit status when the time limit is reached, as in timeout(1)."""

BOOT_LIMIT = 120.0
"""Seconds in which a machine must boot; an unloaded host needs two."""

_STOP_GRACE = 5.0
_FLUSH_LIMIT = 60.0
_DEAF_AFTER = 3.0
_CONSOLE_KEPT = 16 * 1024
_CONSOLE_SHOWN = 15
_MOST_PENDING = 1 << 20
_CHUNK = 4096
_CHATTER = ("SELinux: ", "mmapper_init - ", "Failed to initialize ubd device 0 :Couldn't determine size")
"""The kernel's messages at every start, which do not help to explain a failure."""


class _Over(Exception):
    """The session ends with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Session:
    """The loop on the host's side of one running machine."""

    def __init__(
        self, machine: Machine, options: LabOptions, stdout: Output, stderr: Output, stdin: int | None
    ) -> None:
        self.machine = machine
        self.options = options
        self.outputs = {wire.STDOUT: stdout, wire.STDERR: stderr}
        self.stdin = stdin
        self.signals: list[int] = []
        self.wakeups: int | None = None
        self.terminal = False
        self._console = bytearray()
        self._frames = wire.Frames()
        self._to_guest = bytearray()
        self._input = bytearray()
        self._input_ended = stdin is None
        self._input_end_sent = False
        self._credit = wire.STDIN_WINDOW
        self._ready = False
        self._status: int | None = None
        self._done = False
        self._linked = True
        self._stopped_by: int | None = None
        self._ended_by: int | None = None
        self._unheard: float | None = None
        self._warned = False
        self._deadlines: dict[str, float] = {"boot": time.monotonic() + BOOT_LIMIT}
        if options.time_limit is not None:
            self._deadlines["limit"] = time.monotonic() + options.time_limit
        machine.link.setblocking(False)
        os.set_blocking(machine.console, False)

    def give(self, data: bytes) -> None:
        """Give ``data`` to the command as its complete standard input."""
        self._input += data

    def run(self) -> int:
        """Run until the machine is gone; returns the exit status. Raises LabError."""
        try:
            while self._linked:
                self._turn()
        except _Over as over:
            self._status = over.status
            self._flush(_STOP_GRACE)
        else:
            self._check_end()
            self._flush(None if self._ended_by is None else _STOP_GRACE)
        assert self._status is not None
        return self._status

    # -- one turn ---------------------------------------------------------------------------------

    def _turn(self) -> None:
        machine = self.machine
        watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._offer_input()
        # A slow reader delays the command, but not the end of the machine.
        ending = self._status is not None or self._ended_by is not None
        full = sum(output.pending for output in self.outputs.values()) >= _MOST_PENDING
        listen = select.POLLIN if ending or not full else 0
        speak = select.POLLOUT if self._to_guest else 0
        watched[machine.link.fileno()] = (listen | speak, self._on_link)
        watched[machine.console] = (select.POLLIN, self._on_console)
        watched[machine.watch] = (select.POLLIN, self._on_keeper_end)
        if self.wakeups is not None:
            watched[self.wakeups] = (select.POLLIN, self._on_wakeup)
        if self.stdin is not None and not self._input_ended and self._ready and len(self._input) < _CHUNK:
            watched[self.stdin] = (select.POLLIN, self._on_stdin)
        for kind, output in self.outputs.items():
            if output.fd is not None and not output.closed:
                events = select.POLLOUT if output.pending else 0
                watched[output.fd] = (events, lambda events, kind=kind: self._on_output(kind, events))  # type: ignore[misc]
        poll = select.poll()
        for fd, (events, _) in watched.items():
            poll.register(fd, events)
        for fd, happened in poll.poll(self._patience()):
            watched[fd][1](happened)
        self._handle_signals()
        self._check_deadlines()

    def _patience(self) -> float | None:
        if self.signals:
            return 0
        if not self._deadlines:
            return None
        return max(0.0, (min(self._deadlines.values()) - time.monotonic()) * 1000 + 1)

    def _on_wakeup(self, _events: int) -> None:
        assert self.wakeups is not None
        try:
            os.read(self.wakeups, _CHUNK)
        except BlockingIOError:
            pass

    def _on_console(self, _events: int) -> None:
        try:
            data = os.read(self.machine.console, 65536)
        except BlockingIOError:
            return
        if not data:
            self._linked = False
            return
        self._console += data
        del self._console[:-_CONSOLE_KEPT]
        if self.options.verbose:
            self._tell(data)

    def _on_keeper_end(self, _events: int) -> None:
        self._linked = False

    def _on_stdin(self, _events: int) -> None:
        assert self.stdin is not None
        try:
            data = os.read(self.stdin, 16384)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._input += data
            if self.terminal and (b"\x03" in data or b"\x1c" in data):
                self._await_hearing()
        else:
            self._input_ended = True
            if self.terminal:  # the terminal was closed
                self.signals.append(signal.SIGHUP)

    def _on_output(self, kind: bytes, events: int) -> None:
        output = self.outputs[kind]
        if events & select.POLLOUT:
            output.write()
        elif events & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            output.shut()
        if output.closed and not output.told:
            output.told = True
            self._send(wire.CLOSED, b"\x01" if kind == wire.STDOUT else b"\x02")

    def _on_link(self, events: int) -> None:
        if events & select.POLLOUT:
            try:
                done = self.machine.link.send(self._to_guest)
                del self._to_guest[:done]
            except BlockingIOError:
                pass
            except OSError:
                self._linked = False
                return
        if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
            try:
                data = self.machine.link.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._linked = False
                return
            try:
                frames = self._frames.feed(data)
            except wire.OutOfStep:
                raise LabError("the line to the lab's machine is garbled", details=self._console_tail()) from None
            for kind, payload in frames:
                self._on_frame(kind, payload)

    def _on_frame(self, kind: bytes, payload: bytes) -> None:
        if kind in self.outputs:
            self.outputs[kind].add(payload)
        elif kind == wire.TAKEN:
            self._credit += wire.NUMBER.unpack(payload)[0]
        elif kind == wire.SIGNALLED:
            self._unheard = None
            self._deadlines.pop("hearing", None)
        elif kind == wire.READY:
            self._ready = True
            self._deadlines.pop("boot", None)
        elif kind == wire.STATUS:
            self._status = payload[0]
            for name in ("limit", "stop", "hearing"):
                self._deadlines.pop(name, None)
            self._deadlines["flush"] = time.monotonic() + _FLUSH_LIMIT
        elif kind == wire.DONE:
            self._done = True
            self._send(wire.BYE)
            self._deadlines = {"off": time.monotonic() + _STOP_GRACE}
        elif kind == wire.NOTE:
            self._tell(f"vmgr lab: {payload.decode(errors='replace')}\n".encode())
        elif kind == wire.FAILED:
            raise LabError(
                f"the lab's machine could not be set up: {payload.decode(errors='replace')}",
                details=self._console_tail(),
            )

    # -- to the guest -----------------------------------------------------------------------------

    def _send(self, kind: bytes, payload: bytes = b"") -> None:
        self._to_guest += wire.frame(kind, payload)

    def _offer_input(self) -> None:
        if not self._ready:
            return
        while self._input and self._credit > 0:
            piece = bytes(self._input[: min(_CHUNK, self._credit)])
            del self._input[: len(piece)]
            self._credit -= len(piece)
            self._send(wire.STDIN, piece)
        if self._input_ended and not self._input and not self._input_end_sent:
            self._input_end_sent = True
            self._send(wire.STDIN)

    def _await_hearing(self) -> None:
        """After a typed interrupt, end the guest if it has not reacted to an earlier one for long."""
        now = time.monotonic()
        if self._unheard is None:
            self._unheard = now
        elif now - self._unheard > _DEAF_AFTER:
            self._tell(b"vmgr lab: the machine does not answer; it is stopped\n")
            raise _Over(128 + signal.SIGINT)

    # -- signals and limits -----------------------------------------------------------------------

    def _handle_signals(self) -> None:
        while self.signals:
            number = self.signals.pop(0)
            if number == signal.SIGWINCH:
                if self.terminal:
                    self._send(wire.WINDOW, wire.WINDOW_SIZE.pack(*window_of(0)))
            elif not self._ready:
                raise _Over(128 + number)
            elif self._status is not None and not self._warned:
                self._warned = True
                self._tell(b"vmgr lab: the machine is writing its disks; once more to stop it at once\n")
            elif self._status is not None:
                raise _Over(128 + number)
            elif self._stopped_by is None:
                self._stopped_by = number
                self._send(wire.SIGNAL, bytes([number]))
                self._deadlines["hearing"] = time.monotonic() + _STOP_GRACE
            elif self._ended_by is None:
                self._tell(b"vmgr lab: stopping the machine; once more to stop it at once\n")
                self._stop(128 + number)
            else:
                raise _Over(128 + number)

    def _stop(self, status: int) -> None:
        """Let the guest kill everything and flush the disks, for a few seconds at most."""
        self._ended_by = status
        self._send(wire.STOP)
        self._deadlines["stop"] = time.monotonic() + _STOP_GRACE

    def _check_deadlines(self) -> None:
        now = time.monotonic()
        for name in [name for name, when in self._deadlines.items() if when <= now]:
            del self._deadlines[name]
            if name == "boot":
                raise LabError(
                    f"the lab's machine did not start within {BOOT_LIMIT:.0f} seconds",
                    details=self._console_tail(),
                )
            if name == "limit":
                self._tell(f"vmgr lab: time limit of {self.options.time_limit:g} s reached\n".encode())
                if not self._ready:
                    raise _Over(TIMED_OUT)
                self._stop(TIMED_OUT)
            elif name in ("stop", "hearing"):
                self._tell(b"vmgr lab: the machine does not answer; the last writes to its disks may be lost\n")
                raise _Over(self._ended_by if self._ended_by is not None else 128 + (self._stopped_by or 0))
            elif name == "flush":
                raise LabError(
                    "the command ended but the lab's machine could not write everything to its disks",
                    hint="check the disk images before you use them",
                    details=self._console_tail(),
                )
            elif name == "off":
                self._linked = False

    # -- the end ----------------------------------------------------------------------------------

    def _check_end(self) -> None:
        """Find out, when the line is closed, whether the machine ended properly."""
        if self._done:
            self._status = self._ended_by if self._ended_by is not None else self._status
            return
        status = self.machine.end()
        self._drain_console()
        what, hint = "stopped unexpectedly", "run it again with --verbose to see all of its console"
        if not self._ready:
            what, hint = "stopped before it was up", hint + "; in a container, allow the system call ptrace"
        raise LabError(
            f"the lab's machine {what} (status {status})",
            hint=hint,
            details=self._console_tail(),
        )

    def _drain_console(self) -> None:
        try:
            while data := os.read(self.machine.console, 65536):
                self._console += data
        except BlockingIOError:
            pass

    def _console_tail(self) -> tuple[str, ...]:
        """The last lines of the console, or all from the kernel's panic message on."""
        self._drain_console()
        lines = [line.rstrip() for line in self._console.decode(errors="replace").splitlines()]
        lines = [line for line in lines if line and not line.startswith(_CHATTER)]
        for number, line in enumerate(lines):
            if "Kernel panic" in line:
                return tuple(lines[number : number + _CONSOLE_SHOWN])
        return tuple(lines[-_CONSOLE_SHOWN:])

    def _flush(self, limit: float | None) -> None:
        """Write the rest of the output, within ``limit`` seconds if given; a signal ends the attempt."""
        end = None if limit is None else time.monotonic() + limit
        self.signals.clear()
        while not self.signals:
            pending = [output for output in self.outputs.values() if output.pending and not output.closed]
            if not pending or (end is not None and time.monotonic() > end):
                return
            poll = select.poll()
            for output in pending:
                assert output.fd is not None
                poll.register(output.fd, select.POLLOUT)
            if self.wakeups is not None:
                poll.register(self.wakeups, select.POLLIN)
            ready = dict(poll.poll(None if limit is None else limit * 1000))
            if self.wakeups in ready:
                self._on_wakeup(select.POLLIN)
            for output in pending:
                if output.fd in ready:
                    output.write()

    def _tell(self, text: bytes) -> None:
        """Print a message about the lab itself on standard error."""
        if self.terminal:
            text = text.replace(b"\n", b"\r\n")
        output = self.outputs[wire.STDERR]
        if output.fd is None:
            if not self.options.verbose or text.startswith(b"vmgr lab:"):
                output.add(text)
            return
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            pass
        output.add(text)
