"""Options that several changing commands share, each written once."""

from __future__ import annotations

from vmgr.cli.declare import Option
from vmgr.core.model import POLICIES

AUTOBACKUP = Option(
    "autobackup",
    "yesno",
    "Whether to keep archive and backup files of the metadata (usually y, see lvm.conf).",
    "A",
)
FORCE = Option("force", "count", "Override checks and questions; given twice, more of them. Use with care.", "f")
NOUDEVSYNC = Option(
    "noudevsync",
    "flag",
    "Do not wait for udev. Only for systems without udev, or whose rules ignore these devices.",
)
REPORTFORMAT = Option(
    "reportformat",
    "word",
    "The format of output: json prints one document with what was done, errors included; see vmgr-json(7).",
    choices=("basic", "json", "json_std"),
)
SELECT = Option("select", "text", "Take everything that matches these criteria; see lvmreport(7).", "S", many=True)
ADDTAG = Option("addtag", "tag", "Add a tag. May be repeated.", many=True)
DELTAG = Option("deltag", "tag", "Take a tag away. May be repeated.", many=True)
ALLOC = Option(
    "alloc",
    "word",
    "The allocation policy: contiguous (one run of extents), cling (on the same PVs), cling_by_tags, normal"
    " (stripes on different PVs), anywhere, or inherit (the group's).",
    choices=POLICIES,
)
CONTIGUOUS = Option("contiguous", "yesno", "y is --alloc contiguous, n is --alloc inherit.", "C")
ACTIVATE = Option(
    "activate",
    "activation",
    "Whether volumes are active: y makes them so, n the opposite, ay only if lvm.conf"
    " (auto_activation_volume_list) and their autoactivation property say so. ey and sy mean y, ly y and ln n.",
    "a",
    aliases=("available",),
)
ACTIVATIONMODE = Option(
    "activationmode",
    "word",
    "What to activate when PVs are missing: complete (only volumes with all their PVs), degraded (also redundant"
    " ones), partial (also with holes, for rescue).",
    choices=("partial", "degraded", "complete"),
)
IGNORESKIP = Option("ignoreactivationskip", "flag", "Also activate volumes that are marked to be left out.", "K")
SKIP = Option("setactivationskip", "yesno", "Whether the volume is left out of activation unless -K is given.", "k")
AUTOACTIVATION = Option(
    "setautoactivation", "yesno", "Whether commands with -aay, such as those that run at boot, activate it."
)
PARTIAL = Option("partial", "flag", "The same as --activationmode partial.", "P")
SYSINIT = Option(
    "sysinit", "flag", "For early boot scripts: go on without locks that cannot be had; implies --poll n."
)
IGNORELOCK = Option("ignorelockingfailure", "flag", "Go on without a lock when it cannot be had, reading only.")
READONLY = Option("readonly", "flag", "Read the disks without locks and without asking the kernel.")
MONITOR = Option("monitor", "yesno", "Accepted for LVM2's sake; vmgr does not start monitoring by dmeventd.")
IGNOREMONITORING = Option("ignoremonitoring", "flag", "Accepted for LVM2's sake; vmgr does not use dmeventd.")
POLL = Option(
    "poll",
    "yesno",
    "y waits for the end of what the kernel is doing in the volumes (a merge), and writes it down. With an"
    " activation that is done in the background, by itself; n leaves it undone.",
)
METADATAPROFILE = Option("metadataprofile", "text", "The metadata profile to use and to keep with the new object.")
IGNORESKIPPED = Option("ignoreskippedcluster", "flag", "Accepted for LVM2's sake; there are no clustered groups.")
PERMISSION = Option("permission", "permission", "Whether the volume may be written to: rw or r.", "p")
READAHEAD = Option("readahead", "readahead", "Read-ahead in sectors; auto leaves it to the kernel, none is 0.", "r")
PERSISTENT = Option(
    "persistent", "yesno", "Whether the device always has the same numbers (--minor, --major).", "M"
)
MAJOR = Option("major", "number", "The major number for --persistent y. Modern kernels give it by themselves.", "j")
MINOR = Option("minor", "number", "The minor number for --persistent y.")
TYPE = Option(
    "type", "text", "The kind of volume, as a target plugin calls it; `vmgr plugins` lists them.", metavar="Type"
)
RESIZEFS = Option(
    "resizefs",
    "flag",
    "Resize what lies on the volume with it: ext2 to ext4 (resize2fs), XFS (xfs_growfs, only larger), btrfs, swap"
    " (mkswap), each also in a LUKS container (cryptsetup).",
    "r",
)

LABEL = (
    Option(
        "dataalignment", "size", "Align the start of the data area to a multiple of this.", unit="k", zero=True
    ),
    Option(
        "dataalignmentoffset", "size", "Shift the start of the data area by this much more.", unit="k", zero=True
    ),
    Option("labelsector", "number", "The sector of the label, 0 to 3 (usually 1)."),
    Option("metadatasize", "size", "About how much space a metadata area takes.", zero=True),
    Option(
        "metadatatype", "word", "The format of the metadata; there is one.", "M", choices=("lvm2", "2")
    ),
    Option(
        "pvmetadatacopies",
        "word",
        "How many metadata areas each new PV has: 0, 1 (at its start) or 2 (also at its end).",
        choices=("0", "1", "2"),
    ),
    Option("zero", "yesno", "Whether to clear the first four sectors of the device (usually y).", "Z"),
)  # fmt: skip
"""Options of a new PV that pvcreate, vgcreate and vgextend share."""

PV_LABEL = tuple(
    option.with_aliases("metadatacopies") if option.name == "pvmetadatacopies" else option for option in LABEL
)
"""Those of pvcreate, where ``--metadatacopies`` means the areas of each PV, as it means the group's elsewhere."""

METADATAIGNORE = Option("metadataignore", "yesno", "With y, keep no metadata in the PV's metadata areas.")
VGMETADATACOPIES = Option(
    "vgmetadatacopies",
    "copies",
    "In how many PVs' areas to keep the metadata: a number, all, or unmanaged (every area, as they are).",
    metavar="all|unmanaged|Number",
    aliases=("metadatacopies",),
)
EXTENTSIZE = Option(
    "physicalextentsize", "size", "The size of an extent; a power of 2, or a multiple of 128 KiB.", "s"
)
MAXLV = Option(
    "maxlogicalvolumes", "number", "The largest number of volumes; 0 is no limit.", "l", aliases=("logicalvolume",)
)
MAXPV = Option("maxphysicalvolumes", "number", "The largest number of physical volumes; 0 is no limit.", "p")
SYSTEMID = Option("systemid", "text", "The system ID of the group, which says what host may use it.")
