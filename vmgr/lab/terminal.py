"""The caller's streams: which of them are terminals, the raw mode, the window's size."""

from __future__ import annotations

import os
import stat
import struct
import termios
import tty
from types import TracebackType

from attrs import define


def repair_streams() -> None:
    """Open /dev/null in place of standard streams that are closed.

    Otherwise the next pipe that is made becomes somebody's standard output.
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
    """Whether ``fd`` is /dev/null, from which nothing needs to be carried to the guest."""
    found = os.fstat(fd)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)


def streams_of_caller(wish: bool | None) -> tuple[str, str, str]:
    """How the guest's three streams are made from the caller's: ``tty``, ``pipe`` or ``null`` each.

    A terminal needs standard input and output to be one, like the caller's; standard error may go
    elsewhere all the same.
    """
    terminal = (os.isatty(0) and os.isatty(1)) if wish is None else (wish and os.isatty(0))
    if terminal:
        return ("tty", "tty", "tty" if os.isatty(2) else "pipe")
    return ("null" if is_null(0) else "pipe", "pipe", "pipe")


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
    """A context in which the terminal ``fd`` passes every key on and changes nothing it prints."""

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
