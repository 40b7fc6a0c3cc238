"""The holders of a device, which keep it busy: file systems, swap, devices above it, processes that have it open.

Reads only ``/proc`` and ``/sys``. Leaves out what cannot be read, because the search for the reason of one
failure must not become a second failure.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})").sub
_MOST_PROCESSES = 8


class Holder(NamedTuple):
    """One holder: ``kind`` is ``mount``, ``swap``, ``device`` or ``process``; ``what`` describes it for people."""

    kind: str
    what: str

    def __str__(self) -> str:
        words = {
            "mount": "mounted on",
            "swap": "in use as swap:",
            "device": "used by the device",
            "process": "open in",
        }
        return f"{words[self.kind]} {self.what}"


Number = tuple[int, int]
"""A device number: (major, minor)."""


def holders(major: int, minor: int, *, proc: str = "/proc", sys: str = "/sys") -> tuple[Holder, ...]:
    """All visible holders of the block device, devices above it first."""
    return holders_of([(major, minor)], proc=proc, sys=sys)[major, minor]


def holders_of(
    numbers: Iterable[Number], *, proc: str = "/proc", sys: str = "/sys"
) -> dict[Number, tuple[Holder, ...]]:
    """:func:`holders` of each of many devices, with one scan of the machine's processes for all of them."""
    found: dict[Number, list[Holder]] = {number: _devices_above(*number, sys) for number in numbers}
    wanted = {os.makedev(*number): number for number in found}
    for part in (_mounts, _swaps, _processes):
        for number, holder in part(wanted, proc):
            found[number].append(holder)
    return {number: tuple(held) for number, held in found.items()}


def in_words(major: int, minor: int) -> tuple[str, ...]:
    """The holders as lines for an error's details."""
    return tuple(str(holder) for holder in holders(major, minor))


def _devices_above(major: int, minor: int, sys: str) -> list[Holder]:
    base = f"{sys}/dev/block/{major}:{minor}"
    found = []
    for name in _listdir(f"{base}/holders"):
        dm_name = _read(f"{base}/holders/{name}/dm/name").strip()
        number = _read(f"{base}/holders/{name}/dev").strip()
        words = f"{dm_name} ({name}, {number})" if dm_name else f"{name} ({number})"
        found.append(Holder("device", words))
    for name in _listdir(base):
        # A partition on the device (kpartx makes devices instead, which are above it).
        if os.path.isfile(f"{base}/{name}/partition"):
            inner = _read(f"{base}/{name}/dev").strip()
            found += [Holder("device", f"{name}: {holder}") for holder in _of_number(inner, sys)]
    return found


def _of_number(number: str, sys: str) -> list[str]:
    major, _, minor = number.partition(":")
    if not (major.isdigit() and minor.isdigit()):
        return []
    return [holder.what for holder in _devices_above(int(major), int(minor), sys)]


def _mounts(wanted: Mapping[int, Number], proc: str) -> Iterator[tuple[Number, Holder]]:
    """Mounts in this process's namespace and, where they may be read, in every other."""
    here = _link(f"{proc}/self/ns/mnt")
    seen = {here}
    told: set[tuple[Number, str]] = set()

    def of(path: str, where: str) -> Iterator[tuple[Number, Holder]]:
        for number, point in _mount_points(path, wanted):
            words = f"{point}{where}"
            if (number, words) not in told:
                told.add((number, words))
                yield number, Holder("mount", words)

    yield from of(f"{proc}/self/mountinfo", "")
    for pid in _pids(proc):
        namespace = _link(f"{proc}/{pid}/ns/mnt")
        if namespace and namespace not in seen:
            seen.add(namespace)
            where = f" in the mount namespace of process {pid} ({_command(proc, pid)})"
            yield from of(f"{proc}/{pid}/mountinfo", where)


def _mount_points(path: str, wanted: Mapping[int, Number]) -> Iterator[tuple[Number, str]]:
    named = {f"{major}:{minor}": (major, minor) for major, minor in wanted.values()}
    for line in _read(path).splitlines():
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        number = named.get(fields[2])
        if number is None and fields[2].startswith("0:"):
            # btrfs invents a number of its own; its source still names the device.
            source = line.partition(" - ")[2].split(" ")
            number = wanted.get(_device_at(unescape(source[1]))) if len(source) > 1 else None
        if number is not None:
            yield number, unescape(fields[4])


def _swaps(wanted: Mapping[int, Number], proc: str) -> Iterator[tuple[Number, Holder]]:
    for line in _read(f"{proc}/swaps").splitlines()[1:]:
        path = unescape(line.split(" ", 1)[0].split("\t", 1)[0])
        number = wanted.get(_device_at(path))
        if number is not None:
            yield number, Holder("swap", path)


def _processes(wanted: Mapping[int, Number], proc: str) -> Iterator[tuple[Number, Holder]]:
    """Processes with the device open. Other users' processes are only visible with privilege."""
    own = str(os.getpid())
    counts: dict[Number, int] = {}
    for pid in _pids(proc):
        opened: set[Number] = set()
        for fd in _listdir(f"{proc}/{pid}/fd"):
            path = f"{proc}/{pid}/fd/{fd}"
            # stat follows the link to the open file. The link's text makes that unnecessary for sockets and pipes.
            if _link(path).startswith("/") and (number := wanted.get(_device_at(path))) is not None:
                opened.add(number)
        for number in opened:
            counts[number] = counts.get(number, 0) + 1
            if counts[number] <= _MOST_PROCESSES:
                me = ", this one" if pid == own else ""
                yield number, Holder("process", f"process {pid} ({_command(proc, pid)}{me})")
    for number, count in counts.items():
        if count > _MOST_PROCESSES:
            yield number, Holder("process", f"{count - _MOST_PROCESSES} more processes")


def users_of(path: str, proc: str = "/proc") -> tuple[str, ...]:
    """The first few users of a node by this very path, in words: mounts, swap, processes.

    A device may be in use through another path.
    """
    found = []
    for line in _read(f"{proc}/self/mountinfo").splitlines():
        head, _, tail = line.partition(" - ")
        source = tail.split(" ")
        if len(source) > 1 and unescape(source[1]) == path:
            found.append(f"mounted on {unescape(head.split(' ')[4])}")
    for line in _read(f"{proc}/swaps").splitlines()[1:]:
        if unescape(line.split(" ", 1)[0].split("\t", 1)[0]) == path:
            found.append("in use as swap")
    for pid in _listdir(proc):
        if not pid.isdigit():
            continue
        for fd in _listdir(f"{proc}/{pid}/fd"):
            try:
                opened = os.readlink(f"{proc}/{pid}/fd/{fd}") == path
            except OSError:
                continue
            if opened:
                found.append(f"open in process {pid} ({_read(f'{proc}/{pid}/comm').strip() or '?'})")
                break
        if len(found) > 3:
            break
    return tuple(found)


def unescape(text: str) -> str:
    """Decode a path from ``/proc``, where blanks and the like are written as three octal digits."""
    return _OCTAL(lambda m: chr(int(m[1], 8)), text)


def _device_at(path: str) -> int:
    """The number of the block device that a path leads to, -1 if it leads to none."""
    if not path.startswith("/"):
        return -1
    try:
        found = os.stat(path)
    except OSError:
        return -1
    return found.st_rdev if stat.S_ISBLK(found.st_mode) else -1


def _pids(proc: str) -> list[str]:
    return sorted((name for name in _listdir(proc) if name.isdigit()), key=int)


def _command(proc: str, pid: str) -> str:
    return _read(f"{proc}/{pid}/comm").strip() or "?"


def _listdir(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as f:
            return f.read()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
