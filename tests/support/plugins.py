"""Groups to try target plugins on, without an allocator: space is taken where a test says."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.stacks import TARGETS
from vmgr.core.amounts import SizeSpec
from vmgr.core.context import NO_MACHINE, Context, Machine, NeedsOf, granted
from vmgr.core.errors import NoSpace
from vmgr.core.exchange import Built, Placed, Run, SpaceNeeds
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
    volume = blank(name, number=number, read_only=read_only)
    context = Context(volume, targets, STAMP.part(number), place=granted(grant["data"]))
    built = targets.change(group, request, context)
    return with_built(group, built), built


def extend(
    group: VolumeGroup, name: str, runs: Iterable[Iterable[PvArea]], *, options: Options = ()
) -> VolumeGroup:
    """Make a volume longer by the space in ``runs``."""
    grant = {"data": tuple(Run(tuple(areas)) for areas in runs)}
    count = sum(int(run.extents) * len(run.areas) for run in grant["data"])
    volume = group.lv_by_name[name]
    request = ExtendVolume(volume.id, SizeSpec(Extents(count), "+"), None, options)
    context = Context(volume, TARGETS, STAMP.part(len(group.lvs)), place=granted(grant["data"]))
    built = TARGETS.change(group, request, context)
    return with_built(group, built)


class _Asked(NoSpace):
    """What space a plugin asked for; there is none."""

    def __init__(self, needs: SpaceNeeds) -> None:
        super().__init__("no space")
        self.needs = needs


def needs_of(
    group: VolumeGroup,
    request: CreateVolume | ExtendVolume,
    extents: int,
    targets: Targets = TARGETS,
    machine: Machine = NO_MACHINE,
) -> SpaceNeeds:
    """The space that a plugin asks for where a request's size comes to ``extents``."""

    def place(needs_of: NeedsOf, **_: object) -> Placed:
        raise _Asked(needs_of(Extents(extents)))

    volume = blank("x") if isinstance(request, CreateVolume) else group.lv_by_id[request.lv]
    context = Context(volume, targets, STAMP, machine=machine, extents=Extents(extents), place=place)
    try:
        targets.change(group, request, context)
    except _Asked as asked:
        return asked.needs
    raise AssertionError("no space was asked for")


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
