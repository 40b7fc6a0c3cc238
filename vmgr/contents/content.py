"""The base class of all kinds of content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.contents.job import Job, Manner
from vmgr.core.errors import InUse, Refused

if TYPE_CHECKING:
    from vmgr.core.units import Bytes


FILE_SYSTEMS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs", "exfat", "f2fs", "reiserfs", "jfs")


class Content:
    """The content of a device. ``path`` and ``number`` are the device's; ``end`` is the content's own size.

    ``kind`` is libblkid's word. ``end`` is None if the size is not known.
    """

    def __init__(self, kind: str, path: str, number: tuple[int, int], end: Bytes | None) -> None:
        self.kind = kind
        self.path = path
        self.number = number
        self.end = end

    def growing(self, size: Bytes, manner: Manner) -> Job:
        """The job that grows it to ``size`` bytes, after the volume has grown.

        Raises a :class:`~vmgr.core.errors.VmgrError` if it cannot grow.
        """
        raise self._unable("larger")

    def shrinking(self, size: Bytes, manner: Manner) -> Job:
        """The job that shrinks it to ``size`` bytes, before the volume shrinks."""
        raise self._unable("smaller")

    def _unable(self, how: str) -> Refused:
        return Refused(
            f"vmgr cannot make {self.described} {how}",
            hint="nothing was changed; use its own tools, and lvresize without --resizefs (--fs ignore)",
        )

    @property
    def described(self) -> str:
        """A noun phrase for messages."""
        return (
            f"the {self.kind} file system on {self.path}"
            if self.kind in FILE_SYSTEMS
            else f"the {self.kind} on {self.path}"
        )

    def require_fit(self, used: Bytes, size: Bytes) -> None:
        """Raise :class:`Refused` if the ``used`` bytes do not fit."""
        if used > size:
            raise Refused(
                f"{self.described} has {_mib(used)} in use, which do not fit into {_mib(size)}",
                hint="nothing was changed; delete files first, or give a larger size",
            )


def needs_mounting(described: str) -> InUse:
    """The error if ``--fsmode`` forbids mounting."""
    return InUse(
        f"{described} must be mounted to be resized",
        hint="nothing was changed; mount it, or give --fsmode manage",
    )


def needs_unmounting(described: str) -> InUse:
    """The error if ``--fsmode`` forbids unmounting."""
    return InUse(
        f"{described} must be unmounted to be made smaller",
        hint="nothing was changed; unmount it, or give --fsmode manage",
    )


def _mib(size: Bytes) -> str:
    return f"{int(size) / (1 << 20):.2f} MiB"
