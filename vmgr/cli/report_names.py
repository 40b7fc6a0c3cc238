"""Which groups, volumes or PVs a report's arguments mean; what is not found is said, and the rest is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import EXIT_FAILED, EXIT_OK, NotFound, VmgrError

if TYPE_CHECKING:
    from vmgr.cli.application import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.ids import Uuid
    from vmgr.core.view import SystemView
    from vmgr.orders import Subject


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


def chosen(kind: str, app: Application, invocation: Invocation, view: SystemView) -> tuple[frozenset[Uuid], int]:
    """The UUIDs that the arguments mean, and the exit status: a failure if something was not found."""
    if kind == "pvs":
        return _pvs(invocation, view)
    found: set[Uuid] = set()
    status = EXIT_OK
    for subject in named(kind, app, invocation):
        try:
            found |= _of_subject(kind, subject, view)
        except VmgrError as error:
            invocation.terminal.error(error)
            status = EXIT_FAILED
    return frozenset(found), status


def _of_subject(kind: str, subject: Subject, view: SystemView) -> set[Uuid]:
    if subject.tag:
        return _tagged(kind, subject.tag, view)
    group = view.group(subject.vg).group
    if kind == "vgs":
        return {group.id}
    if not subject.lv:
        return {lv.id for lv in group.lvs if lv.visible}
    name = subject.lv[1:-1] if subject.lv.startswith("[") else subject.lv
    volume = group.lv_by_name.get(name)
    if volume is None:
        raise NotFound(
            f"logical volume {subject.vg}/{subject.lv} not found", hint=f"lvs -a {subject.vg} lists its volumes"
        )
    return {volume.id}


def _tagged(kind: str, tag: str, view: SystemView) -> set[Uuid]:
    found: set[Uuid] = set()
    for shown in view.groups:
        group = shown.group
        if kind == "vgs":
            if tag in group.tags:
                found.add(group.id)
        else:
            found.update(lv.id for lv in group.lvs if lv.visible and (tag in group.tags or tag in lv.tags))
    return found


def _pvs(invocation: Invocation, view: SystemView) -> tuple[frozenset[Uuid], int]:
    found: set[Uuid] = set()
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
