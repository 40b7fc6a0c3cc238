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

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import SystemView
    from vmgr.report.engine import Report
    from vmgr.report.facts import KernelReadAhead

    Live = Mapping[str, LiveDevice] | None
    """Device-mapper devices by device-mapper UUID; None when the kernel has no device mapper."""

__all__ = ["DisplayRequest", "ReportRequest", "display", "prepare", "scan_lines", "select"]


class ReportRequest(NamedTuple):
    """What a reporting command was asked for. (A named tuple: an attrs class would cost half a millisecond.)

    ``kind``: ``lvs``, ``vgs`` or ``pvs``. ``columns`` are the arguments of each ``-o`` as given
    (``lv_name,size``, ``+devices``, ``-lv_attr``, ``#...``), in order. ``sort`` is that of ``-O``, None for
    the default order. ``select`` is the text of ``-S``. ``only`` limits the report to these UUIDs: of volumes
    for ``lvs`` (hidden ones that are in it are shown without ``all``; as copied groups have the same volumes,
    a group's UUID may stand before a volume's), of groups for ``vgs``, of PVs for ``pvs``; None means
    everything. ``units`` is the argument of ``--units``, ``suffix`` whether unit letters are shown.
    ``format``: ``basic``, ``json`` or ``json_std``. A ``separator`` turns alignment off unless ``aligned``
    says otherwise. ``buffered`` False prints each row by itself, unsorted. ``headings``: 0 none, 1
    abbreviated, 2 full column names. ``settings`` are those of lvm.conf's ``report`` section that are not the
    default, by their name in it (``lvs_cols``, ``pvs_sort``, ``list_item_separator``, ``compact_output``,
    ``time_format``, ``mark_hidden_devices``...). ``dev_dir`` is where paths begin (``DM_DEV_DIR``). ``now``
    is the present, in seconds since 1970, for selections such as ``lv_time since yesterday``; without it they
    are refused.
    """

    kind: str
    columns: tuple[str, ...] = ()
    sort: str | None = None
    select: str = ""
    only: frozenset[str] | None = None
    all: bool = False
    segments: bool = False
    verbose: int = 0
    units: str = "r"
    suffix: bool = True
    format: str = "basic"
    separator: str | None = None
    aligned: bool | None = None
    buffered: bool = True
    headings: int = 1
    nameprefixes: bool = False
    quoted: bool = True
    rows: bool = False
    binary: bool = False
    settings: Mapping[str, str | int] = {}
    dev_dir: str = "/dev"
    now: int | None = None
    si_units: bool = True


class DisplayRequest(NamedTuple):
    """What ``pvdisplay``, ``vgdisplay`` or ``lvdisplay``, or a scan, was asked for.

    ``kind``: ``pv``, ``vg`` or ``lv``. ``style``: ``long``, ``colon`` (``-c``) or ``short`` (``-s``).
    ``maps`` is ``-m``. ``active`` leaves out groups without an active volume (``-A``). ``uuid`` is ``pvscan
    -u``. The others are as in :class:`ReportRequest`. (``-C`` is the report of the same kind.)
    """

    kind: str
    style: str = "long"
    maps: bool = False
    only: frozenset[str] | None = None
    all: bool = False
    verbose: int = 0
    select: str = ""
    units: str = "r"
    suffix: bool = True
    dev_dir: str = "/dev"
    now: int | None = None
    active: bool = False
    uuid: bool = False
    si_units: bool = True
    full_path: bool = False


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
