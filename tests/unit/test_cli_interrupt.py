"""Ctrl-C at any moment of a process's start: no traceback, and the status of a process that the signal ended."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

PROBE = """
import os, signal, sys
words, at = sys.argv[2:], int(sys.argv[1])
seen = 0
def hook(event, args):
    global seen
    if event == "import" and "vmgr.__main__" in sys.modules:
        seen += 1
        if seen == at:
            os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(hook)
sys.argv = ["vmgr", *words]
import vmgr.__main__
vmgr.__main__.start()
"""
"""Runs a command line, and interrupts itself at an import of its start."""


def interrupted(at: int, *words: str, ignore: bool = False) -> subprocess.CompletedProcess[str]:
    """The process that is interrupted at import number ``at``."""

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignore else signal.SIG_DFL)

    return subprocess.run(
        [sys.executable, "-c", PROBE, str(at), *words],
        capture_output=True, text=True, check=False, preexec_fn=before,
    )  # fmt: skip


@pytest.mark.parametrize("words", [("lvs", "--readonly"), ("version",), ("lvcreate", "--help")], ids=" ".join)
def test_no_traceback_wherever_the_start_is_interrupted(words: tuple[str, ...]) -> None:
    moments = [*range(1, 20), *range(20, 140, 12)]
    for at in moments:
        done = interrupted(at, *words)
        if done.returncode == 0:
            assert at > 10, "nothing was interrupted"
            break
        assert done.returncode in (-signal.SIGINT, 130, 5), done
        assert "Traceback" not in done.stderr, f"at import {at}"
        assert "internal error" not in done.stderr, f"at import {at}"
        assert done.stderr in ("", "  interrupted\n"), f"at import {at}"


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    for at in (1, 5, 30):
        done = interrupted(at, "version", ignore=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "vmgr" in done.stdout
