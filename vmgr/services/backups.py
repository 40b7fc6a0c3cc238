"""Metadata in files: written, listed, and brought back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.change import Change
from vmgr.core.errors import DamagedMetadata, GroupUnusable, Interrupted, InvalidGroup, NotFound, Refused
from vmgr.core.plan import active_volumes
from vmgr.core.subject import Subject
from vmgr.core.validate import validate
from vmgr.outcome import Outcome
from vmgr.services.labels import restored_group
from vmgr.services.subjects import Chosen, choose, for_each

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.view import GroupView, PvView, SystemView
    from vmgr.session import Session
    from vmgr.system.archive import Archives


@frozen
class ArchiveView:
    """A metadata archive or backup file, as ``vgcfgrestore --list`` shows it. ``time`` is seconds since 1970."""

    file: str
    vg: str
    description: str
    time: int
    backup: bool = False


def _archives(session: Session) -> Archives:
    from vmgr.system.archive import Archives

    return Archives.from_config(session.config)


def backup(session: Session, subjects: Sequence[Subject], file: str = "") -> Outcome:
    """Write groups' metadata into ``file`` (``%s`` in it is the group's name) or into the backup directory."""
    from vmgr.core.effects import FILE, Effect
    from vmgr.system.archive import OTHER_DIRECTORY, OTHER_FILE, Archives
    from vmgr.system.identity import text_header
    from vmgr.system.metadata import backup_text

    chosen = choose(session, subjects, reading=True)
    if file and "%s" not in file and len(chosen) > 1:
        raise Refused(
            f"{len(chosen)} groups cannot all be written into {file}", hint="put %s into the name, for the group's"
        )

    def one(item: Chosen) -> Outcome:
        with session.locks.group(item.vg):
            view = session.locked_group(item.vg)
            view.check_readable()
            header = text_header(f"vgcfgbackup: {session.options.command}", session.config)
            # What is not understood whole is kept as it is: what is left of it may be worth looking at.
            text = view.text.rstrip(b"\0") if view.faults else backup_text(view.group, session.targets, header)
            path = file.replace("%s", item.vg)
            otherwise = OTHER_FILE if path else OTHER_DIRECTORY
            archives = Archives.from_config(session.config, autobackup=True, otherwise=otherwise)
            if session.options.test:
                directory = os.path.dirname(path) or "." if path else archives.backup_dir
                archives.check(directory, lambda: len(text))
            else:
                if path:
                    archives.write_file(path, text, otherwise=otherwise)
                else:
                    if view.faults:
                        _keep_good_backup(session, archives, item.vg)
                    archives.write_backup(item.vg, text)
                session.changed.append(Effect("written", FILE, path or archives.backup_path(item.vg)))
        return Outcome(done=(f'Volume group "{item.vg}" successfully backed up.',))

    return for_each(chosen, one)


def _keep_good_backup(session: Session, archives: Archives, vg: str) -> None:
    """Archive the backup that metadata which break rules are about to replace: it may be the way back."""
    from time import time

    path = archives.backup_path(vg)
    if os.path.exists(path):
        kept = archives.write_archive(vg, archives.read(path), now=time())
        session.dialogue.warn(f"WARNING: the backup that there was is kept as {kept}")


def archives(session: Session, vg: str = "", file: str = "") -> tuple[ArchiveView, ...]:
    """Archives and backups of a group, oldest first; or the one that is ``file``."""
    from vmgr.ondisk.codec import decode_group

    store = _archives(session)
    if file:
        paths = [file]
    else:
        paths = [archive.path for archive in store.list(vg)]
        if os.path.exists(store.backup_path(vg)):
            paths.append(store.backup_path(vg))
    found: list[ArchiveView] = []
    for path in paths:
        try:
            decoded = decode_group(store.read(path), session.targets, [])
        except DamagedMetadata as error:
            if file:
                raise
            session.dialogue.warn(f"WARNING: {path} is not a backup of a volume group: {error.message}")
            continue
        found.append(
            ArchiveView(
                path,
                decoded.group.name,
                decoded.description,
                decoded.creation_time,
                backup=path == store.backup_path(decoded.group.name),
            )
        )
    return tuple(found)


def restore(session: Session, vg: str, file: str = "") -> Outcome:
    """Bring a group's metadata back to what ``file``, or its last backup, says. Active volumes stay as they are."""
    path = file or _archives(session).backup_path(vg)
    if not file and not os.path.exists(path):
        raise NotFound(
            f"there is no backup of volume group {vg}: {path}",
            hint=f"vgcfgrestore --list {vg} lists its archives; -f FILE takes one",
        )
    group = restored_group(session, path)
    if group.name != vg:
        raise Refused(
            f"{path} is of volume group {group.name}, not {vg}", hint=f"vgcfgrestore -f {path} {group.name}"
        )
    _check_kinds(group, session.options.force)
    broken = validate(group, session.targets)
    if broken:
        raise InvalidGroup(
            f"{path} does not describe a valid volume group: {broken[0].subject}: {broken[0].rule}",
            details=tuple(f"{v.subject}: {v.rule}" for v in broken[1:]),
            hint=f"choose another one: vgcfgrestore --list {vg}",
        )
    with session.locks.all_groups(exclusive=True), ExitStack() as held:
        # The group may have another name by now, under which somebody may be changing it.
        names = {vg, *(name for name, uuid in session.look().names if uuid == group.id)}
        for name in sorted(names):
            held.enter_context(session.locks.group(name, exclusive=True))
        session.forget()
        view = session.view(foreign=True)
        before = _current(view, group)
        if before is not None:
            session.heal(before)
        present = _present(view, group)
        active = active_volumes(before.group, session.live()) if before is not None else ()
        if active and not (session.options.force or session.options.test):
            question = (
                f"Volume group {vg} has {len(active)} active volumes, which would not match what is restored."
                " Really restore?"
            )
            if not session.dialogue.ask(question):
                raise Interrupted(f"volume group {vg} not restored", hint="deactivate it first: vgchange -an")
        newest = max(group.seqno, session.look().seqno_of(group.id))
        change = Change(
            before.group if before is not None else None,
            evolve(group, seqno=newest + 1),
            done=(f"Restored volume group {vg}.",),
        )
        return session.carry_out(change, before, new_pvs=present, touch_devices=False, repair=True)


def _check_kinds(group: VolumeGroup, force: int) -> None:
    from vmgr.core.usable import require_known

    if force:
        return
    try:
        require_known(group, "restore")
    except GroupUnusable as error:
        hint = "--force restores it all the same; what is unknown is written as it is in the file"
        raise GroupUnusable(error.message, hint=hint) from None


def _current(view: SystemView, group: VolumeGroup) -> GroupView | None:
    from vmgr.core.usable import require_local

    for found in view.groups:
        if found.group.id == group.id:
            found.check_readable()
            require_local(found.group)
            return found
        if found.group.name == group.name:
            raise Refused(
                f"another volume group is called {group.name} (UUID {found.group.id.dashed})",
                hint="give that one another name first: vgrename UUID NEW_NAME",
            )
    return None


def _present(view: SystemView, group: VolumeGroup) -> dict[Uuid, PvView]:
    """The group's physical volumes on this machine. All must be there, with the layout of the file."""
    by_id = {pv.id: pv for pv in view.pvs()}
    absent = [pv for pv in group.pvs if pv.id not in by_id]
    if absent:
        raise NotFound(
            f"cannot restore volume group {group.name}: physical volumes are missing",
            details=tuple(f"{pv.id.dashed}, last seen on {pv.device}" for pv in absent),
            hint="connect them, or make them again: pvcreate --uuid UUID --restorefile FILE DEVICE",
        )
    for pv in group.pvs:
        there = by_id[pv.id]
        if there.vg is not None and there.vg != group.id:
            raise Refused(f"{there.device} belongs to another volume group now: {there.vg_name}")
        if there.size < pv.dev_size.bytes():
            raise Refused(f"{there.device} has {there.size} bytes, less than in the file ({pv.dev_size.bytes()})")
        start = pv.pe_start.bytes()
        end = start + pv.pe_count.sectors(group.extent_size).bytes()
        if any(area.offset < end and area.offset + area.size > start for area in there.layout.mdas):
            raise Refused(
                f"{there.device} has a metadata area where volumes lie by the file: from byte {start} to {end}",
                hint=f"make it again with the file's layout: pvcreate --uuid {pv.id.dashed} --restorefile FILE",
            )
    return {pv.id: by_id[pv.id] for pv in group.pvs}
