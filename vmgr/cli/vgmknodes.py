"""``vgmknodes``: put device nodes and links in request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import subjects
from vmgr.cli.options_change import IGNORELOCK, REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.core.group_requests import Activate

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the nodes."""
    import os

    named = subjects(invocation.arguments, os.environ, app.config.dev_dir)
    status = 0
    if invocation.flag("refresh"):
        status = conclude(app, invocation, app.activate(named, Activate("refresh")), silent=True)
    return max(status, conclude(app, invocation, app.make_nodes(named)))


DECLARED = {
    "vgmknodes": Command(
        "vgmknodes",
        "Make missing device nodes and links of active volumes, and remove stale ones.",
        usages=("[VG|LV|Tag ...]",),
        run=run,
        arguments=(
            Argument("VG|LV|Tag", "a group, volume or @tag; all if there is none", needed=False, many=True),
        ),
        options=(
            IGNORELOCK,
            Option("refresh", "flag", "Load the tables of active volumes anew first."),
            REPORTFORMAT,
        ),
        changes=True,
    )
}
