"""Dependencies between devices, as one value that can be walked, ordered and printed.

:meth:`DeviceTree.read` queries the kernel for the list of devices and for each device; later
methods query nothing. The order is always the kernel's own: devices in the order of its list, the devices that a
table uses in the order of its dependencies. So two readings of one state are equal. :mod:`vmgr.dm.tree_drawing`
draws a tree, :mod:`vmgr.dm.stack` changes a stack.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from attrs import field, frozen

from vmgr.core.errors import AmbiguousName, NotFound
from vmgr.core.table import LiveDevice
from vmgr.core.value import Value
from vmgr.dm import abi, wire
from vmgr.dm.address import DevId
from vmgr.dm.failure import DmNotFound
from vmgr.dm.query import live_device
from vmgr.dm.wire import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from vmgr.dm.address import Dev
    from vmgr.dm.query import DmReader

Numbers = tuple[int, int]
"""A block device's (major, minor), the key of devices in a tree."""


@frozen(repr=False)
class TreeNode(Value):
    """One block device of the tree.

    ``device`` is the kernel's data of a device-mapper device, None for any other. ``kernel_name`` is the name in
    ``/sys`` (``sda``, ``dm-3``), ``""`` if not known. ``uses`` are the devices that its tables refer to, and
    ``used_by`` the devices whose tables refer to it, each in the order of the walk.
    """

    numbers: Numbers
    device: LiveDevice | None = None
    kernel_name: str = ""
    uses: tuple[Numbers, ...] = ()
    used_by: tuple[Numbers, ...] = ()

    @property
    def name(self) -> str:
        """The device-mapper name; ``""`` for any other device."""
        return self.device.name if self.device is not None else ""

    @property
    def uuid(self) -> str:
        """The device-mapper UUID; ``""`` for any other device, or one without."""
        return self.device.uuid if self.device is not None else ""

    @property
    def number(self) -> str:
        """``major:minor``."""
        return f"{self.numbers[0]}:{self.numbers[1]}"

    @property
    def label(self) -> str:
        """A name for people: the device-mapper name, or the kernel's, or ``major:minor``."""
        return self.name or self.kernel_name or self.number


class Visit(NamedTuple):
    """A node visited on a walk: its depth below the start, and whether it is the last of its siblings."""

    depth: int
    node: TreeNode
    last: bool


@frozen(repr=False)
class DeviceTree(Value):
    """All device-mapper devices and the devices that they use.

    ``nodes`` has each device once, in the order in which a walk along the kernel's list visits it.
    """

    nodes: tuple[TreeNode, ...] = ()
    _by_numbers: Mapping[Numbers, TreeNode] = field(init=False, eq=False)

    @_by_numbers.default
    def _index(self) -> dict[Numbers, TreeNode]:
        return {node.numbers: node for node in self.nodes}

    def __repr__(self) -> str:
        return f"DeviceTree(nodes={self.nodes!r})"

    # -- making --------------------------------------------------------------------------------------

    @classmethod
    def read(cls, reader: DmReader, *, waiting: bool = False, sys: str = "/sys") -> DeviceTree:
        """Read the present tree. A device that is removed meanwhile is left out.

        ``waiting``: also follow the inactive tables, whose devices are in use, too;
        ``dmsetup ls --tree`` shows live tables only. ``sys`` is where kernel names are looked up; ``""``: nowhere.
        """
        return _Reading(reader, waiting, sys).tree()

    # -- finding -------------------------------------------------------------------------------------

    def __contains__(self, dev: Dev | Numbers | TreeNode) -> bool:
        return self.find(dev) is not None

    def __len__(self) -> int:
        return len(self.nodes)

    def find(self, dev: Dev | Numbers | TreeNode) -> TreeNode | None:
        """The node of a device; None if there is none.

        A plain string is a UUID, a name, a kernel name or ``major:minor``, in that order; one that is the UUID of
        one device and the name of another raises :class:`AmbiguousName`.
        """
        if isinstance(dev, str):
            return self._search(dev)
        if isinstance(dev, DevId):
            if dev.numbers is not None:
                return self._by_numbers.get(dev.numbers)
            return next(
                (n for n in self.nodes if n.device and (n.uuid == dev.uuid if dev.uuid else n.name == dev.name)),
                None,
            )
        if isinstance(dev, LiveDevice):
            node = self._by_numbers.get((dev.major, dev.minor))
            return node if node is not None and (node.name, node.uuid) == (dev.name, dev.uuid) else None
        if isinstance(dev, TreeNode):
            dev = dev.numbers
        return self._by_numbers.get(dev)

    def __getitem__(self, dev: Dev | Numbers | TreeNode) -> TreeNode:
        """As :meth:`find`. Raises :class:`NotFound`."""
        node = self.find(dev)
        if node is None:
            words = dev if isinstance(dev, str | DevId) else getattr(dev, "name", "") or dev
            raise NotFound(f"there is no device {words} in the device tree")
        return node

    def _search(self, text: str) -> TreeNode | None:
        by_uuid = next((n for n in self.nodes if text and n.uuid == text), None)
        by_name = next((n for n in self.nodes if text and n.name == text), None)
        if by_uuid is not None and by_name is not None and by_uuid is not by_name:
            raise AmbiguousName(
                f"{text!r} is the UUID of the device {by_uuid.name!r} and the name of another",
                hint="say which is meant: by_uuid() or by_name()",
            )
        found = by_uuid or by_name
        if found is None:
            found = next((n for n in self.nodes if text and text in (n.kernel_name, n.number)), None)
        return found

    # -- walking -------------------------------------------------------------------------------------

    @property
    def top(self) -> tuple[TreeNode, ...]:
        """The devices that no other device uses."""
        return tuple(node for node in self.nodes if not node.used_by)

    @property
    def bottom(self) -> tuple[TreeNode, ...]:
        """The devices that use no other device: disks, and device-mapper devices whose tables refer to none."""
        return tuple(node for node in self.nodes if not node.uses)

    def uses(self, dev: Dev | Numbers | TreeNode) -> tuple[TreeNode, ...]:
        """The devices that a device uses directly."""
        return tuple(self._by_numbers[numbers] for numbers in self[dev].uses)

    def used_by(self, dev: Dev | Numbers | TreeNode) -> tuple[TreeNode, ...]:
        """The devices that use a device directly."""
        return tuple(self._by_numbers[numbers] for numbers in self[dev].used_by)

    def walk(self, *devs: Dev | Numbers | TreeNode, inverted: bool = False) -> Iterator[Visit]:
        """Walk down from ``devs`` (none: from all top devices), each device before the devices that it uses.

        A device that several others use is visited once under each. ``inverted``: walk up, from the bottom. A loop,
        which the kernel permits although it cannot work, is followed once round.
        """
        starts = [self[dev] for dev in devs] if devs else [*(self.bottom if inverted else self.top)]
        following = self.used_by if inverted else self.uses
        # For each level, the nodes still to visit (the next one last); and the path of nodes down to there.
        levels = [starts[::-1]]
        path: list[Numbers] = []
        while levels:
            if not levels[-1]:
                levels.pop()
                if path:
                    path.pop()
                continue
            node = levels[-1].pop()
            yield Visit(len(path), node, not levels[-1])
            if node.numbers not in path:
                path.append(node.numbers)
                levels.append([*following(node)][::-1])

    def below(self, *devs: Dev | Numbers | TreeNode) -> tuple[TreeNode, ...]:
        """``devs`` and all devices below them, in the order of :attr:`nodes`."""
        return self._closure(devs, lambda node: node.uses)

    def above(self, *devs: Dev | Numbers | TreeNode) -> tuple[TreeNode, ...]:
        """``devs`` and all devices above them, in the order of :attr:`nodes`."""
        return self._closure(devs, lambda node: node.used_by)

    def _closure(
        self, devs: Iterable[Dev | Numbers | TreeNode], following: Callable[[TreeNode], tuple[Numbers, ...]]
    ) -> tuple[TreeNode, ...]:
        todo = [self[dev] for dev in devs]
        seen = {node.numbers for node in todo}
        while todo:
            for numbers in following(todo.pop()):
                if numbers not in seen:
                    seen.add(numbers)
                    todo.append(self._by_numbers[numbers])
        return tuple(node for node in self.nodes if node.numbers in seen)

    def bottom_up(self, *devs: Dev | Numbers | TreeNode, above: bool = False) -> tuple[TreeNode, ...]:
        """``devs`` and all devices below them, each after the devices that it uses: the order in which to resume.

        No ``devs``: everything. ``above``: ``devs`` and all devices above them.
        """
        chosen = (self.above(*devs) if above else self.below(*devs)) if devs else self.nodes
        return self.ordered(chosen)

    def top_down(self, *devs: Dev | Numbers | TreeNode, above: bool = False) -> tuple[TreeNode, ...]:
        """The same devices in reverse: the order in which to suspend and to remove."""
        return self.bottom_up(*devs, above=above)[::-1]

    def ordered(
        self,
        devs: Iterable[Dev | Numbers | TreeNode],
        after: Mapping[Numbers, Iterable[Numbers]] | None = None,
    ) -> tuple[TreeNode, ...]:
        """Only ``devs``, each after those below it, at any distance, and after those in its entry of ``after``.

        ``after`` is for an order that tables do not show: a snapshot's origin must be resumed after its snapshots.
        """
        wanted = {node.numbers: node for node in (self[dev] for dev in devs)}
        extra = after or {}
        done: dict[Numbers, None] = {}
        for start in wanted:
            path = [(start, iter((*self[start].uses, *extra.get(start, ()))))]
            if start in done:
                continue
            on_path = {start}
            while path:
                numbers, rest = path[-1]
                below = next(
                    (n for n in rest if n not in done and n not in on_path and n in self._by_numbers), None
                )
                if below is None:
                    path.pop()
                    on_path.discard(numbers)
                    done[numbers] = None
                else:
                    on_path.add(below)
                    path.append((below, iter((*self[below].uses, *extra.get(below, ())))))
        return tuple(wanted[numbers] for numbers in done if numbers in wanted)

    # -- showing -------------------------------------------------------------------------------------

    def as_json(self, unmangle: Callable[[str], str] | None = None) -> list[dict[str, object]]:
        """One object for each device, of lists, strings, numbers and booleans; references are ``major:minor``."""
        said = unmangle or str
        rows = []
        for node in self.nodes:
            row: dict[str, object] = {
                "number": node.number,
                "major": node.numbers[0],
                "minor": node.numbers[1],
                "kernel_name": node.kernel_name,
                "mapped": node.device is not None,
            }
            if node.device is not None:
                device = node.device
                row |= {
                    "name": said(device.name),
                    "uuid": said(device.uuid),
                    "suspended": device.suspended,
                    "read_only": device.read_only,
                    "open_count": device.open_count,
                    "live_table": device.has_live,
                    "waiting_table": device.has_inactive,
                }
            row["uses"] = [self._by_numbers[n].number for n in node.uses]
            row["used_by"] = [self._by_numbers[n].number for n in node.used_by]
            rows.append(row)
        return rows


class _Reading:
    """One reading of the kernel's devices."""

    def __init__(self, reader: DmReader, waiting: bool, sys: str) -> None:
        self._kernel = reader.kernel
        self._names = reader.names
        self._waiting = waiting
        self._sys = sys
        self._major = self._kernel.block_major()
        self._uses: dict[Numbers, dict[Numbers, None]] = {}
        self._devices: dict[Numbers, LiveDevice | None] = {}
        self._gone: set[Numbers] = set()
        self._above: dict[Numbers, dict[Numbers, None]] = {}

    def tree(self) -> DeviceTree:
        for entry in self._names():
            self._follow(abi.major_minor(entry.dev))
        return DeviceTree(
            tuple(
                TreeNode(
                    numbers, device, self._kernel_name(numbers), tuple(self._uses[numbers]),
                    tuple(self._above.get(numbers, ())),
                )
                for numbers, device in self._devices.items()
            )
        )  # fmt: skip

    def _follow(self, start: Numbers) -> None:
        """Add a device and the devices below it, depth first, as libdevmapper does."""
        if start in self._devices or not self._ask(start):
            return
        path = [(start, iter(tuple(self._uses[start])))]
        while path:
            numbers, rest = path[-1]
            below = next(rest, None)
            if below is None:
                path.pop()
                continue
            new = below not in self._devices
            if new and (below in self._gone or not self._ask(below)):
                del self._uses[numbers][below]
                continue
            self._above.setdefault(below, {})[numbers] = None
            if new:
                path.append((below, iter(tuple(self._uses[below]))))

    def _ask(self, numbers: Numbers) -> bool:
        """Add a device; False if it no longer exists."""
        if numbers[0] != self._major:
            self._devices[numbers], self._uses[numbers] = None, {}
            return True
        dev = abi.dev_number(*numbers)
        try:
            reply = self._kernel.call(Request(abi.TABLE_DEPS, dev=dev))
            used = dict.fromkeys(wire.unpack_deps(reply.data))
            if self._waiting and reply.flags & abi.INACTIVE_PRESENT:
                waiting = self._kernel.call(Request(abi.TABLE_DEPS, dev=dev, flags=abi.QUERY_INACTIVE_TABLE))
                used |= dict.fromkeys(wire.unpack_deps(waiting.data))
        except DmNotFound:
            self._gone.add(numbers)
            return False
        self._devices[numbers] = live_device(reply)
        self._uses[numbers] = dict.fromkeys(map(abi.major_minor, used))
        return True

    def _kernel_name(self, numbers: Numbers) -> str:
        if not self._sys:
            return ""
        try:
            return os.path.basename(os.readlink(f"{self._sys}/dev/block/{numbers[0]}:{numbers[1]}"))
        except OSError:
            return ""
