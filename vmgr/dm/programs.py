"""Programs of the system that are run for the caller: where they are, and what of the environment they get.

They are looked for where a distribution puts the administrator's programs, and nowhere else: the caller's PATH may
lack those places (cron, su, sudo), and it may name others that anybody can write to.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PLACES = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where programs are looked for, in this order."""

_KEPT = ("HOME", "TERM", "TZ", "TMPDIR", "USER", "LOGNAME")


def find_program(name: str) -> str | None:
    """The path of the program ``name``, or None where it is not installed."""
    for place in PLACES:
        path = f"{place}/{name}"
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment for such a program: of ``environ`` (the caller's) what cannot change which code runs.

    Its messages come in English, because some of them are read.
    """
    environ = os.environ if environ is None else environ
    kept = {name: environ[name] for name in _KEPT if name in environ}
    return {**kept, "PATH": ":".join(PLACES), "LC_ALL": "C"}
