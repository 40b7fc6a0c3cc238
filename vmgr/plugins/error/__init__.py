"""The target for volumes that lie nowhere: requests fail.

On disk a segment is its type word and its length, nothing else (``lib/error/errseg.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.hooks import KernelTarget
from vmgr.core.plain import Nowhere, NowhereBody

if TYPE_CHECKING:
    from vmgr.core.tabletype import TableType

MANUAL = """\
A volume of type error lies nowhere: every request to it fails. It takes no space in its group. It stands in for
what is lost or must not be touched, and serves to test how programs take failures.

lvcreate --type error -L 1g makes one. Segments of this type may follow those of plain volumes: lvextend --type
error gives a volume a bad end.\
"""


class ErrorBody(NowhereBody):
    """A segment that lies nowhere: requests fail."""

    __slots__ = ()


def _table_types() -> tuple[type[TableType], ...]:
    from vmgr.plugins.error.table import ErrorTable

    return (ErrorTable,)


PLUGIN = Nowhere(
    "error",
    ErrorBody,
    summary="every request to it fails",
    manual=MANUAL,
    kernel_target=KernelTarget("error", module="dm-mod", config="BLK_DEV_DM"),
    table_types=_table_types,
)
