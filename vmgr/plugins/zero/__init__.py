"""The target for volumes that lie nowhere: reads give zeros.

On disk a segment is its type word and its length, nothing else (``lib/zero/zero.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.hooks import KernelTarget
from vmgr.core.plain import Nowhere, NowhereBody

if TYPE_CHECKING:
    from vmgr.core.tabletype import TableType

MANUAL = """\
A volume of type zero lies nowhere: reading it gives zeros, and what is written to it is dropped. It takes no space
in its group, so it may be of any size. A snapshot of a zero volume holds what is written to the snapshot, and so
makes a very large volume on little space.

lvcreate --type zero -L 1t makes one. It can be extended and reduced like any other, and segments of this type may
follow those of plain volumes: lvextend --type zero.\
"""


class ZeroBody(NowhereBody):
    """A segment that lies nowhere: reads give zeros."""

    __slots__ = ()


def _table_types() -> tuple[type[TableType], ...]:
    from vmgr.plugins.zero.table import ZeroTable

    return (ZeroTable,)


PLUGIN = Nowhere(
    "zero",
    ZeroBody,
    summary="reads give zeros, and what is written is dropped",
    manual=MANUAL,
    kernel_target=KernelTarget("zero"),
    table_types=_table_types,
)
