"""The protocol between host and guest on the serial line.

A frame is one byte of kind, four bytes of length (big endian) and that many bytes. Pure:
bytes in, frames out. Both ends import it, the guest's end in a slow machine, so it imports
only ``struct``.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">cI")

# host to guest
STDIN = b"i"  # bytes for the command's standard input; an empty frame is its end
SIGNAL = b"s"  # one byte: a signal number for the command's process group
WINDOW = b"w"  # rows and columns, two 16-bit numbers
CLOSED = b"c"  # one byte, 1 or 2: the reader of that stream has ended
STOP = b"k"  # kill every process, then end as usual
BYE = b"q"  # DONE was received: power off

# guest to host
READY = b"b"  # the machine is up and the command starts
STDOUT = b"o"
STDERR = b"r"
TAKEN = b"a"  # a 32-bit number: so many bytes of standard input have arrived
SIGNALLED = b"g"  # a SIGNAL, or a typed interrupt, was passed on: the guest is alive
STATUS = b"x"  # one byte: the command's exit status
DONE = b"d"  # everything is on the disk images; the machine may go
FAILED = b"f"  # text: the machine could not be set up
NOTE = b"n"  # text: a warning about the machine

WINDOW_SIZE = struct.Struct(">HH")
NUMBER = struct.Struct(">I")

STDIN_WINDOW = 3072
"""Bytes of standard input that may be on their way to the guest at any time.

The guest's terminal layer holds 4096 bytes. When that is full, User Mode Linux's serial line stops
and never resumes (seen with 6.1). So less is sent, with space left for signals.
"""

LARGEST_FRAME = 64 * 1024
"""The longest payload that either side sends. A longer one means that the stream is corrupt."""


class OutOfStep(Exception):
    """The bytes on the line are not frames."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """Wrap ``payload`` (at most ``LARGEST_FRAME`` bytes) as one frame."""
    return HEADER.pack(kind, len(payload)) + payload


class Frames:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Take the next bytes and return the (kind, payload) pairs that are complete now."""
        rest = self._rest
        rest += data
        found = []
        start = 0
        while len(rest) - start >= HEADER.size:
            kind, length = HEADER.unpack_from(rest, start)
            if length > LARGEST_FRAME:
                raise OutOfStep(f"a frame of {length} bytes")
            end = start + HEADER.size + length
            if len(rest) < end:
                break
            found.append((kind, bytes(rest[start + HEADER.size : end])))
            start = end
        del rest[:start]
        return found
