"""The invariants of the volume model, each with the function that checks it.

A group is valid when:

1. it has a well-formed name, a known allocation policy that is not ``inherit``, and extents of a size that is a
   power of two or a multiple of 128 KiB (:func:`check_group`);
2. it has at least one physical volume, and not more physical or visible logical volumes than its limits
   (:func:`check_counts`);
3. UUIDs are unique (:mod:`vmgr.core.structure`);
4. every volume's name is its own, well-formed and, with the group's, short enough for the kernel; its policy is
   known (:func:`check_names`);
5. to 8. segments cover their volumes, areas lie within what they lie on and apart from each other, references
   lead somewhere and not in a circle (:mod:`vmgr.core.structure`);
9. every target's own rules for its volumes hold (:func:`check_targets`).

:func:`require_valid` runs after every operation, always, on the whole group, so this code is written for speed: the
usual case costs one pass over the volumes, and details are only worked out for what is broken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidGroup
from vmgr.core.exchange import Violation
from vmgr.core.ids import LvName, VgName
from vmgr.core.model import POLICIES
from vmgr.core.structure import broken_rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.model import VolumeGroup
    from vmgr.core.targets import Targets

_VOLUME_POLICIES = frozenset(POLICIES) - {"cling_by_tags"}
_GROUP_POLICIES = _VOLUME_POLICIES - {"inherit"}
_ODD_EXTENT_UNIT = 256
_NAMES_MAX = 124
"""The most characters that a group's and a volume's name may have together (LVM2 ``vg_validate``)."""


def require_valid(group: VolumeGroup, targets: Targets) -> None:
    """Raise :class:`InvalidGroup`, with every violation in its details, unless the group is valid."""
    violations = validate(group, targets)
    if violations:
        raise InvalidGroup(
            f"volume group {group.name} would not be valid: {violations[0].subject}: {violations[0].rule}",
            hint="nothing was changed; this is a fault in vmgr or in a plugin, please report it",
            details=tuple(f"{v.subject}: {v.rule}" for v in violations),
        )


def validate(group: VolumeGroup, targets: Targets | None = None) -> tuple[Violation, ...]:
    """All invariants that ``group`` breaks; without ``targets`` not the targets' own."""
    found = [
        *check_group(group),
        *check_counts(group),
        *check_names(group),
        *(Violation(subject, rule) for subject, rule in broken_rules(group)),
    ]
    # A target may rely on the model's own rules, so it is not asked about a group that breaks them.
    if targets is not None and not found:
        found += check_targets(group, targets)
    return tuple(found)


def check_group(group: VolumeGroup) -> Iterable[Violation]:
    """1. The group's own values."""
    size = int(group.extent_size)
    if size <= 0 or (size & (size - 1) and size % _ODD_EXTENT_UNIT):
        yield Violation(group.name, f"extents of {size} sectors are neither a power of 2 nor a multiple of 128 KiB")
    if group.alloc not in _GROUP_POLICIES:
        yield Violation(group.name, f"allocation policy {group.alloc!r} is none of a group's")
    if type(group.name) is not VgName:
        yield Violation(group.name, "its name has not been checked")


def check_counts(group: VolumeGroup) -> Iterable[Violation]:
    """2. How many physical and logical volumes there are."""
    if not group.pvs:
        yield Violation(group.name, "it has no physical volume")
    if group.max_pv and len(group.pvs) > group.max_pv:
        yield Violation(group.name, f"it has {len(group.pvs)} physical volumes, more than its limit {group.max_pv}")
    if group.max_lv:
        visible = sum(1 for lv in group.lvs if lv.visible)
        if visible > group.max_lv:
            yield Violation(group.name, f"it has {visible} logical volumes, more than its limit {group.max_lv}")


def check_names(group: VolumeGroup) -> Iterable[Violation]:
    """4. Names fit, policies are known. (Characters are checked when an :class:`LvName` is made.)"""
    room = _NAMES_MAX - len(group.name)
    seen: set[str] = set()
    for lv in group.lvs:
        name = lv.name
        if name in seen:
            yield Violation(name, f"two logical volumes have the name {name}")
        seen.add(name)
        if len(name) > room or type(name) is not LvName:
            yield Violation(name, "its name is too long for a device, or has not been checked")
        if lv.alloc not in _VOLUME_POLICIES:
            yield Violation(name, f"allocation policy {lv.alloc!r} is none of a volume's")


def check_targets(group: VolumeGroup, targets: Targets) -> Iterable[Violation]:
    """9. The targets' own rules."""
    check = targets.check_volume
    for lv in group.lvs:
        yield from check(group, lv)
