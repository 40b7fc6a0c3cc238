"""vmgr for Python programs: one face for everything that the commands can do.

::

    from vmgr.app import open_application
    from vmgr.core.requests import CreateVolume
    from vmgr.outcome import RunOptions

    with open_application(RunOptions(yes=True)) as app:
        app.pvcreate(["/dev/sdb", "/dev/sdc"])
        app.vgcreate("tank", ["/dev/sdb", "/dev/sdc"])
        app.lvcreate("tank", CreateVolume(name="home", size="50%FREE"))

Every method raises :class:`~vmgr.core.errors.VmgrError` when nothing could be done; a method that takes several
subjects carries on with the others when it fails for one, and reports that error in ``Outcome.errors``. With
``RunOptions(test=True)`` the same checks are made, the same plans are returned, and nothing is changed.
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING

from vmgr.outcome import RunOptions
from vmgr.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import ParamSpec, TypeVar

    from vmgr.core.change import Change
    from vmgr.core.effects import Effect
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import (
        ChangeVolume,
        ConvertVolume,
        CreateVolume,
        ExtendVolume,
        ReduceVolume,
        RenameVolume,
        RepairVolume,
        Request,
        ResizeVolume,
    )
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.units import Sectors
    from vmgr.core.view import SystemView
    from vmgr.orders import (
        ActivationOrder,
        Appearance,
        ArchiveView,
        GroupChange,
        GroupOrder,
        LabelOrder,
        PvChange,
        Subject,
    )
    from vmgr.outcome import Dialogue, Outcome
    from vmgr.system.config import Config

    P = ParamSpec("P")
    R = TypeVar("R")


def open_application(
    options: RunOptions | None = None, dialogue: Dialogue | None = None, targets: Targets | None = None
) -> Application:
    """Open a session with this machine. Nothing is read before something is asked for.

    Without a ``dialogue`` questions are answered by ``options.yes`` and nothing is printed. ``targets`` are the
    plugins, where the caller has loaded them already.
    """
    if options is None:
        options = RunOptions()
    elif dialogue is None:  # a program's; what the command line makes is right
        from vmgr.arguments import check_call, check_value

        check_call(Application.__init__, (options,), {})
        check_value(options)
    return Application(options, dialogue, targets)


def _checked(method: Callable[P, R]) -> Callable[P, R]:
    """The method with its arguments checked first: what is wrong is a VmgrError that names it."""

    @wraps(method)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        from vmgr.arguments import check_call

        check_call(method, arguments[1:], named)
        return method(*arguments, **named)

    return call


class Application:
    """One session with the machine. A context manager: leaving it lets go of locks and devices."""

    def __init__(
        self, options: RunOptions, dialogue: Dialogue | None = None, targets: Targets | None = None
    ) -> None:
        self._session = Session(options, dialogue, targets)

    def __enter__(self) -> Application:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()

    # -- looking ----------------------------------------------------------------------------------

    @property
    def targets(self) -> Targets:
        """The installed target plugins."""
        return self._session.targets

    @property
    def config(self) -> Config:
        """The configuration."""
        return self._session.config

    def view(
        self,
        *,
        vgs: tuple[str, ...] | None = None,
        all_devices: bool = False,
        foreign: bool = False,
        shared: bool = False,
    ) -> SystemView:
        """What a scan finds, read under shared locks.

        ``vgs`` limits what is decoded to these groups; ``all_devices`` asks udev for all that it knows of devices;
        ``foreign`` keeps groups of other hosts, ``shared`` those that hosts share under locks (sanlock, dlm), which
        are read without one.
        """
        if vgs is not None and type(vgs) is not tuple:
            from vmgr.arguments import check_call

            check_call(Application.view, (), {"vgs": vgs})
        return self._session.shared_view(vgs, detail=all_devices, foreign=foreign, shared=shared)

    def live(self, *, status: bool = False) -> Mapping[str, LiveDevice] | None:
        """What the kernel has, by device-mapper UUID; None where there is no device mapper to be asked."""
        if self._session.options.read_only or self._session.client() is None:
            return None
        return self._session.live(status=status, table=status)

    def read_ahead(self, major: int, minor: int) -> int | None:
        """The read-ahead, in sectors, that the kernel has for a device; None where it does not say."""
        try:
            with open(f"/sys/dev/block/{major}:{minor}/bdi/read_ahead_kb") as file:
                return int(file.read()) * 2
        except (OSError, ValueError):
            return None

    def changed(self) -> tuple[Effect, ...]:
        """What has been changed on this machine so far, in order, also by a method that raised afterwards."""
        return tuple(self._session.changed)

    @_checked
    def appeared(self, devices: Sequence[str]) -> tuple[Appearance, ...]:
        """Which groups devices that have appeared belong to, and whether these are complete; none means all."""
        from vmgr.services import appearance

        return appearance.appeared(self._session, devices)

    @_checked
    def claim_activation(self, vg: str) -> bool:
        """Whether the caller is the first since the group was complete, and so shall activate it."""
        from vmgr.system.rundir import claim_online

        return claim_online(vg)

    # -- any change -------------------------------------------------------------------------------

    @_checked
    def change_group(self, vg: str, make: Callable[[VolumeGroup], Change]) -> Outcome:
        """Lock and read a group, let ``make`` say what to change, and carry it out."""
        with self._session.changing(vg) as view:
            return self._session.carry_out(make(view.group), view)

    @_checked
    def change(self, vg: str, requests: Sequence[Request]) -> Outcome:
        """Carry out several requests for one group, in order and as one commit: all of them, or none."""
        from vmgr.services import batch

        return batch.run(self._session, vg, requests)

    # -- physical volumes -------------------------------------------------------------------------

    @_checked
    def pvcreate(self, devices: Sequence[str], order: LabelOrder | None = None) -> Outcome:
        """Make devices physical volumes."""
        from vmgr.orders import STANDARD_LABEL
        from vmgr.services import pvs

        return pvs.create(self._session, devices, order or STANDARD_LABEL)

    @_checked
    def pvremove(self, devices: Sequence[str], *, force: int = 0) -> Outcome:
        """Wipe the labels of devices that no group uses."""
        from vmgr.services import pvs

        return pvs.remove(self._session, devices, force=force)

    @_checked
    def pvchange(self, pvs: Sequence[str] | None, order: PvChange) -> Outcome:
        """Change physical volumes, named by device or ``@tag``; None is all of them."""
        from vmgr.services.pvs import change

        return change(self._session, pvs, order)

    @_checked
    def pvresize(self, devices: Sequence[str], size: Sectors | None = None) -> Outcome:
        """Adapt physical volumes to their devices' size, or to ``size``."""
        from vmgr.services import pvs

        return pvs.resize(self._session, devices, size)

    # -- groups -----------------------------------------------------------------------------------

    @_checked
    def vgcreate(
        self,
        vg: str,
        devices: Sequence[str],
        order: GroupOrder | None = None,
        label: LabelOrder | None = None,
    ) -> Outcome:
        """Make a group of physical volumes; devices that are none become some, as ``label`` says."""
        from vmgr.orders import STANDARD_GROUP, STANDARD_LABEL
        from vmgr.services import groups

        return groups.create(self._session, vg, devices, order or STANDARD_GROUP, label or STANDARD_LABEL)

    @_checked
    def vgextend(
        self, vg: str, devices: Sequence[str], label: LabelOrder | None = None, *, restore_missing: bool = False
    ) -> Outcome:
        """Add physical volumes to a group. ``restore_missing`` takes back ones that had gone missing."""
        from vmgr.orders import STANDARD_LABEL
        from vmgr.services import groups

        label = label or STANDARD_LABEL
        return groups.extend(self._session, vg, devices, label, restore_missing=restore_missing)

    @_checked
    def vgreduce(
        self,
        vg: str,
        devices: Sequence[str] = (),
        *,
        all_unused: bool = False,
        missing: bool = False,
        force: bool = False,
    ) -> Outcome:
        """Take unused physical volumes out of a group: those named, all unused ones, or those missing."""
        from vmgr.services import groups

        return groups.reduce(self._session, vg, devices, all_unused=all_unused, missing=missing, force=force)

    @_checked
    def vgremove(self, subjects: Sequence[Subject], *, force: int = 0) -> Outcome:
        """Remove groups with all their volumes."""
        from vmgr.services import groups

        return groups.remove(self._session, subjects, force=force)

    @_checked
    def vgrename(self, old: str, new: str) -> Outcome:
        """Give a group, named by name or UUID, another name."""
        from vmgr.services import groups

        return groups.rename(self._session, old, new)

    @_checked
    def vgchange(self, subjects: Sequence[Subject], order: GroupChange) -> Outcome:
        """Change groups; no subject means all of them."""
        from vmgr.services import groups

        return groups.change(self._session, subjects, order)

    @_checked
    def vgcheck(self, subjects: Sequence[Subject], *, update: bool = False) -> Outcome:
        """Check groups' metadata; ``update`` writes damaged and old copies anew."""
        from vmgr.services import groups

        return groups.check(self._session, subjects, update=update)

    @_checked
    def make_nodes(self, subjects: Sequence[Subject] = ()) -> Outcome:
        """Make missing device nodes and links of active volumes, and remove stale ones."""
        from vmgr.services import activation

        return activation.make_nodes(self._session, subjects)

    # -- volumes ----------------------------------------------------------------------------------

    @_checked
    def lvcreate(self, vg: str, request: CreateVolume) -> Outcome:
        """Make a volume in a group."""
        from vmgr.services import batch

        return batch.run(self._session, vg, (request,))

    @_checked
    def lvremove(self, subjects: Sequence[Subject]) -> Outcome:
        """Remove volumes, or all volumes of groups."""
        from vmgr.services import volumes

        return volumes.remove_each(self._session, subjects)

    @_checked
    def lvextend(self, vg: str, request: ExtendVolume) -> Outcome:
        """Make a volume longer; refused if the new size is not larger."""
        from vmgr.services import resizing

        return resizing.resize(self._session, vg, request)

    @_checked
    def lvreduce(self, vg: str, request: ReduceVolume) -> Outcome:
        """Make a volume shorter, after a question; refused if the new size is not smaller."""
        from vmgr.services import resizing

        return resizing.resize(self._session, vg, request)

    @_checked
    def lvresize(self, vg: str, request: ResizeVolume) -> Outcome:
        """Make a volume longer or shorter."""
        from vmgr.services import resizing

        return resizing.resize(self._session, vg, request)

    @_checked
    def lvrename(self, vg: str, request: RenameVolume) -> Outcome:
        """Give a volume another name."""
        from vmgr.services import batch

        return batch.run(self._session, vg, (request,))

    @_checked
    def lvchange(self, subjects: Sequence[Subject], request: ChangeVolume) -> Outcome:
        """Change volumes, or all volumes of groups."""
        from vmgr.services import volumes

        return volumes.change_each(self._session, subjects, request)

    @_checked
    def lvconvert(self, subjects: Sequence[Subject], request: ConvertVolume | RepairVolume) -> Outcome:
        """Convert or repair volumes."""
        from vmgr.services import conversion

        return conversion.convert_each(self._session, subjects, request)

    @_checked
    def activate(self, subjects: Sequence[Subject], order: ActivationOrder) -> Outcome:
        """Activate, deactivate or refresh volumes, or groups' volumes; no subject means all groups.

        ``Outcome.done`` has, for each subject that is a group, how many of its volumes are active now.
        """
        from vmgr.services import activation

        return activation.activate(self._session, subjects, order)

    @_checked
    def poll(self, subjects: Sequence[Subject] = ()) -> Outcome:
        """Wait for the end of what goes on in volumes (merges), and write it down; no subject means all groups."""
        from vmgr.services import conversion

        return conversion.poll(self._session, subjects)

    # -- backups ----------------------------------------------------------------------------------

    @_checked
    def vgcfgbackup(self, subjects: Sequence[Subject], file: str = "") -> Outcome:
        """Write groups' metadata into ``file`` (``%s`` in it is the group's name) or into the backup directory."""
        from vmgr.services import backups

        return backups.backup(self._session, subjects, file)

    @_checked
    def vgcfgrestore(self, vg: str, file: str = "", *, force: bool = False) -> Outcome:
        """Bring a group back to what ``file``, or its last backup, says."""
        from vmgr.services import backups

        return backups.restore(self._session, vg, file, force=force)

    @_checked
    def archives(self, vg: str = "", file: str = "") -> tuple[ArchiveView, ...]:
        """Archives and backups of a group, oldest first; or the one that is ``file``."""
        from vmgr.services import backups

        return backups.archives(self._session, vg, file)
