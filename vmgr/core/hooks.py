"""The contract between vmgr and a target plugin: the hooks, and the values they exchange.

A plugin is a module (or any object) with functions marked :data:`hookimpl`, registered in the entry-point
group ``vmgr.targets``. Built-in targets are registered the same way as a stranger's. Every hook is
pure: it gets core values and returns core values, and never touches a disk or the kernel.
``vmgr-plugins(7)`` teaches it; :mod:`vmgr.core.targets` calls it.

Which plugin is called is decided by what it declared in :class:`TargetInfo`: its type words
(decode), its body classes (everything about an existing segment), its kernel targets (status), or
its claim on a request. Only ``target_info``, ``decode_segment``, ``encode_segment`` and
``segment_lines`` are needed to use volumes; each other hook has the default that is named in its
docstring. What the hooks exchange about space and volumes is in :mod:`vmgr.core.exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import pluggy
from attrs import frozen

from vmgr.core.value import Value

if TYPE_CHECKING:
    from vmgr.core.context import Context
    from vmgr.core.exchange import Built, MappedRange, TargetMessage, Violation
    from vmgr.core.ids import Uuid
    from vmgr.core.model import Area, Fields, FieldValue, LogicalVolume, Segment, SegmentBody, VolumeGroup
    from vmgr.core.requests import Request
    from vmgr.core.table import DmDevice, KernelLine, LiveDevice, TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.tools import ToolRun
    from vmgr.core.units import Extents, Sectors

API_VERSION = 2
"""The version of this contract. A plugin made for another one is refused when it is loaded."""

PROJECT = "vmgr"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# -- what a plugin declares -----------------------------------------------------------------------


@frozen(repr=False)
class KernelTarget(Value):
    """A device-mapper target that the plugin's tables use, and the oldest version that will do.

    ``module`` and ``config`` are for ``vmgr doctor``: the kernel module that has the target, where that is not
    ``dm-NAME``, and the kernel's configuration symbol (without ``CONFIG_``), where that is not ``DM_NAME``.
    """

    name: str
    version: tuple[int, int, int] = (1, 0, 0)
    module: str = ""
    config: str = ""


@frozen(repr=False)
class OptionSpec(Value):
    """An option that a plugin adds to commands.

    ``kind``: ``flag``, ``number``, ``percent`` (0 to 100), ``size`` (sectors; a bare number is in
    ``default_unit``), ``extents`` (a :class:`~vmgr.core.amounts.SizeSpec`: a number or a percentage of
    something), ``yesno``, ``word``, ``volume`` (a name; hooks get the UUID). ``signed``: a plus or minus may
    stand before it, and a size or a number is a :class:`~vmgr.core.amounts.SizeSpec` or
    :class:`~vmgr.core.amounts.Signed`. ``repeated``: it may be given several times, and its value is a tuple. Of
    options of one ``group`` one may be given. ``commands`` names the commands that take it. ``choices`` limits a
    word. Plugins may share an option by declaring it with the same kind and letter; a request is offered only to
    plugins that declare, for its command, all the options that it carries. A flag ``repair`` of lvconvert makes
    its request a :class:`~vmgr.core.requests.RepairVolume`.
    """

    name: str
    kind: str
    help: str
    commands: tuple[str, ...]
    short: str = ""
    aliases: tuple[str, ...] = ()
    metavar: str = ""
    choices: tuple[str, ...] = ()
    default_unit: str = "m"
    signed: bool = False
    repeated: bool = False
    group: str = ""


SettingValue = bool | int | float | str | tuple[str, ...]


@frozen(repr=False)
class SettingSpec(Value):
    """A setting that a plugin obeys.

    ``key``: ``section/name`` of lvm.conf; one that LVM2 does not know is looked for in vmgr's own file. ``kind``:
    ``flag``, ``number``, ``word``, ``words`` (a tuple), ``percent`` (0 to 100), ``size`` (sectors; a number in the
    file counts ``unit`` sectors each, 2 for KiB). ``default`` is of that kind, sectors for a size.
    """

    key: str
    kind: str
    default: SettingValue
    help: str
    unit: int = 2


@frozen(repr=False)
class ToolSpec(Value):
    """A program that a plugin has run; ``setting`` is the key of lvm.conf that may give its path, if any."""

    name: str
    help: str
    setting: str = ""


@frozen(repr=False)
class ColumnSpec(Value):
    """A column that a plugin adds to ``lvs``.

    ``kind``: ``string``, ``number``, ``size`` (Sectors), ``percent`` (a float, 0 to 100), ``binary`` (a bool, shown
    as the heading's word or nothing), ``list`` (a tuple of words). A string that is the UUID of a volume of the
    group is shown as that volume's name. ``per_segment`` columns list one row for each segment. Plugins may share a
    column by declaring it alike. LVM2's own columns (``origin``, ``data_percent``...) are known to reports, with
    their headings: declaring one says that the plugin has values for it.
    """

    name: str
    heading: str
    kind: str
    help: str
    per_segment: bool = False


@frozen(repr=False)
class TargetInfo(Value):
    """What a plugin is. Returned by ``target_info``.

    ``segment_types``: type words of the metadata text that it may claim. ``fields``: every field of such a
    section that it reads or writes; others are kept for it. ``bodies``: its body classes. ``types``:
    values of ``--type`` that name it. ``settings`` and ``tools``: what it looks at in a
    :class:`vmgr.core.context.Context`. ``summary`` is one line for ``vmgr plugins``; ``manual`` is
    its section of the man page, plain paragraphs separated by empty lines. ``quiet`` promises that ``describe``
    sets no letters for its own volumes and gives values only in columns that are ``per_segment``: a report of
    ten thousand volumes then need not ask about each. ``plain`` says that its segments are no more than what their
    lines say, so that in one volume segments of other plain targets may follow them: an extension of a
    volume is offered to the plugin of its last segment and, if that is plain, to other plain ones.
    ``uniform`` promises that ``decode_segment`` takes the length of a segment, and the extent at which its one
    area starts, as they come: of sections with one area that differ in nothing else, it takes all or none (or
    refuses all), and the bodies that it gives are of one class, which refers to no other volume, with that area, as
    long as the segment, as their only one. Of a thousand such sections one is decoded while the group is
    read, the others when somebody asks for them, which must not fail then.
    ``over_plain`` says that its volumes lie on plain ones, and that it hands on their options. ``exclusive``: see
    :class:`vmgr.core.table.DmDevice`. ``rank`` orders layers of several plugins on one volume: a higher one wraps
    what the lower ones made.
    """

    name: str
    summary: str
    segment_types: tuple[str, ...]
    fields: frozenset[str]
    bodies: tuple[type[SegmentBody], ...]
    kernel_targets: tuple[KernelTarget, ...]
    types: tuple[str, ...] = ()
    options: tuple[OptionSpec, ...] = ()
    columns: tuple[ColumnSpec, ...] = ()
    settings: tuple[SettingSpec, ...] = ()
    tools: tuple[ToolSpec, ...] = ()
    manual: str = ""
    quiet: bool = False
    uniform: bool = False
    plain: bool = False
    over_plain: bool = False
    exclusive: bool = False
    rank: int = 0
    api_version: int = API_VERSION


class Claim:
    """How strongly a plugin claims a request. Exactly one may say ``YES``."""

    NO = 0
    IF_NOBODY_ELSE = 1
    YES = 2


# -- values that hooks exchange -------------------------------------------------------------------


Live = Mapping[str, "LiveDevice"]
"""What the kernel has now, by device-mapper UUID, live tables included; empty where nothing is known."""

NOTHING_LIVE: Live = {}
"""For a caller that knows nothing of the kernel: every volume counts as inactive."""


class Names(Protocol):
    """Turns names of the metadata text into identities and back, while a group is read or written."""

    def area(self, name: str, start: int, length: int) -> Area:
        """The area for a ``"name", start`` pair of the text, ``length`` extents long."""

    def lv(self, name: str) -> Uuid:
        """The UUID of the volume called ``name``."""

    def area_name(self, area: Area) -> str:
        """What an area's PV (``pv0``...) or volume is called in the text."""

    def lv_name(self, lv: Uuid) -> str:
        """What a volume is called in the text."""


PLAIN_ROLE = "data"
"""The role in which plain volumes ask for their space, and in which a grant for one must hold its runs."""


class StatusOutcome:
    """What a status comes to, in the one of four words that the core acts on."""

    WAITING = "waiting"
    """Something goes on that will end by itself: a merge, a synchronisation."""
    READY = "ready"
    """Nothing goes on, and nothing is wrong."""
    DEGRADED = "degraded"
    """It works, and something is lost: redundancy, or what is left of space."""
    FAILED = "failed"
    """It does not work any more, or what went on has stopped."""


@frozen(repr=False)
class Status(Value):
    """What the kernel says of a volume.

    ``outcome`` is one of :class:`StatusOutcome`. ``percent`` (0 to 100) is fill or progress, None where there is
    none. ``health`` is ``""`` when all is well, else a word such as ``invalid`` or ``merge failed``, which stops
    nothing by itself. ``progress`` says to a person how far it is (``12.50% left``). ``own`` is a frozen value of
    the plugin's own class, which only its hooks look into.
    """

    outcome: str = StatusOutcome.READY
    percent: float | None = None
    health: str = ""
    progress: str = ""
    own: object = None


@frozen(repr=False)
class Pending(Value):
    """What the metadata of a volume say is not done yet: a message to be written off, a merge, a synchronisation.

    When the status of volume ``on`` (None: the volume itself) comes to ``until`` (a :class:`StatusOutcome`), the
    core has the plugin write down the end of it: a :class:`~vmgr.core.requests.FinishVolume` with ``name``. That is
    seen to by the command that asked for it, by polling and by an activation. ``until`` None: at once, in the
    command whose commit made it so, and if that was killed, before the next change of the group.
    """

    name: str
    until: str | None = None
    on: Uuid | None = None


@frozen(repr=False)
class VolumeFacts(Value):
    """What reports say of a volume or segment beyond what the core knows.

    ``kind``, ``target``, ``zero`` and ``health`` are the 1st, 7th, 8th and 9th letters of ``lv_attr``, ``""`` for
    LVM2's default. ``state`` replaces the 5th letter of a volume with a live table: two letters, for one that runs
    and one that is suspended (``IS`` for an invalid snapshot), ``""`` for the core's own. ``segtype`` is the word
    shown for the segment. ``values`` are columns that the plugin declared.
    """

    segtype: str
    kind: str = ""
    target: str = ""
    state: str = ""
    zero: str = ""
    health: str = ""
    values: tuple[tuple[str, object], ...] = ()


# -- the hooks ------------------------------------------------------------------------------------


class TargetSpec:
    """The hook specifications. A plugin's functions take any subset of each hook's arguments."""

    @hookspec
    def target_info(self) -> TargetInfo:
        """Say what the plugin is. Required."""
        raise NotImplementedError

    # a segment on disk

    @hookspec
    def decode_segment(
        self, type_word: str, length: Extents, fields: Mapping[str, FieldValue], names: Names
    ) -> SegmentBody | None:
        """Turn a segment's section into a body, or None: not mine. Required.

        ``type_word`` is one of the plugin's, perhaps with flags (``cache-pool+METADATA_FORMAT``): a plugin that
        does not know a flag must say None. ``fields`` holds the whole section but ``start_extent``,
        ``extent_count``, ``type`` and ``tags``.
        Raise :class:`vmgr.core.errors.DamagedMetadata` for a section of this type that makes no sense.
        """
        raise NotImplementedError

    @hookspec
    def encode_segment(self, body: SegmentBody, names: Names) -> tuple[str, Fields]:
        """Give the type word and the fields of a body, in LVM2's order. Required."""
        raise NotImplementedError

    @hookspec
    def group_read(self, group: VolumeGroup) -> VolumeGroup:
        """Correct what the metadata text says in another sense than the model. Default: nothing.

        Called after a whole group that has volumes of the plugin has been decoded. LVM2's text calls an old-style
        snapshot's COW volume hidden and its bookkeeping volume visible; in the model ``VISIBLE`` means what it
        says.
        """
        raise NotImplementedError

    @hookspec
    def group_written(self, group: VolumeGroup) -> VolumeGroup:
        """Undo :meth:`group_read` before a group is encoded. Default: nothing."""
        raise NotImplementedError

    # making and changing volumes

    @hookspec
    def check_request(self, group: VolumeGroup, volume: LogicalVolume, request: Request, ctx: Context) -> None:
        """Raise :class:`vmgr.core.errors.VmgrError` if ``request`` may not be made of ``volume``. Default: it may.

        Called before any operation, for the plugins of the volume's segments and for those whose segments refer
        to it or lie on it. ``volume`` is the one that the request names (the origin, for a creation).
        """
        raise NotImplementedError

    @hookspec
    def claim(self, group: VolumeGroup, request: Request) -> int | None:
        """Say whether a request to create, extend, convert or repair is this plugin's, as a :class:`Claim`.

        Default, and for None: ``type`` is one of its types; for an extension without a type, the last segment is
        the plugin's; for a conversion it declared all options that are given, and the plugins around the volume
        go before others; for a repair the last segment is the plugin's.
        """
        raise NotImplementedError

    @hookspec
    def size_limit(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Extents, str] | None:
        """How long ``volume`` may sensibly become, and what to tell a user who asked for more. Default: None.

        Called like :meth:`check_request`. An extension beyond it is cut to it.
        """
        raise NotImplementedError

    @hookspec
    def change(self, group: VolumeGroup, request: Request, ctx: Context) -> Built | None:
        """Carry out ``request``. Default, and for None: the core does it, where it can, or it is refused.

        Asked is, of requests

        - to create, extend, convert and repair: the plugin that claims them; None refuses them
        - to reduce: that of the volume's last segment; for None the segments are cut
        - to remove (:class:`~vmgr.core.requests.RemoveVolumes`, all volumes of one command): those of the volumes'
          segments and those whose segments refer to them or lie on them. All that ``removed_with`` named is in the
          request, and goes; the plugin says what changes beyond that
        - to change attributes: likewise, for each volume; the core has made its own changes in ``ctx.volume``
        - to take back (:class:`~vmgr.core.requests.TakeBack`): those of the volume to whose device a message could
          not be sent after the commit
        - to finish (:class:`~vmgr.core.requests.FinishVolume`): the plugin whose :meth:`pending` named it

        ``ctx.place`` finds space, ``ctx.make`` makes volumes to lie on. Any volumes of the group may be changed.
        Read each option with :func:`vmgr.core.requests.option`: one that nobody has read is refused by name.
        """
        raise NotImplementedError

    @hookspec
    def join_segments(self, group: VolumeGroup, first: Segment, second: Segment) -> SegmentBody | None:
        """The body of one segment for two neighbours, or None if they cannot be one. Default: None."""
        raise NotImplementedError

    @hookspec
    def cut_segment(self, group: VolumeGroup, segment: Segment, start: Extents, length: Extents) -> SegmentBody:
        """The body of ``length`` extents of ``segment`` from its extent ``start`` on. Default: refused."""
        raise NotImplementedError

    @hookspec
    def removed_with(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
        """Volumes that go when ``volume`` goes, called for its own bodies and for those that refer to it.

        Default: hidden volumes that its segments lie on or refer to.
        """
        raise NotImplementedError

    @hookspec
    def check_volume(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Violation, ...]:
        """Rules of this target that ``volume`` breaks. Default: none."""
        raise NotImplementedError

    # in the kernel

    @hookspec
    def segment_lines(self, group: VolumeGroup, volume: LogicalVolume, segment: Segment) -> tuple[TargetLine, ...]:
        """The table lines of one segment, in sectors of the volume. Required. None at all: it has no device."""
        raise NotImplementedError

    @hookspec
    def layers(
        self, group: VolumeGroup, volume: LogicalVolume, base: DmDevice, live: Live, start: bool
    ) -> tuple[DmDevice, ...]:
        """The devices that ``volume`` becomes, from ``base``; lowest first, the one that stands for it last.

        ``base`` is the device of its own lines, or the uppermost of what plugins of lower ``rank`` made of it.

        Called for the plugins of its segments and for those whose segments refer to it or lie
        on it. The device that users see has :attr:`DmDevice.link`. Default: ``(base,)``. ``live`` is for
        what must not change under a user's hands: what runs is to be described as it runs. Only with ``start``, or
        while the volume is not active, may begin what the metadata ask for and does not run yet (a merge).
        """
        raise NotImplementedError

    @hookspec
    def before_activation(self, group: VolumeGroup, volume: LogicalVolume, ctx: Context) -> tuple[ToolRun, ...]:
        """Programs that are run before ``volume``, which is not active, is activated (a check). Default: none.

        Called for volumes with segments of the plugin, also for those that another one that is activated needs.
        """
        raise NotImplementedError

    @hookspec
    def may_change(self, group: VolumeGroup, volume: LogicalVolume, part: LogicalVolume, request: Request) -> bool:
        """Whether ``request`` may be made of the hidden ``part``, which ``volume`` lies on or refers to.

        Default: no.

        Called for the plugins of ``volume``. Without it a hidden volume changes only with the one above it.
        """
        raise NotImplementedError

    @hookspec
    def companions(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Uuid, ...]:
        """Volumes that must be active whenever ``volume`` is, beyond those its devices need. Default: none.

        Called for the plugins of its segments and for those whose segments refer to it.
        """
        raise NotImplementedError

    @hookspec
    def messages(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[TargetMessage, ...]:
        """Messages that the metadata ask for, for devices of ``volume``. Default: none.

        They are sent whenever the devices become or are live, in this order. :meth:`finish` then takes them out of
        the metadata.
        """
        raise NotImplementedError

    @hookspec
    def status_device(self, group: VolumeGroup, volume: LogicalVolume, live: Live) -> str | None:
        """The device-mapper UUID of the device whose status is the volume's. Default: None, its own device.

        Called for the plugins of its segments and for those whose segments refer to it or lie on it.
        """
        raise NotImplementedError

    @hookspec
    def parse_status(self, group: VolumeGroup, volume: LogicalVolume, lines: tuple[KernelLine, ...]) -> Status:
        """Read the status of a volume's device: all its lines, of which one at least is of the plugin's targets.

        Each has start and length in sectors, the target, and the words of the kernel. Default: an empty status.
        """
        raise NotImplementedError

    @hookspec
    def pending(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Pending, ...]:
        """What the metadata alone say is not done yet. Default: nothing.

        Called for volumes with segments of the plugin. So what a killed command left is gone on with by the next.
        """
        raise NotImplementedError

    @hookspec
    def table_types(self) -> tuple[type[TableType], ...]:
        """The types of the lines of the plugin's kernel targets, for programs that read tables. Default: none.

        Each target's lines have one type. Import the types inside: an ordinary command does not need them.
        """
        raise NotImplementedError

    # for people

    @hookspec
    def describe(
        self, group: VolumeGroup, volume: LogicalVolume, segment: Segment, status: Status | None
    ) -> VolumeFacts:
        """What reports say of a segment. Default: the type word and nothing else.

        Called for the plugins of its segments and, with their own segment, for those that refer to
        ``volume``; the latter may only set letters and values.
        ``status`` is None when the volume is not active or its status is not known.
        """
        raise NotImplementedError

    @hookspec
    def map_read(
        self, group: VolumeGroup, segment: Segment, start: Sectors, length: Sectors
    ) -> tuple[MappedRange, ...] | None:
        """Where sectors of a segment lie (counted from its start); None: not to be had without a kernel."""
        raise NotImplementedError
