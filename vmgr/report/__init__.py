"""Reports: values in, text out. The tables of ``pvs``, ``vgs`` and ``lvs`` and the long displays.

Three steps, so that a wrong column name is refused before a disk is read, and the kernel is queried only for
values that a column shows::

    report = prepare(ReportRequest("lvs", columns=("+devices",)), targets)   # raises UsageError
    ...scan; ask the kernel if report.needs_live, with status lines if report.wants_status(system)...
    sys.stdout.write(report.text(system, live))

Nothing here reads a disk, the kernel, a clock or a configuration file; the caller passes the data.
The columns are in :mod:`vmgr.report.columns`, the text layout in :mod:`vmgr.report.render`,
the selection language in :mod:`vmgr.report.selection`, ``pvdisplay`` and the like in :mod:`vmgr.report.displays`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report.requests import DisplayRequest, ReportRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import SystemView
    from vmgr.report.engine import Report
    from vmgr.report.facts import KernelReadAhead

    Live = Mapping[str, LiveDevice] | None
    """Device-mapper devices by device-mapper UUID; None when the kernel has no device mapper."""

__all__ = ["DisplayRequest", "ReportRequest", "display", "prepare", "scan_lines", "select"]


def prepare(request: ReportRequest, targets: Targets) -> Report:
    """Determine a report's columns, order and selection.

    The result has ``needs_live`` (whether it shows device-mapper devices at all), ``wants_status(system)``
    (whether it shows their status lines, for volumes that have any), ``help`` (the text of ``-o help`` or
    ``-S help``, to print instead of the report; empty otherwise) and ``text(system, live)``: the report, with a
    final line feed unless it is empty. Raises :class:`vmgr.core.errors.UsageError` for an unknown column, sort key,
    format or unit, and for a selection that cannot be parsed.
    """
    from vmgr.report.engine import Report

    return Report(request, targets)


def display(
    request: DisplayRequest,
    system: SystemView,
    live: Live,
    targets: Targets,
    *,
    read_ahead: KernelReadAhead | None = None,
) -> str:
    """The text of ``pvdisplay``, ``vgdisplay`` or ``lvdisplay``.

    ``read_ahead`` gives the read-ahead of a device by its numbers; without it a line is left out.
    """
    from vmgr.report.displays import display

    return display(request, system, live, targets, read_ahead)


def scan_lines(request: DisplayRequest, system: SystemView, live: Live, targets: Targets) -> str:
    """The text of ``pvscan``, ``vgscan`` or ``lvscan``, by the request's kind."""
    from vmgr.report.scans import scan_lines

    return scan_lines(request, system, live, targets)


def select(
    kind: str, criteria: str, system: SystemView, live: Live, targets: Targets, now: int | None = None
) -> Callable[[Uuid], bool]:
    """A test for the UUIDs that ``-S`` selects, for commands that make changes (``lvremove -S``).

    ``kind`` is that of :class:`ReportRequest`. Raises :class:`vmgr.core.errors.UsageError`.
    """
    found = prepare(ReportRequest(kind, select=criteria, all=True, now=now), targets).selected(system, live)
    return found.__contains__
