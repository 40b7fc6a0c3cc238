"""Why a group may not be used, by what its own metadata say: refusals that readers and operations share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import GroupUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.model import PhysicalVolume, VolumeGroup


TOLD = 5
"""So many volumes a message names."""


def lock_manager(group: VolumeGroup) -> str:
    """What keeps hosts apart that share the group (``sanlock``, ``dlm``, ``idm``, ``clvm``); empty for a local one.

    ``clvm`` stands for the CLUSTERED flag, which lvmlockd's predecessor used (``lvmlockd(8)``).
    """
    if group.lock_type not in ("", "none"):
        return group.lock_type
    return "clvm" if "CLUSTERED" in group.status else ""


def require_local(group: VolumeGroup) -> None:
    """Raise :class:`GroupUnusable` for a group that several hosts may use, under locks that vmgr cannot take.

    Without them nobody knows whether another host has its volumes active.
    """
    manager = lock_manager(group)
    if not manager:
        return
    name = group.name
    alone = f"if no other host uses it any more: LVM2's vgchange --locktype none --lockopt force {name}"
    if manager == "clvm":
        raise GroupUnusable(
            f"cannot access clustered volume group {name}: it needs the locks of clvmd, which there are no more",
            hint=f"lvmlockd(8) tells how it becomes a shared group; {alone}",
        )
    raise GroupUnusable(
        f"cannot access volume group {name}: its lock type {manager}"
        " requires lvmlockd, whose locks vmgr does not take",
        hint=f"use LVM2's tools where lvmlockd runs (vgchange --lockstart {name}); {alone}",
    )


def require_ours(group: VolumeGroup) -> None:
    """Raise :class:`GroupUnusable` for a group that another host owns; that it does the caller knows."""
    owner = group.system_id
    raise GroupUnusable(
        f"cannot access volume group {group.name}: it belongs to system ID {owner!r}, another host's",
        hint="use it on that host; or take it over, if that host has lost it: LVM2's vgchange --systemid NEW_ID"
        f" --config 'local/extra_system_ids=[\"{owner}\"]' {group.name}, see lvmsystemid(7)",
    )


def require_known(group: VolumeGroup, what: str = "change") -> None:
    """Raise :class:`GroupUnusable` for a group with volumes of types that no plugin knows, naming them."""
    if not group.has_unknown:
        return
    from vmgr.core.kinds import way_out
    from vmgr.core.model import UnknownBody

    found: dict[str, str] = {}
    for lv in group.lvs:
        for segment in lv.segments:
            if isinstance(segment.body, UnknownBody):
                found.setdefault(lv.name, segment.body.type_word)
    names = [f"{name} ({word})" for name, word in found.items()]
    told = ", ".join(names[:TOLD]) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")
    raise GroupUnusable(
        f"cannot {what} volume group {group.name}: it has volumes of types that no installed plugin knows: {told}",
        hint=way_out(found.values(), f"lvm vgck {group.name}" if what == "check" else ""),
    )


def require_imported(group: VolumeGroup) -> None:
    """Raise :class:`GroupUnusable` for an exported group."""
    if group.exported:
        raise GroupUnusable(
            f"volume group {group.name} is exported",
            hint=f"bring it back with LVM2's own: lvm vgimport {group.name}",
        )


def require_complete(group: VolumeGroup, missing: Iterable[PhysicalVolume]) -> None:
    """Raise :class:`GroupUnusable` for what is not changed while physical volumes of a group are ``missing``.

    What only takes away or describes (removing volumes, their attributes, tags, adding PVs) is; the list is LVM2's.
    """
    lost = tuple(missing)
    if not lost:
        return
    names = ", ".join(f"{pv.id.dashed}{f' ({pv.device})' if pv.device else ''}" for pv in lost)
    raise GroupUnusable(
        f"cannot change volume group {group.name} while PVs are missing: {names}",
        hint=f"connect their devices (vgextend --restoremissing {group.name} DEVICE takes back one that is marked"
        f" so), or drop them: vgreduce --removemissing {group.name}",
    )


def require_writable(group: VolumeGroup) -> None:
    """Raise :class:`GroupUnusable` for a group whose metadata say that they must not be written."""
    if "WRITE" not in group.status:
        raise GroupUnusable(f"volume group {group.name} is read-only")
