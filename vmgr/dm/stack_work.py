"""One change of a stack as it goes along: each step, what was before it, and the way back.

What :mod:`vmgr.dm.stack` is made of, which says what is promised; the volume manager's committer takes the steps
one by one. Every step that undoes another is tried more than once, because nothing is left to be tried after it.

A resume that the kernel refuses drops the new table and leaves the device suspended on the old one (``do_resume``
in ``drivers/md/dm-ioctl.c``); or, if only a target's own preparation failed, on the new one. A second resume would
then succeed, with whichever table that is. So a failed resume is never repeated: :meth:`StackWork.fall_back` finds
out what is live and gives every device the table that it had.
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


class Fallen(NamedTuple):
    """How a way back ended, in names of devices.

    ``done`` have their new tables all the same. ``suspended`` had to be left suspended: they would reach the wrong
    data, or could not be resumed. ``kept`` were made and could not be removed again.
    """

    done: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


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


def _numbers(device: LiveDevice) -> Numbers:
    return device.major, device.minor


class StackWork:
    """One change of a stack. Devices are known in the order in which they come in: from the bottom up.

    :meth:`create`, :meth:`load`, :meth:`suspend` and :meth:`resume` take one step each and raise what the kernel
    says to it; :meth:`fall_back` is the way back from wherever the last step left off, :meth:`keep` makes stay what
    has been done. The ``*_all`` methods do the same for all devices at once, and go back by themselves.
    """

    def __init__(
        self,
        client: DmClient,
        order: Sequence[TreeNode] = (),
        tree: DeviceTree | None = None,
        changes: Mapping[Numbers, TableChange] | None = None,
        refers: Mapping[Numbers, Sequence[Numbers]] | None = None,
    ) -> None:
        """``order``: what the change is about. ``tree`` has what live tables refer to, ``refers`` what new do."""
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
        return cls(client, [node for node in order if node.device is not None], tree, by_numbers, refers)

    # -- one step ----------------------------------------------------------------------------------------

    def create(self, name: str, uuid: str = "", *, numbers: tuple[int, int] | None = None) -> LiveDevice:
        """Make a device without a table; the way back removes it."""
        device = self._client.create(name, uuid, numbers=numbers)
        self._order[_numbers(device)] = device
        self._named[by_uuid(uuid) if uuid else by_name(name)] = _numbers(device)
        self._made.add(_numbers(device))
        return device

    def load(self, dev: Dev, lines: Sequence[KernelLine], *, read_only: bool = False, secure: bool = False) -> None:
        """Load a table into the inactive slot; what waited there before is never made live by this work."""
        numbers = self._know(dev)
        self._refers[numbers] = [abi.major_minor(number) for number in devices_in(lines)]
        if numbers in self._found:
            self._live[numbers] = self._found[numbers]
        self._load(numbers, lines, read_only=read_only, secure=secure)

    def clear(self, dev: Dev) -> None:
        """Drop the table that waits; the way back puts it there again."""
        numbers = self._know(dev)
        device = self._order[numbers]
        if device.has_inactive and numbers not in self._loaded:
            self._loaded[numbers] = self._waiting(device)
        self._client.clear(device)

    def suspend(self, dev: Dev, *, flush: bool = True, freeze: bool = True) -> LiveDevice:
        """Hold back a device's input and output."""
        return self._suspend(self._know(dev), flush=flush, freeze=freeze)

    def resume(self, dev: Dev, **how: Any) -> LiveDevice:
        """Let a device run, with the table that was loaded; ``how`` as in :meth:`DmClient.resume`.

        Whenever the device is resumed again by this work, it is so in the same way.
        """
        numbers = self._know(dev)
        self._how[numbers] = how
        return self._resume(numbers)

    def discard(self, dev: Dev, *, retry: float = 0) -> None:
        """Remove a device that this work made and could not finish; any other stays as it is."""
        numbers = self._named.get(dev)
        if numbers in self._made:
            self._client.remove(self._order[numbers], link=self._how.get(numbers, {}).get("link"), retry=retry)
            self._made.discard(numbers)
            del self._order[numbers]

    def keep(self) -> None:
        """What has been done so far stays, whatever comes."""
        for each in (self._loaded, self._found, self._live, self._order, self._made, self._resumed, self.suspended):
            each.clear()

    def _know(self, dev: Dev) -> Numbers:
        """The numbers of a device, which belongs to this work from now on, as it is now."""
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
            # A target may hold what the new table needs for itself (an exception store has one reader).
            self._client.clear(device)
        self._client.load(device, lines, read_only=read_only, secure=secure)

    def _suspend(self, numbers: Numbers, *, flush: bool, freeze: bool) -> LiveDevice:
        device = self._order[numbers]
        if numbers not in self._before:
            self.suspended.append(device)  # before, because one that fails may be suspended all the same
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

    def load_all(self) -> None:
        """Load the new tables. When one is refused, those loaded before are taken back."""
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
        """Those that got a table, in order."""
        return tuple(self._order[numbers] for numbers in self._loaded)

    def unload(self) -> None:
        """Let every inactive slot hold what it held."""
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
            self._client.warn(f"{error.message}; a table that is not wanted may still wait in {device.name}")

    # -- between suspend and resume ----------------------------------------------------------------------

    def suspend_all(self, *, flush: bool, freeze: bool) -> None:
        """Suspend from the top down; on failure nothing is, and no new table waits."""
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
        """Resume from the bottom up, with the tables that wait; on failure nothing has changed."""
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

    def _save_if_replaced(self, numbers: Numbers, device: LiveDevice) -> None:
        now = self._client.info(major_minor=numbers)
        if now is not None and now.has_inactive and now.has_live:
            self._live[numbers] = _Saved(self._client.table(device), now.read_only)

    def _wake(self, device: LiveDevice, *, keep_waiting: bool) -> bool:
        """Let a device run on its live table; False when it cannot be."""
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
        """Go back: drop what waits, give back the earlier tables, resume everything, remove what was made.

        ``between`` is called once all that got a new table is suspended again, before anything runs. ``retry``:
        seconds in which a made device that is busy is tried again.
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
            if self._is_mixed(numbers, new) or not (
                self._wake(device, keep_waiting=False) or (numbers in self._live and self._put_back(numbers))
            ):
                left.append(device.name)
        for numbers, saved in self._loaded.items():
            if saved is not None and numbers not in self._made:
                self._put_waiting(self._order[numbers], saved)
        kept = self._remove_made(retry)
        # What had no table before cannot be without one again; nothing that was live lies on it.
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
        """Remove, from the top down, the devices that this work made; those that would not go."""
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
        """Whether a refused resume left the new table live: then not the table was refused, but its start."""
        try:
            now = self._client.info(major_minor=numbers, table=True)
        except VmgrError:
            return False
        if now is None or now.has_inactive or not now.has_live:
            return False
        old = self._live.get(numbers)
        return not self._order[numbers].has_live if old is None else old.lines != now.table

    def _below(self, numbers: Numbers, new: set[Numbers]) -> set[Numbers]:
        """A device and what it lies on, where those in ``new`` have their new tables."""
        seen: set[Numbers] = set()
        todo = [numbers]
        while todo:
            numbers = todo.pop()
            if numbers not in seen and numbers in self._uses:
                seen.add(numbers)
                todo += self._refers[numbers] if numbers in new and numbers in self._refers else self._uses[numbers]
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
