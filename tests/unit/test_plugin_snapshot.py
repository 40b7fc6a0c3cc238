"""The snapshot target: what may be a snapshot, how large it is, its four devices, its status, its merge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.plugins import STAMP, a_group, area, create, extend, extents_of, needs_of, uuid, with_built
from tests.support.stacks import TARGETS, load_stack
from tests.unit.test_plugin_linear import Names
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.change import Change
from vmgr.core.context import Context
from vmgr.core.devices import stack
from vmgr.core.errors import DamagedMetadata, InUse, InvalidSize, PluginError, Refused, UsageError
from vmgr.core.exchange import Built, SpaceNeeds
from vmgr.core.hooks import Live, Pending, StatusOutcome
from vmgr.core.ids import LvName, Tag
from vmgr.core.model import Reference, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.operations.change import change_volume
from vmgr.core.operations.convert import convert_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.remove import remove_volume
from vmgr.core.operations.rename import rename_volume
from vmgr.core.phases import Plan
from vmgr.core.plan import plan_change
from vmgr.core.requests import (
    ChangeVolume,
    ConvertVolume,
    CreateVolume,
    ExtendVolume,
    FinishVolume,
    Options,
    ReduceVolume,
    RemoveVolume,
    RenameVolume,
)
from vmgr.core.steps import Commit, LoadTable, RemoveDevice, Resume, Suspend, ZeroSectors
from vmgr.core.table import DevRef, KernelLine, LiveDevice, PvRef
from vmgr.core.units import Extents, Sectors
from vmgr.plugins.snapshot.body import SnapshotBody
from vmgr.plugins.snapshot.cow import max_extents
from vmgr.plugins.snapshot.status import percentage

EXTENT = 8192
TWO = extents_of(2)


def origin(extents: int = 10) -> VolumeGroup:
    return create(a_group(), "base", [[area(0, 0, extents)]])[0]


def snapshot(
    group: VolumeGroup | None = None, name: str = "snap", at: int = 20, extents: int = 2, options: Options = ()
) -> VolumeGroup:
    group = group or origin()
    return create(group, name, [[area(0, at, extents)]], origin="base", options=options)[0]


def running(group: VolumeGroup, *, opened: tuple[str, ...] = (), status: str = "16/16384 16") -> Live:
    """The group's devices as they would be if all were active; ``opened`` are names of devices that are in use."""
    visible = [lv.id for lv in group.lvs if lv.visible]
    live: dict[str, LiveDevice] = {}
    for minor, device in enumerate(stack(group, visible, TARGETS)):
        lines = [
            (t, status if t.target in ("snapshot", "snapshot-merge") else "", f"253:{minor}") for t in device.table
        ]
        live[device.uuid] = LiveDevice(
            device.name,
            device.uuid,
            253,
            minor,
            open_count=int(device.name in opened),
            table=tuple(KernelLine(t.start, t.length, t.target, params) for t, _, params in lines),
            status=tuple(KernelLine(t.start, t.length, t.target, said) for t, said, _ in lines),
        )
    return live


def merge(group: VolumeGroup, name: str = "snap", live: Live | None = None) -> tuple[VolumeGroup, Built]:
    request = ConvertVolume(group.lv_by_name[name].id, (("merge", True),))
    context = Context(group.lv_by_id[request.lv], TARGETS, STAMP, live or {})
    built = TARGETS.change(group, request, context)
    return with_built(group, built), built


def tables(group: VolumeGroup, live: Live | None = None, *, start: bool = False) -> dict[str, str]:
    """Device name to its first line's target and parameters, devices by name."""
    visible = [lv.id for lv in group.lvs if lv.visible]
    devices = stack(group, visible, TARGETS, live or {}, visible if start else ())
    names = {d.uuid: d.name for d in devices}

    def name_of(ref: PvRef | DevRef) -> str:
        return names[ref.uuid] if isinstance(ref, DevRef) else "PV"

    return {d.name: f"{d.table[0].target} {d.table[0].params(name_of)}".strip() for d in devices}


# -- on disk --------------------------------------------------------------------------------------

FIELDS = {"chunk_size": 8, "origin": "lv0", "cow_store": "lv1"}


class LvNames(Names):
    def lv(self, name: str) -> object:
        return uuid(name)

    def lv_name(self, lv: str) -> str:
        return lv[:3]


@pytest.mark.parametrize("key", ["cow_store", "merging_store"])
def test_a_segment_is_decoded_and_encoded_alike(key: str) -> None:
    fields = {"chunk_size": 8, "origin": "lv0", key: "lv1"}
    body, extra = TARGETS.decode("snapshot", Extents(4), fields, LvNames())  # type: ignore[arg-type]
    assert body == SnapshotBody(uuid("lv0"), uuid("lv1"), Sectors(8), key == "merging_store")
    assert body.references == (Reference(uuid("lv0"), "origin"), Reference(uuid("lv1"), "cow"))
    assert (body.areas, extra) == ((), ())
    assert TARGETS.encode(body, LvNames()) == ("snapshot", tuple(fields.items()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change", [{"chunk_size": 0}, {"chunk_size": "8"}, {"origin": 1}, {"cow_store": 1}, {"merging_store": "lv1"}]
)
def test_a_segment_that_makes_no_sense_is_damage(change: dict[str, object]) -> None:
    with pytest.raises(DamagedMetadata):
        TARGETS.decode("snapshot", Extents(4), FIELDS | change, LvNames())  # type: ignore[arg-type]


@pytest.mark.parametrize("missing", FIELDS)
def test_a_segment_needs_all_its_fields(missing: str) -> None:
    fields = {key: value for key, value in FIELDS.items() if key != missing}
    with pytest.raises(DamagedMetadata):
        TARGETS.decode("snapshot", Extents(4), fields, LvNames())  # type: ignore[arg-type]


def test_the_text_hides_what_users_see_and_shows_what_they_do_not() -> None:
    group = snapshot()
    text = TARGETS.group_written(group)
    assert text.lv_by_name["snap"].status == ("READ", "WRITE")
    assert text.lv_by_name["snapshot0"].status == ("READ", "WRITE", "VISIBLE")
    assert TARGETS.group_read(text) == group


def test_a_merging_snapshot_is_hidden_in_text_and_model() -> None:
    group = merge(snapshot())[0]
    text = TARGETS.group_written(group)
    assert not any(text.lv_by_name[name].visible for name in ("snap", "snapshot0"))
    assert TARGETS.group_read(text) == group


def test_a_group_without_snapshots_is_left_alone() -> None:
    group = origin()
    assert TARGETS.group_read(group) is group
    assert TARGETS.group_written(group) is group


def test_visible_stands_where_lvm2_writes_it() -> None:
    group = snapshot()
    cow = evolve(group.lv_by_name["snap"], status=("READ", "FIXED_MINOR", "NOTSYNCED"))
    assert TARGETS.group_read(group.with_lv(cow)).lv_by_name["snap"].status == (
        "READ",
        "FIXED_MINOR",
        "VISIBLE",
        "NOTSYNCED",
    )


# -- making one -----------------------------------------------------------------------------------


def request(
    group: VolumeGroup,
    size: SizeSpec | None = TWO,
    options: Options = (),
    *,
    of: str = "base",
    type: str | None = None,
) -> CreateVolume:
    return CreateVolume(size, LvName("snap"), type, group.lv_by_name[of].id, options)


def needs(group: VolumeGroup, it: CreateVolume, extents: int = 2) -> SpaceNeeds:
    return needs_of(group, it, extents)


def test_what_names_an_origin_is_a_snapshot() -> None:
    group = origin()
    for it in (
        request(group),
        request(group, type="snapshot"),
        request(group, options=(("snapshot", True), ("stripes", 2), ("stripesize", Sectors(8)))),
        request(group, None, (("snapshot", True),)),
    ):
        assert TARGETS.choose(group, it).name == "snapshot"


def test_a_snapshot_needs_an_origin() -> None:
    group = origin()
    for it in (
        CreateVolume(extents_of(2), LvName("x"), "snapshot"),
        CreateVolume(extents_of(2), LvName("x"), options=(("snapshot", True),)),
    ):
        with pytest.raises(UsageError, match="needs an origin"):
            TARGETS.choose(group, it)


def test_a_snapshot_needs_a_size() -> None:
    group = origin()
    with pytest.raises(Refused, match="how large"):
        needs(group, request(group, None), 0)


def test_it_is_a_cow_volume_and_a_hidden_one_that_describes_it() -> None:
    group, built = create(
        origin(), "snap", [[area(0, 20, 2)]], origin="base", options=(("chunksize", Sectors(64)),), read_only=True
    )
    snap, book = group.lv_by_name["snap"], group.lv_by_name["snapshot0"]
    assert (snap.size, snap.status) == (2, ("READ", "VISIBLE"))
    assert (book.size, book.status) == (10, ("READ", "WRITE"))
    assert (book.created, book.host) == (STAMP.time, STAMP.host)
    assert book.segments[0].body == SnapshotBody(group.lv_by_name["base"].id, snap.id, Sectors(64))
    assert built.main == snap.id
    assert (built.wipe, built.activate) == ((), ())


def test_its_header_is_zeroed_before_the_commit() -> None:
    _, built = create(origin(), "snap", [[area(1, 5, 1), area(2, 7, 1)]], origin="base", options=(("stripes", 2),))
    (zero,) = built.zero
    assert (zero.area, zero.start, zero.length) == (area(1, 5, 1), 0, 8)


def test_bookkeeping_volumes_are_numbered_on() -> None:
    group = snapshot(snapshot(), "two", 30)
    assert "snapshot1" in group.lv_by_name
    group = group.without_lv(group.lv_by_name["snapshot0"].id, group.lv_by_name["snap"].id)
    assert "snapshot2" in snapshot(group, "three", 40).lv_by_name


def test_its_space_is_that_of_a_plain_volume_with_its_options() -> None:
    group = origin()
    (need,) = needs(group, request(group, options=(("snapshot", True), ("stripes", 2)))).needs
    assert (need.role, need.areas, need.extents) == ("data", 2, 1)
    assert needs(group, request(group)).needs[0].areas == 1


@pytest.mark.parametrize("size", [4, 12, 2048, 0])
def test_a_chunk_is_a_power_of_two_from_4k_to_512k(size: int) -> None:
    group = origin()
    with pytest.raises(InvalidSize, match="invalid chunk size"):
        needs(group, request(group, options=(("chunksize", Sectors(size)),)))


def test_a_snapshot_holds_at_least_three_chunks() -> None:
    group, _ = create(a_group(extent_size=1024), "base", [[area(0, 0, 100)]])
    with pytest.raises(Refused, match=r"smaller than 3 chunks \(3 extents, 1.50 MiB\)"):
        needs(group, request(group, options=(("chunksize", Sectors(1024)),)))


def test_a_snapshot_is_no_larger_than_it_can_ever_need_to_be() -> None:
    group = origin()
    found = needs(group, request(group, extents_of(50)), 50)
    assert found.extents == 11
    assert found.notes == ("Reducing COW size 200.00 MiB down to maximum usable size 44.00 MiB.",)


def test_a_percentage_of_the_origin_adds_the_metadata() -> None:
    group = origin()
    for percent, asked, extents in ((100, 10, 11), (50, 5, 6), (200, 20, 11)):
        it = request(group, SizeSpec(Percent(percent, "ORIGIN")))
        assert needs(group, it, asked).extents == extents


def test_the_largest_size_is_lvm2_s() -> None:
    """Measured: what lvm2 gives for -l 100%ORIGIN and -l 50%ORIGIN where extents are 4 MiB."""
    assert load_stack("snapshots-2").group.lv_by_name["whole"].size == 11
    for extents, chunk, whole, half in (
        (10, 8, 11, 6),
        (1, 8, 2, 2),
        (1, 1024, 2, 2),
        (25, 8, 26, 14),
        (256, 8, 258, 130),
        (1000, 8, 1004, 504),
        (1000, 64, 1001, 501),
        (7, 1024, 8, 5),
    ):
        group, _ = create(a_group(extents=1000), "base", [[area(0, 0, extents)]])
        options = (("chunksize", Sectors(chunk)),)
        for percent, got in ((100, whole), (50, half)):
            it = request(group, SizeSpec(Percent(percent, "ORIGIN")), options)
            assert needs(group, it, -(-extents * percent // 100)).extents == got


@given(st.integers(1, 1 << 20), st.integers(3, 10).map(lambda n: 1 << n), st.integers(1, 1 << 13))
def test_the_largest_size_holds_every_chunk_of_the_origin(extents: int, chunk: int, extent_size: int) -> None:
    """Header, and areas of one metadata chunk for as many data chunks as it has entries; the last ends the list."""
    group = evolve(a_group(), extent_size=Sectors(extent_size * 8))
    chunks = -(-extents * extent_size * 8 // chunk)
    areas = chunks // (chunk * 32) + 1
    room = int(max_extents(group, Extents(extents), Sectors(chunk)).sectors(group.extent_size)) // chunk
    assert 1 + areas + chunks <= room
    assert (room - (1 + areas + chunks)) * chunk < extent_size * 8 + chunk


def test_not_everything_can_have_a_snapshot() -> None:
    group = snapshot()
    for name, what in (("snap", "snapshots"), ("snapshot0", "hidden volumes")):
        with pytest.raises(Refused, match=f"snapshots of {what} are not supported"):
            needs(group, request(group, of=name))
    merging = merge(group)[0]
    with pytest.raises(Refused, match="an origin that has a merging snapshot"):
        needs(merging, request(merging))
    for word, what in (("LOCKED", "locked"), ("PVMOVE", "pvmoved")):
        base = group.lv_by_name["base"]
        other = group.with_lv(evolve(base, status=(*base.status, word)))
        with pytest.raises(Refused, match=f"{what} volumes"):
            needs(other, request(other))


# -- changing -------------------------------------------------------------------------------------


def check(
    group: VolumeGroup, name: str, kind: type, size: SizeSpec | None = None, live: Live | None = None
) -> None:
    volume = group.lv_by_name[name]
    it = kind(volume.id, size) if size else kind(volume.id)
    TARGETS.check_request(group, volume, it, Context(volume, TARGETS, STAMP, live or {}))


def test_an_origin_is_extended_only_while_inactive() -> None:
    group = snapshot()
    size = SizeSpec(Extents(1), "+")
    check(group, "base", ExtendVolume, size)
    with pytest.raises(InUse, match="only while it is inactive"):
        check(group, "base", ExtendVolume, size, running(group))


def test_an_origin_is_not_reduced() -> None:
    with pytest.raises(Refused, match="cannot be reduced"):
        check(snapshot(), "base", ReduceVolume, SizeSpec(Extents(1), "-"))


def test_an_extended_origin_leaves_its_snapshots_as_long_as_they_were() -> None:
    group = extend(snapshot(), "base", [[area(0, 40, 1)]])
    devices = {d.name: d for d in stack(group, [group.lv_by_name["base"].id], TARGETS)}
    assert devices["vg-base"].size == devices["vg-base-real"].size == 11 * EXTENT
    assert devices["vg-snap"].size == 10 * EXTENT


def test_a_snapshot_is_extended_while_active_up_to_all_of_its_origin() -> None:
    group = snapshot()
    check(group, "snap", ExtendVolume, SizeSpec(Extents(1), "+"), running(group))
    limit = TARGETS.size_limit(group, group.lv_by_name["snap"])
    assert limit == (11, "Reached maximum COW size 44.00 MiB (11 extents).")
    assert TARGETS.size_limit(group, group.lv_by_name["base"]) is None


def test_a_snapshot_is_reduced_only_by_what_it_does_not_use() -> None:
    group = snapshot()
    smaller = SizeSpec(Extents(1), "-")
    check(group, "snap", ReduceVolume, smaller, running(group, status="8192/16384 16"))
    with pytest.raises(Refused, match="uses 8200 sectors already"):
        check(group, "snap", ReduceVolume, smaller, running(group, status="8200/16384 16"))
    with pytest.raises(Refused, match="not known"):
        check(group, "snap", ReduceVolume, smaller)


def test_with_an_origin_go_its_snapshots_and_with_these_their_bookkeeping() -> None:
    group = snapshot(snapshot(), "two", 30)
    by_name = group.lv_by_name

    def going(name: str) -> set[str]:
        return {group.lv_by_id[lv].name for lv in TARGETS.removed_with(group, by_name[name])}

    assert going("base") == {"snap", "two"}
    assert going("snap") == {"snapshot0"}
    assert going("snapshot0") == set()


def test_a_snapshot_that_merges_stays_until_that_is_done() -> None:
    group = merge(snapshot())[0]
    with pytest.raises(Refused, match="cannot remove merging snapshot"):
        check(group, "snap", RemoveVolume, live=running(group))
    check(group, "snap", RemoveVolume)
    for failed in ("Invalid", "Merge failed"):
        check(group, "snap", RemoveVolume, live=running(group, status=failed))


@pytest.mark.parametrize("how", ["inactive", "failed", "invalid", "full while it waits"])
def test_a_snapshot_whose_merge_does_not_go_on_can_be_removed(how: str) -> None:
    """It is hidden, and nobody's part: with it go its bookkeeping and the merge, and the origin runs plainly."""
    plain = snapshot()
    group = merge(plain)[0]
    live = {
        "inactive": dict,
        "failed": lambda: running(group, status="Merge failed"),
        "invalid": lambda: running(group, status="Invalid"),
        "full while it waits": lambda: running(plain, status="Invalid"),
    }[how]()
    change = remove_volume(group, RemoveVolume(group.lv_by_name["snap"].id), TARGETS, live=live)
    assert change.after is not None
    assert [lv.name for lv in change.after.lvs] == ["base"]
    assert change.done == ('Logical volume "snap" successfully removed.',)
    plan = plan_change(change, live, TARGETS)
    if live:
        loaded = {
            step.device.name: step.device.table[0].target for step in plan.steps if isinstance(step, LoadTable)
        }
        assert loaded == {"vg-base": "linear"}
    with pytest.raises(Refused, match="internal logical volume"):  # alone, the bookkeeping stays
        remove_volume(group, RemoveVolume(group.lv_by_name["snapshot0"].id), TARGETS, live=live)


def test_broken_bookkeeping_is_noticed() -> None:
    group = snapshot(snapshot(), "two", 30)
    book = group.lv_by_name["snapshot0"]
    body = book.segments[0].body
    assert isinstance(body, SnapshotBody)
    ids = {name: group.lv_by_name[name].id for name in ("base", "snap", "two", "snapshot1")}
    for bad in (
        evolve(body, cow=body.origin),
        evolve(body, origin=ids["two"]),
        evolve(body, cow=ids["two"]),
        evolve(body, origin=ids["snapshot1"]),
        evolve(body, chunk_size=Sectors(24)),
        evolve(body, origin=uuid("nobody")),
        evolve(body, merging=True),
    ):
        other = evolve(book, segments=(evolve(book.segments[0], body=bad),))
        assert TARGETS.check_volume(group.with_lv(other), other), bad
    longer = evolve(book, segments=(evolve(book.segments[0], length=Extents(11)),))
    assert TARGETS.check_volume(group.with_lv(longer), longer)
    shown = evolve(book, status=("READ", "WRITE", "VISIBLE"))
    assert TARGETS.check_volume(group.with_lv(shown), shown)


# -- devices --------------------------------------------------------------------------------------


def test_an_origin_and_its_snapshot_are_four_devices() -> None:
    assert tables(snapshot(options=(("chunksize", Sectors(32)),))) == {
        "vg-base-real": "linear PV 2048",
        "vg-base": "snapshot-origin vg-base-real",
        "vg-snap-cow": f"linear PV {2048 + 20 * EXTENT}",
        "vg-snap": "snapshot vg-base-real vg-snap-cow P 32",
    }


def test_a_read_only_snapshot_writes_its_exceptions() -> None:
    group, _ = create(origin(), "snap", [[area(0, 20, 2)]], origin="base", read_only=True)
    devices = {d.name: d for d in stack(group, [group.lv_by_name["base"].id], TARGETS)}
    assert {name for name, d in devices.items() if d.read_only} == {"vg-snap"}


def test_only_what_users_see_has_a_link_and_numbers() -> None:
    group = snapshot()
    for name, minor in (("base", 5), ("snap", 6)):
        lv = group.lv_by_name[name]
        group = group.with_lv(evolve(lv, minor=minor, major=253, status=(*lv.status, "FIXED_MINOR")))
    devices = {d.name: d for d in stack(group, [group.lv_by_name["base"].id], TARGETS)}
    assert {name: d.link for name, d in devices.items() if d.link} == {
        "vg-base": ("vg", "base"),
        "vg-snap": ("vg", "snap"),
    }
    assert {name: d.numbers for name, d in devices.items() if d.numbers} == {
        "vg-base": (253, 5),
        "vg-snap": (253, 6),
    }


def test_bookkeeping_has_no_device() -> None:
    group = snapshot()
    assert stack(group, [group.lv_by_name["snapshot0"].id], TARGETS) == ()


# -- plans ----------------------------------------------------------------------------------------


def order(plan: Plan) -> list[str]:
    """The steps of interest as short words."""
    words = {Suspend: "suspend", Resume: "resume", LoadTable: "load", Commit: "commit", ZeroSectors: "zero"}
    found = []
    for step in plan.steps:
        if isinstance(step, RemoveDevice):
            found.append(f"remove {step.name}")
        elif type(step) in words:
            device = getattr(step, "device", None)
            found.append(f"{words[type(step)]} {device.name}" if device else words[type(step)])
    return found


def test_a_new_snapshot_runs_before_its_origin_does_again() -> None:
    """What is written to the origin from then on must not pass the snapshot by; one commit does it all."""
    before = origin()
    after, built = create(before, "snap", [[area(0, 20, 2)]], origin="base")
    steps = order(plan_change(Change(before, after, zero=built.zero), running(before), TARGETS))
    assert steps[0] == "zero"
    assert steps.count("commit") == 1
    assert (
        steps.index("suspend vg-base")
        < steps.index("commit")
        < steps.index("resume vg-snap")
        < steps.index("resume vg-base")
    )
    assert steps.index("resume vg-snap-cow") < steps.index("load vg-snap")


def test_a_second_snapshot_finds_the_origin_suspended_too() -> None:
    """The origin's table stays the same, and yet no write may be under way while a snapshot appears."""
    before = snapshot()
    after, built = create(before, "two", [[area(0, 30, 2)]], origin="base")
    assert tables(before)["vg-base"] == tables(after)["vg-base"]
    steps = order(plan_change(Change(before, after, zero=built.zero), running(before), TARGETS))
    assert steps.index("suspend vg-base") < steps.index("resume vg-two") < steps.index("resume vg-base")
    assert steps.index("load vg-two") < steps.index("suspend vg-base")


@pytest.mark.parametrize("first", ["base", "snap"])
def test_a_merge_takes_over_before_its_snapshot_gives_up(first: str) -> None:
    """The kernel hands the exceptions over only while the snapshot that has them is suspended and still there."""
    group = snapshot(snapshot(), "two", 30)
    if first == "snap":
        group = evolve(group, lvs=tuple(reversed(group.lvs)))
    live = running(group)
    merging, _ = merge(group, "snap", live)
    base = group.lv_by_name["base"].id
    steps = order(plan_change(Change(group, merging, start=(base,)), live, TARGETS))
    assert {"load vg-base", "load vg-snap"} <= set(steps)
    for name in ("vg-base", "vg-snap"):
        assert steps.index(f"suspend {name}") < steps.index("commit") < steps.index(f"resume {name}")
    assert steps.index("resume vg-base") < steps.index("resume vg-snap")


def test_an_extended_cow_volume_is_loaded_below_its_suspended_users() -> None:
    before = snapshot()
    after = extend(before, "snap", [[area(0, 60, 1)]])
    steps = order(plan_change(Change(before, after), running(before), TARGETS))
    assert [s for s in steps if s.startswith("load")] == ["load vg-snap-cow", "load vg-snap"]
    assert steps.index("suspend vg-snap") < steps.index("suspend vg-snap-cow") < steps.index("commit")


def test_removing_the_last_snapshot_leaves_the_origin_as_it_was() -> None:
    before = snapshot()
    after = before.without_lv(before.lv_by_name["snap"].id, before.lv_by_name["snapshot0"].id)
    steps = order(plan_change(Change(before, after), running(before), TARGETS))
    assert {s for s in steps if s.startswith("remove")} == {
        "remove vg-snap",
        "remove vg-snap-cow",
        "remove vg-base-real",
    }
    assert tables(after) == {"vg-base": "linear PV 2048"}


# -- merging --------------------------------------------------------------------------------------


def test_a_merge_that_can_start_starts() -> None:
    group = snapshot()
    merging, built = merge(group, live=running(group))
    assert built.notes == ("Merging of volume vg/snap started.",)
    assert tables(merging, running(group), start=True) == {
        "vg-base-real": "linear PV 2048",
        "vg-snap-cow": f"linear PV {2048 + 20 * EXTENT}",
        "vg-base": "snapshot-merge vg-base-real vg-snap-cow P 8",
        "vg-snap": "error",
    }


@pytest.mark.parametrize(("name", "word"), [("vg-base", "origin"), ("vg-snap", "snapshot")])
def test_a_merge_waits_while_something_is_open(name: str, word: str) -> None:
    group = snapshot()
    live = running(group, opened=(name,))
    merging, built = merge(group, live=live)
    assert built.notes == (
        f"Delaying merge since {word} is open.",
        "Merging of snapshot vg/snap will occur on next activation of vg/base.",
    )
    assert tables(merging, live, start=True) == tables(group)


def test_a_merge_that_waits_begins_with_a_refresh_and_with_nothing_else() -> None:
    group = snapshot(snapshot(), "two", 30)
    live = running(group)
    merging = merge(group, "snap", running(group, opened=("vg-base",)))[0]
    longer = extend(merging, "two", [[area(0, 60, 1)]])
    base = group.lv_by_name["base"].id
    assert "load vg-base" not in order(plan_change(Change(merging, longer), live, TARGETS))
    assert "load vg-base" not in order(plan_change(Change(merging, merging, activate=(base,)), live, TARGETS))
    steps = plan_change(Change(merging, merging, refresh=(base,)), live, TARGETS).steps
    loaded = {s.device.name: s.device.table[0].target for s in steps if isinstance(s, LoadTable)}
    assert (loaded["vg-base"], loaded["vg-snap"]) == ("snapshot-merge", "error")


def test_volumes_of_which_a_merge_waits_are_deactivated() -> None:
    """The snapshot is hidden by then, and its device is there as before."""
    group = snapshot(snapshot(), "two", 30)
    live = running(group)
    merging = merge(group, "snap", running(group, opened=("vg-base",)))[0]
    steps = plan_change(Change(merging, merging, deactivate=(group.lv_by_name["base"].id,)), live, TARGETS).steps
    assert {s.name for s in steps if isinstance(s, RemoveDevice)} == {d.name for d in live.values()}


def test_a_merge_of_inactive_volumes_starts_when_they_are_activated() -> None:
    merging, built = merge(snapshot())
    assert built.notes == ("Merging of snapshot vg/snap will occur on next activation of vg/base.",)
    assert tables(merging)["vg-base"].startswith("snapshot-merge")


def test_a_merge_that_runs_goes_on_even_if_the_origin_is_open() -> None:
    merging = merge(snapshot())[0]
    live = running(merging, opened=("vg-base",))
    assert tables(merging, live) == tables(merging)


def test_whether_a_merge_runs_is_not_guessed() -> None:
    merging = merge(snapshot())[0]
    live = {u: evolve(d, table=None, status=None) for u, d in running(merging).items()}
    with pytest.raises(PluginError, match="table of vg-base is needed"):
        tables(merging, live)
    # A report that did not ask has nothing to show, and that is all.
    for name in ("base", "snap"):
        TARGETS.status_device(merging, merging.lv_by_name[name], live)


def test_one_snapshot_merges_at_a_time() -> None:
    group = merge(snapshot(snapshot(), "two", 30))[0]
    with pytest.raises(Refused, match=r"cannot merge snapshot .* with merging snapshot vg/snap"):
        merge(group, "two")


@pytest.mark.parametrize("how", ["idle", "opened", "inactive", "running"])
def test_a_merge_that_is_asked_for_again_begins_if_it_only_waited(how: str) -> None:
    """So it is after a command that was killed between its commit and the devices."""
    group = merge(snapshot())[0]
    opened = ("vg-base",) if how == "opened" else ()
    live = {} if how == "inactive" else running(snapshot() if how != "running" else group, opened=opened)
    request = ConvertVolume(group.lv_by_name["snap"].id, (("merge", True),))

    def again() -> Change:
        return convert_volume(group, request, TARGETS, STAMP, live=live)

    if how == "idle":
        change = again()
        assert change.after == group, "it is written down already"
        assert change.notes == ("Merging of volume vg/snap started.",)
        loaded = [step.device for step in plan_change(change, live, TARGETS).steps if isinstance(step, LoadTable)]
        assert any(line.target == "snapshot-merge" for device in loaded for line in device.table)
    else:
        said = {"running": "already being merged into vg/base", "opened": "already to be merged into vg/base"}
        with pytest.raises(Refused, match=said.get(how, said["opened"])) as raised:
            again()
        hint = {"running": "vgchange --poll y vg", "opened": "lvchange --refresh vg/base"}
        assert hint.get(how, "lvchange -ay vg/base") in raised.value.hint


@pytest.mark.parametrize("act", ["extend", "rename", "remove", "tag"])
def test_what_else_is_asked_of_a_snapshot_that_merges_is_refused_for_that_reason(act: str) -> None:
    group = merge(snapshot())[0]
    snap, live = group.lv_by_name["snap"].id, running(group)
    acts: dict[str, Callable[[], object]] = {
        "extend": lambda: extend_volume(
            group, ExtendVolume(snap, SizeSpec(Extents(1), "+")), TARGETS, STAMP, live=live
        ),
        "rename": lambda: rename_volume(group, RenameVolume(snap, LvName("other")), TARGETS, live=live),
        "remove": lambda: remove_volume(group, RemoveVolume(snap), TARGETS, live=live),
        "tag": lambda: change_volume(group, ChangeVolume(snap, add_tags=(Tag("t"),)), TARGETS, live=live),
    }
    with pytest.raises(Refused, match="merg"):
        acts[act]()


def test_only_a_snapshot_can_be_merged() -> None:
    with pytest.raises(Refused, match="not a mergeable logical volume"):
        merge(snapshot(), "base")


def test_nothing_is_merged_into_a_read_only_origin() -> None:
    group = snapshot()
    base = group.lv_by_name["base"]
    with pytest.raises(Refused, match="read-only origin"):
        merge(group.with_lv(evolve(base, status=("READ", "VISIBLE"))))


def test_an_invalid_snapshot_is_not_merged() -> None:
    group = snapshot()
    with pytest.raises(Refused, match="invalidated"):
        merge(group, live=running(group, status="Invalid"))


def test_a_merge_ends_when_only_metadata_are_in_use() -> None:
    group = merge(snapshot(snapshot(), "two", 30))[0]
    base = group.lv_by_name["base"]
    book = group.lv_by_name["snapshot0"]
    assert TARGETS.pending(group) == ((book, Pending("merge", StatusOutcome.READY, base.id)),)
    request = FinishVolume(book.id, "merge")
    assert TARGETS.own_change(group, request, Context(book, TARGETS, STAMP)) is None
    for said in ("24/16384 16", "Merge failed", "Invalid", "16/16384 16"):
        live = running(group, status=said)
        built = TARGETS.own_change(group, request, Context(book, TARGETS, STAMP, live))
        assert (built is not None) == (said == "16/16384 16")
    assert built is not None
    assert {group.lv_by_id[lv].name for lv in built.removed} == {"snap", "snapshot0"}
    assert built.notes == ("Merge of snapshot into logical volume vg/base has finished.",)
    assert set(tables(with_built(group, built))) == {"vg-base", "vg-base-real", "vg-two", "vg-two-cow"}


def test_an_origin_without_a_merge_has_nothing_to_end() -> None:
    group = snapshot()
    book, live = group.lv_by_name["snapshot0"], running(group, status="16/16384 16")
    assert TARGETS.pending(group) == ()
    assert TARGETS.own_change(group, FinishVolume(book.id, "merge"), Context(book, TARGETS, STAMP, live)) is None


def test_a_merge_that_has_not_begun_has_not_ended() -> None:
    """The origin runs as it did before the merge was asked for, and all is well with it: that ends nothing."""
    plain = snapshot()
    live = running(plain, status="16/16384 16")
    group = merge(plain)[0]
    ((book, pending),) = TARGETS.pending(group)
    assert TARGETS.pending_status(group, book, pending, live) is None
    assert TARGETS.own_change(group, FinishVolume(book.id, "merge"), Context(book, TARGETS, STAMP, live)) is None


# -- status ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "params", "percent", "health", "outcome"),
    [
        ("snapshot", "16/16384 16", 0.0, "", StatusOutcome.READY),
        ("snapshot", "8192/16384 16", 50.0, "", StatusOutcome.READY),
        ("snapshot", "16384/16384 72", 100.0, "", StatusOutcome.READY),
        ("snapshot", "8192/16384", 50.0, "", StatusOutcome.READY),
        ("snapshot", "1/3 0", 33.333333, "", StatusOutcome.READY),
        ("snapshot", "Invalid", 100.0, "invalid", StatusOutcome.FAILED),
        ("snapshot", "Overflow", 100.0, "overflow", StatusOutcome.FAILED),
        ("snapshot", "Merge failed", None, "merge failed", StatusOutcome.FAILED),
        ("snapshot", "Unknown", None, "unknown", StatusOutcome.FAILED),
        ("snapshot", "what is this", None, "unknown", StatusOutcome.FAILED),
        ("snapshot", "", None, "unknown", StatusOutcome.FAILED),
        ("snapshot-merge", "24/16384 16", 0.146484, "", StatusOutcome.WAITING),
        ("snapshot-merge", "16/16384 16", 0.0, "", StatusOutcome.READY),
        ("snapshot-merge", "Merge failed", None, "merge failed", StatusOutcome.FAILED),
        ("snapshot-origin", "", None, "", StatusOutcome.READY),
    ],
)
def test_status_lines_mean(target: str, params: str, percent: float | None, health: str, outcome: str) -> None:
    group = snapshot()
    line = KernelLine(Sectors(0), Sectors(8), target, params)
    status = TARGETS.parse_status(group, group.lv_by_name["snap"], (line,))
    assert (status.percent, status.health, status.outcome) == (percent, health, outcome)


@given(st.integers(0, 1 << 50), st.integers(1, 1 << 50))
def test_a_percentage_is_0_or_100_only_if_exact(part: int, whole: int) -> None:
    found = percentage(min(part, whole), whole)
    assert (found == 0) == (part == 0)
    assert (found == 100) == (part >= whole)
    assert 0 <= found <= 100


def state(group: VolumeGroup, name: str, live: Live) -> str:
    volume = group.lv_by_name[name]
    status = TARGETS.status(group, volume, live)
    return TARGETS.describe(group, volume, volume.segments[0], status).state


def test_lost_snapshots_have_letters_of_their_own() -> None:
    group = snapshot()
    assert state(group, "snap", running(group)) == ""
    assert state(group, "snap", running(group, status="Invalid")) == "IS"
    assert state(group, "snap", running(group, status="Overflow")) == ""
    merging = merge(group)[0]
    assert state(merging, "base", running(merging, status="Merge failed")) == "mM"
    assert state(merging, "snap", running(merging, status="Merge failed")) == "mM"


def test_the_status_of_an_origin_is_that_of_its_own_segments() -> None:
    group = snapshot()
    base = group.lv_by_name["base"]
    assert TARGETS.status_device(group, base) == dm_uuid(group.id, base.id, "real")


def test_a_cow_volume_that_is_not_there_is_no_crash() -> None:
    """A damaged text names a volume that it does not have: the reader says so, the plugin leaves it alone."""
    from tests.proof.fuzz import KINDS

    (seeds, _, run) = KINDS["metadata texts"]()
    text = next(seed for seed in seeds if b"cow_store" in seed)
    start = text.index(b"cow_store")
    end = text.index(b"\n", start)
    run(text[:start] + b'cow_store = "gone"' + text[end:])
