"""``-S`` of the subcommands that change devices: which devices are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.facts import chosen_devices
from vmgr.cli.dm.report import say_help, selection
from vmgr.dm.address import by_name

if TYPE_CHECKING:
    from vmgr.cli.dm.context import Context
    from vmgr.dm.address import DevId


def selected(context: Context) -> tuple[DevId, ...]:
    """The devices to which ``-S`` applies, of those that are named, or of all; in the kernel's order.

    None for ``-S help``, whose help is printed. Raises :class:`UsageError` for a selection that cannot be read,
    :class:`NotFound` for a device that is not there; nothing has been changed then.
    """
    report = selection(context)
    if report is None:
        return context.devices()
    if report.help:
        say_help(context, report.help)
        return ()
    found = [device for device in chosen_devices(context) if report.add(report.facts(device))]
    return tuple(by_name(device.name) for device in found)
