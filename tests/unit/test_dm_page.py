"""Every example of ``docs/device-mapper.md`` does what the page says, on the fake kernel."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from itertools import groupby

import pytest

from tests.support.page import PAGE, examples, run
from vmgr.core import errors
from vmgr.core.table import LiveDevice
from vmgr.dm import abi, failure
from vmgr.dm.client import DmClient
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

SECTIONS = [list(group) for _, group in groupby(examples(), key=lambda example: example.section)]
UNCHECKED = ("Nodes and udev",)
"""Sections whose output says what the machine is like."""


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section[0].section)
def test_each_section_does_what_it_says(section: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples of a section build on each other, those of two sections do not."""
    kernel, nodes = FakeKernel(), FakeNodes()
    monkeypatch.setattr(DmClient, "open", lambda **_: DmClient(kernel, nodes=nodes))
    names: dict[str, object] = {"__name__": "__main__"}
    for example in section:
        if example.kernel_only:
            continue
        printed = run(example, names)
        assert printed == example.output or (example.section in UNCHECKED and not example.output)
    assert nodes.nodes == {}
    assert DmClient(kernel).names() == ()


def test_there_is_a_section_for_each_matter() -> None:
    found = {section[0].section for section in SECTIONS}
    assert found >= {"A first program", "Which device", "Tables", "Stacks", "Events", "Statistics", "Errors"}
    assert found >= {"Nodes and udev", "Tests without a kernel"}


def test_a_block_of_python_is_always_an_example() -> None:
    assert len(examples()) == PAGE.read_text().count("```python")


@pytest.mark.parametrize("module", sorted(set(re.findall(r"`(vmgr\.[a-z_.]+)`", PAGE.read_text()))))
def test_the_modules_that_are_named_are_there(module: str) -> None:
    __import__(module)


def test_the_errors_that_are_named_are_there_and_are_what_is_said() -> None:
    from vmgr.dm.stack import StackError

    known = {**vars(errors), **vars(failure), "StackError": StackError}
    rows = re.findall(r"(?m)^\| (`[A-Z]\w+`.*?) \| (.*?) \| .* \|$", PAGE.read_text())
    assert len(rows) > 8
    for names, also in rows:
        for name in re.findall(r"`(\w+)`", names):
            for base in re.findall(r"`(\w+)`", also):
                assert issubclass(known[name], known[base])
            assert issubclass(known[name], errors.VmgrError)


def test_every_command_and_flag_is_in_the_tables_with_its_version() -> None:
    """And the methods, their arguments and the fields that are named there are those that there are."""
    rows = re.findall(r"(?m)^\| (.*) \| DM_(\w+) \| ([\d.]+) \|$", PAGE.read_text())
    commands = {name: value for name, value in vars(abi).items() if isinstance(value, abi.Command)}
    assert {name: since for _, name, since in rows} == {
        name: ".".join(map(str, command.since)) for name, command in commands.items()
    }
    flags = re.findall(r"(?m)^\| ([a-z-]+) \| (.*) \| ([\d.]+) \|$", PAGE.read_text())
    assert [(name, since) for name, _, since in flags] == [
        (flag.name, ".".join(map(str, flag.since))) for flag in abi.FLAGS
    ]
    named = " ".join([*(methods for methods, _, _ in rows), *(how for _, how, _ in flags)])
    for method, argument in re.findall(r"`(\w+)\((\w*)", named):
        parameters = inspect.signature(getattr(DmClient, method)).parameters
        assert not argument or argument in parameters
    for field in re.findall(r"`LiveDevice\.(\w+)`", named):
        assert hasattr(LiveDevice, field)


def test_importing_the_library_loads_nothing_of_the_volume_manager() -> None:
    code = (
        "import sys, vmgr.dm.client, vmgr.dm.tables, vmgr.dm.stack, vmgr.dm.events, vmgr.dm.statistics;"
        "print(sorted(m for m in sys.modules if m in ('ctypes', 'pyudev', 'click', 'pluggy')"
        " or m.startswith(('vmgr.plugins', 'vmgr.system', 'vmgr.cli', 'vmgr.core.model', 'vmgr.core.hooks'))))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
