"""The lines in the kernel's log about a failed command. Only the log names the word of a table that is wrong.

Reading the log never fails: without ``/dev/kmsg``, or without permission to read it, there are no lines.
Record format: ``Documentation/ABI/testing/dev-kmsg`` of the kernel.
"""

from __future__ import annotations

import os

PATH = "/dev/kmsg"
_PREFIX = "device-mapper: "
_RECORD = 8192
"""The maximum length of a record (``CONSOLE_EXT_LOG_MAX``, ``PRINTK_MESSAGE_MAX``)."""
_MOST_RECORDS = 1000
"""The most records to read after one failure, in case something else floods the log meanwhile."""

_UNHELPFUL = (
    "ioctl: error adding target to table",
    "core: Cannot calculate initial queue limits",
    "ioctl: unable to set up device queue for new table.",
)
"""These follow a line that says what is wrong with the target."""


class KernelLog:
    """The end of the log before a command, and the device mapper's lines after it."""

    def __init__(self, path: str = PATH) -> None:
        self._path = path
        self._fd = -1
        self._tried = False

    def mark(self) -> None:
        """Mark the end of the log: later lines are new. Takes one system call, and one more the first time."""
        if self._fd < 0:
            if self._tried:
                return
            self._tried = True
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return
        try:
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError:
            self.close()

    def since(self) -> tuple[str, ...]:
        """The device mapper's lines since :meth:`mark`, without its prefix, oldest first."""
        found: list[str] = []
        for _ in range(_MOST_RECORDS if self._fd >= 0 else 0):
            try:
                raw = os.read(self._fd, _RECORD)
            except BrokenPipeError:
                continue  # records were overwritten; the next read goes on behind the gap
            except OSError:
                break  # EAGAIN: that was the last
            if not raw:
                break
            for line in raw.decode("utf-8", "replace").splitlines():
                head, _, text = line.partition(";")
                priority = head.partition(",")[0]
                # Facility 0 is the kernel itself: any user may write the others.
                if priority.isdigit() and int(priority) < 8 and text.startswith(_PREFIX):
                    found.append(text[len(_PREFIX) :])
        return tuple(found)

    def close(self) -> None:
        """Close it for good."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def telling(lines: tuple[str, ...]) -> str:
    """The last line that gives a reason; ``""`` when there are no lines.

    A line that only names the failed step counts if there is no other.
    """
    last = next((line for line in reversed(lines) if line != _UNHELPFUL[0]), "")
    return next((line for line in reversed(lines) if line not in _UNHELPFUL), last)
