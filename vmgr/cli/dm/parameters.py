"""Lines of tables in JSON, with their parameters taken apart where a target plugin knows how."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.core.table import KernelLine
    from vmgr.dm.tables import Tables


@cache
def tables() -> Tables:
    """What the installed plugins understand, without those that cannot be used, which other commands tell."""
    from vmgr.core.errors import VmgrError
    from vmgr.dm.tables import Tables
    from vmgr.registry import table_types

    try:
        return Tables(table_types(lambda _: None))
    except VmgrError:
        return Tables()


def line_json(line: KernelLine) -> dict[str, object]:
    """``{"fields": {...}}`` for a line that a plugin understands, by the names of its type; otherwise nothing."""
    value = tables().parse(line).value
    return {} if value is None else {"fields": _fields(value)}


def _fields(value: object) -> dict[str, object]:
    from attrs import fields

    each: list[str] = [field.name for field in fields(type(value))]  # type: ignore[arg-type]
    return {name: plain(getattr(value, name)) for name in each}


def plain(value: object) -> object:
    """A value as JSON has it: numbers, text, lists, and objects for values with fields."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return int(value) if isinstance(value, int) else value
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    from attrs import has

    return _fields(value) if has(type(value)) else str(value)
