"""Groups to try target plugins on, without an allocator: space is taken where a test says."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.stacks import TARGETS
from vmgr.core.amounts import SizeSpec
from vmgr.core.exchange import Built, Run
from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, VolumeGroup
from vmgr.core.requests import CreateVolume, ExtendVolume, Options, Stamp
from vmgr.core.targets import Targets
from vmgr.core.units import Extents, Sectors

STAMP = Stamp(b"seed" * 8, 1_700_000_000, "host")


def uuid(word: str) -> Uuid:
    """A UUID that can be told from others when a test fails."""
    return Uuid(word.ljust(32, "0"))


def a_group(pvs: int = 3, extents: int = 100, extent_size: int = 8192) -> VolumeGroup:
    """An empty group ``vg`` with PVs of which each begins at another sector."""
    return VolumeGroup(
        uuid("group"),
        VgName("vg"),
        1,
        Sectors(extent_size),
        pvs=tuple(
            PhysicalVolume(
                uuid(f"pv{n}"),
                f"/dev/pv{n}",
                ("ALLOCATABLE",),
                Sectors(extents * extent_size + 4096),
                Sectors(2048 + n),
                Extents(extents),
            )
            for n in range(pvs)
        ),
    )


def area(pv: int, start: int, length: int) -> PvArea:
    """Extents of the PV number ``pv``."""
    return PvArea(uuid(f"pv{pv}"), Extents(start), Extents(length))


def extents_of(count: int) -> SizeSpec:
    """A size of ``count`` extents."""
    return SizeSpec(Extents(count))


def blank(name: str, *, number: int = 0, read_only: bool = False) -> LogicalVolume:
    """A new volume as the core hands it to a plugin."""
    status = ("READ", "VISIBLE") if read_only else ("READ", "WRITE", "VISIBLE")
    return LogicalVolume(STAMP.part(number).uuid(0), LvName(name), status, created=STAMP.time, host=STAMP.host)


def with_built(group: VolumeGroup, built: Built) -> VolumeGroup:
    """The group as a plugin changed it, after the rules of its targets were checked."""
    group = group.with_lv(*built.volumes).without_lv(*built.removed)
    for lv in group.lvs:
        assert TARGETS.check_volume(group, lv) == ()
    return group


def create(
    group: VolumeGroup,
    name: str,
    runs: Iterable[Iterable[PvArea]],
    *,
    options: Options = (),
    type: str | None = None,
    origin: str | None = None,
    targets: Targets = TARGETS,
    read_only: bool = False,
    size: SizeSpec | None = None,
) -> tuple[VolumeGroup, Built]:
    """Make a volume of the space in ``runs``."""
    grant = {"data": tuple(Run(tuple(areas)) for areas in runs)}
    count = sum(int(run.extents) * len(run.areas) for run in grant["data"])
    request = CreateVolume(
        size or extents_of(count),
        LvName(name),
        type,
        None if origin is None else group.lv_by_name[origin].id,
        options,
        read_only=read_only,
    )
    number = len(group.lvs)
    built = targets.build_volumes(
        group, request, blank(name, number=number, read_only=read_only), grant, STAMP.part(number)
    )
    return with_built(group, built), built


def extend(
    group: VolumeGroup, name: str, runs: Iterable[Iterable[PvArea]], *, options: Options = ()
) -> VolumeGroup:
    """Make a volume longer by the space in ``runs``."""
    grant = {"data": tuple(Run(tuple(areas)) for areas in runs)}
    count = sum(int(run.extents) * len(run.areas) for run in grant["data"])
    volume = group.lv_by_name[name]
    request = ExtendVolume(volume.id, SizeSpec(Extents(count), "+"), None, options)
    built = TARGETS.build_volumes(group, request, volume, grant, STAMP.part(len(group.lvs)))
    return with_built(group, built)


def lines_of(group: VolumeGroup, name: str) -> list[str]:
    """The table lines of a volume's own segments, PVs by their names."""
    by_id = {pv.id: pv.device for pv in group.pvs}
    volume = group.lv_by_name[name]
    return [
        f"{line.start} {line.length} {line.target} "
        + line.params(lambda ref: by_id.get(getattr(ref, "pv", ""), getattr(ref, "uuid", "")))
        for segment in volume.segments
        for line in TARGETS.segment_lines(group, volume, segment)
    ]
