"""What a command asks of a group, as frozen values.

The command line makes them from arguments, Python programs make them directly. Names have become
UUIDs and physical volumes by then; sizes have not become extents, because a percentage is
of a group that is known only under its lock.
"""

from __future__ import annotations

from attrs import evolve, field, frozen

from vmgr.core.ids import LvName, Tag, Uuid
from vmgr.core.units import Extents, Sectors

PERCENT_OF = ("VG", "FREE", "PVS", "LV", "ORIGIN")
"""What a percentage may be of (``lvcreate(8)``, ``-l``)."""


@frozen
class Percent:
    """``value`` percent of the group, its free space, the listed PVs, the volume or its origin."""

    value: int
    of: str


@frozen
class SizeSpec:
    """A size from the command line. ``sign`` is ``""`` (absolute), ``"+"`` or ``"-"`` (relative)."""

    value: Sectors | Extents | Percent
    sign: str = ""


@frozen
class PvRange:
    """A physical volume to allocate from; with ``ranges``, only those extents (first, last)."""

    pv: Uuid
    ranges: tuple[tuple[Extents, Extents], ...] = ()


OptionValue = bool | int | str | Sectors
Options = tuple[tuple[str, OptionValue], ...]
"""Values of the options that target plugins declared, by the option's long name without dashes."""


def option(options: Options, name: str) -> OptionValue | None:
    """The value given for option ``name``, or None."""
    for key, value in options:
        if key == name:
            return value
    return None


@frozen
class CreateVolume:
    """Make a volume. ``name`` None means the next free ``lvolN``; ``origin`` is the volume named as source.

    ``defaults`` are values of target plugins' options for which the user said nothing. ``ignore_skip`` activates
    also what ``activation_skip`` leaves out from now on.
    """

    size: SizeSpec | None = None
    name: LvName | None = None
    type: str | None = None
    origin: Uuid | None = None
    options: Options = ()
    pvs: tuple[PvRange, ...] = ()
    alloc: str = "inherit"
    tags: tuple[Tag, ...] = ()
    read_only: bool = False
    activate: bool = True
    zero: bool = True
    wipe_signatures: bool = True
    autoactivate: bool = True
    activation_skip: bool | None = None
    contiguous: bool | None = None
    read_ahead: int | None = None
    numbers: tuple[int, int] | None = None
    defaults: Options = ()
    ignore_skip: bool = False
    profile: str = ""


@frozen
class ExtendVolume:
    """Make a volume longer, to ``size`` or by it. ``defaults``: see :class:`CreateVolume`."""

    lv: Uuid
    size: SizeSpec
    type: str | None = None
    options: Options = ()
    pvs: tuple[PvRange, ...] = ()
    alloc: str | None = None
    defaults: Options = ()


@frozen
class ReduceVolume:
    """Make a volume shorter, to ``size`` or by it. Data behind the new end is lost."""

    lv: Uuid
    size: SizeSpec


@frozen
class RemoveVolume:
    """Remove a volume and what goes with it."""

    lv: Uuid


@frozen
class RenameVolume:
    """Give a volume another name; hidden helpers named after it follow."""

    lv: Uuid
    name: LvName


@frozen
class ChangeVolume:
    """Change a volume's attributes; None leaves each as it is."""

    lv: Uuid
    read_only: bool | None = None
    alloc: str | None = None
    add_tags: tuple[Tag, ...] = ()
    del_tags: tuple[Tag, ...] = ()
    read_ahead: int | None = None
    numbers: tuple[int, int] | None = None
    autoactivate: bool | None = None
    activation_skip: bool | None = None


@frozen
class ConvertVolume:
    """Ask the plugin that declared the given ``options`` or ``type`` to turn a volume into something else."""

    lv: Uuid
    options: Options
    type: str | None = None
    pvs: tuple[PvRange, ...] = ()
    alloc: str | None = None


Request = CreateVolume | ExtendVolume | ReduceVolume | RemoveVolume | RenameVolume | ChangeVolume | ConvertVolume


@frozen
class Stamp:
    """What a pure operation may not fetch by itself: the time, the host's name, fresh UUIDs.

    ``seed`` is 32 random bytes from the caller; :meth:`uuid` derives as many UUIDs from it as are
    needed, so that the same stamp always gives the same group. ``time`` is seconds since 1970.
    """

    seed: bytes = field(repr=False)
    time: int
    host: str

    def uuid(self, n: int) -> Uuid:
        """The ``n``-th fresh UUID of this stamp."""
        from hashlib import sha256

        return Uuid.from_bytes(sha256(self.seed + n.to_bytes(4, "big")).digest())

    def part(self, n: int) -> Stamp:
        """A stamp of its own for the ``n``-th part of a batch, with UUIDs unlike the other parts'."""
        from hashlib import sha256

        return evolve(self, seed=sha256(b"part" + self.seed + n.to_bytes(4, "big")).digest())
