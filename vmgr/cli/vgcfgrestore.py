"""``vgcfgrestore``: bring a group's metadata back from a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.names import group
from vmgr.cli.options_change import REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.core.errors import EXIT_OK, UsageError

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.services.backups import ArchiveView


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the restoration, or list what there is."""
    file = invocation.text("file") or ""
    vg = group(invocation.arguments[0], app.config.dev_dir) if invocation.arguments else ""
    if not vg and not (file and invocation.flag("list")):
        raise UsageError("vgcfgrestore needs VG: the group to restore", hint="usage: vgcfgrestore [-f FILE] VG")
    if invocation.flag("list"):
        found = app.archives(vg, file)
        for archive in found:
            invocation.terminal.data(archive_text(archive))
        if not found:
            invocation.terminal.note(f"no archives or backups of volume group {vg} found")
        return EXIT_OK
    return conclude(app, invocation, app.vgcfgrestore(vg, file))


def archive_text(archive: ArchiveView) -> str:
    """An archive or backup as ``--list`` shows it."""
    from vmgr.report.cells import local_time

    return (
        f"   \n  File:\t\t{archive.file}\n  VG name:    \t{archive.vg}\n  Description:\t{archive.description}\n"
        f"  Backup Time:\t{local_time(archive.time, '%c')}\n\n"
    )


DECLARED = {
    "vgcfgrestore": Command(
        "vgcfgrestore",
        "Bring the metadata of a volume group back from a backup or archive file.",
        usages=("[-f|--file File] VG", "-l|--list VG", "-l|--list -f|--file File"),
        run=run,
        arguments=(Argument("VG", "the group", needed=False),),
        options=(
            Option(
                "file",
                "text",
                "The file to restore from; the group's last backup if it is left out.",
                "f",
                metavar="File",
            ),
            Option(
                "force",
                "count",
                "Restore even where that is dangerous, as with volumes that plugins keep state for.",
            ),
            Option("list", "flag", "List the archives and backups of the group.", "l"),
            Option("metadatatype", "word", "The format of the metadata; there is one.", "M", choices=("lvm2", "2")),
            REPORTFORMAT,
        ),
        changes=True,
    )
}
