"""Device-mapper devices and their tables as values, before they have numbers.

A plugin says what a device's table refers to by identity: a physical volume by its UUID
(:class:`PvRef`), another device-mapper device by its device-mapper UUID (:class:`DevRef`).
Only when a plan runs are those resolved to ``major:minor``, because only then do they exist.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from vmgr.core.ids import Uuid
from vmgr.core.units import Sectors
from vmgr.core.value import Value

DM_NAME_MAX = 127
"""Longest device name in bytes (``DM_NAME_LEN`` is 128 with the final NUL, ``linux/dm-ioctl.h``)."""

DM_UUID_MAX = 128
"""Longest device UUID in bytes (``DM_UUID_LEN`` is 129 with the final NUL)."""


@frozen(repr=False)
class PvRef(Value):
    """The block device that holds physical volume ``pv``."""

    pv: Uuid


@frozen(repr=False)
class DevRef(Value):
    """The device-mapper device whose device-mapper UUID is ``uuid``."""

    uuid: str


Arg = str | PvRef | DevRef
"""One word of a target's parameters; a reference becomes ``major:minor``."""


@frozen(repr=False)
class TargetLine(Value):
    """One line of a table: ``start length target args...``, start and length in sectors."""

    start: Sectors
    length: Sectors
    target: str
    args: tuple[Arg, ...] = ()

    def params(self, resolve: Callable[[PvRef | DevRef], str]) -> str:
        """The parameters as the kernel takes them; ``resolve`` turns a reference into ``major:minor``."""
        return " ".join(a if isinstance(a, str) else resolve(a) for a in self.args)

    def refs(self) -> tuple[PvRef | DevRef, ...]:
        """What this line refers to, in order, repetitions kept."""
        return tuple(a for a in self.args if not isinstance(a, str))


@frozen(repr=False)
class KernelLine(Value):
    """One line of a table or of a status as the kernel prints it: nothing symbolic is left."""

    start: Sectors
    length: Sectors
    target: str
    params: str

    def __str__(self) -> str:
        return f"{self.start} {self.length} {self.target} {self.params}".rstrip()


@frozen(repr=False)
class DmDevice(Value):
    """A device-mapper device that shall exist.

    ``link`` is ``(group, volume)`` when ``/dev/GROUP/VOLUME`` shall lead to it: those are the
    devices shown to users; the others are helpers, which udev is told not to scan.
    ``numbers`` is a persistent ``(major, minor)``. ``read_ahead`` is in sectors, None for the
    kernel's choice. ``after`` are device-mapper UUIDs of devices that must be running again before this one
    is, although its table does not refer to them (an origin after its snapshots: writes must not pass them by).
    ``exclusive``: its targets must not run twice at once, so when it takes over what a live device does, it is
    resumed only while that one is suspended. ``low_priority``: where another device has the same content, links by
    content (``/dev/disk/by-uuid``) are that one's. ``read_ahead_at_least``: ``read_ahead`` only raises what the
    kernel chose. ``fixed``: the table runs already, and the kernel takes no second one like it beside it.
    """

    name: str
    uuid: str
    table: tuple[TargetLine, ...]
    read_only: bool = False
    link: tuple[str, str] | None = None
    numbers: tuple[int, int] | None = None
    read_ahead: Sectors | None = None
    after: tuple[str, ...] = ()
    exclusive: bool = False
    low_priority: bool = False
    read_ahead_at_least: bool = False
    fixed: bool = False

    @property
    def size(self) -> Sectors:
        """The device's length in sectors: the end of its last line."""
        last = self.table[-1]
        return last.start + last.length

    def needs(self) -> tuple[str, ...]:
        """Device-mapper UUIDs of the devices that this one's table refers to."""
        return tuple(r.uuid for line in self.table for r in line.refs() if isinstance(r, DevRef))


@frozen(repr=False)
class LiveDevice(Value):
    """A device-mapper device as the kernel has it now.

    ``table`` is the live table, ``status`` the live status lines; either is None when it was
    not asked for, and empty when there is no live table. ``has_inactive`` tells that a table is loaded
    and waits for a resume. ``deferred_remove``: it goes as soon as it is closed. ``internal_suspend``: a target of
    another device (a thin pool, say) holds it back, as a suspend does. ``target_count`` tells how many lines the
    live table has. If the waiting table was asked about instead, ``table``, ``status``, ``read_only`` and
    ``target_count`` are that one's.
    """

    name: str
    uuid: str
    major: int
    minor: int
    open_count: int = 0
    suspended: bool = False
    read_only: bool = False
    has_live: bool = True
    has_inactive: bool = False
    event_nr: int = 0
    table: tuple[KernelLine, ...] | None = None
    status: tuple[KernelLine, ...] | None = None
    deferred_remove: bool = False
    internal_suspend: bool = False
    target_count: int = 0
