"""Asking the device mapper, without changing anything.

:class:`DmReader` is what a listing needs; :class:`vmgr.dm.client.DmClient` adds the commands that change.
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
    """Questions to one kernel."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel

    def version(self) -> Version:
        """The version of the kernel's interface. Raises :class:`vmgr.dm.failure.NoDeviceMapper`."""
        return self.kernel.version

    def targets(self) -> dict[str, Version]:
        """The targets that the kernel has loaded, with their versions."""
        return dict(wire.unpack_versions(self.kernel.call(Request(abi.LIST_VERSIONS)).data))

    def target_version(self, target: str) -> Version | None:
        """The version of one target, its module loaded if need be; None when the kernel has none of that name."""
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
        """Every device in the kernel's list, in its order, with no more than the list tells.

        Only those whose name and UUID start with ``name`` and ``uuid``. Before interface 4.45 it has no UUIDs,
        and ``uuid`` selects nothing away.
        """
        version = self.kernel.version
        if version >= abi.NAME_LIST_UUID_SINCE:
            reply = self.kernel.call(Request(abi.LIST_DEVICES, name, uuid, flags=abi.UUID))
            return wire.unpack_names(reply.data, version)
        entries = wire.unpack_names(self.kernel.call(Request(abi.LIST_DEVICES)).data, version)
        return tuple(entry for entry in entries if entry.name.startswith(name))

    def arm_poll(self) -> None:
        """From now on ``poll`` on the control node's descriptor tells of events in any device."""
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
        """One device, asked for by one of its names; None when there is none such.

        ``inactive``: table, status, ``read_only`` and ``target_count`` are those of the waiting table.
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
        """The live table, or the one that waits for a resume; empty when there is none.

        ``secure``: it may hold a key, so nothing of it stays in a buffer of this library's or of the kernel's;
        what is returned is the caller's to keep.
        """
        if not secure:
            return lines_of(self._query(dev, abi.TABLE_STATUS, abi.STATUS_TABLE, inactive))
        reply = self._query(dev, abi.TABLE_STATUS, abi.STATUS_TABLE | abi.SECURE_DATA, inactive)
        try:
            return lines_of(reply)
        finally:
            wire.wipe(reply.data)

    def status(self, dev: Dev, *, flush: bool = False, inactive: bool = False) -> tuple[KernelLine, ...]:
        """The status lines of the live table, or of the one that waits.

        ``flush`` lets a target commit first (thin pools), which can take as long as a write does.
        """
        return lines_of(self._query(dev, abi.TABLE_STATUS, 0 if flush else self._noflush(), inactive))

    def measure(self, dev: Dev) -> tuple[KernelLine, ...]:
        """What the kernel's integrity measurement says of the live table's targets, one line for each."""
        return lines_of(self._command(dev, abi.TABLE_STATUS, abi.IMA_MEASUREMENT | self._noflush()))

    def deps(self, dev: Dev, *, inactive: bool = False) -> tuple[tuple[int, int], ...]:
        """The (major, minor) of what the live (or the waiting) table refers to, in the kernel's order."""
        reply = self._query(dev, abi.TABLE_DEPS, 0, inactive)
        return tuple(abi.major_minor(number) for number in wire.unpack_deps(reply.data))

    def wait(self, dev: Dev, event_nr: int, *, timeout: float | None = None) -> LiveDevice | None:
        """Wait until a device's event number is no longer ``event_nr``; the device as it is then, renamed perhaps.

        With a ``timeout`` in seconds, None when it passes. Raises :class:`vmgr.dm.failure.DmNotFound` when
        the device is removed.
        """
        address = self._address(dev)
        if timeout is None and self.kernel.version < abi.DEV_ARM_POLL.since:
            self._command(address, abi.DEV_WAIT, self._noflush(), event_nr=event_nr)
            return live_device(self._command(address, abi.DEV_STATUS))
        # Polled, because nobody can remove a device without a live table while somebody waits for it in DEV_WAIT.
        deadline = None if timeout is None else time.monotonic() + timeout
        uuid = ""
        while True:
            # Armed before it is looked at, so that an event in between ends the poll at once.
            self.arm_poll()
            device = live_device(self._command(address, abi.DEV_STATUS))
            if uuid and device.uuid != uuid:  # the number is another device's by now
                from vmgr.dm.meanings import explain

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
    """The value for a reply's header, with lines that were read apart."""
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
