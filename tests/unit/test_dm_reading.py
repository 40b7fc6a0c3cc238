"""What ``vmgr dm info``, ``ls``, ``deps``, ``status`` and ``table`` say of devices on the fake kernel.

That it is what dmsetup says is tested in the lab, where there is a dmsetup to ask.
"""

from __future__ import annotations

import json
import sys
import time

import pytest

import vmgr.cli.dm.context
import vmgr.cli.dm.parameters
import vmgr.cli.dm.trees
import vmgr.registry
from vmgr.cli.main import main
from vmgr.core.errors import PluginError
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.units import Sectors
from vmgr.dm.client import DmClient
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

LVM = "LVM-" + "g" * 32 + "v" * 32
DISK = (9, 9)


def line(target: str, params: str = "", start: int = 0, length: int = 8) -> KernelLine:
    return KernelLine(Sectors(start), Sectors(length), target, params)


class Machine:
    """A fake kernel behind the command line, with a few devices."""

    def __init__(self, capfd) -> None:
        self.capfd = capfd
        self.kernel = FakeKernel({DISK: 1 << 20})
        self.dm = DmClient(self.kernel, nodes=FakeNodes())
        self.major = self.kernel.major
        self.make("base", line("zero"))
        self.make("vg--1-lv", line("linear", f"{self.major}:0 0"), uuid=LVM)
        self.make("wide", line("striped", "2 8 9:9 0 9:9 4096", length=16), line("error", start=16))
        self.dm.create("empty")

    def make(self, name: str, *lines: KernelLine, uuid: str = "") -> None:
        self.dm.create(name, uuid)
        self.dm.load(name, lines)
        self.dm.resume(name)

    def run(self, *words: str, program: str = "vmgr") -> tuple[int, str, str]:
        status = main([program, *(("dm",) if program == "vmgr" else ()), *words])
        said = self.capfd.readouterr()
        return status, said.out, said.err

    def ok(self, *words: str, program: str = "vmgr") -> str:
        status, out, err = self.run(*words, program=program)
        assert (status, err) == (0, ""), (out, err)
        return out

    def json(self, *words: str) -> list[dict]:
        return json.loads(self.ok(*words, "--json"))["devices"]


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """The directory of nodes: ``--exec`` makes those that are missing."""
    folder = tmp_path / "mapper"
    folder.mkdir()
    for name in ("base", "vg--1-lv", "wide"):
        (folder / name).touch()
    monkeypatch.setenv("DM_DEV_DIR", str(tmp_path))
    return folder


@pytest.fixture
def machine(capfd, monkeypatch):
    found = Machine(capfd)
    monkeypatch.setattr(vmgr.cli.dm.context, "open_client", lambda *_: DmClient(found.kernel, nodes=FakeNodes()))
    for name in ("DM_DEV_DIR", "DM_DEFAULT_NAME_MANGLING_MODE"):
        monkeypatch.delenv(name, raising=False)
    return found


# -- info -----------------------------------------------------------------------------------------


def test_info_says_what_the_kernel_has_of_a_device(machine):
    machine.dm.suspend("vg--1-lv")
    machine.dm.load("vg--1-lv", [line("zero")], read_only=True)
    assert machine.ok("info", "vg--1-lv") == (
        "Name:              vg--1-lv\n"
        "State:             SUSPENDED\n"
        "Tables present:    LIVE & INACTIVE\n"
        "Open count:        0\n"
        "Event number:      0\n"
        f"Major, minor:      {machine.major}, 1\n"
        "Number of targets: 1\n"
        f"UUID: {LVM}\n\n"
    )


def test_info_of_a_device_that_goes_once_it_is_closed(machine):
    machine.kernel.hold("base")
    assert not machine.dm.remove("base", deferred=True)
    assert "State:             ACTIVE (DEFERRED REMOVE)\n" in machine.ok("info", "base")
    assert machine.json("info", "base")[0]["deferred_remove"] is True


def test_columns_as_dmsetup_has_them(machine):
    assert machine.ok("info", "-c", "base", "empty").splitlines() == [
        "Name             Maj Min Stat Open Targ Event  UUID                            ",
        f"base             {machine.major}   0 L--w    1    1      0                                 ",
        f"empty            {machine.major}   3 ---w    0    0      0                                 ",
    ]


def test_columns_of_relations_and_of_names_of_lvm(machine):
    (row,) = machine.json("info", "-c", "vg--1-lv", "-o", "devs_used,devnos_used,subsystem,vg_name,lv_name,minor")
    assert row == {
        "devs_used": ["base"], "devnos_used": [f"{machine.major}:0"], "subsystem": "LVM", "vg_name": "vg-1",
        "lv_name": "lv", "minor": 1,
    }  # fmt: skip
    (row,) = machine.json("info", "-c", "base", "-o", "names_using_dev,device_ref_count,open,suspended")
    assert row == {"names_using_dev": ["vg--1-lv"], "device_ref_count": 1, "open": 1, "suspended": False}


def test_only_what_columns_need_is_asked(machine):
    machine.kernel.calls.clear()
    machine.ok("info", "-c", "-o", "name,minor")
    assert {call.command.name for call in machine.kernel.calls} <= {"version", "list", "info"}


@pytest.mark.parametrize("program", ["vmgr", "dmsetup"])
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["-S", "open>0"], ["base"]),
        (["-S", "subsystem=LVM || segments=2"], ["vg--1-lv", "wide"]),
        (["-O", "-name"], ["wide", "vg--1-lv", "empty", "base"]),
        (["-O", "-segments,name"], ["wide", "base", "vg--1-lv", "empty"]),
        (["wide", "base"], ["wide", "base"]),
    ],
)
def test_rows_are_selected_and_sorted(machine, program, words, names):
    out = machine.ok("info", "-c", "--noheadings", "-o", "name", *words, program=program)
    assert out.split() == names


def test_a_selection_without_columns_counts_but_for_dmsetup(machine):
    assert machine.ok("info", "-S", "name=wide").count("Name:") == 1
    assert machine.ok("info", "-S", "name=wide", program="dmsetup").count("Name:") == 4


@pytest.mark.parametrize(
    "words", [("-o", "name"), ("-O", "name"), ("--rows",), ("--count", "2"), ("--separator", ",")]
)
def test_what_needs_columns_is_refused_without(machine, words):
    status, out, err = machine.run("info", *words)
    assert (status, out) == (3, "")
    assert "needs -c" in err


@pytest.mark.parametrize(
    "words", [("-o", "nme"), ("-o", "name,"), ("-O", "nme"), ("-S", "nme=1"), ("-S", "name>1"), ("--interval", "0"),
        ("--interval", str(1 << 64)), ("--count", str(1 << 31))],
)  # fmt: skip
@pytest.mark.parametrize(("program", "expected"), [("vmgr", 3), ("dmsetup", 1)])
def test_a_bad_report_is_refused_before_the_kernel_is_asked(machine, program, expected, words):
    machine.kernel.calls.clear()
    status, out, err = machine.run("info", "-c", *words, program=program)
    assert (status, out) == (expected, "")
    assert err
    assert not machine.kernel.calls


def test_without_a_standard_output_nothing_fails(machine, nodes, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    monkeypatch.setattr(sys, "stdout", None)
    machine.ok("info", "-c", "--count", "2")
    machine.ok("ls", "--exec", "true")
    assert main(["vmgr", "lvs", "--version"]) == 0


def test_a_report_is_repeated(machine):
    assert machine.ok("info", "-c", "--noheadings", "-o", "minor", "wide", "--count", "2") == "2\n\n2\n"


def test_before_its_first_table_a_device_has_no_kernel_name_which_dmsetup_takes_for_a_failure(machine):
    words = ("info", "-c", "--noheadings", "-o", "blkdevname,minor", "empty")
    assert machine.ok(*words) == ":3\n"
    status, out, err = machine.run(*words, program="dmsetup")
    assert (status, out) == (1, "")
    assert f"Could not resolve block device name for {machine.major}:3." in err


@pytest.mark.parametrize("words", [("info",), ("info", "-c"), ("table",), ("status",), ("deps",)])
def test_what_was_said_of_devices_stays_when_a_later_one_is_not_there(machine, words):
    status, out, err = machine.run(*words, "base", "nosuch", "wide")
    assert status == 5
    assert "base" in out
    assert "wide" not in out
    assert "exist" in err or "no device" in err


def test_a_device_that_goes_away_meanwhile_is_left_out_where_all_are_meant(machine, monkeypatch):
    every = DmClient.names
    gone = machine.dm.names()[0]._replace(name="gone")
    monkeypatch.setattr(DmClient, "names", lambda client: (gone, *every(client)))
    for words in (("info",), ("table",), ("deps",), ("info", "-c")):
        assert "gone" not in machine.ok(*words)


# -- tables ---------------------------------------------------------------------------------------


def test_tables_of_several_devices_have_names_in_front(machine):
    assert machine.ok("table", "wide") == "0 16 striped 2 8 9:9 0 9:9 4096\n16 8 error \n"
    assert machine.ok("table").splitlines()[0] == "base: 0 8 zero "
    assert "empty: \n" in machine.ok("table")
    assert machine.ok("table", "--target", "zero") == "base: 0 8 zero \n"


def test_keys_are_hidden_unless_they_are_asked_for(machine):
    key = "00ff" * 16
    table = (line("crypt", f"aes-xts-plain64 {key} 0 9:9 0"),)
    machine.kernel.seed([LiveDevice("secret", "", machine.major, 9, table=table)])
    for words in (("table", "secret"), ("table", "secret", "--json"), ("table", "--concise")):
        assert key not in machine.ok(*words)
        assert "0" * 64 in machine.ok(*words)
        assert key in machine.ok(*words, "--showkeys")


def test_json_of_a_table_has_fields_where_a_plugin_knows_the_target(machine):
    striped, error = machine.json("table", "wide")[0]["table"]
    assert (striped["start"], striped["length"], striped["target"]) == (0, 16, "striped")
    assert striped["params"] == "2 8 9:9 0 9:9 4096"
    assert striped["fields"]
    assert error["params"] == ""


def test_a_plugin_that_cannot_be_loaded_does_not_keep_tables_from_being_shown(machine, monkeypatch):
    def broken(*_: object):
        raise PluginError("no")

    monkeypatch.setattr(vmgr.registry, "table_types", broken)
    vmgr.cli.dm.parameters.tables.cache_clear()
    try:
        assert "fields" not in machine.json("table", "wide")[0]["table"][0]
    finally:
        vmgr.cli.dm.parameters.tables.cache_clear()


def test_the_concise_line_can_be_read_back(machine):
    from vmgr.dm.tables import parse_concise

    text = machine.ok("table", "--concise")
    assert text.count("\n") == 1
    devices = {device.name: device for device in parse_concise(text)}
    assert set(devices) == {"base", "vg--1-lv", "wide", "empty"}
    assert [each.target for each in devices["wide"].lines] == ["striped", "error"]
    assert devices["vg--1-lv"].uuid == LVM


def test_status_can_be_had_without_waiting(machine):
    from vmgr.dm import abi

    for words, flushes in ((("status", "wide"), True), (("status", "--noflush", "wide"), False)):
        machine.kernel.calls.clear()
        machine.ok(*words)
        (call,) = [call for call in machine.kernel.calls if call.command is abi.TABLE_STATUS]
        assert bool(call.flags & abi.NOFLUSH) != flushes


# -- dependencies, lists, trees -------------------------------------------------------------------


def test_dependencies_are_numbers_or_names(machine):
    assert machine.ok("deps", "vg--1-lv") == f"1 dependencies\t: ({machine.major}, 0)\n"
    assert machine.json("deps", "wide")[0]["dependencies"][0]["major"] == 9
    status, _, err = machine.run("deps", "-o", "b,foo,d")
    assert status == 3
    assert "Option not recognised: foo,d." in err


def test_lists_have_names_and_numbers(machine):
    assert machine.ok("ls").splitlines()[0] == f"base\t({machine.major}:0)"
    assert machine.ok("ls", "--target", "striped") == f"wide\t({machine.major}, 2)\n"
    assert [row["name"] for row in machine.json("ls", "--target", "error")] == ["wide"]


def test_a_program_is_run_for_each_device(machine, nodes):
    assert machine.ok("ls", "--target", "zero", "--exec", "echo a  b") == f"a b {nodes}/base\n"
    assert machine.ok("table", "--exec", "echo", "empty") == f"{nodes}/empty\n"
    status, out, err = machine.run("ls", "--target", "zero", "--exec", "echo a", "--json")
    assert [row["name"] for row in json.loads(out)["devices"]] == ["base"]
    assert (status, err) == (0, f"a {nodes}/base\n")
    status, _, err = machine.run("ls", "--exec", "/nonexistent/program")
    assert status == 5
    assert "cannot run /nonexistent/program" in err
    assert machine.run("ls", "--exec", "/nonexistent/program", program="dmsetup")[0] == 0
    assert machine.run("ls", "--exec", " ")[0] == 3


def test_the_tree_of_one_device_has_only_what_it_lies_on(machine):
    number = f"{machine.major}:1"
    assert machine.ok("info", "--tree", "vg--1-lv", "-o", "ascii") == (
        f"vg--1-lv ({number})\n `-base ({machine.major}:0)\n"
    )
    assert machine.ok("ls", "--tree", "-o", "ascii").count("\n") > 4
    assert "Name:" in machine.ok("info", "--tree", "base", program="dmsetup")


@pytest.mark.parametrize("words", [("info",), ("info", "-c"), ("ls",), ("ls", "--tree"), ("deps",), ("table",)])
def test_where_there_is_no_device_it_says_so(machine, words):
    machine.dm.remove_all()
    assert machine.ok(*words) == "No devices found\n"
    assert machine.json(*words) == []


@pytest.mark.parametrize(
    ("environ", "drawn"),
    [
        ({"LC_ALL": "C"}, "`-base"),
        ({"LC_ALL": "C.UTF-8"}, "└─base"),
        ({"LC_ALL": "", "LC_CTYPE": "de_DE.utf8"}, "└─base"),
        ({"LC_ALL": "", "LC_CTYPE": "", "LANG": "en_GB.UTF-8"}, "└─base"),
        ({"LC_ALL": "", "LC_CTYPE": "", "LANG": ""}, "`-base"),
    ],
)
def test_trees_are_drawn_in_the_characters_of_the_locale(machine, monkeypatch, environ, drawn):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert drawn in machine.ok("ls", "--tree")


def test_what_python_makes_of_the_locale_c_does_not_count(machine, monkeypatch):
    """It sets ``LC_CTYPE`` for itself where nobody chose a locale, and dmsetup draws in ASCII then."""
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    for name in ("LC_ALL", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for given in (True, False):
        monkeypatch.setattr(vmgr.cli.dm.trees, "_given", lambda name, given=given: given)
        assert ("└─base" in machine.ok("ls", "--tree")) == given
