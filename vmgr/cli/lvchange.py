"""``lvchange``: change volumes' properties, or whether they are active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.activating import activation_request
from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.lvcreate import policy
from vmgr.cli.names import subjects
from vmgr.cli.options_change import (
    ACTIVATE,
    ACTIVATIONMODE,
    ADDTAG,
    ALLOC,
    AUTOACTIVATION,
    AUTOBACKUP,
    CONTIGUOUS,
    DELTAG,
    FORCE,
    IGNORELOCK,
    IGNOREMONITORING,
    IGNORESKIP,
    IGNORESKIPPED,
    MAJOR,
    METADATAPROFILE,
    MINOR,
    MONITOR,
    NOUDEVSYNC,
    PARTIAL,
    PERMISSION,
    PERSISTENT,
    POLL,
    READAHEAD,
    READONLY,
    REPORTFORMAT,
    SELECT,
    SKIP,
    SYSINIT,
)
from vmgr.cli.output import conclude
from vmgr.cli.selecting import select_volumes
from vmgr.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation

PROPERTIES = (
    "addtag", "alloc", "contiguous", "deltag", "detachprofile", "metadataprofile", "permission", "persistent",
    "readahead", "setactivationskip", "setautoactivation",
)  # fmt: skip


def run(app: Application, invocation: Invocation) -> int:
    """Ask for changes of properties, then for an activation."""
    import os

    named = subjects(invocation.arguments, os.environ, app.config.dev_dir)
    chosen = select_volumes(app, invocation, named)
    if not chosen:
        return EXIT_OK
    status = EXIT_OK
    options = invocation.plugin_options()
    if options or any(invocation.given(name) for name in PROPERTIES):
        from vmgr.core.requests import NO_NUMBERS, ChangeVolume

        persistent, minor = invocation.yesno("persistent"), invocation.number("minor")
        if persistent and minor is None:
            raise UsageError("--persistent y needs --minor", hint="give the number that the device shall have")
        major = invocation.number("major")
        numbers = None
        if persistent is not None:
            numbers = (-1 if major is None else major, minor or 0) if persistent else NO_NUMBERS
        permission = invocation.text("permission")
        request = ChangeVolume(
            options=options,
            read_only=None if permission is None else permission == "r",
            alloc=policy(invocation),
            add_tags=invocation.tags("addtag"),
            del_tags=invocation.tags("deltag"),
            read_ahead=invocation.number("readahead"),
            numbers=numbers,
            autoactivate=invocation.yesno("setautoactivation"),
            activation_skip=invocation.yesno("setactivationskip"),
            profile="" if invocation.flag("detachprofile") else invocation.text("metadataprofile"),
        )
        status = conclude(app, invocation, app.lvchange(chosen, request))
    activation = activation_request(invocation)
    if activation is not None:
        status = max(status, conclude(app, invocation, app.activate(chosen, activation), silent=True))
    elif invocation.flag("poll"):
        status = max(status, conclude(app, invocation, app.poll(chosen)))
    return status


DECLARED = {
    "lvchange": Command(
        "lvchange",
        "Change properties of logical volumes, or activate or deactivate them.",
        usages=("--activate y|n|ay VG|LV|Tag ...", "--refresh VG|LV|Tag ...", "OPTION ... VG|LV|Tag ..."),
        run=run,
        arguments=(
            Argument("VG|LV|Tag", "a volume as group/volume, a group for all its volumes, or @tag", False, True),
        ),
        options=(
            ACTIVATE,
            ACTIVATIONMODE,
            ADDTAG,
            ALLOC,
            AUTOBACKUP,
            CONTIGUOUS,
            DELTAG,
            Option("detachprofile", "flag", "Forget the volume's metadata profile."),
            FORCE,
            IGNORESKIP,
            IGNORELOCK,
            IGNOREMONITORING,
            IGNORESKIPPED,
            METADATAPROFILE,
            MAJOR,
            MINOR,
            MONITOR,
            NOUDEVSYNC,
            PARTIAL,
            PERMISSION,
            PERSISTENT,
            POLL,
            READAHEAD,
            READONLY,
            Option("refresh", "flag", "Load the tables of active volumes anew."),
            REPORTFORMAT,
            SELECT,
            SKIP,
            AUTOACTIVATION,
            SYSINIT,
        ),
        one_of=((*PROPERTIES, "activate", "refresh", "monitor", "poll"),),
        exclusive=(
            ("metadataprofile", "detachprofile"),
            ("alloc", "contiguous"), ("activate", "refresh"), ("activationmode", "partial"),
        ),
        unsupported=(
            "cachemode", "cachepolicy", "cachesettings", "compression", "deduplication",
            "discards", "errorwhenfull", "maxrecoveryrate",
            "minrecoveryrate", "rebuild", "resync", "syncaction", "vdosettings", "writebehind",
            "writemostly", "zero/Z",
        ),
        from_plugins=True,
        changes=True,
    )
}  # fmt: skip
