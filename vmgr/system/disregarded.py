"""Settings of lvm.conf that LVM2 has and vmgr does not obey, each with the reason.

``vmgr doctor`` names those that are set to something else than what vmgr does; a command names them where data
depend on it. Settings that stand neither here nor in :mod:`vmgr.system.settings` are not known to vmgr.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vmgr.system.settings import Default


class Disregarded(NamedTuple):
    """A setting without effect. ``default`` is LVM2's; ``like`` what vmgr does, as a value of the setting.

    ``why`` is a sentence for a person. ``data`` tells that the safety of data depends on the setting; ``told_by``
    are the commands that then say so, with an option where only that makes them concerned.
    """

    default: Default
    why: str
    like: Default = None
    data: bool = False
    told_by: tuple[str, ...] = ()


_NO_RAID = "vmgr has no RAID or mirror volumes of its own yet"
_NO_THIN = "vmgr has no thin volumes of its own yet"
_NO_MONITOR = "vmgr does not watch volumes while they are in use, and does not extend them by itself"
_NO_AREAS = "vmgr keeps metadata in the physical volumes' areas only"

DISREGARDED: dict[str, Disregarded] = {
    "devices/sysfs_scan": Disregarded(True, "vmgr always goes by what sysfs has", True),
    "allocation/use_blkid_wiping": Disregarded(True, "vmgr always knows all of its signatures", True),
    "allocation/mirror_logs_require_separate_pvs": Disregarded(False, _NO_RAID),
    "allocation/raid_stripe_all_devices": Disregarded(False, _NO_RAID),
    "global/mirror_segtype_default": Disregarded("raid1", _NO_RAID),
    "global/raid10_segtype_default": Disregarded("raid10", _NO_RAID),
    "global/sparse_segtype_default": Disregarded("thin", "vmgr makes no sparse volumes yet"),
    "global/use_lvmpolld": Disregarded(True, "vmgr follows a merge with a process of its own", False),
    "activation/checks": Disregarded(False, "vmgr always checks what it hands to the kernel", True),
    "activation/verify_udev_operations": Disregarded(False, "vmgr always looks whether udev made the nodes", True),
    "activation/missing_stripe_filler": Disregarded(
        "error", "vmgr does not activate volumes with holes, so nothing fills them"
    ),
    "activation/use_linear_target": Disregarded(
        True, "vmgr always uses the linear target, which maps a single stripe to the same places", True
    ),
    "activation/reserved_stack": Disregarded(64, "vmgr's stack is the interpreter's"),
    "activation/use_mlockall": Disregarded(False, "vmgr always locks all of its memory", True),
    "activation/raid_region_size": Disregarded(2048, _NO_RAID),
    "activation/error_when_full": Disregarded(False, _NO_THIN),
    "activation/auto_set_activation_skip": Disregarded(True, _NO_THIN),
    "activation/monitoring": Disregarded(True, _NO_MONITOR, False),
    "activation/snapshot_autoextend_threshold": Disregarded(
        100,
        f"{_NO_MONITOR}: a snapshot that fills up becomes invalid",
        data=True,
        told_by=("lvcreate --snapshot",),
    ),
    "activation/snapshot_autoextend_percent": Disregarded(20, _NO_MONITOR),
    "metadata/record_lvs_history": Disregarded(False, _NO_THIN),
    "metadata/dirs": Disregarded(
        None,
        f"{_NO_AREAS}: there will be no copy in these directories",
        data=True,
        told_by=("vgcreate", "vgextend", "vgreduce"),
    ),
    "local/host_id": Disregarded(0, "vmgr does not support lvmlockd"),
    "log/indent": Disregarded(True, "vmgr does not indent messages by how much detail they give", False),
    "log/level": Disregarded(0, "vmgr writes no log of its own"),
    "log/file": Disregarded(None, "vmgr writes no log of its own"),
    "log/syslog": Disregarded(True, "vmgr writes nothing to the system's log", False),
    "log/journal": Disregarded(None, "vmgr writes nothing to the journal"),
    "log/report_command_log": Disregarded(False, "vmgr keeps no command log yet"),
    "global/notify_dbus": Disregarded(True, "vmgr tells no D-Bus service", False),
}  # fmt: skip
"""By name. The source of the defaults is that of :data:`vmgr.system.settings.DEFAULTS`."""

_SECTIONS = {
    "dmeventd/": "vmgr does not use dmeventd",
    "shell/": "vmgr has no shell",
    "log/": "vmgr writes no log of its own",
    "allocation/thin_": _NO_THIN,
    "activation/thin_": _NO_THIN,
    "global/thin_": _NO_THIN,
    "allocation/cache_": "vmgr has no caches of its own yet",
    "global/cache_": "vmgr has no caches of its own yet",
    "allocation/vdo_": "vmgr has no VDO volumes of its own yet",
    "activation/vdo_": "vmgr has no VDO volumes of its own yet",
    "global/vdo_": "vmgr has no VDO volumes of its own yet",
    "activation/raid_": _NO_RAID,
    "activation/mirror_": _NO_RAID,
    "global/support_mirrored_mirror_log": _NO_RAID,
    "allocation/zero_metadata": _NO_THIN,
    "allocation/pvmove_": "vmgr has no pvmove yet",
    "metadata/lvs_history_": "vmgr keeps no history of volumes",
    "devices/devicesfile_backup_limit": "vmgr keeps no backups of the devices file",
    "devices/device_ids_": "vmgr looks for the devices of moved entries in its own way",
    "global/library_dir": "vmgr loads none of LVM2's libraries",
    "global/abort_on_internal_errors": "vmgr reports its own faults with status 5",
    "global/use_aio": "vmgr reads devices in its own way",
    "global/io_memory_size": "vmgr reads devices in its own way",
    "global/lvmlock": "vmgr does not support lvmlockd",
    "global/sanlock_": "vmgr does not support lvmlockd",
    "activation/lock_start_list": "vmgr does not support lvmlockd",
    "activation/auto_lock_start_list": "vmgr does not speak to lvmlockd",
    "activation/mlock_filter": "vmgr always locks all of its memory",
    "global/fsadm_executable": "vmgr resizes file systems without fsadm",
    "global/lvresize_fs_helper_executable": "vmgr resizes file systems without a helper script",
    "report/": "vmgr has no report of that kind",
    "local/pr_key": "vmgr makes no persistent reservations",
}
"""What the rest of a kind of settings has in common, by the beginning of its name."""

ELSEWHERE = ("tags/", "config/")
"""Settings that are read while the configuration is put together."""

_NAMES = (
    "config", "devices", "allocation", "log", "backup", "shell", "global", "activation", "metadata", "report",
    "dmeventd", "tags", "local",
)  # fmt: skip
"""LVM2's sections of a configuration."""

_UNKNOWN = "vmgr does not know this setting"


def reason(path: str) -> str:
    """Why vmgr does not obey ``path``."""
    if path in DISREGARDED:
        return DISREGARDED[path].why
    for beginning, why in _SECTIONS.items():
        if path.startswith(beginning):
            return why
    return _UNKNOWN


def unknown(paths: Iterable[str]) -> Iterator[str]:
    """What LVM2 says of settings that are none of its own nor of vmgr's (``config_def_check``), each once."""
    from vmgr.system.settings import DEFAULTS

    said = set()
    for path in paths:
        section, slash, _ = path.partition("/")
        if not slash:
            message = f'Configuration setting "{path}" invalid. It\'s not part of any section.'
        elif section not in _NAMES:
            message = f'Configuration section "{section}" unknown.'
        elif path.endswith("/") or path in DEFAULTS or path.startswith(ELSEWHERE) or reason(path) != _UNKNOWN:
            continue
        else:
            message = f'Configuration setting "{path}" unknown.'
        if message not in said:
            said.add(message)
            yield message
