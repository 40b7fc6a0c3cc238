"""What a resize took away for the time, a mount or swap in use, written down until it is back.

A command that is killed in between cannot put it back. The next one that changes the group finds the note and
names the command that does; a resize of the same volume does it itself. Notes are in a directory that does not
outlive the system's run, as what they tell of does not either. One that says what is so again is dropped.
"""

from __future__ import annotations

import json
import os
import shlex
from typing import TYPE_CHECKING

from attrs import asdict, frozen

from vmgr.core.errors import VmgrError
from vmgr.system.devices import device_number
from vmgr.system.ownership import open_own, require_own_directory
from vmgr.system.usage import mount_table, swap_priority

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN_DIR = "/run/vmgr"

_PREFIX = "put-back-"


@frozen
class PutBack:
    """A mount of the device at ``path`` on ``place``, or, without a place, swap with ``priority`` (below 0: any).

    ``number`` is the device's; ``kind`` and ``options`` are as mount(8) takes them.
    """

    path: str
    number: tuple[int, int]
    place: str = ""
    kind: str = ""
    options: str = ""
    priority: int = -1

    @property
    def command(self) -> tuple[str, ...]:
        """What puts it back, as words."""
        if self.place:
            return ("mount", "-t", self.kind, "-o", self.options, self.path, self.place)
        # A negative priority is one that the kernel gave.
        return ("swapon", *(("-p", str(self.priority)) if self.priority >= 0 else ()), self.path)

    @property
    def needed(self) -> bool:
        """Whether it still has to be restored: the device exists, and is neither mounted nor used as swap."""
        if device_number(self.path) != self.number:
            return False
        if self.place:
            return all(mount.number != self.number for mount in mount_table())
        return swap_priority(self.number) is None

    def __str__(self) -> str:
        how = f"unmounted from {self.place}" if self.place else "swapped off"
        verb = "mount it again" if self.place else "use it again"
        return f"a resize that did not end left {self.path} {how}; {verb}: {shlex.join(self.command)}"


class Note:
    """The record of a mount or swap area that a resize turned off. ``volume`` is its device's UUID."""

    def __init__(self, volume: str, directory: str = "") -> None:
        self._directory = directory or RUN_DIR
        self._path = f"{self._directory}/{_PREFIX}{volume}"

    def write(self, what: PutBack) -> None:
        """Write it down. Where that cannot be, the resize goes on without."""
        try:
            own_directory(self._directory)
            fd = open_own(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with open(fd, "w") as file:
                json.dump(asdict(what), file)
        except (OSError, VmgrError):
            pass

    def read(self) -> PutBack | None:
        """What is still to be put back; a note that has come true, or cannot be read, is dropped."""
        try:
            with open(open_own(self._path, os.O_RDONLY)) as file:
                words = json.load(file)
            major, minor = words.pop("number")
            found = PutBack(number=(int(major), int(minor)), **words)
            if found.needed:
                return found
        except FileNotFoundError:
            return None
        except (OSError, VmgrError, ValueError, TypeError, LookupError):
            pass
        self.drop()
        return None

    def drop(self) -> None:
        """Forget it."""
        try:
            os.unlink(self._path)
        except OSError:
            pass


def left_away(group: str, directory: str = "") -> Iterator[PutBack]:
    """What killed resizes of volumes of the group left away; ``group`` is how its devices' UUIDs begin."""
    directory = directory or RUN_DIR
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        if name.startswith(f"{_PREFIX}{group}"):
            found = Note(name.removeprefix(_PREFIX), directory).read()
            if found is not None:
                yield found


def own_directory(path: str) -> None:
    """Make a directory that only root can look into. Raises :class:`OSError`, or :class:`VmgrError`."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    require_own_directory(path)
