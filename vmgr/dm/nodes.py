"""Device nodes in ``DEV_DIR/mapper`` and links in ``DEV_DIR/GROUP``, where udev does not make them.

As libdevmapper and LVM2 make them (``libdm/libdm-common.c``, ``lib/activate/fs.c``): block nodes,
owner root, group disk, mode 0660; links to the absolute path of the node.
"""

from __future__ import annotations

import errno
import os
import stat

from vmgr.dm.failure import NodeError

MODE = 0o660


class Nodes:
    """The nodes below one device directory (``DM_DEV_DIR``).

    ``uid``, ``gid`` and ``mode`` are for new nodes; an existing correct node keeps
    its own. ``gid`` None is the group ``disk``. ``beside_udev``: instead of a node, make the link to ``dm-N`` that
    udev's rules would make, because that is what the rules expect the next time they run.
    """

    beside_udev = False

    def __init__(self, dev_dir: str = "/dev", *, uid: int = 0, gid: int | None = None, mode: int = MODE) -> None:
        self.dev_dir = dev_dir
        self.mapper_dir = os.path.join(dev_dir, "mapper")
        self._uid, self._gid, self._mode = uid, gid, mode

    def prepare(self) -> None:
        """Look up the owner. Call this before any device is suspended."""
        if self._gid is None:
            self._gid = _disk_group()

    def path(self, name: str) -> str:
        """The node of the device ``name``."""
        return os.path.join(self.mapper_dir, name)

    def link_path(self, group: str, volume: str) -> str:
        """The link of a volume."""
        return os.path.join(self.dev_dir, group, volume)

    def right(self, name: str, major: int, minor: int) -> bool:
        """Whether the node (or udev's link) leads to that block device."""
        return _leads_to(self.path(name), major, minor)

    def add(self, name: str, major: int, minor: int) -> bool:
        """Make the node or correct it; True if something had to be done.

        Raises :class:`vmgr.dm.failure.NodeError` for a file in its place that is not a block device.
        """
        if self.right(name, major, minor):
            return False
        self.prepare()
        path = self.path(name)
        self._refuse_foreign(path)
        try:
            temporary = f"{path}.{os.getpid()}~"
            if self.beside_udev and _leads_to(os.path.join(self.dev_dir, f"dm-{minor}"), major, minor):
                os.makedirs(self.mapper_dir, 0o755, exist_ok=True)
                _replace_by_link(path, temporary, f"../dm-{minor}")
                return True
            mode, dev = stat.S_IFBLK | 0o600, os.makedev(major, minor)
            try:
                os.mknod(temporary, mode, dev)
            except FileNotFoundError:  # tried first, because the directory is nearly always there
                os.makedirs(self.mapper_dir, 0o755, exist_ok=True)
                os.mknod(temporary, mode, dev)
            try:
                assert self._gid is not None
                os.chown(temporary, self._uid, self._gid)
                os.chmod(temporary, self._mode)
                os.rename(temporary, path)
            except OSError:
                os.unlink(temporary)
                raise
        except OSError as e:
            raise _cannot(f"cannot make the node {path}", e) from None
        return True

    def has(self, name: str) -> bool:
        """Whether there is any file in the place of the node ``name``."""
        return os.path.lexists(self.path(name))

    def move(self, old: str, new: str, major: int, minor: int) -> bool:
        """Rename the node of a renamed device. False if ``old`` is missing or wrong, or ``new`` is already right.

        Raises :class:`vmgr.dm.failure.NodeError` as :meth:`add` does.
        """
        if not self.right(old, major, minor) or self.right(new, major, minor):
            return False
        path = self.path(new)
        self._refuse_foreign(path)
        try:
            os.rename(self.path(old), path)
        except OSError as e:
            raise _cannot(f"cannot rename the node {self.path(old)} to {new}", e) from None
        return True

    def remove(self, name: str) -> bool:
        """Remove the node; True when there was one."""
        path = self.path(name)
        self._refuse_foreign(path)
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        except OSError as e:
            if not os.path.lexists(path):
                return False  # on a read-only file system, the error is EROFS even if the name does not exist
            raise _cannot(f"cannot remove the node {path}", e) from None
        return True

    def link_right(self, group: str, volume: str, major: int, minor: int) -> bool:
        """Whether the link leads to that block device."""
        return _leads_to(self.link_path(group, volume), major, minor)

    def link(self, group: str, volume: str, name: str) -> bool:
        """Make ``DEV_DIR/GROUP/VOLUME`` lead to the node ``name``; True if something had to be done.

        Raises :class:`vmgr.dm.failure.NodeError` if something other than a link is in its place.
        """
        path, target = self.link_path(group, volume), self.path(name)
        try:
            if os.path.realpath(path) == os.path.realpath(target) and os.path.islink(path):
                return False
            found = os.lstat(path)
        except FileNotFoundError:
            pass
        except OSError as e:
            raise _cannot(f"cannot examine {path}", e) from None
        else:
            if not stat.S_ISLNK(found.st_mode):
                raise NodeError(
                    f"cannot make the link {path}: a file of that name is in the way", hint="move it away"
                )
        try:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
            _replace_by_link(path, f"{path}.{os.getpid()}~", target)
        except OSError as e:
            raise _cannot(f"cannot make the link {path}", e) from None
        return True

    def unlink(self, group: str, volume: str, name: str, major: int, minor: int) -> bool:
        """Remove the link to a device that is gone or was renamed; True when there was one.

        ``name`` and ``major``, ``minor`` are the link's former device. A link to another existing device
        stays. The group's directory is removed with its last link.
        """
        path = self.link_path(group, volume)
        try:
            target = os.readlink(path)
        except OSError:
            return False  # gone, or not a link
        try:
            found = os.stat(path)
        except OSError:
            found = None
        ours = target == self.path(name) or found is None or found.st_rdev == os.makedev(major, minor)
        if not ours:
            return False
        try:
            os.unlink(path)
        except FileNotFoundError:
            return False
        except OSError as e:
            raise _cannot(f"cannot remove the link {path}", e) from None
        try:
            os.rmdir(os.path.dirname(path))
        except OSError:
            pass  # other files are in it
        return True

    def _refuse_foreign(self, path: str) -> None:
        try:
            found = os.lstat(path)
        except OSError:
            return
        if not (stat.S_ISBLK(found.st_mode) or stat.S_ISLNK(found.st_mode)):
            raise NodeError(
                f"{path} is not a device node", hint="move it away: the device mapper's node belongs there"
            )


def _leads_to(path: str, major: int, minor: int) -> bool:
    try:
        found = os.stat(path)
    except OSError:
        return False
    return stat.S_ISBLK(found.st_mode) and found.st_rdev == os.makedev(major, minor)


def _replace_by_link(path: str, temporary: str, target: str) -> None:
    os.symlink(target, temporary)
    try:
        os.rename(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _disk_group() -> int:
    """The group that may use disks: ``disk``, else root."""
    import grp

    try:
        return grp.getgrnam("disk").gr_gid
    except KeyError:
        return 0


def _cannot(what: str, e: OSError) -> NodeError:
    if e.errno in (errno.EACCES, errno.EPERM):
        return NodeError(f"{what}: permission denied", hint="run as root")
    return NodeError(f"{what}: {e.strerror}")


# -- read-ahead -------------------------------------------------------------------------------------


def set_read_ahead(major: int, minor: int, sectors: int, *, at_least: bool = False, sysfs: str = "/sys") -> None:
    """Set a block device's read-ahead, in 512-byte sectors (sysfs keeps KiB). With ``at_least``, only raise it."""
    path = f"{sysfs}/dev/block/{major}:{minor}/bdi/read_ahead_kb"
    kib = (sectors + 1) // 2
    try:
        with open(path, "r+b", buffering=0) as f:
            if at_least and int(f.read(24)) >= kib:
                return
            f.seek(0)
            f.write(b"%d" % kib)
    except OSError as e:
        raise _cannot(f"cannot set the read-ahead of {major}:{minor}", e) from None
