"""Who keeps a device busy: file systems, swap, devices above it, processes that have it open.

Reads ``/proc`` and ``/sys`` and nothing else; what cannot be read is left out, because an answer to
"why is it busy" must not become a second failure.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})").sub
_MOST_PROCESSES = 8


class Holder(NamedTuple):
    """One reason: ``kind`` is ``mount``, ``swap``, ``device`` or ``process``; ``what`` names it for a person."""

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


def holders(major: int, minor: int, *, proc: str = "/proc", sys: str = "/sys") -> tuple[Holder, ...]:
    """Everything that is seen to hold the block device, devices above it first."""
    return (
        *_devices_above(major, minor, sys),
        *_mounts(major, minor, proc),
        *_swaps(major, minor, proc),
        *_processes(major, minor, proc),
    )


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


def _mounts(major: int, minor: int, proc: str) -> list[Holder]:
    """Mounts in this process's namespace and, where they may be read, in every other."""
    found: dict[str, Holder] = {}
    here = _link(f"{proc}/self/ns/mnt")
    seen = {here}
    for text in _mount_points(f"{proc}/self/mountinfo", major, minor):
        found.setdefault(text, Holder("mount", text))
    for pid in _pids(proc):
        namespace = _link(f"{proc}/{pid}/ns/mnt")
        if not namespace or namespace in seen:
            continue
        seen.add(namespace)
        for text in _mount_points(f"{proc}/{pid}/mountinfo", major, minor):
            words = f"{text} in the mount namespace of process {pid} ({_command(proc, pid)})"
            found.setdefault(words, Holder("mount", words))
    return list(found.values())


def _mount_points(path: str, major: int, minor: int) -> list[str]:
    number = f"{major}:{minor}"
    points = []
    for line in _read(path).splitlines():
        fields = line.split(" ")
        if len(fields) < 5:
            continue
        # btrfs invents a number of its own; its source still names the device.
        source = line.partition(" - ")[2].split(" ")
        if fields[2] == number or (
            fields[2].startswith("0:") and len(source) > 1 and _is_device(unescape(source[1]), major, minor)
        ):
            points.append(unescape(fields[4]))
    return points


def _swaps(major: int, minor: int, proc: str) -> list[Holder]:
    found = []
    for line in _read(f"{proc}/swaps").splitlines()[1:]:
        path = unescape(line.split(" ", 1)[0].split("\t", 1)[0])
        if _is_device(path, major, minor):
            found.append(Holder("swap", path))
    return found


def _processes(major: int, minor: int, proc: str) -> list[Holder]:
    """Processes with the device open. Another user's are not seen without privilege."""
    found: list[Holder] = []
    wanted = os.makedev(major, minor)
    own = str(os.getpid())
    more = 0
    for pid in _pids(proc):
        for fd in _listdir(f"{proc}/{pid}/fd"):
            path = f"{proc}/{pid}/fd/{fd}"
            # stat follows to the open file itself; the link's text spares it for sockets and pipes.
            if not _link(path).startswith("/"):
                continue
            try:
                opened = os.stat(path)
            except OSError:
                continue
            if stat.S_ISBLK(opened.st_mode) and opened.st_rdev == wanted:
                if len(found) >= _MOST_PROCESSES:
                    more += 1
                else:
                    me = ", this one" if pid == own else ""
                    found.append(Holder("process", f"process {pid} ({_command(proc, pid)}{me})"))
                break
    if more:
        found.append(Holder("process", f"{more} more processes"))
    return found


def users_of(path: str, proc: str = "/proc") -> tuple[str, ...]:
    """Who uses a node under its very name: mounts, swap, processes; in words, the first few.

    A device may be in use and its node not, where another name of it was used.
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
    """A path as ``/proc`` escapes it: blanks and the like as three octal digits."""
    return _OCTAL(lambda m: chr(int(m[1], 8)), text)


def _is_device(path: str, major: int, minor: int) -> bool:
    if not path.startswith("/"):
        return False
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISBLK(found.st_mode) and found.st_rdev == os.makedev(major, minor)


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
