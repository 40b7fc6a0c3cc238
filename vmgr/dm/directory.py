"""The device directory as a whole: compare it with the kernel, and repair it.

:func:`examine` compares and changes nothing; :func:`repair` makes the changes that are safe. A node that is in use
under its name, and a file that is not a device node, are never touched, only reported. The correct state is what
libdevmapper's ``dmsetup mknodes`` leaves behind (``libdm/ioctl/libdm-iface.c``, ``_mknodes_v4``); libdevmapper
removes even files. :mod:`vmgr.dm.migration` handles the directory's old place.
"""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import KernelError, NotPermitted
from vmgr.core.table import DM_NAME_MAX
from vmgr.dm import abi
from vmgr.dm.control import NAME, block_majors, control_path, control_problem, repair_control
from vmgr.dm.failure import NodeError
from vmgr.dm.holders import users_of
from vmgr.dm.migration import OLD_NAME, Migration, migrate, plan_migration
from vmgr.dm.nodes import Nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from vmgr.dm.query import DmReader

__all__ = ["Migration", "NodeProblem", "RepairResult", "examine", "migrate", "plan_migration", "repair"]

_TEMPORARY = re.compile(r"\.(\d+)~$").search
_NOT_GROUPS = frozenset(("block", "bus", "char", "cpu", "disk", "fd", "input", "mapper", "mqueue", "pts", "shm"))
"""Directories below ``/dev`` that never hold a volume group's links."""


class NodeProblem(NamedTuple):
    """One difference between the directory and the kernel.

    ``kind`` is ``control`` (the control node is wrong), ``missing`` (a device has no node), ``wrong`` (its node
    has other numbers), ``foreign`` (something that is not a node is in the way), ``stale`` (a node or link without
    a device), ``stale-link`` and ``wrong-link`` (in a group's directory), ``open-to-all`` (every user may open a
    device) or ``old-directory`` (the place before 0.96.04).
    """

    kind: str
    path: str
    name: str
    """The device, as the kernel names it; empty where there is none."""
    text: str
    """One sentence that says what is wrong."""
    safe: bool
    """Whether :func:`repair` corrects it."""
    action: str = ""
    """What :func:`repair` does, as words that follow "would" (``make /dev/mapper/a (253:0)``)."""


class RepairResult(NamedTuple):
    """What :func:`repair` did or, in a dry run, would do (``done``), and what is left and why."""

    done: tuple[NodeProblem, ...]
    left: tuple[NodeProblem, ...]


def examine(
    reader: DmReader,
    *,
    dev_dir: str = "/dev",
    names: Collection[str] = (),
    tableless: bool = False,
    proc: str = "/proc",
    run: str = "/run",
) -> tuple[NodeProblem, ...]:
    """Every difference between ``dev_dir`` and the kernel; with ``names``, for these devices only.

    ``tableless``: a device without a live table should have a node as well, as for ``dmsetup mknodes``. A
    link below ``/dev/mapper`` that is in udev's database belongs to udev, and is not stale.
    """
    return tuple(_Examination(reader, dev_dir, names, tableless, proc, run).problems())


def repair(
    reader: DmReader,
    *,
    dev_dir: str = "/dev",
    names: Collection[str] = (),
    tableless: bool = False,
    nodes: Nodes | None = None,
    dry: bool = False,
    proc: str = "/proc",
    run: str = "/run",
) -> RepairResult:
    """Make ``dev_dir`` agree with the kernel; ``dry``: only report what would be done.

    ``nodes`` gives owner, group and mode of new nodes; the other arguments are those of :func:`examine`.
    """
    found = examine(reader, dev_dir=dev_dir, names=names, tableless=tableless, proc=proc, run=run)
    if nodes is None:
        from vmgr.dm.udev import detect

        nodes = Nodes(dev_dir)
        nodes.beside_udev = detect(dev_dir) is not None
    done, left = [], []
    for problem in found:
        if not problem.safe:
            left.append(problem)
            continue
        try:
            if dry or _repair(reader, problem, nodes, dev_dir, proc):
                done.append(problem)
        except (KernelError, NotPermitted) as e:
            left.append(problem._replace(text=e.message))
        except OSError as e:
            left.append(problem._replace(text=f"{problem.path}: {e.strerror}"))
    return RepairResult(tuple(done), tuple(left))


def _repair(reader: DmReader, problem: NodeProblem, nodes: Nodes, dev_dir: str, proc: str) -> bool:
    """Repair one problem, after another look at the kernel; False when there is nothing to do any more."""
    if problem.kind == "control":
        repair_control(dev_dir, proc)  # usually done already, when the kernel was asked above
        return True
    device = reader.info(name=problem.name) if problem.name else None
    if problem.kind in ("missing", "wrong"):
        return device is not None and nodes.add(problem.name, device.major, device.minor)
    if problem.kind == "wrong-link":
        group, volume = problem.path.split("/")[-2:]
        return device is not None and nodes.link(group, volume, problem.name)
    if problem.kind == "stale":
        if device is not None:
            return False  # made meanwhile
        found = os.lstat(problem.path)
        if not (stat.S_ISBLK(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            raise NodeError(f"{problem.path} is not a device node any more")
    elif os.path.exists(problem.path):
        return False  # a stale link that now leads somewhere
    os.unlink(problem.path)
    if problem.kind == "stale-link":
        try:
            os.rmdir(os.path.dirname(problem.path))
        except OSError:
            pass  # other files are in it
    return True


class _Examination:
    def __init__(
        self, reader: DmReader, dev_dir: str, names: Collection[str], tableless: bool, proc: str, run: str
    ) -> None:
        self.reader, self.dev_dir, self.tableless, self.proc, self.run = reader, dev_dir, tableless, proc, run
        self.wanted = names
        self.nodes = Nodes(dev_dir)
        # Before the kernel is asked, because asking opens the control node and so repairs it.
        self.control = "" if names else control_problem(dev_dir, proc)
        self.devices: dict[str, tuple[int, int]] = {}
        self.uuids: dict[str, str] = {}

    def problems(self) -> Iterator[NodeProblem]:
        if self.control:
            path = control_path(self.dev_dir)
            yield NodeProblem("control", path, "", self.control, True, f"make {path} right")
        for dev, name, _, uuid in self.reader.names():
            self.devices[name] = abi.major_minor(dev)
            self.uuids[name] = uuid or ""
        for name in self.wanted or self.devices:
            numbers = self.devices.get(name)
            if numbers is not None:
                yield from self.of_device(name, *numbers)
            else:
                path = self.nodes.path(name)
                if os.path.lexists(path):
                    yield from self.of_stranger(name, path)
        if self.wanted:
            return
        for name in _listdir(self.nodes.mapper_dir):
            if name not in self.devices and name != "control":
                yield from self.of_stranger(name, self.nodes.path(name))
        yield from self.of_links()
        old = os.path.join(self.dev_dir, OLD_NAME)
        if os.path.isdir(old) and not os.path.islink(old):
            text = f"{old} is the device mapper's directory of before 0.96.04; `vmgr dm mknodes --migrate` moves it"
            yield NodeProblem("old-directory", old, "", text, False)

    def of_device(self, name: str, major: int, minor: int) -> Iterator[NodeProblem]:
        """The problems of a device that exists."""
        path = self.nodes.path(name)
        action = f"make {path} ({major}:{minor})"
        try:
            found = os.lstat(path)
        except OSError:
            if self.tableless or self._has_table(name):
                yield NodeProblem("missing", path, name, f"the device {name} has no node {path}", True, action)
            return
        if self.nodes.right(name, major, minor):
            mode = stat.S_IMODE(os.stat(path).st_mode)
            if mode & 0o006:
                text = f"everybody may open {path} (mode {mode:04o})"
                yield NodeProblem("open-to-all", path, name, text, False)
            return
        if not (stat.S_ISBLK(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            text = f"{path} is {_kind(found.st_mode)}, where the node of {name} ({major}:{minor}) belongs"
            yield NodeProblem("foreign", path, name, text, False)
            return
        yield self._unless_used("wrong", path, name, f"{_leads(path)}, and {name} is {major}:{minor}", action)

    def of_stranger(self, name: str, path: str) -> Iterator[NodeProblem]:
        """The problems of a directory entry that no known device has as its name."""
        match = _TEMPORARY(name)
        if match and os.path.exists(f"{self.proc}/{match[1]}"):
            return  # another program is about to make a node
        if len(os.fsencode(name)) <= DM_NAME_MAX and self.reader.info(name=name) is not None:
            return  # made meanwhile
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            return  # gone meanwhile
        if stat.S_ISLNK(mode):
            if os.path.exists(path):
                if not self._is_ours(path):
                    yield self._foreign(path, f"{_leads(path)}, which is none of the device mapper's devices")
                    return
                if self._claimed(path):
                    return
            elif not self._points_to_device(os.readlink(path)):
                yield self._foreign(path, f"{_leads(path)}, which is not a device")
                return
        elif not stat.S_ISBLK(mode):
            yield self._foreign(path, f"{path} is {_kind(mode)}, which does not belong there")
            return
        elif not self._is_ours(path) and self._driver(os.major(os.lstat(path).st_rdev)):
            yield self._foreign(path, f"{_leads(path)}, which is none of the device mapper's devices")
            return
        text = f"{_leads(path)}, and there is no device {name}"
        yield self._unless_used("stale", path, name, text, f"remove {path}")

    def of_links(self) -> Iterator[NodeProblem]:
        """The links in groups' directories."""
        for group in _listdir(self.dev_dir):
            directory = os.path.join(self.dev_dir, group)
            if group in _NOT_GROUPS or os.path.islink(directory) or not os.path.isdir(directory):
                continue
            for volume in _listdir(directory):
                path = os.path.join(directory, volume)
                if not (os.path.islink(path) and self._points_to_device(os.readlink(path))):
                    continue
                name = f"{group.replace('-', '--')}-{volume.replace('-', '--')}"
                try:
                    found = os.stat(path)
                except OSError:
                    target = os.path.basename(os.readlink(path))
                    if target != name and not re.fullmatch(r"dm-\d+", target):
                        continue  # not a volume's link: an alias for a device that may come back
                    text = f"{_leads(path)}, and there is no such device"
                    yield self._unless_used("stale-link", path, "", text, f"remove {path}")
                    continue
                numbers = self.devices.get(name)
                if numbers is None or not self.uuids[name].startswith("LVM-"):
                    continue
                if found.st_rdev != os.makedev(*numbers):
                    text = f"{_leads(path)}, and {name} is {numbers[0]}:{numbers[1]}"
                    yield self._unless_used("wrong-link", path, name, text, f"make {path} lead to {name}")

    # -- questions -----------------------------------------------------------------------------------

    def _unless_used(self, kind: str, path: str, name: str, text: str, action: str) -> NodeProblem:
        users = users_of(path, self.proc)
        if users:
            return NodeProblem(kind, path, name, f"{text}; it stays, for it is {', '.join(users)}", False)
        return NodeProblem(kind, path, name, text, True, action)

    @staticmethod
    def _foreign(path: str, text: str) -> NodeProblem:
        return NodeProblem("foreign", path, "", text, False)

    def _has_table(self, name: str) -> bool:
        device = self.reader.info(name=name)
        return device is not None and device.has_live

    def _is_ours(self, path: str) -> bool:
        """Whether ``path`` leads to a device of the device mapper."""
        found = os.stat(path)
        return stat.S_ISBLK(found.st_mode) and block_majors(self.proc).get(os.major(found.st_rdev)) == NAME

    def _driver(self, major: int) -> bool:
        """Whether another driver has the block major ``major`` now."""
        return block_majors(self.proc).get(major, NAME) != NAME

    def _points_to_device(self, target: str) -> bool:
        """Whether a link's text is one that udev or we would write for a device."""
        for start in (f"{self.dev_dir.rstrip('/')}/", "../", "/dev/", ""):
            if target.startswith(start):
                rest = target[len(start) :]
                head, _, tail = rest.partition("/")
                return bool(head == "mapper" and tail) or bool(re.fullmatch(r"dm-\d+", rest))
        return False

    def _claimed(self, path: str) -> bool:
        """Whether udev's database has a device for the link ``path`` (a directory in ``/run/udev/links``)."""
        inner = os.path.relpath(path, self.dev_dir).replace("\\", r"\x5c").replace("/", r"\x2f")
        return bool(_listdir(os.path.join(self.run, "udev/links", inner)))


def _leads(path: str) -> str:
    """What a node or link is, as the start of a sentence."""
    words = path
    if os.path.islink(path):
        words += f" leads to {os.readlink(path)}"
    try:
        found = os.stat(path)
    except OSError:
        return words
    if not (stat.S_ISBLK(found.st_mode) or stat.S_ISCHR(found.st_mode)):
        return words if os.path.islink(path) else f"{path} is {_kind(found.st_mode)}"
    numbers = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
    return f"{words} ({numbers})" if os.path.islink(path) else f"{path} is the node of {numbers}"


def _kind(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "a file"
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a character device" if stat.S_ISCHR(mode) else "not a device node"


def _listdir(path: str) -> list[str]:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []
