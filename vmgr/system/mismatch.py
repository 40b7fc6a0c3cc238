"""Which active volumes lie on devices that are no physical volumes of their group, as sysfs tells.

Only devices that carry no PV in use are asked who holds them: there are few of these, and as many holders of the
others as there are active volumes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.core.ids import Uuid
from vmgr.core.naming import UUID_PREFIX, split_dm_uuid
from vmgr.system.devices import SYSFS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmgr.core.view import GroupView
    from vmgr.system.devices import Device


def mismatches(groups: Iterable[GroupView], devices: Iterable[Device]) -> Iterator[str]:
    """A sentence, in LVM2's words, for each volume of ``groups`` that lies on one of ``devices``, not their PVs."""
    by_id: dict[str, GroupView] = {shown.group.id: shown for shown in groups}
    for device in devices:
        for uuid in _holders(device):
            vg, lv, _ = split_dm_uuid(uuid) or ("", "", "")
            shown = by_id.get(vg)
            if shown is not None and lv in shown.group.lv_by_id and not _is_part(device, vg):
                yield _sentence(shown, Uuid(lv), device.path)


def _sentence(shown: GroupView, lv: Uuid, path: str) -> str:
    group = shown.group
    volume = group.lv_by_id[lv]
    where = dict.fromkeys(
        shown.pvs[area.pv].device for area in volume.areas() if hasattr(area, "pv") and area.pv in shown.pvs
    )
    return (
        f"Device mismatch detected for {group.name}/{volume.name} which is accessing {path}"
        f" instead of {', '.join(where) or 'a missing device'}"
    )


def _is_part(device: Device, vg: str) -> bool:
    """Whether a device is one of the group's own: an origin's, below its snapshots."""
    return device.attribute("dm/uuid").startswith(f"{UUID_PREFIX}{vg}")


def _holders(device: Device) -> Iterator[str]:
    """The device-mapper UUIDs of what lies on a device."""
    try:
        names = os.listdir(f"{device.sysfs}/holders")
    except OSError:
        return
    for name in names:
        try:
            with open(f"{SYSFS}/class/block/{name}/dm/uuid") as file:
                yield file.read().strip()
        except OSError:
            continue  # it is no mapped device, or is gone
