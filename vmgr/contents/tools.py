"""Running the file systems' own programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import NotFound, VmgrError
from vmgr.dm.programs import PLACES, find_program
from vmgr.system.toolrun import run_to_end

if TYPE_CHECKING:
    from collections.abc import Sequence

PACKAGES = {
    "e2fsck": "e2fsprogs", "resize2fs": "e2fsprogs", "xfs_growfs": "xfsprogs", "btrfs": "btrfs-progs",
    "cryptsetup": "cryptsetup-bin", "mkswap": "util-linux", "swapon": "mount", "swapoff": "mount", "mount": "mount",
    "umount": "mount", "true": "coreutils", "unshare": "util-linux", "sh": "dash",
}  # fmt: skip
"""The Debian package of each program."""


def need(*names: str) -> None:
    """Raise :class:`NotFound` unless all of these programs are installed."""
    missing = [name for name in names if find_program(name) is None]
    if missing:
        packages = sorted({PACKAGES[name] for name in missing})
        raise NotFound(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed (looked in"
            f" {', '.join(PLACES)})",
            hint=f"nothing was changed; install it first, on Debian: apt-get install {' '.join(packages)}",
        )


def path_of(name: str) -> str:
    """Where the program is. Raises :class:`NotFound`."""
    need(name)
    path = find_program(name)
    assert path is not None
    return path


def run(name: str, *arguments: str, fine: Sequence[int] = (0,), secret: str | None = None) -> str:
    """Run a program to its end and return its standard output.

    Ctrl-C does not reach it, because an interrupted resize destroys a file system. It is raised again after the
    program ends. ``secret`` is the standard input. Raises :class:`VmgrError` with the last lines of the output if
    the exit status is not in ``fine``.
    """
    done = run_to_end(path_of(name), arguments, secret=secret)
    if done.status not in fine:
        raise failed(name, done.status, done.errors.strip() or done.output.strip())
    if done.interrupted:
        raise KeyboardInterrupt
    return done.output


def failed(name: str, status: int, said: str) -> VmgrError:
    """The error for a program that failed."""
    return VmgrError(
        f"{name} failed with status {status}", details=tuple(said.splitlines()[-5:]), hint=f"see {name}(8)"
    )
