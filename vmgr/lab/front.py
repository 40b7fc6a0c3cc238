"""The two ways to run a command in a lab: on the caller's streams, or with its output returned."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from types import FrameType

from attrs import frozen

from vmgr.core.errors import UsageError
from vmgr.lab.disks import close_images, open_images
from vmgr.lab.launch import Machine, start
from vmgr.lab.options import LabOptions
from vmgr.lab.session import Session
from vmgr.lab.streams import Output
from vmgr.lab.terminal import RawTerminal, repair_streams, streams_of_caller, window_of

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@frozen
class Captured:
    """The result of a command: exit status (128 + n for signal n), standard output and error."""

    status: int
    stdout: bytes
    stderr: bytes


def run(options: LabOptions) -> int:
    """Run a command in a lab on the caller's own streams; returns its exit status.

    128 + n if signal n ended it, 124 if the time limit did. Signals that end a process are passed
    on to the command; a second one ends the lab. Must be called from the main thread. Raises a
    VmgrError if the lab cannot start or does not end properly.
    """
    repair_streams()
    streams = streams_of_caller(options.tty)
    with ExitStack() as stack:
        machine = _boot(stack, options, streams)
        session = Session(machine, options, Output(1), Output(2), 0 if streams[0] != "null" else None)
        stack.enter_context(_Signals(session))
        if "tty" in streams:
            session.terminal = True
            stack.enter_context(RawTerminal(0))
        return session.run()


def capture(options: LabOptions, stdin: bytes = b"") -> Captured:
    """Run a command in a lab and return what it printed. Does not use the caller's streams.

    Works in any thread. Raises a VmgrError as ``run`` does.
    """
    with ExitStack() as stack:
        machine = _boot(stack, options, ("pipe", "pipe", "pipe"))
        out, err = Output(), Output()
        session = Session(machine, options, out, err, None)
        session.give(stdin)
        status = session.run()
        return Captured(status, bytes(out.kept), bytes(err.kept))


def _boot(stack: ExitStack, options: LabOptions, streams: tuple[str, str, str]) -> Machine:
    if os.environ.get("VMGR_LAB"):
        raise UsageError("this is already a lab, and a lab cannot run in a lab")
    images = open_images(options.disks)
    stack.callback(close_images, images)
    return stack.enter_context(start(options, images, streams, window_of(0)))


class _Signals:
    """While entered, the signals that end a process go to ``session`` instead."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._saved: dict[int, object] = {}

    def __enter__(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)
        self._session.wakeups = reader
        self._pipe = (reader, writer)
        self._wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (*_FORWARDED, signal.SIGWINCH):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._saved[number] = signal.signal(number, self._arrived)

    def _arrived(self, number: int, _frame: FrameType | None) -> None:
        self._session.signals.append(number)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._saved.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(self._wakeup)
        self._session.wakeups = None
        for fd in self._pipe:
            os.close(fd)
