"""A fast reader for metadata texts in LVM2's own layout.

A text on disk nearly always has LVM2's layout: bare lines in a fixed order. Most of it are volumes, and each of
these is matched with one regular expression. The rest, including volumes of unusual shape, is
cut out and goes to the general reader.

The result is always that of the general reader. The text is cut only at places where the general parser, which
reads from left to right and never looks back, is between two items. The rest of the text, with a
marker in the place of the volumes, is parsed as a whole, and the marker must end up inside
``logical_volumes``. The volumes' pieces must join without a gap, and each piece without
the known shape must parse on its own. If any of this fails, the result is None.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata
from vmgr.core.ids import LvName, Tag, Uuid
from vmgr.core.model import PvArea, Segment, Shape, unread_volumes
from vmgr.core.units import Extents
from vmgr.ondisk.codec import show_write
from vmgr.ondisk.decode import finish, group_section, read_group, read_lv, take_uuid
from vmgr.ondisk.text import parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.model import Fields, FieldValue, LogicalVolume, SegmentBody
    from vmgr.ondisk.codec import DecodedGroup, Decoder
    from vmgr.ondisk.decode import ReadNames
    from vmgr.ondisk.text import Tree

    _Kind = tuple[str, str, int, str, str]
    """Type word, key and value of the one number, key of the areas, and what the one area lies on."""


def _bare(pattern: str) -> str:
    """A pattern without its groups."""
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)


_START = "\nlogical_volumes {\n"
_END = "\n}\n}\n}\n\n"  # of a segment, a volume, the section; then LVM2's empty line
_MARKER = "vmgr_cut_the_volumes_out_here"

_NAME = r"[A-Za-z0-9._+][A-Za-z0-9._+-]{0,126}"
_NUMBER = r"0|[1-9][0-9]{0,8}"
_UUID = "-".join([f"[A-Za-z0-9!#]{{{n}}}" for n in (6, 4, 4, 4, 4, 4, 6)])
_WORDS = r'(?:"[^"\\\n]*"(?:,[ ]"[^"\\\n]*")*+)?'

_STATUS = rf"""status\ =\ \[({_WORDS})\]\nflags\ =\ \[({_WORDS})\]\n(?:tags\ =\ \[({_WORDS})\]\n)?"""
_KIND = rf'''type\ =\ "([^"\\\n]+)"\n([a-z_]+)\ =\ ({_NUMBER})\n\n([a-z_]+)\ =\ \[\n"({_NAME})"'''
"""Lines that most volumes have in common. They are parsed once for all of these."""

_VOLUMES = re.compile(
    rf"""(                                                       # 0 the piece: a volume of the common shape
    \n({_NAME})\ \{{\nid\ =\ "({_UUID})"\n                       # 1 name, 2 id
    ({_bare(_STATUS)})                                           # 3
    (?:creation_time\ =\ ([1-9][0-9]{{0,9}})\n                   # 4
    creation_host\ =\ "([^"\\\n]*)"\n)?                          # 5
    segment_count\ =\ 1\n\nsegment1\ \{{\nstart_extent\ =\ 0\n
    extent_count\ =\ ([1-9][0-9]{{0,8}})\n\n                     # 6
    ({_bare(_KIND)}),\ ({_NUMBER})\n\]\n                          # 7, 8 where the one area starts
    \}}\n\}}\n)
    |(\n{_NAME}\ \{{\n.*?\n\}}\n\}}\n)(?=\n{_NAME}\ \{{\nid\ =\ "|\Z)   # 9 the piece: any other volume
    """,
    re.VERBOSE | re.DOTALL,
).findall

_ZERO = Extents(0)

_OWN_KEYS = frozenset(("start_extent", "extent_count", "type", "tags"))
"""The keys that the general reader takes out of a segment's section before a plugin sees it."""


def decode_canonical(text: str, targets: Decoder, faults: list[str] | None = None) -> DecodedGroup | None:
    """Read a text in LVM2's layout; None for any other, which is for the general reader.

    Like the general reader, raises :class:`DamagedMetadata` for an invalid text, and collects ``faults``.
    """
    start = text.find(_START) + len(_START)
    end = text.rfind(_END, start) + len(_END) - 3
    if start < len(_START) or end < start or "\0" in text:
        return None
    rows = _VOLUMES(text, start, end)
    if sum([len(row[0] or row[9]) for row in rows]) != end - start:
        return None
    kinds = {kind: _kind(kind) for kind in {row[7] for row in rows if row[0]}}
    for _, number, _, areas, _ in kinds.values():
        if number in _OWN_KEYS or areas in _OWN_KEYS or number == areas:
            return None
    try:
        tree = parse(f"{text[:start]}{_MARKER} = 1\n{text[end:]}", unique=True)
        others = {row[9]: parse(row[9], unique=True) for row in rows if row[9]}
    except DamagedMetadata:
        return None
    section = group_section(tree)
    if section.pop("logical_volumes", None) != {_MARKER: 1}:
        return None
    group, names = read_group(tree, section)
    names.faults = faults
    try:
        if not _learn_names(rows, others, names):
            return None
        volumes, unread = _volumes(rows, kinds, others, names, targets)
    except DamagedMetadata:
        if faults is None:
            raise
        return None  # the general reader can leave a volume out
    decoded = finish(tree, group, volumes)
    decoded.group.__dict__["unread"] = unread  # a cached property, filled
    return decoded


def _learn_names(rows: list[tuple[str, ...]], others: dict[str, Tree], names: ReadNames) -> bool:
    """Add each volume's name and UUID to ``names``; False if a name is duplicate or invalid."""
    plain = "\n".join([row[2] for row in rows]).replace("-", "").split("\n")
    lvs = names.lvs
    lvs.update(zip([row[1] for row in rows], map(str.__new__, repeat(Uuid), plain), strict=False))
    if others:
        lvs.pop("", None)  # rows of other shapes have neither a name nor a UUID
        for tree in others.values():
            if len(tree) != 1:
                return False
            ((name, value),) = tree.items()
            if not isinstance(value, dict):
                return False
            lvs[name] = take_uuid(dict(value), f"volume {name}")
    return len(lvs) == len(rows) and "." not in lvs and ".." not in lvs


class _Shape(Shape):
    """The shape of volumes whose segments differ only in their length and the start of their area."""

    __slots__ = ("_decode", "_kind", "_names", "_tags")

    def __init__(
        self, body: type[SegmentBody], pv: Uuid, kind: _Kind, tags: dict[str, tuple[Tag, ...]], names: ReadNames,
        decode: Callable[[str, Extents, dict[str, FieldValue], ReadNames], tuple[SegmentBody, Fields]],
    ) -> None:  # fmt: skip
        super().__init__(body, pv)
        self._kind = kind
        self._tags = tags
        self._names = names
        self._decode = decode

    def segment(self, at: str, size: Extents) -> Segment:
        """The only segment of a volume whose area starts at the extent ``at``."""
        word, key, number, areas, on = self._kind
        body, extra = self._decode(word, size, {key: number, areas: (on, int(at))}, self._names)
        return Segment(_ZERO, size, body, (), extra)

    def fields(self, row: tuple[str, ...], size: Extents) -> dict[str, object]:
        """As the base class says; ``row`` is the volume's match."""
        _, _, _, status, time, host, _, _, at, _ = row
        return {
            "tags": self._tags[status],
            "created": int(time) if time else 0,
            "host": host,
            "profile": "",
            "read_ahead": None,
            "major": None,
            "minor": None,
            "segments": (self.segment(at, size),),
            "extra": (),
        }


def _volumes(
    rows: list[tuple[str, ...]],
    kinds: dict[str, _Kind],
    others: dict[str, Tree],
    names: ReadNames,
    targets: Decoder,
) -> tuple[tuple[LogicalVolume, ...], tuple[list[_Shape], list[int], list[int]]]:
    """All volumes, left unread if the plugin promises that they are uniform, the others read by the general reader.

    Also the value for :attr:`VolumeGroup.unread`.
    """
    statuses = {status: _status(status) for status in {row[3] for row in rows if row[0]}}
    tags = {status: read[2] for status, read in statuses.items()}
    shapes: dict[str, _Shape | None] = {}
    apart: dict[int, LogicalVolume] = {}
    for at, row in enumerate(rows):
        kind = row[7]
        if kind in shapes:
            shape = shapes[kind]
        else:
            shape = shapes[kind] = _shape(row, kinds[kind], tags, names, targets) if kind else None
        if shape is None:
            ((name, value),) = (others[row[9]] if row[9] else parse(row[0], unique=True)).items()
            assert isinstance(value, dict)
            apart[at] = read_lv(LvName(name), value, names, targets)
    if apart:
        rows = [row for at, row in enumerate(rows) if at not in apart]
    columns = list(zip(*rows, strict=True)) or [()] * 10
    lengths = {count: Extents(count) for count in set(columns[6])}
    words = {status: read[0] for status, read in statuses.items()}
    flags = {status: read[1] for status, read in statuses.items()}
    of_shape = list(map(shapes.__getitem__, columns[7]))
    starts = list(map(int, columns[8]))
    found = unread_volumes(
        len(rows),
        id=map(names.lvs.__getitem__, columns[1]),
        name=map(str.__new__, repeat(LvName), columns[1]),
        status=map(words.__getitem__, columns[3]),
        flags=map(flags.__getitem__, columns[3]),
        alloc=repeat("inherit"),
        shape=of_shape,
        row=rows,
        start=starts,
        size=map(lengths.__getitem__, columns[6]),
    )
    for at, lv in apart.items():  # in ascending order, so that each gets its place
        found.insert(at, lv)
    unread = [shape for shape in of_shape if shape is not None], starts, list(map(int, columns[6]))
    return tuple(found), unread


def _shape(
    row: tuple[str, ...], kind: _Kind, tags: dict[str, tuple[Tag, ...]], names: ReadNames, targets: Decoder
) -> _Shape | None:
    """The shape of ``row`` and all volumes of its kind; None if they must be read one by one.

    One volume is decoded to get the plugin's result for all, and to check that the plugin keeps its promise.
    """
    word, key, number, areas, on = kind
    pv = names.pvs.get(on)
    if pv is None or not targets.uniform(word):
        return None
    length, at = Extents(row[6]), int(row[8])
    try:
        body, extra = targets.decode(word, length, {key: number, areas: (on, at)}, names)
    except DamagedMetadata:
        return None  # the general reader gives the full error message
    if extra or body.references or body.areas != (PvArea(pv, Extents(at), length),):
        return None
    return _Shape(type(body), pv, kind, tags, names, targets.decode)


def _status(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Tag, ...]]:
    """Status, flags and tags, from their lines."""
    match = re.fullmatch(_STATUS, text, re.VERBOSE)
    assert match is not None
    status, flags, tags = match.groups("")
    return *show_write(_split(status), _split(flags)), tuple([str.__new__(Tag, tag) for tag in _split(tags)])


def _kind(text: str) -> _Kind:
    """Type word, key and value of the one number, key of the areas, and what the one area lies on."""
    match = re.fullmatch(_KIND, text, re.VERBOSE)
    assert match is not None
    word, key, number, areas, on = match.groups()
    return word, key, int(number), areas, on


def _split(words: str) -> tuple[str, ...]:
    """The strings of an array without escapes, from the text between its brackets."""
    return tuple(words[1:-1].split('", "')) if words else ()
