"""Who uses a block device right now: mounts, swap, devices that lie on it. For messages, and to refuse.

The kernel decides by an exclusive open (:meth:`vmgr.system.disk.Disk.open`); this says in words what keeps a
device busy.
"""

from __future__ import annotations

import os
import re

from vmgr.system.devices import SYSFS, device_number

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
        found += [f"{it} is in use as swap"] if one in _swaps() else []
        found += [f"{it} is used by {holder}" for holder in holders(one)]
    return tuple(found)


def mounts(number: tuple[int, int]) -> tuple[str, ...]:
    """Where a file system on the device itself is mounted (``/proc/self/mountinfo``)."""
    found = []
    for line in _lines("/proc/self/mountinfo"):
        words = line.split(" ")
        if len(words) > 4 and words[2] == f"{number[0]}:{number[1]}":
            found.append(_OCTAL.sub(lambda match: chr(int(match[1], 8)), words[4]))
    return tuple(found)


def holders(number: tuple[int, int]) -> tuple[str, ...]:
    """Block devices that lie on the device, by the names that people know (``vg-lv``, ``md0``)."""
    try:
        names = sorted(os.listdir(f"{SYSFS}/dev/block/{number[0]}:{number[1]}/holders"))
    except OSError:
        return ()
    return tuple((_lines(f"{SYSFS}/class/block/{name}/dm/name") or [name])[0] for name in names)


def _swaps() -> set[tuple[int, int]]:
    found = set()
    for line in _lines("/proc/swaps")[1:]:
        path = _OCTAL.sub(lambda match: chr(int(match[1], 8)), line.split()[0])
        number = device_number(path)
        if number is not None:
            found.add(number)
    return found


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
