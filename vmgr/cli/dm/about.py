"""Questions that concern no table: versions, targets, measurements, and the wait for an event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.dm.context import Context
from vmgr.cli.dm.facts import look, show_change
from vmgr.cli.dm.options import INACTIVE, NOFLUSH, SELECT, WHICH
from vmgr.core.errors import EXIT_OK, NotFound, UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation

DMSETUP_VERSION = "1.02.185"
"""The dmsetup whose ways a link of that name has; scripts look for it in the output of ``version``."""


def version(invocation: Invocation) -> int:
    """Print the versions of vmgr and of the kernel's interface."""
    from vmgr import __version__

    with Context(invocation) as context:
        library = f"{DMSETUP_VERSION} (vmgr {__version__})" if context.as_dmsetup else f"{__version__} (vmgr)"
        if not context.json:
            context.terminal.data(f"Library version:   {library}\n")
        driver = ".".join(map(str, context.client().version()))
        if context.json:
            context.emit_json({"library": __version__, "driver": driver})
        else:
            context.terminal.data(f"Driver version:    {driver}\n")
    return EXIT_OK


def targets(invocation: Invocation) -> int:
    """Print the targets that the kernel has loaded."""
    with Context(invocation) as context:
        _print_versions(context, context.client().targets())
    return EXIT_OK


def target_version(invocation: Invocation) -> int:
    """Print the versions of targets, whose modules are loaded if need be."""
    with Context(invocation) as context:
        found: dict[str, tuple[int, int, int]] = {}
        try:
            for name in invocation.arguments:
                known = context.client().target_version(name)
                if known is None:
                    raise NotFound(
                        f"the kernel has no target {name}",
                        hint=f"its module would be dm-{name}: modprobe dm-{name}",
                    )
                found[name] = known
        finally:
            if found or context.json:
                _print_versions(context, found)
    return EXIT_OK


def _print_versions(context: Context, found: dict[str, tuple[int, int, int]]) -> None:
    if context.json:
        context.emit_json({"targets": {name: ".".join(map(str, number)) for name, number in found.items()}})
    else:
        lines = (f"{name:<16} v{number[0]}.{number[1]}.{number[2]}\n" for name, number in found.items())
        context.terminal.data("".join(lines))


def measure(invocation: Invocation) -> int:
    """Print what the kernel's integrity measurement (IMA) says of live tables."""
    from vmgr.cli.dm.facts import all_are_meant, chosen_devices
    from vmgr.cli.dm.report import say_help, selection
    from vmgr.dm.address import by_number

    with Context(invocation) as context:
        chosen = selection(context)
        if chosen is not None and chosen.help:
            say_help(context, chosen.help)
            return EXIT_OK
        several = len(invocation.arguments) > 1 or all_are_meant(context) or chosen is not None
        rows: list[dict[str, object]] = []
        none = True
        for device in chosen_devices(context):
            none = False
            if chosen is not None and not chosen.add(chosen.facts(device)):
                continue
            name = context.shown(device.name)
            lines = context.client().measure(by_number(device.major, device.minor))
            texts = [f"{line.start} {line.length} {line.target} {line.params}" for line in lines]
            if context.json:
                rows.append({"name": name, "measurement": texts})
            else:
                before = f"{name}: " if several else ""
                context.terminal.data("".join(f"{before}{text}\n" for text in texts or [""]))
        if context.json:
            context.emit_json({"devices": rows})
        elif none:
            context.terminal.data("No devices found\n")
    return EXIT_OK


def wait(invocation: Invocation) -> int:
    """Wait until a device has had another event than the one with the number given."""
    with Context(invocation) as context:
        words = list(invocation.arguments)
        dev = context.device(None if context.named_otherwise() else words.pop(0) if words else None)
        if len(words) > 1:
            raise UsageError(f"wait takes no argument {words[1]!r}", hint="one event number may follow the device")
        number = words[0] if words else "0"
        if not (number.isascii() and number.isdigit()) or int(number) >= 1 << 32:
            raise UsageError(f"{number!r} is not an event number", hint="`vmgr dm info` shows the latest one")
        client = context.client()
        if context.as_dmsetup:
            client.wait(dev, int(number))
        else:
            name = context.shown(look(context, dev).name)
            try:
                client.wait(dev, int(number))
            except NotFound:
                raise NotFound(f"{name} was removed while it was waited for") from None
        show_change(context, dev)
    return EXIT_OK


DECLARED = {
    "measure": Command(
        "measure", "Print what the kernel's integrity measurement says of live tables.",
        usages=("[DEVICE...|-u UUID|-j MAJOR -m MINOR|-S SELECTION]",), run_alone=measure,
        arguments=(Argument("DEVICE", "a device; all without one", needed=False, many=True),),
        options=(SELECT, *WHICH),
    ),
    "target-version": Command(
        "target-version", "Print the versions of targets, whose modules are loaded if need be.",
        usages=("TARGET...",), run_alone=target_version,
        arguments=(Argument("TARGET", "a target's name", many=True),),
    ),
    "targets": Command(
        "targets", "List the targets that the kernel has loaded.", usages=("",), run_alone=targets,
    ),
    "version": Command(
        "version", "Show the versions of vmgr and of the kernel's device mapper.", usages=("",), run_alone=version,
    ),
    "wait": Command(
        "wait", "Wait for an event in a device.", usages=("DEVICE|-u UUID|-j MAJOR -m MINOR [NUMBER]",),
        run_alone=wait,
        arguments=(
            Argument("DEVICE", "the device, where it is named by its name", needed=False),
            Argument(
                "NUMBER", "the latest event that is known; a later one ends the wait",
                needed=False,
            ),
        ),
        options=(INACTIVE, NOFLUSH, *WHICH),
    ),
}  # fmt: skip
