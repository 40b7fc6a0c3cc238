"""``vgck``: check the metadata of groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import group_subjects
from vmgr.cli.options_change import REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the check."""
    subjects = group_subjects(invocation.arguments, app.config.dev_dir)
    if invocation.flag("updatemetadata") and not subjects:
        raise UsageError("vgck --updatemetadata needs VG: the group to write again", hint="vgs lists the groups")
    return conclude(app, invocation, app.vgcheck(subjects, update=invocation.flag("updatemetadata")))


DECLARED = {
    "vgck": Command(
        "vgck",
        "Check the metadata of volume groups.",
        usages=("[VG|Tag ...]", "--updatemetadata VG"),
        run=run,
        arguments=(Argument("VG|Tag", "a group, or @tag; all groups if there is none", needed=False, many=True),),
        options=(
            REPORTFORMAT,
            Option("updatemetadata", "flag", "Write the metadata again to repair damaged or outdated copies."),
        ),
        changes=True,
    )
}
