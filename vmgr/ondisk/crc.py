"""The checksum of labels, metadata headers and metadata texts."""

from __future__ import annotations

from zlib import crc32

_INITIAL = 0xF597A6CF ^ 0xFFFFFFFF


def checksum(data: bytes | memoryview) -> int:
    """LVM2's checksum of ``data``, 0 to 2**32 - 1.

    It is CRC-32 with another start value and without the final inversion (``INITIAL_CRC`` in LVM2's
    ``lib/misc/crc.h``). zlib inverts at the start and the end, so both inversions are undone here.
    """
    return crc32(data, _INITIAL) ^ 0xFFFFFFFF
