"""Disks that were away while their group changed: what vmgr makes of them, and what LVM2 finds afterwards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.ondisk.label import decode_label, encode_label

pytestmark = requires_lvm2

MIB = 1 << 20


class Disks:
    """A group ``vg`` that LVM2 made on three loop devices, some of which may be hidden from both programs."""

    def __init__(self, lvm: Lvm2, folder: Path) -> None:
        self.lvm = lvm
        self.devices = [lvm.disk(folder / name, 16 * MIB) for name in ("one", "two", "three")]
        self.hidden: list[str] = []
        self.run("lvm", "vgcreate", "vg", *self.devices)

    def run(self, program: str, command: str, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        """Run LVM2's command or vmgr's, which see the devices that are not hidden."""
        seen = "".join(f'"a|^{device}$|",' for device in self.devices if device not in self.hidden)
        config = f'devices/filter=[{seen}"r|.*|"] devices/global_filter=[{seen}"r|.*|"]'
        self.lvm.run("version")  # writes lvm.conf
        start = ["lvm"] if program == "lvm" else [sys.executable, "-m", "vmgr"]
        argv = [*start, command, "--driverloaded", "n", "--config", config, *words]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def fields(self, program: str, report: str, columns: str, *words: str) -> list[list[str]]:
        out = self.run(program, report, "--noheadings", "--separator", "|", "-o", columns, *words).stdout
        return [[cell.strip() for cell in line.split("|")] for line in out.splitlines()]


@pytest.fixture
def disks(tmp_path, monkeypatch):
    with Lvm2(tmp_path / "lvm") as lvm:
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(lvm.dir))
        monkeypatch.setenv("LVM_SUPPRESS_FD_WARNINGS", "1")
        yield Disks(lvm, tmp_path)


def outdate(disks: Disks, program: str) -> str:
    """Take the third disk out of the group while it is away; it is back afterwards."""
    away = disks.devices[2]
    disks.hidden = [away]
    disks.run(program, "vgreduce", "--removemissing", "vg")
    disks.run(program, "vgchange", "--addtag", "later", "vg")
    disks.hidden = []
    return away


@pytest.mark.parametrize("program", ["lvm", "vmgr"])
@pytest.mark.parametrize(
    "command", [("vgchange", "--addtag", "x", "vg"), ("vgck", "--updatemetadata", "vg"), ("vgremove", "-ff", "vg")]
)
def test_the_first_command_that_writes_clears_an_outdated_pv(program, command, disks):
    """However the group lost it; LVM2 has nothing to say of the disks afterwards."""
    away = outdate(disks, program)
    told = disks.run("vmgr", "vgs")
    assert f"outdated PV {away} seqno 1 has been removed in current VG vg seqno" in told.stderr
    assert disks.fields("vmgr", "vgs", "vg_name,pv_count") == [["vg", "2"]]
    done = disks.run("vmgr", *command)
    assert f"wiping mda on outdated PV {away}" in done.stderr
    gone = command[0] == "vgremove"
    for who in ("lvm", "vmgr"):
        quiet = disks.run(who, "pvs").stderr
        assert "outdated" not in quiet
        assert "nconsistent" not in quiet
        found = dict(disks.fields(who, "pvs", "pv_name,vg_name"))
        assert found == {device: "" if gone or device == away else "vg" for device in disks.devices}
        assert dict(disks.fields(who, "pvs", "pv_name,pv_in_use"))[away] == ""
    disks.run("lvm", "vgcreate", "next", away)


def test_a_report_and_a_refused_command_clear_nothing(disks):
    away = outdate(disks, "lvm")
    before = Path(away).read_bytes()
    disks.run("vmgr", "pvs", "-a")
    disks.run("vmgr", "vgck", "vg", status=5)
    disks.run("vmgr", "vgextend", "vg", away, status=5)
    disks.run("vmgr", "vgchange", "--test", "--addtag", "x", "vg")
    disks.run("vmgr", "lvcreate", "-an", "-Zn", "-Wn", "-L1t", "-n", "big", "vg", status=5)
    assert Path(away).read_bytes() == before


def test_alone_an_outdated_pv_changes_nothing(disks):
    """With the newer disks away only the old text is there: nothing can tell, so nothing is written."""
    outdate(disks, "lvm")
    disks.hidden = disks.devices[:2]
    before = Path(disks.devices[2]).read_bytes()
    assert disks.fields("vmgr", "vgs", "vg_name,vg_missing_pv_count") == [["vg", "2"]]
    disks.run("vmgr", "vgchange", "-ay", "vg", status=5)
    disks.run("vmgr", "vgck", "vg", status=5)
    disks.run("vmgr", "vgck", "--updatemetadata", "vg")
    assert Path(disks.devices[2]).read_bytes() == before


def test_a_rename_that_reached_one_disk_is_one_group_for_both_programs(disks):
    """The newest text has the name; the next change brings it to the other disks."""
    old = [Path(device).read_bytes() for device in disks.devices]
    disks.run("vmgr", "vgrename", "vg", "new")
    for device, data in zip(disks.devices[1:], old[1:], strict=True):
        with open(device, "r+b") as file:
            file.write(data[: 2 * MIB])
    assert disks.fields("vmgr", "vgs", "vg_name,pv_count,vg_missing_pv_count") == [["new", "3", "0"]]
    assert disks.fields("vmgr", "vgs", "vg_name", "new") == [["new"]]
    disks.run("vmgr", "vgs", "vg", status=5)
    # LVM2 lists one group, too, but it warns of a duplicate VGID and may use the old name.
    ((_, *counts),) = disks.fields("lvm", "vgs", "vg_name,pv_count,vg_missing_pv_count")
    assert counts == ["3", "0"]
    disks.run("vmgr", "vgchange", "--addtag", "x", "new")
    assert disks.run("lvm", "vgck", "new").stderr.count("nconsistent") == 0
    assert disks.run("vmgr", "vgs").stderr == ""


@pytest.mark.parametrize(("version", "flags", "says"), [(1, 0, "is using an old PV header"), (2, 0, "used flag")])
def test_an_old_pv_header_is_told_and_brought_up_to_date_with_the_next_change(version, flags, says, disks):
    device = disks.devices[0]
    with open(device, "r+b") as file:
        layout = decode_label(file.read(2048))
        assert layout is not None
        from attrs import evolve

        file.seek(512)
        file.write(encode_label(evolve(layout, ext_version=version, ext_flags=flags)))
    for who in ("lvm", "vmgr"):
        told = disks.run(who, "vgs").stderr
        assert f"PV {device} in VG vg" in told
        assert says in told
    disks.run("vmgr", "vgchange", "--addtag", "x", "vg")
    assert disks.fields("lvm", "pvs", "pv_ext_vsn,pv_in_use", device) == [["2", "used"]]
    assert disks.run("vmgr", "vgs").stderr == ""
