"""The examples of ``docs/device-mapper.md``, taken out of the page so that they can be run."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "device-mapper.md"
KERNEL_ONLY = "<!-- kernel only -->"

_BLOCK = re.compile(
    rf"(?P<mark>{KERNEL_ONLY}\n)?```python\n(?P<code>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL
)


class Example(NamedTuple):
    """A block of Python; ``line`` is that of its first statement, ``output`` what it must print."""

    line: int
    section: str
    code: str
    output: str
    kernel_only: bool


def examples() -> list[Example]:
    """All examples, in the page's order."""
    text = PAGE.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        before = text[: match.start("code")]
        section = re.findall(r"(?m)^## (.*)$", before)[-1]
        line = before.count("\n") + 1
        found.append(Example(line, section, match["code"], match["output"] or "", bool(match["mark"])))
    return found


def run(example: Example, names: dict[str, object]) -> str:
    """Run an example among ``names``, as the ones before it left them; what it printed."""
    printed = io.StringIO()
    # So many empty lines that a traceback names the page's line.
    code = compile("\n" * (example.line - 1) + example.code, str(PAGE), "exec")
    with contextlib.redirect_stdout(printed):
        exec(code, names)
    return printed.getvalue()
