"""Typed commands to the device mapper: the interface for programs.

::

    from vmgr.dm.client import DmClient

    dm = DmClient.open()
    with dm.transaction():
        dm.create("scratch", "EXAMPLE-1")
        dm.load(by_uuid("EXAMPLE-1"), [KernelLine(Sectors(0), Sectors(2048), "zero", "")])
        dm.resume(by_uuid("EXAMPLE-1"))

Device nodes: where udev manages the directory, each resume, rename and remove carries a cookie. The client
waits for it, with a time limit, and then makes the nodes that are missing. Without udev, the client makes all
nodes itself. Either way it touches nodes only when no device that it suspended is still suspended, because
opening a device could otherwise wait for ever.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidName, KernelError, Refused
from vmgr.dm import abi, wire
from vmgr.dm.address import Dev, DevId, by_name, by_number, by_uuid, devices_in
from vmgr.dm.failure import DmError, DmInUse
from vmgr.dm.kernel import IoctlKernel
from vmgr.dm.pending import PendingWork
from vmgr.dm.query import lines_of, live_device
from vmgr.dm.transactions import Transaction, Transactional
from vmgr.dm.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vmgr.core.table import KernelLine, LiveDevice
    from vmgr.dm.kernel import Kernel
    from vmgr.dm.nodes import Nodes
    from vmgr.dm.udev import Udev

__all__ = ["Dev", "DevId", "DmClient", "Transaction", "by_name", "by_number", "by_uuid"]

RETRY_PAUSE = 0.2
"""Seconds between attempts to remove a busy device, libdevmapper's ``DM_RETRY_USLEEP_DELAY``."""


class DmClient(Transactional):
    """Commands to one kernel, nodes in one device directory. Each thread needs a client of its own.

    ``udev`` None: the client makes the nodes itself and tells udev's rules, if any run, to leave them alone.
    ``nodes`` None: the nodes are below ``dev_dir``. ``warn`` is called with one sentence when the client does
    something unasked, such as making a node that udev did not make.
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        dev_dir: str = "/dev",
        udev: Udev | None = None,
        nodes: Nodes | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(kernel, warn)
        self.dev_dir = dev_dir
        self._pending = PendingWork(self, udev, nodes)

    @classmethod
    def open(
        cls,
        *,
        dev_dir: str = "/dev",
        use_udev: bool | None = None,
        sync: bool = True,
        rules: bool = True,
        verify: bool = True,
        cookie: int = 0,
        nodes: Nodes | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> DmClient:
        """A client of the running kernel. The control node is opened by the first command, not here.

        ``use_udev`` None: find out, when it first matters, whether udev manages ``dev_dir``
        (``DM_DISABLE_UDEV`` in the environment means no). ``sync``, ``rules``, ``verify`` and ``cookie``
        are passed on to :class:`vmgr.dm.udev.Udev`.
        """
        client = cls(IoctlKernel(dev_dir), dev_dir=dev_dir, nodes=nodes, warn=warn)
        client._pending.choose_udev(use_udev, sync=sync, rules=rules, verify=verify, cookie=cookie)
        return client

    def __enter__(self) -> DmClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is pending and close the control node."""
        try:
            self._pending.finish()
        finally:
            close = getattr(self.kernel, "close", None)
            if close is not None:
                close()

    # -- changing ------------------------------------------------------------------------------------

    def create(self, name: str, uuid: str = "", *, numbers: tuple[int, int] | None = None) -> LiveDevice:
        """Make a device without a table; it has no node yet. Raises :class:`vmgr.dm.failure.DmExists`.

        ``numbers`` is a persistent (major, minor); a major of 0 or less leaves the choice to the kernel. The kernel
        has one major for all devices and ignores any other, so another one is refused here (:class:`Refused`).
        """
        from vmgr.dm.names import check_name, check_uuid

        check_name(name)
        if uuid:
            check_uuid(uuid)
        flags, dev = 0, 0
        if numbers is not None:
            flags, dev = abi.PERSISTENT_DEV, self._persistent(*numbers)
        return live_device(self.kernel.call(Request(abi.DEV_CREATE, name=name, uuid=uuid, dev=dev, flags=flags)))

    def load(self, dev: Dev, lines: Sequence[KernelLine], *, read_only: bool = False, secure: bool = False) -> None:
        """Load a table into the inactive slot, replacing any table there. A resume makes it live.

        ``secure``: the table holds a key, so every buffer of this library and the kernel is wiped after use.
        """
        flags = (abi.READONLY if read_only else 0) | (abi.SECURE_DATA if secure else 0)
        data = wire.pack_secret_table(lines) if secure else wire.pack_table(lines)
        try:
            reply = self._command(dev, abi.TABLE_LOAD, flags, target_count=len(lines), data=data)
        except DmInUse as e:
            self._say_who(e, *devices_in(lines))
            raise
        finally:
            wire.wipe(data)
        if reply.dev in devices_in(lines):
            # Linux before 6.4 takes such a table; the device would hold itself open for ever.
            self._command(dev, abi.TABLE_CLEAR)
            from vmgr.dm.errnos import explain

            raise explain(self._request(dev, abi.TABLE_LOAD, flags), errno.ELOOP)

    def clear(self, dev: Dev) -> None:
        """Drop the table in the inactive slot, if there is one."""
        self._command(dev, abi.TABLE_CLEAR)

    def wipe(self, dev: Dev, *, flush: bool = True, freeze: bool = True) -> LiveDevice:
        """Replace the live table by one of the same size under which every read and write fails.

        For a device that cannot be removed because it is open, or whose input and output hang. A table in the
        inactive slot is dropped. ``flush`` and ``freeze`` as in :meth:`suspend`.
        """
        from vmgr.core.table import KernelLine
        from vmgr.core.units import Sectors

        address = self._address(dev)
        old = self._query(address, abi.TABLE_STATUS, abi.STATUS_TABLE)
        size = sum(int(line.length) for line in lines_of(old))
        if not size:
            raise KernelError(f"device mapper: wipe {address}: it has no live table", hint="remove it, or clear it")
        line = KernelLine(Sectors(0), Sectors(size), "error", "")
        self.load(address, (line,), read_only=bool(old.flags & abi.READONLY))
        try:
            return self.resume(address, flush=flush, freeze=freeze)
        except DmError:
            self.clear(address)
            raise

    def set_geometry(self, dev: Dev, cylinders: int, heads: int, sectors: int, start: int) -> None:
        """Set the geometry that ``HDIO_GETGEO`` returns for a device; ``start`` in sectors."""
        text = f"{cylinders} {heads} {sectors} {start}"
        self._command(dev, abi.DEV_SET_GEOMETRY, data=wire.pack_text(text))

    def suspend(self, dev: Dev, *, flush: bool = True, freeze: bool = True) -> LiveDevice:
        """Hold back input and output until a resume.

        ``freeze``: bring a file system on the device into a consistent state first. ``flush`` False: do not wait
        for queued requests. The client imports nothing and opens no file from here to the resume.
        """
        self._pending.prepare()
        flags = abi.SUSPEND | (0 if flush else self._noflush()) | (0 if freeze else abi.SKIP_LOCKFS)
        reply = self._command(dev, abi.DEV_SUSPEND, flags)
        self._suspended.add(reply.dev)
        return live_device(reply)

    def resume(
        self,
        dev: Dev,
        *,
        hidden: bool = False,
        link: tuple[str, str] | None = None,
        unlink: tuple[str, str] | None = None,
        noscan: bool = False,
        low_priority: bool = False,
        read_ahead: int | None = None,
        read_ahead_at_least: bool = False,
        udev_flags: int = 0,
        flush: bool = True,
        freeze: bool = True,
    ) -> LiveDevice:
        """Make the table in the inactive slot live, let input and output flow, then update the node and the link.

        ``hidden``: udev's rules make the node and nothing else. ``noscan``: LVM's rules do not scan the device for
        signatures yet. ``low_priority``: the device is a copy of another one (a snapshot), and the other one gets
        the links in ``/dev/disk``. ``link``: (group, volume) of the link ``DEV_DIR/GROUP/VOLUME`` to make;
        ``unlink``: the same of a link to remove.
        ``read_ahead`` in sectors, None for the kernel's choice; ``read_ahead_at_least``: only raise it.
        ``flush`` and ``freeze`` apply to the suspend that the kernel itself does to swap tables under a
        running device.
        """
        udev_flags |= _udev_flags(hidden, noscan, low_priority)
        flags = (0 if flush else self._noflush()) | (0 if freeze else abi.SKIP_LOCKFS)
        try:
            reply = self._eventful(dev, abi.DEV_SUSPEND, udev_flags, flags)
        except DmError:
            self._reopen(dev, udev_flags)
            raise
        self._suspended.discard(reply.dev)
        if reply.flags & abi.ACTIVE_PRESENT:
            # Without a table there is nothing to open: no node, as with udev.
            self._pending.touch(reply.name)
            if link is not None:
                self._pending.want_link(link, reply.name)
            if unlink is not None:
                self._pending.drop_link(unlink, reply.name, reply.dev)
            if read_ahead is not None:
                self._pending.want_read_ahead(abi.major_minor(reply.dev), read_ahead, read_ahead_at_least)
        self._settle()
        return live_device(reply)

    def show(self, dev: Dev, *, link: tuple[str, str] | None = None) -> None:
        """End ``noscan``: udev's rules may scan the device now. Make ``link`` lead to it."""
        reply = self._command(dev, abi.DEV_STATUS)
        self._pending.touch(reply.name)
        if link is not None:
            self._pending.want_link(link, reply.name)
        self._pending.want_scan(abi.major_minor(reply.dev))
        self._settle()

    def repair_nodes(self, names: Iterable[str], *, links: Iterable[tuple[str, str, str]] = ()) -> None:
        """Make the nodes called ``names`` agree with the kernel, whether their devices exist or not.

        ``links`` are (group, volume, device name) of links to remove; one that leads to another existing device
        stays. This cleans up after a process that was killed before it updated its nodes. Where udev makes the
        nodes, they are left to udev.
        """
        for name in names:
            self._pending.touch(name, announced=False)
        for group, volume, name in links:
            self._pending.drop_link((group, volume), name, 0)
        self._settle()

    def rename(
        self,
        dev: Dev,
        new_name: str,
        *,
        old_link: tuple[str, str] | None = None,
        new_link: tuple[str, str] | None = None,
        hidden: bool | None = None,
        low_priority: bool = False,
        udev_flags: int = 0,
    ) -> LiveDevice:
        """Give a device another name, and its node and link too.

        ``hidden`` and ``low_priority`` as in :meth:`resume`; None: an LVM device without a link is hidden,
        any other is not.
        """
        from vmgr.dm.names import check_name

        check_name(new_name)
        old = self._command(dev, abi.DEV_STATUS)
        if hidden is None:
            hidden = old.uuid.startswith("LVM-") and old_link is None and new_link is None
        # The kernel finds the device by its old name only, whatever else the request has.
        reply = self._eventful(
            by_name(old.name),
            abi.DEV_RENAME,
            udev_flags | _udev_flags(hidden, False, low_priority),
            data=wire.pack_text(new_name),
        )
        self._pending.move(old.name, new_name, live=bool(old.flags & abi.ACTIVE_PRESENT))
        if old_link is not None:
            self._pending.drop_link(old_link, old.name, reply.dev)
        if new_link is not None:
            self._pending.want_link(new_link, new_name)
        self._settle()
        # The kernel's reply has the old name, no UUID, and no flag for a table in the inactive slot.
        flags = reply.flags | (old.flags & abi.INACTIVE_PRESENT)
        return live_device(reply._replace(name=new_name, uuid=old.uuid, flags=flags))

    def set_uuid(self, dev: Dev, uuid: str) -> None:
        """Give a UUID to a device that has none. A UUID cannot be changed."""
        from vmgr.dm.names import check_uuid

        check_uuid(uuid)
        old = self._command(dev, abi.DEV_STATUS)
        self._eventful(by_name(old.name), abi.DEV_RENAME, 0, abi.UUID, data=wire.pack_text(uuid))
        self._settle()

    def remove(
        self, dev: Dev, *, link: tuple[str, str] | None = None, deferred: bool = False, retry: float = 0
    ) -> bool:
        """Remove a device, its node and its link. True when it is gone, False when its removal is deferred.

        ``deferred``: if the device is open, remove it when it is closed. ``retry``: try again for that many
        seconds while it is open, because scanners open devices for a moment. Raises
        :class:`vmgr.dm.failure.DmInUse`, whose details say what keeps it open.
        """
        flags = abi.DEFERRED_REMOVE if deferred else 0
        address = self._address(dev)
        # Asked before the removal, because the kernel's reply to that has no number.
        old = self._command(address, abi.DEV_STATUS)
        deadline = time.monotonic() + retry
        while True:
            try:
                reply = self._eventful(address, abi.DEV_REMOVE, 0, flags)
                break
            except DmInUse as e:
                if time.monotonic() >= deadline:
                    self._say_who(e, old.dev)
                    raise
            time.sleep(min(RETRY_PAUSE, max(0.0, deadline - time.monotonic())))
        gone = not reply.flags & abi.DEFERRED_REMOVE
        if gone:
            self._suspended.discard(old.dev)
            self._pending.touch(old.name)
            if link is not None:
                self._pending.drop_link(link, old.name, old.dev)
        self._settle()
        return gone

    def remove_all(self, *, deferred: bool = False) -> tuple[str, ...]:
        """Remove every device that is not open, repeatedly, until all that are left are open. Return their names.

        ``deferred``: the kernel removes those once they are closed.
        """
        before = [entry.name for entry in self.names()]
        self.kernel.call(Request(abi.REMOVE_ALL, flags=abi.DEFERRED_REMOVE if deferred else 0))
        left = self.names()
        kept = {entry.name for entry in left}
        for name in before:
            if name not in kept:
                self._pending.touch(name, announced=False)
        self._suspended &= {entry.dev for entry in left}
        self._settle()
        return tuple(entry.name for entry in left)

    def message(self, dev: Dev, sector: int, text: str, *, secure: bool = False) -> str:
        """Send ``text`` to the target at ``sector``; its answer, or ``""``. ``secure`` as in :meth:`load`."""
        flags = abi.SECURE_DATA if secure else 0
        data = wire.pack_secret_message(sector, text) if secure else wire.pack_message(sector, text)
        answer: bytes | bytearray = b""
        try:
            reply = self._command(dev, abi.TARGET_MSG, flags, data=data)
            answer = reply.data
            return wire.unpack_text(answer) if reply.flags & abi.DATA_OUT else ""
        finally:
            wire.wipe(data)
            wire.wipe(answer)

    # -- inside --------------------------------------------------------------------------------------

    def _persistent(self, major: int, minor: int) -> int:
        """The device number to request for a persistent ``major`` and ``minor``."""
        if not 0 <= minor < abi.MINORS:
            raise InvalidName(
                f"invalid minor number {minor}", hint=f"it is at least 0 and at most {abi.MINORS - 1}"
            )
        own = self.kernel.block_major()
        if major > 0 and major != own:
            raise Refused(
                f"a device with the major number {major} cannot be made: the kernel gave the device mapper {own}",
                hint=f"leave the major number out, or load the module with it: vmgr dm module --major {major}",
            )
        return abi.dev_number(own, minor)


def _udev_flags(hidden: bool, noscan: bool, low_priority: bool) -> int:
    flags = abi.UDEV_HIDDEN if hidden else 0
    if noscan:
        flags |= abi.UDEV_NOSCAN
    if low_priority:
        flags |= abi.UDEV_LOW_PRIORITY
    return flags
