"""Finding columns: by name, by prefix, by group; those that plugins add; and the help that lists them.

Names are matched as LVM2 matches them (``libdm/libdm-report.c``): underscores and case do not count, and the prefix
of the report's own kind may be left out, so that ``lvs -o size`` is ``lv_size``. ``all`` is every column of
the report's kind and of what else it shows, ``vg_all`` every one of groups, and so on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError
from vmgr.report.columns import LVSTATUS, ROWS, SECTIONS, SEG, SPECIAL

if TYPE_CHECKING:
    from vmgr.core.targets import Targets
    from vmgr.report.columns import Row

RIGHT = ("number", "size", "binary")
"""Kinds that are aligned to the right (``libdm-report.c``: all that LVM2 counts as numbers)."""


class Column:
    """A column that was asked for: the catalogue's row, with what is left out there filled in."""

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


def canonical(name: str) -> str:
    """The form in which names are compared."""
    return name.replace("_", "").lower()


class Catalog:
    """All columns: LVM2's, and those that target plugins add."""

    def __init__(self, targets: Targets) -> None:
        self._rows: list[Row] = list(ROWS)
        self._index = {canonical(str(row[0])): at for at, row in enumerate(ROWS)}
        self._added: set[int] = set()
        for info in targets.infos():
            for spec in info.columns:
                key = canonical(spec.name)
                if key not in self._index:
                    section = SEG if spec.per_segment else LVSTATUS
                    words = spec.heading.lower() if spec.kind == "binary" else ""
                    self._index[key] = len(self._rows)
                    self._added.add(len(self._rows))
                    self._rows.append((spec.name, section, spec.kind, spec.heading, 0, spec.help, words))

    def column(self, at: int) -> Column:
        """The column in a place of the catalogue."""
        return Column(self._rows[at], at in self._added)

    def section(self, at: int) -> int:
        """The section of the column in a place."""
        return int(self._rows[at][1] or 0)

    def find(self, name: str, prefix: str) -> int | None:
        """The place of a column; ``prefix`` is that of the report's kind, without underscore."""
        key = canonical(name)
        exact, prefixed = self._index.get(key), self._index.get(prefix + key)
        if exact is None or prefixed is None:
            return prefixed if exact is None else exact
        special = [at for at in (exact, prefixed) if self._rows[at][1] == SPECIAL]
        return special[0] if special else min(exact, prefixed)

    def group(self, name: str, prefix: str, shown: int) -> int:
        """The sections that a name such as ``all`` or ``lv_all`` means; 0 if it is no such name.

        ``shown`` are the sections that the report shows anyway: ``all`` includes them.
        """
        key = canonical(name)
        if key == "all":
            return shown | sum(section for section, _, own in SECTIONS if own == f"{prefix}_")
        return sum(section for section, _, own in SECTIONS if key == own[:-1] + "all")

    def in_sections(self, sections: int) -> list[int]:
        """The places of all columns of these sections, in order."""
        return [at for at, row in enumerate(self._rows) if int(row[1] or 0) & sections]

    def need(self, name: str, prefix: str, what: str) -> int:
        """As :meth:`find`. Raises :class:`UsageError` for a name that is none; ``what`` says what it was for."""
        at = self.find(name, prefix)
        if at is None:
            raise self.unknown(name, prefix, what)
        return at

    def unknown(self, name: str, prefix: str, what: str) -> UsageError:
        """The error for a name that no column has, with those that are close to it."""
        from difflib import get_close_matches

        every = {canonical(str(row[0])): str(row[0]) for row in self._rows}
        for key in list(every):
            if key.startswith(prefix):
                every.setdefault(key[len(prefix) :], every[key])
        close = dict.fromkeys(every[key] for key in get_close_matches(canonical(name), every, 4, 0.7))
        hint = f"did you mean {' or '.join(close)}?" if close else "-o help lists all columns"
        return UsageError(f"unrecognised {what} {name!r}", hint=hint)

    # -- help -------------------------------------------------------------------------------------

    def help(self, *, groups: bool = True, kinds: bool = False) -> str:
        """All columns with their meaning; with the names of ``groups``, and the ``kinds`` for selections."""
        width = max(len(str(row[0])) for row in self._rows)
        lines: list[str] = []
        order = list(dict.fromkeys(row[1] for row in ROWS))
        title = {section: (text, prefix) for section, text, prefix in SECTIONS}
        for section in order:
            assert isinstance(section, int)
            text, prefix = title[section]
            if lines:
                lines.append("")
            lines += [f"  {text} Fields", "  " + "-" * (len(text) + 7)]
            if groups and section != SPECIAL:
                lines.append(f"    {prefix + 'all':<{width}} - All fields in this section.")
            for row in self._rows:
                if row[1] == section:
                    lines.append(f"    {row[0]:<{width}} - {row[5]}{_kind(row) if kinds else ''}")
        return "\n".join(lines) + "\n"


def _kind(row: Row) -> str:
    name = "number" if row[2] == "binary" else {"list": "string list"}.get(str(row[2]), row[2])
    return f" [{'unselectable ' if row[0] in ('help', '?') else ''}{name}]"
