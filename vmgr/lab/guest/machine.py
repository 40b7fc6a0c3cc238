"""Sets up the machine after the kernel has booted on the host's files: mounts, modules, udev.

The root is the host's own tree through hostfs, read-only. Directories that programs must write
to are overlays with the upper layer in memory, or plain tmpfs. No change there reaches the host.
"""

from __future__ import annotations

import os
import signal
import stat
from typing import Any

from vmgr.lab.guest import linux
from vmgr.lab.guest.modules import Modules

PRIVATE = "/run/.lab"
"""The directory of the overlays' upper layers."""

SCRATCH = ("/etc", "/media", "/mnt", "/srv", "/tmp", "/var")
"""Host directories that the guest may change; the changes are lost at the end."""

HIDING = (*SCRATCH, "/dev/shm", "/run")
"""Directories with files of the guest's own, instead of or in addition to the host's."""

EMPTY = ("/etc/lvm/archive", "/etc/lvm/backup", "/etc/lvm/cache", "/etc/lvm/devices", "/var/tmp")
"""Directories that start empty, because the host's groups and devices are not in the guest."""

UDEV_DAEMONS = ("/lib/systemd/systemd-udevd", "/usr/lib/systemd/systemd-udevd", "/sbin/udevd")

AT_START = ("dm-mod", "loop")
"""Modules to load at the start, so that /dev/mapper/control and /dev/loop-control exist."""


class SetUpFailed(Exception):
    """The machine cannot be set up. The text says why and is shown to the user."""


def set_up(config: dict[str, Any]) -> None:
    """Set up the machine that ``config`` (see vmgr.lab.launch) describes."""
    _kernel_file_systems()
    for device in config["disks"]:
        if not os.path.exists(device):
            raise SetUpFailed(f"the kernel refused the image of {device}; see --verbose")
    linux.add_entropy(bytes.fromhex(config["seed"]))
    modules = Modules()
    modules.load("overlay")
    _overlays(modules.directory)
    _devices()
    _show_cwd(config)
    _share(config)
    linux.sethostname(config["hostname"])
    linux.loopback_up()
    for name in AT_START:
        modules.load(name)
    if config["udev"]:
        _start_udev()


def _kernel_file_systems() -> None:
    linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    linux.mount("sysfs", "/sys", "sysfs", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    if not os.path.exists("/dev/null"):
        linux.mount("devtmpfs", "/dev", "devtmpfs", linux.MS_NOSUID)
    linux.mount("tmpfs", "/run", "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    os.makedirs(PRIVATE, 0o700)
    for path in ("/run/lock", "/run/lvm", "/run/lock/lvm"):
        os.mkdir(path)
    os.chmod("/run/lock", 0o1777)


# -- the tree -------------------------------------------------------------------------------------


def _overlay(path: str, name: str) -> str:
    """Cover ``path`` with a writable overlay in memory. Return the path of its empty upper layer."""
    upper, work = f"{PRIVATE}/{name}", f"{PRIVATE}/{name}.work"
    os.makedirs(upper, exist_ok=True)
    os.mkdir(work)
    os.chmod(upper, stat.S_IMODE(os.stat(path).st_mode))
    linux.mount("overlay", path, "overlay", 0, f"lowerdir={path},upperdir={upper},workdir={work}")
    return upper


def _overlays(modules: str) -> None:
    for path in SCRATCH:
        if os.path.isdir(path) and not os.path.islink(path):
            _overlay(path, path.strip("/"))
    # kmod and the kernel's own module loader look only in /lib/modules.
    if os.path.isdir("/lib/modules"):
        linux.mount("tmpfs", "/lib/modules", "tmpfs", 0, "mode=755")
    elif not os.path.exists("/lib/modules"):
        os.makedirs(f"{PRIVATE}/lib/modules")
        _overlay(os.path.realpath("/lib"), "lib")
    link = f"/lib/modules/{os.uname().release}"
    if modules != link:
        os.symlink(modules, link)
    for path in EMPTY:
        if path.startswith("/etc/lvm") or os.path.isdir(path):
            os.makedirs(path, exist_ok=True)
            mode = 0o1777 if path == "/var/tmp" else 0o700
            linux.mount("tmpfs", path, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode={mode:o}")


def _devices() -> None:
    for path, kind, data in (("/dev/pts", "devpts", "mode=620,ptmxmode=666"), ("/dev/shm", "tmpfs", "")):
        os.makedirs(path, exist_ok=True)
        linux.mount(kind, path, kind, linux.MS_NOSUID, data)
    for name, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        if not os.path.lexists(f"/dev/{name}"):
            os.symlink(f"/proc/self/fd{target}", f"/dev/{name}")


def _share(config: dict[str, Any]) -> None:
    # Shorter paths first: a share inside a share must end up on top.
    for path, source in sorted(config["shares"].items(), key=lambda item: item[0].count("/")):
        try:
            os.makedirs(path, exist_ok=True)
            linux.mount("share", path, "hostfs", linux.MS_NOSUID | linux.MS_NODEV, source)
        except OSError as error:
            raise SetUpFailed(f"cannot share {path}: {error.strerror}") from None


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def _show_cwd(config: dict[str, Any]) -> None:
    """Mount the caller's directory, read-only, if the guest's own mounts hide it.

    An overlay would accept writes and then lose them.
    """
    cwd = config["cwd"]
    if any(_within(cwd, path) and cwd != path for path in HIDING):
        try:
            os.makedirs(cwd, exist_ok=True)
            linux.mount("cwd", cwd, "hostfs", linux.MS_RDONLY, config["cwd_source"])
        except OSError as error:
            raise SetUpFailed(f"cannot show the directory {cwd}: {error.strerror}") from None


# -- processes ------------------------------------------------------------------------------------


def _run(argv: list[str]) -> int:
    pid = os.posix_spawn(
        argv[0],
        argv,
        dict(os.environ),
        setsigdef=[signal.SIGPIPE],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/kmsg", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _start_udev() -> None:
    """Start a real systemd-udevd, let it scan the existing devices, and wait until it is done."""
    for path in UDEV_DAEMONS:
        if os.path.exists(path):
            break
    else:
        raise SetUpFailed("no systemd-udevd found; install the package udev")
    udevadm = "/usr/bin/udevadm" if os.path.exists("/usr/bin/udevadm") else "/bin/udevadm"
    match = "--subsystem-match=block"
    for argv in (
        [path, "--daemon"],
        [udevadm, "trigger", "--action=add", match, "--subsystem-match=misc"],
        [udevadm, "settle", "--timeout=60"],
    ):
        status = _run(argv)
        if status != 0:
            raise SetUpFailed(f"{' '.join(argv)} ended with status {status}")
