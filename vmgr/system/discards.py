"""Telling devices which of their sectors hold nothing of use any more (``devices/issue_discards``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import DeviceError, VmgrError
from vmgr.core.units import SECTOR_SIZE, Bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.units import Sectors
    from vmgr.core.view import PvView
    from vmgr.system.disk import Disk

LABEL_SECTORS = 4
"""The sectors of a label. In a physical volume whose first extent begins at sector 0 they are part of that."""


def takes_discards(pv: PvView) -> bool:
    """Whether the device and its driver know discards, by what sysfs says (LVM2 ``discard_pv_segment``)."""
    from vmgr.system.devices import SYSFS

    base = f"{SYSFS}/dev/block/{pv.number}"
    for folder in (f"{base}/queue", f"{base}/../queue"):  # a partition has its disk's
        try:
            with open(f"{folder}/discard_max_bytes") as most, open(f"{folder}/discard_granularity") as least:
                return int(most.read()) > 0 and int(least.read()) > 0
        except (OSError, ValueError):
            continue
    return False


def discard(
    ranges: Iterable[tuple[Uuid, Sectors, Sectors]],
    pvs: Mapping[Uuid, PvView],
    say: Callable[[str], None],
    *,
    open_disk: Callable[..., Disk],
) -> tuple[str, ...]:
    """Discard ``ranges`` (physical volume, first sector, length) of those devices that take discards.

    ``say`` hears of each. What went wrong is given back as sentences: by then the change is made, and the data are
    of no use to anybody.
    """
    problems: list[str] = []
    disks: dict[Uuid, Disk | None] = {}
    try:
        for pv_id, start, length in ranges:
            if pv_id not in pvs:
                continue
            pv = pvs[pv_id]
            first = max(int(start), LABEL_SECTORS)
            size = int(start) + int(length) - first
            if size < 1:
                continue
            try:
                if pv_id not in disks:
                    disks[pv_id] = None
                    if takes_discards(pv):
                        disks[pv_id] = disk = open_disk(pv.device, write=True)
                        _check_number(disk, pv)
                found = disks[pv_id]
                if found is not None:
                    say(f"Discarding {size} sectors of {pv.device} from sector {first} on")
                    found.discard(Bytes(first * SECTOR_SIZE), Bytes(size * SECTOR_SIZE))
            except VmgrError as error:
                problems.append(f"freed space was not discarded: {error.message}")
    finally:
        for opened in disks.values():
            if opened is not None:
                opened.close()
    return tuple(problems)


def _check_number(disk: Disk, pv: PvView) -> None:
    import os

    if pv.major >= 0 and (os.major(disk.number), os.minor(disk.number)) != (pv.major, pv.minor):
        raise DeviceError(f"{pv.device} is another device than a moment ago")
