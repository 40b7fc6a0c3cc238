"""Groups that have one name, and ids with hyphens at other places: told apart, and taken, as LVM2 does."""

from __future__ import annotations

import io
import json
import os
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main

pytestmark = requires_lvm2

MIB = 1 << 20


class Done(NamedTuple):
    stdout: str
    stderr: str


def vmgr(*words: str, status: int = 0) -> Done:
    """Run vmgr in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        found = main(["vmgr", words[0], "--driverloaded", "n", *words[1:]])
    assert found == status, f"{words}: status {found}\n{out.getvalue()}{err.getvalue()}"
    return Done(out.getvalue(), err.getvalue())


@pytest.fixture
def lvm(tmp_path, monkeypatch):
    with Lvm2(tmp_path / "lvm") as one:
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(one.dir))
        monkeypatch.setattr("sys.stdin", io.StringIO())
        yield one


class Twins:
    """Two groups called ``twin`` on a disk each, each with a volume ``lv``."""

    def __init__(self, lvm: Lvm2, folder: Path) -> None:
        self.lvm = lvm
        self.disks = []
        self.uuids = []
        for name in "ab":
            disk = lvm.disk(folder / name, 32 * MIB)
            lvm.run("version")
            vmgr("vgcreate", "--devices", disk, "twin", disk)
            vmgr("lvcreate", "--devices", disk, "-an", "-Zn", "-Wn", "-l1", "-n", "lv", "twin")
            self.disks.append(disk)
            self.uuids.append(self.of(disk, "vg_uuid"))

    def of(self, disk: str, column: str) -> str:
        """A column of the group on a disk, as LVM2 reports it."""
        return self.lvm.run("vgs", "--devices", disk, "--noheadings", "-o", column).strip()

    def column(self, column: str) -> list[str]:
        return [self.of(disk, column) for disk in self.disks]


@pytest.fixture
def twins(lvm, tmp_path):
    return Twins(lvm, tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "lvcreate -an -Zn -Wn -l1 -n x twin", "lvremove -y twin/lv", "lvchange --addtag x twin/lv",
        "vgchange --addtag x twin", "vgremove -y twin", "vgrename twin other", "lvrename twin lv new", "vgck twin",
        "vgs twin", "lvs twin/lv",
    ],
)  # fmt: skip
def test_a_name_that_two_groups_have_is_refused_and_tells_their_uuids(twins, line):
    before = twins.column("vg_seqno")
    error = vmgr(*line.split(), status=5).stderr
    assert "multiple VGs found with the same name: twin" in error
    assert all(uuid in error for uuid in twins.uuids)
    assert twins.column("vg_seqno") == before


def test_both_are_listed(twins):
    rows = json.loads(vmgr("vgs", "--reportformat", "json", "-o", "vg_name,vg_uuid").stdout)["report"][0]["vg"]
    assert sorted(row["vg_uuid"] for row in rows) == sorted(twins.uuids)


def test_a_selection_tells_them_apart(twins):
    vmgr("vgchange", "-S", f"vg_uuid={twins.uuids[1]}", "--addtag", "second")
    assert twins.column("vg_tags") == ["", "second"]
    vmgr("lvchange", "-S", f"vg_uuid={twins.uuids[0]}", "--addtag", "first")
    assert [twins.lvm.run("lvs", "--devices", d, "--noheadings", "-o", "lv_tags").strip() for d in twins.disks] == [
        "first",
        "",
    ]
    vmgr("lvremove", "-y", "-S", f"vg_uuid={twins.uuids[1]}")
    assert twins.column("lv_count") == ["1", "0"]
    vmgr("vgremove", "-y", "-S", "vg_tags=second")
    assert vmgr("vgs", "--noheadings", "-o", "vg_uuid").stdout.split() == [twins.uuids[0]]


def test_a_selection_of_both_changes_both(twins):
    vmgr("vgchange", "-S", "vg_name=twin", "--addtag", "each")
    assert twins.column("vg_tags") == ["each", "each"]
    vmgr("vgchange", "--addtag", "all")
    assert twins.column("vg_tags") == ["all,each", "all,each"]
    vmgr("pvchange", "-xn", *twins.disks)
    assert twins.column("pv_attr") == ["u--", "u--"]


@pytest.mark.parametrize("number", [0, 1])
def test_a_uuid_names_a_group(twins, number):
    uuid = twins.uuids[number]
    vmgr("vgchange", "--addtag", "chosen", uuid)
    assert [bool(tags) for tags in twins.column("vg_tags")] == [number == 0, number == 1]
    vmgr("lvcreate", "-an", "-Zn", "-Wn", "-l1", "-n", "more", uuid)
    vmgr("lvrename", uuid, "more", "less")
    vmgr("lvextend", "-l+1", f"{uuid}/less")
    assert vmgr("lvs", "--noheadings", "-o", "lv_name", uuid).stdout.split() == ["less", "lv"]
    assert vmgr("lvs", "--noheadings", "-o", "lv_name", f"{uuid}/lv").stdout.split() == ["lv"]
    assert vmgr("vgs", "--noheadings", "-o", "vg_uuid", uuid).stdout.split() == [uuid]
    vmgr("lvremove", "-y", f"{uuid}/less")
    vmgr("vgrename", uuid, "solo")
    assert twins.column("vg_name") == ["solo" if number == 0 else "twin", "solo" if number == 1 else "twin"]
    vmgr("vgremove", "-y", "twin")
    assert vmgr("vgs", "--noheadings", "-o", "vg_uuid").stdout.split() == [uuid]


def test_a_uuid_that_no_group_has_is_not_found(twins):
    uuid = "aaaaaa-aaaa-aaaa-aaaa-aaaa-aaaa-aaaaaa"
    assert "not found" in vmgr("vgchange", "--addtag", "x", uuid, status=5).stderr
    assert twins.column("vg_tags") == ["", ""]


# -- ids as RFC 4122 writes them ------------------------------------------------------------------

TEXT = """\
contents = "Text Format Volume Group"
version = 1
rfc {{
 id = "{vg}"
 seqno = 0
 status = ["RESIZEABLE", "READ", "WRITE"]
 extent_size = 2048
 max_lv = 0
 max_pv = 0
 physical_volumes {{
  pv0 {{
   id = "{pv}"
   status = ["ALLOCATABLE"]
   pe_start = 2048
   pe_count = 30
  }}
 }}
 logical_volumes {{
  root {{
   id = "{lv}"
   status = ["READ", "WRITE", "VISIBLE"]
   segment_count = 1
   segment1 {{
    start_extent = 0
    extent_count = 2
    type = "striped"
    stripe_count = 1
    stripes = ["pv0", 3]
   }}
  }}
 }}
}}
"""
PLAIN = [f"8f0a2c{n}49f3e11ee8c900242ac120002" for n in (1, 2, 3)]
SHOWN = [f"8f0a2c-{n}49f-3e11-ee8c-9002-42ac-120002" for n in (1, 2, 3)]


def rfc4122(plain: str) -> str:
    return "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))


@pytest.mark.parametrize("form", [rfc4122, str, lambda plain: "-".join(plain)], ids=["rfc4122", "none", "all"])
@pytest.mark.parametrize("tool", ["vmgr", "lvm2"])
def test_hyphens_do_not_count_in_a_backup_nor_on_the_command_line(lvm, tmp_path, form, tool):
    """Both tools take it, and both show the form of LVM2 afterwards."""
    disk = lvm.disk(tmp_path / "disk", 32 * MIB)
    lvm.run("version")
    vg, pv, lv = (form(plain) for plain in PLAIN)
    file = tmp_path / "backup"
    file.write_text(TEXT.format(vg=vg, pv=pv, lv=lv))
    run = vmgr if tool == "vmgr" else lvm.run
    run("pvcreate", "-y", "--restorefile", str(file), "--uuid", pv, disk)
    run("vgcfgrestore", "--file", str(file), "rfc")
    for report in (lvm.run, lambda *words: vmgr(*words).stdout):
        shown = report("vgs", "--noheadings", "-o", "vg_uuid") + report("pvs", "--noheadings", "-o", "pv_uuid")
        assert (shown + report("lvs", "--noheadings", "-o", "lv_uuid")).split() == SHOWN
        assert report("lvs", "--noheadings", "-o", "seg_pe_ranges").strip() == f"{os.path.realpath(disk)}:3-4"
    assert vmgr("vgs", "--noheadings", SHOWN[0]).stdout.split()[0] == "rfc"
