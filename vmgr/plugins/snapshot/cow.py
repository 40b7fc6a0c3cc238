"""How large a COW volume must and can sensibly be.

Layout (kernel, ``drivers/md/dm-snap-persistent.c``): the first chunk is a header, then areas follow, each one
metadata chunk of 16-byte entries and as many data chunks as it has entries. The limits are LVM2's
(``lib/metadata/snapshot_manip.c``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import InvalidSize, Refused
from vmgr.core.sizes import display_size
from vmgr.core.units import Extents, Sectors

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup

DEFAULT_CHUNK = Sectors(8)
MIN_CHUNK, MAX_CHUNK = Sectors(8), Sectors(1024)
"""4 KiB and 512 KiB."""

MIN_CHUNKS = 3
"""Header, metadata, data."""

HEADER = Sectors(8)
"""What is zeroed at the start of a new COW volume: without a magic number there, the kernel starts an empty one."""

_ENTRIES_PER_SECTOR = 512 // 16


def check_chunk(size: Sectors) -> Sectors:
    """``size`` if it can be a chunk size. Raises :class:`InvalidSize`."""
    if not MIN_CHUNK <= size <= MAX_CHUNK or int(size) & (int(size) - 1):
        raise InvalidSize(
            f"invalid chunk size {display_size(size)}",
            hint="a chunk size is a power of 2 from 4 KiB to 512 KiB",
        )
    return size


def max_extents(group: VolumeGroup, origin: Extents, chunk: Sectors) -> Extents:
    """The length of a COW volume that can hold all of an origin of ``origin`` extents.

    If the origin's chunks fill their metadata areas exactly, one more metadata chunk ends the list.
    """
    chunks = -(-int(origin.sectors(group.extent_size)) // int(chunk))
    entries = int(chunk) * _ENTRIES_PER_SECTOR
    metadata = (chunks + entries) // entries
    return Sectors((1 + chunks + metadata) * int(chunk)).extents_up(group.extent_size)


def check_min(group: VolumeGroup, extents: Extents, chunk: Sectors) -> None:
    """Raise :class:`Refused` for a COW volume without room for header, metadata and one chunk of data."""
    least = chunk * MIN_CHUNKS
    if extents.sectors(group.extent_size) < least:
        raise Refused(
            f"a snapshot cannot be smaller than {MIN_CHUNKS} chunks"
            f" ({least.extents_up(group.extent_size)} extents, {display_size(least)})",
            hint="give a larger size, or a smaller chunk size (-c)",
        )
