"""What subcommands that change devices share: which are meant, one after the other, and what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.context import own_nodes
from vmgr.cli.dm.facts import header, look, show_change
from vmgr.core.errors import UsageError, VmgrError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vmgr.cli.dm.context import Context
    from vmgr.core.table import LiveDevice
    from vmgr.dm.address import DevId


def chosen(context: Context) -> tuple[DevId, ...]:
    """The devices that a subcommand is to change; at least one, unless ``--select`` finds none.

    As ``vmgr dm``, a name that is none is found out before anything is changed. Raises :class:`UsageError`,
    :class:`NotFound`.
    """
    if context.invocation.given("select"):
        from vmgr.cli.dm.selecting import selected

        return selected(context)
    devs = context.devices() or (context.device(),)
    if not context.as_dmsetup:
        for dev in devs:
            look(context, dev)
    return devs


def each(
    context: Context,
    devs: Sequence[DevId],
    change: Callable[[DevId], object],
    *,
    gone: bool = False,
    show: bool = True,
) -> int:
    """Change devices in order; the exit status. The first failure ends it, and says which were not reached.

    With ``--json``, prints those that were changed. ``gone``: they are not there any more. ``show``: ``-v`` shows
    the headers.
    """
    changed: list[object] = []
    try:
        for at, dev in enumerate(devs):
            try:
                change(dev)
            except VmgrError as error:
                if at + 1 < len(devs):
                    rest = ", ".join(context.shown(str(other)) for other in devs[at + 1 :])
                    error.details = (*error.details, f"not reached: {rest}")
                raise
            if context.json:
                changed.append({"name": context.shown(str(dev))} if gone else header(context, dev))
            elif show and not gone:
                show_change(context, dev)
    finally:
        if context.json:
            context.emit_json({"devices": changed})
    return 0


def read_ahead(context: Context) -> tuple[int | None, bool]:
    """What ``--readahead`` says: sectors (None for the kernel's choice), and whether that is a minimum.

    Raises :class:`UsageError`.
    """
    text = context.invocation.text("readahead")
    word = (text or "auto").strip().lower()
    if word in ("auto", "none"):
        return (None if word == "auto" else 0), False
    digits = word.removeprefix("+")
    if not (digits.isascii() and digits.isdigit()) or int(digits) >= 1 << 31:
        raise UsageError(f"{text!r} is not a read-ahead", hint="give sectors, +sectors for a minimum, auto or none")
    return int(digits), word.startswith("+")


def add_node(context: Context, device: LiveDevice) -> None:
    """Make the node of a device that has no table yet, unless udev keeps the nodes."""
    nodes = own_nodes(context.settings())
    if nodes is not None:
        nodes.add(device.name, device.major, device.minor)


def drop_node(context: Context, name: str) -> None:
    """Remove the node of a device that goes once it is closed, unless udev does that when it goes."""
    nodes = own_nodes(context.settings())
    if nodes is not None:
        nodes.remove(name)
