"""``info`` and ``deps``: what the kernel has of devices, as dmsetup prints it. Tables are in :mod:`.lines`.

What is printed is dmsetup's to the byte (``_info``, ``_deps`` of ``libdm/dm-tools/dmsetup.c``); each has JSON
besides. A device that is not there ends the command, after what was said of those before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import NO_DEVICES, Facts, all_are_meant, chosen_devices, info_text, kernel_name, mapper_name
from vmgr.cli.dm.options import COLUMN_OPTIONS, INACTIVE, SELECT, WHICH
from vmgr.core.errors import EXIT_OK, NotFound, UsageError, VmgrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.dm.report import DeviceReport
    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import LiveDevice

NAME_KINDS = ("devno", "blkdevname", "devname")
"""How ``deps`` and ``ls`` can name devices (``-o``), in the order in which dmsetup tries their beginnings."""


# -- which devices --------------------------------------------------------------------------------


def for_each(context: Context, show: Callable[[Facts, bool], None]) -> int:
    """Call ``show`` for each device that is meant; the exit status.

    It is also told whether the device is to be named before what is said of it. With ``-S`` only those that it
    selects. Of devices that are named the first that fails ends it; where all are meant, one that goes away
    meanwhile is left out, and any other failure is told and the others go on. Says so where there is no device.
    """
    chosen = None
    if context.invocation.given("select"):
        from vmgr.cli.dm.report import say_help, selection

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
        if not context.as_dmsetup:
            _refuse_columns(invocation)
        elif invocation.given("options"):
            name_kind(invocation)
        return _info_plain(context)


def _refuse_columns(invocation: Invocation) -> None:
    """Options that only a report in columns heeds; dmsetup ignores them without one."""
    for option in (*COLUMN_OPTIONS, *_REPEATING):
        if invocation.given(option.name) and option.name != "unbuffered":
            raise UsageError(f"{option.flags} needs -c", hint="-c shows a line of columns for each device")


def _info_plain(context: Context) -> int:
    rows: list[object] = []

    def show(facts: Facts, several: bool) -> None:
        if context.json:
            rows.append(facts.as_json())
        else:
            context.terminal.data(info_text(facts))

    # Without columns dmsetup pays no regard to a selection.
    status = (
        sweep(context, lambda device: show(Facts(context, device), True))
        if context.as_dmsetup
        else for_each(context, show)
    )
    if context.json:
        context.emit_json({"devices": rows})
    return status


def _info_columns(context: Context) -> int:
    from vmgr.cli.dm.repeating import repetition
    from vmgr.cli.dm.report import DeviceReport, say_help

    report = DeviceReport(context)
    if report.help:
        say_help(context, report.help)
        return EXIT_OK
    rounds, interval = repetition(context.invocation)
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


def _pause(seconds: int) -> None:
    import sys
    import time

    if sys.stdout is not None:
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


# -- declarations ---------------------------------------------------------------------------------

DEVICES = Argument("DEVICE", "a device's name, or the path of its node; without one all devices", False, True)
_REPEATING = (
    Option("count", "text", "Make the report so many times; 0 is without end.", metavar="Number"),
    Option("interval", "text", "Wait so many seconds between reports.", metavar="Seconds"),
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
            *_REPEATING,
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
}
