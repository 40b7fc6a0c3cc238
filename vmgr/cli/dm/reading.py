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
from vmgr.core.errors import EXIT_OK, UsageError, VmgrError
from vmgr.dm.address import by_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import KernelLine, LiveDevice

NO_DEVICES = "No devices found\n"

NAME_KINDS = ("devno", "blkdevname", "devname")
"""How ``deps`` and ``ls`` can name devices (``-o``), in the order in which dmsetup tries their beginnings."""


# -- which devices --------------------------------------------------------------------------------


def _each(context: Context) -> Iterator[tuple[Facts, bool]]:
    """The devices that are meant, and whether each is to be named before what is said of it.

    Says so where there are none. With ``-S`` only those that it selects.
    """
    chosen = selection(context)
    if chosen is not None and chosen.help:
        say_help(context, chosen.help)
        return
    several = len(context.invocation.arguments) > 1 or all_are_meant(context) or chosen is not None
    inactive = context.invocation.flag("inactive")
    none = True
    for device in chosen_devices(context):
        none = False
        if chosen is None:
            yield Facts(context, device, inactive=inactive), several
        else:
            facts = chosen.facts(device)
            if chosen.add(facts):
                yield facts, several
    if none and not context.json:
        context.terminal.data(NO_DEVICES)


# -- info -----------------------------------------------------------------------------------------


def info(invocation: Invocation) -> int:
    """Print what the kernel says of devices."""
    with Context(invocation) as context:
        if invocation.flag("tree") and not context.as_dmsetup:
            from vmgr.cli.dm.trees import show_tree

            show_tree(context)
        elif invocation.flag("columns"):
            _info_columns(context)
        else:
            if invocation.text("options") is not None:
                _check_names(invocation)
            _info_plain(context)
    return EXIT_OK


def _check_names(invocation: Invocation) -> None:
    try:
        name_kind(invocation)
    except UsageError as error:
        raise UsageError(error.message, hint="-o chooses columns only with -c") from None


def _info_plain(context: Context) -> None:
    rows = []
    devices = list(chosen_devices(context)) if context.json else chosen_devices(context)
    none = True
    for device in devices:
        none = False
        facts = Facts(context, device)
        if context.json:
            rows.append(facts.as_json())
        else:
            context.terminal.data(info_text(facts))
    if context.json:
        context.emit_json({"devices": rows})
    elif none:
        context.terminal.data(NO_DEVICES)


def _info_columns(context: Context) -> None:
    report = DeviceReport(context)
    if report.help:
        say_help(context, report.help)
        return
    rounds, interval = _repetition(context)
    while True:
        none = _one_round(context, report)
        if none and not context.json:
            context.terminal.data(NO_DEVICES)
        rounds -= 1
        if not rounds:
            return
        if not context.json:
            context.terminal.data("\n")
        _pause(interval)
        report.clear()


def _one_round(context: Context, report: DeviceReport) -> bool:
    """Print the report once; whether there was no device at all. What fails does so after the rows before it."""
    none = True
    try:
        for device in chosen_devices(context):
            none = False
            report.add(report.facts(device))
    except VmgrError:
        if not context.json:
            context.terminal.data(report.text())
        raise
    if context.json:
        context.emit_json({"devices": report.as_json()})
    else:
        context.terminal.data(report.text())
    return none


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
        rows, verbose = [], invocation.times("verbose")
        for facts, several in _each(context):
            found = facts.deps
            if context.json:
                rows.append(_deps_json(facts))
                continue
            text = f"{len(found)} dependencies\t:" + "".join(f" ({said(kind, *n, ', ')})" for n in found) + "\n"
            if verbose:
                text = info_text(facts) + text + ("\n" if several else "")
            elif several:
                text = f"{facts.name}: {text}"
            context.terminal.data(text)
        if context.json:
            context.emit_json({"devices": rows})
    return EXIT_OK


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

        _print_lines(context, lines, "status")
    return EXIT_OK


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
            _print_concise(context, lines)
        else:
            _print_lines(context, lines, "table")
    return EXIT_OK


def _matching(context: Context, lines: tuple[KernelLine, ...]) -> tuple[KernelLine, ...]:
    """The lines of the target that ``--target`` asks for."""
    target = context.invocation.text("target")
    return lines if target is None else tuple(line for line in lines if line.target == target)


def _print_lines(context: Context, lines_of: Callable[[Facts], tuple[KernelLine, ...]], what: str) -> None:
    """Lines of tables or of statuses. A device without a table has an empty one, unless a target is asked for."""
    invocation, rows = context.invocation, []
    verbose, run = invocation.times("verbose"), invocation.text("exec")
    for facts, several in _each(context):
        every = lines_of(facts)
        found = _matching(context, every)
        matched = bool(found) or (not every and invocation.text("target") is None)
        if not matched:
            continue
        if context.json:
            rows.append({**_line_header(facts), what: [_line_json(context, line, what) for line in found]})
        elif run is None or verbose:
            before = f"{facts.name}: " if several and not verbose else ""
            text = "".join(f"{before}{line_text(line)}\n" for line in found) or f"{before}\n"
            if verbose:
                text = info_text(facts) + text + ("\n" if several else "")
            context.terminal.data(text)
        if run is not None:
            from vmgr.cli.dm.running import run_for

            run_for(context, facts.device, run)
    if context.json:
        context.emit_json({"devices": rows})


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


def _line_json(context: Context, line: KernelLine, what: str) -> dict[str, object]:
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


def _print_concise(context: Context, lines_of: Callable[[Facts], tuple[KernelLine, ...]]) -> None:
    """All devices in one line, as ``create --concise`` takes them (dmsetup(8), "CONCISE FORMAT")."""
    texts = []
    for facts, _ in _each(context):
        every = lines_of(facts)
        found = _matching(context, every)
        if found or (not every and context.invocation.text("target") is None):
            texts.append(concise_text(facts.name, facts.uuid, facts.device, found))
    if context.json:
        context.emit_json({"concise": ";".join(texts)})
    elif texts:
        context.terminal.data(";".join(texts) + "\n")


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
