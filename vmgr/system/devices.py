"""Which block devices there are, and what they are called. Which of them vmgr may use: :mod:`vmgr.system.filters`.

There are two ways to find devices, and one rule for which is taken:

* **From the kernel**: ``/proc/partitions``, one stat for each device, one look at the top of the device directory
  for links. This costs well under a millisecond. It is the whole truth about which devices exist, and it is
  what every ordinary command uses.
* **Through pyudev** (:mod:`vmgr.system.udevdb`): the devices in udev's database with all their links and what
  udev's rules found on them. Importing pyudev alone costs about 17 ms of CPU, more than a whole ``lvs`` of LVM2,
  and the database lags behind the kernel. So it is used where its knowledge is needed:
  ``devices/obtain_device_list_from_udev=1`` or ``devices/external_device_info_source="udev"`` in lvm.conf, and
  commands that are about to take a device that is not a physical volume yet (``detail=True``: pvcreate,
  vgcreate, vgextend), which ask what else claims the device. Where udev does not run, the kernel's list is
  all there is.

Links (``/dev/disk/by-id/...``) matter for filters and preferred names: with a filter set, or mapped devices to be
scanned, the device directory is walked, as LVM2 does. A path on a command line needs none of this: it is resolved
by its device number.
"""

from __future__ import annotations

import os
import re
from stat import S_ISBLK, S_ISLNK, S_ISREG
from typing import TYPE_CHECKING

from vmgr.core.errors import DeviceError
from vmgr.core.units import Bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vmgr.system.config import Config

Number = tuple[int, int]
"""A device number: (major, minor)."""

SYSFS = "/sys"


class Device:
    """A block device, or a regular file that stands for one (``major`` is -1 then, ``minor`` its place in a list).

    ``path`` is the preferred one of ``aliases``. ``name`` is the kernel's name (``sda1``, ``dm-3``).
    ``dm_name`` and ``dm_uuid`` are set for device-mapper devices. ``udev`` has udev's properties, None where udev
    was not asked. ``size`` is 0 where it is not known yet.
    """

    __slots__ = ("aliases", "dm_name", "dm_uuid", "major", "minor", "name", "path", "size", "udev")

    def __init__(
        self, path: str, major: int, minor: int, *, name: str = "", size: int = 0, aliases: tuple[str, ...] = ()
    ) -> None:
        self.path = path
        self.aliases = aliases or (path,)
        self.major = major
        self.minor = minor
        self.name = name
        self.size = Bytes(size)
        self.dm_name = ""
        self.dm_uuid = ""
        self.udev: Mapping[str, str] | None = None

    @property
    def number(self) -> Number:
        """(major, minor)."""
        return self.major, self.minor

    @property
    def sysfs(self) -> str:
        """The device's directory in sysfs."""
        return f"{SYSFS}/dev/block/{self.major}:{self.minor}"

    def attribute(self, name: str) -> str:
        """A sysfs attribute (``queue/rotational``), of the whole disk where a partition has none; else empty."""
        for base in (self.sysfs, f"{self.sysfs}/.."):
            try:
                with open(f"{base}/{name}") as file:
                    return file.read().strip()
            except OSError:
                continue
        return ""

    @property
    def suspended(self) -> bool:
        """Whether this is a mapped device that is suspended: reads wait until it is resumed."""
        if not self.dm_name:
            return False
        try:
            with open(f"{self.sysfs}/dm/suspended") as file:
                return file.read().strip() == "1"
        except OSError:
            return False

    @property
    def partition_number(self) -> int:
        """The number of the partition that this is; 0 for a whole disk."""
        try:
            with open(f"{self.sysfs}/partition") as file:
                return int(file.read())
        except (OSError, ValueError):
            return 0

    def __repr__(self) -> str:
        return f"Device({self.path!r}, {self.major}:{self.minor})"


def discover(
    config: Config,
    *,
    detail: bool = False,
    mapped: Callable[[], Mapping[Number, tuple[str, str]]] | None = None,
) -> list[Device]:
    """All block devices with a node in the device directory, sorted by number.

    ``detail`` asks udev for what it knows of each. ``mapped`` lists device-mapper devices as (name, UUID) by
    number (one ioctl); without it they are read from sysfs. Active volumes are left out at once unless
    ``devices/scan_lvs`` is set: there may be thousands of them.
    """
    wants_udev = (
        detail
        or config.flag("devices/obtain_device_list_from_udev")
        or config.text("devices/external_device_info_source") == "udev"
    )
    devices = from_kernel(config, mapped=mapped)
    if wants_udev and config.dev_dir == "/dev":
        from vmgr.system import udevdb

        if udevdb.running():
            udevdb.add_knowledge(devices)
    choose_paths(devices, config)
    return devices


def from_kernel(
    config: Config, *, mapped: Callable[[], Mapping[Number, tuple[str, str]]] | None = None
) -> list[Device]:
    """The devices that the kernel lists and that have a node."""
    dev_dir = config.dev_dir
    listed = _partitions(config.text("global/proc"))
    dm_major = _dm_major(config.text("global/proc")) if any(name.startswith("dm-") for _, name, _ in listed) else -1
    known = mapped() if mapped is not None and dm_major >= 0 else None
    skip_volumes = not config.flag("devices/scan_lvs")
    needs_walk = _filters_names(config)
    found: dict[Number, Device] = {}
    for number, name, size in listed:
        dm = ("", "")
        if number[0] == dm_major:
            dm = known[number] if known and number in known else _dm_facts(number)
            if skip_volumes and dm[1].startswith("LVM-"):
                continue
            needs_walk = True  # any link to it, at any depth (/dev/VG/LV), is preferred to its name in /dev/mapper
        path = f"{dev_dir}/mapper/{dm[0]}" if dm[0] else f"{dev_dir}/{name.replace('!', '/')}"
        device = Device(path, *number, name=name, size=size)
        device.dm_name, device.dm_uuid = dm
        found[number] = device
        paths = [p for p in (path, f"{dev_dir}/{name}" if dm[0] else "") if p and _is_node(p, number)]
        if paths:
            device.aliases = tuple(paths)
        else:
            device.aliases = ()
            needs_walk = True
    for path, number in _walk(config) if needs_walk else _top_links(dev_dir):
        if number in found and path not in found[number].aliases:
            found[number].aliases += (path,)
    return [device for _, device in sorted(found.items()) if device.aliases]


def _partitions(proc: str) -> list[tuple[Number, str, int]]:
    """(number, kernel's name, size in bytes) of each line of ``/proc/partitions``; empty without it."""
    try:
        with open(f"{proc}/partitions") as file:
            lines = file.read().splitlines()[2:]
    except OSError as error:
        raise DeviceError(
            f"cannot read {proc}/partitions: {error.strerror}", hint="is /proc mounted? see global/proc in lvm.conf"
        ) from None
    found = []
    for line in lines:
        major, minor, blocks, name = line.split(maxsplit=3)
        found.append(((int(major), int(minor)), name, int(blocks) * 1024))
    return found


def block_majors(proc: str) -> dict[int, str]:
    """Names of block-device drivers by major number (``/proc/devices``)."""
    majors: dict[int, str] = {}
    try:
        with open(f"{proc}/devices") as file:
            _, _, block = file.read().partition("Block devices:")
    except OSError:
        return majors
    for line in block.splitlines():
        number, _, name = line.strip().partition(" ")
        if number.isdigit():
            majors[int(number)] = name
    return majors


def _dm_major(proc: str) -> int:
    return next((number for number, name in block_majors(proc).items() if name == "device-mapper"), -1)


def _dm_facts(number: Number) -> tuple[str, str]:
    facts = []
    for word in ("name", "uuid"):
        try:
            with open(f"{SYSFS}/dev/block/{number[0]}:{number[1]}/dm/{word}") as file:
                facts.append(file.read().rstrip("\n"))
        except OSError:
            facts.append("")
    return facts[0], facts[1]


# -- paths ----------------------------------------------------------------------------------------


def mapped_uuids() -> tuple[str, ...]:
    """The device-mapper UUIDs of all mapped devices, as the kernel tells without its control node."""
    found = []
    try:
        names = os.listdir(f"{SYSFS}/block")
    except OSError:
        return ()
    for name in names:
        if name.startswith("dm-"):
            try:
                with open(f"{SYSFS}/block/{name}/dm/uuid") as file:
                    found.append(file.read().strip())
            except OSError:
                continue
    return tuple(found)


def device_number(path: str) -> Number | None:
    """The number of the block device at ``path``, links followed; None if there is none."""
    try:
        info = os.stat(path)
    except OSError:
        return None
    return (os.major(info.st_rdev), os.minor(info.st_rdev)) if S_ISBLK(info.st_mode) else None


def _is_node(path: str, number: Number) -> bool:
    return device_number(path) == number


def _top_links(dev_dir: str) -> list[tuple[str, Number]]:
    """Links to block devices in the device directory itself: udev rules make such (``SYMLINK+="backup"``)."""
    found = []
    try:
        with os.scandir(dev_dir) as entries:
            for entry in entries:
                if entry.is_symlink():
                    number = device_number(entry.path)
                    if number is not None:
                        found.append((entry.path, number))
    except OSError:
        pass
    return found


def _walk(config: Config) -> list[tuple[str, Number]]:
    """Every path of every block device below the directories of ``devices/scan``."""
    found: list[tuple[str, Number]] = []
    tops = [
        config.dev_dir if top.rstrip("/") == "/dev" else top.rstrip("/") for top in config.words("devices/scan")
    ]
    for top in dict.fromkeys([*tops, config.dev_dir]):
        for directory, _, names in os.walk(top):
            for name in sorted(names):
                path = f"{directory}/{name}"
                number = device_number(path)
                if number is not None:
                    found.append((path, number))
    return found


def _filters_names(config: Config) -> bool:
    return any(
        config.is_set(path) for path in ("devices/filter", "devices/global_filter", "devices/preferred_names")
    )


def choose_paths(devices: Iterable[Device], config: Config) -> None:
    """Make LVM2's choice among each device's paths its ``path``, and sort ``aliases`` with it at the front."""
    patterns = [_compile(pattern) for pattern in config.words("devices/preferred_names")]
    for device in devices:
        if len(device.aliases) > 1:
            device.aliases = tuple(sorted(device.aliases, key=lambda p: _rank(p, config.dev_dir, patterns)))
        device.path = device.aliases[0]


def _compile(pattern: str) -> re.Pattern[str]:
    from vmgr.core.errors import ConfigError

    try:
        return re.compile(pattern)
    except re.error as error:
        raise ConfigError(
            f"devices/preferred_names: {pattern!r} is not a regular expression: {error}", hint="correct lvm.conf"
        ) from None


def _rank(path: str, dev_dir: str, patterns: list[re.Pattern[str]]) -> tuple[object, ...]:
    """A sort key: LVM2's preferred path first (``_compare_paths`` in ``lib/device/dev-cache.c``).

    A path that an earlier ``preferred_names`` pattern matches; then anything before ``/dev/mapper/``, that before
    ``/dev/disk/``, that before ``/dev/dm-*``, that before ``/dev/block/``; then fewer slashes;
    then links before nodes; then by name.
    """
    wanted = next((n for n, pattern in enumerate(patterns) if pattern.search(path)), len(patterns))
    below = path.removeprefix(dev_dir + "/")
    place = next(
        (n for n, start in ((4, "block/"), (3, "dm-"), (2, "disk/"), (1, "mapper/")) if below.startswith(start)), 0
    )
    try:
        is_link = S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        is_link = False
    return wanted, place, path.count("/"), not is_link, path


class Named:
    """Devices, to be found by whatever a user calls them. Made once for all names that a command is given."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self._by_path: dict[str, Device] = {}
        self._by_number: dict[Number, Device] = {}
        for device in devices:
            self._by_path.setdefault(device.path, device)
            self._by_number.setdefault(device.number, device)

    def find(self, name: str) -> Device | None:
        """The device that the path ``name`` leads to; None if it is not among these."""
        found = self._by_path.get(name)
        if found is not None:
            return found
        number = device_number(name)
        return None if number is None else self.at(number)

    def at(self, number: Number) -> Device | None:
        """The device with this number; None if it is not among these."""
        return self._by_number.get(number)


def hidden_reason(path: str) -> str:
    """Why an existing block device is not among those that :func:`discover` gives; empty if nothing tells."""
    number = device_number(path)
    if number is None:
        return ""
    if _dm_facts(number)[1].startswith("LVM-"):
        return "device is an LV"
    return ""


def from_paths(paths: Iterable[str]) -> list[Device]:
    """Devices for exactly these paths, block devices or regular files (images), nothing filtered.

    Raises :class:`DeviceError` for anything else.
    """
    devices = []
    for place, path in enumerate(paths):
        try:
            info = os.stat(path)
        except OSError as error:
            raise DeviceError(f"cannot use {path}: {error.strerror}") from None
        if S_ISBLK(info.st_mode):
            devices.append(Device(path, os.major(info.st_rdev), os.minor(info.st_rdev)))
        elif S_ISREG(info.st_mode):
            devices.append(Device(path, -1, place, size=info.st_size))
        else:
            raise DeviceError(f"{path} is neither a block device nor a file")
    return devices
