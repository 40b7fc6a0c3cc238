"""Which groups and volumes a command's words mean, and carrying on when one of several fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from vmgr.core.errors import Interrupted, StoppedHalfway, VmgrError
from vmgr.core.ids import GroupName, Tag
from vmgr.outcome import Outcome

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.subject import Subject
    from vmgr.core.view import GroupView
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
            volume = group.volume(name)
            found.setdefault(volume.id, volume)
        for lv in group.lvs:
            if lv.visible and set(self.tags) & set(lv.tags):
                found.setdefault(lv.id, lv)
        return list(found.values())


def choose(
    session: Session,
    subjects: Sequence[Subject],
    *,
    all_if_none: bool = True,
    reading: bool = False,
    leaving: bool = False,
) -> list[Chosen]:
    """The groups that ``subjects`` mean, sorted by name, each with its volumes. Tags are looked up everywhere.

    A group that is exported, or that hosts share under locks, is meant only where it is named, as in LVM2, or where
    the command only reads (``reading``). A command that only lets go of devices (``leaving``) also means shared
    groups, and those of other hosts that are active here. What is found by tag is found without a lock; the
    caller looks again under the group's lock.
    """
    from vmgr.core.usable import lock_manager

    found: dict[tuple[str, str], Chosen] = {}
    tags: list[str] = []

    def of(vg: str) -> Chosen:
        return found.setdefault((vg, vg.uuid if isinstance(vg, GroupName) else ""), Chosen(vg))

    for subject in subjects:
        if subject.tag:
            tags.append(Tag(subject.tag))
            continue
        chosen = of(session.meant(subject.vg))
        if subject.lv:
            chosen.names.setdefault(subject.lv)
        else:
            chosen.whole = True
    if tags or (not subjects and all_if_none):
        named = {vg for vg, _ in found}
        for view in read_all(session, active_elsewhere=leaving):
            group = view.group
            if group.name not in named:
                session.unnamed.add(group.name)
            if group.exported and not reading:
                continue
            if lock_manager(group) and not reading and not leaving:
                session.dialogue.progress(
                    f"Skipping volume group {group.name}, which hosts share: it needs {lock_manager(group)} locks"
                )
                continue
            if not subjects:
                of(GroupName(group.name, group.id)).whole = True
                continue
            held = set(group.tags).union(*(lv.tags for lv in group.lvs))
            for tag in tags:
                if tag in held:
                    of(GroupName(group.name, group.id)).tags.setdefault(tag)
    return [found[name] for name in sorted(found)]


def read_all(session: Session, *, active_elsewhere: bool = False) -> tuple[GroupView, ...]:
    """All groups of this host, as they are without a group's lock.

    ``active_elsewhere`` adds those of other hosts that are active here all the same.
    """
    with session.locks.all_groups():
        views = session.view(foreign=active_elsewhere).groups
    return tuple(v for v in views if not v.foreign or (active_elsewhere and session.active_here(v)))


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


def together(
    volumes: Sequence[LogicalVolume],
    act: Callable[[Sequence[LogicalVolume]], Outcome],
    parts: Callable[[LogicalVolume], Iterable[Uuid]],
) -> Outcome:
    """Do all ``volumes`` in one change. Those that keep it from being made are named, and it is made without them.

    ``act`` makes the change, for as many as it is given; it is tried again only without those that an error blames
    (:attr:`VmgrError.blames`), or with halves of them where an error blames nobody. ``parts`` are the volumes whose
    devices a volume answers for. The only volume's error is raised as it is.
    """
    outcome = Outcome()
    left = list(volumes)
    while left:
        try:
            return outcome + act(left)
        except (Interrupted, StoppedHalfway):
            raise
        except VmgrError as error:
            if len(volumes) == 1:
                raise
            blamed = _blamed(error, left, parts)
            if not blamed:
                return outcome + _halves(left, act, error)
            outcome += Outcome(errors=tuple(blamed.values()))
            left = [volume for volume in left if volume.id not in blamed]
    return outcome


def _blamed(
    error: VmgrError, volumes: Sequence[LogicalVolume], parts: Callable[[LogicalVolume], Iterable[Uuid]]
) -> dict[Uuid, VmgrError]:
    """Those of ``volumes`` that ``error`` blames, each with an error of its own."""
    if not error.blames:
        return {}
    found: dict[Uuid, VmgrError] = {}
    for volume in volumes:
        for part in parts(volume):
            if part in error.blames:
                found[volume.id] = error.blames[part]
                break
    return found


def _halves(
    volumes: Sequence[LogicalVolume], act: Callable[[Sequence[LogicalVolume]], Outcome], error: VmgrError
) -> Outcome:
    """Do in halves what fails as a whole with ``error``, until only the culprits are left.

    What fails for one and the same reason in both halves is no volume's fault, and is not tried any further.
    """
    if len(volumes) == 1:
        return Outcome(errors=(error,))
    middle = len(volumes) // 2
    halves = volumes[:middle], volumes[middle:]
    outcomes: list[Outcome | VmgrError] = []
    for half in halves:
        try:
            outcomes.append(act(half))
        except Interrupted:
            raise
        except StoppedHalfway as reason:
            outcomes.append(Outcome(errors=(reason,)))
        except VmgrError as reason:
            outcomes.append(reason)
    if all(isinstance(o, VmgrError) and _words(o) == _words(error) for o in outcomes):
        return Outcome(errors=(error,))
    result = Outcome()
    for half, outcome in zip(halves, outcomes, strict=True):
        result += outcome if isinstance(outcome, Outcome) else _halves(half, act, outcome)
    return result


def _words(error: VmgrError) -> tuple[object, ...]:
    return type(error), error.message, error.details
