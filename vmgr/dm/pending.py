"""Nodes, links and udev after the kernel's commands: the pending work of a client, and how it is done.

The work is not a replay of the commands. The client notes which names and links they touched. At the end it asks
the kernel for the present device of each name, and updates the directory accordingly. So the order of
commands inside a transaction, minors that another device got meanwhile, and nodes that udev
has already made need no special cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import KernelError, UdevTimeout
from vmgr.dm import abi
from vmgr.dm.failure import NodeError

if TYPE_CHECKING:
    from typing import Protocol

    from vmgr.dm.nodes import Nodes
    from vmgr.dm.udev import Cookie, Udev
    from vmgr.dm.wire import Reply

    class Client(Protocol):
        """The part of :class:`vmgr.dm.client.DmClient` that is used here."""

        @property
        def dev_dir(self) -> str:
            """The device directory."""

        def warn(self, text: str) -> None:
            """Report a problem that was corrected."""

        def look(self, name: str) -> Reply | None:
            """The header of the device ``name``; None when there is none."""


_STUCK = 1.0
"""The time limit in seconds for later waits, once udev has failed to answer."""


class PendingWork:
    """The pending work of one client outside the kernel."""

    def __init__(self, client: Client, udev: Udev | None, nodes: Nodes | None) -> None:
        self._client = client
        self._udev = udev
        self._nodes = nodes
        self._undecided = False
        self._how = True, True, True, 0
        self._cookie: Cookie | None = None
        self._stuck = False
        # In the order in which they were touched; a dict, because a set has no order.
        self._names: dict[str, bool] = {}
        self._moves: dict[str, str] = {}
        """Old names by new ones: a node keeps its owner, group and mode when its device is renamed."""
        self._links: dict[tuple[str, str], tuple[str, int, bool]] = {}
        self._read_ahead: dict[tuple[int, int], tuple[int, bool]] = {}
        self._scans: dict[tuple[int, int], None] = {}

    def choose_udev(
        self, use: bool | None, *, sync: bool = True, rules: bool = True, verify: bool = True, cookie: int = 0
    ) -> None:
        """Use udev, do not, or (None) find out when it first matters; options of :class:`vmgr.dm.udev.Udev`."""
        self._undecided = use is None
        self._how = sync, rules, verify, cookie
        if use:
            from vmgr.dm.udev import Udev

            self._udev = Udev(sync=sync, rules=rules, verify=verify, cookie=cookie)

    def prepare(self) -> None:
        """Load everything that a resume needs, before any device is suspended."""
        if self._undecided:
            from vmgr.dm.udev import detect

            sync, rules, verify, cookie = self._how
            self._udev = detect(self._client.dev_dir, sync=sync, rules=rules, verify=verify, cookie=cookie)
            self._undecided = False
        if self._udev is not None:
            self._udev.prepare()
        if self._nodes is None:
            from vmgr.dm.nodes import Nodes

            self._nodes = Nodes(self._client.dev_dir)
            self._nodes.beside_udev = self._udev is not None and self._udev.rules
        self._nodes.prepare()

    # -- noting --------------------------------------------------------------------------------------

    def announce(self, flags: int) -> tuple[int, Cookie | None]:
        """Announce a command: its ``event_nr``, and the cookie that counts it."""
        self.prepare()
        flags |= abi.UDEV_PRIMARY_SOURCE
        if self._udev is None:
            # If udev runs in spite of this, it must not remove the nodes made here.
            flags |= abi.UDEV_DISABLE_DM_RULES | abi.UDEV_DISABLE_SUBSYSTEM_RULES
            return flags << abi.UDEV_SHIFT, None
        flags |= self._udev.flags
        if not self._udev.sync:
            return flags << abi.UDEV_SHIFT, None
        try:
            if self._cookie is None:
                self._cookie = self._udev.lent_cookie() or self._udev.new_cookie()
            self._cookie.announce()
        except KernelError as e:
            # A resume must not fail for lack of a semaphore: udev acts, and the client does not wait.
            self._client.warn(f"{e.message}; not waiting for udev")
            return flags << abi.UDEV_SHIFT, None
        return flags << abi.UDEV_SHIFT | self._cookie.base, self._cookie

    def retract(self, cookie: Cookie | None) -> None:
        """Take back the announcement of a command that made no event. An empty cookie is removed at once."""
        if cookie is None:
            return
        cookie.retract()
        if not cookie.pending and cookie is self._cookie and not self._lent:
            self._cookie = None
            cookie.remove()

    @property
    def _lent(self) -> bool:
        """Whether commands are announced in a cookie that the caller releases."""
        return self._udev is not None and bool(self._udev.cookie)

    def touch(self, name: str, *, announced: bool = True) -> None:
        """Note that the device ``name`` was made, changed or removed, and whether that was announced to udev."""
        self._names[name] = announced or self._names.get(name, False)

    def move(self, old: str, new: str, *, live: bool) -> None:
        """Note that the device ``old`` is now called ``new``; ``live``: it has a table, and so a node."""
        self.touch(old)
        if live:
            self.touch(new)
        self._moves[new] = self._moves.pop(old, old)

    def want_link(self, link: tuple[str, str], name: str) -> None:
        """Note that ``link`` must lead to the device ``name``."""
        self._links[link] = (name, 0, True)

    def drop_link(self, link: tuple[str, str], name: str, dev: int) -> None:
        """Note that ``link``, which led to the device ``name`` with the number ``dev``, must be removed."""
        self._links[link] = (name, dev, False)

    def want_read_ahead(self, numbers: tuple[int, int], sectors: int, at_least: bool) -> None:
        """Note the read-ahead that the device must have."""
        self._read_ahead[numbers] = (sectors, at_least)

    def want_scan(self, numbers: tuple[int, int]) -> None:
        """Note that udev must scan the device (again)."""
        self._scans[numbers] = None

    # -- settling ------------------------------------------------------------------------------------

    def finish(self) -> None:
        """Wait for udev, then update nodes, links and read-ahead."""
        stuck, waited = self._stuck, self._wait()
        names, self._names = self._names, {}
        moves, self._moves = self._moves, {}
        links, self._links = self._links, {}
        read_ahead, self._read_ahead = self._read_ahead, {}
        scans, self._scans = self._scans, {}
        if not (names or links or read_ahead or scans):
            return
        self.prepare()
        failures: list[NodeError] = []
        repaired: list[str] = []
        # If udev has just failed to answer, its nodes are checked even without ``verify``.
        if self._udev is None or not self._udev.trusted or self._stuck > stuck:
            for new, old in moves.items():
                try:
                    self._move_node(old, new, repaired)
                except NodeError as e:
                    failures.append(e)
            for name, announced in names.items():
                try:
                    self._repair_node(name, repaired if announced else [])
                except NodeError as e:
                    failures.append(e)
            for link, (name, dev, wanted) in links.items():
                try:
                    self._repair_link(link, name, dev, wanted, repaired)
                except NodeError as e:
                    failures.append(e)
        if waited and repaired:
            self._client.warn(f"udev did not set up {', '.join(repaired)}; done without it")
        for numbers, (sectors, at_least) in read_ahead.items():
            self._set_read_ahead(numbers, sectors, at_least)
        if self._udev is not None:
            for numbers in scans:
                self._udev.rescan(*numbers)
        if failures:
            first = failures[0]
            first.details = (*first.details, *(e.message for e in failures[1:]))
            first.hint = first.hint or "the kernel has done what was asked; `vmgr dm mknodes` repairs the nodes"
            raise first

    def _wait(self) -> bool:
        """Wait for the client's own cookie, if there is one. Return whether udev made the nodes."""
        cookie, self._cookie = self._cookie, None
        if self._udev is None:
            return False
        if cookie is None or self._lent:
            return self._udev.rules
        try:
            cookie.wait(min(_STUCK, self._udev.timeout) if self._stuck else self._udev.timeout)
        except UdevTimeout as e:
            self._stuck = True
            self._client.warn(f"{e.message}; making the nodes without it ({e.hint})")
        return self._udev.rules

    def _repair_node(self, name: str, repaired: list[str]) -> None:
        nodes = self._nodes
        assert nodes is not None
        reply = self._client.look(name)
        if reply is None:
            changed = nodes.remove(name)
        elif reply.flags & abi.ACTIVE_PRESENT:
            changed = nodes.add(name, *abi.major_minor(reply.dev))
        else:
            return  # a device without a table cannot be opened, and udev makes no node for it either
        if changed:
            repaired.append(nodes.path(name))

    def _move_node(self, old: str, new: str, repaired: list[str]) -> None:
        nodes = self._nodes
        assert nodes is not None
        if nodes.has(old) and self._client.look(old) is None:
            reply = self._client.look(new)
            if reply is not None and nodes.move(old, new, *abi.major_minor(reply.dev)):
                repaired.append(nodes.path(new))

    def _repair_link(self, link: tuple[str, str], name: str, dev: int, wanted: bool, repaired: list[str]) -> None:
        nodes = self._nodes
        assert nodes is not None
        reply = self._client.look(name) if wanted else None
        if reply is not None:
            changed = not nodes.link_right(*link, *abi.major_minor(reply.dev)) and nodes.link(*link, name)
        else:
            changed = nodes.unlink(*link, name, *abi.major_minor(dev))
        if changed:
            repaired.append(nodes.link_path(*link))

    def _set_read_ahead(self, numbers: tuple[int, int], sectors: int, at_least: bool) -> None:
        from vmgr.dm.nodes import set_read_ahead

        try:
            set_read_ahead(*numbers, sectors, at_least=at_least)
        except NodeError as e:
            self._client.warn(e.message)  # a matter of speed only
