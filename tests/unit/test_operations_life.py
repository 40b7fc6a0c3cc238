"""Groups that live: whatever is done to them, in whatever order, they stay valid, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.groups import (
    STAMP,
    TARGETS,
    a_group,
    after,
    create,
    extend,
    grown_groups,
    pv_list,
    reduce,
    remove,
    rename,
    snapshot_of,
    used,
    volume,
)
from vmgr.core.change import Change
from vmgr.core.errors import InvalidGroup, Refused, VmgrError
from vmgr.core.group_requests import ChangeGroup, ChangePv
from vmgr.core.model import LogicalVolume, VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.operations.change import change_volume
from vmgr.core.operations.convert import convert_volume, finish_volume
from vmgr.core.operations.extend import resize_volume
from vmgr.core.operations.group_change import change_group, change_pvs
from vmgr.core.requests import ChangeVolume, ConvertVolume, ResizeVolume, Stamp
from vmgr.core.sizes import parse_extents
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors
from vmgr.core.validate import validate

POLICIES = st.sampled_from(("contiguous", "cling", "normal", "anywhere", "inherit"))
SIZES = st.one_of(
    st.integers(1, 30).map(str),
    st.tuples(st.integers(1, 120).map(str), st.sampled_from(("VG", "FREE", "PVS", "LV", "ORIGIN"))).map("%".join),
)


def _ended(group: VolumeGroup, lv: LogicalVolume, stamp: Stamp) -> Change | None:
    """What comes of it when the kernel says that a merge into the volume has ended."""
    line = KernelLine(Sectors(0), Sectors(8), "snapshot-merge", "16/2048 16")
    uuid = dm_uuid(group.id, lv.id)
    live = {uuid: LiveDevice("top", uuid, 253, 0, status=(line,))}
    for book, pending in TARGETS.pending(group):
        if pending.on == lv.id:
            return finish_volume(group, book.id, pending.name, TARGETS, stamp, live=live)
    return None


class GroupLife(RuleBasedStateMachine):
    """A group, and everything that can be asked of it, possible or not."""

    def __init__(self) -> None:
        super().__init__()
        self.group = a_group(10)
        self.count = 0

    @initialize(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=4), alloc=POLICIES)
    def begin(self, sizes: list[int], alloc: str) -> None:
        self.group = a_group(*sizes, alloc="normal" if alloc == "inherit" else alloc)

    def attempt(self, operation: Callable[[VolumeGroup], VolumeGroup | Change]) -> None:
        """Do it. An error of any other kind than our own is a bug, and so is our own for a broken group."""
        self.count += 1
        try:
            result = operation(self.group)
        except VmgrError as error:
            if isinstance(error, InvalidGroup) or not str(error) or str(error).endswith("."):
                raise
            return
        self.group = after(result) if isinstance(result, Change) else result

    def some(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from([lv.name for lv in self.group.lvs]))

    @rule(
        size=SIZES,
        stripes=st.integers(0, 3),
        alloc=POLICIES,
        named=st.booleans(),
        listed=st.booleans(),
        data=st.data(),
    )
    def create(self, size: str, stripes: int, alloc: str, named: bool, listed: bool, data: st.DataObject) -> None:
        pvs: tuple[str, ...] = ()
        if listed:
            number = data.draw(st.integers(0, len(self.group.pvs) - 1))
            pvs = (f"pv{number}:0-{int(self.group.pvs[number].pe_count) // 2}",)
        name = f"v{self.count}" if named else None
        self.attempt(lambda g: create(g, size, name, stripes=stripes, alloc=alloc, pvs=pvs))

    @rule(size=SIZES)
    def create_pair(self, size: str) -> None:
        self.attempt(lambda g: create(g, size, f"p{self.count}", type="pair", options=()))

    @precondition(lambda self: self.group.lvs)
    @rule(size=SIZES, data=st.data())
    def snapshot(self, size: str, data: st.DataObject) -> None:
        name = self.some(data)
        self.attempt(lambda g: snapshot_of(g, name, size, f"s{self.count}"))

    @precondition(lambda self: self.group.lvs)
    @rule(size=SIZES, sign=st.sampled_from(("", "+", "+", "-")), data=st.data())
    def resize(self, size: str, sign: str, data: st.DataObject) -> None:
        lv = volume(self.group, self.some(data))
        request = ResizeVolume(lv.id, parse_extents(sign + size))
        self.attempt(lambda g: resize_volume(g, request, TARGETS, STAMP.part(self.count)))

    @precondition(lambda self: self.group.lvs)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = self.some(data)
        self.attempt(lambda g: remove(g, name))

    @precondition(lambda self: self.group.lvs)
    @rule(new=st.sampled_from(("x", "y", "lvol5", "snapshot9", "a_rmeta")), data=st.data())
    def rename(self, new: str, data: st.DataObject) -> None:
        name = self.some(data)
        self.attempt(lambda g: rename(g, name, new))

    @precondition(lambda self: self.group.lvs)
    @rule(alloc=POLICIES, read_only=st.booleans(), data=st.data())
    def change(self, alloc: str, read_only: bool, data: st.DataObject) -> None:
        request = ChangeVolume(volume(self.group, self.some(data)).id, alloc=alloc, read_only=read_only)
        self.attempt(lambda g: change_volume(g, request, TARGETS))

    @precondition(lambda self: self.group.lvs)
    @rule(data=st.data(), end=st.booleans())
    def merge(self, data: st.DataObject, end: bool) -> None:
        lv = volume(self.group, self.some(data))
        if not end:
            request = ConvertVolume(lv.id, (("merge", True),))
            self.attempt(lambda g: convert_volume(g, request, TARGETS, STAMP.part(self.count)))
            return

        def finish(group: VolumeGroup) -> VolumeGroup | Change:
            return _ended(group, lv, STAMP.part(self.count)) or group

        self.attempt(finish)

    @rule(size=st.sampled_from((1024, 4096, 8192, 16384)))
    def other_extents(self, size: int) -> None:
        self.attempt(lambda g: change_group(g, ChangeGroup(extent_size=Sectors(size)), TARGETS))

    @rule(on=st.booleans(), data=st.data())
    def allocatable(self, on: bool, data: st.DataObject) -> None:
        pv = data.draw(st.sampled_from(self.group.pvs))
        self.attempt(lambda g: change_pvs(g, (pv.id,), ChangePv(allocatable=on), TARGETS))

    @invariant()
    def valid(self) -> None:
        assert validate(self.group, TARGETS) == ()

    @invariant()
    def ordered(self) -> None:
        """Visible volumes come first: the order in which LVM2 writes and reads them."""
        shown = [lv.visible for lv in self.group.lvs]
        assert shown == sorted(shown, reverse=True)

    @invariant()
    def counted(self) -> None:
        assert int(self.group.free) + int(self.group.allocated) == int(self.group.extents)


TestGroupLife = GroupLife.TestCase
TestGroupLife.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(grown_groups(), st.integers(1, 30), st.integers(0, 3), POLICIES)
def test_creating_and_removing_gives_the_space_back(
    group: VolumeGroup, size: int, stripes: int, alloc: str
) -> None:
    """Not only as much: the group is as it was."""
    try:
        grown = create(group, str(size), "new", stripes=stripes, alloc=alloc)
    except VmgrError:
        return
    assert remove(grown, "new") == group


@given(grown_groups(), st.integers(1, 30), st.data())
def test_extending_and_reducing_restores_the_volume(group: VolumeGroup, size: int, data: st.DataObject) -> None:
    """A volume cut back to its old length lies where it lay, with the segments that it had."""
    names = [lv.name for lv in group.lvs if lv.visible]
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    own = volume(group, name).size
    try:
        longer = extend(group, name, f"+{size}")
    except VmgrError:
        return
    assert volume(longer, name).size > own or longer == group
    if longer == group:
        return
    try:
        restored = reduce(longer, name, str(own))
    except Refused:  # an origin of snapshots is not reduced
        assert any("snapshot" in lv.name for lv in group.lvs)
    else:
        assert restored == group


@given(grown_groups(), st.data())
def test_renaming_back_and_forth_changes_nothing(group: VolumeGroup, data: st.DataObject) -> None:
    names = [lv.name for lv in group.lvs if lv.visible]
    if names:
        name = data.draw(st.sampled_from(names))
        assert rename(rename(group, name, "other"), "other", name) == group


@given(grown_groups(), st.integers(1, 30), st.data())
def test_an_extension_leaves_what_was_there_where_it_was(
    group: VolumeGroup, size: int, data: st.DataObject
) -> None:
    """Every extent that was in use before is used by the same volume after, at the same offset."""
    names = [lv.name for lv in group.lvs if lv.visible]
    if not names:
        return
    name = data.draw(st.sampled_from(names))
    try:
        longer = extend(group, name, f"+{size}")
    except VmgrError:
        return
    for lv in group.lvs:
        old = [a for s in lv.segments for a in s.body.areas]
        new = [a for s in volume(longer, lv.name).segments for a in s.body.areas]
        for a in old:
            assert any(
                b.start <= a.start and int(b.start) + int(b.length) >= int(a.start) + int(a.length)
                for b in new
                if type(a) is type(b) and getattr(a, "pv", None) == getattr(b, "pv", None)
            )


@given(grown_groups(), st.sampled_from(("10%VG", "50%FREE", "100%FREE", "100%PVS")), st.integers(0, 3))
def test_a_percentage_never_takes_more_than_it_says(group: VolumeGroup, size: str, stripes: int) -> None:
    try:
        grown = create(group, size, "new", stripes=stripes)
    except VmgrError:
        return
    percent, _, of = size.partition("%")
    base = int(group.free) if of == "FREE" else int(group.extents)
    step = max(stripes, 1)
    assert int(volume(grown, "new").size) <= -(-(int(percent) * base // 100) // step) * step


@given(grown_groups(), st.integers(1, 9))
def test_a_pv_list_is_kept_to(group: VolumeGroup, size: int) -> None:
    """What is created from a list lies within the list."""
    last = int(group.pvs[0].pe_count) // 2
    try:
        grown = create(group, str(size), "new", pvs=[f"pv0:0-{last}"])
    except VmgrError:
        return
    allowed = pv_list(group, f"pv0:0-{last}")[0]
    for area in volume(grown, "new").areas():
        assert getattr(area, "pv", None) == allowed.pv
        assert int(area.start) + int(area.length) <= last + 1
    before = used(group)
    assert all(before[pv.id] == used(grown)[pv.id] for pv in group.pvs[1:])
