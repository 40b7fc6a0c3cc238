"""``vgremove``: remove volume groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.names import group_subjects
from vmgr.cli.options_change import FORCE, NOUDEVSYNC, REPORTFORMAT, SELECT
from vmgr.cli.output import conclude
from vmgr.cli.selecting import select_groups

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the removal."""
    subjects = group_subjects(invocation.arguments, app.config.dev_dir)
    subjects = select_groups(app, invocation, subjects)
    return conclude(app, invocation, app.vgremove(subjects))


DECLARED = {
    "vgremove": Command(
        "vgremove",
        "Remove volume groups and, after a question, their volumes.",
        usages=("VG|Tag ...", "--select String"),
        run=run,
        arguments=(Argument("VG|Tag", "a group, or @tag", needed=False, many=True),),
        options=(FORCE, NOUDEVSYNC, REPORTFORMAT, SELECT),
        changes=True,
    )
}
