"""From the text of an option's value to the value, by the option's kind. Every failure is a UsageError."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidSize, UsageError

if TYPE_CHECKING:
    from vmgr.cli.declare import Option

UINT32_MAX = (1 << 32) - 1

ACTIVATION = {
    "y": "y", "n": "n", "a": "ay", "ay": "ay", "ya": "ay",
    "e": "y", "ey": "y", "ye": "y", "s": "y", "sy": "y", "ys": "y", "ly": "y", "yl": "y",
    "en": "n", "ne": "n", "ln": "n", "nl": "n",
}  # fmt: skip
"""What ``-a`` may say. Shared, exclusive and local activation differ only in clusters (LVM2 ``activation_arg``)."""

COPIES = {"unmanaged": 0, "all": UINT32_MAX}
"""Words for numbers of metadata copies, as the metadata text has them (``VGMETADATACOPIES_ALL``)."""


def convert(option: Option, text: str) -> object:
    """The value that ``text`` stands for; its type depends on ``option.kind``.

    ``yesno`` bool, ``number`` int (:class:`~vmgr.core.amounts.Signed` where it may have a sign), ``percent``
    int, ``size`` and ``extents`` :class:`~vmgr.core.requests.SizeSpec`, ``tag`` :class:`~vmgr.core.ids.Tag`,
    ``activation`` one of ``y n ay``, ``permission`` ``r`` or ``rw``, ``readahead`` and ``copies`` int, all
    others the text itself.
    """
    kind = option.kind
    if kind == "yesno":
        if text not in ("y", "n"):
            raise UsageError(f"{text!r} is neither y nor n", hint="give y or n")
        return text == "y"
    if kind == "number":
        if not option.sign:
            return number(text)
        from vmgr.core.amounts import Signed

        sign = text[:1] if text[:1] in ("+", "-") else ""
        return Signed(number(text[len(sign) :]), sign)
    if kind == "percent":
        percent = number(text.removesuffix("%"))
        if percent > 100:
            raise UsageError(f"{text!r} is more than 100 percent", hint="give 0 up to 100")
        return percent
    if kind == "size":
        from vmgr.core.sizes import parse_size

        if option.zero and text.strip("0") in ("", *"bBsSkKmMgGtTpPeE"):
            return None
        return parse_size(text, option.unit, signs=option.sign)
    if kind == "extents":
        from vmgr.core.sizes import parse_extents

        return parse_extents(text, signs=option.sign)
    if kind == "tag":
        from vmgr.core.ids import Tag

        return Tag(text.removeprefix("@"))
    if kind == "activation":
        return choice(text, ACTIVATION, "y, n or ay")
    if kind == "permission":
        return choice(text, {"r": "r", "rw": "rw", "wr": "rw"}, "r or rw")
    if kind == "readahead":
        return read_ahead(text)
    if kind == "copies":
        return COPIES[text] if text in COPIES else number(text)
    if option.name == "alloc" and text == "cling_by_tags":
        return "cling"  # as LVM2 keeps it: tags count wherever lvm.conf names some
    if option.choices and text not in option.choices:
        raise UsageError(f"{text!r} is not one of {', '.join(option.choices)}")
    return text


def choice(text: str, words: dict[str, str], known: str) -> str:
    """The meaning of ``text`` in ``words``."""
    try:
        return words[text]
    except KeyError:
        raise UsageError(f"{text!r} is not {known}") from None


def number(text: str) -> int:
    """A whole number that fits in 32 bits; a ``+`` in front is allowed, as LVM2 allows it."""
    digits = text.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidSize(f"{text!r} is not a whole number")
    value = int(digits) if len(digits) <= 20 else UINT32_MAX + 1
    if value > UINT32_MAX:
        raise InvalidSize(f"{text!r} is too large", hint=f"it must be below {UINT32_MAX + 1}")
    return value


def read_ahead(text: str) -> int:
    """Sectors of read-ahead: ``auto``, ``none``, or a size whose bare number counts sectors."""
    from vmgr.core.requests import READ_AHEAD_AUTO

    if text == "auto":
        return READ_AHEAD_AUTO
    if text == "none" or text == "0":
        return 0
    from vmgr.core.sizes import parse_sectors

    sectors = int(parse_sectors(text, "s", what="read-ahead"))
    if sectors > UINT32_MAX:
        raise InvalidSize(f"read-ahead {text!r} is too large")
    return sectors
