"""Subject ``nodes``: whether ``/dev`` agrees with the kernel, and whether the old directory still exists.

:mod:`vmgr.dm.directory` and :mod:`vmgr.dm.migration` decide what is right and make the repairs.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import VmgrError
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Fact, Finding, Repair, typed

if TYPE_CHECKING:
    from vmgr.core.table import LiveDevice
    from vmgr.dm.directory import NodeProblem
    from vmgr.dm.query import DmReader
    from vmgr.doctor.machine import Machine

SUBJECT = "nodes"


@frozen
class Facts:
    """``problems`` are the library's, except those of the control node. ``why`` is why nothing was compared, if so.

    ``certain``: every device of the kernel is in the comparison. ``repairable``: every device is, or will be once
    the control node is repaired. ``plan`` is what a migration would do, in words; ``left`` what it would leave.
    """

    dev: str
    problems: tuple[NodeProblem, ...] = ()
    why: str = ""
    certain: bool = True
    repairable: bool = True
    devices: int = 0
    old: str = ""
    plan: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def gather(machine: Machine) -> Facts:
    """Compare the directory with the kernel, or with sysfs if the kernel cannot be queried."""
    from vmgr.dm.directory import examine, plan_migration
    from vmgr.dm.migration import OLD_NAME

    roots = machine.roots
    reader = reader_of(machine)
    if reader is None:
        return Facts(roots.dev, why="neither the device mapper nor sysfs can be read", certain=False)
    old = f"{roots.dev}/{OLD_NAME}"
    try:
        problems = examine(reader, dev_dir=roots.dev, proc=roots.proc, run=roots.run)
        plan = plan_migration(reader, dev_dir=roots.dev, proc=roots.proc) if _is_old(old) else None
    except VmgrError as error:
        return Facts(roots.dev, why=error.message, certain=False)
    except OSError as error:
        return Facts(roots.dev, why=f"{error.filename}: {error.strerror}", certain=False)
    return Facts(
        roots.dev,
        tuple(p for p in problems if p.kind not in ("control", "old-directory")),
        certain=certain(machine),
        repairable=certain(machine) or os.geteuid() == 0,
        devices=len(machine.devices),
        old=old if plan is not None else "",
        plan=tuple(step.words for step in plan.steps) if plan is not None else (),
        left=plan.left if plan is not None else (),
    )


def _is_old(path: str) -> bool:
    return os.path.isdir(path) and not os.path.islink(path)


def certain(machine: Machine) -> bool:
    """Whether all devices are known: the kernel listed them, or it has no device mapper and so no devices."""
    return machine.complete or machine.registered is False


def reader_of(machine: Machine) -> DmReader | None:
    """The reader to compare the directory with; None if nothing is known about the kernel's devices."""
    if machine.reader is not None:
        return machine.reader
    if machine.registered is None or not os.path.isdir(f"{machine.roots.sys}/block"):
        return None
    return sysfs_reader(machine.devices)


def sysfs_reader(devices: tuple[LiveDevice, ...]) -> DmReader:
    """A reader that answers like a kernel with exactly these ``devices``."""
    from vmgr.dm import abi
    from vmgr.dm.query import DmReader
    from vmgr.dm.wire import NameEntry

    by_name = {device.name: device for device in devices}

    class Known(DmReader):
        def __init__(self) -> None:
            pass

        def names(self, *, name: str = "", uuid: str = "") -> tuple[NameEntry, ...]:
            return tuple(
                NameEntry(abi.dev_number(d.major, d.minor), d.name, d.event_nr, d.uuid)
                for d in devices
                if d.name.startswith(name) and d.uuid.startswith(uuid)
            )

        def info(self, *, name: str = "", **_: object) -> LiveDevice | None:
            return by_name.get(name)

    return Known()


def check(facts: Facts, *, container: bool = False) -> tuple[Finding, ...]:
    """The findings about nodes. In a container whose kernel cannot be queried, the host makes the nodes."""
    if facts.why:
        text = f"nodes were not compared with the kernel: {facts.why}"
        return (Finding("nodes.unknown", SUBJECT, WARNING, text, "sudo vmgr doctor"),)
    found = []
    for problem in facts.problems:
        known: dict[str, Fact] = {"path": problem.path, "device": problem.name or None, "kind": problem.kind}
        if container and not facts.certain and problem.kind == "missing":
            continue
        repair = None
        if problem.safe and facts.repairable:
            repair = Repair("nodes", problem.action or f"repair {problem.path}", (problem.path,))
        found.append(
            Finding(f"nodes.{problem.kind}", SUBJECT, PROBLEM, problem.text, _remedy(problem), repair, known)
        )
    if facts.old:
        text = f"{facts.old} is the device mapper's directory of before 0.96.04 (2003)"
        repair = None
        if facts.plan and facts.repairable:
            repair = Repair("migrate", f"move what is in {facts.old} to {facts.dev}/mapper", (facts.old,))
        known = {"path": facts.old, "plan": facts.plan, "left": facts.left}
        if not facts.plan and facts.left:
            text = f"{text}; {facts.left[0]}"
        found.append(
            Finding("nodes.old-directory", SUBJECT, PROBLEM, text, "vmgr dm mknodes --migrate", repair, known)
        )
    if not found:
        if container and not facts.certain:
            text = "the host makes the nodes in this container"
            return (Finding("nodes.container", SUBJECT, NOTE, text),)
        count = facts.devices
        text = (
            "no node is stale" if not count else f"nodes and links of {count} device{'s' * (count > 1)} are right"
        )
        found.append(Finding("nodes.right", SUBJECT, OK, text, facts={"devices": count}))
    return tuple(found)


def _remedy(problem: NodeProblem) -> str:
    if problem.kind in ("missing", "wrong"):
        return f"vmgr dm mknodes {typed(problem.name)}"
    path = typed(problem.path)
    if problem.kind == "open-to-all":
        return f"chmod o-rw {path}"
    if problem.kind == "foreign":
        return f"mv {path} /root/  # if it is not needed there"
    if not problem.safe:
        return "stop using it first; then vmgr dm mknodes"
    return "vmgr dm mknodes"
