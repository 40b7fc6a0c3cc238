"""A metadata area: a header sector, and after it a ring buffer with the metadata text.

Layout of the header, little endian (``mda_header`` and ``raw_locn`` of LVM2)::

    0    u32 checksum of bytes 4 to 512
    4    16s magic
    20   u32 version: 1
    24   u64 where the area starts on the device, in bytes
    32   u64 size of the area in bytes, this sector included
    40   slot 0: the committed text        u64 offset, u64 size, u32 checksum, u32 flags
    64   slot 1: the precommitted text     (likewise)

A slot's offset counts from the start of the area; 0 means "no text". The text ends with a NUL, which is
part of its size. A text that reaches the end of the area continues after the header sector.

A new text is written after the committed one. Then slot 1 is set to it (precommit), then slot 0
(commit). So slot 0 names a complete text at any moment. Nothing here reads or writes; the functions compute
which bytes to write where.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import DamagedMetadata, NoSpace, Refused
from vmgr.core.pv import MdaArea
from vmgr.core.units import SECTOR_SIZE, Bytes
from vmgr.ondisk.crc import checksum

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER_SIZE = 512
ALIGNMENT = 512
"""Texts start at multiples of this, so that no two share a sector."""

MDA_SIZE_MIN = Bytes(8 * 4096)
"""The smallest area that LVM2 makes (eight pages)."""

_MAGIC = b" LVM2 x[5A%r0N*>"
_VERSION = 1
_HEADER = Struct("<I16sIQQ")
_SLOT = Struct("<QQII")
_CHECKED_FROM = 4
_IGNORED = 1


# Named tuples, here and in codec, because every command loads them: an attrs class takes five times as long to
# define.


class RawLocation(NamedTuple):
    """The location of a text: ``offset`` from the start of the area, ``size`` with its final NUL."""

    offset: Bytes = Bytes(0)
    size: Bytes = Bytes(0)
    checksum: int = 0
    flags: int = 0

    @property
    def empty(self) -> bool:
        """Whether this slot names no text."""
        return not self.offset


class MdaHeader(NamedTuple):
    """The header sector of the metadata area that starts at byte ``start`` of its device."""

    start: Bytes
    size: Bytes
    committed: RawLocation = RawLocation()
    precommitted: RawLocation = RawLocation()

    @property
    def ignored(self) -> bool:
        """Whether the area is not in use (``--metadataignore y``)."""
        return bool(self.committed.flags & _IGNORED)

    @property
    def max_text(self) -> Bytes:
        """The longest text, NUL included: two must fit, each rounded to a sector."""
        return max(Bytes((int(self.size) - HEADER_SIZE) // 2 - ALIGNMENT), Bytes(0))

    @property
    def free(self) -> Bytes:
        """The free space for the text to grow (``pv_mda_free``)."""
        return max(self.max_text - self.committed.size, Bytes(0))


class MdaWrite(NamedTuple):
    """The writes that store a text, as (byte offset on the device, bytes), and the ``location`` for a slot."""

    writes: tuple[tuple[Bytes, bytes], ...]
    location: RawLocation


# -- the header -----------------------------------------------------------------------------------


def new_header(area: MdaArea) -> MdaHeader:
    """The header of an area that holds no text yet."""
    return MdaHeader(area.offset, area.size, RawLocation(flags=_IGNORED if area.ignored else 0))


def encode_header(header: MdaHeader) -> bytes:
    """The 512 bytes for ``header.start``."""
    rest = (
        _HEADER.pack(0, _MAGIC, _VERSION, header.start, header.size)
        + _pack_slot(header.committed)
        + _pack_slot(header.precommitted)
    ).ljust(HEADER_SIZE, b"\0")[_CHECKED_FROM:]
    return checksum(rest).to_bytes(_CHECKED_FROM, "little") + rest


def _pack_slot(slot: RawLocation) -> bytes:
    return _SLOT.pack(slot.offset, slot.size, slot.checksum, slot.flags)


def decode_header(sector: bytes, area: MdaArea) -> MdaHeader:
    """Read ``sector``, the first 512 bytes of ``area``. Raises :class:`DamagedMetadata`."""
    try:
        crc, magic, version, start, size = _HEADER.unpack_from(sector)
    except error:
        raise _damaged(area, "it cannot be read completely") from None
    if len(sector) < HEADER_SIZE:
        raise _damaged(area, "it cannot be read whole")
    if magic != _MAGIC:
        raise _damaged(area, "its magic number is wrong")
    if checksum(sector[_CHECKED_FROM:HEADER_SIZE]) != crc:
        raise _damaged(area, "its checksum is wrong")
    if version != _VERSION:
        raise _damaged(area, f"its version is {version}, not {_VERSION}")
    if start != area.offset:
        raise _damaged(area, f"it says that the area starts at byte {start}")
    if not 2 * HEADER_SIZE <= size <= area.size:
        raise _damaged(area, f"it gives the area a size of {size} bytes, the label {area.size}")
    committed, precommitted = (_unpack_slot(sector, _HEADER.size + n * _SLOT.size) for n in range(2))
    header = MdaHeader(Bytes(start), Bytes(size), committed, precommitted)
    for slot in (committed, precommitted):
        if not slot.empty and not _fits(header, slot):
            raise _damaged(area, f"it names a text of {slot.size} bytes at {slot.offset}, outside of the area")
    return header


def _unpack_slot(sector: bytes, at: int) -> RawLocation:
    offset, size, crc, flags = _SLOT.unpack_from(sector, at)
    if not offset:
        return RawLocation(flags=flags)
    return RawLocation(Bytes(offset), Bytes(size), crc, flags)


def _fits(header: MdaHeader, slot: RawLocation) -> bool:
    ring = int(header.size) - HEADER_SIZE
    return HEADER_SIZE <= slot.offset < header.size and 0 < slot.size <= ring


def _damaged(area: MdaArea, what: str) -> DamagedMetadata:
    return DamagedMetadata(
        f"the metadata header at byte {area.offset} is damaged: {what}",
        hint="another copy of the metadata is used if there is one; `vgck --updatemetadata` writes it anew",
    )


# -- text in the ring -----------------------------------------------------------------------------


def pieces(header: MdaHeader, slot: RawLocation) -> tuple[tuple[Bytes, Bytes], ...]:
    """The location of a text on the device: one or two pairs of (byte offset, length)."""
    to_end = header.size - slot.offset
    if slot.size <= to_end:
        return ((header.start + slot.offset, slot.size),)
    return ((header.start + slot.offset, to_end), (header.start + Bytes(HEADER_SIZE), slot.size - to_end))


def read_text(header: MdaHeader, read: Callable[[Bytes, Bytes], bytes], slot: RawLocation | None = None) -> bytes:
    """The text in ``slot`` (default: the committed one), without its final NUL; empty if there is none.

    ``read(offset, length)`` returns bytes of the device. Raises :class:`DamagedMetadata` if they do
    not match the checksum in the slot.
    """
    slot = header.committed if slot is None else slot
    if slot.empty:
        return b""
    text = b"".join([read(offset, length) for offset, length in pieces(header, slot)])
    if len(text) != slot.size or checksum(text) != slot.checksum:
        raise DamagedMetadata(
            f"the metadata text of {slot.size} bytes at byte {header.start + slot.offset} is damaged",
            hint="another copy of the metadata is used if there is one; `vgck --updatemetadata` writes it anew",
        )
    return text.rstrip(b"\0")


def plan_text(header: MdaHeader, text: bytes) -> MdaWrite:
    """The place for ``text`` (without a final NUL) that leaves the committed text intact.

    It starts at the first sector boundary after the committed text, or at the start of the ring
    if less than a sector is left, and is padded with zeros to the end of its last sector: LVM2's
    layout to the byte. Raises :class:`NoSpace` if it is longer than :attr:`MdaHeader.max_text`.
    """
    data = text.rstrip(b"\0") + b"\0"
    size, end = len(data), int(header.size)
    if size > header.max_text:
        raise _full(header, size)
    old = None if header.ignored or header.committed.empty else header.committed
    start = HEADER_SIZE if old is None else _next_start(old, end)
    location = RawLocation(Bytes(start), Bytes(size), checksum(data))
    new = _ring_bytes(location, end)
    held = _ring_bytes(old, end) if old is not None else []
    if any(a < d and c < b for a, b in new for c, d in held):
        raise _full(header, size)
    writes = []
    done = 0
    for first, last in new:
        chunk = data[done : done + last - first]
        done += len(chunk)
        at = int(header.start) + first
        if done == size:
            limit = min([end, *(c for c, _ in held if c >= last)])
            chunk += bytes(min(-(at + len(chunk)) % SECTOR_SIZE, limit - last))
        writes.append((Bytes(at), chunk))
    return MdaWrite(tuple(writes), location)


def _next_start(old: RawLocation, end: int) -> int:
    last = int(old.offset) + int(old.size)  # the first byte after the old text
    if last > end:
        last = last - end + HEADER_SIZE
    start = -(-last // ALIGNMENT) * ALIGNMENT
    return HEADER_SIZE if start > end - ALIGNMENT else start


def _ring_bytes(slot: RawLocation, end: int) -> list[tuple[int, int]]:
    """The half-open ranges of the area that a text occupies."""
    start, last = int(slot.offset), int(slot.offset) + int(slot.size)
    if last <= end:
        return [(start, last)]
    return [(start, end), (HEADER_SIZE, last - end + HEADER_SIZE)]


def _full(header: MdaHeader, size: int) -> NoSpace:
    return NoSpace(
        f"the metadata, now {size} bytes, does not fit in a metadata area of {header.size} bytes,"
        f" which takes at most {header.max_text}",
        hint="remove volumes or tags, or use physical volumes made with a larger --metadatasize",
    )


# -- the two slots --------------------------------------------------------------------------------


def with_use(header: MdaHeader, *, ignored: bool) -> MdaHeader:
    """The header of the same area, in use or ignored."""
    flags = header.committed.flags | _IGNORED if ignored else header.committed.flags & ~_IGNORED
    return header._replace(committed=header.committed._replace(flags=flags))


def precommit(header: MdaHeader, location: RawLocation) -> MdaHeader:
    """The header with the new text in slot 1; the committed text stays valid."""
    committed = header.committed
    if header.ignored or committed.empty:
        committed = RawLocation(flags=committed.flags)
    return header._replace(committed=committed, precommitted=location._replace(flags=header.precommitted.flags))


def commit(header: MdaHeader) -> MdaHeader:
    """The header with the precommitted text as the committed one. Raises :class:`Refused` if there is none."""
    if header.precommitted.empty:
        raise Refused("no metadata is precommitted in this area")
    return header._replace(
        committed=header.precommitted._replace(flags=header.committed.flags),
        precommitted=RawLocation(flags=header.precommitted.flags),
    )


def revert(header: MdaHeader) -> MdaHeader:
    """The header without a precommitted text."""
    return header._replace(precommitted=RawLocation(flags=header.precommitted.flags))


def clear(header: MdaHeader) -> MdaHeader:
    """The header without any text, for a removed group or a PV that leaves its group."""
    return header._replace(
        committed=RawLocation(flags=header.committed.flags),
        precommitted=RawLocation(flags=header.precommitted.flags),
    )
