"""Tables as text, in dmsetup's formats, and tables as typed values.

This module reads and writes the text of a table, a line for each target (:func:`parse_table`,
:func:`format_table`), and the concise text of whole devices on one line (:func:`parse_concise`,
:func:`format_concise`; dmsetup(8) "CONCISE FORMAT"). :class:`Tables` turns lines into typed values
with the parsers of the target plugins. Pure: no device is opened.

The grammar is that of ``libdm/dm-tools/dmsetup.c`` (``_parse_line``, ``_create_concise``, ``_status``), the rules
for a whole table those of ``drivers/md/dm-table.c``. Input that dmsetup accepts only by accident is
refused (``-8``, which wraps round; ``8zero``; a minor number ``x``, which dmsetup reads as 0).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.errors import InvalidTable, VmgrError
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.core.value import Value
from vmgr.dm.abi import TARGET_NAME_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmgr.core.tabletype import TableType

BLANKS = " \t\n\v\f\r"
"""The characters that separate words: those of C's ``isspace``, which are fewer than Python's."""

LARGEST_TABLE = (1 << 63) - 1 >> 9
"""Sectors that a table may span (``LLONG_MAX >> SECTOR_SHIFT``, ``dm_table_add_target``)."""

MINORS = 1 << 20
"""Minor numbers run from 0 up to this."""


# -- the lines of a table -----------------------------------------------------------------------------


def parse_table(text: str, *, source: str = "the table") -> tuple[KernelLine, ...]:
    """The lines in ``text``: ``START LENGTH TARGET [PARAMETER...]``, in sectors.

    Lines that are blank or begin with ``#`` are skipped, and a ``#`` among the parameters begins a comment. A text
    without lines gives ``()``, and the caller decides whether that is an error.

    Raises :class:`vmgr.core.errors.InvalidTable`, whose ``line`` is the line's number, for a line that cannot be
    read, and for a table that the kernel would refuse whatever its targets (:func:`check_table`). ``source``
    names the text in the message.
    """
    lines: list[KernelLine] = []
    end = 0
    for number, raw in enumerate(_rows(text), 1):
        line = _parse_line(raw, number, source)
        if line is not None:
            # Each line is checked at once, because a text that is not a table at all fails in its first lines.
            end = _check_line(line, end, number, source, first=not lines)
            lines.append(line)
    return tuple(lines)


def _rows(text: str) -> Iterator[str]:
    """The lines of a text, one at a time, because the input may be a huge file given by mistake."""
    at = 0
    while (end := text.find("\n", at)) >= 0:
        yield text[at:end]
        at = end + 1
    yield text[at:]


def format_table(lines: Iterable[KernelLine]) -> str:
    """The text of a table, a line for each target: :func:`parse_table` reads it back.

    Raises :class:`vmgr.core.errors.InvalidTable` for parameters that such a text cannot hold: with ``#``, which
    would begin a comment, or a line break.
    """
    rows = []
    for line in lines:
        rows.append(_text_of(line) + "\n")
    return "".join(rows)


def check_table(lines: Sequence[KernelLine], *, source: str = "the table") -> None:
    """Refuse a table that the kernel would refuse whatever its targets.

    The first line must start at sector 0, each other one where the line before it ends. No line may be empty, and
    the total length in bytes must fit in the kernel's counter. A table without lines is refused, too.
    Raises :class:`vmgr.core.errors.InvalidTable`.
    """
    if not lines:
        raise InvalidTable(f"{source} has no lines")
    end = 0
    for number, line in enumerate(lines, 1):
        end = _check_line(line, end, number, source, first=number == 1)


def _check_line(line: KernelLine, end: int, number: int, source: str, *, first: bool) -> int:
    """Refuse a line that cannot follow one that ends at ``end``. Return the end of this one."""
    start, length = int(line.start), int(line.length)
    if start != end:
        what = "leaves a gap after" if start > end else "overlaps"
        before = "is not where a table begins" if first else f"{what} the line before it, which ends at {end}"
        raise InvalidTable(
            f"line {number} of {source}: sector {start} {before}", hint=f"let it start at {end}", line=number
        )
    if not length:
        raise InvalidTable(
            f"line {number} of {source}: a length of 0 sectors",
            hint="give at least 1 sector, or leave the line out",
            line=number,
        )
    end += length
    if end > LARGEST_TABLE:
        raise InvalidTable(
            f"line {number} of {source}: {end} sectors are more than a device can have",
            hint=f"the kernel counts bytes in 63 bits: at most {LARGEST_TABLE} sectors",
            line=number,
        )
    return end


def _parse_line(raw: str, number: int, source: str) -> KernelLine | None:
    """The line in ``raw``; None for a blank one or a comment."""
    text = raw.strip(BLANKS)
    if not text or text.startswith("#"):
        return None

    def wrong(what: str, hint: str = "a line is START LENGTH TARGET [PARAMETER...], in sectors") -> InvalidTable:
        return InvalidTable(f"line {number} of {source}: {what}", hint=hint, line=number)

    if "\0" in text:
        raise wrong("a NUL character")
    words = re.split(f"[{BLANKS}]+", text, maxsplit=3)
    if len(words) < 3:
        raise wrong(f"{text!r} has no {('length', 'target')[len(words) - 1]}")
    sizes = []
    for what, word in zip(("start", "length"), words, strict=False):
        digits = word.removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            raise wrong(f"the {what} {word!r} is not a number of sectors")
        sizes.append(int(digits))
    target = words[2]
    if len(target.encode("utf-8", "surrogateescape")) > TARGET_NAME_MAX:
        raise wrong(f"the target name {target!r} is longer than {TARGET_NAME_MAX} bytes", "")
    params = words[3].partition("#")[0].rstrip(BLANKS) if len(words) > 3 else ""
    return KernelLine(Sectors(sizes[0]), Sectors(sizes[1]), target, params)


def _text_of(line: KernelLine) -> str:
    """The text of a line. Refuses parameters that the text cannot hold."""
    for char, why in (("#", "begins a comment"), ("\n", "ends the line"), ("\0", "ends the text")):
        if char in line.params:
            raise InvalidTable(
                f"{line.target} at sector {line.start}: the text of a table cannot hold {char!r}, which {why}"
            )
    return f"{line.start} {line.length} {line.target} {line.params}".rstrip(BLANKS)


# -- whole devices on one line ------------------------------------------------------------------------


@frozen(repr=False)
class ConciseDevice(Value):
    """A device with its table, as the concise format has it.

    ``uuid`` is ``""`` for none; ``minor`` None lets the kernel choose. Without ``lines`` it has no table.
    """

    name: str
    uuid: str = ""
    minor: int | None = None
    read_only: bool = False
    lines: tuple[KernelLine, ...] = ()


_PIECES = re.compile(r"\\.|[,;]|[^\\,;]+|\\\Z", re.DOTALL)
_QUOTE = re.compile(r"[,;\\]")
_NAME, _UUID, _MINOR, _FLAGS, _TABLE = range(5)


def parse_concise(text: str) -> tuple[ConciseDevice, ...]:
    r"""The devices in ``NAME,UUID,MINOR,FLAGS,TABLE[,TABLE...][;NAME,...]``.

    UUID, MINOR and FLAGS (``ro`` or ``rw``) may be empty. A backslash removes the special meaning of the character
    after it. Blanks at the start, after the first four commas and after a semicolon are skipped. A device that
    ends after FLAGS has no table. (``dmsetup table --concise`` prints such devices, but dmsetup cannot read them.)

    Raises :class:`vmgr.core.errors.InvalidTable`, naming the device.
    """
    devices: list[ConciseDevice] = []
    fields: list[list[str]] = [[]]
    raw_start = True  # blanks that are not escaped are skipped here
    ended = True  # only blanks since the last semicolon
    for piece in _PIECES.findall(text):
        if piece == ";":
            devices.append(_concise_device(fields, len(devices)))
            fields, raw_start, ended = [[]], True, True
            continue
        if piece == ",":
            if len(fields) <= _TABLE:
                fields.append([])
                raw_start = True
            else:
                fields[_TABLE].append("\n")
            ended = False
            continue
        if piece[0] == "\\":
            if len(piece) < 2:
                raise InvalidTable(
                    "the text of the devices ends with a backslash", hint="write \\\\ for a backslash itself"
                )
            piece = piece[1]
        elif raw_start:
            piece = piece.lstrip(BLANKS)
            if not piece:
                continue
        fields[-1].append(piece)
        raw_start = False
        ended = ended and not piece.strip(BLANKS)
    if not ended:
        devices.append(_concise_device(fields, len(devices)))
    return tuple(devices)


def format_concise(devices: Iterable[ConciseDevice]) -> str:
    """The devices in one line without a final newline: :func:`parse_concise` and dmsetup read it back.

    Raises :class:`vmgr.core.errors.InvalidTable` for parameters that a table's text cannot hold, and for a device
    without a name.
    """
    texts = []
    for device in devices:
        if not device.name:
            raise InvalidTable("a device without a name cannot be written")
        minor = "" if device.minor is None else str(device.minor)
        fields = [_quoted(device.name), _quoted(device.uuid), minor, "ro" if device.read_only else "rw"]
        for line in device.lines:
            fields.append(_QUOTE.sub(r"\\\g<0>", _text_of(line)))
        texts.append(",".join(fields))
    return ";".join(texts)


def _quoted(text: str) -> str:
    quoted = _QUOTE.sub(r"\\\g<0>", text)
    return f"\\{quoted}" if quoted[:1] and quoted[0] in BLANKS else quoted


def _concise_device(fields: list[list[str]], index: int) -> ConciseDevice:
    texts = ["".join(pieces) for pieces in fields]
    if len(texts) == _TABLE:
        # The last field may end with a newline, as any table may.
        texts[_FLAGS] = texts[_FLAGS].rstrip(BLANKS)
    name = texts[_NAME]
    which = f"device {index + 1} ({name!r})"
    hint = "a device is NAME,UUID,MINOR,FLAGS,TABLE[,TABLE...]; UUID, MINOR and FLAGS may be empty"
    if len(texts) < _TABLE:
        raise InvalidTable(f"{which} has {len(texts)} of the 5 comma-separated fields", hint=hint)
    if not name:
        raise InvalidTable(f"device {index + 1} has no name", hint=hint)
    number, flags = texts[_MINOR], texts[_FLAGS]
    minor: int | None = None
    if number:
        if not (number.isascii() and number.isdigit()) or int(number) >= MINORS:
            raise InvalidTable(
                f"{which}: the minor number {number!r} is not a number from 0 to {MINORS - 1}",
                hint="leave it empty to let the kernel choose",
            )
        minor = int(number)
    if flags not in ("", "ro", "rw"):
        raise InvalidTable(f"{which}: the flags {flags!r} are neither 'ro' nor 'rw' nor empty", hint=hint)
    table = texts[_TABLE] if len(texts) > _TABLE else ""
    lines = parse_table(table, source=f"the table of {which}")
    return ConciseDevice(name, texts[_UUID], minor, flags == "ro", lines)


# -- keys ---------------------------------------------------------------------------------------------

_INTEGRITY_KEYS = ("internal_hash:", "journal_crypt:", "journal_mac:")


def hide_keys(line: KernelLine) -> KernelLine:
    """The line as ``dmsetup table`` shows it without ``--showkeys``: each character of a key is a 0.

    crypt: the second word, unless it begins with ``:`` and so only names a key in the kernel's keyring. integrity:
    the part after the algorithm in ``internal_hash``, ``journal_crypt`` and ``journal_mac``. No other target prints
    keys. (This is not left to plugins, because a key must stay hidden even if a plugin is not installed.)
    """
    params = line.params
    if line.target == "crypt":
        cipher, blank, rest = params.partition(" ")
        key, after, more = rest.partition(" ")
        if key.startswith(":"):
            return line
        params = f"{cipher}{blank}{_zeros(key)}{after}{more}"
    elif line.target == "integrity":
        for name in _INTEGRITY_KEYS:
            params = _hide_key(params, name)
    else:
        return line
    return evolve(line, params=params)


def _hide_key(params: str, name: str) -> str:
    before, found, rest = params.partition(name)
    if not found:
        return params
    word, blank, more = rest.partition(" ")
    algorithm, colon, key = word.partition(":")
    return f"{before}{found}{algorithm}{colon}{_zeros(key)}{blank}{more}"


def _zeros(key: str) -> str:
    return "0" * len(key.encode("utf-8", "surrogateescape"))


# -- lines with a type --------------------------------------------------------------------------------


@frozen(repr=False)
class TypedLine(Value):
    """A line of a table, and the meaning of its parameters.

    ``value`` is None if no plugin knows the target or its parser refused the parameters. ``reason``
    then says why; it is ``""`` if there is a value.
    """

    line: KernelLine
    value: TableType | None = None
    reason: str = ""


class Tables:
    """Understands tables with the types that target plugins provide (``vmgr.registry.table_types()``)."""

    def __init__(self, types: Iterable[type[TableType]] = ()) -> None:
        self._types: dict[str, type[TableType]] = {}
        for each in types:
            self._types.setdefault(each.target, each)

    def targets(self) -> tuple[str, ...]:
        """The targets whose parameters are understood, sorted."""
        return tuple(sorted(self._types))

    def parse(self, line: KernelLine) -> TypedLine:
        """The line with its value. Never fails: parameters that cannot be parsed stay text."""
        known = self._types.get(line.target)
        if known is None:
            return TypedLine(line, None, f"no installed plugin knows the target {line.target!r}")
        try:
            return TypedLine(line, known.parse(line.params))
        except VmgrError as e:
            return TypedLine(line, None, f"{line.target}: {e.message}")
        except Exception as e:  # a plugin's fault must not hide the table from the user
            return TypedLine(line, None, f"{line.target}: its parser failed: {type(e).__name__}: {e}")

    def parse_all(self, lines: Iterable[KernelLine]) -> tuple[TypedLine, ...]:
        """All lines of a table."""
        return tuple(map(self.parse, lines))


def typed_line(start: Sectors, length: Sectors, value: TableType) -> KernelLine:
    """A line for :meth:`vmgr.dm.client.DmClient.load` from a typed value."""
    return KernelLine(start, length, value.target, value.params())
