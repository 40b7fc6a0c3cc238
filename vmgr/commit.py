"""Runs a plan: against the disks, the device mapper and the backup files.

Up to the commit, a failing step undoes everything before it, and the group is as it was. From the commit on,
nothing is undone: every remaining step is tried, those that cannot succeed because an
earlier one failed excepted, and the error says what is done and what is pending.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from vmgr.core.errors import StoppedHalfway, VmgrError
from vmgr.core.steps import (
    Archive,
    Backup,
    ClearOutdated,
    Commit,
    CreateDevice,
    LoadTable,
    MarkPvs,
    Precommit,
    RemoveDevice,
    RemoveText,
    RenameDevice,
    Resume,
    SendMessage,
    ShowVolume,
    Suspend,
    WipeLabel,
    WipeVolume,
    WriteLabel,
    WriteText,
    ZeroSectors,
)

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vmgr.core.change import LabelPv, Wipe
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.steps import Plan, Step
    from vmgr.core.table import DmDevice


class Store(Protocol):
    """The metadata side of a machine: labels, metadata areas, backup files. Each call has reached the disk."""

    def write_label(self, label: LabelPv) -> None:
        """Write a label and empty metadata areas."""

    def wipe_label(self, device: str) -> None:
        """Wipe the label of the device at this path."""

    def zero(self, group: VolumeGroup, zero: ZeroRange) -> None:
        """Zero sectors of a physical volume."""

    def write_text(self, group: VolumeGroup) -> None:
        """Write the group's text into every ring, unnamed."""

    def precommit(self, group: VolumeGroup) -> None:
        """Name the text in every precommit slot."""

    def commit(self, group: VolumeGroup) -> None:
        """Name the text in every commit slot; raise only if not one area has it."""

    def revert(self, group: VolumeGroup) -> None:
        """Clear the precommit slots."""

    def remove_text(self, group: VolumeGroup, pvs: tuple[Uuid, ...]) -> None:
        """Leave these physical volumes without a text."""

    def clear_outdated(self, group: VolumeGroup, pvs: tuple[Uuid, ...]) -> None:
        """Clear the areas and the in-use flag of these physical volumes, as far as that can be done."""

    def mark(self, group: VolumeGroup, pvs: tuple[Uuid, ...], used: bool) -> None:
        """Set or clear the in-use flag of labels."""

    def archive(self, group: VolumeGroup) -> None:
        """Keep the text from before in a file."""

    def backup(self, group: VolumeGroup, gone: bool) -> None:
        """Keep the text from after in a file, or remove that file."""


class Devices(Protocol):
    """The device-mapper side of a machine."""

    def create(self, device: DmDevice) -> None:
        """Make a device without a table."""

    def load(self, device: DmDevice) -> None:
        """Load its table into the inactive slot."""

    def clear(self, device: DmDevice) -> None:
        """Drop the inactive table."""

    def suspend(self, device: DmDevice) -> None:
        """Suspend it."""

    def resume(self, device: DmDevice, *, fresh: bool, quiet: bool) -> None:
        """Resume it, swapping in a loaded table."""

    def message(self, device: DmDevice, text: str, unless: str) -> None:
        """Send a message to the target at its start, unless that one's status begins with ``unless``."""

    def rename(self, step: RenameDevice) -> None:
        """Rename a live device."""

    def remove(self, uuid: str, name: str, link: tuple[str, str] | None) -> None:
        """Remove a device and its nodes."""

    def wipe(self, device: DmDevice, wipe: Wipe) -> None:
        """Wipe the start and signatures of a new volume. Raises :class:`Interrupted` if the user keeps them."""

    def show(self, device: DmDevice) -> None:
        """Show a new volume that was made quietly."""

    def settle(self) -> None:
        """Wait, with a bound, until udev has finished with what was done."""

    def critical(self) -> AbstractContextManager[None]:
        """Keep memory resident: nothing may read a disk inside."""


_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Let signals that would stop the command wait: a device left suspended stops the machine instead."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


Undo = tuple[str, Callable[[], None]]


class Committer:
    """Runs the steps of one plan, once."""

    def __init__(self, store: Store, devices: Devices, *, progress: Callable[[Step], None] | None = None) -> None:
        self._store = store
        self._devices = devices
        self._progress = progress
        self._undo: list[Undo] = []
        self._interrupted = False

    def run(self, plan: Plan) -> None:
        """Carry out ``plan``.

        Raises what the failing step raised when everything was undone, and :class:`StoppedHalfway` when the
        change is committed and steps are pending.
        """
        commit_at = plan.commit_at
        before = plan.steps if commit_at is None else plan.steps[:commit_at]
        after = () if commit_at is None else plan.steps[commit_at:]
        suspends = [i for i, step in enumerate(before) if isinstance(step, Suspend)]
        if suspends:
            self._forward(before[: suspends[0]])
            # A udev worker that opens a device while it is suspended would wait for us, and we for it.
            self._guarded(self._devices.settle)
            with self._devices.critical(), _signals_held():
                self._forward(before[suspends[0] :])
                pending = self._commit(after) if after else []  # a refresh commits nothing
        elif commit_at is None:
            self._without_commit(plan)
            return
        else:
            self._forward(before)
            pending = self._commit(after)
        self._settle(pending)

    # -- before the commit ------------------------------------------------------------------------

    def _forward(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            self._guarded(lambda step=step: self._do(step))  # type: ignore[misc]

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:
            with _signals_held():
                failed = self._roll_back()
            if failed and isinstance(error, VmgrError):
                error.details = (*error.details, *failed)
            elif failed:
                what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
                raise StoppedHalfway(
                    f"{what}; not all that had been done could be undone",
                    hint="nothing is committed; mend the cause, then activate again (vgchange --refresh)",
                    details=tuple(failed),
                ) from error
            raise

    def _roll_back(self) -> list[str]:
        """Undo all that was done, last first; returns what could not be undone."""
        failed: list[str] = []
        for what, action in reversed(self._undo):
            try:
                action()
            except Exception as error:  # whatever it is: what comes after it may be a resume
                failed.append(f"could not {what}: {error}")
        try:
            self._devices.settle()
        except Exception as error:
            failed.append(str(error))
        self._undo.clear()
        return failed

    # -- from the commit on -----------------------------------------------------------------------

    def _commit(self, steps: tuple[Step, ...]) -> list[tuple[Step, str]]:
        """Run the commit and what follows; returns the steps that are pending, each with its reason."""
        first, rest = steps[0], steps[1:]
        committed = False
        try:
            with _signals_held():  # an interrupt between two areas would undo what the first of them has
                self._guarded(lambda: self._do(first))
                self._undo.clear()
                committed = True
        except KeyboardInterrupt:
            if not committed:
                raise
            self._interrupted = True
        pending: list[tuple[Step, str]] = []
        broken: set[str] = set()
        for step in rest:
            uuid = _device_of(step)
            if uuid is not None and uuid in broken and not isinstance(step, Resume):
                pending.append((step, "an earlier step for this device failed"))
                continue
            if isinstance(step, Resume) and step.fresh and uuid in broken:
                pending.append((step, "an earlier step for this device failed"))
                continue
            try:
                if isinstance(step, WipeVolume):  # may ask a question, which may be answered by an interrupt
                    self._do(step)
                else:
                    with _signals_held():
                        self._do(step)
            except KeyboardInterrupt:
                pending.append((step, "interrupted"))
            except Exception as error:  # a fault of our own must not leave the devices that follow suspended
                pending.append((step, str(error) or type(error).__name__))
                if uuid is not None:
                    broken.add(uuid)
        return [item for item in pending if not self._resumed_at_last(item[0])]

    def _resumed_at_last(self, step: Step) -> bool:
        """Try a failed resume of a suspended device once more, after all else: who uses it stands still."""
        if not isinstance(step, Resume) or step.fresh:
            return False
        try:
            with _signals_held():
                self._do(step)
        except Exception:
            return False
        return True

    def _settle(self, pending: list[tuple[Step, str]]) -> None:
        try:
            self._devices.settle()
        except VmgrError as error:
            if not pending:
                raise StoppedHalfway(
                    f"the change is committed and carried out, but {error}", hint=error.hint
                ) from error
        if self._interrupted and not pending:
            raise StoppedHalfway("interrupted, but by then the change was committed; it is carried out")
        if pending:
            raise StoppedHalfway(
                f"the change is committed, with {len(pending)} of its steps still pending",
                hint=_hint(step for step, _ in pending),
                details=tuple(f"pending: {step} ({reason})" for step, reason in pending),
            )

    def _without_commit(self, plan: Plan) -> None:
        """Activation and the like: no metadata changes; what was made is removed again on failure."""
        self._forward(plan.steps)
        self._devices.settle()

    # -- one step ---------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        if self._progress is not None:
            self._progress(step)
        store, devices = self._store, self._devices
        match step:
            case WriteText(group):
                self._undo.append(("revert the metadata", lambda: store.revert(group)))
                store.write_text(group)
            case Precommit(group):
                store.precommit(group)
            case Commit(group):
                store.commit(group)
            case RemoveText(group, pvs):
                store.remove_text(group, pvs)
            case ClearOutdated(group, pvs):
                store.clear_outdated(group, pvs)
            case MarkPvs(group, pvs, used):
                store.mark(group, pvs, used)
            case Archive(group):
                store.archive(group)
            case Backup(group, gone):
                store.backup(group, gone)
            case WriteLabel(label):
                store.write_label(label)
            case WipeLabel(path):
                store.wipe_label(path)
            case ZeroSectors(group, zero):
                store.zero(group, zero)
            case CreateDevice(device):
                devices.create(device)
                self._undo.append(
                    (f"remove {device.name}", lambda: devices.remove(device.uuid, device.name, device.link))
                )
            case LoadTable(device, fresh):
                devices.load(device)
                if not fresh:
                    self._undo.append((f"clear the table of {device.name}", lambda: devices.clear(device)))
            case Suspend(device):
                self._undo.append(
                    (f"resume {device.name}", lambda: self._back_to_old_table(device)),
                )
                devices.suspend(device)
            case Resume(device, fresh, quiet):
                devices.resume(device, fresh=fresh, quiet=quiet)
            case SendMessage(device, text, unless):
                devices.message(device, text, unless)
            case RenameDevice():
                devices.rename(step)
            case RemoveDevice(uuid, name, link):
                devices.remove(uuid, name, link)
            case WipeVolume(device, wipe):
                devices.wipe(device, wipe)
            case ShowVolume(device):
                devices.show(device)

    def _back_to_old_table(self, device: DmDevice) -> None:
        """Drop the loaded table first: a resume would swap it in."""
        self._devices.clear(device)
        self._devices.resume(device, fresh=False, quiet=False)


def _hint(pending: Iterable[Step]) -> str:
    """How what is pending is done by hand."""
    hints: dict[str, None] = {}
    for step in pending:
        match step:
            case RemoveDevice(_, name):
                hints.setdefault(f"remove the device: vmgr dm remove {name}")
            case Backup(group, gone):
                hints.setdefault(f"remove {group.name}'s backup file" if gone else f"vgcfgbackup {group.name}")
            case RemoveText() | MarkPvs():
                hints.setdefault("see how the physical volumes are marked: pvs -o+pv_in_use,vg_name")
            case WipeLabel(path):
                hints.setdefault(f"pvremove {path}")
            case _:
                hints.setdefault("activate again (vgchange --refresh, or vgchange -an and -ay)")
    return f"mend the cause, then {'; '.join(hints)}"


def _device_of(step: Step) -> str | None:
    match step:
        case CreateDevice(device) | LoadTable(device) | Suspend(device) | Resume(device):
            return device.uuid
        case SendMessage(device) | WipeVolume(device) | ShowVolume(device):
            return device.uuid
        case RenameDevice(uuid) | RemoveDevice(uuid):
            return uuid
        case _:
            return None
