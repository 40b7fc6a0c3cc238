"""Devices that are open, and what a live table leads to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmgr.core.errors import InUse, VmgrError
from vmgr.core.naming import split_dm_uuid

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import LiveDevice

_NUMBERS = re.compile(r"\d+:\d+", re.ASCII).fullmatch


def refuse_open(gone: Iterable[str], live: Live, group: VolumeGroup | None) -> None:
    """Raise :class:`InUse` for a device of ``gone`` that is open, beyond what the kernel's own tables tell.

    The error blames each volume of ``group`` that is meant. Who has it open is not known here.
    """
    holders = Counter(word for device in live.values() for word in below(device))
    blames: dict[str, VmgrError] = {}
    for uuid in sorted(gone):
        device = live[uuid]
        if device.open_count > holders[f"{device.major}:{device.minor}"]:
            lv = (split_dm_uuid(uuid) or ("", "", ""))[1]
            volume = next((one for one in group.lvs if one.id == lv), None) if group is not None else None
            what = f"logical volume {group.name}/{volume.name}" if group and volume else f"device {device.name}"
            error = InUse(
                f"{what} in use",
                hint="unmount the file system or stop the program that uses it, then try again",
            )
            blames.setdefault(lv, error)
    if blames:
        first = next(iter(blames.values()))
        raise InUse(first.message, hint=first.hint, blames=blames)


def below(device: LiveDevice) -> set[str]:
    """The numbers (``major:minor``) of what a live device's table leads to."""
    return {word for line in device.table or () for word in line.params.split() if _NUMBERS(word)}
