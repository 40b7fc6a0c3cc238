"""From rows to raw values, and from raw values to the texts of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report import volumes
from vmgr.report.catalog import UNKNOWN
from vmgr.report.columns import ANY_LV, LABEL, PV, PVSEG, SEG, VG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.core.units import Sectors
    from vmgr.report.catalog import Column
    from vmgr.report.facts import Context
    from vmgr.report.render import Cells
    from vmgr.report.rows import Rows


class Values:
    """The raw values of a column: a list with one for each row, or a single value of all rows (``same``)."""

    __slots__ = ("raw", "same", "value")

    def __init__(self, raw: Sequence[object] | None, value: object = None) -> None:
        self.raw: list[object] = list(raw or ())
        self.same = raw is None
        self.value = value

    def listed(self, count: int) -> list[object]:
        """The values as a list."""
        return [self.value] * count if self.same else self.raw


def absent(column: Column) -> object:
    """The value of a column for which there is no data."""
    if column.absent is None and column.kind == "string":
        return ""
    if column.absent is None and column.kind == "list":
        return ()
    return column.absent


def values_of(rows: Rows, column: Column) -> Values:
    """The raw values of a column."""
    name, section = column.name, column.section
    if not rows.count:
        return Values(None)
    if section & ANY_LV:
        return _of_volumes(rows, column)
    if section == VG:
        from vmgr.report.groups import VALUES

        value = VALUES[name]
        found = {g: value(g) for g in dict.fromkeys(rows.groups)}
        if len(found) == 1:
            return Values(None, next(iter(found.values())))
        return Values([found[g] for g in rows.groups])
    if section == SEG:
        from vmgr.report import segments

        of_segment = segments.VALUES.get(name) or segments.fact(name, absent(column))
        triples = zip(rows.groups, rows.lvs, rows.segments, strict=True)
        return Values([of_segment(g, lv, segment) for g, lv, segment in triples])
    if section in (PV, LABEL):
        from vmgr.report import physical

        of_pv = physical.VALUES.get(name)
        if of_pv is None:
            return Values(None, absent(column))
        return Values([of_pv(p) for p in rows.pvs])
    if section == PVSEG:
        from vmgr.report.physical import RUN_VALUES

        of_run = RUN_VALUES[name]
        return Values([of_run(run) for run in rows.runs])
    return Values([int(chosen) for chosen in rows.chosen()])  # the column "selected"


def _of_volumes(rows: Rows, column: Column) -> Values:
    name = column.name
    if name == "lv_name":
        return Values([lv.name for lv in rows.lvs])
    if name == "lv_size":
        return Values(volumes.sizes(rows.groups, rows.lvs))
    if name == "lv_attr":
        return Values(volumes.attrs(rows))
    if name in volumes.OF_MOVES and not volumes.moving(rows.lvs):
        return Values(None, "")
    value = volumes.VALUES.get(name)
    if value is not None:
        return Values([value(g, lv) for g, lv in zip(rows.groups, rows.lvs, strict=True)])
    nothing = absent(column)
    speaking = rows.speaking()
    if not speaking:
        return Values(None, nothing)
    raw: list[object] = [nothing] * rows.count
    value = volumes.fact(name, nothing)
    for at in speaking:
        raw[at] = value(rows.groups[at], rows.lvs[at])
    return Values(raw)


# -- what is shown --------------------------------------------------------------------------------


def cells_of(rows: Rows, column: Column, values: Values) -> Cells:
    """The texts of a column."""
    if values.same:
        return _shown(rows.ctx, column, [values.value])[0]
    if column.name == "lv_name":
        return volumes.names(rows.ctx, rows.lvs)
    return _shown(rows.ctx, column, values.raw)


def _shown(ctx: Context, column: Column, raw: list[object]) -> list[str]:
    kind = column.kind
    if kind == "string":
        return ["" if v is None else str(v) for v in raw]
    if kind == "size":
        texts = {v: _size(ctx, v) for v in set(raw)}  # many are equal
        return [texts[v] for v in raw]
    if kind == "percent":
        return ["" if v is None else percent(v) for v in raw]  # type: ignore[arg-type]
    if kind == "binary":
        yes, no, unknown = ("1", "0", "-1") if ctx.binary else (column.words.partition(",")[0], "", "unknown")
        return ["" if v == "" else unknown if v is None else yes if v else no for v in raw]
    if kind == "list":
        from vmgr.report.segments import SEPARATORS

        separator = SEPARATORS.get(column.name, ctx.separator)
        return [separator.join(v) if isinstance(v, tuple) else str(v or "") for v in raw]
    if kind == "time":
        return [_time(ctx, v) for v in raw]
    return ["" if v is None else str(v) for v in raw]


def _size(ctx: Context, value: object) -> str:
    if isinstance(value, int):
        if value == UNKNOWN:
            return "-1"
        size: Sectors = value  # type: ignore[assignment]
        return ctx.size(size)
    return "" if value is None else str(value)


def percent(value: float) -> str:
    """A percentage with two decimals, which is 0.00 or 100.00 only if it is exact.

    To round like LVM2, this keeps millionths in a C float, too (``dm_percent_to_round_float``).
    """
    from struct import pack, unpack

    def single(number: float) -> float:
        return float(unpack("f", pack("f", number))[0])

    millionths = int(value * 1_000_000)
    if 0 < millionths < 10_000:
        return "0.01"
    if 99_990_000 < millionths < 100_000_000:
        return "99.99"
    return f"{single(single(millionths) / 1_000_000):.2f}"


def _time(ctx: Context, value: object) -> str:
    return local_time(value, ctx.time_format) if isinstance(value, int) and value else ""


def local_time(seconds: int, form: str) -> str:
    """A local time formatted with ``strftime``; the number itself if it is out of range."""
    import time

    try:
        return time.strftime(form, time.localtime(seconds))
    except (OSError, OverflowError, ValueError):
        return str(seconds)
