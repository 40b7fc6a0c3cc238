"""The layout of a new PV: LVM2's rules for metadata areas, bootloader area and first extent.

The rules are those of ``_text_pv_initialise`` and ``_text_pv_add_metadata_area`` in LVM2's
``lib/format_text/format-text.c``: ``pvcreate`` on the same device with the same options gives the same layout.
Values that LVM2 reads from the kernel (a RAID's chunk size, an alignment offset) are arguments here.
"""

from __future__ import annotations

from vmgr.core.errors import Refused
from vmgr.core.ids import Uuid
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import SECTOR_SIZE, Bytes, Extents, Sectors
from vmgr.ondisk.label import EXTENSION_VERSION, LABEL_SCAN_SIZE
from vmgr.ondisk.mda import MDA_SIZE_MIN

DATA_ALIGNMENT = Bytes(1 << 20)
"""The default start of the data, and its alignment."""

PV_SIZE_MIN = Bytes(2 << 20)
"""The minimum size of a PV's device (``devices/pv_min_size``)."""

_PAGE = 4096
_EXTENTS_MAX = (1 << 32) - 1


def new_layout(
    pv_id: Uuid,
    device_size: Bytes,
    *,
    mda_copies: int = 1,
    mda_size: Bytes | None = None,
    ignored: bool = False,
    data_alignment: Bytes | None = None,
    data_alignment_offset: Bytes = Bytes(0),
    bootloader_size: Bytes = Bytes(0),
    bootloader_start: Bytes = Bytes(0),
    data_start: Bytes | None = None,
    data_size: Bytes = Bytes(0),
    label_sector: int = 1,
    min_size: Bytes = PV_SIZE_MIN,
) -> PvLayout:
    """Lay out a new PV on a device of ``device_size`` bytes.

    ``mda_copies`` metadata areas (0, 1: at the start, 2: also at the end) of about ``mda_size``, which is
    rounded so that data starts aligned. To restore a PV (``--restorefile``), ``data_start`` fixes the first
    extent, ``data_size`` is the total size of the extents in bytes, and ``bootloader_start`` the start of that
    area; metadata areas then use the remaining space. All sizes are rounded up to sectors, the device's down.
    Raises :class:`Refused` if the device is too small.
    """
    if mda_copies not in (0, 1, 2):
        raise Refused(f"{mda_copies} metadata areas on a physical volume", hint="there can be 0, 1 or 2")
    disk = int(device_size) // SECTOR_SIZE * SECTOR_SIZE
    if disk < min_size:
        raise Refused(
            f"the device has {device_size} bytes, a physical volume needs {min_size}", hint="use a larger device"
        )
    align = int((data_alignment or DATA_ALIGNMENT).round_up(SECTOR_SIZE))
    offset = int(data_alignment_offset.round_up(SECTOR_SIZE))
    boot_size = int(bootloader_size.round_up(SECTOR_SIZE))
    if align < offset:
        raise Refused("the offset of the data alignment is larger than the alignment")
    first = align + offset
    if disk < first + boot_size:
        raise Refused(
            "the device is smaller than its data alignment and bootloader area", hint="use a larger device"
        )
    boot_start = 0
    if boot_size:
        boot_start = first
        if data_start is None:
            boot_size = min(-(-boot_size // align) * align, disk - boot_start)
        else:
            boot_start = int(bootloader_start) or first
            if data_start < max(first, boot_start) + boot_size:
                raise Refused("the bootloader area would overlap the data")
    start = first + boot_size if data_start is None else int(data_start)
    if start + data_size > disk:
        raise Refused("the extents to be restored end beyond the end of the device", hint="use a larger device")
    if min(start, boot_start or start) < LABEL_SCAN_SIZE and (data_start is not None or not mda_copies):
        # LVM2 accepts this, and the first write to the first extent destroys the label.
        raise Refused(
            f"the data would start at byte {start}, within the space for the label",
            hint=f"use a --dataalignment of at least {LABEL_SCAN_SIZE} bytes",
        )
    wanted = int((mda_size or data_start or DATA_ALIGNMENT - Bytes(_PAGE)).round_up(SECTOR_SIZE))
    mdas = []
    if mda_copies:
        if data_start is None:
            limit = disk - boot_size
        else:
            limit = boot_start or start
        at, size = _first_mda(wanted, align, offset, limit, fixed=data_start is not None)
        mdas.append(MdaArea(Bytes(at), Bytes(size), ignored))
        if data_start is None:
            boot_start = at + size if boot_size else 0
            start = at + size + boot_size
    if mda_copies == 2:
        at, size = _second_mda(disk, wanted, align, start + int(data_size))
        mdas.append(MdaArea(Bytes(at), Bytes(size), ignored))
    return PvLayout(
        id=pv_id,
        size=Bytes(disk),
        data=(DiskArea(Bytes(start), Bytes(0)),),
        mdas=tuple(mdas),
        bootloader=(DiskArea(Bytes(boot_start), Bytes(boot_size)),) if boot_size else (),
        ext_version=EXTENSION_VERSION,
        label_sector=label_sector,
    )


def _first_mda(size: int, align: int, offset: int, limit: int, *, fixed: bool) -> tuple[int, int]:
    """Start and size of the area behind the label, enlarged to end where data may start.

    ``limit``: where it must end. ``fixed``: the position of the part behind it is given.
    """
    start = LABEL_SCAN_SIZE
    if limit - start >= MDA_SIZE_MIN:
        start = _PAGE
    size = _grow(size, -(start + size) % align, limit - start)
    if offset and (start + size) % align == 0:
        size = _grow(size, offset, limit - start)
    if start + size > limit:
        room = limit - start
        if not fixed and room > 2 * align:
            size = room - 2 * align
            size += -(start + size) % align
        else:
            size = room
    return start, _large_enough(size, "first")


def _second_mda(disk: int, size: int, align: int, limit: int) -> tuple[int, int]:
    """Start and size of the area at the device's end, enlarged to start aligned; ``limit``: the lowest start."""
    if limit >= disk:
        raise _no_room("second")
    if disk - size < limit:
        size = disk - limit
    else:
        size = _grow(size, (disk - size) % align, disk - limit)
    return disk - size, _large_enough(size, "second")


def _grow(size: int, more: int, room: int) -> int:
    return size + more if size + more <= room else size


def _large_enough(size: int, which: str) -> int:
    if size < MDA_SIZE_MIN:
        raise _no_room(which)
    return size


def _no_room(which: str) -> Refused:
    return Refused(
        f"there is no room for the {which} metadata area, which needs {MDA_SIZE_MIN} bytes",
        hint="use a larger device, a smaller --metadatasize, or fewer --pvmetadatacopies",
    )


def data_start(layout: PvLayout) -> Sectors:
    """Where the first extent starts (``pe_start``)."""
    return layout.data[0].offset.sectors()


def extent_count(layout: PvLayout, extent_size: Sectors) -> Extents:
    """The number of a group's extents that fit on a PV, between the data's start and the end or last metadata area.

    Raises :class:`Refused` if there are more than the format can count.
    """
    start = data_start(layout)
    behind = Bytes.total(area.size for area in layout.mdas if area.offset.sectors() >= start)
    room = layout.size.sectors() - start - behind.sectors()
    count = max(room.extents_down(extent_size), Extents(0))
    if count > _EXTENTS_MAX:
        raise Refused(
            f"the physical volume is too large for extents of {extent_size} sectors",
            hint="use a larger --physicalextentsize",
        )
    return count
