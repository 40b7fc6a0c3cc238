"""Subject ``lvm2``: the configuration that vmgr shares with LVM2, and whether LVM2 is installed."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import VmgrError
from vmgr.doctor.finding import NOTE, OK, PROBLEM, WARNING, Finding
from vmgr.doctor.roots import Roots, read, read_bytes

if TYPE_CHECKING:
    from vmgr.system.config import Config

SUBJECT = "lvm2"
PLACES = ("/sbin", "/usr/sbin", "/usr/local/sbin", "/bin", "/usr/bin")


@frozen
class Facts:
    """``config_error`` and ``hint`` say why lvm.conf cannot be used. ``locking_type`` is its setting, None if not
    set.

    ``devices_file`` is in use if it is not empty; ``devices_error`` says why it cannot be used. ``lvm`` is
    LVM2's program, ``version`` the version in it.
    """

    system_dir: str = ""
    conf: str = ""
    config_error: str = ""
    hint: str = ""
    warnings: tuple[str, ...] = ()
    locking_type: str = ""
    lvmlockd: bool = False
    devices_file: str = ""
    devices_entries: int = 0
    devices_error: str = ""
    lvm: str = ""
    version: str = ""


def gather(roots: Roots, config: Config | None, error: VmgrError | None) -> Facts:
    """Examine the configuration, and look for LVM2. ``error`` is why there is no ``config``."""
    lvm = next((roots.at(f"{p}/lvm") for p in PLACES if os.access(roots.at(f"{p}/lvm"), os.X_OK)), "")
    version = version_in(lvm) if lvm else ""
    if config is None:
        return Facts(
            config_error=error.message if error else "", hint=error.hint if error else "", lvm=lvm, version=version
        )
    conf = f"{config.system_dir}/lvm.conf" if config.system_dir else ""
    file, entries, problem = "", 0, ""
    if config.system_dir and config.flag("devices/use_devicesfile"):
        path = f"{config.system_dir}/devices/{config.text('devices/devicesfile') or 'system.devices'}"
        if os.path.lexists(path):
            file = path
            text = read(path)
            if text is None:
                problem = f"{path} cannot be read"
            else:
                entries = sum(1 for line in text.splitlines() if line.startswith("IDTYPE="))
    return Facts(
        config.system_dir,
        conf if conf and os.path.exists(conf) else "",
        warnings=tuple(config.warnings),
        locking_type=str(config.number("global/locking_type")),
        lvmlockd=config.flag("global/use_lvmlockd"),
        devices_file=file,
        devices_entries=entries,
        devices_error=problem,
        lvm=lvm,
        version=version,
    )


_VERSION = re.compile(rb"\0(\d+\.\d+\.\d+\(\d+\)\S*) \(\d{4}-\d\d-\d\d\)\0")


def version_in(program: str) -> str:
    """The version in the file of LVM2's program, such as ``2.03.16(2)``; empty if there is none.

    The program is not run: ``lvm version`` opens the control node, which loads the device mapper.
    """
    found = _VERSION.search(read_bytes(program) or b"")
    return found[1].decode("ascii", "replace") if found else ""


def check(facts: Facts) -> tuple[Finding, ...]:
    """The findings about LVM2 and the shared configuration."""
    found = []
    if facts.config_error:
        remedy = facts.hint or "correct it; lvm.conf(5) describes the syntax"
        found.append(Finding("lvm2.config", SUBJECT, PROBLEM, facts.config_error, remedy))
    elif facts.conf:
        found.append(
            Finding("lvm2.config-ok", SUBJECT, OK, f"{facts.conf} can be read", facts={"path": facts.conf})
        )
    else:
        where = f"there is no {facts.system_dir}/lvm.conf" if facts.system_dir else "no lvm.conf is read"
        found.append(Finding("lvm2.no-config", SUBJECT, NOTE, f"{where}: LVM2's defaults are used"))
    found += [
        Finding("lvm2.config-ignored", SUBJECT, WARNING, text, f"correct {facts.conf or 'lvm.conf'}")
        for text in facts.warnings
    ]
    if facts.locking_type not in ("", "1"):
        words = {
            "0": "no locks are taken, as with --nolocking",
            "4": "nothing is changed, as with --readonly",
            "5": "no locks are taken, as with --nolocking",
        }
        what = words.get(facts.locking_type, "locks are files, as with 1")
        found.append(
            Finding(
                "lvm2.locking-type",
                SUBJECT,
                WARNING,
                f"global/locking_type = {facts.locking_type} is deprecated: {what}",
                f"remove locking_type from {facts.conf or 'lvm.conf'}",
                facts={"locking_type": facts.locking_type},
            )
        )
    if facts.lvmlockd:
        found.append(
            Finding(
                "lvm2.lvmlockd",
                SUBJECT,
                WARNING,
                "global/use_lvmlockd is set, but vmgr does not support lvmlockd: it cannot use shared groups",
                "use LVM2's own commands for shared groups",
            )
        )
    if facts.devices_error:
        remedy = f"chmod 600 {facts.devices_file}  # and run as root"
        found.append(Finding("lvm2.devices-file", SUBJECT, PROBLEM, facts.devices_error, remedy))
    elif facts.devices_file:
        count = facts.devices_entries
        text = f"{facts.devices_file} limits the devices that are used to {count}"
        found.append(
            Finding(
                "lvm2.devices-file-ok",
                SUBJECT,
                NOTE,
                text,
                facts={"path": facts.devices_file, "entries": count},
            )
        )
    if facts.lvm:
        version = f" {facts.version}" if facts.version else ""
        text = f"LVM2{version} is also installed ({facts.lvm}); it and vmgr respect each other's locks"
        found.append(
            Finding(
                "lvm2.installed", SUBJECT, OK, text, facts={"path": facts.lvm, "version": facts.version or None}
            )
        )
    else:
        found.append(Finding("lvm2.not-installed", SUBJECT, NOTE, "LVM2 is not installed; vmgr does not need it"))
    return tuple(found)
