"""Finding physical volumes and groups: which metadata is there, which of it is believed.

A :class:`Scan` reads the start of every device that the filters let through, then what the labels there point to,
each in one batch. :meth:`Scan.view` decodes the groups that are asked for. What is believed:

* A label, header or text counts only if its checksums are right.
* Of several texts of one group the one with the highest sequence number counts. A physical volume with an
  older one is outdated. Two texts of one number that differ (two halves of a group were changed without
  each other) make the group readable and not changeable.
* Of two devices with one physical volume UUID the better one by LVM2's rules is used; a group on such a
  device is not changeable unless lvm.conf allows it.

A text with the same size and checksum as another is read and decoded once. Nothing is locked here: take
the group's lock, then :meth:`Scan.refresh` it, or lock before scanning.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import DamagedMetadata, InvalidName, NotFound, VmgrError
from vmgr.core.ids import Uuid
from vmgr.core.units import SECTOR_SIZE, Bytes
from vmgr.core.view import DeviceView, GroupView, MdaView, PvView, SystemView
from vmgr.ondisk.codec import decode_group
from vmgr.ondisk.label import decode_label
from vmgr.ondisk.mda import HEADER_SIZE, decode_header, pieces, read_text
from vmgr.system.devices import SYSFS, discover
from vmgr.system.filters import MD_END_SIZE, Filters, content_refusal, md_at_end
from vmgr.system.reader import make_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from vmgr.core.model import VolumeGroup
    from vmgr.core.pv import MdaArea, PvLayout
    from vmgr.ondisk.codec import Decoder
    from vmgr.ondisk.mda import MdaHeader
    from vmgr.system.config import Config
    from vmgr.system.devices import Device, Number
    from vmgr.system.reader import Reader

    Key = tuple[int, int]

HEAD_SIZE = 128 << 10
"""Read from the start of each device: label, first header and often the text, in one read (as LVM2 does)."""

_PEEK_SIZE = 4096
_PEEK = re.compile(
    rb'\s*(?:#[^\n]*\n\s*)*"?([A-Za-z0-9._+-]+)"?\s*\{\s*id\s*=\s*"([^"]+)"\s*seqno\s*=\s*(\d+)\s'
).match


class _Area:
    """A metadata area while scanning."""

    __slots__ = ("area", "header", "key", "problem")

    def __init__(self, area: MdaArea) -> None:
        self.area = area
        self.header: MdaHeader | None = None
        self.key: Key | None = None
        self.problem = ""


class _Pv:
    """A device with a label while scanning."""

    __slots__ = ("areas", "device", "layout", "reason")

    def __init__(self, device: Device, layout: PvLayout) -> None:
        self.device = device
        self.layout = layout
        self.areas = [_Area(area) for area in layout.mdas]
        self.reason = ""


class _Text:
    """One version of a group's metadata: as much of it as was read, and where it lies."""

    __slots__ = ("group", "name", "places", "raw", "seqno", "start", "vgid")

    def __init__(self) -> None:
        self.places: list[tuple[_Pv, _Area]] = []
        self.start = b""
        self.raw: bytes | None = None
        self.name = ""
        self.vgid = ""
        self.seqno = -1
        self.group: VolumeGroup | None = None


class Scan:
    """One look at the machine's devices.

    ``devices`` (default: :func:`vmgr.system.devices.discover`) are filtered first. ``listed`` are the only devices
    allowed, by the devices file or ``--devices``. ``detail`` asks udev and looks for md superblocks at the devices'
    ends too, for commands that take new devices. ``refused`` tells for each device that is not used, why not.
    """

    def __init__(
        self,
        config: Config,
        targets: Decoder,
        *,
        devices: list[Device] | None = None,
        reader: Reader | None = None,
        listed: set[Number] | None = None,
        by_list: bool = False,
        detail: bool = False,
        mapped: Callable[[], Mapping[Number, tuple[str, str]]] | None = None,
    ) -> None:
        self._config = config
        self._targets = targets
        self._detail = detail
        self.devices = discover(config, detail=detail, mapped=mapped) if devices is None else devices
        self.refused: dict[Device, str] = {}
        self.problems: list[str] = []
        self._filters = Filters(config, listed=listed, by_list=by_list)
        self.usable: list[Device] = []
        for device in self.devices:
            if reason := self._filters.refusal(device):
                self.refused[device] = reason
            else:
                self.usable.append(device)
        self.reader = make_reader(self.usable) if reader is None else reader
        self._heads: dict[Device, bytes] = {}
        self._pvs: list[_Pv] = []
        self._duplicates: list[_Pv] = []
        self._texts: dict[Key, _Text] = {}
        self._read(self.usable)

    def close(self) -> None:
        """Let go of the devices."""
        self.reader.close()

    # -- reading ----------------------------------------------------------------------------------

    def _read(self, devices: Sequence[Device]) -> None:
        """Read labels and headers of ``devices``, and the start of each text once."""
        heads = self.reader.read_many([(device, 0, HEAD_SIZE) for device in devices])
        found: list[_Pv] = []
        for device, head in zip(devices, heads, strict=True):
            if isinstance(head, VmgrError):
                if not isinstance(head, NotFound):
                    self.problems.append(head.message)
                self.refused[device] = head.message
                continue
            pv = self._label(device, head)
            if pv is not None:
                self._heads[device] = head
                found.append(pv)
        self._check_md_ends([pv.device for pv in found if pv.device.size != pv.layout.size])
        found = [pv for pv in found if pv.device not in self.refused]
        self._pvs += found
        self._read_headers(found)
        self._peek()
        self._settle_duplicates()

    def _label(self, device: Device, head: bytes) -> _Pv | None:
        config = self._config
        reason = self._filters.size_refusal(device.size) or content_refusal(
            head,
            partitionable=head[510:512] == b"\x55\xaa" and self._filters.partitionable(device),
            md_detection=config.flag("devices/md_component_detection"),
        )
        if reason:
            self.refused[device] = reason
            return None
        try:
            layout = decode_label(head, device.size)
        except DamagedMetadata as error:
            self.problems.append(f"{device.path}: {error.message}")
            return None
        return None if layout is None else _Pv(device, layout)

    def _check_md_ends(self, suspects: list[Device]) -> None:
        """Refuse devices that are parts of md arrays with the superblock at the end (0.90, 1.0)."""
        config = self._config
        if not config.flag("devices/md_component_detection"):
            return
        checks = config.text("devices/md_component_checks")
        if checks == "start":
            return
        if self._detail or checks == "full":
            suspects = [device for device in self.usable if device not in self.refused]
        sizes = {device: min(MD_END_SIZE, int(device.size)) for device in suspects}
        tails = self.reader.read_many([(device, int(device.size) - n, n) for device, n in sizes.items()])
        for device, tail in zip(sizes, tails, strict=True):
            if isinstance(tail, bytes) and md_at_end(tail, int(device.size)):
                self.refused[device] = "device is an md component"

    def _read_headers(self, pvs: Sequence[_Pv]) -> None:
        todo = [(pv, area) for pv in pvs for area in pv.areas]
        away = [(pv, area) for pv, area in todo if self._in_head(pv, int(area.area.offset), HEADER_SIZE) is None]
        wants = [(pv.device, int(area.area.offset), HEADER_SIZE) for pv, area in away]
        answers = dict(zip(map(id, (area for _, area in away)), self.reader.read_many(wants), strict=True))
        for pv, area in todo:
            raw = answers.get(id(area), b"") or self._in_head(pv, int(area.area.offset), HEADER_SIZE)
            try:
                if isinstance(raw, VmgrError):
                    raise raw
                area.header = decode_header(raw or b"", area.area)
            except VmgrError as error:
                area.problem = error.message
                continue
            area.area = evolve(area.area, ignored=area.header.ignored)
            slot = area.header.committed
            if not slot.empty and not area.header.ignored:
                area.key = (int(slot.size), slot.checksum)
                text = self._texts.setdefault(area.key, _Text())
                text.places.append((pv, area))

    def _in_head(self, pv: _Pv, offset: int, length: int) -> bytes | None:
        head = self._heads.get(pv.device, b"")
        return head[offset : offset + length] if offset + length <= len(head) else None

    def _peek(self) -> None:
        """Learn name, UUID and sequence number of each text from its start."""
        texts = [text for text in self._texts.values() if text.seqno < 0 and text.places]
        starts: list[tuple[_Text, Device, int, int]] = []
        for text in texts:
            pv, area = text.places[0]
            assert area.header is not None
            offset, length = pieces(area.header, area.header.committed)[0]
            size = min(_PEEK_SIZE, int(length))
            near = self._in_head(pv, int(offset), size)
            if near is None:
                starts.append((text, pv.device, int(offset), size))
            else:
                text.start = near
        answers = self.reader.read_many([(device, offset, size) for _, device, offset, size in starts])
        for (text, *_), answer in zip(starts, answers, strict=True):
            text.start = answer if isinstance(answer, bytes) else b""
        for text in texts:
            self._identify(text)

    def _identify(self, text: _Text) -> None:
        match = _PEEK(text.start)
        if match is None:
            # Not LVM2's order of fields, or damaged: only the whole text can tell.
            self._load(text)
            if text.group is not None:
                text.name, text.vgid, text.seqno = text.group.name, text.group.id, text.group.seqno
            return
        text.name = match[1].decode("ascii")
        try:
            text.vgid = Uuid(match[2].decode("ascii", "replace"))
        except InvalidName:
            self._load(text)
            return
        text.seqno = int(match[3])

    def _load(self, text: _Text) -> None:
        """Read the whole text from the first place where it is intact, and decode it; note where it is not."""
        if text.raw is not None or not text.places:
            return
        text.raw = b""
        for pv, area in text.places:
            assert area.header is not None
            try:
                raw = read_text(area.header, lambda offset, length, pv=pv: self._bytes(pv, offset, length))  # type: ignore[misc]
                text.group = decode_group(raw, self._targets).group
            except VmgrError as error:
                area.problem = error.message
                continue
            text.raw = raw
            return

    def _bytes(self, pv: _Pv, offset: Bytes, length: Bytes) -> bytes:
        near = self._in_head(pv, int(offset), int(length))
        if near is not None:
            return near
        (answer,) = self.reader.read_many([(pv.device, int(offset), int(length))])
        if isinstance(answer, VmgrError):
            raise answer
        return answer

    def refresh(self, name: str) -> bool:
        """Look again at the headers of the devices of group ``name``, whose lock is now held.

        Returns whether anything had changed since the scan; what had is read anew.
        """
        members = [pv for pv in self._pvs if any(self._name_of(area) == name for area in pv.areas)]
        wants = [(pv, area) for pv in members for area in pv.areas]
        answers = self.reader.read_many([(pv.device, int(area.area.offset), HEADER_SIZE) for pv, area in wants])
        stale = False
        for (_, area), answer in zip(wants, answers, strict=True):
            try:
                header = decode_header(answer, area.area) if isinstance(answer, bytes) else None
            except DamagedMetadata:
                header = None
            stale = stale or header != area.header
        if not stale and not any(area.problem for _, area in wants):
            return False
        self.reread()
        return True

    def reread(self) -> None:
        """Read everything once more; for when the set of devices of a group may have changed."""
        self.problems.clear()
        self._pvs, self._duplicates = [], []
        self._texts.clear()
        self._heads.clear()
        self._read([device for device in self.usable if device not in self.refused])

    def _name_of(self, area: _Area) -> str:
        return "" if area.key is None else self._texts[area.key].name

    # -- duplicates -------------------------------------------------------------------------------

    def _settle_duplicates(self) -> None:
        by_id: dict[Uuid, list[_Pv]] = {}
        for pv in self._pvs:
            by_id.setdefault(pv.layout.id, []).append(pv)
        for uuid, copies in by_id.items():
            if len(copies) == 1:
                continue
            best = copies[0]
            for other in copies[1:]:
                best, reason = self._better(uuid, best, other)
                best.reason = reason
            for copy in copies:
                if copy is not best:
                    self._duplicates.append(copy)
                    self._pvs.remove(copy)
                    for area in copy.areas:
                        if area.key is not None:
                            text = self._texts[area.key]
                            text.places = [(pv, a) for pv, a in text.places if pv is not copy]
                    self.problems.append(
                        f"not using {copy.device.path} for physical volume {uuid.dashed}: {best.device.path} is"
                        f" preferred because {best.reason}"
                    )

    def _better(self, uuid: Uuid, one: _Pv, two: _Pv) -> tuple[_Pv, str]:
        """LVM2's preference between two devices with the same PV (``_choose_duplicates`` in lvmcache.c)."""
        known = None
        for area in (*one.areas, *two.areas):
            if area.key is not None:
                text = self._texts[area.key]
                self._load(text)
                if text.group is not None and uuid in text.group.pv_by_id:
                    known = text.group.pv_by_id[uuid]
        tests: list[tuple[str, Callable[[_Pv], bool]]] = [
            ("it is used by a logical volume", lambda pv: _held_by_volume(pv.device)),
            ("its size is correct", lambda pv: known is not None and pv.device.size == known.dev_size.bytes()),
            (
                "its name is the one in the metadata",
                lambda pv: known is not None and pv.device.path == known.device,
            ),
            ("a file system on it is mounted", lambda pv: _mounted(pv.device)),
            ("it is a mapped device", lambda pv: bool(pv.device.dm_name)),
            ("it is an md device", lambda pv: pv.device.name.startswith("md")),
        ]
        for reason, test in tests:
            a, b = test(one), test(two)
            if a != b:
                return (one, reason) if a else (two, reason)
        return one, "it was seen first"

    # -- the view ---------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[tuple[str, Uuid], ...]:
        """(name, UUID) of every group that a text was found of, sorted."""
        found = {(t.name, Uuid(t.vgid)) for t in self._texts.values() if t.seqno >= 0 and t.places}
        return tuple(sorted(found))

    def view(self, only: Collection[str] | None = None, *, system_ids: Collection[str] | None = None) -> SystemView:
        """What was found, with the groups named in ``only`` (default: all) decoded.

        ``system_ids`` are this host's (default: as lvm.conf says); groups with another one are foreign.
        """
        groups: list[GroupView] = []
        taken: dict[Uuid, tuple[Uuid, str]] = {}
        problems = list(self.problems)
        for name, vgid in self.names:
            if only is not None and name not in only:
                for text in self._texts.values():
                    if text.vgid == vgid:
                        taken.update({pv.layout.id: (vgid, name) for pv, _ in text.places})
                continue
            chosen, doubts = self._choose(vgid)
            problems += doubts
            if chosen is None:
                problems.append(f"volume group {name}: no intact copy of its metadata was found")
                continue
            assert chosen.group is not None
            view = self._group_view(chosen, chosen.group, taken, doubts, system_ids)
            groups.append(view)
            problems += view.problems
        orphans = [self._pv_view(pv) for pv in self._pvs if pv.layout.id not in taken]
        labelled = {pv.device for pv in (*self._pvs, *self._duplicates)}
        return SystemView(
            groups=tuple(sorted(groups, key=lambda view: (view.group.name, view.group.id))),
            names=self.names,
            orphans=tuple(orphans),
            duplicates=tuple(self._pv_view(pv) for pv in self._duplicates),
            others=tuple(
                DeviceView(d.path, d.major, d.minor, d.size, d.aliases)
                for d in self.usable
                if d not in self.refused and d not in labelled
            ),
            problems=tuple(dict.fromkeys(problems)),
        )

    def _choose(self, vgid: Uuid) -> tuple[_Text | None, list[str]]:
        """The newest text of a group that decodes, and what speaks against it."""
        texts = [text for text in self._texts.values() if text.vgid == vgid and text.places]
        texts.sort(key=lambda text: (-text.seqno, -len(text.places)))
        doubts: list[str] = []
        for text in texts:
            self._load(text)
            if text.group is None:
                doubts.append(
                    f"volume group {text.name}: every copy of its metadata with sequence number {text.seqno}"
                    " is damaged"
                )
                continue
            rivals = [t for t in texts if t is not text and t.seqno == text.seqno]
            for rival in rivals:
                self._load(rival)
            if any(rival.group is not None and rival.group != text.group for rival in rivals):
                paths = ", ".join(pv.device.path for rival in rivals for pv, _ in rival.places)
                doubts.append(
                    f"volume group {text.name}: there are different metadata with the same sequence number"
                    f" {text.seqno}, on {paths} and on {text.places[0][0].device.path}"
                )
            return text, doubts
        return None, doubts

    def _group_view(
        self,
        text: _Text,
        group: VolumeGroup,
        taken: dict[Uuid, tuple[Uuid, str]],
        doubts: list[str],
        system_ids: Collection[str] | None,
    ) -> GroupView:
        problems: list[str] = []
        outdated: list[Uuid] = []
        damaged: list[Uuid] = []
        there: dict[Uuid, PvView] = {}
        by_id = {pv.layout.id: pv for pv in self._pvs}
        for member in group.pvs:
            pv = by_id.get(member.id)
            if pv is None:
                problems.append(
                    f"volume group {group.name}: physical volume {member.id.dashed} (last seen on"
                    f" {member.device or 'an unknown device'}) was not found"
                )
                continue
            if member.id in taken:
                problems.append(
                    f"volume group {group.name}: {pv.device.path} belongs to volume group"
                    f" {taken[member.id][1]} as well"
                )
                continue
            taken[member.id] = (group.id, group.name)
            there[member.id] = self._pv_view(pv, group)
            for area in pv.areas:
                if area.problem:
                    damaged.append(member.id)
                    problems.append(f"volume group {group.name}: {pv.device.path}: {area.problem}")
                elif area.header is not None and not area.header.ignored:
                    seqno = self._texts[area.key].seqno if area.key is not None else -1
                    if seqno < group.seqno:
                        outdated.append(member.id)
                        problems.append(
                            f"volume group {group.name}: the metadata on {pv.device.path} is old"
                            + (f" (sequence number {seqno}, not {group.seqno})" if seqno >= 0 else " (it has none)")
                        )
            if pv.device.size < member.dev_size.bytes():
                problems.append(
                    f"volume group {group.name}: {pv.device.path} has {pv.device.size} bytes,"
                    f" less than the {member.dev_size.bytes()} in the metadata"
                )
        for other in self._texts.values():
            if other.vgid == group.id and other is not text:
                for pv, _ in other.places:
                    if pv.layout.id not in group.pv_by_id:
                        problems.append(
                            f"volume group {group.name}: {pv.device.path} was a physical volume of it and is"
                            f" no longer (its metadata has sequence number {other.seqno}, not {group.seqno})"
                        )
        unchangeable = doubts[-1] if any("same sequence number" in doubt for doubt in doubts) else ""
        doubled = [pv for pv in self._duplicates if pv.layout.id in there]
        if doubled and not self._config.flag("devices/allow_changes_with_duplicate_pvs"):
            unchangeable = f"volume group {group.name}: more than one device has its physical volume" + (
                f" {doubled[0].layout.id.dashed}"
            )
        return GroupView(
            group=group,
            pvs=there,
            text=text.raw or b"",
            foreign=self._is_foreign(group, system_ids),
            problems=tuple(problems),
            outdated=tuple(dict.fromkeys(outdated)),
            damaged=tuple(dict.fromkeys(damaged)),
            unchangeable=unchangeable,
        )

    def _is_foreign(self, group: VolumeGroup, system_ids: Collection[str] | None) -> bool:
        if not group.system_id:
            return False
        if system_ids is None:
            from vmgr.system.identity import local_system_ids

            system_ids = local_system_ids(self._config)
        return group.system_id not in system_ids

    def _pv_view(self, pv: _Pv, group: VolumeGroup | None = None) -> PvView:
        mdas = []
        for area in pv.areas:
            header = area.header
            text = self._texts.get(area.key) if area.key is not None else None
            mdas.append(
                MdaView(
                    area.area,
                    seqno=None if text is None else text.seqno,
                    text_size=Bytes(0) if header is None else header.committed.size,
                    checksum=0 if header is None else header.committed.checksum,
                    free=Bytes(0) if header is None else header.free,
                    problem=area.problem,
                )
            )
        device = pv.device
        return PvView(
            id=pv.layout.id,
            device=device.path,
            major=device.major,
            minor=device.minor,
            size=device.size,
            layout=evolve(pv.layout, mdas=tuple(area.area for area in pv.areas)),
            vg=None if group is None else group.id,
            vg_name="" if group is None else group.name,
            mdas=tuple(mdas),
            aliases=device.aliases,
        )


def _held_by_volume(device: Device) -> bool:
    """Whether an active logical volume lies on the device."""
    try:
        holders = os.listdir(f"{device.sysfs}/holders")
    except OSError:
        return False
    for holder in holders:
        try:
            with open(f"{SYSFS}/class/block/{holder}/dm/uuid") as file:
                if file.read().startswith("LVM-"):
                    return True
        except OSError:
            continue
    return False


def _mounted(device: Device) -> bool:
    """Whether a file system on the device itself is mounted."""
    try:
        with open("/proc/self/mountinfo") as file:
            return any(line.split(" ", 3)[2] == f"{device.major}:{device.minor}" for line in file)
    except OSError:
        return False


assert HEAD_SIZE % SECTOR_SIZE == 0
