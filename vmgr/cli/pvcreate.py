"""``pvcreate``: make devices physical volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.label import label_request
from vmgr.cli.options_change import FORCE, METADATAIGNORE, PV_LABEL, REPORTFORMAT
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the labels."""
    return conclude(app, invocation, app.pvcreate(invocation.arguments, label_request(invocation, app.config)))


DECLARED = {
    "pvcreate": Command(
        "pvcreate",
        "Make devices physical volumes.",
        usages=("PV ...",),
        run=run,
        arguments=(Argument("PV", "a block device", many=True),),
        options=(
            *PV_LABEL,
            Option(
                "bootloaderareasize", "size", "Keep this much space for a boot loader in front of the data area."
            ),
            FORCE,
            METADATAIGNORE,
            Option("norestorefile", "flag", "With --uuid: do without a backup file."),
            REPORTFORMAT,
            Option(
                "restorefile",
                "text",
                "With --uuid: lay the PV out as this file, made by vgcfgbackup, says of it.",
                metavar="File",
            ),
            Option(
                "setphysicalvolumesize",
                "size",
                "Take this for the size of the device. Use with care.",
                zero=True,
            ),
            Option("uuid", "text", "The UUID of the new PV; needs --restorefile or --norestorefile.", "u"),
        ),
        exclusive=(("restorefile", "norestorefile"), ("bootloaderareasize", "restorefile")),
        changes=True,
    )
}
