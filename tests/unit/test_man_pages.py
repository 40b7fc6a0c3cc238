"""Every command and every option has its place in a man page, and no page speaks of what is not there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from vmgr.cli.declare import plugin_options
from vmgr.cli.manual import own_plugins, pages
from vmgr.cli.options_common import COMMON
from vmgr.cli.parse import check, parse
from vmgr.cli.registry import COMMANDS, MOUNTED, load

MAN = Path(__file__).parents[2] / "man"
PAGES = pages()


def options(name):
    """All options of a command: its own, the built-in plugins', the common ones."""
    command = load(name)
    return (*command.options, *(plugin_options(command, own_plugins()) if command.from_plugins else ()), *COMMON)


def entries(page: str) -> set[str]:
    """Long names of the options that a page has an entry for."""
    heads = re.findall(r"(?m)^\.TP\n(\\fB\\-.*)$", page)
    names = [name for head in heads for name in re.findall(r"\\fB\\-\\-([a-z\\-]+)\\fP", head)]
    return {name.replace("\\-", "-") for name in names}


def synopsis_commands(page: str) -> list[str]:
    text = page.replace("\\-", "-").replace("\\e", "\\").replace("\\\n", "")  # lines that go on are joined
    return re.findall(r"(?m)^[#$] (vmgr .+)$", text)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_committed_page_is_up_to_date(name):
    """`make man` brings it up to date."""
    assert (MAN / name).read_text("utf-8") == PAGES[name]


def test_there_is_a_page_for_every_command_and_for_nothing_else():
    there = {path.name for path in MAN.glob("vmgr-*.8")}
    assert there >= {f"vmgr-{name}.8" for name in COMMANDS}
    assert there <= {f"vmgr-{name}.8" for name in (*COMMANDS, *MOUNTED)}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_page_has_an_entry_for_each_option_and_none_for_others(name):
    known = {n for option in options(name) for n in (option.name, *option.aliases)}
    assert entries((MAN / f"vmgr-{name}.8").read_text("utf-8")) == known


def test_the_main_page_lists_every_command_and_common_option():
    page = (MAN / "vmgr.8").read_text("utf-8")
    assert set(re.findall(r"(?m)^\.BR vmgr\\-([a-z]+) \(8\)$", page)) >= {*COMMANDS, *MOUNTED}
    assert entries(page) == {option.name for option in COMMON}


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_examples_are_valid_command_lines(name):
    lines = [line for line in synopsis_commands(PAGES[name]) if line.split()[1] in COMMANDS]
    assert lines or name in ("vmgr.8", "vmgr-dm.8")  # whose subcommands test_dm_manual.py looks at
    for line in lines:
        _, command, *words = shlex.split(line)
        parsed = parse(load(command), options(command), words)
        check(load(command), parsed)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_pages_refer_to_pages_that_exist(name):
    for other in re.findall(r"(?m)^\.BR (vmgr(?:\\-[a-z]+)?) \(8\)", PAGES[name]):
        page = other.replace("\\-", "-") + ".8"
        assert page in PAGES or page in {f"vmgr-{mounted}.8" for mounted in MOUNTED}


@pytest.mark.parametrize("path", sorted(MAN.glob("*.[1-9]")), ids=lambda path: path.name)
def test_man_renders_a_page_in_80_columns_without_a_warning(path):
    """At 80 columns no line is cut off, and no word is parted: names can be searched for and copied."""
    if not shutil.which("man") or not shutil.which("groff"):
        pytest.skip("man and groff are not installed (apt install man-db groff)")
    environ = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        ["man", "--warnings=w", "-E", "UTF-8", "-l", path],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = re.sub(".\b", "", done.stdout).splitlines()
    assert len(lines) > 20
    assert [line for line in lines if len(line) > 80 or line.endswith("\u2010")] == []
