"""Subject ``control``: whether ``/dev/mapper/control`` exists, has the right numbers, and is for root only."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.dm import control
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding, Repair

if TYPE_CHECKING:
    from vmgr.doctor.machine import Machine

SUBJECT = "control"


@frozen
class Facts:
    """``problem`` is the result of :func:`vmgr.dm.control.control_problem`; ``kind`` classifies it.

    ``kind``: ``right``, ``missing``, ``no-directory`` (something else has its directory's name), ``not-a-node``,
    ``wrong-numbers``, ``open-to-all``, ``no-access`` (root may not open it) or ``unreadable``. ``wanted`` are the
    numbers that it should have.
    """

    path: str
    kind: str
    problem: str
    wanted: tuple[int, int]
    mode: int | None = None
    registered: bool | None = None
    nodev: str = ""
    """The mount point of its file system, if that is mounted ``nodev``, so that no node works."""


def gather(machine: Machine) -> Facts:
    """Examine the node without opening it."""
    roots = machine.roots
    path = control.control_path(roots.dev)
    problem = control.control_problem(roots.dev, roots.proc)
    wanted = control.control_numbers(roots.proc)
    kind, mode = "right", None
    try:
        found = os.stat(path)
    except FileNotFoundError:
        kind = "missing"
    except NotADirectoryError:
        kind, problem = "no-directory", f"{os.path.dirname(path)} is not a directory"
    except OSError:
        kind = "unreadable"
    else:
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISCHR(found.st_mode):
            kind = "not-a-node"
        elif found.st_rdev != os.makedev(*wanted):
            kind = "wrong-numbers"
        elif problem:
            kind = "open-to-all"
    if kind == "right" and machine.registered and machine.asked.failed and os.geteuid() == 0:
        kind, problem = "no-access", f"{path} is right, but root cannot use it: {machine.asked.why}"
    return Facts(path, kind, problem, wanted, mode, machine.registered, _nodev(path))


def _nodev(path: str) -> str:
    """Where the file system of ``path`` is mounted, if it is mounted ``nodev``."""
    place = os.path.dirname(path)
    try:
        if not os.statvfs(place).f_flag & os.ST_NODEV:
            return ""
    except OSError:
        return ""
    while not os.path.ismount(place):
        place = os.path.dirname(place)
    return place


def check(facts: Facts) -> tuple[Finding, ...]:
    """The finding about the control node."""
    numbers = ":".join(map(str, facts.wanted))
    known: dict[str, Fact] = {
        "path": facts.path,
        "numbers": numbers,
        "mode": None if facts.mode is None else f"{facts.mode:04o}",
    }
    if facts.kind == "right":
        if facts.registered is False:
            text = f"{facts.path} ({numbers}) is there; the device mapper is not loaded"
            return (Finding("control.unused", SUBJECT, NOTE, text, facts=known),)
        text = f"{facts.path} ({numbers}, mode {facts.mode or 0:04o}) is right"
        return (Finding("control.right", SUBJECT, OK, text, facts=known),)
    if facts.kind == "unreadable":
        return (Finding("control.unreadable", SUBJECT, WARNING, facts.problem, "sudo vmgr doctor", facts=known),)
    if facts.kind == "missing" and facts.registered is not True:
        text = f"{facts.path} is not there, nor is the device mapper loaded: loading it makes the node"
        return (Finding("control.not-yet", SUBJECT, NOTE, text, facts=known),)
    make = (
        f"mkdir -p {os.path.dirname(facts.path)} && mknod -m 600 {facts.path} c {' '.join(map(str, facts.wanted))}"
    )
    remedy = {
        "missing": make,
        "no-directory": f"mv {os.path.dirname(facts.path)} /root/ && {make}",
        "not-a-node": f"mv {facts.path} {facts.path}.old && {make}",
        "wrong-numbers": f"rm {facts.path} && {make}",
        "open-to-all": f"chmod 600 {facts.path}",
        "no-access": f"mount -o remount,dev {facts.nodev}"
        if facts.nodev
        else "run where devices may be used: outside of the container, or in one that is privileged",
    }[facts.kind]
    repair = None
    # A file that is not a node may be somebody's data, so only a person may remove it.
    if facts.kind in ("missing", "wrong-numbers", "open-to-all"):
        repair = Repair("control", f"make {facts.path} right ({numbers}, mode 0600)")
    return (Finding(f"control.{facts.kind}", SUBJECT, PROBLEM, facts.problem, remedy, repair, known),)
