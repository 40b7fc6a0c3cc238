"""Nodes and links of a group's devices that a command which did not end has left in the device directory."""

from __future__ import annotations

import os
import re
from stat import S_ISBLK
from typing import TYPE_CHECKING, cast

from vmgr.core.naming import double_hyphens, split_dm_name, split_dm_uuid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from vmgr.core.model import LogicalVolume, VolumeGroup
    from vmgr.core.table import LiveDevice

half_made = re.compile(r"\.(\d+|vmgr)~$").search
"""Matches what a node or link is called until it takes its place (:mod:`vmgr.dm.nodes`)."""

Link = tuple[str, str, str]
"""Group, volume, and the name of the device that the link leads to."""


def not_shown(dev_dir: str, group: VolumeGroup, live: Iterable[LiveDevice]) -> set[str]:
    """The UUIDs of volumes' devices that run and have no link, as a new volume's has none until its commit."""
    volumes = cast("Mapping[str, LogicalVolume]", group.lv_by_id)
    found = set()
    for device in live:
        _, volume, layer = split_dm_uuid(device.uuid) or ("", "", "")
        known = volumes.get(volume)
        if layer or not device.has_live or (known is not None and not known.visible):
            continue
        vg, lv, _ = split_dm_name(device.name)
        if not os.path.lexists(f"{dev_dir}/{vg}/{lv}"):
            found.add(device.uuid)
    return found


def without_node(dev_dir: str, live: Iterable[LiveDevice]) -> list[str]:
    """The names of devices that run and whose node is missing or leads elsewhere."""
    return [
        device.name
        for device in live
        if device.has_live and _number(f"{dev_dir}/mapper/{device.name}") != os.makedev(device.major, device.minor)
    ]


def stale(dev_dir: str, vg: str, live: Collection[LiveDevice]) -> tuple[list[str], list[Link]]:
    """Names of nodes that lead to none of the group's devices any more, or to one under another name; such links.

    ``live`` are all the group's devices.
    """
    mapper = f"{dev_dir}/mapper"
    names = {device.name for device in live}
    numbers = {os.makedev(device.major, device.minor) for device in live}
    prefix = f"{double_hyphens(vg)}-"
    nodes: list[str] = []
    links: dict[Link, None] = {}
    for name in _entries(mapper):
        if name in names:
            continue
        group, volume, layer = split_dm_name(name)
        theirs = name.startswith(prefix) and group == vg and bool(volume)
        # The node of one of these devices, from before the group was renamed?
        if theirs or (
            numbers and not os.path.islink(f"{mapper}/{name}") and _number(f"{mapper}/{name}") in numbers
        ):
            nodes.append(name)
            if volume and not layer:
                links[group, volume, name] = None
    for volume in _entries(f"{dev_dir}/{vg}"):
        try:
            target = os.readlink(f"{dev_dir}/{vg}/{volume}")
        except OSError:
            continue
        name = os.path.basename(target)
        ours = os.path.dirname(target) == mapper
        if ours and (name in nodes or half_made(volume) or not os.path.lexists(target)):
            links[vg, volume, name] = None
    return nodes, list(links)


def old_links(dev_dir: str, vg: str, volumes: Collection[str]) -> list[Link]:
    """Links that lead nowhere, of volumes of these names in groups of other names: ``vg`` was called so, perhaps.

    Whether the kernel has the device that one leads to is not looked at here.
    """
    mapper = f"{dev_dir}/mapper"
    found = []
    for folder in _folders(dev_dir) if volumes else ():
        if folder in (vg, "mapper"):
            continue
        for volume in _entries(f"{dev_dir}/{folder}"):
            if volume not in volumes:
                continue
            try:
                target = os.readlink(f"{dev_dir}/{folder}/{volume}")
            except OSError:
                continue
            name = os.path.basename(target)
            theirs = os.path.dirname(target) == mapper and split_dm_name(name) == (folder, volume, "")
            if theirs and not os.path.lexists(target):
                found.append((folder, volume, name))
    return found


def empty_folders(dev_dir: str) -> list[str]:
    """The names of directories in which nothing is; file systems of their own, as mqueue, are none."""
    return [name for name in _folders(dev_dir) if name != "mapper" and _is_empty(f"{dev_dir}/{name}")]


def _is_empty(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None and not os.path.ismount(folder)
    except OSError:
        return False


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def _entries(folder: str) -> Iterator[str]:
    try:
        yield from sorted(os.listdir(folder))
    except OSError:
        return


def _number(path: str) -> int | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_rdev if S_ISBLK(found.st_mode) else None
