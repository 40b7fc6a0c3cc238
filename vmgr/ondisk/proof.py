"""What is to be written is read back first: a text that its own plugin cannot read would cost the volume.

Only volumes that a change makes or changes are read back, through the same text that goes to the disks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import PluginError, VmgrError
from vmgr.core.ids import Uuid
from vmgr.core.model import UnknownBody
from vmgr.ondisk.decode import ReadNames, read_lv
from vmgr.ondisk.encode import WriteNames, volume_text
from vmgr.ondisk.text import parse

if TYPE_CHECKING:
    from typing import Protocol

    from vmgr.core.model import LogicalVolume, SegmentBody, VolumeGroup
    from vmgr.ondisk.codec import Decoder, Encoder

    class Codec(Encoder, Decoder, Protocol):
        """What both writes and reads segments: :class:`vmgr.core.targets.Targets`."""

        def blame(self, body: SegmentBody | None, what: str) -> PluginError:
            """The error of the plugin of ``body``: it broke the contract by ``what``."""


STATUS_WORDS = frozenset(
    (
        "READ",
        "WRITE",
        "FIXED_MINOR",
        "VISIBLE",
        "PVMOVE",
        "LOCKED",
        "NOTSYNCED",
        "REBUILD",
        "WRITEMOSTLY",
        "WRITE_LOCKED",
        "ACTIVATION_SKIP",
        "NOAUTOACTIVATE",
        "ERROR_WHEN_FULL",
        "CACHE_VOL",
    )
)
"""The words that LVM2 knows in a volume's ``status`` and ``flags`` (``lib/format_text/flags.c``); it refuses to
read a group whose ``status`` has another one."""


def require_readable(before: VolumeGroup | None, after: VolumeGroup, targets: Codec) -> None:
    """Raise :class:`PluginError` unless what ``after`` has and ``before`` had not is read back as it is written."""
    known = {} if before is None else before.lv_by_id
    changed = [lv for lv in after.lvs if known.get(lv.id) is not lv]
    if not changed:
        return
    written = targets.group_written(after)
    names = WriteNames(written)
    reading = ReadNames({name: Uuid(pv) for pv, name in names.pvs.items()}, {lv.name: lv.id for lv in written.lvs})
    texts = written.lv_by_id
    for lv in changed:
        _require_known_words(lv, known.get(lv.id), targets)
        _require_same(texts[lv.id], names, reading, targets)
    meant = targets.group_read(written).lv_by_id
    for lv in changed:
        if meant[lv.id] != lv:
            raise targets.blame(
                lv.segments[0].body if lv.segments else None,
                f"volume {lv.name} is another one after group_written and group_read",
            )


def _require_known_words(lv: LogicalVolume, before: LogicalVolume | None, targets: Codec) -> None:
    kept = () if before is None else (*before.status, *before.flags)
    for field, words in (("status", lv.status), ("flags", lv.flags)):
        for word in words:
            if word not in STATUS_WORDS and word not in kept:
                body = lv.segments[0].body if lv.segments else None
                raise targets.blame(body, f"volume {lv.name} has the word {word!r} in its {field}, which is none")


def _require_same(lv: LogicalVolume, names: WriteNames, reading: ReadNames, targets: Codec) -> None:
    if all(isinstance(segment.body, UnknownBody) for segment in lv.segments):
        return
    body = next(s.body for s in lv.segments if not isinstance(s.body, UnknownBody))
    text = volume_text(lv, targets, names)
    try:
        ((name, tree),) = parse(text, unique=True).items()
        assert isinstance(tree, dict)
        back = read_lv(lv.name, tree, reading, targets)
    except PluginError:
        raise
    except VmgrError as error:
        raise targets.blame(body, f"what it wrote of volume {lv.name} cannot be read: {error.message}") from error
    assert name == lv.name
    for one, other in zip(lv.segments, back.segments, strict=True):
        if one.body != other.body and not isinstance(one.body, UnknownBody):
            raise targets.blame(one.body, f"of volume {lv.name} {_difference(one.body, other.body)}")


def _difference(one: SegmentBody, other: SegmentBody) -> str:
    """What comes back otherwise, in words."""
    if type(one) is not type(other):
        return f"{type(one).__name__} was written, and {type(other).__name__} is read"
    for attribute in getattr(type(one), "__attrs_attrs__", ()):
        mine, theirs = getattr(one, attribute.name), getattr(other, attribute.name)
        if mine != theirs:
            return f"{type(one).__name__}.{attribute.name} was written as {mine!r}, and is read as {theirs!r}"
    return f"{type(one).__name__} was written, and is read otherwise"
