"""Events of devices, one by one: for a loop, for ``poll`` and for asyncio. One descriptor serves all devices.

::

    with Events(dm) as events:
        for event in events:
            print(event.kind, event.name, event.event_nr)

    async with Events(dm, ["pool", by_uuid("EXAMPLE-1")]) as events:
        async for event in events:
            ...

The kernel counts each device's events. ``poll`` on its control node returns after an event of any device
(``DEV_ARM_POLL``, interface 4.36). The list of devices then shows which one (it has event numbers since 4.38;
before that, each device is asked). The descriptor is armed before the list is read, so no event between two
readings is missed: it is in the next list, or ends the wait. Several events of a device between two readings are
one item with the latest number.

A device's number rises when its target raises an event (a snapshot overflows, a mirror leg fails, a pool fills
up), and when it is renamed or given a UUID. Creation and removal of a device are reported as well. Suspend,
resume, load and messages are not events: a swapped table ends the kernel's wait but changes no number.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import AmbiguousName
from vmgr.core.table import LiveDevice
from vmgr.dm import abi
from vmgr.dm.address import DevId
from vmgr.dm.query import DmReader

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from vmgr.dm.address import Dev

CREATED, CHANGED, REMOVED = "created", "changed", "removed"

Numbers = tuple[int, int]


class Event(NamedTuple):
    """What happened to a device since the last item about it.

    ``kind`` is :data:`CREATED`, :data:`CHANGED` or :data:`REMOVED`. ``event_nr`` is the kernel's latest number (for
    a removed device, the last one seen), and ``since`` the number before: the item covers ``event_nr - since``
    events. ``old_name`` is set when the device was renamed. ``numbers`` are its (major, minor).
    """

    kind: str
    name: str
    uuid: str
    numbers: Numbers
    event_nr: int
    since: int = 0
    old_name: str = ""


class Seen(NamedTuple):
    """The state of a device when it was last read."""

    name: str
    uuid: str
    event_nr: int


class Events:
    """The events of all devices, or of ``devices``, from now on; an iterator, also for ``async for``.

    A device that does not exist yet is reported when it is created. A device keeps being watched after a
    rename. For a :class:`LiveDevice`, everything since it was read is reported, even its removal.
    A plain string is a name or a UUID.

    ``timeout``: iteration ends after that many seconds without an event; None: never. The object opens a
    descriptor of its own and does not use that of ``reader``. For one thread, and one task at a time.
    Raises :class:`vmgr.dm.failure.Unsupported` on a kernel without ``DEV_ARM_POLL``.
    """

    def __init__(
        self, reader: DmReader, devices: Iterable[Dev] | None = None, *, timeout: float | None = None
    ) -> None:
        self.timeout = timeout
        self._wanted = None if devices is None else tuple(devices)
        self._pending: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False
        self._kernel = reader.kernel.watch()
        self._reader = DmReader(self._kernel)
        try:
            self._reader.arm_poll()
            found = self._watched(self._list(), {})
            for dev in self._wanted or ():
                if isinstance(dev, LiveDevice):
                    found[dev.major, dev.minor] = Seen(dev.name, dev.uuid, dev.event_nr)
        except BaseException:
            self._kernel.close()
            raise
        self._known = found

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Events:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; a waiting task ends."""
        if self._closed:
            return
        self._closed = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.get_loop().remove_reader(self._kernel.fileno())
            _wake(waiter)
        self._kernel.close()

    def fileno(self) -> int:
        """The descriptor, for the caller's own event loop: when it is readable, call :meth:`poll`."""
        self._check_open()
        return self._kernel.fileno()

    def devices(self) -> Mapping[Numbers, Seen]:
        """The watched devices as last read, by (major, minor)."""
        return dict(self._known)

    # -- waiting -------------------------------------------------------------------------------------

    def poll(self, timeout: float | None = 0) -> tuple[Event, ...]:
        """The new events, after a wait of up to ``timeout`` seconds for the first (None: no limit)."""
        self._check_open()
        self._wait(timeout)
        events = tuple(self._pending)
        self._pending.clear()
        return events

    def _wait(self, timeout: float | None) -> None:
        """Wait until something is pending, or the time is up."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._pending:
            self._look()
            if self._pending:
                return
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self._kernel.poll(remaining)

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> Event:
        if not self._pending and not self._closed:
            self._wait(self.timeout)
        if not self._pending:
            raise StopIteration
        return self._pending.popleft()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> Event:
        import asyncio

        loop = asyncio.get_running_loop()
        deadline = None if self.timeout is None else loop.time() + self.timeout
        while not self._pending:
            if self._closed:
                raise StopAsyncIteration
            self._look()
            if self._pending:
                await asyncio.sleep(0)  # a flood of events must not keep other tasks from running
                break
            if deadline is not None and loop.time() >= deadline:
                raise StopAsyncIteration
            await self._readable(loop, deadline)
        return self._pending.popleft()

    async def _readable(self, loop: asyncio.AbstractEventLoop, deadline: float | None) -> None:
        """Wait until the descriptor is readable, or until the deadline."""
        if self._waiter is not None:
            raise RuntimeError("another task already waits for these events")
        waiter = self._waiter = loop.create_future()
        loop.add_reader(self._kernel.fileno(), _wake, waiter)
        alarm = None if deadline is None else loop.call_at(deadline, _wake, waiter)
        try:
            await waiter
        finally:
            if alarm is not None:
                alarm.cancel()
            # After close() the number may already belong to another file.
            if self._waiter is waiter:
                self._waiter = None
                loop.remove_reader(self._kernel.fileno())

    # -- looking -------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("these events are closed")

    def _look(self) -> None:
        """Arm the descriptor, find the differences, and store the new state."""
        self._reader.arm_poll()
        now = self._watched(self._list(), self._known)
        # Events are queued before the state is stored: an interrupt in between may repeat one, but never loses one.
        self._pending.extend(_differences(self._known, now))
        self._known = now

    def _list(self) -> dict[Numbers, Seen]:
        found = {}
        for dev, name, event_nr, uuid in self._reader.names():
            numbers = abi.major_minor(dev)
            if event_nr is None or uuid is None:  # an older kernel's list lacks them
                device = self._reader.info(major_minor=numbers)
                if device is None:
                    continue
                name, uuid, event_nr = device.name, device.uuid, device.event_nr
            found[numbers] = Seen(name, uuid, event_nr)
        return found

    def _watched(self, found: dict[Numbers, Seen], known: dict[Numbers, Seen]) -> dict[Numbers, Seen]:
        if self._wanted is None:
            return found
        chosen = {numbers for numbers, seen in found.items() if numbers in known and _same(known[numbers], seen)}
        for dev in self._wanted:
            matching = [numbers for numbers, seen in found.items() if _matches(dev, numbers, seen)]
            if len(matching) > 1:
                raise AmbiguousName(
                    f"{dev} is the UUID of one device and the name of another",
                    hint="say which is meant: by_uuid() or by_name()",
                )
            chosen.update(matching)
        return {numbers: seen for numbers, seen in found.items() if numbers in chosen}


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _matches(dev: Dev, numbers: Numbers, seen: Seen) -> bool:
    if isinstance(dev, str):
        return dev in (seen.name, seen.uuid)
    if isinstance(dev, DevId):
        if dev.numbers is not None:
            return dev.numbers == numbers
        return seen.uuid == dev.uuid if dev.uuid else seen.name == dev.name
    return seen.uuid == dev.uuid if dev.uuid else seen.name == dev.name


def _same(old: Seen, new: Seen) -> bool:
    """Whether a number still belongs to one device: a UUID is set once at most, and event numbers only grow."""
    grown = (new.event_nr - old.event_nr) % 2**32 < 2**31
    return grown and (old.uuid == new.uuid or not old.uuid)


def _differences(known: dict[Numbers, Seen], now: dict[Numbers, Seen]) -> list[Event]:
    """The events between two readings, removals first."""
    events = []
    gone = [n for n, old in known.items() if n not in now or not _same(old, now[n])]
    for numbers in gone:
        old = known[numbers]
        events.append(Event(REMOVED, old.name, old.uuid, numbers, old.event_nr, old.event_nr))
    for numbers, new in now.items():
        old_one = known.get(numbers)
        if old_one is None or numbers in gone:
            events.append(Event(CREATED, new.name, new.uuid, numbers, new.event_nr))
        elif old_one != new:
            renamed = old_one.name if old_one.name != new.name else ""
            events.append(Event(CHANGED, new.name, new.uuid, numbers, new.event_nr, old_one.event_nr, renamed))
    return events
