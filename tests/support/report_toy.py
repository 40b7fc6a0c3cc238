"""A target that is nobody's, with letters, a status and columns of its own, and a group that has volumes of it."""

from __future__ import annotations

from attrs import frozen

from vmgr.core.hooks import ColumnSpec, KernelTarget, Status, TargetInfo, VolumeFacts, hookimpl
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import (
    Area,
    LogicalVolume,
    LvArea,
    PhysicalVolume,
    PvArea,
    Reference,
    Segment,
    SegmentBody,
    UnknownBody,
    VolumeGroup,
)
from vmgr.core.naming import dm_uuid
from vmgr.core.table import KernelLine, LiveDevice, TargetLine
from vmgr.core.targets import Targets
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.core.view import GroupView, SystemView
from vmgr.plugins import linear
from vmgr.plugins.linear.body import LinearBody


@frozen
class ToyBody(SegmentBody):
    """Lies on other volumes, and refers to one."""

    areas: tuple[Area, ...]
    friend: Uuid

    @property
    def references(self) -> tuple[Reference, ...]:
        return (Reference(self.friend, "friend"),)


class ToyPlugin:
    """Letters in every place, and one column of every kind."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        return TargetInfo(
            "toy", "a toy", ("toy",), frozenset(), (ToyBody,), (KernelTarget("toy"),),
            columns=(
                ColumnSpec("toy_friend", "Friend", "string", "Its friend."),
                ColumnSpec("toy_count", "#Toys", "number", "How many."),
                ColumnSpec("toy_room", "Room", "size", "How large."),
                ColumnSpec("toy_joy", "Joy%", "percent", "How nice."),
                ColumnSpec("toy_broken", "Broken", "binary", "Whether it is broken."),
                ColumnSpec("toy_parts", "Parts", "list", "Of what.", per_segment=True),
                ColumnSpec("data_percent", "Data%", "percent", "As everybody's."),
                ColumnSpec("lv_role", "Role", "list", "As everybody's."),
            ),
        )  # fmt: skip

    @hookimpl
    def decode_segment(self) -> None:
        return None

    @hookimpl
    def encode_segment(self) -> None:
        raise NotImplementedError

    @hookimpl
    def segment_lines(self, segment: Segment) -> tuple[TargetLine, ...]:
        return (TargetLine(Sectors(0), Sectors(8), "toy"),)

    @hookimpl
    def parse_status(self, lines: tuple[KernelLine, ...]) -> Status:
        params = lines[0].params
        return Status(percent=float(params), health="broken" if params == "100" else "")

    @hookimpl
    def describe(self, volume: LogicalVolume, segment: Segment, status: Status | None) -> VolumeFacts:
        body = segment.body
        assert isinstance(body, ToyBody)
        if volume.id == body.friend:
            return VolumeFacts("toy", target="F", values=(("lv_role", ("befriended",)),))
        if all(volume.id != getattr(a, "lv", None) for a in body.areas):
            values: tuple[tuple[str, object], ...] = (
                ("toy_friend", body.friend), ("toy_count", 3), ("toy_room", Sectors(4096)),
                ("toy_parts", ("wheel", "door")),
            )  # fmt: skip
            if status is not None:
                values += (
                    ("toy_joy", status.percent),
                    ("data_percent", status.percent),
                    ("toy_broken", bool(status.health)),
                )
            return VolumeFacts("toy", "T", "t", "Ii", "z", "h", values)
        return VolumeFacts("toy")


TARGETS = Targets([("linear", linear), ("toy", ToyPlugin())])


def uuid(word: str) -> Uuid:
    return Uuid(word.replace("-", "").ljust(32, "0"))


def plain(name: str, start: int, length: int, *status: str, pv: str = "pv0", **fields: object) -> LogicalVolume:
    """A linear volume; ``VISIBLE``, ``READ`` and ``WRITE`` unless ``status`` says otherwise."""
    body = LinearBody((PvArea(uuid(pv), Extents(start), Extents(length)),))
    return LogicalVolume(
        uuid(name), LvName(name), status or ("READ", "WRITE", "VISIBLE"),
        segments=(Segment(Extents(0), Extents(length), body),), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def a_group(name: str = "vg", *more: LogicalVolume, **fields: object) -> VolumeGroup:
    """Volumes ``a`` (two tags), ``friend``, ``toy`` on the hidden ``leg``, and ``strange``, of an unknown type."""
    toy = ToyBody((LvArea(uuid("leg"), Extents(0), Extents(2)),), uuid("friend"))
    strange = UnknownBody("odd", (("odd_count", 1),))
    pvs = tuple(
        PhysicalVolume(
            uuid(f"pv{n}"), f"/dev/pv{n}", ("ALLOCATABLE",), Sectors(819200), Sectors(2048), Extents(100)
        )
        for n in range(2)
    )
    lvs = (
        plain("a", 0, 5, tags=(Tag("t1"), Tag("b2")), created=1_700_000_000, host="h"),
        plain("leg", 5, 2, "READ", "WRITE"),
        LogicalVolume(uuid("toy"), LvName("toy"), segments=(Segment(Extents(0), Extents(2), toy),)),
        plain("friend", 7, 1),
        LogicalVolume(uuid("strange"), LvName("strange"), segments=(Segment(Extents(0), Extents(9), strange),)),
        *more,
    )
    return VolumeGroup(uuid(name), VgName(name), 7, Sectors(8192), pvs=pvs, lvs=lvs, **fields)  # type: ignore[arg-type]


class Found:
    """Enough of a found PV for a group's."""

    mdas = ()
    size = Bytes(0)
    major = minor = 0

    def __init__(self, device: str) -> None:
        self.device = device


def system(*groups: VolumeGroup, missing: tuple[str, ...] = ()) -> SystemView:
    """The groups with all their PVs found, except those in ``missing``."""
    views = []
    for group in groups or (a_group(),):
        found = {pv.id: Found(pv.device) for pv in group.pvs if pv.id not in [uuid(word) for word in missing]}
        views.append(GroupView(group, found))  # type: ignore[arg-type]
    return SystemView(tuple(views), tuple((g.name, g.id) for g in groups))


def live(group: VolumeGroup, name: str, *, status: str = "", **fields: object) -> dict[str, LiveDevice]:
    """The volume's device, with a status line of the toy's if ``status`` says something."""
    key = dm_uuid(group.id, group.lv_by_name[name].id)
    lines = (KernelLine(Sectors(0), Sectors(8), "toy", status),) if status else None
    return {key: LiveDevice(f"{group.name}-{name}", key, 254, 3, status=lines, **fields)}  # type: ignore[arg-type]
