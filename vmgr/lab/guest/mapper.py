"""A minimal device-mapper client that removes all devices when a lab, or a test in it, ends.

It does not use vmgr.dm, because clean-up must not depend on the code under test.
The layout is that of include/uapi/linux/dm-ioctl.h.
"""

from __future__ import annotations

import fcntl
import os
import struct

_HEADER = struct.Struct("=3I7IQ128s129s7x")
_VERSION = (4, 0, 0)
_BUFFER = 64 * 1024
_SUSPENDED = 1 << 1
_REMOVE_ALL, _LIST_DEVICES = 1, 2
_DEV_REMOVE, _DEV_SUSPEND, _DEV_STATUS, _TABLE_CLEAR = 4, 6, 7, 10


class Mapper:
    """An open /dev/mapper/control. Every method raises OSError when the kernel refuses."""

    def __init__(self) -> None:
        self.fd = os.open("/dev/mapper/control", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Close it."""
        os.close(self.fd)

    def _call(self, number: int, name: bytes = b"") -> bytes:
        buffer = bytearray(_BUFFER)
        _HEADER.pack_into(buffer, 0, *_VERSION, _BUFFER, _HEADER.size, 0, 0, 0, 0, 0, 0, name, b"")
        fcntl.ioctl(self.fd, (3 << 30) | (_HEADER.size << 16) | (0xFD << 8) | number, buffer)
        return bytes(buffer)

    def names(self) -> list[bytes]:
        """The names of all devices."""
        reply = self._call(_LIST_DEVICES)
        size, start = struct.unpack_from("=II", reply, 12)
        found: list[bytes] = []
        while start + 12 < size:
            device, following = struct.unpack_from("=QI", reply, start)
            if device == 0:
                break
            found.append(reply[start + 12 : reply.index(0, start + 12)])
            if following == 0:
                break
            start += following
        return found

    def is_suspended(self, name: bytes) -> bool:
        """Whether the device is suspended, so that writes to it wait."""
        (flags,) = struct.unpack_from("=I", self._call(_DEV_STATUS, name), 28)
        return bool(flags & _SUSPENDED)

    def wake(self, name: bytes) -> None:
        """Drop the inactive table, and resume on the live one."""
        self._call(_TABLE_CLEAR, name)
        self._call(_DEV_SUSPEND, name)

    def remove(self, name: bytes) -> None:
        """Remove one device."""
        self._call(_DEV_REMOVE, name)

    def remove_unused(self) -> None:
        """Remove all devices that are not open, repeatedly, until none is left or all are open."""
        self._call(_REMOVE_ALL)
