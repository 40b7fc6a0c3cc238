"""Sizes as people write and read them: parsing, as LVM2's commands take them, and printing, as they print them.

Input follows ``lvcreate(8)``: units are powers of 1024 whatever their case, ``b`` is bytes, ``s`` sectors; a bare
number is in the option's own unit. Output follows ``--units``: lower case is powers of 1024, upper case powers of
1000, ``h`` and ``r`` choose for themselves and ``r`` marks what was rounded up with ``<`` (LVM2
``libdm/libdm-string.c``, ``dm_size_to_string``).

Deliberately stricter than LVM2, which ignores whatever follows the first letter of a unit: ``1gx``, ``1e3`` and
``0x10`` are refused here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidSize, Refused
from vmgr.core.units import SECTOR_SIZE, Extents, Sectors

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.amounts import SizeSpec

MAX_SECTORS = (1 << 64) // SECTOR_SIZE - 1
"""A size must be below 16 EiB: LVM2 counts bytes in 64 bits."""

MAX_EXTENTS = (1 << 32) - 1
"""The most extents that the format can count (``MAX_EXTENT_COUNT``)."""

_INPUT_UNITS = "kmgtpe"
_UNIT_HINT = "write a number and a unit, such as 512m, 1.5g or 2048s; units are b s k m g t p e"

# -- input: -L ------------------------------------------------------------------------------------

_SIZE = r"([+-]?)(\d+\.?\d*|\.\d+)(?:([bs])|([kmgtpe])(?:i?b)?)?"
"""Patterns here are compiled when they are first used: most commands read few sizes."""


def parse_sectors(text: str, unit: str = "m", *, what: str = "size") -> Sectors:
    """The size that ``text`` says; a bare number counts ``unit``. Part of a sector is dropped, as LVM2 does.

    Raises :class:`InvalidSize` for anything else than an unsigned, non-zero size below 16 EiB. ``what`` names the
    value in the message.
    """
    sign, sectors = _size(text, unit, what)
    if sign:
        raise InvalidSize(f"{what} {text!r} may not have a sign", hint="give the size itself")
    return sectors


def parse_size(text: str, unit: str = "m", *, signs: str = "+-", what: str = "size") -> SizeSpec:
    """A size that may be relative, as ``-L`` takes it: ``+1g`` and ``-1g`` where ``signs`` allows them."""
    from vmgr.core.amounts import SizeSpec

    sign, sectors = _size(text, unit, what)
    _check_sign(sign, signs, text, what)
    return SizeSpec(sectors, sign)


def _size(text: str, unit: str, what: str) -> tuple[str, Sectors]:
    match = re.fullmatch(_SIZE, text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise InvalidSize(f"cannot parse {what} {text!r}", hint=_UNIT_HINT)
    sign, number, small, large = match.groups()
    letter = (small or large or unit).lower()
    whole, _, fraction = number.partition(".")
    # Exact arithmetic: numerator over a power of ten.
    value = int((whole + fraction) or "0")
    scale = 10 ** len(fraction)
    if letter == "b":
        length = value // scale
        if length % SECTOR_SIZE:
            below = length - length % SECTOR_SIZE
            near = f"{below}b or {below + SECTOR_SIZE}b" if below else f"{SECTOR_SIZE}b"
            raise InvalidSize(f"{what} {text!r} is not a multiple of {SECTOR_SIZE} bytes", hint=f"try {near}")
        sectors = length // SECTOR_SIZE
    elif letter == "s":
        sectors = value // scale
    else:
        sectors = value * (1024 ** (_INPUT_UNITS.index(letter) + 1) // SECTOR_SIZE) // scale
    if sectors > MAX_SECTORS:
        raise InvalidSize(f"{what} {text!r} is too large", hint="it must be below 16 EiB")
    if not sectors:
        raise InvalidSize(f"{what} {text!r} may not be zero" if not value else f"{what} {text!r} is too small")
    return sign, Sectors(sectors)


def _check_sign(sign: str, signs: str, text: str, what: str) -> None:
    if not sign or sign in signs:
        return
    if sign == "-":
        raise InvalidSize(f"{what} {text!r} may not be negative", hint="use lvreduce to make a volume smaller")
    raise InvalidSize(
        f"{what} {text!r} may not be relative",
        hint="use lvextend to make a volume larger" if "-" in signs else "give the size itself",
    )


# -- input: -l ------------------------------------------------------------------------------------

_EXTENTS = r"([+-]?)(\d+)(?:%([A-Za-z]+))?"
_PERCENT_OF = {
    "V": "VG", "VG": "VG", "L": "LV", "LV": "LV", "P": "PVS", "PV": "PVS", "PVS": "PVS",
    "F": "FREE", "FR": "FREE", "FREE": "FREE", "O": "ORIGIN", "OR": "ORIGIN", "ORIGIN": "ORIGIN",
}  # fmt: skip


def parse_extents(text: str, *, signs: str = "+-", what: str = "number of extents") -> SizeSpec:
    """What ``-l`` takes: ``10``, ``+50%VG``, ``100%FREE``, ``100%PVS``, ``150%ORIGIN``.

    Raises :class:`InvalidSize`.
    """
    from vmgr.core.amounts import Percent, SizeSpec

    match = re.fullmatch(_EXTENTS, text, re.ASCII)
    if match is None:
        raise InvalidSize(f"cannot parse {what} {text!r}", hint="write a number, or a percentage such as 100%FREE")
    sign, number, of = match.groups()
    _check_sign(sign, signs, text, what)
    value = int(number)
    if not value:
        raise InvalidSize(f"{what} {text!r} may not be zero")
    if value > MAX_EXTENTS:
        raise InvalidSize(f"{what} {text!r} is too large", hint=f"it must be below {MAX_EXTENTS + 1}")
    if of is None:
        return SizeSpec(Extents(value), sign)
    known = _PERCENT_OF.get(of.upper())
    if known is None:
        raise InvalidSize(f"unknown base in percentage {text!r}", hint="use %VG, %FREE, %PVS, %LV or %ORIGIN")
    return SizeSpec(Percent(value, known), sign)


# -- input: PV lists ------------------------------------------------------------------------------

_RANGE = r"(\d+)?(?:([-+])(\d+)?)?"


def split_pv_argument(text: str) -> tuple[str, str]:
    r"""Take ``PV[:ranges]`` apart into (device, ranges); a colon of the device's own name is written ``\:``."""
    device: list[str] = []
    position = 0
    while position < len(text):
        char = text[position]
        if char == "\\" and text[position + 1 : position + 2] in (":", "@"):
            device.append(text[position + 1])
            position += 2
            continue
        if char == ":":
            return "".join(device), text[position:]
        device.append(char)
        position += 1
    return "".join(device), ""


def parse_pv_ranges(
    text: str, pe_count: Extents, *, pv: str = "the physical volume"
) -> tuple[tuple[Extents, Extents], ...]:
    """Read ``:0-99:200-:300+10``, the extents (first, last) of a physical volume that has ``pe_count``.

    ``""`` is the whole of it. Raises :class:`InvalidSize` for a malformed range, :class:`Refused` for one beyond
    the end, and for two that overlap. ``pv`` names the physical volume in messages.
    """
    if not text:
        return ()
    total = int(pe_count)
    ranges: list[tuple[Extents, Extents]] = []
    for part in text[1:].split(":"):
        match = re.fullmatch(_RANGE, part, re.ASCII) if part else None
        if match is None:
            raise InvalidSize(
                f"cannot parse extent range {text!r} of {pv}",
                hint="write PV:FIRST-LAST or PV:FIRST+COUNT, and more of them after further colons",
            )
        first, kind, second = match.groups()
        start = int(first or 0)
        if kind is None:
            end = start
        elif second is None:
            end = total - 1
        elif kind == "-":
            end = int(second)
        else:
            end = start + max(int(second), 1) - 1
        if start > end or end >= total:
            raise Refused(
                f"extents {start} to {end} are not on {pv}",
                hint=f"it has extents 0 to {total - 1}" if total else "it has no extents",
            )
        for other_start, other_end in ranges:
            if start <= other_end and other_start <= end:
                raise Refused(
                    f"extent ranges {other_start}-{other_end} and {start}-{end} of {pv} overlap",
                    hint="name each extent once",
                )
        ranges.append((Extents(start), Extents(end)))
    return tuple(ranges)


# -- output ---------------------------------------------------------------------------------------

Units = tuple[str, int]
"""What ``--units`` chose: the letter, and the bytes of one unit. ``U`` is a unit of the user's own (``4k``)."""

HUMAN: Units = ("r", 1)
"""LVM2's default: a unit that suits the size, ``<`` before what was rounded up."""

_POWERS = "bkmgtpe"
_CHOOSING = "hHrR"
_UNITS = r"(\d+(?:\.\d*)?)?([bBsSkKmMgGtTpPeEhHrR])"


def parse_units(text: str) -> Units:
    """What ``--units`` takes: one of ``rRhHbBsSkKmMgGtTpPeE``, or a number before it (``4k``).

    Raises :class:`InvalidSize`.
    """
    if len(text) == 1 and text in _CHOOSING:
        return text, 1
    match = re.fullmatch(_UNITS, text, re.ASCII)
    factor = 0
    if match:
        number, letter = match.groups()
        if letter in _CHOOSING:
            return letter, 1
        lower = letter.lower()
        if lower == "s":
            factor = SECTOR_SIZE
        else:
            factor = (1024 if letter == lower else 1000) ** _POWERS.index(lower)
        if number is None or number == "1":
            return letter, factor
        whole, _, fraction = number.partition(".")
        factor = int(whole + fraction) * factor // 10 ** len(fraction)
        if factor:
            return (letter if int(whole) == 1 else "U"), factor
    raise InvalidSize(f"invalid units {text!r}", hint="use one of r h b s k m g t p e, capitals for powers of 1000")


SHORT, UNIT, LONG = 0, 1, 2
"""Forms of the unit after a printed size: `` MiB`` in messages, ``m`` in reports, `` Mebibyte``."""

_NAMES_1024 = {
    "e": (" EiB", "e", " Exbibyte"), "p": (" PiB", "p", " Pebibyte"), "t": (" TiB", "t", " Tebibyte"),
    "g": (" GiB", "g", " Gibibyte"), "m": (" MiB", "m", " Mebibyte"), "k": (" KiB", "k", " Kibibyte"),
    "b": (" B", "b", " Byte    "),
}  # fmt: skip
_NAMES_1000 = {
    "E": (" EB", "E", " Exabyte"), "P": (" PB", "P", " Petabyte"), "T": (" TB", "T", " Terabyte"),
    "G": (" GB", "G", " Gigabyte"), "M": (" MB", "M", " Megabyte"), "K": (" kB", "K", " Kilobyte"),
    "B": (" B ", "B", " Byte    "),
}  # fmt: skip
_NAMES_OTHER = {
    "B": (" B ", "B", " Byte    "), "U": (" Un", "U", " Units   "), "S": (" Se", "S", " Sectors "),
}  # fmt: skip
_NAMES_ZERO = ("   ", " ", "         ")


_NAMES_PLAIN = {
    letter.lower(): (short.upper().rstrip(), unit, long) for letter, (short, unit, long) in _NAMES_1000.items()
}
"""Those of the time before powers of 1024 had names of their own (``global/si_unit_consistency`` = 0)."""


def display_size(
    size: Sectors, units: Units = HUMAN, *, suffix: bool = True, form: int = SHORT, consistent: bool = True
) -> str:
    """``size`` as LVM2 prints it: ``100.00 MiB``, ``<1.00g``, ``2048S``, ``0``.

    Without ``suffix`` the unit is left out, unless ``units`` chooses one for each size. Not ``consistent``: powers
    of 1024 bear the names of those of 1000, ``100.00 MB``.
    """
    if not consistent:
        return _inconsistent(size, units, suffix, form)
    letter, factor = units
    sectors = int(size)
    chooses = letter in _CHOOSING
    if not sectors:
        if not suffix:
            return "0"
        return "0" + (_NAMES_ZERO if chooses else _names(letter))[form]
    length = sectors * SECTOR_SIZE
    mark = ""
    if chooses:
        letters, names = (_NAMES_1000, _NAMES_1000) if letter in "HR" else (_NAMES_1024, _NAMES_1024)
        base = 1000 if letter in "HR" else 1024
        power = 6
        step = base**6
        while power and length < step:
            step //= base
            power -= 1
        name = names[_POWERS[power] if letters is _NAMES_1024 else _POWERS[power].upper()]
        if power and letter in "rR":
            hundredths = 100.0 * float(length) / step
            if int(hundredths) != round(hundredths):
                mark = "<"
        factor = step
        number = f"{float(length) / step:.0f}" if not power else f"{float(length) / step:.2f}"
        return f"{mark}{number}{name[form]}"
    digits = 0 if letter in "bBsS" else 2
    number = f"{float(length) / factor:.{digits}f}"
    return number + _names(letter)[form] if suffix else number


def _inconsistent(size: Sectors, units: Units, suffix: bool, form: int) -> str:
    letter = units[0]
    text = display_size(size, units, suffix=suffix, form=form)
    for names, plain in ((_NAMES_1024[key], _NAMES_PLAIN[key]) for key in _NAMES_1024):
        if text.endswith(names[form]) and (letter in _CHOOSING or suffix):
            return text.removesuffix(names[form]) + plain[form]
    return text


def _names(letter: str) -> tuple[str, str, str]:
    if letter in "bBsS":
        return _NAMES_OTHER[letter.upper()]
    return _NAMES_1024.get(letter) or _NAMES_1000.get(letter) or _NAMES_OTHER[letter]


def size_printer(
    units: Units = HUMAN, *, suffix: bool = True, form: int = UNIT, consistent: bool = True
) -> Callable[[Sectors], str]:
    """:func:`display_size` for many sizes: each different one is worked out once."""
    known: dict[int, str] = {}

    def show(size: Sectors) -> str:
        text = known.get(size)
        if text is None:
            text = known[size] = display_size(size, units, suffix=suffix, form=form, consistent=consistent)
        return text

    return show


def with_extents(extents: Extents, extent_size: Sectors) -> str:
    """``100.00 MiB (25 extents)``, as messages say it."""
    return f"{display_size(extents.sectors(extent_size))} ({extents} extents)"
