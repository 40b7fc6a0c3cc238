"""Colour: on a terminal that has it, for plans and states; nowhere else, and no word is lost by it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from vmgr.cli import colour

PLAIN = re.compile(r"\033\[[0-9;]*m")

TEXTS = {
    "states": (
        "  LV     VG   Attr       LSize\n"
        "  home   shop -wi-a----- 1.00g\n"
        "  broken shop -wi-a---p- 1.00g\n"
        "  held   shop -wi-s----- 1.00g\n"
        "  off    shop -wi------- 1.00g\n"
        "  LV Status              available\n"
        "  ACTIVE            '/dev/shop/home' [1.00 GiB] inherit\n"
        "  shop   2   1   0 wz-pn- 1.00g 1.00g\n"
    ),
    "plan": "  Plan for volume group shop:\n    metadata:\n      -    seqno = 1\n      +    seqno = 2\n"
    "       6. commit shop (seqno 2)   <- from here on the change is final\n",
    "findings": "  kernel       PROBLEM  no device mapper\n  udev         ok       runs\n",
}


@pytest.mark.parametrize("name", TEXTS)
def test_paint_changes_no_word_and_makes_no_control_but_colours(name: str) -> None:
    painted = getattr(colour, name)(TEXTS[name])
    assert painted != TEXTS[name]
    assert PLAIN.sub("", painted) == TEXTS[name]


def test_what_is_wrong_is_red_what_is_held_yellow_and_what_runs_green() -> None:
    lines = colour.states(TEXTS["states"]).splitlines()
    seen = [re.findall(r"\033\[(\d+)m", line)[:1] for line in lines]
    assert seen == [[], ["32"], ["31"], ["33"], [], ["32"], ["32"], ["31"]]


def shown(*words: str, terminal: bool = True, **variables: str) -> str:
    """What a command prints, on a terminal or into a pipe."""
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", "LC_ALL": "C.UTF-8", **variables}
    master, slave = pty.openpty()
    try:
        where = slave if terminal else subprocess.PIPE
        done = subprocess.run(
            [sys.executable, "-m", "vmgr", *words],
            stdin=subprocess.DEVNULL, stdout=where, stderr=where, env=env, check=False,
        )  # fmt: skip
        os.close(slave)
        slave = -1
        if not terminal:
            return (done.stdout + done.stderr).decode()
        text = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        return text.decode()
    finally:
        os.close(master)
        if slave >= 0:
            os.close(slave)


def test_a_terminal_gets_colour_and_nothing_else_does() -> None:
    words = ("lvs", "--nosuchoption")
    assert "\033[31munknown option --nosuchoption\033[0m" in shown(*words)
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        assert "\033" not in shown(*words, **variables)
    assert "\033" in shown(*words, NO_COLOR="")  # as no-color.org has it, only a value counts
    assert "\033" not in shown(*words, terminal=False)


def test_the_doctor_s_states_have_colour_on_a_terminal() -> None:
    assert re.search(r"\033\[3[123]m(ok|warning|PROBLEM)\033\[0m", shown("doctor", "kernel", "locks"))
    assert "\033" not in shown("doctor", "kernel", "locks", NO_COLOR="yes")
    assert "\033" not in shown("doctor", "--json", "kernel")
