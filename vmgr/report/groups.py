"""The values of the columns of volume groups: a function for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report.facts import POLICY_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.view import MdaView
    from vmgr.report.facts import GroupFacts

    GroupValue = Callable[[GroupFacts], object]

SHARED_LOCKS = ("sanlock", "dlm", "idm")


def _has(g: GroupFacts, word: str) -> bool:
    return word in g.group.status or word in g.group.flags


def _shared(g: GroupFacts) -> bool:
    return g.group.lock_type in SHARED_LOCKS


def attr(g: GroupFacts) -> str:
    """The six letters (``vgs(8)``; ``lib/metadata/vg.c``, ``vg_attr_dup``)."""
    return (
        ("w" if "WRITE" in g.group.status else "r")
        + ("z" if _has(g, "RESIZEABLE") else "-")
        + ("x" if g.group.exported else "-")
        + ("p" if g.missing else "-")
        + POLICY_LETTERS.get(g.group.alloc, "-")
        + ("c" if _has(g, "CLUSTERED") else "s" if _shared(g) else "-")
    )


def snapshots(g: GroupFacts) -> int:
    """The number of volumes whose first letter says that they have copy-on-write space of their own.

    Only volumes that others refer to can have it, so plugins are not asked about the rest.
    """
    referred = [g.group.lv_by_id[lv] for lv in g.referrers if lv in g.group.lv_by_id]
    return sum(1 for lv in referred if (facts := g.facts(lv)) is not None and facts.kind in ("s", "S"))


def mdas(g: GroupFacts) -> list[MdaView]:
    """Metadata areas of the physical volumes that were found, ignored ones included."""
    return [mda for pv in g.view.pvs.values() for mda in pv.mdas]


def in_use(areas: list[MdaView]) -> list[MdaView]:
    """The areas that are in use, not ignored."""
    return [mda for mda in areas if not mda.area.ignored]


def least_free(areas: list[MdaView]) -> int:
    """Free space of the fullest area, in sectors; 0 without any. Ignored ones count as full, as LVM2 does not
    read them."""
    return min((0 if mda.area.ignored else int(mda.free) // 512 for mda in areas), default=0)


def least_size(areas: list[MdaView]) -> int:
    """Size of the smallest area, in sectors; 0 without any."""
    return min((int(mda.area.size) // 512 for mda in areas), default=0)


def lock_args(g: GroupFacts) -> str:
    """The group's arguments of the lock manager."""
    return next((str(value) for key, value in g.group.extra if key == "lock_args"), "")


VALUES: dict[str, GroupValue] = {
    "vg_fmt": lambda g: "lvm2",
    "vg_uuid": lambda g: g.group.id.dashed if g.group.id else "",
    "vg_name": lambda g: g.name,
    "vg_attr": attr,
    "vg_permissions": lambda g: "writeable" if "WRITE" in g.group.status else "read-only",
    "vg_extendable": lambda g: _has(g, "RESIZEABLE"),
    "vg_exported": lambda g: g.group.exported,
    "vg_autoactivation": lambda g: not _has(g, "NOAUTOACTIVATE"),
    "vg_partial": lambda g: bool(g.missing),
    "vg_allocation_policy": lambda g: g.group.alloc or "unknown",
    "vg_clustered": lambda g: _has(g, "CLUSTERED"),
    "vg_shared": _shared,
    "vg_size": lambda g: g.extents * g.extent_size,
    "vg_free": lambda g: g.free * g.extent_size,
    "vg_sysid": lambda g: g.group.system_id,
    "vg_systemid": lambda g: g.group.system_id,
    "vg_lock_type": lambda g: "" if g.group.lock_type == "none" else g.group.lock_type,
    "vg_lock_args": lock_args,
    "vg_extent_size": lambda g: g.extent_size,
    "vg_extent_count": lambda g: g.extents,
    "vg_free_count": lambda g: g.free,
    "max_lv": lambda g: g.group.max_lv,
    "max_pv": lambda g: g.group.max_pv,
    "pv_count": lambda g: len(g.group.pvs),
    "vg_missing_pv_count": lambda g: len(g.missing),
    "lv_count": lambda g: sum("VISIBLE" in lv.status for lv in g.group.lvs),
    "snap_count": snapshots,
    "vg_seqno": lambda g: g.group.seqno,
    "vg_tags": lambda g: tuple(sorted(g.group.tags)),
    "vg_profile": lambda g: g.group.profile,
    "vg_mda_count": lambda g: len(mdas(g)),
    "vg_mda_used_count": lambda g: len(in_use(mdas(g))),
    "vg_mda_free": lambda g: least_free(in_use(mdas(g))),
    "vg_mda_size": lambda g: least_size(in_use(mdas(g))),
    "vg_mda_copies": lambda g: g.group.metadata_copies or "unmanaged",
}
"""The value of each column."""
