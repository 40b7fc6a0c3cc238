"""The outcome of an operation: the group before and after, and what else shall happen.

Operations make a :class:`Change`; :mod:`vmgr.core.plan` turns it into steps; nothing in between
decides anything. Several changes of one group become one with :func:`combine`: a batch in one commit.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from vmgr.core.exchange import ZeroRange
from vmgr.core.ids import Uuid
from vmgr.core.model import VolumeGroup
from vmgr.core.pv import PvLayout
from vmgr.core.tools import ToolRun, WaitUntil


@frozen
class LabelPv:
    """A label to be written on ``device`` (a path); ``zero`` clears its first four sectors before."""

    device: str
    layout: PvLayout
    zero: bool = True


@frozen
class Wipe:
    """What to wipe on a new volume once it is active, before anyone is shown it.

    ``zero``: its first 4 KiB. ``signatures``: what file systems and the like left there.
    """

    lv: Uuid
    zero: bool = True
    signatures: bool = True


@frozen
class Change:
    """One change of one group. ``before`` is None for a new group, ``after`` None for a removed one.

    ``activate``, ``deactivate`` and ``refresh`` are volumes; those that are named in none of them
    stay as they are. In the volumes ``start``, and in those that are refreshed, what the metadata ask for and what
    had to wait (a merge) begins, if nobody has them open. ``labels`` are written first; ``unlabel`` are devices
    (paths) whose labels are wiped last. ``done`` says in LVM2's manner what was done
    ("Logical volume \"x\" created."), printed at the end. PVs that are in ``before`` and not in ``after`` become
    orphans. ``notes`` are for the user. ``takedown``: the metadata cannot be trusted, so ``deactivate`` goes by the
    kernel's tables alone. ``outdated`` are PVs that hold an older text of the group and are in it no longer: they
    are cleared before the commit. ``relabel`` are PVs of the group whose labels are to be brought up to date.
    ``tools`` are programs that are run before the commit, ``waits`` what is waited for at the end.
    ``absent`` are PVs without a device: nothing is written to them. ``handed_over`` are PVs that another group
    takes in the same transaction, ``taken`` those that this one takes from others; ``taken_from`` are these groups
    without those that are removed by that: until they are committed, this one stays exported
    (:mod:`vmgr.core.transaction`). ``needs_active`` are volumes of ``before`` that are activated for the command,
    and put back after it.
    """

    before: VolumeGroup | None
    after: VolumeGroup | None
    activate: tuple[Uuid, ...] = ()
    deactivate: tuple[Uuid, ...] = ()
    refresh: tuple[Uuid, ...] = ()
    start: tuple[Uuid, ...] = ()
    zero: tuple[ZeroRange, ...] = ()
    tools: tuple[ToolRun, ...] = ()
    waits: tuple[WaitUntil, ...] = ()
    wipe: tuple[Wipe, ...] = ()
    labels: tuple[LabelPv, ...] = ()
    unlabel: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    done: tuple[str, ...] = ()
    takedown: bool = False
    outdated: tuple[Uuid, ...] = ()
    relabel: tuple[Uuid, ...] = ()
    absent: tuple[Uuid, ...] = ()
    handed_over: tuple[Uuid, ...] = ()
    taken: tuple[Uuid, ...] = ()
    taken_from: tuple[Uuid, ...] = ()
    needs_active: tuple[Uuid, ...] = ()

    @property
    def changes_metadata(self) -> bool:
        """Whether anything is to be written into the group's metadata."""
        return self.before != self.after


def combine(changes: Iterable[Change]) -> Change:
    """One change for several that follow each other on one group.

    Raises ``ValueError`` where one does not start from what the one before it made.
    """
    items = list(changes)
    result = items[0]
    for item in items[1:]:
        if item.before != result.after:
            raise ValueError("changes do not follow each other")
        gone = () if item.after is None else tuple(lv for lv in result.activate if lv not in item.after.lv_by_id)
        result = evolve(
            result,
            after=item.after,
            activate=tuple(lv for lv in (*result.activate, *item.activate) if lv not in (*gone, *item.deactivate)),
            deactivate=tuple(lv for lv in (*result.deactivate, *item.deactivate) if lv not in item.activate),
            refresh=result.refresh + item.refresh,
            start=result.start + item.start,
            zero=result.zero + item.zero,
            tools=result.tools + item.tools,
            waits=result.waits + item.waits,
            wipe=tuple(w for w in (*result.wipe, *item.wipe) if w.lv not in gone),
            labels=result.labels + item.labels,
            unlabel=result.unlabel + item.unlabel,
            notes=result.notes + item.notes,
            needs_active=result.needs_active + item.needs_active,
            done=result.done + item.done,
        )
    return result
