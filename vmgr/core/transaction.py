"""Several changes, of one or more groups, that are one: checked together, written everywhere, and then committed.

What a cut between two commits leaves depends on what the changes are to each other:

* Groups that share nothing are committed in the order in which they are given. After a cut each is whole, as it
  was or as it shall be.
* Where physical volumes go from one group to another, the one that takes them is committed first, and stays
  exported until the ones that gave are committed: so no volume is ever in two groups that may be used, and none in
  no group (LVM2 ``tools/vgsplit.c``). After a cut :func:`keeper` tells whose the physical volumes are, and
  :func:`finished` what is left to do; the next command that changes one of the groups does it.
* A group that goes into another as a whole (``tools/vgmerge.c``) is not committed itself: the other one's text
  takes the place of its own.

A group that takes physical volumes is committed on these first: whoever looks at the group that gives them finds
the new text there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.change import Change, combine
from vmgr.core.errors import InUse, Refused
from vmgr.core.naming import dm_uuid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup

EXPORTED = "EXPORTED"
"""Word of a group's ``status`` (LVM2 ``lib/format_text/flags.c``)."""


def exported(group: VolumeGroup) -> VolumeGroup:
    """The group as it is written before the final text: one number lower, and not to be used yet."""
    return evolve(group, seqno=group.seqno - 1, status=(EXPORTED, *group.status))


def arranged(changes: Iterable[Change]) -> tuple[Change, ...]:
    """One change for each group, in the order of their commits.

    Changes of one group follow each other, and become one. Raises :class:`~vmgr.core.errors.Refused` where a
    physical or logical volume or a name would be in two groups, or groups would take physical volumes from each
    other.
    """
    by_group: dict[str, list[Change]] = {}
    for change in changes:
        by_group.setdefault(_group(change), []).append(change)
    joined = [combine(of_one) for of_one in by_group.values()]
    if len(joined) == 1:
        return (joined[0],)
    _require_apart(joined)
    givers = {_group(change): [_group(other) for other in joined if _given(other, change)] for change in joined}
    handed = []
    for change in joined:
        takers = [other for other in joined if _group(change) in givers[_group(other)]]
        if takers and change.absent:
            raise Refused(
                f"volume group {_name(change)} misses physical volumes, so none of it can go to another group",
                hint="connect their devices; vgreduce --removemissing gives them up",
            )
        waits_for = tuple(one for one in joined if _group(one) in givers[_group(change)] and one.after is not None)
        handed.append(
            evolve(
                change,
                handed_over=tuple(pv for other in takers for pv in _given(change, other)),
                taken=tuple(pv for other in joined for pv in _given(other, change)),
                taken_from=tuple(one.after.id for one in waits_for if one.after is not None),
            )
        )
    return tuple(_takers_first(handed, givers))


def require_inactive(changes: Sequence[Change], live: Collection[str]) -> None:
    """Raise :class:`~vmgr.core.errors.InUse` for an active volume that goes to another group.

    Its device has the group's UUID. ``live`` are the device-mapper UUIDs of the kernel's devices.
    """
    for change in changes:
        if change.before is None or not change.handed_over:
            continue
        elsewhere = {lv.id for other in changes if other is not change and other.after for lv in other.after.lvs}
        for lv in change.before.lvs:
            own = dm_uuid(change.before.id, lv.id)
            if lv.id in elsewhere and any(uuid.startswith(own) for uuid in live):
                name = f"{change.before.name}/{lv.name}"
                raise InUse(f"logical volume {name} must be inactive", hint=f"deactivate it: lvchange -an {name}")


def _group(change: Change) -> str:
    """Which group a change is of; its UUID may change."""
    group = change.before or change.after
    return group.id if group is not None else ""


def _name(change: Change) -> str:
    group = change.before or change.after
    return group.name if group is not None else ""


def _given(giver: Change, taker: Change) -> tuple[Uuid, ...]:
    """The physical volumes that go from one group to another."""
    if giver is taker or giver.before is None or taker.after is None:
        return ()
    kept = giver.after.pv_by_id if giver.after is not None else {}
    had = taker.before.pv_by_id if taker.before is not None else {}
    return tuple(
        pv.id for pv in giver.before.pvs if pv.id in taker.after.pv_by_id and pv.id not in kept and pv.id not in had
    )


def _require_apart(changes: Iterable[Change]) -> None:
    """Raise :class:`~vmgr.core.errors.Refused` where two groups would have the same name, or the same thing."""
    names: set[str] = set()
    owner: dict[Uuid, str] = {}
    for after in (change.after for change in changes if change.after is not None):
        if after.name in names:
            raise Refused(f"two volume groups would be called {after.name}", hint="choose another name")
        names.add(after.name)
        things = {pv.id: f"physical volume {pv.device}" for pv in after.pvs}
        things |= {lv.id: f"logical volume {lv.name}" for lv in after.lvs}
        for key, what in things.items():
            if key in owner:
                raise Refused(f"{what} would be in two volume groups, {owner[key]} and {after.name}")
            owner[key] = after.name


def _takers_first(changes: Sequence[Change], givers: dict[str, list[str]]) -> list[Change]:
    """In the given order, but whoever takes before whoever gives."""
    order: list[Change] = []
    left = list(changes)
    while left:
        waiting = {giver for change in left for giver in givers[_group(change)]}
        free = next((change for change in left if _group(change) not in waiting), None)
        if free is None:
            names = " and ".join(_name(change) for change in left)
            raise Refused(
                f"volume groups {names} would take physical volumes from each other at once",
                hint="make two changes of it, one after the other",
            )
        order.append(free)
        left.remove(free)
    return order


# -- what a cut leaves ----------------------------------------------------------------------------


def keeper(one: VolumeGroup, other: VolumeGroup, texts: Mapping[Uuid, Collection[Uuid]]) -> VolumeGroup | None:
    """Whose the physical volumes are that two groups have after a cut; None if nothing here explains it.

    ``texts`` has for each physical volume the groups whose newest text is on it. The volumes on what both have must
    be the same: then it was one transaction that brought them there, and whichever group lets go of them loses
    nothing. A group that goes into another is known by the other's text on one of its own physical volumes.
    """
    shared = one.pv_by_id.keys() & other.pv_by_id.keys()
    if not shared:
        return None
    exported = [group for group in (one, other) if group.exported]
    if len(exported) == 1:
        return exported[0] if _on(one, shared) == _on(other, shared) else None
    if exported:
        return None
    for whole, part in ((one, other), (other, one)):
        inside = part.pv_by_id.keys() < whole.pv_by_id.keys() and _on(part, shared) == _on(whole, shared)
        if inside and any(whole.id in texts.get(pv, ()) for pv in part.pv_by_id):
            return whole
    return None


def finished(owner: VolumeGroup, loser: VolumeGroup) -> Change:
    """What is left to do where :func:`keeper` says that ``owner`` has what both list.

    The other one lets go of it; or where all of it went into the owner, that one is written everywhere.
    """
    if not owner.exported:
        return Change(owner, evolve(owner, seqno=owner.seqno + 1))
    after = evolve(
        loser,
        seqno=loser.seqno + 1,
        pvs=tuple(pv for pv in loser.pvs if pv.id not in owner.pv_by_id),
        lvs=tuple(lv for lv in loser.lvs if lv.id not in owner.lv_by_id),
    )
    return Change(loser, after, handed_over=tuple(pv.id for pv in loser.pvs if pv.id in owner.pv_by_id))


def _on(group: VolumeGroup, pvs: Collection[Uuid]) -> dict[Uuid, object]:
    """The volumes that lie on ``pvs``, on them directly or on others that do, each with what it consists of."""
    todo = [lv for lv in group.lvs if any(getattr(area, "pv", None) in pvs for area in lv.areas())]
    found: dict[Uuid, object] = {}
    while todo:
        lv = todo.pop()
        if lv.id not in found:
            found[lv.id] = lv.segments
            todo.extend(group.referrers.get(lv.id, ()))
    return found
