"""The devices file: which devices vmgr may use, when the administrator keeps a list (``lvmdevices(8)``).

``SYSTEM_DIR/devices/NAME`` has a line ``IDTYPE=... IDNAME=... DEVNAME=... PVID=... [PART=n]`` for each device. It
is in force when ``devices/use_devicesfile`` is set (or ``--devicesfile NAME`` given) and the file exists. Devices
are recognised by what does not change (WWID, serial number...), by their name where they have nothing of the kind.
Commands that make or remove physical volumes change the file. What its entries stand for is found out by
:mod:`vmgr.system.device_ids`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vmgr.core.errors import ConfigError, LockFailed, NotFound, NotPermitted, UsageError, VmgrError
from vmgr.system.devices import Named

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vmgr.core.ids import Uuid
    from vmgr.system.config import Config
    from vmgr.system.devices import Device, Number

_MAJOR_VERSION = 1
_MINOR_VERSION = 1
_NOTHING = "."

_ATTRIBUTES = {
    "sys_wwid": ("device/wwid", "wwid"),
    "sys_serial": ("device/serial",),
    "mpath_uuid": ("dm/uuid",),
    "crypt_uuid": ("dm/uuid",),
    "lvmlv_uuid": ("dm/uuid",),
    "md_uuid": ("md/uuid",),
    "loop_file": ("loop/backing_file",),
}
"""Where in sysfs each type of ID is; ``devname`` is the device's path."""

_KINDS = {
    "dm": ("mpath_uuid", "crypt_uuid", "lvmlv_uuid", "devname"),
    "md": ("md_uuid", "devname"),
    "loop": ("loop_file", "devname"),
}
"""What may identify a special device; other devices have all the other types."""


class Entry:
    """One line of the file. ``pvid`` has no hyphens; empty strings stand for what is not known."""

    __slots__ = ("devname", "idname", "idtype", "part", "pvid")

    def __init__(self, idtype: str, idname: str, devname: str = "", pvid: str = "", part: int = 0) -> None:
        self.idtype, self.idname, self.devname, self.pvid, self.part = idtype, idname, devname, pvid, part

    def __str__(self) -> str:
        line = (
            f"IDTYPE={self.idtype or _NOTHING} IDNAME={self.idname or _NOTHING}"
            f" DEVNAME={self.devname or _NOTHING} PVID={self.pvid or _NOTHING}"
        )
        return f"{line} PART={self.part}" if self.part else line


def device_id(device: Device, idtype: str) -> str:
    """The ID of ``device`` of one type, with blanks as underscores; empty if it has none of that type."""
    if idtype == "devname":
        return device.path
    for attribute in _ATTRIBUTES.get(idtype, ()):
        value = device.attribute(attribute)
        if "QEMU HARDDISK" in value or value.endswith("(deleted)"):
            continue  # the same on every such disk; the file is gone
        if value:
            return "".join("_" if c.isspace() or not c.isprintable() else c for c in value)
    return ""


def best_id(device: Device) -> tuple[str, str]:
    """The type and name by which a new device is entered: the most lasting one that it has."""
    if device.dm_uuid:
        for prefix, idtype in (("mpath-", "mpath_uuid"), ("CRYPT-", "crypt_uuid"), ("LVM-", "lvmlv_uuid")):
            if _is_kind(device.dm_uuid, prefix):
                return idtype, device_id(device, idtype)
    for idtype in _types_of(device):
        if idtype not in ("mpath_uuid", "crypt_uuid", "lvmlv_uuid"):
            found = device_id(device, idtype)
            if found:
                return idtype, found
    return "devname", device.path


def _is_kind(uuid: str, prefix: str) -> bool:
    """Whether a device-mapper UUID is of this kind, or a partition (``part1-...``) of such a device."""
    if uuid.startswith("part"):
        uuid = uuid.partition("-")[2]
    return uuid.startswith(prefix)


def _types_of(device: Device) -> tuple[str, ...]:
    name = os.path.basename(device.name)
    kind = "dm" if device.dm_name else "md" if name.startswith("md") else "loop" if name.startswith("loop") else ""
    return _KINDS.get(kind, ("sys_wwid", "sys_serial", "devname"))


def _is_number(text: str) -> bool:
    """Whether Python and C read the same number, and one of a sane length."""
    return text.isascii() and text.isdigit() and len(text) < 20


class DevicesFile:
    """One devices file. Read it with :meth:`read` before anything else."""

    def __init__(self, path: str, lock_path: str, *, system_id: str = "") -> None:
        self.path = path
        self.lock_path = lock_path
        self.entries: list[Entry] = []
        self.system_id = system_id
        self.problems: list[str] = []
        self._counter = 0
        self._writable = True

    @classmethod
    def from_config(cls, config: Config, option: str | None = None, *, system_id: str = "") -> DevicesFile | None:
        """The file that is in force; None if there is to be none.

        ``option`` is ``--devicesfile``: a name, empty for "use none", None where it was not given.
        """
        if option == "" or (option is None and not config.flag("devices/use_devicesfile")):
            return None
        name = option or config.text("devices/devicesfile")
        if "/" in name or name in (".", ".."):
            raise (UsageError if option else ConfigError)(
                f"invalid devices file name: {name!r}",
                hint=f"give the name of a file in {config.system_dir}/devices",
            )
        return cls(
            f"{config.system_dir}/devices/{name}",
            f"{config.text('global/locking_dir')}/D_{name}",
            system_id=system_id,
        )

    @property
    def exists(self) -> bool:
        """Whether the file is there; without it every device may be used."""
        return os.path.exists(self.path)

    # -- reading ----------------------------------------------------------------------------------

    def read(self) -> None:
        """Read the file under its shared lock; a missing file has no entries."""
        with _Locked(self.lock_path, exclusive=False):
            self._read()

    def _read(self) -> None:
        self.entries.clear()
        self.problems.clear()
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise _error(self.path, error) from None
        for line in lines:
            if line.startswith("#"):
                continue
            words = dict(word.partition("=")[::2] for word in line.split() if "=" in word)
            values = {key: "" if value.startswith(_NOTHING) else value for key, value in words.items()}
            if "VERSION" in values:
                self._version(values["VERSION"])
            elif "SYSTEMID" in values:
                if values["SYSTEMID"] != self.system_id:
                    self.problems.append(
                        f"{self.path} is for system ID {values['SYSTEMID']!r}, this host's is {self.system_id!r}"
                    )
            elif "IDTYPE" in values and "IDNAME" in values:
                part = values.get("PART", "")
                self.entries.append(
                    Entry(
                        values["IDTYPE"],
                        values["IDNAME"],
                        values.get("DEVNAME", ""),
                        values.get("PVID", ""),
                        int(part) if _is_number(part) else 0,
                    )
                )

    def _version(self, text: str) -> None:
        numbers = text.split(".")
        if len(numbers) != 3 or not all(map(_is_number, numbers)) or int(numbers[0]) > _MAJOR_VERSION:
            self._writable = False  # a newer program's file is left alone
        else:
            self._counter = int(numbers[2])

    def entry_of(self, device: Device) -> Entry | None:
        """The entry that stands for ``device``; one that has only its name if there is no better one."""
        part = -1
        by_name = None
        for entry in self.entries:
            if not entry.idname or entry.idtype not in _types_of(device):
                continue
            if entry.idtype == "devname":
                if by_name is None and entry.idname in device.aliases:
                    by_name = entry
            elif device_id(device, entry.idtype) == entry.idname:
                part = device.partition_number if part < 0 else part
                if part == entry.part:
                    return entry
        return by_name

    # -- changing ---------------------------------------------------------------------------------

    def change(
        self, *, add: Iterable[tuple[Device, Uuid]] = (), remove: Iterable[Device] = (), command: str
    ) -> None:
        """Enter devices that are physical volumes now, and take the PV out of the entries of those that are none.

        Reads the file once more under its exclusive lock and replaces it as a whole. Raises :class:`VmgrError`.
        """
        with _Locked(self.lock_path, exclusive=True):
            self._read()
            if not self._writable:
                raise VmgrError(
                    f"{self.path} was written by a newer program and is not changed",
                    hint="use that program's lvmdevices to add the device",
                )
            for device, pv in add:
                idtype, idname = best_id(device)
                part = device.partition_number
                self.entries = [e for e in self.entries if (e.idtype, e.idname, e.part) != (idtype, idname, part)]
                self.entries.append(Entry(idtype, idname, device.path, pv, part))
            for device in remove:
                entry = self.entry_of(device)
                if entry is not None:
                    entry.pvid = ""
            self._write(command)

    def correct(self, fixes: Sequence[tuple[Entry, Entry]], *, command: str) -> bool:
        """Put new entries in the place of old ones; not while somebody else is at the file: the next command may.

        Whether the file was changed. Raises :class:`VmgrError`.
        """
        with _Locked(self.lock_path, exclusive=True, wait=False) as held:
            if not held:
                return False
            self._read()
            lines = {str(entry): at for at, entry in enumerate(self.entries)}
            places = [(lines[str(old)], new) for old, new in fixes if str(old) in lines]
            if not places or not self._writable:
                return False
            for at, new in places:
                self.entries[at] = new
            self._write(command)
            return True

    def _write(self, command: str) -> None:
        from time import ctime

        self._counter += 1
        lines = [
            "# LVM uses devices listed in this file.",
            f"# Created by vmgr command {command} pid {os.getpid()} at {ctime()}",
            *([f"SYSTEMID={self.system_id}"] if self.system_id else []),
            f"VERSION={_MAJOR_VERSION}.{_MINOR_VERSION}.{self._counter}",
            *map(str, self.entries),
        ]
        text = ("\n".join(lines) + "\n").encode("utf-8", "surrogateescape")
        from vmgr.system.archive import Archives

        directory = os.path.dirname(self.path)
        Archives(directory, directory).write_file(self.path, text)


class Selection:
    """The devices that are allowed by name, by ``--devices`` (``by_list``) or by a devices file that was read.

    ``names`` are those of ``--devices``, or devices that are allowed besides those in the file.
    """

    def __init__(self, file: DevicesFile | None, names: Sequence[str]) -> None:
        self.file = file
        self.by_list = file is None
        self._names = names

    def named(self, devices: Sequence[Device]) -> set[Number]:
        """The numbers of those of ``devices`` that are allowed by their names."""
        found = map(Named(devices).find, self._names)
        return {device.number for device in found if device is not None}

    def absent(self, devices: Sequence[Device]) -> tuple[str, ...]:
        """The names of ``--devices`` that none of ``devices`` has, each once."""
        if not self.by_list:
            return ()
        named = Named(devices)
        return tuple(name for name in dict.fromkeys(self._names) if named.find(name) is None)


def selection(
    config: Config,
    *,
    devices: Sequence[str] = (),
    devices_file: str | None = None,
    system_id: str = "",
    also: Sequence[str] = (),
    making: bool = False,
) -> Selection | None:
    """What ``--devices`` (paths) or the devices file allow; None: every device that the filters let through.

    ``also`` are devices that are allowed though the file does not have them. ``making``: the command makes a file
    that is not there. Otherwise a missing one that the command line names raises :class:`NotFound`, as by LVM2
    2.03.40: it would allow every device.
    """
    if devices:
        return Selection(None, devices)
    file = DevicesFile.from_config(config, devices_file, system_id=system_id)
    if file is not None and devices_file and not making and not file.exists:
        raise NotFound(
            f"devices file not found: {file.path}",
            hint="name one that is there, or let pvcreate or vgcreate make it",
        )
    if file is None or not file.exists:
        return None
    file.read()
    return Selection(file, also)


class _Locked:
    """The lock of a devices file: LVM2 neither removes its lock file nor queues for it."""

    def __init__(self, path: str, *, exclusive: bool, wait: bool = True) -> None:
        self._path = path
        self._exclusive = exclusive
        self._wait = wait
        self._fd = -1

    def __enter__(self) -> bool:
        """Take the lock; whether it is held. Without ``wait`` it may be another's."""
        from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

        from vmgr.system.ownership import open_own, require_own_directory

        directory = os.path.dirname(self._path)
        require_own_directory(directory)
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
            self._fd = open_own(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW)
        except OSError as error:
            if not self._exclusive:
                return True  # reading on a read-only system: the file is replaced as a whole anyway
            raise LockFailed(f"cannot open lock file {self._path}: {error.strerror}") from None
        try:
            flock(self._fd, (LOCK_EX if self._exclusive else LOCK_SH) | (0 if self._wait else LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)


def _error(path: str, error: OSError) -> VmgrError:
    if isinstance(error, PermissionError):
        return NotPermitted(f"cannot read {path}: {error.strerror}", hint="run the command as root")
    return ConfigError(f"cannot read {path}: {error.strerror}", hint="correct it, or do without: --devicesfile ''")
