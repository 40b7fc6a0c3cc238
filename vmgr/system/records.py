"""What a scan has in hand while it reads: plain records that :mod:`vmgr.system.judge` turns into views."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup
    from vmgr.core.pv import MdaArea, PvLayout
    from vmgr.ondisk.mda import MdaHeader
    from vmgr.system.devices import Device

Key = tuple[int, int]
"""Size and checksum of a text: two that agree in both are taken to be the same."""


class AreaRecord:
    """A metadata area. ``key`` is that of its committed text, None without one or where the area is ignored.

    ``checked`` tells whether the text has been read.
    """

    __slots__ = ("area", "checked", "header", "key", "problem")

    def __init__(self, area: MdaArea) -> None:
        self.area = area
        self.header: MdaHeader | None = None
        self.key: Key | None = None
        self.problem = ""
        self.checked = False


class PvRecord:
    """A device with a label."""

    __slots__ = ("areas", "device", "layout")

    def __init__(self, device: Device, layout: PvLayout) -> None:
        self.device = device
        self.layout = layout
        self.areas = [AreaRecord(area) for area in layout.mdas]


class TextRecord:
    """One version of a group's metadata: as much of it as was read, and where it lies.

    ``seqno`` is -1 until the text's beginning was understood; ``raw`` None until it was read whole,
    empty if no copy of it is intact. ``refused`` says why an intact text was not understood; ``faults`` are
    sentences about volumes that were not understood in a text that was otherwise.
    """

    __slots__ = ("faults", "group", "name", "places", "raw", "refused", "seqno", "start", "vgid")

    def __init__(self) -> None:
        self.places: list[tuple[PvRecord, AreaRecord]] = []
        self.start = b""
        self.raw: bytes | None = None
        self.name = ""
        self.vgid = ""
        self.seqno = -1
        self.group: VolumeGroup | None = None
        self.refused = ""
        self.faults: list[str] = []
