"""The rows of a report: parallel lists of groups, volumes, segments, PVs and runs of extents.

Volumes are listed as in LVM2 (``tools/toollib.c``, ``process_each_lv_in_vg``): hidden ones only with
``-a`` or when they are named, and never those that are only part of another's metadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.ids import LvName, Uuid, VgName
from vmgr.core.model import LogicalVolume, Segment, VolumeGroup
from vmgr.core.units import Extents, Sectors
from vmgr.core.view import GroupView
from vmgr.report.columns import LV, PV, PVSEG, SEG, VG
from vmgr.report.facts import GroupFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vmgr.core.view import SystemView
    from vmgr.report.facts import Context
    from vmgr.report.physical import PvFacts, Run

NO_ID: Uuid = str.__new__(Uuid, "")
"""LVM2's empty UUID."""

FREE_VOLUME = LogicalVolume(NO_ID, str.__new__(LvName, ""), status=("VISIBLE",), alloc="", read_ahead=0)
"""The volume that LVM2 shows for free extents."""


class Rows:
    """The rows of a report. Each list has one entry a row, or none where the report has no such thing."""

    __slots__ = ("count", "ctx", "described", "groups", "lvs", "pvs", "runs", "segments", "selected")

    def __init__(
        self,
        ctx: Context,
        groups: list[GroupFacts],
        *,
        lvs: list[LogicalVolume] | None = None,
        segments: list[Segment] | None = None,
        pvs: list[PvFacts] | None = None,
        runs: list[Run] | None = None,
    ) -> None:
        self.ctx = ctx
        self.groups = groups
        self.lvs = lvs or []
        self.segments = segments or []
        self.pvs = pvs or []
        self.runs = runs or []
        self.count = len(groups)
        self.selected: list[bool] | None = None
        self.described: list[int] | None = None

    def take(self, places: list[int]) -> Rows:
        """The rows at ``places``, in that order."""
        if places == list(range(self.count)):
            return self
        taken = Rows(
            self.ctx,
            [self.groups[at] for at in places],
            lvs=self.lvs and [self.lvs[at] for at in places],
            segments=self.segments and [self.segments[at] for at in places],
            pvs=self.pvs and [self.pvs[at] for at in places],
            runs=self.runs and [self.runs[at] for at in places],
        )
        if self.selected is not None:
            taken.selected = [self.selected[at] for at in places]
        return taken

    def chosen(self) -> list[bool]:
        """For each row, whether it is selected."""
        return [True] * self.count if self.selected is None else self.selected

    def ids(self, kind: str) -> list[Uuid]:
        """For each row, the UUID of its volume, group or PV, by the kind of report; empty where there is none."""
        if kind == "lvs":
            return [lv.id for lv in self.lvs]
        if kind == "vgs":
            return [g.group.id for g in self.groups]
        return [p.pv.id if p.pv is not None else p.view.id if p.view is not None else NO_ID for p in self.pvs]

    def speaking(self) -> list[int]:
        """Positions of the rows for whose volume plugins may have facts."""
        if self.described is None:
            if any(g.described for g in dict.fromkeys(self.groups)):
                pairs = enumerate(zip(self.groups, self.lvs, strict=True))
                self.described = [at for at, (g, lv) in pairs if lv.id in g.described]
            else:
                self.described = []
        return self.described


def collect(
    ctx: Context, system: SystemView, rows_are: int, kind: str, only: frozenset[str] | None, every: bool
) -> Rows:
    """The rows of a report whose rows stand for ``rows_are`` (a section of the catalogue)."""
    views = system.groups
    if kind == "vgs" and only is not None:
        views = tuple(view for view in views if view.group.id in only)
    groups = [GroupFacts(ctx, view) for view in views]
    if rows_are == VG:
        return Rows(ctx, groups)
    if rows_are in (LV, SEG):
        volumes = only if kind == "lvs" else None
        usable = [g for g in groups if not g.group.exported]
        listed = [(g, _listed(g, volumes, every)) for g in usable]
        if rows_are == LV:
            return Rows(ctx, [g for g, lvs in listed for _ in lvs], lvs=[lv for _, lvs in listed for lv in lvs])
        parts = [(g, lv, s) for g, lvs in listed for lv in lvs if every or lv.visible for s in lv.segments]
        return Rows(
            ctx, [g for g, _, _ in parts], lvs=[lv for _, lv, _ in parts], segments=[s for _, _, s in parts]
        )
    assert rows_are in (PV, PVSEG)
    pvs = list(_physical(ctx, system, groups, kind, only if kind == "pvs" else None, every))
    if rows_are == PV:
        return Rows(ctx, [p.group for p in pvs], pvs=pvs)
    return _run_rows(ctx, pvs)


def _listed(g: GroupFacts, only: frozenset[str] | None, every: bool) -> list[LogicalVolume]:
    if only is not None:
        named = (lv for lv in g.group.lvs if lv.id in only or g.group.id + lv.id in only)
        return [lv for lv in named if not g.is_bookkeeping(lv)]
    if every:
        return [lv for lv in g.group.lvs if "VISIBLE" in lv.status or not g.is_bookkeeping(lv)]
    return [lv for lv in g.group.lvs if "VISIBLE" in lv.status]


def blank_group(ctx: Context, name: str = "") -> GroupFacts:
    """The empty group shown with a PV without a group."""
    group = VolumeGroup(NO_ID, str.__new__(VgName, name), 0, Sectors(0), status=(), alloc="")
    return GroupFacts(ctx, GroupView(group, {}))


def _physical(
    ctx: Context,
    system: SystemView,
    groups: Sequence[GroupFacts],
    kind: str,
    only: frozenset[str] | None,
    every: bool,
) -> Iterator[PvFacts]:
    from vmgr.report.physical import PvFacts

    for g in groups:
        for pv in g.group.pvs:
            if only is None or pv.id in only:
                yield PvFacts(g, g.view.pvs.get(pv.id), pv)
    if kind != "pvs":
        return
    for view in system.orphans:
        if only is None or view.id in only:
            yield PvFacts(blank_group(ctx, "[unknown]" if view.layout.used else ""), view, None)
    if every:
        for device in system.others if only is None else ():
            yield PvFacts(blank_group(ctx), None, None, device)
        for view in system.duplicates:
            if only is None or view.id in only:
                yield PvFacts(blank_group(ctx, view.vg_name), view, None, duplicate=True)


def _run_rows(ctx: Context, pvs: Iterable[PvFacts]) -> Rows:
    from vmgr.report.physical import used_runs, with_free
    from vmgr.report.segments import FREE

    rows = Rows(ctx, [])
    used: dict[GroupFacts, dict[Uuid, list[Run]]] = {}
    for p in pvs:
        if p.group not in used:
            used[p.group] = used_runs(p.group)
        for run in with_free(p, used[p.group].get(p.pv.id, []) if p.pv is not None else []):
            rows.groups.append(p.group)
            rows.pvs.append(p)
            rows.runs.append(run)
            rows.lvs.append(run.lv if run.lv is not None else FREE_VOLUME)
            free = Segment(Extents(0), Extents(run.length), FREE)
            rows.segments.append(run.segment if run.segment is not None else free)
    rows.count = len(rows.groups)
    return rows
