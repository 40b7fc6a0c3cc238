"""What lies on a device already: file systems, partition tables, swap, members of arrays; finding and wiping them.

libblkid does the finding (through ctypes; it is part of every system with a ``mount`` command), with the probes
that LVM2 asks it for, so that both warn of the same. Where the library is missing, or lvm.conf has
``allocation/use_blkid_wiping=0``, a table of the most frequent ones stands in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import frozen

from vmgr.core.units import Bytes
from vmgr.system.disk import Disk, open_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vmgr.system.stall import StallWatch

LVM_MEMBERS = ("LVM2_member", "LVM1_member")
"""Labels of physical volumes: who makes or removes a PV looks after these in other ways."""

WIPED_SILENTLY = ("DM_snapshot_cow",)
"""Wiped from a new volume without a question: the header of a removed snapshot."""

_LIBRARY = "libblkid.so.1"

# Flags of blkid.h.
_PARTS_MAGIC = 1 << 3
_SUPERBLOCKS = (1 << 1) | (1 << 3) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10)
"""Label, UUID, type, usage, version, magic; and report what has a bad checksum, too."""


@frozen
class Signature:
    """Something recognised on a device. Zeroing ``length`` bytes at ``offset`` makes it unrecognisable.

    ``type`` is libblkid's word (``ext4``, ``gpt``); ``usage`` is ``filesystem``, ``raid``, ``partition table``...;
    ``label`` and ``uuid`` are empty where it has none.
    """

    type: str
    offset: Bytes
    length: Bytes
    usage: str = ""
    label: str = ""
    uuid: str = ""


def find_signatures(path: str, *, ignore: Collection[str] = (), use_library: bool = True) -> Iterator[Signature]:
    """What is on the device or image at ``path``, types in ``ignore`` left out.

    If the caller wipes a signature before it asks for the next one, what lay behind it is found too (the second
    copy of a partition table). Raises what :meth:`Disk.open` raises.
    """
    library = _load() if use_library else None
    if library is None:
        yield from (s for s in _from_table(path) if s.type not in ignore)
        return
    yield from _from_library(library, path, ignore)


def wipe_signature(path: str, signature: Signature, watch: StallWatch | None = None) -> None:
    """Zero the bytes by which ``signature`` is recognised, and nothing else. ``watch`` tells if that hangs."""
    with Disk.open(path, write=True, watch=watch) as disk:
        disk.zero(signature.offset, signature.length)
        disk.flush()


# -- libblkid -------------------------------------------------------------------------------------


def _load() -> Any:
    """The library with its functions declared; None where it is missing."""
    import ctypes

    try:
        library = ctypes.CDLL(_LIBRARY, use_errno=True)
    except OSError:
        return None
    pointer, text = ctypes.c_void_p, ctypes.c_char_p
    library.blkid_new_probe.restype = pointer
    library.blkid_new_probe.argtypes = []
    library.blkid_free_probe.argtypes = [pointer]
    library.blkid_free_probe.restype = None
    library.blkid_probe_set_device.argtypes = [pointer, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    for name in ("enable_partitions", "set_partitions_flags", "enable_superblocks", "set_superblocks_flags"):
        getattr(library, f"blkid_probe_{name}").argtypes = [pointer, ctypes.c_int]
    library.blkid_do_probe.argtypes = [pointer]
    library.blkid_probe_step_back.argtypes = [pointer]
    library.blkid_probe_lookup_value.argtypes = [
        pointer, text, ctypes.POINTER(pointer), ctypes.POINTER(ctypes.c_size_t),
    ]  # fmt: skip
    return library


def _from_library(library: Any, path: str, ignore: Collection[str]) -> Iterator[Signature]:
    import ctypes

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise open_error(path, error, write=False) from None
    probe = library.blkid_new_probe()
    try:
        if not probe or library.blkid_probe_set_device(probe, fd, 0, 0) != 0:
            raise open_error(path, OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno())), write=False)
        library.blkid_probe_enable_partitions(probe, 1)
        library.blkid_probe_set_partitions_flags(probe, _PARTS_MAGIC)
        library.blkid_probe_enable_superblocks(probe, 1)
        library.blkid_probe_set_superblocks_flags(probe, _SUPERBLOCKS)
        while library.blkid_do_probe(probe) == 0:
            found = _probed(library, probe)
            if found is None or found.type in ignore:
                continue
            before = os.pread(fd, int(found.length), int(found.offset))
            yield found
            if os.pread(fd, int(found.length), int(found.offset)) != before:
                library.blkid_probe_step_back(probe)
    finally:
        library.blkid_free_probe(probe)
        os.close(fd)


def _probed(library: Any, probe: Any) -> Signature | None:
    """The probe's last result; None if it does not say where its magic bytes are."""
    import ctypes

    def value(name: bytes) -> bytes | None:
        data, length = ctypes.c_void_p(), ctypes.c_size_t()
        if library.blkid_probe_lookup_value(probe, name, ctypes.byref(data), ctypes.byref(length)) != 0:
            return None
        return ctypes.string_at(data, length.value) if data.value else b""

    def word(name: bytes) -> str:
        return (value(name) or b"").rstrip(b"\0").decode("utf-8", "replace")

    kind, usage = word(b"TYPE"), word(b"USAGE")
    magic, offset = value(b"SBMAGIC"), word(b"SBMAGIC_OFFSET")
    if not kind:
        kind, usage = word(b"PTTYPE"), "partition table"
        magic, offset = value(b"PTMAGIC"), word(b"PTMAGIC_OFFSET")
    if not kind or magic is None or not offset:
        return None
    return Signature(kind, Bytes(int(offset)), Bytes(len(magic)), usage, word(b"LABEL"), word(b"UUID"))


# -- without the library --------------------------------------------------------------------------

_TABLE: tuple[tuple[str, str, int, bytes], ...] = (
    ("crypto_LUKS", "crypto", 0, b"LUKS\xba\xbe"),
    ("linux_raid_member", "raid", 0, b"\xfc\x4e\x2b\xa9"),
    ("linux_raid_member", "raid", 4096, b"\xfc\x4e\x2b\xa9"),
    ("xfs", "filesystem", 0, b"XFSB"),
    ("ntfs", "filesystem", 3, b"NTFS    "),
    ("vfat", "filesystem", 54, b"FAT16   "),
    ("vfat", "filesystem", 82, b"FAT32   "),
    ("ext4", "filesystem", 1080, b"\x53\xef"),
    ("swap", "other", 4086, b"SWAPSPACE2"),
    ("iso9660", "filesystem", 32769, b"CD001"),
    ("btrfs", "filesystem", 65600, b"_BHRfS_M"),
    ("LVM2_member", "raid", 536, b"LVM2 001"),
    ("gpt", "partition table", 512, b"EFI PART"),
)


def _from_table(path: str) -> Iterator[Signature]:
    from vmgr.system.filters import has_partitions

    with Disk.open(path) as disk:
        head = disk.read(Bytes(0), min(disk.size, Bytes(128 << 10)))
    for kind, usage, offset, magic in _TABLE:
        if head[offset : offset + len(magic)] == magic:
            yield Signature(kind, Bytes(offset), Bytes(len(magic)), usage)
    if has_partitions(head):
        yield Signature("dos", Bytes(510), Bytes(2), "partition table")
