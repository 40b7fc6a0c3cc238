"""The catalogue of columns: finding them by name, prefix or group; the sort order; and the help that lists them.

Names are matched as in LVM2 (``libdm/libdm-report.c``): underscores and case do not count, and the prefix
of the report's own kind may be left out, so that ``lvs -o size`` is ``lv_size``. ``all`` is every column of
the report's kind and of the other kinds that it shows, ``vg_all`` is every column of groups, and so on.

This module does not depend on particular columns. Those of LVM2's reports are in :mod:`vmgr.report.columns`;
the reports of ``vmgr dm`` have their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Section = tuple[int, str, str]
    """A section's bit, its title and the prefix of its columns' names, with underscore."""

Row = tuple[str | int | bool | None, ...]
"""A column's declaration; :mod:`vmgr.report.columns` explains the items."""

SPECIAL = 1 << 30
"""The section of columns about the report itself. Sections are bits."""

UNKNOWN = -1
"""An undefined number: shown as -1, and sorted after all others."""

LAST = 1 << 64
"""A sort key after all numbers: in LVM2, an undefined number is the largest one of 64 bits."""

RIGHT = ("number", "size", "binary")
"""Kinds that are aligned to the right (``libdm-report.c``: all that LVM2 counts as numbers)."""


class Column:
    """A requested column: the catalogue's row, with defaults for items that are left out."""

    __slots__ = ("absent", "added", "heading", "help", "kind", "name", "section", "width", "words")

    def __init__(self, row: Row, added: bool = False) -> None:
        name, section, kind, heading, width, text, *more = row
        assert isinstance(section, int)
        assert isinstance(width, int)
        self.name = str(name)
        self.section = section
        self.kind = str(kind)
        self.heading = str(heading)
        self.width = width or len(self.heading)
        self.help = str(text)
        self.words = str(more[0]) if more else ""
        self.absent: object = more[1] if len(more) > 1 else None
        self.added = added

    @property
    def right(self) -> bool:
        """Whether cells are aligned to the right."""
        return self.kind in RIGHT

    def sort_keys(self, raw: list[object]) -> list[Any]:
        """Keys that compare as LVM2's values do. (LVM2 compares percentages and lists by their bytes; not here.)"""
        if self.kind == "string":
            return ["" if v is None else v for v in raw]
        if self.kind == "list":
            return [v if isinstance(v, tuple) else () for v in raw]
        return [v if isinstance(v, int | float) and v != UNKNOWN else LAST for v in raw]


def canonical(name: str) -> str:
    """The form in which names are compared."""
    return name.replace("_", "").lower()


def names_in(text: str) -> list[str]:
    """The names in a list with commas; empty ones do not count."""
    return [name for name in (part.strip() for part in text.split(",")) if name]


def sort_order(text: str) -> list[tuple[str, bool]]:
    """The names of sort keys in the argument of ``-O``, and whether each is descending."""
    keys = []
    for key in names_in(text):
        name = key.lstrip("+-") if key[:1] in "+-" else key
        if not name:
            raise UsageError(f"missing column name in sort order {text!r}")
        keys.append((name, key.startswith("-")))
    return keys


class Catalog:
    """All columns of a family of reports."""

    def __init__(self, rows: Iterable[Row], sections: Sequence[Section]) -> None:
        self._rows: list[Row] = list(rows)
        self._index = {canonical(str(row[0])): at for at, row in enumerate(self._rows)}
        self._sections = sections
        self._added: set[int] = set()

    def add(self, row: Row) -> None:
        """Add a column, such as one of a target plugin, unless there is one of its name."""
        key = canonical(str(row[0]))
        if key not in self._index:
            self._index[key] = len(self._rows)
            self._added.add(len(self._rows))
            self._rows.append(row)

    def kind(self, name: str) -> str:
        """The kind of the column of exactly that name; empty where there is none."""
        at = self._index.get(canonical(name))
        return "" if at is None or self._rows[at][0] != name else str(self._rows[at][2])

    def explain(self, name: str, text: str) -> None:
        """Give a column that is known its help: what the target plugin says that has values for it."""
        at = self._index[canonical(name)]
        self._rows[at] = (*self._rows[at][:5], text, *self._rows[at][6:])

    def column(self, at: int) -> Column:
        """The column at a position in the catalogue."""
        return Column(self._rows[at], at in self._added)

    def section(self, at: int) -> int:
        """The section of the column at a position."""
        return int(self._rows[at][1] or 0)

    def find(self, name: str, prefix: str) -> int | None:
        """The position of a column; ``prefix`` is that of the report's kind, without underscore."""
        key = canonical(name)
        exact, prefixed = self._index.get(key), self._index.get(prefix + key)
        if exact is None or prefixed is None:
            return prefixed if exact is None else exact
        special = [at for at in (exact, prefixed) if self._rows[at][1] == SPECIAL]
        return special[0] if special else min(exact, prefixed)

    def group(self, name: str, prefix: str, shown: int) -> int:
        """The sections that a name such as ``all`` or ``lv_all`` stands for; 0 for other names.

        ``shown`` are the sections that the report already shows: ``all`` includes them. In a report whose kind has
        no prefix, ``all`` means only these, or every section if none is shown yet.
        """
        key = canonical(name)
        if key == "all" and prefix:
            return shown | sum(section for section, _, own in self._sections if own == f"{prefix}_")
        if key == "all":
            return shown or sum(section for section, _, _ in self._sections if section != SPECIAL)
        return sum(section for section, _, own in self._sections if key == canonical(own) + "all")

    def in_sections(self, sections: int) -> list[int]:
        """The positions of all columns of these sections, in order."""
        return [at for at, row in enumerate(self._rows) if int(row[1] or 0) & sections]

    def resolve(
        self, names: Sequence[str], keys: Sequence[tuple[str, bool]], prefix: str, sections: int
    ) -> tuple[list[int], list[tuple[int, bool]], int]:
        """Turn names of columns and sort keys into positions; ``sections`` are those that the report already shows.

        The last of the three results has all sections that are shown or sorted by. As in LVM2, there are two passes
        over the names, because ``all`` includes the sections of all other columns and sort keys.
        Raises :class:`UsageError`.
        """
        found: list[int | str] = []
        for name in names:
            at = self.find(name, prefix)
            group = 0 if at is not None else self.group(name, prefix, sections)
            if at is None and not group:
                raise self.unknown(name, prefix, "column")
            sections |= group if at is None else self.section(at)
            found.append(name if at is None else at)
        order: dict[int, bool] = {}
        for name, descending in keys:
            at = self.need(name, prefix, "sort key")
            sections |= self.section(at)
            order.setdefault(at, descending)
        places: list[int] = []
        for item in found:
            if isinstance(item, int):
                places.append(item)
            else:
                places += self.in_sections(self.group(item, prefix, sections) & ~SPECIAL)
        return places, list(order.items()), sections & ~SPECIAL

    def need(self, name: str, prefix: str, what: str) -> int:
        """As :meth:`find`, but raises :class:`UsageError` for an unknown name; ``what`` says what it was for."""
        at = self.find(name, prefix)
        if at is None:
            raise self.unknown(name, prefix, what)
        return at

    def unknown(self, name: str, prefix: str, what: str) -> UsageError:
        """The error for an unknown column name, with similar names in the hint."""
        from difflib import get_close_matches

        every = {canonical(str(row[0])): str(row[0]) for row in self._rows}
        for key in list(every):
            if key.startswith(prefix):
                every.setdefault(key[len(prefix) :], every[key])
        close = dict.fromkeys(every[key] for key in get_close_matches(canonical(name), every, 4, 0.7))
        hint = f"did you mean {' or '.join(close)}?" if close else "-o help lists all columns"
        return UsageError(f"unrecognised {what} {name!r}", hint=hint)

    # -- help -------------------------------------------------------------------------------------

    def help(self, *, groups: bool = True, kinds: bool = False, indent: str = "  ") -> str:
        """The help: all columns with their meaning; with the names of ``groups``, and the ``kinds`` for selections.

        Sections with the same title are listed together, under the prefix of the first.
        """
        width = max(len(str(row[0])) for row in self._rows)
        titles = {section: title for section, title, _ in self._sections}
        prefixes: dict[str, str] = {}
        for _, title, prefix in self._sections:
            prefixes.setdefault(title, prefix)
        lines: list[str] = []
        for title in dict.fromkeys(titles[int(row[1] or 0)] for row in self._rows if row[1] in titles):
            if lines:
                lines.append("")
            lines += [f"{indent}{title} Fields", indent + "-" * (len(title) + 7)]
            if groups and title != titles[SPECIAL]:
                lines.append(f"{indent}  {prefixes[title] + 'all':<{width}} - All fields in this section.")
            for row in self._rows:
                if titles[int(row[1] or 0)] == title:
                    lines.append(f"{indent}  {row[0]:<{width}} - {row[5]}{_kind(row) if kinds else ''}")
        return "\n".join(lines) + "\n"


def _kind(row: Row) -> str:
    name = "number" if row[2] == "binary" else {"list": "string list"}.get(str(row[2]), row[2])
    return f" [{'unselectable ' if row[0] in ('help', '?') else ''}{name}]"
