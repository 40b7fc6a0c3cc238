"""The fixtures ``tests/golden/lvm2-*``: what LVM2 wrote and loaded (``make_lvm2_stacks.sh``), as values."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from attrs import frozen

from vmgr.core.ids import Uuid
from vmgr.core.model import VolumeGroup
from vmgr.core.table import DevRef, DmDevice, KernelLine, LiveDevice, PvRef
from vmgr.core.targets import Targets
from vmgr.core.units import Sectors
from vmgr.ondisk.codec import decode_group
from vmgr.plugins import error, linear, snapshot, striped, zero

GOLDEN = Path(__file__).parent.parent / "golden"
STACKS = sorted(path.name.removeprefix("lvm2-") for path in GOLDEN.glob("lvm2-*"))

TARGETS = Targets(
    [
        ("linear", linear),
        ("striped", striped),
        ("snapshot", snapshot),
        ("zero", zero.PLUGIN),
        ("error", error.PLUGIN),
    ]
)
"""The built-in targets, as they are registered."""


@frozen
class Stack:
    """What LVM2 made: the group, the kernel's devices by UUID, links, and the rows that ``lvs -a`` showed."""

    text: str
    group: VolumeGroup
    live: dict[str, LiveDevice]
    pv_numbers: dict[Uuid, str]
    links: dict[str, tuple[str, str]]
    rows: list[dict[str, str]]

    def resolve(self, ref: PvRef | DevRef) -> str:
        """``major:minor`` of what a table refers to."""
        if isinstance(ref, PvRef):
            return self.pv_numbers[ref.pv]
        device = self.live[ref.uuid]
        return f"{device.major}:{device.minor}"

    def shown(self, device: DmDevice) -> list[str]:
        """A device's table as the kernel prints it."""
        return [f"{t.start} {t.length} {t.target} {t.params(self.resolve)}".rstrip() for t in device.table]

    def by_name(self, name: str) -> LiveDevice:
        """The kernel's device called ``name``."""
        return next(device for device in self.live.values() if device.name == name)


def _lines(text: str) -> dict[str, tuple[KernelLine, ...]]:
    found: dict[str, list[KernelLine]] = {}
    for row in text.splitlines():
        if match := re.fullmatch(r"(\S+): (\d+) (\d+) (\S+) ?(.*)", row):
            name, start, length, target, params = match.groups()
            line = KernelLine(Sectors(start), Sectors(length), target, params)
            found.setdefault(name, []).append(line)
    return {name: tuple(lines) for name, lines in found.items()}


@cache
def load_stack(name: str, kind: str = "lvm2", targets: Targets = TARGETS) -> Stack:
    """The fixture ``KIND-NAME``, read by ``targets``."""
    folder = GOLDEN / f"{kind}-{name}"
    text = (folder / "metadata.vg").read_text()
    group = decode_group(text, targets).group
    tables = _lines((folder / "table.txt").read_text())
    statuses = _lines((folder / "status.txt").read_text())
    live = {}
    for row in (folder / "info.txt").read_text().splitlines():
        words = row.split(" ")
        if len(words) != 6 or words[0] == "No":
            continue
        major, minor, opened, attr, device, uuid = words
        live[uuid] = LiveDevice(
            device,
            uuid,
            int(major),
            int(minor),
            open_count=int(opened),
            read_only=attr.endswith("r"),
            table=tables[device],
            status=statuses[device],
        )
    numbers = {}
    for row in (folder / "pvs.txt").read_text().splitlines():
        uuid, major, minor = row.split()
        numbers[Uuid(uuid)] = f"{major}:{minor}"
    links = {}
    for row in (folder / "links.txt").read_text().splitlines():
        link, device = row.split()
        vg, _, lv = link.partition("/")
        links[device] = (vg, lv)
    first, *rows = (folder / "lvs.txt").read_text().splitlines()
    names = first.strip().split("|")
    assert names[1] == names[-1] == "LV"
    names[-1] = "Full"
    shown = [dict(zip(names, row.strip().split("|"), strict=True)) for row in rows]
    return Stack(text, group, live, numbers, links, shown)
