"""Who this host is: its name, its system ID, the stamp of a change, the header of a metadata text."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmgr.core.requests import Stamp
    from vmgr.ondisk.codec import TextHeader
    from vmgr.system.config import Config

_MAX = 128
"""The longest system ID in bytes (``NAME_LEN``)."""


def make_stamp() -> Stamp:
    """The time, this host's name and fresh randomness, for one change."""
    from time import time

    from vmgr.core.requests import Stamp

    return Stamp(seed=os.urandom(32), time=int(time()), host=os.uname().nodename)


def text_header(description: str, config: Config, stamp: Stamp | None = None) -> TextHeader:
    """The top of a metadata text written now; ``description`` tells by which command, or before which."""
    from time import ctime

    from vmgr import __version__
    from vmgr.ondisk.codec import TextHeader

    stamp = make_stamp() if stamp is None else stamp
    system = os.uname()
    return TextHeader(
        description=description,
        host=stamp.host,
        time=stamp.time,
        date=ctime(stamp.time),
        system=f"{system.sysname} {system.nodename} {system.release} {system.version} {system.machine}",
        program=f"vmgr {__version__}",
        system_id=system_id(config),
    )


def system_id(config: Config) -> str:
    """This host's system ID as ``global/system_id_source`` says; empty if it has none (``lvmsystemid(7)``).

    A source that gives nothing adds a warning to ``config``: groups with a system ID are foreign then.
    """
    source = config.text("global/system_id_source").lower()
    if source == "none":
        return ""
    if source == "lvmlocal":
        found = clean(config.text("local/system_id"))
    elif source == "uname":
        found = clean(os.uname().nodename)
    elif source in ("machineid", "machine-id"):
        found = clean(_first_line(f"{config.text('global/etc')}/machine-id"))
    elif source == "appmachineid":
        found = _app_machine_id(f"{config.text('global/etc')}/machine-id")
    elif source == "file":
        found = clean(_first_line(config.text("global/system_id_file")))
    else:
        _warn(config, f"unrecognised global/system_id_source {source!r}")
        return ""
    if not found or found.startswith("localhost"):
        _warn(config, f"no system ID found from global/system_id_source {source!r}")
        return ""
    return found


def local_system_ids(config: Config) -> frozenset[str]:
    """All system IDs whose groups this host may use."""
    own = system_id(config)
    return frozenset((own, *config.words("local/extra_system_ids"))) if own else frozenset()


def clean(text: str) -> str:
    """A system ID out of any text: other characters than ``a-zA-Z0-9._-+`` drop out, and it begins with a letter
    or digit (``copy_systemid_chars`` in LVM2).
    """
    return re.sub(r"^[^A-Za-z0-9]+|[^A-Za-z0-9._+-]", "", text)[:_MAX]


def _first_line(path: str) -> str:
    """The first line of ``path`` with anything on it but a comment; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                line = line.split("#", 1)[0].strip()
                if line:
                    return line
    except OSError:
        pass
    return ""


_LVM_APPLICATION = bytes.fromhex("f64406832c2140e8ac5422d1089aae03")
"""What LVM2 is called where systemd derives an ID for a program from the machine's."""


def _app_machine_id(path: str) -> str:
    """The machine's ID as LVM2's own, not to be traced back (``sd_id128_get_machine_app_specific(3)``)."""
    import hmac

    try:
        key = bytes.fromhex(_first_line(path))
    except ValueError:
        return ""
    if len(key) != 16:
        return ""
    raw = bytearray(hmac.digest(key, _LVM_APPLICATION, "sha256")[:16])
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    return raw.hex()


def _warn(config: Config, message: str) -> None:
    if message not in config.warnings:
        config.warnings.append(message)
