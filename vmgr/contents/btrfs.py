"""btrfs: it grows and shrinks while it is mounted. If it has several devices, only the volume is resized."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from vmgr.contents.content import Content, needs_mounting
from vmgr.contents.job import MANAGE, OFFLINE, Job, Manner, Task
from vmgr.contents.mounting import PrivateMount, btrfs_devices, mounts_of_btrfs, require_idle
from vmgr.contents.superblocks import read_superblock
from vmgr.contents.tools import need, run
from vmgr.core.errors import InUse, Refused
from vmgr.core.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST = Bytes(256 << 20)
"""The minimum size of a btrfs device (``fs/btrfs/ioctl.c``)."""


class Btrfs(Content):
    """The file system, or its part, at ``path``."""

    def __init__(self, kind: str, path: str, number: tuple[int, int]) -> None:
        self.superblock = read_superblock(path, kind)
        super().__init__(kind, path, number, self.superblock.size)

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """Grow it with ``btrfs filesystem resize``, temporarily mounted if it is not mounted."""
        return self._job(size, manner, "max", shrinks=False)

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """Shrink it with the same command, before the volume shrinks. btrfs moves the data behind the new end."""
        self.require_fit(self.superblock.used, size)
        if size < LEAST:
            raise Refused(
                f"{self.described} cannot be smaller than {int(LEAST) >> 20} MiB",
                hint="nothing was changed; give a larger size",
            )
        return self._job(size, manner, str(int(size)), shrinks=True)

    def _job(self, size: Bytes, manner: Manner, amount: str, *, shrinks: bool) -> Job:
        need("btrfs")
        place, held = self._place(manner)
        command = ("btrfs", "filesystem", "resize", f"{self.superblock.number}:{amount}", place or "%")
        text = " ".join((*command[:4], place or self.path))
        work: Callable[[], object] = held.go if held is not None else partial(run, *command)
        tasks = (Task(text, partial(self._checked, work, size) if shrinks else work),)
        mounting: tuple[Task, ...] = ()
        if held is not None:
            looked = PrivateMount("btrfs", self.path, "ro,rescue=nologreplay")
            words = f"mount {self.path} temporarily"
            mounting = (Task(words, partial(held.open, *command), held.close, check=looked.check),)
        if shrinks:
            return Job(size, (*mounting, *tasks), moves=held is not None)
        return Job(size, mounting, tasks, moves=held is not None)

    def _checked(self, work: Callable[[], object], size: Bytes) -> None:
        work()
        if read_superblock(self.path, self.kind).size > size:
            raise Refused(f"btrfs left {self.described} larger than asked for", hint="see btrfs filesystem show")

    def _place(self, manner: Manner) -> tuple[str, PrivateMount | None]:
        """Where it is mounted, or a temporary mount of it."""
        members = btrfs_devices(self.superblock.uuid)
        if manner.mode == OFFLINE:
            raise needs_mounting(self.described)
        if self.number in members:
            mounts = mounts_of_btrfs(members)
            writable = [mount for mount in mounts if not mount.read_only]
            if not mounts:
                raise InUse(
                    f"{self.described} is mounted where vmgr cannot see it",
                    hint="resize it there, in its container",
                )
            if not writable:
                raise InUse(
                    f"{self.described} is mounted read-only", hint="nothing was changed; mount it read-write first"
                )
            return writable[0].place, None
        if manner.mode != MANAGE:
            raise needs_mounting(self.described)
        need("unshare", "sh", "mount", "umount")
        require_idle(self.path, self.kind)
        return "", PrivateMount("btrfs", self.path)
