"""Reports in columns on devices: ``info -c``, ``splitname``, and the ``-S`` of every other subcommand.

Finding columns, selecting, sorting and laying out is :mod:`vmgr.report`'s; here is what dmsetup does otherwise than
LVM2's commands (``_report_init`` of ``dmsetup.c``): no indentation, names with ``DM_`` in front, a colon between
columns without headings, and no order unless one is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.columns import DEFAULT, TREE, TYPED, VALUES, catalog
from vmgr.core.errors import UsageError
from vmgr.report.catalog import SPECIAL, names_in, sort_order
from vmgr.report.render import Layout

if TYPE_CHECKING:
    from vmgr.cli.dm.context import Context
    from vmgr.cli.dm.facts import Facts
    from vmgr.core.table import LiveDevice
    from vmgr.dm.tree import DeviceTree
    from vmgr.report.catalog import Catalog, Column


class DeviceReport:
    """A report that has been settled: wrong names are refused before the kernel is asked for anything.

    ``default`` are the columns without ``-o``, ``prefix`` what may be left out of columns' names, ``sections``
    those that are shown anyway. ``columns_given`` False: ``-o`` means something else here, and there is nothing
    but a selection. Raises :class:`UsageError`.
    """

    def __init__(
        self,
        context: Context,
        *,
        default: str = DEFAULT,
        prefix: str = "",
        sections: int = 0,
        columns_given: bool = True,
    ) -> None:
        invocation = context.invocation
        self.context = context
        self._catalog = self.all_columns()
        given = invocation.text("options") if columns_given else None
        sort = (invocation.text("sort") or "") if columns_given else ""
        names = self._names(given, default)
        places, order, sections = self._catalog.resolve(names, sort_order(sort), prefix, sections)
        self.columns: tuple[Column, ...] = tuple(map(self._catalog.column, places))
        self._order = [(self._catalog.column(at), descending) for at, descending in order]
        criteria = invocation.text("select") or ""
        self.help = self._help(criteria)
        """What ``-o help`` or ``-S help`` prints; nothing else is printed then."""
        self._selection = None
        if criteria and not self.help:
            from vmgr.report.selection import parse_selection

            self._selection = parse_selection(criteria, self._catalog, prefix, None)
        self._selecting: dict[int, Column] = {}
        if self._selection is not None:
            self._selecting = {at: self._catalog.column(at) for at in self._selection.columns}
            for column in self._selecting.values():
                sections |= column.section
        self._sections = sections
        self._rows: list[tuple[Facts, bool]] = []
        self._cells: list[dict[str, object]] = []
        self._tree: DeviceTree | None = None

    def _names(self, given: str | None, default: str) -> list[str]:
        if given is None:
            return names_in(default)
        text = f"{default},{given[1:]}" if given.startswith("+") else given
        if text.endswith(","):
            raise UsageError(f"missing column name at the end of {given!r}", hint="-o help lists all columns")
        return names_in(text)

    def _help(self, criteria: str) -> str:
        if criteria.strip().lower() in ("help", "?"):
            from vmgr.report.selection import selection_help

            return f"{self._catalog.help(groups=False, kinds=True, indent='')}\n{selection_help()}"
        if any(column.name in ("help", "?") for column in (*self.columns, *(column for column, _ in self._order))):
            return self._catalog.help(indent="")
        return ""

    # -- columns: what reports on more than devices do otherwise -------------------------------------

    def all_columns(self) -> Catalog:
        """The columns that there are."""
        return catalog()

    def value(self, facts: Facts, column: Column) -> object:
        """What a column holds, for selecting and sorting."""
        return VALUES[column.name](facts)

    def shown(self, facts: Facts, column: Column, value: object) -> str:
        """A value as text."""
        return str(_plain(value))

    def typed(self, facts: Facts, column: Column, value: object) -> object:
        """A value as JSON has it."""
        typed = TYPED.get(column.name)
        return value if typed is None else typed(facts)

    # -- rows -------------------------------------------------------------------------------------

    def facts(self, device: LiveDevice) -> Facts:
        """What there is to be said of a device, with the tree if a column needs it."""
        from vmgr.cli.dm.facts import Facts

        if self._sections & TREE and self._tree is None:
            from vmgr.dm.tree import DeviceTree

            self._tree = DeviceTree.read(self.context.client())
        return Facts(self.context, device, inactive=self.context.invocation.flag("inactive"), tree=self._tree)

    def add(self, facts: Facts) -> bool:
        """Add a row; whether it is selected. What of it can fail does so here."""
        chosen = self._selection is None or self._selection.mask(
            {at: [_plain(self.value(facts, column))] for at, column in self._selecting.items()}
        ) == [True]
        if chosen or any(column.name == "selected" for column in self.columns):
            used = (*self.columns, *(column for column, _ in self._order))
            self._cells.append({column.name: self._cell(facts, column, chosen) for column in used})
            self._rows.append((facts, chosen))
        return chosen

    def _cell(self, facts: Facts, column: Column, chosen: bool) -> object:
        return int(chosen) if column.section == SPECIAL else self.value(facts, column)

    def _ordered(self) -> list[int]:
        order = list(range(len(self._rows)))
        for column, descending in reversed(self._order):
            keys = column.sort_keys([_plain(cells[column.name]) for cells in self._cells])
            order.sort(key=keys.__getitem__, reverse=descending)
        return order

    # -- output -----------------------------------------------------------------------------------

    def text(self) -> str:
        """The report so far; empty without rows."""
        flag, separator = self.context.invocation.flag, self.context.invocation.text("separator")
        headings = not flag("noheadings")
        layout = Layout(
            separator=(" " if headings else ":") if separator is None else separator,
            aligned=headings and separator is None and not flag("nameprefixes") and not flag("rows"),
            headings=int(headings),
            nameprefixes=flag("nameprefixes"),
            quoted=not flag("unquoted"),
            rows=flag("rows"),
            indent="",
            prefix="DM_",
        )
        order = self._ordered()
        cells = [
            [self.shown(self._rows[at][0], column, self._cells[at][column.name]) for at in order]
            for column in self.columns
        ]
        return layout.text(self.columns, list(cells), len(order))

    def as_json(self) -> list[dict[str, object]]:
        """The rows as objects, with numbers, lists and truth values as such."""
        rows = []
        for at in self._ordered():
            facts, chosen = self._rows[at]
            row: dict[str, object] = {}
            for column in self.columns:
                value = self._cells[at][column.name]
                row[column.name] = chosen if column.name == "selected" else self.typed(facts, column, value)
            rows.append(row)
        return rows

    def clear(self) -> None:
        """Drop the rows and what was read, for the next round of a report that is repeated."""
        self._rows.clear()
        self._cells.clear()
        self._tree = None


def _plain(value: object) -> object:
    """As it is shown, compared and sorted: a list is one text."""
    return ",".join(value) if isinstance(value, tuple) else value


def selection(context: Context) -> DeviceReport | None:
    """What ``-S`` asks for, where the subcommand is no report itself; None without it.

    ``report.add(report.facts(device))`` tells whether a device is selected. Where ``report.help`` has a text, that
    is all there is to print. Raises :class:`UsageError`.
    """
    if context.invocation.text("select") is None:
        return None
    return DeviceReport(context, columns_given=False)


def say_help(context: Context, text: str) -> None:
    """Print help on columns; dmsetup has it on standard error."""
    if context.as_dmsetup:
        context.terminal.say(text.rstrip("\n"))
    else:
        context.terminal.data(text)
