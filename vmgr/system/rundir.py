"""LVM2's files under /run/lvm: what its commands remember between runs, kept true when vmgr changes things.

``hints`` names the devices that have physical volumes, so that LVM2 need not look at the others; whoever changes
which devices or group names there are empties it, as LVM2's own commands do. vmgr itself reads every device and
uses no hints. ``vgs_online/GROUP`` tells that a group was activated when its devices appeared. Source:
``lib/label/hints.c`` and ``lib/device/online.c`` of LVM2. The place is fixed when LVM2 is built; where it does not
exist there is nothing to do.
"""

from __future__ import annotations

import os

RUN_DIR = "/run/lvm"


class StaleHints:
    """LVM2's hints, emptied and locked from :meth:`begin` to :meth:`end`, so that no command writes new ones."""

    def __init__(self, directory: str = RUN_DIR) -> None:
        self._directory = directory
        self._fd = -1

    def begin(self) -> None:
        """Empty the hints, and have the next LVM2 command make new ones. Nothing fails over this."""
        directory = self._directory
        if self._fd >= 0 or not os.path.isdir(directory):
            return
        try:
            _touch(f"{directory}/nohints")  # from here on nobody uses hints, so that the lock is had soon
            try:
                self._fd = os.open(f"{directory}/hints", os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                pass
            else:
                from fcntl import LOCK_EX, flock

                flock(self._fd, LOCK_EX)
            os.unlink(f"{directory}/nohints")
            self._empty()
            _touch(f"{directory}/newhints")
        except OSError:
            return

    def _empty(self) -> None:
        from time import ctime

        with open(f"{self._directory}/hints", "w") as file:
            file.write(f"# Created empty by vmgr pid {os.getpid()} {ctime()}\n")

    def end(self) -> None:
        """Let LVM2's commands use and make hints again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def forget_online(group: str, directory: str = RUN_DIR) -> None:
    """After a deactivation: let ``group`` be activated by itself again when its devices come back."""
    try:
        os.unlink(f"{directory}/vgs_online/{group}")
    except OSError:
        pass


def claim_online(group: str, directory: str = RUN_DIR) -> bool:
    """Note that ``group`` is about to be activated because its devices are there; False if that is noted already.

    Where nothing can be noted, it is True each time: activating twice does no harm.
    """
    try:
        os.makedirs(f"{directory}/vgs_online", mode=0o755, exist_ok=True)
        os.close(
            os.open(f"{directory}/vgs_online/{group}", os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        )
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600))
