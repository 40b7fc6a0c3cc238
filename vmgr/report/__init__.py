"""Reports: values in, text out. The tables of ``pvs``, ``vgs`` and ``lvs`` and the long displays.

Three steps, so that a wrong column name is refused before a disk is read, and nothing is asked of the kernel
that no column shows::

    report = prepare(ReportRequest("lvs", columns=("+devices",)), targets)   # raises UsageError
    ...scan; ask the kernel if report.needs_live, with status lines if report.wants_status(system)...
    sys.stdout.write(report.text(system, live))

Nothing here touches a disk, the kernel, a clock or a configuration file; the caller hands over what it read.
What the columns are is in :mod:`vmgr.report.columns`; how values become text in :mod:`vmgr.report.render`;
the selection language in :mod:`vmgr.report.selection`; ``pvdisplay`` and its kin in :mod:`vmgr.report.displays`.
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
    """Settle a report's columns, order and selection.

    The result has ``needs_live`` (whether device-mapper devices are shown at all), ``wants_status(system)``
    (whether their status lines are, for volumes that have any), ``help`` (text of ``-o help`` or ``-S help``,
    which is then all there is to print; empty otherwise) and ``text(system, live)``: the report, with a final
    line feed unless it is empty. Raises :class:`vmgr.core.errors.UsageError` for an unknown column, sort key,
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
    """A test for UUIDs of what ``-S`` selects, for commands that change things (``lvremove -S``).

    ``kind`` is that of :class:`ReportRequest`. Raises :class:`vmgr.core.errors.UsageError`.
    """
    found = prepare(ReportRequest(kind, select=criteria, all=True, now=now), targets).selected(system, live)
    return found.__contains__
