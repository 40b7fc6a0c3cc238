"""Makes and removes groups, and moves physical volumes in and out of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.change import Change, LabelPv
from vmgr.core.errors import AlreadyExists, NotFound, Refused, UsageError
from vmgr.core.model import PhysicalVolume, VolumeGroup
from vmgr.core.operations.checks import (
    require_changeable,
    require_device_name,
    require_policy,
)
from vmgr.core.sizes import MAX_EXTENTS, display_size
from vmgr.core.units import Extents, Sectors
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.group_requests import CreateGroup
    from vmgr.core.ids import Uuid, VgName
    from vmgr.core.pv import PvLayout
    from vmgr.core.requests import Stamp
    from vmgr.core.targets import Targets

DEFAULT_EXTENT_SIZE = Sectors(8192)
"""4 MiB (``vgcreate(8)``, ``-s``)."""

EXTENT_UNIT = 256
"""An extent size that is no power of 2 is a multiple of 128 KiB (LVM2 ``MIN_NON_POWER2_EXTENT_SIZE``)."""

EXTENT_SIZE_MAX = (1 << 32) - 1
"""Extent sizes are counted in 32 bits."""


@frozen
class Joining:
    """A physical volume that joins a group; ``label`` is to be written first where it is a new one."""

    layout: PvLayout
    device: str
    label: LabelPv | None = None


# -- sizes ----------------------------------------------------------------------------------------


def require_extent_size(size: Sectors) -> None:
    """Raise :class:`Refused` for a size that extents cannot have (``vgcreate(8)``, ``-s``)."""
    sectors = int(size)
    if sectors <= 0:
        raise Refused("physical extent size may not be zero")
    if sectors > EXTENT_SIZE_MAX:
        limit = display_size(Sectors(EXTENT_SIZE_MAX))
        raise Refused(f"physical extent size cannot be larger than {limit}")
    if sectors & (sectors - 1) and sectors % EXTENT_UNIT:
        raise Refused(
            f"physical extent size {display_size(size)} is neither a power of 2 nor a multiple of 128.00 KiB"
        )


def joined_pv(layout: PvLayout, device: str, extent_size: Sectors) -> PhysicalVolume:
    """The physical volume of a group with extents of ``extent_size``, from what its label says.

    Its extents lie between the start of the data area and the first metadata area behind that, or the end of
    the device (LVM2 ``lib/format_text/format-text.c``, ``_text_pv_setup``). Raises :class:`Refused` if there is
    no room.
    """
    size = int(layout.size) // 512
    start = int(layout.data[0].offset) // 512 if layout.data else 0
    end = size - sum(int(mda.size) // 512 for mda in layout.mdas if int(mda.offset) // 512 >= start)
    count = (end - start) // int(extent_size)
    if count < 1:
        raise Refused(
            f"{device} has no room for an extent of {display_size(extent_size)}",
            hint="use a larger device, or smaller extents (vgcreate -s)",
        )
    if count > MAX_EXTENTS:
        raise Refused(
            f"{device} is too large for extents of {display_size(extent_size)}",
            hint="use larger extents (vgcreate -s)",
        )
    boot = layout.bootloader[0] if layout.bootloader else None
    return PhysicalVolume(
        id=layout.id,
        device=device,
        status=("ALLOCATABLE",),
        dev_size=Sectors(size),
        pe_start=Sectors(start),
        pe_count=Extents(count),
        ba_start=Sectors(int(boot.offset) // 512) if boot else Sectors(0),
        ba_size=Sectors(int(boot.size) // 512) if boot else Sectors(0),
    )


def _with_pvs(group: VolumeGroup, pvs: Sequence[Joining]) -> VolumeGroup:
    known = set(group.pv_by_id)
    devices: set[str] = set()
    for joining in pvs:
        if joining.layout.id in known or joining.device in devices:
            raise AlreadyExists(f"physical volume {joining.device} is already in volume group {group.name}")
        known.add(joining.layout.id)
        devices.add(joining.device)
    new = tuple(joined_pv(j.layout, j.device, group.extent_size) for j in pvs)
    if group.max_pv and len(group.pvs) + len(new) > group.max_pv:
        raise Refused(
            f"volume group {group.name} may have {group.max_pv} physical volumes, and would have"
            f" {len(group.pvs) + len(new)}",
            hint=f"raise the limit: vgchange -p {len(group.pvs) + len(new)} {group.name}",
        )
    after = evolve(group, pvs=(*group.pvs, *new))
    if after.extents > MAX_EXTENTS:
        raise Refused(
            f"volume group {group.name} would have {after.extents} extents, more than {MAX_EXTENTS}",
            hint="use larger extents (vgcreate -s)",
        )
    return after


def _labels(pvs: Sequence[Joining]) -> tuple[LabelPv, ...]:
    return tuple(j.label for j in pvs if j.label is not None)


# -- groups ---------------------------------------------------------------------------------------


def create_group(
    name: VgName, pvs: Sequence[Joining], request: CreateGroup, targets: Targets, stamp: Stamp
) -> Change:
    """Make a group of ``pvs``. That the name is free on this machine is the caller's to know."""
    extent_size = DEFAULT_EXTENT_SIZE if request.extent_size is None else request.extent_size
    require_extent_size(extent_size)
    require_policy(request.alloc, inherit=False)
    system_id = request.system_id or ""
    if not pvs:
        raise UsageError("a volume group needs at least one physical volume", hint="name devices after the group")
    blank = VolumeGroup(
        id=stamp.uuid(0),
        name=name,
        seqno=0,
        extent_size=extent_size,
        flags=() if request.autoactivate else ("NOAUTOACTIVATE",),
        tags=tuple(dict.fromkeys(request.tags)),
        alloc=request.alloc,
        max_lv=request.max_lv,
        max_pv=request.max_pv,
        metadata_copies=request.metadata_copies or 0,
        system_id=system_id,
        profile=request.profile,
    )
    after = _with_pvs(blank, pvs)
    require_valid(after, targets)
    owner = f" with system ID {system_id}" if system_id else ""
    return Change(None, after, labels=_labels(pvs), done=(f'Volume group "{name}" successfully created{owner}',))


def extend_group(group: VolumeGroup, pvs: Sequence[Joining], targets: Targets) -> Change:
    """Add physical volumes to a group."""
    require_changeable(group, resize=True, missing=True)
    if not pvs:
        raise UsageError("no physical volumes to add", hint="name devices after the group")
    after = _with_pvs(group, pvs)
    require_valid(after, targets)
    return Change(group, after, labels=_labels(pvs), done=(f'Volume group "{group.name}" successfully extended',))


def reduce_group(group: VolumeGroup, pvs: Iterable[Uuid], targets: Targets, *, missing: bool = False) -> Change:
    """Take physical volumes out of a group; they become orphans. ``missing`` allows those that are not there.

    Raises :class:`Refused` for one that volumes lie on, and for the last.
    """
    require_changeable(group, resize=True, missing=missing)
    going: dict[Uuid, PhysicalVolume] = {}
    for pv_id in pvs:
        pv = find_pv(group, pv_id)
        going[pv.id] = pv
        if group.used.get(pv_id):
            names = [lv.name for lv in group.lvs if any(getattr(a, "pv", None) == pv_id for a in lv.areas())]
            raise Refused(
                f'physical volume "{pv.device}" still in use',
                hint=f"move or remove the volumes on it first: {', '.join(names)}",
            )
    kept = tuple(pv for pv in group.pvs if pv.id not in going)
    if not going:
        raise UsageError("no physical volumes to remove", hint="name them after the group, or use -a")
    if not kept:
        last = next(iter(going.values())).device
        raise Refused(
            f'cannot remove final physical volume "{last}" from volume group "{group.name}"',
            hint=f"vgremove {group.name} removes the group",
        )
    after = evolve(group, pvs=kept)
    require_valid(after, targets)
    return Change(
        group,
        after,
        done=tuple(f'Removed "{pv.device}" from volume group "{group.name}"' for pv in going.values()),
    )


def find_pv(group: VolumeGroup, pv_id: Uuid) -> PhysicalVolume:
    """The group's physical volume ``pv_id``. Raises :class:`NotFound`."""
    pv = group.pv_by_id.get(pv_id)
    if pv is None:
        raise NotFound(f"physical volume {pv_id.dashed} is not in volume group {group.name}")
    return pv


def remove_group(group: VolumeGroup) -> Change:
    """Remove a group without volumes; its physical volumes become orphans. Raises :class:`Refused` otherwise."""
    require_changeable(group, missing=True)
    visible = [lv for lv in group.lvs if lv.visible]
    if group.lvs:
        raise Refused(
            f'volume group "{group.name}" still contains {len(visible) or len(group.lvs)} logical volume(s)',
            hint=f"remove them first: lvremove {group.name}",
        )
    return Change(group, None, done=(f'Volume group "{group.name}" successfully removed',))


def rename_group(group: VolumeGroup, name: VgName, targets: Targets) -> Change:
    """Give a group another name; devices and links of its active volumes follow."""
    require_changeable(group, exported=True)
    if name == group.name:
        raise Refused("old and new volume group names must differ", hint="choose another name")
    for lv in group.lvs:
        require_device_name(name, lv.name)
    after = evolve(group, name=name)
    require_valid(after, targets)
    return Change(group, after, done=(f'Volume group "{group.name}" successfully renamed to "{name}"',))


def rewritten(group: VolumeGroup) -> Change:
    """A change that writes a group as it is, with a new sequence number."""
    return Change(group, evolve(group, seqno=group.seqno + 1), done=(f'Volume group "{group.name}" updated',))
