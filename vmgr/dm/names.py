"""Device names and UUIDs: which are valid, and libdevmapper's mangling of names that udev does not support.

For the kernel, a name is any bytes without "/". udev's rules and its database support fewer characters, so
libdevmapper writes every other byte as ``\\xNN``. Names in this library are always the kernel's. A program that
takes names from people, as dmsetup does, calls :func:`mangle` on its input and :func:`unmangle` on its
output. Rules: ``libdm/libdm-common.c`` (``mangle_string``, ``unmangle_string``), and ``check_name`` in the
kernel's ``dm-ioctl.c``.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidName
from vmgr.core.table import DM_NAME_MAX, DM_UUID_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping

ENVIRONMENT = "DM_DEFAULT_NAME_MANGLING_MODE"
"""The environment variable that sets the mode."""

RESERVED = (".", "..", "control")
"""Nodes of these names would be the directory itself, its parent, and the control node. Linux 6.5 refuses them."""

_PLAIN = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#+-.:=@_")
_CODE = re.compile(rb"\\x(?!00)([0-9A-Fa-f]{2})")
_TWICE = "\\x5cx"


class Mangling(StrEnum):
    """The mangling mode.

    ``none`` leaves names as they are; ``auto`` mangles, except names that are already mangled; ``hex`` mangles
    every name, backslashes included.
    """

    NONE = "none"
    AUTO = "auto"
    HEX = "hex"


def check_name(text: str) -> None:
    """Raise :class:`InvalidName` unless a device can be called ``text``: 1 to 127 bytes, no "/", no NUL.

    For new names. An existing device with an invalid name can still be found by it.
    """
    if not text:
        raise InvalidName("a device name may not be empty")
    _check(text, "device name", DM_NAME_MAX)
    if "/" in text:
        raise InvalidName(
            f"invalid device name {text!r}: it contains '/'", hint="give the name without a directory"
        )
    if text in RESERVED:
        raise InvalidName(f"invalid device name {text!r}: it has another meaning in the device directory")


def check_uuid(text: str) -> None:
    """Raise :class:`InvalidName` unless ``text`` can be a device's UUID: 1 to 128 bytes, no NUL."""
    if not text:
        raise InvalidName("a device UUID may not be empty")
    _check(text, "device UUID", DM_UUID_MAX)


def mangle(text: str, mode: Mangling | str, *, limit: int = DM_NAME_MAX) -> str:
    """The kernel's name for ``text``. For a UUID, give ``limit=DM_UUID_MAX``.

    Raises :class:`InvalidName` if ``auto`` finds mangled bytes next to bytes that need mangling, or
    a name that was mangled twice, and if the result is longer than ``limit`` bytes.
    """
    mode = Mangling(mode)
    if mode is Mangling.NONE:
        return text
    if mode is Mangling.AUTO:
        check_once(text)
    raw = _bytes(text)
    out = bytearray()
    mangled = unfit = False
    i = 0
    while i < len(raw):
        byte = raw[i]
        if mode is Mangling.AUTO and raw[i : i + 2] == b"\\x":
            if len(raw) - i < 4:
                raise _mixed(text)
            out += raw[i : i + 4]
            mangled = True
            i += 4
            continue
        if byte in _PLAIN:
            out.append(byte)
        else:
            out += b"\\x%02x" % byte
            unfit = True
        i += 1
    if mangled and unfit:
        raise _mixed(text)
    if len(out) > limit:
        written = " once its special characters are written as \\xNN" if unfit else ""
        raise InvalidName(f"{text!r} is longer than {limit} bytes{written}")
    return _text(bytes(out))


def unmangle(text: str, mode: Mangling | str = Mangling.NONE) -> str:
    """The readable form of ``text``, a name of the kernel's: every ``\\xNN`` becomes one byte.

    With a mode other than ``none``, a name with bytes that need mangling is refused (:class:`InvalidName`).
    Another program made such a name, and :func:`mangle` could not restore it.
    """
    raw = _bytes(text)
    if Mangling(mode) is not Mangling.NONE and not _PLAIN.issuperset(raw.replace(b"\\", b"")):
        raise InvalidName(
            f"{text!r} should be mangled and is not",
            hint="rename it with `vmgr dm mangle`, or use mangling mode none",
        )
    return _text(_CODE.sub(lambda code: bytes((int(code[1], 16),)), raw))


def check_once(text: str) -> None:
    """Raise :class:`InvalidName` for a name that was mangled more than once, which ``auto`` does not accept."""
    if _TWICE in text:
        raise InvalidName(
            f"{text!r} is mangled more than once", hint="give it in plain characters, or use mode hex"
        )


def default_mangling(environ: Mapping[str, str]) -> Mangling:
    """The mode in ``DM_DEFAULT_NAME_MANGLING_MODE``, in upper or lower case; by default ``auto``."""
    word = environ.get(ENVIRONMENT, "").lower()
    return Mangling(word) if word in ("none", "auto", "hex") else Mangling.AUTO


def _check(text: str, what: str, limit: int) -> None:
    raw = _bytes(text)
    if b"\0" in raw:
        raise InvalidName(f"{what} {text!r} contains a NUL character")
    if len(raw) > limit:
        raise InvalidName(f"{what} {text!r} is longer than {limit} bytes")


def _mixed(text: str) -> InvalidName:
    return InvalidName(
        f"{text!r} mixes mangled and plain characters", hint="write all special characters as \\xNN, or none"
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
