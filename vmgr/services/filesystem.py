"""Resizing a file system together with its volume (``-r``), through the file system's own tools."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from vmgr.core.errors import InUse, NotFound, Refused, VmgrError

if TYPE_CHECKING:
    from vmgr.core.units import Sectors

EXT = ("ext2", "ext3", "ext4")


class FileSystem:
    """The file system on a volume: ext2 to ext4 grow and shrink, XFS grows while it is mounted."""

    def __init__(self, path: str, kind: str, *, check: bool) -> None:
        self._path = path
        self._kind = kind
        self._check = check

    @classmethod
    def on(cls, path: str, number: tuple[int, int], *, check: bool) -> FileSystem:
        """What is on the active volume at ``path``, whose device has this (major, minor).

        Raises :class:`Refused` where it cannot be resized, and where the path leads to another device.
        """
        from vmgr.system.devices import device_number
        from vmgr.system.signatures import find_signatures

        if device_number(path) != number:
            raise Refused(
                f"{path} does not lead to the volume's device {number[0]}:{number[1]}",
                hint="nothing was changed; mend the links of the group's volumes first: vgmknodes",
            )

        kinds = [s.type for s in find_signatures(path)]
        if not kinds:
            raise NotFound(f"no file system found on {path}", hint="leave --resizefs out")
        if kinds[0] not in (*EXT, "xfs"):
            raise Refused(
                f"vmgr cannot resize a {kinds[0]} file system", hint="resize it by its own tools, without -r"
            )
        return cls(path, kinds[0], check=check)

    def _mounted(self) -> str:
        from vmgr.system.devices import device_number
        from vmgr.system.usage import mounts

        number = device_number(self._path)
        places = mounts(number) if number else ()
        return places[0] if places else ""

    def grow(self) -> None:
        """Let the file system take all of its volume."""
        place = self._mounted()
        if self._kind == "xfs":
            if not place:
                raise Refused(
                    f"the XFS file system on {self._path} grows only while it is mounted; the volume has grown",
                    hint="mount it and run xfs_growfs on it",
                )
            self._run("xfs_growfs", place)
            return
        if not place:
            self._verify()
        self._run("resize2fs", self._path)

    def shrink(self, size: Sectors) -> None:
        """Make the file system fit into ``size``, before its volume shrinks."""
        if self._kind == "xfs":
            raise Refused("an XFS file system cannot be made smaller", hint="copy its files into a smaller one")
        if self._mounted():
            raise InUse(
                f"the {self._kind} file system on {self._path} is mounted and cannot be made smaller",
                hint="unmount it first",
            )
        self._verify()
        self._run("resize2fs", self._path, f"{int(size)}s")

    def _verify(self) -> None:
        if self._check:
            self._run("e2fsck", "-f", "-p", self._path, fine=(0, 1))

    @staticmethod
    def _run(*argv: str, fine: tuple[int, ...] = (0,)) -> None:
        try:
            result = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise NotFound(f"{argv[0]} is not installed", hint="Debian: e2fsprogs (ext4), xfsprogs (XFS)") from None
        if result.returncode not in fine:
            lines = (result.stderr or result.stdout).strip().splitlines()
            raise VmgrError(
                f"{argv[0]} failed with status {result.returncode}",
                details=tuple(lines[-5:]),
                hint="see its manual",
            )
