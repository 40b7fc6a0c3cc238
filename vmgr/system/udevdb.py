"""What udev knows of block devices, through pyudev. When it is asked: see :mod:`vmgr.system.devices`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.system.devices import Device


def running() -> bool:
    """Whether a udev daemon runs: its database alone may be left over from another boot of a container."""
    return os.path.exists("/run/udev/control")


def add_knowledge(devices: Iterable[Device]) -> None:
    """Set each device's ``udev`` properties and add the links that udev made to its ``aliases``.

    A device that udev has not finished with yet (or does not know) keeps ``udev`` None: nothing may be
    concluded from a missing property then.
    """
    import pyudev

    context = pyudev.Context()
    by_number = {device.number: device for device in devices}
    for entry in context.list_devices(subsystem="block"):
        number = entry.device_number
        device = by_number.get((os.major(number), os.minor(number)))
        if device is None or not entry.is_initialized:
            continue
        device.udev = dict(entry.properties)
        for link in entry.device_links:
            if link not in device.aliases and _leads_to(link, number):
                device.aliases += (link,)


def _leads_to(path: str, number: int) -> bool:
    try:
        return os.stat(path).st_rdev == number
    except OSError:
        return False


def signature(device: Device) -> str:
    """What udev says is on the device (``ID_FS_TYPE``: ``ext4``, ``mpath_member``...); empty if it says nothing."""
    return (device.udev or {}).get("ID_FS_TYPE", "")


def is_multipath_path(device: Device) -> bool:
    """Whether udev's rules found the device to be one path of a multipath device."""
    properties = device.udev or {}
    return properties.get("ID_FS_TYPE") == "mpath_member" or properties.get("DM_MULTIPATH_DEVICE_PATH") == "1"


def is_raid_member(device: Device) -> bool:
    """Whether udev's rules found the device to be part of an md array."""
    return (device.udev or {}).get("ID_FS_TYPE") == "linux_raid_member"


def is_firmware_raid_member(device: Device) -> bool:
    """Whether udev's rules found the device to be part of a RAID that firmware makes (LVM2 ``dev_is_fwraid``)."""
    found = signature(device)
    return found.endswith("_raid_member") and found != "linux_raid_member"


def is_partitioned(device: Device) -> bool:
    """Whether udev's rules found a partition table on the device, and the device is not itself a partition."""
    properties = device.udev or {}
    if not properties.get("ID_PART_TABLE_TYPE"):
        return False
    return device.dm_name != "" or properties.get("DEVTYPE") == "disk"
