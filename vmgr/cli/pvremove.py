"""``pvremove``: make physical volumes ordinary devices again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.options_change import FORCE, REPORTFORMAT
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the labels' removal."""
    return conclude(app, invocation, app.pvremove(invocation.arguments))


DECLARED = {
    "pvremove": Command(
        "pvremove",
        "Remove the labels of physical volumes that no group uses.",
        usages=("PV ...",),
        run=run,
        arguments=(Argument("PV", "the device of a physical volume", many=True),),
        options=(FORCE, REPORTFORMAT),
        changes=True,
    )
}
