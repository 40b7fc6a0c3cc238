"""Physical volumes that were not there when their group was written: marked in the metadata, as LVM2 marks them.

What was written meanwhile is not on such a PV, so a volume on it may be older than the rest: it stays marked when
it is back until somebody says that it may be used (``vgextend --restoremissing``). One on which nothing lies is
welcome at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

if TYPE_CHECKING:
    from collections.abc import Container

    from vmgr.core.ids import Uuid
    from vmgr.core.model import PhysicalVolume, VolumeGroup

MISSING = "MISSING"


def with_marks(group: VolumeGroup, absent: Container[Uuid]) -> VolumeGroup:
    """The group, about to be written, with a mark on each PV that is ``absent`` and has none yet."""
    lost = [pv for pv in group.pvs if pv.id in absent and not pv.missing]
    return group.with_pv(*(evolve(pv, flags=(*pv.flags, MISSING)) for pv in lost)) if lost else group


def without_mark(pv: PhysicalVolume) -> PhysicalVolume:
    """The PV as one that may be used again."""
    return evolve(
        pv,
        flags=tuple(word for word in pv.flags if word != MISSING),
        status=tuple(word for word in pv.status if word != MISSING),
    )


def welcome(group: VolumeGroup, there: Container[Uuid]) -> tuple[VolumeGroup, tuple[Uuid, ...]]:
    """The group without the marks of those PVs that are ``there`` again and on which nothing lies, and these."""
    back = [pv for pv in group.pvs if pv.missing and pv.id in there and not group.used.get(pv.id)]
    if not back:
        return group, ()
    return group.with_pv(*map(without_mark, back)), tuple(pv.id for pv in back)
