"""Any text in a physical volume's first metadata area, with right checksums, as no program would write it."""

from __future__ import annotations

import os
import struct
import zlib


def _crc(data: bytes) -> int:
    """LVM2's checksum, written once more: a judge of the product's own."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def put(device: str, text: str) -> None:
    """Make ``text`` the committed metadata in the first area of a PV, checksums and all."""
    raw = text.encode() + b"\0"
    with open(device, "r+b") as file:
        file.seek(4096)
        head = bytearray(file.read(512))
        file.seek(4096 + 512)
        file.write(raw)
        head[40:64] = struct.pack("<QQII", 512, len(raw), _crc(raw), 0)
        head[0:4] = struct.pack("<I", _crc(bytes(head[4:512])))
        file.seek(4096)
        file.write(head)
        file.flush()
        os.fsync(file.fileno())


def committed(device: str) -> str:
    """The committed text in the first area of a PV."""
    with open(device, "rb") as file:
        file.seek(4096)
        offset, size = struct.unpack_from("<QQ", file.read(512), 40)
        file.seek(4096 + offset)
        return file.read(size)[:-1].decode()
