"""The control node ``DEV_DIR/mapper/control``, the device mapper's numbers, and loading its module.

The node's numbers come from ``/proc/devices`` (the major of ``misc``) and ``/proc/misc`` (the minor of
``device-mapper``), as the device mapper's installation guide has told administrators since 2003. Since
Linux 2.6.36 the minor is 236 and opening the node loads the module (``linux/miscdevice.h``).
"""

from __future__ import annotations

import errno
import os
import stat

from vmgr.core.errors import KernelError, NotPermitted
from vmgr.dm.failure import NoDeviceMapper

MISC_MAJOR = 10
CONTROL_MINOR = 236
NAME = "device-mapper"

_ABSENT = errno.ENODEV, errno.ENXIO


def control_path(dev_dir: str) -> str:
    """Where the control node belongs."""
    return os.path.join(dev_dir, "mapper", "control")


def proc_number(path: str, name: str, section: str = "") -> int | None:
    """The number before ``name`` in a table of ``/proc``, below the heading ``section`` if there is one."""
    try:
        with open(path, "rb") as f:
            text = f.read().decode("ascii", "replace")
    except OSError:
        return None
    active = not section
    for line in text.splitlines():
        if section and line.endswith("devices:"):
            active = line == section
            continue
        number, _, word = line.strip().partition(" ")
        if active and word.strip() == name and number.isdigit():
            return int(number)
    return None


def block_majors(proc: str = "/proc") -> dict[int, str]:
    """The block majors in use now, each with its driver's name."""
    found = {}
    try:
        with open(f"{proc}/devices", encoding="ascii", errors="replace") as f:
            _, _, block = f.read().partition("Block devices:\n")
    except OSError:
        return {}
    for line in block.splitlines():
        number, _, name = line.strip().partition(" ")
        if number.isdigit():
            found[int(number)] = name.strip()
    return found


def control_numbers(proc: str = "/proc") -> tuple[int, int]:
    """The (major, minor) that the control node must have; the well-known ones if ``/proc`` lacks them."""
    major = proc_number(f"{proc}/devices", "misc", "Character devices:")
    minor = proc_number(f"{proc}/misc", NAME)
    return MISC_MAJOR if major is None else major, CONTROL_MINOR if minor is None else minor


def block_major(proc: str = "/proc") -> int:
    """The major number of device-mapper devices. Raises :class:`NoDeviceMapper` when none is registered."""
    major = proc_number(f"{proc}/devices", NAME, "Block devices:")
    if major is None:
        raise no_device_mapper()
    return major


def no_device_mapper() -> NoDeviceMapper:
    """The error for a kernel without a device mapper."""
    return NoDeviceMapper(
        "the kernel has no device mapper",
        hint="load it with `modprobe dm-mod`, or work in `vmgr lab`, which brings its own kernel",
    )


def open_control(dev_dir: str = "/dev", proc: str = "/proc") -> int:
    """Open the control node and return a file descriptor. If needed, make or repair the node and load the module.

    Raises :class:`NoDeviceMapper`, :class:`NotPermitted`, or :class:`KernelError` for a node that cannot be made.
    """
    path = control_path(dev_dir)
    _make_right(path, control_numbers(proc))
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        if e.errno not in _ABSENT:
            raise _cannot(f"cannot open {path}", e) from None
    if not _load_module():
        raise no_device_mapper()
    _make_right(path, control_numbers(proc))  # kernels before 2.6.36 may use another minor
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        if e.errno in _ABSENT:
            raise no_device_mapper() from None
        raise _cannot(f"cannot open {path}", e) from None


def control_problem(dev_dir: str = "/dev", proc: str = "/proc") -> str:
    """What is wrong with the control node, in words; empty when nothing is. Nothing is opened, made or loaded."""
    path = control_path(dev_dir)
    wanted = control_numbers(proc)
    words = f"character device {wanted[0]}:{wanted[1]}"
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return f"{path} is missing; it should be the {words}"
    except OSError as e:
        return f"{path} cannot be examined: {e.strerror}"
    if not stat.S_ISCHR(found.st_mode):
        return f"{path} is not a device node; it should be the {words}"
    if found.st_rdev != os.makedev(*wanted):
        numbers = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        return f"{path} is the character device {numbers}; it should be {wanted[0]}:{wanted[1]}"
    if stat.S_IMODE(found.st_mode) & 0o006:
        return f"{path} may be opened by every user (mode {stat.S_IMODE(found.st_mode):04o}); it should be 0600"
    return ""


def repair_control(dev_dir: str = "/dev", proc: str = "/proc") -> bool:
    """Correct the control node without opening it; True if something had to be done.

    Raises :class:`KernelError` or :class:`NotPermitted`.
    """
    if not control_problem(dev_dir, proc):
        return False
    path = control_path(dev_dir)
    _make_right(path, control_numbers(proc))
    if stat.S_IMODE(os.stat(path).st_mode) & 0o006:
        try:
            os.chmod(path, 0o600)
        except OSError as e:
            raise _cannot(f"cannot change the mode of {path}", e) from None
    return True


def check_control(dev_dir: str = "/dev") -> None:
    """Raise the error of :func:`open_control` if the device mapper is not available."""
    os.close(open_control(dev_dir))


def _make_right(path: str, numbers: tuple[int, int]) -> None:
    """Make ``path`` the control node, if it is not."""
    wanted = os.makedev(*numbers)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        pass
    except OSError as e:
        raise _cannot(f"cannot examine {path}", e) from None
    else:
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == wanted:
            return
        if stat.S_ISDIR(found.st_mode):
            raise KernelError(f"{path} is a directory", hint="move it away: the device mapper's node belongs there")
        try:
            os.unlink(path)
        except OSError as e:
            raise _cannot(f"{path} is not the device mapper's control node and cannot be replaced", e) from None
    try:
        directory = os.path.dirname(path)
        if not os.path.isdir(directory):
            os.makedirs(directory, 0o755, exist_ok=True)
        # Made under another name and moved into place, so that no program opens a half-made node.
        temporary = f"{path}.{os.getpid()}"
        os.mknod(temporary, stat.S_IFCHR | 0o600, wanted)
        try:
            os.rename(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    except OSError as e:
        raise _cannot(f"cannot make {path}", e) from None


def _cannot(what: str, e: OSError) -> KernelError | NotPermitted:
    if e.errno in (errno.EACCES, errno.EPERM):
        return NotPermitted(f"{what}: permission denied", hint="run as root, or work in `vmgr lab`")
    return KernelError(f"{what}: {e.strerror}")


def _load_module() -> bool:
    """Have modprobe load the module; False if this kernel has no modules or modprobe fails."""
    if os.geteuid() != 0 or not os.path.isdir(f"/lib/modules/{os.uname().release}"):
        return False
    import subprocess

    from vmgr.dm.programs import environment, find_program

    modprobe = find_program("modprobe")
    if modprobe is None:
        return False
    try:
        done = subprocess.run(
            [modprobe, "-q", "dm-mod"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            env=environment(),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
