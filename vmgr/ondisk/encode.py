"""A core group to metadata text, in LVM2's layout to the byte.

LVM2 writes the text in two forms: bare lines on disk, and with tabs and comments in backup files. This module
writes the bare form, and makes the other one from it, line by line, while it joins the pieces of the text.
The results for lines that volumes have in common are cached, and lines that differ but get no comment are
only indented. So a backup of ten thousand volumes takes little longer than their bare text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidGroup
from vmgr.core.ids import Uuid
from vmgr.core.model import ALL_COPIES, PvArea, Section
from vmgr.ondisk.codec import CONTENTS, FORMAT, VERSION, hide_write, write_locked
from vmgr.ondisk.text import quote, write_key, write_scalar, write_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmgr.core.model import (
        Area,
        Fields,
        FieldValue,
        LogicalVolume,
        PhysicalVolume,
        Scalar,
        Segment,
        VolumeGroup,
    )
    from vmgr.ondisk.codec import Encoder, TextHeader


def disk_text(group: VolumeGroup, targets: Encoder, header: TextHeader) -> str:
    """The text for a metadata area, without the final NUL."""
    return f"{_group(group, targets, _BARE)}{_header(header)}"


def backup_text(
    group: VolumeGroup,
    targets: Encoder,
    header: TextHeader,
    date: Callable[[int], str] | None,
    pieces: Pieces | None = None,
) -> str:
    """The text for a backup file. ``pieces`` are those of other backups with the same ``targets`` and ``date``."""
    form = _Backup(int(group.extent_size), date)
    return f"{_header(header)}{_group(group, targets, form, pieces)}"


def volume_text(lv: LogicalVolume, targets: Encoder, names: WriteNames) -> str:
    """The part of a metadata area's text that describes one volume."""
    return _lv(lv, targets, names, _BARE)


class Pieces:
    """The volumes' texts in one backup, for reuse in the next one: a change leaves most volumes as they were."""

    __slots__ = ("_extent_size", "_names", "_texts")

    def __init__(self) -> None:
        self._names: WriteNames | None = None
        self._extent_size = 0
        self._texts: dict[str, tuple[LogicalVolume, str]] = {}

    def volumes(self, group: VolumeGroup, targets: Encoder, names: WriteNames, form: _Bare) -> list[str]:
        """The texts of all volumes. Those of unchanged volumes are reused."""
        if self._names is None or not names.keeps(self._names) or self._extent_size != group.extent_size:
            self._texts = {}
        self._names, self._extent_size = names, group.extent_size
        known, self._texts = self._texts, {}
        texts = []
        for lv in group.lvs:
            found = known.get(lv.id)
            if found is None or found[0] is not lv:
                found = lv, _lv(lv, targets, names, form)
            self._texts[lv.id] = found
            texts.append(found[1])
        return texts


class WriteNames:
    """The ``Names`` of a text being written. A PV's section is not given a name that a volume has."""

    __slots__ = ("_locked", "_lvs", "_statuses", "keys", "pvs")

    def __init__(self, group: VolumeGroup) -> None:
        self.keys: dict[str, str] = {}
        """A cache of keys as they are written: there are few different ones."""
        self._locked = write_locked(group)
        self._statuses: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}
        self._lvs: dict[str, str] = {lv.id: lv.name for lv in group.lvs}
        taken = group.lv_by_name
        self.pvs: dict[str, str] = {}
        number = 0
        for pv in group.pvs:
            while (name := f"pv{number}") in taken:
                number += 1
            self.pvs[pv.id] = name
            number += 1

    def keeps(self, older: WriteNames) -> bool:
        """Whether everything in ``older`` has the same name here, so that the texts of volumes can be reused."""
        return (
            self._locked == older._locked
            and older.pvs.items() <= self.pvs.items()
            and older._lvs.items() <= self._lvs.items()
        )

    def area(self, name: str, start: int, length: int) -> Area:
        """Part of ``Names``; only for reading."""
        raise NotImplementedError

    def lv(self, name: str) -> Uuid:
        """Part of ``Names``; only for reading."""
        raise NotImplementedError

    def area_name(self, area: Area) -> str:
        """The name of an area's PV or volume. Raises :class:`InvalidGroup` if the group does not have it."""
        if isinstance(area, PvArea):
            return self.pv_name(area.pv)
        return self.lv_name(area.lv)

    def lv_name(self, lv: Uuid) -> str:
        """The name of a volume. Raises :class:`InvalidGroup` if the group does not have it."""
        name = self._lvs.get(lv)
        if name is None:
            raise InvalidGroup(f"a segment refers to volume {lv.dashed}, which the group does not have")
        return name

    def pv_name(self, pv: Uuid) -> str:
        """The name of a PV's section. Raises :class:`InvalidGroup` if the group does not have the PV."""
        name = self.pvs.get(pv)
        if name is None:
            raise InvalidGroup(f"a segment lies on physical volume {pv.dashed}, which the group does not have")
        return name

    def status(self, status: tuple[str, ...], flags: tuple[str, ...]) -> str:
        """The two lines of a group's or volume's status, cached because there are few different ones."""
        lines = self._statuses.get((status, flags))
        if lines is None:
            lines = _status(*hide_write(status, flags)) if self._locked else _status(status, flags)
            self._statuses[status, flags] = lines
        return lines


# -- the text -------------------------------------------------------------------------------------


class _Bare:
    """The form on disk. ``tabs`` are the beginnings of lines, by depth of sections."""

    tabs: tuple[str, ...] = ("",) * 6

    def lines(self, bare: str, depth: int) -> str:
        """Complete lines in this form; the first of them is inside ``depth`` sections."""
        return bare


_BARE = _Bare()


def _header(header: TextHeader) -> str:
    own_id = f"creation_host_system_id = {quote(header.system_id)}\n" if header.system_id else ""
    program, date, system = (word.replace("\n", " ") for word in (header.program, header.date, header.system))
    return (
        f"# Generated by {program}: {date}\n\n"
        f'contents = "{CONTENTS}"\n'
        f"version = {VERSION}\n\n"
        f"description = {quote(header.description)}\n\n"
        f"creation_host = {quote(header.host)}\t# {system}\n"
        f"{own_id}"
        f"creation_time = {header.time}\t# {date}\n\n"
    )


def _group(group: VolumeGroup, targets: Encoder, form: _Bare, pieces: Pieces | None = None) -> str:
    names = WriteNames(group)
    policy = group.alloc not in ("normal", "inherit")
    lock_args, extra = _split(group.extra, ("lock_args",), policy)
    sections = [(key, value) for key, value in extra if isinstance(value, Section)]
    head = [
        f'{group.name} {{\nid = "{group.id.dashed}"\nseqno = {group.seqno}\nformat = "{FORMAT}"\n',
        names.status(group.status, group.flags),
        _tags(group.tags),
        _optional("system_id", group.system_id),
        _optional("lock_type", group.lock_type),
        _fields(lock_args, names),
        f"extent_size = {group.extent_size}\nmax_lv = {group.max_lv}\nmax_pv = {group.max_pv}\n",
        f'\nallocation_policy = "{group.alloc}"\n' if policy else "",
        _optional("profile", group.profile),
        f"metadata_copies = {0 if group.metadata_copies == ALL_COPIES else group.metadata_copies}\n",
        _fields([(key, value) for key, value in extra if not isinstance(value, Section)], names),
        "\nphysical_volumes {\n",
        *[_pv(pv, names) for pv in group.pvs],
        "}\n\n",
    ]
    tail = ["\n", *[_section(key, value.fields, outer=True) for key, value in sections], "}\n"]
    if group.lvs:
        head.append("logical_volumes {\n")
        tail.insert(0, "}\n")
    if pieces is None:
        volumes = [_lv(lv, targets, names, form) for lv in group.lvs]
    else:
        volumes = pieces.volumes(group, targets, names, form)
    return "".join([form.lines("".join(head), 0), *volumes, form.lines("".join(tail), 2 if group.lvs else 1)])


def _pv(pv: PhysicalVolume, names: WriteNames) -> str:
    device_id, extra = _split(pv.extra, ("device_id_type", "device_id"))
    area = f"ba_start = {pv.ba_start}\nba_size = {pv.ba_size}\n" if pv.ba_start and pv.ba_size else ""
    return (
        f'\n{names.pvs[pv.id]} {{\nid = "{pv.id.dashed}"\ndevice = {quote(pv.device)}\n\n'
        f"{_fields(device_id, names)}{_status(pv.status, pv.flags)}{_tags(pv.tags)}"
        f"dev_size = {pv.dev_size}\npe_start = {pv.pe_start}\npe_count = {pv.pe_count}\n"
        f"{area}{_fields(extra, names)}}}\n"
    )


def _lv(lv: LogicalVolume, targets: Encoder, names: WriteNames, form: _Bare) -> str:
    inner = form.tabs[3]
    optional = created = ""
    if lv.created:
        created = form.lines(f"creation_time = {lv.created}\n", 3)
        optional = f"creation_host = {quote(lv.host)}\n"
    extra: Iterable[tuple[str, FieldValue]] = ()
    if lv.extra:
        lock_args, extra = _split(lv.extra, ("lock_args",), lv.alloc != "inherit")
        optional += _fields(lock_args, names)
    if lv.alloc != "inherit":
        optional += f'allocation_policy = "{lv.alloc}"\n'
    if lv.profile:
        optional += f"profile = {quote(lv.profile)}\n"
    if lv.read_ahead is not None:
        optional += f"read_ahead = {lv.read_ahead or -1}\n"
    if lv.major is not None:
        optional += f"major = {lv.major}\n"
    if lv.minor is not None:
        optional += f"minor = {lv.minor}\n"
    if extra:
        optional += _fields(extra, names)
    segments = [_segment(n, segment, targets, names, form) for n, segment in enumerate(lv.segments, 1)]
    status = form.lines(f"{names.status(lv.status, lv.flags)}{_tags(lv.tags)}", 3)
    optional = form.lines(f"{optional}segment_count = {len(segments)}\n\n", 3)
    return (
        f'\n{form.tabs[2]}{lv.name} {{\n{inner}id = "{lv.id.dashed}"\n{status}{created}{optional}'
        f"{''.join(segments)}{form.tabs[2]}}}\n"
    )


def _segment(number: int, segment: Segment, targets: Encoder, names: WriteNames, form: _Bare) -> str:
    word, fields = targets.encode(segment.body, names)
    if segment.extra:
        fields += segment.extra
    early = ""
    if [key for key, _ in fields if key == "reshape_count"]:
        first, fields = _split(fields, ("reshape_count",))
        early = _fields(first, names)
    head = (
        f"segment{number} {{\nstart_extent = {segment.start}\nextent_count = {segment.length}\n\n"
        f"{early}type = {quote(word)}\n{_tags(segment.tags)}"
    )
    return f"{form.lines(head, 3)}{_fields(fields, names, form, 4)}{form.tabs[3]}}}\n"


def _split(fields: Fields, first: tuple[str, ...], has_policy: bool = False) -> tuple[Fields, Fields]:
    """Fields whose keys are in ``first``, in that order, and the others.

    With ``has_policy``, an unknown policy that was kept is dropped in favour of the one that is written.
    """
    if not fields:
        return (), ()
    known = dict(fields)
    if has_policy:
        known.pop("allocation_policy", None)
    return (
        tuple([(key, known[key]) for key in first if key in known]),
        tuple([(key, value) for key, value in known.items() if key not in first]),
    )


def _optional(key: str, value: str) -> str:
    return f"{key} = {quote(value)}\n" if value else ""


def _status(status: tuple[str, ...], flags: tuple[str, ...]) -> str:
    return f"status = {write_value(status)}\nflags = {write_value(flags)}\n"


def _tags(tags: tuple[str, ...]) -> str:
    return f"tags = {write_value(tags)}\n" if tags else ""


def _fields(
    fields: Iterable[tuple[str, FieldValue]], names: WriteNames, form: _Bare = _BARE, depth: int = 0
) -> str:
    """The other fields of a section, without a place of their own; arrays are written like LVM2's areas."""
    lines = ""
    for key, value in fields:
        name = names.keys.get(key)
        if name is None:
            name = names.keys[key] = write_key(key)
        if type(value) is tuple:
            if value:
                lines += _areas(name, value, names, form.tabs[depth], form.tabs[depth + 1])
            else:
                lines += f"{form.tabs[depth]}{name} = []\n"
        elif isinstance(value, Section):
            lines += form.lines(_section(key, value.fields), depth)
        else:
            lines += form.lines(f"{name} = {write_value(value)}\n", depth)
    return lines


def _areas(key: str, values: tuple[Scalar, ...], names: WriteNames, outer: str, inner: str) -> str:
    words = []
    for value in values:
        if type(value) is int:
            words.append(int.__repr__(value))
        elif type(value) is str:
            words.append(quote(value))
        elif isinstance(value, Uuid):
            words.append(quote(names.pv_name(value)))
        else:
            words.append(write_scalar(value))
    # LVM2's layout has a name and its start on one line, and so the two volumes of a RAID's leg.
    if len(words) % 2 == 0 and (isinstance(values[1], int) or "_rmeta_" in words[0]):
        words = [f"{name}, {other}" for name, other in zip(words[::2], words[1::2], strict=True)]
    return f"\n{outer}{key} = [\n{inner}{f',{chr(10)}{inner}'.join(words)}\n{outer}]\n"


def _section(key: str, fields: Fields, *, outer: bool = False, depth: int = 0) -> str:
    """A section whose meaning is not known.

    In LVM2's layout, such sections next to ``logical_volumes`` (``outer``) have empty lines between their sections;
    those inside segments have no spaces around the ``=``, and tabs even on disk.
    """
    blank, equals, tab = ("\n", " = ", "") if outer else ("", "=", "\t")
    parts = [f"{tab * depth}{write_key(key)} {{\n"]
    for name, value in fields:
        if isinstance(value, Section):
            parts.append(blank + _section(name, value.fields, outer=outer, depth=depth + 1))
        else:
            parts.append(f"{tab * (depth + 1)}{write_key(name)}{equals}{write_value(value)}\n")
    parts.append(f"{tab * depth}}}\n")
    return "".join(parts)


# -- the form of backup files ---------------------------------------------------------------------

_LINE = re.compile(r'(?:[^"\n]|"(?:[^"\\]|\\.)*+")*+\n', re.DOTALL).findall
_NUMBER = re.compile(r"([a-z_]+) = (-?[0-9]+)").fullmatch
_COMMENT_TAB = 6
_DEEPEST = 5
_UNITS = ("Kilobytes", "Megabytes", "Gigabytes", "Terabytes", "Petabytes", "Exabytes")
_SECTOR_FIELDS = frozenset(("extent_size", "dev_size", "ba_size", "stripe_size"))
_EXTENT_FIELDS = frozenset(("pe_count", "extent_count", "reshape_count", "virtual_extents", "extents_moved"))
_TIME_FIELDS = frozenset(("creation_time", "removal_time"))


class _Backup(_Bare):
    """The form of backup files: tabs, and comments with dates, and sizes in larger units."""

    tabs = ("", "\t", "\t\t", "\t\t\t", "\t\t\t\t", "\t\t\t\t\t")

    def __init__(self, extent_size: int, date: Callable[[int], str] | None) -> None:
        self._extent_size = extent_size
        self._date = date
        self._known: dict[tuple[str, int], str] = {}

    def lines(self, bare: str, depth: int) -> str:
        """As :meth:`_Bare.lines`, cached, because volumes have most lines in common."""
        found = self._known.get((bare, depth))
        if found is None:
            found = self._known[bare, depth] = with_comments(bare, self._extent_size, self._date, depth)
        return found


def with_comments(bare: str, extent_size: int, date: Callable[[int], str] | None, depth: int = 0) -> str:
    """Bare lines in the form of backup files; the first of them is inside ``depth`` sections."""
    parts = []
    for line in _LINE(bare):
        line = line[:-1]
        bare_line = line.lstrip("\t")
        if bare_line in ("}", "]"):
            depth -= 1
        indent = min(depth - (len(line) - len(bare_line)), _DEEPEST)
        shown = f"{chr(9) * indent}{line}" if line else ""
        comment = _comment(line, extent_size, date)
        if comment:
            column = (len(line.encode("utf-8", "surrogateescape")) + 8 * indent) // 8 + 1
            shown += chr(9) * max(1, _COMMENT_TAB - column) + comment
        parts.append(shown)
        if line.endswith((" {", " = [")):
            depth += 1
    return "\n".join([*parts, ""])


def _comment(line: str, extent_size: int, date: Callable[[int], str] | None) -> str:
    """The comment that LVM2 adds to a line: a size in larger units, a date, a warning."""
    if line == f'format = "{FORMAT}"':
        return "# informational"
    if line.startswith('device = "'):
        return "# Hint only"
    m = _NUMBER(line)
    if m is None:
        return ""
    key, number = m[1], int(m[2])
    if key in _SECTOR_FIELDS:
        return _size(number)
    if key in _EXTENT_FIELDS:
        return _size(number * extent_size)
    if key in _TIME_FIELDS:
        return f"# {date(number)}" if date is not None else ""
    if line == "read_ahead = -1":
        return "# None"
    return "# linear" if line == "stripe_count = 1" else ""


def _size(sectors: int) -> str:
    size = sectors / 2.0
    unit = 0
    while size > 1024.0 and unit < len(_UNITS) - 1:
        size /= 1024.0
        unit += 1
    return f"# {size:g} {_UNITS[unit]}"
