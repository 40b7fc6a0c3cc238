"""The same commands, given to vmgr and to LVM2 on disks alike: the same output, the same exit status.

vmgr is called as ``lvm``: then what was done and remarks are on standard output, as LVM2 has them.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main

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
        rows = [" ".join(line.split()) for line in text.splitlines() if not line.startswith(WITH_FAILURES)]
        return sorted(rows)


WITH_FAILURES = ("  Rounding ", "  Using default stripesize")
"""Remarks that LVM2 also makes before it fails; vmgr says only why it fails."""


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    made = [Side(tmp_path_factory.mktemp("lvm2")), Side(tmp_path_factory.mktemp("vmgr"))]
    yield made
    for side in made:
        side.lvm.release()


def lvm2_run(side: Side, line: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0"}
    environ |= {"LVM_SYSTEM_DIR": str(side.lvm.dir), "LVM_SUPPRESS_FD_WARNINGS": "1"}
    return subprocess.run(
        ["lvm", *side.words(line)],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def lvm2(side: Side, line: str) -> tuple[int, list[str]]:
    done = lvm2_run(side, line)
    return done.returncode, side.plain(done.stdout)


def vmgr(side: Side, line: str, capsys, monkeypatch) -> tuple[int, list[str]]:
    status, out, _ = vmgr_run(side, line, capsys, monkeypatch)
    return status, side.plain(out)


def vmgr_run(side: Side, line: str, capsys, monkeypatch) -> tuple[int, str, str]:
    monkeypatch.setenv("LVM_SYSTEM_DIR", str(side.lvm.dir))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    capsys.readouterr()
    status = main(["lvm", *side.words(line)])
    return (status, *capsys.readouterr())


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


CALLERS = """
vgcreate vg D0 D1
lvcreate -an -Zn -Wn -L 8m -n one vg
lvcreate -an -Zn -Wn -i2 -L 8m -n str --addtag t vg
pvs --unit=b --nosuffix --nameprefixes --unquoted --noheadings -opv_name,pv_free,pv_size,pe_start,vg_name,\
vg_size,vg_free,vg_extent_size,vg_extent_count,vg_free_count,pv_count,pv_tags
pvs --unit=b --nosuffix --nameprefixes --unquoted --noheadings -opv_name,vg_name D0
vgs --noheadings --nosuffix --nameprefixes --unquoted --units=b -oname,size,free,extent_size,extent_count,\
free_count,pv_count,vg_exported,tags vg
lvs --noheadings --nosuffix --nameprefixes --unquoted --units=b -a -ovg_name,lv_name,lv_size,lv_attr,\
segtype,origin,pool_lv,data_lv,metadata_lv,role,move_pv,data_percent,metadata_percent,copy_percent,lv_tags
lvs --noheadings --nosuffix --nameprefixes --unquoted --units=b -a -ovg_name,lv_name,devices,\
metadata_devices,seg_size_pe
lvs --config=log/level=7 --noheadings -o lv_name vg
vgs --noheadings --nosuffix -o vg_name,size,free,vg_extent_size --units m --separator ; vg
lvs -a --noheadings --nosuffix -o lv_name,size,lv_attr --units m --separator ; vg
pvs --noheadings -o pv_name,vg_name --separator ;
pvdisplay --units b --columns --noheadings --nosuffix -o pv_size D0
pvdisplay --units b --columns --noheadings --nosuffix -o dev_size D0
vgs --noheadings --unit=g -o name,size,free,lv_count --separator : --nosuffix vg
lvs --noheadings --unit=g -o vg_name,name,size --nosuffix vg/one
lvs --noheadings --unit=g -o vg_name,name,size --nosuffix vg/nothing
pvs --noheadings --unit=g -o vg_name,name,size,free --separator : --nosuffix
lvdisplay --noheading -C -o Attr vg/one
vgs -o name --noheadings vg
lvs --noheadings -o lv_attr vg/one
lvremove --config activation{retry_deactivation=1} -f vg/one
lvremove --force vg/str
vgreduce --force vg D1
vgremove --force vg
""".strip().splitlines()
"""What libblockdev 2.28, Ansible's lvol and lvg (community.general 6.6) and os-brick 6.1 run, UUIDs left out."""


def test_what_programs_that_use_lvm2_run_is_answered_alike(fresh, capsys, monkeypatch):
    theirs, ours = fresh
    differ = []
    for line in CALLERS:
        one, two = lvm2(theirs, line), vmgr(ours, line, capsys, monkeypatch)
        if one != two:
            differ.append(f"{line}\n    LVM2: {one}\n    vmgr: {two}")
    assert not differ, "\n".join(differ)


def test_both_tools_say_and_answer_alike(sides, capsys, monkeypatch):
    """One sequence, for each command depends on those before it."""
    differ = []
    for line in LINES:
        theirs = lvm2(sides[0], line)
        ours = vmgr(sides[1], line, capsys, monkeypatch)
        if theirs != ours:
            differ.append(f"{line}\n    LVM2: {theirs}\n    vmgr: {ours}")
    assert not differ, "\n".join(differ)


WORDS = """
pvcreate D0
    out Physical volume "D0" successfully created
pvs D2
    err Failed to find physical volume "D2"
pvcreate D1
    err ext4 signature detected on D1 at offset 1080. Wipe it? [y/n]
pvcreate -y D1
    out Wiping ext4 signature on D1.
pvcreate D3
    out successfully created
pvcreate /dev/nosuch
    err No device found for /dev/nosuch
vgcreate vg D0 D1
    out Volume group "vg" successfully created
vgcreate vg D2
    err already exists
vgcreate two D0
    err hysical volume; is already in volume group
pvcreate D0
    err physical volume "D0" of volume group "vg" without -ff
pvremove D0
    err PV D0 is used by VG vg
vgextend none D2
    err Volume group "none" not found
vgextend vg D0
    err is already in volume group
vgs none
    err Volume group "none" not found
lvs none
    err Volume group "none" not found
lvs vg/none
    err Failed to find logical volume "vg/none"
lvcreate -an -Zn -Wn -L 8m -n one vg
    out Logical volume "one" created
    err WARNING: Logical volume vg/one not zeroed
lvcreate -an -Zn -Wn -L 5m -n odd vg
    out Rounding up size to full physical extent 8.00 MiB
lvcreate -an -Zn -Wn -i2 -L 8m -n str vg
    out Using default stripesize 64.00 KiB
lvcreate -an -Zn -Wn -L 8m -n one vg
    err "one" already exists in volume group "vg"
lvcreate -an -Zn -Wn -L 10g vg
    err Volume group "vg" has insufficient free space (24 extents): 2560 required
lvcreate -an -Zn -Wn -i5 -L 10m vg
    err Number of stripes (5) must not exceed number of physical volumes (2)
lvcreate -an -Zn -Wn -L 8m -n snapshot1 vg
    err Names starting; reserved
lvcreate -an -Zn -Wn -L 8m none
    err Volume group "none" not found
lvremove vg/none
    err Failed to find logical volume "vg/none"
lvremove none
    err Volume group "none" not found
lvextend -L 8m vg/one
    err New size (2 extents) matches existing size (2 extents)
lvextend -L +5m vg/one
    out Rounding size to boundary between physical extents: 8.00 MiB
    out Logical volume vg/one successfully resized
lvextend -L 4m vg/one
    err New size given (1 extents) not larger than existing size (4 extents)
lvextend -L +10g vg/one
    err nsufficient free space
lvextend -l +1 vg/none
    err ogical volume; none
lvreduce -L 100m vg/one
    err New size given (25 extents) not less than existing size (4 extents)
lvreduce -y -L 12m vg/one
    out changed from 16.00 MiB (4 extents) to 12.00 MiB (3 extents)
lvrename vg none other
    err ogical volume; none
lvrename vg one odd
    err "odd" already exists in volume group "vg"
lvrename vg one uno
    out Renamed "one" to "uno" in volume group "vg"
lvchange -pr vg/uno
    out Logical volume vg/uno changed
lvchange -pr vg/uno
    err Logical volume "vg/uno" is already read only
lvchange -pr vg/none
    err Failed to find logical volume "vg/none"
vgchange --addtag t vg
    out Volume group "vg" successfully changed
vgchange --addtag t none
    err Volume group "none" not found
pvchange --addtag q D0
    out Physical volume "D0" changed
    out 1 physical volume changed / 0 physical volumes not changed
pvchange -xn D0
    out Physical volume "D0" changed
pvchange -xn D0
    out Physical volume D0 not changed
    out 0 physical volumes changed / 1 physical volume not changed
pvchange -xy --addtag r D0
    out 1 physical volume changed / 0 physical volumes not changed
pvresize D0
    out 1 physical volume(s) resized or updated / 0 physical volume(s) not resized
pvresize --setphysicalvolumesize 40m D1
    err D1:; equested size 40.00 MiB is less than real size 64.00 MiB. Proceed?
vgrename vg vg
    err Old and new volume group names must differ
vgrename none other
    err Volume group "none" not found
vgrename vg neu
    out Volume group "vg" successfully renamed to "neu"
vgreduce neu D0
    err Physical volume "D0" still in use
vgcfgbackup neu
    out Volume group "neu" successfully backed up
vgcfgbackup none
    err Volume group "none" not found
vgcfgrestore neu
    out Restored volume group neu
vgck none
    err Volume group "none" not found
vgremove neu
    err Do you really want to remove volume group "neu" containing 3 logical volumes?
    err Volume group "neu" not removed
vgremove none
    err Volume group "none" not found
vgremove -y neu
    out Logical volume "uno" successfully removed
    out Volume group "neu" successfully removed
pvremove D0
    out Labels on physical volume "D0" successfully wiped
pvremove D0
    err No PV found on device D0
pvremove /dev/nosuch
    err No device found for /dev/nosuch
nosuch
    err o such command
"""
"""Commands in order; below each, on which stream which words are that scripts look for. A ; parts words."""


def commands(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Each command with (stream, words)."""
    for block in re.split(r"\n(?=\S)", text.strip()):
        line, *rows = block.splitlines()
        yield line, [(row.split()[0], words.strip()) for row in rows for words in row.strip()[4:].split(";")]


@pytest.fixture
def fresh(tmp_path):
    made = [Side(tmp_path / "lvm2"), Side(tmp_path / "vmgr")]
    for side in made:
        subprocess.run(["mkfs.ext4", "-q", "-F", side.disks[1]], check=True)
    yield made
    for side in made:
        side.lvm.release()


def test_the_words_that_scripts_look_for_are_where_lvm2_has_them(fresh, capsys, monkeypatch):
    wrong = []
    theirs, ours = fresh
    for line, wanted in commands(WORDS):
        done = lvm2_run(theirs, line)
        status, *streams = vmgr_run(ours, line, capsys, monkeypatch)
        if status != done.returncode:
            wrong.append(f"{line}: status {done.returncode} of LVM2, {status} of vmgr")
        for where, words in wanted:
            for name, side, texts in (("LVM2", theirs, (done.stdout, done.stderr)), ("vmgr", ours, streams)):
                text = texts[where == "err"]
                for number, disk in enumerate(side.disks):
                    text = text.replace(disk, f"D{number}")
                if words not in text:
                    wrong.append(f"{line}: {name} does not say {words!r} on {where}: {text!r}")
    assert not wrong, "\n".join(wrong)
