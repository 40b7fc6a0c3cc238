"""One change of a stack as it goes along: what was saved, loaded and suspended, and the way back.

What :mod:`vmgr.dm.stack` is made of, which says what is promised. Every step that undoes another is tried more than
once, because nothing is left to be tried after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

from vmgr.core.errors import KernelError, VmgrError
from vmgr.dm import abi
from vmgr.dm.address import devices_in
from vmgr.dm.failure import DmNotFound
from vmgr.dm.tree import DeviceTree, Numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vmgr.core.table import KernelLine, LiveDevice
    from vmgr.dm.address import Dev
    from vmgr.dm.client import DmClient
    from vmgr.dm.tree import TreeNode

_T = TypeVar("_T")

_TRIES = 3
"""How often a step is tried that undoes another: nothing else is left to try then."""


class TableChange(NamedTuple):
    """A table that a device shall have. ``secure``: there is a key in it.

    ``after`` are devices that must run again before this one does although its table does not refer to them: an
    origin's snapshots. ``udev_flags`` (``abi.UDEV_*``) go with its resume.
    """

    dev: Dev
    lines: Sequence[KernelLine]
    read_only: bool = False
    secure: bool = False
    after: tuple[Dev, ...] = ()
    udev_flags: int = 0


class StackError(KernelError):
    """A step failed; everything that could be set right again has been.

    ``done`` and ``undone`` are the names of the devices with which all went well, or not (yet). ``suspended`` are
    those that had to be left suspended, or may be, nearly always none. ``__cause__`` is what failed.
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


class _Saved(NamedTuple):
    """A table that may have to be put back."""

    lines: tuple[KernelLine, ...]
    read_only: bool


def _firmly(step: Callable[[], _T]) -> _T:
    """Take a step that undoes another; what the kernel refuses once it may not refuse again."""
    for _ in range(_TRIES - 1):
        try:
            return step()
        except VmgrError:
            continue
    return step()


class StackWork:
    """One change of a stack: ``order`` is what it is about, from the bottom up.

    ``tree`` has what the live tables refer to, ``refers`` what the new ones do.
    """

    def __init__(
        self,
        client: DmClient,
        tree: DeviceTree,
        order: Sequence[TreeNode],
        changes: Mapping[Numbers, TableChange] | None = None,
        refers: Mapping[Numbers, Sequence[Numbers]] | None = None,
    ) -> None:
        self._client = client
        self._tree = tree
        self._order: dict[Numbers, LiveDevice] = {n.numbers: n.device for n in order if n.device is not None}
        self._changes = changes or {}
        self._refers = refers or {}
        self._before = {numbers for numbers, device in self._order.items() if device.suspended}
        self._loaded: dict[Numbers, _Saved | None] = {}
        self._live: dict[Numbers, _Saved] = {}
        self.suspended: list[LiveDevice] = []

    @classmethod
    def of_changes(cls, client: DmClient, changes: tuple[TableChange, ...]) -> StackWork:
        """The changed devices and all that lies on them, ordered by what old and new tables refer to."""
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
        return cls(client, tree, [node for node in order if node.device is not None], by_numbers, refers)

    # -- before anything is suspended ------------------------------------------------------------------

    def note_suspended(self) -> None:
        """What is suspended already counts as suspended by this work: it is to be resumed."""
        self.suspended = [self._order[numbers] for numbers in reversed(self._order) if numbers in self._before]
        self._before = set()

    def refuse_strangers(self) -> None:
        """A table that somebody else left waiting would become live with a resume: not on our account."""
        for numbers, device in self._order.items():
            if device.has_inactive and numbers not in self._changes:
                raise StackError(
                    f"{device.name} has a table waiting, which a resume would make live",
                    undone=(d.name for d in self._order.values()),
                    hint="resume it first, or drop its waiting table",
                )

    def save_live(self) -> None:
        """Keep the live tables that are about to be replaced."""
        for numbers, device in self._order.items():
            if device.has_live and (numbers in self._changes or device.has_inactive):
                self._live[numbers] = _Saved(self._client.table(device), device.read_only)

    def load(self) -> None:
        """Load the new tables. When one is refused, those loaded before are taken back."""
        done = []
        try:
            for numbers, device in self._order.items():
                change = self._changes.get(numbers)
                if change is None:
                    continue
                self._loaded[numbers] = self._waiting(device) if device.has_inactive else None
                self._client.load(device, change.lines, read_only=change.read_only, secure=change.secure)
                done.append(device.name)
        except BaseException as error:
            self.unload()
            if isinstance(error, VmgrError):
                undone = (d.name for n, d in self._order.items() if n in self._changes)
                raise StackError(error.message, undone=undone, cause=error) from error
            raise

    def loaded_devices(self) -> tuple[LiveDevice, ...]:
        """Those that got a table, in order."""
        return tuple(self._order[numbers] for numbers in self._loaded)

    def unload(self) -> None:
        """Let every inactive slot hold what it held."""
        while self._loaded:
            numbers, saved = self._loaded.popitem()
            self._put_waiting(self._order[numbers], saved)

    def _waiting(self, device: LiveDevice) -> _Saved:
        found = self._client.info(major_minor=(device.major, device.minor), table=True, inactive=True)
        if found is None or found.table is None:
            return _Saved((), False)
        return _Saved(found.table, found.read_only)

    def _put_waiting(self, device: LiveDevice, saved: _Saved | None) -> None:
        try:
            if saved is not None and saved.lines:
                _firmly(lambda: self._client.load(device, saved.lines, read_only=saved.read_only))
            else:
                _firmly(lambda: self._client.clear(device))
        except DmNotFound:
            pass
        except VmgrError as error:
            self._client.warn(f"{error.message}; a table that is not wanted may still wait in {device.name}")

    # -- between suspend and resume ----------------------------------------------------------------------

    def suspend(self, *, flush: bool, freeze: bool) -> None:
        """Suspend from the top down; on failure nothing is, and no new table waits."""
        try:
            for numbers, device in reversed(self._order.items()):
                if numbers not in self._before and device.has_live:
                    self.suspended.append(device)  # before, because one that fails may be suspended all the same
                    self._client.suspend(device, flush=flush, freeze=freeze)
        except BaseException as error:
            self.unload()
            left = self.resume_as_before()
            if isinstance(error, VmgrError):
                undone = (d.name for d in self._order.values())
                raise StackError(error.message, undone=undone, suspended=left, cause=error) from error
            raise

    def resume(self) -> tuple[LiveDevice, ...]:
        """Resume from the bottom up, with the tables that wait; on failure nothing has changed."""
        ours = {(device.major, device.minor) for device in self.suspended}
        order = [n for n, d in self._order.items() if n in ours or n in self._changes or d.has_inactive]
        resumed: dict[Numbers, LiveDevice] = {}
        try:
            for numbers in order:
                device = self._order[numbers]
                if numbers not in self._live:
                    self._save_if_replaced(numbers, device)
                resumed[numbers] = self._client.resume(device, udev_flags=self._udev_flags(numbers))
        except BaseException as error:
            done, left = self._fall_back(order, list(resumed))
            if isinstance(error, VmgrError):
                undone = [self._order[n].name for n in order if self._order[n].name not in done]
                hint = "" if not left else "load the right tables, then resume these, lowest first"
                raise StackError(
                    error.message, done=done, undone=undone, suspended=left, hint=hint, cause=error
                ) from error
            raise
        self._loaded.clear()
        self.suspended.clear()
        return tuple(resumed.values())

    def resume_as_before(self, *, drop_new: bool = False) -> list[str]:
        """Resume what was suspended, from the bottom up, on the tables that are live; what could not be.

        Waiting tables go on waiting; ``drop_new``: only those that waited before all this.
        """
        left = []
        with self._client.transaction():
            while self.suspended:
                device = self.suspended.pop()
                if not self._wake(device, keep_waiting=not drop_new or device.has_inactive):
                    left.append(device.name)
        return left

    def _udev_flags(self, numbers: Numbers) -> int:
        change = self._changes.get(numbers)
        return change.udev_flags if change is not None else 0

    def _save_if_replaced(self, numbers: Numbers, device: LiveDevice) -> None:
        now = self._client.info(major_minor=numbers)
        if now is not None and now.has_inactive and now.has_live:
            self._live[numbers] = _Saved(self._client.table(device), now.read_only)

    def _wake(self, device: LiveDevice, *, keep_waiting: bool) -> bool:
        """Let a device run on its live table; False when it cannot be."""
        numbers = device.major, device.minor
        saved = None
        try:
            now = _firmly(lambda: self._client.info(major_minor=numbers))
            if now is None or not now.suspended or not now.has_live:
                return True
            if now.has_inactive:
                saved = _firmly(lambda: self._waiting(device)) if keep_waiting else None
                _firmly(lambda: self._client.clear(device))
            _firmly(lambda: self._client.resume(device, udev_flags=self._udev_flags(numbers)))
        except DmNotFound:
            return True
        except VmgrError as error:
            self._client.warn(f"{error.message}; it is left suspended")
            return False
        if saved is not None:
            self._put_waiting(device, saved)
        return True

    # -- after a refused resume ----------------------------------------------------------------------------

    def _fall_back(self, order: list[Numbers], resumed: list[Numbers]) -> tuple[list[str], list[str]]:
        """Give back the earlier tables and resume everything.

        Names of what has its new table all the same, and of what is left suspended because of that.
        """
        rest = [numbers for numbers in order if numbers not in resumed]
        for numbers in rest:
            self._put_waiting(self._order[numbers], None)
        replaced = [numbers for numbers in resumed if numbers in self._live]
        new = set(replaced)
        # All of them first: a new table must not run on an old one even for a moment.
        if all(self._hold(self._order[numbers]) for numbers in reversed(replaced)):
            for numbers in replaced:
                others = new - {numbers}
                if others.isdisjoint(self._below(numbers, others)) and self._put_back(numbers):
                    new.remove(numbers)
        left = []
        for numbers in order:
            if numbers not in new and (numbers in resumed or numbers in self._before):
                continue
            device = self._order[numbers]
            if self._is_mixed(numbers, new) or not self._wake(device, keep_waiting=False):
                left.append(device.name)
        for numbers, saved in self._loaded.items():
            if saved is not None:
                self._put_waiting(self._order[numbers], saved)
        self._loaded.clear()
        self.suspended.clear()
        # What had no table before cannot be without one again; nothing that was live lies on it.
        first = {numbers for numbers in resumed if not self._order[numbers].has_live}
        return [self._order[numbers].name for numbers in order if numbers in new | first], left

    def _below(self, numbers: Numbers, new: set[Numbers]) -> set[Numbers]:
        """A device and what it lies on, where those in ``new`` have their new tables."""
        seen: set[Numbers] = set()
        todo = [numbers]
        while todo:
            numbers = todo.pop()
            if numbers not in seen and numbers in self._tree:
                seen.add(numbers)
                todo += (
                    self._refers[numbers]
                    if numbers in new and numbers in self._refers
                    else self._tree[numbers].uses
                )
        return seen

    def _is_mixed(self, numbers: Numbers, new: set[Numbers]) -> bool:
        """Whether new and earlier tables come together below a device, so that it would reach the wrong data."""
        involved = self._below(numbers, new) & self._live.keys()
        return not involved.isdisjoint(new) and not involved <= new

    def _hold(self, device: LiveDevice) -> bool:
        return self._quietly(lambda: self._client.suspend(device))

    def _put_back(self, numbers: Numbers) -> bool:
        """Give a device its earlier table; otherwise it stays suspended on the new one."""
        device, old = self._order[numbers], self._live[numbers]
        done = self._quietly(
            lambda: self._client.load(device, old.lines, read_only=old.read_only)
        ) and self._quietly(lambda: self._client.resume(device, udev_flags=self._udev_flags(numbers)))
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
