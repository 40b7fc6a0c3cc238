"""The on-disk format against Debian's lvm2: each reads what the other wrote, on the same loop devices."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.support.ondisk import HEADER, NO_TARGETS, TARGETS, Rows
from vmgr.core.errors import Refused
from vmgr.core.ids import LvName, Tag, Uuid, VgName
from vmgr.core.model import LogicalVolume, PhysicalVolume, PvArea, Segment, UnknownBody, VolumeGroup
from vmgr.core.pv import PvLayout
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.ondisk import label, mda
from vmgr.ondisk.codec import decode_group, encode_group, to_bytes
from vmgr.ondisk.layout import data_start, extent_count, new_layout
from vmgr.ondisk.text import parse

pytestmark = requires_lvm2

MIB = 1 << 20
PV_ID = Uuid("aaaaaabbbbccccddddeeeeffff" + "000000")
OTHER_ID = Uuid("Aaaaaabbbbccccddddeeeeffff" + "111111")


@pytest.fixture
def lvm(tmp_path: Path) -> Iterator[Lvm2]:
    with Lvm2(tmp_path / "lvm2") as lvm2:
        yield lvm2


class Device:
    """A loop device, read and written past the page cache of nobody: plain files opened anew each time."""

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self, offset: Bytes | int, length: Bytes | int) -> bytes:
        with open(self.path, "rb", buffering=0) as f:
            f.seek(int(offset))
            return f.read(int(length))

    def write(self, offset: Bytes | int, data: bytes) -> None:
        with open(self.path, "r+b", buffering=0) as f:
            f.seek(int(offset))
            f.write(data)
            os.fsync(f.fileno())

    @property
    def size(self) -> Bytes:
        with open(self.path, "rb") as f:
            return Bytes(f.seek(0, os.SEEK_END))

    def layout(self) -> PvLayout:
        layout = label.decode_label(self.read(0, label.LABEL_SCAN_SIZE), self.size)
        assert layout is not None
        return layout

    def headers(self) -> list[mda.MdaHeader]:
        return [mda.decode_header(self.read(area.offset, 512), area) for area in self.layout().mdas]

    def texts(self) -> list[bytes]:
        return [mda.read_text(header, self.read) for header in self.headers()]

    def make_pv(self, layout: PvLayout) -> None:
        """Write label and empty metadata areas."""
        for area in layout.mdas:
            self.write(area.offset, mda.encode_header(mda.new_header(area)))
        self.write(layout.label_sector * 512, label.encode_label(layout))

    def store(self, text: bytes, upto: str = "commit") -> None:
        """Write a text to all areas: the text, the precommit slots, the commit slots."""
        for header in self.headers():
            plan = mda.plan_text(header, text)
            for offset, data in plan.writes:
                self.write(offset, data)
            if upto == "text":
                continue
            header = mda.precommit(header, plan.location)
            self.write(header.start, mda.encode_header(header))
            if upto == "commit":
                self.write(header.start, mda.encode_header(mda.commit(header)))


def report(lvm: Lvm2, command: str, *options: str) -> list[dict[str, str]]:
    shown = lvm.run(command, "--reportformat", "json", "--units", "b", "--nosuffix", *options)
    return json.loads(shown)["report"][0][command[:-1]]


# -- new PVs --------------------------------------------------------------------------------------

_LAYOUTS: list[tuple[int, list[str], dict[str, object]]] = [
    (8 * MIB, [], {}),
    (8 * MIB + 512 * 3, ["--metadatacopies", "2"], {"mda_copies": 2}),
    (8 * MIB, ["--metadatacopies", "0", "--labelsector", "3"], {"mda_copies": 0, "label_sector": 3}),
    (9 * MIB + 512 * 7, ["--metadatasize", "300k"], {"mda_size": Bytes(300 << 10)}),
    (9 * MIB, ["--metadatasize", "300k", "--dataalignment", "64k"],
     {"mda_size": Bytes(300 << 10), "data_alignment": Bytes(64 << 10)}),
    (9 * MIB, ["--metadatasize", "2m", "--metadatacopies", "2"], {"mda_size": Bytes(2 * MIB), "mda_copies": 2}),
    (9 * MIB, ["--metadatasize", "100m", "--metadatacopies", "2"], {"mda_size": Bytes(100 * MIB), "mda_copies": 2}),
    (9 * MIB, ["--metadatasize", "5m", "--metadatacopies", "2"], {"mda_size": Bytes(5 * MIB), "mda_copies": 2}),
    (9 * MIB, ["--dataalignment", "3m", "--dataalignmentoffset", "7s"],
     {"data_alignment": Bytes(3 * MIB), "data_alignment_offset": Bytes(7 * 512)}),
    (9 * MIB, ["--dataalignment", "96k", "--dataalignmentoffset", "5k", "--metadatacopies", "2"],
     {"data_alignment": Bytes(96 << 10), "data_alignment_offset": Bytes(5 << 10), "mda_copies": 2}),
    (9 * MIB, ["--bootloaderareasize", "1m"], {"bootloader_size": Bytes(MIB)}),
    (9 * MIB, ["--bootloaderareasize", "100k", "--dataalignment", "256k", "--metadatacopies", "2"],
     {"bootloader_size": Bytes(100 << 10), "data_alignment": Bytes(256 << 10), "mda_copies": 2}),
    (9 * MIB, ["--bootloaderareasize", "1m", "--metadatacopies", "0"],
     {"bootloader_size": Bytes(MIB), "mda_copies": 0}),
    (9 * MIB, ["--bootloaderareasize", "100m"], {"bootloader_size": Bytes(100 * MIB)}),
    (9 * MIB, ["--bootloaderareasize", "7m", "--metadatacopies", "2"],
     {"bootloader_size": Bytes(7 * MIB), "mda_copies": 2}),
    (9 * MIB, ["--metadataignore", "y"], {"ignored": True}),
    (9 * MIB, ["--dataalignment", "10m"], {"data_alignment": Bytes(10 * MIB)}),
    (3 * MIB, ["--dataalignment", "2m", "--metadatacopies", "2"],
     {"data_alignment": Bytes(2 * MIB), "mda_copies": 2}),
    (1 * MIB + 4096, [], {}),
    (1 * MIB, [], {}),
    (1 * MIB, ["--dataalignment", "64k", "--metadatasize", "128k"],
     {"data_alignment": Bytes(64 << 10), "mda_size": Bytes(128 << 10)}),
    (500 << 10, [], {}),
    (600 << 10, ["--dataalignment", "4k", "--metadatasize", "20k"],
     {"data_alignment": Bytes(4096), "mda_size": Bytes(20 << 10)}),
    (600 << 10, ["--dataalignment", "4k", "--metadatasize", "590k"],
     {"data_alignment": Bytes(4096), "mda_size": Bytes(590 << 10)}),
    (600 << 10, ["--dataalignment", "128k", "--metadatasize", "590k"],
     {"data_alignment": Bytes(128 << 10), "mda_size": Bytes(590 << 10)}),
    (512 << 10, ["--dataalignment", "4k", "--metadatasize", "600k"],
     {"data_alignment": Bytes(4096), "mda_size": Bytes(600 << 10)}),
    (512 << 10, ["--dataalignment", "4k", "--metadatasize", "200k", "--metadatacopies", "2"],
     {"data_alignment": Bytes(4096), "mda_size": Bytes(200 << 10), "mda_copies": 2}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "options", "wanted"), _LAYOUTS, ids=[f"{s}:{' '.join(o)}" for s, o, _ in _LAYOUTS]
)
def test_new_pvs_are_laid_out_as_pvcreate_does(
    lvm: Lvm2, tmp_path: Path, size: int, options: list[str], wanted: dict[str, object]
) -> None:
    """Label sector and metadata headers are pvcreate's to the byte; what it refuses is refused."""
    device = Device(lvm.disk(tmp_path / "disk", size))
    try:
        layout = new_layout(PV_ID, device.size, min_size=Bytes(512 << 10), **wanted)  # type: ignore[arg-type]
    except Refused:
        lvm.run("pvcreate", "--norestorefile", "-u", PV_ID.dashed, *options, device.path, status=5)
        return
    lvm.run("pvcreate", "--norestorefile", "-u", PV_ID.dashed, *options, device.path)
    assert evolve(device.layout(), mdas=layout.mdas) == layout
    assert label.encode_label(layout) == device.read(layout.label_sector * 512, 512)
    for area in layout.mdas:
        assert mda.encode_header(mda.new_header(area)) == device.read(area.offset, 512)


_OLD_PV = """contents = "Text Format Volume Group"
version = 1
vg {{
id = "{vg}"
seqno = 1
status = []
extent_size = {extent}
max_lv = 0
max_pv = 0
physical_volumes {{
pv0 {{
id = "{pv}"
status = []
pe_start = {start}
pe_count = {count}
}}
}}
}}
"""


@pytest.mark.parametrize("copies", [0, 1, 2])
@pytest.mark.parametrize(
    ("start", "count"), [(2048, 100), (384, 100), (384, 127), (384, 128), (70, 5), (50, 5), (8, 5), (8000, 60)]
)
def test_restored_pvs_are_laid_out_as_pvcreate_does(
    lvm: Lvm2, tmp_path: Path, start: int, count: int, copies: int
) -> None:
    """With extents nailed down by a backup, areas go around them as LVM2 puts them, or it is refused by both."""
    device = Device(lvm.disk(tmp_path / "disk", 8 * MIB))
    old = tmp_path / "old.vg"
    old.write_text(_OLD_PV.format(vg=Uuid("v" * 32).dashed, pv=PV_ID.dashed, extent=128, start=start, count=count))
    options = ("--restorefile", str(old), "-u", PV_ID.dashed, "--metadatacopies", str(copies), device.path)
    try:
        layout = new_layout(
            PV_ID,
            device.size,
            mda_copies=copies,
            data_start=Sectors(start).bytes(),
            data_size=Sectors(count * 128).bytes(),
        )
    except Refused:
        lvm.run("pvcreate", *options, status=5)
        return
    lvm.run("pvcreate", *options)
    assert device.layout() == layout


@pytest.mark.parametrize("copies", [0, 1, 2])
@pytest.mark.parametrize(("size", "extent"), [(9 * MIB + 512, 4096), (20 * MIB - 512, 65536), (33 * MIB, MIB)])
def test_extents_are_counted_as_vgcreate_does(
    lvm: Lvm2, tmp_path: Path, size: int, extent: int, copies: int
) -> None:
    """pe_count is LVM2's for each size of device, extent and number of metadata areas."""
    device = Device(lvm.disk(tmp_path / "disk", size))
    other = lvm.disk(tmp_path / "other", 9 * MIB)  # with metadata, whatever the first one has
    lvm.run("pvcreate", "--metadatacopies", str(copies), "--metadatasize", "100k", device.path)
    lvm.run("pvcreate", other)
    lvm.run("vgcreate", "-s", f"{extent}b", "vg", device.path, other)
    (row,) = report(lvm, "pvs", "-o", "pv_pe_count,pe_start", device.path)
    layout = device.layout()
    assert str(extent_count(layout, Bytes(extent).sectors())) == row["pv_pe_count"]
    assert str(data_start(layout).bytes()) == row["pe_start"]


# -- what vmgr writes, lvm2 reads -----------------------------------------------------------------


def group_on(*layouts: PvLayout) -> VolumeGroup:
    """A group with a linear volume in two pieces, a striped one and one with everything."""
    extent = Sectors(128)
    pvs = tuple(
        PhysicalVolume(
            pv.id, "/dev/null", ("ALLOCATABLE",), pv.size.sectors(), data_start(pv), extent_count(pv, extent)
        )
        for pv in layouts
    )
    first, last = pvs[0].id, pvs[-1].id

    def piece(pv: Uuid, at: int, start: int, length: int) -> Segment:
        return Segment(Extents(start), Extents(length), Rows((PvArea(pv, Extents(at), Extents(length)),)))

    lin = LogicalVolume(
        Uuid("l" * 32),
        LvName("lin"),
        created=1700000000,
        host="host.example",
        segments=(piece(first, 0, 0, 5), piece(last, 40, 5, 3)),
    )
    striped = Segment(
        Extents(0),
        Extents(4),
        Rows((PvArea(first, Extents(10), Extents(2)), PvArea(last, Extents(20), Extents(2))), stripe_size=16),
    )
    full = LogicalVolume(
        Uuid("f" * 32),
        LvName("full"),
        status=("READ", "FIXED_MINOR", "VISIBLE"),
        flags=("ACTIVATION_SKIP",),
        tags=(Tag("t#1"), Tag("u")),
        alloc="cling",
        read_ahead=512,
        major=0,
        minor=77,
        segments=(piece(first, 30, 0, 1),),
    )
    stripes = LogicalVolume(Uuid("s" * 32), LvName("str"), read_ahead=0, segments=(striped,))
    return VolumeGroup(
        Uuid("v" * 32),
        VgName("vg"),
        9,
        extent,
        tags=(Tag("vgtag"),),
        alloc="anywhere",
        max_lv=50,
        pvs=pvs,
        lvs=(lin, full, stripes),
    )


def used(layout: PvLayout) -> PvLayout:
    return evolve(layout, ext_flags=1)


@pytest.fixture
def ours(lvm: Lvm2, tmp_path: Path) -> tuple[Lvm2, list[Device], VolumeGroup]:
    """Two devices that only vmgr's code has written to, with a group on them."""
    devices = [Device(lvm.disk(tmp_path / name, 16 * MIB)) for name in ("a", "b")]
    layouts = [
        used(new_layout(PV_ID, devices[0].size, mda_copies=2)),
        used(new_layout(OTHER_ID, devices[1].size, label_sector=3, bootloader_size=Bytes(MIB))),
    ]
    group = group_on(*layouts)
    text = to_bytes(encode_group(group, TARGETS, HEADER))
    for device, layout in zip(devices, layouts, strict=True):
        device.make_pv(layout)
        device.store(text)
    return lvm, devices, group


def test_lvm2_accepts_what_is_written(ours: tuple[Lvm2, list[Device], VolumeGroup]) -> None:
    """vgck and pvck find nothing wrong, and the reports show the group as it was written."""
    lvm, devices, group = ours
    lvm.run("vgck", "vg")
    for device in devices:
        lvm.run("pvck", "--labelsector", str(device.layout().label_sector), device.path)
    (vg,) = report(lvm, "vgs", "-o", "vg_all")
    assert (vg["vg_uuid"], vg["vg_seqno"], vg["vg_tags"]) == (group.id.dashed, "9", "vgtag")
    assert (vg["vg_extent_count"], vg["vg_free_count"]) == (str(group.extents), str(group.free))
    assert (vg["vg_allocation_policy"], vg["max_lv"]) == ("anywhere", "50")
    shown = report(lvm, "lvs", "-o", "lv_name,lv_uuid,lv_size,lv_attr,lv_tags,seg_count,lv_read_ahead,lv_minor")
    assert {row["lv_name"]: row["lv_uuid"] for row in shown} == {lv.name: lv.id.dashed for lv in group.lvs}
    rows = {row["lv_name"]: row for row in shown}
    assert rows["lin"]["seg_count"] == "2"
    assert rows["lin"]["lv_size"] == str(8 * 65536)
    assert rows["full"]["lv_attr"].startswith("-rlm")
    assert rows["full"]["lv_tags"] == "t#1,u"
    assert (rows["full"]["lv_read_ahead"], rows["full"]["lv_minor"]) == (str(512 * 512), "77")
    assert rows["str"]["lv_read_ahead"] == "0"
    a, b = (device.path for device in devices)
    segments = lvm.run("lvs", "--noheadings", "-o", "lv_name,seg_start_pe,seg_pe_ranges", "vg").split("\n")
    assert sorted(" ".join(line.split()) for line in segments if line) == [
        f"full 0 {a}:30-30",
        f"lin 0 {a}:0-4",
        f"lin 5 {b}:40-42",
        f"str 0 {a}:10-11 {b}:20-21",
    ]


def test_pvck_dumps_what_was_written(ours: tuple[Lvm2, list[Device], VolumeGroup]) -> None:
    """LVM2's own look at label, headers and text finds the values that were written."""
    lvm, devices, _ = ours
    for device in devices:
        layout = device.layout()
        where = ("--labelsector", str(layout.label_sector), device.path)
        shown_lines = lvm.run("pvck", "--dump", "headers", *where)
        shown = dict(
            m.groups() for m in re.finditer(r"^ *([a-z0-9_.\[\]]+) (\S+)$", shown_lines, re.M)
        )  # fmt: skip
        assert shown["label_header.sector"] == str(layout.label_sector)
        assert shown["pv_header.pv_uuid"] == layout.id
        assert shown["pv_header.device_size"] == str(layout.size)
        for n, header in enumerate(device.headers(), 1):
            assert shown[f"mda_header_{n}.start"] == str(header.start)
            assert shown[f"mda_header_{n}.size"] == str(header.size)
            assert shown[f"mda_header_{n}.raw_locn[0].offset"] == str(header.committed.offset)
            assert int(shown[f"mda_header_{n}.raw_locn[0].checksum"], 16) == header.committed.checksum
        assert device.texts()[0] in to_bytes(lvm.run("pvck", "--dump", "metadata", *where))


def test_lvm2_changes_what_was_written(ours: tuple[Lvm2, list[Device], VolumeGroup]) -> None:
    """A volume that LVM2 adds is read; all that was there stays as it was, in every copy."""
    lvm, devices, group = ours
    lvm.create("vg", "-l2", "-nnew")
    texts = {text for device in devices for text in device.texts()}
    assert len(texts) == 1
    after = decode_group(texts.pop(), TARGETS).group
    assert after.seqno == 10
    new = after.lv_by_name["new"]
    # LVM2 notes the devices' present paths.
    paths = {PV_ID: devices[0].path, OTHER_ID: devices[1].path}
    pvs = tuple(evolve(pv, device=paths[pv.id]) for pv in group.pvs)
    assert after == evolve(group, seqno=10, pvs=pvs, lvs=(*group.lvs, new))


@pytest.mark.parametrize("upto", ["text", "precommit"])
def test_lvm2_does_not_see_what_is_not_committed(ours: tuple[Lvm2, list[Device], VolumeGroup], upto: str) -> None:
    """A change cut off before its commit is not there for LVM2, which goes on from the old group."""
    lvm, devices, group = ours
    text = to_bytes(encode_group(evolve(group, seqno=10, lvs=()), TARGETS, HEADER))
    for device in devices:
        device.store(text, upto)
    assert report(lvm, "vgs", "-o", "vg_seqno,lv_count") == [{"vg_seqno": "9", "lv_count": "3"}]
    lvm.create("vg", "-l1", "-nnew")
    assert report(lvm, "vgs", "-o", "vg_seqno,lv_count") == [{"vg_seqno": "10", "lv_count": "4"}]
    assert all(header.precommitted.empty for device in devices for header in device.headers())


def test_wiped_labels_are_gone_for_lvm2(ours: tuple[Lvm2, list[Device], VolumeGroup]) -> None:
    """After the writes of wipe_label LVM2 sees no PV, in whichever sector the label was."""
    lvm, devices, _ = ours
    for device in devices:
        for offset, data in label.wipe_label(device.read(0, label.LABEL_SCAN_SIZE)):
            device.write(offset, data)
    assert report(lvm, "pvs") == []


def test_backup_text_restores(ours: tuple[Lvm2, list[Device], VolumeGroup], tmp_path: Path) -> None:
    """vgcfgrestore takes a backup text, and what it writes is the group of that text."""
    lvm, devices, group = ours
    wanted = evolve(group, lvs=group.lvs[:2], tags=())
    backup = tmp_path / "backup.vg"
    backup.write_text(encode_group(wanted, TARGETS, HEADER, backup=True))
    lvm.run("vgcfgrestore", "-f", str(backup), "vg")
    after = decode_group(devices[0].texts()[0], TARGETS).group
    assert (after.tags, after.lvs, after.seqno) == ((), wanted.lvs, 10)


# -- what lvm2 writes, vmgr reads, and both in turn -----------------------------------------------


def test_texts_of_both_in_one_ring(lvm: Lvm2, tmp_path: Path) -> None:
    """Changes made in turn, often round the end of the ring: each is read by the other, to the last one.

    Where LVM2 puts a text is where it would have been put here, to the byte.
    """
    device = Device(lvm.disk(tmp_path / "disk", 4 * MIB))
    options = ("--metadatasize", "40k", "--dataalignment", "4k", "--metadatacopies", "2")
    lvm.run("pvcreate", *options, device.path)
    lvm.run("vgcreate", "-s", "4k", "vg", device.path)
    wraps = 0
    chance = random.Random(1)
    for turn in range(30):
        before = device.headers()
        if turn % 2:
            lvm.create("vg", "-l1", "-n", f"lv{turn}", *("--addtag", "t" * chance.randrange(1, 900)))
            for old, new, text in zip(before, device.headers(), device.texts(), strict=True):
                plan = mda.plan_text(old, text)
                assert plan.location == new.committed
                assert all(device.read(offset, len(data)) == data for offset, data in plan.writes)
        else:
            group = decode_group(device.texts()[0], TARGETS).group
            lvs = group.lvs if len(group.lvs) < 6 else group.lvs[2:]
            text = to_bytes(encode_group(evolve(group, seqno=group.seqno + 1, lvs=lvs), TARGETS, HEADER))
            device.store(text)
            (row,) = report(lvm, "vgs", "-o", "vg_seqno,lv_count")
            assert row == {"vg_seqno": str(group.seqno + 1), "lv_count": str(len(lvs))}
        wraps += sum(len(mda.pieces(header, header.committed)) - 1 for header in device.headers())
    assert wraps >= 2


def test_a_full_ring_is_full_for_both(lvm: Lvm2, tmp_path: Path) -> None:
    """The longest text that is written here is one that LVM2 reads, and it has no room for a longer one."""
    device = Device(lvm.disk(tmp_path / "disk", 4 * MIB))
    lvm.run("pvcreate", "--metadatasize", "40k", "--dataalignment", "4k", device.path)
    lvm.run("vgcreate", "-s", "4k", "vg", device.path)
    lvm.create("vg", "-l1", "-nlv")
    (header,) = device.headers()
    group = decode_group(device.texts()[0], TARGETS).group
    text = encode_group(evolve(group, seqno=7), TARGETS, HEADER)
    room = int(header.max_text) - 1 - len(text)
    device.store(to_bytes(text.replace('description = "', f'description = "{"x" * room}')))
    assert device.headers()[0].free == 0
    assert report(lvm, "vgs", "-o", "vg_seqno,vg_mda_free") == [{"vg_seqno": "7", "vg_mda_free": "0"}]
    lvm.run("vgck", "vg")


# -- segments of unknown types --------------------------------------------------------------------

_STRANGE = """
{name} {{
id = "{id}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1

segment1 {{
start_extent = 0
extent_count = 2

type = "{type}"
{fields}
}}
}}
"""


def test_unknown_types_survive_a_rewrite(lvm: Lvm2, tmp_path: Path) -> None:
    """A group with mirrors on PVs, restored by LVM2, is rewritten here with its PVs turned round: LVM2 agrees."""
    devices = [Device(lvm.disk(tmp_path / name, 8 * MIB)) for name in ("a", "b")]
    lvm.run("pvcreate", devices[0].path)
    lvm.run("pvcreate", devices[1].path)
    lvm.run("vgcreate", "-s", "64k", "vg", *(device.path for device in devices))
    text = lvm.dir.joinpath("backup", "vg").read_text()
    mirror = 'mirror_count = 2\nextents_moved = 1\nmirrors = [ "pv0", 5, "pv1", 9 ]\nregion_size = 16'
    volume = _STRANGE.format(name="mir", id=Uuid("m" * 32).dashed, type="mirror", fields=mirror)
    (tmp_path / "new.vg").write_text(
        re.sub(r"(\t}\n)(\n*}\n*)\Z", lambda m: f"{m[1]}\nlogical_volumes {{\n{volume}}}\n{m[2]}", text)
    )
    lvm.run("vgcfgrestore", "-f", str(tmp_path / "new.vg"), "vg")
    group = decode_group(devices[0].texts()[0], NO_TARGETS).group
    (lv,) = group.lvs
    assert isinstance(lv.segments[0].body, UnknownBody)
    turned = evolve(group, seqno=group.seqno + 1, pvs=group.pvs[::-1])
    for device in devices:
        device.store(to_bytes(encode_group(turned, NO_TARGETS, HEADER)))
    lvm.run("vgck", "vg")
    shown = lvm.run("lvs", "--noheadings", "-o", "devices", "vg").strip()
    assert shown == f"{devices[0].path}(5),{devices[1].path}(9)"


# -- the grammar ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        '"plain"',
        '"say \\"so\\" \\\\ \\n"',
        "'raw \"x\" \\'",
        '["a"]',
        '["a", "b # c"]',
        '["a" "b"]',
        '["a", "b",]',
        "[ # comment\n'a']",
    ],
)
def test_strings_are_read_as_lvmconfig_reads_them(lvm: Lvm2, value: str) -> None:
    """lvmconfig prints a value in the plain form; both forms are one value here."""
    text = f"devices {{ scan={value} }}"
    shown = lvm.run("lvmconfig", "--type", "current", "--config", text, "devices/scan")
    wanted = parse(text)["devices"]["scan"]  # type: ignore[call-overload,index]
    # It prints an array of one as a string.
    assert parse(shown, unique=True)["scan"] in (wanted, wanted[0] if len(wanted) == 1 else wanted)


@pytest.mark.parametrize("value", ["077", "63", "+63", "0", "00"])
def test_numbers_are_read_as_lvmconfig_reads_them(lvm: Lvm2, value: str) -> None:
    """Octal and decimal numbers are the same to both."""
    shown = lvm.run("lvmconfig", "--type", "current", "--config", f"global/umask={value}", "global/umask")
    assert parse(shown, unique=True) == parse(f"umask={value}")


def test_lvmconfigs_own_texts_are_read(lvm: Lvm2) -> None:
    """Every setting there is, with its description in comments and without: one tree, and a large one."""
    plain = parse(lvm.run("lvmconfig", "--type", "full"), unique=True)
    assert plain == parse(lvm.run("lvmconfig", "--type", "full", "--withcomments"), unique=True)
    assert plain == parse(lvm.run("lvmconfig", "--type", "full", "--withspaces"), unique=True)
    settings = [value for section in plain.values() for value in section.values()]  # type: ignore[union-attr]
    assert len(settings) > 150
    assert {type(value) for value in settings} >= {int, str, tuple}


@pytest.mark.parametrize(
    "text", ["a = ", "a { b = 1", "a = [1, 2", "a = [1 2]", "a = [,1]", "a }", "a = 1 }", "= 1", "a", "a = [[1]]"]
)
def test_what_lvmconfig_refuses_is_refused(lvm: Lvm2, text: str) -> None:
    """Broken texts are broken for both."""
    from vmgr.core.errors import DamagedMetadata

    lvm.run("lvmconfig", "--config", f"{text}\n", status=3)
    with pytest.raises(DamagedMetadata):
        parse(text)
