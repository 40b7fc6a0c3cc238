"""Stacks of devices on the kernel: with input and output under way, with refusals of its own, with busy devices."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.lab import pattern, read_at, run, until, with_and_without_udev, write_at
from vmgr.core.errors import InUse
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.stack import (
    StackError,
    TableChange,
    reload_stack,
    remove_stack,
    resume_stack,
    suspend_stack,
    suspended_stack,
)
from vmgr.dm.tree import DeviceTree

MIB = 2048


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    with DmClient.open() as client:
        yield client


def number(path: str) -> str:
    found = os.stat(path).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def linear(*pieces: tuple[str, int, int]) -> list[KernelLine]:
    """A table of (device, start, length) in sectors."""
    lines, start = [], 0
    for device, begin, length in pieces:
        lines.append(KernelLine(Sectors(start), Sectors(length), "linear", f"{device} {begin}"))
        start += length
    return lines


def make(dm: DmClient, name: str, lines: list[KernelLine]) -> str:
    device = dm.create(name, f"U-{name}")
    dm.load(by_name(name), lines)
    dm.resume(by_name(name))
    return f"{device.major}:{device.minor}"


def states(dm: DmClient) -> dict[str, tuple[bool, bool, tuple[KernelLine, ...] | None]]:
    return {
        device.name: (device.suspended, device.has_inactive, device.table) for device in dm.devices(tables=True)
    }


class Writer:
    """Writes records of 4 KiB to a device without end, no two alike, and reads each one back at once."""

    RECORD = 4096

    def __init__(self, path: str, size: int) -> None:
        self.count = self.errors = 0
        self.last: dict[int, int] = {}
        self._slots = size // self.RECORD
        self._path = path
        self._stop = False
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        self.go_on(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    def go_on(self, records: int) -> None:
        """Wait until so many more records are through."""
        wanted = self.count + records
        until(lambda: self.count >= wanted or not self._thread.is_alive(), "records to be written")

    def _run(self) -> None:
        fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_SYNC)
        try:
            while not self._stop:
                slot = self.count * 7 % self._slots
                record = pattern(self.count, self.RECORD)
                os.pwrite(fd, record, slot * self.RECORD)
                os.posix_fadvise(fd, slot * self.RECORD, self.RECORD, os.POSIX_FADV_DONTNEED)
                if os.pread(fd, self.RECORD, slot * self.RECORD) != record:
                    self.errors += 1
                self.last[slot] = self.count
                self.count += 1
        finally:
            os.close(fd)

    def check(self, path: str) -> None:
        """What was written last must be there."""
        assert self.errors == 0
        for slot, count in self.last.items():
            assert read_at(path, slot * self.RECORD, self.RECORD) == pattern(count, self.RECORD), slot


HOME = 1024
"""Where on the disk the data of :func:`shifted` are, whatever ``by`` is."""


def shifted(disk: str, low: str, by: int) -> list[TableChange]:
    """Tables for ``low`` and ``top``: the lower one moves away by so many sectors, the upper one moves back."""
    return [
        TableChange("top", linear((low, HOME - by, MIB))),
        TableChange("low", linear((disk, by, 3 * MIB))),
    ]


@pytest.fixture
def pair(dm: DmClient, make_disk: Callable[[float], str]) -> tuple[str, str, str]:
    """``top`` on ``low`` on a disk: the disk's path and number, and the number of ``low``."""
    disk = make_disk(4)
    low = make(dm, "low", linear((number(disk), 0, 3 * MIB)))
    make(dm, "top", linear((low, HOME, MIB)))
    return disk, number(disk), low


@with_and_without_udev
def test_data_stay_right_while_layers_change_below_running_input_and_output(
    dm: DmClient, pair: tuple[str, str, str], udev: bool
) -> None:
    """Only both old or both new tables lead to the right sectors."""
    path, disk, low = pair
    with Writer("/dev/mapper/top", 1 << 20) as writer:
        for turn in range(1, 13):
            reload_stack(dm, shifted(disk, low, turn % 4 * 256))
            writer.go_on(10)
    assert not any(suspended for suspended, *_ in states(dm).values())
    writer.check("/dev/mapper/top")
    assert read_at(path, HOME * 512, 1 << 20) == read_at("/dev/mapper/top", 0, 1 << 20)


@pytest.mark.parametrize("flush", [True, False])
def test_a_refused_table_in_the_middle_hurts_no_running_input_and_output(
    dm: DmClient, pair: tuple[str, str, str], flush: bool
) -> None:
    """The lower table is live already when the kernel refuses the upper one, which no longer fits."""
    path, disk, low = pair
    with Writer("/dev/mapper/top", 1 << 20) as writer:
        before = states(dm)
        for _ in range(5):
            with pytest.raises(StackError) as caught:
                reload_stack(
                    dm,
                    [
                        TableChange("low", linear((disk, 512, HOME))),
                        TableChange("top", linear((low, HOME - 512, MIB))),
                    ],
                    flush=flush,
                )
            assert caught.value.suspended == caught.value.done == ()
            assert states(dm) == before
            writer.go_on(10)
    writer.check("/dev/mapper/top")
    assert read_at(path, HOME * 512, 1 << 20) == read_at("/dev/mapper/top", 0, 1 << 20)


def test_a_layer_put_in_between_and_taken_out_again(dm: DmClient, pair: tuple[str, str, str]) -> None:
    low = pair[2]
    with Writer("/dev/mapper/top", 1 << 20) as writer:
        between = dm.create("between")
        number_between = f"{between.major}:{between.minor}"
        reload_stack(
            dm,
            [
                TableChange("top", linear((number_between, 0, MIB))),
                TableChange("between", linear((low, HOME, MIB))),
            ],
        )
        assert [node.name for node in DeviceTree.read(dm).top_down("top") if node.device] == [
            "top",
            "between",
            "low",
        ]
        writer.go_on(20)
        reload_stack(dm, [TableChange("top", linear((low, HOME, MIB)))])
        writer.go_on(20)
        assert remove_stack(dm, "between", retry=5).removed == ("between",)
    writer.check("/dev/mapper/top")


def test_a_suspended_stack_lets_nothing_through_until_its_end(dm: DmClient, pair: tuple[str, str, str]) -> None:
    path, disk, low = pair
    with Writer("/dev/mapper/top", 1 << 20) as writer:
        with suspended_stack(dm, "low", above=True) as held:
            assert [device.name for device in held] == ["top", "low"]
            count = writer.count
            content = read_at(path, 0, 4 << 20)
            assert all(suspended for suspended, *_ in states(dm).values())
            for change in shifted(disk, low, 256):
                dm.load(change.dev, change.lines)
            assert writer.count <= count + 1
            assert read_at(path, 0, 4 << 20) == content
        writer.go_on(20)
    writer.check("/dev/mapper/top")


def test_a_mounted_file_system_is_whole_below_a_suspended_stack(
    dm: DmClient, make_disk: Callable[[float], str], tmp_path: Path
) -> None:
    """Frozen before anything below it stops: the other way round its last writes would wait for ever."""
    disk = make_disk(32)
    low = make(dm, "low", linear((number(disk), 0, 32 * MIB)))
    make(dm, "top", linear((low, 0, 32 * MIB)))
    run("mkfs.ext4", "-q", "/dev/mapper/top")
    mount = tmp_path / "mount"
    mount.mkdir()
    run("mount", "/dev/mapper/top", str(mount))
    try:
        for i in range(50):
            (mount / f"file{i}").write_bytes(pattern(i, 20000))
        copy = tmp_path / "copy"
        with suspended_stack(dm, "low", above=True):
            content = read_at(disk, 0, 32 << 20)
        copy.write_bytes(content)
        checked = run("e2fsck", "-fn", str(copy), check=False)
        assert checked.returncode == 0, checked.stdout
        assert "clean" in run("dumpe2fs", "-h", str(copy)).stdout.partition("Filesystem state:")[2].splitlines()[0]
        reload_stack(
            dm,
            [
                TableChange("low", linear((number(disk), 0, 16 * MIB), (number(disk), 16 * MIB, 16 * MIB))),
                TableChange("top", linear((low, 0, 8 * MIB), (low, 8 * MIB, 24 * MIB))),
            ],
        )
        (mount / "after").write_bytes(b"all right")
    finally:
        run("umount", str(mount))
    assert run("e2fsck", "-fn", "/dev/mapper/top", check=False).returncode == 0
    assert len(dm.table("top")) == 2


def test_a_body_that_fails_leaves_the_stack_running_as_before(dm: DmClient, pair: tuple[str, str, str]) -> None:
    before = states(dm)
    with pytest.raises(KeyError), suspended_stack(dm, "top"):  # noqa: PT012
        dm.load("top", linear((pair[2], 0, MIB)))
        raise KeyError
    assert states(dm) == before


def test_a_table_waiting_before_waits_on_when_a_suspend_fails(
    dm: DmClient, pair: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dm.load("top", linear((pair[2], 0, MIB)))
    before = states(dm)
    waiting = dm.table("top", inactive=True)
    suspend = dm.suspend

    def failing(dev: object, **options: bool) -> object:
        if getattr(dev, "name", "") == "low":
            raise InUse("not now")
        return suspend(dev, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(dm, "suspend", failing)
    with pytest.raises(StackError, match="not now"):
        suspend_stack(dm, "low", above=True)
    assert states(dm) == before
    assert dm.table("top", inactive=True) == waiting


def test_snapshots_and_origin_are_reloaded_together(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """The origin stops first and runs last, so that no write passes a snapshot by."""
    disk, store = make_disk(4), make_disk(1)
    make(dm, "real", linear((number(disk), 0, 2 * MIB)))
    real = dm.info(name="real")
    assert real is not None
    line = KernelLine(Sectors(0), Sectors(2 * MIB), "snapshot-origin", f"{real.major}:{real.minor}")
    snap = KernelLine(Sectors(0), Sectors(2 * MIB), "snapshot", f"{real.major}:{real.minor} {number(store)} P 8")
    make(dm, "snap", [snap])
    make(dm, "origin", [line])
    old = pattern(1, 65536)
    write_at("/dev/mapper/origin", 0, old)
    write_at("/dev/mapper/snap", 1 << 20, old)
    frozen = read_at("/dev/mapper/snap", 0, 2 << 20)
    done = reload_stack(
        dm,
        [
            TableChange("origin", [line], after=("snap",)),
            TableChange("snap", [snap]),
            TableChange("real", linear((number(disk), 0, 2 * MIB))),
        ],
    )
    assert [device.name for device in done] == ["real", "snap", "origin"]
    write_at("/dev/mapper/origin", 0, pattern(2, 65536))
    assert read_at("/dev/mapper/snap", 0, 2 << 20) == frozen
    assert read_at("/dev/mapper/origin", 0, 65536) == pattern(2, 65536)


# -- removing ---------------------------------------------------------------------------------------


@with_and_without_udev
def test_a_whole_stack_is_removed_with_its_nodes(
    dm: DmClient, make_disk: Callable[[float], str], udev: bool
) -> None:
    disk = number(make_disk(4))
    below = disk
    for i in range(6):
        below = make(dm, f"level{i}", linear((below, 0, MIB)))
    removal = remove_stack(dm, "level5", retry=10)
    assert removal.removed == tuple(f"level{i}" for i in reversed(range(6)))
    assert dm.names() == ()
    assert os.listdir("/dev/mapper") == ["control"]
    if udev:
        assert run("dmsetup", "udevcookies").stdout.count("\n") <= 1


def test_a_device_held_for_a_moment_is_tried_again(dm: DmClient, pair: tuple[str, str, str]) -> None:
    fd = os.open("/dev/mapper/low", os.O_RDONLY | os.O_CLOEXEC)
    alarm = threading.Timer(0.5, os.close, (fd,))
    alarm.start()
    try:
        assert remove_stack(dm, "top", retry=30).removed == ("top", "low")
    finally:
        alarm.join()


def test_a_device_held_on_ends_the_removal_with_who_holds_it(dm: DmClient, pair: tuple[str, str, str]) -> None:
    fd = os.open("/dev/mapper/low", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with pytest.raises(StackError, match="in use") as caught:
            remove_stack(dm, "top", retry=0.3)
        assert caught.value.done == ("top",)
        assert caught.value.undone == ("low",)
        assert any(str(os.getpid()) in detail for detail in caught.value.details)
    finally:
        os.close(fd)
    assert remove_stack(dm, "low").removed == ("low",)


def test_a_deferred_removal_of_a_stack_happens_when_the_top_is_closed(
    dm: DmClient, pair: tuple[str, str, str]
) -> None:
    fd = os.open("/dev/mapper/top", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert remove_stack(dm, "top", deferred=True).deferred == ("top", "low")
        assert {entry.name for entry in dm.names()} == {"top", "low"}
    finally:
        os.close(fd)
    until(lambda: not dm.names(), "the kernel to remove them, which it does in a worker of its own")
    os.unlink("/dev/mapper/top")
    os.unlink("/dev/mapper/low")


def test_resuming_what_another_process_left_suspended(dm: DmClient, pair: tuple[str, str, str]) -> None:
    run("dmsetup", "suspend", "top")
    run("dmsetup", "suspend", "low")
    assert [device.name for device in resume_stack(dm, "top")] == ["low", "top"]
    assert not any(suspended for suspended, *_ in states(dm).values())


def test_a_new_table_that_names_a_device_by_its_path_waits_for_that_device(dm: DmClient) -> None:
    """The upper one, first by its name, fits only once the lower one has grown."""
    zeros = [KernelLine(Sectors(0), Sectors(2048), "zero", "")]
    make(dm, "b-lower", zeros)
    make(dm, "a-upper", zeros)
    grown = [KernelLine(Sectors(0), Sectors(4096), "zero", "")]
    changes = [
        TableChange(by_name("a-upper"), linear(("/dev/mapper/b-lower", 0, 4096))),
        TableChange(by_name("b-lower"), grown),
    ]
    assert [device.name for device in reload_stack(dm, changes)] == ["b-lower", "a-upper"]
    assert remove_stack(dm, "a-upper").removed == ("a-upper", "b-lower")
