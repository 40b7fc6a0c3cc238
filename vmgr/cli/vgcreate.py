"""``vgcreate``: make a volume group."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.label import label_request
from vmgr.cli.names import group
from vmgr.cli.options_change import (
    ADDTAG,
    ALLOC,
    AUTOACTIVATION,
    AUTOBACKUP,
    EXTENTSIZE,
    FORCE,
    LABEL,
    MAXLV,
    MAXPV,
    METADATAPROFILE,
    REPORTFORMAT,
    SYSTEMID,
    VGMETADATACOPIES,
)
from vmgr.cli.output import conclude

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the group."""
    from vmgr.core.group_requests import CreateGroup

    name, *devices = invocation.arguments
    autoactivate = invocation.yesno("setautoactivation")
    request = CreateGroup(
        extent_size=invocation.size("physicalextentsize"),
        max_lv=invocation.number("maxlogicalvolumes") or 0,
        max_pv=invocation.number("maxphysicalvolumes") or 0,
        alloc=invocation.text("alloc") or "normal",
        tags=invocation.tags("addtag"),
        metadata_copies=invocation.number("vgmetadatacopies"),
        system_id=invocation.text("systemid"),
        autoactivate=True if autoactivate is None else autoactivate,
        profile=invocation.text("metadataprofile") or "",
    )
    vg = group(name, app.config.dev_dir)
    return conclude(app, invocation, app.vgcreate(vg, devices, request, label_request(invocation, app.config)))


DECLARED = {
    "vgcreate": Command(
        "vgcreate",
        "Make a volume group of physical volumes; devices that are none become some.",
        usages=("VG PV ...",),
        run=run,
        arguments=(
            Argument("VG", "the name of the new group"),
            Argument("PV", "a physical volume or other block device", many=True),
        ),
        options=(
            ADDTAG,
            ALLOC,
            AUTOBACKUP,
            EXTENTSIZE,
            FORCE,
            *LABEL,
            MAXLV,
            MAXPV,
            METADATAPROFILE,
            REPORTFORMAT,
            AUTOACTIVATION,
            SYSTEMID,
            VGMETADATACOPIES,
        ),
        unsupported=("clustered/c", "locktype", "shared"),
        changes=True,
    )
}
