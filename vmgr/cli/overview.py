"""The commands as an operator thinks of them, and an example of each: for ``--help``.

Pure. A command in no section is listed at the end.
"""

from __future__ import annotations

SECTIONS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("See what is there", (
        "lvs", "vgs", "pvs", "lvdisplay", "vgdisplay", "pvdisplay", "lvscan", "vgscan", "pvscan",
    )),
    ("Make a group of disks", ("vgcreate", "vgextend", "pvcreate")),
    ("Make, resize and remove volumes", (
        "lvcreate", "lvextend", "lvreduce", "lvresize", "lvrename", "lvremove",
    )),
    ("Snapshots: take one with lvcreate -s, go back to it", ("lvconvert",)),
    ("Bring volumes up and down, change properties", ("vgchange", "lvchange", "pvchange")),
    ("Change or take apart a group", ("vgrename", "vgreduce", "vgremove", "pvresize", "pvremove")),
    ("When something is wrong", ("doctor", "vgck", "vgcfgrestore", "vgcfgbackup", "vgmknodes")),
    ("Below volumes, and vmgr itself", ("dm", "lab", "plugins", "segtypes", "formats", "version")),
)  # fmt: skip
"""Title of each section, and its commands."""

EXAMPLES = {
    "dm": "vmgr dm ls --tree",
    "doctor": "vmgr doctor --fix",
    "formats": "vmgr formats",
    "lab": "vmgr lab --disk a.img:1G -- vmgr pvcreate /dev/ubda",
    "lvchange": "vmgr lvchange -ay shop/home",
    "lvconvert": "vmgr lvconvert --merge shop/before",
    "lvcreate": "vmgr lvcreate -n home -L 20g shop",
    "lvdisplay": "vmgr lvdisplay shop/home",
    "lvextend": "vmgr lvextend -r -L +5g shop/home",
    "lvreduce": "vmgr lvreduce -r -L -5g shop/home",
    "lvremove": "vmgr lvremove shop/home",
    "lvrename": "vmgr lvrename shop home data",
    "lvresize": "vmgr lvresize -r -L 30g shop/home",
    "lvs": "vmgr lvs -o +devices shop",
    "lvscan": "vmgr lvscan",
    "plugins": "vmgr plugins striped",
    "pvchange": "vmgr pvchange -x n /dev/sdb",
    "pvcreate": "vmgr pvcreate /dev/sdb /dev/sdc",
    "pvdisplay": "vmgr pvdisplay -m /dev/sdb",
    "pvremove": "vmgr pvremove /dev/sdb",
    "pvresize": "vmgr pvresize /dev/sdb",
    "pvs": "vmgr pvs --segments -o +lv_name",
    "pvscan": "vmgr pvscan",
    "segtypes": "vmgr segtypes",
    "version": "vmgr version",
    "vgcfgbackup": "vmgr vgcfgbackup -f /root/shop.vg shop",
    "vgcfgrestore": "vmgr vgcfgrestore --list shop",
    "vgchange": "vmgr vgchange -ay shop",
    "vgck": "vmgr vgck shop",
    "vgcreate": "vmgr vgcreate shop /dev/sdb /dev/sdc",
    "vgdisplay": "vmgr vgdisplay shop",
    "vgextend": "vmgr vgextend shop /dev/sdd",
    "vgmknodes": "vmgr vgmknodes",
    "vgreduce": "vmgr vgreduce shop /dev/sdd",
    "vgremove": "vmgr vgremove shop",
    "vgrename": "vmgr vgrename shop store",
    "vgs": "vmgr vgs",
    "vgscan": "vmgr vgscan",
}
"""One command line for each command: the most frequent use of it."""


def sections(names: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """The sections with those of ``names`` that are in them; what is in none comes last."""
    listed = {name for _, commands in SECTIONS for name in commands}
    found = [(title, tuple(name for name in commands if name in names)) for title, commands in SECTIONS]
    others = tuple(sorted(set(names) - listed))
    return [*found, *([("More", others)] if others else [])]
