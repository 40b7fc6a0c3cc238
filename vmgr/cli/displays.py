"""``lvdisplay``, ``pvdisplay`` and ``vgdisplay``: the same facts as the reports, at length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.options_report import IGNORE_SKIPPED, REPORT
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation

REPORTS = {"lvdisplay": "lvs", "pvdisplay": "pvs", "vgdisplay": "vgs"}

ONLY_IN_COLUMNS = ("aligned", "binary", "noheadings", "options", "separator", "sort", "unbuffered", "segments")


def run(app: Application, invocation: Invocation) -> int:
    """Print a display, or with ``-C`` a report."""
    from vmgr.cli.reports import print_report, refuse_json, report_request

    kind = REPORTS[invocation.command.name]
    request = report_request(kind, invocation, app.config)
    from vmgr.report import DisplayRequest, prepare
    from vmgr.report.displays import display

    columns = invocation.flag("columns")
    if not columns:
        refuse_json(invocation, f"add -C, or use {kind}")
        for name in ONLY_IN_COLUMNS:
            if invocation.given(name):
                raise UsageError(f"--{name} goes with --columns", hint=f"add -C, or use {kind}")
    elif request.format != "basic":
        invocation.terminal.begin_document()
    report = prepare(request, app.targets)  # refuses a wrong selection before anything is read
    if report.help:
        invocation.terminal.data(report.help)
        return EXIT_OK
    vgs, status, only = None, EXIT_OK, None
    if invocation.arguments:
        from vmgr.cli.report_names import chosen, groups_named

        vgs = groups_named(kind, app, invocation)
    view = app.view(
        vgs=vgs,
        all_devices=kind == "pvs" and request.all,
        foreign=invocation.flag("foreign"),
        shared=invocation.flag("shared") or bool(invocation.arguments),
    )
    if invocation.arguments:
        only, status = chosen(kind, app, invocation, view)
    if columns:
        report = prepare(request._replace(only=only), app.targets)
        live = app.live(status=report.wants_status(view)) if report.needs_live else {}
        if not invocation.flag("logonly"):
            print_report(invocation.terminal, report, view, live, app)
        return status
    style = "colon" if invocation.flag("colon") else "short" if invocation.flag("short") else "long"
    text = display(
        DisplayRequest(
            kind[:-1],
            style=style,
            maps=invocation.flag("maps"),
            only=only,
            all=request.all,
            verbose=request.verbose,
            select=request.select,
            units=request.units,
            suffix=request.suffix,
            si_units=request.si_units,
            full_path=app.config.flag("global/lvdisplay_shows_full_device_path"),
            dev_dir=request.dev_dir,
            now=request.now,
            active=invocation.flag("activevolumegroups"),
        ),
        view,
        app.live(status=kind == "lvs"),
        app.targets,
        app.read_ahead,
    )
    if not invocation.flag("logonly"):
        invocation.terminal.lines(text, "states" if request.format == "basic" else "")
    return status if view.sound else EXIT_FAILED


_SHARED = tuple(
    option
    for option in REPORT
    if option.name not in ("nameprefixes", "rows", "unquoted", "trustcache", "ignoreskippedcluster", "all")
)
_COLON = Option("colon", "flag", "Print facts on one line, separated by colons.", "c")
_COLUMNS = Option("columns", "flag", "Print a report as lvs, pvs or vgs would, with their options.", "C")
_ALL = Option("all", "flag", "Show what is hidden otherwise: helper volumes, or devices that are no PVs.", "a")

DECLARED = {
    "lvdisplay": Command(
        "lvdisplay",
        "Show logical volumes at length.",
        usages=("[VG|LV|Tag ...]",),
        run=run,
        arguments=(Argument("VG|LV|Tag", "a volume as group/volume, a group, or @tag", needed=False, many=True),),
        options=(
            _ALL,
            _COLON,
            _COLUMNS,
            Option("history", "flag", "Accepted for LVM2's sake; vmgr keeps no history of removed volumes.", "H"),
            IGNORE_SKIPPED,
            Option("maps", "flag", "Also show what each part of a volume lies on.", "m"),
            Option("segments", "flag", "With -C: show columns about segments, one line for each."),
            *_SHARED,
        ),
        exclusive=(("colon", "columns"), ("colon", "maps")),
    ),
    "pvdisplay": Command(
        "pvdisplay",
        "Show physical volumes at length.",
        usages=("[PV|Tag ...]",),
        run=run,
        arguments=(Argument("PV|Tag", "the device of a physical volume, or @tag", needed=False, many=True),),
        options=(
            _ALL,
            _COLON,
            _COLUMNS,
            IGNORE_SKIPPED,
            Option("maps", "flag", "Also show which volumes lie where.", "m"),
            Option("short", "flag", "Print only the sizes.", "s"),
            *_SHARED,
        ),
        exclusive=(("colon", "columns"), ("colon", "maps")),
    ),
    "vgdisplay": Command(
        "vgdisplay",
        "Show volume groups at length.",
        usages=("[VG|Tag ...]",),
        run=run,
        arguments=(Argument("VG|Tag", "a group, or @tag", needed=False, many=True),),
        options=(
            Option("activevolumegroups", "flag", "Show only groups with an active volume.", "A"),
            _COLON,
            _COLUMNS,
            IGNORE_SKIPPED,
            Option("short", "flag", "Print only names and sizes.", "s"),
            *_SHARED,
        ),
        exclusive=(("colon", "columns"), ("colon", "short")),
    ),
}
