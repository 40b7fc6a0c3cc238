"""Which of the metadata copies found on the PVs counts.

Each metadata area of each PV of a group holds a copy of the group's text. After a crash, or while a PV was
away, copies differ; a copy can be damaged. The one with the highest ``seqno`` that is whole counts, the
others are reported, so that they can be written anew.

A whole text that cannot be understood still counts: an older one would show a state that is gone, and to
write on from it would destroy the newer. Decoding the chosen text then fails, and says why.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import DamagedMetadata, InvalidName
from vmgr.core.ids import Uuid, VgName
from vmgr.core.pv import MdaArea

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.ondisk.text import Tree

_HEAD = re.compile(
    rb'([A-Za-z0-9._+][A-Za-z0-9._+-]{0,126}) \{\nid = "([A-Za-z0-9!#-]{38})"\nseqno = ([1-9][0-9]{0,9}|0)\n'
).match


@frozen
class MetadataCopy:
    """What was found in one metadata area of one PV: a text that has its checksum, or the damage.

    ``text`` is without the final NUL and empty if the area holds none. Leave areas that are ignored out.
    """

    pv: Uuid
    area: MdaArea
    text: bytes = b""
    damage: DamagedMetadata | None = None


@frozen
class Finding:
    """Something that is not right with a copy: ``damaged``, ``older``, ``different`` or ``unreadable``.

    ``different``: another text of the same ``seqno``. ``unreadable``: a whole text that cannot be understood.
    """

    kind: str
    pv: Uuid
    area: MdaArea
    message: str


@frozen
class Choice:
    """The text of a group that counts, the copies of it, and what is not right with other copies."""

    id: Uuid
    name: VgName
    seqno: int
    text: bytes
    copies: tuple[MetadataCopy, ...]
    findings: tuple[Finding, ...] = ()


def peek_group(text: bytes) -> tuple[VgName, Uuid, int]:
    """The group's name, UUID and ``seqno``, without reading the rest of a text in LVM2's layout.

    Raises :class:`DamagedMetadata`.
    """
    m = _HEAD(text)
    if m is not None:
        name, uuid, seqno = m[1].decode(), m[2].decode(), int(m[3])
    else:
        name, uuid, seqno = _peek_slowly(text)
    try:
        return VgName(name), Uuid(uuid), seqno
    except InvalidName as error:
        raise DamagedMetadata(error.message) from error


def _peek_slowly(text: bytes) -> tuple[str, str, int]:
    from vmgr.ondisk.decode import group_section, take_int
    from vmgr.ondisk.text import parse

    tree: Tree = parse(text.decode("utf-8", "surrogateescape"), unique=True)
    section = group_section(tree)
    name = next(key for key, value in tree.items() if value is section)
    return name, str(section.get("id", "")), take_int(dict(section), "seqno", f"group {name}", 1 << 32)


def choose(copies: Iterable[MetadataCopy]) -> tuple[tuple[Choice, ...], tuple[Finding, ...]]:
    """Sort what was found in all areas of all PVs into groups, in the order of their first copy.

    Also gives the findings that belong to no group: damaged copies, and texts that say nothing of a group.
    Of texts with the highest ``seqno`` the one with most copies counts.
    """
    groups: dict[Uuid, dict[bytes, tuple[int, VgName, list[MetadataCopy]]]] = {}
    known: dict[bytes, tuple[VgName, Uuid, int] | DamagedMetadata] = {}
    stray: list[Finding] = []
    for copy in copies:
        if copy.damage is not None:
            stray.append(Finding("damaged", copy.pv, copy.area, copy.damage.message))
            continue
        if not copy.text:
            continue
        peeked = known.get(copy.text)
        if peeked is None:
            try:
                peeked = peek_group(copy.text)
            except DamagedMetadata as error:
                peeked = error
            known[copy.text] = peeked
        if isinstance(peeked, DamagedMetadata):
            stray.append(Finding("unreadable", copy.pv, copy.area, peeked.message))
            continue
        name, uuid, seqno = peeked
        groups.setdefault(uuid, {}).setdefault(copy.text, (seqno, name, []))[2].append(copy)
    return tuple(_choice(uuid, texts) for uuid, texts in groups.items()), tuple(stray)


def _choice(uuid: Uuid, texts: dict[bytes, tuple[int, VgName, list[MetadataCopy]]]) -> Choice:
    ranked = sorted(texts.items(), key=lambda item: (-item[1][0], -len(item[1][2])))
    text, (seqno, name, chosen) = ranked[0]
    findings = []
    for _, (number, _, copies) in ranked[1:]:
        for copy in copies:
            if number == seqno:
                kind, what = "different", f"another text of number {number}"
            else:
                kind, what = "older", f"text number {number}, but {seqno} is the newest"
            findings.append(Finding(kind, copy.pv, copy.area, f"group {name}: {what}"))
    return Choice(uuid, name, seqno, text, tuple(chosen), tuple(findings))
