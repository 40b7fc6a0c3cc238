"""The steps that run a program and that wait, and how the planner gets them from :mod:`vmgr.core.tools`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.devices import own_uuid, stack
from vmgr.core.errors import InUse
from vmgr.core.step import DeviceStep, Step, group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from vmgr.core.change import Change
    from vmgr.core.devicerules import DeviceRules
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import DmDevice, LiveDevice, TargetLine
    from vmgr.core.targets import Targets
    from vmgr.core.tools import ToolRun, WaitUntil


@frozen
class RunTool(Step):
    """Run a program on devices that are made for it, hidden, and removed again whatever comes of it.

    ``devices`` are to be made, lowest first; ``paths`` has for each volume in the arguments the name of its device.
    ``subject`` is the first volume's name.
    """

    run: ToolRun
    devices: tuple[DmDevice, ...]
    paths: tuple[tuple[str, str], ...]
    subject: str
    back: RunTool | None = None

    def words(self, path_of: Callable[[str], str]) -> tuple[str, ...]:
        """The arguments; ``path_of`` gives the path of the device with a name."""
        names = dict(self.paths)
        return tuple(path_of(names[word]) if word in names else str(word) for word in self.run.arguments)

    @property
    def program(self) -> str:
        """The program's path."""
        return self.run.program

    @property
    def undo(self) -> Step | None:
        """The program that takes it back, if there is one."""
        return self.back

    @property
    def group_id(self) -> str:
        """The group of the devices."""
        return group_of(self.devices[0].uuid) if self.devices else ""

    @property
    def names(self) -> tuple[DmDevice, ...]:
        """What is made for the program."""
        return self.devices

    @property
    def loads(self) -> tuple[TargetLine, ...]:
        """The tables of all devices that are made."""
        return tuple(line for device in self.devices for line in device.table)

    def __str__(self) -> str:
        return " ".join(["run", self.run.program.rpartition("/")[2], *self.words(str)])


@frozen
class WaitFor(DeviceStep):
    """Wait until the status of a live device shows a state."""

    interruptible = True

    until: WaitUntil

    @property
    def hint(self) -> str:
        """What the one who waits says."""
        return self.until.late.hint

    def __str__(self) -> str:
        return f"wait until {self.until.condition} ({self.device.name})"


def tool_steps(
    change: Change, live: Mapping[str, LiveDevice], targets: Targets, rules: DeviceRules
) -> Iterator[RunTool]:
    """The runs of ``change.tools``. Raises :class:`~vmgr.core.errors.InUse` for a volume that is active."""
    for run in change.tools:
        group = change.after if run.new or change.before is None else change.before
        assert group is not None
        yield _step(run, group, live, targets, rules)


def _step(
    run: ToolRun, group: VolumeGroup, live: Mapping[str, LiveDevice], targets: Targets, rules: DeviceRules
) -> RunTool:
    for lv in run.volumes:
        volume = group.lv_by_id[lv]
        if own_uuid(group, volume) in live:
            name = f"{group.name}/{volume.name}"
            program = run.program.rpartition("/")[2]
            raise InUse(
                f"logical volume {name} must be inactive while {program} works on it",
                hint="deactivate what uses it, then try again",
            )
    devices = [rules.applied(group, one) for one in stack(group, run.volumes, targets, live)]
    names = {device.uuid: device.name for device in devices}
    return RunTool(
        run,
        tuple(device for device in devices if device.uuid not in live),
        tuple((lv, names[own_uuid(group, group.lv_by_id[lv])]) for lv in run.volumes),
        f"{group.name}/{group.lv_by_id[run.volumes[0]].name}" if run.volumes else group.name,
        None if run.undo is None else _step(run.undo, group, live, targets, rules),
    )


def wait_steps(
    change: Change, live: Mapping[str, LiveDevice], targets: Targets, rules: DeviceRules
) -> Iterator[WaitFor]:
    """The steps of ``change.waits``."""
    for until in change.waits:
        group = change.after
        assert group is not None
        uuid = own_uuid(group, group.lv_by_id[until.volume])
        for device in stack(group, (until.volume,), targets, live):
            if device.uuid == uuid:
                yield WaitFor(rules.applied(group, device), until)
