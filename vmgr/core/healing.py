"""What a command that did not end left in a group's devices, and the steps that put it in order; pure.

A command that is killed leaves devices that the committed metadata do not describe: suspended around a commit, made
and not running yet, with a table that waits, under an old name, or behind their volumes. The metadata say what is
right, whichever side of the commit the command got to. What waits in a device is dropped: it becomes live only by
being loaded again, from the metadata. Only devices of this group are looked at, by its UUID in theirs.

What no command of ours leaves is told, and not touched: a device that is suspended with just the table that it
shall have (somebody holds it, for a storage snapshot, say), and one that runs with another table than the metadata
say, as after ``vgcfgrestore`` under active volumes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

from vmgr.core.devicerules import NO_RULES, DeviceRules
from vmgr.core.devices import own_uuid, stack
from vmgr.core.inuse import below
from vmgr.core.naming import dm_name, split_dm_name, split_dm_uuid
from vmgr.core.plan import reaches
from vmgr.core.running import understood
from vmgr.core.steps import (
    ClearTable,
    CreateDevice,
    LoadTable,
    RemoveDevice,
    RenameDevice,
    Resume,
    ShowVolume,
    Suspend,
)
from vmgr.core.table import KernelLine, LiveDevice, PvRef

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.step import Step
    from vmgr.core.table import DevRef, DmDevice
    from vmgr.core.targets import Targets


@frozen
class Remains:
    """What was found: ``steps`` put it in order, ``told`` says what they do, a sentence for each device.

    ``held`` tells of devices that somebody suspended, ``left`` of others that are not touched, each with the
    command that does. ``after`` are the group's devices as the steps leave them.
    """

    steps: tuple[Step, ...] = ()
    told: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    after: Mapping[str, LiveDevice] = field(factory=dict)


def may_have_remains(group: VolumeGroup, live: Iterable[LiveDevice], hidden: Collection[str] = ()) -> bool:
    """Whether a closer look is worth its price. ``live`` are the group's devices, without tables."""
    volumes = group.lv_by_id
    if hidden:
        return True
    for device in live:
        parts = split_dm_uuid(device.uuid)
        volume = volumes.get(parts[1]) if parts is not None else None  # type: ignore[call-overload]
        if volume is None or parts is None or parts[2] or group.referrers.get(volume.id):
            return True
        if device.suspended or device.has_inactive or not device.has_live:
            return True
        if device.name != dm_name(group.name, volume.name):
            return True
    return False


def find_remains(
    group: VolumeGroup,
    live: Mapping[str, LiveDevice],
    waiting: Mapping[str, tuple[KernelLine, ...]],
    targets: Targets,
    numbers: Mapping[Uuid, str],
    hidden: Collection[str] = (),
    rules: DeviceRules = NO_RULES,
) -> Remains:
    """What is to be put in order in ``group``, whose metadata are those that count.

    ``live`` has the kernel's devices by UUID, with tables; ``waiting`` the tables that wait in some of them.
    ``numbers`` are the ``major:minor`` of the physical volumes that are there. ``hidden`` are the UUIDs of devices
    that have been shown to nobody; devices follow ``rules``.
    """
    return _Search(group, live, waiting, targets, numbers, hidden, rules).remains()


class _Search:
    """One look at a group's devices."""

    def __init__(
        self,
        group: VolumeGroup,
        live: Mapping[str, LiveDevice],
        waiting: Mapping[str, tuple[KernelLine, ...]],
        targets: Targets,
        numbers: Mapping[Uuid, str],
        hidden: Collection[str],
        rules: DeviceRules,
    ) -> None:
        self._group = group
        self._hidden = hidden
        self._pvs = numbers
        self._own: dict[str, LiveDevice] = {}
        self._strange: set[str] = set()
        for uuid, device in live.items():
            parts = split_dm_uuid(uuid)
            if parts is not None and parts[0] == group.id:
                self._own[uuid] = device
                volume = group.lv_by_id.get(parts[1])  # type: ignore[call-overload]
                if volume is not None and not understood(group, volume):
                    self._strange.add(uuid)
        active = [
            lv.id
            for lv in group.lvs
            if lv.visible
            and (found := self._own.get(own_uuid(group, lv))) is not None
            and found.has_live
            and found.uuid not in self._strange
        ]
        self._wanted: dict[str, DmDevice] = (
            {d.uuid: rules.applied(group, d) for d in stack(group, active, targets, self._own)} if active else {}
        )
        self._by_number = {f"{d.major}:{d.minor}": u for u, d in self._own.items()}
        self._refs = {
            u: {self._by_number[n] for n in _numbers(d, waiting.get(u, ())) if n in self._by_number} - {u}
            for u, d in self._own.items()
        }
        self._users: dict[str, set[str]] = {}
        for user, others in self._refs.items():
            for other in others:
                self._users.setdefault(other, set()).add(user)
        self._clear: list[Step] = []
        self._make: list[Step] = []
        self._suspend: list[Step] = []
        self._resume: list[Step] = []
        self._show: list[Step] = []
        self._rename: list[Step] = []
        self._told: list[str] = []
        self._held: list[str] = []
        self._left: list[str] = []
        self._gone: dict[str, None] = {}

    def remains(self) -> Remains:
        for part in self._parts():
            self._look_at(part)
        for uuid, device in self._wanted.items():
            current = self._own.get(uuid)
            if current is None:
                continue
            if current.name != device.name:
                vg, lv, layer = split_dm_name(current.name)
                link = (vg, lv) if device.link is not None and not layer else None
                self._rename.append(RenameDevice(device, current.name, link))
                self._told.append(f"{current.name} gets the name that the metadata have for it, {device.name}")
            if uuid in self._hidden and device.link is not None and current.has_live:
                self._show.append(ShowVolume(device))
                self._told.append(f"{device.name} was not shown yet, and is now")
        steps = (
            *self._clear, *self._make, *self._suspend, *self._resume, *self._rename, *self._show, *self._removals(),
        )  # fmt: skip
        return Remains(steps, tuple(self._told), tuple(self._held), tuple(self._left), self._after(steps))

    def _after(self, steps: tuple[Step, ...]) -> dict[str, LiveDevice]:
        """The devices as they are when the steps have been taken; new ones have no numbers yet."""
        after = dict(self._own)
        for step in steps:
            uuid, device = step.device_uuid, self._wanted.get(step.device_uuid)
            table = self._table(device) if device is not None and step.loads else None
            found = step.outcome(after.get(uuid), table)
            if found is None:
                after.pop(uuid, None)
            else:
                after[uuid] = found
        return after

    # -- what belongs together --------------------------------------------------------------------

    def _parts(self) -> list[list[str]]:
        """The devices that are there or shall be, as far as they have to do with each other, lowest first."""
        edges: dict[str, set[str]] = {uuid: set() for uuid in (*self._wanted, *self._own)}
        for uuid, device in self._wanted.items():
            for other in (*device.needs(), *device.after):
                if other in edges:
                    edges[uuid].add(other)
                    edges[other].add(uuid)
        for uuid, others in self._refs.items():
            for other in others:
                edges[uuid].add(other)
                edges[other].add(uuid)
        place = {uuid: n for n, uuid in enumerate(edges)}
        parts: list[list[str]] = []
        seen: set[str] = set()
        for start in edges:
            if start in seen:
                continue
            part, todo = set(), [start]
            while todo:
                uuid = todo.pop()
                if uuid not in part:
                    part.add(uuid)
                    todo.extend(edges[uuid])
            seen |= part
            parts.append(sorted(part, key=place.__getitem__))
        return parts

    def _look_at(self, part: list[str]) -> None:
        own, wanted = self._own, self._wanted
        if self._strange.intersection(part):
            return  # nobody here knows what it shall be
        mine = [uuid for uuid in part if uuid in wanted]
        extra = [uuid for uuid in part if uuid not in wanted]
        odd = [u for u in mine if u not in own or own[u].suspended or own[u].has_inactive or not own[u].has_live]
        if not odd and not extra:
            return
        right = {uuid for uuid in mine if uuid in own and self._is_right(uuid)}
        held = [uuid for uuid in odd if uuid in right and own[uuid].suspended and not own[uuid].has_inactive]
        if held == odd and not extra:
            self._held += [self._held_words(uuid) for uuid in held]
            return
        refs = [ref for uuid in mine for line in wanted[uuid].table for ref in line.refs()]
        if any(isinstance(ref, PvRef) and ref.pv not in self._pvs for ref in refs):
            names = ", ".join(own[uuid].name for uuid in part if uuid in own and (uuid in odd or uuid in extra))
            self._left.append(f"{names} cannot be put in order while a physical volume is missing")
            return
        drifted = [u for u in mine if u not in odd and u not in right]
        if drifted:
            self._left += [
                f"{own[u].name} runs with another table than the metadata say, and is left as it is; to load that"
                f" of the metadata: {self._refresh(u)}"
                for u in drifted
            ]
            return
        self._put_in_order(mine, right)
        self._clean_up(extra)

    def _refresh(self, uuid: str) -> str:
        parts = split_dm_uuid(uuid)
        volume = self._group.lv_by_id.get(parts[1]) if parts is not None else None  # type: ignore[call-overload]
        name = f"{self._group.name}/{volume.name}" if volume is not None and volume.visible else self._group.name
        return f"{'lvchange' if '/' in name else 'vgchange'} --refresh {name}"

    def _held_words(self, uuid: str) -> str:
        return (
            f"{self._own[uuid].name} is suspended, with the table that it shall have: whoever suspended it may rely"
            f" on that; to resume it: {self._refresh(uuid)}"
        )

    # -- devices that shall be there --------------------------------------------------------------

    def _table(self, device: DmDevice) -> tuple[KernelLine, ...] | None:
        """The table that the metadata say, as the kernel prints it; None where what it lies on is not there."""

        def number(ref: PvRef | DevRef) -> str:
            if isinstance(ref, PvRef):
                return self._pvs[ref.pv]
            found = self._own[ref.uuid]
            return f"{found.major}:{found.minor}"

        try:
            return tuple(KernelLine(ln.start, ln.length, ln.target, ln.params(number)) for ln in device.table)
        except KeyError:
            return None

    def _is_right(self, uuid: str) -> bool:
        """Whether a device has the live table that it shall have."""
        device, found = self._wanted[uuid], self._own[uuid]
        return found.has_live and found.read_only == device.read_only and found.table == self._table(device)

    def _put_in_order(self, mine: list[str], right: set[str]) -> None:
        own, wanted = self._own, self._wanted
        wrong = {uuid for uuid in mine if uuid not in right}
        # What lies on a device that gets another table stands still with it, as in any change.
        load = wrong | {uuid for uuid in mine if uuid in own and reaches(uuid, wrong & own.keys(), wanted)}
        needed = {need for uuid in load for need in wanted[uuid].needs()}
        for uuid in mine:
            device, found = wanted[uuid], own.get(uuid)
            if found is not None and found.has_inactive:
                self._clear.append(ClearTable(device))
                if uuid in right and not found.suspended:
                    self._told.append(f"a table that waited in {found.name} is dropped")
            if found is None:
                self._make.append(CreateDevice(device))
            if uuid in load and not device.fixed:
                self._make.append(LoadTable(device, fresh=found is None))
            elif uuid not in load and (found is None or not found.suspended):
                continue
            runs = found is not None and found.has_live
            if runs and uuid in load:
                self._suspend.insert(0, Suspend(device))
            first = not runs and uuid in needed and not device.exclusive
            (self._make if first else self._resume).append(Resume(device, fresh=not runs))
            if not runs:
                self._told.append(f"{device.name} was not made to its end, and is now")
            elif found is not None and found.suspended:
                self._told.append(f"{found.name} was left suspended, and runs again with its right table")
            else:
                self._told.append(f"{device.name} gets the table that it shall have")

    # -- devices that shall not be there ----------------------------------------------------------

    def _clean_up(self, extra: list[str]) -> None:
        for uuid in extra:
            device = self._own[uuid]
            parts = split_dm_uuid(uuid)
            on_disks = any(number not in self._by_number for number in below(device))
            known = parts is not None and parts[1] in self._group.lv_by_id
            if not known and on_disks and not (parts and parts[2]) and uuid not in self._hidden:
                # The metadata were restored under it: its user has not been asked.
                self._left.append(
                    f"{device.name} runs, and the metadata have no such volume; if it is not wanted: vmgr dm remove"
                    f" {device.name}"
                )
                continue
            if device.open_count > len(self._users.get(uuid, ())):
                self._left.append(
                    f"{device.name} was left behind and is in use; unmount or close it, then: vmgr dm remove"
                    f" {device.name}"
                )
                continue
            self._gone[uuid] = None

    def _removals(self) -> list[Step]:
        """Remove what was left behind, users first, as far as nothing that stays lies on it."""
        gone = self._gone
        stays = [uuid for uuid in self._own if uuid not in gone and uuid not in self._wanted]
        while stays:
            for uuid in self._refs[stays.pop()]:
                if uuid in gone:
                    del gone[uuid]
                    stays.append(uuid)
        steps: list[Step] = []
        while gone:
            for uuid in [u for u in gone if gone.keys().isdisjoint(self._users.get(u, ()))] or list(gone):
                device = self._own[uuid]
                vg, lv, layer = split_dm_name(device.name)
                steps.append(RemoveDevice(uuid, device.name, (vg, lv) if lv and not layer else None))
                self._told.append(f"{device.name} was left behind, and is removed")
                del gone[uuid]
        return steps


def _numbers(device: LiveDevice, waiting: tuple[KernelLine, ...]) -> set[str]:
    """The numbers of what a device's tables lead to, the one that waits included."""
    words = {word for line in waiting for word in line.params.split()}
    return below(device) | words
