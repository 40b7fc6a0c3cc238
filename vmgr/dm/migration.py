"""The move of nodes from ``/dev/device-mapper``, the directory before device-mapper 0.96.04, to ``/dev/mapper``.

Until version 0.96.04 (2003) the old directory held the control node and the devices' nodes. The nodes are first
made in the new directory. Then a link replaces the old directory, so that paths in ``/etc/fstab`` and scripts
still work. If the old directory has other files, it stays, and links replace only the nodes in it.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import KernelError, NotPermitted
from vmgr.dm import abi
from vmgr.dm.control import NAME, block_majors, control_problem, repair_control
from vmgr.dm.holders import users_of
from vmgr.dm.nodes import Nodes

if TYPE_CHECKING:
    from vmgr.dm.query import DmReader

OLD_NAME = "device-mapper"


class Step(NamedTuple):
    """One step: ``control``, ``make``, ``move``, ``drop``, ``link`` or ``close``. ``words`` can follow "would"."""

    kind: str
    path: str
    words: str
    name: str = ""
    numbers: tuple[int, int] = (0, 0)


class Migration(NamedTuple):
    """The steps, in order, and sentences about what stays as it is."""

    steps: tuple[Step, ...]
    left: tuple[str, ...]


def plan_migration(reader: DmReader, *, dev_dir: str = "/dev", proc: str = "/proc") -> Migration:
    """Plan the move of the nodes in ``DEV_DIR/device-mapper`` to ``DEV_DIR/mapper``. Changes nothing."""
    old = os.path.join(dev_dir, OLD_NAME)
    nodes = Nodes(dev_dir)
    if not os.path.lexists(old):
        return Migration((), (f"there is no {old}: nothing to migrate",))
    if os.path.islink(old):
        if os.path.realpath(old) == os.path.realpath(nodes.mapper_dir):
            return Migration((), (f"{old} already leads to {nodes.mapper_dir}: nothing to migrate",))
        return Migration((), (f"{old} is a link to {os.readlink(old)}: it is left alone",))
    if not os.path.isdir(old):
        return Migration((), (f"{old} is not a directory: it is left alone",))
    if os.path.ismount(old):
        return Migration((), (f"a file system is mounted on {old}: it is left alone",))
    devices = {name: abi.major_minor(dev) for dev, name, _, _ in reader.names()}
    steps: list[Step] = []
    drops: list[Step] = []
    own: list[str] = []
    left: list[str] = []
    if control_problem(dev_dir, proc):
        steps.append(Step("control", old, f"make {nodes.mapper_dir}/control right"))
    for name in sorted(os.listdir(old)):
        path, new = os.path.join(old, name), nodes.path(name)
        mode = os.lstat(path).st_mode
        if _is_link_to(path, new):
            own.append(name)  # made by an earlier run
        elif name == "control" and stat.S_ISCHR(mode):
            drops.append(Step("drop", path, f"remove {path}; {new} takes its place", name))
        elif name in devices and (stat.S_ISBLK(mode) or stat.S_ISLNK(mode)):
            if _in_the_way(new):
                left.append(f"{path} stays: {new} is in its way and is not a device node")
                continue
            steps += _move(nodes, path, name, devices[name])
        elif stat.S_ISBLK(mode) and _may_go(path, proc):
            drops.append(Step("drop", path, f"remove {path}, which has no device"))
        else:
            left.append(f"{path} is not the device mapper's, or in use: it stays")
    steps += drops
    if left:
        # Programs that use the old paths must still find the devices there.
        for name in dict.fromkeys(step.name for step in steps if step.name):
            path = os.path.join(old, name)
            steps.append(Step("link", path, f"make {path} a link to {nodes.path(name)}", name))
        left.append(f"{old} stays, because it has other files")
    else:
        steps += [Step("drop", path, f"remove {path}") for path in (os.path.join(old, name) for name in own)]
        steps.append(Step("close", old, f"replace {old} by a link to {nodes.mapper_dir}"))
    return Migration(tuple(steps), tuple(left))


def migrate(
    reader: DmReader,
    *,
    dev_dir: str = "/dev",
    nodes: Nodes | None = None,
    dry: bool = False,
    proc: str = "/proc",
) -> Migration:
    """Do what :func:`plan_migration` plans. Return what was done (with ``dry``, would be done) and what was left.

    Each step is complete in itself. If one fails (:class:`KernelError`, :class:`NotPermitted`), those before it
    are done, and the next run goes on from there.
    """
    plan = plan_migration(reader, dev_dir=dev_dir, proc=proc)
    if dry:
        return plan
    nodes = nodes or Nodes(dev_dir)
    for step in plan.steps:
        try:
            _do(step, nodes, dev_dir, proc)
        except OSError as e:
            kind = NotPermitted if isinstance(e, PermissionError) else KernelError
            raise kind(
                f"cannot {step.words}: {e.strerror}", hint="what was done before it stays; run it again"
            ) from None
    return plan


def _do(step: Step, nodes: Nodes, dev_dir: str, proc: str) -> None:
    if step.kind == "control":
        repair_control(dev_dir, proc)
    elif step.kind == "move":
        # Moving keeps the owner, group and mode, which the administrator may have changed.
        os.makedirs(nodes.mapper_dir, 0o755, exist_ok=True)
        os.rename(step.path, nodes.path(step.name))
    elif step.kind == "make":
        nodes.add(step.name, *step.numbers)
    elif step.kind == "drop":
        os.unlink(step.path)
    elif step.kind == "link":
        os.symlink(f"../mapper/{step.name}", step.path)
    else:
        os.rmdir(step.path)
        os.symlink("mapper", step.path)


def _move(nodes: Nodes, path: str, name: str, numbers: tuple[int, int]) -> list[Step]:
    """The steps for the node of an existing device."""
    new = nodes.path(name)
    if nodes.right(name, *numbers):
        return [Step("drop", path, f"remove {path}; {new} is there", name)]
    found = os.lstat(path)
    if stat.S_ISBLK(found.st_mode) and found.st_rdev == os.makedev(*numbers) and not os.path.lexists(new):
        return [Step("move", path, f"move {path} to {new}", name, numbers)]
    return [
        Step("make", path, f"make {new} ({numbers[0]}:{numbers[1]})", name, numbers),
        Step("drop", path, f"remove {path}", name),
    ]


def _in_the_way(path: str) -> bool:
    """Whether something is at ``path`` that a node may not replace."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return not (stat.S_ISBLK(mode) or stat.S_ISLNK(mode))


def _may_go(path: str, proc: str) -> bool:
    """Whether a node without a device may be removed: no other driver has its number, and it is not in use."""
    return block_majors(proc).get(os.major(os.lstat(path).st_rdev), NAME) == NAME and not users_of(path, proc)


def _is_link_to(path: str, target: str) -> bool:
    if not os.path.islink(path):
        return False
    text = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(path)))
    return text == os.path.normpath(target)
