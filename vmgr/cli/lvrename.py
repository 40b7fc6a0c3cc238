"""``lvrename``: give a volume another name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command
from vmgr.cli.names import group, split_volume, volume
from vmgr.cli.options_change import AUTOBACKUP, NOUDEVSYNC, REPORTFORMAT
from vmgr.cli.output import conclude
from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.app import Application
    from vmgr.cli.invocation import Invocation


def run(app: Application, invocation: Invocation) -> int:
    """Ask for the new name."""
    import os

    from vmgr.core.requests import RenameVolume

    vg, old, new = place(invocation.arguments, os.environ, app.config.dev_dir)
    return conclude(app, invocation, app.lvrename(vg, RenameVolume(old, new)))


def place(words: tuple[str, ...], environ: Mapping[str, str], dev_dir: str) -> tuple[str, str, str]:
    """(group, old name, new name) of ``VG OLD NEW`` or ``VG/OLD NEW``; the names may be given with their group."""
    from vmgr.core.ids import LvName

    if len(words) == 3:
        vg = group(words[0], dev_dir)
        old_vg, old = split_volume(words[1], dev_dir)
    else:
        subject = volume(words[0], environ, dev_dir)
        vg, old_vg, old = subject.vg, subject.vg, subject.lv
    new_vg, new = split_volume(words[-1], dev_dir)
    for other in (old_vg, new_vg):
        if other and other != vg:
            raise UsageError(
                f"a volume cannot go from group {vg} to group {other} by another name", hint="name one group only"
            )
    if not old or not new:
        raise UsageError("lvrename needs the volume's old and new name", hint="usage: lvrename VG OLD NEW")
    return vg, old, LvName.chosen(new)


DECLARED = {
    "lvrename": Command(
        "lvrename",
        "Give a logical volume another name.",
        usages=("VG LV LV_new", "VG/LV LV_new"),
        run=run,
        arguments=(
            Argument("VG|VG/LV", "the group, or the volume with its group"),
            Argument("LV", "the volume's old name, where only the group came before, or its new name"),
            Argument("LV_new", "the volume's new name", needed=False),
        ),
        options=(AUTOBACKUP, NOUDEVSYNC, REPORTFORMAT),
        changes=True,
    )
}
