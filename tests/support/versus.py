"""One command to Debian's lvm2 and to vmgr's operations, on the same group: what do both make of it?

:class:`Versus` holds a group on loop devices. :meth:`Versus.both` reads it as lvm2 wrote it, carries out a request
by the pure operation, has lvm2 carry out the command that means the same, reads again, and compares.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from attrs import frozen

from tests.support.lvm2 import Lvm2
from vmgr.core.allocate import DEFAULT_RULES, AllocationRules
from vmgr.core.amounts import SizeSpec
from vmgr.core.errors import VmgrError
from vmgr.core.group_requests import ChangeGroup, ChangePv
from vmgr.core.ids import LvName, Tag
from vmgr.core.model import LogicalVolume, VolumeGroup
from vmgr.core.operations.change import change_volume
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume, resize_volume
from vmgr.core.operations.group_change import change_group, change_pvs
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import remove_volume
from vmgr.core.operations.rename import rename_volume
from vmgr.core.requests import (
    ChangeVolume,
    CreateVolume,
    ExtendVolume,
    OptionValue,
    PvRange,
    ReduceVolume,
    RemoveVolume,
    RenameVolume,
    Stamp,
)
from vmgr.core.sizes import parse_extents, parse_pv_ranges, parse_size
from vmgr.core.targets import Targets
from vmgr.core.units import Sectors
from vmgr.ondisk.codec import decode_group
from vmgr.registry import load_targets

STAMP = Stamp(hashlib.sha256(b"versus").digest(), 1700000000, "host")
EXTENT = 256
"""Sectors in an extent: 128 KiB."""


def shape(group: VolumeGroup) -> list[tuple[object, ...]]:
    """What must be equal of two groups: all but UUIDs, times, hosts and major numbers of volumes."""
    volumes = [
        (lv.name, lv.status, lv.flags, lv.tags, lv.alloc, lv.read_ahead, lv.minor, lv.segments) for lv in group.lvs
    ]
    pvs = [(pv.id, pv.status, pv.flags, sorted(pv.tags), pv.pe_start, pv.pe_count, pv.dev_size) for pv in group.pvs]
    own = (group.name, group.extent_size, group.status, group.flags, sorted(group.tags), group.alloc)
    return [(*own, group.max_lv, group.max_pv, group.metadata_copies), *pvs, *volumes]


@frozen
class Step:
    """A command for lvm2, and the operation that is to do the same."""

    command: tuple[str, ...]
    operation: Callable[[VolumeGroup], VolumeGroup | None]


def _size_words(size: str) -> tuple[str, str]:
    """``-l`` or ``-L``: sizes with a unit are told by their last letter."""
    return ("-L" if size[-1] in "kms" else "-l", size)


def _parsed(size: str) -> SizeSpec:
    return parse_size(size) if size[-1] in "kms" else parse_extents(size)


class Versus:
    """A group of ``extents`` (one number for each PV) that lvm2 has made."""

    def __init__(
        self,
        lvm: Lvm2,
        directory: Path,
        extents: Sequence[int],
        name: str = "vg",
        *,
        rules: AllocationRules = DEFAULT_RULES,
        tags: Sequence[str] = (),
        alloc: str = "normal",
    ) -> None:
        """Make the group. The n-th PV gets the n-th of ``tags``; ``rules`` hold for both."""
        self.lvm = lvm
        self.name = name
        self.rules = rules
        self.targets: Targets = load_targets()
        # One MiB before the first extent.
        self.devices = [
            lvm.disk(directory / f"{name}{i}.img", (2048 + n * EXTENT) * 512) for i, n in enumerate(extents)
        ]
        lvm.run("vgcreate", "-s", f"{EXTENT}s", "--alloc", alloc, name, *self.devices)
        for device, tag in zip(self.devices, tags, strict=False):
            lvm.run("pvchange", "--addtag", tag, device)
        self.config: tuple[str, ...] = ()
        if rules != DEFAULT_RULES:
            listed = ",".join(f'"@{tag}"' for tag in rules.cling_tags)
            cling = f"cling_tag_list=[{listed}]" if listed else ""
            text = f"allocation {{ {cling} maximise_cling={int(rules.maximise_cling)} }}"
            self.config = ("--config", text)

    def group(self) -> VolumeGroup:
        """The group as lvm2 has it now."""
        text = (self.lvm.dir / "backup" / self.name).read_bytes()
        return decode_group(text, self.targets).group

    def both(self, step: Step) -> str:
        """Do one step with both; gives what they differ in, ``""`` for nothing."""
        before = self.group()
        ours: VolumeGroup | None = None
        problem = ""
        try:
            ours = step.operation(before)
        except VmgrError as error:
            problem = f"{error} ({error.hint}) {'; '.join(error.details)}"
        theirs_failed = ""
        try:
            self.lvm.run(*step.command, *self.config)
        except AssertionError as error:
            theirs_failed = str(error)
        what = " ".join(step.command).replace("/dev/loop", "")
        if ours is None and (theirs_failed or shape(self.group()) == shape(before)):
            # lvm2 calls it a success when nothing at all of a percentage could be had; vmgr does not.
            return ""
        if ours is None:
            return f"{what}: vmgr refuses ({problem}), lvm2 does it: {shape(self.group())[-1:]}"
        if theirs_failed:
            return f"{what}: lvm2 refuses ({theirs_failed}), vmgr does it"
        mine, theirs = shape(ours), shape(self.group())
        if mine != theirs:
            unlike = [f"vmgr {a}\n  lvm2 {b}" for a, b in zip(mine, theirs, strict=False) if a != b]
            return f"{what}:\n  " + "\n  ".join(unlike or ["another number or order of volumes"])
        return ""

    # -- steps ------------------------------------------------------------------------------------

    def _pvs(self, group: VolumeGroup, words: Sequence[str]) -> tuple[PvRange, ...]:
        by_device = {pv.device: pv for pv in group.pvs}
        found = []
        for word in words:
            device, colon, ranges = word.partition(":")
            pv = by_device[device]
            # Like lvm2, leave out what has nothing to give.
            if pv.allocatable and int(pv.pe_count) > sum(int(a.length) for a in group.used[pv.id]):
                found.append(PvRange(pv.id, parse_pv_ranges(colon + ranges, pv.pe_count)))
        if words and not found:
            raise VmgrError("no listed PV has space")
        return tuple(found)

    def create(
        self, name: str, size: str, stripes: int = 0, alloc: str = "inherit", pvs: Sequence[str] = ()
    ) -> Step:
        options: tuple[tuple[str, OptionValue], ...] = ()
        words = ["lvcreate", "-an", "-y", "-Zn", "-Wn", *_size_words(size)]
        if name:
            words += ["-n", name]
        if stripes:
            options = (("stripes", stripes), ("stripesize", Sectors(16)))
            words += ["-i", str(stripes), "-I", "8k"]
        if alloc != "inherit":
            words += ["--alloc", alloc]

        def operation(group: VolumeGroup) -> VolumeGroup | None:
            request = CreateVolume(
                size=_parsed(size),
                name=LvName(name) if name else None,
                options=options,
                pvs=self._pvs(group, pvs),
                alloc=alloc,
                activate=False,
            )
            return create_volume(group, request, self.targets, STAMP, rules=self.rules).after

        return Step((*words, self.name, *pvs), operation)

    def _lv(self, group: VolumeGroup, name: str) -> LogicalVolume:
        return group.lv_by_name[name]

    def extend(
        self,
        name: str,
        size: str,
        stripes: int = 0,
        alloc: str | None = None,
        pvs: Sequence[str] = (),
        command: str = "lvextend",
    ) -> Step:
        options: tuple[tuple[str, OptionValue], ...] = ()
        words = [command, "-y", *_size_words(size)]
        if command == "lvresize":
            words.append("-f")
        if stripes:
            options = (("stripes", stripes), ("stripesize", Sectors(16)))
            words += ["-i", str(stripes), "-I", "8k"]
        if alloc:
            words += ["--alloc", alloc]

        def operation(group: VolumeGroup) -> VolumeGroup | None:
            request = ExtendVolume(
                self._lv(group, name).id,
                _parsed(size),
                options=options,
                pvs=self._pvs(group, pvs),
                alloc=alloc,
            )
            do = extend_volume if command == "lvextend" else resize_volume
            return do(group, request, self.targets, STAMP, rules=self.rules).after

        return Step((*words, f"{self.name}/{name}", *pvs), operation)

    def reduce(self, name: str, size: str) -> Step:
        def operation(group: VolumeGroup) -> VolumeGroup | None:
            request = ReduceVolume(self._lv(group, name).id, _parsed(size))
            return reduce_volume(group, request, self.targets).after

        return Step(("lvreduce", "-f", "-y", *_size_words(size), f"{self.name}/{name}"), operation)

    def remove(self, name: str) -> Step:
        def operation(group: VolumeGroup) -> VolumeGroup | None:
            return remove_volume(group, RemoveVolume(self._lv(group, name).id), self.targets).after

        return Step(("lvremove", "-f", f"{self.name}/{name}"), operation)

    def allocatable(self, device: str, on: bool) -> Step:
        def operation(group: VolumeGroup) -> VolumeGroup | None:
            pv = next(pv for pv in group.pvs if pv.device == device)
            return change_pvs(group, (pv.id,), ChangePv(allocatable=on), self.targets).after

        return Step(("pvchange", "-x", "y" if on else "n", device), operation)

    def rename(self, name: str, new: str) -> Step:
        def operation(group: VolumeGroup) -> VolumeGroup | None:
            return rename_volume(group, RenameVolume(self._lv(group, name).id, LvName(new)), self.targets).after

        return Step(("lvrename", self.name, name, new), operation)

    def change(self, name: str, words: Sequence[str], **changes: object) -> Step:
        """``lvchange`` with ``words``, and the request with ``changes``."""

        def operation(group: VolumeGroup) -> VolumeGroup | None:
            request = ChangeVolume(self._lv(group, name).id, **changes)  # type: ignore[arg-type]
            return change_volume(group, request, self.targets).after

        return Step(("lvchange", *words, f"{self.name}/{name}"), operation)

    def group_change(self, words: Sequence[str], **changes: object) -> Step:
        """``vgchange`` with ``words``, and the operation with ``changes``."""

        def operation(group: VolumeGroup) -> VolumeGroup | None:
            return change_group(group, ChangeGroup(**changes), self.targets).after  # type: ignore[arg-type]

        return Step(("vgchange", *words, self.name), operation)

    # -- at random --------------------------------------------------------------------------------

    def random_step(self, rng: random.Random) -> Step:
        """A step that may or may not be possible."""
        group = self.group()
        names = [lv.name for lv in group.lvs]
        free = max(int(group.free), 1)
        policies = ["contiguous", "cling", "normal", "anywhere", "inherit"]
        alloc = rng.choice(policies) if rng.random() < 0.5 else "inherit"
        stripes = rng.choice((0, 0, 0, 1, 2, 2, 3))
        pvs = self._random_pvs(rng) if rng.random() < 0.3 else ()
        kind = rng.random()
        if not names or (kind < 0.4 and len(names) < 12):
            taken = set(names)
            name = next(n for n in (f"v{i}" for i in range(99)) if n not in taken)
            if rng.random() < 0.2:
                name = ""
            return self.create(name, self._random_size(rng, free, signs=("",)), stripes, alloc, pvs)
        name = rng.choice(names)
        own = int(group.lv_by_name[name].size)
        if kind < 0.65:
            size = str(own + rng.randrange(20))
            if rng.random() < 0.8:
                size = self._random_size(rng, free, signs=("+",))
            command = "lvresize" if rng.random() < 0.2 else "lvextend"
            again = stripes if rng.random() < 0.4 else 0
            return self.extend(name, size, again, None if alloc == "inherit" else alloc, pvs, command)
        if kind < 0.8:
            size = f"-{rng.randrange(1, own + 2)}" if rng.random() < 0.5 else str(rng.randrange(1, own + 1))
            if rng.random() < 0.3:
                size = f"{'-' * (size[0] == '-')}{rng.randrange(1, own * 128 + 200)}k"
            return self.reduce(name, size)
        if kind < 0.92:
            return self.remove(name)
        if kind < 0.95:
            return self.allocatable(rng.choice(self.devices), rng.random() < 0.6)
        return self._random_change(rng, names, name)

    def _random_change(self, rng: random.Random, names: Sequence[str], name: str) -> Step:
        tag = Tag(rng.choice("abc"))
        word = rng.choice(("contiguous", "cling", "normal", "anywhere"))
        size = rng.choice((64, 128, 256, 512, 768, 1000, 1024))
        limit = rng.choice((0, 1, 5, 20))
        return rng.choice(
            (
                self.rename(name, rng.choice((*names, "other", "lvol7", "lvol3x", "snapshot1", "a_mlog"))),
                self.change(name, ("-pr",), read_only=True),
                self.change(name, ("-prw",), read_only=False),
                self.change(name, ("--addtag", tag), add_tags=(tag,)),
                self.change(name, ("--deltag", tag), del_tags=(tag,)),
                self.change(name, ("--alloc", word), alloc=word),
                self.change(name, ("-ky",), activation_skip=True),
                self.change(name, ("-kn",), activation_skip=False),
                self.change(name, ("--setautoactivation", "n"), autoactivate=False),
                self.change(name, ("--setautoactivation", "y"), autoactivate=True),
                self.change(name, ("-r", "256"), read_ahead=256),
                self.change(name, ("-r", "none"), read_ahead=0),
                self.change(name, ("-r", "auto"), read_ahead=-1),
                self.change(name, ("-y", "-My", "--minor", "77"), numbers=(-1, 77)),
                self.change(name, ("-y", "-Mn"), numbers=(-1, -1)),
                self.group_change(("--alloc", word), alloc=word),
                self.group_change(("-s", f"{size}s"), extent_size=Sectors(size)),
                self.group_change(("-l", str(limit)), max_lv=limit),
                self.group_change(("-p", str(limit)), max_pv=limit),
                self.group_change(("--addtag", tag), add_tags=(tag,)),
                self.group_change(("--deltag", tag), del_tags=(tag,)),
                self.group_change(("-xy",), resizeable=True),
                self.group_change(("-xn",), resizeable=False),
                self.group_change(("--setautoactivation", "n"), autoactivate=False),
                self.group_change(("--setautoactivation", "y"), autoactivate=True),
            )
        )

    @staticmethod
    def _random_size(rng: random.Random, free: int, signs: Sequence[str]) -> str:
        sign = rng.choice(signs)
        if rng.random() < 0.2:
            return sign + rng.choice((f"{rng.randrange(1, 1500)}k", f"{rng.random() * 3 + 0.001:.3f}m", "999s"))
        if rng.random() < 0.25:
            return f"{sign}{rng.choice((10, 33, 50, 100))}%{rng.choice(('FREE', 'VG', 'PVS', 'FREE'))}"
        return f"{sign}{rng.choice((rng.randrange(1, 12), rng.randrange(1, free + 2)))}"

    def _random_pvs(self, rng: random.Random) -> list[str]:
        group = self.group()
        counts = {pv.device: int(pv.pe_count) for pv in group.pvs}
        words = []
        for device in rng.sample(self.devices, rng.randrange(1, len(self.devices) + 1)):
            if rng.random() < 0.4:
                first = rng.randrange(counts[device])
                last = rng.randrange(first, counts[device])
                device += f":{first}-{last}"
            words.append(device)
        return words
