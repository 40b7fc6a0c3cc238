"""``vgreduce``: take physical volumes out of a group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import group
from vmgr.cli.options_change import AUTOBACKUP, FORCE, REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the reduction."""
    name, *devices = invocation.arguments
    everything, missing = invocation.flag("all"), invocation.flag("removemissing")
    if bool(devices) == (everything or missing):
        raise UsageError("vgreduce needs either PVs, --all or --removemissing", hint="usage: vgreduce VG PV ...")
    outcome = app.vgreduce(
        group(name, app.config.dev_dir),
        devices,
        all_unused=everything,
        missing=missing,
    )
    return conclude(app, invocation, outcome)


DECLARED = {
    "vgreduce": Command(
        "vgreduce",
        "Take physical volumes out of a volume group.",
        usages=("VG PV ...", "--all VG", "--removemissing VG"),
        run=run,
        arguments=(
            Argument("VG", "the group"),
            Argument("PV", "a physical volume of the group", needed=False, many=True),
        ),
        options=(
            Option("all", "flag", "Take out all physical volumes that are not in use.", "a"),
            AUTOBACKUP,
            FORCE,
            Option(
                "removemissing",
                "flag",
                "Forget missing physical volumes that no volume lies on; with --force also the volumes on them.",
            ),
            REPORTFORMAT,
        ),
        exclusive=(("all", "removemissing"),),
        unsupported=("mirrorsonly",),
        changes=True,
    )
}
