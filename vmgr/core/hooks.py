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
    from vmgr.core.exchange import (
        Built,
        MappedRange,
        Run,
        SpaceNeeds,
        TargetMessage,
        Violation,
    )
    from vmgr.core.ids import Uuid
    from vmgr.core.model import Area, Fields, FieldValue, LogicalVolume, Segment, SegmentBody, VolumeGroup
    from vmgr.core.requests import ConvertVolume, CreateVolume, ExtendVolume, Request, Stamp
    from vmgr.core.table import DmDevice, LiveDevice, TargetLine
    from vmgr.core.tabletype import TableType
    from vmgr.core.units import Extents, Sectors

API_VERSION = 1
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

    ``kind``: ``flag``, ``number``, ``size`` (sectors; a bare number is in ``default_unit``), ``yesno``,
    ``word``. ``commands`` names the commands that take it. ``choices`` limits a word. Plugins may share
    an option by declaring it with the same kind and letter; a request is offered only to plugins that
    declare, for its command, all the options that it carries.
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
    values of ``--type`` that name it. ``summary`` is one line for ``vmgr plugins``; ``manual`` is
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
    :class:`vmgr.core.table.DmDevice`.
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
    manual: str = ""
    quiet: bool = False
    uniform: bool = False
    plain: bool = False
    over_plain: bool = False
    exclusive: bool = False
    api_version: int = API_VERSION


class Claim:
    """How strongly a plugin claims a request. Exactly one may say ``YES``."""

    NO = 0
    IF_NOBODY_ELSE = 1
    YES = 2


# -- values that hooks exchange -------------------------------------------------------------------


Live = Mapping[str, "LiveDevice"]
"""What the kernel has now, by device-mapper UUID, live tables included; empty where nothing is known."""


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


class Makers(Protocol):
    """Makes volumes of whatever kind, so that a target can lie on others without knowing them.

    A target whose helper volumes are plain space (a snapshot's COW volume, a RAID image, a pool's data)
    hands on a request of its own with ``type`` None: the plugin for plain volumes takes it.
    """

    def space_needed(
        self, group: VolumeGroup, request: CreateVolume | ExtendVolume, extents: Extents
    ) -> SpaceNeeds:
        """What space ``request`` needs."""

    def build_volumes(
        self,
        group: VolumeGroup,
        request: CreateVolume | ExtendVolume,
        blank: LogicalVolume,
        grant: Grant,
        stamp: Stamp,
        extents: Extents | None = None,
    ) -> Built:
        """The volumes that ``request`` makes of ``grant``; ``extents`` None: as many as the grant's data runs."""

    def cut(self, group: VolumeGroup, segment: Segment, start: Extents, length: Extents) -> SegmentBody:
        """The body of a part of a segment."""


PLAIN_ROLE = "data"
"""The role in which plain volumes ask for their space, and in which a grant for one must hold its runs."""


Grant = Mapping[str, "tuple[Run, ...]"]
"""What the allocator gave: for each role its runs, in the order of the volume's extents."""


@frozen(repr=False)
class TargetStatus(Value):
    """What a status line of the kernel says.

    ``percent`` (0 to 100) is fill or progress, None where there is none. ``health`` is ``""`` when all is well,
    else a word such as ``invalid``, ``overflow``, ``merge failed``. ``done`` tells that a process
    which the volume was in (a merge, a synchronisation) has ended, ``running`` that one is under way: ``percent``
    is what is left of it then. ``values`` are the plugin's own, in columns that it declared.
    """

    percent: float | None = None
    health: str = ""
    done: bool = False
    running: bool = False
    values: tuple[tuple[str, object], ...] = ()


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

        Called after a whole group has been decoded. LVM2's text calls an old-style snapshot's COW volume hidden and
        its bookkeeping volume visible; in the model ``VISIBLE`` means what it says.
        """
        raise NotImplementedError

    @hookspec
    def group_written(self, group: VolumeGroup) -> VolumeGroup:
        """Undo :meth:`group_read` before a group is encoded. Default: nothing."""
        raise NotImplementedError

    # making and changing volumes

    @hookspec
    def check_request(self, group: VolumeGroup, volume: LogicalVolume, request: Request, live: Live) -> None:
        """Raise :class:`vmgr.core.errors.VmgrError` if ``request`` may not be made of ``volume``. Default: it may.

        Called before any operation, for the plugins of the volume's segments and for those whose segments refer
        to it or lie on it. ``volume`` is the one that the request names (the origin, for a creation).
        """
        raise NotImplementedError

    @hookspec
    def claim_request(self, group: VolumeGroup, request: CreateVolume | ExtendVolume) -> int:
        """Say whether a request is this plugin's, as a :class:`Claim`.

        Default: ``type`` is one of its types; for an extension without a type, the last segment is the plugin's.
        """
        raise NotImplementedError

    @hookspec
    def size_limit(self, group: VolumeGroup, volume: LogicalVolume) -> tuple[Extents, str] | None:
        """How long ``volume`` may sensibly become, and what to tell a user who asked for more. Default: None.

        Called like :meth:`check_request`. An extension beyond it is cut to it.
        """
        raise NotImplementedError

    @hookspec
    def space_needed(
        self, group: VolumeGroup, request: CreateVolume | ExtendVolume, extents: Extents, makers: Makers
    ) -> SpaceNeeds:
        """Say what space a gain of ``extents`` needs. Default: the request is refused.

        ``extents`` is the size of the request, 0 where it has none, not yet rounded; a percentage of the origin is
        of the origin's extents alone, and the plugin may add what it needs beyond them.
        """
        raise NotImplementedError

    @hookspec
    def build_volumes(
        self,
        group: VolumeGroup,
        request: CreateVolume | ExtendVolume,
        blank: LogicalVolume,
        grant: Grant,
        stamp: Stamp,
        makers: Makers,
        extents: Extents,
    ) -> Built:
        """Make the visible and helper volumes from granted space. Default: refused.

        ``blank`` is the volume to fill: for a creation new and without segments (name, tags, status,
        times set), for an extension the volume as it is. Helpers take their UUIDs from ``stamp.uuid(1)`` on.
        ``extents`` is the gain of :class:`SpaceNeeds`, for kinds that take no space; where less was granted of a
        percentage, the runs are shorter.
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
    def reduce_volume(
        self, group: VolumeGroup, volume: LogicalVolume, extents: Extents, makers: Makers
    ) -> Built | None:
        """Make ``volume`` only ``extents`` long, its helpers too. Default: None, its segments are cut.

        Called for the plugin of the volume's last segment.
        """
        raise NotImplementedError

    @hookspec
    def convert_needs(self, group: VolumeGroup, request: ConvertVolume, makers: Makers) -> SpaceNeeds:
        """Say what space a conversion needs. Default: none."""
        raise NotImplementedError

    @hookspec
    def convert(
        self,
        group: VolumeGroup,
        request: ConvertVolume,
        grant: Grant,
        live: Live,
        stamp: Stamp,
        makers: Makers,
    ) -> Built:
        """Carry out options that this plugin declared for ``lvconvert``. Default: refused."""
        raise NotImplementedError

    @hookspec
    def finish(self, group: VolumeGroup, volume: LogicalVolume, status: TargetStatus, stamp: Stamp) -> Built | None:
        """Change the metadata after a process in the kernel is ``done`` (a merge). Default: None, nothing to do."""
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
        """The devices that ``volume`` becomes, from the one of its own lines; lowest first.

        Called for the plugins of its segments and for those whose segments refer to it or lie
        on it. The device that users see has :attr:`DmDevice.link`. Default: ``(base,)``. ``live`` is for
        what must not change under a user's hands: what runs is to be described as it runs. Only with ``start``, or
        while the volume is not active, may begin what the metadata ask for and does not run yet (a merge).
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
    def parse_status(self, target: str, params: str) -> TargetStatus:
        """Read a status line of one of the plugin's kernel targets. Default: an empty status."""
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
        self, group: VolumeGroup, volume: LogicalVolume, segment: Segment, status: TargetStatus | None
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
