"""A device mapper in memory: the same protocol, the same refusals, no kernel.

For unit tests and dry runs. It knows of disks only their sizes, and of a target only what a table must
look like (:mod:`vmgr.dm.fake_targets`). One conformance suite runs on it and on the real kernel
(``tests/support/dm_conformance.py``); where they differ, this is wrong. Semantics: ``drivers/md/dm-ioctl.c``,
``dm.c`` and ``dm-table.c`` of Linux 6.1.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.core.table import DM_NAME_MAX, DM_UUID_MAX, KernelLine
from vmgr.dm import abi, wire
from vmgr.dm.failure import explain
from vmgr.dm.fake_nodes import FakeNodes
from vmgr.dm.fake_state import FakeDevice, FakeTable
from vmgr.dm.fake_targets import TARGETS, FakeTarget, Refusal
from vmgr.dm.kernel import check
from vmgr.dm.wire import NameEntry, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vmgr.core.table import LiveDevice
    from vmgr.dm.abi import Version

__all__ = ["FakeKernel", "FakeNodes"]

MAJOR = 254
MINORS = 1 << 20


class FakeKernel:
    """A kernel with nothing but a device mapper.

    ``disks`` maps (major, minor) to a size in sectors. ``calls`` records every request that reached it.
    Minor numbers are given out from 0 upwards, the lowest free one first.
    """

    def __init__(
        self,
        disks: Mapping[tuple[int, int], int] | None = None,
        *,
        targets: Iterable[FakeTarget] = TARGETS,
        version: Version = (4, 47, 0),
        major: int = MAJOR,
    ) -> None:
        self.disks = {abi.dev_number(*numbers): int(size) for numbers, size in (disks or {}).items()}
        self.version: Version = version
        self.major = major
        self.calls: list[Request] = []
        self.busy: set[int] = set()
        """Disks that something else holds (``abi.dev_number``): a table that refers to one is refused."""
        self._targets = {target.name: target for target in targets}
        self._devices: dict[int, FakeDevice] = {}
        self._armed = self._events = 0
        self._commands: dict[int, Callable[[Request], Reply]] = {
            abi.VERSION.nr: lambda _: Reply(self.version),
            abi.REMOVE_ALL.nr: self._remove_all,
            abi.LIST_DEVICES.nr: self._list,
            abi.DEV_CREATE.nr: self._create,
            abi.DEV_REMOVE.nr: self._remove,
            abi.DEV_RENAME.nr: self._rename,
            abi.DEV_SUSPEND.nr: self._suspend_or_resume,
            abi.DEV_STATUS.nr: lambda r: self._reply(self._find(r), r),
            abi.DEV_WAIT.nr: self._wait,
            abi.TABLE_LOAD.nr: self._load,
            abi.TABLE_CLEAR.nr: self._clear,
            abi.TABLE_DEPS.nr: self._deps,
            abi.TABLE_STATUS.nr: self._status,
            abi.LIST_VERSIONS.nr: self._versions,
            abi.TARGET_MSG.nr: self._message,
            abi.DEV_SET_GEOMETRY.nr: self._geometry,
            abi.DEV_ARM_POLL.nr: self._arm,
            abi.GET_TARGET_VERSION.nr: self._target_version,
        }

    # -- the protocol --------------------------------------------------------------------------------

    def call(self, request: Request) -> Reply:
        """Run one command; see :meth:`vmgr.dm.kernel.Kernel.call`."""
        check(request, self.version)
        wire.pack_request(bytearray(abi.DATA_START + len(request.data)), request)  # refuses what does not fit
        self.calls.append(request)
        try:
            return self._commands[request.command.nr](request)
        except Refusal as refusal:
            raise explain(request, refusal.errno) from None

    def poll(self, timeout: float | None) -> bool:
        """Whether there was an event since the last arming; never waits, for nothing else could make one."""
        return self._events > self._armed

    def block_major(self) -> int:
        """The major number of the devices."""
        return self.major

    # -- what a test or a dry run does to it -----------------------------------------------------------

    def hold(self, name: str) -> None:
        """Open a device, as mounting it would."""
        self._by_name(name).opens += 1

    def release(self, name: str) -> None:
        """Close it again; a deferred removal happens now."""
        device = self._by_name(name)
        device.opens -= 1
        self._reap()

    def event(self, name: str, status: str | None = None, *, line: int = 0) -> None:
        """Let a target raise an event, optionally with another status text on one of its lines."""
        device = self._by_name(name)
        if status is not None:
            device.status[line] = status
        self._raise_event(device)

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool, nanoseconds: int = 0) -> None:
        """Let a device's statistics count a read or a write that took so long."""
        self._by_name(name).stats.count(write, sector, sectors, nanoseconds)

    def seed(self, devices: Iterable[LiveDevice]) -> None:
        """Start from what a real kernel has: ``devices`` with their tables, lowest first or not."""
        devices = tuple(devices)
        for live in devices:
            device = FakeDevice(live.name, live.uuid, live.minor)
            device.suspended, device.read_only = live.suspended, live.read_only
            device.event_nr = live.event_nr
            self._devices[live.minor] = device
        for live in devices:
            if live.table:
                device = self._devices[live.minor]
                deps = tuple(dict.fromkeys(d for line in live.table for d in abi.numbers_in(line.params)))
                device.live = FakeTable(live.table, live.read_only, deps)
                device.settled = True
        for live in devices:
            device = self._devices[live.minor]
            device.opens = max(0, live.open_count - self._holders(device))
            for index, line in enumerate(live.status or ()):
                device.status[index] = line.params

    def size(self, dev: int) -> int | None:
        """The size in sectors of a disk or device (``abi.dev_number``); None when there is none."""
        if dev in self.disks:
            return self.disks[dev]
        major, minor = abi.major_minor(dev)
        device = self._devices.get(minor) if major == self.major else None
        if device is None:
            return None
        return device.live.size if device.live else 0

    # -- looking up ----------------------------------------------------------------------------------

    def _find(self, request: Request) -> FakeDevice:
        if request.uuid and request.name:
            raise Refusal(errno.EINVAL)
        found = None
        if request.uuid:
            if not request.dev:
                found = next((d for d in self._devices.values() if d.uuid == request.uuid), None)
        elif request.name:
            if not request.dev:
                found = next((d for d in self._devices.values() if d.name == request.name), None)
        elif request.dev:
            major, minor = abi.major_minor(request.dev)
            found = self._devices.get(minor) if major == self.major else None
        if found is None:
            raise Refusal(errno.ENXIO)
        return found

    def _by_name(self, name: str) -> FakeDevice:
        return next(device for device in self._devices.values() if device.name == name)

    def _dev(self, device: FakeDevice) -> int:
        return abi.dev_number(self.major, device.minor)

    def _holders(self, device: FakeDevice) -> int:
        """Devices above: each opens what its tables refer to once, however many tables it has."""
        wanted = self._dev(device)
        return sum(
            len({t.read_only for t in (other.live, other.inactive) if t is not None and wanted in t.deps})
            for other in self._devices.values()
        )

    def _open_count(self, device: FakeDevice) -> int:
        return device.opens + self._holders(device)

    def _reply(self, device: FakeDevice, request: Request, *, flags: int = 0, data: bytes = b"") -> Reply:
        inactive = bool(request.flags & abi.QUERY_INACTIVE_TABLE)
        if device.suspended:
            flags |= abi.SUSPEND
        if device.live is not None:
            flags |= abi.ACTIVE_PRESENT
        if device.inactive is not None:
            flags |= abi.INACTIVE_PRESENT
        if device.deferred:
            flags |= abi.DEFERRED_REMOVE
        table = device.inactive if inactive else device.live
        if inactive:
            read_only = table is not None and table.read_only
        else:
            read_only = table is not None and device.read_only
        if read_only:
            flags |= abi.READONLY
        return Reply(
            self.version,
            len(table.lines) if table is not None else 0,
            self._open_count(device),
            flags,
            device.event_nr,
            self._dev(device),
            device.name,
            device.uuid,
            data,
        )

    def _raise_event(self, device: FakeDevice) -> None:
        device.event_nr += 1
        self._events += 1

    # -- commands ------------------------------------------------------------------------------------

    def _list(self, request: Request) -> Reply:
        devices = sorted(self._devices.values(), key=lambda device: wire.encode(device.name))
        with_uuid = bool(request.flags & abi.UUID)
        entries = [NameEntry(self._dev(d), d.name, d.event_nr, d.uuid if with_uuid else None) for d in devices]
        return Reply(self.version, data=wire.pack_names(entries, self.version))

    def _create(self, request: Request) -> Reply:
        if not request.name or "/" in request.name:
            raise Refusal(errno.EINVAL)
        if request.flags & abi.PERSISTENT_DEV:
            minor = abi.major_minor(request.dev)[1]
            if minor in self._devices:
                raise Refusal(errno.ENXIO)
        else:
            minor = next(i for i in range(MINORS) if i not in self._devices)
        for device in self._devices.values():
            if device.name == request.name or (request.uuid and device.uuid == request.uuid):
                raise Refusal(errno.EBUSY)
        device = self._devices[minor] = FakeDevice(request.name, request.uuid, minor)
        return self._reply(device, request)

    def _remove(self, request: Request) -> Reply:
        device = self._find(request)
        if self._open_count(device):
            if request.flags & abi.DEFERRED_REMOVE:
                device.deferred = True
                return self._reply(device, request)
            raise Refusal(errno.EBUSY)
        self._destroy(device)
        return Reply(self.version, flags=abi.UEVENT_GENERATED, name=device.name, uuid=device.uuid)

    def _destroy(self, device: FakeDevice) -> None:
        del self._devices[device.minor]
        if device.live is not None:
            self._events += 1
        self._reap()

    def _reap(self) -> None:
        for device in list(self._devices.values()):
            if device.deferred and not self._open_count(device):
                self._destroy(device)
                return  # _destroy goes on with the rest

    def _remove_all(self, request: Request) -> Reply:
        while True:
            unused = [device for device in self._devices.values() if not self._open_count(device)]
            if not unused:
                break
            for device in unused:
                self._destroy(device)
        if request.flags & abi.DEFERRED_REMOVE:
            for device in self._devices.values():
                device.deferred = True
        return Reply(self.version)

    def _rename(self, request: Request) -> Reply:
        new = wire.unpack_text(request.data)
        to_uuid = bool(request.flags & abi.UUID)
        limit = DM_UUID_MAX if to_uuid else DM_NAME_MAX
        if (request.uuid and request.name) or not new or len(wire.encode(new)) > limit:
            raise Refusal(errno.EINVAL)
        if not to_uuid and "/" in new:
            raise Refusal(errno.EINVAL)
        if any((device.uuid if to_uuid else device.name) == new for device in self._devices.values()):
            raise Refusal(errno.EBUSY)
        device = next((d for d in self._devices.values() if d.name == request.name), None)
        if device is None:
            raise Refusal(errno.ENXIO)
        if to_uuid and device.uuid:
            raise Refusal(errno.EINVAL)
        if to_uuid:
            device.uuid = new
        else:
            device.name = new
        if device.live is not None:
            self._raise_event(device)
        # The kernel does not look the device up by its name for the reply: the header keeps what was asked for.
        return self._reply(device, request, flags=abi.UEVENT_GENERATED)._replace(name=request.name, uuid="")

    def _suspend_or_resume(self, request: Request) -> Reply:
        device = self._find(request)
        if request.flags & abi.SUSPEND:
            device.suspended = True
            return self._reply(device, request)
        if device.inactive is not None:
            new, device.inactive = device.inactive, None
            device.suspended = True
            self._check_areas(new)
            device.live, device.read_only = new, new.read_only
            device.status.clear()
        flags = 0
        if device.suspended:
            if device.live is None:
                raise Refusal(errno.EINVAL)
            device.suspended = False
            flags = abi.UEVENT_GENERATED
        self._reap()
        return self._reply(device, request, flags=flags)

    def _load(self, request: Request) -> Reply:
        device = self._find(request)
        if not request.target_count:
            raise Refusal(errno.EINVAL)
        try:
            lines = wire.unpack_table(request.data, request.target_count)
        except ValueError:
            raise Refusal(errno.EINVAL) from None
        table = self._parse(device, lines, bool(request.flags & abi.READONLY))
        if not device.settled:
            self._check_areas(table)
            device.settled = True
        device.inactive = table
        self._reap()
        return self._reply(device, request)

    def _parse(self, device: FakeDevice, lines: tuple[KernelLine, ...], read_only: bool) -> FakeTable:
        end = 0
        deps: dict[int, None] = {}
        kept = []
        for line in lines:
            target = self._targets.get(line.target)
            if target is None or not line.length or int(line.start) != end:
                raise Refusal(errno.EINVAL)
            if target.alone and len(lines) > 1:
                raise Refusal(errno.EINVAL)
            end += int(line.length)
            printed, areas = target.parse(line)
            for area in areas:
                if not self._can_open(area.dev):
                    raise Refusal(errno.ENXIO)
                if area.dev in self.busy:
                    raise Refusal(errno.EBUSY)
                deps[area.dev] = None
            kept.append(printed)
        # The kernel puts each newly met device at the head of its list.
        return FakeTable(tuple(kept), read_only, tuple(reversed(deps)))

    def _can_open(self, dev: int) -> bool:
        """A disk, or a device that had a table: before its first, a device has no disk behind its number."""
        if dev in self.disks:
            return True
        major, minor = abi.major_minor(dev)
        device = self._devices.get(minor) if major == self.major else None
        return device is not None and device.settled

    def _check_areas(self, table: FakeTable) -> None:
        for line in table.lines:
            for area in self._targets[line.target].parse(line)[1]:
                size = self.size(area.dev)
                # A size of 0 means "not known yet" to the kernel.
                if size and (area.start >= size or area.start + area.length > size):
                    raise Refusal(errno.EINVAL)

    def _clear(self, request: Request) -> Reply:
        device = self._find(request)
        device.inactive = None
        self._reap()
        return self._reply(device, request)

    def _deps(self, request: Request) -> Reply:
        device = self._find(request)
        table = device.inactive if request.flags & abi.QUERY_INACTIVE_TABLE else device.live
        return self._reply(device, request, data=b"" if table is None else wire.pack_deps(table.deps))

    def _status(self, request: Request) -> Reply:
        device = self._find(request)
        inactive = bool(request.flags & abi.QUERY_INACTIVE_TABLE)
        table = device.inactive if inactive else device.live
        if table is None:
            return self._reply(device, request)
        if request.flags & abi.STATUS_TABLE:
            lines = table.lines
        else:
            lines = tuple(self._status_line(device, table, index) for index in range(len(table.lines)))
        return self._reply(device, request, data=wire.pack_status(lines))

    def _status_line(self, device: FakeDevice, table: FakeTable, index: int) -> KernelLine:
        line = table.lines[index]
        given = device.status.get(index) if table is device.live else None
        text = self._targets[line.target].status(line, lambda dev: self.size(dev) or 0) if given is None else given
        return KernelLine(line.start, line.length, line.target, text)

    def _wait(self, request: Request) -> Reply:
        device = self._find(request)
        if device.event_nr == request.event_nr:
            raise RuntimeError(f"nothing in this process could end a wait for event {request.event_nr}")
        return self._status(request)

    def _versions(self, _: Request) -> Reply:
        versions = [(target.name, target.version) for target in self._targets.values()]
        return Reply(self.version, data=wire.pack_versions(versions))

    def _target_version(self, request: Request) -> Reply:
        target = self._targets.get(request.name)
        if target is None:
            raise Refusal(errno.EINVAL)
        return Reply(self.version, name=request.name, data=wire.pack_versions([(target.name, target.version)]))

    def _message(self, request: Request) -> Reply:
        device = self._find(request)
        if len(request.data) < abi.MESSAGE.size:
            raise Refusal(errno.EINVAL)
        sector, text = wire.unpack_message(request.data)
        if text.split() == ["@cancel_deferred_remove"]:
            device.deferred = False
            return self._reply(device, request)
        if text.lstrip().startswith("@"):
            answer = device.stats.message(text, device.live.size if device.live else 0)
            return self._answer(device, request, answer)
        if device.live is None:
            raise Refusal(errno.ENODATA)
        for line in device.live.lines:
            if line.start <= sector < line.start + line.length:
                answer = self._targets[line.target].message(line, text)
                return self._answer(device, request, answer)
        raise Refusal(errno.EINVAL)

    def _answer(self, device: FakeDevice, request: Request, answer: str | None) -> Reply:
        if answer is None:
            return self._reply(device, request)
        return self._reply(device, request, flags=abi.DATA_OUT, data=wire.pack_text(answer))

    def _geometry(self, request: Request) -> Reply:
        device = self._find(request)
        words = wire.unpack_text(request.data).split()
        if len(words) != 4 or not all(word.isdigit() for word in words):
            raise Refusal(errno.EINVAL)
        cylinders, heads, sectors, start = map(int, words)
        if cylinders > 65535 or heads > 255 or sectors > 255:
            raise Refusal(errno.EINVAL)
        if start > cylinders * heads * sectors:
            raise Refusal(errno.EINVAL)
        return self._reply(device, request)

    def _arm(self, _: Request) -> Reply:
        self._armed = self._events
        return Reply(self.version)
