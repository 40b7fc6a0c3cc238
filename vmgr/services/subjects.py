"""Which groups and volumes a command's words mean, and carrying on when one of several fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from vmgr.core.errors import Interrupted, NotFound, Refused, StoppedHalfway, VmgrError
from vmgr.core.ids import Tag
from vmgr.orders import Outcome

if TYPE_CHECKING:
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.requests import PvRange
    from vmgr.core.view import GroupView, PvView
    from vmgr.orders import PvChoice, Subject
    from vmgr.session import Session


class Chosen:
    """The volumes of one group that a command means: all of them, or those of some names or tags."""

    def __init__(self, vg: str) -> None:
        self.vg = vg
        self.whole = False
        self.names: dict[str, None] = {}
        self.tags: dict[str, None] = {}

    @classmethod
    def all(cls, vg: str) -> Chosen:
        """All volumes of a group."""
        chosen = cls(vg)
        chosen.whole = True
        return chosen

    def volumes(self, group: VolumeGroup, *, hidden: bool = False) -> list[LogicalVolume]:
        """The volumes meant, in the order named. Raises :class:`NotFound` for a name that is not there."""
        if self.whole or set(self.tags) & set(group.tags):
            return [lv for lv in group.lvs if lv.visible or hidden]
        found: dict[str, LogicalVolume] = {}
        for name in self.names:
            volume = group.lv_by_name.get(name)
            if volume is None:
                raise NotFound(
                    f"logical volume {group.name}/{name} not found", hint=f"lvs {group.name} lists its volumes"
                )
            found.setdefault(volume.id, volume)
        for lv in group.lvs:
            if lv.visible and set(self.tags) & set(lv.tags):
                found.setdefault(lv.id, lv)
        return list(found.values())


def choose(
    session: Session, subjects: Sequence[Subject], *, all_if_none: bool = True, exported: bool = False
) -> list[Chosen]:
    """The groups that ``subjects`` mean, sorted by name, each with its volumes. Tags are looked up everywhere.

    An exported group is meant only where it is named, or where the command takes it (``exported``), as in LVM2.
    What is found by tag is found without a lock; the caller looks again under the group's lock.
    """
    found: dict[str, Chosen] = {}
    tags: list[str] = []
    for subject in subjects:
        if subject.tag:
            tags.append(Tag(subject.tag))
            continue
        chosen = found.setdefault(subject.vg, Chosen(subject.vg))
        if subject.lv:
            chosen.names.setdefault(subject.lv)
        else:
            chosen.whole = True
    if tags or (not subjects and all_if_none):
        for view in read_all(session):
            group = view.group
            if group.exported and not exported:
                continue
            if not subjects:
                found.setdefault(group.name, Chosen(group.name)).whole = True
                continue
            held = set(group.tags).union(*(lv.tags for lv in group.lvs))
            for tag in tags:
                if tag in held:
                    found.setdefault(group.name, Chosen(group.name)).tags.setdefault(tag)
        for tag in tags:
            if not any(tag in chosen.tags for chosen in found.values()):
                raise NotFound(f"nothing carries the tag @{tag}")
    return [found[name] for name in sorted(found)]


def read_all(session: Session) -> tuple[GroupView, ...]:
    """All groups of this host, as they are without a group's lock."""
    with session.locks.all_groups():
        return tuple(view for view in session.view().groups if not view.foreign)


def for_each(subjects: Iterable[Chosen], act: Callable[[Chosen], Outcome]) -> Outcome:
    """Do ``act`` for each subject; an error of one does not keep the others from being done.

    The only subject's error is raised as it is.
    """
    items = list(subjects)
    outcome = Outcome()
    for item in items:
        try:
            outcome += act(item)
        except Interrupted:
            raise
        except VmgrError as error:
            if len(items) == 1:
                raise
            outcome += Outcome(errors=(error,))
    return outcome


T = TypeVar("T")


def together_or_apart(items: Sequence[T], act: Callable[[Sequence[T]], Outcome]) -> Outcome:
    """Do all ``items`` in one change; if that cannot be, one after the other, so that only the culprits fail."""
    if not items:
        return Outcome()
    try:
        return act(items)
    except (Interrupted, StoppedHalfway):
        raise
    except VmgrError:
        if len(items) == 1:
            raise
    outcome = Outcome()
    for item in items:
        try:
            outcome += act([item])
        except Interrupted:
            raise
        except VmgrError as error:
            outcome += Outcome(errors=(error,))
    return outcome


def pv_ranges(view: GroupView, choices: Sequence[PvChoice]) -> tuple[PvRange, ...]:
    """Physical volumes named on a command line, as identities.

    Raises :class:`NotFound` for one that the group does not have, :class:`Refused` for a tag that none carries.
    """
    from vmgr.core.requests import PvRange
    from vmgr.core.sizes import parse_pv_ranges

    found: list[PvRange] = []
    for choice in choices:
        if choice.tag:
            tagged = [pv for pv in view.group.pvs if choice.tag in pv.tags]
            if not tagged:
                raise Refused(f"no physical volume of {view.group.name} carries the tag @{choice.tag}")
            found += [PvRange(pv.id) for pv in tagged]
            continue
        pv = member(view, choice.device)
        count = view.group.pv_by_id[pv.id].pe_count
        found.append(PvRange(pv.id, parse_pv_ranges(choice.ranges, count) if choice.ranges else ()))
    return tuple(found)


def member(view: GroupView, device: str) -> PvView:
    """The group's physical volume on ``device``, by whatever path of it. Raises :class:`NotFound`."""
    for pv in view.pvs.values():
        if device == pv.device or device in pv.aliases or _number(device) == (pv.major, pv.minor):
            return pv
    raise NotFound(
        f"physical volume {device!r} is not in volume group {view.group.name}",
        hint=f"pvs -S vg_name={view.group.name} lists the ones that are",
    )


def _number(path: str) -> tuple[int, int] | None:
    from vmgr.system.devices import device_number

    return device_number(path)
