"""Programs of the system that vmgr runs: where it finds them, and which environment they get.

They are searched only in the directories where distributions put administrators' programs. The caller's PATH may
lack these (cron, su, sudo), and may have directories that any user can write to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""The directories to search for programs, in order."""

_KEPT = ("HOME", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME")


def find_program(name: str) -> str | None:
    """The path of the program ``name``, or None where it is not installed."""
    for place in PLACES:
        path = f"{place}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for such a program: ``PATH`` and a few harmless variables of ``environ`` (the caller's).

    Variables that could make the program load other code are left out. The language is English, because vmgr
    parses some of the messages.
    """
    environ = os.environ if environ is None else environ
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {**kept, "PATH": ":".join(PLACES), "LC_ALL": "C"}
