"""``version``: what runs here, without a question to any device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command
from vmgr.cli.dm.context import Context

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


def version(invocation: Invocation) -> int:
    """Print the versions of vmgr and of the kernel's interface."""
    from vmgr import __version__

    with Context(invocation) as context:
        if not context.json:
            context.terminal.data(f"Library version:   {__version__} (vmgr)\n")
        driver = ".".join(map(str, context.client().version()))
        if context.json:
            context.emit_json({"library": __version__, "driver": driver})
        else:
            context.terminal.data(f"Driver version:    {driver}\n")
    return 0


DECLARED = {
    "version": Command(
        "version",
        "Show the versions of vmgr and of the kernel's device mapper.",
        usages=("",),
        run_alone=version,
    ),
}
