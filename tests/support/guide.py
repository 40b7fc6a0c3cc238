"""The shell examples of ``docs/installation-guide.md``, taken out of the page so that they can be run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "installation-guide.md"
NOT_RUN = "<!-- not run -->"

_BLOCK = re.compile(
    rf"(?P<mark>{NOT_RUN}\n)?```sh\n(?P<script>.*?)```\n(?:\n```text\n(?P<output>.*?)```\n)?", re.DOTALL
)


class Steps(NamedTuple):
    """A block of commands; ``output`` is what they print (``...``: anything), None where it does not matter."""

    line: int
    script: str
    output: str | None
    runs: bool

    def printed(self, text: str) -> bool:
        """Whether ``text`` is what the page shows; how many blanks there are does not count."""
        if self.output is None:
            return True
        parts = [re.escape(part) for part in _squeezed(self.output).split("...")]
        return re.fullmatch(".*".join(parts), _squeezed(text), re.DOTALL) is not None


def _squeezed(text: str) -> str:
    return re.sub(r"(?m)(?<=\S) +", " ", text)


def steps() -> list[Steps]:
    """All blocks, in the page's order."""
    text = PAGE.read_text()
    return [
        Steps(text[: m.start("script")].count("\n") + 1, m["script"], m["output"], not m["mark"])
        for m in _BLOCK.finditer(text)
    ]
