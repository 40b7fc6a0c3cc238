"""Which subcommands ``vmgr dm`` has, where each is declared, and which of dmsetup's options take a value.

Nothing is imported until it is needed. A module of this package has ``DECLARED``, a dictionary from the
names in :data:`SUBCOMMANDS` to :class:`vmgr.cli.declare.Command`, whose ``run_alone`` gets the invocation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.cli.declare import Command

SUBCOMMANDS: dict[str, str] = {
    "clear": "changing",
    "complete": "udev",
    "cookies": "udev",
    "create": "creating",
    "deps": "reading",
    "info": "reading",
    "load": "creating",
    "ls": "listing",
    "mangle": "naming",
    "measure": "about",
    "message": "changing",
    "mknodes": "nodes",
    "module": "module",
    "reload": "creating",
    "remove": "changing",
    "remove_all": "changing",
    "rename": "naming",
    "resume": "changing",
    "setgeometry": "changing",
    "setuuid": "naming",
    "splitname": "splitting",
    "stats clear": "stats",
    "stats create": "stats",
    "stats delete": "stats",
    "stats group": "stats",
    "stats list": "stats",
    "stats print": "stats",
    "stats report": "stats",
    "stats ungroup": "stats",
    "stats version": "stats",
    "status": "lines",
    "suspend": "changing",
    "table": "lines",
    "target-version": "about",
    "targets": "about",
    "udevcomplete": "udev",
    "udevcomplete_all": "udev",
    "udevcookies": "udev",
    "udevcreatecookie": "udev",
    "udevflags": "udev",
    "udevreleasecookie": "udev",
    "version": "about",
    "wait": "about",
    "wipe_table": "changing",
}
"""The module of each subcommand. A name of two words is a subcommand of a group (``stats create``)."""

GROUPS: dict[str, str] = {
    "stats": "Count input and output in regions of devices: dmstats' commands.",
}
"""The first words of subcommands of two words, and what each group is for."""

VALUED = frozenset(
    (
        "age", "alias", "areaid", "areas", "areasize", "auxdata", "bounds", "count", "exec", "follow", "gid",
        "groupid", "interval", "length", "major", "manglename", "minor", "mode", "options", "programid",
        "readahead", "regionid", "regions", "reportformat", "select", "separator", "sort", "start", "table",
        "target", "udevcookie", "uid", "units", "userdata", "uuid",
    )
)  # fmt: skip
"""Long options that a value follows. They may stand before the subcommand, when its declaration is not known yet;
so an option has a value in every subcommand or in none. A test holds the declarations to it."""

VALUED_LETTERS = frozenset("GMOSUjmou")
"""The letters of those."""

DMSETUP_FLAGS = (
    "addnodeoncreate", "addnodeonresume", "alldevices", "allprograms", "allregions", "area", "checks", "clear",
    "columns/cC", "concise", "deferred", "filemap", "force/f", "foreground", "group", "help/h", "histogram",
    "inactive", "nameprefixes", "noflush", "nogroup", "noheadings", "nolockfs", "nomonitor", "noopencount",
    "nosuffix", "notable/n", "notimesuffix", "noudevrules", "noudevsync", "precise", "raw", "readonly/r", "region",
    "relative", "retry", "rows", "segments", "setuuid", "showkeys", "tree", "unbuffered", "unquoted", "verbose/v",
    "verifyudev", "version", "yes/y",
)  # fmt: skip
"""dmsetup's options without a value, with their letters (``_process_switches`` in LVM2's ``dmsetup.c``)."""

DMSETUP_VALUED = (
    "alias", "areas", "areasize", "bounds", "count", "exec", "follow", "gid/G", "groupid", "interval", "length",
    "major/j", "manglename", "minor/m", "mode/M", "options/o", "programid", "readahead", "regionid", "regions",
    "select/S", "separator", "sort/O", "start", "table", "target", "udevcookie", "uid/U", "units", "userdata",
    "uuid/u",
)  # fmt: skip
"""dmsetup's options with a value. dmsetup takes every option with every subcommand and ignores what means nothing
to it. (Its ``--verbose`` takes a value, too, against its manual and to no use; here it does not.)"""


def load(name: str) -> Command:
    """The declaration of subcommand ``name``; KeyError if there is none."""
    from importlib import import_module

    module = import_module(f"vmgr.cli.dm.{SUBCOMMANDS[name]}")
    command: Command = module.DECLARED[name]
    return command


def members(group: str) -> list[str]:
    """The second words of a group's subcommands."""
    return [name.partition(" ")[2] for name in SUBCOMMANDS if name.startswith(group + " ")]


def first_words() -> list[str]:
    """What may follow ``vmgr dm``: subcommands and groups, sorted."""
    return sorted({*(name for name in SUBCOMMANDS if " " not in name), *GROUPS, "help"})
