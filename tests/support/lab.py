"""What tests inside the lab stand on: block devices in no time, commands, udev on and off, clean-up.

Inside the guest ``VMGR_LAB`` is 1; nothing here does anything to a machine where it is not. Loop
devices and device-mapper devices are handled by ioctl: a process start costs 50 ms in the guest,
and clean-up must not depend on the code under test.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from vmgr.lab.guest.mapper import Mapper

IN_LAB = os.environ.get("VMGR_LAB") == "1"
"""Whether this is the guest."""

WHY_SKIPPED = "runs inside the lab: make test, or vmgr lab -- .venv/bin/pytest -p no:cacheprovider tests/kernel"

with_and_without_udev = pytest.mark.parametrize(
    "udev", [pytest.param(False, id="no-udev"), pytest.param(True, id="udev", marks=pytest.mark.udev)]
)
"""Decorator: the test takes an argument ``udev`` (bool) and runs once without and once with udevd."""

# include/uapi/linux/loop.h, include/uapi/linux/fs.h
_LOOP_CLR_FD = 0x4C01
_LOOP_CONFIGURE = 0x4C0A
_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIG_SIZE = 304
_BLKZEROOUT = 0x127F
_BLKGETSIZE64 = 0x80081272


def run(
    *argv: str, check: bool = True, stdin: str = "", timeout: float = 120, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command and return its status, output and errors as text.

    With ``check``, a status other than 0 fails the test and shows what the command said. ``env`` is
    added to the environment.
    """
    done = subprocess.run(
        argv,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, **env} if env else None,
        check=False,
    )
    if check and done.returncode != 0:
        pytest.fail(
            f"{' '.join(argv)} ended with status {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False
        )
    return done


def sectors(path: str) -> int:
    """The size of the block device ``path`` in 512-byte sectors."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        (size,) = struct.unpack("Q", fcntl.ioctl(fd, _BLKGETSIZE64, bytes(8)))
    finally:
        os.close(fd)
    return int(size) // 512


def wipe(path: str) -> None:
    """Make the whole block device ``path`` read as zeros; on a lab's disk or a loop this is quick."""
    size = sectors(path) * 512
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _BLKZEROOUT, struct.pack("QQ", 0, size))
        os.fsync(fd)
    finally:
        os.close(fd)


class Loops:
    """Zeroed block devices of any size: loop devices over sparse files in memory."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def make(self, size_mib: float, *, sector_size: int = 512) -> str:
        """A new block device of ``size_mib`` mebibytes, all zeros: its path in /dev."""
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        backing, name = tempfile.mkstemp(prefix="disk-", dir="/dev/shm")
        try:
            os.ftruncate(backing, int(size_mib * (1 << 20)))
            number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
            path = f"/dev/loop{number}"
            device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(
                    device, _LOOP_CONFIGURE, struct.pack("II", backing, sector_size).ljust(_LOOP_CONFIG_SIZE, b"\0")
                )
            finally:
                os.close(device)
        except BaseException:
            os.unlink(name)
            raise
        finally:
            os.close(backing)
            os.close(control)
        self._files[path] = name
        return path

    def backing_file(self, path: str) -> str:
        """The file behind a device that ``make`` made."""
        return self._files[path]

    def resize(self, path: str, size_mib: float) -> None:
        """Give a device that ``make`` made another size, as a grown disk has."""
        os.truncate(self._files[path], int(size_mib * (1 << 20)))
        device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, 0x4C07)  # LOOP_SET_CAPACITY
        finally:
            os.close(device)

    def remove(self, path: str) -> None:
        """Take the device ``path`` away. Raises OSError if it is in use."""
        device = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _LOOP_CLR_FD)
        finally:
            os.close(device)
        os.unlink(self._files.pop(path))

    def remove_all(self) -> list[str]:
        """Take all devices away; returns what went wrong, one line for each."""
        failures = []
        for path in list(self._files):
            try:
                self.remove(path)
            except OSError as error:
                failures.append(f"{path}: {error.strerror}")
        return failures


# -- device-mapper clean-up -----------------------------------------------------------------------


def mapped_devices() -> set[str]:
    """The names of all device-mapper devices, straight from the kernel."""
    mapper = Mapper()
    try:
        return {os.fsdecode(name) for name in mapper.names()}
    finally:
        mapper.close()


def remove_mapped(keep: set[str]) -> list[str]:
    """Unmount and remove every device-mapper device but ``keep``; returns what went wrong.

    Suspended devices are resumed first, on their live tables. Nodes and links that no udev would
    remove go too, so that the next test may use the same names.
    """
    assert IN_LAB, "this removes all device-mapper devices of the machine"
    failures: list[str] = []
    asleep: dict[bytes, str] = {}
    mapper = Mapper()
    try:
        doomed = [name for name in mapper.names() if os.fsdecode(name) not in keep]
        for name in doomed:
            try:
                if mapper.is_suspended(name):
                    mapper.wake(name)
            except OSError as error:  # one without a table cannot be resumed, and need not be
                asleep[name] = f"cannot resume {os.fsdecode(name)}: {error.strerror}"
        failures += _unmount_mapped()
        while doomed:
            left, reasons = [], []
            for name in doomed:
                try:
                    mapper.remove(name)
                except OSError as error:
                    left.append(name)
                    reasons.append(f"cannot remove {os.fsdecode(name)}: {error.strerror}")
            if len(left) == len(doomed):
                failures += [asleep[name] for name in left if name in asleep] + reasons
                break
            doomed = left
        kept = {os.fsdecode(name) for name in mapper.names()}
    finally:
        mapper.close()
    if not udev_runs():
        _sweep_nodes(kept)
    return failures


def _unmount_mapped() -> list[str]:
    failures = []
    with open("/proc/mounts") as lines:
        mounts = [line.split()[:2] for line in lines]
    for source, target in reversed(mounts):
        if source.startswith("/dev/") and source != "/dev/root":
            done = subprocess.run(["umount", target], capture_output=True, text=True, check=False)
            if done.returncode:
                failures.append(done.stderr.strip())
    return failures


def _sweep_nodes(kept: set[str]) -> None:
    for entry in os.scandir("/dev/mapper"):
        if entry.name != "control" and entry.name not in kept:
            os.unlink(entry.path)
    for entry in os.scandir("/dev"):
        if entry.is_dir(follow_symlinks=False) and entry.name not in ("mapper", "pts", "shm", "disk"):
            links = [link for link in os.scandir(entry.path) if link.is_symlink()]
            for link in links:
                if os.readlink(link.path).startswith(("/dev/mapper/", "/dev/dm-", "../dm-", "../mapper/")):
                    os.unlink(link.path)
            if links and not os.listdir(entry.path):
                os.rmdir(entry.path)


# -- udev -----------------------------------------------------------------------------------------


def udev_runs() -> bool:
    """Whether a udev daemon runs, by the sign that LVM2's tools and libudev go by."""
    return os.path.exists("/run/udev/control")


def set_udev(wanted: bool) -> None:
    """Start systemd-udevd and wait until it has seen all devices, or stop it and forget its data."""
    assert IN_LAB, "this starts or stops the machine's udev"
    if wanted == udev_runs():
        return
    if wanted:
        os.environ.pop("DM_DISABLE_UDEV", None)
        run("/lib/systemd/systemd-udevd", "--daemon")
        run("udevadm", "trigger", "--action=add", "--subsystem-match=block", "--subsystem-match=misc")
        settle()
    else:
        run("udevadm", "control", "--exit")
        until(lambda: not udev_runs(), "udevd to end")
        shutil.rmtree("/run/udev", ignore_errors=True)
        os.environ["DM_DISABLE_UDEV"] = "1"


def unload(module: str = "dm_mod") -> None:
    """Unload a kernel module, after those that use it, however deep; no error if it is not loaded."""
    folder = f"/sys/module/{module}"
    if not os.path.isdir(folder):
        return
    for user in sorted(os.listdir(f"{folder}/holders")):
        unload(user)
    run("rmmod", module)


def settle() -> None:
    """Wait until udev has nothing to do; no udev has nothing to do."""
    if udev_runs():
        run("udevadm", "settle", "--timeout=60")


def udevd() -> int:
    """The process number of the udev daemon."""
    return int(run("pidof", "systemd-udevd").stdout.split()[0])


@contextmanager
def udev_stopped() -> Iterator[None]:
    """udevd takes no part, as one that hangs; afterwards it goes on, and this waits until it has caught up.

    (``udevadm control --stop-exec-queue`` would do, but the udevd of systemd 252 then sometimes forgets its queue.)
    """
    pid = udevd()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
        settle()


def until(condition: object, what: str, seconds: float = 30) -> None:
    """Wait until ``condition()`` is true; fails the test, naming ``what``, if it never is."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited {seconds:g} s for {what}")
        time.sleep(0.01)


# -- data -----------------------------------------------------------------------------------------


def pattern(seed: int, size: int) -> bytes:
    """``size`` bytes that look random and are the same for the same ``seed``."""
    import random

    return random.Random(seed).randbytes(size)


def write_at(path: str, offset: int, data: bytes) -> None:
    """Write ``data`` at byte ``offset`` of a block device, through to the device."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], offset + done)
        os.fsync(fd)
    finally:
        os.close(fd)


def read_at(path: str, offset: int, size: int) -> bytes:
    """Read ``size`` bytes at byte ``offset`` from a block device, not from its cache."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(fd, offset, size, os.POSIX_FADV_DONTNEED)
        pieces: list[bytes] = []
        while size:
            piece = os.pread(fd, size, offset)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return b"".join(pieces)
    finally:
        os.close(fd)


def lab_disks() -> Sequence[str]:
    """The disks that the lab was started with (``--disk``), as block devices."""
    return tuple(os.environ.get("VMGR_LAB_DISKS", "").split())
