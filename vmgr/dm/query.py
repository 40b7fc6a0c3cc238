"""Queries to the device mapper, which change nothing.

:class:`DmReader` has all that a listing needs; :class:`vmgr.dm.client.DmClient` adds the commands that change.
"""

from __future__ import annotations

import errno
import os
import time
from typing import TYPE_CHECKING

from vmgr.core.errors import AmbiguousName, InvalidName
from vmgr.core.table import LiveDevice
from vmgr.dm import abi, wire
from vmgr.dm.address import Dev, DevId, by_name, by_number, by_uuid
from vmgr.dm.failure import DmError
from vmgr.dm.wire import Reply, Request

if TYPE_CHECKING:
    from vmgr.core.table import KernelLine
    from vmgr.dm.abi import Command, Version
    from vmgr.dm.kernel import Kernel

_GONE = errno.ENXIO


class DmReader:
    """Queries to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def version(self) -> Version:
        """The version of the kernel's interface. Raises :class:`vmgr.dm.failure.NoDeviceMapper`."""
        return self.kernel.version

    def targets(self) -> dict[str, Version]:
        """The targets that the kernel has loaded, with their versions."""
        return dict(wire.unpack_versions(self.kernel.call(Request(abi.LIST_VERSIONS)).data))

    def target_version(self, target: str) -> Version | None:
        """The version of one target, whose module is loaded if needed; None if the kernel has no such target."""
        if self.kernel.version < abi.GET_TARGET_VERSION.since:
            return self.targets().get(target)
        try:
            reply = self.kernel.call(Request(abi.GET_TARGET_VERSION, name=target))
        except DmError as e:
            if e.errno in (errno.EINVAL, errno.ENXIO, errno.ENOENT):
                return None
            raise
        found = wire.unpack_versions(reply.data)
        return found[0][1] if found else None

    def names(self, *, name: str = "", uuid: str = "") -> tuple[wire.NameEntry, ...]:
        """Every device in the kernel's list, in its order, with the facts in the list only.

        Only devices whose name and UUID start with ``name`` and ``uuid``. Before interface 4.45 the list has no
        UUIDs, and ``uuid`` has no effect.
        """
        version = self.kernel.version
        if version >= abi.NAME_LIST_UUID_SINCE:
            reply = self.kernel.call(Request(abi.LIST_DEVICES, name, uuid, flags=abi.UUID))
            return wire.unpack_names(reply.data, version)
        entries = wire.unpack_names(self.kernel.call(Request(abi.LIST_DEVICES)).data, version)
        return tuple(entry for entry in entries if entry.name.startswith(name))

    def arm_poll(self) -> None:
        """Arm the control node's descriptor: ``poll`` on it then returns after the next event of any device."""
        self.kernel.call(Request(abi.DEV_ARM_POLL))

    def devices(self, *, prefix: str = "", tables: bool = False, status: bool = False) -> tuple[LiveDevice, ...]:
        """Every device whose UUID starts with ``prefix``, in the kernel's order.

        A device that goes away meanwhile is left out.
        """
        devices = []
        for _, name, _, uuid in self.names(uuid=prefix):
            device = self._look("" if uuid else name, uuid or "", 0, tables, status)
            if device is not None and device.uuid.startswith(prefix):
                devices.append(device)
        return tuple(devices)

    def info(
        self,
        *,
        name: str = "",
        uuid: str = "",
        major_minor: tuple[int, int] | None = None,
        table: bool = False,
        status: bool = False,
        inactive: bool = False,
    ) -> LiveDevice | None:
        """One device, by name, UUID or number; None if there is no such device.

        ``inactive``: table, status, ``read_only`` and ``target_count`` are those of the inactive table.
        """
        if sum((bool(name), bool(uuid), major_minor is not None)) != 1:
            raise ValueError("give one of name, uuid and major_minor")
        dev = abi.dev_number(*major_minor) if major_minor is not None else 0
        return self._look(name, uuid, dev, table, status, abi.QUERY_INACTIVE_TABLE if inactive else 0)

    def device(self, dev: Dev) -> LiveDevice:
        """A device with its live table. Raises :class:`vmgr.dm.failure.DmNotFound`."""
        reply = self._query(dev, abi.TABLE_STATUS, abi.STATUS_TABLE)
        return live_device(reply, lines_of(reply))

    def table(self, dev: Dev, *, inactive: bool = False, secure: bool = False) -> tuple[KernelLine, ...]:
        """The live table, or with ``inactive`` the one in the inactive slot; empty if there is none.

        ``secure``: it may hold a key, so every buffer of this library and the kernel is wiped after use. The
        returned lines are the caller's responsibility.
        """
        if not secure:
            return lines_of(self._query(dev, abi.TABLE_STATUS, abi.STATUS_TABLE, inactive))
        reply = self._query(dev, abi.TABLE_STATUS, abi.STATUS_TABLE | abi.SECURE_DATA, inactive)
        try:
            return lines_of(reply)
        finally:
            wire.wipe(reply.data)

    def status(self, dev: Dev, *, flush: bool = False, inactive: bool = False) -> tuple[KernelLine, ...]:
        """The status lines of the live table, or with ``inactive`` of the inactive one.

        ``flush`` lets a target commit first (thin pools), which can take as long as a write.
        """
        return lines_of(self._query(dev, abi.TABLE_STATUS, 0 if flush else self._noflush(), inactive))

    def measure(self, dev: Dev) -> tuple[KernelLine, ...]:
        """The kernel's integrity measurement of the live table, one line for each target."""
        return lines_of(self._command(dev, abi.TABLE_STATUS, abi.IMA_MEASUREMENT | self._noflush()))

    def deps(self, dev: Dev, *, inactive: bool = False) -> tuple[tuple[int, int], ...]:
        """The (major, minor) of each device that the live (or inactive) table refers to, in the kernel's order."""
        reply = self._query(dev, abi.TABLE_DEPS, 0, inactive)
        return tuple(abi.major_minor(number) for number in wire.unpack_deps(reply.data))

    def wait(self, dev: Dev, event_nr: int, *, timeout: float | None = None) -> LiveDevice | None:
        """Wait until a device's event number differs from ``event_nr``; return the device, perhaps renamed.

        None after ``timeout`` seconds. Raises :class:`vmgr.dm.failure.DmNotFound` when the device is removed.
        """
        address = self._address(dev)
        if timeout is None and self.kernel.version < abi.DEV_ARM_POLL.since:
            self._command(address, abi.DEV_WAIT, self._noflush(), event_nr=event_nr)
            return live_device(self._command(address, abi.DEV_STATUS))
        # Polled, because a device without a live table cannot be removed during a DEV_WAIT for it.
        deadline = None if timeout is None else time.monotonic() + timeout
        uuid = ""
        while True:
            # Armed before the device is read, so that an event in between ends the poll at once.
            self.arm_poll()
            device = live_device(self._command(address, abi.DEV_STATUS))
            if uuid and device.uuid != uuid:  # the number now belongs to another device
                from vmgr.dm.errnos import explain

                raise explain(self._request(address, abi.DEV_STATUS, 0), _GONE)
            if device.event_nr != event_nr:
                return device
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return None
            # By number from now on, because a rename is an event.
            address, uuid = by_number(device.major, device.minor), device.uuid
            self.kernel.poll(remaining)

    # -- inside --------------------------------------------------------------------------------------

    def _noflush(self) -> int:
        return abi.NOFLUSH if self.kernel.version >= (4, 12, 0) else 0

    def _address(self, dev: Dev) -> DevId:
        if isinstance(dev, DevId):
            return dev
        if isinstance(dev, LiveDevice):
            return by_uuid(dev.uuid) if dev.uuid else by_name(dev.name)
        return self._search(dev)

    def _search(self, text: str) -> DevId:
        """The device that a plain string means."""
        raw = len(os.fsencode(text))
        as_uuid = self._ask(Request(abi.DEV_STATUS, uuid=text)) if raw <= 128 else None
        as_name = self._ask(Request(abi.DEV_STATUS, name=text)) if raw <= 127 else None
        if as_uuid and as_name and as_uuid.dev != as_name.dev:
            raise AmbiguousName(
                f"{text!r} is the UUID of the device {as_uuid.name!r} and the name of another",
                hint="say which is meant: by_uuid() or by_name()",
            )
        return by_uuid(text) if as_uuid or raw > 127 else by_name(text)

    def _request(self, dev: Dev, command: Command, flags: int) -> Request:
        uuid, name, numbers = self._address(dev)
        number = abi.dev_number(*numbers) if numbers is not None else 0
        if not (uuid or name or number):
            raise InvalidName("no device was named")
        return Request(command, name, uuid, number, flags)

    def _command(
        self,
        dev: Dev,
        command: Command,
        flags: int = 0,
        *,
        event_nr: int = 0,
        target_count: int = 0,
        data: bytes | bytearray = b"",
    ) -> Reply:
        request = self._request(dev, command, flags)
        if event_nr or target_count or data:
            request = request._replace(event_nr=event_nr, target_count=target_count, data=data)
        return self.kernel.call(request)

    def _query(self, dev: Dev, command: Command, flags: int, inactive: bool = False) -> Reply:
        return self._command(dev, command, flags | (abi.QUERY_INACTIVE_TABLE if inactive else 0))

    def _ask(self, request: Request) -> Reply | None:
        """The reply, or None when there is no such device."""
        try:
            return self.kernel.call(request)
        except DmError as e:
            if e.errno == _GONE:
                return None
            raise

    def _look(self, name: str, uuid: str, dev: int, table: bool, status: bool, flags: int = 0) -> LiveDevice | None:
        if not (table or status):
            reply = self._ask(Request(abi.DEV_STATUS, name, uuid, dev, flags))
            return None if reply is None else live_device(reply)
        table_lines = status_lines = None
        reply = None
        if status:
            reply = self._ask(Request(abi.TABLE_STATUS, name, uuid, dev, flags | self._noflush()))
            if reply is None:
                return None
            status_lines = lines_of(reply)
        if table:
            reply = self._ask(Request(abi.TABLE_STATUS, name, uuid, dev, flags | abi.STATUS_TABLE))
            if reply is None:
                return None
            table_lines = lines_of(reply)
        assert reply is not None
        return live_device(reply, table_lines, status_lines)


def lines_of(reply: Reply) -> tuple[KernelLine, ...]:
    """The lines in a reply to a query for table or status; none when there is no table."""
    return wire.unpack_status(reply.data, reply.target_count) if reply.data else ()


def live_device(
    reply: Reply,
    table: tuple[KernelLine, ...] | None = None,
    status: tuple[KernelLine, ...] | None = None,
) -> LiveDevice:
    """The value for a reply's header, with table and status lines from other replies."""
    flags = reply.flags
    major, minor = abi.major_minor(reply.dev)
    return LiveDevice(
        reply.name,
        reply.uuid,
        major,
        minor,
        reply.open_count,
        bool(flags & abi.SUSPEND),
        bool(flags & abi.READONLY),
        bool(flags & abi.ACTIVE_PRESENT),
        bool(flags & abi.INACTIVE_PRESENT),
        reply.event_nr,
        table,
        status,
        bool(flags & abi.DEFERRED_REMOVE),
        bool(flags & abi.INTERNAL_SUSPEND),
        reply.target_count,
    )
