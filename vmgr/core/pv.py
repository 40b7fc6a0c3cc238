"""The layout of a physical volume: what its label says lies where."""

from __future__ import annotations

from attrs import frozen

from vmgr.core.ids import Uuid
from vmgr.core.units import Bytes
from vmgr.core.value import Value


@frozen(repr=False)
class DiskArea(Value):
    """``size`` bytes from byte ``offset`` of a device. Size 0 means "to the end" in a data area."""

    offset: Bytes
    size: Bytes


@frozen(repr=False)
class MdaArea(Value):
    """A metadata area: a header sector and a ring of text. ``ignored`` ones are not read or written."""

    offset: Bytes
    size: Bytes
    ignored: bool = False


@frozen(repr=False)
class PvLayout(Value):
    """Everything that a PV's label says.

    ``size`` is the device's size in bytes; ``label_sector`` (0 to 3) is where the label lies. ``ext_version``
    is the version of the
    header's extension (0: none), ``ext_flags`` its flags (bit 0: in use by a group).
    """

    id: Uuid
    size: Bytes
    data: tuple[DiskArea, ...]
    mdas: tuple[MdaArea, ...] = ()
    bootloader: tuple[DiskArea, ...] = ()
    ext_version: int = 2
    ext_flags: int = 0
    label_sector: int = 1

    @property
    def used(self) -> bool:
        """Whether the label says that the PV belongs to a group (``PV_EXT_USED``)."""
        return bool(self.ext_flags & 1)
