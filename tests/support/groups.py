"""Makers of groups for tests of the core: short calls that go through the real operations, and strategies.

``a_group(20, 30)`` has two PVs, ``pv0`` and ``pv1``, of 20 and 30 extents. ``create(group, "10")`` and its siblings
take sizes in the words of ``-l`` and give the group afterwards.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tests.support import pair_target
from vmgr.core.change import Change
from vmgr.core.errors import VmgrError
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, VolumeGroup
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import remove_volume
from vmgr.core.operations.rename import rename_volume
from vmgr.core.requests import (
    CreateVolume,
    ExtendVolume,
    OptionValue,
    PvRange,
    ReduceVolume,
    RemoveVolume,
    RenameVolume,
    Stamp,
)
from vmgr.core.sizes import parse_extents, parse_pv_ranges
from vmgr.core.targets import Targets
from vmgr.core.units import Extents, Sectors
from vmgr.plugins import linear, snapshot, striped

TARGETS = Targets(
    [("linear", linear), ("striped", striped), ("snapshot", snapshot), ("pair", pair_target.PairPlugin())]
)
"""The built-in targets, and :mod:`tests.support.pair_target`."""

STAMP = Stamp(b"seed" * 8, 1_700_000_000, "host")
KIB64 = Sectors(128)


def stamp(group: VolumeGroup) -> Stamp:
    """A stamp whose UUIDs no volume of the group has."""
    return STAMP.part(zlib.crc32("".join(group.lv_by_id).encode()))


def uuid(word: str) -> Uuid:
    """A UUID that can be told from others when a test fails."""
    return Uuid(word.ljust(32, "0")[:32])


def a_pv(number: int, extents: int, extent_size: int = 8192, **fields: Any) -> PhysicalVolume:
    """The PV ``pvN`` on ``/dev/pvN``."""
    fields.setdefault("status", ("ALLOCATABLE",))
    return PhysicalVolume(
        id=uuid(f"pv{number}"),
        device=f"/dev/pv{number}",
        dev_size=Sectors(2048 + extents * extent_size),
        pe_start=Sectors(2048),
        pe_count=Extents(extents),
        **fields,
    )


def a_group(*extents: int, extent_size: int = 8192, **fields: Any) -> VolumeGroup:
    """An empty group ``vg`` with a PV for each number of extents."""
    fields.setdefault("id", uuid("group"))
    fields.setdefault("name", VgName("vg"))
    fields.setdefault("seqno", 1)
    fields.setdefault("pvs", tuple(a_pv(n, count, extent_size) for n, count in enumerate(extents)))
    return VolumeGroup(extent_size=Sectors(extent_size), **fields)


def pv_list(group: VolumeGroup, *words: str) -> tuple[PvRange, ...]:
    """``pv0``, ``pv1:0-9``...: what a command line lists."""
    found = []
    for word in words:
        name, colon, ranges = word.partition(":")
        pv = group.pv_by_id[uuid(name)]
        found.append(PvRange(pv.id, parse_pv_ranges(colon + ranges, pv.pe_count)))
    return tuple(found)


def _options(stripes: int, stripe_size: Sectors) -> tuple[tuple[str, OptionValue], ...]:
    return (("stripes", stripes), ("stripesize", stripe_size)) if stripes else ()


def creation(
    group: VolumeGroup,
    size: str,
    name: str | None = None,
    *,
    stripes: int = 0,
    pvs: Sequence[str] = (),
    targets: Targets = TARGETS,
    **fields: Any,
) -> Change:
    """The change that makes a volume of ``size``."""
    fields.setdefault("options", _options(stripes, KIB64))
    request = CreateVolume(
        size=parse_extents(size), name=LvName(name) if name else None, pvs=pv_list(group, *pvs), **fields
    )
    return create_volume(group, request, targets, stamp(group))


def create(group: VolumeGroup, size: str, name: str | None = None, **fields: Any) -> VolumeGroup:
    """The group with a new volume."""
    return after(creation(group, size, name, **fields))


def snapshot_of(group: VolumeGroup, origin: str, size: str, name: str | None = None) -> VolumeGroup:
    """The group with a snapshot of ``origin``."""
    return create(group, size, name, origin=group.lv_by_name[origin].id, options=(("snapshot", True),))


def extension(
    group: VolumeGroup, name: str, size: str, *, stripes: int = 0, pvs: Sequence[str] = (), **fields: Any
) -> Change:
    """The change that makes volume ``name`` longer."""
    request = ExtendVolume(
        group.lv_by_name[name].id,
        parse_extents(size),
        options=_options(stripes, KIB64),
        pvs=pv_list(group, *pvs),
        **fields,
    )
    return extend_volume(group, request, TARGETS, stamp(group))


def extend(group: VolumeGroup, name: str, size: str, **fields: Any) -> VolumeGroup:
    """The group with volume ``name`` made longer."""
    return after(extension(group, name, size, **fields))


def reduction(group: VolumeGroup, name: str, size: str) -> Change:
    """The change that makes volume ``name`` shorter."""
    return reduce_volume(group, ReduceVolume(group.lv_by_name[name].id, parse_extents(size)), TARGETS)


def reduce(group: VolumeGroup, name: str, size: str) -> VolumeGroup:
    """The group with volume ``name`` made shorter."""
    return after(reduction(group, name, size))


def remove(group: VolumeGroup, name: str) -> VolumeGroup:
    """The group without volume ``name``."""
    return after(remove_volume(group, RemoveVolume(group.lv_by_name[name].id), TARGETS))


def rename(group: VolumeGroup, name: str, new: str) -> VolumeGroup:
    """The group with volume ``name`` called ``new``."""
    return after(rename_volume(group, RenameVolume(group.lv_by_name[name].id, LvName(new)), TARGETS))


def after(change: Change) -> VolumeGroup:
    """The group that a change leaves."""
    assert change.after is not None
    return change.after


def places(group: VolumeGroup, name: str) -> list[list[str]]:
    """Where a volume's extents lie: for each segment its areas, such as ``pv0:5+10``."""
    return [
        [
            f"{group.pv_by_id[a.pv].device[5:]}:{a.start}+{a.length}"
            for a in segment.body.areas
            if isinstance(a, PvArea)
        ]
        for segment in group.lv_by_name[name].segments
    ]


def used(group: VolumeGroup) -> dict[Uuid, tuple[tuple[int, int], ...]]:
    """The occupied runs of each PV, neighbours joined."""
    found: dict[Uuid, tuple[tuple[int, int], ...]] = {}
    for pv, areas in group.used.items():
        runs: list[tuple[int, int]] = []
        for area in areas:
            start, end = int(area.start), int(area.start) + int(area.length)
            if runs and runs[-1][1] == start:
                runs[-1] = (runs[-1][0], end)
            else:
                runs.append((start, end))
        found[pv] = tuple(runs)
    return found


def volume(group: VolumeGroup, name: str) -> LogicalVolume:
    """The volume ``name``."""
    return group.lv_by_name[name]


# -- strategies -----------------------------------------------------------------------------------


@st.composite
def grown_groups(draw: st.DrawFn, steps: int = 8) -> VolumeGroup:
    """Groups as a life of creations, extensions, reductions and removals leaves them."""
    sizes = draw(st.lists(st.integers(1, 40), min_size=1, max_size=4))
    alloc = draw(st.sampled_from(("normal", "normal", "anywhere", "cling", "contiguous")))
    group = a_group(*sizes, alloc=alloc)
    for number in range(draw(st.integers(0, steps))):
        names = [lv.name for lv in group.lvs if lv.visible]
        kind = draw(st.sampled_from(("create", "create", "extend", "reduce", "remove", "snapshot")))
        size = draw(st.integers(1, 15))
        try:
            if kind == "create" or not names:
                group = create(group, str(size), f"v{number}", stripes=draw(st.integers(0, 3)))
                continue
            name = draw(st.sampled_from(names))
            if kind == "extend":
                group = extend(group, name, f"+{size}")
            elif kind == "reduce":
                group = reduce(group, name, f"-{size}")
            elif kind == "snapshot":
                group = snapshot_of(group, name, str(size), f"v{number}")
            else:
                group = remove(group, name)
        except VmgrError:
            continue
    return group
