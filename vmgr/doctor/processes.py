"""Processes, from ``/proc``, read in ways that cannot hang.

Only ``stat`` and ``comm`` are read, because ``cmdline`` and ``environ`` wait for a process that is stuck with its
memory locked. The links of open files are read but not followed, because that can wait for a dead server.
"""

from __future__ import annotations

import os

from attrs import frozen

from vmgr.doctor.roots import Roots, is_number, link, names, read

STUCK = "D"
"""The state of a process that waits for input or output and cannot be interrupted."""


@frozen
class Process:
    """One process. ``state`` is the kernel's letter, empty if it has ended; ``age`` is in seconds, if known."""

    pid: int
    command: str
    state: str = ""
    age: int | None = None

    def __str__(self) -> str:
        return f"process {self.pid} ({self.command})"


def process(roots: Roots, pid: int) -> Process:
    """The process ``pid``."""
    text = read(f"{roots.proc}/{pid}/stat") or ""
    # "123 (a name) S 1 ...": the name may hold anything, so what follows the last parenthesis counts.
    command, _, rest = text.partition("(")[2].rpartition(")")
    words = rest.split()
    state = words[0] if words else ""
    age = None
    uptime = (read(f"{roots.proc}/uptime") or "").partition(".")[0]
    if len(words) > 19 and is_number(words[19]) and is_number(uptime):
        age = max(0, int(uptime) - int(words[19]) // os.sysconf("SC_CLK_TCK"))
    return Process(pid, command or "?", state, age)


def pids(roots: Roots) -> tuple[int, ...]:
    """All processes, lowest first."""
    return tuple(sorted(int(name) for name in names(roots.proc) if name.isdigit()))


def open_paths(roots: Roots, pid: int) -> tuple[str, ...]:
    """The paths that a process has open, as the kernel names them; empty if permission is denied."""
    folder = f"{roots.proc}/{pid}/fd"
    paths = (link(f"{folder}/{name}") for name in names(folder))
    return tuple(path for path in paths if path.startswith("/"))
