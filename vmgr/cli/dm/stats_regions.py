"""What ``stats`` does to regions: make, clear, print, group, delete. (Lists and reports: :mod:`.stats_report`.)

What is printed is dmstats' to the byte (``_stats_*`` of ``libdm/dm-tools/dmsetup.c``); each has JSON besides.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vmgr.cli.dm.context import Context, DmInvocation
from vmgr.core.errors import InvalidSize, NotFound, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.invocation import Invocation
    from vmgr.core.table import LiveDevice
    from vmgr.core.units import Sectors
    from vmgr.dm.regions import Region
    from vmgr.dm.statistics import Statistics

FILE_OPTIONS = ("filemap", "follow", "foreground", "nomonitor")
"""dmstats' options for regions that follow a file."""

# -- devices and regions --------------------------------------------------------------------------------


def _each(
    context: Context, one: Callable[[LiveDevice, Statistics], None], *, ask: bool = False, done: str = ""
) -> int:
    """Do something to each device that is meant; the exit status.

    ``ask``: to mean all devices takes ``--alldevices``. ``done`` is said before JSON of what was changed.
    """
    from vmgr.cli.dm.facts import all_are_meant, chosen_devices
    from vmgr.cli.dm.reading import sweep
    from vmgr.dm.address import by_name
    from vmgr.dm.statistics import Statistics

    invocation = context.invocation
    if all_are_meant(context) and ask and not invocation.flag("alldevices"):
        raise UsageError("no device is named", hint="name devices, or give --alldevices for all of them")
    if len(invocation.arguments) > 1 and not context.as_dmsetup:
        for _ in chosen_devices(context):
            pass  # a name that is none is found before anything is changed
    return sweep(context, lambda device: one(device, Statistics(context.client(), by_name(device.name))))


def _regions(invocation: Invocation, device: str, stats: Statistics) -> tuple[Region, ...]:
    """The regions that ``--regionid`` or ``--allregions`` means, of the program that is meant."""
    from vmgr.cli.dm.stats_report import program_of

    program = program_of(invocation)
    regions = stats.regions(program)
    number = invocation.number("regionid")
    if number is None:
        return regions
    found = tuple(region for region in regions if region.id == number)
    if not found:
        raise _missing(device, f"statistics region {number}", program)
    return found


def _missing(device: str, what: str, program: str | None) -> NotFound:
    whose = "" if program is None else f" of program {program}"
    hint = "`vmgr dm stats list` lists them" + (
        "" if program is None else ", with --allprograms those of others, too"
    )
    return NotFound(f"{device} has no {what}{whose}", hint=hint)


def _sectors(invocation: Invocation, name: str, *, least: int = 1) -> Sectors | None:
    """A size in sectors; a bare number counts sectors, a small letter powers of 1024, a capital powers of 1000."""
    from vmgr.core.sizes import MAX_SECTORS, parse_units
    from vmgr.core.units import SECTOR_SIZE, Sectors

    text = invocation.text(name)
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?([bsBSkKmMgGtTpPeE]?)", text, re.ASCII)
    if match is None:
        raise InvalidSize(f"--{name}: cannot parse {text!r}", hint="write a number and a unit, such as 2048s or 1g")
    whole, fraction, unit = match[1], match[2] or "", match[3] or "s"
    size, rest = divmod(int(whole + fraction) * parse_units(unit)[1], 10 ** len(fraction))
    if rest or size % SECTOR_SIZE:
        raise InvalidSize(f"--{name}: {text!r} is not a multiple of {SECTOR_SIZE} bytes", hint="give whole sectors")
    if not least <= size // SECTOR_SIZE <= MAX_SECTORS:
        raise InvalidSize(f"--{name}: {text!r} is too {'large' if size else 'small'}")
    return Sectors(size // SECTOR_SIZE)


def _no_files(invocation: Invocation) -> None:
    """Refuse what is about files, even from a link called dmstats: to ignore it would count something else."""
    if isinstance(invocation, DmInvocation):
        for name in FILE_OPTIONS:
            if name in invocation.ignored:
                raise UsageError(
                    f"option --{name} is not supported", hint="regions that follow a file are dmstats'"
                )


# -- making ---------------------------------------------------------------------------------------------


def create(invocation: Invocation) -> int:
    """Make regions, and a group of those of one device's segments."""
    from vmgr.cli.dm.stats_report import PROGRAM
    from vmgr.dm.counters import parse_bounds
    from vmgr.dm.regions import check_alias

    _no_files(invocation)
    segments, alias = invocation.flag("segments"), invocation.text("alias") or ""
    check_alias(alias)
    if alias and not segments and not (isinstance(invocation, DmInvocation) and invocation.as_dmsetup):
        raise UsageError("--alias is for the group that --segments makes", hint="see also stats group")
    start, length = _sectors(invocation, "start", least=0), _sectors(invocation, "length")
    area_size, areas = _sectors(invocation, "areasize"), invocation.number("areas")
    bounds = parse_bounds(invocation.text("bounds") or "") if invocation.given("bounds") else ()
    program = invocation.text("programid")
    if program == "" and not invocation.flag("force"):
        raise UsageError("a region without a program ID takes --force", hint="no program could recognise it")
    with Context(invocation) as context:
        made: list[object] = []
        groups: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name, numbers = context.shown(device.name), []
            lines = context.client().table(stats.dev) if segments else ()
            places: list[tuple[Sectors | None, Sectors | None]] = [(line.start, line.length) for line in lines]
            for begin, size in places or [(start, length)]:
                number = stats.create(
                    start=begin,
                    length=size,
                    areas=areas,
                    area_size=area_size,
                    precise=invocation.flag("precise"),
                    bounds=bounds,
                    program_id=PROGRAM if program is None else program,
                    aux_data=invocation.text("userdata") or "",
                )
                numbers.append(number)
                count = stats.region(number).area_count
                made.append({"device": name, "region_id": number, "area_count": count})
                if not context.json:
                    text = f"{name}: Created new region with {count} area(s) as region ID {number}\n"
                    context.terminal.data(text)
            if segments and not invocation.flag("nogroup"):
                group = stats.group(numbers, alias)
                groups.append({"device": name, "group_id": group.id, "regions": numbers, "alias": alias})
                if not context.json:
                    members, more = ",".join(map(str, numbers)), f" with alias {alias}" if alias else ""
                    context.terminal.data(f"Grouped regions {members} as group ID {group.id}{more}\n")

        try:
            return _each(context, one, ask=True)
        finally:
            if context.json:
                context.emit_json({"created": made, "grouped": groups})


def group(invocation: Invocation) -> int:
    """Make a group of regions."""
    from vmgr.cli.dm.stats_report import program_of
    from vmgr.dm.regions import overlaps, parse_ids

    text = invocation.text("regions") or ""
    ids, alias, program = parse_ids(text), invocation.text("alias") or "", program_of(invocation)
    with Context(invocation) as context:
        groups: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name = context.shown(device.name)
            regions = {region.id: region for region in stats.regions(program)}
            for number in ids:
                if number not in regions:
                    raise _missing(name, f"statistics region {number}", program)
            made = stats.group(ids, alias)
            members = [regions[number] for number in ids]
            if len({region.precise for region in members}) > 1:
                context.warn("Transactional regions with different clock resolution: precision may be lost.")
            for first, second in overlaps(members):
                context.warn(f"region IDs {first} and {second} overlap. Some events will be counted twice.")
            groups.append({"device": name, "group_id": made.id, "regions": list(ids), "alias": alias})
            if not context.json:
                context.terminal.data(f"Grouped regions {text} as group ID {made.id} on {name}\n")

        try:
            return _each(context, one, ask=True)
        finally:
            if context.json:
                context.emit_json({"grouped": groups})


# -- taking away ----------------------------------------------------------------------------------------


def delete(invocation: Invocation) -> int:
    """Delete regions, or a group with its regions."""
    from vmgr.cli.dm.stats_report import program_of
    from vmgr.dm.regions import groups_of

    number = invocation.number("groupid")
    with Context(invocation) as context:
        gone: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name = context.shown(device.name)
            if number is None:
                ids = tuple(region.id for region in _regions(invocation, name, stats))
                if ids:
                    stats.delete(*ids)
                    gone.append({"device": name, "regions": list(ids)})
                return
            program = program_of(invocation)
            if not any(group.id == number for group in groups_of(stats.regions(program))):
                raise _missing(name, f"group {number} of statistics regions", program)
            made = stats.ungroup(number, delete=True)
            gone.append({"device": name, "regions": list(made.regions), "group_id": number})
            if not context.json:
                context.terminal.data(f"Deleted statistics group {number}.\n")

        try:
            return _each(context, one, ask=True)
        finally:
            if context.json:
                context.emit_json({"deleted": gone})


def ungroup(invocation: Invocation) -> int:
    """End a group; its regions stay."""
    number = invocation.number("groupid")
    assert number is not None
    with Context(invocation) as context:
        ended: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name = context.shown(device.name)
            was = stats.ungroup(number)
            ended.append({"device": name, "group_id": number, "regions": list(was.regions), "alias": was.alias})
            if not context.json:
                context.terminal.data(f"Removed group ID {number} on {name}\n")

        try:
            return _each(context, one, ask=True)
        finally:
            if context.json:
                context.emit_json({"ungrouped": ended})


def clear(invocation: Invocation) -> int:
    """Set counters to 0."""
    with Context(invocation) as context:
        cleared: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name = context.shown(device.name)
            for region in _regions(invocation, name, stats):
                stats.clear(region.id)
                cleared.append({"device": name, "region_id": region.id})

        try:
            return _each(context, one)
        finally:
            if context.json:
                context.emit_json({"cleared": cleared})


# -- printing -------------------------------------------------------------------------------------------


def show(invocation: Invocation) -> int:
    """Print counters as the kernel does."""
    area, wipe = invocation.number("areaid"), invocation.flag("clear")
    first, count = (0, None) if area is None else (area, 1)
    with Context(invocation) as context:
        rows: list[object] = []

        def one(device: LiveDevice, stats: Statistics) -> None:
            name = context.shown(device.name)
            for region in _regions(invocation, name, stats):
                if area is not None and area >= region.area_count:
                    raise NotFound(
                        f"region {region.id} of {name} has no area {area}", hint=f"it has {region.area_count}"
                    )
                if context.json:
                    rows.append(_json(name, region, stats, first, count, wipe))
                else:
                    context.terminal.data(stats.text(region.id, first=first, count=count, clear=wipe))

        try:
            return _each(context, one)
        finally:
            if context.json:
                context.emit_json({"regions": rows})


def _json(name: str, region: Region, stats: Statistics, first: int, count: int | None, wipe: bool) -> object:
    from vmgr.dm.counters import COUNTERS

    areas = []
    for area in stats.areas(region, first=first, count=count, clear=wipe):
        found: dict[str, object] = {"area_id": area.id, "start": int(area.start), "length": int(area.length)}
        found["counters"] = {counter: getattr(area.counters, counter) for counter in COUNTERS}
        if area.histogram is not None:
            found["histogram"] = {"bounds": list(area.histogram.bounds), "counts": list(area.histogram.counts)}
        areas.append(found)
    return {"device": name, "region_id": region.id, "program_id": region.program_id, "areas": areas}
