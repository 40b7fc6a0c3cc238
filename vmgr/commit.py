"""Runs a plan: against the disks, the device mapper and the backup files.

Up to the commit, a failing step undoes everything before it, and the group is as it was. When the kernel refuses a
table that the commit was for, the devices get back what they had and the metadata are committed as they were; so it
is when the commit of a second group fails. After
that nothing is undone: every remaining step is tried, those that cannot succeed because an
earlier one failed excepted, and the error says what is done and what is pending.

Devices are changed by one engine (:mod:`vmgr.dm.stack`), which remembers what it did and knows the way back; when
it is to go back is decided here.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from attrs import evolve

from vmgr.core.errors import StoppedHalfway, VmgrError
from vmgr.core.steps import (
    Archive,
    Backup,
    ClearOutdated,
    ClearTable,
    Commit,
    CreateDevice,
    ImportGroup,
    LoadTable,
    MarkPvs,
    Precommit,
    RemoveDevice,
    RemoveText,
    RenameDevice,
    Resume,
    Revert,
    SendMessage,
    ShowVolume,
    Suspend,
    WipeLabel,
    WipeVolume,
    WriteLabel,
    WriteText,
    ZeroSectors,
)
from vmgr.core.tool_steps import RunTool, WaitFor

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vmgr.core.change import Change, LabelPv, Wipe
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.phases import Plan
    from vmgr.core.step import Step
    from vmgr.core.table import DmDevice
    from vmgr.core.tools import ToolRun, WaitUntil
    from vmgr.dm.stack import Fallen


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

    def commit(self, group: VolumeGroup, first: tuple[Uuid, ...] = ()) -> None:
        """Name the text in every commit slot, on ``first`` first; raise only if not one area has it."""

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
    """The device-mapper side of a machine. It remembers what it does, and can go back."""

    def create(self, device: DmDevice) -> None:
        """Make a device without a table."""

    def load(self, device: DmDevice) -> None:
        """Load its table into the inactive slot."""

    def clear(self, device: DmDevice) -> None:
        """Drop the table in the inactive slot."""

    def suspend(self, device: DmDevice) -> None:
        """Suspend it."""

    def resume(self, device: DmDevice, *, quiet: bool) -> None:
        """Resume it, swapping in a loaded table."""

    def fall_back(self, between: Callable[[], None] | None = None) -> Fallen:
        """Undo what was made, loaded, suspended and resumed; ``between`` is called while all that stands still."""

    def discard(self, uuid: str) -> None:
        """Remove a device that was made and could not be finished."""

    def keep(self) -> None:
        """What has been done so far is not undone any more."""

    def message(self, device: DmDevice, text: str, unless: str) -> None:
        """Send a message to the target at its start, unless that one's status begins with ``unless``."""

    def rename(self, device: DmDevice, old_link: tuple[str, str] | None) -> None:
        """Give a live device its new name."""

    def remove(self, uuid: str, name: str, link: tuple[str, str] | None) -> None:
        """Remove a device and its nodes."""

    def wipe(self, device: DmDevice, wipe: Wipe) -> None:
        """Wipe the start and signatures of a new volume. Raises :class:`Interrupted` if the user keeps them."""

    def show(self, device: DmDevice) -> None:
        """Show a new volume that was made quietly."""

    def run_tool(
        self,
        run: ToolRun,
        devices: Sequence[DmDevice],
        words: Callable[[Callable[[str], str]], Sequence[str]],
        subject: str,
    ) -> None:
        """Run a program on devices that are made for it, and removed again whatever comes of it."""

    def wait_until(self, device: DmDevice, until: WaitUntil) -> None:
        """Wait until the status of a device shows a state; raise what the wait says if it takes too long."""

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


class Committer:
    """Runs the steps of one plan, once."""

    def __init__(self, store: Store, devices: Devices, *, progress: Callable[[Step], None] | None = None) -> None:
        self._store = store
        self._devices = devices
        self._progress = progress
        self._undo: list[Step] = []
        self._uncommitted: set[str] = set()
        """Groups whose commit has failed after that of another."""
        self._interrupted = False

    def run(self, plan: Plan) -> None:
        """Carry out ``plan``.

        Raises what the failing step raised when everything was undone, and :class:`StoppedHalfway` when the
        change is committed and steps are pending.
        """
        phases = plan.phases
        pending: list[tuple[Step, str]] = []
        self._forward(phases.head)
        if phases.suspends:
            # A udev worker that opens a device while it is suspended would wait for us, and we for it.
            self._guarded(self._devices.settle)
            with self._devices.critical(), _signals_held():
                self._forward(phases.suspends)
                pending += self._commit(phases.commits, plan.changes)
                self._resume(phases.resumes, plan.changes, committed=bool(phases.commits))
        else:
            if phases.commits and any(step.frees for step in phases.head):
                self._guarded(self._devices.settle)  # after the commit nobody would know whose nodes are left
            pending += self._commit(phases.commits, plan.changes)
        if phases.commits:
            self._settle(pending + self._roll_forward(phases.tail))
        else:
            self._forward(phases.tail)
            self._guarded(self._devices.settle)

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
            raise self._with_remains(error, failed) from error.__cause__

    def _roll_back(self) -> list[str]:
        """Undo all that was done; returns what could not be undone."""
        failed = _remains(self._devices.fall_back()) + self._undone()
        try:
            self._devices.settle()
        except Exception as error:
            failed.append(str(error))
        return failed

    def _undone(self) -> list[str]:
        """Take the steps back that have something to undo, last first; returns what could not be undone."""
        failed: list[str] = []
        undo, self._undo = self._undo, []
        for step in reversed(undo):
            try:
                self._do(step)
            except Exception as error:
                failed.append(f"could not {step}: {error}")
        return failed

    @staticmethod
    def _with_remains(error: BaseException, failed: list[str]) -> BaseException:
        """What to raise for ``error`` after the way back, of which ``failed`` is left to be said."""
        if failed and isinstance(error, VmgrError):
            error.details = (*error.details, *failed)
            error.hint = "; ".join(filter(None, (error.hint, _REFRESH)))
        elif failed:
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
            return StoppedHalfway(
                f"{what}; not all that had been done could be undone",
                hint=f"nothing is committed; {_REFRESH}",
                details=tuple(failed),
            )
        return error

    # -- the turn ---------------------------------------------------------------------------------

    def _commit(self, steps: tuple[Step, ...], changes: tuple[Change, ...]) -> list[tuple[Step, str]]:
        """Commit; returns what of the commits is pending, each with its reason.

        The first that fails takes everything back. One that comes after another takes that back, too, where each of
        the committed groups can be written as it was; where physical volumes have changed hands, it cannot.
        """
        if not steps:
            return []
        pending: list[tuple[Step, str]] = []
        done: list[str] = []
        try:
            # An interrupt between two areas would undo what the first of them has.
            with _signals_held():
                for step in steps:
                    try:
                        if done:
                            self._do(step)
                        else:
                            self._guarded(lambda step=step: self._do(step))  # type: ignore[misc]
                    except Exception as error:
                        if not done:
                            raise
                        if all(_same_members(change) for change in changes):
                            self._go_back(error, [c for c in changes if _id(c) in done], f"could not {step}")
                        pending.append((step, str(error) or type(error).__name__))
                        self._uncommitted.add(step.group_id)
                        continue
                    done.append(step.group_id)
                    self._undo = [undo for undo in self._undo if undo.group_id != step.group_id]
        except KeyboardInterrupt:
            if not done:
                raise
            self._interrupted = True
        return pending

    def _resume(self, steps: tuple[Step, ...], changes: tuple[Change, ...], *, committed: bool) -> None:
        """Let what is suspended run, with its new tables. When the kernel refuses one, everything goes back.

        A refused table is gone, and the device below a new table may be one that this would not fit; so the devices
        get the tables that they had, and the metadata are written once more as they were, before anything runs:
        otherwise a snapshot would be described of which its origin, running again, knows nothing.
        """
        if not committed:
            self._forward(steps)
            return
        try:
            for step in steps:
                what = f"could not {step} with its new table"
                self._do(step)
        except BaseException as error:
            self._go_back(error, [change for change in changes if change.changes_metadata], what)
        self._devices.keep()

    def _go_back(self, error: BaseException, committed: list[Change], what: str) -> NoReturn:
        """Give the devices what they had, write what is ``committed`` as it was, last first, and raise.

        Raises ``error``, with ``what`` did not work among its details, or :class:`StoppedHalfway`.
        """
        failures: list[str] = []

        def take_back() -> None:
            try:
                for change in reversed(committed):
                    self._take_back(change)
            except Exception as reason:  # whatever it is: what comes after it is a resume
                failures.append(f"the metadata could not be written as they were: {reason}")

        failed = _remains(self._devices.fall_back(take_back)) + self._undone()
        self._guarded(self._devices.settle)
        if failures:
            raise StoppedHalfway(
                f"the change is committed, but its devices run on the tables that they had: {error}",
                hint="remove the cause, then activate again (vgchange --refresh)",
                details=(*failures, *failed),
            ) from error
        if isinstance(error, VmgrError) and not failed:
            error.details = (
                *error.details,
                f"{what}: all devices have the tables that they had, and the metadata are written as they were",
            )
        raise self._with_remains(error, failed) from error.__cause__

    def _take_back(self, change: Change) -> None:
        """Commit the group as it was before the change."""
        before, after = change.before, change.after
        if before is None or after is None or not _same_members(change):
            raise VmgrError("the group's physical volumes have changed, too")
        before = evolve(before, seqno=after.seqno + 1)
        self._store.write_text(before)
        self._store.precommit(before)
        self._store.commit(before)
        self._store.backup(before, False)

    # -- from the commit on -----------------------------------------------------------------------

    def _roll_forward(self, steps: tuple[Step, ...]) -> list[tuple[Step, str]]:
        """Run steps that follow a commit; returns those that are pending, each with its reason."""
        pending: list[tuple[Step, str]] = []
        broken: set[str] = set()
        for step in steps:
            uuid = step.device_uuid
            if uuid in broken:
                pending.append((step, "an earlier step for this device failed"))
                continue
            if isinstance(step, CreateDevice) and not broken.isdisjoint(step.device.needs()):
                # Made all the same it might be of something else: a thin volume of whatever has that number.
                pending.append((step, "a step for a device that it lies on failed"))
                broken.add(uuid)
                continue
            if not self._uncommitted.isdisjoint(step.waits_for):
                pending.append((step, "what it depends on is not committed"))
                continue
            try:
                if step.interruptible:
                    self._do(step)
                else:
                    with _signals_held():
                        self._do(step)
            except KeyboardInterrupt:
                pending.append((step, "interrupted"))
            except Exception as error:  # a fault of our own must not keep what follows from being done
                pending.append((step, str(error) or type(error).__name__))
                if uuid:
                    broken.add(uuid)
                if step.builds:
                    self._discard(uuid)
        return pending

    def _discard(self, uuid: str) -> None:
        """Leave no device half made."""
        try:
            self._devices.discard(uuid)
        except Exception:  # it is pending, and the next command looks after it
            return

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
            halfway = StoppedHalfway(
                f"the change is committed, with {len(pending)} of its steps still pending",
                hint=_hint(step for step, _ in pending),
                details=tuple(f"pending: {step} ({reason})" for step, reason in pending),
            )
            halfway.unsent = tuple(step.device_uuid for step, _ in pending if isinstance(step, SendMessage))
            raise halfway

    # -- one step ---------------------------------------------------------------------------------

    def _do(self, step: Step) -> None:
        if self._progress is not None:
            self._progress(step)
        if step.undo is not None:
            self._undo.append(step.undo)  # before the step: one that fails may have been done in part
        store, devices = self._store, self._devices
        match step:
            case WriteText(group):
                store.write_text(group)
            case Precommit(group):
                store.precommit(group)
            case Commit(group, first):
                store.commit(group, first)
            case ImportGroup(group):
                self._import(group)
            case Revert(group):
                store.revert(group)
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
            case LoadTable(device):
                devices.load(device)
            case ClearTable(device):
                devices.clear(device)
            case Suspend(device):
                devices.suspend(device)
            case Resume(device, _, quiet):
                devices.resume(device, quiet=quiet)
            case SendMessage(device, text, unless):
                devices.message(device, text, unless)
            case RenameDevice(device, _, old_link):
                devices.rename(device, old_link)
            case RemoveDevice(uuid, name, link):
                devices.remove(uuid, name, link)
            case WipeVolume(device, wipe):
                devices.wipe(device, wipe)
            case ShowVolume(device):
                devices.show(device)
            case RunTool(run, made, _, subject):
                devices.run_tool(run, made, step.words, subject)
            case WaitFor(device, until):
                devices.wait_until(device, until)
            case _:
                raise NotImplementedError(f"no way to {step}")

    def _import(self, group: VolumeGroup) -> None:
        store = self._store
        try:
            store.write_text(group)
            store.precommit(group)
        except BaseException:
            store.revert(group)
            raise
        store.commit(group)


def _same_members(change: Change) -> bool:
    """Whether a group is there before and after a change, with the same physical volumes."""
    before, after = change.before, change.after
    return before is not None and after is not None and before.pv_by_id.keys() == after.pv_by_id.keys()


def _id(change: Change) -> str:
    group = change.after or change.before
    return group.id if group is not None else ""


_REFRESH = "remove the cause, then vgchange --refresh puts the devices in order"


def _remains(fallen: Fallen) -> list[str]:
    """What a way back could not undo, in words."""
    lines = [
        f"{name} is left suspended: what lies below it is not what it was made for (vmgr dm info {name})"
        for name in fallen.suspended
    ]
    lines += [f"{name} keeps its new table" for name in fallen.done]
    lines += [f"{name} could not be removed again (vmgr dm remove {name})" for name in fallen.kept]
    return lines


def _hint(pending: Iterable[Step]) -> str:
    """How what is pending is done by hand."""
    hints = dict.fromkeys(filter(None, (step.hint for step in pending)))
    return f"remove the cause, then {'; '.join(hints)}" if hints else ""
