"""Volumes that the reader of a text has checked and left unread: nobody can tell, but by the time it takes."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ondisk import HEADER, NO_TARGETS, WITHOUT_PROMISE, RowsPlugin, groups
from tests.support.ondisk import TARGETS as ROWS
from tests.support.stacks import TARGETS
from vmgr.core.errors import DamagedMetadata
from vmgr.core.hooks import TargetInfo, hookimpl
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, Segment, Shape, VolumeGroup
from vmgr.core.pv import PvLayout
from vmgr.core.targets import Targets
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.core.view import GroupView, PvView, SystemView
from vmgr.ondisk.codec import encode_group
from vmgr.ondisk.decode import decode_any
from vmgr.ondisk.fast import decode_canonical
from vmgr.plugins.linear.body import LinearBody
from vmgr.plugins.snapshot.body import SnapshotBody
from vmgr.report import ReportRequest, prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.table import LiveDevice

PVS = tuple(
    PhysicalVolume(Uuid(c * 32), f"/dev/sd{c}", ("ALLOCATABLE",), Sectors(1 << 40), Sectors(2048), Extents(1 << 30))
    for c in "pq"
)


def _volume(
    number: int, area: PvArea, tags: tuple[Tag, ...], created: int, status: tuple[str, ...]
) -> LogicalVolume:
    return LogicalVolume(
        Uuid(f"{number:032}"),
        LvName(f"lv{number}"),
        status=status,
        tags=tags,
        created=created,
        host="host" if created else "",
        segments=(Segment(Extents(0), area.length, LinearBody((area,))),),
    )


_areas = st.builds(
    lambda pv, start, length: PvArea(pv.id, Extents(start), Extents(length)),
    st.sampled_from(PVS),
    st.one_of(st.integers(0, 999_999_999), st.just(2**32 - 1)),
    st.integers(1, 2_000_000_000),
)


@st.composite
def linear_groups(draw: st.DrawFn) -> VolumeGroup:
    """A group of linear volumes, some of them odd: of two segments, or the COW volume of another."""
    lvs = [
        _volume(
            number,
            draw(_areas),
            draw(st.sampled_from([(), (Tag("t"),), (Tag("t"), Tag("u"))])),
            draw(st.sampled_from([0, 1700000000])),
            draw(st.sampled_from([("READ", "WRITE", "VISIBLE"), ("READ", "VISIBLE"), ("READ", "WRITE")])),
        )
        for number in range(draw(st.integers(1, 6)))
    ]
    for at in draw(st.sets(st.integers(0, len(lvs) - 1), max_size=2)):
        area = draw(_areas)
        body = LinearBody((area,))
        lvs[at] = evolve(lvs[at], segments=(*lvs[at].segments, Segment(lvs[at].size, area.length, body)))
    if len(lvs) > 1 and draw(st.booleans()):
        origin, cow = lvs[0], lvs[-1]
        snapshot = SnapshotBody(origin.id, cow.id, Sectors(8))
        segment = Segment(Extents(0), origin.size, snapshot)
        book = LogicalVolume(Uuid("b" * 32), LvName("snapshot0"), ("READ", "WRITE"), segments=(segment,))
        lvs.insert(draw(st.integers(0, len(lvs))), book)
    return VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=tuple(lvs))


def _both(group: VolumeGroup) -> tuple[VolumeGroup, VolumeGroup]:
    """The group as the fast reader gives it, and as the general one does."""
    text = encode_group(group, TARGETS, HEADER)
    quick = decode_canonical(text, TARGETS)
    assert quick is not None
    return quick.group, decode_any(text, TARGETS).group


def _unread() -> LogicalVolume:
    area = PvArea(PVS[0].id, Extents(5), Extents(3))
    lv = _volume(1, area, (Tag("t"),), 1700000000, ("READ", "VISIBLE"))
    quick, _ = _both(VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=(lv,)))
    assert quick.lvs[0].shape is not None
    return quick.lvs[0]


@given(linear_groups())
def test_a_group_with_unread_volumes_is_the_group_read_as_a_whole(group: VolumeGroup) -> None:
    """Each question is put to a group that was asked nothing before."""
    questions: list[Callable[[VolumeGroup], object]] = [
        lambda g: g,
        lambda g: [lv.size for lv in g.lvs],
        lambda g: g.by_body,
        lambda g: g.referrers,
        lambda g: g.used,
        lambda g: g.allocated,
        lambda g: g.has_unknown,
        lambda g: [tuple(lv.areas()) for lv in g.lvs],
        TARGETS.group_read,
        hash,
        repr,
    ]
    for ask in questions:
        quick, whole = _both(group)
        assert ask(quick) == ask(whole)


@given(linear_groups(), st.sampled_from(["lvs", "vgs", "pvs"]), st.booleans(), st.booleans())
def test_reports_of_unread_volumes_are_those_of_read_ones(
    group: VolumeGroup, kind: str, every: bool, segments: bool
) -> None:
    columns = {"lvs": "lv_all", "vgs": "vg_all", "pvs": "pv_all"}[kind]
    for chosen in ((), (columns,)):
        request = ReportRequest(kind, columns=chosen, all=every, segments=segments and kind != "vgs")
        texts = []
        for one in _both(group):
            view = SystemView((GroupView(TARGETS.group_read(one), {}),))
            report = prepare(request, TARGETS)
            texts.append((report.wants_status(view), report.text(view, {})))
        assert texts[0] == texts[1]


@pytest.mark.parametrize("live", [{}, {"LVM-of-another-group": None}], ids=["nothing", "something"])
def test_a_list_of_volumes_reads_none(monkeypatch: pytest.MonkeyPatch, live: dict[str, LiveDevice]) -> None:
    """What lvs shows unless it is told otherwise is known without taking a segment apart."""
    lvs = tuple(
        _volume(n, PvArea(PVS[0].id, Extents(n), Extents(1)), (), 0, ("READ", "WRITE", "VISIBLE")) for n in range(9)
    )
    quick, whole = _both(VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=lvs))
    assert all(lv.shape is not None for lv in quick.lvs)

    layout = PvLayout(PVS[0].id, Bytes(0), (), ())
    there = {pv.id: PvView(pv.id, pv.device, 8, 0, Bytes(0), layout) for pv in PVS}

    def text(group: VolumeGroup) -> str:
        view = SystemView((GroupView(TARGETS.group_read(group), there),))
        report = prepare(ReportRequest("lvs"), TARGETS)
        report.wants_status(view)
        return report.text(view, live)

    expected = text(whole)

    def never(self: object, row: object, size: object) -> dict[str, object]:
        raise AssertionError("a volume was read")

    monkeypatch.setattr("vmgr.ondisk.fast._Shape.fields", never)
    assert text(quick) == expected
    with pytest.raises(AssertionError, match="a volume was read"):
        _ = quick.lvs[0].segments


@given(groups())
def test_without_the_promise_no_volume_is_left_unread(group: VolumeGroup) -> None:
    text = encode_group(group, ROWS, HEADER)
    quick = decode_canonical(text, WITHOUT_PROMISE)
    if quick is not None:
        assert all(lv.shape is None for lv in quick.group.lvs)
        assert quick == decode_any(text, ROWS)


def test_an_unread_volume_copies_as_what_it_is() -> None:
    whole = evolve(_unread())
    assert whole.shape is None
    for made in (
        _unread(),
        evolve(_unread()),
        copy.copy(_unread()),
        copy.deepcopy(whole),
        pickle.loads(pickle.dumps(whole)),
    ):
        assert made == whole
        assert hash(made) == hash(whole)
        assert (made.size, made.created, made.host, made.tags) == (3, 1700000000, "host", (Tag("t"),))
    assert evolve(_unread(), name=LvName("other")) == evolve(whole, name=LvName("other"))


def test_a_field_that_is_not_there_is_an_error() -> None:
    for lv in (_unread(), evolve(_unread())):
        with pytest.raises(AttributeError, match="'LogicalVolume' object has no attribute 'segmnets'"):
            _ = lv.segmnets  # type: ignore[attr-defined]
        with pytest.raises(AttributeError):
            lv.size = Extents(1)


class Careless(RowsPlugin):
    """Promises, and gives bodies that lie elsewhere."""

    @hookimpl
    def decode_segment(self, type_word, length, fields, names):  # type: ignore[no-untyped-def]
        body = RowsPlugin.decode_segment(self, type_word, length, fields, names)
        if body is None or len(body.areas) != 1 or not isinstance(body.areas[0], PvArea):
            return body
        return evolve(body, areas=(evolve(body.areas[0], start=body.areas[0].start + Extents(1)),))


def test_a_promise_that_is_seen_not_to_hold_counts_for_nothing() -> None:
    lv = _volume(1, PvArea(PVS[0].id, Extents(5), Extents(3)), (), 0, ("READ", "VISIBLE"))
    text = encode_group(
        VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=(lv,)), TARGETS, HEADER
    )
    targets = Targets([("rows", Careless(uniform=True))])
    quick = decode_canonical(text, targets)
    assert quick is not None
    assert quick.group.lvs[0].shape is None
    assert quick == decode_any(text, targets)


@pytest.mark.parametrize("place", [0, 1, 8])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("stripe_count = 1", "stripe_count = 2"),
        ("stripe_count = 1", "stripe_count = 0"),
        ('"pv0"', '"pv7"'),
        ('"pv0"', '"lv3"'),
        ('type = "striped"', 'type = "raid"'),
        ("extent_count = 1\n", "extent_count = 4294967296\n"),
        ("start_extent = 0", "start_extent = 1"),
        ("segment_count = 1", "segment_count = 2"),
        ("stripes = [", "stripe_count = 1\nstripes = ["),
    ],
)
def test_damage_is_noticed_while_reading(good: str, bad: str, place: int) -> None:
    """One bad volume among good ones is refused, or taken, by both readers alike, wherever it stands."""
    lvs = tuple(_volume(n, PvArea(PVS[0].id, Extents(n), Extents(1)), (), 0, ("READ",)) for n in range(9))
    group = VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=lvs)
    parts = encode_group(group, TARGETS, HEADER).split("\nlv")
    assert good in parts[place + 1]
    parts[place + 1] = parts[place + 1].replace(good, bad)
    text = "\nlv".join(parts)

    def outcome(read: Callable[[str, Targets], object]) -> object:
        try:
            return read(text, TARGETS)
        except DamagedMetadata as error:
            return error.message

    quick = outcome(decode_canonical)
    assert quick is None or quick == outcome(decode_any)


def test_a_shape_of_its_own_must_say_how_fields_are_read() -> None:
    with pytest.raises(NotImplementedError):
        Shape(LinearBody, PVS[0].id).fields((), Extents(1))


class Other:
    """May claim the same sections, promises nothing, and claims none."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        return TargetInfo("other", "", ("striped",), frozenset(), (), ())

    @hookimpl
    def decode_segment(self) -> None:
        return None

    @hookimpl
    def encode_segment(self) -> None: ...

    @hookimpl
    def segment_lines(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_all_plugins_that_may_claim_a_type_must_promise(order: tuple[int, int]) -> None:
    plugins = [("rows", RowsPlugin(uniform=True)), ("other", Other())]
    assert not Targets([plugins[at] for at in order]).uniform("striped")
    assert Targets(plugins[:1]).uniform("striped")
    assert not Targets(plugins[:1]).uniform("raid1")


def test_volumes_of_a_type_that_nobody_knows_are_read_as_a_whole() -> None:
    lv = _volume(1, PvArea(PVS[0].id, Extents(5), Extents(3)), (), 0, ("READ", "VISIBLE"))
    text = encode_group(
        VolumeGroup(Uuid("v" * 32), VgName("vg"), 7, Sectors(8192), pvs=PVS, lvs=(lv,)), TARGETS, HEADER
    )
    quick = decode_canonical(text, NO_TARGETS)
    assert quick is not None
    assert quick.group.has_unknown
    assert quick.group.lvs[0].shape is None
