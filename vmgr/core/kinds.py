"""Kinds of volumes that LVM2 has and no installed plugin makes: one wording for all who have to say so. Pure.

LVM2's type words are those that ``lvm segtypes`` (2.03.16) lists; which option belongs to which kind is in
``lvmraid(7)``, ``lvmthin(7)``, ``lvmcache(7)`` and ``lvmvdo(7)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UnknownKind

if TYPE_CHECKING:
    from collections.abc import Iterable

RAID, MIRROR, THIN, CACHE, VDO = "RAID", "mirror", "thin", "cache", "VDO"

_OF_TYPES = {
    "mirror": MIRROR, "thin": THIN, "thin-pool": THIN, "cache": CACHE, "cache-pool": CACHE, "writecache": CACHE,
    "vdo": VDO, "vdo-pool": VDO, "integrity": "integrity",
}  # fmt: skip

_OF_OPTIONS = {
    RAID: (
        "maxrecoveryrate", "minrecoveryrate", "mirrors", "nosync", "raidintegrity", "raidintegrityblocksize",
        "raidintegritymode", "rebuild", "regionsize", "repair", "replace", "resync", "splitmirrors", "syncaction",
        "trackchanges", "writebehind", "writemostly",
    ),
    MIRROR: ("corelog", "mergemirrors", "mirrorlog", "mirrorsonly"),
    THIN: (
        "discards", "errorwhenfull", "mergethin", "originname", "poolmetadata", "poolmetadatasize",
        "poolmetadataspare", "swapmetadata", "thin", "thinpool", "virtualsize",
    ),
    CACHE: (
        "cache", "cachedevice", "cachemetadataformat", "cachemode", "cachepolicy", "cachepool", "cachesettings",
        "cachesize", "cachevol", "splitcache", "uncache",
    ),
    VDO: ("compression", "deduplication", "vdo", "vdopool", "vdosettings"),
}  # fmt: skip


def kind_of_type(word: str) -> str:
    """The kind that a type word of LVM2's is of, whatever its flags (``cache+METADATA_FORMAT``); else empty."""
    word = word.partition("+")[0]
    return RAID if word.startswith("raid") else _OF_TYPES.get(word, "")


def kind_of_option(name: str) -> str:
    """The kind that an option of LVM2's commands is for; empty where it is for no kind in particular."""
    return next((kind for kind, names in _OF_OPTIONS.items() if name in names), "")


def not_yet(kind: str, given: str, command: str) -> UnknownKind:
    """What to raise for a kind of LVM2's. ``given`` is what asked for it (``--mirrors``)."""
    return UnknownKind(
        f"vmgr does not make {kind} volumes yet ({given})",
        hint=f"LVM2's own {command} does; after that vmgr lists the group and uses its other volumes, but does not"
        " change it until a plugin for the type is installed (vmgr plugins)",
    )


def unknown_type(word: str, known: Iterable[str], command: str) -> UnknownKind:
    """What to raise for a type word that no installed plugin takes. ``known`` are those that are there."""
    kind = kind_of_type(word)
    if kind:
        return not_yet(kind, f"--type {word}", command)
    return UnknownKind(
        f"unknown segment type {word!r}",
        hint=f"there are: {', '.join(sorted(known))}; another type needs the package of its plugin (vmgr plugins)",
    )


def way_out(words: Iterable[str], command: str = "") -> str:
    """What to do about volumes that cannot be dealt with, because no plugin knows these segment types of theirs.

    ``command`` is what LVM2's own tools do it with, where that can be said.
    """
    if all(kind_of_type(word) for word in words):
        own = f"use LVM2's own: {command}" if command else "use LVM2's own tools for this group"
        return f"{own}; or install a plugin for the type (vmgr plugins)"
    return "install the plugin that made the volumes: LVM2 does not know the type either (vmgr plugins)"
