"""The device tree on the kernel: read as dmsetup reads it, drawn as dmsetup draws it, to the byte."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator

import pytest

from tests.support.lab import run
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.names import unmangle
from vmgr.dm.tree import DeviceTree
from vmgr.dm.tree_drawing import TreeStyle, draw

SIZE = 64
WORDS = (
    "device",
    "nodevice",
    "blkdevname",
    "active",
    "open",
    "rw",
    "uuid",
    "compact",
    "inverted",
    "notrunc",
    "ascii",
    "utf",
    "vt100",
    "status",
    "table",
)


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    with DmClient.open() as client:
        yield client


def number(path: str) -> str:
    found = os.stat(path).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def make(dm: DmClient, name: str, *below: str, uuid: str = "", read_only: bool = False) -> str:
    """A device of linear pieces of ``below``, or of none; its number."""
    lines = [KernelLine(Sectors(i * SIZE), Sectors(SIZE), "linear", f"{dev} 0") for i, dev in enumerate(below)] or [
        KernelLine(Sectors(0), Sectors(SIZE), "error", "")
    ]
    device = dm.create(name, uuid)
    dm.load(by_name(name), lines, read_only=read_only)
    dm.resume(by_name(name))
    return f"{device.major}:{device.minor}"


def theirs(options: str, columns: int | None, mangling: str) -> str:
    """``dmsetup ls --tree -o OPTIONS``, on a terminal of that width or into a pipe."""
    command = ["dmsetup", "--manglename", mangling, "ls", "--tree", *(["-o", options] if options else [])]
    # COLUMNS is there to be ignored.
    environment = {**os.environ, "LC_ALL": "C", "COLUMNS": "31"}
    if columns is None:
        done = subprocess.run(command, capture_output=True, env=environment, check=True)
        return done.stdout.decode("utf-8", "surrogateescape")
    ours, its = pty.openpty()
    try:
        modes = termios.tcgetattr(its)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(its, termios.TCSANOW, modes)
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(command, stdout=its, env=environment)
        pieces = []
        # The other end stays open here: what is still on its way may be lost when the last one is closed.
        while select.select([ours], [], [], 0.2)[0] or process.poll() is None:
            if select.select([ours], [], [], 0)[0]:
                pieces.append(os.read(ours, 65536))
        assert process.wait(30) == 0
    finally:
        os.close(ours)
        os.close(its)
    return b"".join(pieces).decode("utf-8", "surrogateescape")


def ours(dm: DmClient, options: str, columns: int | None, mangling: str = "auto") -> str:
    def shown(text: str) -> str:
        return text if mangling == "none" else unmangle(text, mangling)

    return draw(DeviceTree.read(dm), TreeStyle.parse(options), columns=columns, unmangle=shown)


def agree(dm: DmClient, options: str = "", columns: int | None = None, mangling: str = "auto") -> None:
    assert ours(dm, options, columns, mangling) == theirs(options, columns, mangling), (options, columns)


@pytest.fixture
def snapshots(dm: DmClient, make_disk: Callable[[float], str]) -> DmClient:
    """An origin with two snapshots, of which one is suspended, all over one disk, and a volume over the other."""
    disk, store = number(make_disk(4)), number(make_disk(1))
    real = make(dm, "vg-lv-real", disk, uuid="LVM-real")
    cow, second = make(dm, "vg-snap-cow", store), make(dm, "vg-other-cow", store)
    for name, target, params in (
        ("vg-lv", "snapshot-origin", real),
        ("vg-snap", "snapshot", f"{real} {cow} P 8"),
        ("vg-other", "snapshot", f"{real} {second} N 8"),
    ):
        dm.create(name, f"LVM-{name}")
        dm.load(by_name(name), [KernelLine(Sectors(0), Sectors(SIZE), target, params)])
        dm.resume(by_name(name))
    dm.suspend(by_name("vg-snap"))
    make(dm, "alone")
    make(dm, "for-reading", disk, read_only=True)
    return dm


@pytest.mark.parametrize("options", ["", *WORDS, "compact,inverted", "active,open,rw,uuid,blkdevname,utf"])
def test_every_option_is_drawn_as_dmsetup_does(snapshots: DmClient, options: str) -> None:
    agree(snapshots, options)
    assert ours(snapshots, options, None)


@pytest.mark.parametrize("columns", [None, 0, 3, 4, 5, 9, 16, 20, 23, 24, 40, 80, 83, 200])
@pytest.mark.parametrize("options", ["", "vt100", "compact,utf", "active,open,rw,uuid"])
def test_lines_are_cut_at_a_terminal_s_edge_as_dmsetup_does(
    snapshots: DmClient, options: str, columns: int | None
) -> None:
    agree(snapshots, options, columns)


def test_long_names_are_cut_as_dmsetup_does(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """Whatever udev does not like is shown unmangled."""
    low = make(dm, "a\\x20blank\\x2f" * 8, number(make_disk(1)))
    make(dm, "x" * 127, low, uuid="y" * 128)
    for options in ("", "uuid,active", "compact", "utf,notrunc,uuid"):
        for columns in (None, 10, 64, 65, 66, 67, 68, 100):
            agree(dm, options, columns)


def test_names_that_are_not_ascii_are_cut_as_dmsetup_does(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """Such a character takes several bytes and one column."""
    disk = number(make_disk(1))
    low = make(dm, "ä" * 60, disk, uuid="ü" * 60)
    make(dm, "z" + "é" * 40, low, disk)
    make(dm, b"\xff\xfe\x80bytes".decode("utf-8", "surrogateescape"), low)
    for options in ("", "compact", "utf,uuid,blkdevname", "nodevice,inverted"):
        for columns in (None, 10, 41, 48, 63, 64, 65, 66, 67):
            agree(dm, options, columns, "none")


@pytest.mark.parametrize("seed", range(2))
def test_any_tree_is_drawn_as_dmsetup_does(dm: DmClient, make_disk: Callable[[float], str], seed: int) -> None:
    """Devices with several parents and several children, of names of any length, with any options."""
    chance = random.Random(seed)
    there = [number(make_disk(1)) for _ in range(3)]
    for i in range(12):
        name = f"{i}" + "n" * chance.choice((0, 3, 30, 80))
        below = chance.sample(there, chance.randint(0, min(4, len(there))))
        there.append(make(dm, name, *below, uuid=chance.choice(("", f"UUID-{i}"))))
    for entry in chance.sample(dm.names(), 3):
        dm.suspend(by_name(entry.name))
    dm.create("without-a-table")
    for _ in range(20):
        options = ",".join(chance.sample(WORDS, chance.randint(0, 5)))
        agree(dm, options, chance.choice((None, 12, 30, 50, 80)))


def test_what_is_read_is_what_the_kernel_has(snapshots: DmClient) -> None:
    tree = DeviceTree.read(snapshots)
    assert {node.name for node in tree.nodes if node.device} == {entry.name for entry in snapshots.names()}
    for node in tree.nodes:
        path = f"/sys/dev/block/{node.number}"
        assert os.path.basename(os.path.realpath(path)) == node.kernel_name
        if node.device is not None:
            assert snapshots.info(name=node.name) == node.device
            assert snapshots.deps(node.device) == node.uses
            assert {tree[n].kernel_name for n in node.used_by} == set(os.listdir(f"{path}/holders"))


def test_a_waiting_table_holds_what_it_refers_to(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    disk = number(make_disk(1))
    low, top = make(dm, "low", disk), make(dm, "top", disk)
    dm.load(by_name("top"), [KernelLine(Sectors(0), Sectors(8), "linear", f"{low} 0")])
    assert DeviceTree.read(dm)["low"].used_by == ()
    tree = DeviceTree.read(dm, waiting=True)
    assert [node.number for node in tree.used_by("low")] == [top]
    assert {node.number for node in tree.uses("top")} == {disk, low}


def test_devices_in_a_ring_end_no_walk_and_no_ordering(dm: DmClient) -> None:
    """The kernel can be talked into two devices that lie on each other; input and output would never arrive."""
    one = make(dm, "one")
    two = make(dm, "two", one)
    dm.load(by_name("one"), [KernelLine(Sectors(0), Sectors(SIZE), "linear", f"{two} 0")])
    tree = DeviceTree.read(dm, waiting=True)
    try:
        assert tree.top == tree.bottom == ()
        assert [(visit.depth, visit.node.name) for visit in tree.walk("one")] == [
            (0, "one"),
            (1, "two"),
            (2, "one"),
        ]
        assert {node.name for node in tree.bottom_up()} == {"one", "two"}
    finally:
        dm.clear(by_name("one"))


def test_no_devices_make_no_lines(dm: DmClient) -> None:
    assert ours(dm, "", None) == ""
    assert run("dmsetup", "ls", "--tree").stdout == "No devices found\n"
