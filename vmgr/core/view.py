"""What a scan of the machine found, as values: devices, physical volumes, groups, and what is wrong with them.

:mod:`vmgr.system.scan` makes these; operations, reports and the committer read them. Nothing in
here decides what to believe: that has been done when a view exists, and what was left out is in ``problems``.
Views are looked at and never compared, so they have no equality of their own; that makes the classes cheaper at
start-up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

from attrs import frozen

from vmgr.core.errors import AmbiguousName, DamagedMetadata, GroupUnusable, NotFound
from vmgr.core.ids import Uuid
from vmgr.core.model import PhysicalVolume, VolumeGroup
from vmgr.core.pv import MdaArea, PvLayout
from vmgr.core.units import Bytes
from vmgr.core.value import Value


@frozen(eq=False, repr=False)
class DeviceView(Value):
    """A block device that vmgr may use. ``device`` is its preferred path, ``aliases`` all its paths."""

    device: str
    major: int
    minor: int
    size: Bytes
    aliases: tuple[str, ...] = ()


@frozen(eq=False, repr=False)
class MdaView(Value):
    """A metadata area of a physical volume as it was found.

    ``seqno`` is the sequence number of its committed text, None without one; ``text_size`` that text's length
    in bytes, its final NUL included, and ``checksum`` its checksum; ``free`` how much longer a text could be.
    ``problem`` is a sentence, empty when all is well.
    """

    area: MdaArea
    seqno: int | None = None
    text_size: Bytes = Bytes(0)
    checksum: int = 0
    free: Bytes = Bytes(0)
    problem: str = ""


@frozen(eq=False, repr=False)
class PvView(Value):
    """A physical volume that was found on a device.

    ``size`` is the device's length. ``vg`` and ``vg_name`` are the group that has it, None and empty for an orphan.
    ``layout`` has each area's ``ignored`` flag as its header on disk says.
    """

    id: Uuid
    device: str
    major: int
    minor: int
    size: Bytes
    layout: PvLayout
    vg: Uuid | None = None
    vg_name: str = ""
    mdas: tuple[MdaView, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def unused(self) -> bool:
        """Whether no group has the physical volume, as far as anything on it tells.

        A text that cannot be read, or a label that says "in use", is a sign of a group that was not found.
        """
        texts = any(mda.text_size and not mda.area.ignored for mda in self.mdas)
        return self.vg is None and not self.layout.used and not texts

    @property
    def number(self) -> str:
        """``major:minor``, as device-mapper tables take it."""
        return f"{self.major}:{self.minor}"


@frozen(eq=False, repr=False)
class GroupView(Value):
    """A group with what was found of its physical volumes.

    ``pvs`` has those that are there, by UUID. ``text`` is the metadata text that was chosen. ``foreign`` tells
    that another host owns the group, ``active`` that a reader found volumes of such a group active here.
    ``problems`` are sentences. ``outdated`` are PVs with an older text than the chosen one, to be written anew with
    the next change; ``removed`` are those that were taken out of the group while they were away and still hold an
    older text of it (LVM2's "outdated PVs"), to be cleared with the next change; ``relabel`` are PVs whose label is
    of an older version, or does not say that they are in use. ``damaged`` are PVs with an area that cannot be read.
    ``former`` are other names that older texts on its PVs have: a rename did not get to them.
    ``begun`` are the groups with which it shares physical volumes, and the volumes on them, since a transaction of
    both was cut short, each as (group that has them, group that lists them as well); see
    :func:`vmgr.core.transaction.keeper`.
    ``unchangeable`` says why the group must not be changed, beyond what its own metadata says; mostly empty.
    ``faults`` are the rules of the volume model that its metadata breaks (:mod:`vmgr.core.structure`), in words.
    ``unanswered`` are devices that did not answer, where physical volumes were not found: one may hold them, so
    that nobody knows whether they are missing.
    """

    group: VolumeGroup
    pvs: Mapping[Uuid, PvView]
    text: bytes = b""
    foreign: bool = False
    active: bool = False
    problems: tuple[str, ...] = ()
    outdated: tuple[Uuid, ...] = ()
    removed: tuple[PvView, ...] = ()
    relabel: tuple[Uuid, ...] = ()
    damaged: tuple[Uuid, ...] = ()
    former: tuple[str, ...] = ()
    begun: tuple[tuple[VolumeGroup, VolumeGroup], ...] = ()
    unchangeable: str = ""
    faults: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[PhysicalVolume, ...]:
        """The group's physical volumes that were not found, or that the metadata marks as missing."""
        return tuple(pv for pv in self.group.pvs if pv.missing or pv.id not in self.pvs)

    @property
    def partial(self) -> bool:
        """Whether a physical volume is missing."""
        return bool(self.missing)

    @property
    def mda_count(self) -> int:
        """Metadata areas of the physical volumes that are there, ignored ones included (``vg_mda_count``)."""
        return sum(len(pv.mdas) for pv in self.pvs.values())

    def check_readable(self) -> None:
        """Raise :class:`GroupUnusable` for a group of another host: its volumes are not to be touched."""
        if self.foreign and not self.active:
            from vmgr.core.usable import require_ours

            require_ours(self.group)

    def check_trusted(self) -> None:
        """Raise :class:`GroupUnusable` where it is in doubt what the group's volumes consist of.

        An active volume is written to: on the wrong copy of a disk, or by a text that is no longer the group's.
        """
        if self.unanswered:
            lost = ", ".join(pv.id.dashed for pv in self.missing)
            raise GroupUnusable(
                f"volume group {self.group.name}: it is not known whether physical volume {lost} is there:"
                f" {', '.join(self.unanswered)} did not answer",
                hint=f"a command that names {self.group.name} waits until it does; the kernel log or vmgr dm info"
                " may tell why it does not",
            )
        if self.unchangeable:
            raise GroupUnusable(
                self.unchangeable,
                hint="hide the devices that are not wanted: devices/filter in lvm.conf(5), or vgimportclone(8)",
            )
        if self.faults:
            name = self.group.name
            raise GroupUnusable(
                f"the metadata of volume group {name} breaks a rule of the volume model: {self.faults[0]}",
                details=self.faults[1:],
                hint=f"bring back good metadata (vgcfgrestore --list {name}, then vgcfgrestore -f FILE {name});"
                f" what is active can be deactivated: vgchange -an {name}",
            )

    def check_changeable(self, *, missing: bool = False, exported: bool = False) -> None:
        """Raise :class:`GroupUnusable` unless the group's metadata may be changed.

        ``missing`` and ``exported`` say that the change is one that is made to such groups.
        """
        from vmgr.core.usable import require_complete, require_imported, require_local, require_writable

        self.check_readable()
        group = self.group
        require_local(group)
        self.check_trusted()
        if not exported:
            require_imported(group)
        require_writable(group)
        if not missing:
            require_complete(group, self.missing)


@frozen(eq=False, repr=False, slots=False)  # what is looked up is kept in its __dict__
class SystemView(Value):
    """All that a scan found and was asked to decode.

    ``groups`` are the decoded groups, sorted by name; ``names`` (name, UUID) of every group, decoded or not.
    ``orphans`` are PVs of no group, or of one that could not be decoded (``vg_name`` is set then); there are
    none if only some groups were asked for. ``duplicates`` are PVs that were set aside because another device
    has the same UUID. ``others`` are usable devices that are no PVs. ``problems`` are sentences for a person.
    ``refused`` tells of devices that were not used why not: (path, reason).
    """

    groups: tuple[GroupView, ...] = ()
    names: tuple[tuple[str, Uuid], ...] = ()
    orphans: tuple[PvView, ...] = ()
    duplicates: tuple[PvView, ...] = ()
    others: tuple[DeviceView, ...] = ()
    problems: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def sound(self) -> bool:
        """Whether no decoded group's metadata break a rule: a report of another ends with status 5, as in LVM2."""
        return not any(view.faults for view in self.groups)

    def group(self, name: str) -> GroupView:
        """The decoded group called ``name`` (a :class:`~vmgr.core.ids.GroupName` means one certain group).

        A name that no group has may be a group's UUID. Raises :class:`NotFound`, :class:`AmbiguousName`, or
        :class:`DamagedMetadata` for a group that was found and whose metadata cannot be read.
        """
        from vmgr.core.ids import GroupName, printed_uuid

        found = [view for view in self.groups if view.group.name == name]
        if isinstance(name, GroupName):
            found = [view for view in found if view.group.id == name.uuid]
        elif not found and (uuid := printed_uuid(name)) is not None:
            return self.group_by_id(uuid)
        if not found and any(name == known for known, _ in self.names):
            raise DamagedMetadata(
                f'the metadata of volume group "{name}" cannot be read',
                hint=f"the warnings say why; vgcfgrestore --list {name} names what can be restored",
            )
        if not found:
            raise NotFound(f'volume group "{name}" not found', hint="vgs lists the groups that can be seen")
        if len(found) > 1:
            # LVM2 prefers its own group over a foreign one of the same name.
            local = [view for view in found if not view.foreign]
            if len(local) == 1:
                return local[0]
            raise AmbiguousName(
                f"multiple VGs found with the same name: {name}",
                hint="name the one that is meant by its UUID; vgrename UUID NEW_NAME ends this",
                details=tuple(f"{name}: UUID {view.group.id.dashed}" for view in found),
            )
        return found[0]

    def group_by_id(self, uuid: Uuid) -> GroupView:
        """The decoded group with ``uuid``. Raises :class:`NotFound`."""
        found = self._index.groups.get(uuid)
        if found is None:
            raise NotFound(f"volume group with UUID {uuid.dashed} not found", hint="vgs -o+vg_uuid lists them")
        return found

    @cached_property
    def _index(self) -> _Index:
        return _Index(self)

    def owner(self, pv: PvView) -> GroupView | None:
        """The decoded group that has ``pv``; None for an orphan, or where its group was not decoded."""
        return None if pv.vg is None else self._index.groups.get(pv.vg)

    def at(self, number: tuple[int, int]) -> Sequence[PvView]:
        """The physical volumes on the device with this number, duplicates last."""
        return self._index.by_number.get(number, ())

    def refusal(self, path: str) -> str:
        """Why a device, named by any of its paths, was not used; empty if it was not refused."""
        return self._index.refused.get(path, "")

    def pvs(self) -> tuple[PvView, ...]:
        """The physical volumes of the decoded groups, and the orphans, sorted by device."""
        found = [pv for view in self.groups for pv in view.pvs.values()]
        return tuple(sorted((*found, *self.orphans), key=lambda pv: pv.device))

    def pv(self, device: str) -> PvView:
        """The physical volume on ``device`` (any of its paths). Raises :class:`NotFound`."""
        found = self._index.by_path.get(device)
        if found is not None:
            return found
        for pv in self.duplicates:
            if pv.device == device or device in pv.aliases:
                raise AmbiguousName(
                    f"physical volume {pv.id.dashed} is on {device} and on another device, which is preferred",
                    hint="hide one of the copies: see devices/filter in lvm.conf(5), or vgimportclone(8)",
                )
        hint = "pvs lists the physical volumes that can be seen"
        if reason := self.refusal(device):
            raise NotFound(f"{device} is not used: {reason}", hint=hint)
        raise NotFound(f'failed to find physical volume "{device}"', hint=hint)


class _Index:
    """Where to find what is in a view, made once for all that look: a command may name every device."""

    def __init__(self, view: SystemView) -> None:
        self.groups: dict[Uuid, GroupView] = {}
        for group in view.groups:
            self.groups.setdefault(group.group.id, group)
        self.by_path: dict[str, PvView] = {}
        self.by_number: dict[tuple[int, int], list[PvView]] = {}
        pvs = view.pvs()
        for pv in pvs:
            for path in (pv.device, *pv.aliases):
                self.by_path.setdefault(path, pv)
        for pv in (*pvs, *view.duplicates):
            self.by_number.setdefault((pv.major, pv.minor), []).append(pv)
        self.refused: dict[str, str] = {}
        for path, reason in view.refused:
            self.refused.setdefault(path, reason)
