"""The command line: one file for each command. It parses into a request, and prints what came of it; no logic.

``vmgr.cli.cli`` is the whole of it as a :class:`click.Group`; :func:`vmgr.cli.main.main` is the console script.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.cli.group import cli

__all__ = ["cli"]


def __getattr__(name: str) -> object:
    # An ordinary report never needs click, which would be a good part of its start-up.
    if name == "cli":
        from vmgr.cli.group import cli

        return cli
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
