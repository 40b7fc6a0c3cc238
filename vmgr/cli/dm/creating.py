"""``create``: new devices, one or, with ``--concise``, many."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.options import ADDNODE, MAJOR, MINOR, READAHEAD, READONLY, UUID

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


def create(invocation: Invocation) -> int:
    """Create a device, load its table and resume it."""
    raise NotImplementedError


TABLE = Option(
    "table", "text", "The table itself, its lines parted by newlines, in place of a file.", metavar="Table"
)

DECLARED = {
    "create": Command(
        "create",
        "Create a device, load its table and make it live.",
        usages=(
            "NAME [-u UUID] [-j MAJOR -m MINOR] [-r] [--notable|--table TABLE|FILE]",
            "--concise [DEVICES]",
        ),
        run_alone=create,
        arguments=(
            Argument("NAME", "the new device's name", needed=False),
            Argument("FILE", "a file that has the table; standard input without one", needed=False),
        ),
        options=(
            *ADDNODE,
            Option("concise", "flag", "Create all devices of a concise text, an argument or standard input."),
            Option("gid", "number", "The group of a node that vmgr makes.", short="G", metavar="Number"),
            MAJOR.with_help("With --minor: the new device's major number. (The kernel has one for all devices.)"),
            MINOR.with_help("With --major: the new device's minor number, for good."),
            Option("mode", "text", "The mode of a node that vmgr makes, in octal.", short="M", metavar="Mode"),
            Option("notable", "flag", "Create the device without a table.", short="n"),
            READAHEAD,
            READONLY,
            TABLE,
            Option("uid", "number", "The owner of a node that vmgr makes.", short="U", metavar="Number"),
            UUID.with_help("The new device's UUID."),
        ),
        exclusive=(("addnodeoncreate", "addnodeonresume"), ("table", "notable")),
        changes=True,
    ),
}
