"""``vmgr dm stats`` on the fake kernel: what is made, printed and refused, and how intervals are measured.

That the output is dmstats' to the byte is tested beside dmstats, in the lab (``tests/kernel/test_dm_stats.py``).
"""

from __future__ import annotations

import json

import pytest

import vmgr.cli.dm.context
from vmgr.cli.dm.stats_report import Clock
from vmgr.cli.dm.stats_text import Style, histogram_json, histogram_text
from vmgr.cli.main import main
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.counters import Histogram, parse_bounds
from vmgr.dm.statistics import Statistics
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

MS = 1_000_000


class Machine:
    """A fake kernel with devices ``a`` (2048 sectors) and ``b`` (two lines of 512) behind the command line."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.kernel = FakeKernel()
        self.dm = DmClient(self.kernel, nodes=FakeNodes())
        self.capfd = capfd
        self.make("a", (0, 2048))
        self.make("b", (0, 512), (512, 512))

    def make(self, name: str, *lines: tuple[int, int]) -> None:
        self.dm.create(name)
        self.dm.load(by_name(name), [KernelLine(Sectors(a), Sectors(b), "zero", "") for a, b in lines])
        self.dm.resume(by_name(name))

    def run(self, words: str | list[str], program: str = "vmgr") -> tuple[int, str, str]:
        words = words.split() if isinstance(words, str) else words
        before = ["dm", "stats"] if program == "vmgr" else []
        status = main([program, *before, *words])
        said = self.capfd.readouterr()
        return status, said.out, said.err

    def ok(self, words: str | list[str]) -> str:
        status, out, err = self.run(words)
        assert (status, err) == (0, ""), (out, err)
        return out

    def refused(self, words: str | list[str]) -> tuple[int, str]:
        """The status and the first line of the message; nothing may have been changed."""
        before = self.regions("a"), self.regions("b")
        status, out, err = self.run(words)
        assert out == ""
        assert (self.regions("a"), self.regions("b")) == before
        return status, err.splitlines()[0].strip()

    def regions(self, name: str) -> list[tuple[int, int, int, int]]:
        found = Statistics(self.dm, by_name(name)).regions()
        return [(r.id, int(r.start), int(r.length), int(r.step)) for r in found]


@pytest.fixture
def machine(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine(capfd)
    monkeypatch.setattr(
        vmgr.cli.dm.context,
        "open_client",
        lambda settings, warn: DmClient(found.kernel, nodes=FakeNodes(), warn=warn),
    )
    for name in ("DM_DEV_DIR", "DM_UDEV_COOKIE", "DM_DEFAULT_NAME_MANGLING_MODE"):
        monkeypatch.delenv(name, raising=False)
    return found


# -- create ---------------------------------------------------------------------------------------------


def test_a_region_is_made_and_its_number_said(machine: Machine) -> None:
    assert machine.ok("create a") == "a: Created new region with 1 area(s) as region ID 0\n"
    assert machine.ok("create a b --areas 2") == (
        "a: Created new region with 2 area(s) as region ID 1\nb: Created new region with 2 area(s) as region ID 0\n"
    )
    assert machine.regions("a") == [(0, 0, 2048, 2048), (1, 0, 2048, 1024)]
    assert machine.regions("b") == [(0, 0, 1024, 512)]


@pytest.mark.parametrize(
    ("options", "made"),
    [
        ("--start 8 --length 16", (0, 8, 16, 16)),
        ("--start 8s --length 8k", (0, 8, 16, 16)),
        ("--start 4096b --length 0.5m", (0, 8, 1024, 1024)),
        ("--start 1024", (0, 1024, 1024, 1024)),
        ("--length 64K", (0, 0, 125, 125)),
        ("--areasize 100k", (0, 0, 2048, 200)),
        ("--areas 3", (0, 0, 2048, 683)),
    ],
)
def test_sizes_have_units(machine: Machine, options: str, made: tuple[int, ...]) -> None:
    machine.ok(f"create a {options}")
    assert machine.regions("a") == [made]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("create", "no device is named"),
        ("create a --areas 0", "a statistics region cannot have 0 areas"),
        ("create a --areas 2 --areasize 8", "options --areas and --areasize exclude each other"),
        ("create a --segments --start 8", "options --segments and --start exclude each other"),
        ("create a --start x", "--start: cannot parse 'x'"),
        ("create a --start 1.5s", "--start: '1.5s' is not a multiple of 512 bytes"),
        ("create a --length 0", "--length: '0' is too small"),
        ("create a --length 100e", "--length: '100e' is too large"),
        ("create a --start 4096", "a ends at sector 2048, before 4096"),
        ("create a --bounds 5ms,1ms", "histogram bounds must rise: 1ms is not above 5ms"),
        ("create a --bounds 5m", "histogram bounds '5m': '5m' is not a time"),
        (["create", "a", "--programid", ""], "a region without a program ID takes --force"),
        (["create", "a", "--programid", "two words"], "program ID 'two words' is not a word"),
        ("create a --alias x", "--alias is for the group that --segments makes"),
        ("create b --segments --alias a:b", "alias 'a:b' may not contain ':'"),
        ("create a --filemap", "option --filemap of LVM2's stats create is not supported by vmgr"),
        ("delete a", "stats delete needs one of --regionid, --allregions, --groupid"),
        ("delete --allregions", "no device is named"),
        ("clear", "stats clear needs one of --regionid, --allregions"),
        ("print", "stats print needs one of --regionid, --allregions"),
        ("group a", "stats group needs --regions"),
        ("group a --regions 1-", "cannot read '1-' in the list of regions '1-'"),
        ("group --regions 0", "no device is named"),
        ("ungroup --groupid 0", "no device is named"),
        ("ungroup a", "stats ungroup needs --groupid"),
        ("report --interval 0", "invalid value for --interval: '0'"),
        ("report --count -1", "invalid value for --count: '-1'"),
        ("report --units x", "invalid units 'x'"),
        ("report -o nothing", "unrecognised column 'nothing'"),
        ("list --allprograms --programid x", "options --programid and --allprograms exclude each other"),
        ("nonsense", "no such subcommand: stats nonsense"),
    ],
)
def test_a_wrong_command_line_changes_nothing(machine: Machine, words: str | list[str], message: str) -> None:
    status, said = machine.refused(words)
    assert said.startswith(message)
    assert status == 3


def test_a_name_that_is_none_is_found_before_anything_is_made(machine: Machine) -> None:
    assert machine.refused("create a absent")[0] == 5
    assert machine.refused("delete a absent --allregions")[0] == 5


def test_files_are_not_taken_for_devices_by_dmstats_either(machine: Machine) -> None:
    status, out, err = machine.run("create --filemap a", program="dmstats")
    assert (status, out) == (1, "")
    assert "--filemap is not supported" in err
    assert machine.regions("a") == []


def test_a_link_called_dmstats_is_stats(machine: Machine) -> None:
    assert machine.run("create a", program="dmstats")[:2] == (
        0,
        "a: Created new region with 1 area(s) as region ID 0\n",
    )
    assert machine.run("list a", program="dmstats") == (0, machine.ok("list a"), "")
    assert machine.run("-v list a", program="dmstats") == (0, machine.ok("list a -v"), "")
    assert machine.run("delete a", program="dmstats")[0] == 1
    assert machine.run("stats delete --allregions a", program="dmsetup") == (0, "", "")
    assert machine.regions("a") == []


def test_segments_make_regions_and_a_group(machine: Machine) -> None:
    assert machine.ok("create b --segments --alias both") == (
        "b: Created new region with 1 area(s) as region ID 0\n"
        "b: Created new region with 1 area(s) as region ID 1\n"
        "Grouped regions 0,1 as group ID 0 with alias both\n"
    )
    assert machine.regions("b") == [(0, 0, 512, 512), (1, 512, 512, 512)]


def test_all_devices_are_meant_only_if_it_is_said(machine: Machine) -> None:
    machine.ok("create --alldevices")
    assert len(machine.regions("a")) == len(machine.regions("b")) == 1
    machine.ok("delete --alldevices --allregions")
    assert machine.regions("a") == machine.regions("b") == []


def test_a_device_without_a_table_does_not_keep_the_others_from_being_counted(machine: Machine) -> None:
    machine.dm.create("aa")
    status, out, err = machine.run("create --alldevices")
    assert status == 5
    assert out.count("Created new region") == 2
    assert "aa has no live table" in err


def test_what_was_made_is_told_in_json_even_if_the_last_fails(machine: Machine) -> None:
    machine.dm.create("c")
    status, out, err = machine.run("create a c --json --areasize 512 --program me --auxdata x")
    assert status == 5
    assert json.loads(out)["created"] == [{"device": "a", "region_id": 0, "area_count": 4}]
    assert "c has no live table" in err
    (region,) = Statistics(machine.dm, by_name("a")).regions("me")
    assert region.user_data == "x"


# -- other programs' regions ----------------------------------------------------------------------------


def test_other_programs_regions_are_left_alone_unless_they_are_meant(machine: Machine) -> None:
    machine.ok("create a --programid theirs")
    machine.ok("create a")
    assert machine.refused("delete a --regionid 0") == (5, "a has no statistics region 0 of program dmstats")
    machine.ok("delete a --allregions")
    assert [number for number, *_ in machine.regions("a")] == [0]
    assert machine.ok("list") == ""
    assert "theirs" in machine.ok("list --allprograms")
    assert "theirs" in machine.ok("list --programid theirs")
    assert "theirs" in machine.ok(["list", "--programid", ""])
    assert machine.ok("print a --allregions") == ""
    assert machine.ok("print a --allregions --allprograms").startswith("0+2048 0 0")
    machine.ok("delete a --regionid 0 --programid theirs")
    assert machine.regions("a") == []


# -- printing -------------------------------------------------------------------------------------------


def test_an_area_can_be_printed_and_cleared_alone(machine: Machine) -> None:
    machine.ok("create a --areas 2")
    for sector in (8, 1032):
        machine.kernel.transfer("a", sector, 8, write=True)
    assert machine.ok("print a --regionid 0 --areaid 1 --clear") == "1024+1024 0 0 0 0 1 0 8 0 0 0 0 0 0\n"
    assert machine.ok("print a --regionid 0") == (
        "0+1024 0 0 0 0 1 0 8 0 0 0 0 0 0\n1024+1024 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
    assert machine.ok("print a --regionid 0 --areaid 0") == "0+1024 0 0 0 0 1 0 8 0 0 0 0 0 0\n"
    assert machine.refused("print a --regionid 0 --areaid 2") == (5, "region 0 of a has no area 2")
    machine.ok("clear a --regionid 0")
    assert (
        json.loads(machine.ok("print --allregions --json a"))["regions"][0]["areas"][0]["counters"]["writes"] == 0
    )


# -- groups ---------------------------------------------------------------------------------------------


def test_what_is_odd_about_a_group_is_said(machine: Machine) -> None:
    machine.ok("create a --start 0 --length 16")
    machine.ok("create a --start 8 --length 16 --precise")
    machine.ok("create a --start 64 --length 16")
    status, out, err = machine.run("group a --regions 0-2")
    assert (status, out) == (0, "Grouped regions 0-2 as group ID 0 on a\n")
    assert [line.strip() for line in err.splitlines()] == [
        "WARNING: Transactional regions with different clock resolution: precision may be lost.",
        "WARNING: region IDs 0 and 1 overlap. Some events will be counted twice.",
    ]
    assert machine.ok("ungroup a --groupid 0") == "Removed group ID 0 on a\n"
    assert machine.refused("ungroup a --groupid 0")[0] == 5


def test_a_group_is_deleted_with_its_regions(machine: Machine) -> None:
    for start in (0, 8, 16):
        machine.ok(f"create a --start {start} --length 8")
    machine.ok("group a --regions 0,2")
    assert machine.refused("delete a --groupid 1")[0] == 5
    assert machine.ok("delete a --groupid 0") == "Deleted statistics group 0.\n"
    assert [number for number, *_ in machine.regions("a")] == [1]


# -- reports --------------------------------------------------------------------------------------------


def test_a_report_tells_of_its_interval_and_clears(machine: Machine) -> None:
    machine.ok("create a --bounds 1ms,10ms")
    for sector in (8, 16, 1024):
        machine.kernel.transfer("a", sector, 8, write=True, nanoseconds=5 * MS)
    machine.kernel.transfer("a", 0, 64, write=False, nanoseconds=20 * MS)
    columns = "-o reads_per_sec,writes_per_sec,write_size_per_sec,avg_request_size,await,util,hist_count_bounds"
    assert machine.ok(f"report a {columns} --interval 2 --count 1") == (
        f"R/s  W/s  WSz/s AvgRqSz AWait Util% {'Histogram Counts':<41}\n"
        "0.50 1.50 6.00k  11.00k  8.75  1.75     0s:     0,   1ms:     3,  10ms:     1\n"
    )
    assert machine.ok(f"report a {columns}").splitlines()[1].split()[:2] == ["0.00", "0.00"]


def test_a_list_without_counters_clears_nothing(machine: Machine) -> None:
    machine.ok("create a")
    machine.kernel.transfer("a", 8, 8, write=True)
    machine.ok("list -v --histogram")
    assert Statistics(machine.dm, by_name("a")).areas(0)[0].counters.writes == 1


def test_rows_are_chosen_by_numbers_with_a_fraction(machine: Machine) -> None:
    machine.ok("create a --areas 2")
    machine.kernel.transfer("a", 8, 8, write=True)
    words = "report --area --interval 2 --count 1 --noheadings -o area_id,writes_per_sec -S writes_per_sec>0"
    assert machine.ok(words) == "0:0.50\n"


def test_a_report_can_be_on_one_region(machine: Machine) -> None:
    machine.ok("create a")
    machine.ok("create a --length 8 --bounds 1ms")
    assert (
        machine.ok("report a --regionid 1 --noheadings -o region_id,area_len,hist_bins --units b") == "1:4096:2\n"
    )
    assert machine.ok("report a --regionid 0 --noheadings -o region_id,area_len,hist_bins") == "0:1.00m:0\n"
    assert machine.ok("report a --regionid 2") == ""


def test_what_is_neither_nothing_nor_all_is_not_shown_as_such(machine: Machine) -> None:
    """Of a percentage of use, as of all of LVM2's: 0.00 and 100.00 are exact."""
    machine.ok("create a --precise")
    for nanoseconds, shown in ((1000, "0.01"), (99_999_990, "99.99"), (100_000_000, "100.00"), (10_000, "0.01")):
        machine.kernel.transfer("a", 8, 8, write=True, nanoseconds=nanoseconds * 10)
        assert machine.ok("report a --noheadings -o util") == f"{shown}\n"
    assert machine.ok("report a --noheadings -o util") == "0.00\n"


def test_rows_without_a_group_come_last(machine: Machine) -> None:
    for start in (0, 8, 16):
        machine.ok(f"create a --start {start} --length 8")
    machine.ok("group a --regions 1-2")
    rows = machine.ok("list --noheadings -o region_id,group_id -O group_id").splitlines()
    assert rows == ["1:1", "2:1", "1-2:1", "0:-"]


def test_json_has_values_of_their_kind(machine: Machine) -> None:
    machine.ok("create b --segments --alias both")
    machine.kernel.transfer("b", 8, 8, write=True, nanoseconds=MS)
    rows = json.loads(machine.ok("report --group --json -o +precise,major,hist_count,write_count"))["statistics"]
    (row,) = rows
    assert (row["region_id"], row["group_id"], row["stats_name"], row["precise"]) == ([0, 1], 0, "both", False)
    assert (row["write_count"], row["hist_count"], row["await"], row["area_len"]) == (1, None, 1.0, 1024)
    assert row["major"] == machine.kernel.major


def test_columns_are_listed(machine: Machine) -> None:
    text = machine.ok("list -o help")
    for name in ("hist_percent_ranges", "devno", "write_await", "stats_all", "region_all"):
        assert f"  {name} " in text


# -- histograms as text and as JSON ---------------------------------------------------------------------

HISTOGRAM = Histogram(parse_bounds("100us,1500ms"), (7, 0, 1234567))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hist_bounds", "0s,100us,1500ms"),
        ("hist_ranges", "0s-100us,100us-1500ms,>1500ms"),
        ("hist_count", "     7     01234567"),
        ("hist_count_bounds", "    0s:     7, 100us:     0,1500ms:1234567"),
        ("hist_count_ranges", "0s-100us:   7,100us-1500ms:0,>1500ms:1234567"),
        ("hist_percent", "  0.00%  0.00%100.00%"),
    ],
)
def test_a_histogram_is_laid_out(name: str, text: str) -> None:
    """Worked out by hand from ``dm_histogram_to_string``; a bound that is too long takes room from the number."""
    assert histogram_text(HISTOGRAM, name, Style(("h", 1))) == text


def test_a_histogram_is_not_padded_where_columns_are_not_aligned() -> None:
    style = Style(("h", 1), padded=False)
    assert histogram_text(HISTOGRAM, "hist_count", style) == "7:0:1234567"
    assert histogram_text(HISTOGRAM, "hist_count_bounds", style) == "0s:7:100us:0:1500ms:1234567"
    without = Style(("h", 1), padded=False, suffix=False)
    assert histogram_text(HISTOGRAM, "hist_ranges", without) == "0-100000,100000-1500000000,>1500000000"
    assert histogram_text(None, "hist_count", style) == ""


def test_a_histogram_is_numbers_in_json() -> None:
    assert histogram_json(HISTOGRAM, "hist_count") == [7, 0, 1234567]
    assert histogram_json(HISTOGRAM, "hist_bounds") == [0, 100_000, 1_500_000_000]
    assert histogram_json(HISTOGRAM, "hist_count_ranges") == [
        {"from": 0, "below": 100_000, "count": 7},
        {"from": 100_000, "below": 1_500_000_000, "count": 0},
        {"from": 1_500_000_000, "below": None, "count": 1234567},
    ]


# -- the clock ------------------------------------------------------------------------------------------


class Time:
    """A clock that only sleep moves, and a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 10**12
        self.slept: list[float] = []
        monkeypatch.setattr("time.monotonic_ns", lambda: self.now)
        monkeypatch.setattr("time.sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += int(seconds * 10**9)


def test_the_first_interval_is_as_it_was_asked_for_and_later_ones_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    time = Time(monkeypatch)
    clock = Clock(2)
    clock.counted()
    assert clock.interval_ns == 2 * 10**9
    time.now += 300 * MS
    clock.counted()  # the second device of the same round
    assert clock.interval_ns == 2 * 10**9
    assert clock.wait() == 0
    time.now += 50 * MS
    clock.counted()
    assert clock.interval_ns == 2050 * MS
    assert time.slept == [1.7]


def test_rounds_keep_their_pace_and_those_that_were_missed_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    clock = Clock(1)
    time.now += 2500 * MS
    assert clock.wait() == 1
    assert clock.wait() == 0
    assert time.slept == [0, 0.5]


def test_a_report_is_repeated(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    time = Time(monkeypatch)
    machine.ok("create a")
    assert machine.ok("report --count 3 --noheadings -o interval,region_id") == (
        "1.000000:0\n\n1.000000:0\n\n1.000000:0\n"
    )
    assert time.slept == [1, 1]
