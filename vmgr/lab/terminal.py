"""The caller's streams: which of them are terminals, the raw mode, the window's size."""

from __future__ import annotations

import os
import stat
import struct
import termios
import tty
from types import TracebackType

from attrs import define

from vmgr.core.errors import UsageError


def repair_streams() -> None:
    """Open /dev/null in place of closed standard streams.

    Otherwise the next pipe would get the number of a standard stream.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)


def is_null(fd: int) -> bool:
    """Whether ``fd`` is /dev/null, from which there is nothing to copy to the guest."""
    found = os.fstat(fd)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def in_background(fd: int) -> bool:
    """Whether ``fd`` is a terminal whose foreground process group is another one."""
    try:
        return os.tcgetpgrp(fd) != os.getpgrp()
    except OSError:
        return False


def are_same(first: int, second: int) -> bool:
    """Whether two descriptors are the same open file, as after ``2>&1``."""
    one, two = os.fstat(first), os.fstat(second)
    return (one.st_dev, one.st_ino, one.st_rdev) == (two.st_dev, two.st_ino, two.st_rdev)


def streams_of_caller(wish: bool | None) -> tuple[str, str, str]:
    """The kinds of the guest's three streams, from those of the caller.

    Each is ``tty``, ``pipe`` or ``null``. The third may be ``same`` (as the second), which keeps the order of
    the writes to both. The command gets a terminal if both standard input and output are terminals;
    standard error may then still be a pipe. A command in the background may not use the
    terminal: it gets no terminal, and no input.
    """
    if wish and not os.isatty(0):
        raise UsageError("--tty needs a terminal as standard input")
    background = in_background(0)
    if (wish or (wish is None and os.isatty(0) and os.isatty(1))) and not background:
        return ("tty", "tty", "tty" if os.isatty(2) else "pipe")
    feed = "null" if is_null(0) or background else "pipe"
    return (feed, "pipe", "same" if are_same(1, 2) else "pipe")


def window_of(fd: int) -> tuple[int, int]:
    """Rows and columns of the terminal ``fd``; 24 by 80 if it does not say."""
    import fcntl

    try:
        rows, columns = struct.unpack_from("HH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return 24, 80
    return (rows or 24), (columns or 80)


@define
class RawTerminal:
    """A context in which the terminal ``fd`` is in raw mode: it changes neither input nor output."""

    fd: int
    _saved: list[object] | None = None

    def __enter__(self) -> RawTerminal:
        try:
            self._saved = termios.tcgetattr(self.fd)
            tty.setraw(self.fd)
        except termios.error:
            self._saved = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._saved is not None:
            try:
                termios.tcsetattr(self.fd, termios.TCSADRAIN, self._saved)  # type: ignore[arg-type]
            except termios.error:
                pass
