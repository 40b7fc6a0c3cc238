"""``splitname``: what the names of LVM's devices are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.dm.columns import NAME, SPLIT_DEFAULT
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import Facts, split_name
from vmgr.cli.dm.options import COLUMN_OPTIONS, SELECT
from vmgr.cli.dm.report import DeviceReport, say_help
from vmgr.core.errors import EXIT_OK
from vmgr.core.table import LiveDevice

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


def splitname(invocation: Invocation) -> int:
    """Take a name of LVM's apart."""
    with Context(invocation) as context:
        name, subsystem = invocation.arguments[0], invocation.arguments[1] if invocation.arguments[1:] else "LVM"
        if context.json:
            words = ("subsystem", "vg_name", "lv_name", "lv_layer")
            context.emit_json(dict(zip(words, split_name(name, subsystem), strict=True)))
            return EXIT_OK
        report = DeviceReport(context, default=SPLIT_DEFAULT, prefix="splitname_", sections=NAME)
        if report.help:
            say_help(context, report.help)
            return EXIT_OK
        report.add(Facts(context, LiveDevice(name, f"{subsystem}-", 0, 0)))
        context.terminal.data(report.text())
    return EXIT_OK


DECLARED = {
    "splitname": Command(
        "splitname", "Take the name of one of LVM's devices apart into group, volume and layer.",
        usages=("NAME [SUBSYSTEM]",), run_alone=splitname,
        arguments=(
            Argument("NAME", "a device's name; there need not be such a device"),
            Argument("SUBSYSTEM", "whose name it is; only LVM's are taken apart", needed=False),
        ),
        options=(*COLUMN_OPTIONS, SELECT),
    ),
}  # fmt: skip
