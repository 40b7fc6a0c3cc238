"""One JSON document whatever happens: LVM2's members in LVM2's shape, and vmgr's own."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_stage import Recorder
from vmgr.cli.document import Document, asked_for, value_text
from vmgr.cli.main import main
from vmgr.core import errors
from vmgr.core.effects import Effect
from vmgr.core.errors import DeviceError, InUse, NotFound, VmgrError
from vmgr.outcome import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
def app(monkeypatch):
    return Recorder().install(monkeypatch)


def answer(capsys) -> dict:
    """The only document on standard output."""
    value = json.loads(capsys.readouterr().out)
    assert value["report"] == [] or isinstance(value["report"][0], dict)
    assert value["log"] == []
    assert value["vmgr"]["version"] == 1
    return value


def json_members(text: str) -> list[str]:
    """The names of the members, where a text is a document."""
    try:
        return list(json.loads(text))
    except ValueError:
        return []


# -- whatever happens -----------------------------------------------------------------------------


@pytest.mark.parametrize("option", ["--reportformat json", "--reportformat=json_std", "--report-f json"])
def test_a_failure_is_in_the_document_and_said(app, capsys, option):
    app.error = InUse("it is in use", hint="unmount it", details=("mounted on /a",))
    app.effects = (Effect("wiped", "device", "/dev/sdb"),)
    assert app.run("lvremove", *option.split(), "vg/lv") == 5
    out, err = capsys.readouterr()
    assert json.loads(out)["vmgr"] == {
        "version": 1,
        "errors": [
            {"code": "in-use", "message": "it is in use", "hint": "unmount it", "details": ["mounted on /a"]}
        ],
        "warnings": [],
        "changed": [{"action": "wiped", "kind": "device", "name": "/dev/sdb", "uuid": ""}],
    }
    assert err == "  it is in use\n    mounted on /a\n  (unmount it)\n"


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        ("lvs --bad --reportformat json", 3, "usage"),
        ("lvs --reportformat json --bad", 3, "usage"),
        ("lvs --reportformat=json --reportformat=json", 3, "usage"),
        ("lvs --re json", 3, "usage"),
        ("lvs --reportformat json -o nosuchcolumn", 3, "usage"),
        ("lvcreate --reportformat json", 3, "usage"),
        ("lvcreate --reportformat json -L 1z vg", 3, "invalid-size"),
        ("lvremove --reportformat json vg/-x", 3, "invalid-name"),
        ("lvconvert --reportformat json", 3, "usage"),
        ("lvcreat --reportformat json", 2, "no-such-command"),
        ("pvmove --reportformat json", 2, "no-such-command"),
        ("--reportformat json lvs", 3, "usage"),
        ("plugins --reportformat json nosuch", 5, "not-found"),
        ("doctor --json nosuch", 3, "usage"),
        ("doctor --reportformat json_std nosuch", 3, "usage"),
        ("pvdisplay --reportformat json", 3, "usage"),
        ("vgscan --reportformat json", 3, "usage"),
        ("help nosuch --reportformat json", 2, "no-such-command"),
        ("help --reportformat json", 3, "usage"),
        ("--help --reportformat json", 3, "usage"),
        ("version --reportformat json nosuch", 3, "usage"),
        ("lab --reportformat json", 3, "usage"),
        ("dm ls --reportformat json", 3, "usage"),
    ],
)
def test_a_wrong_command_line_is_a_document_too(app, capsys, words, status, code):
    assert app.run(*words.split()) == status
    assert [error["code"] for error in answer(capsys)["vmgr"]["errors"]] == [code]


@pytest.mark.parametrize(
    "words", ["lvs --help", "lvs -h", "lvcreate --longhelp", "help lvs", "help help", "plugins --help"]
)
def test_help_that_was_asked_for_is_plain_text(app, capsys, words):
    """As LVM2's: help is for people. The manual page says so."""
    assert app.run(*words.split(), "--reportformat", "json") == 0
    out, err = capsys.readouterr()
    assert out.startswith("Usage: ")
    assert "vmgr" not in json_members(out)
    assert err == ""


@pytest.mark.parametrize(
    "words", ["version", "--version", "lvs --version", "lvcreate --version", "plugins --version"]
)
def test_versions_are_data(app, capsys, words):
    assert app.run(*words.split(), "--reportformat", "json") == 0
    found = answer(capsys)["vmgr"]["versions"]
    assert found.pop("driver", "4.0.0").count(".") == 2
    assert found["lvm"] == "2.03.16(2) (2022-05-18)"
    assert list(found) == ["lvm", "library", "vmgr", "python"]


@pytest.mark.parametrize("words", ["lvs --help", "help lvs"])
def test_a_fault_while_help_is_made_is_a_document(app, capsys, monkeypatch, tmp_path, words):
    def broken(*_: object) -> str:
        raise ZeroDivisionError("never")

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("vmgr.cli.group.DeclaredCommand.get_help", broken)
    assert app.run(*words.split(), "--reportformat", "json") == 5
    assert [error["code"] for error in answer(capsys)["vmgr"]["errors"]] == ["internal"]


def test_ctrl_c_before_a_command_has_begun_is_in_the_document(app, capsys, monkeypatch):
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("vmgr.cli.main._dispatch", interrupted)
    app.run("lvs", "--reportformat", "json")
    assert [error["code"] for error in answer(capsys)["vmgr"]["errors"]] == ["interrupted"]


def test_a_fault_of_vmgr_is_in_the_document(app, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    app.error = ZeroDivisionError("never")
    assert app.run("lvremove", "--reportformat", "json", "vg/lv") == 5
    (error,) = answer(capsys)["vmgr"]["errors"]
    assert (error["code"], error["message"]) == ("internal", "internal error: ZeroDivisionError: never")


def test_ctrl_c_is_in_the_document(app, capsys):
    app.error = KeyboardInterrupt()
    app.run("lvremove", "--reportformat", "json", "vg/lv")
    (error,) = answer(capsys)["vmgr"]["errors"]
    assert error["code"] == "interrupted"


def test_ctrl_c_at_a_question_is_in_the_document(app, capsys, monkeypatch):
    class Typed(io.StringIO):
        def readline(self, size: int = -1) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Typed())
    app.questions = ("Sure?",)
    app.run("lvremove", "--reportformat", "json", "vg/lv")
    (error,) = answer(capsys)["vmgr"]["errors"]
    assert error["code"] == "interrupted"


def test_a_success_says_what_was_done_and_changed(app, capsys):
    app.outcome = Outcome(done=("It is done.",), notes=("Mind this.",))
    app.effects = (Effect("created", "lv", "vg/lv", "u-u"),)
    assert app.run("lvcreate", "--reportformat", "json_std", "-l1", "vg") == 0
    own = answer(capsys)["vmgr"]
    assert (own["done"], own["notes"], own["test"]) == (["It is done."], ["Mind this."], False)
    assert own["changed"] == [{"action": "created", "kind": "lv", "name": "vg/lv", "uuid": "u-u"}]
    assert "plans" not in own  # they hold the metadata twice: only with --test


def test_warnings_are_in_the_document(app, capsys):
    assert app.run("lvremove", "-t", "--reportformat", "json", "vg/lv") == 0
    own = answer(capsys)["vmgr"]
    assert own["warnings"] == ["TEST MODE: nothing is changed"]
    assert (own["test"], own["plans"]) == (True, [])


def test_an_error_of_one_of_several_is_in_the_document(app, capsys):
    app.outcome = Outcome(done=("One is done.",), errors=(NotFound("no such thing"), DeviceError("bad disk")))
    assert app.run("lvremove", "--reportformat", "json", "vg/a", "vg/b") == 5
    own = answer(capsys)["vmgr"]
    assert own["done"] == ["One is done."]
    assert [error["code"] for error in own["errors"]] == ["not-found", "device-io"]


@pytest.mark.parametrize("words", ["lvs", "pvs", "vgs", "pvdisplay -C", "lvdisplay -C --noheadings"])
def test_a_report_stands_beside_the_rest(app, capsys, words):
    assert app.run(*words.split(), "--reportformat", "json") == 0
    value = answer(capsys)
    kind = words[:2]
    assert value["report"] == [{kind: []}]
    assert list(value) == ["report", "log", "vmgr"]


def test_a_name_that_is_not_found_leaves_the_rest_of_the_report(app, capsys):
    assert app.run("vgs", "--reportformat", "json", "none") == 5
    value = answer(capsys)
    assert value["report"] == [{"vg": []}]
    assert [error["code"] for error in value["vmgr"]["errors"]] == ["not-found"]


def test_lvm_conf_may_ask_for_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LVM_SYSTEM_DIR", "")
    settings = f'report/output_format="json" global/locking_dir="{tmp_path}"'
    words = ["--config", settings, "--devices", "/dev/null", "--driverloaded", "n"]
    assert main(["vmgr", "vgs", *words, "none"]) == 5
    assert [error["code"] for error in answer(capsys)["vmgr"]["errors"]] == ["not-found"]


@pytest.mark.parametrize("words", ["plugins", "plugins toy"])
def test_plugins_are_beside_the_rest(app, capsys, words):
    assert app.run(*words.split(), "--reportformat", "json") == 0
    assert [plugin["name"] for plugin in answer(capsys)["plugins"]] == ["toy"]


def test_help_is_text(app, capsys):
    assert app.run("lvs", "--reportformat", "json", "--help") == 0
    assert capsys.readouterr().out.startswith("Usage:")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("dm info --json --bad", "usage"),
        ("dm --json nosuch", "usage"),
        ("dm table --json -S", "usage"),
        ("dm splitname --json", "usage"),
        ("dm stats list --json --bad", "usage"),
    ],
)
def test_a_failure_of_a_device_command_is_a_document_too(capsys, words, code):
    assert main(["vmgr", *words.split()]) != 0
    assert [error["code"] for error in answer(capsys)["vmgr"]["errors"]] == [code]


def test_what_a_device_command_prints_stays_its_own(capsys):
    assert main(["vmgr", "dm", "splitname", "--json", "vg-lv"]) == 0
    assert json.loads(capsys.readouterr().out)["vg_name"] == "vg"


# -- text that only prints text -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pvdisplay", "vgdisplay", "lvdisplay", "pvscan", "vgscan", "lvscan"])
@pytest.mark.parametrize("format", ["json", "json_std"])
def test_what_prints_text_refuses_json_and_names_the_report(app, capsys, name, format):
    assert app.run(name, "--reportformat", format) == 3
    out, err = capsys.readouterr()
    assert f"{name} prints text, which --reportformat {format} cannot be" in err
    assert f"use {name[:2]}s)" in err
    assert json.loads(out)["report"] == []


@pytest.mark.parametrize("name", ["pvdisplay", "pvscan"])
def test_they_take_basic(app, name):
    assert app.run(name, "--reportformat", "basic") == 0


# -- the words ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("--reportformat json", True),
        ("-a --reportformat json_std x", True),
        ("--reportformat=json", True),
        ("--re-port-for json", True),
        ("--rep=json", True),
        ("--reportformat basic", False),
        ("--reportformat", False),
        ("json", False),
        ("-- --reportformat json", False),
        ("--readahead json", False),
        ("--json", False),
    ],
)
def test_which_words_ask_for_a_document(line, asked):
    assert asked_for("lvs", line.split()) is asked
    assert asked_for("doctor", line.split()) is (asked or line == "--json")


@pytest.mark.parametrize(
    "value",
    ["", 'a"b\\c\n\t\x1b[0m', "ü\U0001f600", 0, -3, True, None, [], {}, [1, ["a", []]], {"a": {"b": [None, {}]}}],
)
def test_values_are_what_the_standard_module_makes_of_them(value):
    assert json.loads(value_text(value)) == value


def test_bytes_that_are_no_text_leave_the_document_valid():
    document = Document()
    document.errors.append(NotFound("no device b\udcff"))
    assert json.loads(document.text().encode())["vmgr"]["errors"][0]["message"] == "no device b\udcff"


# -- the promise ----------------------------------------------------------------------------------


def classes(base: type[VmgrError]) -> set[type[VmgrError]]:
    return {base}.union(*(classes(sub) for sub in base.__subclasses__() if sub.__module__ == errors.__name__))


def promised() -> dict[str, int]:
    page = (ROOT / "man" / "vmgr-json.7").read_text("utf-8").replace("\\-", "-")
    listed = page.split('.\\" codes\n')[1].split('.\\" end of codes')[0]
    return {code: int(status) for code, status in re.findall(r'(?m)^\.BR ([a-z-]+) " \(status (\d)\)"$', listed)}


def test_the_manual_promises_the_codes_and_statuses_of_the_classes():
    assert promised() == {one.code: one.exit_code for one in classes(VmgrError)}
    assert list(promised()) == sorted(promised())


def test_no_code_is_made_anywhere_else():
    """Other modules' errors take the code of a class of core's."""
    known = {one.code for one in classes(VmgrError)}
    for path in (ROOT / "vmgr").rglob("*.py"):
        for code in re.findall(r'(?m)^    code = "(.*)"$', path.read_text("utf-8")):
            assert code in known
            assert path.name == "errors.py"


def test_no_two_classes_claim_one_code():
    codes = [one.code for one in classes(VmgrError) if "code" in vars(one)]
    assert len(codes) == len(set(codes))


# -- standard output that takes nothing -----------------------------------------------------------


def shell(script: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("LVM_", "VMGR_"))}
    environ["V"] = f"{sys.executable} -m vmgr"
    environ["LVM_SYSTEM_DIR"] = ""
    return subprocess.run(
        ["sh", "-c", script], env=environ, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )


@pytest.mark.parametrize(
    "command",
    ["version", "--help", "lvs --help", "lvs -o help", "plugins", "plugins --reportformat json", "dm --help"],
)
@pytest.mark.parametrize(("to", "why"), [(">&-", "it is closed"), (">/dev/full", "No space left on device")])
def test_data_that_cannot_be_delivered_are_a_failure(command, to, why):
    done = shell(f"exec $V {command} --driverloaded n {to}" if command == "version" else f"exec $V {command} {to}")
    assert done.stderr.startswith(f"  cannot write to standard output: {why}\n")
    assert done.returncode == 5


@pytest.mark.parametrize("command", ["version", "lvs -o help", "plugins --reportformat json"])
def test_a_reader_that_has_enough_ends_it_quietly(command):
    done = shell(f"{{ $V {command}; echo $? >&2; }} | true")
    assert done.stderr.strip() in ("0", "141")


def test_nothing_to_say_needs_no_output():
    """A command without data does not care."""
    done = shell("exec $V lvs --noheadings --nolocking --devices /dev/null >&-")
    assert (done.returncode, "standard output" in done.stderr) == (0, False)


def test_main_without_standard_output(monkeypatch, capsys):
    """Embedded, there may be none at all."""
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["vmgr", "version", "--driverloaded", "n"]) == 0


def test_a_note_that_warns_is_a_warning(app, capsys):
    app.outcome = Outcome(notes=("Rounding up.", "WARNING: Not zeroed."))
    assert app.run("lvcreate", "--reportformat", "json", "-l1", "vg") == 0
    own = answer(capsys)["vmgr"]
    assert (own["notes"], own["warnings"]) == (["Rounding up."], ["Not zeroed."])
