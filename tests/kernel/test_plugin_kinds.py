"""What the built-in targets promise of data, on a real device mapper."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import kernel_tables, vmgr

MIB = 1 << 20
BLOCK = 4096


@pytest.fixture
def pvs(make_disk: Callable[[float], str]) -> list[str]:
    disks = [make_disk(128), make_disk(128), make_disk(128)]
    vmgr("vgcreate", "tank", *disks)
    return disks


@contextmanager
def counting(path: str, blocks: int) -> Iterator[threading.Event]:
    """Somebody who writes growing numbers into the blocks of a volume, round after round, each block in order."""
    stop = threading.Event()
    fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
    import mmap

    page = mmap.mmap(-1, BLOCK)

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            page[:8] = number.to_bytes(8, "big")
            os.pwrite(fd, page, (number % blocks) * BLOCK)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()
        page.close()
        os.close(fd)


def numbers(path: str, blocks: int) -> list[int]:
    data = lab.read_at(path, 0, blocks * BLOCK)
    return [int.from_bytes(data[n * BLOCK : n * BLOCK + 8], "big") for n in range(blocks)]


def wait_for_writes(path: str, blocks: int, *, beyond: int) -> None:
    lab.until(lambda: max(numbers(path, blocks)) > beyond, f"a number above {beyond} to be written")


def is_one_moment(found: list[int]) -> bool:
    """Whether blocks written one after the other hold the last so many numbers of some moment."""
    last = max(found)
    return sorted(found) == list(range(last - len(found) + 1, last + 1))


def test_a_snapshot_is_of_one_moment_also_under_writes(pvs: list[str]) -> None:
    """First and later snapshots: no write passes one by while it appears, and none is in only in part."""
    vmgr("lvcreate", "-n", "data", "-L", "16M", "tank")
    blocks = 64
    with counting("/dev/tank/data", blocks):
        lab.until(lambda: min(numbers("/dev/tank/data", blocks)) > 0, "all blocks to be written")
        for name in ("one", "two", "three"):
            vmgr("lvcreate", "-s", "-n", name, "-L", "8M", "tank/data")
            wait_for_writes("/dev/tank/data", blocks, beyond=max(numbers(f"/dev/tank/{name}", blocks)))
    for name in ("one", "two", "three"):
        found = numbers(f"/dev/tank/{name}", blocks)
        assert is_one_moment(found), (name, found)
        assert found == numbers(f"/dev/tank/{name}", blocks)
    order = [max(numbers(f"/dev/tank/{name}", blocks)) for name in ("one", "two", "three", "data")]
    assert order == sorted(set(order))
    vmgr("vgremove", "-y", "tank")


def test_a_mounted_file_system_is_whole_in_each_snapshot(pvs: list[str], tmp_path: Path) -> None:
    """The origin stands still, its file system frozen, until the snapshot runs: none needs its journal replayed."""
    vmgr("lvcreate", "-n", "data", "-L", "32M", "tank")
    lab.run("mkfs.ext4", "-q", "/dev/tank/data")
    lab.run("mount", "/dev/tank/data", str(tmp_path))
    try:
        for name in ("one", "two"):
            (tmp_path / name).write_text(name)
            vmgr("lvcreate", "-s", "-n", name, "-L", "8M", "tank/data")
    finally:
        lab.run("umount", str(tmp_path))
    for name, files in (("one", ["one"]), ("two", ["one", "two"])):
        features = lab.run("dumpe2fs", "-h", f"/dev/tank/{name}").stdout
        assert "has_journal" in features
        assert "needs_recovery" not in features
        listed = lab.run("debugfs", "-R", "ls -p /", f"/dev/tank/{name}").stdout
        assert [word for word in ("one", "two") if f"/{word}/" in listed] == files
    vmgr("vgremove", "-y", "tank")


def test_a_merge_leaves_other_snapshots_what_they_are(pvs: list[str]) -> None:
    vmgr("lvcreate", "-n", "data", "-L", "16M", "tank")
    first, second, third = (lab.pattern(n, 2 * MIB) for n in range(3))
    lab.write_at("/dev/tank/data", 0, first)
    vmgr("lvcreate", "-s", "-n", "early", "-L", "8M", "tank/data")
    lab.write_at("/dev/tank/data", 0, second)
    vmgr("lvcreate", "-s", "-n", "late", "-L", "12M", "tank/data")
    lab.write_at("/dev/tank/data", 0, third)
    written = lab.pattern(9, MIB)
    lab.write_at("/dev/tank/early", 4 * MIB, written)
    vmgr("lvconvert", "--merge", "tank/early")
    assert set(kernel_tables()) == {"tank-data", "tank-data-real", "tank-late", "tank-late-cow"}
    assert lab.read_at("/dev/tank/data", 0, 2 * MIB) == first
    assert lab.read_at("/dev/tank/data", 4 * MIB, MIB) == written
    assert lab.read_at("/dev/tank/late", 0, 2 * MIB) == second
    assert lab.read_at("/dev/tank/late", 4 * MIB, MIB) == bytes(MIB)
    vmgr("vgremove", "-y", "tank")


def test_a_merge_goes_on_after_a_deactivation_in_its_middle(pvs: list[str]) -> None:
    vmgr("lvcreate", "-n", "data", "-L", "64M", "tank")
    old, new = lab.pattern(1, 48 * MIB), lab.pattern(2, 48 * MIB)
    lab.write_at("/dev/tank/data", 0, old)
    vmgr("lvcreate", "-s", "-n", "snap", "-L", "64M", "tank/data")
    lab.write_at("/dev/tank/data", 0, new)
    vmgr("lvconvert", "--merge", "-b", "tank/snap")
    assert lab.read_at("/dev/tank/data", 0, MIB) == old[:MIB]
    vmgr("vgchange", "-an", "tank")
    vmgr("vgchange", "-ay", "tank")
    assert lab.read_at("/dev/tank/data", 0, 48 * MIB) == old
    vmgr("lvchange", "--poll", "y", "tank/data")
    lab.until(
        lambda: vmgr("lvs", "--noheadings", "-o", "data_percent", "tank/data").stdout.strip() in ("0.00", ""),
        "the merge to end",
    )
    assert lab.read_at("/dev/tank/data", 0, 48 * MIB) == old
    vmgr("vgremove", "-y", "tank")


def test_a_full_snapshot_is_invalid_and_its_origin_is_not(pvs: list[str]) -> None:
    vmgr("lvcreate", "-n", "data", "-L", "32M", "tank")
    vmgr("lvcreate", "-s", "-n", "snap", "-L", "4M", "tank/data")
    new = lab.pattern(1, 8 * MIB)
    lab.write_at("/dev/tank/data", 0, new)
    row = vmgr("lvs", "--noheadings", "-o", "lv_attr,data_percent,lv_snapshot_invalid", "tank/snap").stdout.split()
    assert (row[0][4], row[1]) == ("I", "100.00")
    assert lab.read_at("/dev/tank/data", 0, len(new)) == new
    done = vmgr("lvconvert", "--merge", "tank/snap", status=5)
    assert "invalidated snapshot" in done.stderr
    vmgr("lvremove", "-y", "tank/snap")
    assert set(kernel_tables()) == {"tank-data"}
    vmgr("vgremove", "-y", "tank")


def test_a_snapshot_is_extended_before_it_is_full(pvs: list[str]) -> None:
    vmgr("lvcreate", "-n", "data", "-L", "32M", "tank")
    old, new = lab.pattern(1, 12 * MIB), lab.pattern(2, 12 * MIB)
    lab.write_at("/dev/tank/data", 0, old)
    vmgr("lvcreate", "-s", "-n", "snap", "-L", "8M", "tank/data")
    lab.write_at("/dev/tank/data", 0, new[: 4 * MIB])
    vmgr("lvextend", "-L", "+12M", "tank/snap")
    lab.write_at("/dev/tank/data", 4 * MIB, new[4 * MIB :])
    assert lab.read_at("/dev/tank/snap", 0, len(old)) == old
    assert lab.read_at("/dev/tank/data", 0, len(new)) == new
    used = float(vmgr("lvs", "--noheadings", "-o", "data_percent", "tank/snap").stdout)
    assert 50 < used < 70
    assert "uses" in vmgr("lvreduce", "-y", "-L", "8M", "tank/snap", status=5).stderr
    vmgr("lvreduce", "-y", "-L", "16M", "tank/snap")
    assert lab.read_at("/dev/tank/snap", 0, len(old)) == old
    vmgr("vgremove", "-y", "tank")


@pytest.mark.parametrize("shape", [["-i", "1"], ["-i", "2", "-I", "4k"], ["-i", "3", "-I", "64k"]])
def test_sectors_lie_where_the_plugins_say(pvs: list[str], shape: list[str]) -> None:
    """What is written through a volume is read from the physical volumes at the places that ``map_read`` gives."""
    from vmgr.app import open_application
    from vmgr.core.model import PvArea
    from vmgr.core.units import Sectors

    vmgr("lvcreate", "-n", "data", "-l", "6", *shape, "tank")
    vmgr("lvextend", "-l", "+2", "-i", "2", "-I", "16k", "tank/data")
    data = lab.pattern(3, 32 * MIB)
    lab.write_at("/dev/tank/data", 0, data)
    with open_application() as app:
        (view,) = [v for v in app.view().groups if v.group.name == "tank"]
        group, targets = view.group, app.targets
        volume = group.lv_by_name["data"]
        by_pv = {uuid: pv.device for uuid, pv in view.pvs.items()}
        size = group.extent_size
        for segment in volume.segments:
            first = int(segment.start.sectors(size))
            for start, length in ((0, 300), (1000, 17), (int(segment.length.sectors(size)) - 200, 200)):
                for part in targets.map_read(group, segment, Sectors(start), Sectors(length)) or ():
                    assert isinstance(part.area, PvArea)
                    offset = group.pv_by_id[part.area.pv].pe_start + part.area.start.sectors(size) + part.offset
                    found = lab.read_at(by_pv[part.area.pv], int(offset.bytes()), int(part.length.bytes()))
                    at = (first + int(part.start)) * 512
                    assert found == data[at : at + len(found)]
    vmgr("vgremove", "-y", "tank")
