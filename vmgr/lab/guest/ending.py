"""Puts everything on the disk images when the command has ended."""

from __future__ import annotations

import fcntl
import os
import struct
import time

from vmgr.lab.guest import linux

# include/uapi/linux/dm-ioctl.h
_DM = struct.Struct("=3I7IQ128s129s7x")
_DM_VERSION = (4, 0, 0)
_DM_SUSPEND_FLAG = 1 << 1
_DM_REMOVE_ALL = 1
_DM_LIST_DEVICES = 2
_DM_DEV_SUSPEND = 6
_DM_DEV_STATUS = 7
_DM_TABLE_CLEAR = 10
_DM_BUFFER = 64 * 1024


def put_away() -> None:
    """Unmount disks, take device-mapper devices down, and flush. Never raises."""
    _wake_suspended()
    _unmount_disks()
    os.sync()
    _remove_mapped()
    os.sync()


def kill_all() -> None:
    """Kill every process but this one, and collect them; processes stuck in the kernel are left."""
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


def _unmount_disks() -> None:
    """Unmount whatever lies on a block device, last mounted first, as a shutdown does."""
    try:
        with open("/proc/mounts", "rb") as lines:
            mounts = [line.split() for line in lines]
    except OSError:
        return
    for source, target, *_ in reversed(mounts):
        if source.startswith(b"/dev/") and source != b"/dev/root":
            name = os.fsdecode(target.decode("unicode_escape").encode("latin-1"))
            try:
                linux.unmount(name)
            except OSError:
                continue


def _dm_call(control: int, number: int, name: bytes = b"", flags: int = 0) -> bytes:
    """One device-mapper ioctl: the reply buffer. Raises OSError."""
    buffer = bytearray(_DM_BUFFER)
    _DM.pack_into(buffer, 0, *_DM_VERSION, len(buffer), _DM.size, 0, 0, flags, 0, 0, 0, name, b"")
    fcntl.ioctl(control, (3 << 30) | (_DM.size << 16) | (0xFD << 8) | number, buffer)
    return bytes(buffer)


def _dm_names(control: int) -> list[bytes]:
    reply = _dm_call(control, _DM_LIST_DEVICES)
    size, start = struct.unpack_from("=II", reply, 12)
    names: list[bytes] = []
    while start + 12 < size:
        device, following = struct.unpack_from("=QI", reply, start)
        if device == 0:
            break
        end = reply.index(0, start + 12)
        names.append(reply[start + 12 : end])
        if following == 0:
            break
        start += following
    return names


def _wake_suspended() -> None:
    """Resume suspended devices on their live tables, or flushing what waits for them never ends."""
    try:
        control = os.open("/dev/mapper/control", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for name in _dm_names(control):
            reply = _dm_call(control, _DM_DEV_STATUS, name)
            (flags,) = struct.unpack_from("=I", reply, 28)
            if flags & _DM_SUSPEND_FLAG:
                _dm_call(control, _DM_TABLE_CLEAR, name)
                _dm_call(control, _DM_DEV_SUSPEND, name)
    except OSError:
        pass
    finally:
        os.close(control)


def _remove_mapped() -> None:
    """Remove all device-mapper devices, which makes caches and thin pools write what they hold."""
    try:
        control = os.open("/dev/mapper/control", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return
    try:
        _dm_call(control, _DM_REMOVE_ALL)
    except OSError:
        pass
    finally:
        os.close(control)
