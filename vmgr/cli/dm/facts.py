"""What can be said of one device: the kernel's answer, and what is looked up beside it when it is asked for.

Read-ahead and kernel names come from ``/sys``, as libdevmapper has them (``libdm/libdm-common.c``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmgr.cli.dm.context import Context
    from vmgr.core.table import LiveDevice
    from vmgr.dm.address import DevId
    from vmgr.dm.tree import DeviceTree, TreeNode

SYS_BLOCK = "/sys/dev/block"
NO_DEVICES = "No devices found\n"


class Facts:
    """One device. ``inactive``: dependencies are those of the table that waits for a resume.

    ``tree`` is the whole device tree, for those columns that show what lies on the device.
    """

    __slots__ = ("_deps", "context", "device", "inactive", "tree")

    def __init__(
        self, context: Context, device: LiveDevice, *, inactive: bool = False, tree: DeviceTree | None = None
    ) -> None:
        self.context = context
        self.device = device
        self.inactive = inactive
        self.tree = tree
        self._deps: tuple[tuple[int, int], ...] | None = None

    @property
    def name(self) -> str:
        """Its name as a person shall see it."""
        return self.context.shown(self.device.name)

    @property
    def uuid(self) -> str:
        """Its UUID as a person shall see it."""
        return self.context.shown(self.device.uuid)

    @property
    def number(self) -> str:
        """``major:minor``."""
        return f"{self.device.major}:{self.device.minor}"

    @property
    def numbers(self) -> tuple[int, int]:
        """Major and minor number."""
        return self.device.major, self.device.minor

    @property
    def read_ahead(self) -> int | None:
        """Its read-ahead in sectors; None where neither ``/sys`` nor the node tells, as before a first table."""
        return read_ahead(self.device.major, self.device.minor, self.path)

    @property
    def path(self) -> str:
        """Its node's path."""
        return os.path.join(self.context.dev_dir, "mapper", self.device.name)

    @property
    def kernel_name(self) -> str:
        """Its name in ``/sys``, such as ``dm-0``; empty before its first table."""
        return kernel_name(*self.numbers)

    @property
    def deps(self) -> tuple[tuple[int, int], ...]:
        """Numbers of the devices that its table refers to, in the kernel's order."""
        if self._deps is None:
            from vmgr.dm.address import by_number

            self._deps = self.context.client().deps(by_number(*self.numbers), inactive=self.inactive)
        return self._deps

    def neighbours(self, *, above: bool) -> tuple[TreeNode, ...]:
        """The nodes of the tree that lie on the device, or on which it lies."""
        if self.tree is None or self.numbers not in self.tree:
            return ()
        return self.tree.used_by(self.numbers) if above else self.tree.uses(self.numbers)

    @property
    def split(self) -> tuple[str, str, str, str]:
        """Subsystem (the UUID's beginning) and, of LVM's devices, group, volume and layer."""
        subsystem, hyphen, _ = self.device.uuid.partition("-")
        return split_name(self.name, subsystem if hyphen else "")

    def as_json(self) -> dict[str, object]:
        """All that ``info`` says."""
        device = self.device
        return {
            "name": self.name,
            "uuid": self.uuid,
            "major": device.major,
            "minor": device.minor,
            "suspended": device.suspended,
            "internal_suspend": device.internal_suspend,
            "read_only": device.read_only,
            "deferred_remove": device.deferred_remove,
            "live_table": device.has_live,
            "waiting_table": device.has_inactive,
            "open_count": device.open_count,
            "event_number": device.event_nr,
            "target_count": device.target_count,
            "read_ahead": self.read_ahead,
        }


def split_name(name: str, subsystem: str) -> tuple[str, str, str, str]:
    """Subsystem, group, volume and layer of a name; the last three are empty unless the subsystem is ``LVM``."""
    if subsystem != "LVM":
        return subsystem, "", "", ""
    from vmgr.core.naming import split_dm_name

    return (subsystem, *split_dm_name(name))


def info_text(facts: Facts) -> str:
    """What ``dmsetup info`` prints of a device, with the empty line at its end (``_display_info_long``)."""
    device = facts.device
    state = "SUSPENDED" if device.suspended else "ACTIVE"
    if device.read_only:
        state += " (READ-ONLY)"
    if device.deferred_remove:
        state += " (DEFERRED REMOVE)"
    tables = [word for word, there in (("LIVE", device.has_live), ("INACTIVE", device.has_inactive)) if there]
    rows = [("Name:", facts.name), ("State:", state)]
    ahead = facts.read_ahead
    if ahead is not None:
        rows.append(("Read Ahead:", str(ahead)))
    rows += [
        ("Tables present:", " & ".join(tables) or "None"),
        ("Open count:", str(device.open_count)),
        ("Event number:", str(device.event_nr)),
        ("Major, minor:", f"{device.major}, {device.minor}"),
        ("Number of targets:", str(device.target_count)),
    ]
    text = "".join(f"{label:<18} {value}\n" for label, value in rows)
    return f"{text}UUID: {facts.uuid}\n\n" if device.uuid else f"{text}\n"


# -- finding devices ------------------------------------------------------------------------------


def look(context: Context, dev: DevId) -> LiveDevice:
    """The device that is meant. Raises :class:`NotFound`, with dmsetup's own words where they are wanted."""
    found = None
    if any(dev):
        inactive = context.invocation.flag("inactive")
        found = context.client().info(name=dev.name, uuid=dev.uuid, major_minor=dev.numbers, inactive=inactive)
    if found is None and context.as_dmsetup:
        raise NotFound("Device does not exist.")
    if found is None:
        which = f"with the UUID {context.shown(dev.uuid)}" if dev.uuid else context.shown(str(dev))
        raise NotFound(f"there is no device {which}", hint="`vmgr dm ls` lists the devices")
    return found


def header(context: Context, dev: DevId | LiveDevice) -> dict[str, object]:
    """A device's header for JSON."""
    return Facts(context, look(context, dev) if isinstance(dev, tuple) else dev).as_json()


def show_change(context: Context, dev: DevId | LiveDevice) -> None:
    """What ``--json`` or ``-v`` asks for after one device was changed."""
    if context.json:
        context.emit_json({"device": header(context, dev)})
    elif context.invocation.times("verbose"):
        context.terminal.data(info_text(Facts(context, look(context, dev) if isinstance(dev, tuple) else dev)))


def every_device(context: Context) -> Iterator[LiveDevice]:
    """All devices, in the kernel's order; one that goes away meanwhile is left out."""
    client, inactive = context.client(), context.invocation.flag("inactive")
    for entry in client.names():
        found = client.info(name=entry.name, inactive=inactive)
        if found is not None:
            yield found


def all_are_meant(context: Context) -> bool:
    """Whether no device is named, so that every one is meant."""
    return not context.invocation.arguments and not context.named_otherwise()


def chosen_devices(context: Context) -> Iterator[LiveDevice]:
    """The devices named on the command line, in turn, or all. Raises :class:`NotFound` when it comes to one."""
    if all_are_meant(context):
        yield from every_device(context)
        return
    for dev in context.devices():
        yield look(context, dev)


# -- /sys -----------------------------------------------------------------------------------------


def kernel_name(major: int, minor: int, sys_block: str = SYS_BLOCK) -> str:
    """The kernel's name for a block device; empty where ``/sys`` has none."""
    try:
        return os.path.basename(os.readlink(f"{sys_block}/{major}:{minor}"))
    except OSError:
        return ""


def mapper_name(major: int, minor: int, sys_block: str = SYS_BLOCK) -> str:
    """The device-mapper name of a block device as ``/sys`` has it; empty for any other device."""
    return _read(f"{sys_block}/{major}:{minor}/dm/name")


def read_ahead(major: int, minor: int, path: str, sys_block: str = SYS_BLOCK) -> int | None:
    """A device's read-ahead in sectors, from ``/sys`` or by its node; None where neither is there."""
    text = _read(f"{sys_block}/{major}:{minor}/bdi/read_ahead_kb")
    if text.isdigit():
        return int(text) * 2
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        import struct
        from fcntl import ioctl

        (sectors,) = struct.unpack("l", ioctl(fd, 0x1263, bytes(struct.calcsize("l"))))  # BLKRAGET
        return int(sectors)
    except OSError:
        return None
    finally:
        os.close(fd)


def _read(path: str) -> str:
    try:
        with open(path, errors="surrogateescape") as file:
            return file.read().rstrip("\n")
    except OSError:
        return ""
