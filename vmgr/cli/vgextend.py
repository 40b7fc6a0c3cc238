"""``vgextend``: add physical volumes to a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.label import label_request
from vmgr.cli.names import group_of_change
from vmgr.cli.options_change import AUTOBACKUP, FORCE, LABEL, METADATAIGNORE, REPORTFORMAT
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the extension."""
    name, *devices = invocation.arguments
    outcome = app.vgextend(
        group_of_change(name, app.config.dev_dir),
        devices,
        label_request(invocation, app.config),
        restore_missing=invocation.flag("restoremissing"),
    )
    return conclude(app, invocation, outcome)


DECLARED = {
    "vgextend": Command(
        "vgextend",
        "Add physical volumes to a volume group; devices that are none become some.",
        usages=("VG PV ...", "--restoremissing VG PV ..."),
        run=run,
        arguments=(
            Argument("VG", "the group"),
            Argument("PV", "a physical volume or other block device", many=True),
        ),
        options=(
            AUTOBACKUP,
            FORCE,
            *LABEL,
            METADATAIGNORE,
            REPORTFORMAT,
            Option("restoremissing", "flag", "Take PVs back that the group holds to be missing, as they are."),
        ),
        changes=True,
    )
}
