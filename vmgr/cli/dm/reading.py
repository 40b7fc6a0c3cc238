"""``info``, ``deps``, ``status`` and ``table``: what the kernel has of devices, as dmsetup prints it.

What is printed is dmsetup's to the byte (``_info``, ``_deps``, ``_status`` of ``libdm/dm-tools/dmsetup.c``); each
has JSON besides. A device that is not there ends the command, after what was said of those before it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import Facts, all_are_meant, chosen_devices, info_text, kernel_name, mapper_name
from vmgr.cli.dm.options import INACTIVE, NOFLUSH, SELECT, WHICH
from vmgr.cli.dm.report import COLUMN_OPTIONS, DeviceReport, say_help, selection
from vmgr.core.errors import EXIT_OK, NotFound, UsageError, VmgrError
from vmgr.dm.address import by_number

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import KernelLine, LiveDevice

NO_DEVICES = "No devices found\n"

NAME_KINDS = ("devno", "blkdevname", "devname")
"""How ``deps`` and ``ls`` can name devices (``-o``), in the order in which dmsetup tries their beginnings."""


# -- which devices --------------------------------------------------------------------------------


def for_each(context: Context, show: Callable[[Facts, bool], None]) -> int:
    """Call ``show`` for each device that is meant; the exit status.

    It is also told whether the device is to be named before what is said of it. With ``-S`` only those that it
    selects. Of devices that are named the first that fails ends it; where all are meant, one that goes away
    meanwhile is left out, and any other failure is told and the others go on. Says so where there is no device.
    """
    chosen = selection(context)
    if chosen is not None and chosen.help:
        say_help(context, chosen.help)
        return EXIT_OK
    every = all_are_meant(context)
    several = every or len(context.invocation.arguments) > 1 or chosen is not None
    inactive = context.invocation.flag("inactive")

    def one(device: LiveDevice) -> None:
        if chosen is None:
            show(Facts(context, device, inactive=inactive), several)
            return
        facts = chosen.facts(device)
        if chosen.add(facts):
            show(facts, several)

    return sweep(context, one)


def sweep(context: Context, one: Callable[[LiveDevice], object]) -> int:
    """As :func:`for_each`, but for selecting."""
    status, none, every = EXIT_OK, True, all_are_meant(context)
    for device in chosen_devices(context):
        none = False
        try:
            one(device)
        except NotFound:
            if not every:
                raise
        except VmgrError as error:
            if not every:
                raise
            context.terminal.error(error)
            status = error.exit_code
    if none and not context.json:
        context.terminal.data(NO_DEVICES)
    return status


# -- info -----------------------------------------------------------------------------------------


def info(invocation: Invocation) -> int:
    """Print what the kernel says of devices."""
    with Context(invocation) as context:
        if invocation.flag("tree") and not context.as_dmsetup:
            from vmgr.cli.dm.trees import show_tree

            show_tree(context)
            return EXIT_OK
        if invocation.flag("columns"):
            return _info_columns(context)
        if invocation.text("options") is not None:
            _check_names(invocation)
        return _info_plain(context)


def _check_names(invocation: Invocation) -> None:
    try:
        name_kind(invocation)
    except UsageError as error:
        raise UsageError(error.message, hint="-o chooses columns only with -c") from None


def _info_plain(context: Context) -> int:
    rows: list[object] = []

    def show(device: LiveDevice) -> None:
        facts = Facts(context, device)
        if context.json:
            rows.append(facts.as_json())
        else:
            context.terminal.data(info_text(facts))

    status = sweep(context, show)
    if context.json:
        context.emit_json({"devices": rows})
    return status


def _info_columns(context: Context) -> int:
    report = DeviceReport(context)
    if report.help:
        say_help(context, report.help)
        return EXIT_OK
    rounds, interval = _repetition(context)
    while True:
        status = _one_round(context, report)
        rounds -= 1
        if not rounds or status:
            return status
        if not context.json:
            context.terminal.data("\n")
        _pause(interval)
        report.clear()


def _one_round(context: Context, report: DeviceReport) -> int:
    """Print the report once. What fails does so after the rows before it."""
    try:
        status = sweep(context, lambda device: report.add(report.facts(device)))
    except VmgrError:
        if not context.json:
            context.terminal.data(report.text())
        raise
    if context.json:
        context.emit_json({"devices": report.as_json()})
    else:
        context.terminal.data(report.text())
    return status


def _repetition(context: Context) -> tuple[int, int]:
    """How many times a report is made (-1: until interrupted), and the seconds in between."""
    count, interval = context.invocation.text("count"), context.invocation.text("interval")
    seconds = _whole(interval, "--interval", least=1) if interval is not None else 1
    if count is None:
        return (1 if interval is None else -1), seconds
    return _whole(count, "--count") or -1, seconds


def _whole(text: str, option: str, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) < least:
        raise UsageError(f"invalid value for {option}: {text!r}", hint=f"give a whole number from {least} up")
    return int(text)


def _pause(seconds: int) -> None:
    import sys
    import time

    sys.stdout.flush()
    time.sleep(seconds)


# -- deps -----------------------------------------------------------------------------------------


def deps(invocation: Invocation) -> int:
    """Print the devices that tables refer to."""
    kind = name_kind(invocation)
    with Context(invocation) as context:
        rows: list[object] = []
        verbose = invocation.times("verbose")

        def show(facts: Facts, several: bool) -> None:
            found = facts.deps
            if context.json:
                rows.append(_deps_json(facts))
                return
            text = f"{len(found)} dependencies\t:" + "".join(f" ({said(kind, *n, ', ')})" for n in found) + "\n"
            if verbose:
                text = info_text(facts) + text + ("\n" if several else "")
            elif several:
                text = f"{facts.name}: {text}"
            context.terminal.data(text)

        status = for_each(context, show)
        if context.json:
            context.emit_json({"devices": rows})
    return status


def _deps_json(facts: Facts) -> dict[str, object]:
    context = facts.context
    return {
        "name": facts.name,
        "major": facts.device.major,
        "minor": facts.device.minor,
        "dependencies": [
            {
                "major": major,
                "minor": minor,
                "kernel_name": kernel_name(major, minor),
                "name": context.shown(mapper_name(major, minor)),
            }
            for major, minor in facts.deps
        ],
    }


def name_kind(invocation: Invocation) -> str:
    """How ``-o`` wants devices to be named; of a word cut short the first that fits is meant.

    Raises :class:`UsageError`.
    """
    kind = NAME_KINDS[0]
    words = (invocation.text("options") or "").split(",")
    if words[-1] == "":
        words.pop()
    for at, word in enumerate(words):
        found = next((known for known in NAME_KINDS if known.startswith(word)), None)
        if found is None:
            raise UsageError(
                f"Option not recognised: {','.join(words[at:])}.", hint=f"known are {', '.join(NAME_KINDS)}"
            )
        kind = found
    return kind


def said(kind: str, major: int, minor: int, between: str) -> str:
    """A device as ``-o`` wants it named; its numbers with ``between`` between them where it has no name."""
    name = mapper_name(major, minor) if kind == "devname" else ""
    if kind != "devno":
        name = name or kernel_name(major, minor)
    return name or f"{major}{between}{minor}"


# -- status and table -----------------------------------------------------------------------------


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
        from vmgr.cli.dm.typed import typed_json

        found.update(typed_json(line))
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


# -- declarations ---------------------------------------------------------------------------------

DEVICES = Argument("DEVICE", "a device's name, or the path of its node; without one all devices", False, True)
_TARGET = Option("target", "text", "Only lines of this target.", metavar="Type")
_EXEC = Option(
    "exec",
    "text",
    "Run this command for each device, with the path of its node behind, and print only what that prints.",
    metavar="Command",
)
NAMES = Option(
    "options",
    "text",
    "How devices are named: devno (numbers), blkdevname (the kernel's name), devname (the device mapper's name).",
    short="o",
    metavar="devno|blkdevname|devname",
)

DECLARED = {
    "info": Command(
        "info",
        "Show the state of devices.",
        usages=("[DEVICE ...]", "-c [-o Columns] [-O Columns] [-S Selection] [DEVICE ...]", "--tree [DEVICE ...]"),
        run_alone=info,
        arguments=(DEVICES,),
        options=(
            *WHICH,
            INACTIVE,
            *COLUMN_OPTIONS,
            SELECT,
            Option("count", "text", "Make the report so many times; 0 is without end.", metavar="Number"),
            Option("interval", "text", "Wait so many seconds between reports.", metavar="Seconds"),
            Option("tree", "flag", "Draw the devices and what they lie on."),
        ),
    ),
    "deps": Command(
        "deps",
        "Show which devices tables refer to.",
        usages=("[-o devno|blkdevname|devname] [DEVICE ...]",),
        run_alone=deps,
        arguments=(DEVICES,),
        options=(*WHICH, INACTIVE, NAMES, SELECT),
    ),
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
