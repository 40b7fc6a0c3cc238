"""System calls for the first process that Python does not offer.

Each raises OSError with the call's errno. Names and numbers are those of the kernel's headers.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_BIND = 4096
MS_REC = 16384

RB_POWER_OFF = 0x4321FEDC
SYS_FINIT_MODULE = {"x86_64": 313}
RNDADDENTROPY = 0x40085203
SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 1
AF_INET = 2
SOCK_DGRAM = 2


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    """Call mount(2)."""
    _checked(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            kind.encode(),
            ctypes.c_ulong(flags),
            os.fsencode(data),
        ),
        target,
    )


def unmount(target: str) -> None:
    """Call umount(2)."""
    _checked(_libc.umount2(os.fsencode(target), 0), target)


def power_off() -> None:
    """Stop the machine. The caller must have flushed all data before."""
    _checked(_libc.reboot(RB_POWER_OFF), "reboot")


def sethostname(name: str) -> None:
    """Call sethostname(2)."""
    raw = name.encode()
    _checked(_libc.sethostname(raw, len(raw)), name)


def load_module(path: str) -> None:
    """Load one uncompressed module file, unless it is already loaded."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        result = _libc.syscall(SYS_FINIT_MODULE[os.uname().machine], fd, b"", 0)
        if result != 0 and ctypes.get_errno() == errno.EEXIST:
            return
        _checked(result, path)
    finally:
        os.close(fd)


def add_entropy(seed: bytes) -> None:
    """Give the kernel's random pool ``seed`` and credit it, so that getrandom(2) never waits."""
    fd = os.open("/dev/urandom", os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, RNDADDENTROPY, struct.pack("ii", len(seed) * 8, len(seed)) + seed)
    finally:
        os.close(fd)


def loopback_up() -> None:
    """Bring the network interface ``lo`` up."""
    fd = _libc.socket(AF_INET, SOCK_DGRAM, 0)
    if fd < 0:
        _checked(-1, "socket")
    try:
        request = fcntl.ioctl(fd, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))
        (flags,) = struct.unpack_from("H", request, 16)
        fcntl.ioctl(fd, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
    finally:
        os.close(fd)
