"""``stats``: dmstats' subcommands, declared. What they do is in :mod:`.stats_regions` and :mod:`.stats_report`.

Regions that follow a file (``--filemap``) are not here: dmstats needs a daemon of its own for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.dm.options import COLUMN_OPTIONS, FORCE, SELECT, WHICH
from vmgr.cli.dm.stats_regions import FILE_OPTIONS, clear, create, delete, group, show, ungroup

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation

# -- what is elsewhere, imported when it is run ---------------------------------------------------------


def _list(invocation: Invocation) -> int:
    from vmgr.cli.dm.stats_report import listing

    return listing(invocation)


def _report(invocation: Invocation) -> int:
    from vmgr.cli.dm.stats_report import report

    return report(invocation)


def _version(invocation: Invocation) -> int:
    from vmgr.cli.dm.about import version

    return version(invocation)


# -- declarations ---------------------------------------------------------------------------------------

_MANY = Argument("DEVICE", "a device's name, or the path of its node", needed=False, many=True)
_ANY = Argument("DEVICE", "a device's name, or the path of its node; without one all devices", False, True)
_ALL_DEVICES = Option("alldevices", "flag", "All devices, where none is named.")
_PROGRAMS = (
    Option(
        "programid",
        "text",
        "Whose regions: those with this program ID. The default is dmstats; an empty one means all.",
        metavar="Id",
    ),
    Option("allprograms", "flag", "The regions of all programs."),
)
_ALL_REGIONS = Option("allregions", "flag", "All regions of each device.")
_REGION_ID = Option("regionid", "number", "The region of this number.")
_REGIONS = (_REGION_ID, _ALL_REGIONS)
_GROUP_ID = Option("groupid", "number", "The group of this number, which is that of its first region.")
_ALIAS = Option("alias", "text", "A name for the group, shown in place of the device's.", metavar="Name")
_OF_REGION = (("regionid", "allregions"),)
_OF_PROGRAM = (("programid", "allprograms"),)

_KINDS = (
    Option("area", "flag", "Show areas."),
    Option("region", "flag", "Show regions as a whole."),
    Option("group", "flag", "Show groups."),
)
_TABLE = (
    *WHICH,
    *_PROGRAMS,
    _REGION_ID,
    _ALL_REGIONS,
    *_KINDS,
    *COLUMN_OPTIONS,
    SELECT.with_help("Only rows to which this selection applies; -S help tells how to write one."),
    Option(
        "units",
        "text",
        "The unit of sizes: h (what suits each size, the default), or one of b s k m g t p e; a capital means"
        " powers of 1000.",
        metavar="Unit",
    ),
    Option("nosuffix", "flag", "Accepted for dmstats' sake: no unit stands behind sizes, unless --units is h."),
    Option("notimesuffix", "flag", "Print times of histograms in nanoseconds, without a unit."),
    Option("count", "text", "Make the report so many times; 0 is without end.", metavar="Number"),
    Option("interval", "text", "Wait so many seconds between reports.", metavar="Seconds"),
)

DECLARED = {
    "stats create": Command(
        "stats create",
        "Begin to count input and output in regions of devices.",
        usages=(
            "[--start Size] [--length Size] [--areas Number|--areasize Size] DEVICE ...|--alldevices",
            "--segments [--alias Name|--nogroup] DEVICE ...|--alldevices",
        ),
        run_alone=create,
        arguments=(_MANY,),
        options=(
            *WHICH,
            _ALL_DEVICES,
            Option(
                "start", "text", "Where the region starts; sectors unless a unit is given.", metavar="Size[s|UNIT]"
            ),
            Option(
                "length", "text", "How long it is; without it reaches to the device's end.", metavar="Size[s|UNIT]"
            ),
            Option("segments", "flag", "A region for each line of the device's table, and a group of them."),
            Option("areas", "number", "Divide each region into so many areas, which are counted apart."),
            Option("areasize", "text", "Divide each region into areas of this size.", metavar="Size[s|UNIT]"),
            Option(
                "bounds",
                "text",
                "Count requests by how long they take: times that part the classes, ascending, with commas and with"
                " the units ns (the default), us, ms or s. Times below a millisecond imply --precise.",
                metavar="Time[,Time]...",
            ),
            Option("precise", "flag", "Count nanoseconds, rather than milliseconds of the kernel's clock ticks."),
            Option("programid", "text", "The program ID of the region. The default is dmstats.", metavar="Id"),
            Option(
                "userdata", "text", "What is noted down with the region.", aliases=("auxdata",), metavar="String"
            ),
            _ALIAS,
            Option("nogroup", "flag", "With --segments, make no group."),
            FORCE.with_help("Let a region have no program ID (an empty --programid)."),
        ),
        exclusive=(
            ("areas", "areasize"),
            ("segments", "start"),
            ("segments", "length"),
            ("alias", "nogroup"),
        ),
        unsupported=FILE_OPTIONS,
        changes=True,
    ),
    "stats delete": Command(
        "stats delete",
        "Stop counting in regions.",
        usages=("--regionid Number|--allregions|--groupid Number DEVICE ...|--alldevices",),
        run_alone=delete,
        arguments=(_MANY,),
        options=(*WHICH, _ALL_DEVICES, *_REGIONS, _GROUP_ID, *_PROGRAMS),
        one_of=(("regionid", "allregions", "groupid"),),
        exclusive=(("regionid", "allregions", "groupid"), *_OF_PROGRAM),
        changes=True,
    ),
    "stats clear": Command(
        "stats clear",
        "Set the counters of regions to 0.",
        usages=("--regionid Number|--allregions [DEVICE ...]",),
        run_alone=clear,
        arguments=(_ANY,),
        options=(*WHICH, _ALL_DEVICES, *_REGIONS, *_PROGRAMS),
        one_of=_OF_REGION,
        exclusive=(*_OF_REGION, *_OF_PROGRAM),
        changes=True,
    ),
    "stats print": Command(
        "stats print",
        "Print the counters of regions as the kernel does.",
        usages=("[--clear] --regionid Number|--allregions [DEVICE ...]",),
        run_alone=show,
        arguments=(_ANY,),
        options=(
            *WHICH,
            _ALL_DEVICES,
            *_REGIONS,
            Option("areaid", "number", "Only the area of this number."),
            *_PROGRAMS,
            Option("clear", "flag", "Set what is printed to 0 in the same moment."),
        ),
        one_of=_OF_REGION,
        exclusive=(*_OF_REGION, *_OF_PROGRAM),
    ),
    "stats list": Command(
        "stats list",
        "List regions and groups of them; with -v their areas, too.",
        usages=("[-v] [--histogram] [-o Columns] [-O Columns] [-S Selection] [DEVICE ...]",),
        run_alone=_list,
        arguments=(_ANY,),
        options=(
            *_TABLE,
            Option("histogram", "flag", "Show the bounds of histograms."),
        ),
        exclusive=(*_OF_REGION, *_OF_PROGRAM),
    ),
    "stats report": Command(
        "stats report",
        "Show what was counted since the last report, and set it to 0.",
        usages=("[--interval Seconds] [--count Number] [-o Columns] [-O Columns] [-S Selection] [DEVICE ...]",),
        run_alone=_report,
        arguments=(_ANY,),
        options=(
            *_TABLE,
            Option("histogram", "flag", "Show histograms of how long requests took."),
            Option("relative", "flag", "With --histogram, show percentages in place of counts."),
            Option("raw", "flag", "Show counters in place of what follows from them."),
        ),
        exclusive=(*_OF_REGION, *_OF_PROGRAM),
    ),
    "stats group": Command(
        "stats group",
        "Look at several regions of a device as one.",
        usages=("[--alias Name] --regions Number[-Number][,Number...]... DEVICE ...|--alldevices",),
        run_alone=group,
        arguments=(_MANY,),
        options=(
            *WHICH,
            _ALL_DEVICES,
            Option("regions", "text", "The regions, such as 0-3,7.", metavar="Numbers"),
            _ALIAS,
            *_PROGRAMS,
        ),
        one_of=(("regions",),),
        exclusive=_OF_PROGRAM,
        changes=True,
    ),
    "stats ungroup": Command(
        "stats ungroup",
        "End a group of regions; the regions stay.",
        usages=("--groupid Number DEVICE ...|--alldevices",),
        run_alone=ungroup,
        arguments=(_MANY,),
        options=(*WHICH, _ALL_DEVICES, _GROUP_ID),
        one_of=(("groupid",),),
        changes=True,
    ),
    "stats version": Command(
        "stats version",
        "Show the versions of vmgr and of the kernel's device mapper.",
        usages=("",),
        run_alone=_version,
    ),
}
