"""How much: a size as it is asked for, before anybody knows how many extents that is."""

from __future__ import annotations

from attrs import field, frozen

from vmgr.core.units import Extents, Sectors
from vmgr.core.value import Value

CHOICES = "choices"
"""Key of a field's metadata: the words that it may be."""

PERCENT_OF = ("VG", "FREE", "PVS", "LV", "ORIGIN")
"""What a percentage may be of (``lvcreate(8)``, ``-l``)."""


@frozen(repr=False)
class Percent(Value):
    """``value`` percent of the group, its free space, the listed PVs, the volume or its origin."""

    value: int
    of: str = field(metadata={CHOICES: PERCENT_OF})


class Signed(int):
    """A number with the sign that it was written with: ``""`` (absolute), ``"+"`` or ``"-"`` (relative)."""

    sign: str

    def __new__(cls, value: int, sign: str = "") -> Signed:
        """``value`` is without its sign."""
        made = super().__new__(cls, value)
        made.sign = sign
        return made


@frozen(repr=False)
class SizeSpec(Value):
    """A size as users give it. ``sign`` is ``""`` (absolute), ``"+"`` or ``"-"`` (relative)."""

    value: Sectors | Extents | Percent
    sign: str = field(default="", metadata={CHOICES: ("", "+", "-")})
