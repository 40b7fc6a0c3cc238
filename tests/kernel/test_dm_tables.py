"""Tables as text and as typed values against the kernel and Debian's dmsetup."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.lab import run, wipe
from vmgr.core.errors import InvalidTable
from vmgr.core.table import KernelLine
from vmgr.core.targets import Targets
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.failure import DmError
from vmgr.dm.tables import (
    LARGEST_TABLE,
    ConciseDevice,
    Tables,
    check_table,
    format_concise,
    format_table,
    hide_keys,
    parse_concise,
    parse_table,
)
from vmgr.registry import table_types

MIB = 2048


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    with DmClient.open() as client:
        yield client


def line(start: int, length: int, target: str, params: str = "") -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


def number(path: str) -> str:
    found = os.stat(path).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def test_the_kernel_refuses_the_tables_that_are_refused(dm: DmClient) -> None:
    """Whatever the targets are: gaps, overlaps, disorder, empty lines, more sectors than bytes can count."""
    shapes = [
        [(0, 8)],
        [(0, 8), (8, 8)],
        [(0, 8), (16, 8)],
        [(0, 8), (4, 8)],
        [(0, 8), (0, 8)],
        [(8, 8), (0, 8)],
        [(8, 8)],
        [(0, 0)],
        [(0, 8), (8, 0)],
        [(0, LARGEST_TABLE)],
        [(0, LARGEST_TABLE + 1)],
        [(0, LARGEST_TABLE), (LARGEST_TABLE, 1)],
        [(0, 1), (1, LARGEST_TABLE - 1)],
        [(0, (1 << 64) - 1)],
        [(0, 8), (8, (1 << 64) - 8)],
        [],
    ]
    dm.create("shape")
    for shape in shapes:
        lines = [line(start, length, "error") for start, length in shape]
        said = ""
        try:
            dm.load(by_name("shape"), lines)
        except DmError as e:
            said = e.errno_name
        assert said in ("", "EINVAL"), shape
        if said:
            with pytest.raises(InvalidTable):
                check_table(lines)
        else:
            check_table(lines)


def test_each_target_s_printed_line_is_understood_and_taken_back(
    dm: DmClient, make_disk: Callable[[float], str]
) -> None:
    """What the kernel prints is parsed to a value whose parameters it prints again."""
    tables = Tables(table_types())
    store_path = make_disk(8)
    origin, store, other = number(make_disk(8)), number(store_path), number(make_disk(8))
    given = {
        "plain": [line(0, 8, "linear", f"{origin} 0"), line(8, 8, "zero"), line(16, 8, "error", "what ever")],
        "stripes": [line(0, 4 * MIB, "striped", f"2 0128 {origin} 00 {other} 8")],
        "base": [line(0, 8 * MIB, "snapshot-origin", origin)],
    }
    for chunk, more in (("8", ""), ("16", " 1 discard_zeroes_cow"), ("0", "")):
        for kind in ("P", "PO", "N"):
            if (kind, chunk) == ("N", "0"):
                continue
            given[f"snap-{kind}-{chunk}"] = [line(0, 8 * MIB, "snapshot", f"{origin} {store} {kind} {chunk}{more}")]
            given[f"merge-{kind}-{chunk}"] = [
                line(0, 8 * MIB, "snapshot-merge", f"{origin} {store} {kind} {chunk}{more}")
            ]
    checked = set()
    for name, lines in given.items():
        wipe(store_path)  # a store that was used keeps its chunk size
        dm.create(name)
        try:
            # The text that a person writes, and the table that the kernel makes of it.
            dm.load(by_name(name), parse_table(format_table(lines)))
            live = dm.table(by_name(name), inactive=True)
            for written, printed in zip(lines, live, strict=True):
                typed = tables.parse(printed)
                assert typed.value is not None, typed.reason
                assert typed.value.params() == printed.params
                again = tables.parse(written)
                assert again.value is not None, again.reason
                if not ("snap" in printed.target and written.params.split()[3:4] == ["0"]):
                    assert again.value == typed.value
                checked.add(printed.target)
            # A store belongs to one table at a time.
            dm.clear(by_name(name))
            dm.load(by_name(name), live)
            assert dm.table(by_name(name), inactive=True) == live
            deps = {f"{major}:{minor}" for major, minor in dm.deps(by_name(name), inactive=True)}
            values = [typed.value for typed in tables.parse_all(live)]
            assert {device for value in values if value is not None for device in value.devices} == deps
        finally:
            dm.remove(by_name(name))
    assert checked == set(tables.targets()) & checked
    assert checked >= {"linear", "striped", "snapshot", "snapshot-origin", "snapshot-merge", "zero", "error"}


def test_dmsetup_makes_the_devices_that_are_written(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    disk = number(make_disk(8))
    devices = (
        ConciseDevice("one", "H2-1", 40, True, (line(0, 8, "zero"), line(8, 8, "error"))),
        # Names and UUIDs are the kernel's, in which dmsetup has put hexadecimal numbers for odd characters.
        ConciseDevice("a\\x2cb", "x\\x3by", None, False, (line(0, 8, "linear", f"{disk} 8"),)),
    )
    run("dmsetup", "create", "--concise", format_concise(devices))
    found = {device.name: device for device in dm.devices(tables=True)}
    one, other = found["one"], found["a\\x2cb"]
    assert (one.uuid, one.minor, one.read_only, one.table) == ("H2-1", 40, True, devices[0].lines)
    assert (other.uuid, other.read_only, other.table) == ("x\\x3by", False, devices[1].lines)


def test_what_dmsetup_writes_is_read(dm: DmClient) -> None:
    major = dm.kernel.block_major()
    dm.create("one", "H2-1", numbers=(major, 40))
    dm.load(by_name("one"), [line(0, 8, "zero"), line(8, 8, "error")], read_only=True)
    dm.resume(by_name("one"))
    dm.create("a\\x2cb\\x3bc", "x\\x2cy\\x5cz", numbers=(major, 41))
    dm.load(by_name("a\\x2cb\\x3bc"), [line(0, 8, "zero")])
    dm.resume(by_name("a\\x2cb\\x3bc"))
    dm.create("bare", numbers=(major, 42))
    text = run("dmsetup", "table", "--concise").stdout
    assert sorted(parse_concise(text), key=lambda device: device.minor or 0) == [
        ConciseDevice("one", "H2-1", 40, True, (line(0, 8, "zero"), line(8, 8, "error"))),
        ConciseDevice("a,b;c", "x,y\\z", 41, False, (line(0, 8, "zero"),)),
        ConciseDevice("bare", "", 42),
    ]
    assert format_concise(parse_concise(text)) == text.strip().replace("zero ", "zero").replace("error ", "error")


def test_a_table_file_of_dmsetup_s_is_read_alike(dm: DmClient) -> None:
    text = "# a comment\n\n  \t0 8 zero   # here, too\n8\t+8 error\r\n\t#\n16 8 zero"
    run("dmsetup", "create", "theirs", stdin=text)
    dm.create("ours")
    dm.load(by_name("ours"), parse_table(text))
    dm.resume(by_name("ours"))
    assert dm.table(by_name("ours")) == dm.table(by_name("theirs"))


GENERIC = {
    "delay": "{0} 0 0 {1} 8 0",
    "flakey": "{0} 0 5 5 1 drop_writes",
    "crypt": "aes-xts-plain64 {key} 0 {0} 0 1 allow_discards",
    "dust": "{0} 0 512",
    "mirror": "core 1 1024 2 {0} 0 {1} 0 1 handle_errors",
    "log-writes": "{0} {1}",
    "unstriped": "2 8 0 {0} 0",
    "raid": "raid1 3 0 region_size 1024 2 - {0} - {1}",
}
"""Targets that no built-in plugin knows, and a line of each."""


@pytest.mark.parametrize("target", GENERIC)
def test_lines_of_any_target_survive_the_text(dm: DmClient, make_disk: Callable[[float], str], target: str) -> None:
    """What the kernel prints of a target that is known to nobody: written, read, loaded, printed again the same."""
    disks = [number(make_disk(8)) for _ in range(2)]
    params = GENERIC[target].format(*disks, key="0123456789abcdef" * 4)
    dm.create("generic")
    dm.load(by_name("generic"), [line(0, 4096, target, params)])
    printed = dm.table(by_name("generic"), inactive=True)
    typed = Tables(table_types()).parse(printed[0])
    assert (typed.line, typed.value) == (printed[0], None)
    assert "no installed plugin" in typed.reason
    (device,) = parse_concise(format_concise([ConciseDevice("generic", lines=parse_table(format_table(printed)))]))
    dm.clear(by_name("generic"))
    dm.load(by_name("generic"), device.lines)
    assert dm.table(by_name("generic"), inactive=True) == printed


@pytest.mark.parametrize("params", ["{0} 0 20", "{0} 0 20 {1} 8 0", "{0} 0 1 {1} 8 2 {0} 16 3"])
def test_the_example_plugin_understands_its_lines(
    dm: DmClient, make_disk: Callable[[float], str], monkeypatch: pytest.MonkeyPatch, params: str
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "vmgr-delay" / "src"))
    import vmgr_delay

    disks = [number(make_disk(8)) for _ in range(2)]
    dm.create("slow")
    dm.load(by_name("slow"), [line(0, 4096, "delay", params.format(*disks))])
    (printed,) = dm.table(by_name("slow"), inactive=True)
    value = Tables(Targets([("delay", vmgr_delay)]).table_types()).parse(printed).value
    assert value is not None
    assert value.params() == printed.params
    assert set(value.devices) <= set(disks)


@pytest.mark.parametrize("secure", [False, True])
def test_a_backslash_in_a_line_is_a_backslash(dm: DmClient, secure: bool) -> None:
    """Names of nodes have some: what is loaded names the node that is meant, as with dmsetup."""
    name = "odd\\x20name"
    dm.create(name)
    dm.load(by_name(name), [line(0, 8, "zero")])
    lower = dm.resume(by_name(name))
    dm.create("above")
    dm.load(by_name("above"), parse_table(f"0 8 linear /dev/mapper/{name} 0"), secure=secure)
    dm.resume(by_name("above"))
    assert dm.table(by_name("above")) == (line(0, 8, "linear", f"{lower.major}:{lower.minor} 0"),)
    run("dmsetup", "create", "theirs", "--table", f"0 8 linear /dev/mapper/{name} 0")
    assert dm.table(by_name("theirs")) == dm.table(by_name("above"))


def test_keys_are_hidden_as_dmsetup_hides_them(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    disk = number(make_disk(8))
    lines = {
        "secret": line(0, 1024, "crypt", f"aes-cbc-plain {'ab' * 16} 0 {disk} 0"),
        "sums": line(
            0, 1024, "integrity", f"{number(make_disk(8))} 0 32 D 1 internal_hash:hmac(sha256):{'cd' * 8}"
        ),
    }
    for name, one in lines.items():
        dm.create(name)
        dm.load(by_name(name), [one], secure=True)
        dm.resume(by_name(name))
    for name in lines:
        (shown,) = (row.strip() for row in run("dmsetup", "table", name).stdout.splitlines())
        (kept,) = (row.strip() for row in run("dmsetup", "table", "--showkeys", name).stdout.splitlines())
        (printed,) = dm.table(by_name(name))
        assert str(printed) == kept
        assert shown != kept
        assert str(hide_keys(printed)) == shown
