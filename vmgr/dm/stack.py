"""Changing devices that lie on each other: in the right order, and back again when a step fails.

What lies on top is suspended and removed first, what lies below is resumed first. A failure on the way leaves
nothing suspended that was not before, and says what is done and what is not (:class:`StackError`). Between suspend
and resume memory is locked and signals wait (:mod:`vmgr.dm.critical`); udev is waited for once, at the end.

The one case in which something stays suspended takes two failures: a table could not be made live, and the one
before it could not be put back below devices that rely on it. Those above are then left suspended rather than let
loose on the wrong data; ``StackError.suspended`` names them.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import InUse, VmgrError
from vmgr.dm.failure import DmNotFound
from vmgr.dm.stack_work import Fallen, StackError, StackWork, TableChange
from vmgr.dm.tree import DeviceTree, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmgr.core.table import LiveDevice
    from vmgr.dm.address import Dev
    from vmgr.dm.client import DmClient
    from vmgr.dm.tree import TreeNode

__all__ = [
    "Fallen", "Removal", "StackError", "StackWork", "TableChange", "load_stack", "reload_stack", "remove_stack",
    "resume_stack", "suspend_stack", "suspended_stack",
]  # fmt: skip


class Removal(NamedTuple):
    """Names of devices: those gone, those that go when they are closed, those that others still use."""

    removed: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def suspend_stack(
    client: DmClient, *devs: Dev, above: bool = False, flush: bool = True, freeze: bool = True
) -> tuple[LiveDevice, ...]:
    """Suspend ``devs`` and what they lie on, from the top down; what was suspended, in that order.

    A device further down that something else uses, which is not suspended, goes on running, as does whatever has no
    live table. ``above``: ``devs`` and all that lies on them instead. ``flush`` and ``freeze`` as in
    :meth:`DmClient.suspend`. Raises :class:`StackError`; nothing stays suspended then.

    A program that resumes the stack itself should use :func:`suspended_stack`, which also keeps it from being
    stopped in between.
    """
    from vmgr.dm.critical import critical_section

    tree = DeviceTree.read(client, sys="")
    chosen = _to_suspend(tree, devs, above)
    work = StackWork(client, chosen[::-1], tree)
    with client.transaction():
        try:
            with critical_section():
                work.suspend_all(flush=flush, freeze=freeze)
        except BaseException:
            # Ctrl-C arrives when the critical section ends.
            work.resume_as_before()
            raise
    return tuple(work.suspended)


@contextmanager
def suspended_stack(
    client: DmClient, *devs: Dev, above: bool = False, flush: bool = True, freeze: bool = True
) -> Iterator[tuple[LiveDevice, ...]]:
    """``with suspended_stack(client, "top"):`` keeps a stack suspended, and resumes it from the bottom up.

    Tables that were loaded meanwhile become live. If the body fails, those are dropped and all goes on as it was.
    """
    from vmgr.dm.critical import critical_section

    tree = DeviceTree.read(client, sys="")
    work = StackWork(client, _to_suspend(tree, devs, above)[::-1], tree)
    with client.transaction(), critical_section():
        try:
            work.suspend_all(flush=flush, freeze=freeze)
            yield tuple(work.suspended)
        except BaseException:
            work.resume_as_before(drop_new=True)
            raise
        work.resume_all()


def load_stack(client: DmClient, changes: Iterable[TableChange]) -> tuple[LiveDevice, ...]:
    """Load tables into the inactive slots, those of lower devices first; the devices, in that order.

    Nothing is suspended. Raises :class:`StackError`; every inactive slot is then as it was.
    """
    work = StackWork.of_changes(client, tuple(changes))
    work.load_all()
    return tuple(change for change in work.loaded_devices())


def resume_stack(client: DmClient, *devs: Dev, above: bool = False) -> tuple[LiveDevice, ...]:
    """Resume ``devs`` and what they lie on, from the bottom up; waiting tables become live. What was resumed.

    ``above``: ``devs`` and all that lies on them. What is neither suspended nor has a table waiting is left alone.
    When the kernel refuses a table, the waiting tables are dropped, those made live before are replaced by the
    earlier ones, everything is resumed, and :class:`StackError` raised.
    """
    from vmgr.dm.critical import critical_section

    live, tree = DeviceTree.read(client, sys=""), DeviceTree.read(client, waiting=True, sys="")
    order = [node for node in tree.bottom_up(*devs, above=above) if node.device is not None]
    work = StackWork(client, order, live, refers={node.numbers: node.uses for node in order})
    work.note_suspended()
    with client.transaction():
        work.save_live()
        with critical_section():
            return work.resume_all()


def reload_stack(
    client: DmClient, changes: Iterable[TableChange], *, flush: bool = True, freeze: bool = True
) -> tuple[LiveDevice, ...]:
    """Give several devices new tables as one step for all that lies on them; the devices, resumed, in order.

    Loads all tables, suspends the devices and everything above them from the top down, resumes from the
    bottom up. All or nothing: on failure every device has the table that it had, nothing is suspended, and
    :class:`StackError` says what was refused.
    """
    from vmgr.dm.critical import critical_section

    work = StackWork.of_changes(client, tuple(changes))
    work.refuse_strangers()
    with client.transaction():
        work.save_live()
        work.load_all()
        try:
            with critical_section():
                work.suspend_all(flush=flush, freeze=freeze)
                return work.resume_all()
        except BaseException:
            work.unload()
            work.resume_as_before()
            raise


def remove_stack(
    client: DmClient, *devs: Dev, above: bool = False, deferred: bool = False, retry: float = 0
) -> Removal:
    """Remove ``devs``, then what they lie on, as far as nothing else uses it.

    ``above``: everything that lies on ``devs``, then ``devs``, and nothing below. ``deferred``: what is open goes
    once it is closed. ``retry``: seconds, for the whole stack, in which a busy device is tried again. Raises
    :class:`StackError`, whose ``done`` are gone; with a user known beforehand, before anything is removed.
    """
    tree = DeviceTree.read(client, waiting=True, sys="")
    asked = {tree[dev].numbers for dev in devs}
    chosen: dict[Numbers, LiveDevice] = {}
    kept: list[str] = []
    for node in tree.top_down(*devs, above=above):
        if node.device is None:
            continue
        users = [tree[user] for user in node.used_by if user not in chosen]
        if users and not (deferred and node.numbers in asked):
            if node.numbers in asked:
                names = ", ".join(user.label for user in users)
                raise InUse(f"{node.label} is in use by {names}", hint="remove what lies on it first")
            kept.append(node.name)
            continue
        chosen[node.numbers] = node.device
    deadline = time.monotonic() + retry
    removed: list[str] = []
    later: list[str] = []
    todo = list(chosen.values())
    with client.transaction():
        for i, device in enumerate(todo):
            try:
                gone = client.remove(device, deferred=deferred, retry=max(0.0, deadline - time.monotonic()))
            except DmNotFound:
                gone = True
            except VmgrError as error:
                raise StackError(
                    error.message, done=(*removed, *later), undone=(d.name for d in todo[i:]), cause=error
                ) from error
            (removed if gone else later).append(device.name)
    return Removal(tuple(removed), tuple(later), tuple(kept))


def _to_suspend(tree: DeviceTree, devs: tuple[Dev, ...], above: bool) -> list[TreeNode]:
    """What :func:`suspend_stack` suspends, from the top down."""
    asked = {tree[dev].numbers for dev in devs}
    still: set[Numbers] = set()
    chosen = []
    for node in tree.top_down(*devs, above=above):
        device = node.device
        if device is None:
            continue
        if device.suspended:
            still.add(node.numbers)
        elif device.has_live and (above or node.numbers in asked or still.issuperset(node.used_by)):
            still.add(node.numbers)
            chosen.append(node)
    return chosen
