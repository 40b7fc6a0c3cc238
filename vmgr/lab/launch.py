"""Finds the lab's kernel and space for its memory, writes its configuration, and starts its keeper."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from attrs import define

from vmgr.core.errors import LabError, NotFound, UsageError
from vmgr.core.units import Bytes
from vmgr.lab.disks import Image, device_name
from vmgr.lab.guest.machine import UDEV_DAEMONS
from vmgr.lab.options import LabOptions

HOSTNAME = "vmgr-lab"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_KERNEL = "linux.uml"
_HERE = os.path.dirname(os.path.realpath(__file__))
_KEEPER = f"{_HERE}/keeper.py"
_PLAIN = re.compile(r"[A-Za-z0-9/._+-]{1,60}")
_UNSHAREABLE = ("/", "/dev", "/proc", "/sys", "/run", "/etc", "/usr", "/lib", "/bin", "/sbin", "/dev/shm")
_ROOM_TO_SPARE = Bytes(16 << 20)

_DROPPED = frozenset(
    ("TMPDIR", "TMP", "TEMP", "PWD", "OLDPWD", "SHLVL", "_", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
)
"""Variables of the caller that are meaningless or wrong in the guest."""


@define
class Machine:
    """A running lab: its keeper, the line to the guest, and the output of its console.

    Closing ``lifeline`` ends the guest; the keeper then ends too.
    """

    keeper: subprocess.Popen[bytes]
    lifeline: socket.socket
    link: socket.socket
    console: int
    directory: str
    watch: int
    """A descriptor that becomes readable when the keeper ends."""

    def end(self) -> int:
        """End the guest, if it still runs, and wait until no process and no temporary file is left.

        Returns the exit status of the lab's kernel. May be called again.
        """
        if self.keeper.returncode is None:
            self.lifeline.shutdown(socket.SHUT_WR)
            if self.keeper.wait() < 0:
                self._clean_up_alone()
            self.lifeline.close()
            self.link.close()
        return self.keeper.returncode

    def _clean_up_alone(self) -> None:
        """Do the work of a keeper that was killed."""
        try:
            pid = int(self.lifeline.recv(64))
            os.killpg(pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self.console)
        os.close(self.watch)


def find_kernel() -> str:
    """The path of the User Mode Linux kernel. Raises LabError naming the package."""
    given = os.environ.get("VMGR_LAB_KERNEL")
    path = shutil.which(given or _KERNEL, path=f"{os.environ.get('PATH', '')}:{PATH}")
    if path is None:
        raise LabError(
            f"the lab's kernel {given or _KERNEL} is not installed",
            hint="install the package user-mode-linux (Debian, Ubuntu: apt install user-mode-linux kmod)",
        )
    if not os.path.exists("/sbin/modprobe"):
        raise LabError("modprobe is not installed", hint="install the package kmod (apt install kmod)")
    return os.path.realpath(path)


def room_for(memory: Bytes) -> str:
    """A directory with space for the guest's memory, a sparse file; on tmpfs if possible.

    Raises LabError if there is none.
    """
    candidates = ["/dev/shm", os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp", "/var/tmp"]
    reasons = []
    for path in dict.fromkeys(filter(None, candidates)):
        try:
            state = os.statvfs(path)
        except OSError:
            continue
        free = state.f_bavail * state.f_frsize
        if state.f_flag & os.ST_NOEXEC:
            reasons.append(f"{path} is mounted noexec")
        elif not os.access(path, os.W_OK | os.X_OK):
            reasons.append(f"{path} cannot be written")
        elif free < memory + _ROOM_TO_SPARE:
            reasons.append(f"{path} has {free >> 20} MiB free")
        else:
            return path
    raise LabError(
        f"no directory has space for the lab's memory of {memory >> 20} MiB",
        hint="give less with --mem, or set TMPDIR to a directory with enough space",
        details=tuple(reasons),
    )


def _directory() -> str:
    """Make a private directory whose path is short and needs no quoting on a kernel's command line."""
    for base in (tempfile.gettempdir(), "/tmp", "/var/tmp", "/dev/shm"):
        if _PLAIN.fullmatch(base) and os.access(base, os.W_OK | os.X_OK):
            return tempfile.mkdtemp(prefix="vmgr-lab-", dir=base)
    raise LabError("no temporary directory can be written", hint="make /tmp writable")


def shares_of(options: LabOptions) -> list[str]:
    """The shared directories as absolute paths. Raises a VmgrError for one that cannot be shared."""
    found = []
    for share in options.shares:
        path = os.path.realpath(share)
        if not os.path.isdir(path):
            raise NotFound(f"the directory {share} to share does not exist")
        kernel_s = path.startswith(("/dev/", "/proc/", "/sys/")) and not path.startswith("/dev/shm/")
        if path in _UNSHAREABLE or kernel_s:
            raise UsageError(f"{path} cannot be shared", hint="share the directory that the command must write to")
        found.append(path)
    return found


def directory_of(options: LabOptions) -> str:
    """The directory that the command starts in, as an absolute path. Raises NotFound."""
    try:
        path = os.path.realpath(options.cwd or ".")
    except FileNotFoundError:
        raise NotFound("the current directory no longer exists", hint="change it, or give --cwd") from None
    if not os.path.isdir(path):
        raise NotFound(f"the directory {options.cwd} to start in does not exist")
    return path


def guest_environment(options: LabOptions, disks: int) -> dict[str, str]:
    """The command's environment: the caller's, adapted to a machine where it is root."""
    env = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    path = env.get("PATH", PATH).split(":")
    # Last, so that the guest finds this vmgr even if its directory is not on the caller's PATH.
    path += [part for part in [*PATH.split(":"), os.path.dirname(sys.executable)] if part not in path]
    env["PATH"] = ":".join(path)
    env.setdefault("HOME", "/root")
    env.setdefault("TERM", "dumb")
    env["USER"] = env["LOGNAME"] = "root"
    env["VMGR_LAB"] = "1"
    env["VMGR_LAB_DISKS"] = " ".join(device_name(index) for index in range(disks))
    env["VMGR_LAB_UDEV"] = "1" if options.udev else "0"
    if not options.udev:
        # Without this, LVM2's tools would leave the nodes in /dev/mapper to udev, which does not run.
        env["DM_DISABLE_UDEV"] = "1"
    env.update(options.env)
    return env


def command_of(options: LabOptions) -> tuple[str, ...]:
    """The command to run, by default a shell."""
    if options.command:
        return options.command
    shell = os.environ.get("SHELL", "")
    return (shell if os.access(shell, os.X_OK) else "/bin/sh",)


def start(
    options: LabOptions, images: Sequence[Image], streams: tuple[str, str, str], window: tuple[int, int]
) -> Machine:
    """Start a machine for ``options`` with its ``streams`` (see streams_of_caller)."""
    kernel = find_kernel()
    if options.udev and not any(map(os.path.exists, UDEV_DAEMONS)):
        raise LabError("systemd-udevd is not installed", hint="install the package udev, or give --no-udev")
    shares = shares_of(options)
    cwd = directory_of(options)
    memory_dir = room_for(options.memory)
    python = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    directory = _directory()
    try:
        os.symlink(python, f"{directory}/python")
        os.symlink(f"{_HERE}/guest/boot.py", f"{directory}/boot.py")
        os.symlink(cwd, f"{directory}/cwd")
        sources = {}
        for index, share in enumerate(shares):
            sources[share] = f"{directory}/share{index}"
            os.symlink(share, sources[share])
        argv = [kernel, f"mem={options.memory >> 10}K", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"]
        argv += [f"uml_dir={directory}/", "umid=vmgr", "con=null", "ssl=null", "pty.legacy_count=0"]
        for index, image in enumerate(images):
            os.symlink(image.path, f"{directory}/disk{index}")
            argv.append(f"ubd{index}{'r' if image.read_only else ''}d={directory}/disk{index}")
        if not options.verbose:
            argv.append("quiet")
        config = {
            "command": list(command_of(options)),
            "cwd": cwd,
            "cwd_source": f"{directory}/cwd",
            "disks": [device_name(index) for index in range(len(images))],
            "env": guest_environment(options, len(images)),
            "hostname": HOSTNAME,
            "seed": os.urandom(64).hex(),
            "shares": sources,
            "streams": list(streams),
            "tty": "tty" in streams,
            "udev": options.udev,
            "window": list(window),
        }
        with open(f"{directory}/config.json", "w") as target:
            json.dump(config, target)
        return _start_keeper(directory, argv, memory_dir, images)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def _start_keeper(directory: str, argv: list[str], memory_dir: str, images: Sequence[Image]) -> Machine:
    link, their_link = socket.socketpair()
    lifeline, their_lifeline = socket.socketpair()
    console, their_console = os.pipe()
    try:
        argv.append(f"con0=null,fd:{their_console}")
        argv.append(f"ssl0=fd:{their_link.fileno()}")
        argv.append(f"init={directory}/python")
        argv += ["--", "-I", "-S", "-B", f"{directory}/boot.py", f"{directory}/config.json"]
        config = {
            "argv": argv,
            "env": {"PATH": PATH, "HOME": directory, "TMPDIR": memory_dir},
            "directory": directory,
            "link": their_link.fileno(),
            "console": their_console,
        }
        passed = [their_link.fileno(), their_lifeline.fileno(), their_console, *(image.fd for image in images)]
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", _KEEPER, str(their_lifeline.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=passed,
            start_new_session=True,
            cwd="/",
        )
        lifeline.sendall(json.dumps(config).encode() + b"\n")
    except BaseException:
        for end in (link, lifeline):
            end.close()
        os.close(console)
        raise
    finally:
        their_link.close()
        their_lifeline.close()
        os.close(their_console)
    return Machine(keeper, lifeline, link, console, directory, os.pidfd_open(keeper.pid))
