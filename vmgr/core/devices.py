"""From volumes to device-mapper devices: the stack of one volume, and of a set of them, in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidGroup
from vmgr.core.hooks import NOTHING_LIVE
from vmgr.core.model import LvArea
from vmgr.core.naming import dm_name, dm_uuid
from vmgr.core.table import DevRef, DmDevice, TargetLine
from vmgr.core.units import Sectors

if TYPE_CHECKING:
    from vmgr.core.hooks import Live
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.targets import Targets


def own_uuid(group: VolumeGroup, volume: LogicalVolume) -> str:
    """The device-mapper UUID of the device that tells whether ``volume`` is active."""
    return dm_uuid(group.id, volume.id, volume.segments[0].body.own_layer if volume.segments else "")


def base_device(group: VolumeGroup, volume: LogicalVolume, targets: Targets) -> DmDevice | None:
    """The device of the volume's own segments, or None if they have no lines."""
    lines: list[TargetLine] = []
    for segment in volume.segments:
        lines.extend(targets.segment_lines(group, volume, segment))
    if not lines:
        return None
    wish = max(segment.body.read_ahead for segment in volume.segments)
    numbers = None
    if "FIXED_MINOR" in volume.status and volume.minor is not None:
        numbers = (volume.major if volume.major is not None and volume.major >= 0 else -1, volume.minor)
    return DmDevice(
        name=dm_name(group.name, volume.name),
        uuid=own_uuid(group, volume),
        table=tuple(lines),
        read_only=not volume.writable,
        link=(group.name, volume.name) if volume.visible else None,
        numbers=numbers,
        read_ahead=(wish or None) if volume.read_ahead is None else Sectors(volume.read_ahead),
        read_ahead_at_least=volume.read_ahead is None and wish > 0,
        exclusive=targets.exclusive(volume),
    )


def volume_devices(
    group: VolumeGroup, volume: LogicalVolume, targets: Targets, live: Live = NOTHING_LIVE, start: bool = False
) -> tuple[DmDevice, ...]:
    """The devices that ``volume`` itself becomes, lowest first; those that it needs are not among them."""
    base = base_device(group, volume, targets)
    return () if base is None else targets.layers(group, volume, base, live, start)


def together(group: VolumeGroup, volumes: Iterable[Uuid], targets: Targets) -> tuple[Uuid, ...]:
    """``volumes`` with all that must be active whenever one of them is, in the group's order."""
    by_id = group.lv_by_id
    todo = list(volumes)
    found: set[Uuid] = set()
    while todo:
        lv = todo.pop()
        if lv in found or lv not in by_id:
            continue
        found.add(lv)
        todo.extend(targets.companions(group, by_id[lv]))
    if len(found) < 2:
        return tuple(found)
    return tuple(sorted(found, key=group.place.__getitem__))


def inactive(group: VolumeGroup, volumes: Iterable[Uuid], live: Live) -> set[Uuid]:
    """Those of ``volumes``, and of all that they lie on or refer to, that are not active."""
    by_id = group.lv_by_id
    todo, found = list(volumes), set()
    while todo:
        lv = todo.pop()
        if lv in found or lv not in by_id:
            continue
        found.add(lv)
        todo.extend(area.lv for area in by_id[lv].areas() if isinstance(area, LvArea))
        todo.extend(reference.lv for reference in by_id[lv].references())
    return {lv for lv in found if own_uuid(group, by_id[lv]) not in live}


def stack(
    group: VolumeGroup,
    volumes: Iterable[Uuid],
    targets: Targets,
    live: Live = NOTHING_LIVE,
    start: Iterable[Uuid] = (),
) -> tuple[DmDevice, ...]:
    """All devices that must exist for ``volumes`` to be active: each after those that it refers to or must follow.

    Companions are included with all their devices; the volumes that segments lie on or refer to only with
    those that are needed (of a thin pool, not the device that stands for the pool itself). ``live`` has the
    group's devices in the kernel, with tables; in the volumes ``start`` and their companions
    may begin what waits for it (a merge). Raises :class:`InvalidGroup` for tables
    that refer to each other in a circle or to a device that no volume has.
    """
    by_id = group.lv_by_id
    wanted = deque(together(group, volumes, targets))
    active = set(wanted)
    started = set(together(group, start, targets))
    devices: dict[str, DmDevice] = {}
    roots: list[str] = []
    done: set[Uuid] = set()
    while wanted:
        lv_id = wanted.popleft()
        if lv_id in done:
            continue
        done.add(lv_id)
        volume = by_id[lv_id]
        for device in volume_devices(group, volume, targets, live, lv_id in started):
            devices[device.uuid] = device
            if lv_id in active:
                roots.append(device.uuid)
        below = {a.lv for a in volume.areas() if isinstance(a, LvArea)}
        below.update(r.lv for r in volume.references())
        wanted.extend(lv for lv in below if lv in by_id)

    ordered: dict[str, DmDevice] = {}
    visiting: list[str] = []
    asked = frozenset(roots)

    def visit(uuid: str) -> None:
        if uuid in ordered:
            return
        if uuid in visiting:
            raise InvalidGroup(f"devices refer to each other in a circle: {' -> '.join([*visiting, uuid])}")
        if uuid not in devices:
            raise InvalidGroup(f"table of {visiting[-1]} refers to unknown device {uuid}")
        visiting.append(uuid)
        for need in devices[uuid].needs():
            visit(need)
        for earlier in devices[uuid].after:
            if earlier in asked:
                visit(earlier)
        visiting.pop()
        ordered[uuid] = devices[uuid]

    for uuid in roots:
        visit(uuid)
    return tuple(ordered.values())


def lv_reference(group: VolumeGroup, lv: Uuid, layer: str = "") -> DevRef:
    """A table reference to volume ``lv``'s device, or to the helper device called ``layer``."""
    return DevRef(dm_uuid(group.id, lv, layer))
