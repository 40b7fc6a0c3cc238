"""``vgcfgbackup``: write groups' metadata into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import group_subjects
from vmgr.cli.options_change import IGNORELOCK, READONLY, REPORTFORMAT
from vmgr.cli.options_report import FOREIGN, PARTIAL
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the backup."""
    subjects = group_subjects(invocation.arguments, app.config.dev_dir)
    return conclude(app, invocation, app.vgcfgbackup(subjects, invocation.text("file") or ""))


DECLARED = {
    "vgcfgbackup": Command(
        "vgcfgbackup",
        "Write the metadata of volume groups into backup files.",
        usages=("[VG ...]",),
        run=run,
        arguments=(Argument("VG", "a group; all groups if there is none", needed=False, many=True),),
        options=(
            Option(
                "file",
                "text",
                "The file to write; %s in its name becomes the group's.",
                "f",
                metavar="File",
            ),
            FOREIGN,
            IGNORELOCK,
            PARTIAL,
            READONLY,
            REPORTFORMAT,
        ),
        changes=True,
    )
}
