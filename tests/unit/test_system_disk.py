"""Disks: one suite over every implementation, then what is each one's own."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgr.core.errors import DeviceError, InUse, NotFound, NotPermitted
from vmgr.core.units import Bytes
from vmgr.system.disk import Disk, open_error
from vmgr.testing.memory_disk import Journal, MemoryDisk, after_cut, sector_count

SIZE = 1 << 20
RANGES = [(0, 512), (4096, 512), (1, 1), (511, 2), (5000, 9000), (SIZE - 1, 1)]


class Blocks(Disk):
    """An image file that takes transfers in whole blocks only, as a device does."""

    block = 512

    @classmethod
    def of(cls, path, block):
        disk = cls.open(str(path), write=True)
        disk.logical_block = block
        return disk

    def _put(self, offset, view):
        assert offset % self.logical_block == 0
        assert len(view) % self.logical_block == 0
        super()._put(offset, view)


@pytest.fixture(params=["file", "blocks of 512", "blocks of 4096", "memory"])
def disk(request, tmp_path):
    """A disk of 1 MiB that holds a pattern."""
    pattern = bytes(n % 251 for n in range(SIZE))
    path = tmp_path / "disk"
    path.write_bytes(pattern)
    if request.param == "memory":
        yield MemoryDisk(Bytes(SIZE), content=pattern)
        return
    made = (
        Disk.open(str(path), write=True)
        if request.param == "file"
        else Blocks.of(path, 512 if "512" in request.param else 4096)
    )
    with made as disk:
        yield disk


def test_size(disk):
    """The size in bytes."""
    assert disk.size == Bytes(SIZE)


@pytest.mark.parametrize(("offset", "length"), RANGES)
def test_reading_any_range(disk, offset, length):
    """Exactly the bytes asked for, aligned or not."""
    assert disk.read(Bytes(offset), Bytes(length)) == bytes(n % 251 for n in range(offset, offset + length))


@pytest.mark.parametrize(("offset", "length"), RANGES)
def test_writing_any_range_leaves_its_neighbours(disk, offset, length):
    """A write changes its bytes and no others, also where blocks are larger than it."""
    before = disk.read(Bytes(0), Bytes(SIZE))
    disk.write(Bytes(offset), b"\xff" * length)
    disk.flush()
    assert disk.read(Bytes(0), Bytes(SIZE)) == before[:offset] + b"\xff" * length + before[offset + length :]


def test_zeroing(disk):
    """Zeros in the range, the rest as it was."""
    before = disk.read(Bytes(0), Bytes(SIZE))
    disk.zero(Bytes(1000), Bytes(5000))
    assert disk.read(Bytes(0), Bytes(SIZE)) == before[:1000] + bytes(5000) + before[6000:]


@pytest.mark.parametrize(
    "call",
    [
        lambda disk: disk.write(Bytes(SIZE - 10), bytes(11)),
        lambda disk: disk.zero(Bytes(SIZE - 10), Bytes(11)),
        lambda disk: disk.read(Bytes(SIZE - 10), Bytes(8192)),
    ],
    ids=["write", "zero", "read"],
)
def test_past_the_end_is_an_error_and_changes_nothing(disk, call):
    """No transfer reaches beyond the device, and none is cut short in silence."""
    before = disk.read(Bytes(0), Bytes(SIZE))
    with pytest.raises(DeviceError):
        call(disk)
    assert disk.read(Bytes(0), Bytes(SIZE)) == before
    assert disk.size == SIZE


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20000), st.binary(max_size=9000)), max_size=6))
def test_every_disk_does_the_same(tmp_path_factory, writes):
    """Any sequence of writes leaves the same bytes on every kind of disk."""
    path = tmp_path_factory.mktemp("disk") / "disk"
    path.write_bytes(bytes(32768))
    memory = MemoryDisk(Bytes(32768))
    with Blocks.of(path, 4096) as blocks:
        for offset, data in writes:
            memory.write(Bytes(offset), data)
            blocks.write(Bytes(offset), data)
    assert path.read_bytes() == bytes(memory.data)


def test_a_large_write_goes_in_parts(tmp_path):
    """More than a buffer's worth is written whole."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(5 << 20))
    data = os.urandom((3 << 20) + 700)
    with Blocks.of(path, 512) as disk:
        disk.write(Bytes(100), data)
    assert path.read_bytes()[100 : 100 + len(data)] == data


def test_what_cannot_be_opened(tmp_path):
    """A missing device, and something that is no device."""
    with pytest.raises(NotFound):
        Disk.open(str(tmp_path / "none"))
    with pytest.raises(DeviceError, match="not a block device"):
        Disk.open(str(tmp_path))
    with pytest.raises(DeviceError, match="not a block device"):
        Disk.open("/dev/null")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EBUSY, InUse), (errno.EACCES, NotPermitted), (errno.EPERM, NotPermitted),
        (errno.ENOENT, NotFound), (errno.ENXIO, NotFound), (errno.ENOMEDIUM, NotFound),
        (errno.EROFS, DeviceError), (errno.EIO, DeviceError),
    ],
)  # fmt: skip
def test_each_way_to_fail_has_its_class_and_a_hint(number, kind):
    """The kernel's errno decides; every error says what to do."""
    error = open_error("/dev/nonesuch", OSError(number, os.strerror(number)), write=True)
    assert type(error) is kind
    assert "/dev/nonesuch" in error.message
    assert error.hint


def test_a_read_error_names_device_place_and_reason(tmp_path):
    """What the operator needs to find the broken disk."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096))
    disk = Disk.open(str(path))
    os.close(disk.fd)
    with pytest.raises(DeviceError, match=r"disk: read of 512 bytes at byte 1024 failed"):
        disk.read(Bytes(1024), Bytes(512))
    disk.fd = -1


def test_a_disk_never_takes_the_place_of_standard_error(tmp_path):
    """In a program that was started without standard files, what is printed does not go onto a disk."""
    path = tmp_path / "disk"
    path.write_bytes(bytes(4096))
    code = f"""
import os
for fd in (0, 1, 2):
    os.close(fd)
from vmgr.system.disk import Disk
disk = Disk.open({str(path)!r}, write=True)
os._exit(disk.fd)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode > 2


# -- power cuts -----------------------------------------------------------------------------------


def test_flushed_writes_survive_a_cut():
    """Everything before the last flush is there, whatever happens to later writes."""
    disk = MemoryDisk(Bytes(4096))
    disk.write(Bytes(0), b"a" * 512)
    disk.flush()
    disk.write(Bytes(512), b"b" * 1024)
    assert after_cut(disk.before, disk.log, [0]) == b"a" * 512 + bytes(3584)
    assert after_cut(disk.before, disk.log, [1]) == b"a" * 512 + b"b" * 512 + bytes(3072)
    assert after_cut(disk.before, disk.log, []) == bytes(disk.data)


def test_loose_writes_survive_one_without_the_other():
    """Between flushes a later write may reach the medium and an earlier one not."""
    disk = MemoryDisk(Bytes(2048))
    disk.write(Bytes(0), b"a" * 512)
    disk.write(Bytes(512), b"b" * 512)
    assert after_cut(disk.before, disk.log, [0, 1]) == bytes(512) + b"b" * 512 + bytes(1024)


def test_writes_are_cut_at_sectors_of_the_disk():
    """A drive writes whole sectors, so an unaligned write is cut at the disk's boundary."""
    disk = MemoryDisk(Bytes(2048))
    disk.write(Bytes(500), b"x" * 600)
    assert sector_count(disk.log[0]) == 3
    assert after_cut(disk.before, disk.log, [1]) == bytes(500) + b"x" * 12 + bytes(1536)


def test_a_disk_in_memory_goes_with_its_last_user() -> None:
    """Its journal, which has it in its events, does not keep it: a run of tests makes thousands of them."""
    gc.disable()
    try:
        journal = Journal()
        disk = MemoryDisk(Bytes(4096), journal=journal)
        disk.write(Bytes(0), b"x")
        assert [owner for owner, _ in journal.events] == [disk]
        there = weakref.ref(disk)
        del disk, journal
        assert there() is None
    finally:
        gc.enable()
