"""What every command promises, whatever it does: help, version, refusals, failures, and clean output."""

from __future__ import annotations

import gc
import io
import os
import subprocess
import sys

import pytest
from attrs import evolve

from tests.support.cli_stage import Recorder
from vmgr.cli.main import EXIT_PIPE, main
from vmgr.cli.registry import COMMANDS, MOUNTED, load
from vmgr.core.effects import Effect
from vmgr.core.errors import DeviceError, Interrupted, NotFound, UsageError
from vmgr.outcome import Outcome

MINIMAL = {
    "doctor": "",
    "formats": "",
    "lvchange": "-ay vg/lv",
    "lvconvert": "--merge vg/lv",
    "lvcreate": "-L1g vg",
    "lvdisplay": "",
    "lvextend": "-L+1g vg/lv",
    "lvreduce": "-L-1g vg/lv",
    "lvremove": "vg/lv",
    "lvrename": "vg lv new",
    "lvresize": "-L1g vg/lv",
    "lvs": "",
    "lvscan": "",
    "plugins": "",
    "pvchange": "-xy /dev/sdb",
    "pvcreate": "/dev/sdb",
    "pvdisplay": "",
    "pvremove": "/dev/sdb",
    "pvresize": "/dev/sdb",
    "pvs": "",
    "pvscan": "",
    "segtypes": "",
    "version": "",
    "vgcfgbackup": "vg",
    "vgcfgrestore": "vg",
    "vgchange": "-ay",
    "vgck": "",
    "vgcreate": "vg /dev/sdb",
    "vgdisplay": "",
    "vgextend": "vg /dev/sdb",
    "vgmknodes": "",
    "vgreduce": "vg /dev/sdb",
    "vgremove": "vg",
    "vgrename": "vg new",
    "vgs": "",
    "vgscan": "",
}
"""A shortest valid command line for each command."""

ORDERING = [name for name in sorted(COMMANDS) if load(name).changes]
NEEDING = [
    name
    for name in sorted(COMMANDS)
    if any(argument.needed for argument in load(name).arguments) or load(name).one_of
]


@pytest.fixture
def app(monkeypatch, tmp_path):
    monkeypatch.delenv("LVM_VG_NAME", raising=False)
    monkeypatch.delenv("VMGR_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return Recorder().install(monkeypatch)


def test_every_command_has_a_minimal_line():
    assert set(MINIMAL) == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
class TestEveryCommand:
    def test_help_is_on_standard_output_and_tells_every_option(self, app, capsys, name):
        assert app.run(name, "--help") == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert out.startswith(f"Usage: vmgr {name}")
        from vmgr.cli.options_common import COMMON

        for option in (*load(name).options, *COMMON):
            assert f"--{option.name}" in out
            assert f" -{option.short}, " in out or not option.short
        assert app.calls == []

    def test_help_wins_over_what_is_missing(self, app, capsys, name):
        assert app.run(name, "-h") == 0
        assert app.run(name, "--longhelp") == 0
        assert app.run("help", name) == 0
        assert app.calls == []

    def test_versions_are_on_standard_output(self, app, capsys, name):
        from vmgr import __version__

        assert app.run(name, "--version") == 0
        out, err = capsys.readouterr()
        assert out.startswith("  LVM version: ")
        assert f"  vmgr version:    {__version__}\n" in out
        assert err == ""
        assert app.calls == []

    def test_a_wrong_option_is_status_3(self, app, capsys, name):
        assert app.run(name, *MINIMAL[name].split(), "--no-such-option") == 3
        out, err = capsys.readouterr()
        assert out == ""
        assert err.splitlines()[0] == "  unknown option --no-such-option"
        assert app.calls == []

    def test_no_short_or_long_name_is_used_twice(self, app, name):
        from vmgr.cli.options_common import COMMON

        options = (*load(name).options, *COMMON)
        names = [n for o in options for n in (o.name, *o.aliases)] + [f"-{o.short}" for o in options if o.short]
        assert len(names) == len(set(names))
        refused = {word.partition("/")[0] for word in load(name).unsupported}
        assert not refused & set(names)

    def test_a_link_of_its_name_runs_it(self, app, capsys, name):
        assert main([f"/usr/sbin/{name}", "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: vmgr {name}")

    def test_lvm_runs_it(self, app, capsys, name):
        assert main(["lvm", name, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: vmgr {name}")

    def test_it_has_a_man_page(self, app, name):
        from pathlib import Path

        assert (Path(__file__).parents[2] / "man" / f"vmgr-{name}.8").exists()


@pytest.mark.parametrize("name", NEEDING)
def test_a_missing_argument_is_status_3_and_named(app, capsys, name):
    assert app.run(name) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert f"  {name} needs " in err
    assert app.calls == []


SAYS_NOTHING = ("lvchange",)
"""LVM2's command does not say that it activated something."""


@pytest.mark.parametrize("name", ORDERING)
class TestEveryChangingCommand:
    def test_standard_output_stays_clean(self, app, capsys, name):
        """What was done is said to a person, on standard error; standard output is for data."""
        app.outcome = Outcome(done=("It is done.",), notes=("Mind this.",))
        assert app.run(name, *MINIMAL[name].split()) == 0
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("  Mind this.\n" + ("" if name in SAYS_NOTHING else "  It is done.\n"))

    def test_quiet_says_nothing(self, app, capsys, name):
        app.outcome = Outcome(done=("It is done.",), notes=("Mind this.",))
        assert app.run(name, "-q", *MINIMAL[name].split()) == 0
        assert capsys.readouterr() == ("", "")

    def test_json_is_one_object(self, app, capsys, name):
        import json

        app.outcome = Outcome(done=("It is done.",), notes=("Mind this.",))
        assert app.run(name, "--reportformat", "json", *MINIMAL[name].split()) == 0
        out, err = capsys.readouterr()
        assert err == ""
        assert json.loads(out)["vmgr"]["notes"] == ["Mind this."]

    def test_test_mode_is_said_and_asked_for(self, app, capsys, name):
        app.outcome = Outcome(done=("It is done.",))
        assert app.run(name, "-t", *MINIMAL[name].split()) == 0
        assert app.options.test
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "  WARNING: TEST MODE: nothing is changed\n"

    def test_unreadable_input_is_status_5_with_a_message_and_a_hint(self, app, capsys, name):
        app.error = DeviceError("cannot read /dev/sdb: Input/output error", hint="look at the kernel's log")
        assert app.run(name, *MINIMAL[name].split()) == 5
        out, err = capsys.readouterr()
        assert out == ""
        assert err == "  cannot read /dev/sdb: Input/output error\n  (look at the kernel's log)\n"
        assert not app.open

    def test_errors_of_some_subjects_are_told_and_make_it_fail(self, app, capsys, name):
        app.outcome = Outcome(done=("One is done.",), errors=(NotFound("no such thing"),))
        assert app.run(name, *MINIMAL[name].split()) == 5
        assert "  no such thing\n" in capsys.readouterr().err

    def test_a_bug_is_one_line_and_no_traceback(self, app, capsys, name, tmp_path):
        app.error = KeyError("surprise")
        assert app.run(name, *MINIMAL[name].split()) == 5
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("  internal error: KeyError: 'surprise'\n  (the traceback is in ")
        (file,) = tmp_path.glob("vmgr-traceback-*.txt")
        assert "KeyError: 'surprise'" in file.read_text()

    def test_ctrl_c_says_that_nothing_was_changed(self, app, capsys, name):
        app.error = KeyboardInterrupt()
        assert app.run(name, *MINIMAL[name].split()) == 5
        assert capsys.readouterr() == ("", "  interrupted; nothing was changed\n")

    def test_ctrl_c_says_what_was_changed_before_it(self, app, capsys, name):
        app.error = KeyboardInterrupt()
        app.effects = (Effect("created", "lv", "vg/home", "u"), Effect("added", "pv", "/dev/sdb", "u"))
        assert app.run(name, *MINIMAL[name].split()) == 5
        assert capsys.readouterr().err.splitlines() == [
            "  interrupted; what was done before that stays done",
            "    done: logical volume vg/home created",
            "    done: physical volume /dev/sdb added",
            "  (the rest was not started; repeat the command to go on from here)",
        ]


def test_a_bug_shows_its_traceback_where_that_is_asked_for(app, capsys, monkeypatch):
    app.error = KeyError("surprise")
    monkeypatch.setenv("VMGR_DEBUG", "1")
    assert app.run("lvremove", "vg/lv") == 5
    err = capsys.readouterr().err
    assert "Traceback" in err


# -- questions ------------------------------------------------------------------------------------


class Keyboard(io.StringIO):
    """Standard input with some lines in it."""


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y\n", True),
        ("yes\n", True),
        (" Y \n", True),
        ("n\n", False),
        ("\ny\n", False),
        ("", False),
        ("yup\n", False),
        ("yup\ny\n", False),
        ("y", True),
    ],
)
def test_only_a_clear_yes_is_a_yes_and_the_end_of_input_is_a_no(app, capsys, monkeypatch, typed, answer):
    monkeypatch.setattr(sys, "stdin", Keyboard(typed))
    app.questions = ("Do you really want to remove volume vg/lv? [y/n]: ",)
    assert app.run("lvremove", "vg/lv") == 0
    assert app.answers == [answer]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Do you really want to remove volume vg/lv? [y/n]: ")
    assert err.count("? [y/n]: [") <= 1


def test_a_closed_input_means_no(app, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    app.questions = ("Sure?",)
    assert app.run("lvremove", "vg/lv") == 0
    assert app.answers == [False]


def test_yes_answers_without_asking_and_two_quiets_answer_no(app, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Keyboard("y\n"))
    app.questions = ("Sure?",)
    assert app.run("lvremove", "-y", "vg/lv") == 0
    assert capsys.readouterr().err == ""
    assert app.run("lvremove", "-qq", "vg/lv") == 0
    assert app.answers == [True, False]


def test_ctrl_c_at_a_question_stops_the_command(app, capsys, monkeypatch):
    class Broken(io.StringIO):
        def readline(self, size: int | None = -1) -> str:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Broken())
    app.questions = ("Sure?",)
    assert app.run("lvremove", "vg/lv") == Interrupted.exit_code
    assert "interrupted; nothing was changed" in capsys.readouterr().err


# -- the command as a process ---------------------------------------------------------------------


def process(*words: str, **settings: object) -> subprocess.CompletedProcess[bytes]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("LVM_", "VMGR_"))}
    return subprocess.run([sys.executable, "-m", "vmgr", *words], env=environ, timeout=60, check=False, **settings)  # type: ignore[call-overload]


def test_a_full_disk_under_the_output_is_a_failure():
    with open("/dev/full", "wb") as full:
        done = process("version", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 5
    assert done.stderr.startswith(b"  cannot write to standard output: No space left on device\n")
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["version"], ["help"], ["lab", "--help"], ["lvs", "--help"]], ids=" ".join)
def test_a_reader_that_goes_away_ends_the_output_quietly(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = process(*words, stdout=write, stderr=subprocess.PIPE)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (EXIT_PIPE, b"")


def test_closed_standard_streams_do_no_harm():
    """Data that nobody gets are a failure all the same."""
    script = f"exec {sys.executable} -m vmgr version <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], timeout=60, check=False).returncode == 5


def test_a_symbolic_link_runs_the_command_of_its_name(tmp_path):
    script = tmp_path / "lvcreate"
    target = tmp_path / "vmgr"
    target.write_text(f"#!{sys.executable}\nimport sys\nfrom vmgr.cli.main import main\nsys.exit(main())\n")
    target.chmod(0o755)
    script.symlink_to(target)
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout[:14]) == (0, "  LVM version:")


def test_a_report_loads_nothing_that_is_about_changes():
    code = (
        "import sys\nfrom vmgr.cli.main import main\n"
        "main(['vmgr', 'lvs', '--nolocking', '--driverloaded', 'n', '--config', 'devices/filter=[\\'r|.*|\\']'])\n"
        "print(sorted(m for m in sys.modules if m in ('vmgr.arguments', 'vmgr.commit', 'vmgr.core.amounts',"
        " 'vmgr.core.group_requests', 'vmgr.core.requests', 'vmgr.core.resolve', 'vmgr.core.subject')"
        " or m.startswith('vmgr.services')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_report_does_not_import_click_nor_what_it_has_no_use_for():
    code = (
        "import sys\nfrom vmgr.cli.main import main\n"
        "import vmgr.cli.reports\n"
        "heavy = {'click', 'json', 'uuid', 'datetime', 'subprocess', 'tempfile', 'pathlib', 'logging',"
        " 'dataclasses', 'importlib.metadata', 'shutil', 'pyudev', 'argparse', 'traceback', 'difflib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


# -- the whole ------------------------------------------------------------------------------------


def test_help_lists_every_command(capsys):
    for words in (["help"], ["help", "help"], ["--help"], ["-h"], ["-?"]):
        assert main(["vmgr", *words]) == 0
        out = capsys.readouterr().out
        for name in (*COMMANDS, *MOUNTED):
            assert f"\n  {name} " in out


def test_no_command_shows_the_help_and_is_a_wrong_command_line(capsys):
    assert main(["vmgr"]) == 3
    assert "See what is there:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["lvcrate"], 2, "(did you mean lvcreate"),
        (["pvmove"], 2, "(use LVM2's own pvmove)"),
        (["xyzzy"], 2, "no such command: xyzzy"),
        (["-L1", "lvcreate"], 3, "give options after a command"),
        (["help", "xyzzy"], 2, "no such command: xyzzy"),
        (["help", "pvmove"], 2, "(use LVM2's own pvmove)"),
        (["lab", "--no-such-option"], 3, "--no-such-option"),
        (["lab", "--disk"], 3, "(see `vmgr lab --help`)"),
    ],
)
def test_a_command_that_does_not_exist_is_named(capsys, words, status, says):
    assert main(["vmgr", *words]) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err


def test_the_click_group_runs_commands_too(app, capsys):
    from click.testing import CliRunner

    from vmgr.cli import cli

    result = CliRunner().invoke(cli, ["lvremove", "vg/lv", "-f"])
    assert result.exit_code == 0
    assert app.call[0] == "lvremove"
    assert CliRunner().invoke(cli, ["lvremove", "--bogus"]).exit_code == 3


def test_shells_complete_commands_options_and_values(app, monkeypatch, capsys):
    def complete(line: str, index: int) -> list[str]:
        monkeypatch.setenv("_VMGR_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(index))
        main(["vmgr"])
        return [row.partition(",")[2] for row in capsys.readouterr().out.splitlines()]

    assert "lvcreate" in complete("vmgr lvc", 1)
    assert complete("vmgr lvcreate --stripesi", 2) == ["--stripesize"]
    assert complete("vmgr lvcreate --alloc cl", 3) == ["cling", "cling_by_tags"]


def test_an_option_that_vmgr_has_itself_is_a_plugin_error():
    from tests.support.odd_target import INFO
    from vmgr.cli.declare import plugin_options
    from vmgr.core.errors import PluginError
    from vmgr.core.hooks import OptionSpec

    lvcreate = load("lvcreate")
    chunks = OptionSpec("chunksize", "size", "", ("lvcreate",), short="c")
    one, two = (evolve(INFO, name=name, options=(chunks,)) for name in ("one", "two"))
    (shared,) = plugin_options(lvcreate, (one, two))
    assert (shared.name, shared.kind, shared.short) == ("chunksize", "size", "c")
    for clash in (evolve(chunks, name="size", short=""), evolve(chunks, short="n"), evolve(chunks, kind="odd")):
        with pytest.raises(PluginError) as caught:
            plugin_options(lvcreate, (evolve(one, options=(clash,)),))
        assert caught.value.plugin == "one"


def test_a_usage_error_found_by_the_application_is_status_3(app, capsys):
    app.error = UsageError("unknown segment type 'foo'", hint="known types: toy")
    assert app.run("lvcreate", "-L1", "--type", "foo", "vg") == 3


def test_help_does_without_plugins_that_cannot_be_loaded(app, capsys, monkeypatch):
    from vmgr.core.errors import PluginError

    def broken(warn):
        raise PluginError("target plugin 'odd' cannot be loaded", hint="repair or uninstall that package")

    monkeypatch.setattr("vmgr.registry.load_targets", broken)
    assert app.run("lvcreate", "--help") == 0
    assert "--size" in capsys.readouterr().out
    assert app.run("lvcreate", "-L1", "vg") == 5
    assert "'odd'" in capsys.readouterr().err


def test_archives_are_listed_as_lvm2_lists_them(app, capsys):
    from vmgr.cli.vgcfgrestore import archive_text
    from vmgr.services.backups import ArchiveView

    archive = ArchiveView("/etc/lvm/archive/vg_00000-1.vg", "vg", "Created *before* executing 'x'", 0)
    assert [line.split(":")[0].strip() for line in archive_text(archive).splitlines()] == [
        "", "File", "VG name", "Description", "Backup Time", "",
    ]  # fmt: skip
    assert app.run("vgcfgrestore", "--list", "vg") == 0
    assert capsys.readouterr() == ("", "  no archives or backups of volume group vg found\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--journal", "nosuch"), "Ignoring unrecognized journal value"),
        (("--journal", "output,debug"), "Ignoring unrecognized journal value"),
        (("--lockopt", "skiplv,nosuch"), "Ignoring unknown lockopt value: nosuch\n"),
        (("--journal", "Debug", "--lockopt", "skiplv,skipvg"), ""),
    ],
)
def test_a_value_that_lvm2_would_not_know_is_told_and_ignored(monkeypatch, capsys, words, told):
    Recorder().install(monkeypatch)
    assert main(["vmgr", "lvchange", "-an", "vg/lv", *words]) == 0
    said = capsys.readouterr().err
    assert (told in said) if told else "Ignoring" not in said


def test_a_plugins_option_may_be_of_any_kind() -> None:
    """What is written becomes what its declaration says; of a group one may be given."""
    from vmgr.cli.declare import from_spec
    from vmgr.cli.values import convert
    from vmgr.core.amounts import Percent, Signed, SizeSpec
    from vmgr.core.hooks import OptionSpec
    from vmgr.core.units import Extents, Sectors

    def value(kind: str, text: str, **fields: bool) -> object:
        return convert(from_spec(OptionSpec("o", kind, "", ("lvcreate",), **fields), "odd"), text)  # type: ignore[arg-type]

    more = value("number", "+1", signed=True)
    assert isinstance(more, Signed)
    assert (more, more.sign) == (1, "+")
    assert value("number", "3", signed=True) == 3
    assert value("percent", "40%") == value("percent", "40") == 40
    with pytest.raises(UsageError, match="more than 100"):
        value("percent", "101")
    assert value("extents", "50%FREE") == SizeSpec(Percent(50, "FREE"))
    assert value("extents", "+3", signed=True) == SizeSpec(Extents(3), "+")
    assert value("size", "-4m", signed=True) == SizeSpec(Sectors(8192), "-")
    assert value("volume", "vg/pool") == "vg/pool"
    assert from_spec(OptionSpec("o", "word", "", ("lvcreate",), repeated=True), "odd").many


def test_a_program_that_calls_a_command_keeps_its_garbage_collection(app) -> None:
    """How often a change looks for garbage is set for a process that is the command, not for one that calls it."""
    before = gc.get_threshold()
    assert main(["vmgr", "lvchange", "-ay", "vg/lv"]) == 0
    assert (gc.get_threshold(), gc.isenabled()) == (before, True)
