"""The same commands, given to vmgr and to LVM2 on disks alike: the same output, the same exit status."""

from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main
from vmgr.cli.terminal import Terminal

pytestmark = requires_lvm2

MIB = 1 << 20
DISKS = 4


class Side:
    """One tool with disks of its own; its output has ``D0``, ``D1``... for them."""

    def __init__(self, directory: Path) -> None:
        self.lvm = Lvm2(directory)
        self.disks = [self.lvm.disk(directory / f"{n}.img", 64 * MIB) for n in range(DISKS)]
        self.lvm.run("vgs")  # writes the configuration

    def words(self, line: str) -> list[str]:
        for number, disk in enumerate(self.disks):
            line = line.replace(f"D{number}", disk)
        name, *rest = line.split()
        return [name, "--driverloaded", "n", *rest]

    def plain(self, text: str) -> list[str]:
        for number, disk in enumerate(self.disks):
            text = text.replace(disk, f"D{number}")
        # Rows are in the order of device names, which differ.
        rows = [" ".join(line.split()) for line in text.splitlines() if not line.startswith(NOTES)]
        return sorted(rows)


NOTES = ("  Rounding ", "  Using default stripesize", "  Reloading ", "  Ignoring stripesize")
"""Remarks, which vmgr makes on standard error."""


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    made = [Side(tmp_path_factory.mktemp("lvm2")), Side(tmp_path_factory.mktemp("vmgr"))]
    yield made
    for side in made:
        side.lvm.release()


def lvm2(side: Side, line: str) -> tuple[int, list[str]]:
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0"}
    environ |= {"LVM_SYSTEM_DIR": str(side.lvm.dir), "LVM_SUPPRESS_FD_WARNINGS": "1"}
    done = subprocess.run(
        ["lvm", *side.words(line)],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, side.plain(done.stdout)


def vmgr(side: Side, line: str, capsys, monkeypatch) -> tuple[int, list[str]]:
    monkeypatch.setenv("LVM_SYSTEM_DIR", str(side.lvm.dir))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    # LVM2 says on standard output what was done; vmgr says the same, on standard error.
    monkeypatch.setattr(Terminal, "done", lambda self, message: self.data(f"  {message}\n"))
    status = main(["vmgr", *side.words(line)])
    return status, side.plain(capsys.readouterr().out)


LINES = """
pvcreate D0
pvcreate D0 D1
pvcreate --metadatacopies 2 D2
pvs
vgcreate vg D0 D1
vgcreate vg D2
vgcreate other D0
vgs
lvcreate -an -Zn -Wn -L 8m -n one vg
lvcreate -an -Zn -Wn -L 8m -n one vg
lvcreate -an -Zn -Wn -l 100%FREE -n big vg D1
lvcreate -an -Zn -Wn -l 1 vg
lvcreate -an -Zn -Wn -L 10g vg
lvcreate -an -Zn -Wn -l 1 -n two vg D1
lvs -a -o lv_name,vg_name,lv_size,devices,lv_tags
lvs -o lv_name,lv_size vg/one
lvs vg/none
lvs none
lvs --noheadings --units b --nosuffix -o lv_name,lv_size -O -lv_size
vgs none
lvrename vg one uno
lvrename vg none dos
lvrename vg/uno vg/big
lvextend -L +5m vg/uno
lvextend -l 1 vg/uno
lvextend -L +10g vg/uno
lvextend -l +100%FREE vg/big
lvreduce -y -L -4m vg/uno
lvreduce -y -l +1 vg/uno
lvresize -y -L 4m vg/uno
lvchange -pr vg/uno
lvchange -pr vg/uno
lvchange -prw vg/uno
lvchange --addtag a --addtag b vg/uno
lvchange --deltag a vg/uno
lvchange -rnone vg/uno
lvchange --alloc cling vg/uno
lvs -o lv_name,lv_tags,lv_permissions,lv_read_ahead @b
vgchange --addtag t vg
vgchange -l 50 -p 20 vg
vgchange --alloc cling vg
vgs -o+vg_tags,max_lv,max_pv @t
vgchange -xn vg
vgextend vg D2
vgchange -xy vg
vgextend vg D2
vgextend vg D2
pvchange -xn D2
pvchange --addtag p D2
pvs -o+pv_tags
pvs D2
pvs @p
lvcreate -an -Zn -Wn -l1 vg D2
pvchange -xy D2
vgreduce vg D2
vgreduce vg D0
vgreduce --all vg
pvremove D0
pvremove D2
pvresize D1
vgrename vg new
vgrename none other
vgcfgbackup new
vgck new
vgck none
lvremove new/none
lvremove new/big
lvremove -y new/big
lvremove -f new
vgremove new
vgremove new
pvremove D0 D1
pvs
""".strip().splitlines()


def test_both_tools_say_and_answer_alike(sides, capsys, monkeypatch):
    """One sequence, for each command depends on those before it."""
    differ = []
    for line in LINES:
        theirs = lvm2(sides[0], line)
        ours = vmgr(sides[1], line, capsys, monkeypatch)
        if theirs != ours:
            differ.append(f"{line}\n    LVM2: {theirs}\n    vmgr: {ours}")
    assert not differ, "\n".join(differ)
