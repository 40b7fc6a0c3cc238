"""``pvscan``, ``vgscan`` and ``lvscan``: a line for each PV, group or volume that was found, in LVM2's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report.columns import LV, PV
from vmgr.report.displays import Display, chosen, fill_of
from vmgr.report.rows import collect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.view import SystemView
    from vmgr.report.physical import PvFacts
    from vmgr.report.requests import DisplayRequest

ORPHANS = "#orphans_lvm2"
"""LVM2's internal group of orphans, whose name counts for the width of columns (``tools/pvscan.c``)."""


def scan_lines(
    request: DisplayRequest, system: SystemView, live: Mapping[str, LiveDevice] | None, targets: Targets
) -> str:
    """The text of a scan; each line is indented by two spaces."""
    shown = Display(request, live, targets)
    only = chosen(request, system, live, targets)
    lines = {"pv": _pvs, "vg": _vgs, "lv": _lvs}[request.kind](shown, system, only)
    return "".join(f"  {line}\n" for line in lines)


def _pvs(shown: Display, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
    pvs = collect(shown.ctx, system, PV, "pvs", only, False).pvs
    if not pvs:
        yield "No matching physical volumes found"
        return
    name_width = max(len(p.name) for p in pvs) + 2
    group_width = max(len(ORPHANS), *(len(name) for name, _ in system.names)) + 2 if system.names else 15
    new = [p for p in pvs if p.pv is None]
    for p in pvs:
        name, width = p.name, name_width
        if shown.request.style == "short":
            yield name
            continue
        if shown.request.uuid:
            uuid = p.pv.id.dashed if p.pv is not None else p.view.id.dashed if p.view is not None else ""
            name, width = f"{name:<{name_width - 2}} with UUID {uuid}", name_width + 50
        free = shown.size(p.free)
        if p.pv is None:
            yield f"PV {name:<{width}}    {' ':<{group_width}} lvm2 [{shown.size(p.size)}]"
        elif p.exported:
            yield f"PV {name:<{width}}  is in exported VG {p.group.name} [{shown.size(_data(p))} / {free} free]"
        else:
            group = f"VG {p.group.name:<{group_width}}"
            yield f"PV {name:<{width}} {group} lvm2 [{shown.size(_data(p))} / {free} free]"
    unused = sum(p.size for p in new)
    total = unused + sum(_data(p) for p in pvs if p.pv is not None)
    yield (
        f"Total: {len(pvs)} [{shown.size(total)}] / in use: {len(pvs) - len(new)} [{shown.size(total - unused)}]"
        f" / in no VG: {len(new)} [{shown.size(unused)}]"
    )


def _data(p: PvFacts) -> int:
    return int(p.pv.pe_count) * p.group.extent_size if p.pv is not None else 0


def _vgs(shown: Display, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
    for view in system.groups:
        if only is None or view.group.id in only:
            exported = "exported " if view.group.exported else ""
            yield f'Found {exported}volume group "{view.group.name}" using metadata type lvm2'


def _lvs(shown: Display, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
    rows = collect(shown.ctx, system, LV, "lvs", only, shown.request.all)
    for g, lv in zip(rows.groups, rows.lvs, strict=True):
        facts = g.facts(lv)
        kind = facts.kind if facts else ""
        device = g.live(lv)
        active = device is not None
        if device is not None and device.status is not None and kind in ("s", "S"):
            active = fill_of(facts) is not None
        state = "ACTIVE   " if active else "inactive "
        role = {"o": "Original", "O": "Original", "s": "Snapshot", "S": "Snapshot"}.get(kind, "        ")
        size = shown.size(int(lv.size) * g.extent_size)
        yield f"{state}{role} '{shown.ctx.dev_dir}/{g.name}/{lv.name}' [{size}] {lv.alloc}"
