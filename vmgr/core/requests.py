"""What is asked of a group, as frozen values: the command line, Python programs and plugins use the same.

A program writes what a user would write: a volume as its name or UUID, a physical volume as a path, ``@tag`` or
UUID, a size as text. :func:`vmgr.core.resolve.resolve` looks the names up under the group's lock and gives the
same request with UUIDs. The fields are typed as they are then, which is how operations and plugins see them;
their converters take what may be written instead. Sizes do not become extents here, because a percentage is of a
group that is known only under its lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from attrs import evolve, field, frozen

from vmgr.core.amounts import CHOICES, Percent, SizeSpec
from vmgr.core.errors import UsageError
from vmgr.core.ids import LvName, Tag, Uuid
from vmgr.core.units import Extents, Sectors
from vmgr.core.value import Value

NAMES = "names"
"""Key of a field's metadata: what the names in it are of, one of the words below."""
VOLUME, PVS, OPTIONS = "volume", "pvs", "options"
LEAST = "least"
"""Key of a field's metadata: the smallest number that it may be, where that is not 0."""

READ_AHEAD_AUTO = -1
"""A read-ahead that the kernel chooses (``--readahead auto``); 0 is none, other numbers are sectors."""

NO_NUMBERS = (-1, -1)
"""Persistent numbers that are to be dropped (``lvchange -Mn``)."""


PVS_SPACE = SizeSpec(Percent(100, "PVS"), "+")
"""All that is free on the physical volumes named."""


@frozen(repr=False)
class PvRange(Value):
    """A physical volume to allocate from; with ``ranges``, only those extents (first, last)."""

    pv: Uuid
    ranges: tuple[tuple[Extents, Extents], ...] = ()


OptionValue = bool | int | str | Sectors | SizeSpec | tuple["OptionValue", ...]
Options = tuple[tuple[str, OptionValue], ...]
"""Values of the options that target plugins declared, by the option's long name without dashes."""


class OptionValues(tuple[tuple[str, OptionValue], ...]):
    """Options that remember which of them were asked for, so that none is dropped in silence.

    Equal to the plain tuple. ``noted`` is shared by all that were made of one request's options.
    """

    noted: set[str]

    def __new__(cls, values: Iterable[tuple[str, OptionValue]] = (), noted: set[str] | None = None) -> OptionValues:
        """``values`` as they were given."""
        made = super().__new__(cls, values)
        made.noted = set() if noted is None else noted
        return made

    def without(self, *names: str) -> OptionValues:
        """What is left for another plugin when ``names`` are one's own."""
        return OptionValues((item for item in self if item[0] not in names), self.noted)

    def unread(self) -> tuple[str, ...]:
        """Names of options that nobody has asked for."""
        return tuple(name for name, _ in self if name not in self.noted)


def option(options: Options, name: str) -> OptionValue | None:
    """The value given for option ``name``, or None. That it was asked for is noted (:class:`OptionValues`)."""
    if isinstance(options, OptionValues):
        options.noted.add(name)
    for key, value in options:
        if key == name:
            return value
    return None


def number(options: Options, name: str) -> int | None:
    """The value given for an option that is a number or a length, or None."""
    value = option(options, name)
    return value if isinstance(value, int) else None


# -- what people write ----------------------------------------------------------------------------
#
# What a converter cannot read it leaves as it is: vmgr.arguments names the class and the field.

POLICIES = ("contiguous", "cling", "cling_by_tags", "normal", "anywhere", "inherit")
_POLICY = {CHOICES: POLICIES}
_VOLUME = {NAMES: VOLUME}
_PVS = {NAMES: PVS}
_OPTIONS = {NAMES: OPTIONS}


def to_volume(name: str) -> Uuid:
    """A volume's name or UUID; a UUID once it is resolved."""
    return cast(Uuid, name)


EACH = cast(Uuid, "")
"""In a request, each of the volumes that are named beside it."""


def to_origin(name: str | None) -> Uuid | None:
    """Like :func:`to_volume`, or None."""
    return cast(Uuid | None, name)


def to_name(text: str | None) -> LvName | None:
    """A name for a volume that is to be made. Raises :class:`InvalidName`."""
    return LvName.chosen(text) if isinstance(text, str) and not isinstance(text, LvName) else text


def to_new_name(text: str) -> LvName:
    """Like :func:`to_name`."""
    return cast(LvName, to_name(text))


def to_size(size: str | Sectors | Extents | Percent | SizeSpec | None) -> SizeSpec | None:
    """A size; as text in the grammar of ``-L`` (``10g``, ``+512m``) or a percentage (``50%FREE``).

    Raises :class:`InvalidSize`.
    """
    if isinstance(size, str):
        from vmgr.core.sizes import parse_extents, parse_size

        return parse_extents(size) if "%" in size else parse_size(size)
    return SizeSpec(size) if isinstance(size, Sectors | Extents | Percent) else size


def to_new_size(size: str | Sectors | Extents | Percent | SizeSpec) -> SizeSpec:
    """Like :func:`to_size`."""
    return cast(SizeSpec, to_size(size))


def to_sectors(size: str | Sectors | None) -> Sectors | None:
    """A length; as text in the grammar of ``-L``. Raises :class:`InvalidSize`."""
    if isinstance(size, str):
        from vmgr.core.sizes import parse_sectors

        return parse_sectors(size)
    return size


def to_pvs(pvs: str | PvRange | Iterable[str | PvRange]) -> tuple[PvRange, ...]:
    """Physical volumes to allocate from, one or several: ``/dev/sdb``, ``/dev/sdb:0-99:200-``, ``@tag``, a UUID.

    Raises :class:`InvalidName` and :class:`UsageError`.
    """
    if isinstance(pvs, str | PvRange):
        pvs = (pvs,)
    if not isinstance(pvs, list | tuple):
        return cast(tuple[PvRange, ...], pvs)
    for pv in pvs:
        if isinstance(pv, str):
            _check_pv(pv)
    return cast(tuple[PvRange, ...], tuple(pvs))


def _check_pv(text: str) -> None:
    if text.startswith("@"):
        Tag(text[1:])
        return
    from vmgr.core.sizes import split_pv_argument

    if not split_pv_argument(text)[0]:
        raise UsageError(f"{text!r} names no physical volume", hint="give a device, as /dev/sdb:0-99")


def to_tags(tags: str | Iterable[str]) -> tuple[Tag, ...]:
    """One tag or several. Raises :class:`InvalidName`."""
    if isinstance(tags, str):
        tags = (tags,)
    if not isinstance(tags, list | tuple):
        return cast(tuple[Tag, ...], tags)
    return tuple(Tag(tag) if isinstance(tag, str) and not isinstance(tag, Tag) else cast(Tag, tag) for tag in tags)


def to_options(options: Mapping[str, OptionValue] | Options) -> Options:
    """Values of plugins' options, as pairs or in a dictionary."""
    return tuple(options.items()) if isinstance(options, Mapping) else options


def to_activation(activate: str | bool) -> str:
    """``y``, ``n`` or ``ay``; True and False are the first two."""
    return ("y" if activate else "n") if isinstance(activate, bool) else activate


# -- requests -------------------------------------------------------------------------------------


@frozen(repr=False)
class CreateVolume(Value):
    """Make a volume (``lvcreate``).

    ``name`` None means the next free ``lvolN``; ``origin`` is the volume to start from. ``options`` are those that
    target plugins declared. ``activate`` is ``y``, ``n`` or ``ay`` (only if the configuration lets it be activated
    by itself). ``zero``, ``wipe_signatures`` and ``read_ahead`` None follow lvm.conf. ``read_ahead`` is in sectors,
    :data:`READ_AHEAD_AUTO`, or 0. ``numbers`` are persistent (major, minor); major -1 is any. ``activation_skip``
    marks the volume to be left out of activations, ``ignore_skip`` activates it all the same this time.
    ``profile`` is the metadata profile that is kept with the volume.
    """

    size: SizeSpec | None = field(default=None, converter=to_size)
    name: LvName | None = field(default=None, converter=to_name)
    type: str | None = None
    origin: Uuid | None = field(default=None, converter=to_origin, metadata=_VOLUME)
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)
    pvs: tuple[PvRange, ...] = field(default=(), converter=to_pvs, metadata=_PVS)
    alloc: str = field(default="inherit", metadata=_POLICY)
    tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    read_only: bool = False
    activate: str = field(default="y", converter=to_activation, metadata={CHOICES: ("y", "n", "ay")})
    zero: bool | None = None
    wipe_signatures: bool | None = None
    autoactivate: bool = True
    activation_skip: bool | None = None
    read_ahead: int | None = field(default=None, metadata={LEAST: -1})
    numbers: tuple[int, int] | None = None
    ignore_skip: bool = False
    profile: str = ""


@frozen(repr=False)
class _OtherSize(Value):
    lv: Uuid = field(converter=to_volume, metadata=_VOLUME)
    size: SizeSpec = field(default=PVS_SPACE, converter=to_new_size)
    type: str | None = None
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)
    pvs: tuple[PvRange, ...] = field(default=(), converter=to_pvs, metadata=_PVS)
    alloc: str | None = field(default=None, metadata=_POLICY)

    def __attrs_post_init__(self) -> None:
        if self.size is PVS_SPACE and not self.pvs:
            raise UsageError("no new size given", hint="say how large it shall be: -L SIZE or -l EXTENTS")


@frozen(repr=False)
class ExtendVolume(_OtherSize):
    """Make a volume longer (``lvextend``), to ``size`` or by it; without a size by all that is free on ``pvs``.

    Raises :class:`UsageError` where there is neither size nor ``pvs``.
    """


@frozen(repr=False)
class ResizeVolume(_OtherSize):
    """Give a volume the length ``size`` (``lvresize``), whichever way that is: see :class:`ExtendVolume`."""


@frozen(repr=False)
class ReduceVolume(Value):
    """Make a volume shorter (``lvreduce``), to ``size`` or by it. Data behind the new end is lost."""

    lv: Uuid = field(converter=to_volume, metadata=_VOLUME)
    size: SizeSpec = field(converter=to_new_size)
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)


@frozen(repr=False)
class RemoveVolume(Value):
    """Remove a volume and what goes with it (``lvremove``)."""

    lv: Uuid = field(default=EACH, converter=to_volume, metadata=_VOLUME)


@frozen(repr=False)
class RemoveVolumes(Value):
    """What plugins are told of a removal: all volumes that go in one command, with what goes with each."""

    lvs: tuple[Uuid, ...]


@frozen(repr=False)
class RenameVolume(Value):
    """Give a volume another name (``lvrename``); hidden helpers named after it follow."""

    lv: Uuid = field(converter=to_volume, metadata=_VOLUME)
    name: LvName = field(converter=to_new_name)


@frozen(repr=False)
class ChangeVolume(Value):
    """Change a volume's attributes (``lvchange``); None leaves each as it is.

    ``numbers`` are persistent (major, minor), major -1 is any; :data:`NO_NUMBERS` drops them. ``profile`` is the
    metadata profile that is kept with the volume; an empty name keeps none.
    """

    lv: Uuid = field(default=EACH, converter=to_volume, metadata=_VOLUME)
    read_only: bool | None = None
    alloc: str | None = field(default=None, metadata=_POLICY)
    add_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    del_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    read_ahead: int | None = field(default=None, metadata={LEAST: -1})
    numbers: tuple[int, int] | None = None
    autoactivate: bool | None = None
    activation_skip: bool | None = None
    profile: str | None = None
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)


@frozen(repr=False)
class ConvertVolume(Value):
    """Turn a volume into something else (``lvconvert``), as the plugin of ``options`` or ``type`` says."""

    lv: Uuid = field(default=EACH, converter=to_volume, metadata=_VOLUME)
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)
    type: str | None = None
    pvs: tuple[PvRange, ...] = field(default=(), converter=to_pvs, metadata=_PVS)
    alloc: str | None = field(default=None, metadata=_POLICY)


@frozen(repr=False)
class RepairVolume(Value):
    """Repair a volume whose parts are lost or damaged (``lvconvert --repair``); physical volumes may be missing."""

    lv: Uuid = field(default=EACH, converter=to_volume, metadata=_VOLUME)
    options: Options = field(default=(), converter=to_options, metadata=_OPTIONS)
    pvs: tuple[PvRange, ...] = field(default=(), converter=to_pvs, metadata=_PVS)
    alloc: str | None = field(default=None, metadata=_POLICY)


@frozen(repr=False)
class FinishVolume(Value):
    """Write down that what is pending in a volume under ``name`` (:class:`vmgr.core.hooks.Pending`) has ended."""

    lv: Uuid
    name: str


@frozen(repr=False)
class TakeBack(Value):
    """Undo the last change: a message that it asked for could not be sent to the device of volume ``lv``."""

    lv: Uuid


Claimed = CreateVolume | ExtendVolume | ConvertVolume | RepairVolume
"""Requests that a plugin claims."""

Request = (
    CreateVolume
    | ExtendVolume
    | ResizeVolume
    | ReduceVolume
    | RemoveVolume
    | RemoveVolumes
    | RenameVolume
    | ChangeVolume
    | ConvertVolume
    | RepairVolume
    | FinishVolume
    | TakeBack
)


@frozen
class Stamp:
    """What a pure operation may not fetch by itself: the time, the host's name, fresh UUIDs.

    ``seed`` is 32 random bytes from the caller; :meth:`uuid` derives as many UUIDs from it as are
    needed, so that the same stamp always gives the same group. ``time`` is seconds since 1970.
    """

    seed: bytes = field(repr=False)
    time: int
    host: str

    def uuid(self, n: int) -> Uuid:
        """The ``n``-th fresh UUID of this stamp."""
        from hashlib import sha256

        return Uuid.from_bytes(sha256(self.seed + n.to_bytes(4, "big")).digest())

    def part(self, n: int) -> Stamp:
        """A stamp of its own for the ``n``-th part of a batch, with UUIDs unlike the other parts'."""
        from hashlib import sha256

        return evolve(self, seed=sha256(b"part" + self.seed + n.to_bytes(4, "big")).digest())
