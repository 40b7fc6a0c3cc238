"""The device-mapper side of the committer: devices with symbolic tables become devices of the kernel.

This is where a reference to a physical volume or to another device turns into ``major:minor``: as late as
possible, because only a made device has numbers, and before any suspend, because afterwards
nothing may be looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from vmgr.core.errors import Interrupted, KernelError, NotFound, VmgrError
from vmgr.core.naming import split_dm_name
from vmgr.core.table import DevRef, KernelLine, PvRef
from vmgr.core.units import Bytes
from vmgr.dm.abi import UDEV_LOW_PRIORITY
from vmgr.dm.address import by_uuid
from vmgr.dm.critical import PRIORITY, RESERVE
from vmgr.dm.failure import NodeError
from vmgr.dm.stack import Fallen, StackChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vmgr.core.change import Wipe
    from vmgr.core.hooks import KernelTarget
    from vmgr.core.ids import Uuid
    from vmgr.core.step import Step
    from vmgr.core.table import DmDevice
    from vmgr.core.tools import ToolRun, WaitUntil
    from vmgr.dm.client import DmClient
    from vmgr.system.stall import StallWatch

ZERO_START = Bytes(4096)
"""How much of a new volume's start is zeroed, as LVM2 does (``lvcreate -Z y``)."""


def _named_link(name: str) -> tuple[str, str] | None:
    """The link that a device of this name has while its volume is visible; None for a device of a layer.

    A volume that is hidden (a snapshot while it is merged) may have a link from before; that one goes.
    """
    vg, lv, layer = split_dm_name(name)
    return (vg, lv) if lv and not layer else None


class KernelDevices:
    """Carries out device steps through the engine of :mod:`vmgr.dm.stack`, which remembers them and can go back.

    ``pv_numbers`` gives each physical volume's ``major:minor``. ``ask`` answers a yes-or-no question; ``dev_dir``
    is where nodes are. ``say`` takes warnings, ``tell`` what is being done. ``remove_retry`` is for how many
    seconds a busy device is tried again; ``priority`` and ``reserve`` are those of
    :class:`vmgr.dm.critical.critical_section`. ``watch`` tells of what does not return.
    """

    def __init__(
        self,
        client: DmClient,
        pv_numbers: Mapping[Uuid, str],
        *,
        ask: Callable[[str], bool],
        say: Callable[[str], None],
        tell: Callable[[str], None] = lambda _: None,
        dev_dir: str = "/dev",
        remove_retry: float = 3.0,
        priority: int | None = PRIORITY,
        reserve: int = RESERVE,
        watch: StallWatch | None = None,
    ) -> None:
        self._client = client
        self._watch = watch
        self._work = StackChange(client)
        self._pv_numbers = pv_numbers
        self._ask = ask
        self._say = say
        self._tell = tell
        self._dev_dir = dev_dir
        self._remove_retry = remove_retry
        self._priority, self._reserve = priority, reserve
        self._scope = ExitStack()
        self._shared = False

    def _watched(self, what: str) -> AbstractContextManager[object]:
        return nullcontext() if self._watch is None else self._watch.on(what)

    # -- a batch shares one udev cookie -----------------------------------------------------------

    def _batch(self) -> None:
        if not self._shared:
            self._scope.enter_context(self._client.transaction())
            self._shared = True

    def settle(self) -> None:
        """Wait until udev has finished with all that was done so far."""
        if self._shared:
            self._shared = False
            with self._nodes_may_wait():
                self._scope.close()

    @contextmanager
    def _nodes_may_wait(self) -> Iterator[None]:
        """A node that cannot be made is no reason to undo, or not to go on with, what the kernel has done."""
        try:
            yield
        except NodeError as error:
            self._say(f"WARNING: {error.message}; `vmgr vgmknodes` tries again")

    @contextmanager
    def critical(self) -> Iterator[None]:
        """Keep memory resident and refuse what would read a disk."""
        from vmgr.dm.critical import critical_section

        self._batch()
        with critical_section(priority=self._priority, reserve=self._reserve):
            yield

    # -- tables -----------------------------------------------------------------------------------

    def resolve(self, ref: PvRef | DevRef) -> str:
        """``major:minor`` of what a table refers to. Raises :class:`NotFound`, or :class:`KernelError`."""
        if isinstance(ref, PvRef):
            number = self._pv_numbers.get(ref.pv)
            if number is None:
                raise NotFound(
                    f"physical volume {ref.pv.dashed} is missing",
                    hint="connect its device; a group with a missing device can be activated in part only",
                )
            return number
        device = self._client.info(uuid=ref.uuid)
        if device is None:
            raise KernelError(f"device {ref.uuid} is needed below another one and is not there")
        return f"{device.major}:{device.minor}"

    def kernel_lines(self, device: DmDevice) -> tuple[KernelLine, ...]:
        """The device's table as the kernel takes it."""
        return tuple(
            KernelLine(line.start, line.length, line.target, line.params(self.resolve)) for line in device.table
        )

    # -- before anything is changed ---------------------------------------------------------------

    def check(self, steps: Iterable[Step], known: Callable[[str], KernelTarget | None]) -> None:
        """Raise what would keep the kernel from taking the tables of ``steps``, as far as it can be known.

        ``known`` says what a plugin declares about a target. Raises :class:`NotFound` for a missing physical
        volume, :class:`KernelError` for a target that the kernel has not, or only in too old a version.
        """
        made: set[str] = set()
        words: dict[str, None] = {}

        def resolvable(ref: PvRef | DevRef) -> str:
            return "" if isinstance(ref, DevRef) and ref.uuid in made else self.resolve(ref)

        for step in steps:
            if step.program:
                _require_program(step.program)
            made.update(device.uuid for device in step.names)
            for line in step.loads:
                words.setdefault(line.target)
                line.params(resolvable)
        loaded = self._client.targets() if words else {}
        for word in words:
            needed = known(word)
            version = loaded.get(word)
            if version is None:
                _require_module(word, needed.module if needed else "")
            elif needed is not None and version < needed.version:
                has, wants = (".".join(map(str, numbers)) for numbers in (version, needed.version))
                raise KernelError(
                    f"the kernel has target {word} in version {has}, and this takes {wants}",
                    hint="use a newer kernel; `vmgr doctor` tells what this one has",
                )

    # -- steps ------------------------------------------------------------------------------------

    def create(self, device: DmDevice) -> None:
        """Make the device without a table."""
        self._batch()
        # As LVM2 does, leave the major number to the kernel: the one in the metadata may be another machine's.
        numbers = None if device.numbers is None else (-1, device.numbers[1])
        self._work.create(device.name, device.uuid, numbers=numbers)

    def load(self, device: DmDevice) -> None:
        """Load the device's table into its inactive slot."""
        self._work.load(by_uuid(device.uuid), self.kernel_lines(device), read_only=device.read_only)

    def clear(self, device: DmDevice) -> None:
        """Drop the table that waits in the device."""
        self._work.clear(by_uuid(device.uuid))

    def suspend(self, device: DmDevice) -> None:
        """Suspend the device, with its file system frozen."""
        with self._watched(f"{device.name} to be suspended, which waits for what is written to it"):
            self._work.suspend(by_uuid(device.uuid))

    def resume(self, device: DmDevice, *, quiet: bool) -> None:
        """Resume the device; ``quiet`` keeps udev's rules, and thereby everybody, from looking into it."""
        self._batch()
        with self._nodes_may_wait(), self._watched(f"{device.name} to be resumed"):
            self._work.resume(
                by_uuid(device.uuid),
                hidden=device.link is None,
                link=None if quiet else device.link,
                unlink=_named_link(device.name) if device.link is None else None,
                noscan=quiet,
                read_ahead=None if device.read_ahead is None else int(device.read_ahead),
                read_ahead_at_least=device.read_ahead_at_least,
                low_priority=device.low_priority,
            )

    def fall_back(self, between: Callable[[], None] | None = None) -> Fallen:
        """Give every device back what it had before, and remove those that were made."""
        self._batch()
        return self._work.fall_back(between, retry=self._remove_retry)

    def discard(self, uuid: str) -> None:
        """Remove a device that was made and could not be finished."""
        self._batch()
        self._work.discard(by_uuid(uuid), retry=self._remove_retry)

    def keep(self) -> None:
        """What has been done so far is not undone any more."""
        self._work.keep()

    def message(self, device: DmDevice, text: str, unless: str) -> None:
        """Send a message to the target at the device's start, unless that one's status begins with ``unless``."""
        dev = by_uuid(device.uuid)
        if unless and any(line.params.startswith(unless) for line in self._client.status(dev)[:1]):
            return
        self._client.message(dev, 0, text)

    def rename(self, device: DmDevice, old_link: tuple[str, str] | None) -> None:
        """Give a live device its new name, and its link the new place."""
        self._batch()
        with self._nodes_may_wait():
            self._client.rename(
                by_uuid(device.uuid),
                device.name,
                old_link=old_link,
                new_link=device.link,
                udev_flags=UDEV_LOW_PRIORITY if device.low_priority else 0,
            )

    def remove(self, uuid: str, name: str, link: tuple[str, str] | None) -> None:
        """Remove a device; one that udev's own look at it keeps busy for a moment is tried again."""
        self._batch()
        with self._nodes_may_wait():
            self._client.remove(by_uuid(uuid), link=link or _named_link(name), retry=self._remove_retry)

    def wipe(self, device: DmDevice, wipe: Wipe) -> None:
        """Wipe the start of a new volume and old signatures in it.

        Raises :class:`Interrupted` when the user wants to keep a signature, or nobody is there to say.
        """
        self.settle()  # the node must be there
        path = self._path(device.name)
        if device.read_only:
            name = "/".join(device.link or (path,))
            self._say(f"WARNING: Read-only activated logical volume {name} not zeroed.")
        else:
            self._check_node(path, device)
            self._wipe_path(path, device, wipe)

    def run_tool(
        self,
        run: ToolRun,
        devices: Sequence[DmDevice],
        words: Callable[[Callable[[str], str]], Sequence[str]],
        subject: str,
    ) -> None:
        """Run a program on ``devices``, which are made for it, and removed again whatever comes of it.

        ``words`` gives the arguments when it is told how to get the path of a device from its name. Raises
        :class:`VmgrError` with the meaning of the exit status for ``subject``, where that is not fine.
        """
        from vmgr.system.toolrun import run_to_end

        name = run.program.rpartition("/")[2]
        made: list[str] = []
        try:
            for device in devices:
                self.create(device)
                made.append(device.uuid)
                self.load(device)
                self.resume(device, quiet=True)
            self.settle()
            for device in devices:
                self._check_node(self._path(device.name), device)
            try:
                with self._watched(name):
                    done = run_to_end(run.program, words(self._path))
            except OSError as error:
                raise VmgrError(f"cannot run {run.program}: {error.strerror}") from None
        finally:
            for uuid in reversed(made):
                self.discard(uuid)
            self.settle()
        meaning = run.meaning(done.status)
        said = meaning.words.replace("{volume}", subject)
        if not meaning.fine:
            raise VmgrError(
                said or f"{name} failed with status {done.status} on {subject}",
                hint=meaning.hint.replace("{volume}", subject) or f"see {name}(8)",
                details=done.last_words,
            )
        if said:
            self._say(said)
        if done.interrupted:
            raise KeyboardInterrupt

    def wait_until(self, device: DmDevice, until: WaitUntil) -> None:
        """Wait until the status of a device shows a state. Raises what the wait says if it takes too long."""
        from time import monotonic, sleep

        end = monotonic() + until.seconds
        pause = 0.01
        while not until.condition.met(tuple(self._client.status(by_uuid(device.uuid)))):
            left = end - monotonic()
            if left <= 0:
                raise until.late
            sleep(min(pause, left))
            pause = min(2 * pause, 1.0)

    def _path(self, name: str) -> str:
        return f"{self._dev_dir}/mapper/{name}"

    def show(self, device: DmDevice) -> None:
        """Make the link of a volume that was made quietly, and let udev's rules look into it."""
        with self._nodes_may_wait():
            self._client.show(by_uuid(device.uuid), link=device.link)

    def _check_node(self, path: str, device: DmDevice) -> None:
        """Make sure that the node leads to the device: what a stale one leads to is somebody else's data."""
        import os
        from stat import S_ISBLK

        live = self._client.info(uuid=device.uuid)
        try:
            node = os.stat(path)
        except OSError as error:
            raise KernelError(
                f"cannot wipe {device.name}: {path}: {error.strerror}", hint="make its node: vmgr vgmknodes"
            ) from None
        number = (os.major(node.st_rdev), os.minor(node.st_rdev)) if S_ISBLK(node.st_mode) else None
        if live is None or number != (live.major, live.minor):
            raise KernelError(
                f"not wiping {path}: it is not the device {device.name}",
                hint="nothing was wiped; remove what is in the node's place, then: vmgr vgmknodes",
            )

    def _wipe_path(self, path: str, device: DmDevice, wipe: Wipe) -> None:
        from vmgr.system.disk import Disk
        from vmgr.system.signatures import WIPED_SILENTLY, find_signatures, wipe_signature

        shown = f"{self._dev_dir}/{device.link[0]}/{device.link[1]}" if device.link else path
        if wipe.signatures:
            for signature in find_signatures(path):
                found = f"{signature.type} signature detected on {shown} at offset {signature.offset}"
                if signature.type not in WIPED_SILENTLY and not self._ask(f"WARNING: {found}. Wipe it?"):
                    raise Interrupted(
                        f"{shown}: not wiping the {signature.type} signature, so there is no new volume",
                        hint="answer y, or use --yes, if the old contents can go; -Wn -Zn keeps them",
                    )
                self._tell(f"Wiping {signature.type} signature on {shown}.")
                wipe_signature(path, signature, self._watch)
        if wipe.zero:
            with Disk.open(path, write=True, watch=self._watch) as disk:
                size = min(ZERO_START, device.size.bytes())
                disk.zero(Bytes(0), Bytes(size))
                disk.flush()


def _require_program(path: str) -> None:
    """Raise :class:`NotFound` unless the program is there."""
    import os

    if not (os.path.isfile(path) and os.access(path, os.X_OK)):
        raise NotFound(
            f"{path} is not there, or cannot be run",
            hint=f"nothing was changed; install {path.rpartition('/')[2]}, or set its path in lvm.conf",
        )


def _require_module(target: str, module: str) -> None:
    """Raise :class:`KernelError` where it is certain that the kernel cannot load a target that it has not."""
    import os

    from vmgr.dm.modinfo import is_built_in, module_file

    tree = f"/lib/modules/{os.uname().release}"
    name = module or f"dm-{target}"
    if os.path.exists(f"{tree}/modules.dep") and not (module_file(tree, name) or is_built_in(tree, name)):
        raise KernelError(
            f"the kernel has no target {target}: it is not loaded, and there is no module {name} in {tree}",
            hint="install the kernel's modules; `vmgr doctor` tells what this kernel has",
        )


class NoDevices:
    """Stands in for the device mapper where there is none: metadata can be changed, nothing be activated."""

    def __init__(self, why: VmgrError) -> None:
        self._why = why

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Every step but the harmless ones raises what kept the device mapper away."""

        def refuse(*_: object, **__: object) -> None:
            raise self._why

        return refuse

    def check(self, steps: Iterable[Step], known: Callable[[str], KernelTarget | None]) -> None:
        """Raise what kept the device mapper away if ``steps`` need it."""
        if any(step.device_uuid or step.program for step in steps):
            raise self._why

    def settle(self) -> None:
        """Nothing to wait for."""

    def fall_back(self, between: Callable[[], None] | None = None) -> Fallen:
        """Nothing was done with devices; metadata are taken back all the same."""
        if between is not None:
            between()
        return Fallen()

    def keep(self) -> None:
        """Nothing was done."""

    @contextmanager
    def critical(self) -> Iterator[None]:
        """Nothing is suspended without a device mapper."""
        yield
