"""What a person is told on standard error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from vmgr.cli.terminal import Terminal
from vmgr.core.errors import InUse, VmgrError

if TYPE_CHECKING:
    import pytest


def test_a_detail_that_ends_the_message_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The message about a busy device ends with its first holder, which is among the details, too."""
    details = ("mounted on /a", "open in process 7 (dd)")
    Terminal().error(InUse("remove x: it is in use: mounted on /a", details=details, hint="unmount it"))
    assert capsys.readouterr().err.splitlines() == [
        "  remove x: it is in use: mounted on /a",
        "    open in process 7 (dd)",
        "  (unmount it)",
    ]


def test_details_that_the_message_does_not_have_are_all_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is lost of an error whose message stands for itself."""
    Terminal().error(InUse("it is in use", details=("mounted on /a", "mounted on /b")))
    assert capsys.readouterr().err.splitlines() == ["  it is in use", "    mounted on /a", "    mounted on /b"]


EVIL = "lv\x1b[2J\x9b\udc9b"
TAMED = r"lv\u001b[2J\u009b\udc9b"


def test_no_escape_sequence_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither as data, which a pipe may take to a terminal yet, nor in messages and questions."""
    terminal = Terminal(verbose=1, quiet=0)
    terminal.data(f"{EVIL}\n")
    assert capsys.readouterr().out == f"{TAMED}\n"
    for say in (terminal.done, terminal.note, terminal.say, terminal.progress, terminal.detail):
        say(EVIL)
        assert capsys.readouterr().err == f"  {TAMED}\n"
    terminal.warn(EVIL)
    terminal.error(VmgrError(EVIL, details=(EVIL,), hint=EVIL))
    assert "\x1b" not in capsys.readouterr().err
    terminal.configure(verbose=0, debug=0, quiet=2, yes=False)
    terminal.ask(f"remove {EVIL}?")
    assert capsys.readouterr().err == f"remove {TAMED}? [y/n]: [n]\n"


def test_dmsetups_names_go_raw_to_files_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --manglename none another dmsetup reads them."""
    terminal = Terminal()
    terminal.raw_to_files = True
    terminal.data("a\x1bb")
    monkeypatch.setattr(Terminal, "is_shown", lambda self: True)
    terminal.data("a\x1bb")
    assert capsys.readouterr().out == "a\x1bba\\u001bb"


def test_nothing_is_printed_past_the_terminal() -> None:
    """What is printed goes through :class:`Terminal`, so that it is made visible in one place."""
    past = re.compile(r"\b(print|echo|secho)\(|\b(stdout|stderr)\.(write|buffer)")
    own = {"terminal.py", "group.py"}  # group.py: help, which has nothing from elsewhere
    vmgr = Path(__file__).parents[2] / "vmgr"
    found = [
        f"{path}:{number}"
        for room in ("cli", "services", "report", "doctor", "system")
        for path in (vmgr / room).rglob("*.py")
        if path.name not in own
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if past.search(line) and "Reading from standard input" not in line
    ]
    assert found == [f"{vmgr}/report/__init__.py:8"]  # an example in words
