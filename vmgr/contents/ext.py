"""ext2, ext3 and ext4: they grow mounted or unmounted, and shrink only unmounted."""

from __future__ import annotations

import re
from functools import partial

from vmgr.contents.content import Content, needs_unmounting
from vmgr.contents.job import NOCHANGE, OFFLINE, Job, Manner, Task
from vmgr.contents.mounting import Mount, mounts_of, only_one, require_idle
from vmgr.contents.superblocks import EXT_ERRORS, read_superblock
from vmgr.contents.tools import need, run
from vmgr.core.errors import InUse, Refused
from vmgr.core.units import Bytes
from vmgr.system.devices import device_number
from vmgr.system.putback import PutBack


class Ext(Content):
    """The file system at ``path``."""

    def __init__(self, kind: str, path: str, number: tuple[int, int]) -> None:
        self.superblock = read_superblock(path, kind)
        super().__init__(kind, path, number, self.superblock.size)

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """Grow it with resize2fs; after a check if it is not mounted."""
        need("resize2fs")
        largest = self.superblock.largest
        if largest is not None and size > largest:
            raise Refused(
                f"{self.described} cannot be larger than {int(largest) >> 40} TiB",
                hint="nothing was changed; while it is unmounted, `resize2fs -b` gives it 64-bit block numbers",
            )
        mounts = mounts_of(self.number)
        after = (Task(f"resize2fs {self.path}", partial(run, "resize2fs", self.path)),)
        if mounts and manner.mode != OFFLINE:
            self._require_online(mounts)
            return Job(size, (), after)
        return Job(size, (*self._taken_down(mounts), *self._checked(manner)), after, moves=bool(mounts))

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """Shrink it with resize2fs, unmounted and checked."""
        need("resize2fs")
        mounts = mounts_of(self.number)
        if mounts and manner.mode == NOCHANGE:
            raise needs_unmounting(self.described)
        self.require_fit(self.superblock.used, size)
        blocks = int(size) // self.superblock.block
        command = (self.path, f"{blocks * self.superblock.block // 1024}K")
        return Job(
            size,
            (
                *self._taken_down(mounts),
                *self._checked(manner),
                Task(f"resize2fs {' '.join(command)}", partial(self._shrink, size, command)),
            ),
            moves=bool(mounts),
        )

    def _shrink(self, size: Bytes, command: tuple[str, str]) -> None:
        least = re.search(r"(\d+)\s*$", run("resize2fs", "-P", self.path))
        if least is not None:
            self.require_fit(Bytes(int(least[1]) * self.superblock.block), size)
        run("resize2fs", *command)
        if read_superblock(self.path, self.kind).size > size:
            raise Refused(f"resize2fs left {self.described} larger than asked for", hint="check it with e2fsck -f")

    def _checked(self, manner: Manner) -> tuple[Task, ...]:
        if not manner.check:
            return ()
        need("e2fsck")
        return (Task(f"e2fsck -f -p {self.path}", partial(run, "e2fsck", "-f", "-p", self.path, fine=(0, 1))),)

    def _taken_down(self, mounts: tuple[Mount, ...]) -> tuple[Task, ...]:
        """The step that unmounts it, if it is mounted."""
        if not mounts:
            require_idle(self.path, self.kind)
            return ()
        need("mount", "umount")
        mount = only_one(mounts, self.path)
        away = PutBack(mount.source, self.number, mount.place, mount.kind, mount.options)
        return (Task(f"umount {mount.place}", partial(run, "umount", mount.place), away=away),)

    def _require_online(self, mounts: tuple[Mount, ...]) -> None:
        """Raise the reason why the kernel cannot grow it while it is mounted, if there is one."""
        if self.superblock.state & EXT_ERRORS:
            raise Refused(
                f"{self.described} has errors, and so cannot grow while it is mounted",
                hint="nothing was changed; unmount it and run e2fsck -f on it",
            )
        if all(mount.read_only for mount in mounts):
            raise InUse(
                f"{self.described} is mounted read-only",
                hint="nothing was changed; mount it read-write, or unmount it",
            )
        if all(device_number(mount.source) != self.number for mount in mounts):
            raise InUse(
                f"{self.described} is mounted as {mounts[0].source}, a name that it no longer has",
                hint="nothing was changed; unmount it and mount it by its new name",
            )
