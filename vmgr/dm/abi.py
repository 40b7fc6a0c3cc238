"""The kernel's device-mapper interface, version 4: layouts, flags, and one row for each ioctl.

This module holds numbers only; :mod:`vmgr.dm.wire` turns them into bytes and back. Source of every fact:
``linux/dm-ioctl.h`` and ``drivers/md/dm-ioctl.c`` of the kernel. The version that introduced a flag
is taken from libdevmapper's own checks (``libdm/ioctl/libdm-iface.c``).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

Version = tuple[int, int, int]

# -- layouts (native byte order, no implied padding) -------------------------------------------------

HEADER = struct.Struct("=3I I I I i I I 4x Q 128s 129s 7x")
"""``struct dm_ioctl``: version[3], data_size, data_start, target_count, open_count, flags, event_nr,
(padding), dev, name, uuid, (7 bytes of data)."""

TARGET = struct.Struct("=Q Q i I 16s")
"""``struct dm_target_spec``: sector_start, length, status, next, target_type; parameters follow."""

NAME_ENTRY = struct.Struct("=Q I")
"""Start of ``struct dm_name_list``: dev, next; the name follows."""

NAME_TAIL = struct.Struct("=I I")
"""After a name, on the next multiple of 8: event_nr (since 4.38), flags (since 4.45). The UUID follows
if the request has the flag UUID."""

TARGET_VERSION = struct.Struct("=I 3I")
"""``struct dm_target_versions``: next, version[3]; the name follows."""

DEPS = struct.Struct("=I 4x")
"""``struct dm_target_deps``: count, (padding); 64-bit device numbers follow."""

MESSAGE = struct.Struct("=Q")
"""``struct dm_target_msg``: sector; the text follows."""

HEADER_SIZE = 312
DATA_START = HEADER_SIZE
ALIGNMENT = 8
TARGET_NAME_MAX = 15
"""Longest target name in bytes (``DM_MAX_TYPE_NAME`` is 16 with the final NUL)."""

# -- flags ------------------------------------------------------------------------------------------

READONLY = 1 << 0
SUSPEND = 1 << 1
EXISTS = 1 << 2
PERSISTENT_DEV = 1 << 3
STATUS_TABLE = 1 << 4
ACTIVE_PRESENT = 1 << 5
INACTIVE_PRESENT = 1 << 6
BUFFER_FULL = 1 << 8
SKIP_BDGET = 1 << 9
SKIP_LOCKFS = 1 << 10
NOFLUSH = 1 << 11
QUERY_INACTIVE_TABLE = 1 << 12
UEVENT_GENERATED = 1 << 13
UUID = 1 << 14
SECURE_DATA = 1 << 15
DATA_OUT = 1 << 16
DEFERRED_REMOVE = 1 << 17
INTERNAL_SUSPEND = 1 << 18
IMA_MEASUREMENT = 1 << 19

NAME_LIST_HAS_UUID = 1
NAME_LIST_HAS_NO_UUID = 2


class Flag(NamedTuple):
    """One bit of ``dm_ioctl.flags``. ``goes_in``: requests use it; ``comes_out``: replies use it."""

    name: str
    bit: int
    since: Version
    goes_in: bool
    comes_out: bool


FLAGS = (
    Flag("readonly", READONLY, (4, 0, 0), True, True),
    Flag("suspend", SUSPEND, (4, 0, 0), True, True),
    Flag("persistent-dev", PERSISTENT_DEV, (4, 0, 0), True, False),
    Flag("status-table", STATUS_TABLE, (4, 0, 0), True, False),
    Flag("active-present", ACTIVE_PRESENT, (4, 0, 0), False, True),
    Flag("inactive-present", INACTIVE_PRESENT, (4, 0, 0), False, True),
    Flag("buffer-full", BUFFER_FULL, (4, 0, 0), False, True),
    Flag("skip-bdget", SKIP_BDGET, (4, 0, 0), True, False),
    Flag("skip-lockfs", SKIP_LOCKFS, (4, 5, 0), True, False),
    Flag("noflush", NOFLUSH, (4, 12, 0), True, False),
    Flag("query-inactive-table", QUERY_INACTIVE_TABLE, (4, 16, 0), True, False),
    Flag("uevent-generated", UEVENT_GENERATED, (4, 17, 0), False, True),
    Flag("uuid", UUID, (4, 19, 0), True, False),
    Flag("secure-data", SECURE_DATA, (4, 20, 0), True, False),
    Flag("data-out", DATA_OUT, (4, 24, 0), False, True),
    Flag("deferred-remove", DEFERRED_REMOVE, (4, 27, 0), True, True),
    Flag("internal-suspend", INTERNAL_SUSPEND, (4, 28, 0), False, True),
    Flag("ima-measurement", IMA_MEASUREMENT, (4, 45, 0), True, False),
)

OLD_FLAGS = READONLY | SUSPEND | PERSISTENT_DEV | STATUS_TABLE | SKIP_BDGET
"""Input flags that every interface of version 4 knows: no version check is needed for them."""

COOKIE_SINCE: Version = (4, 15, 0)
UEVENT_FLAG_SINCE: Version = (4, 17, 0)
NAME_LIST_EVENT_SINCE: Version = (4, 38, 0)
NAME_LIST_UUID_SINCE: Version = (4, 45, 0)


def flag_names(flags: int) -> tuple[str, ...]:
    """The words for the bits set in ``flags``; bits without a word are given in hexadecimal."""
    names = [flag.name for flag in FLAGS if flags & flag.bit]
    rest = flags & ~EXISTS
    for flag in FLAGS:
        rest &= ~flag.bit
    if rest:
        names.append(hex(rest))
    return tuple(names)


# -- flags for udev's rules -------------------------------------------------------------------------
# In the high half of event_nr, above the cookie; the kernel passes both on as DM_COOKIE.

UDEV_SHIFT = 16
UDEV_DISABLE_DM_RULES = 0x0001
"""Leave ``/dev/mapper`` alone: the caller makes the nodes."""
UDEV_DISABLE_SUBSYSTEM_RULES = 0x0002
"""Leave ``/dev/VG`` alone."""
UDEV_DISABLE_DISK_RULES = 0x0004
"""Do not look for file systems, make no ``/dev/disk`` links."""
UDEV_DISABLE_OTHER_RULES = 0x0008
"""Other subsystems' rules do nothing either."""
UDEV_LOW_PRIORITY = 0x0010
"""Another device with the same label (a snapshot's origin) wins the ``/dev/disk`` link."""
UDEV_DISABLE_LIBRARY_FALLBACK = 0x0020
"""The caller does not make the nodes that the rules fail to make."""
UDEV_PRIMARY_SOURCE = 0x0040
"""The event comes from a command, not from a rescan."""
UDEV_NOSCAN = 0x0100
"""LVM's use of the first subsystem flag: there may be old signatures on it, do not scan."""

UDEV_HIDDEN = UDEV_DISABLE_SUBSYSTEM_RULES | UDEV_DISABLE_DISK_RULES | UDEV_DISABLE_OTHER_RULES
"""For helper devices: nothing but the node in ``/dev/mapper``."""

# -- the ioctls -------------------------------------------------------------------------------------


class Command(NamedTuple):
    """One ioctl of ``/dev/mapper/control``.

    ``flags`` are the input flags that it obeys. ``payload``: the request has data after the header. ``reply``: the
    reply has data, in a buffer that may have to grow. ``uevent``: the kernel may send an event, with the
    request's event number as its cookie. ``silent``: the reply's header has the version and nothing else.
    ``logs``: when the kernel refuses the command, its log may say more than the errno.
    """

    name: str
    nr: int
    since: Version
    flags: int = 0
    payload: bool = False
    reply: bool = False
    uevent: bool = False
    silent: bool = False
    logs: bool = False

    @property
    def code(self) -> int:
        """The request number for ``ioctl(2)``: ``_IOWR(0xfd, nr, struct dm_ioctl)``.

        The direction bits differ between architectures, but "both" is the same on all of them.
        """
        return 0xC000_0000 | HEADER_SIZE << 16 | 0xFD << 8 | self.nr


_ANY = SKIP_BDGET | SECURE_DATA
_QUERY = _ANY | QUERY_INACTIVE_TABLE

VERSION = Command("version", 0, (4, 0, 0), silent=True)
REMOVE_ALL = Command("remove_all", 1, (4, 0, 0), _ANY | DEFERRED_REMOVE, silent=True)
LIST_DEVICES = Command("list", 2, (4, 0, 0), _ANY | UUID, reply=True)
DEV_CREATE = Command("create", 3, (4, 0, 0), _ANY | PERSISTENT_DEV, logs=True)
DEV_REMOVE = Command("remove", 4, (4, 0, 0), _ANY | DEFERRED_REMOVE, uevent=True)
DEV_RENAME = Command("rename", 5, (4, 0, 0), _ANY | UUID, payload=True, uevent=True, logs=True)
DEV_SUSPEND = Command("suspend", 6, (4, 0, 0), _ANY | SUSPEND | SKIP_LOCKFS | NOFLUSH, uevent=True, logs=True)
DEV_STATUS = Command("info", 7, (4, 0, 0), _QUERY)
DEV_WAIT = Command("wait", 8, (4, 0, 0), _QUERY | STATUS_TABLE | NOFLUSH | IMA_MEASUREMENT, reply=True)
TABLE_LOAD = Command("load", 9, (4, 0, 0), _ANY | READONLY, payload=True, logs=True)
TABLE_CLEAR = Command("clear", 10, (4, 0, 0), _ANY)
TABLE_DEPS = Command("deps", 11, (4, 0, 0), _QUERY, reply=True)
TABLE_STATUS = Command("status", 12, (4, 0, 0), _QUERY | STATUS_TABLE | NOFLUSH | IMA_MEASUREMENT, reply=True)
LIST_VERSIONS = Command("targets", 13, (4, 1, 0), _ANY, reply=True)
TARGET_MSG = Command("message", 14, (4, 2, 0), _ANY, payload=True, reply=True, logs=True)
DEV_SET_GEOMETRY = Command("setgeometry", 15, (4, 6, 0), _ANY, payload=True, silent=True, logs=True)
DEV_ARM_POLL = Command("armpoll", 16, (4, 36, 0), _ANY)
GET_TARGET_VERSION = Command("target-version", 17, (4, 41, 0), _ANY, reply=True)

COMMANDS = (
    VERSION, REMOVE_ALL, LIST_DEVICES, DEV_CREATE, DEV_REMOVE, DEV_RENAME, DEV_SUSPEND, DEV_STATUS, DEV_WAIT,
    TABLE_LOAD, TABLE_CLEAR, TABLE_DEPS, TABLE_STATUS, LIST_VERSIONS, TARGET_MSG, DEV_SET_GEOMETRY, DEV_ARM_POLL,
    GET_TARGET_VERSION,
)  # fmt: skip
"""Every ioctl, at the index of its number."""

LATER: dict[tuple[int, int], Version] = {(LIST_DEVICES.nr, UUID): NAME_LIST_UUID_SINCE}
"""The version since which a command obeys a flag (by number and bit), if later than both. Before, it ignores it."""


def flag_since(command: Command, flag: Flag) -> Version:
    """The first version of the interface in which ``command`` obeys ``flag``."""
    return LATER.get((command.nr, flag.bit)) or max(command.since, flag.since)


# -- device numbers ---------------------------------------------------------------------------------

MAJORS = 1 << 12
MINORS = 1 << 20
"""How many major and minor numbers there are (``linux/kdev_t.h``)."""


def dev_number(major: int, minor: int) -> int:
    """``huge_encode_dev``: what ``dm_ioctl.dev`` holds for ``major:minor`` (minors of 20 bits)."""
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def major_minor(dev: int) -> tuple[int, int]:
    """The (major, minor) in a ``dm_ioctl.dev``."""
    return (dev & 0xFFF00) >> 8, (dev & 0xFF) | ((dev >> 12) & 0xFFF00)


def numbers_in(params: str) -> tuple[int, ...]:
    """The devices that a target's parameters name as ``major:minor``, as numbers, in order."""
    pairs = (word.split(":") for word in params.split() if ":" in word)
    return tuple(
        dev_number(int(pair[0]), int(pair[1]))
        for pair in pairs
        if len(pair) == 2 and all(part.isascii() and part.isdigit() for part in pair)
    )
