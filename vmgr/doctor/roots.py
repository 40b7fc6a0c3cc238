"""The directories of the machine's files, and reading files without hanging or failing.

Every path that an examination reads begins with one of these roots, so that a test can give a tree of its own.
"""

from __future__ import annotations

import os
import stat

from attrs import frozen

_LARGEST = 64 * 1024 * 1024
"""The most bytes to read; all files of interest are much shorter."""


@frozen
class Roots:
    """The roots of one machine; ``Roots.below(directory)`` for a machine's tree in a directory.

    ``prefix`` goes before every other absolute path.
    """

    prefix: str = ""
    proc: str = "/proc"
    sys: str = "/sys"
    dev: str = "/dev"
    run: str = "/run"

    @classmethod
    def below(cls, directory: str) -> Roots:
        """All roots inside ``directory``: ``directory/proc`` and so on."""
        return cls(directory, *(f"{directory}/{name}" for name in ("proc", "sys", "dev", "run")))

    def at(self, path: str) -> str:
        """The absolute ``path`` on this machine."""
        return self.prefix + path


def read_bytes(path: str) -> bytes | None:
    """The contents of a regular file; None if there is none or it may not be read.

    Other files (a pipe, a device) are not read, because that could wait for ever.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError):
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        pieces: list[bytes] = []
        size = 0
        while size < _LARGEST:
            piece = os.read(fd, 1 << 20)
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)
    except OSError:
        return None
    finally:
        os.close(fd)


def read(path: str) -> str | None:
    """The text of a file, as :func:`read_bytes`; bytes that are not UTF-8 become surrogates."""
    raw = read_bytes(path)
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def names(path: str) -> tuple[str, ...]:
    """The names in a directory, sorted; empty when there is none or it may not be read."""
    try:
        return tuple(sorted(os.listdir(path)))
    except OSError:
        return ()


def link(path: str) -> str:
    """The target of a symbolic link; empty if it is not a link or may not be read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def is_number(text: str) -> bool:
    """Whether ``text`` is a whole number as the kernel writes it, not longer than its largest."""
    return text.isascii() and text.isdigit() and len(text) < 21


def version_of(text: str) -> tuple[int, ...]:
    """The numbers at the beginning of a version: ``6.1.0-13-amd64`` is (6, 1, 0). Empty where there are none."""
    found: list[int] = []
    for part in text.split("."):
        digits = ""
        for character in part:
            if not is_number(character):
                break
            digits += character
        if not digits:
            break
        found.append(int(digits))
        if digits != part:
            break
    return tuple(found)


def dotted(version: tuple[int, ...]) -> str:
    """A version as people write it."""
    return ".".join(map(str, version))
