"""The label and PV header: one of a device's first four sectors, which marks the device as a PV.

Layout, little endian (``label_header``, ``pv_header`` and ``pv_header_extension`` of LVM2)::

    0    8s  "LABELONE"                      the label
    8    u64 the sector this label lies in
    16   u32 checksum of bytes 20 to 512
    20   u32 where the PV header starts: 32
    24   8s  "LVM2 001"
    32   32s UUID without hyphens            the PV header
    64   u64 device size in bytes
    72   (u64 offset, u64 size)...           data areas, ended by an offset of 0
         (u64 offset, u64 size)...           metadata areas, ended by an offset of 0
         u32 version, u32 flags              the extension; version 0: there is none
         (u64 offset, u64 size)...           bootloader areas, ended by an offset of 0
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata, InvalidName, Refused
from vmgr.core.ids import Uuid
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import SECTOR_SIZE, Bytes
from vmgr.ondisk.crc import checksum

if TYPE_CHECKING:
    from collections.abc import Iterable

LABEL_SECTORS = 4
"""The number of sectors at the start of a device that may hold the label."""

LABEL_SCAN_SIZE = LABEL_SECTORS * SECTOR_SIZE
"""The number of bytes at the start of a device that may hold the label."""

EXTENSION_VERSION = 2
"""The version of the header's extension that LVM2 writes."""

_MAGIC = b"LABELONE"
_TYPE = b"LVM2 001"
_LABEL = Struct("<8sQII8s")
_CHECKED_FROM = 20
_PV = Struct("<32sQ")
_AREA = Struct("<QQ")
_EXTENSION = Struct("<II")


def decode_label(head: bytes, device_size: Bytes | None = None) -> PvLayout | None:
    """Read the label in ``head``, the first 2048 bytes of a device.

    The first valid label counts. None means that the device is not a PV of this format. Raises
    :class:`DamagedMetadata` if there are only damaged labels.
    ``device_size`` is used if the size in the header is 0. The areas' ``ignored`` flags are not
    in the label; they come from the areas' own headers.
    """
    if head.find(_MAGIC) < 0:
        return None
    damage: DamagedMetadata | None = None
    for number in range(min(LABEL_SECTORS, len(head) // SECTOR_SIZE)):
        sector = head[number * SECTOR_SIZE : (number + 1) * SECTOR_SIZE]
        if not sector.startswith(_MAGIC):
            continue
        try:
            layout = _decode_sector(sector, number, device_size)
        except DamagedMetadata as error:
            damage = damage or error
            continue
        if layout is not None:
            return layout
    if damage is not None:
        raise damage
    return None


def _damaged(number: int, what: str) -> DamagedMetadata:
    return DamagedMetadata(
        f"the label in sector {number} is damaged: {what}",
        hint="if the device was a physical volume, restore its label with pvcreate --uuid --restorefile",
    )


def _decode_sector(sector: bytes, number: int, device_size: Bytes | None) -> PvLayout | None:
    _, own_number, crc, header_at, kind = _LABEL.unpack_from(sector)
    if checksum(sector[_CHECKED_FROM:]) != crc:
        raise _damaged(number, "its checksum is wrong")
    if own_number != number:
        raise _damaged(number, f"it says that it lies in sector {own_number}")
    if kind != _TYPE:
        return None
    if not _LABEL.size <= header_at <= SECTOR_SIZE - _PV.size:
        raise _damaged(number, f"its header starts at byte {header_at}")
    raw_id, size = _PV.unpack_from(sector, header_at)
    try:
        uuid = Uuid(raw_id.decode("ascii"))
    except (UnicodeDecodeError, InvalidName) as error:
        raise _damaged(number, "its UUID has characters that a UUID cannot have") from error
    at = header_at + _PV.size
    data, at = _area_list(sector, number, at)
    mdas, at = _area_list(sector, number, at)
    version = flags = 0
    bootloader: list[tuple[int, int]] = []
    if at + _EXTENSION.size <= SECTOR_SIZE:
        version, flags = _EXTENSION.unpack_from(sector, at)
        if version:
            bootloader, at = _area_list(sector, number, at + _EXTENSION.size)
        else:
            flags = 0
    if not size and device_size is not None:
        size = int(device_size)
    return PvLayout(
        id=uuid,
        size=Bytes(size),
        data=tuple(DiskArea(Bytes(o), Bytes(s)) for o, s in data),
        mdas=tuple(MdaArea(Bytes(o), Bytes(s)) for o, s in mdas),
        bootloader=tuple(DiskArea(Bytes(o), Bytes(s)) for o, s in bootloader),
        ext_version=version,
        ext_flags=flags,
        label_sector=number,
    )


def _area_list(sector: bytes, number: int, at: int) -> tuple[list[tuple[int, int]], int]:
    """The areas from byte ``at`` on, and the end of the list (after its terminator)."""
    areas: list[tuple[int, int]] = []
    while at + _AREA.size <= SECTOR_SIZE:
        offset, size = _AREA.unpack_from(sector, at)
        at += _AREA.size
        if not offset:
            return areas, at
        areas.append((offset, size))
    raise _damaged(number, "a list of areas does not end")


def encode_label(layout: PvLayout) -> bytes:
    """The 512 bytes for sector ``layout.label_sector``, as LVM2 writes them.

    Raises :class:`Refused` for a layout that the format cannot hold.
    """
    if not 0 <= layout.label_sector < LABEL_SECTORS:
        raise Refused(
            f"a label cannot lie in sector {layout.label_sector}", hint=f"choose one from 0 to {LABEL_SECTORS - 1}"
        )
    if not layout.data:
        raise Refused("a physical volume needs a data area")
    parts = [
        _PV.pack(layout.id.encode("ascii"), layout.size),
        _pack_areas((a.offset, a.size) for a in layout.data),
        _pack_areas((a.offset, a.size) for a in layout.mdas),
        _EXTENSION.pack(layout.ext_version, layout.ext_flags if layout.ext_version else 0),
    ]
    if layout.ext_version:
        parts.append(_pack_areas((a.offset, a.size) for a in layout.bootloader))
    body = b"".join(parts)
    if _LABEL.size + len(body) > SECTOR_SIZE:
        raise Refused("the physical volume has more areas than its label can hold")
    rest = (_LABEL.pack(_MAGIC, layout.label_sector, 0, _LABEL.size, _TYPE) + body).ljust(SECTOR_SIZE, b"\0")
    crc = checksum(rest[_CHECKED_FROM:])
    return _LABEL.pack(_MAGIC, layout.label_sector, crc, _LABEL.size, _TYPE) + rest[_LABEL.size :]


def _pack_areas(areas: Iterable[tuple[int, int]]) -> bytes:
    parts = []
    for offset, size in areas:
        if not offset:
            raise Refused("an area cannot start at byte 0: that ends the list in the label")
        parts.append(_AREA.pack(offset, size))
    return b"".join(parts) + bytes(_AREA.size)


def wipe_label(head: bytes) -> tuple[tuple[Bytes, bytes], ...]:
    """The writes (byte offset, zeros) that remove every label in ``head``, the first 2048 bytes.

    Damaged labels are removed too. Other sectors stay as they are (they may hold a boot record).
    """
    writes = []
    for number in range(min(LABEL_SECTORS, len(head) // SECTOR_SIZE)):
        at = number * SECTOR_SIZE
        if head.startswith(_MAGIC, at) or head.startswith(_TYPE, at + _LABEL.size - len(_TYPE)):
            writes.append((Bytes(at), bytes(SECTOR_SIZE)))
    return tuple(writes)
