"""``ls``: which devices there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import NO_DEVICES, kernel_name
from vmgr.cli.dm.reading import name_kind, said
from vmgr.core.errors import EXIT_OK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import LiveDevice


def ls(invocation: Invocation) -> int:
    """Print the names of devices, or draw their tree."""
    with Context(invocation) as context:
        if invocation.given("target") or invocation.given("exec"):
            _with_tables(context)
        elif invocation.flag("tree"):
            from vmgr.cli.dm.trees import show_tree

            show_tree(context)
        else:
            _names(context)
    return EXIT_OK


def _names(context: Context) -> None:
    from vmgr.dm import abi

    kind = name_kind(context.invocation)
    entries = [(entry, *abi.major_minor(entry.dev)) for entry in context.client().names()]
    if context.json:
        rows = [_json(context, entry.name, major, minor) for entry, major, minor in entries]
        context.emit_json({"devices": rows})
        return
    lines = [f"{context.shown(e.name)}\t({said(kind, major, minor, ':')})\n" for e, major, minor in entries]
    context.terminal.data("".join(lines) or NO_DEVICES)


def _json(context: Context, name: str, major: int, minor: int) -> dict[str, object]:
    return {
        "name": context.shown(name),
        "major": major,
        "minor": minor,
        "kernel_name": kernel_name(major, minor),
    }


def _with_tables(context: Context) -> None:
    """``ls --target``, ``ls --exec``: devices by what is in their tables, and something done for each."""
    invocation, rows = context.invocation, []
    run, verbose, json = invocation.text("exec"), invocation.times("verbose"), context.json
    none = True
    for device, matches in _matching(context):
        none = False
        if not matches:
            continue
        if json:
            rows.append(_json(context, device.name, device.major, device.minor))
        elif run is None or verbose:
            context.terminal.data(f"{context.shown(device.name)}\t({device.major}, {device.minor})\n")
        if run is not None:
            from vmgr.cli.dm.running import run_for

            run_for(context, device, run)
    if json:
        context.emit_json({"devices": rows})
    elif none:
        context.terminal.data(NO_DEVICES)


def _matching(context: Context) -> Iterator[tuple[LiveDevice, bool]]:
    """Each device, and whether a line of its table is of the target that is asked for."""
    target, inactive = context.invocation.text("target"), context.invocation.flag("inactive")
    client = context.client()
    for entry in client.names():
        device = client.info(name=entry.name, table=True, inactive=inactive)
        if device is not None:
            yield device, target is None or any(line.target == target for line in device.table or ())


DECLARED = {
    "ls": Command(
        "ls",
        "List devices.",
        usages=("[-o devno|blkdevname|devname]", "--target Type [--exec Command]", "--tree [-o Words]"),
        run_alone=ls,
        options=(
            Option("target", "text", "Only devices that have a line of this target.", metavar="Type"),
            Option(
                "exec",
                "text",
                "Run this command for each device, its path behind, and print only what that prints.",
                metavar="Command",
            ),
            Option("tree", "flag", "Draw which device lies on which."),
            Option(
                "options",
                "text",
                "How devices are named: devno (numbers), blkdevname (the kernel's name), devname (the device"
                " mapper's). With --tree what is drawn and how: [no]device, blkdevname, active, open, rw, uuid;"
                " compact, inverted, notrunc; ascii, utf, vt100.",
                short="o",
                metavar="Words",
            ),
            Option("inactive", "flag", "With --target, look at tables that wait for a resume, not at live ones."),
        ),
    ),
}
