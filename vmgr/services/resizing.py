"""Logical volumes: another size, and with them what lies on them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.devices import own_uuid
from vmgr.core.errors import Interrupted, NotFound, Refused, SameSize, VmgrError
from vmgr.core.ids import GroupName
from vmgr.core.operations.checks import find_volume
from vmgr.core.requests import ExtendVolume, ReduceVolume, ResizeVolume
from vmgr.core.units import Bytes
from vmgr.outcome import Outcome
from vmgr.services.batch import resolved
from vmgr.system.putback import Note

if TYPE_CHECKING:
    from vmgr.contents.content import Content
    from vmgr.contents.job import Job
    from vmgr.core.change import Change
    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.units import Extents
    from vmgr.core.view import GroupView
    from vmgr.outcome import RunOptions
    from vmgr.session import Session

Resize = ExtendVolume | ReduceVolume | ResizeVolume

FOLLOWS = ("resize", "resize_fsadm")
"""Values of ``fs`` with which the content follows the volume."""


def change(session: Session, view: GroupView, request: Resize) -> Change:
    """The change of a volume's size as one of several. Raises :class:`Refused` where its content is to follow."""
    volume = find_volume(view.group, request.lv)
    made = _change(session, view, request)
    job, notes = _content_job(session, view, volume, _new_size(made, volume), session.options)
    if job is not None or made is None:
        raise Refused(
            f"what is on {view.group.name}/{volume.name} is not resized together with other changes",
            hint="resize this volume by a request of its own, or leave the content alone",
        )
    return evolve(made, notes=notes + made.notes)


def resize(session: Session, vg: str, request: Resize) -> Outcome:
    """Make a volume longer or shorter, with what lies on it if the options say so.

    What the content needs is checked first. A content that shrinks does so before its volume, one that grows after
    it, so that whatever is cut off leaves a content that fits. Its programs run without the group's lock.
    """
    with session.changing(vg) as view:
        request = resolved(session, view, request)
        volume = view.group.lv_by_id[request.lv]
        note = Note(own_uuid(view.group, volume))
        if session.options.fs in FOLLOWS and not session.options.test:
            _put_back(session, note)
        change = _change(session, view, request)
        old, new = volume.size, _new_size(change, volume)
        job, notes = _content_job(session, view, volume, new, session.options)
        if job is None:
            if change is None:
                return Outcome(notes=notes)
            return Outcome(notes=notes) + session.carry_out(change, view)
        if session.options.test:
            job.check()
            planned = session.carry_out(change, view) if change is not None else Outcome()
            order_of = "before the commit" if job.before and not job.after else "after the commit"
            if job.before and job.after:
                order_of = "around the commit"
            return planned + Outcome(notes=(*notes, f"{', '.join(job.steps)}: run {order_of}"))
    job.note = note
    return Outcome(notes=notes) + _with_content(session, view.group, request, (old, new), job)


def _put_back(session: Session, note: Note) -> None:
    """Put back what an earlier resize of the volume took away and, killed, left so."""
    from vmgr.contents.job import put_back

    if (away := note.read()) is None:
        return
    session.dialogue.progress(" ".join(away.command))
    try:
        put_back(away)
    except VmgrError as error:
        session.dialogue.warn(f"WARNING: {away.path} could not be put back: {error.message}")
    else:
        note.drop()


def _with_content(
    session: Session, group: VolumeGroup, request: Resize, sizes: tuple[Extents, Extents], job: Job
) -> Outcome:
    """Run the content's steps around the volume's change; ``sizes`` are the volume's before and after it."""
    say = session.dialogue.progress
    name = f"{group.name}/{group.lv_by_id[request.lv].name}"
    outcome = Outcome()
    try:
        try:
            job.run_before(say)
        except VmgrError as error:
            error.hint = f"the volume was not changed; {error.hint}".removesuffix("; ")
            raise
        if sizes[0] != sizes[1]:
            try:
                outcome = _volume_alone(session, group, request, sizes)
            except VmgrError as error:
                if sizes[1] < sizes[0]:
                    error.details = (*error.details, f"what is on {name} was made smaller already, and is in order")
                raise
        try:
            job.run_after(say)
        except VmgrError as error:  # the volume has its new size all the same
            error.hint = (
                f"{name} has its new size, but its contents do not;"
                f" once the cause is corrected: lvextend -r -l {sizes[1]} {name}"
            )
            outcome += Outcome(errors=(error,))
    finally:
        try:
            job.close()
        except VmgrError as error:
            outcome += Outcome(errors=(error,))
            session.dialogue.warn(f"WARNING: what was changed for the time could not be put back: {error.message}")
    return outcome


def _volume_alone(session: Session, group: VolumeGroup, request: Resize, sizes: tuple[Extents, Extents]) -> Outcome:
    """Change the volume, unless it is another by now than the one whose content was prepared."""
    with session.changing(GroupName(group.name, group.id)) as view:
        volume = view.group.lv_by_id.get(request.lv)
        change = None if volume is None else _change(session, view, request)
        name = group.lv_by_id[request.lv].name
        if volume is None or change is None or (volume.size, _new_size(change, volume)) != sizes:
            raise Refused(
                f"logical volume {group.name}/{name} was meanwhile changed by another command",
                hint="the volume was not changed by this command; run it again",
            )
        return session.carry_out(change, view)


# -- the volume -----------------------------------------------------------------------------------


def _change(session: Session, view: GroupView, request: Resize) -> Change | None:
    """The change of the volume; None where it has the size and only its content is to follow."""
    from vmgr.core.operations.extend import extend_volume, resize_volume
    from vmgr.core.operations.reduce import reduce_volume
    from vmgr.session.surroundings import machine_for
    from vmgr.system.rules import allocation_rules

    live = session.live(table=True, status=True)
    machine = machine_for(session, view.group)
    if isinstance(request, ReduceVolume):
        return reduce_volume(view.group, request, session.targets, session.stamp(), live=live, machine=machine)
    rules = allocation_rules(session.config)
    try:
        if isinstance(request, ExtendVolume):
            return extend_volume(
                view.group, request, session.targets, session.stamp(), live=live, rules=rules, machine=machine
            )
        return resize_volume(
            view.group, request, session.targets, session.stamp(), live=live, rules=rules, machine=machine
        )
    except SameSize:
        if session.options.fs not in FOLLOWS:
            raise
        return None


def _new_size(change: Change | None, volume: LogicalVolume) -> Extents:
    """The size that the volume gets; its own where it is not changed."""
    if change is None or change.after is None:
        return volume.size
    return change.after.lv_by_id[volume.id].size


# -- what lies on it ------------------------------------------------------------------------------


def _content_job(
    session: Session, view: GroupView, volume: LogicalVolume, new: Extents, options: RunOptions
) -> tuple[Job | None, tuple[str, ...]]:
    """What is to be done to the content, None where it stays as it is; and notes.

    Raises what keeps it from being done, and asks what is to be asked.
    """
    group = view.group
    smaller, follows = new < volume.size, options.fs in FOLLOWS
    if not smaller and not follows:
        return None, ()
    name = f"{group.name}/{volume.name}"
    device = session.live().get(own_uuid(group, volume))
    notes: tuple[str, ...] = ()
    fs = options.fs
    if fs != "ignore" and _is_store(session, group, volume):
        if options.fs is not None:
            notes = (f"{name} is a snapshot: its size is that of its store, and what is on it stays as it is",)
        fs, follows = "ignore", False
        if not smaller:
            return None, notes
    if device is None:
        if follows:
            raise Refused(
                f"logical volume {name} is not active, so what is on it cannot be resized",
                hint=f"activate it first: lvchange -ay {name}",
            )
        if fs == "checksize":
            notes += _check_inactive(session, view, volume, new)
        return None, notes  # as in LVM2 2.03.16, nobody is asked about a volume that is not active
    if fs == "ignore":
        _confirm_reduction(session, name, device, options)
        return None, notes
    content = _content(session, group, volume, device)
    size = Bytes(int(new.sectors(group.extent_size)) * 512)
    if not follows:
        if content is None:
            if fs is None:
                _confirm_reduction(session, name, device, options)
        else:
            _require_unused(content, size)
        return None, notes
    if content is None:
        raise NotFound(
            f"no file system found on logical volume {name}", hint="nothing was changed; leave --resizefs out"
        )
    return _job(session, name, content, size, smaller, options), notes


def _check_inactive(session: Session, view: GroupView, volume: LogicalVolume, new: Extents) -> tuple[str, ...]:
    """Look at a volume that is not active, for which it is activated for the time, as LVM2 does; gives notes."""
    from vmgr.services.activation import active_for_the_time

    group = view.group
    if session.options.test:
        return (f"{group.name}/{volume.name} is not active: its content is examined only without --test",)
    with active_for_the_time(session, view, volume):
        content = _content(session, group, volume, session.live()[own_uuid(group, volume)])
        if content is not None:
            _require_unused(content, Bytes(int(new.sectors(group.extent_size)) * 512))
    return ()


def _is_store(session: Session, group: VolumeGroup, volume: LogicalVolume) -> bool:
    """Whether the volume's size is not that of its device, but of the space for what has changed."""
    facts = session.targets.describe(group, volume, volume.segments[0], None)
    return facts.kind in ("s", "S")


def _content(session: Session, group: VolumeGroup, volume: LogicalVolume, device: LiveDevice) -> Content | None:
    from vmgr.contents.examine import examine
    from vmgr.core.naming import dm_uuid
    from vmgr.core.plan import require_running

    own = dm_uuid(group.id, volume.id)
    for uuid, one in session.live().items():
        if uuid.startswith(own):
            require_running(one)  # whoever read it would hang until it runs again
    path = f"{session.config.dev_dir}/{group.name}/{volume.name}"
    return examine(path, (device.major, device.minor), session.need_client())


def _require_unused(content: Content, size: Bytes) -> None:
    """Raise :class:`Refused` unless all that the content takes lies below ``size``."""
    if content.end is None:
        raise Refused(
            f"how much {content.described} takes is not known",
            hint="nothing was changed; --fs ignore reduces the volume anyway, and data behind the new end is lost",
        )
    if content.end > size:
        raise Refused(
            f"{content.described} reaches beyond the new size: {int(content.end)} bytes, not {int(size)}",
            hint="nothing was changed; --resizefs makes it smaller first; --fs ignore does not look at it",
        )


def _job(
    session: Session, name: str, content: Content, size: Bytes, smaller: bool, options: RunOptions
) -> Job | None:
    from vmgr.contents.job import MANAGE, Manner

    manner = Manner(session.dialogue, options.fs_mode or MANAGE, options.check_fs)
    if smaller:
        if content.end is not None and content.end <= size:
            return None
        job = content.shrinking(size, manner)
    else:
        job = content.growing(size, manner)
    if job.moves and options.fs_mode is None and not session.options.test:
        question = f"Resize {content.described} with these steps: {', '.join(job.steps)}?"
        if not session.dialogue.ask(question):
            raise Interrupted(
                f"logical volume {name} not resized", hint="answer y, or use --yes or --fsmode manage"
            )
    return job


def _confirm_reduction(session: Session, name: str, device: LiveDevice, options: RunOptions) -> None:
    """Ask before an active volume loses its end."""
    if session.options.test:
        return
    state = "active and open" if device.open_count else "active"
    session.dialogue.warn(f"WARNING: Reducing {state} logical volume {name} may destroy the data on it.")
    if not options.force and not session.dialogue.ask(f"Do you really want to reduce {name}?"):
        raise Interrupted(f"logical volume {name} not reduced", hint="answer y, or use --yes")
