"""Swap: resized by writing a new header with the same UUID and label."""

from __future__ import annotations

from functools import partial

from vmgr.contents.content import Content
from vmgr.contents.job import NOCHANGE, Job, Manner, Task
from vmgr.contents.mounting import require_idle
from vmgr.contents.superblocks import read_superblock
from vmgr.contents.tools import need, run
from vmgr.core.errors import InUse
from vmgr.core.units import Bytes
from vmgr.system.putback import PutBack
from vmgr.system.usage import swap_priority


class Swap(Content):
    """The swap area at ``path``."""

    def __init__(self, kind: str, path: str, number: tuple[int, int]) -> None:
        self.superblock = read_superblock(path, kind)
        super().__init__(kind, path, number, self.superblock.size)

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """Grow it with mkswap, temporarily swapped off."""
        off = self._off(manner)
        return Job(size, off, (self._made(None),), moves=bool(off))

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """Shrink it with mkswap, before the volume shrinks."""
        off = self._off(manner)
        return Job(size, (*off, self._made(size)), moves=bool(off))

    def _off(self, manner: Manner) -> tuple[Task, ...]:
        priority = swap_priority(self.number)
        if priority is None:
            require_idle(self.path, self.kind)
            return ()
        if manner.mode == NOCHANGE:
            raise InUse(
                f"{self.described} is in use",
                hint="nothing was changed; swapoff it, or give --fsmode manage",
            )
        need("swapon", "swapoff")
        away = PutBack(self.path, self.number, priority=priority)
        return (Task(f"swapoff {self.path}", partial(run, "swapoff", self.path), away=away),)

    def _made(self, size: Bytes | None) -> Task:
        need("mkswap")
        block = self.superblock
        words = ["-p", str(block.block), "-U", block.uuid]
        words += ["-L", block.label] if block.label else []
        words += [self.path] if size is None else [self.path, str(int(size) // 1024)]
        return Task(f"mkswap {' '.join(words)}", partial(run, "mkswap", *words))
