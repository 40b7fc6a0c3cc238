"""Reading and writing the grammar of metadata texts, backup files, lvm.conf and ``--config``.

The grammar is that of LVM2's parser (``libdm/libdm-config.c``, and ``lvm.conf(5)``)::

    text    := item*
    item    := key "{" item* "}"  |  key "=" value
    key     := a word, or a quoted string; a/b = 1 means a { b = 1 }
    value   := scalar  |  "[" (scalar ("," scalar)*)? "]"
    scalar  := int | float | "string with \\" and \\\\" | 'string' | bare word

A ``#`` outside strings starts a comment that ends with the line. Integers are decimal, or octal with a
leading 0. Arrays become tuples, sections become dictionaries.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata, Refused

if TYPE_CHECKING:
    from vmgr.core.model import Scalar

    Value = Scalar | tuple[Scalar, ...]
    Tree = dict[str, "Value | Tree"]

_GAP = r"(?:[ \t-\r]|\#[^\n]*+)*+"
_STRING = r'"(?:[^"\\]|\\.)*+"'
_RAW = r"'[^']*+'"
_WORD = r"[^ \t-\r\#={}]*+"
_NUMBER = r"[0-9+-][0-9]*+(?:\.[0-9]*+)?|\.[0-9]*+"

_ITEM = re.compile(
    rf"""{_GAP}(?:
        (?P<key>{_STRING}|{_RAW}|[^ \t-\r\#={{}}\[\],"']{_WORD}){_GAP}(?:
            (?P<open>\{{)
          | ={_GAP}(?:(?P<string>{_STRING})|(?P<number>{_NUMBER})|(?P<array>\[)|(?P<raw>{_RAW})
                      |(?P<word>[^ \t-\r\#={{}}\[\],"']{_WORD})))
      | (?P<close>\}})
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
).match

_ELEMENT = re.compile(
    rf"""{_GAP}(?:
        (?P<string>{_STRING})|(?P<number>{_NUMBER})|(?P<close>\])|(?P<raw>{_RAW})
      | (?P<word>[^ \t-\r\#={{}}\[\],"']{_WORD})
    )""",
    re.VERBOSE | re.DOTALL,
).match

_COMMA = re.compile(rf"{_GAP},").match
_INT64 = 1 << 63
_DEEPEST = 100
"""LVM2 has no limit, and its own texts have five levels. Deeper ones are only made to break readers."""

_BROKEN_CREATION_TIME = 1527120000
"""What LVM2 reads for a ``creation_time`` that does not fit in 64 bits (some 32-bit builds wrote such)."""


class _Parser:
    def __init__(self, text: str, unique: bool) -> None:
        self.text = text
        self.unique = unique

    def fail(self, at: int, what: str) -> DamagedMetadata:
        gap = re.compile(_GAP).match(self.text, at)
        line = self.text.count("\n", 0, gap.end() if gap else at) + 1
        return DamagedMetadata(f"line {line}: {what}")

    def parse(self) -> Tree:
        text = self.text
        root: Tree = {}
        here = root
        stack: list[Tree] = []
        at = 0
        while True:
            m = _ITEM(text, at)
            if m is None:
                raise self.fail(at, "neither a section nor a value")
            kind = m.lastgroup
            if kind == "end":
                if stack:
                    raise self.fail(at, "the text ends inside of a section")
                return root
            if kind == "close":
                if not stack:
                    raise self.fail(at, "there is a closing brace too many")
                here = stack.pop()
                at = m.end()
                continue
            key = m["key"]
            if key[0] in "\"'":
                key = self.unquote(key)
            holder = here
            if "/" in key or not key:
                holder, key = self.walk(at, here, key)
            at = m.end()
            if kind == "open":
                stack.append(here)
                if len(stack) > _DEEPEST:
                    raise self.fail(m.start(), f"sections are nested more than {_DEEPEST} deep")
                here = self.section(m.start(), holder, key)
                continue
            value: Value
            if kind == "string":
                value = m["string"][1:-1]
                if "\\" in value:
                    value = _unescape(value)
            elif kind == "number":
                value = self.number(m["number"], m.start("number"), key)
            elif kind == "array":
                value, at = self.array(at, key)
            elif kind == "raw":
                value = m["raw"][1:-1]
            else:
                value = m["word"]
            if key in holder and (self.unique or isinstance(holder[key], dict)):
                raise self.fail(m.start(), f"{key!r} is there twice")
            holder[key] = value

    def section(self, at: int, holder: Tree, key: str) -> Tree:
        """The section ``key`` of ``holder``, made if it is new."""
        if key not in holder:
            new: Tree = {}
            holder[key] = new
            return new
        known = holder[key]
        if self.unique or not isinstance(known, dict):
            raise self.fail(at, f"{key!r} is there twice")
        return known

    def walk(self, at: int, holder: Tree, path: str) -> tuple[Tree, str]:
        """Follow ``a/b/c`` down to the section that holds ``c``."""
        *parents, last = [part for part in path.split("/") if part] or [""]
        if not last:
            raise self.fail(at, "a name is empty")
        if len(parents) > _DEEPEST:
            raise self.fail(at, f"sections are nested more than {_DEEPEST} deep")
        for name in parents:
            known = holder.get(name)
            holder = known if isinstance(known, dict) else self.section(at, holder, name)
        return holder, last

    def array(self, at: int, key: str) -> tuple[tuple[Scalar, ...], int]:
        found: list[Scalar] = []
        numbers_allowed = True
        while True:
            m = _ELEMENT(self.text, at)
            if m is None:
                raise self.fail(at, f"no value where one is expected in the array {key!r}")
            kind = m.lastgroup
            if kind == "close":
                return tuple(found), m.end()
            if kind == "string":
                value = m["string"][1:-1]
                found.append(_unescape(value) if "\\" in value else value)
            elif kind == "raw":
                found.append(m["raw"][1:-1])
            elif not numbers_allowed:
                raise self.fail(at, f"a comma is missing in the array {key!r}")
            elif kind == "number":
                found.append(self.number(m["number"], m.start("number"), key))
            else:
                found.append(m["word"])
            at = m.end()
            comma = _COMMA(self.text, at)
            numbers_allowed = comma is not None
            if comma is not None:
                at = comma.end()

    @staticmethod
    def unquote(quoted: str) -> str:
        return _unescape(quoted[1:-1]) if quoted[0] == '"' else quoted[1:-1]

    def number(self, word: str, at: int, key: str) -> int | float:
        try:
            if "." in word:
                return float(word)
            digits = word.lstrip("+-")
            number = int(word, 8) if len(digits) > 1 and digits[0] == "0" else int(word)
        except ValueError:
            raise self.fail(at, f"{word!r} is not a number") from None
        if not -_INT64 <= number < _INT64:
            if key == "creation_time":
                return _BROKEN_CREATION_TIME
            raise self.fail(at, f"the number {word} does not fit in 64 bits")
        return number


def _unescape(inner: str) -> str:
    return re.sub(r'\\(["\\])', r"\1", inner)


def parse(text: str, *, unique: bool = False) -> Tree:
    """Read a whole text into nested dictionaries, in the order of the text.

    As in lvm.conf, duplicate sections are merged, and the last of duplicate values counts. With
    ``unique`` (metadata) duplicates are errors. Raises :class:`DamagedMetadata` with the
    number of the line.
    """
    if "\0" in text:
        raise DamagedMetadata(f"line {text.count(chr(10), 0, text.index(chr(0))) + 1}: a NUL inside of the text")
    return _Parser(text, unique).parse()


# -- writing --------------------------------------------------------------------------------------


def quote(text: str) -> str:
    """A string as written in the text, quotes included. Raises :class:`Refused` for one with a NUL."""
    if "\0" in text:
        raise Refused(f"the string {text!r} holds a NUL, which metadata cannot")
    if '"' in text or "\\" in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def write_scalar(value: Scalar) -> str:
    """A number or string as written in the text; floats with as many digits as they need."""
    if isinstance(value, str):
        return quote(value)
    if not isinstance(value, float):
        return int.__repr__(value)
    if value - value == 0:  # neither infinite nor "not a number"
        for places in range(6, 1100):
            shown = f"{value:.{places}f}"
            if float(shown) == value:
                return shown
    raise Refused(f"{value} cannot be written in metadata")


def write_value(value: Value) -> str:
    """A value as written after the ``=``, on one line."""
    if isinstance(value, tuple):
        return f"[{', '.join([write_scalar(v) for v in value])}]"
    return write_scalar(value)


def write_key(key: str) -> str:
    """A key as written in the text. Raises :class:`Refused` for one that cannot be written."""
    if re.fullmatch(r"[A-Za-z0-9._+][A-Za-z0-9._+-]*", key):
        return key
    if not key or "/" in key:
        raise Refused(f"{key!r} cannot be the name of a field in metadata")
    return quote(key)
