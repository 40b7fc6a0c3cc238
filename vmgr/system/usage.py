"""Who uses a block device right now: mounts, swap, devices that lie on it. For messages, and to refuse.

The kernel decides by an exclusive open (:meth:`vmgr.system.disk.Disk.open`); this says in words what keeps a
device busy.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import InUse, VmgrError
from vmgr.system.devices import SYSFS, device_number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vmgr.core.table import LiveDevice
    from vmgr.dm.holders import Holder

_OCTAL = re.compile(r"\\([0-7]{3})")


def users(path: str) -> tuple[str, ...]:
    """What uses the device at ``path`` or its partitions, each as half a sentence (``it is mounted on /srv``)."""
    number = device_number(path)
    if number is None:
        return ()
    found: list[str] = []
    for name, one in _with_partitions(path, number):
        it = "it" if one == number else f"its partition {name}"
        found += [f"{it} is mounted on {place}" for place in mounts(one)]
        found += [f"{it} is in use as swap"] if swap_priority(one) is not None else []
        found += [f"{it} is used by {holder}" for holder in holders(one)]
    return tuple(found)


def with_holders(error: InUse, live: Mapping[str, LiveDevice]) -> InUse:
    """An error that blames volumes for being in use, with what has each of them open.

    ``live`` are the kernel's devices. The words are those of LVM2 (``lv_check_not_in_use``).
    """
    from vmgr.core.naming import split_dm_uuid
    from vmgr.dm.holders import holders_of

    devices: dict[str, list[LiveDevice]] = {}
    for uuid, device in live.items():
        parts = split_dm_uuid(uuid)
        if parts is not None and parts[1] in error.blames and device.open_count:
            devices.setdefault(parts[1], []).append(device)
    held = holders_of((device.major, device.minor) for some in devices.values() for device in some)
    blames: dict[str, VmgrError] = {}
    for lv, blamed in error.blames.items():
        found = [holder for device in devices.get(lv, ()) for holder in held[device.major, device.minor]]
        blames[lv] = _held(blamed, found)
    first = next((one for one in blames.values() if one.details), None)
    if first is None:
        return error
    return InUse(first.message, hint=first.hint, details=first.details, blames=blames)


def _held(error: VmgrError, found: Sequence[Holder]) -> VmgrError:
    """The error of one volume: first by what is mounted, then by devices that lie on it, then by programs."""
    if not found:
        return error
    kinds = {holder.kind for holder in found}
    volume = error.message.removesuffix(" in use")
    if "mount" in kinds:
        message = f"{volume} contains a filesystem in use"
    elif "device" in kinds:
        message = f"{volume} is used by another device"
    else:
        message = f"{volume} in use"
    return InUse(message, hint=error.hint, details=tuple(dict.fromkeys(str(holder) for holder in found)))


def mounts(number: tuple[int, int]) -> tuple[str, ...]:
    """Where a file system on the device itself is mounted."""
    return tuple(mount.place for mount in mount_table() if mount.number == number)


class Mounted(NamedTuple):
    """A line of the mount table. ``root`` is what of the file system is there, mostly ``/``.

    ``options`` are those of the mount and of the file system, as mount(8) takes them; ``source`` is the device's
    path at the time of mounting.
    """

    number: tuple[int, int]
    root: str
    place: str
    kind: str
    source: str
    options: str


def mount_table() -> Iterator[Mounted]:
    """What is mounted, as this process sees it (``/proc/self/mountinfo``, proc_pid_mountinfo(5))."""
    for line in _lines("/proc/self/mountinfo"):
        own, _, rest = line.partition(" - ")
        words, more = own.split(" "), rest.split(" ")
        major, _, minor = words[2].partition(":") if len(words) > 5 else ("", "", "")
        if len(more) < 3 or not (major.isdecimal() and minor.isdecimal()):
            continue
        of_both = [*words[5].split(","), *more[2].split(",")]
        access = "ro" if "ro" in of_both else "rw"
        options = [word for word in dict.fromkeys(of_both) if word not in ("ro", "rw", "seclabel")]
        yield Mounted(
            (int(major), int(minor)), _plain(words[3]), _plain(words[4]), more[0], _plain(more[1]),
            ",".join([access, *options]),
        )  # fmt: skip


def _plain(text: str) -> str:
    """A word of a table of the kernel, in which blanks are written as octal numbers."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def holders(number: tuple[int, int]) -> tuple[str, ...]:
    """Block devices that lie on the device, by the names that people know (``vg-lv``, ``md0``)."""
    try:
        names = sorted(os.listdir(f"{SYSFS}/dev/block/{number[0]}:{number[1]}/holders"))
    except OSError:
        return ()
    return tuple((_lines(f"{SYSFS}/class/block/{name}/dm/name") or [name])[0] for name in names)


def swap_priority(number: tuple[int, int]) -> int | None:
    """The priority with which the device is in use as swap; None if it is not."""
    for line in _lines("/proc/swaps")[1:]:
        words = line.split()
        if len(words) > 4 and device_number(_plain(words[0])) == number:
            return int(words[4])
    return None


def _with_partitions(path: str, number: tuple[int, int]) -> list[tuple[str, tuple[int, int]]]:
    """The device itself and its partitions, as (name, number)."""
    base = f"{SYSFS}/dev/block/{number[0]}:{number[1]}"
    found = [(path, number)]
    try:
        names = sorted(os.listdir(base))
    except OSError:
        return found
    for name in names:
        if os.path.exists(f"{base}/{name}/partition"):
            words = (_lines(f"{base}/{name}/dev") or [""])[0].split(":")
            if len(words) == 2:
                found.append((name, (int(words[0]), int(words[1]))))
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
