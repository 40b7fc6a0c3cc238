"""``--select`` of commands that change something: names for what a selection matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.subject import Subject
    from vmgr.core.view import GroupView

Subjects = tuple["Subject", ...]


def select_groups(app: Application, invocation: Invocation, named: Subjects, *, needed: bool = True) -> Subjects:
    """The groups that the command is for: those named, or of them (else of all) those that ``--select`` matches.

    Raises :class:`UsageError` when there is neither and ``needed``.
    """
    if not _selects(invocation, named, needed):
        return named
    from vmgr.core.ids import GroupName
    from vmgr.core.subject import Subject

    return tuple(
        Subject(GroupName(g.group.name, g.group.id))
        for g, matches in _by_group(app, invocation, "vgs")
        if matches(g.group.id) and _is_named(named, g.group, "", (g.group.tags,))
    )


def select_volumes(app: Application, invocation: Invocation, named: Subjects) -> Subjects:
    """Like :func:`select_groups` for volumes."""
    if not _selects(invocation, named, True):
        return named
    from vmgr.core.ids import GroupName
    from vmgr.core.subject import Subject

    return tuple(
        Subject(GroupName(g.group.name, g.group.id), lv.name)
        for g, matches in _by_group(app, invocation, "lvs")
        for lv in g.group.lvs
        if lv.visible and matches(lv.id) and _is_named(named, g.group, lv.name, (g.group.tags, lv.tags))
    )


def select_pvs(app: Application, invocation: Invocation) -> tuple[str, ...]:
    """The devices of the physical volumes of groups that ``--select`` matches: of those named, else of all."""
    from os.path import realpath

    named = {realpath(word) for word in invocation.arguments}
    tags = {word[1:] for word in invocation.arguments if word.startswith("@")}
    return tuple(
        g.pvs[pv.id].device
        for g, matches in _by_group(app, invocation, "pvs")
        for pv in g.group.pvs
        if pv.id in g.pvs and matches(pv.id)
        if not named or realpath(g.pvs[pv.id].device) in named or tags & set(pv.tags)
    )


def _selects(invocation: Invocation, named: Subjects, needed: bool) -> bool:
    """Whether there is a selection; an error where there is nothing to go by."""
    if invocation.texts("select"):
        return True
    if needed and not named:
        argument = invocation.command.arguments[0]
        raise UsageError(
            f"{invocation.command.name} needs {argument.name}: {argument.help}",
            hint=f"usage: {invocation.command.name} {invocation.command.usages[0]}",
        )
    return False


def _by_group(
    app: Application, invocation: Invocation, kind: str
) -> Iterator[tuple[GroupView, Callable[[Uuid], bool]]]:
    """Each group with a test for what is selected in it.

    One group at a time, because a copied group has volumes of the same UUIDs.
    """
    import time

    from attrs import evolve

    from vmgr.report import ReportRequest, prepare

    criteria = invocation.texts("select")
    text = criteria[0] if len(criteria) == 1 else " && ".join(f"({one})" for one in criteria)
    request = ReportRequest(kind, select=text, all=True, now=int(time.time()))
    report = prepare(request, app.targets)  # refuses a wrong selection before anything is read
    view = app.view()
    live = app.live(status=report.wants_status(view)) if report.needs_live else {}
    for group in view.groups:
        yield group, report.selected(evolve(view, groups=(group,)), live).__contains__


def _is_named(named: Subjects, vg: VolumeGroup, lv: str, tags: tuple[tuple[str, ...], ...]) -> bool:
    if not named:
        return True
    from vmgr.core.ids import printed_uuid

    for subject in named:
        if subject.tag:
            if any(subject.tag in some for some in tags):
                return True
        elif (subject.vg == vg.name or printed_uuid(subject.vg) == vg.id) and subject.lv in ("", lv):
            return True
    return False
