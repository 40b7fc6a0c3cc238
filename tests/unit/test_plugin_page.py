"""``vmgr-plugins(7)`` and the page of the contract's paper test say what the contract says."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from attrs import fields

from tests.support.contract_targets import CONTRACT
from tests.support.stacks import TARGETS
from vmgr.core.hooks import TargetInfo, TargetSpec

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "man" / "vmgr-plugins.7"
EXAMPLE = ROOT / "examples" / "vmgr-delay"
PAPER = ROOT / "docs" / "architecture.md"
HOOKS = {name: function for name, function in vars(TargetSpec).items() if not name.startswith("_")}


def _plain(text: str) -> str:
    for roff, char in (("\\(aq", "'"), ("\\(ga", "`"), ("\\(ha", "^"), ("\\(ti", "~"), ("\\&", ""), ("\\-", "-")):
        text = text.replace(roff, char)
    return text.replace("\\e", "\\")


@pytest.mark.parametrize("path", ["pyproject.toml", "src/vmgr_delay/__init__.py", "src/vmgr_delay/table.py"])
def test_the_page_has_the_example_as_it_is(path: str) -> None:
    assert f".nf\n{(EXAMPLE / path).read_text()}.fi\n" in _plain(PAGE.read_text())


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_the_page_has_each_hook_with_its_arguments(name: str) -> None:
    arguments = [a for a in inspect.signature(HOOKS[name]).parameters if a != "self"]
    heads = [line for line in PAGE.read_text().splitlines() if line.startswith(".B ")]
    assert any(f"{name}({', '.join(arguments)})" in head for head in heads)


@pytest.mark.parametrize("name", [f.name for f in fields(TargetInfo)])
def test_the_page_has_each_field_of_the_declaration(name: str) -> None:
    declared = PAGE.read_text().split(".B target_info()")[1].split(".SS What is stored")[0]
    assert re.search(rf"\b{name}\b", declared)


def test_the_page_names_no_hook_that_is_not_there() -> None:
    named = re.findall(r"(?m)^\.B (?:\w+\([\w, ]*\)(?:, )?)+$", PAGE.read_text())
    words = {word for line in named for word in re.findall(r"(\w+)\(", line)}
    assert words
    assert words <= set(HOOKS)


@pytest.mark.skipif(shutil.which("man") is None, reason="man is missing: apt install man-db groff")
def test_the_page_renders_without_a_warning() -> None:
    run = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", str(PAGE)],
        capture_output=True,
        env={**os.environ, "MANWIDTH": "100", "MANROFFSEQ": ""},
        check=True,
    )
    assert run.stderr == b""
    assert b"vmgr" in run.stdout


@pytest.mark.skipif(shutil.which("man") is None, reason="man is missing: apt install man-db groff")
def test_the_page_fits_a_terminal_of_80_columns() -> None:
    """Lines of examples are not filled: what is too long for the terminal would be broken anywhere."""
    run = subprocess.run(
        ["man", "-E", "UTF-8", "-l", "-Tutf8", str(PAGE)],
        capture_output=True,
        text=True,
        env={**os.environ, "MANWIDTH": "80", "MANROFFSEQ": "", "GROFF_NO_SGR": "1"},
        check=True,
    )
    plain = re.sub(r".\x08", "", run.stdout)
    assert [line for line in plain.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_the_paper_test_speaks_of_each_hook(name: str) -> None:
    assert f"`{name}`" in PAPER.read_text()


def test_all_hooks_but_the_example_s_are_used_by_some_target() -> None:
    """A hook that neither a built-in target nor one of the paper test needs would be a guess."""
    used = {
        name for targets in (TARGETS, CONTRACT) for plugin in targets._plugins for name in HOOKS if plugin.has(name)
    }
    assert set(HOOKS) == used
