"""vmgr-lab.8 has every option of ``vmgr lab``, and renders without a warning."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from vmgr.lab.command import command

PAGE = Path(__file__).parents[2] / "man" / "vmgr-lab.8"


def option_names() -> list[str]:
    with click.Context(command) as context:
        found = [
            name
            for option in command.get_params(context)
            if isinstance(option, click.Option)
            for name in (*option.opts, *option.secondary_opts)
        ]
    return sorted(found)


@pytest.mark.parametrize("name", option_names())
def test_each_option_has_an_entry(name: str) -> None:
    plain = re.sub(r"\\f.|\\", "", PAGE.read_text())
    options = plain.partition(".SH OPTIONS")[2].partition("\n.SH ")[0]
    headings = re.findall(r"^\.TP\n(.*)$", options, re.MULTILINE)
    assert any(name in re.split(r"[\s\",]+", heading) for heading in headings)


@pytest.mark.skipif(shutil.which("man") is None, reason="needs the package man-db")
def test_it_renders_without_a_warning() -> None:
    done = subprocess.run(["man", "--warnings", "-l", str(PAGE)], capture_output=True, check=True)
    assert done.stderr == b""
    assert b"VMGR-LAB(8)" in done.stdout
