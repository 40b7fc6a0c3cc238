"""``vmgr dm`` and its changing subcommands on the fake kernel: what is done, said, and left after a failure."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

import vmgr.cli.dm.context
import vmgr.cli.dm.creating
import vmgr.cli.dm.subjects
from vmgr.cli.main import main
from vmgr.core.errors import VmgrError
from vmgr.dm import abi
from vmgr.dm.client import DmClient
from vmgr.dm.udev import Udev
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

DISK = (7, 0)


class Machine:
    """A fake kernel behind the command line."""

    def __init__(self, capfd) -> None:
        self.kernel = FakeKernel({DISK: 1 << 20})
        self.nodes = FakeNodes()
        self.dm = DmClient(self.kernel, nodes=self.nodes)
        self.capfd = capfd
        self.settings: list[vmgr.cli.dm.context.ClientSettings] = []

    def open_client(self, settings, warn):
        self.settings.append(settings)
        return DmClient(self.kernel, nodes=self.nodes, warn=warn)

    def run(self, *words: str, program: str = "vmgr", stdin: str | bytes = "") -> tuple[int, str, str]:
        """Status, standard output, standard error."""
        before, sys.stdin = (
            sys.stdin,
            io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin)),
        )
        try:
            status = main([program, *(("dm",) if program == "vmgr" else ()), *words])
        finally:
            sys.stdin = before
        said = self.capfd.readouterr()
        return status, said.out, said.err

    def ok(self, *words: str, **more: object) -> str:
        status, out, err = self.run(*words, **more)  # type: ignore[arg-type]
        assert (status, err) == (0, ""), (out, err)
        return out

    def names(self) -> list[str]:
        return [entry.name for entry in self.dm.names()]

    def commands(self) -> list[str]:
        """The ioctls since the last time, without questions."""
        asked = {"version", "info", "list", "status", "deps", "targets", "target-version"}
        calls = [call.command.name for call in self.kernel.calls]
        self.kernel.calls.clear()
        return [name for name in calls if name not in asked]


@pytest.fixture
def machine(capfd, monkeypatch):
    found = Machine(capfd)
    monkeypatch.setattr(vmgr.cli.dm.context, "open_client", found.open_client)
    monkeypatch.setattr(vmgr.cli.dm.subjects, "own_nodes", lambda settings: found.nodes)
    for name in ("DM_DEV_DIR", "DM_UDEV_COOKIE", "DM_DEFAULT_NAME_MANGLING_MODE"):
        monkeypatch.delenv(name, raising=False)
    return found


ZERO = ("--table", "0 8 zero")


# -- create -----------------------------------------------------------------------------------------


def test_create_takes_its_table_from_an_option_a_file_or_standard_input(machine, tmp_path):
    file = tmp_path / "table"
    file.write_text("# two lines\n0 8 zero\n\n8 8 error # the end\n")
    machine.ok("create", "one", "--table", "0 8 zero\n8 8 error")
    machine.ok("create", "two", str(file))
    machine.ok("create", "three", stdin="0 8 zero\n8 8 error\n")
    tables = {name: machine.dm.table(name) for name in machine.names()}
    assert tables["one"] == tables["two"] == tables["three"]
    assert len(tables["one"]) == 2


def test_create_is_create_load_resume(machine):
    machine.ok("create", "one", *ZERO)
    assert machine.commands() == ["create", "load", "suspend"]


@pytest.mark.parametrize("how", [("--notable",), ()])
def test_create_without_a_table_makes_a_device_without_one(machine, how):
    machine.ok("create", "one", *how, stdin="\n# nothing\n" if not how else "0 8 zero")
    assert machine.commands() == ["create"]
    assert machine.nodes.nodes == {}


def test_a_node_can_be_made_for_a_device_without_a_table(machine):
    machine.ok("create", "one", "-n", "--addnodeoncreate")
    assert "one" in machine.nodes.nodes


@pytest.mark.parametrize(("table", "why"), [("0 8 nosuch", "load"), ("0 8 linear 7:0 99999999", "resume or load")])
@pytest.mark.parametrize("program", ["vmgr", "dmsetup"])
def test_a_device_whose_table_is_refused_is_removed_again(machine, table, why, program):
    status, out, err = machine.run("create", "one", "--table", table, program=program)
    assert status == (5 if program == "vmgr" else 1)
    assert out == ""
    assert "one" in err
    assert machine.names() == []


def test_a_device_whose_resume_is_refused_is_removed_again(machine, monkeypatch):
    monkeypatch.setattr(DmClient, "resume", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    status, _, err = machine.run("create", "one", *ZERO)
    assert (status, machine.names()) == (5, [])
    assert "interrupted" in err


def test_a_link_called_dmsetup_ends_by_an_interrupt_as_a_program_that_the_signal_killed(machine, monkeypatch):
    monkeypatch.setattr(DmClient, "suspend", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    assert machine.run("suspend", "one", program="dmsetup")[0] == 130


def test_create_gives_uuid_minor_and_read_only(machine):
    machine.ok("create", "one", "-u", "U-1", "-j", "254", "-m", "77", "-r", *ZERO)
    found = machine.dm.info(name="one")
    assert (found.uuid, found.minor, found.read_only) == ("U-1", 77, True)


def test_a_major_number_that_devices_do_not_have_is_refused_and_ignored_by_dmsetup(machine):
    status, _, err = machine.run("create", "one", "-j", "7", "-m", "5", *ZERO)
    assert status in (3, 5)
    assert "254" in err
    assert machine.names() == []
    machine.ok("create", "one", "-j", "7", "-m", "5", *ZERO, program="dmsetup")
    assert machine.dm.info(name="one").minor == 5


def test_a_table_of_a_hundred_thousand_lines_is_taken_from_standard_input(machine):
    text = "".join(f"{at * 8} 8 linear 7:0 {at * 8}\n" for at in range(100_000))
    machine.ok("create", "one", stdin=text)
    assert machine.dm.info(name="one").target_count == 100_000


BAD_CREATES = [
    (["create"], "", "needs a name"),
    (["create", ""], "", "empty"),
    (["create", "a/b", *ZERO], "", "'/'"),
    (["create", "..", *ZERO], "", "invalid device name"),
    (["create", "x" * 128, *ZERO], "", "127 bytes"),
    (["create", "\u00e9" * 40, *ZERO], "", "127 bytes"),
    (["create", "one", "-u", "u" * 129, *ZERO], "", "128 bytes"),
    (["create", "one", "--table", "0 8"], "", "no target"),
    (["create", "one", "--table", "0 8 zero\n9 1 zero"], "", "gap"),
    (["create", "one"], "0 8 zero\n8 x zero\n", "line 2"),
    (["create", "one"], "0 8 ze\0ro\n", "NUL"),
    (["create", "one", "/no/such/file"], "", "/no/such/file"),
    (["create", "one", "two", "three"], "", "three"),
    (["create", "one", "-n", *ZERO], "", "exclude"),
    (["create", "one", "-n", "file"], "", "exclude"),
    (["create", "one", "file", *ZERO], "", "twice"),
    (["create", "one", "-m", "3", *ZERO], "", "--major"),
    (["create", "one", "-j", "254", "-m", "x", *ZERO], "", "whole number"),
    (["create", "one", "-M", "9", *ZERO], "", "octal"),
    (["create", "one", "--readahead", "-4", *ZERO], "", "auto or none"),
    (["create", "one", "--manglename", "some", *ZERO], "", "auto, hex or none"),
    (["create", "one", "--udevcookie", "0", *ZERO], "", "cookie"),
    (["create", "one", "--force", *ZERO], "", "--force"),
    (["create", "one", "--addnodeoncreate", "--addnodeonresume", *ZERO], "", "exclude"),
    (["create", "--concise", "one,,,,0 8 zero", "-u", "U"], "", "exclude"),
    (["create", "--concise", "one,,,,0 8 zero;two,,x,,0 8 zero"], "", "minor number 'x'"),
    (["create", "--concise", "one,,,,0 8 zero;two,,,rx,0 8 zero"], "", "flags"),
    (["create", "--concise", "one,,,,0 8 zero;tw/o,,,,0 8 zero"], "", "'/'"),
    (["create", "--concise"], "one,,,,0 8 zero\\", "backslash"),
    (["create", "--concise", "one,,,,0 8 zero;two,,,,0 8"], "", "two"),
    (["create", "--concise", "o e,,,,0 8 zero;o\\\\x20e,,,,0 8 zero"], "", "two devices of the text have the name"),
    (["create", "--concise", "one,U,,,0 8 zero;two,U,,,0 8 zero"], "", "UUID U"),
    (["create", "--concise", "one,,3,,0 8 zero;two,,3,,0 8 zero"], "", "minor number 3"),
    (["create", "one", "/dev/zero"], "", "/dev/zero has more than 1 MiB"),
    (["create", "--concise"], "x" * (1 << 20) + "y", "standard input has more than 1 MiB"),
]


@pytest.mark.parametrize("program", ["vmgr", "dmsetup"])
@pytest.mark.parametrize(("words", "stdin", "named"), BAD_CREATES, ids=lambda value: str(value)[:50])
def test_bad_input_is_said_once_and_changes_nothing(machine, monkeypatch, words, stdin, named, program):
    monkeypatch.setattr(vmgr.cli.dm.creating, "MOST_TEXT", 1 << 20)
    status, out, err = machine.run(*words, stdin=stdin, program=program)
    if program == "dmsetup" and ("--force" in words or words[1:4] == ["one", "-n", "file"]):
        assert status == 0  # which dmsetup takes
        return
    assert (status, out) == (3 if program == "vmgr" else 1, "")
    assert named in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
    assert machine.commands() == []


def test_concise_makes_devices_in_order_from_an_argument_or_standard_input(machine):
    machine.ok("create", "--concise", "a,,,,0 8 zero;b,U-B,9,ro,0 8 zero,8 8 error")
    machine.ok("create", "--concise", stdin="c,,,,0 8 linear 254:9 0;d\\,e,,,,0 8 zero\n")
    assert machine.names() == ["a", "b", "c", "d\\x2ce"]
    found = machine.dm.info(name="b")
    assert (found.uuid, found.minor, found.read_only, found.target_count) == ("U-B", 9, True, 2)


def test_what_concise_did_before_a_failure_stays_and_is_named(machine):
    status, _, err = machine.run("create", "--concise", "a,,,,0 8 zero;b,,,,0 8 zero;c,,,,0 8 nosuch;d,,,,0 8 zero")
    assert status == 5
    assert machine.names() == ["a", "b"]
    assert "a, b" in err
    assert "c, d" in err


def test_owner_group_and_mode_of_a_node_are_handed_on(machine):
    machine.ok("create", "one", "-U", "5", "-G", "6", "-M", "0640", *ZERO)
    how = machine.settings[-1]
    assert (how.owner, how.group, how.mode) == (5, 6, 0o640)


# -- names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "mode", "kernel"),
    [
        ("a b", "auto", "a\\x20b"),
        ("\u00fc", "auto", "\\xc3\\xbc"),
        ("a\\x20b", "auto", "a\\x20b"),
        ("a\\x20b", "hex", "a\\x5cx20b"),
        ("a b", "none", "a b"),
        ("p@rt:1=#+.-_", "auto", "p@rt:1=#+.-_"),
    ],
)
def test_names_are_mangled_on_the_way_in_and_shown_plainly(machine, typed, mode, kernel):
    machine.ok("create", typed, *ZERO, "--manglename", mode)
    assert machine.names() == [kernel]
    shown = json.loads(machine.ok("suspend", typed, "--manglename", mode, "--json"))
    assert shown["devices"][0]["name"] == (typed if mode != "auto" else typed.replace("\\x20", " "))
    machine.ok("remove", typed, "--manglename", mode)
    assert machine.names() == []


def test_the_environment_chooses_the_mangling(machine, monkeypatch):
    monkeypatch.setenv("DM_DEFAULT_NAME_MANGLING_MODE", "NONE")
    machine.ok("create", "a b", *ZERO)
    assert machine.names() == ["a b"]


def test_mangle_renames_what_is_not_in_the_form_of_the_mode(machine):
    for name in ("a b", "good"):
        machine.dm.create(name)
    assert machine.ok("mangle") == ("a b: renaming to a\\x20b\ngood: [no UUID]: name already in correct form\n")
    assert sorted(machine.names()) == ["a\\x20b", "good"]
    machine.ok("mangle", "a\\x20b", "--manglename", "none")
    assert sorted(machine.names()) == ["a b", "good"]


def test_mangle_does_not_touch_a_device_whose_uuid_would_have_to_change(machine):
    machine.dm.create("a b", "u u")
    status, _, err = machine.run("mangle")
    assert (status, machine.names()) == (5, ["a b"])
    assert "UUID" in err


def test_rename_and_setuuid(machine):
    machine.ok("create", "one", *ZERO)
    machine.ok("rename", "one", "two words")
    assert machine.names() == ["two\\x20words"]
    machine.ok("rename", "two words", "--setuuid", "U-1")
    machine.ok("rename", "-u", "U-1", "three")
    assert json.loads(machine.ok("rename", "three", "four", "--json"))["device"]["name"] == "four"
    machine.ok("create", "five", *ZERO)
    machine.ok("setuuid", "five", "U-5")
    assert machine.dm.info(uuid="U-5").name == "five"


def test_udevs_rules_see_to_a_renamed_device_of_lvms_as_to_any(machine):
    machine.ok("create", "vg-lv", "-u", "LVM-x", *ZERO)
    machine.ok("rename", "vg-lv", "vg-other")
    (flags,) = [call.event_nr for call in machine.kernel.calls if call.command is abi.DEV_RENAME]
    assert not flags >> abi.UDEV_SHIFT & (abi.UDEV_DISABLE_DISK_RULES | abi.UDEV_DISABLE_OTHER_RULES)


@pytest.mark.parametrize(
    "words",
    [
        ["rename"], ["rename", "one"], ["rename", "one", "a/b"], ["rename", "one", ""], ["rename", "a", "b", "c"],
        ["setuuid", "one"], ["setuuid", "one", "u" * 129],
    ],
)  # fmt: skip
def test_bad_renames_change_nothing(machine, words):
    machine.ok("create", "one", *ZERO)
    machine.commands()
    status, out, err = machine.run(*words)
    assert (status, out, machine.names(), machine.commands()) == (3, "", ["one"], [])
    assert err


# -- suspend, resume, load, clear, wipe -------------------------------------------------------------


def test_flags_reach_the_kernel(machine):
    machine.ok("create", "one", *ZERO)
    machine.kernel.calls.clear()
    machine.ok("suspend", "one", "--noflush", "--nolockfs")
    machine.ok("load", "one", "-r", *ZERO)
    machine.ok("resume", "one", "--nolockfs")
    flags = [(call.command.name, call.flags) for call in machine.kernel.calls]
    assert ("suspend", abi.SUSPEND | abi.NOFLUSH | abi.SKIP_LOCKFS) in flags
    assert ("load", abi.READONLY) in flags
    assert ("suspend", abi.SKIP_LOCKFS) in flags


@pytest.mark.parametrize("name", ["load", "reload"])
def test_load_waits_for_a_resume_and_clear_drops_it(machine, name):
    machine.ok("create", "one", *ZERO)
    machine.ok(name, "one", stdin="0 16 zero\n")
    assert machine.dm.info(name="one").has_inactive
    machine.ok("clear", "one")
    assert not machine.dm.info(name="one").has_inactive
    machine.ok(name, "-j", "254", "-m", "0", "--table", "0 16 error")
    machine.ok("resume", "one")
    assert [str(line) for line in machine.dm.table("one")] == ["0 16 error"]


@pytest.mark.parametrize("program", ["vmgr", "dmsetup"])
@pytest.mark.parametrize("words", [["load", "one"], ["load"], ["load", "-u", "U", "a", "b"], ["load", "one", "-n"]])
def test_a_bad_load_loads_nothing(machine, words, program):
    machine.ok("create", "one", *ZERO)
    status, out, _ = machine.run(*words, program=program)
    assert (status, out) == (3 if program == "vmgr" else 1, "")
    assert not machine.dm.info(name="one").has_inactive


def test_wipe_puts_an_error_table_of_the_same_size_in_place(machine):
    machine.ok("create", "one", stdin="0 8 zero\n8 24 linear 7:0 0\n")
    machine.ok("wipe_table", "one")
    assert [str(line) for line in machine.dm.table("one")] == ["0 32 error"]
    assert not machine.dm.info(name="one").suspended


def test_a_wipe_that_the_kernel_refuses_leaves_the_old_table(machine, monkeypatch):
    machine.ok("create", "one", *ZERO)

    def refuse(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DmClient, "resume", refuse)
        assert machine.run("wipe_table", "one")[0] == 5
    found = machine.dm.info(name="one")
    assert (found.has_inactive, found.suspended) == (False, False)


def test_as_vmgr_dm_all_names_are_looked_at_first(machine):
    machine.ok("create", "one", *ZERO)
    machine.commands()
    status, _, err = machine.run("suspend", "one", "nosuch")
    assert (status, machine.commands()) == (5, [])
    assert "nosuch" in err
    assert machine.run("suspend", "one", "nosuch", program="dmsetup")[0] == 1
    assert machine.dm.info(name="one").suspended


def test_devices_left_suspended_by_a_failure_are_named(machine, monkeypatch):
    for name in ("one", "two", "three"):
        machine.ok("create", name, *ZERO)
    real = DmClient.suspend

    def suspend(client, dev, **how):
        if dev.name == "two":
            client.remove("two")
        return real(client, dev, **how)

    monkeypatch.setattr(DmClient, "suspend", suspend)
    status, _, err = machine.run("suspend", "one", "two", "three")
    assert status == 5
    assert "suspended: one" in err
    assert "not reached: three" in err


def test_devices_left_suspended_by_an_interrupt_are_named(machine, monkeypatch):
    for name in ("one", "two"):
        machine.ok("create", name, *ZERO)
    real = DmClient.suspend

    def suspend(client, dev, **how):
        if dev.name == "two":
            raise KeyboardInterrupt
        return real(client, dev, **how)

    monkeypatch.setattr(DmClient, "suspend", suspend)
    status, _, err = machine.run("suspend", "one", "two")
    assert status == 5
    assert "suspended: one" in err
    assert "`vmgr dm resume one`" in err


def test_a_refused_resume_says_that_the_device_is_still_suspended(machine, monkeypatch):
    machine.ok("create", "one", *ZERO)
    machine.ok("suspend", "one")

    def refuse(*_: object, **__: object) -> None:
        raise VmgrError("refused")

    monkeypatch.setattr(DmClient, "resume", refuse)
    status, _, err = machine.run("resume", "one")
    assert status == 5
    assert "still suspended" in err
    assert "`vmgr dm resume one`" in err


def test_verbose_shows_the_device_as_info_does(machine):
    machine.ok("create", "one", "-u", "U-1", *ZERO)
    text = machine.ok("suspend", "-v", "one")
    assert text.startswith("Name:              one\nState:             SUSPENDED\n")
    assert "UUID: U-1\n\n" in text
    assert text == machine.ok("info", "one")


def test_twice_verbose_says_what_the_kernel_is_asked(machine):
    status, out, err = machine.run("create", "one", "-vv", "-r", *ZERO)
    assert (status, out[:5]) == (0, "Name:")
    assert [line.strip() for line in err.splitlines() if "info" not in line] == [
        "create one", "load one readonly", "resume one",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["suspend", "resume", "clear", "wipe_table"])
def test_a_selection_says_which_devices_are_meant(machine, name):
    for device in ("one", "two", "other"):
        machine.ok("create", device, *ZERO)
    machine.ok("load", "one", *ZERO)
    found = json.loads(machine.ok(name, "-S", 'name=~"^t|^on"', "--json"))
    assert [device["name"] for device in found["devices"]] == ["one", "two"]


# -- remove -----------------------------------------------------------------------------------------


def test_remove_takes_several_devices_and_uuid_or_number(machine):
    for at, name in enumerate("abcde"):
        machine.ok("create", name, "-u", f"U-{at}", *ZERO)
    machine.ok("remove", "a", "b")
    machine.ok("remove", "-u", "U-2")
    machine.ok("remove", "-j", "254", "-m", "3")
    assert json.loads(machine.ok("remove", "e", "--json")) == {"devices": [{"name": "e"}]}
    assert machine.names() == []


def held(machine: Machine, name: str = "held") -> None:
    """A device that another lies on."""
    machine.ok("create", name, *ZERO)
    found = machine.dm.info(name=name)
    machine.ok("create", f"on-{name}", "--table", f"0 8 linear {found.major}:{found.minor} 0")


def test_force_lets_who_holds_a_device_fail(machine):
    held(machine)
    status, _, err = machine.run("remove", "--force", "held")
    assert status == 5
    assert "in use" in err
    assert "held has lost its table" in err
    assert [str(line) for line in machine.dm.table("held")] == ["0 8 error"]


def test_a_removal_that_fails_without_force_has_taken_no_table(machine):
    held(machine)
    _, _, err = machine.run("remove", "held")
    assert "lost its table" not in err


def test_a_device_that_is_not_there_is_said_to_be_that_wherever_it_is_named(machine):
    for words in (("remove", "a"), ("rename", "a", "b"), ("suspend", "a"), ("load", "a", *ZERO)):
        status, _, err = machine.run(*words)
        assert status == 5
        assert "`vmgr dm ls` lists the devices" in err
        assert words[0] == "rename" or err.startswith("  there is no device a\n")
    assert "there is no device with the UUID U" in machine.run("info", "-u", "U")[2]


def test_a_deferred_removal_is_a_success_and_its_node_goes_at_once(machine):
    held(machine)
    status, _, err = machine.run("remove", "--deferred", "held")
    assert status == 0
    assert "once it is closed" in err
    assert machine.dm.info(name="held").deferred_remove
    assert "held" not in machine.nodes.nodes
    machine.ok("remove", "on-held")
    assert machine.names() == []


def test_remove_all_asks_first_and_no_is_a_failure_that_did_nothing(machine):
    held(machine)
    for answer in ("", "n\n"):
        status, _, err = machine.run("remove_all", stdin=answer)
        assert status == 5
        assert "2 device-mapper devices" in err
        assert len(machine.names()) == 2
    assert machine.run("remove_all", stdin="y\n")[0] == 0
    assert machine.names() == []
    machine.ok("remove_all")


def test_remove_all_does_not_ask_as_dmsetup(machine):
    held(machine)
    machine.ok("remove_all", program="dmsetup")
    assert machine.names() == []


# -- messages, geometry, waiting --------------------------------------------------------------------


BAD_OTHERS = [
    ["message", "one"], ["message", "one", "x", "hello"], ["message", "one", "0"], ["message"],
    ["setgeometry", "one", "1", "2", "3"], ["setgeometry", "one", "1", "2", "x", "4"],
    ["setgeometry", "one", "70000", "2", "3", "4"], ["wait"], ["wait", "one", "x"], ["wait", "-u", "U", "1", "2"],
    ["suspend"], ["resume"], ["clear"], ["remove"], ["wipe_table"], ["splitname"], ["target-version"],
    ["suspend", "one", "-m", "2"], ["suspend", "/etc/passwd"],
]  # fmt: skip


@pytest.mark.parametrize("program", ["vmgr", "dmsetup"])
@pytest.mark.parametrize("words", BAD_OTHERS, ids=" ".join)
def test_incomplete_commands_ask_the_kernel_for_nothing(machine, words, program):
    machine.ok("create", "one", *ZERO)
    machine.commands()
    status, out, err = machine.run(*words, program=program)
    assert (status, out) == (3 if program == "vmgr" else 1, "")
    assert "Traceback" not in err
    assert machine.commands() == []


def test_a_message_is_its_words_joined_or_as_vmgr_dm_read_in_secret(machine, monkeypatch):
    sent: list[tuple[int, str, bool]] = []

    def message(client, dev, sector, text, *, secure=False):
        sent.append((sector, text, secure))
        return "answer"

    monkeypatch.setattr(DmClient, "message", message)
    machine.ok("create", "one", *ZERO)
    assert machine.ok("message", "one", "8", "key", "set", "x") == "answer\n"
    assert machine.ok("message", "one", "0", "-", stdin="key set 00ff\n") == "answer\n"
    assert machine.ok("message", "one", "0", "-", program="dmsetup") == "answer\n"
    assert sent == [(8, "key set x", False), (0, "key set 00ff", True), (0, "-", False)]


def test_wait_returns_when_the_event_number_differs(machine):
    machine.ok("create", "one", *ZERO)
    machine.ok("rename", "one", "two")
    machine.ok("rename", "two", "one")
    number = machine.dm.info(name="one").event_nr
    assert number
    assert json.loads(machine.ok("wait", "one", str(number - 1), "--json"))["device"]["event_number"] == number
    machine.ok("wait", "one")


def test_a_device_that_is_removed_while_it_is_waited_for_is_said_to_be_that(machine, monkeypatch):
    machine.ok("create", "one", *ZERO)

    monkeypatch.setattr(DmClient, "wait", lambda client, dev, number: (client.remove(dev), client.table(dev)))
    assert machine.run("wait", "one") == (5, "", "  one was removed while it was waited for\n")


# -- questions --------------------------------------------------------------------------------------


def test_version_targets_and_target_version(machine):
    assert machine.ok("version").endswith("Driver version:    4.47.0\n")
    assert machine.ok("version", program="dmsetup").startswith("Library version:   1.02.185 (")
    assert machine.ok("--version") == machine.ok("version")
    assert "zero             v1.1.0\n" in machine.ok("targets")
    assert machine.ok("target-version", "zero", "striped") == "zero             v1.1.0\nstriped          v1.6.0\n"
    status, out, err = machine.run("target-version", "zero", "nosuch", "striped")
    assert (status, out) == (5, "zero             v1.1.0\n")
    assert "nosuch" in err
    assert json.loads(machine.ok("targets", "--json"))["targets"]["zero"] == "1.1.0"


def test_splitname_takes_names_of_lvm_apart(machine):
    assert machine.ok("splitname", "vg--1-lv-real") == "VG   LV   LVLayer\nvg-1 lv   real   \n"
    assert json.loads(machine.ok("splitname", "vg-lv", "--json")) == {
        "subsystem": "LVM", "vg_name": "vg", "lv_name": "lv", "lv_layer": "",
    }  # fmt: skip


def test_no_device_mapper_is_status_5_with_a_hint(capfd, monkeypatch):
    from vmgr.dm import control

    def absent(*_: object) -> int:
        raise control.no_device_mapper()

    monkeypatch.setattr(control, "open_control", absent)
    assert main(["vmgr", "dm", "create", "one", "--table", "0 8 zero"]) == 5
    assert "modprobe dm-mod" in capfd.readouterr().err
    assert main(["dmsetup", "create", "one", "--table", "0 8 zero"]) == 1


# -- the command line -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ["-u", "U-1", "suspend"], ["suspend", "-uU-1"], ["--uuid=U-1", "suspend"], ["--uu", "U-1", "suspend"],
        ["-v", "-u", "U-1", "--", "suspend"], ["-vuU-1", "suspend"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_options_may_stand_before_and_after_the_subcommand(machine, words):
    machine.ok("create", "one", "-u", "U-1", *ZERO)
    assert machine.run(*words)[0] == 0
    assert machine.dm.info(name="one").suspended


def test_as_dmsetup_the_last_of_an_option_counts_and_stray_ones_are_ignored(machine):
    machine.ok("create", "one", "-u", "U-1", *ZERO)
    words = ["-c", "-o", "name", "--table", "x", "suspend", "-u", "U-0", "-u", "U-1", "-G", "x", "--count", "7"]
    assert machine.run(*words)[0] == 3
    assert machine.run(*words, program="dmsetup") == (0, "", "")
    assert machine.dm.info(name="one").suspended


@pytest.mark.parametrize(("word", "close"), [("creat", "create"), ("remov_all", "remove_all"), ("xyz", "help")])
def test_a_wrong_subcommand_says_which_are_close(machine, word, close):
    status, out, err = machine.run(word)
    assert (status, out) == (3, "")
    assert word in err
    assert close in err
    assert machine.run(word, program="dmsetup")[:2] == (1, "")


def test_help_fits_a_terminal_of_80_columns_and_tells_where_there_is_more(machine):
    for words in (("--help",), ("help", "stats")):
        assert max(map(len, machine.ok(*words).splitlines())) <= 80
    assert "`vmgr dm help stats` lists them" in machine.run("stats", "xyz")[2]
    assert "`vmgr dm help` lists them" in machine.run("xyz")[2]


def test_help_is_on_standard_output_and_as_dmsetup_on_standard_error(machine):
    status, out, err = machine.run()
    assert (status, err) == (3, "")
    assert machine.ok("help") == machine.ok("--help") == out
    assert machine.ok("help", "create") == machine.ok("create", "--help") == machine.ok("-h", "create")
    status, out, err = machine.run(program="dmsetup")
    assert (status, out) == (1, "")
    assert machine.run("help", program="dmsetup") == machine.run("-h", "create", program="dmsetup") == (0, "", err)
    assert machine.run("help", "nosuch")[0] == 3
    assert main(["vmgr", "help", "dm", "create"]) == 0


def test_settings_come_from_options_and_environment(machine, monkeypatch):
    monkeypatch.setenv("DM_DEV_DIR", "/other/dev/")
    machine.ok("version", "--noudevsync", "--noudevrules", "--udevcookie", "0xd4d1234")
    how = machine.settings[-1]
    assert (how.dev_dir, how.sync, how.rules, how.verify, how.cookie) == (
        "/other/dev", False, False, True, 0xD4D1234,
    )  # fmt: skip
    monkeypatch.setenv("DM_UDEV_COOKIE", "223154740")
    machine.ok("version", program="dmsetup")
    how = machine.settings[-1]
    assert (how.sync, how.rules, how.verify, how.cookie) == (True, True, False, 223154740)
    monkeypatch.setenv("DM_DEV_DIR", "dev")
    assert machine.run("version")[0] == 5


def test_a_cookie_that_does_not_exist_is_refused_before_anything_is_made(machine, monkeypatch):
    monkeypatch.setattr("vmgr.dm.semaphores.Semaphores.find", lambda *_: None)
    monkeypatch.setattr("vmgr.dm.udev.detect", lambda dev_dir, **how: Udev(**how))
    status, _, err = machine.run("create", "one", "--udevcookie", "0xd4d1234", *ZERO)
    assert (status, machine.commands()) == (5, [])
    assert "0xd4d1234" in err


def test_help_of_columns_is_on_standard_error_as_dmsetup(machine):
    status, out, err = machine.run("help", "-c", program="dmsetup")
    assert (status, out) == (0, "")
    assert "devnos_used" in err


def complete(monkeypatch, capfd, words: str, place: int) -> list[str]:
    monkeypatch.setenv("_VMGR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(place))
    main(["vmgr"])
    return [line.partition(",")[2] for line in capfd.readouterr().out.splitlines() if line]


def test_subcommands_options_and_names_are_completed(monkeypatch, capfd, tmp_path):
    (tmp_path / "mapper").mkdir()
    for name in ("control", "one", "two\\x20words"):
        (tmp_path / "mapper" / name).touch()
    monkeypatch.setenv("DM_DEV_DIR", str(tmp_path))
    assert complete(monkeypatch, capfd, "vmgr dm wip", 2) == ["wipe_table"]
    assert complete(monkeypatch, capfd, "vmgr dm stats cr", 3) == ["create"]
    assert complete(monkeypatch, capfd, "vmgr dm suspend --nof", 3) == ["--noflush"]
    assert complete(monkeypatch, capfd, "vmgr dm info --manglename ", 4) == ["auto", "hex", "none"]
    assert complete(monkeypatch, capfd, "vmgr doctor con", 2) == ["control"]
    assert complete(monkeypatch, capfd, "vmgr doctor control no", 3) == ["nodes"]
    assert complete(monkeypatch, capfd, "vmgr dm suspend ", 3) == ["one", "two words"]


def test_a_name_that_is_no_text_makes_json_all_the_same(machine):
    machine.dm.create("\udcffx")
    text = machine.ok("clear", "\udcffx", "--json", "--manglename", "none")
    assert text.isascii()
    assert json.loads(text)["devices"][0]["name"] == "\udcffx"


def test_a_link_called_dmsetup_has_no_other_failure_than_1(machine, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setenv("VMGR_DEBUG", "1")
    monkeypatch.setattr(DmClient, "suspend", broken)
    assert machine.run("suspend", "one")[0] == 5
    status, out, err = machine.run("suspend", "one", program="dmsetup")
    assert (status, out) == (1, "")
    assert "a bug" in err


@pytest.mark.parametrize(
    "words", [["version"], ["info"], ["suspend", "one"], ["create", "one", "-n"]], ids=" ".join
)
def test_a_subcommand_loads_little(words):
    """No command line library, no plugins, no JSON, no udev database."""
    code = (
        "import sys; from vmgr.cli.main import main; main(['vmgr', 'dm', *sys.argv[1:]])\n"
        "print(*sorted({'click', 'pluggy', 'pyudev', 'json', 'subprocess', 'importlib.metadata', 'tempfile',"
        " 'logging', 'vmgr.core.model', 'vmgr.core.hooks', 'vmgr.registry', 'vmgr.app'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""
