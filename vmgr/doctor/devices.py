"""Subject ``devices``: devices that are suspended, without a table, with an inactive table, or missing.

A suspended device holds back all input and output. The kernel does not say which command suspended it, and when.
So the findings name the processes that have the device mapper open now, those that wait, and the time of the last
udev event. Nothing is resumed here: only a person can decide whether the old or the new table is right.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import field, frozen

from vmgr.dm.holders import unescape
from vmgr.doctor.cookies import in_words
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding, typed
from vmgr.doctor.processes import STUCK, Process, open_paths, pids, process
from vmgr.doctor.roots import Roots, is_number, read

if TYPE_CHECKING:
    from vmgr.core.table import LiveDevice
    from vmgr.doctor.machine import Machine
    from vmgr.doctor.stacks import Gap

SUBJECT = "devices"


@frozen
class Facts:
    """``devices`` are the kernel's. The rest is gathered only if one of them is unfinished.

    ``at_work`` have the control node open; ``waiting`` are stuck processes, by device; ``heard`` is the time in
    seconds since the last udev event of a device; ``inflight`` is its number of waiting requests.
    """

    devices: tuple[LiveDevice, ...]
    complete: bool
    registered: bool | None
    at_work: tuple[Process, ...] = ()
    waiting: dict[str, tuple[Process, ...]] = field(factory=dict)
    maybe: tuple[Process, ...] = ()
    mounted: dict[str, tuple[str, ...]] = field(factory=dict)
    heard: dict[str, int] = field(factory=dict)
    inflight: dict[str, int] = field(factory=dict)
    gaps: tuple[Gap, ...] = ()


def gather(machine: Machine, now: float | None = None, gaps: tuple[Gap, ...] = ()) -> Facts:
    """Read the devices, and the processes if a device is unfinished or missing. ``gaps`` says which are missing."""
    roots = machine.roots
    still = [d for d in machine.devices if d.suspended or d.has_inactive or not d.has_live]
    if not still and not gaps:
        return Facts(machine.devices, machine.complete, machine.registered)
    if now is None:
        import time

        now = time.time()
    heard: dict[str, int] = {}
    inflight: dict[str, int] = {}
    for device in still:
        number = f"{device.major}:{device.minor}"
        try:
            heard[device.name] = max(0, int(now - os.stat(f"{roots.run}/udev/data/b{number}").st_mtime))
        except OSError:
            pass
        words = (read(f"{roots.sys}/dev/block/{number}/inflight") or "").split()
        if len(words) == 2 and all(map(is_number, words)):
            inflight[device.name] = int(words[0]) + int(words[1])
    mounted = {d.name: _mounts(roots, d) for d in still if d.suspended}
    at_work, waiting, maybe = _processes(roots, [d for d in still if d.suspended], mounted)
    return Facts(
        machine.devices,
        machine.complete,
        machine.registered,
        at_work,
        waiting,
        maybe,
        {name: points for name, points in mounted.items() if points},
        heard,
        inflight,
        gaps,
    )


def _processes(
    roots: Roots, suspended: list[LiveDevice], mounted: dict[str, tuple[str, ...]]
) -> tuple[tuple[Process, ...], dict[str, tuple[Process, ...]], tuple[Process, ...]]:
    """Processes that have the device mapper open, that are stuck with a device or its files open, other stuck ones.

    A process that waits to open a file on a frozen file system has nothing of it open yet.
    """
    control = f"{roots.dev}/mapper/control"
    places: dict[str, tuple[str, ...]] = {
        device.name: (
            f"{roots.dev}/mapper/{device.name}",
            f"{roots.dev}/dm-{device.minor}",
            *(f"{point.rstrip('/')}/" for point in mounted.get(device.name, ())),
        )
        for device in suspended
    }
    at_work: list[Process] = []
    waiting: dict[str, list[Process]] = {}
    maybe: list[Process] = []
    for pid in pids(roots):
        if pid == os.getpid():
            continue
        paths = open_paths(roots, pid)
        if control in paths:
            at_work.append(process(roots, pid))
        if not paths or not suspended:
            continue  # a kernel thread, or another user's process
        stuck = process(roots, pid)
        if stuck.state != STUCK:
            continue
        known = False
        for name, starts in places.items():
            if any(
                path == start or (start.endswith("/") and path.startswith(start))
                for path in paths
                for start in starts
            ):
                waiting.setdefault(name, []).append(stuck)
                known = True
        if not known:
            maybe.append(stuck)
    return tuple(at_work), {name: tuple(found) for name, found in waiting.items()}, tuple(maybe)


def _mounts(roots: Roots, device: LiveDevice) -> tuple[str, ...]:
    number = f"{device.major}:{device.minor}"
    points = []
    for line in (read(f"{roots.proc}/self/mountinfo") or "").splitlines():
        words = line.split(" ")
        if len(words) > 4 and words[2] == number:
            points.append(unescape(words[4]))
    return tuple(points)


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about devices."""
    if not facts.complete and not facts.devices:
        if facts.registered:
            text = "the kernel was not asked for its devices"
            return (Finding("devices.unknown", SUBJECT, NOTE, text, "sudo vmgr doctor"),)
        text = "there is no device: the device mapper is not loaded"
        return (Finding("devices.none", SUBJECT, NOTE, text),)
    found: list[Finding] = [_missing(gap, facts) for gap in facts.gaps]
    for device in facts.devices:
        finding = _of(device, facts)
        if finding is not None:
            found.append(finding)
    if not found:
        count = len(facts.devices)
        text = (
            "there is no device"
            if not count
            else "1 device, running"
            if count == 1
            else f"{count} devices, all running"
        )
        found.append(Finding("devices.running", SUBJECT, OK, text, facts={"devices": count}))
    return tuple(found)


def _missing(gap: Gap, facts: Facts) -> Finding:
    text = gap.text
    if facts.at_work:
        text += f" ({_who(facts.at_work)} has the device mapper open and may be at work on it)"
    known: dict[str, Fact] = {
        "group": gap.vg,
        "volumes": tuple(lv.name for lv in gap.what.volumes),
        "missing": tuple(name for _, name in gap.what.missing),
        "running": gap.what.left,
    }
    options, _, name = gap.order.rpartition(" ")
    return Finding("devices.missing", SUBJECT, PROBLEM, text, f"vmgr lvchange {options} {typed(name)}", facts=known)


def _of(device: LiveDevice, facts: Facts) -> Finding | None:
    """The finding about one device; None if it simply runs."""
    name = device.name
    known: dict[str, Fact] = {
        "device": name,
        "uuid": device.uuid,
        "number": f"{device.major}:{device.minor}",
        "open": device.open_count,
        "table_waits": device.has_inactive,
        "at_work": tuple(map(str, facts.at_work)),
        "waiting": tuple(map(str, facts.waiting.get(name, ()))),
        "maybe_waiting": tuple(map(str, facts.maybe)) if name in facts.mounted else (),
        "mounted": facts.mounted.get(name, ()),
        "udev_silent": facts.heard.get(name),
        "inflight": facts.inflight.get(name),
    }
    working = ""
    if facts.at_work:
        working = f" ({_who(facts.at_work)} has the device mapper open and may be working on it)"
    if not device.has_live:
        what = "has a table that was never made live" if device.has_inactive else "has no table"
        text = f"{name} {what}: the command that made it did not finish{working}"
        remedy = f"vmgr dm remove {typed(name)}"
        if device.has_inactive:
            remedy += f"  # or make it live: vmgr dm resume {typed(name)}"
        return Finding("devices.no-table", SUBJECT, WARNING, text, remedy, facts=known)
    if device.suspended:
        text = f"{name} is suspended: all reads and writes wait"
        if name in facts.mounted:
            text = f"{name} ({', '.join(facts.mounted[name])}) is suspended: all reads and writes wait"
        waiting = facts.waiting.get(name, ())
        if waiting:
            text += f"; {_who(waiting)} {'wait' if len(waiting) > 1 else 'waits'}"
        elif facts.maybe and name in facts.mounted:
            text += f"; {_who(facts.maybe)} {'are' if len(facts.maybe) > 1 else 'is'} stuck and may wait for it"
        elif facts.inflight.get(name):
            text += f"; {facts.inflight[name]} requests wait"
        if name in facts.heard:
            text += f"; its last udev event was {in_words(facts.heard[name])} ago"
        remedy = f"vmgr dm resume {typed(name)}"
        if device.has_inactive:
            text += "; a new table waits to be made live"
            remedy = _choice(name)
        return Finding("devices.suspended", SUBJECT, PROBLEM, text + working, remedy, facts=known)
    if device.has_inactive:
        text = f"{name} has a second table that waits to be made live{working}"
        return Finding("devices.table-waits", SUBJECT, WARNING, text, _choice(name), facts=known)
    if device.deferred_remove:
        text = f"{name} will be removed as soon as it is closed"
        return Finding("devices.leaving", SUBJECT, NOTE, text, facts=known)
    if device.internal_suspend:
        text = f"{name} is suspended by another device that it belongs to"
        return Finding("devices.held-back", SUBJECT, NOTE, text, facts=known)
    return None


def _choice(name: str) -> str:
    """The remedy for an inactive table. Pasted into a shell, it changes nothing yet."""
    name = typed(name)
    return f"vmgr dm table --inactive {name}  # vmgr dm resume {name} takes it, vmgr dm clear {name} drops it"


def _who(processes: tuple[Process, ...]) -> str:
    words = [str(process) for process in processes[:3]]
    if len(processes) > 3:
        words.append(f"{len(processes) - 3} more")
    return " and ".join(words)
