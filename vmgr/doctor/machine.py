"""Data about the machine for several subjects: the kernel's version, and a reader of the device mapper.

Opening the control node of an unloaded device mapper loads it, and :mod:`vmgr.dm.control` makes a missing
node. An examination may do neither. So the kernel is queried only if ``/proc`` shows the device mapper, and only
through a node that is already right.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from attrs import field, frozen

from vmgr.core.errors import VmgrError
from vmgr.dm import control
from vmgr.doctor.roots import Roots, is_number, names, read

if TYPE_CHECKING:
    from vmgr.core.table import LiveDevice
    from vmgr.dm.module import ModuleState
    from vmgr.dm.query import DmReader


@frozen
class Asked:
    """The kernel's answer, or why it was not asked (``why``, in words); ``failed``: it did not answer."""

    why: str
    interface: tuple[int, int, int] | None = None
    targets: dict[str, tuple[int, int, int]] = field(factory=dict)
    devices: tuple[LiveDevice, ...] = ()
    failed: bool = False


@frozen
class Machine:
    """One machine under examination. ``reader`` is None if the kernel cannot or must not be queried.

    ``registered`` is whether ``/proc`` shows the device mapper; None if ``/proc`` cannot be read.
    ``devices`` are the kernel's devices, from the device mapper itself or else from sysfs, which does not show all.
    ``complete`` is True for the former.
    """

    roots: Roots
    release: str
    registered: bool | None
    reader: DmReader | None
    asked: Asked
    devices: tuple[LiveDevice, ...]
    complete: bool

    def close(self) -> None:
        """Close the control node, if it was opened: an open one keeps the module from being unloaded."""
        if self.reader is not None:
            _close(self.reader)


def look(roots: Roots, reader: DmReader | None = None, *, ask: bool = True) -> Machine:
    """Find out how to query the machine and, with ``ask``, do so. ``reader`` replaces the kernel in tests."""
    release = (read(f"{roots.proc}/sys/kernel/osrelease") or "").strip()
    if not release.isprintable() or "/" in release:
        release = ""  # not usable: it becomes part of paths
    registered = is_registered(roots)
    if reader is None:
        reader, why = _open_reader(roots, registered) if ask else (None, "queries are turned off")
    else:
        why = ""
    asked = Asked(why)
    if reader is not None:
        try:
            asked = Asked("", reader.version(), reader.targets(), reader.devices())
        except VmgrError as error:
            _close(reader)
            reader, asked = None, Asked(error.message, failed=True)
    complete = reader is not None
    return Machine(
        roots, release, registered, reader, asked, asked.devices if complete else from_sysfs(roots), complete
    )


def _close(reader: DmReader) -> None:
    close = getattr(reader.kernel, "close", None)
    if close is not None:
        close()


def is_registered(roots: Roots) -> bool | None:
    """Whether ``/proc`` shows the device mapper; None where it cannot be read."""
    misc, devices = read(f"{roots.proc}/misc"), read(f"{roots.proc}/devices")
    if misc is None and devices is None:
        return None
    return (
        control.proc_number(f"{roots.proc}/misc", control.NAME) is not None
        or control.proc_number(f"{roots.proc}/devices", control.NAME, "Block devices:") is not None
    )


def _open_reader(roots: Roots, registered: bool | None) -> tuple[DmReader | None, str]:
    """A reader of the running kernel's device mapper that changes nothing, or the reason why there is none."""
    if roots.prefix or roots.proc != "/proc":
        return None, "the files are those of another machine"
    if not registered:
        return None, "the device mapper is not loaded"
    path = control.control_path(roots.dev)
    try:
        found = os.stat(path)
    except OSError as error:
        return None, f"{path}: {(error.strerror or 'cannot be examined').lower()}"
    wanted = os.makedev(*control.control_numbers(roots.proc))
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != wanted:
        return None, f"{path} is not the control node"
    if not os.access(path, os.R_OK | os.W_OK):
        return None, "only root may query the device mapper"
    from vmgr.dm.kernel import IoctlKernel
    from vmgr.dm.query import DmReader

    return DmReader(IoctlKernel(roots.dev)), ""


def state_of_module(machine: Machine) -> ModuleState:
    """The state of the module in the machine's kernel."""
    from vmgr.dm.module import Places, module_state

    roots = machine.roots
    # A release is needed even if none can be read, because the default is the running kernel's, not the tree's.
    return module_state(Places(roots.proc, roots.sys, roots.prefix or "/", machine.release or "unknown"))


def from_sysfs(roots: Roots) -> tuple[LiveDevice, ...]:
    """The devices in sysfs. It shows no inactive tables, and no devices without a table."""
    from vmgr.core.table import LiveDevice

    found = []
    for entry in names(f"{roots.sys}/block"):
        base = f"{roots.sys}/block/{entry}"
        name, number = read(f"{base}/dm/name"), read(f"{base}/dev")
        if name is None or number is None:
            continue
        major, _, minor = number.strip().partition(":")
        name = name.rstrip("\n")
        if not (is_number(major) and is_number(minor)) or not name or "/" in name or "\0" in name:
            continue
        found.append(
            LiveDevice(
                name,
                (read(f"{base}/dm/uuid") or "").rstrip("\n"),
                int(major),
                int(minor),
                suspended=(read(f"{base}/dm/suspended") or "").strip() == "1",
                read_only=(read(f"{base}/ro") or "").strip() == "1",
            )
        )
    return tuple(sorted(found, key=lambda device: device.minor))
