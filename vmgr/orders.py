"""Orders: what a user asks of vmgr, as frozen values in which names are still text.

The command line makes them from arguments, a Python program makes them directly, and
:mod:`vmgr.app` says who takes them. Sizes, tags and numbers are checked here; whether
a name exists is found out under the group's lock, where an order becomes a request of :mod:`vmgr.core.requests`.
Nothing in here looks at a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.outcome import Dialogue as Dialogue
from vmgr.outcome import Outcome as Outcome
from vmgr.outcome import RunOptions as RunOptions

if TYPE_CHECKING:
    from vmgr.core.ids import Tag, Uuid
    from vmgr.core.requests import Options, SizeSpec
    from vmgr.core.units import Sectors

READ_AHEAD_AUTO = -1
"""A read-ahead that the kernel chooses (``--readahead auto``); 0 is none, other numbers are sectors."""


@frozen
class Subject:
    """What a command is applied to: a group (``vg``), a volume (``vg`` and ``lv``), or all that carry ``tag``."""

    vg: str = ""
    lv: str = ""
    tag: str = ""

    def __str__(self) -> str:
        return f"@{self.tag}" if self.tag else f"{self.vg}/{self.lv}" if self.lv else self.vg


@frozen
class PvChoice:
    """A physical volume to allocate from: its device's path, or all with ``tag``.

    ``ranges`` limits it to extents, in the words of the command line: ``:0-99:200-:300+10``.
    """

    device: str = ""
    ranges: str = ""
    tag: str = ""


@frozen
class LabelOrder:
    """How a physical volume is to be laid out (``pvcreate``). None leaves a choice to vmgr and lvm.conf.

    ``size`` overrides the device's size. ``restore_file`` is a metadata backup that tells the layout for ``uuid``.
    ``zero`` clears the first four sectors. ``force`` is how often ``-f`` was given: 2 takes
    devices of existing groups.
    """

    metadata_copies: int | None = None
    metadata_size: Sectors | None = None
    metadata_ignore: bool | None = None
    data_alignment: Sectors | None = None
    data_alignment_offset: Sectors | None = None
    bootloader_size: Sectors | None = None
    label_sector: int = 1
    size: Sectors | None = None
    uuid: Uuid | None = None
    restore_file: str = ""
    zero: bool | None = None
    force: int = 0


STANDARD_LABEL = LabelOrder()


@frozen
class GroupOrder:
    """A new group's properties (``vgcreate``). ``max_lv`` and ``max_pv``: 0 is no limit.

    ``metadata_copies``: in how many areas the metadata are kept; 0 leaves areas as they are, 2**32 - 1 uses all.
    ``system_id`` None is this host's.
    """

    extent_size: Sectors | None = None
    max_lv: int = 0
    max_pv: int = 0
    alloc: str = "normal"
    tags: tuple[Tag, ...] = ()
    metadata_copies: int | None = None
    system_id: str | None = None
    autoactivate: bool = True
    profile: str = ""


STANDARD_GROUP = GroupOrder()


@frozen
class GroupChange:
    """Changes of a group's properties (``vgchange``); None leaves each as it is."""

    extent_size: Sectors | None = None
    max_lv: int | None = None
    max_pv: int | None = None
    alloc: str | None = None
    resizeable: bool | None = None
    add_tags: tuple[Tag, ...] = ()
    del_tags: tuple[Tag, ...] = ()
    metadata_copies: int | None = None
    system_id: str | None = None
    autoactivate: bool | None = None
    new_uuid: bool = False
    profile: str | None = None


@frozen
class PvChange:
    """Changes of a physical volume's properties (``pvchange``); None leaves each as it is."""

    allocatable: bool | None = None
    add_tags: tuple[Tag, ...] = ()
    del_tags: tuple[Tag, ...] = ()
    metadata_ignore: bool | None = None
    new_uuid: bool = False


@frozen
class VolumeOrder:
    """A new volume (``lvcreate``).

    ``origin`` names the volume that it is made from. ``options`` are those that target plugins declared.
    ``activate`` is ``y``, ``n`` or ``ay`` (only if the configuration lets it be activated by itself).
    ``zero``, ``wipe`` and ``read_ahead`` None follow lvm.conf. ``read_ahead`` is in sectors,
    :data:`READ_AHEAD_AUTO`, or 0.
    ``minor`` asks for persistent numbers. ``profile`` is the metadata profile that is kept with the volume.
    """

    size: SizeSpec | None = None
    name: str | None = None
    type: str | None = None
    origin: str | None = None
    options: Options = ()
    pvs: tuple[PvChoice, ...] = ()
    alloc: str = "inherit"
    tags: tuple[Tag, ...] = ()
    read_only: bool = False
    activate: str = "y"
    zero: bool | None = None
    wipe: bool | None = None
    skip_activation: bool | None = None
    ignore_skip: bool = False
    autoactivate: bool = True
    read_ahead: int | None = None
    major: int = -1
    minor: int | None = None
    profile: str = ""


@frozen
class ResizeOrder:
    """Another size for a volume. Without ``size`` it takes all that is free on ``pvs``.

    ``fs`` is what becomes of what lies on it: ``resize`` resizes it with the volume (``resize_fsadm`` too),
    ``checksize`` lets the volume shrink only if its content does not reach beyond the new end, ``ignore`` does
    not look; None is ``checksize``, with a question where nothing is recognised. ``fs_mode`` is what may be
    done to mounts: ``manage`` (all that is needed), ``nochange``, ``offline``; None is ``manage``, with a
    question. ``check_fs`` off skips the file system's check.
    """

    size: SizeSpec | None = None
    type: str | None = None
    options: Options = ()
    pvs: tuple[PvChoice, ...] = ()
    alloc: str | None = None
    fs: str | None = None
    fs_mode: str | None = None
    check_fs: bool = True
    force: bool = False


@frozen
class VolumeChange:
    """Changes of volumes' properties (``lvchange``); None leaves each as it is.

    ``persistent`` sets or drops persistent numbers ``major`` (-1: any) and ``minor``.
    """

    read_only: bool | None = None
    alloc: str | None = None
    add_tags: tuple[Tag, ...] = ()
    del_tags: tuple[Tag, ...] = ()
    read_ahead: int | None = None
    persistent: bool | None = None
    major: int = -1
    minor: int | None = None
    autoactivate: bool | None = None
    skip_activation: bool | None = None


@frozen
class ActivationOrder:
    """Bring volumes up or down, or load their tables anew.

    ``mode``: ``y``, ``n``, ``ay`` or ``refresh``. ``completeness`` is ``partial``, ``degraded`` or ``complete``:
    what to do about missing physical volumes; None follows lvm.conf. ``ignore_skip`` also takes volumes that are
    marked to be left out. ``sysinit`` is for scripts that run while the system boots. ``poll`` follows, in the
    background, what the activation set going in the kernel (a merge), and writes its end down.
    """

    mode: str
    completeness: str | None = None
    ignore_skip: bool = False
    sysinit: bool = False
    force: bool = False
    poll: bool = True


@frozen
class ConversionOrder:
    """Turn a volume into something else (``lvconvert``), as the plugin that declared ``options`` says.

    ``background`` returns as soon as it has begun; else progress is told every ``interval`` seconds.
    """

    options: Options
    type: str | None = None
    pvs: tuple[PvChoice, ...] = ()
    alloc: str | None = None
    background: bool = False
    interval: int | None = None
    force: bool = False


@frozen
class Appearance:
    """What a device that has appeared brings (``pvscan --cache``).

    ``why`` says why it does not count; mostly empty. ``vg`` is the group, empty where there is none or it cannot be
    told; ``free`` tells that there is none. ``missing`` is how many of the group's devices are not there yet.
    """

    device: str
    why: str = ""
    vg: str = ""
    free: bool = False
    missing: int = 0

    @property
    def complete(self) -> bool:
        """Whether the group is there with all of its devices."""
        return bool(self.vg) and not self.why and not self.missing


@frozen
class ArchiveView:
    """A metadata archive or backup file, as ``vgcfgrestore --list`` shows it. ``time`` is seconds since 1970."""

    file: str
    vg: str
    description: str
    time: int
    backup: bool = False
