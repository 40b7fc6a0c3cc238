"""What every step of a plan says about itself: its device, how it is undone, what a person does if it stays undone.

Whoever looks at a plan asks its steps, and knows no list of them. Only :mod:`vmgr.commit`, which turns steps into
calls, tells one class from another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from attrs import frozen

from vmgr.core.naming import split_dm_uuid

if TYPE_CHECKING:
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import DmDevice, KernelLine, LiveDevice, TargetLine

_ACTIVATE = "activate again (vgchange --refresh, or vgchange -an and -ay)"

SUSPENDS, COMMITS, RESUMES = "suspends", "commits", "resumes"
"""Parts of the turn, for :attr:`Step.turn`."""


class Step:
    """One step of a plan. What a class does not say about itself is so for most."""

    __slots__ = ()

    turn: ClassVar[str] = ""
    """Which part of the turn a step may belong to (:class:`vmgr.core.phases.Phases`); empty for none."""
    interruptible: ClassVar[bool] = False
    """Whether an interrupt may end the step after a commit: it asks a question, or waits."""
    builds: ClassVar[bool] = False
    """Whether the step's device is left half made where the step fails."""
    effect: ClassVar[str] = ""
    """What the step does to the physical volume or the device that it is about, as in :mod:`vmgr.core.effects`."""

    @property
    def undo(self) -> Step | None:
        """What takes the step back before the commit; devices are taken back by their engine."""
        return None

    @property
    def hint(self) -> str:
        """What a person does when the step is pending after a commit; empty where that cannot be."""
        return ""

    @property
    def group_id(self) -> str:
        """The UUID of the group that the step belongs to; empty for none."""
        return ""

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The UUIDs of the groups that must be committed before the step, where it follows the commit."""
        return (self.group_id,)

    @property
    def device_uuid(self) -> str:
        """The device-mapper UUID of the device that the step changes; empty for none."""
        return ""

    @property
    def names(self) -> tuple[DmDevice, ...]:
        """The devices that have their names from this step on."""
        return ()

    @property
    def frees(self) -> str:
        """The UUID of the device whose name is free from this step on; empty for none."""
        return ""

    @property
    def loads(self) -> tuple[TargetLine, ...]:
        """The table that the step loads."""
        return ()

    @property
    def program(self) -> str:
        """The path of the program that the step runs; empty for none."""
        return ""

    @property
    def label_of(self) -> tuple[str, str]:
        """The device (a path) whose label the step writes or wipes, and the UUID in it, where that is known."""
        return ("", "")

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice | None:
        """What the kernel has of the step's device afterwards, where it had ``found``; None for no device.

        ``table`` is the table that the step loads as the kernel prints it, None where that is not known.
        """
        return found


def group_of(device_uuid: str) -> str:
    """The UUID of the group whose volume a device is; empty for a device of none."""
    parts = split_dm_uuid(device_uuid)
    return parts[0] if parts is not None else ""


@frozen
class GroupStep(Step):
    """A step for a group's metadata."""

    group: VolumeGroup

    @property
    def group_id(self) -> str:
        """The group's UUID."""
        return self.group.id


@frozen
class DeviceStep(Step):
    """A step for one device-mapper device."""

    device: DmDevice

    @property
    def group_id(self) -> str:
        """The group in the device's UUID."""
        return group_of(self.device.uuid)

    @property
    def device_uuid(self) -> str:
        """The device's UUID."""
        return self.device.uuid

    @property
    def hint(self) -> str:
        """Activation makes every device anew."""
        return _ACTIVATE
