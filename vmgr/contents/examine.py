"""Recognition of a volume's content."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.contents.content import Content
from vmgr.core.errors import Refused
from vmgr.core.units import Bytes
from vmgr.system.devices import device_number
from vmgr.system.signatures import find_signatures

if TYPE_CHECKING:
    from vmgr.dm.client import DmClient

WHOLE = ("filesystem", "crypto", "raid", "other")
"""libblkid's words for contents that occupy a whole device, so that there can be only one."""


def examine(path: str, number: tuple[int, int], client: DmClient) -> Content | None:
    """The content of the device at ``path`` with this (major, minor); None if nothing is recognised.

    Raises :class:`Refused` if the path leads to another device, if the signatures are ambiguous,
    and for a container that is not open.
    """
    if device_number(path) != number:
        raise Refused(
            f"{path} does not lead to the volume's device {number[0]}:{number[1]}",
            hint="nothing was changed; repair the links of the group's volumes first: vgmknodes",
        )
    found = list(find_signatures(path))
    kinds = list(dict.fromkeys(s.type for s in found if s.usage in WHOLE)) or [s.type for s in found[:1]]
    if not kinds:
        return None
    if len(kinds) > 1:
        raise Refused(
            f"{path} has several signatures: {', '.join(kinds)}",
            hint="nothing was changed; wipe the stale ones: wipefs",
        )
    return _of_kind(kinds[0], path, number, client)


def _of_kind(kind: str, path: str, number: tuple[int, int], client: DmClient) -> Content:
    if kind in ("ext2", "ext3", "ext4"):
        from vmgr.contents.ext import Ext

        return Ext(kind, path, number)
    if kind == "xfs":
        from vmgr.contents.xfs import Xfs

        return Xfs(kind, path, number)
    if kind == "btrfs":
        from vmgr.contents.btrfs import Btrfs

        return Btrfs(kind, path, number)
    if kind == "swap":
        from vmgr.contents.swap import Swap

        return Swap(kind, path, number)
    if kind == "crypto_LUKS":
        return _container(path, number, client)
    return Content(kind, path, number, None)


def _container(path: str, number: tuple[int, int], client: DmClient) -> Content:
    """A LUKS container with its inner content."""
    from vmgr.contents.luks import Luks
    from vmgr.dm.address import by_uuid

    opened = [d for d in client.devices(prefix="CRYPT-LUKS") if number in client.deps(by_uuid(d.uuid))]
    if len(opened) != 1:
        raise Refused(
            f"the LUKS container on {path} is not open, so what is in it cannot be resized",
            hint="nothing was changed; open it first: cryptsetup open",
        )
    (mapping,) = opened
    lines = client.table(by_uuid(mapping.uuid), secure=True)
    words = lines[0].params.split() if len(lines) == 1 else []
    if len(words) < 5 or lines[0].target != "crypt" or words[3] != f"{number[0]}:{number[1]}":
        raise Refused(
            f"the device {mapping.name} on {path} is not a plain LUKS mapping", hint="resize it by its own tools"
        )
    inner_number = (mapping.major, mapping.minor)
    inner = examine(f"{client.dev_dir}/mapper/{mapping.name}", inner_number, client)
    length, offset = Bytes(int(lines[0].length) * 512), Bytes(int(words[4]) * 512)
    return Luks(path, number, mapping, length, offset, inner, keyring=words[1].startswith(":"))
