"""``segtypes`` and ``formats``: the words that LVM2's commands of these names list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Command
from vmgr.core.errors import EXIT_OK

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation


def segtypes(invocation: Invocation) -> int:
    """Print the types of volumes that the installed plugins make, one a line."""
    from vmgr.registry import load_targets

    words = dict.fromkeys(word for info in load_targets(invocation.terminal.warn).infos() for word in info.types)
    invocation.terminal.data("".join(f"  {word}\n" for word in words))
    return EXIT_OK


def formats(invocation: Invocation) -> int:
    """Print the metadata formats: there is one."""
    invocation.terminal.data("  lvm2\n")
    return EXIT_OK


DECLARED = {
    "segtypes": Command(
        "segtypes",
        "List the types of volumes that can be made.",
        usages=("",),
        run_alone=segtypes,
    ),
    "formats": Command(
        "formats",
        "List the formats of metadata.",
        usages=("",),
        run_alone=formats,
    ),
}
