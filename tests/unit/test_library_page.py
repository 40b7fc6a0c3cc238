"""``docs/library.md`` is what the docstrings say, and has all that a program can use."""

from __future__ import annotations

import inspect
import re

import pytest
from attrs import fields_dict

from tests.support.library import PAGE, examples, tool
from vmgr.app import Application
from vmgr.arguments import PER_CALL, REQUESTS
from vmgr.core import errors
from vmgr.outcome import RunOptions

TEXT = PAGE.read_text()


def test_the_page_is_up_to_date() -> None:
    assert tool().page() == TEXT, "write it anew: .venv/bin/python tools/library.py"


@pytest.mark.parametrize("name", [name for name in vars(Application) if not name.startswith("_")])
def test_every_method_is_on_the_page(name: str) -> None:
    assert f"- `{name}" in TEXT


@pytest.mark.parametrize("name", sorted({*REQUESTS, "RunOptions", "Outcome", "Subject", "SystemView"}))
def test_every_class_is_on_the_page_with_its_fields(name: str) -> None:
    section = TEXT.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    module = re.search(rf"`([\w.]+)\.{name}`", section)
    assert module is not None
    cls = getattr(__import__(module[1], fromlist=[name]), name)
    for field in fields_dict(cls):
        assert f"| `{field}` |" in section


def test_every_error_is_on_the_page_with_its_code_and_status() -> None:
    for name, cls in vars(errors).items():
        if inspect.isclass(cls) and issubclass(cls, errors.VmgrError):
            assert re.search(rf"\| `{name}` \| `\w+` \| `{cls.code}` \| {cls.exit_code} \| .+ \|", TEXT)


def test_every_block_of_python_is_an_example_with_what_it_gives() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    assert all(block.startswith(">>> ") for block in blocks)
    assert len(examples().examples) > 25


def test_the_options_of_a_call_are_named_on_the_page_and_are_options() -> None:
    assert set(PER_CALL) <= set(fields_dict(RunOptions))
    assert all(f"`{option}`" in TEXT.partition("## What there is")[0] for option in PER_CALL)
