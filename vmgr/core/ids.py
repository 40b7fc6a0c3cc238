"""Names, tags and UUIDs as types, checked when they are built.

The rules are LVM2's (``lvm(8)``, "Valid names", and ``lib/misc/lvm-string.c``).
"""

from __future__ import annotations

from typing import Self

from vmgr.core.errors import InvalidName

NAME_MAX = 127
"""The longest group or volume name, in bytes (``NAME_LEN`` is 128 with the final NUL)."""

TAG_MAX = 1024

_UUID_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_UUID = frozenset(_UUID_ALPHABET + "!#").issuperset
_NAME = frozenset(_UUID_ALPHABET + "._+-").issuperset
_TAG = frozenset(_UUID_ALPHABET + "._+-/=!:#&").issuperset


class Uuid(str):
    """An LVM2 UUID: 32 characters, kept without hyphens; :attr:`dashed` is the printed form.

    Hyphens do not count, wherever they are (``id_read_format`` in LVM2's ``lib/uuid/uuid.c``): programs that write
    metadata put them where RFC 4122 has them. Raises :class:`InvalidName`.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check ``text``: 32 characters, and any hyphens between them."""
        plain = text.replace("-", "")
        if len(plain) != 32 or not _UUID(plain):
            raise InvalidName(f"invalid UUID {text!r}", hint="a UUID has 32 letters and digits")
        return super().__new__(cls, plain)

    @property
    def dashed(self) -> str:
        """The form on disk in metadata text and in reports: ``6-4-4-4-4-4-6``."""
        s = str(self)
        return f"{s[:6]}-{s[6:10]}-{s[10:14]}-{s[14:18]}-{s[18:22]}-{s[22:26]}-{s[26:]}"

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Make a UUID from at least 32 random bytes."""
        if len(raw) < 32:
            raise ValueError("a UUID needs 32 bytes")
        return cls("".join(_UUID_ALPHABET[b % len(_UUID_ALPHABET)] for b in raw[:32]))


class _Name(str):
    __slots__ = ()
    kind = "name"

    def __new__(cls, text: str) -> Self:
        if len(text) > NAME_MAX:
            raise InvalidName(f"{cls.kind} {text!r} is longer than {NAME_MAX} characters")
        if not text or text[0] == "-" or not _NAME(text) or text in (".", ".."):
            raise InvalidName(
                f"invalid {cls.kind} {text!r}",
                hint="use letters, digits and . _ + - ; the first character is not a hyphen",
            )
        return super().__new__(cls, text)


class VgName(_Name):
    """A volume group's name."""

    __slots__ = ()
    kind = "volume group name"


class GroupName(str):
    """The name of one certain group: two groups may have one name, and ``uuid`` tells which is meant.

    It is a group's name wherever one is wanted, and equal to it; :meth:`SystemView.group
    <vmgr.core.view.SystemView.group>` looks at the UUID.
    """

    uuid: Uuid

    def __new__(cls, name: str, uuid: Uuid) -> Self:
        """``name`` is taken as it is."""
        made = super().__new__(cls, name)
        made.uuid = uuid
        return made


def printed_uuid(text: str) -> Uuid | None:
    """The UUID that ``text`` is in the form that reports print, in which a user names a group by it; else None."""
    if len(text) != 38 or [len(part) for part in text.split("-")] != [6, 4, 4, 4, 4, 4, 6]:
        return None
    try:
        return Uuid(text)
    except InvalidName:
        return None


RESERVED_PREFIXES = ("snapshot", "pvmove")
RESERVED_PARTS = (
    "_cdata", "_cmeta", "_corig", "_cpool", "_cvol", "_imeta", "_iorig", "_mimage", "_mlog", "_pmspare",
    "_rimage", "_rmeta", "_tdata", "_tmeta", "_vdata", "_vorigin", "_wcorig",
)  # fmt: skip
"""Name parts that LVM2 keeps for the helper volumes that it makes (``apply_lvname_restrictions``)."""


class LvName(_Name):
    """A logical volume's name, hidden volumes' included; :meth:`chosen` is for a user's choice."""

    __slots__ = ()
    kind = "logical volume name"

    @classmethod
    def chosen(cls, text: str) -> Self:
        """A name that a user asked for: also refuses what is reserved for hidden volumes."""
        name = cls(text)
        for prefix in RESERVED_PREFIXES:
            if name.startswith(prefix):
                raise InvalidName(f"names starting {prefix!r} are reserved", hint="choose another name")
        for part in RESERVED_PARTS:
            if part in name:
                raise InvalidName(f"names including {part!r} are reserved", hint="choose another name")
        return name


class Tag(str):
    """A tag of a group, PV or volume, without the ``@`` that introduces it on a command line."""

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check ``text``; a leading ``@`` is not part of a tag."""
        if not text or text[0] == "-" or len(text) > TAG_MAX or not _TAG(text):
            raise InvalidName(
                f"invalid tag {text!r}",
                hint="use letters, digits and _ + . - / = ! : # & ; the first character is not a hyphen",
            )
        return super().__new__(cls, text)
