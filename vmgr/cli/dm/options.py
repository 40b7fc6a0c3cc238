"""Options that subcommands of ``vmgr dm`` share. The names, letters and meanings are dmsetup's.

A name has no hyphen, and takes a value either always or never (see :data:`vmgr.cli.dm.registry.VALUED`).
"""

from __future__ import annotations

from vmgr.cli.declare import Option

HELP = Option("help", "flag", "Show help and exit.", short="h")

COMMON = (
    Option("checks", "flag", "Accepted for dmsetup's sake: vmgr checks what it is given in any case."),
    HELP,
    Option("json", "flag", "Print what the command has to say as one JSON object on standard output."),
    Option(
        "manglename",
        "text",
        "How characters that udev does not allow in a name are written for the kernel, as \\xNN: auto (those that"
        " are not written so yet), hex (all), none."
        " The default is auto, or what DM_DEFAULT_NAME_MANGLING_MODE says.",
        metavar="auto|hex|none",
        choices=("auto", "hex", "none"),
    ),
    Option(
        "noopencount", "flag", "Do not show how often a device is open. (Older kernels answered faster without it.)"
    ),
    Option("noudevrules", "flag", "Let udev's rules leave the nodes alone; vmgr makes them."),
    Option("noudevsync", "flag", "Do not wait for udev: nodes and links come, and go, a moment later."),
    Option(
        "udevcookie",
        "text",
        "Join the udev transaction of this cookie (see udevcreatecookie): do not wait for udev, and leave the nodes"
        " to it; udevreleasecookie waits. The variable DM_UDEV_COOKIE says the same.",
        metavar="Cookie",
    ),
    Option("verbose", "count", "Show the device after a command; twice, also say what is done.", short="v"),
    Option("verifyudev", "flag", "Accepted for dmsetup's sake: vmgr checks udev's work in any case."),
    Option("version", "flag", "Show the versions of vmgr and of the kernel's device mapper, and exit."),
    Option("yes", "flag", "Answer every question with yes.", short="y"),
)
"""What every subcommand takes."""

UUID = Option("uuid", "text", "The device with this UUID, in place of a name.", short="u", metavar="UUID")
MAJOR = Option("major", "number", "With --minor: the device of this number, in place of a name.", short="j")
MINOR = Option("minor", "number", "With --major: the device of this number, in place of a name.", short="m")
WHICH = (UUID, MAJOR, MINOR)
"""How a device is named otherwise than by its name."""

INACTIVE = Option("inactive", "flag", "Look at the table that waits for a resume, not at the live one.")
NOFLUSH = Option("noflush", "flag", "Do not wait for input and output that is queued.")
NOLOCKFS = Option("nolockfs", "flag", "Do not freeze a file system on the device first.")
FORCE = Option("force", "flag", "Go on where it is dangerous; see the subcommand.", short="f")
READONLY = Option("readonly", "flag", "Load the table read-only.", short="r")
SELECT = Option(
    "select",
    "text",
    "Only devices to which this selection applies; see the fields of info.",
    short="S",
    metavar="Selection",
)
READAHEAD = Option(
    "readahead",
    "text",
    "Read-ahead in sectors: a number, +number for at least so much, auto (the kernel's choice), none.",
    metavar="[+]Sectors|auto|none",
)
ADDNODE = (
    Option("addnodeoncreate", "flag", "Make the node when the device is created, even without a table."),
    Option("addnodeonresume", "flag", "Make the node when the device is resumed. This is the default."),
)

COLUMN_OPTIONS = (
    Option("columns", "flag", "Show a line of columns for each device.", short="cC"),
    Option(
        "options",
        "text",
        "The columns, separated by commas; + in front of the list adds to the usual ones, help lists all.",
        short="o",
        metavar="Columns",
    ),
    Option(
        "sort",
        "text",
        "The columns to sort by, separated by commas; - in front of one sorts it downwards.",
        short="O",
        metavar="Columns",
    ),
    Option("nameprefixes", "flag", "Print DM_ and the column's name in front of each value."),
    Option("noheadings", "flag", "Print no headings, and a colon between columns."),
    Option("rows", "flag", "Print columns as rows."),
    Option("separator", "text", "Print this between columns, and do not align them."),
    Option("unquoted", "flag", "With --nameprefixes, put no quotes around values."),
    Option("unbuffered", "flag", "Accepted for dmsetup's sake, which pays no regard to it either."),
)
"""Options of a report in columns, without ``--select``."""
