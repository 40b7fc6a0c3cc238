"""What every operation checks first, and small steps that several of them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import AlreadyExists, GroupUnusable, InvalidGroup, InvalidName, NotFound, Refused, UsageError
from vmgr.core.ids import LvName
from vmgr.core.model import POLICIES
from vmgr.core.naming import dm_name
from vmgr.core.usable import (
    require_complete,
    require_imported,
    require_known,
    require_local,
    require_ours,
    require_writable,
)

if TYPE_CHECKING:
    from vmgr.core.exchange import Built
    from vmgr.core.ids import Tag, Uuid
    from vmgr.core.model import LogicalVolume, Segment, VolumeGroup
    from vmgr.core.requests import Request, Stamp
    from vmgr.core.targets import Targets


# -- may it be changed ----------------------------------------------------------------------------


def require_changeable(
    group: VolumeGroup,
    *,
    host: str | None = None,
    exported: bool = False,
    missing: bool = False,
    unknown: bool = False,
    resize: bool = False,
) -> None:
    """Raise :class:`GroupUnusable` unless the group's metadata may be changed.

    ``host`` is this host's system ID; None leaves foreign groups to the caller. ``exported``, ``missing`` and
    ``unknown`` allow a group that is exported, has PVs marked missing, or has segments of unknown types.
    ``resize`` demands the flag that lets PVs come and go.
    """
    name = group.name
    if host is not None and group.system_id and group.system_id != host:
        require_ours(group)
    require_local(group)
    if not exported:
        require_imported(group)
    require_writable(group)
    if resize and "RESIZEABLE" not in group.status:
        raise GroupUnusable(f"volume group {name} is not resizeable", hint=f"allow it: vgchange -xy {name}")
    if not missing:
        require_complete(group, (pv for pv in group.pvs if pv.missing))
    if not unknown:
        require_known(group)


def find_volume(group: VolumeGroup, lv: Uuid) -> LogicalVolume:
    """The volume ``lv`` of the group. Raises :class:`NotFound`."""
    volume = group.lv_by_id.get(lv)
    if volume is None:
        raise NotFound(f"no logical volume with UUID {lv.dashed} in volume group {group.name}")
    return volume


def require_visible(
    group: VolumeGroup,
    volume: LogicalVolume,
    what: str,
    request: Request | None = None,
    targets: Targets | None = None,
) -> None:
    """Raise :class:`Refused` for a hidden volume: it changes only together with the one that it is part of.

    That one's plugin may let ``request`` be made of it all the same.
    """
    if not volume.visible:
        if request is not None and targets is not None and targets.may_change(group, volume, request):
            return
        owners = [lv.name for lv in group.referrers.get(volume.id, ()) if lv.visible]
        hint = f"it is part of {', '.join(owners)}: use that" if owners else "use the volume that it is part of"
        raise Refused(f"cannot {what} internal logical volume {full_name(group, volume)}", hint=hint)


def require_unlocked(group: VolumeGroup, volume: LogicalVolume, what: str) -> None:
    """Raise :class:`Refused` for a volume that is being moved."""
    if "LOCKED" in volume.status:
        raise Refused(
            f"cannot {what} locked logical volume {full_name(group, volume)}",
            hint="wait until pvmove is done with it, or stop that: pvmove --abort",
        )


# -- names ----------------------------------------------------------------------------------------


def full_name(group: VolumeGroup, volume: LogicalVolume) -> str:
    """``vg/lv``, as messages name a volume."""
    return f"{group.name}/{volume.name}"


def require_free_name(group: VolumeGroup, name: str) -> LvName:
    """``name`` as a new volume's: well-formed, not reserved, not taken, and short enough for the kernel."""
    chosen = LvName.chosen(name)
    if chosen in group.lv_by_name:
        raise AlreadyExists(
            f'logical volume "{chosen}" already exists in volume group "{group.name}"',
            hint=f"choose another name; lvs -a {group.name} lists those in use",
        )
    require_device_name(group.name, chosen)
    return chosen


def require_device_name(group: str, volume: str) -> None:
    """Raise :class:`InvalidName` for a volume whose devices' names would be too long.

    LVM2 counts without doubled hyphens and refuses from 125 on (``lib/metadata/metadata.c``, ``vg_validate``).
    """
    if len(group) + len(volume) + 3 >= 128:
        raise InvalidName(
            f"the names {group}/{volume} are too long together",
            hint="both together may have 124 characters; hyphens count twice in device names",
        )
    dm_name(group, volume)


def next_name(group: VolumeGroup, stem: str = "lvol") -> LvName:
    """The name that LVM2 would choose: ``stem`` and one more than the highest number in use after it."""
    import re

    number = re.compile(re.escape(stem) + r"([+-]?\d+)", re.ASCII).match
    highest = -1
    for name in group.lv_by_name:
        match = number(name)
        if match:
            highest = max(highest, int(match.group(1)))
    return require_free_name(group, f"{stem}{highest + 1}")


# -- values ---------------------------------------------------------------------------------------


def require_policy(policy: str | None, *, inherit: bool = True) -> None:
    """Raise :class:`UsageError` for a word that is no allocation policy of the kind asked for."""
    if policy is None:
        return
    known = [p for p in POLICIES if p != "cling_by_tags" and (inherit or p != "inherit")]
    if policy not in known:
        if policy == "inherit":
            raise UsageError("a volume group's allocation policy cannot inherit from anything")
        raise UsageError(f"unknown allocation policy {policy!r}", hint=f"use one of {', '.join(known)}")


def changed_tags(tags: tuple[Tag, ...], add: tuple[Tag, ...], remove: tuple[Tag, ...]) -> tuple[Tag, ...]:
    """``tags`` with those of ``add``, each once, and without those of ``remove``."""
    kept = dict.fromkeys((*tags, *add))
    return tuple(tag for tag in kept if tag not in remove)


_STATUS_ORDER = (
    "READ",
    "WRITE",
    "FIXED_MINOR",
    "VISIBLE",
    "PVMOVE",
    "LOCKED",
    "NOTSYNCED",
    "REBUILD",
    "WRITEMOSTLY",
)
"""The order of a volume's status words in the metadata text (LVM2 ``lib/format_text/flags.c``)."""


def with_flag(words: tuple[str, ...], word: str, on: bool) -> tuple[str, ...]:
    """``words`` with or without ``word``; a new one goes where LVM2 writes it."""
    kept = [w for w in words if w != word]
    if not on:
        return tuple(kept)
    if word not in _STATUS_ORDER:
        return (*kept, word)
    rank = _STATUS_ORDER.index(word)
    place = next((i for i, w in enumerate(kept) if w in _STATUS_ORDER and _STATUS_ORDER.index(w) > rank), len(kept))
    return (*kept[:place], word, *kept[place:])


# -- putting together -----------------------------------------------------------------------------


def in_text_order(group: VolumeGroup) -> VolumeGroup:
    """The group with visible volumes before hidden ones, which is how LVM2 writes and so orders them."""
    hidden = False
    for lv in group.lvs:
        if not lv.visible:
            hidden = True
        elif hidden:
            break
    else:
        return group
    return evolve(group, lvs=(*(lv for lv in group.lvs if lv.visible), *(lv for lv in group.lvs if not lv.visible)))


def joined(group: VolumeGroup, volume: LogicalVolume, targets: Targets) -> LogicalVolume:
    """The volume with neighbouring segments made one wherever their target can."""
    segments: list[Segment] = []
    for segment in volume.segments:
        if segments and segments[-1].tags == segment.tags and segments[-1].extra == segment.extra:
            last = segments[-1]
            body = targets.join(group, last, segment)
            if body is not None:
                segments[-1] = evolve(last, length=last.length + segment.length, body=body)
                continue
        segments.append(segment)
    if len(segments) == len(volume.segments):
        return volume
    return evolve(volume, segments=tuple(segments))


def require_fresh(group: VolumeGroup, stamp: Stamp) -> None:
    """Raise :class:`InvalidGroup` for a stamp that was used before: its volume would replace another."""
    if stamp.uuid(0) in group.lv_by_id:
        raise InvalidGroup(
            f"volume group {group.name} has a volume with the UUID that a new one would get",
            hint="nothing was changed; this is a fault in vmgr (each change of a batch needs a stamp of its own)",
        )


def with_built(group: VolumeGroup, built: Built, targets: Targets) -> VolumeGroup:
    """The group with what a plugin made of it."""
    after = group.without_lv(*built.removed) if built.removed else group
    after = after.with_lv(*built.volumes)
    rejoined = [new for lv in built.volumes if (new := joined(after, lv, targets)) is not lv]
    return in_text_order(after.with_lv(*rejoined) if rejoined else after)
