"""How a device wants its data to lie: block sizes, stripe widths, offsets, as sysfs tells.

From them comes where a new physical volume's first extent starts when the user does not say (``set_pe_align`` in
``lib/metadata/metadata.c`` of LVM2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import Refused
from vmgr.core.units import SECTOR_SIZE, Bytes, Sectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.system.config import Config
    from vmgr.system.devices import Device

_PARITY_DISKS = {"raid0": 0, "raid4": 1, "raid5": 1, "raid6": 2}


def data_alignment(device: Device, config: Config) -> Sectors:
    """What the start of the data is a multiple of: lvm.conf's setting, or what suits the device.

    1 MiB (``devices/default_data_alignment``) unless the stripe of an md array, or the smallest or best
    size of a request, does not divide that.
    """
    kib = config.number("devices/data_alignment")
    if kib:
        return Sectors(kib * 2)
    align = Sectors((config.number("devices/default_data_alignment") or 1) * 2048)
    wishes = []
    if config.flag("devices/md_chunk_alignment"):
        wishes.append(md_stripe(device))
    if config.flag("devices/data_alignment_detection"):
        wishes += [_sectors(device, "queue/minimum_io_size"), _sectors(device, "queue/optimal_io_size")]
    for wish in wishes:
        if wish and int(align) % int(wish):
            align = wish
    return align


def data_alignment_offset(device: Device, config: Config) -> Sectors:
    """How far behind an aligned sector the data shall start, for a device that starts in a block of its medium."""
    if not config.flag("devices/data_alignment_offset_detection"):
        return Sectors(0)
    return _sectors(device, "alignment_offset")


def read_ahead(major: int, minor: int) -> Sectors:
    """How far the kernel reads ahead on a device; 0 where it does not say."""
    from vmgr.system.devices import SYSFS

    try:
        with open(f"{SYSFS}/dev/block/{major}:{minor}/bdi/read_ahead_kb") as file:
            return Sectors(int(file.read()) * 2)
    except (OSError, ValueError):
        return Sectors(0)


def md_stripe(device: Device) -> Sectors:
    """The data in one stripe of an md array; 0 for any other device."""
    chunk = _sectors(device, "md/chunk_size")
    level = device.attribute("md/level")
    disks = device.attribute("md/raid_disks")
    if not chunk or not disks.isdigit():
        return Sectors(0)
    if level in ("raid1", "raid10"):
        return chunk
    if level not in _PARITY_DISKS:
        return Sectors(0)
    return chunk * (int(disks) - _PARITY_DISKS[level])


def logical_block(device: Device) -> Bytes:
    """The size of the blocks that the device takes; a group's devices should agree in it. 512 where unknown."""
    value = device.attribute("queue/logical_block_size")
    return Bytes(int(value)) if value.isdigit() else Bytes(SECTOR_SIZE)


def check_block_sizes(devices: Sequence[Device], config: Config) -> None:
    """Raise :class:`Refused` if devices that are to be in one group take blocks of different sizes.

    A file system made on one of them may not work when a volume is moved to, or extended onto, another.
    """
    if config.flag("devices/allow_mixed_block_sizes"):
        return
    sizes = {logical_block(device): device.path for device in devices}
    if len(sizes) > 1:
        shown = ", ".join(f"{path} has {size} bytes" for size, path in sorted(sizes.items()))
        raise Refused(
            f"the devices have different logical block sizes: {shown}",
            hint="use devices that agree, or set devices/allow_mixed_block_sizes in lvm.conf",
        )


def _sectors(device: Device, attribute: str) -> Sectors:
    """A sysfs attribute in bytes as sectors, at least one if it is not 0; 0 for none, or for "misaligned" (-1)."""
    value = device.attribute(attribute)
    if not value.isdigit() or value == "0":
        return Sectors(0)
    return Sectors(max(int(value) // SECTOR_SIZE, 1))
