"""The state of the fake kernel, and what every command does with it.

Devices with their tables; finding a device, filling the header of a reply, removing a device.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.dm import abi
from vmgr.dm.wire import Reply
from vmgr.testing.fake_stats import FakeStats
from vmgr.testing.fake_targets import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.table import KernelLine
    from vmgr.dm.abi import Version
    from vmgr.dm.wire import Request
    from vmgr.testing.fake_targets import FakeTarget


class FakeTable:
    """A loaded table: its lines as the kernel would print them, and the devices that it opens."""

    __slots__ = ("block", "deps", "lines", "read_only", "resumed")

    def __init__(self, lines: tuple[KernelLine, ...], read_only: bool, deps: tuple[int, ...]) -> None:
        self.lines = lines
        self.read_only = read_only
        self.deps = deps
        self.block = 1
        """Sectors in its logical block, once it is live: the largest of the devices below."""
        self.resumed = False
        """Whether it has been live: only then does a snapshot have its exceptions."""

    @property
    def size(self) -> int:
        """The end of the last line, in sectors."""
        last = self.lines[-1]
        return int(last.start) + int(last.length)


class FakeDevice:
    """A device, with the tables in its two slots and the number of opens by tests."""

    __slots__ = (
        "deferred", "event_nr", "inactive", "internal", "live", "minor", "name", "opens", "read_only", "settled",
        "stats", "status", "suspended", "uuid",
    )  # fmt: skip

    def __init__(self, name: str, uuid: str, minor: int) -> None:
        self.name, self.uuid, self.minor = name, uuid, minor
        self.live: FakeTable | None = None
        self.inactive: FakeTable | None = None
        self.suspended = False
        self.internal = False
        """Whether a target of another device has suspended it."""
        self.read_only = False
        self.deferred = False
        self.opens = 0
        self.event_nr = 0
        self.settled = False
        """Whether a table was ever loaded: only the first load checks the areas and makes the disk."""
        self.status: dict[int, str] = {}
        self.stats = FakeStats()


class FakeState:
    """All devices, the disks below them, and the counter of events."""

    def __init__(self, disks: dict[int, int], targets: dict[str, FakeTarget], version: Version, major: int) -> None:
        self.disks = disks
        self.targets = targets
        self.version = version
        self.major = major
        self.blocks: dict[int, int] = {}
        self.busy: set[int] = set()
        self.devices: dict[int, FakeDevice] = {}
        self.events = 0
        self.watches: list[Callable[[], None]] = []

    # -- looking up ----------------------------------------------------------------------------------

    def find(self, request: Request) -> FakeDevice:
        """The device that a request names by exactly one of UUID, name and number."""
        found = None
        if request.uuid:
            if not request.dev:
                found = next((d for d in self.devices.values() if d.uuid == request.uuid), None)
        elif request.name:
            if not request.dev:
                found = next((d for d in self.devices.values() if d.name == request.name), None)
        elif request.dev:
            major, minor = abi.major_minor(request.dev)
            found = self.devices.get(minor) if major == self.major else None
        if found is None:
            raise Refusal(errno.ENXIO)
        return found

    def by_name(self, name: str) -> FakeDevice:
        """The device called ``name``, which must exist."""
        return next(device for device in self.devices.values() if device.name == name)

    def dev(self, device: FakeDevice) -> int:
        """A device's number."""
        return abi.dev_number(self.major, device.minor)

    def holders(self, device: FakeDevice) -> int:
        """The number of devices above. Each opens a device once, however many tables refer to it."""
        wanted = self.dev(device)
        return sum(
            len({t.read_only for t in (other.live, other.inactive) if t is not None and wanted in t.deps})
            for other in self.devices.values()
        )

    def open_count(self, device: FakeDevice) -> int:
        """The number of times that a device is open."""
        return device.opens + self.holders(device)

    def size(self, dev: int) -> int | None:
        """The size in sectors of a disk or device; None when there is none."""
        if dev in self.disks:
            return self.disks[dev]
        major, minor = abi.major_minor(dev)
        device = self.devices.get(minor) if major == self.major else None
        if device is None:
            return None
        return device.live.size if device.live else 0

    def block(self, dev: int) -> int:
        """The sectors in a logical block of a disk or device."""
        major, minor = abi.major_minor(dev)
        device = self.devices.get(minor) if major == self.major else None
        return self.blocks.get(dev, 1) if device is None or device.live is None else device.live.block

    def can_open(self, dev: int) -> bool:
        """Whether it is a disk, or a device that had a table. Before the first table, a device cannot be opened."""
        if dev in self.disks:
            return True
        major, minor = abi.major_minor(dev)
        device = self.devices.get(minor) if major == self.major else None
        return device is not None and device.settled

    # -- changing ------------------------------------------------------------------------------------

    def tell(self) -> None:
        """Notify all pollers of an event."""
        self.events += 1
        for watch in self.watches:
            watch()

    def raise_event(self, device: FakeDevice) -> None:
        """Raise an event of a device, and notify all pollers."""
        device.event_nr += 1
        self.tell()

    def destroy(self, device: FakeDevice) -> None:
        """Remove a device, and then those whose deferred removal is due."""
        del self.devices[device.minor]
        if device.live is not None:
            self.tell()
        self.reap()

    def reap(self) -> None:
        """Remove the devices with a deferred removal that are closed now."""
        for device in list(self.devices.values()):
            if device.deferred and not self.open_count(device):
                self.destroy(device)
                return  # destroy goes on with the rest

    # -- replies -------------------------------------------------------------------------------------

    def reply(
        self,
        device: FakeDevice,
        request: Request,
        *,
        flags: int = 0,
        data: bytes = b"",
        waiting: bool | None = None,
    ) -> Reply:
        """The header as ``__dev_status`` fills it: the request's flags, except those that mean a state.

        ``waiting``: the flag for a table in the inactive slot; None: as it is.
        """
        inactive = bool(request.flags & abi.QUERY_INACTIVE_TABLE)
        flags |= kept_flags(request) & ~(abi.SUSPEND | abi.READONLY)
        if device.suspended:
            flags |= abi.SUSPEND
        if device.internal:
            flags |= abi.INTERNAL_SUSPEND
        if device.deferred:
            flags |= abi.DEFERRED_REMOVE
        if device.live is not None:
            flags |= abi.ACTIVE_PRESENT
        if device.inactive is not None if waiting is None else waiting:
            flags |= abi.INACTIVE_PRESENT
        table = device.inactive if inactive else device.live
        if table is not None and (table.read_only if inactive else device.read_only):
            flags |= abi.READONLY
        return Reply(
            self.version,
            len(table.lines) if table is not None else 0,
            self.open_count(device),
            flags,
            device.event_nr,
            self.dev(device),
            device.name,
            device.uuid,
            data,
        )

    def echo(self, request: Request, *, flags: int = 0, data: bytes = b"") -> Reply:
        """The request's header, which commands that are not about one device return unchanged."""
        return Reply(
            self.version,
            0,
            0,
            kept_flags(request) | flags,
            request.event_nr,
            request.dev,
            request.name,
            request.uuid,
            data,
        )


def kept_flags(request: Request) -> int:
    """The flags of a request that the kernel does not clear beforehand (``validate_params``)."""
    return request.flags & ~abi.SECURE_DATA
