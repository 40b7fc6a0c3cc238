"""Disk images on the host: checked, made as sparse files if missing, and locked while the lab runs."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from attrs import frozen

from vmgr.core.errors import AlreadyExists, InUse, InvalidSize, LabError, NotFound, NotPermitted, UsageError
from vmgr.core.units import Bytes
from vmgr.lab.options import MOST_DISKS, Disk


@frozen
class Image:
    """An open image: its real path and the descriptor that holds the lock on it."""

    path: str
    fd: int
    read_only: bool


def device_name(index: int) -> str:
    """The name of disk number ``index`` (from 0) in the guest."""
    return f"/dev/ubd{chr(ord('a') + index)}"


def open_images(disks: tuple[Disk, ...]) -> list[Image]:
    """Open and lock every image. All checks come before the first new file is made.

    Raises a VmgrError, and leaves nothing open and no new file, if an image cannot be opened.
    """
    if len(disks) > MOST_DISKS:
        raise UsageError(f"{len(disks)} disks are more than the {MOST_DISKS} that a lab can have")
    _refuse_twins(disks)
    missing = [disk for disk in disks if not _check(disk)]
    made: list[str] = []
    images: list[Image] = []
    try:
        for disk in missing:
            _make(disk)
            made.append(disk.path)
        for disk in disks:
            images.append(_hold(disk))
    except BaseException:
        close_images(images)
        for path in made:
            os.unlink(path)
        raise
    return images


def close_images(images: list[Image]) -> None:
    """Close the images and release their locks."""
    for image in images:
        os.close(image.fd)


def _check(disk: Disk) -> bool:
    """Whether the image exists. Raises a VmgrError if it can neither be used nor made."""
    try:
        found = os.stat(disk.path)
    except FileNotFoundError:
        if os.path.islink(disk.path):
            raise NotFound(f"{disk.path} is a symbolic link to a file that does not exist") from None
        if disk.size is None:
            raise NotFound(
                f"the disk image {disk.path} does not exist", hint=f"to make it, give a size: {disk.path}:1G"
            ) from None
        folder = os.path.dirname(disk.path) or "."
        if not os.path.isdir(folder):
            raise NotFound(f"the directory {folder} for the disk image does not exist") from None
        return False
    except OSError as error:
        raise NotPermitted(f"cannot examine the disk image {disk.path}: {error.strerror}") from None
    if stat.S_ISBLK(found.st_mode):
        if disk.size is not None:
            raise AlreadyExists(f"{disk.path} is a block device and has its own size", hint="leave out the size")
        return True
    if not stat.S_ISREG(found.st_mode):
        raise UsageError(f"{disk.path} is neither a file nor a block device")
    if disk.size is not None and disk.size != found.st_size:
        raise AlreadyExists(
            f"the disk image {disk.path} exists and has {found.st_size} bytes, not {disk.size}",
            hint="leave out the size to use it as it is, or remove it first",
        )
    if found.st_size < 512:
        raise InvalidSize(f"the disk image {disk.path} is empty", hint="remove it, and give a size to have it made")
    return True


def _refuse_twins(disks: tuple[Disk, ...]) -> None:
    """Refuse an image that is given twice, because the caches of the two disks would corrupt it."""
    seen: dict[object, str] = {}
    for disk in disks:
        try:
            found = os.stat(disk.path)
            key: object = ("b", found.st_rdev) if stat.S_ISBLK(found.st_mode) else (found.st_dev, found.st_ino)
        except OSError:
            key = os.path.realpath(disk.path)
        if key in seen:
            raise UsageError(f"{disk.path} and {seen[key]} are the same disk image")
        seen[key] = disk.path


def _make(disk: Disk) -> None:
    assert disk.size is not None
    try:
        fd = os.open(disk.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise NotPermitted(f"cannot make the disk image {disk.path}: {error.strerror}") from None
    try:
        os.ftruncate(fd, disk.size)
    except OSError as error:
        os.unlink(disk.path)
        if error.errno in (errno.EFBIG, errno.EINVAL):
            raise InvalidSize(
                f"the file system cannot hold {disk.path} with {disk.size} bytes", hint="give a smaller size"
            ) from None
        raise LabError(f"cannot make the disk image {disk.path}: {error.strerror}") from None
    finally:
        os.close(fd)


def _hold(disk: Disk) -> Image:
    path = os.path.realpath(disk.path)
    flags = (os.O_RDONLY if disk.read_only else os.O_RDWR) | os.O_CLOEXEC
    try:
        if stat.S_ISBLK(os.stat(path).st_mode) and not disk.read_only:
            # Fails with EBUSY if the device is mounted or otherwise in use on the host.
            flags |= os.O_EXCL
        fd = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise InUse(f"{disk.path} is in use on this machine") from None
        hint = "" if disk.read_only else f"to use it without writing, give {disk.path}:ro"
        raise NotPermitted(f"cannot open the disk image {disk.path}: {error.strerror}", hint=hint) from None
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if disk.read_only else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise InUse(f"the disk image {disk.path} is in use by another lab") from None
    except OSError:
        pass  # a file system without locks; the lab's kernel takes its own lock if possible
    return Image(path, fd, disk.read_only)


def total_size(images: list[Image]) -> Bytes:
    """The total size of all images."""
    return Bytes(sum(os.lseek(image.fd, 0, os.SEEK_END) for image in images))
