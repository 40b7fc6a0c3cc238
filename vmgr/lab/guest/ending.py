"""Writes everything to the disk images after the command has ended."""

from __future__ import annotations

import os
import time

from vmgr.lab.guest import linux
from vmgr.lab.guest.mapper import Mapper


def put_away() -> None:
    """Unmount disks, remove device-mapper devices, and flush. Never raises."""
    try:
        mapper = Mapper()
    except OSError:
        mapper = None
    if mapper is not None:
        _wake(mapper)
    unmount_disks()
    os.sync()
    if mapper is not None:
        # Caches and thin pools write their data when they are removed.
        try:
            mapper.remove_unused()
        except OSError:
            pass
        mapper.close()
        os.sync()


def kill_all() -> None:
    """Kill and reap every process but this one; processes stuck in the kernel are left."""
    try:
        os.kill(-1, 9)
    except ProcessLookupError:
        return
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.01)


def _wake(mapper: Mapper) -> None:
    """Resume suspended devices on their live tables. Otherwise the flush would wait for them for ever."""
    try:
        for name in mapper.names():
            if mapper.is_suspended(name):
                mapper.wake(name)
    except OSError:
        pass


def unmount_disks() -> list[str]:
    """Unmount all file systems on block devices, the last mounted first. Return those that failed."""
    with open("/proc/mounts", "rb") as lines:
        mounts = [line.split() for line in lines]
    kept = []
    for source, target, *_ in reversed(mounts):
        if source.startswith(b"/dev/") and source != b"/dev/root":
            # /proc/mounts has octal escapes such as \040 for a blank.
            path = os.fsdecode(target.decode("unicode_escape").encode("latin-1"))
            try:
                linux.unmount(path)
            except OSError:
                kept.append(path)
    return kept
