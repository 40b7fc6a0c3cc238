"""The steps that a plan consists of: plain values, in words for a person.

What order they come in is decided in :mod:`vmgr.core.plan`, what they do in :mod:`vmgr.commit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, frozen

from vmgr.core.step import COMMITS, RESUMES, SUSPENDS, DeviceStep, GroupStep, Step, group_of
from vmgr.core.table import LiveDevice

if TYPE_CHECKING:
    from vmgr.core.change import LabelPv, Wipe
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.ids import Uuid
    from vmgr.core.table import DmDevice, KernelLine, TargetLine

_SEE_LABELS = "see how the physical volumes are marked: pvs -o+pv_in_use,vg_name"


@frozen
class WriteLabel(Step):
    """Write a physical volume's label and empty metadata areas."""

    effect = "created"

    label: LabelPv

    def __str__(self) -> str:
        return f"label {self.label.device} as physical volume {self.label.layout.id.dashed}"

    @property
    def label_of(self) -> tuple[str, str]:
        """The new physical volume."""
        return self.label.device, self.label.layout.id.dashed


@frozen
class Archive(GroupStep):
    """Keep the metadata as it is before the change, in a file."""

    def __str__(self) -> str:
        return f"archive metadata of {self.group.name} (seqno {self.group.seqno})"


@frozen
class ZeroSectors(GroupStep):
    """Zero a range of a physical volume of ``group`` that is free until the commit."""

    zero: ZeroRange

    def __str__(self) -> str:
        z = self.zero
        return f"zero {z.length} sectors of physical volume {z.area.pv.dashed}, extent {z.area.start}"


@frozen
class WriteText(GroupStep):
    """Write the new text into the ring of every metadata area; no slot names it yet."""

    def __str__(self) -> str:
        return f"write metadata of {self.group.name} (seqno {self.group.seqno})"

    @property
    def undo(self) -> Step:
        """No slot may name the text."""
        return Revert(self.group)


@frozen
class Precommit(GroupStep):
    """Name the new text in the precommit slot of every metadata area."""

    def __str__(self) -> str:
        return f"precommit {self.group.name} (seqno {self.group.seqno})"


@frozen
class Revert(GroupStep):
    """Clear the precommit slots: what was written beside the committed text counts for nothing."""

    def __str__(self) -> str:
        return f"revert the metadata of {self.group.name} (seqno {self.group.seqno})"


@frozen
class Commit(GroupStep):
    """Name the new text in the commit slot: from here on it is the group. It is named on ``first`` first."""

    turn = COMMITS

    first: tuple[Uuid, ...] = ()

    def __str__(self) -> str:
        return f"commit {self.group.name} (seqno {self.group.seqno})"

    @property
    def hint(self) -> str:
        """Whatever changes the group next finishes what was begun with others."""
        return f"vgck --updatemetadata {self.group.name}"


@frozen
class ImportGroup(GroupStep):
    """Commit a group once more, that was exported until those are committed that it took physical volumes from."""

    givers: tuple[Uuid, ...]

    def __str__(self) -> str:
        return f"import {self.group.name} (seqno {self.group.seqno})"

    @property
    def waits_for(self) -> tuple[str, ...]:
        """Until then the physical volumes are in two groups."""
        return (self.group_id, *self.givers)

    @property
    def hint(self) -> str:
        """The command for it, once the other groups have been written."""
        return f"vgimport {self.group.name}"


@frozen
class RemoveText(GroupStep):
    """Leave the group's metadata areas without a text: its physical volumes are orphans then."""

    turn = COMMITS

    pvs: tuple[Uuid, ...]

    def __str__(self) -> str:
        return f"remove metadata of {self.group.name} from {len(self.pvs)} physical volumes"

    @property
    def hint(self) -> str:
        """A look tells what is left to do."""
        return _SEE_LABELS


@frozen
class ClearOutdated(GroupStep):
    """Clear the metadata areas and the in-use flag of physical volumes that ``group`` lost while they were away.

    What they hold is an older text of the group: once the group is removed, or the newer text is lost, it would
    bring the group back. It never counts while a newer text is there, so this comes before the commit.
    """

    pvs: tuple[Uuid, ...]

    def __str__(self) -> str:
        return f"clear the outdated metadata of {self.group.name} on {len(self.pvs)} physical volumes"


@frozen
class MarkPvs(GroupStep):
    """Set or clear the labels' flag that says "in use by a group". Only a hint, so it follows the commit."""

    pvs: tuple[Uuid, ...]
    used: bool

    def __str__(self) -> str:
        return f"mark {len(self.pvs)} physical volumes as {'used' if self.used else 'unused'}"

    @property
    def hint(self) -> str:
        """A look tells what is left to do."""
        return _SEE_LABELS


@frozen
class Backup(GroupStep):
    """Keep a copy of the metadata as it is after the change, or remove it for a removed group."""

    gone: bool = False

    def __str__(self) -> str:
        return f"{'remove backup' if self.gone else 'back up metadata'} of {self.group.name}"

    @property
    def hint(self) -> str:
        """The command for it."""
        return f"remove {self.group.name}'s backup file" if self.gone else f"vgcfgbackup {self.group.name}"


@frozen
class CreateDevice(DeviceStep):
    """Make a device without a table."""

    builds = True
    effect = "activated"

    def __str__(self) -> str:
        return f"create device {self.device.name}"

    @property
    def names(self) -> tuple[DmDevice, ...]:
        """The new device."""
        return (self.device,)

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice:
        """A device that has no numbers yet, as far as can be foretold."""
        return LiveDevice(self.device.name, self.device.uuid, 0, 0, table=())


@frozen
class LoadTable(DeviceStep):
    """Load a table into a device's inactive slot. ``fresh``: the device is made by this plan."""

    builds = True
    effect = "reloaded"

    fresh: bool

    def __str__(self) -> str:
        return f"load table of {self.device.name}"

    @property
    def loads(self) -> tuple[TargetLine, ...]:
        """The device's table."""
        return self.device.table

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice | None:
        """The device as it is once the table is live, which a later step of the same plan makes it."""
        if found is None:
            return None
        return evolve(found, table=table or found.table, read_only=self.device.read_only, has_live=True)


@frozen
class ClearTable(DeviceStep):
    """Drop the table that waits in a device."""

    def __str__(self) -> str:
        return f"clear the table that waits in {self.device.name}"

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice | None:
        """Nothing waits any more."""
        return None if found is None else evolve(found, has_inactive=False)


@frozen
class Suspend(DeviceStep):
    """Suspend a live device, freezing a file system on it."""

    turn = SUSPENDS

    def __str__(self) -> str:
        return f"suspend {self.device.name}"


@frozen
class Resume(DeviceStep):
    """Swap in the loaded table and let I/O through. ``fresh``: the device appears with this.

    ``quiet``: the volume has not been wiped yet, so nothing may look into it.
    """

    turn = RESUMES
    builds = True

    fresh: bool
    quiet: bool = False

    def __str__(self) -> str:
        return f"resume {self.device.name}"

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice | None:
        """A device that runs."""
        return None if found is None else evolve(found, suspended=False)


@frozen
class SendMessage(DeviceStep):
    """Send a message to the target at the start of a device, unless its status begins with ``unless``."""

    text: str
    unless: str = ""

    def __str__(self) -> str:
        return f"send {self.text!r} to {self.device.name}"


@frozen
class RenameDevice(DeviceStep):
    """Give a live device, called ``old`` until now, its other name; its link follows."""

    old: str
    old_link: tuple[str, str] | None

    def __str__(self) -> str:
        return f"rename device {self.old} to {self.device.name}"

    @property
    def names(self) -> tuple[DmDevice, ...]:
        """The device under its new name."""
        return (self.device,)

    @property
    def frees(self) -> str:
        """Its own old name becomes free."""
        return self.device.uuid

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> LiveDevice | None:
        """The device under its new name."""
        return None if found is None else evolve(found, name=self.device.name)


@frozen
class RemoveDevice(Step):
    """Remove a device and its nodes."""

    effect = "deactivated"

    uuid: str
    name: str
    link: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"remove device {self.name}"

    @property
    def hint(self) -> str:
        """The command for it."""
        return f"remove the device: vmgr dm remove {self.name}"

    @property
    def group_id(self) -> str:
        """The group in the device's UUID."""
        return group_of(self.uuid)

    @property
    def device_uuid(self) -> str:
        """The device's UUID."""
        return self.uuid

    @property
    def frees(self) -> str:
        """The device's name becomes free."""
        return self.uuid

    def outcome(self, found: LiveDevice | None, table: tuple[KernelLine, ...] | None) -> None:
        """No device."""
        return


@frozen
class WipeVolume(DeviceStep):
    """Wipe the start and old signatures of a new volume that nobody has been shown yet."""

    interruptible = True

    wipe: Wipe

    def __str__(self) -> str:
        return f"wipe the start of {self.device.name}"


@frozen
class ShowVolume(DeviceStep):
    """Show a new volume that has been wiped: its link, and udev's rules."""

    def __str__(self) -> str:
        return f"show {self.device.name}"


@frozen
class WipeLabel(Step):
    """Wipe a physical volume's label: the device is no longer one."""

    effect = "removed"

    device: str

    def __str__(self) -> str:
        return f"wipe label of {self.device}"

    @property
    def hint(self) -> str:
        """The command for it."""
        return f"pvremove {self.device}"

    @property
    def label_of(self) -> tuple[str, str]:
        """The device; which physical volume it was does not matter."""
        return self.device, ""
