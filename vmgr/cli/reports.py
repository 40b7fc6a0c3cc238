"""``lvs``, ``pvs`` and ``vgs``: the reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.options_report import REPORT
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.cli.terminal import Terminal
    from vmgr.core.table import LiveDevice
    from vmgr.core.view import SystemView
    from vmgr.report import ReportRequest
    from vmgr.report.engine import Report
    from vmgr.system.config import Config


def run(app: Application, invocation: Invocation) -> int:
    """Print a report."""
    from vmgr.report import prepare

    kind = invocation.command.name
    request = report_request(kind, invocation, app.config)
    report = prepare(request, app.targets)
    if request.format != "basic":
        invocation.terminal.begin_document()  # lvm.conf may ask for it, too
    if report.help:
        invocation.terminal.data(report.help)
        return EXIT_OK
    status, vgs = EXIT_OK, None
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
        report = prepare(request._replace(only=only), app.targets)
    if not invocation.flag("logonly"):
        live = app.live(status=report.wants_status(view)) if report.needs_live else {}
        print_report(invocation.terminal, report, view, live, app)
    return status if view.sound else EXIT_FAILED


def refuse_json(invocation: Invocation, hint: str) -> None:
    """Refuse ``--reportformat json`` where all there is to print is text. Raises :class:`UsageError`."""
    wanted = invocation.text("reportformat") or "basic"
    if wanted != "basic":
        raise UsageError(
            f"{invocation.command.name} prints text, which --reportformat {wanted} cannot be", hint=hint
        )


def print_report(
    terminal: Terminal, report: Report, view: SystemView, live: Mapping[str, LiveDevice] | None, app: Application
) -> None:
    """Print a report; in JSON it becomes part of the document, which is written at the end."""
    text = report.part(view, live, read_ahead=app.read_ahead)
    if report.request.format == "basic":
        terminal.lines(text, "states")
    else:
        terminal.begin_document().reports.append(text)


def report_request(kind: str, invocation: Invocation, config: Config) -> ReportRequest:
    """What the options, and lvm.conf where they are silent, ask for. ``kind``: ``lvs``, ``pvs`` or ``vgs``."""
    from vmgr.report import ReportRequest

    values = invocation.values
    separator = invocation.text("separator")
    if separator is None and config.is_set("report/separator"):
        separator = config.text("report/separator")
    headings = 0 if "noheadings" in values else config.number("report/headings") if _set(config, "headings") else 1
    select = invocation.texts("select")
    sort = invocation.texts("sort")
    time_wanted = bool(select)
    return ReportRequest(
        kind,
        columns=invocation.texts("options"),
        sort=",".join(sort) if sort else None,
        select=select[0] if len(select) == 1 else " && ".join(f"({criteria})" for criteria in select),
        all="all" in values,
        segments="segments" in values,
        verbose=invocation.terminal.verbose,
        units=units(invocation, config),
        suffix="nosuffix" not in values and config.flag("global/suffix"),
        format=invocation.text("reportformat") or config.text("report/output_format"),
        separator=separator,
        aligned=True if "aligned" in values else config.flag("report/aligned") if _set(config, "aligned") else None,
        headings=headings,
        nameprefixes="nameprefixes" in values or config.flag("report/prefixes"),
        quoted="unquoted" not in values and config.flag("report/quoted"),
        rows="rows" in values or config.flag("report/columns_as_rows"),
        buffered="unbuffered" not in values and config.flag("report/buffered"),
        binary="binary" in values or config.flag("report/binary_values_as_numeric"),
        settings=settings(config),
        si_units=config.flag("global/si_unit_consistency"),
        dev_dir=config.dev_dir,
        now=_now() if time_wanted else None,
    )


def units(invocation: Invocation, config: Config) -> str:
    """The units of ``--units`` or lvm.conf. Raises :class:`InvalidSize` for an invalid argument."""
    text = invocation.text("units")
    if text is None:
        return config.text("global/units")
    from vmgr.core.sizes import parse_units

    parse_units(text)
    return text


def settings(config: Config) -> dict[str, str | int]:
    """The settings of lvm.conf's ``report`` section that are set, by their name in it."""
    from vmgr.system.settings import DEFAULTS

    found: dict[str, str | int] = {}
    for path in DEFAULTS:
        if path.startswith("report/"):
            value = config.raw(path)
            if isinstance(value, str | int):
                found[path[7:]] = value
    return found


def _set(config: Config, name: str) -> bool:
    return config.is_set(f"report/{name}")


def _now() -> int:
    import time

    return int(time.time())


def check_extra(invocation: Invocation) -> None:
    """Refuse arguments of a command that takes none."""
    if invocation.arguments:
        raise UsageError(f"{invocation.command.name} takes no argument {invocation.arguments[0]!r}")


_LVS = Argument("VG|LV|Tag", "a volume as group/volume, a group for all its volumes, or @tag", False, True)
_VGS = Argument("VG|Tag", "a group, or @tag", needed=False, many=True)
_PVS = Argument("PV|Tag", "the device of a physical volume, or @tag", needed=False, many=True)

DECLARED = {
    "lvs": Command(
        "lvs",
        "Report on logical volumes.",
        usages=("[VG|LV|Tag ...]",),
        run=run,
        arguments=(_LVS,),
        options=(
            Option("history", "flag", "Accepted for LVM2's sake; vmgr keeps no history of removed volumes.", "H"),
            *REPORT,
            Option("segments", "flag", "Show columns about segments, one line for each."),
        ),
    ),
    "pvs": Command(
        "pvs",
        "Report on physical volumes.",
        usages=("[PV|Tag ...]",),
        run=run,
        arguments=(_PVS,),
        options=(*REPORT, Option("segments", "flag", "Show one line for each run of extents, free ones included.")),
    ),
    "vgs": Command(
        "vgs",
        "Report on volume groups.",
        usages=("[VG|Tag ...]",),
        run=run,
        arguments=(_VGS,),
        options=REPORT,
    ),
}
