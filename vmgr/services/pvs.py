"""Physical volumes: label, unlabel, change, resize."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, frozen

from vmgr.core.change import Change, LabelPv
from vmgr.core.errors import Interrupted, NotFound, Refused, VmgrError
from vmgr.core.group_requests import ChangePv, CreatePv
from vmgr.core.ids import GroupName
from vmgr.core.resolve import Members
from vmgr.outcome import Outcome
from vmgr.services.labels import (
    enter_devices,
    existing_pv,
    find_device,
    owner,
    prepare,
    require_distinct,
    way_out,
    whose,
)
from vmgr.services.subjects import read_all
from vmgr.system.devices import device_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmgr.core.ids import Uuid
    from vmgr.core.pv import PvLayout
    from vmgr.core.units import Bytes, Sectors
    from vmgr.core.view import PvView, SystemView
    from vmgr.services.labels import NewPv
    from vmgr.session import Session

T = TypeVar("T")


def _each(subjects: Sequence[T], act: Callable[[T], Outcome], *, alone: bool | None = None) -> Outcome:
    """Do ``act`` for each; what fails for one does not keep the others from being done.

    ``alone``: the command is about one only, and a failure is raised; by default if there is one of ``subjects``.
    """
    outcome = Outcome()
    for subject in dict.fromkeys(subjects):
        try:
            outcome += act(subject)
        except Interrupted:
            raise
        except VmgrError as error:
            if len(subjects) == 1 if alone is None else alone:
                raise
            outcome += Outcome(errors=(error,))
    return outcome


def _checked(paths: Sequence[str], check: Callable[[str], T]) -> tuple[list[T], Outcome]:
    """What ``check`` finds for each path, and the errors of the others: nothing is written before all was asked."""
    found: list[T] = []

    def one(path: str) -> Outcome:
        found.append(check(path))
        return Outcome()

    refused = _each(paths, one)
    return found, refused


def create(session: Session, devices: Sequence[str], request: CreatePv) -> Outcome:
    """Make devices physical volumes. All are checked, and all questions asked, before the first is written to."""

    def one(new: NewPv) -> Outcome:
        done = (f'Physical volume "{new.path}" successfully created.',)
        change = Change(None, None, labels=(new.label,), done=done)
        outcome = session.carry_out(change, None, first=lambda: new.wipe(session))
        entered.append((new.label.device, new.label.layout.id))
        return outcome

    entered: list[tuple[str, Uuid]] = []
    require_distinct(devices)
    session.admit(devices, making=True)
    with session.locks.all_groups(exclusive=True):
        before = session.view(detail=True, foreign=True)
        found, refused = _checked(devices, lambda path: prepare(session, before, path, request))
        try:
            return refused + _each(found, one, alone=len(devices) == 1)
        finally:
            if entered:
                enter_devices(session, add=entered, before=before)


def remove(session: Session, devices: Sequence[str]) -> Outcome:
    """Wipe the labels of physical volumes that no group uses. All are checked before the first is written to."""

    def checked(path: str) -> tuple[str, str]:
        device = find_device(session, path)
        pv = existing_pv(view, device)
        if pv is None and not session.options.force:
            raise NotFound(f"no PV found on device {path}", hint="pvs lists the physical volumes")
        if pv is not None and (pv.vg is not None or pv.layout.used):
            if session.options.force < 2:
                vg = (
                    f"VG {pv.vg_name}{whose(view, pv)}" if pv.vg is not None else "a VG but its metadata is missing"
                )
                raise Refused(
                    f"PV {path} is used by {vg}",
                    hint=f"{way_out(view, pv, path)}; -ff overrides",
                )
            question = f'Really WIPE LABELS from physical volume "{path}" of {owner(view, pv)}?'
            if not session.options.test and not session.dialogue.ask(question):
                raise Interrupted(f"{path}: physical volume label not removed", hint="answer y, or use --yes")
        return path, device.path

    def one(found: tuple[str, str]) -> Outcome:
        path, device = found
        done = (f'Labels on physical volume "{path}" successfully wiped.',)
        outcome = session.carry_out(Change(None, None, unlabel=(device,), done=done), None)
        left.append(device)
        return outcome

    left: list[str] = []
    require_distinct(devices)
    with session.locks.all_groups(exclusive=True):
        view = session.view(detail=True, foreign=True)
        found, refused = _checked(devices, checked)
        try:
            return refused + _each(found, one, alone=len(devices) == 1)
        finally:
            if left:
                enter_devices(session, remove=left)


def change(session: Session, pvs: Sequence[str] | None, request: ChangePv) -> Outcome:
    """Change physical volumes of groups, named by device or ``@tag``; None is all of them."""
    from vmgr.core.operations.group_change import change_pvs

    if request.new_uuid or request.metadata_ignore is not None:
        what = "a physical volume's UUID" if request.new_uuid else "which metadata areas are in use"
        raise Refused(f"vmgr does not change {what}", hint="use LVM2's pvchange; both work on the same disks")
    places: dict[tuple[str, Uuid], dict[Uuid, None]] = {}
    views = read_all(session)
    if pvs is None:
        for view in views:
            places[view.group.name, view.group.id] = dict.fromkeys(
                pv.id for pv in view.group.pvs if pv.id in view.pvs
            )
    members = Members(views, device_number)
    for word in pvs or ():
        if word.startswith("@"):
            found = [(view, pv.id) for view in views for pv in view.group.pvs if word[1:] in pv.tags]
            found = [(view, pv) for view, pv in found if pv in view.pvs]
        else:
            one = members.find(word)
            found = [] if one is None else [(one[0], one[1].id)]
        for view, pv in found:
            places.setdefault((view.group.name, view.group.id), {}).setdefault(pv)
        if not found and not word.startswith("@"):
            raise NotFound(
                f"no physical volume of a group is on {word}",
                hint="pvs lists the physical volumes and their groups",
            )
    outcome = Outcome()
    for place in sorted(places):
        with session.changing(GroupName(*place)) as view:
            made = change_pvs(view.group, places[place], request, session.targets)
            outcome += session.carry_out(made, view)
    return outcome


def resize(session: Session, devices: Sequence[str], size: Sectors | None = None) -> Outcome:
    """Adapt physical volumes, named by device or ``@tag``, to their devices' size, or to ``size``.

    Those of one group are resized in one commit. What keeps one from being resized does not keep the others.
    """
    with session.locks.all_groups(exclusive=True):
        view = session.view(detail=True, foreign=True)
        found: dict[Uuid, _Resizing] = {}

        def one(path: str) -> Outcome:
            wanted = _resizing(session, view, path, size)
            found.setdefault(wanted.pv.id, wanted)
            return Outcome()

        paths = list(_untagged(view, devices))
        alone = len(paths) == 1
        outcome = _each(paths, one, alone=alone)
        places: dict[tuple[str, Uuid], list[_Resizing]] = {}
        orphans: list[_Resizing] = []
        for wanted in found.values():
            pv = wanted.pv
            (orphans if pv.vg is None else places.setdefault((pv.vg_name, pv.vg), [])).append(wanted)

        def members(place: tuple[str, Uuid]) -> Outcome:
            return _resize_members(session, GroupName(*place), places[place], size)

        outcome += _each(orphans, lambda orphan: _resize_orphan(session, orphan, size), alone=alone)
        return outcome + _each(sorted(places), members, alone=alone)


@frozen(eq=False)
class _Resizing:
    """A physical volume that is to get another size, the path that it was named by, and its device's size."""

    path: str
    pv: PvView
    real: Bytes

    def layout(self, size: Sectors | None) -> PvLayout:
        """What the label says, with the new size."""
        return evolve(self.pv.layout, size=self.real if size is None else size.bytes())


def _untagged(view: SystemView, words: Sequence[str]) -> Iterator[str]:
    """``words`` with each ``@tag`` replaced by the devices of the physical volumes of this host that carry it."""
    for word in words:
        if not word.startswith("@"):
            yield word
            continue
        for group in view.groups:
            for pv in () if group.foreign else group.group.pvs:
                if word[1:] in pv.tags and pv.id in group.pvs:
                    yield group.pvs[pv.id].device


def _resizing(session: Session, view: SystemView, path: str, size: Sectors | None) -> _Resizing:
    """The physical volume on ``path``. Raises what keeps it from being resized, whatever group has it."""
    from vmgr.core.sizes import display_size
    from vmgr.core.units import Sectors

    device = find_device(session, path)
    pv = existing_pv(view, device)
    if pv is None:
        raise NotFound(f"no physical volume found on {path}", hint="pvs lists the physical volumes")
    if len(pv.layout.mdas) > 1:
        raise Refused(
            f"{path} has a metadata area at its end, which vmgr does not move", hint="use LVM2's pvresize"
        )
    if size is not None and size.bytes() > device.size:
        there, asked = (display_size(Sectors(int(number) // 512)) for number in (device.size, size.bytes()))
        raise Refused(
            f"{path} has {there}, less than {asked}", hint="give a smaller size, or no size to use all of it"
        )
    return _Resizing(path, pv, device.size)


def _confirm_size(session: Session, pv: _Resizing, size: Bytes) -> None:
    """Ask before a physical volume is made smaller than its device. Raises :class:`Interrupted` for a no."""
    from vmgr.core.sizes import display_size
    from vmgr.core.units import Sectors

    if size >= pv.real or session.options.test:
        return
    asked, there = (display_size(Sectors(int(number) // 512)) for number in (size, pv.real))
    if not session.dialogue.ask(f"{pv.path}: requested size {asked} is less than real size {there}. Proceed?"):
        raise Interrupted(f"{pv.path}: physical volume not resized", hint="answer y, or use --yes")


def _resize_orphan(session: Session, orphan: _Resizing, size: Sectors | None) -> Outcome:
    """Resize a physical volume without a group by writing a new label and empty areas."""
    path = orphan.path
    if not orphan.pv.unused:
        raise Refused(
            f"{path} may belong to a volume group that was not found, so its size is left as it is",
            hint="connect the group's other devices; pvs -o+pv_in_use shows what the label says",
        )
    layout = orphan.layout(size)
    _confirm_size(session, orphan, layout.size)
    least = max([int(area.offset) + int(area.size) for area in layout.mdas] + [int(d.offset) for d in layout.data])
    if int(layout.size) <= least:
        raise Refused(f"{path} would have no space for data: {least} bytes are in use", hint="give a larger size")
    label = LabelPv(orphan.pv.device, layout, zero=False)
    done = (f'Physical volume "{path}" changed',)
    return session.carry_out(Change(None, None, labels=(label,), done=done), None)


def _resize_members(
    session: Session, name: GroupName, members: Sequence[_Resizing], size: Sectors | None
) -> Outcome:
    """Give physical volumes of one group another size."""
    from vmgr.core.operations.group_change import resize_pvs

    with session.changing(name) as view:
        for member in members:
            _confirm_size(session, member, member.layout(size).size)
        change, refused = resize_pvs(
            view.group, {m.pv.id: (m.path, m.layout(size)) for m in members}, session.targets
        )
        if len(refused) == len(members) == 1:
            raise next(iter(refused.values()))
        outcome = Outcome(errors=tuple(refused.values()))
        return outcome + session.carry_out(change, view) if len(refused) < len(members) else outcome
