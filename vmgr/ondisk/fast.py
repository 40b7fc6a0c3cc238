"""LVM2's own layout of a metadata text to a core group, several times faster than any text.

A text on disk is nearly always as LVM2 writes it: bare lines in a fixed order. Its volumes, which are the
bulk, are matched with one regular expression each; everything else, volumes of unusual shape included, is
cut out and goes the general way.

Why the outcome is the general reader's: the text is cut at places where the general parser, which reads
from left to right and looks at nothing behind it, is between two items. The rest of the text, with a
marker in the place of the volumes, is parsed whole, and the marker must turn up inside of
``logical_volumes``; the volumes' pieces must join up without a gap; each piece that is not of
the known shape must parse on its own. Where any of this fails the answer is None.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import DamagedMetadata
from vmgr.core.ids import LvName, Tag, Uuid
from vmgr.core.model import LogicalVolume, Segment, UnknownBody
from vmgr.core.units import Extents
from vmgr.ondisk.codec import show_write
from vmgr.ondisk.decode import finish, group_section, read_group, read_lv, take_uuid, with_pv_ids
from vmgr.ondisk.text import parse

if TYPE_CHECKING:
    from vmgr.core.model import Fields, SegmentBody
    from vmgr.ondisk.codec import DecodedGroup, Decoder
    from vmgr.ondisk.decode import ReadNames
    from vmgr.ondisk.text import Tree


def _bare(pattern: str) -> str:
    """A pattern without its groups."""
    return re.sub(r"(?<!\\)\((?!\?)", "(?:", pattern)


_START = "\nlogical_volumes {\n"
_END = "\n}\n}\n}\n\n"  # of a segment, a volume, the section; then LVM2's empty line
_MARKER = "vmgr_cut_the_volumes_out_here"

_NAME = r"[A-Za-z0-9._+][A-Za-z0-9._+-]{0,126}"
_NUMBER = r"0|[1-9][0-9]{0,8}"
_UUID = r"[A-Za-z0-9!#]{6}-(?:[A-Za-z0-9!#]{4}-){5}[A-Za-z0-9!#]{6}"
_WORDS = r'(?:"[^"\\\n]*"(?:,[ ]"[^"\\\n]*")*+)?'

_STATUS = rf"""status\ =\ \[({_WORDS})\]\nflags\ =\ \[({_WORDS})\]\n(?:tags\ =\ \[({_WORDS})\]\n)?"""
_KIND = rf'''type\ =\ "([^"\\\n]+)"\n([a-z_]+)\ =\ ({_NUMBER})\n\n([a-z_]+)\ =\ \[\n"({_NAME})"'''
"""Lines that few volumes do not have in common: taken apart once for all of these."""

_VOLUMES = re.compile(
    rf"""(                                                       # 0 the piece: a volume of the common shape
    \n({_NAME})\ \{{\nid\ =\ "({_UUID})"\n                       # 1 name, 2 id
    ({_bare(_STATUS)})                                           # 3
    (?:creation_time\ =\ ([1-9][0-9]{{0,9}})\n                   # 4
    creation_host\ =\ "([^"\\\n]*)"\n)?                          # 5
    segment_count\ =\ 1\n\nsegment1\ \{{\nstart_extent\ =\ 0\n
    extent_count\ =\ ({_NUMBER})\n\n                             # 6
    ({_bare(_KIND)}),\ ({_NUMBER})\n\]\n                          # 7, 8 where the one area starts
    \}}\n\}}\n)
    |(\n{_NAME}\ \{{\n.*?\n\}}\n\}}\n)(?=\n{_NAME}\ \{{\nid\ =\ "|\Z)   # 9 the piece: any other volume
    """,
    re.VERBOSE | re.DOTALL,
).findall

_OWN_KEYS = frozenset(("start_extent", "extent_count", "type", "tags"))
"""What the general reader takes out of a segment's section; no plugin gets to see it."""


def decode_canonical(text: str, targets: Decoder) -> DecodedGroup | None:
    """Read a text in LVM2's layout; None for any other, which goes the general way.

    Raises :class:`DamagedMetadata` as the general reader does for a text that makes no sense.
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
    if not _learn_names(rows, others, names):
        return None
    return finish(tree, group, _volumes(rows, kinds, others, names, targets))


def _learn_names(rows: list[tuple[str, ...]], others: dict[str, Tree], names: ReadNames) -> bool:
    """Note each volume's UUID under its name; False if a name is there twice or is none."""
    new = str.__new__
    lvs = names.lvs
    for row in rows:
        if row[0]:
            lvs[row[1]] = new(Uuid, row[2].replace("-", ""))
        else:
            tree = others[row[9]]
            if len(tree) != 1:
                return False
            ((name, value),) = tree.items()
            if not isinstance(value, dict):
                return False
            lvs[name] = take_uuid(dict(value), f"volume {name}")
    return len(lvs) == len(rows) and "." not in lvs and ".." not in lvs


def _volumes(
    rows: list[tuple[str, ...]],
    kinds: dict[str, tuple[str, str, int, str, str]],
    others: dict[str, Tree],
    names: ReadNames,
    targets: Decoder,
) -> tuple[LogicalVolume, ...]:
    new = str.__new__
    decode = targets.decode
    ids = names.lvs
    zero = Extents(0)
    lengths = {count: Extents(count or 0) for count in {row[6] for row in rows}}
    statuses = {status: _status(status) for status in {row[3] for row in rows if row[0]}}
    found = []
    for piece, name, _, status, time, host, count, kind, at, other in rows:
        if not piece:
            ((name, value),) = others[other].items()
            assert isinstance(value, dict)
            found.append(read_lv(LvName(name), value, names, targets))
            continue
        words, flags, tags = statuses[status]
        length = lengths[count]
        word, key, number, areas, on = kinds[kind]
        try:
            body, extra = decode(word, length, {key: number, areas: (on, int(at))}, names)
        except DamagedMetadata as error:
            where = f"volume {name}, segment1"
            raise DamagedMetadata(f"{where}: {error.message}", hint=error.hint, details=error.details) from error
        if extra or type(body) is UnknownBody:
            body, extra = _kept(body, extra, names)
        found.append(
            LogicalVolume(
                ids[name],
                new(LvName, name),
                words,
                flags,
                tags,
                int(time) if time else 0,
                host,
                segments=(Segment(zero, length, body, (), extra),),
            )
        )
    return tuple(found)


def _status(text: str) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Tag, ...]]:
    """Status, flags and tags, from their lines."""
    match = re.fullmatch(_STATUS, text, re.VERBOSE)
    assert match is not None
    status, flags, tags = match.groups("")
    return *show_write(_split(status), _split(flags)), tuple([str.__new__(Tag, tag) for tag in _split(tags)])


def _kind(text: str) -> tuple[str, str, int, str, str]:
    """Type word, key and value of the one number, key of the areas, and what the one area lies on."""
    match = re.fullmatch(_KIND, text, re.VERBOSE)
    assert match is not None
    word, key, number, areas, on = match.groups()
    return word, key, int(number), areas, on


def _kept(body: SegmentBody, extra: Fields, names: ReadNames) -> tuple[SegmentBody, Fields]:
    """The rewriting that :func:`vmgr.ondisk.decode.with_pv_ids` is for."""
    if isinstance(body, UnknownBody):
        body = UnknownBody(body.type_word, with_pv_ids(body.fields, names))
    return body, with_pv_ids(extra, names)


def _split(words: str) -> tuple[str, ...]:
    """The strings of an array without escapes, from the text between its brackets."""
    return tuple(words[1:-1].split('", "')) if words else ()
