"""Options of the reports: ``pvs``, ``vgs``, ``lvs`` (``OO_REPORT`` in LVM2's definitions)."""

from __future__ import annotations

from vmgr.cli.declare import Option

ALL = Option(
    "all", "flag", "Show what is hidden otherwise: helper volumes (lvs), devices that are no PVs (pvs).", "a"
)
UNITS = Option(
    "units",
    "text",
    "Units of sizes: r (readable, < marks rounding), h (readable), b, s (sectors), k, m, g, t, p, e; capitals"
    " count in thousands. A number in front makes a unit of its own, as 3M.",
    metavar="[Number]r|R|h|H|b|B|s|S|k|K|m|M|g|G|t|T|p|P|e|E",
)
REPORTFORMAT = Option(
    "reportformat", "word", "The format of output; see vmgr-json(7).", choices=("basic", "json", "json_std")
)
SELECT = Option(
    "select",
    "text",
    "Show only what matches these criteria; see lvmreport(7), and --select help.",
    "S",
    many=True,
)
FOREIGN = Option("foreign", "flag", "Also show groups that belong to other hosts.")
IGNORE_LOCK = Option("ignorelockingfailure", "flag", "Go on reading without a lock when it cannot be had.")
READONLY = Option(
    "readonly",
    "flag",
    "Read the disks without locks and without asking the kernel; whether a volume is active is not known then.",
)
SHARED = Option("shared", "flag", "Also show groups that hosts share (lock types sanlock and dlm).")
PARTIAL = Option("partial", "flag", "Accepted for LVM2's sake; groups with missing PVs are always shown.", "P")
IGNORE_SKIPPED = Option("ignoreskippedcluster", "flag", "Accepted for LVM2's sake; there are no clustered groups.")
TRUSTCACHE = Option("trustcache", "flag", "Accepted for LVM2's sake; vmgr has no such cache.")

REPORT = (
    Option("aligned", "flag", "With --separator, align columns all the same."),
    ALL,
    Option("binary", "flag", "Print 1 or 0 in columns that have two values."),
    Option(
        "configreport",
        "word",
        "Accepted with the name of this report; vmgr makes no log report.",
        choices=("log", "vg", "lv", "pv", "pvseg", "seg"),
        many=True,
    ),
    FOREIGN,
    IGNORE_LOCK,
    Option("logonly", "flag", "Accepted for LVM2's sake: print no report, only a log, which vmgr does not have."),
    Option("nameprefixes", "flag", "Print LVM2_ and the field's name in front of each value."),
    Option("noheadings", "flag", "Print no heading."),
    Option("nosuffix", "flag", "Print no unit after sizes."),
    Option(
        "options",
        "text",
        "The columns, separated by commas; + in front adds to the default ones, - removes, help lists them.",
        "o",
        metavar="Columns",
        many=True,
    ),
    READONLY,
    REPORTFORMAT,
    Option("rows", "flag", "Print columns as rows."),
    SELECT,
    Option("separator", "text", "Print this between columns."),
    SHARED,
    Option(
        "sort",
        "text",
        "The columns to sort by, separated by commas; - in front of one sorts it downwards.",
        "O",
        metavar="Columns",
        many=True,
    ),
    Option("unbuffered", "flag", "Print rows as they come, neither sorted nor aligned."),
    UNITS,
    Option("unquoted", "flag", "With --nameprefixes, put no quotes around values."),
    PARTIAL,
    IGNORE_SKIPPED,
    TRUSTCACHE,
)
