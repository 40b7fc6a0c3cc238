"""``lvremove``: remove volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import subjects
from vmgr.cli.options_change import AUTOBACKUP, FORCE, NOUDEVSYNC, REPORTFORMAT, SELECT
from vmgr.cli.output import conclude
from vmgr.cli.selecting import select_volumes

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the removal."""
    import os

    named = subjects(invocation.arguments, os.environ, app.config.dev_dir)
    chosen = select_volumes(app, invocation, named)
    return conclude(app, invocation, app.lvremove(chosen))


DECLARED = {
    "lvremove": Command(
        "lvremove",
        "Remove logical volumes, after a question for those that are active.",
        usages=("VG|LV|Tag ...", "--select String"),
        run=run,
        arguments=(
            Argument("VG|LV|Tag", "a volume as group/volume, a group for all its volumes, or @tag", False, True),
        ),
        options=(
            AUTOBACKUP,
            FORCE,
            Option("nohistory", "flag", "Accepted for LVM2's sake; vmgr keeps no history of removed volumes."),
            NOUDEVSYNC,
            REPORTFORMAT,
            SELECT,
        ),
        changes=True,
    )
}
