"""What the line of a linear target says."""

from __future__ import annotations

from typing import ClassVar, Self

from attrs import frozen

from vmgr.core.tabletype import TableType, parse_number, split_params
from vmgr.core.units import Sectors


@frozen(repr=False)
class LinearTable(TableType):
    """``linear DEVICE START``: the sectors of ``device`` from ``start`` on (``drivers/md/dm-linear.c``)."""

    target: ClassVar[str] = "linear"

    device: str
    start: Sectors

    @classmethod
    def parse(cls, params: str) -> Self:
        """Exactly a device and its first sector."""
        device, start = split_params(params, 2, 2, "DEVICE START")
        return cls(device, Sectors(parse_number(start, "the start")))

    def params(self) -> str:
        """The parameters as the kernel prints them."""
        return f"{self.device} {self.start}"

    @property
    def devices(self) -> tuple[str, ...]:
        """The device that it lies on."""
        return (self.device,)
