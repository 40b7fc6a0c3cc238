"""What is asked of groups, of physical volumes, and of what is active; like :mod:`vmgr.core.requests`."""

from __future__ import annotations

from attrs import field, frozen

from vmgr.core.amounts import CHOICES
from vmgr.core.ids import Tag, Uuid
from vmgr.core.requests import POLICIES, Request, to_sectors, to_tags
from vmgr.core.units import Sectors
from vmgr.core.value import Value

_POLICY = {CHOICES: POLICIES}


def to_uuid(text: str | None) -> Uuid | None:
    """A UUID, written with hyphens or without. Raises :class:`InvalidName`."""
    return Uuid(text) if isinstance(text, str) and not isinstance(text, Uuid) else text


@frozen(repr=False)
class CreatePv(Value):
    """How a physical volume is to be laid out (``pvcreate``). None leaves a choice to vmgr and lvm.conf.

    ``size`` overrides the device's size. ``restore_file`` is a metadata backup that tells the layout for ``uuid``.
    ``zero`` clears the first four sectors.
    """

    metadata_copies: int | None = None
    metadata_size: Sectors | None = field(default=None, converter=to_sectors)
    metadata_ignore: bool | None = None
    data_alignment: Sectors | None = field(default=None, converter=to_sectors)
    data_alignment_offset: Sectors | None = field(default=None, converter=to_sectors)
    bootloader_size: Sectors | None = field(default=None, converter=to_sectors)
    label_sector: int = 1
    size: Sectors | None = field(default=None, converter=to_sectors)
    uuid: Uuid | None = field(default=None, converter=to_uuid)
    restore_file: str = ""
    zero: bool | None = None


@frozen(repr=False)
class ChangePv(Value):
    """Changes of a physical volume's properties (``pvchange``); None leaves each as it is."""

    allocatable: bool | None = None
    add_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    del_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    metadata_ignore: bool | None = None
    new_uuid: bool = False


@frozen(repr=False)
class CreateGroup(Value):
    """A new group's properties (``vgcreate``). ``max_lv`` and ``max_pv``: 0 is no limit.

    ``extent_size`` None is 4 MiB, or what lvm.conf says. ``metadata_copies``: in how many areas the metadata are
    kept; 0 leaves areas as they are, 2**32 - 1 uses all. ``system_id`` None is this host's.
    """

    extent_size: Sectors | None = field(default=None, converter=to_sectors)
    max_lv: int = 0
    max_pv: int = 0
    alloc: str = field(default="normal", metadata=_POLICY)
    tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    metadata_copies: int | None = None
    system_id: str | None = None
    autoactivate: bool = True
    profile: str = ""


@frozen(repr=False)
class ChangeGroup(Value):
    """Changes of a group's properties (``vgchange``); None leaves each as it is."""

    extent_size: Sectors | None = field(default=None, converter=to_sectors)
    max_lv: int | None = None
    max_pv: int | None = None
    alloc: str | None = field(default=None, metadata=_POLICY)
    resizeable: bool | None = None
    add_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    del_tags: tuple[Tag, ...] = field(default=(), converter=to_tags)
    metadata_copies: int | None = None
    system_id: str | None = None
    autoactivate: bool | None = None
    new_uuid: bool = False
    profile: str | None = None

    @property
    def only_tags(self) -> bool:
        """Whether nothing but tags is to be changed."""
        return self == ChangeGroup(add_tags=self.add_tags, del_tags=self.del_tags)


@frozen(repr=False)
class Activate(Value):
    """Bring volumes up or down, or load their tables anew (``vgchange -a``, ``lvchange -a``, ``--refresh``).

    ``mode``: ``y``, ``n``, ``ay`` or ``refresh``. ``completeness`` is ``partial``, ``degraded`` or ``complete``:
    what to do about missing physical volumes; None follows lvm.conf. ``ignore_skip`` also takes volumes that are
    marked to be left out.
    """

    mode: str = field(default="y", metadata={CHOICES: ("y", "n", "ay", "refresh")})
    completeness: str | None = field(default=None, metadata={CHOICES: ("partial", "degraded", "complete")})
    ignore_skip: bool = False


GroupRequest = Request | ChangeGroup
"""What may be asked of one group together with other requests, as one commit."""
