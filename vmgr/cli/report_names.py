"""Which groups, volumes or PVs a report's arguments mean; what is not found is said, and the rest is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import EXIT_FAILED, EXIT_OK, VmgrError
from vmgr.core.usable import lock_manager, require_imported, require_local

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.model import LogicalVolume
    from vmgr.core.subject import Subject
    from vmgr.core.view import GroupView, SystemView


def named(kind: str, app: Application, invocation: Invocation) -> tuple[Subject, ...]:
    """The arguments of a report about groups (``vgs``) or volumes (``lvs``)."""
    import os

    from vmgr.cli.names import group_subjects, subjects

    dev_dir = app.config.dev_dir
    if kind == "vgs":
        return group_subjects(invocation.arguments, dev_dir)
    return subjects(invocation.arguments, os.environ, dev_dir)


def groups_named(kind: str, app: Application, invocation: Invocation) -> tuple[str, ...] | None:
    """The names of the only groups that the report needs; None where it cannot be told beforehand."""
    if kind == "pvs":
        return None
    subjects = named(kind, app, invocation)
    if any(subject.tag for subject in subjects):
        return None
    return tuple(dict.fromkeys(subject.vg for subject in subjects))


def chosen(kind: str, app: Application, invocation: Invocation, view: SystemView) -> tuple[frozenset[str], int]:
    """What the arguments mean, as ``ReportRequest.only`` takes it, and the exit status.

    That is a failure if something was not found. A volume stands there with its group: copied groups
    have volumes of the same UUIDs.
    """
    shared = invocation.flag("shared") or app.config.flag("global/use_lvmlockd")
    if kind == "pvs":
        return _pvs(invocation, view)
    found: set[str] = set()
    status = EXIT_OK
    for subject in named(kind, app, invocation):
        try:
            found |= _of_subject(kind, subject, view, invocation, shared=shared)
            if not subject.tag and not shared:
                require_local(view.group(subject.vg).group)  # it is shown, but another host may be changing it
        except VmgrError as error:
            invocation.terminal.error(error)
            status = EXIT_FAILED
    return frozenset(found), status


def _of_subject(kind: str, subject: Subject, view: SystemView, invocation: Invocation, *, shared: bool) -> set[str]:
    hidden = invocation.flag("all")
    if subject.tag:
        return _tagged(kind, subject.tag, view, hidden, shared=shared)
    shown = view.group(subject.vg)
    if not invocation.flag("foreign"):
        shown.check_readable()
    group = shown.group
    if kind == "vgs":
        return {group.id}
    require_imported(group)
    if not subject.lv:
        return _ids(shown, (lv for lv in group.lvs if hidden or lv.visible))
    name = subject.lv[1:-1] if subject.lv.startswith("[") else subject.lv
    return _ids(shown, (group.volume(name),))


def _ids(shown: GroupView, volumes: Iterable[LogicalVolume]) -> set[str]:
    return {shown.group.id + lv.id for lv in volumes}


def _tagged(kind: str, tag: str, view: SystemView, hidden: bool, *, shared: bool) -> set[str]:
    found: set[str] = set()
    for shown in view.groups:
        group = shown.group
        if not shared and lock_manager(group):
            continue
        if kind == "vgs":
            if tag in group.tags:
                found.add(group.id)
        else:
            lvs = (lv for lv in group.lvs if hidden or lv.visible)
            found |= _ids(shown, (lv for lv in lvs if tag in group.tags or tag in lv.tags))
    return found


def _pvs(invocation: Invocation, view: SystemView) -> tuple[frozenset[str], int]:
    found: set[str] = set()
    status = EXIT_OK
    for word in invocation.arguments:
        if word.startswith("@"):
            found.update(
                pv.id
                for shown in view.groups
                for pv in shown.group.pvs
                if word[1:] in pv.tags or word[1:] in shown.group.tags
            )
            continue
        try:
            found.add(view.pv(word).id)
        except VmgrError as error:
            invocation.terminal.error(error)
            status = EXIT_FAILED
    return frozenset(found), status
