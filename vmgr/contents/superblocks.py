"""The superblocks of file systems: their sizes, used space, and state.

Read from the device according to the formats' definitions: the kernel's ``fs/ext4/ext4.h``,
``fs/xfs/libxfs/xfs_format.h``, ``include/uapi/linux/btrfs_tree.h``, and util-linux's ``include/swapheader.h``.
(libblkid has the sizes only since 2.39.)
"""

from __future__ import annotations

import os
from struct import Struct, unpack_from
from uuid import UUID

from attrs import frozen

from vmgr.core.errors import Refused
from vmgr.core.units import Bytes
from vmgr.system.disk import open_error

EXT_ERRORS = 2
"""Bit of an ext file system's state: the kernel has found errors in it."""

_EXT_INCOMPAT_64BIT = 0x80

QUOTAS = (("u", 0x0001, 0x0002), ("g", 0x0040, 0x0080), ("p", 0x0008, 0x0200))
"""For each quota of XFS: its letter, its flag for accounting, and the one for enforcing."""


@frozen
class Superblock:
    """The facts for a resize. ``size`` is the content's size, ``used`` a lower bound of its data.

    ``largest`` is its maximum size; ``number`` is the device's number in a btrfs of ``devices`` devices.
    """

    size: Bytes
    used: Bytes = Bytes(0)
    block: int = 0
    uuid: str = ""
    label: str = ""
    state: int = 0
    largest: Bytes | None = None
    number: int = 0
    devices: int = 1
    quota: str = ""


def read_superblock(path: str, kind: str) -> Superblock:
    """The superblock of the ``kind`` that libblkid found on the device. Raises :class:`Refused` if invalid."""
    read = {"ext2": ext, "ext3": ext, "ext4": ext, "xfs": xfs, "btrfs": btrfs, "swap": swap}[kind]
    try:
        with open(path, "rb", buffering=0) as file:
            data = os.pread(file.fileno(), 128 << 10, 0)
    except OSError as error:
        raise open_error(path, error, write=False) from None
    found = read(data)
    if found is None:
        raise Refused(f"the {kind} superblock on {path} cannot be read", hint="check it with its own tools first")
    return found


def ext(data: bytes) -> Superblock | None:
    """ext2, ext3 or ext4."""
    at = 1024
    if len(data) < 2048 or data[at + 0x38 : at + 0x3A] != b"\x53\xef":
        return None
    blocks, _, free, _, _, log_block = unpack_from("<6I", data, at + 4)
    (state,) = unpack_from("<H", data, at + 0x3A)
    (incompat,) = unpack_from("<I", data, at + 0x60)
    if log_block > 6:
        return None
    block = 1024 << log_block
    wide = bool(incompat & _EXT_INCOMPAT_64BIT)
    if wide:
        blocks |= unpack_from("<I", data, at + 0x150)[0] << 32
        free |= unpack_from("<I", data, at + 0x158)[0] << 32
    return Superblock(
        Bytes(blocks * block),
        Bytes(max(0, blocks - free) * block),
        block,
        str(UUID(bytes=data[at + 0x68 : at + 0x78])),
        _text(data[at + 0x78 : at + 0x88]),
        state,
        None if wide else Bytes(((1 << 32) - 1) * block),
    )


def xfs(data: bytes) -> Superblock | None:
    """XFS."""
    if data[:4] != b"XFSB":
        return None
    block, blocks = unpack_from(">IQ", data, 4)
    (free,) = unpack_from(">Q", data, 144)
    (flags,) = unpack_from(">H", data, 176)
    options = [
        f"{letter}quota" if flags & enforced else f"{letter}qnoenforce"
        for letter, counted, enforced in QUOTAS
        if flags & counted
    ]
    return Superblock(
        Bytes(blocks * block),
        Bytes(max(0, blocks - free) * block),
        block,
        str(UUID(bytes=data[32:48])),
        _text(data[108:120]),
        quota=",".join(options),
    )


def btrfs(data: bytes) -> Superblock | None:
    """btrfs: the facts about the device at hand."""
    at = 65536
    if data[at + 0x40 : at + 0x48] != b"_BHRfS_M":
        return None
    _, used, _, devices, block = unpack_from("<4QI", data, at + 0x70)
    number, size, _ = unpack_from("<3Q", data, at + 0xC9)
    return Superblock(
        Bytes(size),
        Bytes(used if devices == 1 else 0),
        block,
        str(UUID(bytes=data[at + 0x20 : at + 0x30])),
        _text(data[at + 0x12B : at + 0x22B]),
        number=number,
        devices=devices,
    )


_SWAP = Struct("=3I16s16s")


def swap(data: bytes) -> Superblock | None:
    """Swap: its header has the byte order and the page size of the machine that made it."""
    for page in (4096, 8192, 16384, 32768, 65536):
        if data[page - 10 : page] != b"SWAPSPACE2":
            continue
        version, last, _, uuid, label = _SWAP.unpack_from(data, 1024)
        if version != 1:
            return None
        return Superblock(Bytes((last + 1) * page), Bytes(0), page, str(UUID(bytes=uuid)), _text(label))
    return None


def _text(raw: bytes) -> str:
    return raw.split(b"\0")[0].decode("utf-8", "surrogateescape")
