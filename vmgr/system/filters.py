"""Which devices vmgr may look at: LVM2's filters, in LVM2's order, each refusal with its reason.

:class:`Filters` asks first what needs no reading (:meth:`Filters.refusal`), then what the first bytes of the device
tell (:func:`content_refusal`). A reason is a half sentence for "cannot use /dev/sdb: ...". Source:
``lib/filters`` and ``lib/device/dev-type.c`` of LVM2.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from vmgr.core.errors import ConfigError, VmgrError
from vmgr.system.devices import SYSFS, block_majors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.units import Bytes
    from vmgr.system.config import Config
    from vmgr.system.devices import Device

_KNOWN_TYPES = {
    "sd": 16, "ide": 64, "md": 1, "loop": 1, "ramdisk": 1, "device-mapper": 1, "mdp": 1, "dasd": 4,
    "dac960": 8, "nbd": 16, "ida": 16, "cciss": 16, "ubd": 16, "ataraid": 16, "drbd": 16, "rbd": 16,
    "emcpower": 16, "power2": 16, "i2o_block": 16, "iseries/vd": 8, "gnbd": 1, "aoe": 16, "xvd": 16,
    "vdisk": 8, "ps3disk": 16, "virtblk": 8, "mmc": 16, "blkext": 1, "fio": 16, "mtip32xx": 16,
    "vtms": 16, "skd": 16, "scm": 8, "bcache": 1, "nvme": 64, "zvol": 16, "VxDMP": 16,
}  # fmt: skip
"""Driver names of ``/proc/devices`` (their beginnings), and how many minor numbers one whole device has."""

PV_MIN_SIZE_KIB = 512
"""A smaller ``devices/pv_min_size`` is not taken (``PV_MIN_SIZE_KB``)."""

_DEFAULT_PV_MIN_SIZE_KIB = 2048


# -- patterns -------------------------------------------------------------------------------------


_CLASS_SPECIAL = r"([\[\]&~|^])"


def translate(pattern: str) -> str:
    """A regular expression of lvm.conf in Python's notation.

    LVM2's engine knows ``^ $ . * + ? | ( ) [ ]`` and a backslash before ``n r t f`` or a character that is meant
    literally (``libdm/regex``); braces are ordinary characters.
    """
    out: list[str] = []
    i = 0
    while i < len(pattern):
        c = pattern[i]
        i += 1
        if c == "\\" and i < len(pattern):
            out.append("\\" + pattern[i] if pattern[i] in "nrtf" else re.escape(pattern[i]))
            i += 1
        elif c == "[":
            end = pattern.find("]", i + 1 + (pattern[i : i + 1] == "^"))
            if end < 0:
                raise ValueError("a bracket is not closed")
            inside = pattern[i:end]
            negated = inside.startswith("^")
            body = inside[1:] if negated else inside
            escaped = re.sub(_CLASS_SPECIAL, r"\\\1", body)
            out.append(f"[{'^' if negated else ''}{escaped}]")
            i = end + 1
        elif c in "{}":
            out.append("\\" + c)
        else:
            out.append(c)
    return "".join(out)


class Patterns:
    """A list of accept and reject patterns (``"a|^/dev/sd|"``, ``"r/.*/"``); the first that matches decides."""

    def __init__(self, patterns: Iterable[str], setting: str) -> None:
        """Raises :class:`ConfigError` for a pattern that is not one."""
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for pattern in patterns:
            self._rules.append(self._rule(pattern, setting))
        self.accepts_all = all(accept and rule.pattern == ".*" for accept, rule in self._rules[:1])

    @staticmethod
    def _rule(pattern: str, setting: str) -> tuple[bool, re.Pattern[str]]:
        hint = 'a pattern looks like "a|^/dev/sd|" (accept) or "r|.*|" (reject)'
        if len(pattern) < 3 or pattern[0] not in "ar":
            raise ConfigError(f"{setting}: invalid pattern {pattern!r}: it must begin with 'a' or 'r'", hint=hint)
        end = {"(": ")", "[": "]", "{": "}"}.get(pattern[1], pattern[1])
        if pattern[-1] != end:
            raise ConfigError(f"{setting}: invalid pattern {pattern!r}: it must end with {end!r}", hint=hint)
        try:
            return pattern[0] == "a", re.compile(translate(pattern[2:-1]))
        except (re.error, ValueError) as error:
            raise ConfigError(f"{setting}: invalid pattern {pattern!r}: {error}", hint=hint) from None

    def decide(self, path: str) -> bool | None:
        """Whether ``path`` is accepted; None if no pattern matches."""
        for accept, rule in self._rules:
            if rule.search(path):
                return accept
        return None

    def accepted_path(self, paths: tuple[str, ...]) -> str | None:
        """The path by which a device with these names is accepted; None if it is rejected.

        A device is rejected when a name of it is and no other name is accepted; a name that nothing
        matches counts for nothing. A later name that is accepted becomes the preferred one, as in LVM2.
        """
        rejected = False
        for path in paths:
            decision = self.decide(path)
            if decision:
                return path
            rejected = rejected or decision is False
        return None if rejected else paths[0]


# -- what needs no reading ------------------------------------------------------------------------


class Filters:
    """The filters of one command."""

    def __init__(
        self, config: Config, *, listed: set[tuple[int, int]] | None = None, by_list: bool = False
    ) -> None:
        """``listed``: all that the devices file or ``--devices`` (``by_list``) allows; None: no such list.

        Raises :class:`ConfigError`.
        """
        self._config = config
        self._listed = listed
        self._by_list = by_list
        # LVM2 ignores the patterns when a devices file or list is in force.
        used = listed is None
        self._patterns = [
            (setting, Patterns(config.words(setting), setting))
            for setting in ("devices/global_filter", "devices/filter")
            if used and config.is_set(setting)
        ]
        self._parts = _partition_counts(config)
        kib = config.number("devices/pv_min_size")
        self._min_size = (kib if kib >= PV_MIN_SIZE_KIB else _DEFAULT_PV_MIN_SIZE_KIB) * 1024
        self._scan_lvs = config.flag("devices/scan_lvs")
        self._multipath: set[str] | None = None

    def refusal(self, device: Device) -> str:
        """Why ``device`` may not be used, as far as that can be told without reading it; empty if it may be."""
        for setting, patterns in self._patterns:
            path = patterns.accepted_path(device.aliases)
            if path is None:
                return f"device is rejected by {setting} in the configuration"
            if path != device.path:
                device.path = path
                device.aliases = (path, *(alias for alias in device.aliases if alias != path))
        if device.major >= 0 and self._parts and device.major not in self._parts:
            return "device type is unknown"
        if self._listed is not None and device.number not in self._listed:
            return "device is not in devices list" if self._by_list else "device is not in devices file"
        if device.dm_name and (reason := self._mapped_refusal(device)):
            return reason
        if device.size and device.size < self._min_size:
            return "device is too small (pv_min_size)"
        if self._config.flag("devices/multipath_component_detection") and self._is_path(device):
            return "device is a multipath component"
        return self._udev_refusal(device)

    def size_refusal(self, size: Bytes) -> str:
        """Why a device of this size may not be used; empty if it may be."""
        return "device is too small (pv_min_size)" if size < self._min_size else ""

    def partitionable(self, device: Device) -> bool:
        """Whether a partition table on the device would be one, and not the start of a volume's data."""
        if device.major < 0 or device.dm_name:
            return bool(device.dm_name)
        name = os.path.basename(device.name)
        if name.startswith("md"):
            return not device.partition_number
        if name.startswith("loop"):
            return device.attribute("loop/partscan") == "1"
        if name.startswith("nvme"):
            return not device.partition_number
        parts = self._parts.get(device.major, 1)
        return parts > 1 and device.minor % parts == 0

    def _mapped_refusal(self, device: Device) -> str:
        uuid = device.dm_uuid
        if uuid.startswith("LVM-"):
            if not self._scan_lvs:
                return "device is an LV"
            from vmgr.core.ids import RESERVED_PARTS, RESERVED_PREFIXES
            from vmgr.core.naming import split_dm_name

            _, lv, layer = split_dm_name(device.dm_name)
            if len(uuid) > 68 or layer or lv.startswith(RESERVED_PREFIXES) or any(p in lv for p in RESERVED_PARTS):
                return "device is part of an LV"
            if self._config.flag("devices/ignore_lvm_mirrors") and _is_mirror(device, self._config.dev_dir):
                return "device is a mirror LV, and reading it may block (ignore_lvm_mirrors)"
        if uuid.startswith(("CRYPT-TEMP-", "CRYPT-SUBDEV-", "stratis-")):
            return "device is a private device of another tool"
        if self._config.flag("devices/ignore_suspended_devices") and device.attribute("dm/suspended") == "1":
            return "device is suspended"
        return ""

    def _is_path(self, device: Device) -> bool:
        """Whether a multipath device lies on the device or its disk, or will (its WWID is multipath's)."""
        name = os.path.basename(device.name)
        if not name.startswith(("sd", "nvme")):
            return False
        if self._multipath is None:
            self._multipath = _wwids(self._config.text("devices/multipath_wwids_file"))
        for base in (device.sysfs, f"{device.sysfs}/.."):
            try:
                holders = os.listdir(f"{base}/holders")
            except OSError:
                continue
            for holder in holders:
                try:
                    with open(f"{SYSFS}/class/block/{holder}/dm/uuid") as file:
                        if file.read().startswith("mpath-"):
                            return True
                except OSError:
                    continue
            if not device.partition_number:
                break
        if not self._multipath:
            return False
        wwid = device.attribute("device/wwid") or device.attribute("wwid")
        return wwid.partition(".")[2] in self._multipath

    def _udev_refusal(self, device: Device) -> str:
        if device.udev is None:
            return ""
        from vmgr.system import udevdb

        if self._config.flag("devices/multipath_component_detection") and udevdb.is_multipath_path(device):
            return "device is a multipath component"
        # The rest the device itself tells as well, and udev may not have heard yet that it changed.
        if self._config.text("devices/external_device_info_source") != "udev":
            return ""
        if self._config.flag("devices/md_component_detection") and udevdb.is_raid_member(device):
            return MD_COMPONENT
        if self._config.flag("devices/fw_raid_component_detection") and udevdb.is_firmware_raid_member(device):
            return "device is a component of a firmware RAID"
        if udevdb.is_partitioned(device) and self.partitionable(device):
            return "device is partitioned"
        return ""


MIRROR_TARGET = "mirror"


def _is_mirror(device: Device, dev_dir: str) -> bool:
    """Whether the device is a kernel mirror: if a leg fails, reads may wait until it is repaired."""
    from vmgr.dm.address import by_number
    from vmgr.dm.kernel import IoctlKernel
    from vmgr.dm.query import DmReader

    kernel = IoctlKernel(dev_dir)
    try:
        lines = DmReader(kernel).table(by_number(*device.number))
    except VmgrError:
        return False  # it has gone, or may not be asked about
    finally:
        kernel.close()
    return any(line.target == MIRROR_TARGET for line in lines)


def _partition_counts(config: Config) -> dict[int, int]:
    """How many minor numbers one device has, by major number, for the types that are accepted."""
    types = dict(_KNOWN_TYPES)
    more = config.raw("devices/types")
    if isinstance(more, tuple):
        for name, count in zip(more[::2], more[1::2], strict=False):
            if not isinstance(name, str) or not isinstance(count, int) or count < 1:
                raise ConfigError(
                    "devices/types must hold pairs of a name and a number of partitions",
                    hint='for example types = [ "fd", 16 ]',
                )
            types[name] = count
    counts: dict[int, int] = {}
    for major, driver in block_majors(config.text("global/proc")).items():
        for name, count in types.items():
            if driver.startswith(name):
                counts[major] = count
                break
    return counts


def _wwids(path: str) -> set[str]:
    """WWIDs of multipath's file, without their first character (a type, as sysfs names it differently)."""
    if not path.startswith("/"):
        return set()
    try:
        with open(path) as file:
            return {line.strip().strip("/")[1:] for line in file if line.strip() and not line.startswith("#")}
    except OSError:
        return set()


# -- what the content tells -----------------------------------------------------------------------

MD_COMPONENT = "device is an md component"

_MD_MAGIC = (b"\xfc\x4e\x2b\xa9", b"\xa9\x2b\x4e\xfc")
MD_END_SIZE = 128 << 10
"""So many bytes at a device's end hold every md superblock that lies there."""


def content_refusal(head: bytes, *, partitionable: bool, md_detection: bool) -> str:
    """Why a device that begins with ``head`` (8 KiB) may not be used; empty if it may be."""
    if partitionable and has_partitions(head):
        return "device is partitioned"
    if head[:2] == b"HM" and head[2:4] in (b"\1\0", b"\2\0"):
        return "device has a signature of LVM1, which is not supported"
    if head[:8] == b"\0\0\0\0\0\x01\x16\x70" and head[272:275] == b"\0\x04\x01":
        return "device has a signature of a GFS pool"
    if md_detection and (head[:4] in _MD_MAGIC or head[4096:4100] in _MD_MAGIC):
        return MD_COMPONENT
    return ""


def has_partitions(head: bytes) -> bool:
    """Whether the first sector is a partition table with at least one partition (a GPT has a protecting one)."""
    if head[510:512] != b"\x55\xaa":
        return False
    entries = [head[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    return all(not entry[0] & 0x7F for entry in entries) and any(entry[12:16] != bytes(4) for entry in entries)


def md_at_end(tail: bytes, size: int) -> bool:
    """Whether ``tail``, the end of a device of ``size`` bytes, holds an md superblock (0.90 or 1.0)."""
    first = size - len(tail)
    old = (size & ~0xFFFF) - 0x10000
    new = ((size // 512 - 16) & ~7) * 512
    return any(at >= first and tail[at - first : at - first + 4] in _MD_MAGIC for at in (old, new))
