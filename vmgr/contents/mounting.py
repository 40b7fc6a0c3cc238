"""Mounts of a content, and temporary mounts for a resize."""

from __future__ import annotations

import os
import subprocess
import tempfile

from attrs import frozen

from vmgr.contents.tools import failed, path_of
from vmgr.core.errors import InUse, Refused
from vmgr.dm.programs import environment
from vmgr.system.devices import SYSFS, device_number
from vmgr.system.disk import Disk
from vmgr.system.putback import RUN_DIR, own_directory
from vmgr.system.usage import mount_table

Number = tuple[int, int]


@frozen
class Mount:
    """A mount of a content, or of a directory in it (``root``). ``options`` are as mount(8) takes them."""

    place: str
    kind: str
    source: str
    options: str
    root: str = "/"

    @property
    def read_only(self) -> bool:
        """Whether it is mounted read-only."""
        return "ro" in self.options.split(",")


def mounts_of(number: Number) -> tuple[Mount, ...]:
    """The mounts of the device's file system in this process's mount namespace; those of the whole first."""
    found = [Mount(m.place, m.kind, m.source, m.options, m.root) for m in mount_table() if m.number == number]
    return tuple(sorted(found, key=lambda mount: mount.root != "/"))


def mounts_of_btrfs(numbers: set[Number]) -> tuple[Mount, ...]:
    """The mounts of a btrfs on these devices. They have a device number of their own."""
    return tuple(
        Mount(m.place, m.kind, m.source, m.options)
        for m in mount_table()
        if m.kind == "btrfs" and device_number(m.source) in numbers
    )


def btrfs_devices(uuid: str) -> set[Number]:
    """The devices of a btrfs that is mounted anywhere; empty if it is not mounted."""
    folder = f"{SYSFS}/fs/btrfs/{uuid}/devices"
    found: set[Number] = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return found
    for name in names:
        try:
            with open(f"{folder}/{name}/dev") as file:
                major, _, minor = file.read().strip().partition(":")
            found.add((int(major), int(minor)))
        except (OSError, ValueError):
            continue
    return found


def require_idle(path: str, kind: str) -> None:
    """Raise :class:`InUse` if the device is in use although this process sees no mount of it."""
    try:
        Disk.open(path, exclusive=True).close()
    except InUse:
        raise InUse(
            f"the {kind} on {path} is in use, though it is not mounted where vmgr can see it",
            hint="nothing was changed; a container may have it mounted, or a program may check it: see `fuser -v`",
        ) from None


def only_one(mounts: tuple[Mount, ...], path: str) -> Mount:
    """The only mount, which must be of the whole. Raises :class:`Refused` if there are others."""
    if len(mounts) > 1 or mounts[0].root != "/":
        raise Refused(
            f"{path}, or a folder of it, is mounted on {', '.join(m.place for m in mounts)}",
            hint="nothing was changed; unmount it yourself first",
        )
    return mounts[0]


_SCRIPT = """\
kind=$1 device=$2 place=$3 options=$4; shift 4
mount -t "$kind" ${options:+-o "$options"} "$device" "$place" || exit 1
echo mounted
read -r go || exit 0
"$@"
status=$?
umount "$place"
exit $status
"""


class PrivateMount:
    """A file system mounted for one command, invisible to other processes.

    It is mounted in a mount namespace of its own, which ends with the process in it. That process
    ends with this one, so a killed command leaves no mount behind. All use the same empty directory as mount point.
    """

    def __init__(self, kind: str, device: str, options: str = "") -> None:
        self._kind = kind
        self._device = device
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.place = ""

    def open(self, *command: str) -> None:
        """Mount it. ``command`` is the command for :meth:`go`; ``%`` in it stands for the mount point."""
        self.place = f"{RUN_DIR}/mount"
        try:
            own_directory(self.place)
        except OSError as error:
            raise Refused(
                f"cannot make {self.place}, to mount {self._device} on: {error.strerror}",
                hint="nothing was changed; mount it yourself",
            ) from None
        self._name = command[0]
        words = [self.place if word == "%" else word for word in command]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _tidy)
        self._process = subprocess.Popen(
            [path_of("unshare"), "--mount", "--propagation", "private", path_of("sh"), "-c", _SCRIPT, "vmgr",
             self._kind, self._device, self.place, self._options, path_of(words[0]), *words[1:]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment(), process_group=0,
        )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"mounted\n":
            self._finish("mount")

    def go(self) -> None:
        """Run the command and wait for its end. Raises :class:`~vmgr.core.errors.VmgrError` if it fails."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        self._finish(self._name)

    def check(self) -> None:
        """Try to mount it, and raise the error if that fails. With read-only options, nothing is written."""
        try:
            self.open("true")
        finally:
            self.close()

    def close(self) -> None:
        """Unmount it, if it is still mounted."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        self._wait()
        self._tidy()

    def _wait(self) -> int:
        process = self._process
        assert process is not None
        interrupted = False
        while process.returncode is None:
            try:
                if process.stdout is not None and not process.stdout.closed:
                    process.stdout.read()
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
        if interrupted:
            raise KeyboardInterrupt
        return process.returncode

    def _finish(self, name: str) -> None:
        status = self._wait()
        self._errors.seek(0)
        said = self._errors.read().decode("utf-8", "replace").strip()
        self._tidy()
        if status != 0 or name == "mount":
            raise failed(name, status, said)

    def _tidy(self) -> None:
        process, self._process = self._process, None
        for stream in (process.stdin, process.stdout) if process is not None else ():
            if stream is not None and not stream.closed:
                stream.close()
        self._errors.close()
