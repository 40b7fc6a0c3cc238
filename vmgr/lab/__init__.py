"""The lab: a rootless machine with a real device mapper, on a User Mode Linux kernel.

``run`` boots the machine on the host's own files (read-only), with disk images as block
devices, runs one command in it and returns the command's exit status; ``capture`` does the same
and returns what the command printed. Public names are imported on first use, because the
guest's first process imports this package too and starts slowly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmgr.lab.front import Captured, capture, run
    from vmgr.lab.options import Disk, LabOptions

__all__ = ["Captured", "Disk", "LabOptions", "capture", "run"]


def __getattr__(name: str) -> Any:
    """Import the public names when they are first used (PEP 562)."""
    if name in ("Disk", "LabOptions"):
        from vmgr.lab import options

        return getattr(options, name)
    if name in ("Captured", "capture", "run"):
        from vmgr.lab import front

        return getattr(front, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
