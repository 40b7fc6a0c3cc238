"""``vgrename``: give a group another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.names import group_of_change
from vmgr.cli.options_change import AUTOBACKUP, FORCE, REPORTFORMAT
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the new name."""
    old, new = (group_of_change(name, app.config.dev_dir) for name in invocation.arguments)
    return conclude(app, invocation, app.vgrename(old, new))


DECLARED = {
    "vgrename": Command(
        "vgrename",
        "Give a volume group another name.",
        usages=("VG|UUID VG",),
        run=run,
        arguments=(
            Argument("VG|UUID", "the group, by its name or, where two have the same name, by its UUID"),
            Argument("VG", "its new name"),
        ),
        options=(AUTOBACKUP, FORCE, REPORTFORMAT),
        changes=True,
    )
}
