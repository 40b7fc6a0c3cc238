"""Metadata text to a core group and back: the interface for other packages.

The rules common to reading and writing are here, too. :mod:`vmgr.ondisk.decode` reads any text,
:mod:`vmgr.ondisk.fast` reads LVM2's own layout several times faster, :mod:`vmgr.ondisk.encode` writes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from vmgr.core.hooks import Names
    from vmgr.core.model import Fields, FieldValue, SegmentBody, VolumeGroup
    from vmgr.core.units import Extents
    from vmgr.ondisk.encode import Pieces

    class Decoder(Protocol):
        """The part of :class:`vmgr.core.targets.Targets` that reads segments."""

        def decode(
            self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
        ) -> tuple[SegmentBody, Fields]:
            """Turn a section into a body and the fields that its plugin does not know."""

        def uniform(self, type_word: str) -> bool:
            """Whether bodies of this type differ only as :attr:`vmgr.core.hooks.TargetInfo.uniform` allows."""

        def group_read(self, group: VolumeGroup) -> VolumeGroup:
            """The group in the model's form, from one in the text's form."""

        def leave_out(self, error: PluginError) -> None:
            """Ignore the plugin of ``error`` from now on, or raise ``error``."""

    class Encoder(Protocol):
        """The part of :class:`vmgr.core.targets.Targets` that writes segments."""

        def encode(self, body: SegmentBody, names: Names) -> tuple[str, Fields]:
            """Give the type word and the fields of a body."""

        def group_written(self, group: VolumeGroup) -> VolumeGroup:
            """The group in the text's form."""


CONTENTS = "Text Format Volume Group"
VERSION = 1
FORMAT = "lvm2"
WRITE_LOCKED = "WRITE_LOCKED"
_LONG = 16384
"""Shorter texts go to the general reader, because loading the fast reader would take longer."""

_BEFORE_WRITE = frozenset(("EXPORTED", "RESIZEABLE", "PVMOVE", "READ"))


class DecodedGroup(NamedTuple):
    """A group, and the data about the writing of its text.

    ``description`` names the command; ``creation_time`` is in seconds since 1970.
    """

    group: VolumeGroup
    description: str = ""
    creation_host: str = ""
    creation_time: int = 0


class TextHeader(NamedTuple):
    """The data at the top of a text. The caller provides all of it; this package reads no clock or host name.

    ``time`` is in seconds since 1970, and ``date`` is the same as ``ctime(3)`` prints it, without newline;
    ``system`` is "sysname nodename release version machine" from ``uname(2)``; ``program``
    is the writer's name and version; ``system_id`` is the host's system ID, if it has one.
    """

    description: str
    host: str
    time: int
    date: str
    system: str
    program: str
    system_id: str = ""


def decode_group(text: str | bytes, targets: Decoder, faults: list[str] | None = None) -> DecodedGroup:
    """Read a metadata text, from a disk or a backup file. Raises :class:`~vmgr.core.errors.DamagedMetadata`.

    With ``faults``, a list, faults of single volumes are added to it instead of being raised, so that the rest of
    the group can be shown. Bytes are decoded as UTF-8; :func:`to_bytes` restores even those that are not
    UTF-8.
    """
    if isinstance(text, bytes):
        text = text.rstrip(b"\0").decode("utf-8", "surrogateescape")
    while True:
        decoded = _decoded(text, targets, faults)
        try:
            group = targets.group_read(decoded.group)
        except PluginError as error:
            targets.leave_out(error)  # and read again: its volumes become segments of an unknown type
            continue
        return decoded if group is decoded.group else decoded._replace(group=group)


def _decoded(text: str, targets: Decoder, faults: list[str] | None) -> DecodedGroup:
    decoded = None
    if len(text) >= _LONG:
        from vmgr.ondisk.fast import decode_canonical

        decoded = decode_canonical(text, targets, faults)
    if decoded is None:
        from vmgr.ondisk.decode import decode_any

        if faults is not None:
            faults.clear()
        decoded = decode_any(text, targets, faults)
    return decoded


def encode_group(
    group: VolumeGroup,
    targets: Encoder,
    header: TextHeader,
    *,
    backup: bool = False,
    date: Callable[[int], str] | None = None,
    pieces: Pieces | None = None,
) -> str:
    """Write a group as LVM2 writes it to a metadata area, or with ``backup`` to a backup file.

    A backup is indented and has comments. ``date`` turns seconds since 1970 into ``2024-12-31 23:59:59 +0000``
    for the comments; without it, they are left out. ``pieces`` speeds up later backups of the same group: pass
    the same object for all backups with the same ``targets`` and ``date``. Raises
    :class:`~vmgr.core.errors.Refused` for strings that the format cannot hold.
    """
    from vmgr.ondisk.encode import backup_text, disk_text

    group = targets.group_written(group)
    return backup_text(group, targets, header, date, pieces) if backup else disk_text(group, targets, header)


def to_bytes(text: str) -> bytes:
    """The bytes of a text for a disk or file."""
    return text.encode("utf-8", "surrogateescape")


# -- rules common to reading and writing ----------------------------------------------------------


def write_locked(group: VolumeGroup) -> bool:
    """Whether LVM2 hides ``WRITE`` of a group and its volumes from programs that do not support owners and locks.

    The text then has ``WRITE_LOCKED`` among the flags instead (``vg_flag_write_locked``).
    """
    return bool(group.system_id) or group.lock_type not in ("", "none")


def show_write(status: tuple[str, ...], flags: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The model's status and flags for those of a text: ``WRITE`` is in its usual place."""
    if WRITE_LOCKED not in flags:
        return status, flags
    if "WRITE" not in status:
        at = sum(1 for word in status if word in _BEFORE_WRITE)
        status = (*status[:at], "WRITE", *status[at:])
    return status, tuple([flag for flag in flags if flag != WRITE_LOCKED])


def hide_write(status: tuple[str, ...], flags: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The reverse of :func:`show_write`, for a group for which :func:`write_locked` is true."""
    if "WRITE" not in status:
        return status, flags
    return tuple([word for word in status if word != "WRITE"]), (WRITE_LOCKED, *flags)
