"""The fake kernel's commands about tables: load, clear, suspend and resume, dependencies, status, wait."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.core.table import KernelLine
from vmgr.dm import abi, wire
from vmgr.testing.fake_state import FakeTable
from vmgr.testing.fake_targets import Refusal

if TYPE_CHECKING:
    from vmgr.dm.wire import Reply, Request
    from vmgr.testing.fake_state import FakeDevice, FakeState


class FakeTables:
    """The commands load, clear, suspend, resume, deps, status and wait."""

    def __init__(self, state: FakeState) -> None:
        self._state = state

    def load(self, request: Request) -> Reply:
        """Load the inactive slot, if the targets accept every line and all devices in it can be opened."""
        state = self._state
        device = state.find(request)
        if not request.target_count:
            raise Refusal(errno.EINVAL)
        try:
            lines = wire.unpack_table(request.data, request.target_count)
        except ValueError:
            raise Refusal(errno.EINVAL) from None
        table = self._parse(lines, bool(request.flags & abi.READONLY))
        if not device.settled:
            self._check_areas(table)
        self._check_stores(table)
        device.settled = True
        device.inactive = table
        state.reap()
        return state.reply(device, request)

    def clear(self, request: Request) -> Reply:
        """Drop the table in the inactive slot."""
        state = self._state
        device = state.find(request)
        device.inactive = None
        state.reap()
        return state.reply(device, request)

    def suspend_or_resume(self, request: Request) -> Reply:
        """Suspend or resume. A resume makes the inactive table live, or drops it if it does not fit."""
        state = self._state
        device = state.find(request)
        if request.flags & abi.SUSPEND:
            device.suspended = True
            return state.reply(device, request)
        if device.inactive is not None:
            new, device.inactive = device.inactive, None
            device.suspended = True
            self._check_areas(new)
            new.block = max((state.block(dev) for dev in new.deps), default=1)
            device.live, device.read_only = new, new.read_only
            device.status.clear()
            state.tell()  # though the device's own event number does not change
        flags = 0
        if device.suspended:
            if device.live is None:
                raise Refusal(errno.EINVAL)
            self._check_handover(device.live)
            device.live.resumed = True
            device.suspended = False
            flags = abi.UEVENT_GENERATED
        state.reap()
        return state.reply(device, request, flags=flags)

    def deps(self, request: Request) -> Reply:
        """List the devices that the table has opened."""
        device = self._state.find(request)
        table = self._asked(device, request)
        return self._state.reply(device, request, data=b"" if table is None else wire.pack_deps(table.deps))

    def status(self, request: Request) -> Reply:
        """List the lines of the table, of its status, or of its measurement."""
        device = self._state.find(request)
        table = self._asked(device, request)
        if table is None:
            return self._state.reply(device, request)
        if request.flags & abi.STATUS_TABLE:
            lines = table.lines
        elif request.flags & abi.IMA_MEASUREMENT:
            lines = tuple(self._measured_line(line) for line in table.lines)
        else:
            lines = tuple(self._status_line(device, table, index) for index in range(len(table.lines)))
        return self._state.reply(device, request, data=wire.pack_status(lines))

    def wait(self, request: Request) -> Reply:
        """Return the status if the event has happened. Otherwise fail: nothing in this process can raise one."""
        device = self._state.find(request)
        if device.event_nr == request.event_nr:
            raise RuntimeError(f"nothing in this process could end a wait for event {request.event_nr}")
        return self.status(request)

    # -- inside --------------------------------------------------------------------------------------

    @staticmethod
    def _asked(device: FakeDevice, request: Request) -> FakeTable | None:
        return device.inactive if request.flags & abi.QUERY_INACTIVE_TABLE else device.live

    def _parse(self, lines: tuple[KernelLine, ...], read_only: bool) -> FakeTable:
        state = self._state
        end = 0
        deps: dict[int, None] = {}
        kept = []
        for line in lines:
            target = state.targets.get(line.target)
            if target is None or not line.length or int(line.start) != end:
                raise Refusal(errno.EINVAL)
            if target.alone and len(lines) > 1:
                raise Refusal(errno.EINVAL)
            end += int(line.length)
            printed, areas = target.parse(line)
            for area in areas:
                if not state.can_open(area.dev):
                    raise Refusal(errno.ENXIO)
                if area.dev in state.busy:
                    raise Refusal(errno.EBUSY)
                deps[area.dev] = None
            kept.append(printed)
        # The kernel puts each newly met device at the head of its list.
        return FakeTable(tuple(kept), read_only, tuple(reversed(deps)))

    def _check_areas(self, table: FakeTable) -> None:
        for line in table.lines:
            for area in self._state.targets[line.target].parse(line)[1]:
                size = self._state.size(area.dev)
                # A size of 0 means "not known yet" to the kernel.
                if size and (area.start >= size or area.start + area.length > size):
                    raise Refusal(errno.EINVAL)
                block = self._state.block(area.dev)
                if size and (area.start % block or area.length % block):
                    raise Refusal(errno.EINVAL)

    # One table has a snapshot's exceptions in memory. Another table with the same store can only take them over:
    # it is resumed while the first one is suspended (``dm-snap.c``, ``__find_snapshots_sharing_cow``).

    def _stores(self, table: FakeTable | None) -> dict[tuple[int, int], bool]:
        """The exception stores in a table's lines; True for one that is being merged."""
        found = {}
        for line in table.lines if table is not None else ():
            store = self._state.targets[line.target].store(line)
            if store is not None:
                found[store] = line.target == "snapshot-merge"
        return found

    def _others(self, table: FakeTable) -> list[tuple[FakeDevice, FakeTable]]:
        """Every other table, with its device."""
        return [
            (device, other)
            for device in self._state.devices.values()
            for other in (device.live, device.inactive)
            if other is not None and other is not table
        ]

    def _check_stores(self, table: FakeTable) -> None:
        """Refuse a table for a store that another inactive table has, and a second merge into an origin."""
        for store, merges in self._stores(table).items():
            sharing = [other for _, other in self._others(table) if store in self._stores(other)]
            if len(sharing) > 1 or any(not other.resumed for other in sharing):
                raise Refusal(errno.EINVAL)
            merging = any(
                found and origin == store[0]
                for _, other in self._others(table)
                for (origin, _), found in self._stores(other).items()
            )
            if sharing and merges and merging:
                raise Refusal(errno.EINVAL)

    def _check_handover(self, table: FakeTable) -> None:
        """Refuse to resume a table that has yet to hand over its exceptions, or cannot take them over yet."""
        for store in self._stores(table):
            for holder, other in self._others(table):
                if store not in self._stores(other) or other.resumed == table.resumed:
                    continue
                if table.resumed or not holder.suspended:
                    raise Refusal(errno.EINVAL)

    def _status_line(self, device: FakeDevice, table: FakeTable, index: int) -> KernelLine:
        line = table.lines[index]
        given = device.status.get(index) if table is device.live else None
        if given is None:
            given = self._state.targets[line.target].status(line, lambda dev: self._state.size(dev) or 0)
        return KernelLine(line.start, line.length, line.target, given)

    def _measured_line(self, line: KernelLine) -> KernelLine:
        return KernelLine(line.start, line.length, line.target, self._state.targets[line.target].measured(line))
