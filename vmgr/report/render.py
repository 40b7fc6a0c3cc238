"""Rows of cells to text: aligned columns, separated values, name=value pairs, columns as lines, JSON.

The layouts are LVM2's to the byte (``libdm/libdm-report.c``). Its commands indent each line by two spaces, dmsetup
does not. A column with equal cells is passed as one text, and takes no time per row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmgr.report.catalog import Column

    Cells = list[str] | str
    """The cells of a column in the order of rows, or the one text that all of them have."""

    Lists = Sequence[Sequence[str]]

INDENT = "  "
"""The indentation of lines of LVM2's commands."""

PREFIX = "LVM2_"
"""The prefix of names with their ``--nameprefixes``."""


def _listed(cells: Cells, count: int) -> list[str]:
    return [cells] * count if isinstance(cells, str) else cells


def lines(pattern: str, columns: Iterable[Cells], count: int) -> list[str]:
    """One line for each row; ``pattern`` has a ``%s`` for each of ``columns`` that is not constant."""
    varying = [cells for cells in columns if not isinstance(cells, str)]
    if not varying:
        return [pattern % ()] * count
    return [pattern % row for row in zip(*varying, strict=True)]


def _plain(text: str) -> str:
    return text.replace("%", "%%")


class Layout:
    """The layout of a basic report; ``ReportRequest`` explains the fields.

    ``indent`` is the beginning of each line, ``prefix`` that of each name with ``nameprefixes``.
    """

    __slots__ = ("aligned", "headings", "indent", "nameprefixes", "prefix", "quoted", "rows", "separator")

    def __init__(
        self,
        *,
        separator: str,
        aligned: bool,
        headings: int,
        nameprefixes: bool,
        quoted: bool,
        rows: bool,
        indent: str = INDENT,
        prefix: str = PREFIX,
    ) -> None:
        self.indent = indent
        self.prefix = prefix
        self.separator = separator
        self.aligned = aligned
        self.headings = headings
        self.nameprefixes = nameprefixes
        self.quoted = quoted
        self.rows = rows

    def heading(self, column: Column) -> str:
        """The heading of a column."""
        return column.name if self.headings == 2 else column.heading

    def _around(self, column: Column) -> tuple[str, str]:
        if not self.nameprefixes:
            return "", ""
        quote = "'" if self.quoted else ""
        return f"{self.prefix}{column.name.upper()}={quote}", quote

    def text(
        self,
        columns: Sequence[Column],
        cells: Sequence[Cells],
        count: int,
        *,
        headings: bool = True,
        more: bool = False,
    ) -> str:
        """A report of ``count`` rows; empty without any.

        ``more``: empty columns after the last one were left out. LVM2 then ends the headings with a separator.
        """
        if not count:
            return ""
        if self.rows:
            found = self._as_rows(columns, cells, count)
        else:
            top, pattern = self._patterns(columns, cells)
            found = lines(pattern, cells, count)
            if headings and self.headings:
                found.insert(0, top + self.separator if more else top)
        return "\n".join(found) + "\n"

    def _patterns(self, columns: Sequence[Column], cells: Sequence[Cells]) -> tuple[str, str]:
        """The line of headings, and the pattern of a row for :func:`lines`."""
        pattern: list[str] = []
        top: list[str] = []
        for column, column_cells in zip(columns, cells, strict=True):
            before, after = self._around(column)
            heading = self.heading(column)
            if self.aligned:
                longest = len(column_cells) if isinstance(column_cells, str) else max(map(len, column_cells))
                width = max(column.width, longest, len(heading) if self.headings == 2 else 0)
                heading = heading[:width].ljust(width)
                if isinstance(column_cells, str):
                    cell = _plain(column_cells.rjust(width) if column.right else column_cells.ljust(width))
                else:
                    cell = f"%{width}s" if column.right else f"%-{width}s"
            else:
                cell = _plain(column_cells) if isinstance(column_cells, str) else "%s"
            top.append(heading)
            pattern.append(f"{before}{cell}{after}")
        indent = self.indent
        return indent + self.separator.join(top), indent + _plain(self.separator).join(pattern)

    def _as_rows(self, columns: Sequence[Column], cells: Sequence[Cells], count: int) -> list[str]:
        found = []
        for column, column_cells in zip(columns, cells, strict=True):
            before, after = self._around(column)
            words = [f"{before}{cell}{after}" for cell in _listed(column_cells, count)]
            if self.headings:
                words.insert(0, self.heading(column))
            found.append(self.indent + self.separator.join(words))
        return found


def json_report(name: str, columns: Sequence[Column], cells: Sequence[Cells], count: int) -> str:
    """A report of LVM2's ``--reportformat json``: one object a row, every value a string.

    It is one item of the document's ``report``; :func:`json_document` makes the document.
    """
    escaped: list[Cells] = [
        json_escape(c) if isinstance(c, str) else [json_escape(cell) for cell in c] for c in cells
    ]
    pattern = ", ".join(
        f'"{column.name}":"{_plain(c) if isinstance(c, str) else "%s"}"'
        for column, c in zip(columns, escaped, strict=True)
    )
    return _json_item(name, lines(f"{{{pattern}}}", escaped, count))


def json_escape(text: str) -> str:
    """The text between the quotes of a JSON string. Bytes that are not UTF-8 become ``\\udcNN``."""
    if '"' not in text and "\\" not in text and text.isprintable():
        return text
    from json import dumps

    return dumps(text, ensure_ascii=not text.isprintable())[1:-1]


def json_std_report(
    name: str, columns: Sequence[Column], cells: Sequence[Cells], lists: Sequence[Lists], count: int
) -> str:
    """A report of ``--reportformat json_std``: numbers without quotes, null for undefined ones, lists as arrays.

    ``lists`` has the items of list columns, row by row, and is ignored for others. Sizes stay strings.
    """
    from json import dumps

    def shown(column: Column, column_cells: Cells, items: Lists) -> list[str]:
        texts = _listed(column_cells, count)
        if column.kind == "list":
            return [dumps(list(one), ensure_ascii=False, separators=(",", ":")) for one in items]
        if column.kind in ("number", "percent", "binary"):
            return [(t if _is_number(t) else dumps(t)) if t else "null" for t in texts]
        return [f'"{json_escape(t)}"' for t in texts]

    every = [shown(*of_column) for of_column in zip(columns, cells, lists, strict=True)]
    pattern = ", ".join(f'"{column.name}":%s' for column in columns)
    return _json_item(name, lines(f"{{{pattern}}}", every, count))


def _is_number(text: str) -> bool:
    whole, _, fraction = text.removeprefix("-").partition(".")
    return whole.isascii() and whole.isdigit() and (not fraction or fraction.isdigit())


def _json_item(name: str, rows: list[str]) -> str:
    inner = ",\n".join(f"{INDENT}                {row}" for row in rows)
    body = f"{inner}\n" if rows else ""
    return f'{INDENT}        {{\n{INDENT}            "{name}": [\n{body}{INDENT}            ]\n{INDENT}        }}'


def json_document(reports: Sequence[str], more: Sequence[str] = ()) -> str:
    """LVM2's document around ``reports``. ``more`` are the lines of further members, without indentation."""
    inner = ",\n".join(reports)
    body = f"{inner}\n" if reports else ""
    members = [f'{INDENT}    "report": [\n{body}{INDENT}    ]\n']
    members += ["".join(f"{INDENT}    {line}\n" for line in text.split("\n")) for text in more]
    return f"{INDENT}{{\n" + f"{INDENT}    ,\n".join(members) + f"{INDENT}}}\n"
