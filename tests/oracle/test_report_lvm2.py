"""Reports and displays against Debian's lvm2 on the same disks: the same output, byte for byte.

Both run without a device mapper here, so what depends on the kernel is unknown to both. One thing differs on
purpose and is left out: LVM2 prints 4294967295 parity chunks for free extents.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.support.stacks import GOLDEN, TARGETS
from vmgr.core.view import SystemView
from vmgr.report import DisplayRequest, ReportRequest, display, prepare, scan_lines
from vmgr.report.columns import LABEL, LV, LVATTR, LVINFO, LVSTATUS, PV, PVSEG, ROWS, SEG
from vmgr.system import config as configuration
from vmgr.system.scan import Scan

pytestmark = requires_lvm2

NOW = 1_800_000_000
"""For selections; later than the groups were made."""

NOT_ALIKE = ("parity_chunks",)


def every(*sections: int) -> str:
    """All columns of some sections that are to be alike."""
    return ",".join(str(row[0]) for row in ROWS if row[1] in sections and row[0] not in NOT_ALIKE)


VOLUME = every(LV, LVINFO, LVSTATUS, LVATTR)
PHYSICAL = every(PV, LABEL)

CHATTER = "  Ignoring supplied major"
"""What LVM2 says on standard output beside the report, when it reads the metadata."""


class Machine:
    """Disks, as lvm2 and as vmgr see them."""

    def __init__(self, lvm: Lvm2) -> None:
        self.lvm = lvm
        lvm.run("version")
        config = configuration.load((), environ={"LVM_SYSTEM_DIR": str(lvm.dir)})
        scan = Scan(config, TARGETS)
        view: SystemView = scan.view()
        scan.close()
        self.view = evolve(view, groups=tuple(g for g in view.groups if not g.foreign))

    def theirs(self, words: list[str]) -> str:
        name, *arguments = words
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC0", "LVM_SUPPRESS_FD_WARNINGS": "1"}
        done = subprocess.run(
            ["lvm", name, "--driverloaded", "n", *arguments],
            env=env | {"LVM_SYSTEM_DIR": str(self.lvm.dir)},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return "".join(line for line in done.stdout.splitlines(True) if not line.startswith(CHATTER))

    def ours(self, words: list[str]) -> str:
        name, *arguments = words
        if name.endswith("s") and len(name) == 3:
            report = prepare(report_request(name, arguments), TARGETS)
            return report.text(self.view, None)
        flags = {"-m": {"maps": True}, "-c": {"style": "colon"}, "-s": {"style": "short"}, "-v": {"verbose": 1}}
        flags |= {"-a": {"all": True}, "-u": {"uuid": True}}
        fields: dict[str, object] = {}
        for word in arguments:
            fields |= flags[word]
        request = DisplayRequest(name[:2], **fields)  # type: ignore[arg-type]
        return (display if name.endswith("display") else scan_lines)(request, self.view, None, TARGETS)


def report_request(kind: str, words: list[str]) -> ReportRequest:
    fields: dict[str, object] = {"now": NOW}
    columns: list[str] = []
    rest = iter(words)
    flags: dict[str, tuple[str, object]] = {
        "-a": ("all", True), "-v": ("verbose", 1), "--segments": ("segments", True),
        "--nosuffix": ("suffix", False), "--noheadings": ("headings", 0),
        "--aligned": ("aligned", True), "--nameprefixes": ("nameprefixes", True),
        "--unquoted": ("quoted", False), "--rows": ("rows", True), "--binary": ("binary", True),
        "--unbuffered": ("buffered", False),
    }  # fmt: skip
    valued = {
        "-O": "sort",
        "-S": "select",
        "--units": "units",
        "--separator": "separator",
        "--reportformat": "format",
    }
    for word in rest:
        if word == "-o":
            columns.append(next(rest))
        elif word.startswith("-o"):
            columns.append(word[2:])
        elif word in valued:
            fields[valued[word]] = next(rest)
        else:
            name, value = flags[word]
            fields[name] = value
    return ReportRequest(kind, columns=tuple(columns), **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module", autouse=True)
def utc():
    import time

    before = os.environ.get("TZ")
    os.environ["TZ"] = "UTC0"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory):
    """Two groups on three disks, a PV without a group and a disk that is none."""
    folder = tmp_path_factory.mktemp("report")
    mib = 1 << 20
    with Lvm2(folder / "lvm") as lvm:
        a, b, c, d, _ = (lvm.disk(folder / f"{name}.img", 96 * mib) for name in "abcde")
        lvm.run("pvcreate", "--metadatacopies", "2", b)
        lvm.run("pvcreate", "--bootloaderareasize", "2m", d)
        lvm.run("vgcreate", "-s", "1m", "--addtag", "fast", "--addtag", "disk", "tank", a, b)
        lvm.run("vgcreate", "-s", "4m", "--alloc", "cling", "-l", "10", "-p", "4", "other-vg", c)
        lvm.run("pvchange", "--addtag", "old", b)
        lvm.create("tank", "-n", "lin", "-L", "10m", "--addtag", "t1", "--addtag", "a2")
        lvm.create("tank", "-n", "str", "-i2", "-I64k", "-L", "8m")
        lvm.create("tank", "-n", "with-hyphen", "-L", "3m", "-pr", "-M", "y", "--minor", "77", "-r", "128")
        lvm.create("tank", "-n", "parts", "-l", "4", "--alloc", "contiguous", "-ky", "--setautoactivation", "n")
        lvm.create("tank", "-n", "next", "-l", "1")
        lvm.run("lvextend", "-l", "+5", "--alloc", "normal", "tank/parts")
        lvm.create("other-vg", "-n", "a", "-l", "3")
        lvm.run("pvchange", "-xn", c)
        yield Machine(lvm)


REPORTS = f"""
lvs
lvs -a
lvs -v
lvs --segments
lvs --segments -v
lvs -a --segments -o lv_name,seg_all
lvs -o {VOLUME} --reportformat json
lvs -a -o {VOLUME}
lvs -o {VOLUME},seg_all,vg_all --separator '|'
lvs -o vg_all
vgs
vgs -v
vgs -o all
vgs -o+lv_name,lv_attr
vgs -o+pv_name,pvseg_start
vgs -o+seg_size
pvs
pvs -a
pvs -v
pvs -o pv_all --reportformat json
pvs -o pv_all,vg_all
pvs -o vg_all
pvs -o pv_name
pvs --segments
pvs --segments -v
pvs --segments -o pvseg_all,pv_all
pvs --segments -o {PHYSICAL},{VOLUME}
pvs --segments -o {every(SEG)},{every(PVSEG)}
pvs -o+lv_name
lvs --rows
lvs --rows --separator ':' --noheadings
lvs --nameprefixes
lvs --nameprefixes --rows
lvs --nameprefixes --unquoted --noheadings
lvs --separator '|'
lvs --separator '|' --aligned
lvs --separator '%%'
lvs --noheadings -o lv_name
lvs --unbuffered
pvs --unbuffered -o pv_name,pv_size
lvs -o '#origin,data_percent'
lvs -o '#convert_lv'
lvs -o '#convert_lv,copy_percent,lv_name'
lvs -o -lv_attr
lvs -o -attr,size
lvs -o lvname,LV_Size,vgsize,name
lvs -o lv_name,lv_name
lvs -o name -o+size -o-name
lvs --segments -o lv_name,size,start
lvs -O -lv_size
lvs -O -size,+name
lvs -O lv_time,-lv_name
lvs -O lv_minor
lvs -O seg_count,vg_name
pvs -O pv_free,-pv_name
pvs -O -vg_name
lvs --units b
lvs --units B
lvs --units s --nosuffix
lvs --units S
lvs --units h
lvs --units H
lvs --units R
lvs --units k -o+seg_start,vg_free
lvs --units K
lvs --units g --nosuffix
lvs --units T
lvs --units 4m
lvs --units r --nosuffix
lvs --binary -o+lv_active_locally,lv_active_remotely,lv_active_exclusively,lv_suspended,lv_live_table,lv_device_open
lvs -O lv_active,-lv_name -o+lv_active
lvs -v -o+lv_active,lv_kernel_major,lv_kernel_minor,lv_kernel_read_ahead --reportformat json
lvs --binary -o+lv_fixed_minor,lv_merging,lv_skip_activation,lv_autoactivation
vgs --binary -o+vg_extendable,vg_partial
pvs --binary -o+pv_allocatable,pv_in_use
lvs -o+devices,seg_pe_ranges,seg_le_ranges,lv_dm_path,lv_path
lvs -o lv_name -S lv_name=none
lvs -o lv_name -S lv_name=none --reportformat json
lvs -o lv_name,lv_tags --reportformat json -O -lv_name
"""

SELECTIONS = """
tags=t1
tags={t1,a2}
tags=[t1]
tags=[a2,t1]
tags=[t1||none]
tags={t1#none}
tags!=t1
tags!={none}
tags=""
vg_tags={fast && disk}
size>8m && stripes=2
size>=8
size=8.0m
size!=8192k
size<3145729b
lv_name=~^l || vg_free < 1m
lv_name=~'n.*n$'
lv_name=~(li.)
lv_name!~"[aeiou]t"
lv_name=~{str|lin}
!(lv_name=lin)
!(lv_name=lin || lv_name=str), size>1m
(lv_name=lin || lv_name=str) && size>9m
lv_name=lin # lv_name=str , size<9m
lv_name="with-hyphen"
lv_time>2020-01-01
lv_time>=@1000000000
lv_time since "2 years ago"
lv_time after 2090
lv_time until 20900101
lv_time before '2001-09-09 01:46:40'
lv_time='2020-01-01 00:00:00 +0100'
lv_major=-1
lv_minor=77
lv_minor!=undef
lv_minor>3
lv_minor<1000
lv_read_ahead=auto
lv_read_ahead!=auto
lv_read_ahead<1m
data_percent<50
data_percent!=50
vg_permissions=rw
vg_permissions=read-only
vg_extendable=yes
vg_extendable=extendable
vg_extendable=no
vg_extendable=1
lv_fixed_minor="fixed minor"
lv_fixed_minor=fixed
lv_skip_activation=skip
lv_active=unknown
lv_active=active
lv_active=""
lv_active!=unknown
lv_active_locally=unknown
lv_active_locally=-1
lv_active_locally=0
lv_active_remotely=unknown
lv_active_exclusively=1
lv_suspended=unknown
lv_live_table=unknown
lv_device_open=-1
lv_device_open!=unknown
lv_kernel_major=-1
lv_attr=~"^....XX"
lv_health_status=undefined
lv_health_status=""
lv_permissions=ro
thin_count=undefined
thin_count!=3
zero=unknown
zero=no
vg_mda_copies=unmanaged
lv_size>1m&&lv_size<9m
seg_count=2
all
"""


def cases(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.parametrize("command", cases(REPORTS))
def test_reports_are_lvm2_s(machine: Machine, command: str) -> None:
    words = shlex.split(command)
    assert machine.ours(words) == machine.theirs(words)


@pytest.mark.parametrize("criteria", cases(SELECTIONS))
def test_selections_choose_what_lvm2_chooses(machine: Machine, criteria: str) -> None:
    words = ["lvs", "-o", "lv_name,lv_size", "-S", criteria]
    assert machine.ours(words) == machine.theirs(words)


@pytest.mark.parametrize(
    "criteria",
    ["pv_in_use=used", 'pv_in_use="in use"', "pv_in_use!=used", 'vg_name=""', "lv_name=lin", "pv_size>90m",
     "pv_attr=~^a", "pv_mda_count>1", "pv_tags=old", "pv_allocatable=allocatable", "pvseg_start>3"],
)  # fmt: skip
def test_selections_of_physical_volumes_are_lvm2_s(machine: Machine, criteria: str) -> None:
    words = ["pvs", "-S", criteria]
    assert machine.ours(words) == machine.theirs(words)


@pytest.mark.parametrize(
    "command",
    ["pvdisplay", "pvdisplay -m", "pvdisplay -c", "pvdisplay -s", "vgdisplay", "vgdisplay -v", "vgdisplay -c",
     "vgdisplay -s", "lvdisplay", "lvdisplay -m", "lvdisplay -c", "lvdisplay -a", "pvscan", "pvscan -u",
     "pvscan -s", "vgscan", "lvscan", "lvscan -a"],
)  # fmt: skip
def test_displays_and_scans_are_lvm2_s(machine: Machine, command: str) -> None:
    words = shlex.split(command)
    assert machine.ours(words) == machine.theirs(words)


# -- disks in every state -------------------------------------------------------------------------

ARCHIVES = sorted(
    path.name.removeprefix("images-").removesuffix(".tar.xz") for path in GOLDEN.glob("images-*.tar.xz")
)

NOT_SHOWN_ALIKE = {
    # Mirrors, pools and caches, of which no plugin here knows what they are made of.
    "missing": ("lv", "vgdisplay"),
    "stranger": ("lv", "vgdisplay"),
    # LVM2 hides a PV that its group has lost; here it is shown, as used by an unknown group.
    "stale": ("pv",),
}
"""Scenarios in which commands of these kinds rightly differ."""


@pytest.fixture(scope="module", params=ARCHIVES)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    folder: Path = tmp_path_factory.mktemp(request.param)
    with tarfile.open(GOLDEN / f"images-{request.param}.tar.xz") as archive:
        archive.extractall(folder)
    with Lvm2(folder / "lvm") as lvm:
        for name in "abcd":
            lvm.disk(folder / f"{name}.img")
        yield Machine(lvm)


@pytest.mark.parametrize(
    "command",
    ["pvs -a", "pvs -o pv_all,vg_name", "vgs -o vg_all", "vgs", "pvs --segments -o+lv_name,segtype", "lvs -a",
     "lvs -a -o lv_name,lv_layout,lv_role,lv_parent,lv_modules,seg_monitor,lv_ancestors,lv_descendants,origin_uuid",
     "lvs -a -o+devices,origin_size,lv_health_status,segtype,chunk_size,lv_tags", "lvdisplay", "vgdisplay -v",
     "lvs -a -o lv_name,lv_attr,lv_active,lv_active_locally,lv_active_remotely,lv_permissions",
     "lvs -a -o lv_name,lv_snapshot_invalid,lv_merge_failed,lv_merging,snap_percent,data_percent,copy_percent",
     "lvs -a -o lv_name,lv_suspended,lv_live_table,lv_inactive_table,lv_device_open,lv_kernel_minor",
     "pvdisplay -m", "lvdisplay -m", "lvscan -a", "pvscan"],
)  # fmt: skip
def test_disks_in_every_state_are_shown_alike(
    golden: Machine, command: str, request: pytest.FixtureRequest
) -> None:
    words = shlex.split(command)
    ours = golden.ours(words)
    scenario = request.node.callspec.params["golden"]
    if any(words[0].startswith(kind) for kind in NOT_SHOWN_ALIKE.get(scenario, ())):
        assert ours
    else:
        assert ours == golden.theirs(words)
