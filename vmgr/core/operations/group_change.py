"""Changes attributes of groups and of the physical volumes in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change
from vmgr.core.errors import Refused, UsageError
from vmgr.core.model import LvArea, PvArea
from vmgr.core.operations.checks import changed_tags, require_changeable, require_policy, with_flag
from vmgr.core.operations.group import find_pv, require_extent_size
from vmgr.core.sizes import MAX_EXTENTS, display_size
from vmgr.core.units import Extents, Sectors
from vmgr.core.validate import require_valid

if TYPE_CHECKING:
    from vmgr.core.ids import Tag, Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import Stamp
    from vmgr.core.targets import Targets


def change_group(
    group: VolumeGroup,
    targets: Targets,
    *,
    stamp: Stamp | None = None,
    active: bool = False,
    extent_size: Sectors | None = None,
    max_lv: int | None = None,
    max_pv: int | None = None,
    alloc: str | None = None,
    resizeable: bool | None = None,
    add_tags: tuple[Tag, ...] = (),
    del_tags: tuple[Tag, ...] = (),
    metadata_copies: int | None = None,
    system_id: str | None = None,
    autoactivate: bool | None = None,
    new_uuid: bool = False,
    profile: str | None = None,
    missing: bool = False,
) -> Change:
    """Change a group's attributes; None leaves each as it is (``vgchange(8)``).

    ``active`` tells that volumes of the group are active, which forbids a new UUID and another extent size.
    ``stamp`` is needed for a new UUID. As in LVM2, asking for what is already so raises :class:`Refused`.
    ``missing`` says that nothing but tags is changed, which may be done while physical volumes are missing.
    """
    require_changeable(group, missing=missing)
    name = group.name
    after = group
    notes: tuple[str, ...] = ()
    if resizeable is not None:
        if resizeable == ("RESIZEABLE" in group.status):
            raise Refused(f'volume group "{name}" is already {"" if resizeable else "not "}resizeable')
        status = [word for word in group.status if word != "RESIZEABLE"]
        # LVM2 writes it first, after EXPORTED.
        after = evolve(after, status=("RESIZEABLE", *status) if resizeable else tuple(status))
    if max_lv is not None:
        visible = sum(1 for lv in group.lvs if lv.visible)
        _require_limit(after, max_lv, visible, "logical")
        after = evolve(after, max_lv=max_lv)
    if max_pv is not None:
        _require_limit(after, max_pv, len(group.pvs), "physical")
        after = evolve(after, max_pv=max_pv)
    if alloc is not None:
        if alloc == "inherit":
            raise Refused("a volume group's allocation policy cannot inherit from anything")
        require_policy(alloc, inherit=False)
        if alloc == group.alloc:
            raise Refused(f"volume group allocation policy is already {alloc}")
        after = evolve(after, alloc=alloc)
    if autoactivate is not None:
        if autoactivate != ("NOAUTOACTIVATE" in group.flags):
            raise Refused(f"volume group autoactivation is already {'yes' if autoactivate else 'no'}")
        after = evolve(after, flags=with_flag(after.flags, "NOAUTOACTIVATE", not autoactivate))
    if metadata_copies is not None:
        if metadata_copies == group.metadata_copies:
            notes += (f"Number of metadata copies for VG {name} is already {metadata_copies or 'unmanaged'}.",)
        after = evolve(after, metadata_copies=metadata_copies)
    if system_id is not None:
        if system_id == group.system_id:
            raise Refused(f'volume group system ID is already "{system_id}"')
        if active:
            raise Refused(
                f"logical volumes in volume group {name} must be inactive before its system ID can be changed",
                hint=f"vgchange -an {name}",
            )
        after = evolve(after, system_id=system_id)
    if profile is not None:
        after = evolve(after, profile=profile)
    if extent_size is not None:
        if extent_size == group.extent_size:
            notes += (f"Physical extent size of VG {name} is already {display_size(extent_size)}.",)
        else:
            after = with_extent_size(after, extent_size)
    if new_uuid:
        if active:
            raise Refused(f"volume group {name} has active logical volumes", hint=f"vgchange -an {name}")
        if stamp is None:
            raise ValueError("a new UUID needs a stamp")
        after = evolve(after, id=stamp.uuid(0))
    after = evolve(after, tags=changed_tags(after.tags, add_tags, del_tags))
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
    targets: Targets,
    *,
    allocatable: bool | None = None,
    add_tags: tuple[Tag, ...] = (),
    del_tags: tuple[Tag, ...] = (),
) -> Change:
    """Change physical volumes' attributes in their group (``pvchange -x``, ``--addtag``, ``--deltag``)."""
    require_changeable(group)
    changed = []
    notes: list[str] = []
    done: list[str] = []
    for pv_id in pvs:
        pv = new = find_pv(group, pv_id)
        stays = False
        if allocatable is not None:
            if allocatable == pv.allocatable:
                stays = not (add_tags or del_tags)
                word = "allocatable" if allocatable else "unallocatable"
                notes.append(f'Physical volume "{pv.device}" is already {word}.')
            status = tuple(word for word in pv.status if word != "ALLOCATABLE")
            new = evolve(new, status=("ALLOCATABLE", *status) if allocatable else status)
        new = evolve(new, tags=changed_tags(pv.tags, add_tags, del_tags))
        if new != pv:
            changed.append(new)
        done.append(
            f"Physical volume {pv.device} not changed" if stays else f'Physical volume "{pv.device}" changed'
        )
    after = group.with_pv(*changed) if changed else group
    require_valid(after, targets)
    return Change(group, after, notes=tuple(notes), done=tuple(done))
