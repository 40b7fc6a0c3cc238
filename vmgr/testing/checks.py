"""Checks of a target plugin against the contract, before a user meets what they find.

:func:`check_plugin` makes volumes of the plugin's types on groups in memory, changes them in many ways, kills and
cuts off the commands that do it at each step, and holds what comes of it to what vmgr relies on. It
needs no kernel and no disks; what the real kernel makes of the tables is tried in the lab (``vmgr lab``).
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.devices import base_device, stack
from vmgr.core.errors import NotFound, PluginError, Refused, UsageError, VmgrError
from vmgr.core.ids import LvName, Uuid
from vmgr.core.model import LogicalVolume, VolumeGroup
from vmgr.core.naming import dm_name
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import remove_volumes
from vmgr.core.requests import CreateVolume, ExtendVolume, Options, ReduceVolume, RemoveVolume
from vmgr.core.units import Extents
from vmgr.core.validate import validate
from vmgr.ondisk.codec import decode_group, encode_group
from vmgr.ondisk.proof import require_readable
from vmgr.testing.machine import HEADER, MemoryMachine

if TYPE_CHECKING:
    from vmgr.core.hooks import TargetInfo
    from vmgr.core.targets import Targets

PASSED = "ok"
FAILED = "failed"
SKIPPED = "skipped"

NAME = LvName("checked")
ORIGIN = LvName("origin")
SIZE = Extents(12)
ROUNDS = 12
"""How often a volume's size is changed."""


@frozen
class Sample:
    """A volume to try: ``type`` as after ``--type``, and options of the plugin by their long names.

    With ``origin`` it is made of a plain volume, as ``lvcreate VG/ORIGIN`` makes it.
    """

    type: str
    options: Options = ()
    size: Extents = SIZE
    origin: bool = False


@frozen
class Result:
    """What came of one check: ``outcome`` is one of the words above, ``text`` says why it is not ok."""

    check: str
    outcome: str
    text: str = ""


class _Wrong(Exception):
    """What a check found."""


class _Skip(Exception):
    """Why a check could not be made."""


def check_plugin(
    targets: Targets, name: str, samples: Sequence[Sample] = (), *, seed: int = 0
) -> tuple[Result, ...]:
    """Check the plugin called ``name``.

    Without ``samples``, a volume of each of its types is made without options, of an origin where it needs one.

    The same ``seed`` gives the same volumes. Raises :class:`NotFound` where there is no such plugin.
    """
    info = next((info for info in targets.infos() if info.name == name), None)
    if info is None:
        raise NotFound(f"no target plugin is called {name!r}", hint="`vmgr plugins` lists those there are")
    results = [_result("the declaration says all that a user needs", lambda: _declaration(info))]
    for sample in samples:
        results += _try(targets, sample, seed)
    for word in () if samples else info.types:
        found = _try(targets, Sample(word), seed)
        if found[0].outcome == SKIPPED:
            other = _try(targets, Sample(word, origin=True), seed)
            found = other if other[0].outcome != SKIPPED else found
        results += found
    return tuple(results)


def _try(targets: Targets, sample: Sample, seed: int) -> list[Result]:
    """All checks of a sample; only the first where it cannot be made."""
    results: list[Result] = []
    for title, check in _Trial(targets, sample, seed).checks():
        results.append(_result(f"{sample.type}: {title}", check))
        if results[0].outcome != PASSED:
            break
    return results


def _result(title: str, check: Callable[[], None]) -> Result:
    try:
        check()
    except _Skip as error:
        return Result(title, SKIPPED, str(error))
    except (_Wrong, AssertionError) as error:
        return Result(title, FAILED, str(error))
    except VmgrError as error:
        return Result(title, FAILED, "\n".join((error.message, *error.details)))
    return Result(title, PASSED)


def _declaration(info: TargetInfo) -> None:
    missing = [what for what in ("summary", "manual") if not getattr(info, what).strip()]
    missing += [f"the help of --{option.name}" for option in info.options if not option.help.strip()]
    missing += [f"the help of column {column.name}" for column in info.columns if not column.help.strip()]
    if missing:
        raise _Wrong(f"TargetInfo lacks {', '.join(missing)}")


class _Trial:
    """The checks of one sample."""

    def __init__(self, targets: Targets, sample: Sample, seed: int) -> None:
        self._targets = targets
        self._sample = sample
        self._seed = seed

    def checks(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """The checks with their titles, the first of which is the one that others rely on."""
        yield "is made", lambda: self._on_machine(self._creation)
        yield "is read back as it is written, on free space in pieces", lambda: self._on_machine(self._text)
        yield "has every extent mapped once through changes of size", lambda: self._on_machine(self._sizes)
        yield "has names and UUIDs of its own", lambda: self._on_machine(self._names)
        yield "is described inactive and active", lambda: self._on_machine(self._reports)
        yield "is activated and deactivated", lambda: self._on_machine(self._activation)
        yield "survives a kill and a power cut at every step", lambda: self._on_machine(self._cuts)

    def _on_machine(self, check: Callable[[MemoryMachine], None]) -> None:
        with tempfile.TemporaryDirectory(prefix="vmgr-check-") as folder:
            machine = MemoryMachine(Path(folder), self._targets, disks=4)
            if self._sample.origin:
                machine.do(lambda group: create_volume(group, _plain(ORIGIN, 16), self._targets, machine.stamp()))
            check(machine)

    # -- what is tried ----------------------------------------------------------------------------

    def _create(self, machine: MemoryMachine, group: VolumeGroup, active: bool = True) -> Change:
        sample = self._sample
        request = CreateVolume(
            size=SizeSpec(sample.size),
            name=NAME,
            type=sample.type,
            origin=group.lv_by_name[ORIGIN].id if sample.origin else None,
            options=sample.options,
            activate="y" if active else "n",
            zero=False,
            wipe_signatures=False,
        )
        try:
            return create_volume(group, request, self._targets, machine.stamp())
        except UsageError as error:
            raise _Skip(f"{error.message}: give a Sample with the options that it needs") from error

    def _creation(self, machine: MemoryMachine) -> None:
        self._hold(machine.group, self._create(machine, machine.group).after)

    def _text(self, machine: MemoryMachine) -> None:
        chance = random.Random(self._seed)
        for _ in range(3):
            group = _in_pieces(machine, chance)
            try:
                self._hold(group, self._create(machine, group).after)
            except Refused as error:
                raise _Skip(error.message) from error

    def _sizes(self, machine: MemoryMachine) -> None:
        chance = random.Random(self._seed)
        group = self._hold(machine.group, self._create(machine, machine.group).after)
        refused: set[str] = set()
        for _ in range(ROUNDS):
            volume = group.lv_by_name[NAME]
            step = SizeSpec(Extents(chance.randint(1, 9)), chance.choice("+-"))
            try:
                if step.sign == "+":
                    request = ExtendVolume(volume.id, step)
                    change = extend_volume(group, request, self._targets, machine.stamp())
                else:
                    change = reduce_volume(group, ReduceVolume(volume.id, step), self._targets, machine.stamp())
            except PluginError:
                raise
            except VmgrError as error:
                refused.add(error.message)
                continue
            group = self._hold(group, change.after)
        self._hold(group, _removed(group, self._targets).after)
        if NAME in _removed(group, self._targets).after.lv_by_name:  # type: ignore[union-attr]
            raise _Wrong("it is still there when it has been removed")

    def _names(self, machine: MemoryMachine) -> None:
        group = self._hold(machine.group, self._create(machine, machine.group).after)
        visible = [lv.id for lv in group.lvs if lv.visible]
        devices = stack(group, visible, self._targets)
        for what, found in (("name", [d.name for d in devices]), ("UUID", [d.uuid for d in devices])):
            if len(set(found)) < len(found):
                raise _Wrong(f"two of its devices have one {what}: {', '.join(found)}")
        start = dm_name(group.name, LvName("x"))[:-1]
        strange = [d.name for d in devices if not d.name.startswith(start)]
        if strange:
            raise _Wrong(f"the device {strange[0]} is not named after the group ({start}...)")

    def _reports(self, machine: MemoryMachine) -> None:
        machine.do(lambda group: self._create(machine, group))
        group, live = machine.group, machine.live
        for lv in group.lvs:
            device = live.get(self._targets.status_device(group, lv, live))
            lines = device.status if device is not None else None
            status = self._targets.parse_status(group, lv, lines) if lines else None
            for segment in lv.segments:
                self._targets.describe(group, lv, segment, None)
                self._targets.describe(group, lv, segment, status)
        if self._targets.left_out.errors:
            raise self._targets.left_out.errors[-1]

    def _activation(self, machine: MemoryMachine) -> None:
        machine.do(lambda group: self._create(machine, group))
        before = {device.name for device in machine.live.values()}
        machine.do(lambda group: Change(group, group, deactivate=_visible(group)))
        if machine.live:
            raise _Wrong(f"deactivated, it leaves {', '.join(d.name for d in machine.live.values())}")
        machine.do(lambda group: Change(group, group, activate=_visible(group)))
        after = {device.name for device in machine.live.values()}
        if before != after:
            raise _Wrong(f"made it has {', '.join(sorted(before))}, activated {', '.join(sorted(after))}")

    def _cuts(self, machine: MemoryMachine) -> None:
        """Each command is stopped before each of its changes; the next one finds a group that it can use."""
        for title, command in self._commands(machine):
            saved, stamps = machine.save(), machine.stamps
            before = machine.group
            command()
            after = machine.group
            done = machine.save()
            number = 0
            while True:
                machine.load(saved)
                machine.stamps = stamps
                if not machine.dies(command, after=number):
                    break
                self._healed(machine, f"{title}, killed at change {number + 1}", before, after)
                machine.kernel._devices.clear()
                self._healed(machine, f"{title}, power cut at change {number + 1}", before, after)
                number += 1
            machine.load(done)

    def _commands(self, machine: MemoryMachine) -> Iterator[tuple[str, Callable[[], object]]]:
        targets = self._targets
        yield "lvcreate", lambda: machine.do(lambda group: self._create(machine, group))

        def resize(group: VolumeGroup, sign: str) -> Change:
            lv, size = group.lv_by_name[NAME].id, SizeSpec(Extents(4), sign)
            if sign == "+":
                return extend_volume(group, ExtendVolume(lv, size), targets, machine.stamp())
            return reduce_volume(group, ReduceVolume(lv, size), targets, machine.stamp())

        for title, sign in (("lvextend", "+"), ("lvreduce", "-")):
            try:
                resize(machine.group, sign)
            except PluginError:
                raise
            except VmgrError:
                continue
            yield title, lambda sign=sign: machine.do(lambda group: resize(group, sign))  # type: ignore[misc]
        yield "lvremove", lambda: machine.do(lambda group: _removed(group, targets))

    def _healed(self, machine: MemoryMachine, when: str, before: VolumeGroup, after: VolumeGroup) -> None:
        machine.heal()
        group = machine.group
        if not any(_same(group, other) for other in (before, after)):
            raise _Wrong(f"{when}: the group is neither as before nor as after it")
        try:
            machine.do(lambda group: Change(group, group, activate=_visible(group)))
        except VmgrError as error:
            raise _Wrong(f"{when}: the volumes cannot be activated afterwards: {error.message}") from error

    # -- what is held -----------------------------------------------------------------------------

    def _hold(self, before: VolumeGroup, after: VolumeGroup | None) -> VolumeGroup:
        """Hold a change's outcome to the rules, and return it."""
        assert after is not None
        broken = validate(after, self._targets)
        if broken:
            raise _Wrong(f"{broken[0].subject}: {broken[0].rule}")
        require_readable(before, after, self._targets)
        if not _same(decode_group(encode_group(after, self._targets, HEADER), self._targets).group, after):
            raise _Wrong("the group's text is read otherwise than it was written")
        for lv in after.lvs:
            self._cover(after, lv)
        return after

    def _cover(self, group: VolumeGroup, lv: LogicalVolume) -> None:
        device = base_device(group, lv, self._targets)
        if device is None:
            return
        end = 0
        for line in device.table:
            if int(line.start) != end:
                raise _Wrong(f"{lv.name}: a table line starts at sector {int(line.start)} instead of {end}")
            end += int(line.length)
        if end != int(lv.size) * int(group.extent_size):
            size = int(lv.size) * int(group.extent_size)
            raise _Wrong(f"{lv.name}: the table has {end} sectors, the volume {size}")


def _visible(group: VolumeGroup) -> tuple[Uuid, ...]:
    return tuple(lv.id for lv in group.lvs if lv.visible)


def _same(one: VolumeGroup, other: VolumeGroup) -> bool:
    return evolve(one, seqno=0, pvs=()) == evolve(other, seqno=0, pvs=())


def _removed(group: VolumeGroup, targets: Targets) -> Change:
    change, errors = remove_volumes(group, [RemoveVolume(group.lv_by_name[NAME].id)], targets)
    for error in errors.values():
        raise error
    return change


def _plain(name: LvName, extents: int) -> CreateVolume:
    return CreateVolume(size=SizeSpec(Extents(extents)), name=name, zero=False, wipe_signatures=False)


def _in_pieces(machine: MemoryMachine, chance: random.Random) -> VolumeGroup:
    """The group with plain volumes in the way, so that no free space is whole."""
    group = machine.group
    targets = machine.targets
    for n in range(24):
        request = _plain(LvName(f"plain{n}"), chance.randint(1, 9))
        after = create_volume(group, request, targets, machine.stamp()).after
        assert after is not None
        group = after
    for n in chance.sample(range(24), 12):
        lv = group.lv_by_name[LvName(f"plain{n}")].id
        change, _ = remove_volumes(group, [RemoveVolume(lv)], targets)
        assert change.after is not None
        group = change.after
    return group
