"""Which metadata is believed, and what is wrong with the rest: from what a scan found to views. Reads nothing.

* A label, header or text counts only if its checksums are right.
* Of several texts of one group the one with the highest sequence number counts. A physical volume with an older one
  is outdated. Two texts of one number that differ (the halves of a group were changed without each other) make the
  group readable and not changeable.
* A newest text that is intact and cannot be understood is not damage: an older one is shown instead, and the group
  is not changeable, because a change would write over what was committed.
* A group on a device that has a double is not changeable, unless lvm.conf allows it.
* A group whose volumes break the rules that keep data apart is shown, and neither activated nor changed.
* What is not understood belongs to somebody: a PV with a text that cannot be read is never shown as free.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.structure import broken_rules
from vmgr.core.units import Bytes
from vmgr.core.view import GroupView, MdaView, PvView, SystemView
from vmgr.ondisk.label import EXTENSION_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from vmgr.core.ids import Uuid
    from vmgr.core.model import PhysicalVolume, VolumeGroup
    from vmgr.core.view import DeviceView
    from vmgr.system.config import Config
    from vmgr.system.records import PvRecord, TextRecord


class Judge:
    """Makes one view. ``load`` reads and decodes a whole text in place; ``check`` reads its other copies, too.

    ``silent`` devices have not answered.
    """

    def __init__(
        self,
        config: Config,
        pvs: Sequence[PvRecord],
        duplicates: Sequence[PvRecord],
        texts: Iterable[TextRecord],
        load: Callable[[TextRecord], None],
        check: Callable[[TextRecord], None],
        system_ids: Collection[str] | None,
        silent: tuple[str, ...] = (),
    ) -> None:
        self._silent = silent
        self._config = config
        self._pvs = pvs
        self._by_id = {pv.layout.id: pv for pv in pvs}
        self._duplicates = duplicates
        self._texts = [text for text in texts if text.places]
        self._by_area = {id(area): text for text in self._texts for _, area in text.places}
        self._load = load
        self._check = check
        self._system_ids = system_ids
        self._owner: dict[Uuid, tuple[Uuid, str]] = {}

    def view(
        self,
        names: Sequence[tuple[str, Uuid]],
        only: Collection[str] | None,
        *,
        others: tuple[DeviceView, ...],
        problems: Sequence[str],
    ) -> SystemView:
        """The groups called ``only`` (None: all) and everything that belongs to no group."""
        said = list(problems)
        groups: list[GroupView] = []
        for name, vgid in names:
            if only is not None and name not in only:
                continue
            text, doubts = self._choose(vgid)
            said += doubts
            if text is None or text.group is None:
                if not any(doubt.startswith(_REFUSED) for doubt in doubts):
                    said.append(f"volume group {name}: no intact copy of its metadata was found")
                continue
            self._check(text)
            view = self._group(text, text.group, doubts)
            groups.append(view)
            said += view.problems
        for text in self._texts:
            for pv, _ in text.places:
                if text.name:
                    self._owner.setdefault(pv.layout.id, (_id(text), text.name))
        # PVs without a text of their own may belong to a group that was not decoded: then nobody can tell.
        placed = {pv for view in groups for pv in view.pvs}
        rest = [pv for pv in self._pvs if pv.layout.id not in placed]
        for pv in rest:
            if pv.layout.id not in self._owner:
                said += [f"{pv.device.path}: {area.problem}" for area in pv.areas if area.problem]
        return SystemView(
            groups=tuple(sorted(groups, key=lambda view: (view.group.name, view.group.id))),
            names=tuple(names),
            orphans=() if only is not None else tuple(self._pv(pv) for pv in rest),
            duplicates=tuple(self._pv(pv) for pv in self._duplicates),
            others=others,
            problems=tuple(dict.fromkeys(said)),
        )

    def _choose(self, vgid: str) -> tuple[TextRecord | None, list[str]]:
        """The newest text of a group that decodes, and what speaks against it."""
        texts = sorted(
            (text for text in self._texts if text.vgid == vgid), key=lambda t: (-t.seqno, -len(t.places))
        )
        doubts: list[str] = []
        for text in texts:
            self._load(text)
            if text.refused:
                doubts.append(f"{_REFUSED}volume group {text.name}, sequence number {text.seqno}: {text.refused}")
                continue
            if text.group is None:
                where = ", ".join(sorted({pv.device.path for pv, _ in text.places}))
                doubts.append(
                    f"volume group {text.name}: every copy of its metadata with sequence number {text.seqno}"
                    f" is damaged: on {where}"
                )
                continue
            for rival in texts:
                if rival is text or rival.seqno != text.seqno:
                    continue
                self._load(rival)
                if rival.group is not None and rival.group != text.group:
                    doubts.append(_split(text, rival))
            return text, doubts
        return None, doubts

    def _group(self, text: TextRecord, group: VolumeGroup, doubts: list[str]) -> GroupView:
        problems: list[str] = []
        outdated: list[Uuid] = []
        unknown: list[Uuid] = []
        damaged: list[Uuid] = []
        there: dict[Uuid, PvView] = {}

        def say(what: str) -> None:
            problems.append(f"volume group {group.name}: {what}")

        begun = self._begun(group)
        lost = {pv: owner.name for owner, _ in begun if owner is not group for pv in owner.pv_by_id}
        for member in group.pvs:
            pv = self._by_id.get(member.id)
            if pv is None:
                where = f" (last seen on {member.device})" if member.device not in ("", "[unknown]") else ""
                if self._silent and not member.missing:
                    unknown.append(member.id)
                    say(f"not known where PV {member.id.dashed}{where} is: {_some(self._silent)} did not answer")
                    continue
                say(f"missing PV {member.id.dashed}{where}")
                continue
            if member.id in lost:
                say(f"{pv.device.path} belongs to volume group {lost[member.id]} by now")
                continue
            if member.id in self._owner:
                say(f"{pv.device.path} belongs to volume group {self._owner[member.id][1]} as well")
                continue
            won = any(member.id in other.pv_by_id for owner, other in begun if owner is group)
            if not won and (other := self._moved_to(pv, group)) is not None:
                say(f"{pv.device.path} belongs to volume group {other.name} by now")
                continue
            self._owner[member.id] = (group.id, group.name)
            there[member.id] = self._pv(pv)
            if self._check_areas(pv, group, say):
                outdated.append(member.id)
            if any(area.problem for area in pv.areas):
                damaged.append(member.id)
            self._check_member(pv, member, say)
        group = self._returned(group, there, problems)
        removed = self._removed(text, group)
        for pv, seqno in removed.items():
            problems.append(
                f"outdated PV {pv.device.path} seqno {seqno} has been removed in current VG {group.name} seqno"
                f" {group.seqno}; the next change of the group clears it, or vgck --updatemetadata {group.name}"
            )
        relabel = [] if self._is_foreign(group) or group.lock_type not in ("", "none") else self._old_labels(there)
        for pv_id in relabel:
            view = there[pv_id]
            what = (
                "is missing the used flag in" if view.layout.ext_version >= EXTENSION_VERSION else "is using an old"
            )
            problems.append(
                f"PV {view.device} in VG {group.name} {what} PV header, modify the VG to update"
                f" (vgck --updatemetadata {group.name})"
            )
        faults = (*text.faults, *(f"{subject}: {rule}" for subject, rule in broken_rules(group)))
        for fault in faults[:_TOLD]:
            say(f"its metadata breaks a rule: {fault}")
        if len(faults) > _TOLD:
            say(f"its metadata breaks {len(faults) - _TOLD} more rules; vgck lists all of them")
        return GroupView(
            group=group,
            pvs=there,
            text=text.raw or b"",
            foreign=self._is_foreign(group),
            problems=tuple(problems),
            outdated=tuple(outdated),
            removed=tuple(self._pv(pv) for pv in removed),
            relabel=tuple(relabel),
            damaged=tuple(damaged),
            former=self._former(group, there),
            begun=tuple(begun),
            unanswered=self._silent if unknown else (),
            unchangeable=self._unchangeable(group, there, doubts),
            faults=faults,
        )

    @staticmethod
    def _returned(group: VolumeGroup, there: Mapping[Uuid, PvView], problems: list[str]) -> VolumeGroup:
        """The group without the marks of PVs that were missing, are back, and carry nothing; tells of all."""
        if not group.partial:
            return group
        from vmgr.core.missing import welcome

        name = group.name
        marked = [pv.id for pv in group.pvs if pv.missing and pv.id in there]
        group, back = welcome(group, there)
        for pv in marked:
            view = there[pv]
            what = "has unused reappeared" if pv in back else "was missing"
            problems.append(f"VG {name} was previously updated while PV {view.device} was missing")
            problems.append(
                f"VG {name} {what} PV {view.device} {pv.dashed}"
                + ("" if pv in back else f"; vgextend --restoremissing {name} {view.device} takes it back")
            )
        return group

    def _removed(self, text: TextRecord, group: VolumeGroup) -> dict[PvRecord, int]:
        """PVs with an older text of the group that it no longer has, and the number of that text."""
        found: dict[PvRecord, int] = {}
        for other in self._texts:
            if other.vgid != group.id or other is text or other.seqno >= group.seqno:
                continue
            self._load(other)
            if other.group is None:
                continue  # damaged: what it says of whose it is may be wrong
            for pv, _ in other.places:
                if pv.layout.id not in group.pv_by_id and self._by_id.get(pv.layout.id) is pv:
                    found[pv] = max(other.seqno, found.get(pv, 0))
        for vgid in dict.fromkeys(text.vgid for text in self._texts) if found else ():
            taker = self._newest(vgid) if vgid != group.id else None
            for pv in [one for one in found if taker is not None and one.layout.id in taker.pv_by_id]:
                del found[pv]  # a group that took it has not been written there yet
        return found

    def _former(self, group: VolumeGroup, there: Mapping[Uuid, PvView]) -> tuple[str, ...]:
        """Other names of the group, in older texts on its members."""
        names = {
            text.name
            for text in self._texts
            if text.vgid == group.id
            and text.name != group.name
            and text.seqno < group.seqno
            and any(pv.layout.id in there for pv, _ in text.places)
        }
        return tuple(sorted(names))

    @staticmethod
    def _old_labels(there: dict[Uuid, PvView]) -> list[Uuid]:
        """Members whose label has an older extension, or does not say that they are in use."""
        return [pv.id for pv in there.values() if pv.layout.ext_version < EXTENSION_VERSION or not pv.layout.used]

    def _begun(self, group: VolumeGroup) -> list[tuple[VolumeGroup, VolumeGroup]]:
        """(Owner, other) for each group with which a transaction was cut short; one of the two is ``group``.

        The text of the other group is on one of this one's members. All groups are asked where a member has no text
        of its own, and where this group is exported, as one that takes physical volumes is.
        """
        members = [pv for member in group.pvs if (pv := self._by_id.get(member.id)) is not None]
        texts: dict[str, None] = {}
        for pv in members:
            own = [text for area in pv.areas if (text := self._by_area.get(id(area))) is not None]
            texts.update(
                dict.fromkeys(text.vgid for text in (self._texts if group.exported else own or self._texts))
            )
        found: list[tuple[VolumeGroup, VolumeGroup]] = []
        for vgid in texts:
            newest = self._newest(vgid) if vgid != group.id else None
            if newest is None:
                continue
            from vmgr.core.transaction import keeper

            owner = keeper(group, newest, self._named_on([*group.pvs, *newest.pvs]))
            if owner is not None:
                found.append((owner, newest if owner is group else group))
        return found

    def _newest(self, vgid: str) -> VolumeGroup | None:
        """The group with this UUID, as its newest text has it."""
        text, _ = self._choose(vgid)
        return text.group if text is not None else None

    def _named_on(self, pvs: Iterable[PhysicalVolume]) -> dict[Uuid, set[Uuid]]:
        """For each physical volume the groups whose newest text is on it."""
        found: dict[Uuid, set[Uuid]] = {}
        for member in pvs:
            pv = self._by_id.get(member.id)
            for area in pv.areas if pv is not None else ():
                text = self._by_area.get(id(area))
                newest = self._newest(text.vgid) if text is not None else None
                if newest is not None and text is not None and text.seqno == newest.seqno:
                    found.setdefault(member.id, set()).add(newest.id)
        return found

    def _moved_to(self, pv: PvRecord, group: VolumeGroup) -> VolumeGroup | None:
        """The group whose text is on a member, if it is another that has it, too.

        Then this group's text is from before the device went over, on a device that was away meanwhile: neither the
        extents nor the metadata areas are this group's any more.
        """
        for area in pv.areas:
            text = self._by_area.get(id(area))
            if text is None or text.vgid == group.id:
                continue
            other = self._newest(text.vgid)
            if other is not None and pv.layout.id in other.pv_by_id:
                return other
        return None

    def _check_areas(self, pv: PvRecord, group: VolumeGroup, say: Callable[[str], None]) -> bool:
        """Say what is wrong with a member's metadata areas; whether one of them has an old text."""
        old = False
        for area in pv.areas:
            if area.problem:
                say(f"{pv.device.path}: {area.problem}")
            elif area.header is not None and not area.header.ignored:
                text = self._by_area.get(id(area))
                if text is None:
                    say(f"there is no metadata on {pv.device.path}")
                elif text.vgid != group.id:
                    say(f"the metadata on {pv.device.path} is of volume group {text.name}")
                elif text.seqno < group.seqno:
                    say(f"ignoring metadata seqno {text.seqno} on {pv.device.path} for seqno {group.seqno}")
                else:
                    continue
                old = True
        return old

    def _check_member(self, pv: PvRecord, member: PhysicalVolume, say: Callable[[str], None]) -> None:
        wanted = member.dev_size.bytes()
        if pv.device.size < wanted and self._config.flag("metadata/check_pv_device_sizes"):
            say(f"{pv.device.path} has {pv.device.size} bytes, fewer than the {wanted} in the metadata")

    def _unchangeable(self, group: VolumeGroup, there: dict[Uuid, PvView], doubts: list[str]) -> str:
        for doubt in doubts:
            if doubt.startswith((_SPLIT, _REFUSED)):
                return doubt
        if not self._config.flag("devices/allow_changes_with_duplicate_pvs"):
            for pv in self._duplicates:
                if pv.layout.id in there:
                    return (
                        f"volume group {group.name}: its physical volume {pv.layout.id.dashed} is on two devices,"
                        f" {there[pv.layout.id].device} and {pv.device.path}"
                    )
        return ""

    def _is_foreign(self, group: VolumeGroup) -> bool:
        if not group.system_id:
            return False
        if self._system_ids is None:
            from vmgr.system.identity import local_system_ids

            self._system_ids = local_system_ids(self._config)
        return group.system_id not in self._system_ids

    def _pv(self, pv: PvRecord) -> PvView:
        mdas = []
        for area in pv.areas:
            text = self._by_area.get(id(area))
            mdas.append(
                MdaView(
                    area.area,
                    seqno=None if text is None or text.seqno < 0 else text.seqno,
                    text_size=Bytes(0) if area.header is None else area.header.committed.size,
                    checksum=0 if area.header is None else area.header.committed.checksum,
                    free=Bytes(0) if area.header is None else area.header.free,
                    problem=area.problem,
                )
            )
        device = pv.device
        vg, vg_name = self._owner.get(pv.layout.id, (None, ""))
        return PvView(
            id=pv.layout.id,
            device=device.path,
            major=device.major,
            minor=device.minor,
            size=device.size,
            layout=evolve(pv.layout, mdas=tuple(area.area for area in pv.areas)),
            vg=vg,
            vg_name=vg_name,
            mdas=tuple(mdas),
            aliases=device.aliases,
        )


_TOLD = 5
"""How many broken rules of a group every command tells; the others are told where the group is refused."""

_REFUSED = "intact metadata that cannot be understood: "
_SPLIT = "different metadata with one sequence number: "


def _split(text: TextRecord, rival: TextRecord) -> str:
    one, other = (", ".join(sorted({pv.device.path for pv, _ in t.places})) for t in (text, rival))
    return f"{_SPLIT}volume group {text.name}, number {text.seqno}, on {one} and on {other}"


def _some(paths: tuple[str, ...]) -> str:
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more devices"


def _id(text: TextRecord) -> Uuid:
    from vmgr.core.ids import Uuid

    return Uuid(text.vgid)
