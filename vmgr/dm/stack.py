"""Changes to stacks of devices: in the right order, and undone when a step fails.

The upper devices are suspended and removed first, the lower ones are resumed first. After a failure, no device is
suspended that was not suspended before, and :class:`StackError` says what is done and what is not. Between suspend
and resume, memory is locked and signals are blocked (:mod:`vmgr.dm.critical`). udev is waited for once, at the end.

A device stays suspended only after two failures: a table could not be made live, and the earlier table could not
be restored below devices that need it. The devices above then stay suspended, because they would reach the wrong
data. ``StackError.suspended`` names them.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.errors import InUse, VmgrError
from vmgr.dm.failure import DmNotFound
from vmgr.dm.stack_change import Fallen, StackChange, StackError, TableChange
from vmgr.dm.tree import DeviceTree, Numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmgr.core.table import LiveDevice
    from vmgr.dm.address import Dev
    from vmgr.dm.client import DmClient
    from vmgr.dm.tree import TreeNode

__all__ = [
    "Fallen",
    "Removal",
    "StackChange",
    "StackError",
    "TableChange",
    "load_stack",
    "reload_stack",
    "remove_stack",
    "resume_stack",
    "suspend_stack",
    "suspended_stack",
]  # fmt: skip


class Removal(NamedTuple):
    """Names of devices: removed, to be removed once they are closed, and still in use."""

    removed: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


def suspend_stack(
    client: DmClient, *devs: Dev, above: bool = False, flush: bool = True, freeze: bool = True
) -> tuple[LiveDevice, ...]:
    """Suspend ``devs`` and the devices below them, from the top down. Return what was suspended, in that order.

    A lower device stays running if a running device outside the stack uses it, and so does a device without a
    live table. ``above``: suspend ``devs`` and the devices above them instead. ``flush`` and ``freeze`` as in
    :meth:`DmClient.suspend`. Raises :class:`StackError`, and then nothing stays suspended.

    A program that also resumes the stack should use :func:`suspended_stack`, during which signals cannot stop it.
    """
    from vmgr.dm.critical import critical_section

    tree = DeviceTree.read(client, sys="")
    chosen = _to_suspend(tree, devs, above)
    work = StackChange(client, chosen[::-1], tree)
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
    """``with suspended_stack(client, "top"):`` suspends a stack for the body, then resumes it from the bottom up.

    Tables loaded in the body become live. If the body fails, they are dropped, and all devices run as before.
    """
    from vmgr.dm.critical import critical_section

    tree = DeviceTree.read(client, sys="")
    work = StackChange(client, _to_suspend(tree, devs, above)[::-1], tree)
    with client.transaction(), critical_section():
        try:
            work.suspend_all(flush=flush, freeze=freeze)
            yield tuple(work.suspended)
        except BaseException:
            work.resume_as_before(drop_new=True)
            raise
        work.resume_all()


def load_stack(client: DmClient, changes: Iterable[TableChange]) -> tuple[LiveDevice, ...]:
    """Load tables into the inactive slots, those of lower devices first. Return the devices, in that order.

    Suspends nothing. Raises :class:`StackError`, and then every inactive slot is as before.
    """
    work = StackChange.of_changes(client, tuple(changes))
    work.load_all()
    return tuple(change for change in work.loaded_devices())


def resume_stack(client: DmClient, *devs: Dev, above: bool = False) -> tuple[LiveDevice, ...]:
    """Resume ``devs`` and the devices below them, from the bottom up, and make inactive tables live.

    Returns what was resumed. ``above``: resume ``devs`` and the devices above them instead. Devices that are not
    suspended and do not have an inactive table are left alone. If the kernel refuses a table, the inactive tables
    are dropped, tables that already became live are replaced by the earlier ones, everything is resumed, and
    :class:`StackError` is raised.
    """
    from vmgr.dm.critical import critical_section

    live, tree = DeviceTree.read(client, sys=""), DeviceTree.read(client, waiting=True, sys="")
    order = [node for node in tree.bottom_up(*devs, above=above) if node.device is not None]
    work = StackChange(client, order, live, refers={node.numbers: node.uses for node in order})
    work.note_suspended()
    with client.transaction():
        work.save_live()
        with critical_section():
            return work.resume_all()


def reload_stack(
    client: DmClient, changes: Iterable[TableChange], *, flush: bool = True, freeze: bool = True
) -> tuple[LiveDevice, ...]:
    """Give several devices new tables at once, as seen from above; return the resumed devices, in order.

    Loads all tables, suspends the devices and everything above them from the top down, and resumes from the
    bottom up. All or nothing: after a failure every device has its earlier table, nothing is suspended, and
    :class:`StackError` says what was refused.
    """
    from vmgr.dm.critical import critical_section

    work = StackChange.of_changes(client, tuple(changes))
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
    """Remove ``devs``, then the devices below them that nothing else uses.

    ``above``: remove the devices above ``devs``, then ``devs``, and nothing below. ``deferred``: open devices are
    removed once they are closed. ``retry``: seconds, for the whole stack, in which to retry busy devices. Raises
    :class:`StackError`, whose ``done`` are removed; if the tree already shows a user, before removing anything.
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
                raise InUse(f"{node.label} is in use by {names}", hint="remove the devices above it first")
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
