"""Groups of every kind for property tests of the on-disk format, and a target plugin that is nobody's."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen
from hypothesis import strategies as st

from vmgr.core.errors import DamagedMetadata
from vmgr.core.hooks import Names, TargetInfo, hookimpl
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import (
    ALL_COPIES,
    Area,
    Fields,
    FieldValue,
    LogicalVolume,
    LvArea,
    PhysicalVolume,
    PvArea,
    Reference,
    Section,
    Segment,
    SegmentBody,
    UnknownBody,
    VolumeGroup,
)
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.targets import Targets
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.ondisk.codec import TextHeader

# -- a plugin for tests ---------------------------------------------------------------------------


@frozen
class Rows(SegmentBody):
    """Areas side by side, and perhaps a volume that is only named."""

    areas: tuple[Area, ...]
    friend: Uuid | None = None
    stripe_size: int = 0

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.friend, "friend"),) if self.friend else ()


class RowsPlugin:
    """Claims ``type = "striped"``; a friend's name stands in a field of its own."""

    def __init__(self, *, uniform: bool) -> None:
        self.uniform = uniform

    @hookimpl
    def target_info(self) -> TargetInfo:
        fields = frozenset(("stripe_count", "stripe_size", "stripes", "friend"))
        return TargetInfo("rows", "", ("striped",), fields, (Rows,), (), uniform=self.uniform)

    @hookimpl
    def decode_segment(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
    ) -> SegmentBody | None:
        count, stripes, friend = fields.get("stripe_count"), fields.get("stripes"), fields.get("friend")
        if not isinstance(stripes, tuple) or not stripes or count != len(stripes) // 2 or len(stripes) % 2:
            raise DamagedMetadata("stripes and stripe_count do not agree")
        if not all(isinstance(name, str) for name in stripes[::2]) or not all(
            type(at) is int for at in stripes[1::2]
        ):
            raise DamagedMetadata("stripes are pairs of a name and a number")
        pairs = zip(stripes[::2], stripes[1::2], strict=True)
        areas = tuple(names.area(name, start, length // count) for name, start in pairs)
        size = fields.get("stripe_size", 0)
        assert isinstance(size, int)
        return Rows(areas, names.lv(friend) if isinstance(friend, str) else None, size)

    @hookimpl
    def encode_segment(self, body: Rows, names: Names) -> tuple[str, Fields]:
        stripes = tuple(x for area in body.areas for x in (names.area_name(area), area.start))
        friend: Fields = (("friend", names.lv_name(body.friend)),) if body.friend else ()
        size: Fields = (("stripe_size", body.stripe_size),) if body.stripe_size else ()
        return "striped", (("stripe_count", len(body.areas)), *size, *friend, ("stripes", stripes))

    @hookimpl
    def segment_lines(self) -> tuple[()]:
        return ()


TARGETS = Targets([("rows", RowsPlugin(uniform=True))])
WITHOUT_PROMISE = Targets([("rows", RowsPlugin(uniform=False))])
"""The same, but that no volume may be left unread."""

NO_TARGETS = Targets([])
HEADER = TextHeader(
    description="Write from lvcreate -l1 vg.",
    host="host.example",
    time=1700000000,
    date="Tue Nov 14 22:13:20 2023",
    system="Linux host.example 6.1.0 #1 SMP x86_64",
    program="vmgr version 0",
)

# -- values ---------------------------------------------------------------------------------------

U32 = st.integers(0, 2**32 - 1)
_ALNUM = "ABCXYZabcxyz0189"
uuids = st.text(_ALNUM + "!#", min_size=32, max_size=32).map(Uuid)
_names = st.from_regex(r"[A-Za-z0-9._+][A-Za-z0-9._+-]{0,10}", fullmatch=True).filter(
    lambda s: s not in (".", "..")
)
tags = st.lists(
    st.from_regex(r"[A-Za-z0-9._+/=!:#&][A-Za-z0-9._+/=!:#&-]{0,8}", fullmatch=True).map(Tag), max_size=2
).map(tuple)
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
raw_strings = st.one_of(
    _text, st.sampled_from(['"', "\\", '\\"', "#", "{ # }", "a\nb", "}\n}\n", "\udcff", "'", "="])
)
_scalars = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False, width=32), raw_strings
)
_keys = st.one_of(
    st.from_regex(r"x_[a-z]{1,6}", fullmatch=True), raw_strings.map(lambda s: "x" + s.replace("/", ""))
)
_arrays = st.lists(_scalars, max_size=4).map(tuple)


def _no_twins(fields: list[tuple[str, FieldValue]]) -> Fields:
    return tuple(dict(fields).items())


_plain = st.lists(st.tuples(_keys, st.one_of(_scalars, _arrays)), max_size=3).map(_no_twins)
_sections = st.recursive(
    _plain.map(Section),
    lambda inner: st.lists(st.tuples(_keys, st.one_of(_scalars, inner)), max_size=2).map(_no_twins).map(Section),
    max_leaves=3,
)


@st.composite
def _extras(draw: st.DrawFn, first: tuple[str, ...] = (), sections: bool = True) -> Fields:
    """Fields that the model does not know, in the order that they are written in."""
    known = [(key, draw(raw_strings)) for key in first if draw(st.booleans())]
    plain = draw(_plain)
    if not sections or draw(st.booleans()):
        return (*known, *plain)
    return (*known, *plain, (draw(st.from_regex(r"y_[a-z]{1,6}", fullmatch=True)), draw(_sections)))


_VG_STATUS = ("EXPORTED", "RESIZEABLE", "READ", "WRITE", "CLUSTERED")
_LV_STATUS = ("READ", "WRITE", "FIXED_MINOR", "VISIBLE", "LOCKED", "NOTSYNCED")


def _subset(draw: st.DrawFn, words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(word for word in words if draw(st.booleans()))


@st.composite
def pvs(draw: st.DrawFn, uuid: Uuid) -> PhysicalVolume:
    area = draw(st.one_of(st.just((0, 0)), st.tuples(st.integers(1, 2**40), st.integers(1, 2**40))))
    return PhysicalVolume(
        id=uuid,
        device=draw(raw_strings),
        status=_subset(draw, ("ALLOCATABLE", "EXPORTED")),
        dev_size=Sectors(draw(st.integers(0, 2**50))),
        pe_start=Sectors(draw(st.integers(0, 2**50))),
        pe_count=Extents(draw(U32)),
        flags=_subset(draw, ("MISSING",)),
        tags=draw(tags),
        ba_start=Sectors(area[0]),
        ba_size=Sectors(area[1]),
        extra=draw(_extras(("device_id_type", "device_id"))),
    )


@st.composite
def _bodies(draw: st.DrawFn, pv_ids: list[Uuid], lv_ids: list[Uuid], length: Extents) -> SegmentBody:
    start = draw(U32)
    if draw(st.integers(0, 3)):
        count = draw(st.sampled_from((1, 1, 1, 2, 3)))
        choices: list[Area] = [PvArea(pv, Extents(start), length // count) for pv in pv_ids]
        choices += [LvArea(lv, Extents(start), length // count) for lv in lv_ids]
        areas = tuple(draw(st.sampled_from(choices)) for _ in range(count))
        return Rows(areas, draw(st.sampled_from([None, None, None, *lv_ids])), draw(st.sampled_from((0, 0, 128))))
    fields = [("reshape_count", 5)] if draw(st.booleans()) else []
    fields += draw(_extras())
    if draw(st.booleans()):
        fields.append(("mirrors", (draw(st.sampled_from(pv_ids)), start, "anything", 7)))
    return UnknownBody(draw(st.sampled_from(("raid1", "thin-pool+METADATA_FORMAT", 'ho"me', "x#y"))), tuple(fields))


@st.composite
def _volumes(draw: st.DrawFn, name: str, uuid: Uuid, pv_ids: list[Uuid], lv_ids: list[Uuid]) -> LogicalVolume:
    segments = []
    start = Extents(0)
    for _ in range(draw(st.sampled_from((1, 1, 1, 0, 2, 3)))):
        length = Extents(6 * draw(st.integers(1, 2**24)))
        body = draw(_bodies(pv_ids, lv_ids, length))
        segments.append(
            Segment(start, length, body, draw(tags), draw(_extras()) if isinstance(body, Rows) else ())
            if draw(st.integers(0, 3)) == 0
            else Segment(start, length, body)
        )
        start += length
    common = draw(st.integers(0, 2))
    created = draw(st.integers(0, 2**33))
    volume = LogicalVolume(
        id=uuid,
        name=LvName(name),
        status=_subset(draw, _LV_STATUS),
        flags=_subset(draw, ("ACTIVATION_SKIP", "NOAUTOACTIVATE")),
        tags=draw(tags),
        created=created,
        host=draw(raw_strings) if created else "",
        segments=tuple(segments),
    )
    if common:
        return volume
    from attrs import evolve

    return evolve(
        volume,
        alloc=draw(st.sampled_from(("inherit", "contiguous", "cling", "normal", "anywhere"))),
        profile=draw(raw_strings),
        read_ahead=draw(st.one_of(st.none(), st.just(0), st.integers(1, 2**31))),
        major=draw(st.one_of(st.none(), U32)),
        minor=draw(st.one_of(st.none(), U32)),
        extra=draw(_extras(("lock_args",), sections=False)),
    )


@st.composite
def groups(draw: st.DrawFn) -> VolumeGroup:
    """A group with anything that the format can hold, valid as a volume group or not."""
    lv_names = draw(st.lists(st.one_of(_names, st.sampled_from(("pv0", "pv1"))), max_size=4, unique=True))
    pv_count = draw(st.integers(1, 3))
    ids = draw(st.lists(uuids, min_size=1 + pv_count + len(lv_names), max_size=8, unique=True))
    own, pv_ids, lv_ids = ids[0], ids[1 : 1 + pv_count], ids[1 + pv_count : 1 + pv_count + len(lv_names)]
    return VolumeGroup(
        id=own,
        name=VgName(draw(_names.filter(lambda n: n not in ("contents", "version", "description")))),
        seqno=draw(U32),
        extent_size=Sectors(draw(st.integers(1, 2**31))),
        status=_subset(draw, _VG_STATUS),
        flags=_subset(draw, ("NOAUTOACTIVATE",)),
        tags=draw(tags),
        alloc=draw(st.sampled_from(("normal", "normal", "cling", "contiguous", "anywhere"))),
        max_lv=draw(U32),
        max_pv=draw(U32),
        metadata_copies=draw(U32.filter(lambda n: n != ALL_COPIES)),
        system_id=draw(st.sampled_from(("", "", "host.example"))),
        lock_type=draw(st.sampled_from(("", "none", "sanlock"))),
        profile=draw(st.sampled_from(("", "thin"))),
        pvs=tuple(draw(pvs(uuid)) for uuid in pv_ids),
        lvs=tuple(draw(_volumes(name, uuid, pv_ids, lv_ids)) for name, uuid in zip(lv_names, lv_ids, strict=True)),
        extra=draw(_extras(("lock_args",))),
    )


_offsets = st.integers(1, 2**63).map(Bytes)
_sizes = st.integers(0, 2**63).map(Bytes)
_disk_areas = st.builds(DiskArea, _offsets, _sizes)


@st.composite
def layouts(draw: st.DrawFn) -> PvLayout:
    """A PV's layout, sensible or not."""
    version = draw(st.integers(0, 3))
    return PvLayout(
        id=draw(uuids),
        size=draw(st.integers(1, 2**63).map(Bytes)),
        data=draw(st.lists(_disk_areas, min_size=1, max_size=3).map(tuple)),
        mdas=draw(st.lists(st.builds(MdaArea, _offsets, _sizes), max_size=3).map(tuple)),
        bootloader=draw(st.lists(_disk_areas, max_size=2).map(tuple)) if version else (),
        ext_version=version,
        ext_flags=draw(U32) if version else 0,
        label_sector=draw(st.integers(0, 3)),
    )
