"""What commands need of the application: vmgr's public Python interface, as protocols.

:func:`vmgr.app.open_application` makes an :class:`Application` from :class:`~vmgr.orders.RunOptions` and a
:class:`~vmgr.orders.Dialogue`. Every method raises :class:`~vmgr.core.errors.VmgrError` when nothing could
be done; a method that takes several subjects carries on with the others when it fails for one, and reports
its error in :attr:`Outcome.errors <vmgr.orders.Outcome>`. With ``RunOptions.test`` the same checks
are made, the same plans are returned, and nothing is changed::

    with open_application(RunOptions(yes=True)) as app:
        app.pvcreate(["/dev/sdb", "/dev/sdc"])
        app.vgcreate("tank", ["/dev/sdb", "/dev/sdc"])
        app.lvcreate("tank", VolumeOrder(name="home", size=SizeSpec(Percent(50, "FREE"))))
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from vmgr.core.change import Change
    from vmgr.core.effects import Effect
    from vmgr.core.model import VolumeGroup
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.units import Sectors
    from vmgr.core.view import SystemView
    from vmgr.orders import (
        ActivationOrder,
        Appearance,
        ArchiveView,
        ConversionOrder,
        Dialogue,
        GroupChange,
        GroupOrder,
        LabelOrder,
        Outcome,
        PvChange,
        ResizeOrder,
        RunOptions,
        Subject,
        VolumeChange,
        VolumeOrder,
    )
    from vmgr.system.config import Config


class Application(Protocol):
    """One session with the machine. A context manager: leaving it lets go of locks and devices."""

    def __enter__(self) -> Application: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    # -- looking ----------------------------------------------------------------------------------

    @property
    def targets(self) -> Targets:
        """The installed target plugins."""

    @property
    def config(self) -> Config:
        """The configuration."""

    def view(
        self,
        *,
        vgs: tuple[str, ...] | None = None,
        all_devices: bool = False,
        foreign: bool = False,
        shared: bool = False,
    ) -> SystemView:
        """What a scan finds. ``vgs`` limits what is decoded to these groups; ``all_devices`` adds other devices.

        ``foreign`` also takes groups of other hosts, ``shared`` those that hosts share under locks.
        """

    def live(self, *, status: bool = False) -> Mapping[str, LiveDevice] | None:
        """What the kernel has, by device-mapper UUID; None where there is no device mapper to be asked."""

    def read_ahead(self, major: int, minor: int) -> int | None:
        """The read-ahead, in sectors, that the kernel has for a device; None where it does not say."""

    def changed(self) -> tuple[Effect, ...]:
        """What has been changed on this machine so far, in order, also by a method that raised afterwards."""

    def appeared(self, devices: Sequence[str]) -> tuple[Appearance, ...]:
        """Which groups devices that have appeared belong to, and whether these are complete; none means all."""

    def claim_activation(self, vg: str) -> bool:
        """Whether the caller is the first since the group was complete, and so shall activate it."""

    # -- any change -------------------------------------------------------------------------------

    def change_group(self, vg: str, make: Callable[[VolumeGroup], Change]) -> Outcome:
        """Lock and read a group, let ``make`` say what to change, and carry it out."""

    # -- physical volumes -------------------------------------------------------------------------

    def pvcreate(self, devices: Sequence[str], order: LabelOrder | None = None) -> Outcome:
        """Make devices physical volumes; without ``order``, as lvm.conf says."""

    def pvremove(self, devices: Sequence[str], *, force: int = 0) -> Outcome:
        """Wipe the labels of devices that no group uses."""

    def pvchange(self, pvs: Sequence[str] | None, order: PvChange) -> Outcome:
        """Change physical volumes, named by device or ``@tag``; None is all of them."""

    def pvresize(self, devices: Sequence[str], size: Sectors | None = None) -> Outcome:
        """Adapt physical volumes to their devices' size, or to ``size``."""

    # -- groups -----------------------------------------------------------------------------------

    def vgcreate(
        self,
        vg: str,
        devices: Sequence[str],
        order: GroupOrder | None = None,
        label: LabelOrder | None = None,
    ) -> Outcome:
        """Make a group of physical volumes; devices that are none become some, as ``label`` says."""

    def vgextend(
        self,
        vg: str,
        devices: Sequence[str],
        label: LabelOrder | None = None,
        *,
        restore_missing: bool = False,
    ) -> Outcome:
        """Add physical volumes to a group. ``restore_missing`` takes back ones that had gone missing."""

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

    def vgremove(self, subjects: Sequence[Subject], *, force: int = 0) -> Outcome:
        """Remove groups with all their volumes."""

    def vgrename(self, old: str, new: str) -> Outcome:
        """Give a group, named by name or UUID, another name."""

    def vgchange(self, subjects: Sequence[Subject], order: GroupChange) -> Outcome:
        """Change groups; no subject means all of them."""

    def vgcheck(self, subjects: Sequence[Subject], *, update: bool = False) -> Outcome:
        """Check groups' metadata; ``update`` writes damaged and old copies anew."""

    def make_nodes(self, subjects: Sequence[Subject] = ()) -> Outcome:
        """Make missing device nodes and links of active volumes, and remove stale ones."""

    # -- volumes ----------------------------------------------------------------------------------

    def lvcreate(self, vg: str, order: VolumeOrder) -> Outcome:
        """Make a volume in a group."""

    def lvremove(self, subjects: Sequence[Subject], *, force: int = 0) -> Outcome:
        """Remove volumes, or all volumes of groups."""

    def lvextend(self, subject: Subject, order: ResizeOrder) -> Outcome:
        """Make a volume longer; refused if the new size is not larger."""

    def lvreduce(self, subject: Subject, order: ResizeOrder) -> Outcome:
        """Make a volume shorter, after a question; refused if the new size is not smaller."""

    def lvresize(self, subject: Subject, order: ResizeOrder) -> Outcome:
        """Make a volume longer or shorter."""

    def lvrename(self, vg: str, old: str, new: str) -> Outcome:
        """Give a volume another name."""

    def lvchange(self, subjects: Sequence[Subject], order: VolumeChange) -> Outcome:
        """Change volumes, or all volumes of groups."""

    def lvconvert(self, subjects: Sequence[Subject], order: ConversionOrder) -> Outcome:
        """Convert volumes."""

    def activate(self, subjects: Sequence[Subject], order: ActivationOrder) -> Outcome:
        """Activate, deactivate or refresh volumes, or groups' volumes; no subject means all groups.

        ``Outcome.done`` has, for each subject that is a group, how many of its volumes are active now.
        """

    def poll(self, subjects: Sequence[Subject] = ()) -> Outcome:
        """Wait for the end of what goes on in volumes (merges), and write it down; no subject means all groups."""

    # -- backups ----------------------------------------------------------------------------------

    def vgcfgbackup(self, subjects: Sequence[Subject], file: str = "") -> Outcome:
        """Write groups' metadata into ``file`` (``%s`` in it is the group's name) or into the backup directory."""

    def vgcfgrestore(self, vg: str, file: str = "", *, force: bool = False) -> Outcome:
        """Bring a group back to what ``file``, or its last backup, says."""

    def archives(self, vg: str = "", file: str = "") -> tuple[ArchiveView, ...]:
        """Archives and backups of a group, oldest first; or the one that is ``file``."""


class OpenApplication(Protocol):
    """The signature of ``vmgr.app.open_application``."""

    def __call__(
        self, options: RunOptions = ..., dialogue: Dialogue | None = None, targets: Targets | None = None
    ) -> Application:
        """Open a session. Without a dialogue, questions are answered by ``options.yes`` and nothing is printed.

        ``targets`` are the plugins, where the caller has loaded them already.
        """
