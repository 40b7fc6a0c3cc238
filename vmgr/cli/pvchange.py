"""``pvchange``: change the properties of physical volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.options_change import (
    ADDTAG,
    AUTOBACKUP,
    DELTAG,
    FORCE,
    IGNORESKIPPED,
    METADATAIGNORE,
    REPORTFORMAT,
    SELECT,
)
from vmgr.cli.output import conclude
from vmgr.core.errors import UsageError
from vmgr.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the changes."""
    from vmgr.core.group_requests import ChangePv

    everything = invocation.flag("all")
    chosen: Sequence[str] | None = None if everything else invocation.arguments
    if everything and invocation.arguments:
        raise UsageError("pvchange takes either PVs or --all", hint="usage: pvchange OPTION... PV ...")
    if invocation.texts("select"):
        from vmgr.cli.selecting import select_pvs

        chosen = select_pvs(app, invocation)
    elif not everything and not invocation.arguments:
        raise UsageError("pvchange needs PVs, --select or --all", hint="usage: pvchange OPTION... PV ...")
    request = ChangePv(
        allocatable=invocation.yesno("allocatable"),
        add_tags=invocation.tags("addtag"),
        del_tags=invocation.tags("deltag"),
        metadata_ignore=invocation.yesno("metadataignore"),
        new_uuid=invocation.flag("uuid"),
    )
    outcome = app.pvchange(chosen, request)
    return conclude(app, invocation, outcome + Outcome(done=(summary(outcome),)))


def summary(outcome: Outcome) -> str:
    """How many were changed and how many were not, as LVM2 says it at the end."""
    same = sum(1 for line in outcome.done if line.endswith(" not changed"))
    counts = len(outcome.done) - same, len(outcome.errors) + same
    changed, unchanged = (f"{n} physical volume{'' if n == 1 else 's'}" for n in counts)
    return f"{changed} changed / {unchanged} not changed"


DECLARED = {
    "pvchange": Command(
        "pvchange",
        "Change properties of physical volumes.",
        usages=("OPTION ... PV|Tag ...", "OPTION ... --select Selection", "OPTION ... --all"),
        run=run,
        arguments=(Argument("PV|Tag", "the device of a physical volume, or @tag", needed=False, many=True),),
        options=(
            Option("all", "flag", "Change all physical volumes.", "a"),
            Option(
                "allocatable",
                "yesno",
                "Whether new volumes may get space on the PV.",
                "x",
                aliases=("allocation",),
            ),
            ADDTAG,
            AUTOBACKUP,
            DELTAG,
            FORCE,
            IGNORESKIPPED,
            METADATAIGNORE,
            REPORTFORMAT,
            SELECT,
            Option("uuid", "flag", "Give the PV a new random UUID.", "u"),
        ),
        one_of=(("allocatable", "addtag", "deltag", "metadataignore", "uuid"),),
        changes=True,
    )
}
