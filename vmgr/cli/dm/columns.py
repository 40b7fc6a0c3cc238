"""The columns of ``info -c``: what dmsetup's reports know of a device, each fact of it written once.

Names, headings, widths, kinds and order are dmsetup's (``_report_fields`` of ``libdm/dm-tools/dmsetup.c``), because
scripts depend on them. A row is as in :mod:`vmgr.report.columns`. Columns of statistics are
not here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.dm.facts import kernel_name
from vmgr.core.errors import VmgrError
from vmgr.report.catalog import SPECIAL, Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.cli.dm.facts import Facts
    from vmgr.report.catalog import Row

TASK, INFO, DEPS, TREE, NAME = (1 << bit for bit in range(5))
"""Sections, as bits: which of them a report shows decides what is asked of the kernel."""

SECTIONS = (
    (TASK, "Mapped Device Name", "name_"),
    (INFO, "Mapped Device Information", "info_"),
    (DEPS, "Mapped Device Relationship Information", "deps_"),
    (TREE, "Mapped Device Relationship Information", "tree_"),
    (NAME, "Mapped Device Name Components", "splitname_"),
    (SPECIAL, "Special", "special_"),
)

ROWS: tuple[Row, ...] = (
    ("name", TASK, "string", "Name", 16, "The device's name."),
    ("mangled_name", TASK, "string", "MangledName", 16, "The name as the kernel has it."),
    ("unmangled_name", TASK, "string", "UnmangledName", 16, "The name in plain characters."),
    ("uuid", TASK, "string", "UUID", 32, "The device's UUID, if it has one."),
    ("mangled_uuid", TASK, "string", "MangledUUID", 32, "The UUID as the kernel has it."),
    ("unmangled_uuid", TASK, "string", "UnmangledUUID", 32, "The UUID in plain characters."),
    ("read_ahead", TASK, "number", "RAhead", 6, "Read-ahead in sectors; 0 where it is not known."),

    ("blkdevname", INFO, "string", "BlkDevName", 16, "The kernel's own name for the device, such as dm-0."),
    ("attr", INFO, "string", "Stat", 4, "(L)ive table, (I)nactive table, (s)uspended, (r)ead-only or (w)riteable."),
    ("tables_loaded", INFO, "string", "Tables", 6, "Which tables there are: Live, Inactive, Both or None."),
    ("suspended", INFO, "string", "Suspended", 9, "Whether input and output is held back: Suspended or Active."),
    ("readonly", INFO, "string", "Read-only", 9, "Whether it can be written to: Read-only or Writeable."),
    ("devno", INFO, "string", "DevNo", 5, "Major and minor number, with a colon."),
    ("major", INFO, "number", "Maj", 3, "Major number."),
    ("minor", INFO, "number", "Min", 3, "Minor number."),
    ("open", INFO, "number", "Open", 4, "How often it is open."),
    ("segments", INFO, "number", "Targ", 4, "Lines of the live table."),
    ("events", INFO, "number", "Event", 6, "Number of the latest event."),

    ("device_count", DEPS, "number", "#Devs", 5, "How many devices it lies on."),
    ("devs_used", TREE, "string", "DevNamesUsed", 16, "Names of the mapped devices that it lies on."),
    ("devnos_used", DEPS, "string", "DevNosUsed", 16, "Numbers of the devices that it lies on."),
    ("blkdevs_used", DEPS, "string", "BlkDevNamesUsed", 16, "The kernel's names of the devices that it lies on."),
    ("device_ref_count", TREE, "number", "#Refs", 5, "How many mapped devices lie on it."),
    ("names_using_dev", TREE, "string", "RefNames", 8, "Names of the mapped devices that lie on it."),
    ("devnos_using_dev", TREE, "string", "RefDevNos", 9, "Numbers of the mapped devices that lie on it."),

    ("subsystem", NAME, "string", "Subsys", 6, "Whose device it is: the UUID up to its first hyphen."),
    ("vg_name", NAME, "string", "VG", 4, "Of LVM's devices: the volume group."),
    ("lv_name", NAME, "string", "LV", 4, "Of LVM's devices: the logical volume."),
    ("lv_layer", NAME, "string", "LVLayer", 7, "Of LVM's devices: the layer of the volume."),

    ("selected", SPECIAL, "number", "Selected", 8, "Whether the row is selected, if all rows are shown."),
    ("help", SPECIAL, "number", "Help", 8, "Show this help."),
    ("?", SPECIAL, "number", "Help", 8, "Show this help."),
)  # fmt: skip

DEFAULT = "name,major,minor,attr,open,segments,events,uuid"
"""What ``info -c`` shows."""

SPLIT_DEFAULT = "vg_name,lv_name,lv_layer"
"""What ``splitname`` shows."""


def catalog() -> Catalog:
    """All columns."""
    return Catalog(ROWS, SECTIONS)


# -- what they hold -------------------------------------------------------------------------------


def _attr(facts: Facts) -> str:
    device = facts.device
    return (
        ("L" if device.has_live else "-")
        + ("I" if device.has_inactive else "-")
        + ("s" if device.suspended else "-")
        + ("r" if device.read_only else "w")
    )


def _tables(facts: Facts) -> str:
    device = facts.device
    if device.has_live:
        return "Both" if device.has_inactive else "Live"
    return "Inactive" if device.has_inactive else "None"


def _mangled(text: str, facts: Facts, limit: int = 127) -> str:
    from vmgr.dm.names import mangle

    return mangle(text, facts.context.mangling, limit=limit)


def _unmangled(text: str) -> str:
    from vmgr.dm.names import unmangle

    return unmangle(text)


def _known(facts: Facts, major: int, minor: int) -> str:
    """The kernel's name of a device. dmsetup fails where there is none, as before the first table."""
    found = kernel_name(major, minor)
    if not found and facts.context.as_dmsetup:
        raise VmgrError(f"Could not resolve block device name for {major}:{minor}.")
    return found


VALUES: dict[str, Callable[[Facts], object]] = {
    "name": lambda f: f.name,
    "mangled_name": lambda f: _mangled(f.device.name, f),
    "unmangled_name": lambda f: _unmangled(f.device.name),
    "uuid": lambda f: f.uuid,
    "mangled_uuid": lambda f: _mangled(f.device.uuid, f, 128),
    "unmangled_uuid": lambda f: _unmangled(f.device.uuid),
    "read_ahead": lambda f: f.read_ahead or 0,
    "blkdevname": lambda f: _known(f, *f.numbers),
    "attr": _attr,
    "tables_loaded": _tables,
    "suspended": lambda f: "Suspended" if f.device.suspended else "Active",
    "readonly": lambda f: "Read-only" if f.device.read_only else "Writeable",
    "devno": lambda f: f.number,
    "major": lambda f: f.device.major,
    "minor": lambda f: f.device.minor,
    "open": lambda f: f.device.open_count,
    "segments": lambda f: f.device.target_count,
    "events": lambda f: f.device.event_nr,
    "device_count": lambda f: len(f.deps),
    "devs_used": lambda f: tuple(f.context.shown(n.name) for n in f.neighbours(above=False) if n.name),
    "devnos_used": lambda f: tuple(f"{major}:{minor}" for major, minor in f.deps),
    "blkdevs_used": lambda f: tuple(_known(f, *numbers) for numbers in f.deps),
    "device_ref_count": lambda f: len(f.neighbours(above=True)),
    "names_using_dev": lambda f: tuple(f.context.shown(n.name) for n in f.neighbours(above=True) if n.name),
    "devnos_using_dev": lambda f: tuple(n.number for n in f.neighbours(above=True)),
    "subsystem": lambda f: f.split[0],
    "vg_name": lambda f: f.split[1],
    "lv_name": lambda f: f.split[2],
    "lv_layer": lambda f: f.split[3],
}
"""The value of each column; a tuple for a list, which is shown with commas."""

TYPED: dict[str, Callable[[Facts], object]] = {
    "suspended": lambda f: f.device.suspended,
    "readonly": lambda f: f.device.read_only,
    "read_ahead": lambda f: f.read_ahead,
}
"""Where JSON has something better than the word that is shown."""
