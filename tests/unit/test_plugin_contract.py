"""The paper test of the plugin contract, executed: RAID 1, thin pools and caches over the core as it is."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.contract_targets import CONTRACT, PoolBody, Raid1, Raid1Body, ThinBody
from tests.support.plugins import STAMP, a_group
from tests.support.stacks import GOLDEN, Stack, load_stack
from tests.unit.test_plugin_golden import _bare
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.context import Context, Machine
from vmgr.core.devices import inactive, own_uuid, stack
from vmgr.core.errors import Refused, UsageError
from vmgr.core.hooks import OptionSpec, TargetInfo, hookimpl
from vmgr.core.ids import LvName, Uuid
from vmgr.core.model import LogicalVolume, LvArea, VolumeGroup
from vmgr.core.naming import dm_name, dm_uuid
from vmgr.core.operations.convert import take_back
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import remove_volumes
from vmgr.core.plan import active_volumes, plan_change
from vmgr.core.requests import CreateVolume, ExtendVolume, FinishVolume, ReduceVolume, RemoveVolume
from vmgr.core.steps import LoadTable, RenameDevice, Resume, SendMessage, Suspend
from vmgr.core.table import DevRef, DmDevice, KernelLine, TargetLine
from vmgr.core.targets import Targets
from vmgr.core.units import Extents, Sectors
from vmgr.core.validate import validate
from vmgr.core.view import GroupView
from vmgr.ondisk.codec import TextHeader, decode_group, encode_group
from vmgr.plugins import linear, snapshot, striped
from vmgr.report.facts import Context as ReportContext
from vmgr.report.facts import GroupFacts

NAMES = sorted(path.name.removeprefix("contract-") for path in GOLDEN.glob("contract-*"))


def load(name: str) -> Stack:
    return load_stack(name, "contract", CONTRACT)


@pytest.fixture(params=NAMES)
def made(request: pytest.FixtureRequest) -> Stack:
    return load(request.param)


def active(made: Stack) -> tuple[Uuid, ...]:
    return active_volumes(made.group, made.live)


def test_the_fixtures_are_there() -> None:
    assert set(NAMES) >= {"raid1", "thin", "thin-new", "thin-alone", "cache-raid", "cache-raid-snapshot"}


def test_the_core_tells_what_is_active(made: Stack) -> None:
    names = {made.group.lv_by_id[lv].name for lv in active(made)}
    expected = {
        "raid1": {"r"},
        "thin-new": {"pool"},
        "thin": {"pool", "thin", "tsnap"},
        "thin-alone": {"thin"},
        "cache-raid": {"c"},
        "cache-raid-snapshot": {"c", "csnap"},
    }
    assert names in expected.values()
    assert names == next(e for n, e in expected.items() if load(n) is made)


def test_devices_are_lvm2_s(made: Stack) -> None:
    devices = stack(made.group, active(made), CONTRACT, made.live)
    assert {(d.name, d.uuid) for d in devices} == {(d.name, d.uuid) for d in made.live.values()}
    for device in devices:
        live = made.live[device.uuid]
        assert live.table is not None
        assert made.shown(device) == [str(line).rstrip() for line in live.table]
        assert device.read_only == live.read_only
    assert {d.name: d.link for d in devices if d.link} == made.links


def test_each_device_comes_after_those_that_it_needs(made: Stack) -> None:
    seen: set[str] = set()
    for device in stack(made.group, active(made), CONTRACT, made.live):
        assert seen.issuperset((*device.needs(), *device.after))
        seen.add(device.uuid)


def test_texts_are_lvm2_s(made: Stack) -> None:
    text = encode_group(made.group, CONTRACT, TextHeader("", "h", 1, "d", "s", "p"))
    theirs = made.text[made.text.index("vg {") :]
    assert _bare(text[: text.index("# Generated")]) == _bare(theirs)
    assert decode_group(text, CONTRACT).group == made.group


def test_groups_are_valid(made: Stack) -> None:
    assert validate(made.group, CONTRACT) == ()


@pytest.mark.parametrize(
    ("name", "volume", "percent"),
    [("raid1", "r", 100.0), ("thin", "pool", 0.0), ("thin", "thin", 0.0), ("cache-raid", "c", 0.0)],
)
def test_statuses_come_back(name: str, volume: str, percent: float) -> None:
    made = load(name)
    lv = made.group.lv_by_name[volume]
    lines = made.live[CONTRACT.status_device(made.group, lv, made.live)].status
    assert lines
    status = CONTRACT.status(made.group, lv, made.live)
    assert status is not None
    assert (status.percent, status.health) == (percent, "")


def test_parts_of_a_raid_have_letters() -> None:
    group = load("raid1").group
    for row in load("raid1").rows:
        lv = group.lv_by_name[row["LV"].strip("[]")]
        facts = CONTRACT.describe(group, lv, lv.segments[0], None)
        assert (facts.kind, facts.target) == (row["Attr"][0], row["Attr"][6])


# -- making ---------------------------------------------------------------------------------------


def test_a_raid_volume_is_made_of_plain_ones() -> None:
    """Images and metadata are made by whoever makes plain volumes; the metadata are zeroed before the commit."""
    request = CreateVolume(SizeSpec(Extents(5)), LvName("r"), "raid1", options=(("mirrors", 1),))
    change = create_volume(a_group(), request, CONTRACT, STAMP)
    group = change.after
    assert group is not None
    assert {lv.name for lv in group.lvs} == {"r", "r_rimage_0", "r_rimage_1", "r_rmeta_0", "r_rmeta_1"}
    assert {lv.name for lv in group.lvs if lv.visible} == {"r"}
    on = {lv.name: {a.pv for a in lv.areas() if not isinstance(a, LvArea)} for lv in group.lvs}
    assert on["r_rimage_0"] == on["r_rmeta_0"] != on["r_rimage_1"] == on["r_rmeta_1"]
    assert {z.area.pv for z in change.zero} == on["r_rmeta_0"] | on["r_rmeta_1"]
    steps = plan_change(change, {}, CONTRACT).steps
    loads = [s.device.name for s in steps if isinstance(s, LoadTable)]
    assert loads[-1] == "vg-r"
    assert len(loads) == 5


def thin(group: VolumeGroup) -> Change:
    request = CreateVolume(SizeSpec(Extents(25)), LvName("more"), "thin", options=(("thinpool", "pool"),))
    return create_volume(group, request, CONTRACT, STAMP)


def test_a_thin_volume_s_pool_is_told_of_it_before_it_is_loaded() -> None:
    made = load("thin")
    steps = plan_change(thin(made.group), made.live, CONTRACT).steps
    words = [
        s.text if isinstance(s, SendMessage) else f"load {s.device.name}"
        for s in steps
        if isinstance(s, SendMessage | LoadTable)
    ]
    assert words == ["create_thin 3", "set_transaction_id 2 3", "load vg-more"]
    assert {s.unless for s in steps if isinstance(s, SendMessage)} == {"3 "}


def test_the_message_is_sent_as_soon_as_an_inactive_pool_runs() -> None:
    after = thin(load("thin").group).after
    assert after is not None
    change = Change(after, after, activate=(after.lv_by_name["more"].id,))
    steps = [s for s in plan_change(change, {}, CONTRACT).steps if isinstance(s, Resume | SendMessage | LoadTable)]
    words = [f"{type(s).__name__} {s.device.name}" for s in steps]
    assert (
        words.index("Resume vg-pool-tpool")
        < words.index("SendMessage vg-pool-tpool")
        < words.index("LoadTable vg-more")
    )


def test_the_message_is_forgotten_once_the_kernel_has_it() -> None:
    after = thin(load("thin").group).after
    assert after is not None
    pool = after.lv_by_name["pool"]
    made = load("thin")
    for number, done in ((2, False), (3, True)):
        said = f"{number} 112/1024 0/640 - rw no_discard_passdown queue_if_no_space - 256"
        live = dict(made.live)
        uuid = dm_uuid(after.id, pool.id, "tpool")
        live[uuid] = evolve(live[uuid], status=(KernelLine(Sectors(0), Sectors(8), "thin-pool", said),))
        built = CONTRACT.own_change(after, FinishVolume(pool.id, "messages"), Context(pool, CONTRACT, STAMP, live))
        assert (built is not None) == done
    assert built is not None
    body = built.volumes[0].segments[0].body
    assert isinstance(body, PoolBody)
    assert (body.create, body.transaction) == ((), 3)


def test_a_pool_is_told_of_all_thin_volumes_that_go_at_once() -> None:
    """A removal changes a volume that stays: the pool gets the messages and one new transaction."""
    group = load("thin").group
    requests = [RemoveVolume(group.lv_by_name[name].id) for name in ("thin", "tsnap")]
    change, refused = remove_volumes(group, requests, CONTRACT)
    assert not refused
    assert change.after is not None
    assert {lv.name for lv in change.after.lvs if lv.visible} == {"pool"}
    body = change.after.lv_by_name["pool"].segments[0].body
    assert isinstance(body, PoolBody)
    assert (body.delete, body.transaction) == ((1, 2), 3)
    made = load("thin")
    sent = [s.text for s in plan_change(change, made.live, CONTRACT).steps if isinstance(s, SendMessage)]
    assert sent == ["delete 1", "delete 2", "set_transaction_id 2 3"]


def test_an_option_that_no_hook_has_read_is_refused_by_name() -> None:
    group = load("raid1").group
    request = ReduceVolume(group.lv_by_name["r"].id, SizeSpec(Extents(4)), (("mirrors", 2),))
    with pytest.raises(UsageError, match="takes no --mirrors here"):
        reduce_volume(group, request, CONTRACT)


def test_what_a_pool_did_not_take_is_taken_back() -> None:
    """As far as the metadata go: the volume goes, and the pool is what it was."""
    group = load("thin").group
    after = thin(group).after
    assert after is not None
    back = take_back(after, after.lv_by_name["pool"].id, CONTRACT, STAMP)
    assert back is not None
    assert back.after is not None
    assert back.after.lv_by_name == group.lv_by_name


def test_a_pool_s_metadata_are_checked_before_it_runs_and_not_while_it_does() -> None:
    made = load("thin")
    group, volume = made.group, made.group.lv_by_name["thin"]
    machine = Machine(tools={"thin_check": "/usr/sbin/thin_check"})
    for live, count in (({}, 1), (made.live, 0)):
        context = Context(volume, CONTRACT, STAMP, live, machine)
        runs = CONTRACT.before_activation(group, inactive(group, [volume.id], live), context)
        assert [run.volumes for run in runs] == [(group.lv_by_name["pool_tmeta"].id,)] * count


def test_the_plugin_of_the_volume_above_says_what_may_be_done_to_a_hidden_part() -> None:
    group = load("thin").group
    data = group.lv_by_name["pool_tdata"]
    longer = extend_volume(group, ExtendVolume(data.id, SizeSpec(Extents(1), "+")), CONTRACT, STAMP).after
    assert longer is not None
    assert longer.lv_by_name["pool_tdata"].size == data.size + Extents(1)
    with pytest.raises(Refused, match="internal"):
        reduce_volume(group, ReduceVolume(data.id, SizeSpec(Extents(1), "-")), CONTRACT)


def test_a_pool_s_first_volume_turns_its_device_into_a_layer() -> None:
    """The pool's device is renamed by its UUID, and one that stands for the pool appears beside it."""
    made = load("thin-new")
    steps = plan_change(thin(made.group), made.live, CONTRACT).steps
    renames = [(s.old, s.device.name) for s in steps if isinstance(s, RenameDevice)]
    assert renames == [("vg-pool", "vg-pool-tpool")]


def test_a_thin_snapshot_outlives_its_origin() -> None:
    group = load("thin").group
    origin, snapshot = group.lv_by_name["thin"], group.lv_by_name["tsnap"]
    body = snapshot.segments[0].body
    assert isinstance(body, ThinBody)
    assert body.origin == origin.id
    assert validate(group.without_lv(origin.id), CONTRACT) == ()
    assert CONTRACT.removed_with(group, origin) == ()


def test_a_snapshot_of_a_cache_moves_the_cache_below_without_running_it_twice() -> None:
    """The cache's own device becomes the origin; ``-real`` gets the cache, and runs while that one stands still."""
    made = load("cache-raid")
    request = CreateVolume(SizeSpec(Extents(2)), LvName("csnap"), origin=made.group.lv_by_name["c"].id)
    change = create_volume(made.group, request, CONTRACT, STAMP, live=made.live)
    assert change.after is not None
    mine = {d.name: d.table[0].target for d in stack(change.after, active(made), CONTRACT)}
    assert mine == {d.name: d.table[0].target for d in load("cache-raid-snapshot").live.values() if d.table}
    steps = plan_change(change, made.live, CONTRACT).steps
    at = {
        (type(s).__name__, s.device.name): n
        for n, s in enumerate(steps)
        if isinstance(s, Suspend | Resume | LoadTable)
    }
    assert at["LoadTable", "vg-c-real"] < at["Suspend", "vg-c"] < at["Resume", "vg-c-real"]
    assert at["Resume", "vg-c-real"] < at["Resume", "vg-csnap"] < at["Resume", "vg-c"]


def test_a_pool_s_own_device_has_a_uuid_of_its_kind() -> None:
    for name, suffix in (("thin-new", "-tpool"), ("thin", "-pool")):
        group = load(name).group
        assert own_uuid(group, group.lv_by_name["pool"]).endswith(suffix)


# -- layers ---------------------------------------------------------------------------------------


class Checked(Raid1):
    """RAID 1 with a layer of its own over its volumes, as one that checks what is read would be."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        return evolve(super().target_info(), rank=10)

    @hookimpl
    def layers(self, group: VolumeGroup, volume: LogicalVolume, base: DmDevice) -> tuple[DmDevice, ...]:
        if not isinstance(volume.segments[0].body, Raid1Body):
            return (base,)
        inner = evolve(
            base,
            name=dm_name(group.name, volume.name, "inner"),
            uuid=dm_uuid(group.id, volume.id, "inner"),
            link=None,
        )
        return inner, evolve(base, table=(TargetLine(Sectors(0), base.size, "linear", (DevRef(inner.uuid), "0")),))


def test_layers_of_several_plugins_fold_over_each_other() -> None:
    """A snapshot is of all of the volume, whatever that consists of."""
    plugins = {"raid1": Checked(), "snapshot": snapshot, "linear": linear, "striped": striped}
    for order in (list(plugins), list(reversed(plugins))):
        targets = Targets([(name, plugins[name]) for name in order])
        request = CreateVolume(SizeSpec(Extents(5)), LvName("r"), "raid1", options=(("mirrors", 1),))
        group = create_volume(a_group(), request, targets, STAMP).after
        assert group is not None
        origin = group.lv_by_name["r"].id
        request = CreateVolume(SizeSpec(Extents(2)), LvName("s"), origin=origin)
        group = create_volume(group, request, targets, STAMP.part(50)).after
        assert group is not None
        devices = {d.name: d for d in stack(group, [origin], targets)}
        assert devices["vg-r-inner"].table[0].target == "raid"
        assert devices["vg-r-real"].needs() == (devices["vg-r-inner"].uuid,)
        assert devices["vg-r"].needs() == (devices["vg-r-real"].uuid,)
        assert {name for name, d in devices.items() if d.link} == {"vg-r", "vg-s"}


def test_reports_tell_by_the_same_device_whether_a_pool_is_active() -> None:
    for name, device in (("thin-new", "vg-pool"), ("thin", "vg-pool")):
        made = load(name)
        facts = GroupFacts(ReportContext(CONTRACT, str, made.live, {}), GroupView(made.group, {}))
        found = facts.live(made.group.lv_by_name["pool"])
        assert found is not None
        assert found.name == device


class Picky(Raid1):
    """RAID 1 with two options that exclude each other."""

    @hookimpl
    def target_info(self) -> TargetInfo:
        one, two = (OptionSpec(name, "flag", "", ("lvcreate",), group="sync") for name in ("sync", "nosync"))
        info = super().target_info()
        return evolve(info, options=(*info.options, one, two))


def test_of_a_group_of_options_one_may_be_given_also_by_a_program() -> None:
    targets = Targets([("raid1", Picky()), ("linear", linear)])
    request = CreateVolume(
        SizeSpec(Extents(5)), LvName("r"), "raid1", options=(("mirrors", 1), ("sync", True), ("nosync", True))
    )
    with pytest.raises(UsageError, match="--sync and --nosync exclude each other"):
        create_volume(a_group(), request, targets, STAMP)
