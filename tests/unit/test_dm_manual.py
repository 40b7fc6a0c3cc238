"""Every subcommand of ``vmgr dm`` and every option has its entry in vmgr-dm(8), and examples are valid."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from vmgr.cli.dm.command import find, options_of
from vmgr.cli.dm.manual import page
from vmgr.cli.dm.options import COMMON
from vmgr.cli.dm.registry import DMSETUP_VALUED, GROUPS, SUBCOMMANDS, VALUED, VALUED_LETTERS, load
from vmgr.cli.parse import check, parse

MAN = Path(__file__).parents[2] / "man"
TEXT = (MAN / "vmgr-dm.8").read_text("utf-8")


def entries(text: str) -> set[str]:
    heads = re.findall(r"(?m)^\.TP\n(\\fB\\-.*)$", text)
    return {name for head in heads for name in re.findall(r"\\fB\\-\\-([a-z]+)\\fP", head)}


def section(name: str) -> str:
    """The entry of a subcommand."""
    found = re.search(rf"(?ms)^\.SS {re.escape(name.replace('-', chr(92) + '-'))}\n(.*?)(?=^\.S[SH] )", TEXT)
    assert found is not None, name
    return found[1]


def test_the_committed_page_is_what_the_declarations_say():
    """`make man` brings it up to date."""
    assert page((MAN / "prose" / "dm.roff").read_text("utf-8")) == TEXT


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS))
def test_a_subcommand_has_an_entry_with_its_options(name):
    command = load(name)
    assert command.name == name
    assert entries(section(name)) == {n for option in command.options for n in (option.name, *option.aliases)}
    for argument in command.arguments:
        assert argument.usage.replace("-", "\\-") in section(name)


def test_the_common_options_have_entries():
    common = TEXT.partition(".SH COMMON OPTIONS")[2].partition(".SH EXIT STATUS")[0]
    assert entries(common) == {option.name for option in COMMON}


def test_examples_are_command_lines_that_the_parser_takes():
    examples = TEXT.partition(".SH EXAMPLES\n")[2].replace("\\-", "-").replace("\\e", "\\")
    blocks = re.findall(r"(?ms)^\.nf\n(.*?)\.fi$", examples)
    lines = [line for block in blocks for line in re.split(r"(?m)^# ", block) if line]
    assert len(lines) > 4
    for line in lines:
        vmgr, dm, *words = shlex.split(line)
        assert (vmgr, dm) == ("vmgr", "dm")
        name, rest = find(words)
        command = load(name)
        check(command, parse(command, options_of(command), rest))


def test_an_option_takes_a_value_in_every_subcommand_or_in_none():
    """It may stand before the subcommand, when only the table of VALUED tells."""
    for name in SUBCOMMANDS:
        for option in options_of(load(name)):
            assert "-" not in option.name
            for long in (option.name, *option.aliases):
                assert (long in VALUED) == option.takes_value, (name, long)
            for letter in option.short:
                assert (letter in VALUED_LETTERS) == option.takes_value, (name, letter)
    assert {word.partition("/")[0] for word in DMSETUP_VALUED} <= VALUED


def test_a_letter_means_the_same_option_in_every_subcommand():
    meanings: dict[str, str] = {}
    for name in SUBCOMMANDS:
        for option in options_of(load(name)):
            for letter in option.short:
                assert meanings.setdefault(letter, option.name) == option.name


def test_every_group_has_subcommands_and_every_module_declares_what_the_registry_says():
    for name in SUBCOMMANDS:
        group, _, second = name.partition(" ")
        assert not second or group in GROUPS
    for group in GROUPS:
        assert any(name.startswith(f"{group} ") for name in SUBCOMMANDS)
