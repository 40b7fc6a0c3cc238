r"""vmgr for Python programs: one class with everything that the commands can do.

A first program
---------------
An application is one session with the machine. Without a dialogue, ``yes`` answers the questions that a command
would ask::

    >>> from vmgr.app import open_application
    >>> from vmgr.outcome import RunOptions
    >>> app = open_application(RunOptions(yes=True))
    >>> app.vgcreate("tank", ["/dev/sdb", "/dev/sdc"]).done[-1]
    'Volume group "tank" successfully created'
    >>> app.lvcreate("tank", name="home", size="20m", pvs="/dev/sdb").done
    ('Logical volume "home" created.',)
    >>> app.lvextend("tank/home", size="+4m").done[0]
    'Size of logical volume tank/home changed from 20.00 MiB (5 extents) to 24.00 MiB (6 extents).'

A method takes the fields of its request as keywords, or the request as a value (:mod:`vmgr.core.requests`), and
beside them, for this call, the options ``force``, ``fs``, ``fs_mode``, ``check_fs``, ``background``, ``interval``,
``poll``, ``autobackup`` and ``test`` of :class:`~vmgr.outcome.RunOptions`. A group is named by its name or UUID, a
volume as ``vg/lv``; where several may be named (``Subjects``), ``@tag`` names all that carry it, and one name or a
list will do, as for devices (``Names``). Sizes are written as after ``-L``, or as a percentage as after ``-l``.

What there is
-------------
A view is read once, under locks, and does not change::

    >>> group = app.view().group("tank").group
    >>> [(lv.name, str(lv.size)) for lv in group.lvs]
    [('home', '6')]
    >>> int(group.free.sectors(group.extent_size).bytes()) >> 20
    96
    >>> [pv.device for pv in group.pvs if not group.used.get(pv.id)]
    ['/dev/sdc']

Stripes, and other options of targets
-------------------------------------
What a target plugin adds is in ``options``, by the names of the command line::

    >>> app.lvcreate("tank", name="fast", size="16m", options={"stripes": 2, "stripesize": 128}).done
    ('Logical volume "fast" created.',)
    >>> [segment.body.stripe_size for segment in app.view().group("tank").group.volume("fast").segments]
    [Sectors(128)]

Snapshots, and going back
-------------------------
A snapshot is a volume with an origin. A merge brings the origin back to it, and is waited for::

    >>> app.lvcreate("tank", name="before", origin="home", size="8m", options={"snapshot": True}).done
    ('Logical volume "before" created.',)
    >>> outcome = app.lvconvert("tank/before", options={"merge": True})
    >>> outcome.notes[-1]
    'Merge of snapshot into logical volume tank/home has finished.'
    >>> [lv.name for lv in app.view().group("tank").group.lvs]
    ['home', 'fast']

Several changes as one
----------------------
Requests for one group become one commit: a crash leaves all of them or none::

    >>> from vmgr.core.requests import ChangeVolume, CreateVolume
    >>> new = CreateVolume(name="new", size="4m", tags="web")
    >>> new
    CreateVolume(size=SizeSpec(value=Sectors(8192)), name='new', tags=('web',))
    >>> app.change("tank", [new, ChangeVolume("home", add_tags="old")]).done
    ('Logical volume "new" created.', 'Logical volume tank/home changed.')

What would be done
------------------
With ``test`` the same is checked, the plan is in the outcome, and nothing is changed::

    >>> (plan,) = app.lvremove("@web", test=True).plans
    >>> [str(step) for step in plan.steps][1:4]
    ['remove device tank-new', 'write metadata of tank (seqno 9)', 'precommit tank (seqno 9)']
    >>> [lv.name for lv in app.view().group("tank").group.lvs]
    ['home', 'fast', 'new']

When something fails
--------------------
Every method raises :class:`~vmgr.core.errors.VmgrError` when nothing could be done. A method that takes several
subjects carries on with the others when it fails for one; what speaks against that one is in ``Outcome.errors``::

    >>> from vmgr.core.errors import NoSpace
    >>> try:
    ...     app.lvcreate("tank", name="big", size="1g")
    ... except NoSpace as error:
    ...     print(error.code, error.exit_code, error, error.hint, *error.details, sep="\n")
    no-space
    5
    volume group "tank" has insufficient free space (19 extents): 256 required
    the largest size that fits is 76.00 MiB (19 extents)
    /dev/sdb: 6 free extents: 256 are needed
    /dev/sdc: 13 free extents: 256 are needed
    >>> app.lvremove("tank/other")
    Traceback (most recent call last):
    vmgr.core.errors.NotFound: failed to find logical volume "tank/other"
    >>> app.lvcreate("tank", nmae="home")
    Traceback (most recent call last):
    vmgr.core.errors.UsageError: lvcreate() has no argument 'nmae'
    >>> app.lvremove(["tank/new", "pool/data"]).errors
    (NotFound('volume group "pool" not found'),)

Everything goes back, and the session lets go of what it holds; as a context manager it does so by itself::

    >>> app.vgremove("tank", force=1).done[-1]
    'Volume group "tank" successfully removed'
    >>> app.close()
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

from vmgr.outcome import RunOptions
from vmgr.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType
    from typing import ParamSpec, TypeVar

    from vmgr.core.change import Change
    from vmgr.core.effects import Effect
    from vmgr.core.group_requests import Activate, ChangeGroup, ChangePv, CreateGroup, CreatePv, GroupRequest
    from vmgr.core.model import VolumeGroup
    from vmgr.core.requests import (
        ChangeVolume,
        ConvertVolume,
        CreateVolume,
        ExtendVolume,
        ReduceVolume,
        RenameVolume,
        RepairVolume,
        ResizeVolume,
    )
    from vmgr.core.subject import Subject
    from vmgr.core.table import LiveDevice
    from vmgr.core.targets import Targets
    from vmgr.core.units import Sectors
    from vmgr.core.view import SystemView
    from vmgr.outcome import Dialogue, Outcome
    from vmgr.services.appearance import Appearance
    from vmgr.services.backups import ArchiveView
    from vmgr.system.config import Config

    P = ParamSpec("P")
    R = TypeVar("R")

    Names = str | Sequence[str]
    Subjects = str | Subject | Sequence[str | Subject]
    Requests = GroupRequest | Sequence[GroupRequest]
    RequestsByGroup = Mapping[str, Requests]
    Size = str | Sectors


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
        from vmgr.arguments import check_options

        check_options(options)
    return Application(options, dialogue, targets)


def _carried_out_by(service: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declares a method that a function of :mod:`vmgr.services` carries out, with arguments of the same names.

    They are checked first: what is wrong is a :class:`UsageError` that names it.
    """

    def declared(method: Callable[P, R]) -> Callable[P, R]:
        @wraps(method)
        def call(*arguments: P.args, **named: P.kwargs) -> R:
            from importlib import import_module

            from vmgr.arguments import bound

            app: Any = arguments[0]
            given, options = bound(method, arguments[1:], named)
            module, _, function = service.partition(".")
            run: Callable[..., R] = getattr(import_module(f"vmgr.services.{module}"), function)
            with app._session.with_options(**options):
                return run(app._session, **given)

        return call

    return declared


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
        self.close()

    def close(self) -> None:
        """Let go of locks, devices and the device mapper."""
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

    @_carried_out_by("appearance.appeared")
    def appeared(self, devices: Names = ()) -> tuple[Appearance, ...]:
        """Which groups devices that have appeared belong to, and whether these are complete; none means all."""

    @_carried_out_by("appearance.claim_activation")
    def claim_activation(self, vg: str) -> bool:
        """Whether the caller is the first since the group was complete, and so shall activate it."""

    # -- any change -------------------------------------------------------------------------------

    @_carried_out_by("batch.run")
    def change(self, vg: str, requests: Requests, **options: Any) -> Outcome:
        """Carry out requests for one group, in order and as one commit: all of them, or none."""

    @_carried_out_by("batch.run_together")
    def change_together(self, requests: RequestsByGroup, **options: Any) -> Outcome:
        """Carry out requests for several groups, ``{"tank": [...], "pool": [...]}``, as one transaction.

        All groups are locked, checked and prepared before the first is committed.
        """

    def change_group(self, vg: str, make: Callable[[VolumeGroup], Change]) -> Outcome:
        """Lock and read a group, let ``make`` say what to change, and carry it out."""
        from vmgr.arguments import check_call

        check_call(Application.change_group, (vg, make), {})
        with self._session.changing(vg) as view:
            return self._session.carry_out(make(view.group), view)

    # -- physical volumes -------------------------------------------------------------------------

    @_carried_out_by("pvs.create")
    def pvcreate(self, devices: Names, request: CreatePv | None = None, **fields: Any) -> Outcome:
        """Make devices physical volumes."""

    @_carried_out_by("pvs.remove")
    def pvremove(self, devices: Names, **options: Any) -> Outcome:
        """Wipe the labels of devices that no group uses."""

    @_carried_out_by("pvs.change")
    def pvchange(self, pvs: Names | None, request: ChangePv | None = None, **fields: Any) -> Outcome:
        """Change physical volumes, named by device or ``@tag``; None is all of them."""

    @_carried_out_by("pvs.resize")
    def pvresize(self, devices: Names, size: Size | None = None, **options: Any) -> Outcome:
        """Adapt physical volumes to their devices' size, or to ``size``."""

    # -- groups -----------------------------------------------------------------------------------

    @_carried_out_by("groups.create")
    def vgcreate(
        self,
        vg: str,
        devices: Names,
        request: CreateGroup | None = None,
        label: CreatePv | None = None,
        **fields: Any,
    ) -> Outcome:
        """Make a group of physical volumes. Other devices become physical volumes first, as ``label`` says."""

    @_carried_out_by("members.extend")
    def vgextend(
        self,
        vg: str,
        devices: Names,
        label: CreatePv | None = None,
        *,
        restore_missing: bool = False,
        **fields: Any,
    ) -> Outcome:
        """Add physical volumes to a group. ``restore_missing`` takes back ones that had gone missing."""

    @_carried_out_by("members.reduce")
    def vgreduce(
        self, vg: str, devices: Names = (), *, all_unused: bool = False, missing: bool = False, **options: Any
    ) -> Outcome:
        """Take unused physical volumes out of a group: those named, all unused ones, or those missing."""

    @_carried_out_by("groups.remove")
    def vgremove(self, subjects: Subjects, **options: Any) -> Outcome:
        """Remove groups with all their volumes."""

    @_carried_out_by("groups.rename")
    def vgrename(self, old: str, new: str, **options: Any) -> Outcome:
        """Give a group, named by name or UUID, another name."""

    @_carried_out_by("groups.change_each")
    def vgchange(self, subjects: Subjects, request: ChangeGroup | None = None, **fields: Any) -> Outcome:
        """Change groups; no subject means all of them."""

    @_carried_out_by("groups.check")
    def vgcheck(self, subjects: Subjects = (), *, update: bool = False, **options: Any) -> Outcome:
        """Check groups' metadata; ``update`` writes damaged and old copies anew."""

    @_carried_out_by("activation.make_nodes")
    def make_nodes(self, subjects: Subjects = (), **options: Any) -> Outcome:
        """Make missing device nodes and links of active volumes, and remove stale ones."""

    # -- volumes ----------------------------------------------------------------------------------

    @_carried_out_by("batch.run_one")
    def lvcreate(self, vg: str, request: CreateVolume | None = None, **fields: Any) -> Outcome:
        """Make a volume in a group."""

    @_carried_out_by("volumes.remove_each")
    def lvremove(self, subjects: Subjects, **options: Any) -> Outcome:
        """Remove volumes, or all volumes of groups."""

    @_carried_out_by("resizing.resize")
    def lvextend(self, vg: str, request: ExtendVolume | None = None, **fields: Any) -> Outcome:
        """Make a volume longer; refused if it would not be. ``vg`` may be ``vg/lv``."""

    @_carried_out_by("resizing.resize")
    def lvreduce(self, vg: str, request: ReduceVolume | None = None, **fields: Any) -> Outcome:
        """Make a volume shorter, after a question; refused if it would not be. ``vg`` may be ``vg/lv``."""

    @_carried_out_by("resizing.resize")
    def lvresize(self, vg: str, request: ResizeVolume | None = None, **fields: Any) -> Outcome:
        """Make a volume longer or shorter. ``vg`` may be ``vg/lv``."""

    @_carried_out_by("batch.run_one")
    def lvrename(self, vg: str, request: RenameVolume | None = None, **fields: Any) -> Outcome:
        """Give a volume another name. ``vg`` may be ``vg/lv``."""

    @_carried_out_by("volumes.change_each")
    def lvchange(self, subjects: Subjects, request: ChangeVolume | None = None, **fields: Any) -> Outcome:
        """Change volumes, or all volumes of groups."""

    @_carried_out_by("conversion.convert_each")
    def lvconvert(
        self, subjects: Subjects, request: ConvertVolume | RepairVolume | None = None, **fields: Any
    ) -> Outcome:
        """Convert volumes, or repair them (``RepairVolume()``)."""

    @_carried_out_by("activation.activate")
    def activate(self, subjects: Subjects = (), request: Activate | None = None, **fields: Any) -> Outcome:
        """Activate, deactivate or refresh volumes, or groups' volumes; no subject means all groups.

        ``Outcome.done`` has, for each subject that is a group, how many of its volumes are active now.
        """

    @_carried_out_by("conversion.poll")
    def poll(self, subjects: Subjects = (), **options: Any) -> Outcome:
        """Wait for the end of what goes on in volumes (merges), and write it down; no subject means all groups."""

    # -- backups ----------------------------------------------------------------------------------

    @_carried_out_by("backups.backup")
    def vgcfgbackup(self, subjects: Subjects = (), file: str = "", **options: Any) -> Outcome:
        """Write groups' metadata into ``file`` (``%s`` in it is the group's name) or into the backup directory."""

    @_carried_out_by("backups.restore")
    def vgcfgrestore(self, vg: str, file: str = "", **options: Any) -> Outcome:
        """Bring a group back to what ``file``, or its last backup, says."""

    @_carried_out_by("backups.archives")
    def archives(self, vg: str = "", file: str = "") -> tuple[ArchiveView, ...]:
        """Archives and backups of a group, oldest first; or the one that is ``file``."""
