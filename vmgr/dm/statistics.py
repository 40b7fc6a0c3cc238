"""The kernel's input/output statistics of a device, region by region.

::

    from vmgr.dm.client import DmClient, by_name
    from vmgr.dm.statistics import Statistics

    stats = Statistics(DmClient.open(), by_name("scratch"))
    region = stats.create(areas=4, bounds=parse_bounds("1ms,10ms,100ms"), program_id="example")
    for area in stats.areas(region, clear=True):
        print(area.start, area.counters.writes, area.histogram.percentages)
    stats.delete(region)

The kernel keeps regions until they are deleted or the device is removed, even if its table changes.
Values are in :mod:`vmgr.dm.regions` and :mod:`vmgr.dm.counters`. Groups of regions are an invention of dmstats,
unknown to the kernel: see :mod:`vmgr.dm.regions`. Source: ``drivers/md/dm-stats.c`` of Linux.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from vmgr.core.errors import AlreadyExists, InvalidSize, KernelError, NotFound, Refused
from vmgr.dm.counters import MILLISECOND, check_bounds, needs_precision
from vmgr.dm.failure import DmError, DmNotFound, Unsupported
from vmgr.dm.regions import (
    NOTHING,
    Area,
    Group,
    Region,
    check_alias,
    check_word,
    groups_of,
    parse_area,
    parse_region,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vmgr.core.units import Sectors
    from vmgr.dm.abi import Version
    from vmgr.dm.address import Dev
    from vmgr.dm.client import DmClient

SINCE: Version = (4, 26, 0)
"""The version of the interface that introduced statistics (Linux 3.12)."""

PRECISE_SINCE: Version = (4, 33, 0)
"""The version that lists precise times and histograms. 4.32 accepts them, but does not list them."""

MOST_AREAS = (1 << 32) - 1


class RegionNotFound(DmNotFound):
    """The device has no region of that number."""


class Statistics:
    """The statistics of one device. ``dev`` is a device as :class:`vmgr.dm.client.DmClient` accepts it."""

    def __init__(self, client: DmClient, dev: Dev) -> None:
        self.client = client
        self.dev = dev

    # -- asking ------------------------------------------------------------------------------------------

    def regions(self, program_id: str | None = None) -> tuple[Region, ...]:
        """All regions by number, or those of one program; ``""`` selects those without a program ID."""
        text = "@stats_list"
        if program_id is not None:
            check_word(program_id, "program ID")
            text += f" {program_id or NOTHING}"
        return tuple(parse_region(line) for line in self._send(text).split("\n") if line)

    def region(self, region_id: int) -> Region:
        """One region. Raises :class:`RegionNotFound`."""
        for region in self.regions():
            if region.id == region_id:
                return region
        raise NotFound(f"{self.dev} has no statistics region {region_id}", hint="list its regions")

    def groups(self) -> tuple[Group, ...]:
        """All groups of regions, by number."""
        return groups_of(self.regions())

    def areas(
        self, region: Region | int, *, first: int = 0, count: int | None = None, clear: bool = False
    ) -> tuple[Area, ...]:
        """The counters of a region's areas, or of ``count`` of them from number ``first`` on.

        ``clear``: also set them to 0, atomically, so that no request is lost or counted twice.
        """
        if isinstance(region, int):
            region = self.region(region)
        text = self.text(region.id, first=first, count=count, clear=clear)
        return tuple(parse_area(line, region) for line in text.split("\n") if line)

    def text(self, region_id: int, *, first: int = 0, count: int | None = None, clear: bool = False) -> str:
        """The counters of :meth:`areas` as the kernel prints them, a line for each area."""
        if first < 0 or (count is not None and count < 0):
            raise InvalidSize("lines of counters are numbered from 0")
        lines = "" if not first and count is None else f" {first} {NOTHING if count is None else count}"
        return self._send(f"@stats_print{'_clear' if clear else ''} {region_id}{lines}", region_id)

    # -- changing ----------------------------------------------------------------------------------------

    def create(
        self,
        *,
        start: Sectors | None = None,
        length: Sectors | None = None,
        areas: int | None = None,
        area_size: Sectors | None = None,
        precise: bool = False,
        bounds: Iterable[int] = (),
        program_id: str = "",
        aux_data: str = "",
    ) -> int:
        """Start counting in a new region and return its number.

        By default the region starts at the beginning of the device and ends at its end. It has one area,
        ``areas`` equal areas, or areas of ``area_size``. ``precise``: count nanoseconds instead of the kernel's
        ticks. This is implied if ``bounds`` (nanoseconds, ascending) are not whole milliseconds. Bad bounds, sizes
        and words are refused before anything is sent; regions beyond the end of the device are valid for the
        kernel, and here.
        """
        bounds = tuple(bounds)
        check_bounds(bounds)
        check_word(program_id, "program ID")
        precise = precise or needs_precision(bounds)
        self._need(
            PRECISE_SINCE, "histograms of latency" if bounds else "precise timestamps", precise or bool(bounds)
        )
        options = ["precise_timestamps"] if precise else []
        if bounds:
            scale = 1 if precise else MILLISECOND
            options.append("histogram:" + ",".join(str(bound // scale) for bound in bounds))
        # The number of options is sent even if it is 0, because a program ID of digits would be taken for it.
        words = (
            "@stats_create",
            self._range(start, length),
            _step(areas, area_size),
            str(len(options)),
            *options,
            program_id or NOTHING,
            _quoted(aux_data),
        )
        answer = self._send(" ".join(words))
        if not answer.isdigit():
            raise KernelError(f"device mapper: cannot read the number {answer!r} of a new statistics region")
        return int(answer)

    def clear(self, region_id: int) -> None:
        """Set a region's counters to 0, except the number of requests in progress."""
        self._send(f"@stats_clear {region_id}", region_id)

    def delete(self, *region_ids: int) -> None:
        """Stop counting in regions, and delete them.

        A deleted region leaves its group. Deleting the first region ends the group, whose tag is in its data.
        """
        going = set(region_ids)
        regions = {region.id: region for region in self.regions()}
        for group in groups_of(regions.values()):
            left = tuple(number for number in group.regions if number not in going)
            if group.id not in going and left != group.regions:
                self._set_aux(group.id, _tagged(Group(group.id, left, group.alias), regions[group.id].user_data))
        # From the last to the first, so that the tag in the first region always names those that are left.
        for number in sorted(going, reverse=True):
            self._send(f"@stats_delete {number}", number)

    def set_aux(self, region_id: int, user_data: str) -> None:
        """Replace the user data of a region. A group's tag is kept."""
        group = self.region(region_id).group
        self._set_aux(region_id, user_data if group is None else _tagged(group, user_data))

    # -- groups ------------------------------------------------------------------------------------------

    def group(self, region_ids: Iterable[int], alias: str = "") -> Group:
        """Make a group of regions.

        Raises :class:`NotFound` for a missing region, :class:`AlreadyExists` for one that is already in a group,
        :class:`Refused` when their histograms differ.
        """
        check_alias(alias)
        ids = tuple(sorted(set(region_ids)))
        if not ids:
            raise Refused("a group needs a region", hint="name at least one")
        regions = {region.id: region for region in self.regions()}
        for number in ids:
            if number not in regions:
                raise NotFound(f"{self.dev} has no statistics region {number}", hint="list its regions")
            old = _group_with(regions.values(), number)
            if old is not None:
                raise AlreadyExists(f"region {number} is in group {old.id} already", hint="ungroup that first")
        bounds = {regions[number].bounds for number in ids} - {()}
        if len(bounds) > 1:
            raise Refused("the regions' histograms have different bounds", hint="group those that are alike")
        made = Group(ids[0], ids, alias)
        self._set_aux(made.id, _tagged(made, regions[made.id].user_data))
        return made

    def ungroup(self, group_id: int, *, delete: bool = False) -> Group:
        """End a group and return it. Its regions stay, unless ``delete``."""
        regions = self.regions()
        group = next((group for group in groups_of(regions) if group.id == group_id), None)
        if group is None:
            text = f"{self.dev} has no group {group_id} of statistics regions"
            raise NotFound(text, hint="`vmgr dm stats list` lists them")
        if delete:
            self.delete(*group.regions)
            return group
        leader = next(region for region in regions if region.id == group_id)
        self._set_aux(group_id, leader.user_data)
        return group

    # -- inside ------------------------------------------------------------------------------------------

    def _set_aux(self, region_id: int, aux_data: str) -> None:
        self._send(f"@stats_set_aux {region_id} {_quoted(aux_data)}", region_id)

    def _range(self, start: Sectors | None, length: Sectors | None) -> str:
        if length is not None and int(length) < 1:
            raise InvalidSize("a statistics region has at least one sector")
        if start is not None and length is not None:
            return f"{int(start)}+{int(length)}"
        # For the kernel, a device without a table has one sector. Counting in that would be useless.
        lines = self.client.table(self.dev)
        if not lines:
            raise Refused(
                f"{self.dev} has no live table, and so no size",
                hint="resume it first, or give start and length",
            )
        if length is not None:
            return f"0+{int(length)}"
        if start is None:
            return NOTHING
        end = lines[-1].start + lines[-1].length
        if start >= end:
            raise InvalidSize(f"{self.dev} ends at sector {end}, before {start}", hint="give a length, too")
        return f"{int(start)}+{int(end - start)}"

    def _need(self, since: Version, what: str, wanted: bool = True) -> None:
        version = self.client.version()
        if wanted and version < since:
            needs, has = ".".join(map(str, since)), ".".join(map(str, version))
            raise Unsupported(
                f"the kernel's device mapper has no {what}: they came with interface {needs}, this is {has}",
                hint="a newer kernel is needed",
            )

    def _send(self, text: str, region_id: int | None = None) -> str:
        self._need(SINCE, "statistics")
        try:
            # Always to sector 0: for an empty list the kernel returns the request's own data, from the sector on.
            return self.client.message(self.dev, 0, text)
        except DmError as error:
            raise self._explained(error, region_id) from None

    def _explained(self, error: DmError, region_id: int | None) -> DmError:
        what = ""
        kind: type[DmError] = type(error)
        hint = ""
        if error.errno == errno.ENOENT:
            kind, what, hint = RegionNotFound, f"it has no statistics region {region_id}", "list its regions"
        elif error.errno == errno.ENOMEM:
            what = "the regions would take more memory than the kernel allows for statistics"
            hint = "make fewer areas, or delete regions: a quarter of the memory is the limit"
        elif error.errno in (errno.EOVERFLOW, errno.ENFILE):
            what, hint = "there would be too many areas or regions", "make fewer"
        elif error.errno == errno.EOPNOTSUPP:
            what = "the kernel counts on bio-based devices only, and this one is request-based"
        elif error.errno == errno.EINVAL:
            what, hint = (
                "the kernel does not take that statistics message",
                "the kernel's log says why: dmesg | tail",
            )
        if not what:
            return error
        message = f"device mapper: statistics of {error.device}: {what} ({error.errno_name})"
        return kind(message, error.request, error.errno, hint=hint, device=error.device)


def _step(areas: int | None, area_size: Sectors | None) -> str:
    if areas is not None and area_size is not None:
        raise ValueError("give one of areas and area_size")
    if area_size is not None:
        if int(area_size) < 1:
            raise InvalidSize("a statistics area has at least one sector")
        return str(int(area_size))
    count = 1 if areas is None else areas
    if not 1 <= count <= MOST_AREAS:
        raise InvalidSize(f"a statistics region cannot have {count} areas", hint=f"give 1 to {MOST_AREAS}")
    return f"/{count}"


def _quoted(aux_data: str) -> str:
    """Auxiliary data as one word of a message. For the kernel, a backslash escapes the next character."""
    if "\n" in aux_data:
        raise Refused("auxiliary data may not have line breaks", hint="the kernel lists one region a line")
    return "".join(f"\\{c}" if c.isspace() or c == "\\" else c for c in aux_data) or NOTHING


def _tagged(group: Group, user_data: str) -> str:
    return f"{group.tag}#{user_data or NOTHING}"


def _group_with(regions: Iterable[Region], region_id: int) -> Group | None:
    return next((group for group in groups_of(regions) if region_id in group.regions), None)


__all__ = ["Area", "Group", "Region", "RegionNotFound", "Statistics"]
