"""The volume model: frozen values for a group, its physical volumes, volumes and segments.

A group is one value; every operation makes a new one. Things refer to each other by UUID, never
by name. What the format may hold and this model does not know is kept in ``extra`` and written back.
Field names and their meaning are those of LVM2's metadata text (``vgcfgbackup``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import repeat
from typing import TYPE_CHECKING

from attrs import evolve, fields, frozen

from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.units import Extents, Sectors
from vmgr.core.value import Value

Scalar = int | float | str


@frozen(repr=False)
class Section(Value):
    """A nested ``name { ... }`` of the metadata text whose meaning is not known here."""

    fields: Fields


FieldValue = Scalar | tuple[Scalar, ...] | Section
Fields = tuple[tuple[str, FieldValue], ...]
"""Fields in the order of the text. A tuple value is an array, also with one member or none."""

POLICIES = ("contiguous", "cling", "cling_by_tags", "normal", "anywhere", "inherit")
"""Allocation policies, strictest first; ``inherit`` (a volume's default) means the group's own."""


@frozen(repr=False)
class PvArea(Value):
    """``length`` extents of physical volume ``pv`` from its extent ``start``."""

    pv: Uuid
    start: Extents
    length: Extents

    @property
    def end(self) -> Extents:
        """The first extent after the area."""
        return self.start + self.length


@frozen(repr=False)
class LvArea(Value):
    """``length`` extents of volume ``lv`` from its extent ``start``."""

    lv: Uuid
    start: Extents
    length: Extents


Area = PvArea | LvArea


@frozen(repr=False)
class Reference(Value):
    """A segment names another volume without lying on extents of it (``role``: the plugin's word)."""

    lv: Uuid
    role: str


class SegmentBody(Value):
    """What a segment consists of. Each plugin has a frozen subclass of its own.

    The core asks a body only for what is declared here; everything else is between the body and
    its plugin.
    """

    __slots__ = ()

    @property
    def areas(self) -> tuple[Area, ...]:
        """The extents that the segment occupies, in the order that its table uses them."""
        return ()

    @property
    def references(self) -> tuple[Reference, ...]:
        """Volumes that the segment needs beyond those in :attr:`areas`."""
        return ()

    @property
    def step(self) -> int:
        """A segment's length must be a multiple of this many extents."""
        return 1

    @property
    def own_layer(self) -> str:
        """What the device-mapper UUID of the volume's own device ends in, after a hyphen; empty for nearly all.

        The own device is the one that tells whether the volume is active (a thin pool's ends in ``pool``).
        """
        return ""

    @property
    def read_ahead(self) -> Sectors:
        """The least read-ahead that suits the segment where the volume's is "auto"; 0: whatever the kernel does."""
        return Sectors(0)

    def with_areas(self, areas: tuple[Area, ...]) -> SegmentBody:
        """The same body on other extents, one for each of :attr:`areas` (a move)."""
        if areas != self.areas:
            raise TypeError(f"{type(self).__name__} has no areas to replace")
        return self


@frozen(repr=False)
class UnknownBody(SegmentBody):
    """A segment whose type no installed plugin claims: kept as it is, listed, never changed."""

    type_word: str
    fields: Fields


@frozen(repr=False)
class Segment(Value):
    """``length`` extents of a volume from its extent ``start``, stored as ``body`` says."""

    start: Extents
    length: Extents
    body: SegmentBody
    tags: tuple[Tag, ...] = ()
    extra: Fields = ()

    @property
    def end(self) -> Extents:
        """The first extent after the segment."""
        return self.start + self.length


class Shape:
    """What volumes have in common that were read from texts of one shape, and how the rest of each is read.

    Ten thousand volumes are mostly alike, and a report looks at a few fields of each. So the reader of a text may
    check them all and leave them unread (:func:`unread_volumes`): each has one segment, whose body is of class
    ``body``, refers to no other volume, and has one area, as long as the segment, on physical volume ``pv``.
    """

    __slots__ = ("body", "pv")

    def __init__(self, body: type[SegmentBody], pv: Uuid) -> None:
        self.body = body
        self.pv = pv

    def fields(self, row: tuple[str, ...], size: Extents) -> dict[str, object]:
        """The fields of a volume that were not read with it; ``row`` is what the reader kept of its text."""
        raise NotImplementedError


class _Readable(Value):
    """The places of a volume that is not read to the end; ``shape`` is None for one that was built whole."""

    __slots__ = ("row", "shape", "size", "start")

    shape: Shape | None
    start: int
    """The extent of ``shape.pv`` where the only area of a volume with a shape starts."""
    size: Extents
    """The volume's length: the end of its last segment."""


@frozen(repr=False)
class LogicalVolume(_Readable):
    """A logical volume, hidden helpers included.

    ``status`` (``READ``, ``WRITE``, ``VISIBLE``...) and ``flags`` keep the order of the text.
    ``created`` is seconds since 1970, 0 if unknown. ``read_ahead`` is in sectors; None is "auto",
    0 is "none". ``minor`` and ``major`` are persistent numbers or None.
    """

    id: Uuid
    name: LvName
    status: tuple[str, ...] = ("READ", "WRITE", "VISIBLE")
    flags: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    created: int = 0
    host: str = ""
    alloc: str = "inherit"
    profile: str = ""
    read_ahead: int | None = None
    major: int | None = None
    minor: int | None = None
    segments: tuple[Segment, ...] = ()
    extra: Fields = ()

    if not TYPE_CHECKING:  # else every misspelt field would pass for one

        def __getattr__(self, name):
            """Give a field that has not been read yet, and what a volume that was built whole does not hold."""
            if name == "shape":
                found = {name: None}
            elif name == "size":
                found = {name: self.segments[-1].end if self.segments else Extents(0)}
            elif name in _UNREAD and self.shape is not None:
                found = self.shape.fields(self.row, self.size)
            else:
                raise AttributeError(
                    f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
                )
            for key, value in found.items():
                object.__setattr__(self, key, value)
            return found[name]

    @property
    def visible(self) -> bool:
        """Whether the volume is shown to users by its own name."""
        return "VISIBLE" in self.status

    @property
    def writable(self) -> bool:
        """Whether the volume may be written to (``WRITE`` in its status)."""
        return "WRITE" in self.status

    def areas(self) -> Iterator[Area]:
        """All areas of all segments, in order."""
        for segment in self.segments:
            yield from segment.body.areas

    def references(self) -> Iterator[Reference]:
        """All references of all segments, in order."""
        for segment in self.segments:
            yield from segment.body.references


_READ = ("id", "name", "status", "flags", "alloc", "shape", "row", "start", "size")
"""What :func:`unread_volumes` is given; :meth:`Shape.fields` gives the rest."""

_UNREAD = frozenset(a.name for a in fields(LogicalVolume)) - frozenset(_READ)


def unread_volumes(count: int, **columns: Iterable[object]) -> list[LogicalVolume]:
    """``count`` volumes that are read when more is asked of them than :data:`_READ`, of which these are the values.

    Ten thousand calls of anything are felt, so this has no loop that Python runs.
    """
    found = list(map(object.__new__, repeat(LogicalVolume, count)))
    for name in _READ:
        deque(map(getattr(LogicalVolume, name).__set__, found, columns[name]), 0)
    return found


@frozen(repr=False)
class PhysicalVolume(Value):
    """A physical volume as its group knows it.

    ``device`` is the last known path, a hint only. ``dev_size``, ``pe_start`` and ``ba_start`` /
    ``ba_size`` (the bootloader area) are in sectors; ``pe_count`` in extents.
    """

    id: Uuid
    device: str
    status: tuple[str, ...]
    dev_size: Sectors
    pe_start: Sectors
    pe_count: Extents
    flags: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    ba_start: Sectors = Sectors(0)
    ba_size: Sectors = Sectors(0)
    extra: Fields = ()

    @property
    def allocatable(self) -> bool:
        """Whether the allocator may use it (``pvchange -x``)."""
        return "ALLOCATABLE" in self.status

    @property
    def missing(self) -> bool:
        """Whether the group was written while this PV was not there."""
        return "MISSING" in self.flags or "MISSING" in self.status


ALL_COPIES = (1 << 32) - 1
"""In :attr:`VolumeGroup.metadata_copies`: take every metadata area into use (LVM2 ``VGMETADATACOPIES_ALL``)."""


@frozen(repr=False, slots=False)  # what is looked up is kept in its __dict__
class VolumeGroup(Value):
    """A volume group: one value, with everything in it.

    ``extent_size`` is in sectors. ``max_lv`` and ``max_pv`` are 0 for no limit. ``metadata_copies`` says in how
    many metadata areas the text shall be; 0 leaves areas as they are, and :data:`ALL_COPIES` takes all into use,
    which is then written as 0. ``system_id`` names the host that owns the group, empty for any.
    """

    id: Uuid
    name: VgName
    seqno: int
    extent_size: Sectors
    status: tuple[str, ...] = ("RESIZEABLE", "READ", "WRITE")
    flags: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = ()
    alloc: str = "normal"
    max_lv: int = 0
    max_pv: int = 0
    metadata_copies: int = 0
    system_id: str = ""
    lock_type: str = ""
    profile: str = ""
    pvs: tuple[PhysicalVolume, ...] = ()
    lvs: tuple[LogicalVolume, ...] = ()
    extra: Fields = ()

    # -- looking things up ------------------------------------------------------------------------

    @cached_property
    def lv_by_id(self) -> dict[Uuid, LogicalVolume]:
        """Every volume, hidden ones included, by UUID."""
        return {lv.id: lv for lv in self.lvs}

    @cached_property
    def lv_by_name(self) -> dict[str, LogicalVolume]:
        """Every volume, hidden ones included, by name."""
        return {lv.name: lv for lv in self.lvs}

    @cached_property
    def pv_by_id(self) -> dict[Uuid, PhysicalVolume]:
        """Every physical volume by UUID."""
        return {pv.id: pv for pv in self.pvs}

    @cached_property
    def place(self) -> dict[Uuid, int]:
        """Each volume's place in the group's order, from 0."""
        return {lv.id: number for number, lv in enumerate(self.lvs)}

    def volume(self, name: str) -> LogicalVolume:
        """The volume called ``name``, hidden ones included. Raises :class:`NotFound`."""
        found = self.lv_by_name.get(name)
        if found is None:
            from vmgr.core.errors import NotFound

            raise NotFound(
                f'failed to find logical volume "{self.name}/{name}"', hint=f"lvs -a {self.name} lists its volumes"
            )
        return found

    @cached_property
    def referrers(self) -> dict[Uuid, tuple[LogicalVolume, ...]]:
        """For each volume that others lie on or refer to: those others, in the group's order."""
        found: dict[Uuid, list[LogicalVolume]] = {}
        for lv in self.lvs:
            if lv.shape is not None:
                continue
            targets = {r.lv for r in lv.references()}
            targets.update(a.lv for a in lv.areas() if isinstance(a, LvArea))
            for target in targets:
                found.setdefault(target, []).append(lv)
        return {target: tuple(lvs) for target, lvs in found.items()}

    @cached_property
    def by_body(self) -> dict[type[SegmentBody], list[LogicalVolume]]:
        """For each class of segments' bodies: the volumes with such a segment, in the group's order."""
        found: dict[type[SegmentBody], list[LogicalVolume]] = {}
        for lv in self.lvs:
            shape = lv.shape
            if shape is not None:
                if shape.body in found:
                    found[shape.body].append(lv)
                else:
                    found[shape.body] = [lv]
                continue
            for body in {type(s.body) for s in lv.segments}:
                found.setdefault(body, []).append(lv)
        return found

    @cached_property
    def used(self) -> dict[Uuid, tuple[PvArea, ...]]:
        """For each physical volume: the areas that segments occupy, sorted by start."""
        found: dict[Uuid, list[PvArea]] = {pv.id: [] for pv in self.pvs}
        for lv in self.lvs:
            for area in lv.areas():
                if isinstance(area, PvArea):
                    found.setdefault(area.pv, []).append(area)
        return {pv: tuple(sorted(areas, key=lambda a: a.start)) for pv, areas in found.items()}

    @cached_property
    def unread(self) -> tuple[list[Shape], list[int], list[int]]:
        """Of the volumes that were left unread: their shapes, and their areas' starts and lengths, in extents.

        The reader of a text fills this, having all of it at hand.
        """
        found = [lv for lv in self.lvs if lv.shape is not None]
        shapes = [lv.shape for lv in found if lv.shape is not None]
        return shapes, [lv.start for lv in found], [int(lv.size) for lv in found]

    # -- sums -------------------------------------------------------------------------------------

    @cached_property
    def extents(self) -> Extents:
        """All extents of all physical volumes."""
        return Extents.total(pv.pe_count for pv in self.pvs)

    @cached_property
    def allocated(self) -> Extents:
        """Extents that segments occupy."""
        return Extents.total(area.length for areas in self.used.values() for area in areas)

    @property
    def free(self) -> Extents:
        """Extents that no segment occupies, those of non-allocatable PVs included; never less than none."""
        return Extents(max(0, int(self.extents) - int(self.allocated)))

    # -- state ------------------------------------------------------------------------------------

    @property
    def exported(self) -> bool:
        """Whether ``vgexport`` has put the group out of use."""
        return "EXPORTED" in self.status

    @property
    def partial(self) -> bool:
        """Whether a PV is marked missing in the metadata."""
        return any(pv.missing for pv in self.pvs)

    @property
    def has_unknown(self) -> bool:
        """Whether a segment's type is claimed by no installed plugin."""
        return UnknownBody in self.by_body

    # -- making the next one ----------------------------------------------------------------------

    def with_lv(self, *lvs: LogicalVolume) -> VolumeGroup:
        """The group with each of ``lvs`` in the place of the one of the same UUID, or added at the end."""
        new = {lv.id: lv for lv in lvs}
        kept = [new.pop(lv.id, lv) for lv in self.lvs]
        return evolve(self, lvs=(*kept, *new.values()))

    def without_lv(self, *ids: Uuid) -> VolumeGroup:
        """The group without the volumes ``ids``."""
        return evolve(self, lvs=tuple(lv for lv in self.lvs if lv.id not in ids))

    def with_pv(self, *pvs: PhysicalVolume) -> VolumeGroup:
        """The group with each of ``pvs`` in the place of the one of the same UUID, or added at the end."""
        new = {pv.id: pv for pv in pvs}
        kept = [new.pop(pv.id, pv) for pv in self.pvs]
        return evolve(self, pvs=(*kept, *new.values()))
