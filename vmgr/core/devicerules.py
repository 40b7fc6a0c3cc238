"""What a machine's configuration says about devices, beyond what the metadata say of their volumes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from vmgr.core.ids import Uuid
from vmgr.core.model import PvArea
from vmgr.core.naming import split_dm_uuid
from vmgr.core.units import Sectors
from vmgr.core.value import Value

if TYPE_CHECKING:
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import DmDevice


@frozen(repr=False)
class DeviceRules(Value):
    """``read_only`` are volumes to be run read-only though they are writable.

    ``read_ahead`` is that of physical volumes' devices: a volume that leaves its own to the kernel gets at
    least that of what it lies on. ``no_read_ahead``: such a volume gets none at all (``activation/readahead``).
    """

    read_only: Collection[Uuid] = frozenset()
    read_ahead: Mapping[Uuid, Sectors] = field(factory=dict)
    no_read_ahead: bool = False

    def applied(self, group: VolumeGroup, device: DmDevice) -> DmDevice:
        """``device`` of ``group`` as the rules want it."""
        parts = split_dm_uuid(device.uuid)
        volume = group.lv_by_id.get(Uuid(parts[1])) if parts else None
        if volume is None:
            return device
        # Only the volume's own device: what lies below, a snapshot's store above all, is written to by others.
        if volume.id in self.read_only and parts and not parts[2]:
            device = evolve(device, read_only=True)
        if volume.read_ahead is None:
            if self.no_read_ahead:
                device = evolve(device, read_ahead=Sectors(0), read_ahead_at_least=False)
            elif device.read_ahead is None:
                below = self._below(group, volume)
                if below:
                    device = evolve(device, read_ahead=below, read_ahead_at_least=True)
        return device

    def _below(self, group: VolumeGroup, volume: LogicalVolume) -> Sectors | None:
        """The largest read-ahead of the devices on which the volume, and those that it lies on, begin.

        See LVM2 ``lv_calculate_readahead``.
        """
        found: Sectors | None = None
        todo, seen = [volume.id], set()
        while todo:
            lv = group.lv_by_id.get(todo.pop())
            if lv is None or lv.id in seen:
                continue
            seen.add(lv.id)
            first = lv.segments[0].body.areas[:1] if lv.segments else ()
            if first and isinstance(first[0], PvArea):
                here = self.read_ahead.get(first[0].pv)
                if here is not None and (found is None or here > found):
                    found = here
            todo += [area.lv for area in lv.areas() if not isinstance(area, PvArea)]
            todo += [reference.lv for reference in lv.references()]
        return found


NO_RULES = DeviceRules()
