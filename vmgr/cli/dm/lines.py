"""``status`` and ``table``: the lines that the kernel has of devices, as dmsetup prints them.

dmsetup's output to the byte (``_status`` of ``libdm/dm-tools/dmsetup.c``), and JSON, which has the parameters of
tables taken apart where a target plugin knows how.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.cli.declare import Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import info_text
from vmgr.cli.dm.options import INACTIVE, NOFLUSH, SELECT, WHICH
from vmgr.cli.dm.reading import DEVICES, for_each
from vmgr.dm.address import by_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.dm.facts import Facts
    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import KernelLine, LiveDevice


def status(invocation: Invocation) -> int:
    """Print status lines."""
    with Context(invocation) as context:
        flush = not invocation.flag("noflush")
        client = context.client()

        def lines(facts: Facts) -> tuple[KernelLine, ...]:
            return client.status(by_number(*facts.numbers), flush=flush, inactive=facts.inactive)

        return _print_lines(context, lines, "status")


def table(invocation: Invocation) -> int:
    """Print tables."""
    with Context(invocation) as context:
        client, show_keys = context.client(), invocation.flag("showkeys")

        def lines(facts: Facts) -> tuple[KernelLine, ...]:
            found = client.table(by_number(*facts.numbers), inactive=facts.inactive)
            if show_keys:
                return found
            from vmgr.dm.tables import hide_keys

            return tuple(map(hide_keys, found))

        if invocation.flag("concise"):
            return _print_concise(context, lines)
        return _print_lines(context, lines, "table")


def _matching(context: Context, lines: tuple[KernelLine, ...]) -> tuple[KernelLine, ...] | None:
    """The lines of the target that ``--target`` asks for; None where it asks for one and there is none."""
    target = context.invocation.text("target")
    if target is None:
        return lines
    return tuple(line for line in lines if line.target == target) or None


def _print_lines(context: Context, lines_of: Callable[[Facts], tuple[KernelLine, ...]], what: str) -> int:
    """Lines of tables or of statuses. A device without a table has an empty one, unless a target is asked for."""
    invocation = context.invocation
    rows: list[object] = []
    verbose, run = invocation.times("verbose"), invocation.text("exec")

    def show(facts: Facts, several: bool) -> None:
        found = _matching(context, lines_of(facts))
        if found is None:
            return
        if context.json:
            rows.append({**_line_header(facts), what: [_line_json(line, what) for line in found]})
        elif run is None or verbose:
            before = f"{facts.name}: " if several and not verbose else ""
            text = "".join(f"{before}{line_text(line)}\n" for line in found) or f"{before}\n"
            if verbose:
                text = info_text(facts) + text + ("\n" if several else "")
            context.terminal.data(text)
        if run is not None:
            from vmgr.cli.dm.running import run_for

            run_for(context, facts.device, run)

    status = for_each(context, show)
    if context.json:
        context.emit_json({"devices": rows})
    return status


def line_text(line: KernelLine) -> str:
    """A line as dmsetup prints it: with a blank after the target even where nothing follows."""
    return f"{int(line.start)} {int(line.length)} {line.target} {line.params}"


def _line_header(facts: Facts) -> dict[str, object]:
    device = facts.device
    return {
        "name": facts.name,
        "uuid": facts.uuid,
        "major": device.major,
        "minor": device.minor,
        "read_only": device.read_only,
    }


def _line_json(line: KernelLine, what: str) -> dict[str, object]:
    found: dict[str, object] = {
        "start": int(line.start),
        "length": int(line.length),
        "target": line.target,
        "params": line.params,
    }
    if what == "table":
        from vmgr.cli.dm.parameters import line_json

        found.update(line_json(line))
    return found


# -- table --concise ------------------------------------------------------------------------------


def _print_concise(context: Context, lines_of: Callable[[Facts], tuple[KernelLine, ...]]) -> int:
    """All devices in one line, as ``create --concise`` takes them (dmsetup(8), "CONCISE FORMAT")."""
    texts: list[str] = []

    def show(facts: Facts, several: bool) -> None:
        found = _matching(context, lines_of(facts))
        if found is not None:
            texts.append(concise_text(facts.name, facts.uuid, facts.device, found))

    status = for_each(context, show)
    if context.json:
        context.emit_json({"concise": ";".join(texts)})
    elif texts:
        context.terminal.data(";".join(texts) + "\n")
    return status


def concise_text(name: str, uuid: str, device: LiveDevice, lines: tuple[KernelLine, ...]) -> str:
    """One device with its table, as dmsetup writes it."""
    head = [_quoted(name), _quoted(uuid), str(device.minor), "ro" if device.read_only else "rw"]
    return ",".join([*head, *(_quoted(line_text(line)) for line in lines)])


def _quoted(text: str) -> str:
    return re.sub(r"[,;\\]", r"\\\g<0>", text)


# -- declarations -----------------------------------------------------------------------------------

_TARGET = Option("target", "text", "Only lines of this target.", metavar="Type")
_EXEC = Option(
    "exec",
    "text",
    "Run this command for each device, with the path of its node behind, and print only what that prints.",
    metavar="Command",
)

DECLARED = {
    "status": Command(
        "status",
        "Show what targets say of themselves.",
        usages=("[--noflush] [--target Type] [DEVICE ...]",),
        run_alone=status,
        arguments=(DEVICES,),
        options=(*WHICH, INACTIVE, NOFLUSH, _TARGET, _EXEC, SELECT),
    ),
    "table": Command(
        "table",
        "Show tables.",
        usages=("[--concise] [--showkeys] [--target Type] [DEVICE ...]",),
        run_alone=table,
        arguments=(DEVICES,),
        options=(
            *WHICH,
            INACTIVE,
            Option("concise", "flag", "Print all devices in one line, as create --concise takes them."),
            Option("showkeys", "flag", "Print encryption keys, too; otherwise each of their characters is a 0."),
            _TARGET,
            _EXEC,
            SELECT,
        ),
    ),
}
