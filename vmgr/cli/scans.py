"""``lvscan`` and ``vgscan``, and the lines of ``pvscan``: one for each thing that a scan finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command, Option
from vmgr.cli.options_report import IGNORE_LOCK, PARTIAL, READONLY, REPORTFORMAT
from vmgr.core.errors import EXIT_FAILED, EXIT_OK

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation, *, select: str = "") -> int:
    """Print the lines, of what ``select`` matches."""
    from vmgr.cli.reports import refuse_json, units
    from vmgr.report import DisplayRequest, ReportRequest, prepare, scan_lines

    kind = invocation.command.name[:2]
    refuse_json(invocation, f"use {kind}s")
    config = app.config
    request = DisplayRequest(
        kind,
        style="short" if invocation.flag("short") else "long",
        all=invocation.flag("all"),
        verbose=invocation.terminal.verbose,
        units=units(invocation, config),
        suffix=config.flag("global/suffix"),
        si_units=config.flag("global/si_unit_consistency"),
        dev_dir=config.dev_dir,
        uuid=invocation.flag("uuid"),
        select=select,
    )
    view = app.view()
    live = None
    if kind == "lv":
        status = prepare(ReportRequest("lvs", columns=("lv_attr",)), app.targets).wants_status(view)
        live = app.live(status=status)  # without status lines a lost snapshot would be shown as active
    if invocation.terminal.quiet < 2:
        invocation.terminal.lines(scan_lines(request, view, live, app.targets), "states")
    if invocation.flag("mknodes"):
        from vmgr.cli.output import conclude

        return conclude(app, invocation, app.make_nodes())
    return EXIT_OK if view.sound else EXIT_FAILED


_FORMAT = REPORTFORMAT
_CACHE = Option("cache", "flag", "Accepted for LVM2's sake; vmgr keeps no cache.")

DECLARED = {
    "lvscan": Command(
        "lvscan",
        "List all logical volumes in all groups.",
        usages=("",),
        run=run,
        options=(
            Option("all", "flag", "Show helper volumes, too.", "a"),
            Option("blockdevice", "flag", "Accepted for LVM2's sake; volumes are always shown as devices.", "b"),
            _CACHE,
            IGNORE_LOCK,
            PARTIAL,
            READONLY,
            _FORMAT,
        ),
    ),
    "vgscan": Command(
        "vgscan",
        "List all volume groups.",
        usages=("",),
        run=run,
        options=(
            _CACHE,
            IGNORE_LOCK,
            Option("mknodes", "flag", "Also put device nodes and links in order, as vgmknodes does."),
            Option("notifydbus", "flag", "Accepted for LVM2's sake; vmgr tells D-Bus nothing."),
            PARTIAL,
            _FORMAT,
        ),
    ),
}  # fmt: skip
