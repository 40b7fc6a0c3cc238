"""The steps that a plan consists of, and the plan itself: plain values, in words for a person.

What order they come in is decided in :mod:`vmgr.core.plan`, what they do in :mod:`vmgr.commit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from vmgr.core.change import Change, LabelPv, Wipe
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import DmDevice


@frozen
class WriteLabel:
    """Write a physical volume's label and empty metadata areas."""

    label: LabelPv

    def __str__(self) -> str:
        return f"label {self.label.device} as physical volume {self.label.layout.id.dashed}"


@frozen
class Archive:
    """Keep the metadata as it is before the change, in a file."""

    group: VolumeGroup

    def __str__(self) -> str:
        return f"archive metadata of {self.group.name} (seqno {self.group.seqno})"


@frozen
class ZeroSectors:
    """Zero a range of a physical volume of ``group`` that is free until the commit."""

    group: VolumeGroup
    zero: ZeroRange

    def __str__(self) -> str:
        z = self.zero
        return f"zero {z.length} sectors of physical volume {z.area.pv.dashed}, extent {z.area.start}"


@frozen
class WriteText:
    """Write the new text into the ring of every metadata area; no slot names it yet."""

    group: VolumeGroup

    def __str__(self) -> str:
        return f"write metadata of {self.group.name} (seqno {self.group.seqno})"


@frozen
class Precommit:
    """Name the new text in the precommit slot of every metadata area."""

    group: VolumeGroup

    def __str__(self) -> str:
        return f"precommit {self.group.name} (seqno {self.group.seqno})"


@frozen
class Commit:
    """Name the new text in the commit slot: from here on it is the group."""

    group: VolumeGroup

    def __str__(self) -> str:
        return f"commit {self.group.name} (seqno {self.group.seqno})"


@frozen
class RemoveText:
    """Leave the group's metadata areas without a text: its physical volumes are orphans then."""

    group: VolumeGroup
    pvs: tuple[Uuid, ...]

    def __str__(self) -> str:
        return f"remove metadata of {self.group.name} from {len(self.pvs)} physical volumes"


@frozen
class ClearOutdated:
    """Clear the metadata areas and the in-use flag of physical volumes that ``group`` lost while they were away.

    What they hold is an older text of the group: once the group is removed, or the newer text is lost, it would
    bring the group back. It never counts while a newer text is there, so this comes before the commit.
    """

    group: VolumeGroup
    pvs: tuple[Uuid, ...]

    def __str__(self) -> str:
        return f"clear the outdated metadata of {self.group.name} on {len(self.pvs)} physical volumes"


@frozen
class MarkPvs:
    """Set or clear the labels' flag that says "in use by a group". Only a hint, so it follows the commit."""

    group: VolumeGroup
    pvs: tuple[Uuid, ...]
    used: bool

    def __str__(self) -> str:
        return f"mark {len(self.pvs)} physical volumes as {'used' if self.used else 'unused'}"


@frozen
class Backup:
    """Keep a copy of the metadata as it is after the change, or remove it for a removed group."""

    group: VolumeGroup
    gone: bool = False

    def __str__(self) -> str:
        return f"{'remove backup' if self.gone else 'back up metadata'} of {self.group.name}"


@frozen
class CreateDevice:
    """Make a device without a table."""

    device: DmDevice

    def __str__(self) -> str:
        return f"create device {self.device.name}"


@frozen
class LoadTable:
    """Load a table into a device's inactive slot. ``fresh``: the device is made by this plan."""

    device: DmDevice
    fresh: bool

    def __str__(self) -> str:
        return f"load table of {self.device.name}"


@frozen
class ClearTable:
    """Drop the table that waits in a device."""

    device: DmDevice

    def __str__(self) -> str:
        return f"clear the table that waits in {self.device.name}"


@frozen
class Suspend:
    """Suspend a live device, freezing a file system on it."""

    device: DmDevice

    def __str__(self) -> str:
        return f"suspend {self.device.name}"


@frozen
class Resume:
    """Swap in the loaded table and let I/O through. ``fresh``: the device appears with this.

    ``quiet``: the volume has not been wiped yet, so nothing may look into it.
    """

    device: DmDevice
    fresh: bool
    quiet: bool = False

    def __str__(self) -> str:
        return f"resume {self.device.name}"


@frozen
class SendMessage:
    """Send a message to the target at the start of a device, unless its status begins with ``unless``."""

    device: DmDevice
    text: str
    unless: str = ""

    def __str__(self) -> str:
        return f"send {self.text!r} to {self.device.name}"


@frozen
class RenameDevice:
    """Give a live device another name; its link follows."""

    uuid: str
    old: str
    device: DmDevice
    old_link: tuple[str, str] | None

    def __str__(self) -> str:
        return f"rename device {self.old} to {self.device.name}"


@frozen
class RemoveDevice:
    """Remove a device and its nodes."""

    uuid: str
    name: str
    link: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"remove device {self.name}"


@frozen
class WipeVolume:
    """Wipe the start and old signatures of a new volume that nobody has been shown yet."""

    device: DmDevice
    wipe: Wipe

    def __str__(self) -> str:
        return f"wipe the start of {self.device.name}"


@frozen
class ShowVolume:
    """Show a new volume that has been wiped: its link, and udev's rules."""

    device: DmDevice

    def __str__(self) -> str:
        return f"show {self.device.name}"


@frozen
class WipeLabel:
    """Wipe a physical volume's label: the device is no longer one."""

    device: str

    def __str__(self) -> str:
        return f"wipe label of {self.device}"


Step = (
    WriteLabel
    | Archive
    | ZeroSectors
    | WriteText
    | Precommit
    | Commit
    | RemoveText
    | ClearOutdated
    | MarkPvs
    | Backup
    | CreateDevice
    | LoadTable
    | ClearTable
    | Suspend
    | Resume
    | SendMessage
    | RenameDevice
    | RemoveDevice
    | WipeVolume
    | ShowVolume
    | WipeLabel
)


@frozen
class Phases:
    """A plan's steps by how they are run.

    ``head``, then the turn (``suspends``, ``commits``, ``resumes``), then ``tail``. What is done in the turn is
    done whole or taken back, the commit with it.
    """

    head: tuple[Step, ...]
    suspends: tuple[Step, ...]
    commits: tuple[Step, ...]
    resumes: tuple[Step, ...]
    tail: tuple[Step, ...]


@frozen
class Plan:
    """Steps in order. ``commit_at`` is the index of the step that makes the change final, None if there is none."""

    change: Change
    steps: tuple[Step, ...]

    @property
    def commit_at(self) -> int | None:
        """Index of the commit among the steps; None if no metadata changes."""
        for i, step in enumerate(self.steps):
            if isinstance(step, Commit | RemoveText):
                return i
        return None

    @property
    def phases(self) -> Phases:
        """The steps in their phases."""
        steps = self.steps
        turn = self.commit_at
        if turn is None:
            turn = self._resumes_at()
        first = turn
        while first and isinstance(steps[first - 1], Suspend):
            first -= 1
        resume = turn
        while resume < len(steps) and isinstance(steps[resume], Commit | RemoveText):
            resume += 1
        tail = resume
        while first < turn and tail < len(steps) and isinstance(steps[tail], Resume):
            tail += 1
        return Phases(steps[:first], steps[first:turn], steps[turn:resume], steps[resume:tail], steps[tail:])

    def _resumes_at(self) -> int:
        """Where, without a commit, what was suspended is resumed; the end if nothing is."""
        for i, step in enumerate(self.steps):
            if isinstance(step, Resume) and i and isinstance(self.steps[i - 1], Suspend):
                return i
        return len(self.steps)
