"""Names and UUIDs of device-mapper devices, as LVM2 makes them.

Source: LVM2 ``libdm/libdm-string.c`` (``dm_build_dm_name``) and ``lib/misc/lvm-string.c``
(``build_dm_uuid``). Equal names and UUIDs are what lets either tool take over from the other
on a live system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidName

if TYPE_CHECKING:
    from vmgr.core.ids import Uuid

UUID_PREFIX = "LVM-"


def double_hyphens(name: str) -> str:
    """Escape hyphens, so that the single one in a device name separates group and volume."""
    return name.replace("-", "--")


def dm_name(vg: str, lv: str, layer: str = "") -> str:
    """``GROUP-VOLUME`` or ``GROUP-VOLUME-LAYER``, hyphens inside the names doubled.

    Raises :class:`InvalidName` when it is too long for the kernel.
    """
    from vmgr.core.table import DM_NAME_MAX  # its classes are not needed where no device is named

    name = f"{double_hyphens(vg)}-{double_hyphens(lv)}"
    if layer:
        name = f"{name}-{double_hyphens(layer)}"
    if len(name) > DM_NAME_MAX:
        raise InvalidName(
            f"device name {name!r} is longer than the kernel's limit of {DM_NAME_MAX} characters",
            hint="use a shorter group or volume name; each hyphen in them counts twice",
        )
    return name


def dm_uuid(vg: Uuid, lv: Uuid, layer: str = "") -> str:
    """``LVM-`` + group UUID + volume UUID, plus ``-LAYER`` for a helper device."""
    if not layer:
        return f"{UUID_PREFIX}{vg}{lv}"
    from vmgr.core.table import DM_UUID_MAX

    uuid = f"{UUID_PREFIX}{vg}{lv}-{layer}"
    assert len(uuid) <= DM_UUID_MAX
    return uuid


def split_dm_name(name: str) -> tuple[str, str, str]:
    """Take ``GROUP-VOLUME[-LAYER]`` apart into unescaped (group, volume, layer); missing parts are empty.

    What follows the layer is left out, as in LVM2 (``dm_split_lvm_name``), which makes no such names.
    """
    vg, rest = _first_part(name)
    lv, rest = _first_part(rest)
    return vg, lv, _first_part(rest)[0]


def _first_part(text: str) -> tuple[str, str]:
    """What stands before the first single hyphen, unescaped, and what stands behind it.

    A hyphen at the end parts nothing.
    """
    found: list[str] = []
    at, end = 0, len(text)
    while at < end:
        if text[at] == "-" and at + 1 < end:
            if text[at + 1] != "-":
                return "".join(found), text[at + 1 :]
            at += 1
        found.append(text[at])
        at += 1
    return "".join(found), ""


def split_dm_uuid(uuid: str) -> tuple[str, str, str] | None:
    """(group UUID, volume UUID, layer) of a device that LVM2 or vmgr made; None for any other."""
    if not uuid.startswith(UUID_PREFIX) or len(uuid) < 68:
        return None
    rest = uuid[68:]
    if rest and not rest.startswith("-"):
        return None
    return uuid[4:36], uuid[36:68], rest[1:]
