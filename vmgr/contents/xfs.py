"""XFS: it grows while it is mounted, and never shrinks."""

from __future__ import annotations

import re
from functools import partial

from vmgr.contents.content import Content, needs_mounting
from vmgr.contents.job import MANAGE, OFFLINE, Job, Manner, Task
from vmgr.contents.mounting import PrivateMount, mounts_of, require_idle
from vmgr.contents.superblocks import read_superblock
from vmgr.contents.tools import need, run
from vmgr.core.errors import InUse, Refused
from vmgr.core.units import Bytes


class Xfs(Content):
    """The file system at ``path``."""

    def __init__(self, kind: str, path: str, number: tuple[int, int]) -> None:
        self.superblock = read_superblock(path, kind)
        self._mounts = mounts_of(number)
        super().__init__(kind, path, number, self._mounted_size() or self.superblock.size)

    def _mounted_size(self) -> Bytes | None:
        """The size if it is mounted. Its superblock on the device may then be out of date."""
        if not self._mounts:
            return None
        shown = run("xfs_growfs", "-n", self._mounts[0].place)
        found = re.search(r"^data\s.*?bsize=(\d+)\s+blocks=(\d+)", shown, re.MULTILINE)
        return Bytes(int(found[1]) * int(found[2])) if found else None

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """Grow it with xfs_growfs, temporarily mounted if it is not mounted."""
        need("xfs_growfs")
        if manner.mode == OFFLINE:
            raise needs_mounting(self.described)
        if self._mounts:
            mount = self._mounts[0]
            if all(m.read_only for m in self._mounts):
                raise InUse(
                    f"{self.described} is mounted read-only", hint="nothing was changed; mount it read-write first"
                )
            return Job(size, (), (Task(f"xfs_growfs {mount.place}", partial(run, "xfs_growfs", mount.place)),))
        if manner.mode != MANAGE:
            raise needs_mounting(self.described)
        need("unshare", "sh", "mount", "umount")
        require_idle(self.path, self.kind)
        held = PrivateMount("xfs", self.path, self.superblock.quota)
        mounting = Task(
            f"mount {self.path} temporarily",
            partial(held.open, "xfs_growfs", "%"),
            held.close,
            check=PrivateMount("xfs", self.path, "ro,norecovery").check,
        )
        return Job(
            size,
            (mounting,),
            (Task(f"xfs_growfs {self.path}", held.go),),
            moves=True,
        )

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """Never."""
        raise Refused(
            f"{self.described} cannot be made smaller: XFS does not shrink",
            hint="nothing was changed; copy its files into a smaller one",
        )
