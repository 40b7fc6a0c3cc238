"""The values of the columns of logical volumes: a function for each, of the volume and its group.

A function returns the raw value of its column's kind, or None. Target plugins provide the other
columns: :func:`fact`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.ids import Uuid
from vmgr.core.model import UnknownBody
from vmgr.core.naming import dm_name
from vmgr.report.catalog import UNKNOWN
from vmgr.report.facts import POLICY_LETTERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.model import LogicalVolume
    from vmgr.core.table import LiveDevice
    from vmgr.report.facts import Context, Facts, GroupFacts
    from vmgr.report.rows import Rows

    VolumeValue = Callable[[GroupFacts, LogicalVolume], object]


def has(lv: LogicalVolume, word: str) -> bool:
    """Whether a status word is set; LVM2 keeps some in ``status`` and some in ``flags``."""
    return word in lv.status or word in lv.flags


# -- lv_attr --------------------------------------------------------------------------------------


def attr(g: GroupFacts, lv: LogicalVolume) -> str:
    """The ten letters (``lvs(8)``; ``lib/metadata/lv.c``, ``lv_attr_dup_with_info_and_seg_status``)."""
    if not lv.name:
        return ""  # free extents, which LVM2 shows as a volume without a name
    live = g.live(lv)
    facts = g.facts(lv)
    if live is None and facts is None and not g.missing:
        known = g.ctx.attrs
        key = (lv.status, lv.flags, lv.alloc)
        text = known.get(key)
        if text is None:
            text = known[key] = _letters(g, lv, None, None)
        return text
    return _letters(g, lv, live, facts)


def _letters(g: GroupFacts, lv: LogicalVolume, live: LiveDevice | None, facts: Facts | None) -> str:
    moving = has(lv, "PVMOVE")
    if moving:
        kind, target = "p", "m"
    else:
        unknown = lv.shape is None and any(isinstance(s.body, UnknownBody) for s in lv.segments)
        kind = "c" if has(lv, "CONVERTING") else (facts.kind if facts else "") or "-"
        target = (facts.target if facts else "") or ("u" if unknown else "-")
    if moving:
        access = "-"
    elif "WRITE" in lv.status:
        access = "R" if live is not None and live.read_only else "w"
    else:
        access = "r" if "READ" in lv.status else "-"
    policy = POLICY_LETTERS.get(lv.alloc, "-")
    if has(lv, "LOCKED"):
        policy = policy.upper()
    minor = "m" if has(lv, "FIXED_MINOR") else "-"
    state = used = "-" if g.ctx.known else "X"
    if live is not None:
        used = "o" if live.open_count else "-"
        if live.suspended:
            state = "s"
        elif live.has_live:
            state = "a"
        else:
            state = "i" if live.has_inactive else "d"
        if live.has_live and facts is not None and facts.state:
            state = facts.state[-1] if live.suspended else facts.state[0]
    zero = (facts.zero if facts else "") or "-"
    health = "p" if g.is_partial(lv) else (facts.health if facts else "") or "-"
    skip = "k" if has(lv, "ACTIVATION_SKIP") else "-"
    return kind + access + policy + minor + state + used + target + zero + health + skip


# -- single columns -------------------------------------------------------------------------------


def _words(*words: str) -> Callable[[GroupFacts, LogicalVolume], bool]:
    return lambda g, lv: any(has(lv, word) for word in words)


def _extra(g: GroupFacts, lv: LogicalVolume) -> str:
    return next((str(value) for key, value in lv.extra if key == "lock_args"), "")


def _layout(g: GroupFacts, lv: LogicalVolume) -> object:
    facts = g.facts(lv)
    given = facts.values.get("lv_layout") if facts else None
    return given or tuple(sorted({g.segtype(lv, s) for s in lv.segments})) or ("unknown",)


def _role(g: GroupFacts, lv: LogicalVolume) -> object:
    facts = g.facts(lv)
    given = facts.values.get("lv_role", ()) if facts else ()
    assert isinstance(given, tuple)
    if given[:1] in (("public",), ("private",)):
        return given
    return ("public" if lv.visible else "private", *given)


def _parent(g: GroupFacts, lv: LogicalVolume) -> str:
    over = [] if lv.visible else [o for o in g.referrers.get(lv.id, ()) if not g.is_bookkeeping(o)]
    return g.lv_name(over[0].id) if len(over) == 1 else ""


def _path(g: GroupFacts, lv: LogicalVolume) -> str:
    return f"{g.ctx.dev_dir}/{g.name}/{lv.name}" if g.name and lv.visible else ""


def _dm_path(g: GroupFacts, lv: LogicalVolume) -> str:
    return f"{g.ctx.dev_dir}/mapper/{dm_name(g.name, lv.name)}" if g.name else ""


def _permissions(g: GroupFacts, lv: LogicalVolume) -> str:
    if has(lv, "PVMOVE"):
        return ""
    if "WRITE" in lv.status:
        live = g.live(lv)
        if live is None:
            return "unknown"
        return "read-only-override" if live.read_only else "writeable"
    return "read-only" if "READ" in lv.status else "unknown"


def _active(g: GroupFacts, lv: LogicalVolume) -> str:
    if not g.ctx.known:
        return "unknown"
    return "active" if g.live(lv) is not None else ""


def _active_here(g: GroupFacts, lv: LogicalVolume) -> bool | None:
    return g.live(lv) is not None if g.ctx.known else None


def _of_live(what: Callable[[LiveDevice], object], otherwise: object) -> VolumeValue:
    def value(g: GroupFacts, lv: LogicalVolume) -> object:
        live = g.live(lv)
        return otherwise if live is None else what(live)

    return value


def _kernel_read_ahead(g: GroupFacts, lv: LogicalVolume) -> int:
    live = g.live(lv)
    if live is None or g.ctx.read_ahead is None:
        return UNKNOWN
    sectors = g.ctx.read_ahead(live.major, live.minor)
    return UNKNOWN if sectors is None else sectors


def _moving_pv(g: GroupFacts, lv: LogicalVolume) -> Uuid | None:
    if not has(lv, "PVMOVE"):
        return None
    for segment in lv.segments:
        for area in segment.body.areas:
            pv: Uuid | None = getattr(area, "pv", None)
            if pv is not None:
                return pv
    return None


def _move_pv(g: GroupFacts, lv: LogicalVolume) -> str:
    pv = _moving_pv(g, lv)
    return "" if pv is None else g.device(pv)


def _move_pv_uuid(g: GroupFacts, lv: LogicalVolume) -> str:
    pv = _moving_pv(g, lv)
    return "" if pv is None else pv.dashed


def _health(g: GroupFacts, lv: LogicalVolume) -> object:
    if g.is_partial(lv):
        return "partial"
    facts = g.facts(lv)
    return facts.values.get("lv_health_status", "") if facts else ""


VALUES: dict[str, VolumeValue] = {
    "lv_uuid": lambda g, lv: lv.id.dashed if lv.id else "",
    "lv_name": lambda g, lv: lv.name,
    "lv_full_name": lambda g, lv: f"{g.name}/{lv.name}",
    "lv_path": _path,
    "lv_dm_path": _dm_path,
    "lv_parent": _parent,
    "lv_layout": _layout,
    "lv_role": _role,
    "lv_converting": _words("CONVERTING"),
    "lv_allocation_policy": lambda g, lv: lv.alloc or "unknown",
    "lv_allocation_locked": _words("LOCKED"),
    "lv_fixed_minor": _words("FIXED_MINOR"),
    "lv_skip_activation": _words("ACTIVATION_SKIP"),
    "lv_autoactivation": lambda g, lv: not has(lv, "NOAUTOACTIVATE"),
    "lv_active": _active,
    "lv_active_locally": _active_here,
    "lv_active_remotely": lambda g, lv: False if g.ctx.known else None,
    "lv_active_exclusively": _active_here,
    "lv_major": lambda g, lv: UNKNOWN if lv.major is None else lv.major,
    "lv_minor": lambda g, lv: UNKNOWN if lv.minor is None else lv.minor,
    "lv_read_ahead": lambda g, lv: "auto" if lv.read_ahead is None else lv.read_ahead,
    "lv_size": lambda g, lv: int(lv.size) * g.extent_size,
    "seg_count": lambda g, lv: len(lv.segments),
    "lv_ancestors": lambda g, lv: tuple(g.ancestors(lv)),
    "lv_full_ancestors": lambda g, lv: tuple(g.ancestors(lv)),
    "lv_descendants": lambda g, lv: tuple(g.descendants(lv)),
    "lv_full_descendants": lambda g, lv: tuple(g.descendants(lv)),
    "move_pv": _move_pv,
    "move_pv_uuid": _move_pv_uuid,
    "lv_tags": lambda g, lv: tuple(sorted(lv.tags)),
    "lv_profile": lambda g, lv: lv.profile,
    "lv_lockargs": _extra,
    "lv_time": lambda g, lv: lv.created,
    "lv_time_removed": lambda g, lv: 0,
    "lv_host": lambda g, lv: lv.host,
    "lv_kernel_major": _of_live(lambda live: live.major, UNKNOWN),
    "lv_kernel_minor": _of_live(lambda live: live.minor, UNKNOWN),
    "lv_kernel_read_ahead": _kernel_read_ahead,
    "lv_permissions": _permissions,
    "lv_suspended": _of_live(lambda live: live.suspended, None),
    "lv_live_table": _of_live(lambda live: live.has_live, None),
    "lv_inactive_table": _of_live(lambda live: live.has_inactive, None),
    "lv_device_open": _of_live(lambda live: live.open_count > 0, None),
    "lv_health_status": _health,
    "lv_attr": attr,
}
"""The value of each column that the core knows."""

OF_MOVES = ("move_pv", "move_pv_uuid")
"""Columns that are empty for every volume that is not being moved."""

LIVE = frozenset(("lv_active", "lv_active_locally", "lv_active_remotely", "lv_active_exclusively"))
"""Columns of the first section that need to know what the kernel has, all the same."""


# -- many volumes at once -------------------------------------------------------------------------


def names(ctx: Context, lvs: list[LogicalVolume]) -> list[str]:
    """``lv_name`` as it is shown."""
    if not ctx.mark_hidden:
        return [lv.name for lv in lvs]
    return [lv.name if "VISIBLE" in lv.status or not lv.name else f"[{lv.name}]" for lv in lvs]


def attrs(rows: Rows) -> list[str]:
    """``lv_attr``: worked out once for volumes that are alike, inactive and of a kind that adds nothing."""
    groups, lvs = rows.groups, rows.lvs
    if rows.ctx.live or any(g.missing for g in dict.fromkeys(groups)):
        return [attr(g, lv) for g, lv in zip(groups, lvs, strict=True)]
    alike = [(lv.status, lv.flags, lv.alloc) for lv in lvs]
    speaking = frozenset(rows.speaking())
    ones = {key: at for at, key in enumerate(alike) if at not in speaking}
    known = {key: attr(groups[at], lvs[at]) for key, at in ones.items()}
    found = [known.get(key, "") for key in alike]
    for at in speaking:
        found[at] = attr(groups[at], lvs[at])
    return found


def moving(lvs: list[LogicalVolume]) -> bool:
    """Whether any of them is being moved, and so has values for :data:`OF_MOVES`."""
    return any("PVMOVE" in lv.status or "PVMOVE" in lv.flags for lv in lvs)


def sizes(groups: list[GroupFacts], lvs: list[LogicalVolume]) -> list[int]:
    """``lv_size`` in sectors."""
    # A plain product, because that of the unit classes checks its factors, which takes long for ten thousand
    # volumes.
    return [int.__mul__(lv.size, g.extent_size) for g, lv in zip(groups, lvs, strict=True)]


# -- what plugins say -----------------------------------------------------------------------------


def fact(name: str, absent: object) -> VolumeValue:
    """The value function of a column that plugins fill."""
    if name.endswith("_uuid"):
        base = name.removesuffix("_uuid")

        def uuid(g: GroupFacts, lv: LogicalVolume) -> object:
            facts = g.facts(lv)
            value = facts.values.get(base) if facts else None
            return value.dashed if isinstance(value, Uuid) else absent

        return uuid

    def value(g: GroupFacts, lv: LogicalVolume) -> object:
        facts = g.facts(lv)
        found = facts.values.get(name) if facts else None
        if found is None:
            return absent
        return g.lv_name(found) if isinstance(found, Uuid) else found

    return value
