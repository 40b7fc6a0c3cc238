"""``--select`` of commands that change something: names for what a selection matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.application import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.core.ids import Uuid
    from vmgr.core.view import SystemView
    from vmgr.orders import Subject

Subjects = tuple["Subject", ...]


def select_groups(app: Application, invocation: Invocation, named: Subjects, *, needed: bool = True) -> Subjects:
    """The groups that the command is for: those named, or of them (else of all) those that ``--select`` matches.

    Raises :class:`UsageError` when there is neither and ``needed``.
    """
    matcher = _matcher(app, invocation, "vgs", named, needed)
    if matcher is None:
        return named
    from vmgr.orders import Subject

    view, matches = matcher
    return tuple(
        Subject(g.group.name)
        for g in view.groups
        if matches(g.group.id) and _is_named(named, g.group.name, "", (g.group.tags,))
    )


def select_volumes(app: Application, invocation: Invocation, named: Subjects) -> Subjects:
    """Like :func:`select_groups` for volumes."""
    matcher = _matcher(app, invocation, "lvs", named, True)
    if matcher is None:
        return named
    from vmgr.orders import Subject

    view, matches = matcher
    return tuple(
        Subject(g.group.name, lv.name)
        for g in view.groups
        for lv in g.group.lvs
        if lv.visible and matches(lv.id) and _is_named(named, g.group.name, lv.name, (g.group.tags, lv.tags))
    )


def _matcher(
    app: Application, invocation: Invocation, kind: str, named: Subjects, needed: bool
) -> tuple[SystemView, Callable[[Uuid], bool]] | None:
    criteria = invocation.texts("select")
    if not criteria:
        if needed and not named:
            argument = invocation.command.arguments[0]
            raise UsageError(
                f"{invocation.command.name} needs {argument.name}: {argument.help}",
                hint=f"usage: {invocation.command.name} {invocation.command.usages[0]}",
            )
        return None
    import time

    from vmgr.report import select

    view = app.view()
    test = select(kind, " && ".join(f"({c})" for c in criteria), view, app.live(), app.targets, int(time.time()))
    return view, test


def _is_named(named: Subjects, vg: str, lv: str, tags: tuple[tuple[str, ...], ...]) -> bool:
    if not named:
        return True
    for subject in named:
        if subject.tag:
            if any(subject.tag in some for some in tags):
                return True
        elif subject.vg == vg and subject.lv in ("", lv):
            return True
    return False
