"""Help as an operator needs it: commands in groups, an example for each, and links of unknown names explained."""

from __future__ import annotations

import shlex

import pytest

from tests.support.pair_target import PairPlugin
from vmgr.cli.main import main, with_plugins
from vmgr.cli.options_common import COMMON
from vmgr.cli.overview import EXAMPLES, SECTIONS, sections
from vmgr.cli.parse import check, parse
from vmgr.cli.registry import COMMANDS, MOUNTED, load
from vmgr.core.targets import Targets

NAMES = (*COMMANDS, *MOUNTED)


def test_every_command_is_in_one_section_and_has_an_example() -> None:
    listed = [name for _, names in SECTIONS for name in names]
    assert sorted(listed) == sorted(NAMES)
    assert sorted(EXAMPLES) == sorted(NAMES)
    assert sections((*NAMES, "new"))[-1] == ("More", ("new",))


@pytest.mark.parametrize("name", sorted(set(EXAMPLES) - set(MOUNTED)))
def test_every_example_is_a_right_command_line(name: str) -> None:
    program, command, *words = shlex.split(EXAMPLES[name])
    assert (program, command) == ("vmgr", name)
    declared = load(name)
    added = with_plugins(declared, print)[1]
    check(declared, parse(declared, (*declared.options, *added, *COMMON), words))


@pytest.mark.parametrize("words", [(), ("--help",), ("help",), ("-h",)], ids=" ".join)
def test_help_has_the_groups_in_order_with_an_example_each(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    main(["vmgr", *words])
    out = capsys.readouterr().out
    places = [out.index(f"\n{title}:\n") for title, _ in SECTIONS]
    assert places == sorted(places)
    assert out.count("  Example: vmgr ") == len(SECTIONS)
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_has_its_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vmgr", name, "--help"]) == 0
    assert f"\nExample: {EXAMPLES[name]}\n" in capsys.readouterr().out


@pytest.mark.parametrize("words", [(), ("-L1g", "vg"), ("vg",)], ids=" ".join)
def test_a_link_of_an_unknown_name_says_which_names_there_are(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["/usr/sbin/lvcrate", *words]) == 2
    err = capsys.readouterr().err
    assert "a link named 'lvcrate', but has no such command" in err
    assert "did you mean lvcreate" in err
    for name in (*COMMANDS, "lvm", "dmsetup", "dmstats"):
        assert f" {name}" in err


@pytest.mark.parametrize("program", ["vmgr", "vmgr-0.1", "lvm", "/opt/vmgr"])
def test_vmgr_by_its_own_names_takes_the_command_first(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([program, "lvcrate"]) == 2
    assert "no such command: lvcrate" in "".join(capsys.readouterr()).lower()


@pytest.mark.parametrize(
    ("words", "hint"),
    [("lvs --optoins", "--options"), ("lvcreate --exents 3 vg", "--extents"), ("lvcrate", "lvcreate"),
     ("dm tabel", "table"), ("dm table --shokeys", "--showkeys"), ("lab --dsk a", "--disk"),
     ("lvs -o lv_nam", "lv_name"), ],
)  # fmt: skip
def test_what_was_probably_meant_is_said(words: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vmgr", *words.split()]) != 0
    err = capsys.readouterr().err.lower()
    assert "did you mean" in err
    assert hint in err.split("did you mean")[1]


def test_where_a_plugin_comes_from_is_said_though_its_entry_point_has_another_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    targets = Targets([("the-entry", PairPlugin())])
    monkeypatch.setattr("vmgr.registry.load_targets", lambda warn=None: targets)
    monkeypatch.setattr("vmgr.registry.find_plugins", lambda *_: (("the-entry", "module", "somebody-1.0"),))
    assert main(["vmgr", "plugins"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["Plugin", "From"], ["pair", "somebody-1.0"],
    ]  # fmt: skip


def test_a_command_in_a_finding_is_never_broken_over_two_lines() -> None:
    from vmgr.cli.doctor import text_of
    from vmgr.doctor.finding import PROBLEM, Finding

    text = "the module is there, and is not loaded: run `modprobe -v dm-mod and more words` as root"
    for width in range(40, 120, 7):
        shown = text_of(
            [Finding("module.absent", "module", PROBLEM, text, remedy="modprobe dm-mod " * 12)], width=width
        )
        assert "`modprobe -v dm-mod and more words`" in shown
        assert "-> " + ("modprobe dm-mod " * 12).rstrip() in shown
