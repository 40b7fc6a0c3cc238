"""The selection language of ``-S``: parsing, and testing rows.

LVM2's language (``lvmreport(7)``; the grammar is that of ``libdm/libdm-report.c``)::

    or    = and { ("||" | "#") and }
    and   = term { ("&&" | ",") term }
    term  = "(" or ")" | "!" "(" or ")" | column operator value

Values are words, quoted strings, numbers with units, ``[lists]`` or ``{sets}``, times, or reserved words
for a value of the column (``undefined``, ``read-only``). Where LVM2 only reports a syntax error, the
message here says what was expected and where.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn

from vmgr.core.errors import InvalidSize, UsageError
from vmgr.report.catalog import SPECIAL
from vmgr.report.comparisons import (
    MILLIONTHS,
    number_test,
    percent_test,
    regex_test,
    reserved_test,
    reserved_value,
    size_test,
    span_test,
    translated,
)
from vmgr.report.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmgr.report.catalog import Catalog, Column
    from vmgr.report.comparisons import Test

COMPARISONS = (
    ("=~", "Matches the regular expression. [string]"),
    ("!~", "Does not match the regular expression. [string]"),
    ("=", "Equal to. [all]"),
    ("!=", "Not equal to. [all]"),
    (">=", "Greater than or equal to. [number, size, percent, time]"),
    (">", "Greater than. [number, size, percent, time]"),
    ("<=", "Less than or equal to. [number, size, percent, time]"),
    ("<", "Less than. [number, size, percent, time]"),
    ("since", "Since that time: the same as >=. [time]"),
    ("after", "After that time: the same as >. [time]"),
    ("until", "Until that time: the same as <=. [time]"),
    ("before", "Before that time: the same as <. [time]"),
)
"""Operators between a column and a value, in the order in which they are tried."""

AND, OR = ("&&", ","), ("||", "#")
_OF_TIME = {"since": ">=", "after": ">", "until": "<=", "before": "<"}
_ORDERED = (">=", ">", "<=", "<")
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII).match
_NAME = re.compile(r"[A-Za-z0-9_-]+", re.ASCII).match


# -- the parsed form ------------------------------------------------------------------------------


class Item:
    """A test of one column. ``column`` is its position in the catalogue."""

    __slots__ = ("column", "test")

    def __init__(self, column: int, test: Test) -> None:
        self.column = column
        self.test = test

    def mask(self, values: Mapping[int, Sequence[object]]) -> list[bool]:
        """For each row, whether it passes."""
        return list(map(self.test, values[self.column]))


class Both:
    """All of ``terms``, or any of them; ``negated`` for ``!( )``."""

    __slots__ = ("every", "negated", "terms")

    def __init__(self, every: bool, terms: list[Item | Both]) -> None:
        self.every = every
        self.terms = terms
        self.negated = False

    def mask(self, values: Mapping[int, Sequence[object]]) -> list[bool]:
        """For each row, whether it passes."""
        join = all if self.every else any
        masks = [term.mask(values) for term in self.terms]
        return [join(row) != self.negated for row in zip(*masks, strict=True)]


class Selection:
    """The selection of ``-S``: the ``columns`` that it uses (positions in the catalogue), and the test of rows."""

    __slots__ = ("columns", "root")

    def __init__(self, root: Item | Both, columns: tuple[int, ...]) -> None:
        self.root = root
        self.columns = columns

    def mask(self, values: Mapping[int, Sequence[object]]) -> list[bool]:
        """For each row, whether it is selected. ``values`` are the raw values of each of ``columns``."""
        return self.root.mask(values)


def parse_selection(text: str, catalog: Catalog, prefix: str, now: int | None) -> Selection | None:
    """Parse the selection ``text``; None selects everything. Raises :class:`UsageError`."""
    if not text.strip() or text.strip().lower() == "all":
        return None
    return _Parser(text, catalog, prefix, now).parse()


class _Parser:
    def __init__(self, text: str, catalog: Catalog, prefix: str, now: int | None) -> None:
        self.text = text
        self.at = 0
        self.catalog = catalog
        self.prefix = prefix
        self.now = now
        self.columns: dict[int, None] = {}

    # -- grammar ----------------------------------------------------------------------------------

    def parse(self) -> Selection:
        root = self._or()
        self._skip()
        if self.at < len(self.text):
            self._fail("expected && or ||")
        return Selection(root, tuple(self.columns))

    def _or(self) -> Item | Both:
        terms = [self._and()]
        while self._take(*OR):
            terms.append(self._and())
        return terms[0] if len(terms) == 1 else Both(False, terms)

    def _and(self) -> Item | Both:
        terms = [self._term()]
        while self._take(*AND):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Both(True, terms)

    def _term(self) -> Item | Both:
        negated = bool(self._take("!"))
        if self._take("("):
            inner = self._or()
            if not self._take(")"):
                self._fail("expected )")
            if negated:
                inner = Both(True, [inner])
                inner.negated = True
            return inner
        if negated:
            self._fail("expected ( after !")
        return self._item()

    def _item(self) -> Item:
        self._skip()
        match = _NAME(self.text, self.at)
        if match is None:
            self._fail("expected the name of a column")
        place = self.catalog.need(match[0], self.prefix, "column in selection")
        column = self.catalog.column(place)
        if column.section == SPECIAL:
            self._fail(f"column {column.name} cannot be selected by")
        self.at = match.end()
        operator = self._take(*(name for name, _ in COMPARISONS))
        if not operator:
            self._fail("expected an operator such as = or >=")
        self.columns.setdefault(place)
        return Item(place, self._test(column, operator))

    def _test(self, column: Column, operator: str) -> Test:
        kind = column.kind
        if operator in _OF_TIME:
            if kind != "time":
                self._fail(f"{operator} goes with times only, and {column.name} is a {kind}")
            operator = _OF_TIME[operator]
        if operator in ("=~", "!~"):
            if kind != "string":
                self._fail(f"{operator} goes with strings only, and {column.name} is a {kind}")
            return regex_test(self._regex(), operator == "!~")
        if operator in _ORDERED and kind in ("string", "list"):
            self._fail(f"{operator} goes with numbers, sizes, percentages and times, and {column.name} is a {kind}")
        if kind == "list":
            return self._list_test(operator == "!=")
        reserved = self._reserved(column)
        if kind == "string":
            wanted = reserved if isinstance(reserved, str) else self._word()
            return (lambda value: value != wanted) if operator == "!=" else (lambda value: value == wanted)
        if kind == "time":
            return span_test(parse_time(self._word(), self.now), operator)
        if kind == "percent":
            return percent_test(self._percent(), operator)
        if kind == "size":
            if reserved is not None:
                return reserved_test(reserved, operator)
            return size_test(self._size(), operator)
        if reserved is not None:
            return number_test(reserved, operator)
        return number_test(self._integer(), operator)

    # -- tokens -----------------------------------------------------------------------------------

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _take(self, *words: str) -> str:
        """Consume the first of ``words`` that comes next and return it; empty if none does."""
        self._skip()
        for word in words:
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return word
        return ""

    def _fail(self, what: str) -> NoReturn:
        raise UsageError(f"selection: {what} at {self.text[self.at :]!r}", hint="see lvmreport(7), or -S help")

    def _word(self, *ends: str) -> str:
        """A quoted string, or what comes before a space or an operator."""
        self._skip()
        quote = self.text[self.at : self.at + 1]
        if quote in ('"', "'") and quote:
            return self._until(quote)
        start = self.at
        ends = ends or (*AND, *OR, ")")
        while self.at < len(self.text) and self.text[self.at] != " ":
            if any(self.text.startswith(end, self.at) for end in ends):
                break
            self.at += 1
        return self.text[start : self.at]

    def _until(self, close: str) -> str:
        """What lies between the opening character here and ``close``."""
        start = self.at + 1
        end = self.text.find(close, start)
        if end < 0:
            self._fail(f"missing {close}")
        self.at = end + 1
        return self.text[start:end]

    def _reserved(self, column: Column) -> object:
        """Consume a reserved word and return its value; None if there is none here."""
        before = self.at
        word = self._word()
        value = reserved_value(column, word)
        if value is None:
            self.at = before
        return value

    # -- values -----------------------------------------------------------------------------------

    def _number(self, what: str) -> str:
        self._skip()
        match = _NUMBER(self.text, self.at)
        if match is None:
            self._fail(f"expected {what}")
        self.at = match.end()
        return match[0]

    def _integer(self) -> int:
        value = int(self._number("a number").partition(".")[0] or 0)
        if self.text[self.at : self.at + 1] == "%":
            self._fail("expected a number, not a percentage,")
        return value

    def _percent(self) -> int:
        value = float(self._number("a percentage"))
        if self.text[self.at : self.at + 1] == "%":
            self.at += 1
        if value > 100:
            self._fail("a percentage is at most 100,")
        return int(value * MILLIONTHS)

    def _size(self) -> float:
        number = self._number("a size")
        unit = self.text[self.at : self.at + 1]
        if unit.isalpha() and unit:
            from vmgr.core.sizes import parse_units

            try:
                factor = parse_units(unit)[1]
            except InvalidSize:
                self._fail("unknown unit")
            self.at += 1
        else:
            factor = 1 << 20
        return float(number) * factor / 512

    def _regex(self) -> re.Pattern[str]:
        self._skip()
        opening = self.text[self.at : self.at + 1]
        closing = {"(": ")", "{": "}", "[": "]", '"': '"', "'": "'"}.get(opening)
        start = self.at
        text = self._until(closing) if closing else self._word()
        try:
            return re.compile(translated(text))
        except re.error as error:
            self.at = start
            self._fail(f"regular expression: {error},")

    def _list_test(self, negated: bool) -> Test:
        opening = self._take("[", "{")
        if not opening:
            items, every = [self._word()], False
        else:
            closing = "]" if opening == "[" else "}"
            items, joints = [], set()
            while True:
                items.append(self._word("]", "}", *AND, *OR))
                joint = self._take("]", "}", *AND, *OR)
                if joint in ("]", "}"):
                    if joint != closing:
                        self._fail(f"the list must end with {closing}, not before")
                    break
                if not joint:
                    self._fail(f"expected {closing}")
                joints.add(joint in AND)
            if len(joints) > 1:
                self._fail("a list has one kind of operator, not before")
            # A single item in square brackets is the whole list, in braces or bare a member.
            every = joints.pop() if joints else opening == "["
        wanted = set(items)
        whole = opening == "["

        def test(value: object) -> bool:
            have = set(value) if isinstance(value, tuple) else set()
            if not have:
                found = items == [""] if every else "" in wanted
            elif not every:
                found = bool(have & wanted)
            else:
                found = have == wanted if whole else wanted <= have
            return found != negated

        return test


# -- help -----------------------------------------------------------------------------------------


def selection_help() -> str:
    """What ``-S help`` says after the columns."""
    names = "\n".join(f"    {name:>6}  - {text}" for name, text in COMPARISONS)
    return f"""\
  Values
  ------
    number              - A whole number, or undefined.
    size                - A number with a unit, such as 1.5g; m is meant if there is none.
    percent             - A number from 0 to 100, with or without %.
    string              - A word, or quoted with ' or ".
    string list         - One string; [a,b] is exactly these, {{a,b}} at least these, [a||b] any of these.
    time                - 2024-05-31 12:30, @SECONDS, yesterday, 3 days ago; a day or an hour is all of it.
    regular expression  - Unquoted, or within ' " ( ) [ ] or {{ }}.

  Operators
  ---------
{names}

    && and , - Both.
    || and # - One of them.
    !( )     - Not.
    ( )      - First.
"""
