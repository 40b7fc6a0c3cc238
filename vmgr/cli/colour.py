"""Colour for plans and states, where a terminal shows it: see :func:`is_wanted`.

What is painted has been printed many times before without colour, so words and letters carry the meaning, and
colour only draws the eye: red for what is wrong, yellow for what to mind, green for what runs.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

RED, GREEN, YELLOW, BOLD, DIM = "31", "32", "33", "1", "2"


def is_wanted(stream: TextIO | None) -> bool:
    """Whether ``stream`` is a terminal that has colour, and nobody said that there shall be none.

    ``NO_COLOR`` (https://no-color.org) is such a word if it is not empty, ``TERM`` if it is ``dumb`` or empty.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # it is closed
        return False


def paint(text: str, colour: str) -> str:
    """``text`` in a colour."""
    return f"\033[{colour}m{text}\033[0m" if text else text


# -- what is painted ------------------------------------------------------------------------------


def plan(text: str) -> str:
    """A plan: metadata that go and come, and the step from which on it is final."""
    return "".join(_plan_line(line) for line in text.splitlines(keepends=True))


def _plan_line(line: str) -> str:
    body = line.rstrip("\n")
    end = line[len(body) :]
    words = body.lstrip()
    indent = body[: len(body) - len(words)]
    if words.startswith("Plan"):
        return indent + paint(words, BOLD) + end
    if words[:1] == "+":
        return indent + paint(words, GREEN) + end
    if words[:1] == "-" and not words.startswith("->"):
        return indent + paint(words, RED) + end
    if words.startswith("@@"):
        return indent + paint(words, DIM) + end
    if "<- from here on" in words:
        head, mark, tail = words.partition("<- from here on")
        return indent + head + paint(mark + tail, YELLOW) + end
    return line


_VOLUME = re.compile(r"(?<=\s)([-a-zA-Z][-rwR][-a-zA-Z][-m])([-a-zA-Z])([-oX][-a-zA-Z][-z])([-a-zA-Z])([-k])(?=\s)")
"""``lv_attr``: up to the state, the state, up to the health, the health, the rest."""

_GROUP = re.compile(r"(?<=\s)[wr][-z][-x]p[-a-zA-Z][-cs](?=\s)")
_PV = re.compile(r"(?<=\s)[-adu][-x]m(?=\s)")
_STATUS = re.compile(r"^(\s+LV Status\s+)(available|NOT available|suspended)(.*)$", re.MULTILINE)
_SCAN = re.compile(r"^(\s+)(ACTIVE)(?=\s.*'/)", re.MULTILINE)


def states(text: str) -> str:
    """A report, display or scan: the letters and words that tell what runs and what is wrong."""
    text = _VOLUME.sub(_volume, text)
    text = _GROUP.sub(lambda match: paint(match[0], RED), text)
    text = _PV.sub(lambda match: paint(match[0], RED), text)
    text = _STATUS.sub(_status, text)
    return _SCAN.sub(lambda match: match[1] + paint(match[2], GREEN), text)


def _volume(match: re.Match[str]) -> str:
    state, health = match[2], match[4]
    if health != "-" or state in "ISM":
        return paint(match[0], RED)
    if state in "smdicC":
        return paint(match[0], YELLOW)
    return paint(match[0], GREEN) if state == "a" else match[0]


def _status(match: re.Match[str]) -> str:
    colours = {"available": GREEN, "suspended": YELLOW}
    tail = paint(match[3], RED) if "partial" in match[3] else match[3]
    return match[1] + (paint(match[2], colours[match[2]]) if match[2] in colours else match[2]) + tail


_FINDING = re.compile(r"^(\s{2}\S*\s+)(ok|note|warning|PROBLEM)(\s)", re.MULTILINE)


def findings(text: str) -> str:
    """The doctor's findings: the state of each."""
    colours = {"ok": GREEN, "note": DIM, "warning": YELLOW, "PROBLEM": RED}
    return _FINDING.sub(lambda match: match[1] + paint(match[2], colours[match[2]]) + match[3], text)
