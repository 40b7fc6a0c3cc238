"""Two devices with one physical volume: which of them is used. A copied disk is told apart, never mixed.

The tests and their order are LVM2's (``_choose_duplicates`` in ``lib/cache/lvmcache.c``). Whichever is preferred,
the group is not changed while there are two, unless lvm.conf allows it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.system.devices import SYSFS
from vmgr.system.usage import mounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmgr.core.model import PhysicalVolume
    from vmgr.system.devices import Device
    from vmgr.system.records import PvRecord


def preferred(copies: Sequence[PvRecord], known: PhysicalVolume | None) -> tuple[PvRecord, str]:
    """The copy to use, and why ("it ..."). ``known`` is what the group's metadata says of the PV."""
    best, reason = copies[0], "it was seen first"
    for other in copies[1:]:
        for why, test in _tests(known):
            one, two = test(best), test(other)
            if one != two:
                reason = why
                if two:
                    best = other
                break
    return best, reason


def _tests(known: PhysicalVolume | None) -> list[tuple[str, Callable[[PvRecord], bool]]]:
    return [
        ("it is used by a logical volume", lambda pv: _held_by_volume(pv.device)),
        ("its size is correct", lambda pv: known is not None and pv.device.size == known.dev_size.bytes()),
        ("its name is as before", lambda pv: known is not None and pv.device.path == known.device),
        ("a file system on it is mounted", lambda pv: bool(mounts(pv.device.number))),
        ("it is a mapped device", lambda pv: bool(pv.device.dm_name)),
        ("it is an md device", lambda pv: pv.device.name.startswith("md")),
    ]


def _held_by_volume(device: Device) -> bool:
    """Whether an active logical volume lies on the device."""
    try:
        holders = os.listdir(f"{device.sysfs}/holders")
    except OSError:
        return False
    for holder in holders:
        try:
            with open(f"{SYSFS}/class/block/{holder}/dm/uuid") as file:
                if file.read().startswith("LVM-"):
                    return True
        except OSError:
            continue
    return False
