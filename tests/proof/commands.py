"""The commands that the kill matrix kills, and the group that they work on.

``vg`` lies on three disks and has a linear volume ``lin``, a striped one ``str``, an origin ``org`` with its
snapshot ``snap``, written to since, and a tag; its third disk holds no volume. The fourth disk is a physical volume
of no group, the fifth is blank.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from attrs import frozen

from tests.proof import machine
from tests.support import lab

SAVED = "/run/saved.vg"
"""A backup of ``vg`` from before its last change."""

EXTENT = 64 << 10


@frozen
class Killed:
    """A command that is killed. ``active``: the group's volumes are active when it begins."""

    name: str
    words: tuple[str, ...]
    active: bool = True
    ends: int = 0
    """The status with which it ends when nobody kills it."""
    again: tuple[str, ...] = ()
    """What an operator gives instead of the same words, where these would do something else the second time."""
    begins: tuple[str, ...] = ()
    """A command that this one stands for and begins with: it may end with that one done."""


def build(bench: machine.Bench) -> None:
    """Lay the group on the bench's disks."""
    a, b, c, d, _ = bench.disks
    bench.make(
        [
            ["vgcreate", "-q", "-s", "64k", "vg", a, b, c],
            ["lvcreate", "-y", "-q", "-l16", "-n", "lin", "vg", a],
            ["lvcreate", "-y", "-q", "-l8", "-n", "org", "vg", a],
            ["lvcreate", "-y", "-q", "-i2", "-I", "4k", "-l8", "-n", "str", "vg", a, b],
            ["pvcreate", "-q", d],
        ]
    )
    for seed, name in enumerate(("lin", "org", "str")):
        path = f"/dev/vg/{name}"
        lab.write_at(path, 0, lab.pattern(seed, lab.sectors(path) * 512))
    bench.make([["lvcreate", "-y", "-q", "-s", "-l8", "-n", "snap", "vg/org", b]])
    lab.write_at("/dev/vg/org", 0, lab.pattern(7, 3 * EXTENT))
    lab.write_at("/dev/vg/snap", 4 * EXTENT, lab.pattern(8, EXTENT))
    bench.make([["vgcfgbackup", "-q", "-f", SAVED, "vg"], ["lvchange", "-q", "--addtag", "old", "vg/lin"]])
    bench.keep()
    assert os.path.exists(SAVED)


def commands(disks: Sequence[str]) -> tuple[Killed, ...]:
    """Every command of the matrix, for a bench with these disks."""
    _a, _b, c, d, e = disks
    w = str.split
    return (
        Killed("lvcreate linear", (*w("lvcreate -y -l4 -n new vg"),)),
        Killed("lvcreate striped", (*w("lvcreate -y -i2 -I4k -l4 -n new vg"),)),
        Killed("lvcreate snapshot", (*w("lvcreate -y -s -l4 -n new vg/lin"),)),
        Killed("lvcreate second snapshot", (*w("lvcreate -y -s -l4 -n new vg/org"),)),
        Killed("lvcreate snapshot of inactive", (*w("lvcreate -y -s -l4 -n new vg/lin"),), active=False),
        Killed("lvextend linear", (*w("lvextend -l20 vg/lin"),)),
        Killed("lvextend striped", (*w("lvextend -l12 vg/str"),)),
        Killed("lvextend origin", (*w("lvextend -l12 vg/org"),), active=False),
        Killed("lvextend snapshot", (*w("lvextend -l9 vg/snap"),)),
        Killed("lvreduce linear", (*w("lvreduce -y -l12 vg/lin"),)),
        Killed("lvreduce snapshot", (*w("lvreduce -y -l7 vg/snap"),)),
        Killed("lvremove linear", (*w("lvremove -y vg/lin"),)),
        Killed("lvremove snapshot", (*w("lvremove -y vg/snap"),)),
        Killed("lvremove origin and snapshot", (*w("lvremove -y vg/org"),)),
        Killed("lvremove all", (*w("lvremove -y vg"),)),
        Killed("lvrename linear", (*w("lvrename vg lin renamed"),)),
        Killed("lvrename origin", (*w("lvrename vg org renamed"),)),
        Killed("lvrename snapshot", (*w("lvrename vg snap renamed"),)),
        Killed("lvconvert merge", (*w("lvconvert --merge vg/snap"),)),
        Killed("lvconvert merge of inactive", (*w("lvconvert --merge vg/snap"),), active=False),
        Killed("lvchange refresh", (*w("lvchange --refresh vg/org"),)),
        Killed("vgchange refresh", (*w("vgchange --refresh vg"),)),
        Killed("lvchange activate", (*w("lvchange -ay vg/org"),), active=False),
        Killed("vgchange activate", (*w("vgchange -ay vg"),), active=False),
        Killed("lvchange deactivate", (*w("lvchange -an vg/org"),)),
        Killed("vgchange deactivate", (*w("vgchange -an vg"),)),
        Killed("lvchange permission", (*w("lvchange -pr vg/lin"),)),
        Killed("lvchange tag", (*w("lvchange --addtag new vg/lin"),)),
        Killed("vgchange tag", (*w("vgchange --addtag new vg"),)),
        Killed("pvchange tag", ("pvchange", "--addtag", "new", c)),
        Killed("vgcfgrestore", (*w("vgcfgrestore -y -f"), SAVED, "vg"), active=False),
        Killed("vgcreate", ("vgcreate", "-s64k", "spare", d)),
        Killed("vgcreate of blank", ("vgcreate", "-s64k", "spare", e), begins=("pvcreate", e)),
        Killed("vgextend", ("vgextend", "vg", d)),
        Killed("vgreduce", ("vgreduce", "vg", c)),
        Killed("vgrename", (*w("vgrename vg vgnew"),)),
        Killed("vgremove", (*w("vgremove -f vg"),)),
        Killed("pvcreate", ("pvcreate", e)),
        Killed("pvremove", ("pvremove", d)),
        Killed("pvresize", ("pvresize", "-y", "--setphysicalvolumesize", "3m", c)),
    )
