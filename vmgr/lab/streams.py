"""The host's end of one output stream of the command."""

from __future__ import annotations

import os

from attrs import define, field

_CHUNK = 4096


@define
class Output:
    """One output stream of the command on the host: kept in memory, or written to ``fd``."""

    fd: int | None = None
    kept: bytearray = field(factory=bytearray)
    closed: bool = False
    told: bool = False

    def add(self, data: bytes) -> None:
        """Add data that the command wrote."""
        if not self.closed:
            self.kept += data

    @property
    def pending(self) -> int:
        """Bytes that wait to be written."""
        return len(self.kept) if self.fd is not None else 0

    def write(self) -> None:
        """Write one piece. poll(2) said that there is room, and a pipe with room takes 4096 bytes."""
        assert self.fd is not None
        try:
            done = os.write(self.fd, self.kept[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:  # EPIPE and the like: the reader has ended
            self.shut()
            return
        del self.kept[:done]

    def shut(self) -> None:
        """Close the stream and drop its data."""
        self.closed = True
        self.kept.clear()
