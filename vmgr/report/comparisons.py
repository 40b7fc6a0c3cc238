"""Tests of single values for selections: operators such as ``>`` and ``=~``, and words that stand for values.

Each function makes a test of a column's raw values. As in LVM2 (``libdm/libdm-report.c``), undefined values
equal each other, and are neither greater nor smaller than any value.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.report.catalog import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.report.catalog import Column

    Test = Callable[[object], bool]
    """Whether a raw value of the column passes."""

MILLIONTHS = 1_000_000
"""Percentages are compared in this unit, as in LVM2."""

_UNDEFINED = ("-1", "unknown", "undefined", "undef")


# -- reserved words -------------------------------------------------------------------------------


def reserved_words(column: Column) -> tuple[tuple[object, tuple[str, ...]], ...]:
    """The column's values with reserved words, and these words."""
    if column.kind == "binary":
        words = tuple(column.words.split(",")) if column.words else ()
        return ((UNKNOWN, _UNDEFINED), (1, (*words, "yes")), (0, ("no",)))
    found: list[tuple[object, tuple[str, ...]]] = []
    if column.kind == "number":
        found.append((UNKNOWN, _UNDEFINED))
    for entry in column.words.split(";") if column.words else ():
        value, _, synonyms = entry.partition("=")
        found.append((value, (value, *(word for word in synonyms.split(",") if word))))
    return tuple(found)


def reserved_value(column: Column, word: str) -> object:
    """The value of ``word`` in this column; None if it is not a reserved word."""
    return next((value for value, names in reserved_words(column) if word in names), None)


# -- tests ----------------------------------------------------------------------------------------


def number_test(wanted: object, operator: str) -> Test:
    """Compare whole numbers, and binary values as 0 and 1."""
    if operator in ("=", "!="):
        return lambda value: (_defined(value) == wanted) == (operator == "=")
    if not isinstance(wanted, int) or wanted == UNKNOWN:
        return lambda value: False
    compare = _compare(operator)
    return lambda value: isinstance(value, int | float) and value != UNKNOWN and compare(value, wanted)


def _defined(value: object) -> object:
    return UNKNOWN if value is None or value == "" else value


def reserved_test(wanted: object, operator: str) -> Test:
    """Compare with a value that is a word without a size, such as ``auto``."""
    if operator in ("=", "!="):
        return lambda value: (value == wanted) == (operator == "=")
    return lambda value: False


def size_test(wanted: float, operator: str) -> Test:
    """Compare sizes in sectors; ``wanted`` may be a fraction."""
    compare = _compare(operator)
    missing = operator == "!="

    def test(value: object) -> bool:
        if not isinstance(value, int) or value == UNKNOWN:
            return missing
        return compare(float(value), wanted)

    return test


def percent_test(wanted: int, operator: str) -> Test:
    """Compare percentages. An undefined one never passes, whatever the operator."""
    compare = _compare(operator)
    return lambda value: isinstance(value, int | float) and compare(int(value * MILLIONTHS), wanted)


def span_test(span: tuple[int, int], operator: str) -> Test:
    """Compare times with a span: within it is equal, after its end is greater, before its beginning is smaller."""
    first, last = span

    def test(value: object) -> bool:
        assert isinstance(value, int)
        if operator in ("=", "!="):
            return (first <= value <= last) == (operator == "=")
        if operator in (">", "<="):
            return (value > last) == (operator == ">")
        return (value >= first) == (operator == ">=")

    return test


def regex_test(pattern: re.Pattern[str], negated: bool) -> Test:
    """Look for a match anywhere in a string."""
    return lambda value: (pattern.search(str(value or "")) is not None) != negated


def _compare(operator: str) -> Callable[[float, float], bool]:
    import operator as operators

    compare: Callable[[float, float], bool] = {
        "=": operators.eq, "!=": operators.ne, ">=": operators.ge, ">": operators.gt, "<=": operators.le,
        "<": operators.lt,
    }[operator]  # fmt: skip
    return compare


def translated(pattern: str) -> str:
    """Translate LVM2's regular expression to Python's: braces are plain, and ``\\x`` is ``x``."""
    found: list[str] = []
    at, within = 0, False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\" and at + 1 < len(pattern):
            at += 1
            char = pattern[at]
            found.append({"n": "\n", "r": "\r", "t": "\t"}.get(char, re.escape(char)))
        elif within:
            within = char != "]"
            found.append("\\[" if char == "[" else char)
        elif char in "{}":
            found.append("\\" + char)
        elif char == "(":
            if pattern[at + 1 : at + 2] == "?":
                raise re.error("nothing before ?")
            found.append("(?:")
        else:
            within = char == "["
            found.append(char)
            if within and pattern[at + 1 : at + 2] == "^":
                at += 1
                found.append("^")
            if within and pattern[at + 1 : at + 2] == "]":
                at += 1
                found.append("\\]")
        at += 1
    return "".join(found)
