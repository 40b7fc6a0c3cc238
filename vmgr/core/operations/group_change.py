"""Changes attributes of groups and of the physical volumes in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change
from vmgr.core.errors import Refused, UsageError, VmgrError
from vmgr.core.model import LvArea, PvArea
from vmgr.core.operations.checks import changed_tags, require_changeable, require_policy, with_flag
from vmgr.core.operations.group import find_pv, joined_pv, require_extent_size
from vmgr.core.sizes import MAX_EXTENTS, display_size
from vmgr.core.units import Extents, Sectors
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.group_requests import ChangeGroup, ChangePv
    from vmgr.core.ids import Uuid
    from vmgr.core.model import PhysicalVolume, VolumeGroup
    from vmgr.core.pv import PvLayout
    from vmgr.core.requests import Stamp
    from vmgr.core.targets import Targets


def change_group(
    group: VolumeGroup,
    request: ChangeGroup,
    targets: Targets,
    *,
    stamp: Stamp | None = None,
    active: bool = False,
    missing: bool = False,
) -> Change:
    """Change a group's attributes (``vgchange(8)``).

    ``active`` tells that volumes of the group are active, which forbids a new UUID and another extent size.
    ``stamp`` is needed for a new UUID. As in LVM2, asking for what is already so raises :class:`Refused`.
    ``missing`` says that nothing but tags is changed, which may be done while physical volumes are missing.
    """
    require_changeable(group, missing=missing)
    name = group.name
    after = group
    notes: tuple[str, ...] = ()
    if request.resizeable is not None:
        if request.resizeable == ("RESIZEABLE" in group.status):
            raise Refused(f'volume group "{name}" is already {"" if request.resizeable else "not "}resizeable')
        status = [word for word in group.status if word != "RESIZEABLE"]
        # LVM2 writes it first, after EXPORTED.
        after = evolve(after, status=("RESIZEABLE", *status) if request.resizeable else tuple(status))
    if request.max_lv is not None:
        visible = sum(1 for lv in group.lvs if lv.visible)
        _require_limit(after, request.max_lv, visible, "logical")
        after = evolve(after, max_lv=request.max_lv)
    if request.max_pv is not None:
        _require_limit(after, request.max_pv, len(group.pvs), "physical")
        after = evolve(after, max_pv=request.max_pv)
    if request.alloc is not None:
        if request.alloc == "inherit":
            raise Refused("a volume group's allocation policy cannot inherit from anything")
        require_policy(request.alloc, inherit=False)
        if request.alloc == group.alloc:
            raise Refused(f"volume group allocation policy is already {request.alloc}")
        after = evolve(after, alloc=request.alloc)
    if request.autoactivate is not None:
        if request.autoactivate != ("NOAUTOACTIVATE" in group.flags):
            raise Refused(f"volume group autoactivation is already {'yes' if request.autoactivate else 'no'}")
        after = evolve(after, flags=with_flag(after.flags, "NOAUTOACTIVATE", not request.autoactivate))
    if request.metadata_copies is not None:
        if request.metadata_copies == group.metadata_copies:
            known = request.metadata_copies or "unmanaged"
            notes += (f"Number of metadata copies for VG {name} is already {known}.",)
        after = evolve(after, metadata_copies=request.metadata_copies)
    if request.system_id is not None:
        if request.system_id == group.system_id:
            raise Refused(f'volume group system ID is already "{request.system_id}"')
        if active:
            raise Refused(
                f"logical volumes in volume group {name} must be inactive before its system ID can be changed",
                hint=f"vgchange -an {name}",
            )
        after = evolve(after, system_id=request.system_id)
    if request.profile is not None:
        after = evolve(after, profile=request.profile)
    if request.extent_size is not None:
        if request.extent_size == group.extent_size:
            notes += (f"Physical extent size of VG {name} is already {display_size(request.extent_size)}.",)
        else:
            after = with_extent_size(after, request.extent_size)
    if request.new_uuid:
        if active:
            raise Refused(f"volume group {name} has active logical volumes", hint=f"vgchange -an {name}")
        if stamp is None:
            raise ValueError("a new UUID needs a stamp")
        after = evolve(after, id=stamp.uuid(0))
    after = evolve(after, tags=changed_tags(after.tags, request.add_tags, request.del_tags))
    require_valid(after, targets)
    return Change(group, after, notes=notes, done=(f'Volume group "{name}" successfully changed',))


def _require_limit(group: VolumeGroup, limit: int, present: int, kind: str) -> None:
    if "RESIZEABLE" not in group.status:
        require_changeable(group, resize=True)
    if limit < 0:
        raise UsageError(f"the largest number of {kind} volumes may not be negative", hint="0 is no limit")
    if limit and limit < present:
        raise Refused(
            f"volume group {group.name} has {present} {kind} volumes already: the limit cannot be {limit}",
            hint="0 is no limit",
        )


def with_extent_size(group: VolumeGroup, new: Sectors) -> VolumeGroup:
    """The same group in extents of another size. Raises :class:`Refused` where a boundary would be lost."""
    require_changeable(group, resize=True)
    require_extent_size(new)
    old = group.extent_size

    def convert(extents: Extents, what: str) -> Extents:
        sectors = int(extents) * int(old)
        if sectors % int(new):
            raise Refused(
                f"{what} is not a whole number of extents of {display_size(new)}",
                hint=f"the size must divide what is in use: {display_size(old)} and its parts do",
            )
        return Extents(sectors // int(new))

    pvs = tuple(
        # What is left over at a PV's end is free: it may grow into it, or lose part of an extent.
        evolve(pv, pe_count=convert(pv.pe_count, f"the size of {pv.device}"))
        for pv in group.pvs
    )
    lvs = []
    for lv in group.lvs:
        segments = []
        for segment in lv.segments:
            what = f"a segment of {lv.name}"
            areas = tuple(
                PvArea(a.pv, convert(a.start, what), convert(a.length, what))
                if isinstance(a, PvArea)
                else LvArea(a.lv, convert(a.start, what), convert(a.length, what))
                for a in segment.body.areas
            )
            try:
                body = segment.body.with_areas(areas) if areas else segment.body
            except TypeError as error:
                raise Refused(f"{what} cannot be put into other extents: {error}") from error
            segments.append(
                evolve(segment, start=convert(segment.start, what), length=convert(segment.length, what), body=body)
            )
        lvs.append(evolve(lv, segments=tuple(segments)))
    after = evolve(group, extent_size=new, pvs=pvs, lvs=tuple(lvs))
    if after.extents > MAX_EXTENTS:
        raise Refused(f"volume group {group.name} would have more than {MAX_EXTENTS} extents")
    return after


def change_pvs(
    group: VolumeGroup,
    pvs: Iterable[Uuid],
    request: ChangePv,
    targets: Targets,
) -> Change:
    """Change physical volumes' attributes in their group (``pvchange -x``, ``--addtag``, ``--deltag``)."""
    require_changeable(group)
    changed = []
    notes: list[str] = []
    done: list[str] = []
    for pv_id in pvs:
        pv = new = find_pv(group, pv_id)
        stays = False
        if request.allocatable is not None:
            if request.allocatable == pv.allocatable:
                stays = not (request.add_tags or request.del_tags)
                word = "allocatable" if request.allocatable else "unallocatable"
                notes.append(f'Physical volume "{pv.device}" is already {word}.')
            status = tuple(word for word in pv.status if word != "ALLOCATABLE")
            new = evolve(new, status=("ALLOCATABLE", *status) if request.allocatable else status)
        new = evolve(new, tags=changed_tags(pv.tags, request.add_tags, request.del_tags))
        if new != pv:
            changed.append(new)
        done.append(
            f"Physical volume {pv.device} not changed" if stays else f'Physical volume "{pv.device}" changed'
        )
    after = group.with_pv(*changed) if changed else group
    require_valid(after, targets)
    return Change(group, after, notes=tuple(notes), done=tuple(done))


def resize_pvs(
    group: VolumeGroup, layouts: Mapping[Uuid, tuple[str, PvLayout]], targets: Targets
) -> tuple[Change, dict[Uuid, VmgrError]]:
    """Give physical volumes the extents that fit into their new sizes, in one change that is checked once.

    ``layouts`` has for each the path that it is called by and its layout with the new size. Those that cannot be
    resized stay; the second value says why, by UUID.
    """
    require_changeable(group)
    changed: list[PhysicalVolume] = []
    done: list[str] = []
    refused: dict[Uuid, VmgrError] = {}
    for uuid, (path, layout) in layouts.items():
        try:
            old = find_pv(group, uuid)
            new = joined_pv(layout, path, group.extent_size)
            end = max((int(area.start + area.length) for area in group.used.get(uuid, ())), default=0)
            if end > new.pe_count:
                raise Refused(
                    f"cannot resize {path} to {new.pe_count} extents: volumes lie on extents up to {end - 1}",
                    hint=f"see what lies there: pvs --segments -o+lv_name {path}; remove or move it first",
                )
        except VmgrError as error:
            refused[uuid] = error
            continue
        changed.append(evolve(old, dev_size=new.dev_size, pe_count=new.pe_count))
        done.append(f'Physical volume "{path}" changed')
    after = group.with_pv(*changed)
    require_valid(after, targets)
    return Change(group, after, done=tuple(done)), refused
