"""Requests take what people write, say what is in them, and have their names looked up in one place."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, frozen

from tests.support.groups import a_group, create, volume
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.errors import InvalidName, InvalidSize, NotFound, Refused, UsageError
from vmgr.core.hooks import OptionSpec, TargetInfo, hookimpl
from vmgr.core.ids import Tag, Uuid
from vmgr.core.pv import PvLayout
from vmgr.core.requests import (
    ChangeVolume,
    ConvertVolume,
    CreateVolume,
    ExtendVolume,
    PvRange,
    RenameVolume,
    ResizeVolume,
)
from vmgr.core.resolve import resolve
from vmgr.core.targets import Targets
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.core.view import GroupView, PvView

NONE = Targets([])
TAGGED = (Tag("fast"),)


def a_view() -> GroupView:
    """A group of two PVs on /dev/pv0 (also /dev/disk/one) and /dev/pv1, with the volumes home and swap."""
    group = create(create(a_group(50, 60), "10", "home"), "5", "swap")
    first, second = group.pvs
    group = group.with_pv(evolve(first, tags=TAGGED))
    pvs = {
        pv.id: PvView(pv.id, f"/dev/pv{n}", 7, n, Bytes(1 << 30), PvLayout(pv.id, Bytes(1 << 30), ()), group.id)
        for n, pv in enumerate((first, second))
    }
    pvs[first.id] = evolve(pvs[first.id], aliases=("/dev/disk/one",))
    return GroupView(group, pvs)


# -- what people write ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100M", SizeSpec(Sectors(204800))),
        ("+1g", SizeSpec(Sectors(2097152), "+")),
        ("50%FREE", SizeSpec(Percent(50, "FREE"))),
        ("+100%pvs", SizeSpec(Percent(100, "PVS"), "+")),
        (Sectors(8), SizeSpec(Sectors(8))),
        (Extents(3), SizeSpec(Extents(3))),
        (Percent(1, "VG"), SizeSpec(Percent(1, "VG"))),
    ],
)
def test_a_size_is_written_as_on_a_command_line(text: Any, size: SizeSpec) -> None:
    assert ExtendVolume("home", text).size == CreateVolume(size=text).size == size


def test_one_thing_is_written_without_a_list() -> None:
    request = CreateVolume(pvs="/dev/sdb", tags="web", options={"stripes": 2})
    assert request == CreateVolume(pvs=("/dev/sdb",), tags=[Tag("web")], options=(("stripes", 2),))
    assert type(request.tags[0]) is Tag


@pytest.mark.parametrize(("given", "kept"), [(True, "y"), (False, "n"), ("ay", "ay")])
def test_whether_a_new_volume_comes_up_is_yes_no_or_the_configurations_choice(given: Any, kept: str) -> None:
    assert CreateVolume(activate=given).activate == kept


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: CreateVolume(size="1x"), InvalidSize, "cannot parse size '1x'"),
        (lambda: CreateVolume(size="5%OIL"), InvalidSize, "unknown base"),
        (lambda: CreateVolume(name="a b"), InvalidName, "invalid logical volume name"),
        (lambda: CreateVolume(name="snapshot1"), InvalidName, "reserved"),
        (lambda: RenameVolume("a", "b_rimage_0"), InvalidName, "reserved"),
        (lambda: CreateVolume(tags="a b"), InvalidName, "invalid tag"),
        (lambda: CreateVolume(pvs="@"), InvalidName, "invalid tag"),
        (lambda: CreateVolume(pvs=":0-9"), UsageError, "names no physical volume"),
        (lambda: ExtendVolume("home"), UsageError, "no new size given"),
        (lambda: ResizeVolume("home"), UsageError, "no new size given"),
    ],
)
def test_what_cannot_be_read_is_refused_when_the_request_is_made(make: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        make()


def test_a_request_shows_what_differs_from_the_default() -> None:
    assert repr(CreateVolume()) == "CreateVolume()"
    assert repr(CreateVolume(name="home", size="1g", activate=True)) == (
        "CreateVolume(size=SizeSpec(value=Sectors(2097152)), name='home')"
    )


# -- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["home", "vg/home", "uuid", "printed"])
def test_a_volume_is_found_by_its_name_and_by_its_uuid(written: str) -> None:
    view = a_view()
    uuid = volume(view.group, "home").id
    name = {"uuid": uuid, "printed": uuid.dashed}.get(written, written)
    for request in (ChangeVolume(name), ConvertVolume(name), ExtendVolume(name, "+1")):
        assert resolve(view, request, NONE) == evolve(request, lv=uuid)
        assert type(resolve(view, request, NONE).lv) is Uuid
    assert resolve(view, CreateVolume(origin=name), NONE).origin == uuid


def test_a_name_is_nearer_than_a_uuid() -> None:
    """A volume may be called by what looks like another's UUID."""
    view = a_view()
    home, swap = volume(view.group, "home"), volume(view.group, "swap")
    group = view.group.with_lv(evolve(swap, name=home.id.dashed))
    assert resolve(evolve(view, group=group), ChangeVolume(home.id.dashed), NONE).lv == swap.id


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("nothing", NotFound, "failed to find logical volume"),
        ("other/home", Refused, "not a volume of volume group vg"),
        ("u" * 6 + "-uuuu" * 5 + "-" + "u" * 6, NotFound, "failed to find logical volume"),
    ],
)
def test_a_volume_that_the_group_does_not_have_is_refused(name: str, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        resolve(a_view(), ChangeVolume(name), NONE)


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("/dev/pv0", (0, ())),
        ("/dev/disk/one", (0, ())),
        ("/dev/elsewhere/pv1", (1, ())),
        ("/dev/pv1:0-9:20-", (1, ((0, 9), (20, 59)))),
        ("@fast", (0, ())),
    ],
)
def test_a_physical_volume_is_found_by_any_path_and_by_tag(written: str, found: Any) -> None:
    view = a_view()
    pv, ranges = found
    numbers = {"/dev/elsewhere/pv1": (7, 1)}
    (one,) = resolve(view, CreateVolume(pvs=written), NONE, numbers.get).pvs
    assert (one.pv, tuple((int(a), int(b)) for a, b in one.ranges)) == (view.group.pvs[pv].id, ranges)


def test_a_physical_volume_is_found_by_uuid_and_what_is_resolved_stays() -> None:
    view = a_view()
    uuid = view.group.pvs[1].id
    ranges = ((Extents(1), Extents(2)),)
    request = CreateVolume(pvs=(uuid.dashed, PvRange(view.group.pvs[0].id, ranges)))
    resolved = resolve(view, request, NONE)
    assert resolved.pvs == (PvRange(uuid), PvRange(view.group.pvs[0].id, ranges))
    assert resolve(view, resolved, NONE) == resolved


@pytest.mark.parametrize(
    ("pvs", "error", "says"),
    [
        ("/dev/sdz", NotFound, "not found in volume group"),
        ("@slow", Refused, "carries the tag @slow"),
        (("/dev/pv0:0-5", "/dev/pv0:5-9"), Refused, "overlapping PE ranges"),
        (("/dev/pv0", "/dev/disk/one"), Refused, "overlapping PE ranges"),
        ("/dev/pv0:x", InvalidSize, "cannot parse"),
    ],
)
def test_physical_volumes_that_cannot_be_taken_are_refused(pvs: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        resolve(a_view(), CreateVolume(pvs=pvs), NONE)


@frozen
class _Pool:
    """A target with an option that names a volume."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        option = OptionSpec("pool", "volume", "The pool.", ("lvcreate",))
        return TargetInfo("pool", "A target.", ("pool",), frozenset(), (), (), options=(option,))

    @hookimpl
    def decode_segment(self) -> None:
        raise AssertionError

    @hookimpl
    def encode_segment(self) -> None:
        raise AssertionError

    @hookimpl
    def segment_lines(self) -> None:
        raise AssertionError


def test_an_option_that_names_a_volume_is_resolved_and_others_are_left() -> None:
    view = a_view()
    targets = Targets([("pool", _Pool())])
    request = CreateVolume(options={"pool": "home", "mode": "home"})
    assert resolve(view, request, targets).options == (("pool", volume(view.group, "home").id), ("mode", "home"))
