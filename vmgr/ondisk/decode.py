"""Any metadata text to a core group, through nested dictionaries.

This module maps keys to fields of the model. Unknown fields and sections go to ``extra`` of the value that
they belong to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import DamagedMetadata, InvalidName
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import (
    POLICIES,
    LogicalVolume,
    LvArea,
    PhysicalVolume,
    PvArea,
    Section,
    Segment,
    UnknownBody,
    VolumeGroup,
)
from vmgr.core.units import Extents, Sectors
from vmgr.ondisk.codec import CONTENTS, FORMAT, VERSION, DecodedGroup, show_write
from vmgr.ondisk.text import parse

if TYPE_CHECKING:
    from vmgr.core.model import Area, Fields, FieldValue
    from vmgr.ondisk.codec import Decoder
    from vmgr.ondisk.text import Tree, Value

U32 = 1 << 32
_U64 = 1 << 64


def decode_any(text: str, targets: Decoder, faults: list[str] | None = None) -> DecodedGroup:
    """Read a metadata text, whatever its layout. Raises :class:`DamagedMetadata`.

    With ``faults``, faults of single volumes are added there instead. A segment that cannot be read is then
    kept as one of an unknown type, and a volume that cannot be read is left out.
    """
    tree = parse(text, unique=True)
    section = group_section(tree)
    lvs = section.pop("logical_volumes", {})
    if not isinstance(lvs, dict):
        raise DamagedMetadata("logical_volumes is not a section")
    group, names = read_group(tree, section)
    names.faults = faults
    return finish(tree, group, read_lvs(lvs, names, targets))


class ReadNames:
    """The ``Names`` of a text being read: PVs by their section's name, volumes by name.

    ``faults`` collects the faults of volumes; None: a fault is an error.
    """

    __slots__ = ("faults", "lvs", "pvs")

    def __init__(self, pvs: dict[str, Uuid], lvs: dict[str, Uuid]) -> None:
        self.pvs = pvs
        self.lvs = lvs
        self.faults: list[str] | None = None

    def note(self, error: DamagedMetadata) -> None:
        """Collect a fault of a volume, or raise it."""
        if self.faults is None:
            raise error
        self.faults.append(error.message)

    def area(self, name: str, start: int, length: int) -> Area:
        """The area for a ``"name", start`` pair. A PV's section name takes precedence over a volume's name."""
        if not 0 <= start < U32:
            raise DamagedMetadata(f"the area {name!r}, {start} starts outside of any volume")
        if type(length) is not Extents:
            length = Extents(length)
        pv = self.pvs.get(name)
        if pv is not None:
            return PvArea(pv, Extents(start), length)
        return LvArea(self.lv(name), Extents(start), length)

    def lv(self, name: str) -> Uuid:
        """The UUID of the volume called ``name``. Raises :class:`DamagedMetadata`."""
        lv = self.lvs.get(name)
        if lv is None:
            raise DamagedMetadata(f"the text refers to {name!r} but does not describe it")
        return lv

    def area_name(self, area: Area) -> str:
        """Part of ``Names``; only for writing."""
        raise NotImplementedError

    def lv_name(self, lv: Uuid) -> str:
        """Part of ``Names``; only for writing."""
        raise NotImplementedError


# -- the group ------------------------------------------------------------------------------------


def group_section(tree: Tree) -> Tree:
    """The group's section, after checking that the text is a metadata text."""
    if tree.get("contents") != CONTENTS:
        raise DamagedMetadata("this is not the text of a volume group", hint=f'it must say contents = "{CONTENTS}"')
    if tree.get("version") != VERSION:
        raise DamagedMetadata(
            f"the text has version {tree.get('version')!r} of the format, not {VERSION}",
            hint="a newer program wrote it; use that program",
        )
    sections = [value for value in tree.values() if isinstance(value, dict)]
    if len(sections) != 1:
        raise DamagedMetadata(f"the text describes {len(sections)} groups instead of one")
    return sections[0]


def read_group(tree: Tree, section: Tree) -> tuple[VolumeGroup, ReadNames]:
    """The group without its volumes, and its names for PVs. ``section`` is without ``logical_volumes``."""
    key = next(key for key, value in tree.items() if value is section)
    where = f"group {key}"
    try:
        name = VgName(key)
    except InvalidName as error:
        raise DamagedMetadata(error.message) from error
    rest = dict(section)
    pvs = rest.pop("physical_volumes", None)
    if not isinstance(pvs, dict):
        raise DamagedMetadata(f"{where} has no section physical_volumes")
    volumes = {}
    for key, value in pvs.items():
        if not isinstance(value, dict):
            raise DamagedMetadata(f"{where}: {key!r} is in the place of a physical volume")
        volumes[key] = _read_pv(value, f"{where}, physical volume {key}")
    kind = rest.pop("format", FORMAT)
    if kind != FORMAT:
        raise DamagedMetadata(f"{where} is of format {kind!r}, not {FORMAT!r}")
    uuid = take_uuid(rest, where)
    status, flags = take_status(rest, where)
    policy = _take_policy(rest, "normal")
    group = VolumeGroup(
        id=uuid,
        name=name,
        seqno=take_int(rest, "seqno", where, U32),
        extent_size=Sectors(take_int(rest, "extent_size", where, U32)),
        status=status,
        flags=flags,
        tags=take_tags(rest, where),
        alloc="normal" if policy == "inherit" else policy,
        max_lv=take_int(rest, "max_lv", where, U32, 0),
        max_pv=take_int(rest, "max_pv", where, U32, 0),
        metadata_copies=take_int(rest, "metadata_copies", where, U32, 0),
        system_id=take_str(rest, "system_id", where),
        lock_type=take_str(rest, "lock_type", where),
        profile=take_str(rest, "profile", where),
        pvs=tuple(volumes.values()),
        extra=fields_of(rest) if rest else (),
    )
    if not group.extent_size:
        raise DamagedMetadata(f"{where} has extents of size 0")
    return group, ReadNames({key: pv.id for key, pv in volumes.items()}, {})


def finish(tree: Tree, group: VolumeGroup, volumes: tuple[LogicalVolume, ...]) -> DecodedGroup:
    """The group with its volumes, and the data at the top of the text."""
    description, host, time = (tree.get(k) for k in ("description", "creation_host", "creation_time"))
    return DecodedGroup(
        evolve(group, lvs=volumes),
        description if isinstance(description, str) else "",
        host if isinstance(host, str) else "",
        time if isinstance(time, int) else 0,
    )


def _read_pv(tree: Tree, where: str) -> PhysicalVolume:
    rest = dict(tree)
    uuid = take_uuid(rest, where)
    status, flags = take_status(rest, where)
    return PhysicalVolume(
        id=uuid,
        device=take_str(rest, "device", where),
        status=status,
        dev_size=Sectors(take_int(rest, "dev_size", where, _U64, 0)),
        pe_start=Sectors(take_int(rest, "pe_start", where, _U64)),
        pe_count=Extents(take_int(rest, "pe_count", where, U32)),
        flags=flags,
        tags=take_tags(rest, where),
        ba_start=Sectors(take_int(rest, "ba_start", where, _U64, 0)),
        ba_size=Sectors(take_int(rest, "ba_size", where, _U64, 0)),
        extra=fields_of(rest) if rest else (),
    )


# -- volumes --------------------------------------------------------------------------------------


def read_lvs(lvs: Tree, names: ReadNames, targets: Decoder) -> tuple[LogicalVolume, ...]:
    """All volumes of the section ``logical_volumes``. Their names are added to ``names``."""
    trees = []
    for key, value in lvs.items():
        try:
            if not isinstance(value, dict):
                raise DamagedMetadata(f"{key!r} is in the place of a volume")
            try:
                name = LvName(key)
            except InvalidName as error:
                raise DamagedMetadata(error.message) from error
            names.lvs[key] = take_uuid(dict(value), f"volume {key}")
            trees.append((name, value))
        except DamagedMetadata as error:
            names.note(error)
    while True:
        volumes, left = [], []
        begin = len(names.faults or ())
        for name, value in trees:
            try:
                volumes.append(read_lv(name, value, names, targets))
            except DamagedMetadata as error:
                names.note(error)
                left.append((name, error.message))
        if not left:
            return tuple(volumes)
        # Plugins rely on the existence of the volumes that a segment refers to. So segments that refer to a volume
        # that was left out are read again, as segments of an unknown type.
        assert names.faults is not None
        names.faults[begin:] = [message for _, message in left]
        for name, _ in left:
            del names.lvs[name]
        trees = [(name, value) for name, value in trees if name in names.lvs]


def read_lv(name: LvName, tree: Tree, names: ReadNames, targets: Decoder) -> LogicalVolume:
    """One volume with its sorted segments. A gap between them is an error, unless ``names`` collects faults."""
    where = f"volume {name}"
    rest = dict(tree)
    uuid = take_uuid(rest, where)
    status, flags = take_status(rest, where)
    created = take_int(rest, "creation_time", where, _U64, 0)
    host = take_str(rest, "creation_host", where)
    # "None" is -1 in the text and "auto" is left out or, in old texts, 0.
    read_ahead = take_int(rest, "read_ahead", where, U32, 0, least=-1)
    major = take_int(rest, "major", where, U32, -1, least=-1)
    minor = take_int(rest, "minor", where, U32, -1, least=-1)
    count = take_int(rest, "segment_count", where, U32)
    tags = take_tags(rest, where)
    alloc = _take_policy(rest, "inherit")
    profile = take_str(rest, "profile", where)
    segments = []
    for key in [key for key, value in rest.items() if isinstance(value, dict)]:
        section = rest.pop(key)
        assert isinstance(section, dict)
        segments.append(_read_segment(section, names, targets, f"{where}, {key}"))
    if len(segments) != count:
        names.note(DamagedMetadata(f"{where} has {len(segments)} segments, but segment_count = {count}"))
    segments.sort(key=lambda segment: segment.start)
    if names.faults is None:  # otherwise the rules of the volume model report it
        expected = Extents(0)
        for segment in segments:
            if segment.start != expected:
                raise DamagedMetadata(f"{where}: a segment starts at extent {segment.start} instead of {expected}")
            expected = segment.end
    return LogicalVolume(
        id=uuid,
        name=name,
        status=status,
        flags=flags,
        tags=tags,
        created=created,
        host=host if created else "",
        alloc=alloc,
        profile=profile,
        read_ahead=None if read_ahead == 0 else max(read_ahead, 0),
        major=None if major < 0 else major,
        minor=None if minor < 0 else minor,
        segments=tuple(segments),
        extra=fields_of(rest) if rest else (),
    )


def _read_segment(tree: Tree, names: ReadNames, targets: Decoder, where: str) -> Segment:
    rest = dict(tree)
    start = Extents(take_int(rest, "start_extent", where, U32))
    length = Extents(take_int(rest, "extent_count", where, U32))
    word = take_str(rest, "type", where)
    if not word:
        raise DamagedMetadata(f"{where} has no type")
    tags = take_tags(rest, where)
    try:
        body, extra = targets.decode(word, length, dict(fields_of(rest)), names)
    except DamagedMetadata as error:
        names.note(DamagedMetadata(f"{where}: {error.message}", hint=error.hint, details=error.details))
        body, extra = UnknownBody(word, fields_of(rest)), ()
    if isinstance(body, UnknownBody):
        body = UnknownBody(body.type_word, with_pv_ids(body.fields, names))
    return Segment(start, length, body, tags, with_pv_ids(extra, names) if extra else ())


def with_pv_ids(fields: Fields, names: ReadNames) -> Fields:
    """Fields that no plugin knows, with the names of PVs' sections replaced by UUIDs.

    Each text numbers its sections anew, so a name could mean another PV in the next text. Only arrays of
    ``"name", number`` pairs are changed, because areas are written in that form.
    """
    return tuple([(key, _pair_ids(value, names.pvs)) for key, value in fields])


def _pair_ids(value: FieldValue, pvs: dict[str, Uuid]) -> FieldValue:
    if not is_areas(value):
        return value
    assert isinstance(value, tuple)
    return tuple([pvs.get(v, v) if isinstance(v, str) else v for v in value])


def is_areas(value: FieldValue) -> bool:
    """Whether a value is an array of ``"name", number`` pairs."""
    return (
        type(value) is tuple
        and bool(value)
        and len(value) % 2 == 0
        and all(isinstance(name, str) for name in value[::2])
        and all(isinstance(number, int) for number in value[1::2])
    )


# -- single fields --------------------------------------------------------------------------------


def fields_of(tree: Tree) -> Fields:
    """A dictionary as the model's ``Fields``."""
    return tuple([(k, Section(fields_of(v)) if isinstance(v, dict) else v) for k, v in tree.items()])


def take_uuid(rest: Tree, where: str) -> Uuid:
    """Take ``id`` out of a section."""
    value = rest.pop("id", None)
    if not isinstance(value, str):
        raise DamagedMetadata(f"{where} has no id")
    try:
        return Uuid(value)
    except InvalidName as error:
        raise DamagedMetadata(f"{where}: {error.message}") from error


def take_int(rest: Tree, key: str, where: str, below: int, default: int | None = None, least: int = 0) -> int:
    """Take a number, at least ``least`` and less than ``below``, out of a section."""
    value = rest.pop(key, default)
    if value is None:
        raise DamagedMetadata(f"{where} has no {key}")
    if not isinstance(value, int) or not least <= value < below:
        raise DamagedMetadata(f"{where}: {key} = {_shown(value)} is not valid")
    return value


def take_str(rest: Tree, key: str, where: str) -> str:
    """Take a string, by default ``""``, out of a section."""
    value = rest.pop(key, "")
    if not isinstance(value, str):
        raise DamagedMetadata(f"{where}: {key} = {_shown(value)} is not a string")
    return value


def take_tags(rest: Tree, where: str) -> tuple[Tag, ...]:
    """Take ``tags`` out of a section. Their characters are not checked, so that other programs' tags are kept."""
    return tuple([str.__new__(Tag, word) for word in _take_words(rest, "tags", where)])


def take_status(rest: Tree, where: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take ``status`` and ``flags`` out of a section."""
    if "status" not in rest:
        raise DamagedMetadata(f"{where} has no status")
    return show_write(_take_words(rest, "status", where), _take_words(rest, "flags", where))


def _take_words(rest: Tree, key: str, where: str) -> tuple[str, ...]:
    value = rest.pop(key, ())
    words = (value,) if isinstance(value, str) else value
    if not isinstance(words, tuple):
        raise DamagedMetadata(f"{where}: {key} = {_shown(value)} is not a list of strings")
    found = tuple([word for word in words if isinstance(word, str)])
    if len(found) != len(words):
        raise DamagedMetadata(f"{where}: {key} = {_shown(value)} is not a list of strings")
    return found


def _take_policy(rest: Tree, default: str) -> str:
    """Take ``allocation_policy``. An unknown one counts as the default, as in LVM2, and is kept."""
    value = rest.get("allocation_policy")
    if value not in POLICIES:
        return default
    del rest["allocation_policy"]
    assert isinstance(value, str)
    return value


def _shown(value: Value | Tree) -> str:
    return "{...}" if isinstance(value, dict) else repr(value)
