"""Volumes of which some devices run and others do not, though they belong together; pure.

No command leaves that: somebody removed devices by hand, or a command was killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from attrs import frozen

from vmgr.core.devices import own_uuid, stack, together
from vmgr.core.model import LvArea
from vmgr.core.naming import UUID_PREFIX, split_dm_uuid
from vmgr.core.running import understood

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import DmDevice
    from vmgr.core.targets import Targets


@frozen
class Incomplete:
    """Volumes that are active together and of which devices are missing.

    ``volumes`` are those of them that a user can name. ``missing`` has a pair for each device: the name of its
    volume and its own; ``left`` are the names of the devices that are there. Lowest first.
    """

    volumes: tuple[LogicalVolume, ...]
    missing: tuple[tuple[str, str], ...]
    left: tuple[str, ...]


def incomplete(group: VolumeGroup, live: Live, targets: Targets) -> tuple[Incomplete, ...]:
    """The volumes of which some devices run and others, without which they are not whole, do not.

    ``live`` is with tables. What other active volumes need is not taken for a part that was left: a pool runs for
    the sake of one volume, while another is inactive. A volume that is not understood is left out.
    """
    mine = {uuid for uuid in live if uuid.startswith(UUID_PREFIX + group.id)}
    if not mine:
        return ()
    by_id = group.lv_by_id
    seen: set[Uuid] = set()
    covered: set[str] = set()
    active: list[tuple[tuple[Uuid, ...], tuple[DmDevice, ...]]] = []
    inactive: list[tuple[tuple[Uuid, ...], tuple[DmDevice, ...]]] = []
    for lv in group.lvs:
        if lv.id in seen or not lv.visible or not _has_parts(group, lv) or not understood(group, lv):
            continue
        ids = together(group, (lv.id,), targets)
        seen.update(ids)
        devices = stack(group, ids, targets, live)
        if any(own_uuid(group, by_id[i]) in mine for i in ids if by_id[i].segments):
            active.append((ids, devices))
            covered.update(device.uuid for device in devices)
        else:
            inactive.append((ids, devices))
    broken = [one for one in active if any(device.uuid not in mine for device in one[1])]
    broken += [one for one in inactive if any(d.uuid in mine and d.uuid not in covered for d in one[1])]
    return tuple(
        Incomplete(
            tuple(by_id[i] for i in ids if by_id[i].visible),
            tuple((_volume_name(group, device), device.name) for device in devices if device.uuid not in mine),
            tuple(device.name for device in devices if device.uuid in mine),
        )
        for ids, devices in broken
        if any(device.uuid not in mine for device in devices)
    )


def _has_parts(group: VolumeGroup, lv: LogicalVolume) -> bool:
    """Whether a volume may be more than one device: it has to do with other volumes."""
    if group.referrers.get(lv.id):
        return True
    if lv.shape is not None:
        return False  # a plain volume, not yet read
    return any(isinstance(area, LvArea) for area in lv.areas()) or any(True for _ in lv.references())


def _volume_name(group: VolumeGroup, device: DmDevice) -> str:
    _, lvid, _ = split_dm_uuid(device.uuid) or ("", "", "")
    return group.lv_by_id[cast("Uuid", lvid)].name
