"""One change of a stack in progress: its steps, the state before each, and how to undo them.

The functions of :mod:`vmgr.dm.stack` are built from this, and their documentation states the guarantees. The volume
manager's committer takes the steps one by one. A step that undoes another is tried more than once, because there
is no further way to recover.

If the kernel refuses a resume, it drops the new table and leaves the device suspended on the old one (``do_resume``
in ``drivers/md/dm-ioctl.c``); or, if only a target's own preparation failed, on the new one. A second resume would
then succeed, with whichever table that is. So a failed resume is never repeated: :meth:`StackChange.fall_back`
finds out which table is live and gives every device its earlier table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vmgr.core.errors import KernelError, VmgrError
from vmgr.dm import abi
from vmgr.dm.address import by_name, by_uuid, devices_in
from vmgr.dm.failure import DmNotFound, NodeError
from vmgr.dm.tree import DeviceTree, Numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vmgr.core.table import KernelLine, LiveDevice
    from vmgr.dm.address import Dev
    from vmgr.dm.client import DmClient
    from vmgr.dm.tree import TreeNode

_T = TypeVar("_T")

_TRIES = 3
"""How often to try a step that undoes another."""


class TableChange(NamedTuple):
    """A new table for a device. ``secure``: the table holds a key.

    ``after`` are devices that must be resumed before this one although its table does not refer to them, such as an
    origin's snapshots. ``udev_flags`` (``abi.UDEV_*``) are for its resume.
    """

    dev: Dev
    lines: Sequence[KernelLine]
    read_only: bool = False
    secure: bool = False
    after: tuple[Dev, ...] = ()
    udev_flags: int = 0


class StackError(KernelError):
    """A step failed, and everything that could be restored is restored.

    ``done`` and ``undone`` name the devices whose change is complete, and those whose change is not. ``suspended``
    are those that had to stay suspended, or may be suspended; nearly always none. ``__cause__`` is the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        done: Iterable[str] = (),
        undone: Iterable[str] = (),
        suspended: Iterable[str] = (),
        hint: str = "",
        cause: VmgrError | None = None,
    ) -> None:
        self.done, self.undone, self.suspended = tuple(done), tuple(undone), tuple(suspended)
        details = [
            f"{words}: {', '.join(names)}"
            for words, names in (
                ("done", self.done),
                ("not done", self.undone),
                ("left suspended", self.suspended),
            )
            if names
        ]
        if cause is not None:
            self.code = cause.code
            hint = hint or cause.hint
            details = [*cause.details, *details]
        super().__init__(message, hint=hint, details=tuple(details))


class Fallen(NamedTuple):
    """The result of undoing a change, in names of devices.

    ``done`` still have their new tables. ``suspended`` had to stay suspended: they would reach the wrong
    data, or could not be resumed. ``kept`` are new devices that could not be removed.
    """

    done: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


class _Saved(NamedTuple):
    """A table that may have to be restored."""

    lines: tuple[KernelLine, ...]
    read_only: bool


def _firmly(step: Callable[[], _T]) -> _T:
    """Take a step that undoes another. Try again on failure, because the kernel may not refuse it twice."""
    for _ in range(_TRIES - 1):
        try:
            return step()
        except VmgrError:
            continue
    return step()


def _numbers(device: LiveDevice) -> Numbers:
    return device.major, device.minor


class StackChange:
    """One change of a stack. The order of its devices is the order in which they are added: from the bottom up.

    :meth:`create`, :meth:`load`, :meth:`suspend` and :meth:`resume` take one step each and raise the kernel's
    error. :meth:`fall_back` undoes all steps so far; :meth:`keep` makes them permanent.
    The ``*_all`` methods take a step for all devices at once, and undo it themselves if it fails.
    """

    def __init__(
        self,
        client: DmClient,
        order: Sequence[TreeNode] = (),
        tree: DeviceTree | None = None,
        changes: Mapping[Numbers, TableChange] | None = None,
        refers: Mapping[Numbers, Sequence[Numbers]] | None = None,
    ) -> None:
        """``order``: the devices. ``tree`` has the references of live tables, ``refers`` those of new tables."""
        self._client = client
        self._order: dict[Numbers, LiveDevice] = {n.numbers: n.device for n in order if n.device is not None}
        self._uses: dict[Numbers, Sequence[Numbers]] = {n.numbers: n.uses for n in tree.nodes} if tree else {}
        self._changes = changes or {}
        self._refers = dict(refers or {})
        self._before = {numbers for numbers, device in self._order.items() if device.suspended}
        self._how: dict[Numbers, dict[str, Any]] = {
            numbers: {"udev_flags": change.udev_flags} for numbers, change in self._changes.items()
        }
        self._made: set[Numbers] = set()
        self._loaded: dict[Numbers, _Saved | None] = {}
        self._found: dict[Numbers, _Saved] = {}
        self._live: dict[Numbers, _Saved] = {}
        self._resumed: list[Numbers] = []
        self._trying: Numbers | None = None
        self._named: dict[Dev, Numbers] = {}
        self.suspended: list[LiveDevice] = []

    @classmethod
    def of_changes(cls, client: DmClient, changes: tuple[TableChange, ...]) -> StackChange:
        """The changed devices and the devices above them, ordered by the references of old and new tables."""
        tree = DeviceTree.read(client, sys="")
        by_numbers = {tree[change.dev].numbers: change for change in changes}
        refers = {
            numbers: [abi.major_minor(dev) for dev in devices_in(change.lines)]
            for numbers, change in by_numbers.items()
        }
        after = {
            numbers: [*refers[numbers], *(tree[dev].numbers for dev in change.after)]
            for numbers, change in by_numbers.items()
        }
        order = tree.ordered(tree.above(*by_numbers), after)
        return cls(client, [node for node in order if node.device is not None], tree, by_numbers, refers)

    # -- one step ----------------------------------------------------------------------------------------

    def create(self, name: str, uuid: str = "", *, numbers: tuple[int, int] | None = None) -> LiveDevice:
        """Make a device without a table. :meth:`fall_back` removes it."""
        device = self._client.create(name, uuid, numbers=numbers)
        self._order[_numbers(device)] = device
        self._named[by_uuid(uuid) if uuid else by_name(name)] = _numbers(device)
        self._made.add(_numbers(device))
        return device

    def load(self, dev: Dev, lines: Sequence[KernelLine], *, read_only: bool = False, secure: bool = False) -> None:
        """Load a table into the inactive slot. A table that was there before never becomes live in this change."""
        numbers = self._know(dev)
        self._refers[numbers] = [abi.major_minor(number) for number in devices_in(lines)]
        if numbers in self._found:
            self._live[numbers] = self._found[numbers]
        self._load(numbers, lines, read_only=read_only, secure=secure)

    def clear(self, dev: Dev) -> None:
        """Drop the table in the inactive slot. :meth:`fall_back` restores it."""
        numbers = self._know(dev)
        device = self._order[numbers]
        if device.has_inactive and numbers not in self._loaded:
            self._loaded[numbers] = self._waiting(device)
        self._client.clear(device)

    def suspend(self, dev: Dev, *, flush: bool = True, freeze: bool = True) -> LiveDevice:
        """Hold back a device's input and output."""
        return self._suspend(self._know(dev), flush=flush, freeze=freeze)

    def resume(self, dev: Dev, **how: Any) -> LiveDevice:
        """Resume a device with the loaded table; ``how`` as in :meth:`DmClient.resume`.

        Later resumes of the device in this change use the same ``how``.
        """
        numbers = self._know(dev)
        self._how[numbers] = how
        return self._resume(numbers)

    def discard(self, dev: Dev, *, retry: float = 0) -> None:
        """Remove a device that this change made and could not finish. Any other device stays as it is."""
        numbers = self._named.get(dev)
        if numbers in self._made:
            self._client.remove(self._order[numbers], link=self._how.get(numbers, {}).get("link"), retry=retry)
            self._made.discard(numbers)
            self._resumed = [other for other in self._resumed if other != numbers]
            for known in (self._order, self._loaded, self._found, self._live):
                known.pop(numbers, None)  # there is nothing left to go back to
            del self._named[dev]

    def keep(self) -> None:
        """Make the steps so far permanent, whatever happens later."""
        for each in (self._loaded, self._found, self._live, self._order, self._made, self._resumed, self.suspended):
            each.clear()

    def _know(self, dev: Dev) -> Numbers:
        """The numbers of a device. Adds the device, in its present state, to this change."""
        numbers = self._named.get(dev)
        if numbers is None or numbers not in self._order:
            device = self._client.device(dev)
            numbers = self._named[dev] = _numbers(device)
            if numbers not in self._order:
                self._order[numbers] = device
                self._uses[numbers] = [abi.major_minor(number) for number in devices_in(device.table or ())]
                if device.has_live:
                    self._found[numbers] = _Saved(device.table or (), device.read_only)
                if device.suspended:
                    self._before.add(numbers)
        return numbers

    def _load(self, numbers: Numbers, lines: Sequence[KernelLine], *, read_only: bool, secure: bool) -> None:
        device = self._order[numbers]
        if numbers not in self._loaded:
            self._loaded[numbers] = self._waiting(device) if device.has_inactive else None
        if device.has_inactive:
            # A live target may hold something that the new table needs (an exception store has one reader).
            self._client.clear(device)
        self._client.load(device, lines, read_only=read_only, secure=secure)

    def _suspend(self, numbers: Numbers, *, flush: bool, freeze: bool) -> LiveDevice:
        device = self._order[numbers]
        if numbers not in self._before:
            self.suspended.append(device)  # first, because the device may be suspended even if the command fails
        return self._client.suspend(device, flush=flush, freeze=freeze)

    def _resume(self, numbers: Numbers) -> LiveDevice:
        self._trying = numbers
        try:
            device = self._client.resume(self._order[numbers], **self._how.get(numbers, {}))
        except NodeError:  # the kernel has done its part
            self._trying = None
            self._resumed.append(numbers)
            raise
        self._trying = None
        self._resumed.append(numbers)
        return device

    # -- before anything is suspended ------------------------------------------------------------------

    def note_suspended(self) -> None:
        """Treat devices that are already suspended as suspended by this change, so that it resumes them."""
        self.suspended = [self._order[numbers] for numbers in reversed(self._order) if numbers in self._before]
        self._before = set()

    def refuse_strangers(self) -> None:
        """Refuse devices with another program's table in the inactive slot: a resume would make it live."""
        for numbers, device in self._order.items():
            if device.has_inactive and numbers not in self._changes:
                raise StackError(
                    f"{device.name} has an inactive table, which a resume would make live",
                    undone=(d.name for d in self._order.values()),
                    hint="resume the device first, or drop that table with `vmgr dm clear`",
                )

    def save_live(self) -> None:
        """Save the live tables that are about to be replaced."""
        for numbers, device in self._order.items():
            if device.has_live and (numbers in self._changes or device.has_inactive):
                self._live[numbers] = _Saved(self._client.table(device), device.read_only)

    def load_all(self) -> None:
        """Load the new tables. If one is refused, unload those before it."""
        try:
            for numbers in self._order:
                change = self._changes.get(numbers)
                if change is not None:
                    self._load(numbers, change.lines, read_only=change.read_only, secure=change.secure)
        except BaseException as error:
            self.unload()
            if isinstance(error, VmgrError):
                undone = (d.name for n, d in self._order.items() if n in self._changes)
                raise StackError(error.message, undone=undone, cause=error) from error
            raise

    def loaded_devices(self) -> tuple[LiveDevice, ...]:
        """The devices that got a table, in order."""
        return tuple(self._order[numbers] for numbers in self._loaded)

    def unload(self) -> None:
        """Restore every inactive slot."""
        while self._loaded:
            numbers, saved = self._loaded.popitem()
            self._put_waiting(self._order[numbers], saved)

    def _waiting(self, device: LiveDevice) -> _Saved:
        found = self._client.info(major_minor=_numbers(device), table=True, inactive=True)
        if found is None or found.table is None:
            return _Saved((), False)
        return _Saved(found.table, found.read_only)

    def _put_waiting(self, device: LiveDevice, saved: _Saved | None) -> None:
        try:
            _firmly(lambda: self._client.clear(device))
            if saved is not None and saved.lines:
                _firmly(lambda: self._client.load(device, saved.lines, read_only=saved.read_only))
        except DmNotFound:
            pass
        except VmgrError as error:
            self._client.warn(f"{error.message}; {device.name} may still have an unwanted inactive table")

    # -- between suspend and resume ----------------------------------------------------------------------

    def suspend_all(self, *, flush: bool, freeze: bool) -> None:
        """Suspend from the top down. After a failure, nothing is suspended and no new table is loaded."""
        try:
            for numbers, device in reversed(self._order.items()):
                if numbers not in self._before and device.has_live:
                    self._suspend(numbers, flush=flush, freeze=freeze)
        except BaseException as error:
            self.unload()
            left = self.resume_as_before()
            if isinstance(error, VmgrError):
                undone = (d.name for d in self._order.values())
                raise StackError(error.message, undone=undone, suspended=left, cause=error) from error
            raise

    def resume_all(self) -> tuple[LiveDevice, ...]:
        """Resume from the bottom up, with the inactive tables. After a failure, all devices are as before."""
        ours = {_numbers(device) for device in self.suspended}
        order = [n for n, d in self._order.items() if n in ours or n in self._changes or d.has_inactive]
        names = [self._order[numbers].name for numbers in order]
        resumed: list[LiveDevice] = []
        try:
            for numbers in order:
                if numbers not in self._live:
                    self._save_if_replaced(numbers, self._order[numbers])
                resumed.append(self._resume(numbers))
        except BaseException as error:
            done, left, _ = self.fall_back()
            if isinstance(error, VmgrError):
                undone = [name for name in names if name not in done]
                hint = "" if not left else "load the right tables, then resume these, lowest first"
                raise StackError(
                    error.message, done=done, undone=undone, suspended=left, hint=hint, cause=error
                ) from error
            raise
        self._loaded.clear()
        self.suspended.clear()
        return tuple(resumed)

    def resume_as_before(self, *, drop_new: bool = False) -> list[str]:
        """Resume the suspended devices on their live tables, from the bottom up. Return those that failed.

        Inactive tables stay; with ``drop_new``, only those that were there before the change.
        """
        left = []
        with self._client.transaction():
            while self.suspended:
                device = self.suspended.pop()
                if not self._wake(device, keep_waiting=not drop_new or device.has_inactive):
                    left.append(device.name)
        return left

    def _save_if_replaced(self, numbers: Numbers, device: LiveDevice) -> None:
        now = self._client.info(major_minor=numbers)
        if now is not None and now.has_inactive and now.has_live:
            self._live[numbers] = _Saved(self._client.table(device), now.read_only)

    def _wake(self, device: LiveDevice, *, keep_waiting: bool) -> bool:
        """Resume a device on its live table; False if that fails."""
        numbers = _numbers(device)
        saved = None
        try:
            now = _firmly(lambda: self._client.info(major_minor=numbers))
            if now is None or not now.suspended or not now.has_live:
                return True
            if now.has_inactive:
                saved = _firmly(lambda: self._waiting(device)) if keep_waiting else None
                _firmly(lambda: self._client.clear(device))
            _firmly(lambda: self._client.resume(device, **self._how.get(numbers, {})))
        except DmNotFound:
            return True
        except VmgrError as error:
            self._client.warn(f"{error.message}; it is left suspended")
            return False
        if saved is not None:
            self._put_waiting(device, saved)
        return True

    # -- the way back --------------------------------------------------------------------------------------

    def fall_back(self, between: Callable[[], None] | None = None, *, retry: float = 0) -> Fallen:
        """Undo the change: drop inactive tables, restore the earlier tables, resume everything, remove new devices.

        ``between`` is called when all devices with a new table are suspended again, before any is resumed.
        ``retry``: seconds in which to retry the removal of a busy new device.
        """
        order = list(self._order)
        refused, self._trying = self._trying, None
        resumed = self._resumed
        if refused is not None and self._has_swapped(refused):
            resumed.append(refused)
        for numbers in order:
            if numbers not in resumed and numbers in self._loaded:
                self._put_waiting(self._order[numbers], None)
        replaced = [numbers for numbers in order if numbers in resumed and numbers in self._live]
        new = set(replaced)
        # All of them first: a new table must not run on an old one even for a moment.
        held = all(self._hold(self._order[numbers]) for numbers in reversed(replaced))
        if between is not None:
            between()
        if held:
            for numbers in replaced:
                others = new - {numbers}
                if others.isdisjoint(self._below(numbers, others)) and self._put_back(numbers):
                    new.remove(numbers)
        left = []
        for numbers in order:
            if numbers in self._made or (numbers not in new and (numbers in resumed or numbers in self._before)):
                continue
            device = self._order[numbers]
            # One that got its new table keeps it: what lies on it may have its own, and would not fit the old one.
            if self._is_mixed(numbers, new) or not (
                self._wake(device, keep_waiting=False)
                or (numbers in self._live and numbers not in new and self._put_back(numbers))
            ):
                left.append(device.name)
        for numbers, saved in self._loaded.items():
            if saved is not None and numbers not in self._made:
                self._put_waiting(self._order[numbers], saved)
        kept = self._remove_made(retry)
        # A device that had no table cannot lose its new one; no device that was live lies on it.
        first = {n for n in resumed if not self._order[n].has_live and (n not in self._made or n in kept)}
        fallen = Fallen(
            tuple(self._order[numbers].name for numbers in order if numbers in new | first),
            tuple(left),
            tuple(self._order[numbers].name for numbers in kept),
        )
        self._made.clear()
        self.keep()
        return fallen

    def _remove_made(self, retry: float) -> list[Numbers]:
        """Remove the devices that this change made, from the top down. Return those that could not be removed."""
        kept = []
        for numbers in reversed([numbers for numbers in self._order if numbers in self._made]):
            device = self._order[numbers]
            try:
                self._client.remove(device, link=self._how.get(numbers, {}).get("link"), retry=retry)
            except DmNotFound:
                pass
            except VmgrError as error:
                self._client.warn(error.message)
                kept.append(numbers)
        return kept

    def _has_swapped(self, numbers: Numbers) -> bool:
        """Whether a refused resume left the new table live: the kernel accepted it, but its start failed."""
        try:
            now = self._client.info(major_minor=numbers, table=True)
        except VmgrError:
            return False
        if now is None or now.has_inactive or not now.has_live:
            return False
        old = self._live.get(numbers)
        return not self._order[numbers].has_live if old is None else old.lines != now.table

    def _below(self, numbers: Numbers, new: set[Numbers]) -> set[Numbers]:
        """A device and the devices below it, if those in ``new`` have their new tables."""
        seen: set[Numbers] = set()
        todo = [numbers]
        while todo:
            numbers = todo.pop()
            if numbers not in seen and numbers in self._uses:
                seen.add(numbers)
                todo += self._refers[numbers] if numbers in new and numbers in self._refers else self._uses[numbers]
        return seen

    def _is_mixed(self, numbers: Numbers, new: set[Numbers]) -> bool:
        """Whether there are both new and earlier tables below a device, so that it would reach the wrong data."""
        involved = self._below(numbers, new) & self._live.keys()
        return not involved.isdisjoint(new) and not involved <= new

    def _hold(self, device: LiveDevice) -> bool:
        return self._quietly(lambda: self._client.suspend(device))

    def _put_back(self, numbers: Numbers) -> bool:
        """Restore a device's earlier table. On failure it stays suspended on the new one."""
        device, old = self._order[numbers], self._live[numbers]
        done = self._quietly(
            lambda: self._client.load(device, old.lines, read_only=old.read_only)
        ) and self._quietly(lambda: self._client.resume(device, **self._how.get(numbers, {})))
        if not done:
            self._put_waiting(device, None)
        elif numbers in self._before:
            self._hold(device)
        return done

    def _quietly(self, step: Callable[[], object]) -> bool:
        try:
            _firmly(step)
        except VmgrError as error:
            self._client.warn(error.message)
            return False
        return True
