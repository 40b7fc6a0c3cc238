"""vmgr's client and Debian's dmsetup on one kernel: each reads what the other made, and they agree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support.lab import run, wipe, with_and_without_udev
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name

MIB = 2048


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    with DmClient.open() as client:
        yield client


def number(path: str) -> str:
    found = os.stat(path).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def parse(rows: list[str]) -> tuple[KernelLine, ...]:
    """A table as dmsetup prints it."""
    lines = []
    for row in filter(None, rows):  # an empty row stands for a device without a table
        start, length, target, *rest = row.split(" ", 3)
        lines.append(KernelLine(Sectors(int(start)), Sectors(int(length)), target, rest[0].strip() if rest else ""))
    return tuple(lines)


def by_device(command: str) -> dict[str, list[str]]:
    """What ``dmsetup COMMAND`` prints of all devices, ``NAME: TEXT`` in each row, by name."""
    found: dict[str, list[str]] = {}
    for row in run("dmsetup", command).stdout.splitlines():
        name, _, text = row.partition(":")
        found.setdefault(name, []).append(text.strip())
    return found


def as_dmsetup_sees() -> dict[str, tuple[LiveDevice, tuple[tuple[int, int], ...]]]:
    """``dmsetup info``, ``table`` and ``status`` of every device as our value, and ``deps``."""
    fields = "name,uuid,major,minor,open,suspended,read_only,tables_loaded,events"
    rows = run("dmsetup", "info", "-c", "--noheadings", "--separator", "|", "-o", fields).stdout
    tables, statuses, deps = by_device("table"), by_device("status"), by_device("deps")
    found = {}
    for row in rows.splitlines():
        name, uuid, major, minor, opened, suspended, read_only, loaded, events = row.split("|")
        device = LiveDevice(
            name,
            uuid,
            int(major),
            int(minor),
            int(opened),
            suspended == "Suspended",
            read_only == "Read-only",
            loaded in ("Live", "Both"),
            loaded in ("Inactive", "Both"),
            int(events),
            parse(tables[name]),
            parse(statuses[name]),
            target_count=len(parse(tables[name])),
        )
        # 2 dependencies : (7, 1) (7, 0)
        pairs = deps[name][0].partition(":")[2].replace("(", " ").split(")")
        numbers = (pair.strip().partition(", ") for pair in pairs if pair.strip())
        found[name] = device, tuple((int(a), int(b)) for a, _, b in numbers)
    return found


def check_all(dm: DmClient) -> None:
    """Both list the same devices, and tell the same of each."""
    theirs = as_dmsetup_sees()
    ours = {device.name: device for device in dm.devices(tables=True, status=True)}
    assert {name: (device, dm.deps(by_name(name))) for name, device in ours.items()} == theirs
    for name, device in ours.items():
        assert dm.info(name=name, table=True, status=True) == device
        if device.uuid:
            assert dm.info(uuid=device.uuid, table=True, status=True) == device


def build_with_client(dm: DmClient, one: str, two: str) -> None:
    def device(name: str, uuid: str, *lines: KernelLine, read_only: bool = False) -> None:
        dm.create(name, uuid)
        dm.load(by_name(name), lines, read_only=read_only)
        dm.resume(by_name(name))

    def line(start: int, length: int, target: str, params: str = "") -> KernelLine:
        return KernelLine(Sectors(start), Sectors(length), target, params)

    with dm.transaction():
        device("low", "UUID-low", line(0, MIB, "linear", f"{one} 0"), line(MIB, MIB, "linear", f"{two} 64"))
        device("wide", "", line(0, 2 * MIB, "striped", f"2 64 {one} 4096 {two} 4096"))
        device("ro", "UUID-ro", line(0, MIB, "linear", f"{one} 8"), read_only=True)
        low, wide = dm.info(name="low"), dm.info(name="wide")
        assert low is not None
        assert wide is not None
        device("origin", "UUID-o", line(0, MIB, "snapshot-origin", f"{low.major}:{low.minor}"))
        device("snap", "UUID-s", line(0, MIB, "snapshot", f"{low.major}:{low.minor} {wide.major}:{wide.minor} P 8"))
        device("bad", "UUID-bad", line(0, 8, "zero"), line(8, 8, "error"))
        dm.create("empty", "UUID-empty")
        dm.create("waiting")
        dm.load(by_name("waiting"), [line(0, 8, "zero")])
        dm.load("bad", [line(0, 8, "error")])
    dm.rename("wide", "wider")
    dm.suspend("ro")


def build_with_dmsetup(one: str, two: str) -> None:
    def create(name: str, table: str, *options: str) -> None:
        run("dmsetup", "create", name, *options, stdin=table)

    create("low", f"0 {MIB} linear {one} 0\n{MIB} {MIB} linear {two} 64\n", "-u", "UUID-low")
    create("wide", f"0 {2 * MIB} striped 2 64 {one} 4096 {two} 4096\n")
    create("ro", f"0 {MIB} linear {one} 8\n", "-u", "UUID-ro", "--readonly")
    low, wide = number("/dev/mapper/low"), number("/dev/mapper/wide")
    create("origin", f"0 {MIB} snapshot-origin {low}\n", "-u", "UUID-o")
    create("snap", f"0 {MIB} snapshot {low} {wide} P 8\n", "-u", "UUID-s")
    create("bad", "0 8 zero\n8 8 error\n", "-u", "UUID-bad")
    run("dmsetup", "create", "empty", "-u", "UUID-empty", "--notable")
    run("dmsetup", "create", "waiting", "--notable")
    run("dmsetup", "load", "waiting", stdin="0 8 zero\n")
    run("dmsetup", "load", "bad", stdin="0 8 error\n")
    run("dmsetup", "rename", "wide", "wider")
    run("dmsetup", "suspend", "ro")


def everything() -> list[str]:
    """All that dmsetup can tell of the machine, and what is in /dev/mapper."""
    told = [
        run("dmsetup", *command).stdout
        for command in (("info", "-c"), ("table",), ("table", "--inactive"), ("status",), ("deps",), ("ls",))
    ]
    nodes = sorted(
        f"{entry.name} {number(entry.path)} {oct(os.stat(entry.path).st_mode)} {entry.is_symlink()}"
        for entry in os.scandir("/dev/mapper")
        if entry.name != "control"
    )
    return told + nodes


@with_and_without_udev
def test_dmsetup_reads_what_the_client_made(dm: DmClient, make_disk: Callable[[float], str], udev: bool) -> None:
    build_with_client(dm, number(make_disk(8)), number(make_disk(8)))
    check_all(dm)
    dm.resume("ro")


@with_and_without_udev
def test_the_client_reads_what_dmsetup_made(dm: DmClient, make_disk: Callable[[float], str], udev: bool) -> None:
    build_with_dmsetup(number(make_disk(8)), number(make_disk(8)))
    check_all(dm)
    run("dmsetup", "resume", "ro")


@with_and_without_udev
def test_both_make_the_same(dm: DmClient, make_disk: Callable[[float], str], udev: bool) -> None:
    """The same sequence through each: same tables, numbers, dependencies, events and nodes."""
    disks = make_disk(8), make_disk(8)
    one, two = map(number, disks)
    build_with_client(dm, one, two)
    ours = everything()
    dm.resume("ro")
    for name in ("waiting", "empty", "bad", "snap", "origin", "ro", "wider", "low"):
        assert dm.remove(by_name(name), retry=10)
    assert dm.names() == ()
    for disk in disks:
        wipe(disk)
    build_with_dmsetup(one, two)
    assert everything() == ours
    run("dmsetup", "resume", "ro")


def test_versions_and_targets_agree(dm: DmClient) -> None:
    text = run("dmsetup", "version").stdout
    assert text.split()[-1] == ".".join(map(str, dm.version()))
    run("modprobe", "dm-snapshot")
    rows = [row.split() for row in run("dmsetup", "targets").stdout.splitlines()]
    assert {name: tuple(map(int, v.removeprefix("v").split("."))) for name, v in rows} == dm.targets()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda dm: dm.remove(by_name("absent")), ["remove", "absent"]),
        (lambda dm: dm.create("there"), ["create", "there", "--notable"]),
        (lambda dm: dm.rename(by_name("there"), "there"), ["rename", "there", "there"]),
        (lambda dm: dm.message(by_name("there"), 0, "hello"), ["message", "there", "0", "hello"]),
        (lambda dm: dm.set_uuid(by_name("there"), "other"), ["rename", "--setuuid", "there", "other"]),
    ],
)
def test_both_are_refused_the_same(dm: DmClient, ours: Callable[[DmClient], object], theirs: list[str]) -> None:
    from vmgr.core.errors import VmgrError

    dm.create("there", "UUID-there")
    dm.load("there", [KernelLine(Sectors(0), Sectors(8), "zero", "")])
    dm.resume("there")
    before = everything()
    with pytest.raises(VmgrError):
        ours(dm)
    assert run("dmsetup", *theirs, check=False).returncode != 0
    assert everything() == before


@with_and_without_udev
def test_lvm2_s_own_devices_are_read_as_dmsetup_reads_them(
    dm: DmClient, make_disk: Callable[[float], str], udev: bool
) -> None:
    disk = make_disk(64)
    run("pvcreate", "-qq", "-y", disk)
    run("vgcreate", "-qq", "lab-vg", disk)
    run("lvcreate", "-qq", "-y", "-l4", "-n", "origin", "lab-vg")
    run("lvcreate", "-qq", "-y", "-l2", "-s", "-n", "snap", "lab-vg/origin")
    check_all(dm)
    assert {device.name for device in dm.devices(prefix="LVM-")} == {
        "lab--vg-origin", "lab--vg-origin-real", "lab--vg-snap", "lab--vg-snap-cow",
    }  # fmt: skip
    run("vgchange", "-qq", "-an", "lab-vg")
    assert dm.names() == ()
