"""``vgchange``: change groups' properties, or the activation of their volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.activating import activation_request
from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import group_subjects
from vmgr.cli.options_change import (
    ACTIVATE,
    ACTIVATIONMODE,
    ADDTAG,
    ALLOC,
    AUTOACTIVATION,
    AUTOBACKUP,
    DELTAG,
    EXTENTSIZE,
    FORCE,
    IGNORELOCK,
    IGNOREMONITORING,
    IGNORESKIP,
    IGNORESKIPPED,
    MAXLV,
    MAXPV,
    METADATAPROFILE,
    MONITOR,
    NOUDEVSYNC,
    PARTIAL,
    POLL,
    READONLY,
    REPORTFORMAT,
    SELECT,
    SYSINIT,
    SYSTEMID,
    VGMETADATACOPIES,
)
from vmgr.cli.output import conclude
from vmgr.cli.pvscan import AUTOACTIVATION_EVENT
from vmgr.cli.selecting import select_groups
from vmgr.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation

PROPERTIES = (
    "addtag", "deltag", "maxlogicalvolumes", "maxphysicalvolumes", "alloc", "uuid", "vgmetadatacopies",
    "physicalextentsize", "resizeable", "metadataprofile", "detachprofile", "setautoactivation", "systemid",
)  # fmt: skip


def run(app: Application, invocation: Invocation) -> int:
    """Ask for changes of properties, or an activation."""
    named = group_subjects(invocation.arguments, app.config.dev_dir)
    subjects = select_groups(app, invocation, named, needed=False)
    if invocation.given("select") and not subjects:
        return EXIT_OK
    activation = activation_request(invocation)
    if invocation.given("autoactivation"):
        from vmgr.cli.pvscan import skipped

        reason = skipped(app, invocation)
        if reason:
            invocation.terminal.done(f"Skip vgchange for {reason}.")
            return EXIT_OK
        if activation is None or activation.mode not in ("y", "ay"):
            raise UsageError("--autoactivation goes with -aay", hint="vgchange -aay --autoactivation event VG")
    if activation is not None:
        for name in PROPERTIES:
            if invocation.given(name):
                raise UsageError(f"--{name} does not go with an activation", hint="use two commands")
        return conclude(app, invocation, app.activate(subjects, activation))
    if not any(invocation.given(name) for name in PROPERTIES):
        if invocation.flag("poll"):
            return conclude(app, invocation, app.poll(subjects))
        return EXIT_OK  # --monitor or --poll n alone
    from vmgr.core.group_requests import ChangeGroup

    if invocation.given("systemid") and len(named) != 1:
        raise UsageError("--systemid needs exactly one group", hint="vgchange --systemid ID VG")
    request = ChangeGroup(
        extent_size=invocation.size("physicalextentsize"),
        max_lv=invocation.number("maxlogicalvolumes"),
        max_pv=invocation.number("maxphysicalvolumes"),
        alloc=invocation.text("alloc"),
        resizeable=invocation.yesno("resizeable"),
        add_tags=invocation.tags("addtag"),
        del_tags=invocation.tags("deltag"),
        metadata_copies=invocation.number("vgmetadatacopies"),
        system_id=invocation.text("systemid"),
        autoactivate=invocation.yesno("setautoactivation"),
        new_uuid=invocation.flag("uuid"),
        profile="" if invocation.flag("detachprofile") else invocation.text("metadataprofile"),
    )
    return conclude(app, invocation, app.vgchange(subjects, request))


DECLARED = {
    "vgchange": Command(
        "vgchange",
        "Change properties of volume groups, or activate or deactivate their volumes.",
        usages=(
            "--activate y|n|ay [VG|Tag ...]",
            "--refresh [VG|Tag ...]",
            "--poll y [VG|Tag ...]",
            "OPTION ... [VG|Tag ...]",
        ),
        run=run,
        arguments=(Argument("VG|Tag", "a group, or @tag; all groups if there is none", needed=False, many=True),),
        options=(
            ACTIVATE,
            ACTIVATIONMODE,
            ADDTAG,
            ALLOC,
            AUTOACTIVATION_EVENT,
            AUTOBACKUP,
            DELTAG,
            Option("detachprofile", "flag", "Forget the group's metadata profile."),
            EXTENTSIZE,
            FORCE,
            IGNORESKIP,
            IGNORELOCK,
            IGNOREMONITORING,
            IGNORESKIPPED,
            MAXLV,
            MAXPV,
            METADATAPROFILE,
            MONITOR,
            NOUDEVSYNC,
            PARTIAL,
            POLL,
            READONLY,
            Option("refresh", "flag", "Reload the tables of active volumes."),
            REPORTFORMAT,
            Option(
                "resizeable",
                "yesno",
                "Whether physical volumes may be added and taken out.",
                "x",
                aliases=("resizable", "allocation"),
            ),
            SELECT,
            AUTOACTIVATION,
            SYSINIT,
            SYSTEMID,
            Option("uuid", "flag", "Give the group a new random UUID. Its volumes must not be active.", "u"),
            VGMETADATACOPIES,
        ),
        one_of=((*PROPERTIES, "activate", "refresh", "monitor", "poll"),),
        exclusive=(
            ("activate", "refresh"),
            ("metadataprofile", "detachprofile"),
            ("activationmode", "partial"),
        ),
        unsupported=("clustered/c", "lockstart", "lockstop", "locktype", "pvmetadatacopies"),
        changes=True,
    )
}
