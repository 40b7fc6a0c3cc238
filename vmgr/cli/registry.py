"""Which commands there are and where each is declared; nothing is imported until it is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.cli.declare import Command

COMMANDS = {
    "doctor": "doctor",
    "lvchange": "lvchange", "lvconvert": "lvconvert", "lvcreate": "lvcreate", "lvdisplay": "displays",
    "lvextend": "lvresize", "lvreduce": "lvresize", "lvremove": "lvremove", "lvrename": "lvrename",
    "lvresize": "lvresize", "lvs": "reports", "lvscan": "scans", "plugins": "plugins",
    "pvchange": "pvchange", "pvcreate": "pvcreate", "pvdisplay": "displays", "pvremove": "pvremove",
    "pvresize": "pvresize", "pvs": "reports", "pvscan": "pvscan", "version": "version",
    "formats": "types", "segtypes": "types",
    "vgcfgbackup": "vgcfgbackup", "vgcfgrestore": "vgcfgrestore", "vgchange": "vgchange", "vgck": "vgck",
    "vgcreate": "vgcreate", "vgdisplay": "displays", "vgextend": "vgextend", "vgmknodes": "vgmknodes",
    "vgreduce": "vgreduce", "vgremove": "vgremove", "vgrename": "vgrename", "vgs": "reports", "vgscan": "scans",
}  # fmt: skip
"""The module of this package that declares each command."""

LVM2_NAMES = frozenset(COMMANDS) - {"doctor", "plugins", "version"}
"""Those that are programs of LVM2: called by a link of such a name, vmgr talks as LVM2 does."""

MOUNTED = {"dm": "vmgr.cli.dm.clicks:group", "lab": "vmgr.lab.command:command"}
"""Commands that are click commands of their own, as ``module:object``."""

LVM2_ONLY = (
    "lvmconfig", "lvmdevices", "lvmdiskscan", "lvmdump", "lvpoll", "pvck", "pvmove", "vgconvert", "vgexport",
    "vgimport", "vgimportclone", "vgimportdevices", "vgmerge", "vgsplit", "fullreport", "lvmsadc", "lvmsar",
    "config", "dumpconfig", "lvmchange", "pvdata", "devtypes", "systemid", "tags", "lastlog",
)  # fmt: skip
"""Commands of LVM2 that vmgr does not have. The error says so, because it is not a typing mistake."""


def load(name: str) -> Command:
    """The declaration of command ``name``; KeyError if there is none."""
    from importlib import import_module

    module = import_module(f"vmgr.cli.{COMMANDS[name]}")
    command: Command = module.DECLARED[name]
    return command
