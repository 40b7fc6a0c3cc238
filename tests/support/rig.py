"""The machine in memory with all plugins that are installed here."""

from __future__ import annotations

from pathlib import Path

from vmgr.registry import load_targets
from vmgr.testing.machine import MemoryMachine

TARGETS = load_targets()


class Rig(MemoryMachine):
    """Two disks with a group ``vg``, and a kernel without devices."""

    def __init__(self, dev_dir: Path) -> None:
        super().__init__(dev_dir, TARGETS)
