"""``pvresize``: adapt physical volumes to devices that have another size now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.options_change import REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.outcome import Outcome

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the new sizes."""
    size = invocation.size("setphysicalvolumesize")
    outcome = app.pvresize(invocation.arguments, size)
    resized, left = len(outcome.done), len(outcome.errors)
    said = f"{resized} physical volume(s) resized or updated / {left} physical volume(s) not resized"
    return conclude(app, invocation, outcome + Outcome(done=(said,)))


DECLARED = {
    "pvresize": Command(
        "pvresize",
        "Adapt physical volumes to the size of their devices.",
        usages=("PV ...",),
        run=run,
        arguments=(Argument("PV", "the device of a physical volume", many=True),),
        options=(
            REPORTFORMAT,
            Option(
                "setphysicalvolumesize", "size", "Take this for the size of the device, before it is made smaller."
            ),
        ),
        changes=True,
    )
}
