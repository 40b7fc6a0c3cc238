"""Finding physical volumes and groups: what lies on the devices. What is believed of it: :mod:`vmgr.system.judge`.

A :class:`Scan` reads the start of every device that the filters let through, then what the labels there point to,
each in one batch. :meth:`Scan.view` decodes the groups that are asked for, and no others.

A text with the same size and checksum as another is read and decoded once. Nothing is locked here: take
the group's lock, then :meth:`Scan.refresh` it, or lock before scanning.
"""

from __future__ import annotations

import os
import re
from functools import cached_property, partial
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import DamagedMetadata, DeviceError, InvalidName, NotFound, NotPermitted, VmgrError
from vmgr.core.ids import Uuid
from vmgr.core.units import Bytes
from vmgr.core.view import DeviceView
from vmgr.ondisk.codec import decode_group
from vmgr.ondisk.label import LABEL_SCAN_SIZE, decode_label
from vmgr.ondisk.mda import HEADER_SIZE, decode_header, pieces, read_text
from vmgr.system.devices import Named, discover
from vmgr.system.filters import MD_COMPONENT, MD_END_SIZE, Filters, content_refusal, md_at_end
from vmgr.system.judge import Judge
from vmgr.system.reader import GuardedReader, NoAnswer, make_reader
from vmgr.system.records import PvRecord, TextRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from vmgr.core.view import SystemView
    from vmgr.ondisk.codec import Decoder
    from vmgr.system.config import Config
    from vmgr.system.device_ids import Listed
    from vmgr.system.devices import Device, Number
    from vmgr.system.devicesfile import Selection
    from vmgr.system.reader import Reader
    from vmgr.system.records import AreaRecord, Key

HEAD_SIZE = 128 << 10
"""Read from the start of each device: label, first header and often the text, in one read (as LVM2 does)."""

_PEEK_SIZE = 4096
_PEEK = re.compile(
    rb'\s*(?:#[^\n]*\n\s*)*"?([A-Za-z0-9._+-]+)"?\s*\{\s*id\s*=\s*"([^"]+)"\s*seqno\s*=\s*(\d+)\s'
).match


class Scan:
    """One look at the machine's devices.

    ``devices`` (default: :func:`vmgr.system.devices.discover`) are filtered first. ``listed`` tells which are
    allowed by the devices file or ``--devices``. ``detail`` asks udev and looks for md superblocks at the devices'
    ends too, for commands that take new devices. ``refused`` tells for each device that is not used, why not;
    ``unopened`` has a sentence for each that this process may not open, which is no news unless it is asked for.
    ``silent`` are devices that have not answered so far: what is on them is not known, and nothing is concluded
    from that. Who needs them waits (:meth:`await_groups`, :meth:`await_device`); ``on_wait`` is given a sentence.
    """

    def __init__(
        self,
        config: Config,
        targets: Decoder,
        *,
        devices: list[Device] | None = None,
        reader: Reader | None = None,
        listed: Selection | None = None,
        detail: bool = False,
        mapped: Callable[[], Mapping[Number, tuple[str, str]]] | None = None,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_wait = on_wait
        self.silent: dict[Device, str] = {}
        self._config = config
        self._targets = targets
        self._detail = detail
        self.devices = discover(config, detail=detail, mapped=mapped) if devices is None else devices
        self.refused: dict[Device, str] = {}
        self.problems: list[str] = []
        self.unopened: list[str] = []
        self.reader = make_reader(self.devices) if reader is None else reader
        self.listed = self._list(listed)
        self._filters = Filters(
            config,
            listed=None if listed is None else self._numbers(listed),
            by_list=listed is not None and listed.by_list,
        )
        self.usable: list[Device] = []
        for device in self.devices:
            if reason := self._filters.refusal(device):
                self.refused[device] = reason
            else:
                self.usable.append(device)
        self._heads: dict[Device, bytes] = {}
        self._pvs: list[PvRecord] = []
        self._duplicates: list[PvRecord] = []
        self._texts: dict[Key, TextRecord] = {}
        self._read(self.usable)
        if self.listed is not None:
            self.listed.compare({pv.device: pv.layout.id for pv in self._pvs}, lambda d: d not in self.refused)
            self.problems[:0] = self.listed.problems

    @cached_property
    def named(self) -> Named:
        """The devices, used or refused, to be found by name."""
        return Named(self.devices)

    @property
    def strays(self) -> list[Device]:
        """Devices that carry no physical volume, or one that was set aside."""
        carrying = {pv.device for pv in self._pvs}
        return [device for device in self.devices if device not in carrying]

    def close(self) -> Reader | None:
        """Let go of the devices; a reader for the next scan, if it should know which devices do not answer."""
        if isinstance(self.reader, GuardedReader):
            return self.reader.successor()
        self.reader.close()
        return None

    # -- the devices file -------------------------------------------------------------------------

    def _list(self, selection: Selection | None) -> Listed | None:
        """What the devices file allows, where one is in force."""
        if selection is None or selection.file is None:
            return None
        from vmgr.system.device_ids import Listed

        all_of_them = Filters(self._config, listed={device.number for device in self.devices})
        search = self._config.text("devices/search_for_devnames")
        return Listed(selection.file, self.devices, refusal=all_of_them.refusal, labels=self._labels, search=search)

    def _numbers(self, selection: Selection) -> set[Number]:
        named = selection.named(self.devices)
        return named if self.listed is None else named | self.listed.numbers

    def _labels(self, devices: Sequence[Device]) -> dict[Device, str]:
        """The UUID of the physical volume on each of the devices that can be read; empty for none."""
        found: dict[Device, str] = {}
        heads = self.reader.read_many([(device, 0, LABEL_SCAN_SIZE) for device in devices])
        for device, head in zip(devices, heads, strict=True):
            if isinstance(head, bytes):
                try:
                    layout = decode_label(head, device.size)
                except DamagedMetadata:
                    continue  # nobody can tell what it is
                found[device] = "" if layout is None else layout.id
        return found

    # -- reading ----------------------------------------------------------------------------------

    def _read(self, devices: Sequence[Device]) -> None:
        """Read labels and headers of ``devices``, and the start of each text once."""
        heads = self.reader.read_many([(device, 0, HEAD_SIZE) for device in devices])
        found: list[PvRecord] = []
        for device, head in zip(devices, heads, strict=True):
            if isinstance(head, VmgrError):
                if isinstance(head, NoAnswer):
                    self._silence(device, head)
                    continue
                if isinstance(head, NotPermitted):
                    self.unopened.append(head.message)
                elif not isinstance(head, NotFound):
                    self.problems.append(head.message)
                self.refused[device] = head.message
                continue
            pv = self._label(device, head)
            if pv is not None:
                self._heads[device] = head
                found.append(pv)
        self._check_md_ends([pv.device for pv in found if pv.device.size != pv.layout.size])
        self._check_arrays(pv.device for pv in found)
        found = [pv for pv in found if pv.device not in self.refused]
        self._pvs += found
        self._read_headers(found)
        self._peek()
        self._settle_duplicates()
        self._join_changed_ids()

    def _label(self, device: Device, head: bytes) -> PvRecord | None:
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
        return None if layout is None else PvRecord(device, layout)

    def _check_arrays(self, suspects: Iterable[Device]) -> None:
        """Refuse legs of running arrays, as sysfs tells, also of those without superblocks (``mdadm --build``)."""
        if not self._config.flag("devices/md_component_detection"):
            return
        for device in suspects:
            try:
                holders = os.listdir(f"{device.sysfs}/holders")
            except OSError:
                continue
            if any(name.startswith("md") for name in holders):
                self.refused.setdefault(device, MD_COMPONENT)

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
            if isinstance(tail, NoAnswer):
                self._silence(device, tail)
            if isinstance(tail, bytes) and md_at_end(tail, int(device.size)):
                self.refused[device] = MD_COMPONENT

    def _read_headers(self, pvs: Sequence[PvRecord]) -> None:
        todo = [(pv, area) for pv in pvs for area in pv.areas]
        away = [(pv, area) for pv, area in todo if self._in_head(pv, int(area.area.offset), HEADER_SIZE) is None]
        wants = [(pv.device, int(area.area.offset), HEADER_SIZE) for pv, area in away]
        answers = dict(zip(map(id, (area for _, area in away)), self.reader.read_many(wants), strict=True))
        for pv, area in todo:
            raw = answers.get(id(area), b"") or self._in_head(pv, int(area.area.offset), HEADER_SIZE)
            if isinstance(raw, NoAnswer):
                self._silence(pv.device, raw)
            if pv.device in self.silent:
                continue
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
                text = self._texts.setdefault(area.key, TextRecord())
                text.places.append((pv, area))

    def _in_head(self, pv: PvRecord, offset: int, length: int) -> bytes | None:
        head = self._heads.get(pv.device, b"")
        return head[offset : offset + length] if offset + length <= len(head) else None

    def _peek(self) -> None:
        """Learn name, UUID and sequence number of each text from its start."""
        texts = [text for text in self._texts.values() if text.seqno < 0 and text.places]
        starts: list[tuple[TextRecord, Device, int, int]] = []
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

    def _identify(self, text: TextRecord) -> None:
        match = _PEEK(text.start)
        if match is not None:
            try:
                text.vgid = Uuid(match[2].decode("ascii", "replace"))
            except InvalidName:
                pass  # damaged
            else:
                text.name, text.seqno = match[1].decode("ascii"), int(match[3])
                return
        # Not LVM2's order of fields, or damaged: only the whole text can tell.
        self._load(text)
        if text.group is not None:
            text.name, text.vgid, text.seqno = text.group.name, text.group.id, text.group.seqno

    def _load(self, text: TextRecord) -> None:
        """Read the whole text from the first place where it is intact, and decode it; note where it is not."""
        if text.raw is not None or not text.places:
            return
        text.raw = b""
        for pv, area in text.places[:]:
            area.checked = True
            assert area.header is not None
            try:
                raw = read_text(area.header, partial(self._bytes, pv))
            except NoAnswer as error:
                self._silence(pv.device, error)
                continue
            except (DamagedMetadata, DeviceError) as error:
                area.problem = error.message
                continue
            try:
                text.group = decode_group(raw, self._targets, text.faults).group
            except VmgrError as error:
                # Its checksum is right, so this is what was committed: nobody may write over it.
                area.problem = text.refused = error.message
                continue
            text.raw = raw
            text.refused = ""
            return

    def _check_copies(self, text: TextRecord) -> None:
        """Read the copies of a text that were not needed to read it: damage is told before all of them have it."""
        for pv, area in text.places[:]:
            if area.header is not None and not area.checked:
                area.checked = True
                try:
                    read_text(area.header, partial(self._bytes, pv))
                except NoAnswer as error:
                    self._silence(pv.device, error)
                except (DamagedMetadata, DeviceError) as error:
                    area.problem = error.message

    def _bytes(self, pv: PvRecord, offset: Bytes, length: Bytes) -> bytes:
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
        groups = {vgid for known, vgid in self.names if known == name}
        members = [pv for pv in self._pvs if any(self._group_of(area) in groups for area in pv.areas)]
        wants = [(pv, area) for pv in members for area in pv.areas]
        answers = self.reader.read_many([(pv.device, int(area.area.offset), HEADER_SIZE) for pv, area in wants])
        stale = False
        for (pv, _), answer in zip(wants, answers, strict=True):
            if isinstance(answer, NoAnswer):
                self._silence(pv.device, answer)
                stale = True
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

    # -- devices that do not answer ----------------------------------------------------------------

    def _silence(self, device: Device, error: NoAnswer) -> None:
        """Take back all that is known of a device: it does not answer, and may hold something else by now."""
        self.silent[device] = self.refused[device] = error.message
        self._pvs = [pv for pv in self._pvs if pv.device is not device]
        self._duplicates = [pv for pv in self._duplicates if pv.device is not device]
        self._heads.pop(device, None)
        for text in self._texts.values():
            text.places = [(pv, area) for pv, area in text.places if pv.device is not device]
        self._texts = {key: text for key, text in self._texts.items() if text.places}

    def await_groups(self, names: Collection[str]) -> None:
        """Wait for devices that have not answered, as long as one may hold a physical volume of these groups."""
        while self.silent and (parts := [name for name in names if not self._whole(name)]):
            self._await(list(self.silent), f"a physical volume of volume group {', '.join(sorted(parts))}")

    def await_device(self, device: Device) -> None:
        """Wait for this device, if it has not answered."""
        while device in self.silent:
            self._await([device], "")

    def _await(self, devices: list[Device], what: str) -> None:
        names = ", ".join(f"{d.path} (suspended)" if d.suspended else d.path for d in devices)
        verb = "does" if len(devices) == 1 else "do"
        why = f", which may hold {what}" if what else ""
        self._on_wait(f"Waiting for {names}{why} and {verb} not answer.")
        answered = self.reader.answered(devices)
        for device in answered:
            del self.silent[device], self.refused[device]
        self._read(answered)

    def _whole(self, name: str) -> bool:
        """Whether a group of this name was found with all its physical volumes but those that it knows to miss."""
        there = {pv.layout.id for pv in self._pvs}
        found = False
        for texts in self._by_group().values():
            text = self._newest(texts)
            if text.name != name:
                continue
            self._load(text)
            group = text.group
            if group is None or any(pv.id not in there and not pv.missing for pv in group.pvs):
                return False
            found = True
        return found

    def reread(self) -> None:
        """Read everything once more; for when the set of devices of a group may have changed."""
        self.problems[:] = [] if self.listed is None else self.listed.problems
        self._pvs, self._duplicates = [], []
        self._texts.clear()
        self._heads.clear()
        self._read([device for device in self.usable if device not in self.refused])

    def _group_of(self, area: AreaRecord) -> str:
        return "" if area.key is None else self._texts[area.key].vgid

    def _settle_duplicates(self) -> None:
        by_id: dict[Uuid, list[PvRecord]] = {}
        for pv in self._pvs:
            by_id.setdefault(pv.layout.id, []).append(pv)
        for uuid, copies in by_id.items():
            if len(copies) > 1:
                self._prefer_one(uuid, copies)

    def _prefer_one(self, uuid: Uuid, copies: list[PvRecord]) -> None:
        from vmgr.system.duplicates import preferred

        known = None
        for key in {area.key for pv in copies for area in pv.areas if area.key is not None}:
            self._load(self._texts[key])
            group = self._texts[key].group
            known = group.pv_by_id.get(uuid, known) if group is not None else known
        best, reason = preferred(copies, known)
        for copy in copies:
            if copy is best:
                continue
            self._duplicates.append(copy)
            self._pvs.remove(copy)
            for text in self._texts.values():
                text.places = [(pv, area) for pv, area in text.places if pv is not copy]
            self.problems.append(
                f"not using {copy.device.path} for physical volume {uuid.dashed}:"
                f" {best.device.path} is preferred because {reason}"
            )

    # -- what was found ---------------------------------------------------------------------------

    @property
    def names(self) -> tuple[tuple[str, Uuid], ...]:
        """(name, UUID) of every group that a text was found of, sorted; the newest intact text has the right name.

        A rename that a power cut stopped between two areas leaves texts of one group with two names.
        """
        return tuple(sorted((self._newest(texts).name, Uuid(vgid)) for vgid, texts in self._by_group().items()))

    def seqno_of(self, group: Uuid) -> int:
        """The highest sequence number of the group's intact texts, understood or not; -1 if there is none."""
        texts = self._by_group().get(group, [])
        for text in texts:
            self._load(text)
        return max((text.seqno for text in texts if text.group is not None or text.refused), default=-1)

    def _by_group(self) -> dict[str, list[TextRecord]]:
        found: dict[str, list[TextRecord]] = {}
        for text in self._texts.values():
            if text.seqno >= 0 and text.places:
                found.setdefault(text.vgid, []).append(text)
        return found

    def _newest(self, texts: Sequence[TextRecord]) -> TextRecord:
        """The newest of one group's texts that is intact; read only where their names differ."""
        ordered = sorted(texts, key=lambda text: -text.seqno)
        if len({text.name for text in texts}) > 1:
            for text in ordered:
                self._load(text)
                if text.group is not None or text.refused:
                    return text
        return ordered[0]

    def _join_changed_ids(self) -> None:
        """Take texts of one group with two UUIDs for what they are: a change of the UUID that a power cut stopped.

        The name, the physical volumes and the logical volumes are the same then; the newer text's UUID counts.
        """
        by_name: dict[str, list[TextRecord]] = {}
        for texts in self._by_group().values():
            newest = self._newest(texts)
            by_name.setdefault(newest.name, []).append(newest)
        for texts in by_name.values():
            known: dict[tuple[frozenset[str], frozenset[str]], TextRecord] = {}
            for text in sorted(texts, key=lambda text: -text.seqno) if len(texts) > 1 else ():
                self._load(text)
                if text.group is None:
                    continue
                parts = frozenset(text.group.pv_by_id), frozenset(text.group.lv_by_id)
                newer = known.setdefault(parts, text)
                if newer.seqno > text.seqno:
                    for older in self._by_group()[text.vgid]:
                        older.vgid = newer.vgid

    def view(self, only: Collection[str] | None = None, *, system_ids: Collection[str] | None = None) -> SystemView:
        """What was found, with the groups named in ``only`` (default: all) decoded.

        ``system_ids`` are this host's (default: as lvm.conf says); groups with another one are foreign.
        """
        while True:
            names, silent = self.names, tuple(device.path for device in self.silent)
            view = self._judged(names, silent, only, system_ids)
            if len(self.silent) == len(silent):
                return view
            # A device stopped answering while its texts were read: what was said of it does not hold any more.

    def _judged(
        self,
        names: Sequence[tuple[str, Uuid]],
        silent: tuple[str, ...],
        only: Collection[str] | None,
        system_ids: Collection[str] | None,
    ) -> SystemView:
        judge = Judge(
            self._config,
            self._pvs,
            self._duplicates,
            self._texts.values(),
            self._load,
            self._check_copies,
            system_ids,
            silent,
        )
        labelled = {pv.device for pv in (*self._pvs, *self._duplicates)}
        others = tuple(
            DeviceView(d.path, d.major, d.minor, d.size, d.aliases)
            for d in self.usable
            if d not in self.refused and d not in labelled
        )
        refused = tuple((path, why) for d, why in self.refused.items() for path in (d.path, *d.aliases))
        problems = [*self.problems, *self.silent.values()]
        return evolve(judge.view(names, only, others=others, problems=problems), refused=refused)
