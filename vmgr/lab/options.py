"""The options of a lab as values, and the parsing of ``--disk`` and sizes. Opens no file."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import field, frozen

from vmgr.core.errors import InvalidSize, UsageError
from vmgr.core.units import Bytes

MOST_DISKS = 16
"""Block devices that User Mode Linux can have (``MAX_DEV`` in arch/um/drivers/ubd_kern.c)."""

LEAST_MEMORY = Bytes(96 << 20)
MOST_MEMORY = Bytes(64 << 30)
LARGEST_DISK = Bytes(8 << 60)

_SIZE = re.compile(r"(\d{1,20})(?:\.(\d{1,9}))?([bkmgtpe])(?:ib)?", re.IGNORECASE | re.ASCII)
_LOOKS_LIKE_SIZE = re.compile(r"[-+]?[\d.]+[a-z]{0,3}", re.IGNORECASE | re.ASCII)
_POWERS = {"b": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}


def parse_size(text: str, what: str = "size") -> Bytes:
    """Read ``1G``, ``512MiB``, ``1.5g``: a number with a unit, powers of 1024.

    A number without a unit is refused, because tools disagree about its meaning. Raises
    InvalidSize.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise InvalidSize(
            f"cannot read the {what} {text!r}",
            hint="give a number with a unit: K, M, G or T (powers of 1024), for example 512M",
        )
    whole, fraction, unit = match[1], match[2] or "", match[3].lower()
    scaled = int(whole + fraction) << _POWERS[unit]
    size, left = divmod(scaled, 10 ** len(fraction))
    if left and unit == "b":
        raise InvalidSize(f"the {what} {text!r} is not a whole number of bytes")
    return Bytes(size)


@frozen
class Disk:
    """One disk image: ``path``, the size to make it with if it is missing, and whether it is read-only."""

    path: str
    size: Bytes | None = None
    read_only: bool = False

    @classmethod
    def parse(cls, text: str) -> Disk:
        """Read ``FILE[:SIZE][:ro|:rw]``. Colons elsewhere belong to FILE. Raises UsageError."""
        path, read_only, size = text, False, None
        head, colon, tail = path.rpartition(":")
        if colon and tail in ("ro", "rw"):
            path, read_only = head, tail == "ro"
        head, colon, tail = path.rpartition(":")
        if colon and _LOOKS_LIKE_SIZE.fullmatch(tail):
            path, size = head, check_disk_size(parse_size(tail, "disk size"), tail)
        if not path:
            raise UsageError(f"--disk {text!r} has no file name", hint="give FILE, FILE:SIZE or FILE:SIZE:ro")
        if read_only and size is not None:
            raise UsageError(
                f"--disk {text!r} would make a new image that cannot be written",
                hint="leave out the size or :ro",
            )
        return cls(path, size, read_only)


def check_disk_size(size: Bytes, text: str) -> Bytes:
    """Return ``size`` if a disk can have it; raises InvalidSize, naming it as ``text``."""
    if size == 0:
        raise InvalidSize(f"a disk of size {text} is empty", hint="give a size of at least 512 bytes, such as 1G")
    if size % 512:
        raise InvalidSize(f"the disk size {text} is not a multiple of 512 bytes (a sector)")
    if size >= LARGEST_DISK:
        raise InvalidSize(f"the disk size {text} is too large", hint="a disk must be smaller than 8E")
    return size


def check_memory(size: Bytes) -> Bytes:
    """Return ``size`` if the machine can run with it; raises InvalidSize."""
    if not LEAST_MEMORY <= size <= MOST_MEMORY:
        raise InvalidSize(
            f"the lab cannot have {size} bytes of memory",
            hint=f"give between {LEAST_MEMORY >> 20}M and {MOST_MEMORY >> 30}G",
        )
    return size


@frozen
class LabOptions:
    """All options of a lab and its command.

    ``command`` empty means a shell. ``shares`` are directories that the guest may write to; the rest of
    the host's files are read-only. ``env`` is added to the caller's environment, and takes precedence.
    ``time_limit`` is in seconds from the start. ``tty`` None: give the command a
    terminal if standard input and output are terminals.
    """

    command: tuple[str, ...] = ()
    disks: tuple[Disk, ...] = ()
    shares: tuple[str, ...] = ()
    memory: Bytes = field(default=Bytes(1 << 30))
    udev: bool = False
    time_limit: float | None = None
    env: Mapping[str, str] = field(factory=dict)
    cwd: str | None = None
    verbose: bool = False
    tty: bool | None = None
