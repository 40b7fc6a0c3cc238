"""The values of the columns of physical volumes and of their runs of extents: a function for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.model import PvArea
from vmgr.report.groups import in_use, least_free, least_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, PhysicalVolume, Segment
    from vmgr.core.view import DeviceView, PvView
    from vmgr.report.facts import GroupFacts

    PvValue = Callable[["PvFacts"], object]
    RunValue = Callable[["Run"], object]


class PvFacts:
    """A physical volume, or with ``pvs -a`` another device.

    ``view`` is None for a missing one, ``pv`` is None for one without a group; both are None for another device.
    ``group`` is the group to show with it.
    """

    __slots__ = ("device", "duplicate", "group", "pv", "view")

    def __init__(
        self,
        group: GroupFacts,
        view: PvView | None,
        pv: PhysicalVolume | None,
        device: DeviceView | PvView | None = None,
        *,
        duplicate: bool = False,
    ) -> None:
        self.group = group
        self.view = view
        self.pv = pv
        self.device = view if view is not None else device
        self.duplicate = duplicate

    @property
    def name(self) -> str:
        """The path of its device."""
        return self.group.ctx.unknown_device if self.device is None else self.device.device

    @property
    def used(self) -> bool:
        """Whether it belongs to a group, or its label says so."""
        if self.pv is not None:
            return True
        return self.view is not None and not self.duplicate and self.view.layout.used

    @property
    def missing(self) -> bool:
        """Whether it was not found, or its group says so."""
        return self.pv is not None and self.pv.id in self.group.missing

    @property
    def exported(self) -> bool:
        """Whether its group is exported."""
        return self.pv is not None and ("EXPORTED" in self.pv.status or self.group.group.exported)

    @property
    def device_size(self) -> int:
        """The device's size, in sectors."""
        return 0 if self.device is None else int(self.device.size) // 512

    @property
    def size(self) -> int:
        """LVM2's size of the PV, in sectors: that of its extents, or of the device if it has none."""
        if self.pv is not None and self.pv.pe_count:
            return int(self.pv.pe_count) * self.group.extent_size
        if self.pv is not None:
            return int(self.pv.dev_size)
        return 0 if self.view is None or self.duplicate else int(self.view.layout.size) // 512

    @property
    def allocated(self) -> int:
        """Extents in use."""
        return 0 if self.pv is None else self.group.used.get(self.pv.id, 0)

    @property
    def free(self) -> int:
        """Space that no volume occupies, in sectors."""
        if self.pv is None:
            return 0 if self.used else self.size
        return self.group.free_of(self.pv) * self.group.extent_size

    @property
    def start(self) -> int:
        """Where the data start, in sectors."""
        if self.pv is not None:
            return int(self.pv.pe_start)
        if self.view is None or self.duplicate or not self.view.layout.data:
            return 0
        return int(self.view.layout.data[0].offset) // 512


def attr(p: PvFacts) -> str:
    """The three letters (``pvs(8)``; ``lib/metadata/pv.c``, ``pv_attr_dup``)."""
    if p.duplicate:
        first = "d"
    elif p.pv is not None and p.pv.allocatable:
        first = "a"
    else:
        first = "u" if p.used else "-"
    return first + ("x" if p.exported else "-") + ("m" if p.missing else "-")


def _bootloader(p: PvFacts) -> tuple[int, int]:
    if p.pv is not None:
        return int(p.pv.ba_start), int(p.pv.ba_size)
    if p.view is not None and p.view.layout.bootloader:
        area = p.view.layout.bootloader[0]
        return int(area.offset) // 512, int(area.size) // 512
    return 0, 0


def _id(p: PvFacts) -> str:
    if p.pv is not None:
        return p.pv.id.dashed
    return p.view.id.dashed if p.view is not None else ""


VALUES: dict[str, PvValue] = {
    "pv_fmt": lambda p: "" if p.view is None and p.pv is None else "lvm2",
    "pv_uuid": _id,
    "dev_size": lambda p: p.device_size,
    "pv_name": lambda p: p.name,
    "pv_major": lambda p: "0" if p.device is None else str(p.device.major),
    "pv_minor": lambda p: "0" if p.device is None else str(p.device.minor),
    "pv_mda_free": lambda p: least_free(list(p.view.mdas)) if p.view else 0,
    "pv_mda_size": lambda p: least_size(list(p.view.mdas)) if p.view else 0,
    "pv_ext_vsn": lambda p: p.view.layout.ext_version if p.view else None,
    "pe_start": lambda p: p.start,
    "pv_size": lambda p: p.size,
    "pv_free": lambda p: p.free,
    "pv_used": lambda p: p.allocated * p.group.extent_size,
    "pv_attr": attr,
    "pv_allocatable": lambda p: p.pv is not None and p.pv.allocatable,
    "pv_exported": lambda p: p.exported,
    "pv_missing": lambda p: p.missing,
    "pv_pe_count": lambda p: int(p.pv.pe_count) if p.pv else 0,
    "pv_pe_alloc_count": lambda p: p.allocated,
    "pv_tags": lambda p: tuple(sorted(p.pv.tags)) if p.pv else (),
    "pv_mda_count": lambda p: len(p.view.mdas) if p.view else 0,
    "pv_mda_used_count": lambda p: len(in_use(list(p.view.mdas))) if p.view else 0,
    "pv_ba_start": lambda p: _bootloader(p)[0],
    "pv_ba_size": lambda p: _bootloader(p)[1],
    "pv_in_use": lambda p: p.used,
    "pv_duplicate": lambda p: p.duplicate,
}
"""The value of each column."""


# -- runs of extents ------------------------------------------------------------------------------


class Run:
    """``length`` extents of a physical volume from ``start``: in use by ``segment`` of ``lv``, or free."""

    __slots__ = ("length", "lv", "segment", "start")

    def __init__(self, start: int, length: int, lv: LogicalVolume | None, segment: Segment | None) -> None:
        self.start = start
        self.length = length
        self.lv = lv
        self.segment = segment


RUN_VALUES: dict[str, RunValue] = {
    "pvseg_start": lambda run: run.start,
    "pvseg_size": lambda run: run.length,
}
"""The value of each column of runs."""


def used_runs(g: GroupFacts) -> dict[Uuid, list[Run]]:
    """For each physical volume of a group: the runs that segments occupy, in order."""
    found: dict[Uuid, list[Run]] = {}
    for lv in g.group.lvs:
        for segment in lv.segments:
            for area in segment.body.areas:
                if isinstance(area, PvArea):
                    run = Run(int(area.start), int(area.length), lv, segment)
                    found.setdefault(area.pv, []).append(run)
    for of_pv in found.values():
        of_pv.sort(key=lambda run: run.start)
    return found


def with_free(p: PvFacts, used: list[Run]) -> Iterator[Run]:
    """All runs of a physical volume, free ones included. As in LVM2, one without a group has a single empty run."""
    end = 0 if p.pv is None else int(p.pv.pe_count)
    at = 0
    for run in used:
        if run.start > at:
            yield Run(at, run.start - at, None, None)
        yield run
        at = max(at, run.start + run.length)
    if at < end or not used:
        yield Run(at, end - at, None, None)
