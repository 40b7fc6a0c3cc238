"""Orders: what a user asks of vmgr, as frozen values in which names are still text.

The command line makes them from arguments, a Python program makes them directly, and
:mod:`vmgr.app` says who takes them. Sizes, tags and numbers are checked here; whether
a name exists is found out under the group's lock, where an order becomes a request of :mod:`vmgr.core.requests`.
Nothing in here looks at a machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from vmgr.core.ids import Tag, Uuid
    from vmgr.core.units import Sectors


@frozen
class Subject:
    """What a command is applied to: a group (``vg``), a volume (``vg`` and ``lv``), or all that carry ``tag``."""

    vg: str = ""
    lv: str = ""
    tag: str = ""

    def __str__(self) -> str:
        return f"@{self.tag}" if self.tag else f"{self.vg}/{self.lv}" if self.lv else self.vg


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
class ActivationOrder:
    """Bring volumes up or down, or load their tables anew.

    ``mode``: ``y``, ``n``, ``ay`` or ``refresh``. ``completeness`` is ``partial``, ``degraded`` or ``complete``:
    what to do about missing physical volumes; None follows lvm.conf. ``ignore_skip`` also takes volumes that are
    marked to be left out.
    """

    mode: str
    completeness: str | None = None
    ignore_skip: bool = False


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
