"""A device mapper in memory: the same protocol, the same refusals, no kernel.

For unit tests and dry runs. It knows only the sizes of disks, and only the table syntax of
targets (:mod:`vmgr.testing.fake_targets`). One conformance suite runs on it and on the real kernel
(``tests/support/dm_conformance``); where they differ, the fake is wrong. Semantics: ``drivers/md/dm-ioctl.c``,
``dm.c`` and ``dm-table.c`` of Linux 6.1. The commands are in :mod:`~vmgr.testing.fake_naming`,
:mod:`~vmgr.testing.fake_tables` and :mod:`~vmgr.testing.fake_messages`, what they work on in
:mod:`~vmgr.testing.fake_state`.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from vmgr.dm import abi, wire
from vmgr.dm.kernel import check
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_messages import FakeMessages
from vmgr.testing.fake_naming import FakeNaming
from vmgr.testing.fake_nodes import FakeNodes
from vmgr.testing.fake_state import FakeDevice, FakeState, FakeTable
from vmgr.testing.fake_tables import FakeTables
from vmgr.testing.fake_targets import TARGETS, FakeTarget, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vmgr.core.table import LiveDevice
    from vmgr.dm.abi import Version

__all__ = ["FakeKernel", "FakeNodes"]

MAJOR = 254

_TELLING = frozenset(command.nr for command in (abi.REMOVE_ALL, abi.DEV_CREATE, abi.DEV_REMOVE, abi.DEV_RENAME))
"""Commands whose success ends a ``poll`` like an event (``IOCTL_FLAGS_ISSUE_GLOBAL_EVENT``)."""

_UNNAMED = frozenset(command.nr for command in (abi.REMOVE_ALL, abi.LIST_DEVICES, abi.LIST_VERSIONS, abi.VERSION))
"""Commands for which the kernel ignores the names in the header."""


class FakeKernel:
    """A kernel with nothing but a device mapper.

    ``disks`` maps (major, minor) to a size in sectors. ``calls`` records every request.
    A new device gets the lowest free minor number.
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
        self._state = FakeState(self.disks, {target.name: target for target in targets}, version, major)
        self.blocks = self._state.blocks
        """Sectors in a logical block, for disks (``abi.dev_number``) where that is not 1."""
        self.busy = self._state.busy
        """Disks that are in use elsewhere (``abi.dev_number``): a table that refers to one is refused."""
        naming, tables = FakeNaming(self._state), FakeTables(self._state)
        self._messages = messages = FakeMessages(self._state)
        self._commands: dict[int, Callable[[Request], Reply]] = {
            abi.VERSION.nr: lambda _: Reply(self.version),
            abi.REMOVE_ALL.nr: naming.remove_all,
            abi.LIST_DEVICES.nr: naming.list,
            abi.DEV_CREATE.nr: naming.create,
            abi.DEV_REMOVE.nr: naming.remove,
            abi.DEV_RENAME.nr: naming.rename,
            abi.DEV_SUSPEND.nr: tables.suspend_or_resume,
            abi.DEV_STATUS.nr: lambda r: self._state.reply(self._state.find(r), r),
            abi.DEV_WAIT.nr: tables.wait,
            abi.TABLE_LOAD.nr: tables.load,
            abi.TABLE_CLEAR.nr: tables.clear,
            abi.TABLE_DEPS.nr: tables.deps,
            abi.TABLE_STATUS.nr: tables.status,
            abi.LIST_VERSIONS.nr: messages.versions,
            abi.TARGET_MSG.nr: messages.message,
            abi.DEV_SET_GEOMETRY.nr: messages.geometry,
            abi.DEV_ARM_POLL.nr: messages.arm,
            abi.GET_TARGET_VERSION.nr: messages.target_version,
        }

    @property
    def _devices(self) -> dict[int, FakeDevice]:
        return self._state.devices

    @_devices.setter
    def _devices(self, devices: dict[int, FakeDevice]) -> None:
        self._state.devices = devices

    # -- the protocol --------------------------------------------------------------------------------

    def call(self, request: Request) -> Reply:
        """Run one command; see :meth:`vmgr.dm.kernel.Kernel.call`."""
        check(request, self.version)
        wire.pack_request(bytearray(abi.DATA_START + len(request.data)), request)  # refuses what does not fit
        self.calls.append(request)
        nr = request.command.nr
        try:
            if request.name and request.uuid and nr not in _UNNAMED and nr != abi.DEV_CREATE.nr:
                raise Refusal(errno.EINVAL)
            reply = self._commands[nr](request)
        except Refusal as refusal:
            from vmgr.dm.errnos import explain

            raise explain(request, refusal.errno) from None
        if nr in _TELLING:
            self._state.tell()
        return reply

    def poll(self, timeout: float | None) -> bool:
        """Whether there was an event since the last arming. Never waits: nothing else can raise an event."""
        happened = self._state.events > self._messages.armed
        if not happened and timeout is None:
            raise RuntimeError("nothing in this process could end a wait for an event")
        return happened

    def block_major(self) -> int:
        """The major number of the devices."""
        return self.major

    def watch(self) -> FakeWatch:
        """A descriptor that becomes readable with an event; see :meth:`vmgr.dm.kernel.Kernel.watch`."""
        return FakeWatch(self, self._state)

    # -- what a test or a dry run can make happen ------------------------------------------------------

    def hold(self, name: str) -> None:
        """Open a device, as mounting it would."""
        self._state.by_name(name).opens += 1

    def release(self, name: str) -> None:
        """Close it again; a deferred removal happens now."""
        self._state.by_name(name).opens -= 1
        self._state.reap()

    def event(self, name: str, status: str | None = None, *, line: int = 0) -> None:
        """Let a target raise an event, optionally with another status text on one of its lines."""
        device = self._state.by_name(name)
        if status is not None:
            device.status[line] = status
        self._state.raise_event(device)

    def transfer(self, name: str, sector: int, sectors: int, *, write: bool, nanoseconds: int = 0) -> None:
        """Let a device's statistics count a read or a write of that duration."""
        self._state.by_name(name).stats.count(write, sector, sectors, nanoseconds)

    def hold_back(self, name: str, held: bool = True) -> None:
        """Suspend or resume the device as another device's target would (``DM_INTERNAL_SUSPEND_FLAG``)."""
        self._state.by_name(name).internal = held

    def seed(self, devices: Iterable[LiveDevice]) -> None:
        """Add the devices of a real kernel, with their tables, in any order."""
        devices = tuple(devices)
        for live in devices:
            device = FakeDevice(live.name, live.uuid, live.minor)
            device.suspended, device.read_only = live.suspended, live.read_only
            device.deferred, device.internal = live.deferred_remove, live.internal_suspend
            device.event_nr = live.event_nr
            self._devices[live.minor] = device
        for live in devices:
            if live.table:
                device = self._devices[live.minor]
                deps = tuple(dict.fromkeys(d for line in live.table for d in abi.numbers_in(line.params)))
                device.live = FakeTable(live.table, live.read_only, deps)
                device.live.resumed = True
                device.settled = True
        for live in devices:
            device = self._devices[live.minor]
            device.opens = max(0, live.open_count - self._state.holders(device))
            for index, line in enumerate(live.status or ()):
                device.status[index] = line.params

    def size(self, dev: int) -> int | None:
        """The size in sectors of a disk or device (``abi.dev_number``); None when there is none."""
        return self._state.size(dev)


class FakeWatch:
    """The control node opened once more: the same devices, but armed on its own.

    Unlike the fake kernel itself it really waits in :meth:`poll`: another thread or a signal may end the wait.
    """

    def __init__(self, kernel: FakeKernel, state: FakeState) -> None:
        self._kernel, self._state = kernel, state
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        state.watches.append(self.notify)

    @property
    def version(self) -> Version:
        """The interface's version."""
        return self._kernel.version

    def call(self, request: Request) -> Reply:
        """Run one command; see :meth:`vmgr.dm.kernel.Kernel.call`."""
        if request.command is not abi.DEV_ARM_POLL:
            return self._kernel.call(request)
        check(request, self.version)
        self._kernel.calls.append(request)
        try:
            os.eventfd_read(self._fd)
        except BlockingIOError:
            pass  # there was no event
        return Reply(self.version)

    def notify(self) -> None:
        """Report an event."""
        os.eventfd_write(self._fd, 1)

    def poll(self, timeout: float | None) -> bool:
        """Wait for an event since the last arming; False after ``timeout`` seconds."""
        import select

        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def block_major(self) -> int:
        """The major number of the devices."""
        return self._kernel.major

    def watch(self) -> FakeWatch:
        """One more."""
        return FakeWatch(self._kernel, self._state)

    def fileno(self) -> int:
        """The descriptor, an eventfd."""
        return self._fd

    def close(self) -> None:
        """Close it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._state.watches.remove(self.notify)
            os.close(fd)
