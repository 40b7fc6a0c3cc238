"""A report from request to text: its columns, its rows, their order, and the cells to show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError
from vmgr.core.sizes import UNIT, parse_units, size_printer
from vmgr.report.catalog import canonical, names_in, sort_order
from vmgr.report.cells import cells_of, values_of
from vmgr.report.columns import (
    ANY_LV,
    DEFAULTS,
    LABEL,
    LV,
    LVATTR,
    LVINFO,
    LVSTATUS,
    PV,
    PVSEG,
    SEG,
    VG,
    catalog,
)
from vmgr.report.facts import Context
from vmgr.report.render import Layout, json_document, json_report, json_std_report
from vmgr.report.rows import Rows, collect
from vmgr.report.volumes import LIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import SystemView
    from vmgr.report.catalog import Column
    from vmgr.report.cells import Values
    from vmgr.report.facts import KernelReadAhead
    from vmgr.report.render import Cells
    from vmgr.report.requests import ReportRequest

FORMATS = ("basic", "json", "json_std")

KINDS = {
    "lvs": (LV, "lv"),
    "vgs": (VG, "vg"),
    "pvs": (LABEL, "pv"),
    "segs": (SEG, "seg"),
    "pvsegs": (PVSEG, "pvseg"),
}
"""For each kind of report: what its rows are by default, and the prefix of its columns' names."""


class Report:
    """A prepared report; see :func:`vmgr.report.prepare`."""

    def __init__(self, request: ReportRequest, targets: Targets) -> None:
        self.request = request
        self.targets = targets
        self._settings = request.settings
        if request.format not in FORMATS:
            raise UsageError(f"unknown report format {request.format!r}", hint=f"use {', '.join(FORMATS)}")
        self._kind = {"lvs": "segs", "pvs": "pvsegs"}.get(request.kind, request.kind)
        if not request.segments or request.kind == "vgs":
            self._kind = request.kind
        sections, self._prefix = KINDS[self._kind]
        self._units = parse_units(request.units)
        self._catalog = catalog(targets)
        names, self._compact = self._column_names()
        keys = self._key_names()
        places, order, sections = self._catalog.resolve(names, keys, self._prefix, sections)
        self.columns: tuple[Column, ...] = tuple(self._catalog.column(at) for at in places)
        self._order = tuple((self._catalog.column(at), descending) for at, descending in order)
        self.help = self._help()
        self._selection = None
        self._selecting: dict[int, Column] = {}
        if request.select and not self.help:
            from vmgr.report.selection import parse_selection

            self._selection = parse_selection(request.select, self._catalog, self._prefix, request.now)
        if self._selection is not None:
            self._selecting = {at: self._catalog.column(at) for at in self._selection.columns}
            for column in self._selecting.values():
                sections |= column.section
        self.rows_are = self._rows_are(sections)
        used = (*self.columns, *(column for column, _ in self._order), *self._selecting.values())
        self._status = bool(sections & (LVSTATUS | LVATTR)) or any(column.added for column in used)
        self.needs_live = self._status or bool(sections & LVINFO) or any(column.name in LIVE for column in used)

    # -- columns and order ------------------------------------------------------------------------

    def _column_names(self) -> tuple[list[str], list[str]]:
        """Names of the columns to show, and of those to leave out if they are empty."""
        plain, verbose, _ = DEFAULTS[self._kind]
        if self.request.verbose:
            text = str(self._settings.get(f"{self._kind}_cols_verbose", verbose))
        else:
            text = str(self._settings.get(f"{self._kind}_cols", plain))
        names = names_in(text)
        compact = names_in(str(self._settings.get("compact_output_cols", "")))
        for argument in self.request.columns:
            action, listed = argument[:1], names_in(argument.lstrip("+-#") if argument[:1] in "+-#" else argument)
            if not argument:
                raise UsageError("empty list of columns", hint="-o help lists all columns")
            if action == "+":
                names += listed
            elif action == "-":
                for name in listed:
                    self._leave_out(names, name)
            elif action == "#":
                compact = listed
            else:
                names = listed
        for name in compact:
            self._catalog.need(name, self._prefix, "column")
        return names, compact

    def _leave_out(self, names: list[str], name: str) -> None:
        """Remove the last column called ``name``, with or without the report's prefix."""
        wanted = canonical(name).removeprefix(self._prefix)
        for at in range(len(names) - 1, -1, -1):
            if canonical(names[at]).removeprefix(self._prefix) == wanted:
                del names[at]
                return

    def _key_names(self) -> list[tuple[str, bool]]:
        """Names of the sort keys, and whether each is descending."""
        default = str(self._settings.get(f"{self._kind}_sort", DEFAULTS[self._kind][2]))
        text = default if self.request.sort is None else self.request.sort
        return sort_order(text)

    def _help(self) -> str:
        if self.request.select.strip().lower() in ("help", "?"):
            from vmgr.report.selection import selection_help

            return f"{self._catalog.help(groups=False, kinds=True)}\n{selection_help()}"
        if any(column.name in ("help", "?") for column in self.columns):
            return self._catalog.help()
        return ""

    def _rows_are(self, sections: int) -> int:
        """What a row stands for, given the sections of all columns (LVM2 ``_get_final_report_type``)."""
        volumes, physical = bool(sections & (ANY_LV | SEG)), bool(sections & (PV | LABEL | PVSEG))
        if volumes and physical and self.request.kind != "pvs":
            raise UsageError(
                f"{self.request.kind} cannot show columns of volumes and of physical volumes together",
                hint="pvs --segments shows which volume lies where; -o+devices shows what a volume lies on",
            )
        if sections & PVSEG or (physical and volumes):
            return PVSEG
        if physical:
            return PV
        if sections & SEG:
            return SEG
        return LV if volumes else VG

    # -- rows -------------------------------------------------------------------------------------

    def wants_status(self, system: SystemView) -> bool:
        """Whether the report shows the kernel's status lines of any volume."""
        if not self._status:
            return False
        from vmgr.report.facts import GroupFacts

        ctx = self._context(None, None)
        return any(GroupFacts(ctx, view).has_status() for view in system.groups)

    def _context(self, live: Mapping[str, LiveDevice] | None, read_ahead: KernelReadAhead | None) -> Context:
        request = self.request
        return Context(
            self.targets,
            size_printer(self._units, suffix=request.suffix, form=UNIT, consistent=request.si_units),
            live,
            self._settings,
            binary=request.binary or request.format == "json_std",
            dev_dir=request.dev_dir,
            read_ahead=read_ahead,
        )

    def _rows(self, ctx: Context, system: SystemView) -> Rows:
        """All rows, selected or not, with :attr:`Rows.selected` set."""
        request = self.request
        rows = collect(ctx, system, self.rows_are, request.kind, request.only, request.all)
        if self._selection is not None:
            values = {at: values_of(rows, column).listed(rows.count) for at, column in self._selecting.items()}
            rows.selected = self._selection.mask(values)
        return rows

    def selected(self, system: SystemView, live: Mapping[str, LiveDevice] | None) -> frozenset[Uuid]:
        """UUIDs of the volumes, groups or PVs (by the report's kind) of which a row is selected."""
        rows = self._rows(self._context(live, None), system)
        ids = rows.ids(self.request.kind)
        return frozenset(uuid for uuid, chosen in zip(ids, rows.chosen(), strict=True) if chosen and uuid)

    def _ordered(self, rows: Rows) -> Rows:
        """The rows in the requested order; the sort is stable."""
        order = list(range(rows.count))
        sorted_at_all = False
        for column, descending in reversed(self._order):
            values = values_of(rows, column)
            if values.same:
                continue
            keys = column.sort_keys(values.listed(rows.count))
            order.sort(key=keys.__getitem__, reverse=descending)
            sorted_at_all = True
        return rows.take(order) if sorted_at_all else rows

    # -- text -------------------------------------------------------------------------------------

    def text(
        self,
        system: SystemView,
        live: Mapping[str, LiveDevice] | None,
        *,
        read_ahead: KernelReadAhead | None = None,
    ) -> str:
        """The report, in JSON as LVM2's document; arguments as for :meth:`part`."""
        text = self.part(system, live, read_ahead=read_ahead)
        return text if self.request.format == "basic" else json_document((text,))

    def part(
        self,
        system: SystemView,
        live: Mapping[str, LiveDevice] | None,
        *,
        read_ahead: KernelReadAhead | None = None,
    ) -> str:
        """The report; in JSON it is one item of the document's ``report``.

        ``live`` has the kernel's devices by device-mapper UUID, None without a device mapper. ``read_ahead`` gives
        the read-ahead of a device by its numbers, for the one column that shows it.
        """
        rows = self._rows(self._context(live, read_ahead), system)
        if self._selection is not None and not any(column.name == "selected" for column in self.columns):
            rows = rows.take([at for at, chosen in enumerate(rows.chosen()) if chosen])
        buffered = self.request.buffered or self.request.sort is not None or self.request.format != "basic"
        if buffered:
            rows = self._ordered(rows)
        values = [values_of(rows, column) for column in self.columns]
        cells = [cells_of(rows, column, v) for column, v in zip(self.columns, values, strict=True)]
        return self._rendered(rows, values, cells, buffered)

    def _rendered(self, rows: Rows, values: list[Values], cells: list[Cells], buffered: bool) -> str:
        request, columns, count = self.request, self.columns, rows.count
        if buffered and count:
            kept = self._kept(cells)
            columns = tuple(columns[at] for at in kept)
            more = bool(kept) and kept[-1] != len(cells) - 1
            values, cells = [values[at] for at in kept], [cells[at] for at in kept]
        else:
            more = False
        if request.format == "json":
            return json_report(self._prefix, columns, cells, count)
        if request.format == "json_std":
            lists = [
                _items(v.listed(count)) if c.kind == "list" else () for c, v in zip(columns, values, strict=True)
            ]
            return json_std_report(self._prefix, columns, cells, lists, count)
        layout = self._layout()
        if buffered or request.rows:
            return layout.text(columns, cells, count, more=more)
        single = (
            layout.text(columns, [c if isinstance(c, str) else [c[at]] for c in cells], 1, headings=not at)
            for at in range(count)
        )
        return "".join(single)

    def _layout(self) -> Layout:
        request = self.request
        aligned = request.aligned
        if aligned is None:
            aligned = request.separator is None and not request.nameprefixes
        return Layout(
            separator=" " if request.separator is None else request.separator,
            aligned=aligned and not request.rows,
            headings=request.headings,
            nameprefixes=request.nameprefixes,
            quoted=request.quoted,
            rows=request.rows,
        )

    def _kept(self, cells: list[Cells]) -> list[int]:
        """Positions of the columns that stay when empty ones are left out (``compact_output``, ``-o#``)."""
        every = bool(self._settings.get("compact_output", 0))
        if not every and not self._compact:
            return list(range(len(cells)))
        named = {self._catalog.find(name, self._prefix) for name in self._compact}
        return [
            at for at, column_cells in enumerate(cells)
            if any(column_cells) or not (every or self._catalog.find(self.columns[at].name, "") in named)
        ]  # fmt: skip


def _items(values: list[object]) -> list[tuple[str, ...]]:
    return [value if isinstance(value, tuple) else () for value in values]
