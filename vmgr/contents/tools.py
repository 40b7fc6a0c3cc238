"""Running the file systems' own programs."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING

from vmgr.core.errors import NotFound, VmgrError
from vmgr.dm.programs import PLACES, environment, find_program

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
    source = subprocess.DEVNULL if secret is None else subprocess.PIPE
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [path_of(name), *arguments], stdin=source, stdout=out, stderr=err, env=environment(), process_group=0
        )
        if secret is not None and process.stdin is not None:
            try:
                process.stdin.write(secret.encode(errors="surrogateescape"))
                process.stdin.close()
            except BrokenPipeError:
                pass  # the program's own message says why it did not read
        interrupted = False
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    if process.returncode not in fine:
        raise failed(name, process.returncode, texts[1].strip() or texts[0].strip())
    if interrupted:
        raise KeyboardInterrupt
    return texts[0]


def failed(name: str, status: int, said: str) -> VmgrError:
    """The error for a program that failed."""
    return VmgrError(
        f"{name} failed with status {status}", details=tuple(said.splitlines()[-5:]), hint=f"see {name}(8)"
    )
