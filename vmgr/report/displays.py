"""``pvdisplay``, ``vgdisplay`` and ``lvdisplay``: one fact per line, in LVM2's words.

The lines are those of LVM2's ``lib/display/display.c``, because scripts parse them. The facts about a
volume's type come from its plugin's letters and columns, as in reports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import vmgr.report.groups as group_values
from vmgr.core.model import PvArea
from vmgr.core.sizes import SHORT, parse_units, size_printer
from vmgr.report.cells import percent
from vmgr.report.columns import LV, PV
from vmgr.report.facts import DEFAULT_TIME_FORMAT, Context, GroupFacts
from vmgr.report.rows import collect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.model import LogicalVolume, Segment
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.units import Sectors
    from vmgr.core.view import SystemView
    from vmgr.report.facts import Facts, KernelReadAhead
    from vmgr.report.physical import PvFacts
    from vmgr.report.requests import DisplayRequest

BLANK = " "
"""The line after each item."""

_VG_BITS = {"EXPORTED": 0x2, "RESIZEABLE": 0x4, "READ": 0x100, "WRITE": 0x200, "CLUSTERED": 0x400, "SHARED": 0x800}
_PV_BITS = {"EXPORTED": 0x2, "ALLOCATABLE": 0x8, "MISSING": 0x80000}
"""Numbers that ``-c`` prints for status words (LVM2 ``lib/metadata/metadata-exported.h``)."""


def display(
    request: DisplayRequest,
    system: SystemView,
    live: Mapping[str, LiveDevice] | None,
    targets: Targets,
    read_ahead: KernelReadAhead | None = None,
) -> str:
    """The text of a display; each line is indented by two spaces."""
    shown = Display(request, live, targets, read_ahead)
    only = chosen(request, system, live, targets)
    rows = {"pv": shown.pvs, "vg": shown.vgs, "lv": shown.lvs}[request.kind](system, only)
    return "".join(f"  {line}\n" for line in rows)


def chosen(
    request: DisplayRequest, system: SystemView, live: Mapping[str, LiveDevice] | None, targets: Targets
) -> frozenset[str] | None:
    """The UUIDs that are both named and selected; None for all."""
    if not request.select:
        return request.only
    from vmgr.report.engine import Report
    from vmgr.report.requests import ReportRequest

    asked = ReportRequest(
        f"{request.kind}s", select=request.select, only=request.only, all=request.all, now=request.now
    )
    return Report(asked, targets).selected(system, live)


class Display:
    """The lines of each item."""

    def __init__(
        self,
        request: DisplayRequest,
        live: Mapping[str, LiveDevice] | None,
        targets: Targets,
        read_ahead: KernelReadAhead | None = None,
    ) -> None:
        self.request = request
        self.activation = live is not None
        self._size = size_printer(
            parse_units(request.units), suffix=request.suffix, form=SHORT, consistent=request.si_units
        )
        self.ctx = Context(targets, self._size, live, {}, dev_dir=request.dev_dir, read_ahead=read_ahead)

    def size(self, sectors: int) -> str:
        """A size, with its unit as messages write it."""
        size: Sectors = sectors  # type: ignore[assignment]
        return self._size(size)

    # -- physical volumes -------------------------------------------------------------------------

    def pvs(self, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
        """Lines about physical volumes."""
        rows = collect(self.ctx, system, PV, "pvs", only, self.request.all)
        for p in rows.pvs:
            yield from self._pv(p)

    def _pv(self, p: PvFacts) -> Iterator[str]:
        total = int(p.pv.pe_count) if p.pv is not None else 0
        free = p.group.free_of(p.pv) if p.pv is not None else 0
        if self.request.style == "short":
            yield f'Device "{p.name}" has a capacity of {self.size(free * p.group.extent_size if p.pv else p.size)}'
            return
        if p.exported:
            yield f'Physical volume "{p.name}" of volume group "{p.group.name}" is exported'
        if p.pv is None:
            yield f'"{p.name}" is a new physical volume of "{self.size(p.size)}"'
        device_size = int(p.pv.dev_size) if p.pv is not None else p.size
        uuid = p.pv.id.dashed if p.pv is not None else p.view.id.dashed if p.view is not None else "none"
        if self.request.style == "colon":
            status = _bits(p.pv.status, _PV_BITS) | (0x80000 if p.missing else 0) if p.pv is not None else 0
            yield (
                f"{p.name}:{p.group.name if p.pv else ''}:{device_size}:-1:{status}:{status & 0x8}:-1"
                f":{p.group.extent_size // 2}:{total}:{free}:{p.allocated}:{uuid}"
            )
            return
        data = total * p.group.extent_size
        yield f"--- {'' if p.group.extent_size else 'NEW '}Physical volume ---"
        yield f"PV Name               {p.name}"
        yield f"VG Name               {p.group.name if p.pv else ''}{' (exported)' if p.exported else ''}"
        if data:
            needed = data + p.start
            whole = max(device_size, needed)
            lost = whole - data if device_size > needed else whole - device_size
            yield f"PV Size               {self.size(whole)} / not usable {self.size(lost)}"
        else:
            yield f"PV Size               {self.size(max(device_size, p.start))}"
        if total and p.pv is not None and p.pv.allocatable:
            yield f"Allocatable           yes {'' if free else '(but full)'}"
        else:
            yield "Allocatable           NO"
        if self.request.si_units:
            yield f"PE Size               {self.size(p.group.extent_size)}"
        else:
            yield f"PE Size (KByte)       {p.group.extent_size // 2}"
        yield f"Total PE              {total}"
        yield f"Free PE               {free}"
        yield f"Allocated PE          {p.allocated}"
        yield f"PV UUID               {uuid}"
        yield BLANK
        if self.request.maps:
            yield from self._pv_map(p)

    def _pv_map(self, p: PvFacts) -> Iterator[str]:
        from vmgr.report.physical import used_runs, with_free

        if p.pv is not None:
            yield "--- Physical Segments ---"
            for run in with_free(p, used_runs(p.group).get(p.pv.id, [])):
                yield f"Physical extent {run.start} to {run.start + run.length - 1}:"
                if run.lv is None or run.segment is None:
                    yield "  FREE"
                    continue
                yield f"  Logical volume\t{self.ctx.dev_dir}/{p.group.name}/{run.lv.name}"
                yield f"  Logical extents\t{run.segment.start} to {int(run.segment.end) - 1}"
        yield BLANK

    def _pv_in_group(self, p: PvFacts) -> Iterator[str]:
        assert p.pv is not None
        total = int(p.pv.pe_count)
        yield f"PV Name               {p.name}     "
        yield f"PV UUID               {p.pv.id.dashed}"
        yield f"PV Status             {'' if p.pv.allocatable else 'NOT '}allocatable"
        yield f"Total PE / Free PE    {total} / {p.group.free_of(p.pv)}"
        yield BLANK

    # -- groups -----------------------------------------------------------------------------------

    def vgs(self, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
        """Lines about groups."""
        for view in system.groups:
            g = GroupFacts(self.ctx, view)
            if only is not None and g.group.id not in only:
                continue
            if self.request.active and not any(g.live(lv) for lv in g.group.lvs):
                continue
            yield from self._vg(g)

    def _vg(self, g: GroupFacts) -> Iterator[str]:
        group = g.group
        visible = [lv for lv in group.lvs if lv.visible]
        opened = sum(1 for lv in visible if (device := g.live(lv)) is not None and device.open_count)
        total, used, extent = g.extents, g.allocated, g.extent_size
        access = tuple(word for word in ("READ", "WRITE") if word in group.status)
        here = len(group.pvs) - len(g.missing)
        if self.request.style == "short":
            sizes = [self.size(extents * extent) for extents in (total, used, g.free)]
            yield f'"{g.name}" {sizes[0]:<9} [{sizes[1]:<9} used / {sizes[2]} free]'
            return
        if self.request.style == "colon":
            letters = {("READ", "WRITE"): "r/w", ("READ",): "r", ("WRITE",): "w"}.get(access, "")
            yield (
                f"{g.name}:{letters}:{_bits(group.status, _VG_BITS)}:-1:{group.max_lv}:{len(visible)}:{opened}:-1"
                f":{group.max_pv}:{len(group.pvs)}:{here}:{total * (extent // 2)}:{extent // 2}:{total}:{used}"
                f":{g.free}:{group.id.dashed}"
            )
            return
        exported = "exported/" if group.exported else ""
        resizable = "" if "RESIZEABLE" in group.status else "NOT "
        words = {("READ", "WRITE"): "read/write", ("READ",): "read", ("WRITE",): "write"}.get(access, "error")
        yield "--- Volume group ---"
        yield f"VG Name               {g.name}"
        yield f"System ID             {group.system_id}"
        yield "Format                lvm2"
        yield f"Metadata Areas        {len(group_values.mdas(g))}"
        yield f"Metadata Sequence No  {group.seqno}"
        yield f"VG Access             {words}"
        yield f"VG Status             {exported}{resizable}resizable"
        if "CLUSTERED" in group.status:
            yield "Clustered             yes"
            yield f"Shared                {'yes' if 'SHARED' in group.status else 'no'}"
        yield f"MAX LV                {group.max_lv}"
        yield f"Cur LV                {len(visible)}"
        yield f"Open LV               {opened}"
        yield f"Max PV                {group.max_pv}"
        yield f"Cur PV                {len(group.pvs)}"
        yield f"Act PV                {here}"
        yield f"VG Size               {self.size(total * extent)}"
        yield f"PE Size               {self.size(extent)}"
        yield f"Total PE              {total}"
        yield f"Alloc PE / Size       {used} / {self.size(used * extent)}"
        yield f"Free  PE / Size       {g.free} / {self.size(g.free * extent)}"
        yield f"VG UUID               {group.id.dashed}"
        yield BLANK
        if self.request.verbose:
            for lv in visible:
                yield from self._lv(g, lv)
            yield "--- Physical volumes ---"
            from vmgr.report.physical import PvFacts

            for pv in group.pvs:
                yield from self._pv_in_group(PvFacts(g, g.view.pvs.get(pv.id), pv))

    # -- volumes ----------------------------------------------------------------------------------

    def lvs(self, system: SystemView, only: frozenset[str] | None) -> Iterator[str]:
        """Lines about volumes."""
        rows = collect(self.ctx, system, LV, "lvs", only, self.request.all)
        for g, lv in zip(rows.groups, rows.lvs, strict=True):
            if not lv.visible and not self.request.all:
                continue
            if self.request.style == "colon":
                yield self._lv_colon(g, lv)
                continue
            yield from self._lv(g, lv)
            if self.request.maps:
                yield from self._lv_map(g, lv)

    def _lv_colon(self, g: GroupFacts, lv: LogicalVolume) -> str:
        device = g.live(lv)
        status = ("READ" in lv.status) | ("WRITE" in lv.status) << 1
        if device is not None and device.read_only:
            status |= 4
        extents = int(lv.size)
        contiguous = 2 if lv.alloc == "contiguous" else 0
        read_ahead = -1 if lv.read_ahead is None else lv.read_ahead
        numbers = (-1, -1) if device is None else (device.major, device.minor)
        opened = 0 if device is None else device.open_count
        return (
            f"{self.ctx.dev_dir}/{g.name}/{lv.name}:{g.name}:{status}:{int(device is not None)}:-1:{opened}"
            f":{extents * g.extent_size}:{extents}:-1:{contiguous}:{read_ahead}:{numbers[0]}:{numbers[1]}"
        )

    def _lv(self, g: GroupFacts, lv: LogicalVolume) -> Iterator[str]:
        device = g.live(lv)
        facts = g.facts(lv)
        access = "read/write" if lv.writable else "read only"
        if lv.writable and device is not None and device.read_only:
            access = "read/write (activated read only)"
        yield "--- Logical volume ---"
        if self.request.full_path:
            yield f"LV Name                {self.ctx.dev_dir}/{g.name}/{lv.name}"
        elif lv.visible:
            yield f"LV Path                {self.ctx.dev_dir}/{g.name}/{lv.name}"
            yield f"LV Name                {lv.name}"
        else:
            yield f"Internal LV Name       {lv.name}"
        yield f"VG Name                {g.name}"
        yield f"LV UUID                {lv.id.dashed}"
        yield f"LV Write Access        {access}"
        yield f"LV Creation host, time {lv.host}, {_time(lv.created)}"
        copies = [other for other, origin in g.origins.items() if origin == lv.id and _is_cow(g, other)]
        if copies:
            yield "LV snapshot status     source of"
            for copy in copies:
                active = device is not None and fill_of(g.facts(g.group.lv_by_id[copy])) is not None
                yield f"                       {g.group.lv_by_id[copy].name} [{'active' if active else 'INACTIVE'}]"
        origin = g.group.lv_by_id[g.origins[lv.id]] if _is_cow(g, lv.id) and lv.id in g.origins else None
        fill = fill_of(facts) if device is not None else None
        if origin is not None:
            active_text = "active" if fill is not None else "INACTIVE"
            yield f"LV snapshot status     {active_text} destination for {origin.name}"
        if device is not None and device.suspended:
            yield "LV Status              suspended"
        elif self.activation:
            partial = " (partial)" if g.is_partial(lv) else ""
            yield f"LV Status              {'' if device is not None else 'NOT '}available{partial}"
        if device is not None:
            yield f"# open                 {device.open_count}"
        extents = int((origin or lv).size)
        yield f"LV Size                {self.size(extents * g.extent_size)}"
        yield f"Current LE             {extents}"
        if origin is not None:
            yield f"COW-table size         {self.size(int(lv.size) * g.extent_size)}"
            yield f"COW-table LE           {int(lv.size)}"
            if fill is not None:
                yield f"Allocated to snapshot  {percent(fill)}%"
            chunk = facts.values.get("chunk_size", 0) if facts else 0
            assert isinstance(chunk, int)
            yield f"Snapshot chunk size    {self.size(chunk)}"
        yield f"Segments               {len(lv.segments)}"
        yield f"Allocation             {lv.alloc}"
        yield f"Read ahead sectors     {'auto' if lv.read_ahead is None else lv.read_ahead}"
        if device is not None and self.ctx.read_ahead is not None:
            now = self.ctx.read_ahead(device.major, device.minor)
            if now is not None and now != lv.read_ahead:
                yield f"- currently set to     {now}"
        if "FIXED_MINOR" in lv.status:
            if lv.major is not None and lv.major >= 0:
                yield f"Persistent major       {lv.major}"
            yield f"Persistent minor       {lv.minor}"
        if device is not None:
            yield f"Block device           {device.major}:{device.minor}"
        yield BLANK

    def _lv_map(self, g: GroupFacts, lv: LogicalVolume) -> Iterator[str]:
        yield "--- Segments ---"
        for segment in lv.segments:
            yield f"Logical extents {segment.start} to {int(segment.end) - 1}:"
            yield f"  Type\t\t{g.segtype(lv, segment)}"
            yield from self._areas(g, lv, segment)
            yield BLANK
        yield BLANK

    def _areas(self, g: GroupFacts, lv: LogicalVolume, segment: Segment) -> Iterator[str]:
        areas = segment.body.areas
        several = len(areas) > 1
        if several:
            yield f"  Stripes\t\t{len(areas)}"
            size = g.segment_facts(lv, segment).values.get("stripe_size")
            if isinstance(size, int) and size:
                plain = f"{size // 2} KB"
                yield f"  Stripe size\t\t{self.size(size) if self.request.si_units else plain}"
        for at, area in enumerate(areas):
            indent = "    " if several else "  "
            if several:
                yield f"  Stripe {at}:"
            last = int(area.start) + int(area.length) - 1
            if isinstance(area, PvArea):
                yield f"{indent}Physical volume\t{g.device(area.pv)}"
                yield f"{indent}Physical extents\t{area.start} to {last}"
            else:
                lower = g.group.lv_by_id.get(area.lv)
                yield f"{indent}Logical volume\t{lower.name if lower else 'Missing'}"
                yield f"{indent}Logical extents\t{area.start} to {last}"


def _bits(status: tuple[str, ...], bits: dict[str, int]) -> int:
    return sum(bits.get(word, 0) for word in status)


def _is_cow(g: GroupFacts, lv: Uuid) -> bool:
    facts = g.facts(g.group.lv_by_id[lv])
    return facts is not None and facts.kind in ("s", "S")


def fill_of(facts: Facts | None) -> float | None:
    """The used percentage of a volume's copy-on-write space; None if it is not known, or the space is lost."""
    if facts is not None and facts.values.get("lv_snapshot_invalid"):
        return None
    value = facts.values.get("snap_percent") if facts else None
    return value if isinstance(value, int | float) else None


def _time(seconds: int) -> str:
    from vmgr.report.cells import local_time

    return local_time(seconds, DEFAULT_TIME_FORMAT) if seconds else ""
