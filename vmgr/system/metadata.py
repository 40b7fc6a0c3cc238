"""Writing metadata: labels, texts, the two slots, backup files. The committer's :class:`~vmgr.commit.Store`.

The order that makes a change safe is the planner's; here each call reaches the disks before it returns, in
every metadata area of the group's physical volumes that is there, whole and not ignored. Before
the first write to a device it is checked that the device is still the one that was scanned, with the same
metadata: names may have moved, or somebody wrote without a lock. Files are opened and sectors are made before the
commit; the commit itself only writes and flushes, as volumes may be suspended then.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import evolve

from vmgr.core.errors import DamagedMetadata, DeviceError, GroupUnusable, InUse, Refused, VmgrError
from vmgr.core.steps import (
    Archive,
    Backup,
    ImportGroup,
    MarkPvs,
    RemoveText,
    WipeLabel,
    WriteLabel,
    WriteText,
    ZeroSectors,
)
from vmgr.core.units import Bytes
from vmgr.ondisk import mda
from vmgr.ondisk.codec import encode_group, to_bytes
from vmgr.ondisk.encode import Pieces
from vmgr.ondisk.label import LABEL_SCAN_SIZE, decode_label, encode_label, wipe_label
from vmgr.system.disk import READ_ONLY_HINT, Disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from vmgr.core.change import LabelPv
    from vmgr.core.exchange import ZeroRange
    from vmgr.core.ids import Uuid
    from vmgr.core.model import VolumeGroup
    from vmgr.core.pv import PvLayout
    from vmgr.core.step import Step
    from vmgr.core.view import PvView
    from vmgr.ondisk.codec import Encoder, TextHeader
    from vmgr.system.archive import Archives

_SECTOR = 512


class _Target:
    """A physical volume that can be written to. ``number`` is its device number, None where that is not checked."""

    def __init__(self, device: str, layout: PvLayout, number: tuple[int, int] | None) -> None:
        self.device = device
        self.layout = layout
        self.number = number
        self.disk: Disk | None = None
        self.areas = [_Area(n) for n in range(len(layout.mdas))]


class _Area:
    """A metadata area while it is written. ``seen`` is (size, checksum) of the text that the scan saw."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.seen: tuple[int, int] | None = None
        self.problem = ""
        self.header: mda.MdaHeader | None = None
        self.location: mda.RawLocation | None = None
        self.precommitted: mda.MdaHeader | None = None
        self.enters = self.leaves = False
        """Whether the commit puts the area into use, or out of it."""


class MetadataStore:
    """Writes for one command. ``warnings`` collects what went wrong and did not matter (one copy of several).

    ``pvs`` are the physical volumes that may be written. ``header`` makes the top of a text from a description.
    ``command`` is the command line, for descriptions. ``repair`` makes areas with a damaged header anew.
    Without ``write`` devices are opened for reading, to be checked.
    """

    def __init__(
        self,
        pvs: Iterable[PvView],
        targets: Encoder,
        header: Callable[[str], TextHeader],
        archives: Archives,
        *,
        command: str,
        repair: bool = False,
        write: bool = True,
        open_disk: Callable[..., Disk] = Disk.open,
    ) -> None:
        self._targets = targets
        self._header = header
        self._archives = archives
        self._command = command
        self._repair = repair
        self._write = write
        self._open = open_disk
        self._pieces = Pieces()
        self._texts: list[tuple[VolumeGroup, bytes]] = []
        self.texts_before: dict[Uuid, bytes] = {}
        """Groups' texts as they were found, where their values do not say all of them."""
        self.warnings: list[str] = []
        self._pvs: dict[Uuid, _Target] = {}
        for view in pvs:
            number = (view.major, view.minor) if view.major >= 0 else None
            target = self._pvs[view.id] = _Target(view.device, view.layout, number)
            for area, found in zip(target.areas, view.mdas, strict=False):
                area.seen = (int(found.text_size), found.checksum)
                area.problem = found.problem

    def close(self) -> None:
        """Close all devices."""
        for target in self._pvs.values():
            if target.disk is not None:
                target.disk.close()
                target.disk = None

    # -- before anything is written ---------------------------------------------------------------

    def check(self, steps: Iterable[Step]) -> None:
        """Raise what would keep ``steps`` from being carried out, as far as it can be known; writes nothing."""
        labels: dict[Uuid, PvLayout] = {}
        for step in steps:
            match step:
                case WriteLabel(label):
                    with self._opened(label.device, exclusive=True) as disk:
                        _require_room(label, disk)
                    labels[label.layout.id] = label.layout
                case WipeLabel(path):
                    self._opened(path, exclusive=True).close()
                case ZeroSectors(group, zero) if zero.area.pv not in labels:
                    self._disk(self._target(zero.area.pv, group))
                case WriteText(group) | ImportGroup(group):
                    self._check_text(group, labels)
                case RemoveText(_, pvs) | MarkPvs(_, pvs):
                    for pv in pvs:
                        if pv in self._pvs and pv not in labels:
                            self._disk(self._pvs[pv])
                case Archive(group) if self._archives.archive_enabled:
                    self._archives.check(self._archives.archive_dir, partial(self._backup_length, group))
                case Backup(group, gone) if self._archives.backup_enabled and not gone:
                    self._archives.check(self._archives.backup_dir, partial(self._backup_length, group))

    def _check_text(self, group: VolumeGroup, labels: Mapping[Uuid, PvLayout]) -> None:
        """Raise unless the group's text fits into all areas that would take it, ``labels`` being written before."""
        text = self._encoded(group)
        places = 0
        spare: list[mda.MdaHeader] = []
        self._choose_areas(group)
        for pv in group.pvs:
            if pv.id in labels:
                headers = [mda.new_header(area) for area in labels[pv.id].mdas]
            elif pv.id in self._pvs:
                target = self._pvs[pv.id]
                kept = (area for area in target.areas if not area.leaves)
                headers = [h for area in kept if (h := self._usable_header(target, area)) is not None]
            else:
                continue
            for header in headers:
                if header.ignored and pv.id in labels:
                    spare.append(header)
                else:
                    mda.plan_text(header, text)
                    places += 1
        for header in spare if not places else ():
            mda.plan_text(header, text)  # one of them will be put into use
            places += 1
        self._require_places(group, places)

    @staticmethod
    def _require_places(group: VolumeGroup, places: int) -> None:
        if not places:
            raise GroupUnusable(
                f"volume group {group.name} has no metadata area that can be written to",
                hint="put one into use: pvchange --metadataignore n",
            )

    def _encoded(self, group: VolumeGroup) -> bytes:
        """The group's text, as every ring takes it."""
        for known, text in self._texts:
            if known is group:
                return text
        header = self._header(f"Write from {self._command}.")
        text = to_bytes(encode_group(group, self._targets, header))
        self._texts.append((group, text))
        return text

    # -- physical volumes -------------------------------------------------------------------------

    def write_label(self, label: LabelPv) -> None:
        """Write a label and empty metadata areas to a device that is not in use."""
        layout = label.layout
        with self._opened(label.device, exclusive=True) as disk:
            _require_room(label, disk)
            if label.zero:
                disk.write(Bytes(0), bytes(LABEL_SCAN_SIZE))
            else:
                self._wipe_labels(disk)
            for area in layout.mdas:
                disk.write(area.offset, mda.encode_header(mda.new_header(area)))
            # The label comes last: it must never lead to headers that are not there.
            disk.flush()
            disk.write(Bytes(layout.label_sector * _SECTOR), encode_label(layout))
            disk.flush()
        target = self._pvs[layout.id] = _Target(label.device, layout, None)
        for new in target.areas:
            new.seen = (0, 0)

    def wipe_label(self, device: str) -> None:
        """Wipe every label of the device at this path, which must not be in use."""
        with self._opened(device, exclusive=True) as disk:
            self._wipe_labels(disk)
            disk.flush()

    @staticmethod
    def _wipe_labels(disk: Disk) -> None:
        for offset, zeros in wipe_label(disk.read(Bytes(0), Bytes(LABEL_SCAN_SIZE))):
            disk.write(offset, zeros)

    def zero(self, group: VolumeGroup, zero: ZeroRange) -> None:
        """Zero sectors of a physical volume of ``group``."""
        pv = group.pv_by_id[zero.area.pv]
        if zero.start + zero.length > zero.area.length.sectors(group.extent_size):
            raise Refused(f"zeroing {zero.length} sectors would reach beyond the space that was given")
        disk = self._disk(self._target(pv.id, group))
        start = pv.pe_start + zero.area.start.sectors(group.extent_size) + zero.start
        disk.zero(start.bytes(), zero.length.bytes())
        disk.flush()

    def mark(self, group: VolumeGroup, pvs: tuple[Uuid, ...], used: bool) -> None:
        """Set or clear the in-use flag of the labels of those of ``pvs`` that are there."""
        for pv in pvs:
            target = self._pvs.get(pv)
            if target is None:
                continue
            disk = self._disk(target)
            layout = self._label_of(disk, pv)
            flags = layout.ext_flags | 1 if used else layout.ext_flags & ~1
            if (layout.ext_flags, layout.ext_version) == (flags, max(layout.ext_version, 2)):
                continue
            layout = evolve(layout, ext_flags=flags, ext_version=max(layout.ext_version, 2))
            disk.write(Bytes(layout.label_sector * _SECTOR), encode_label(layout))
            disk.flush()

    def clear_outdated(self, group: VolumeGroup, pvs: tuple[Uuid, ...]) -> None:
        """Clear what PVs that ``group`` lost while they were away still hold of it. What fails is a warning."""
        for pv in pvs:
            target = self._pvs[pv]
            try:
                for area in target.areas:
                    self.warnings.append(f"wiping mda on outdated PV {target.device}")
                    header = self._usable_header(target, area)
                    if header is not None and not header.committed.empty:
                        self._write_header(target, mda.clear(header))
                self.warnings.append(f"wiping header on outdated PV {target.device}")
                self.mark(group, (pv,), used=False)
            except VmgrError as error:
                self.warnings.append(f"failed to wipe outdated PV {target.device}: {error.message}")

    # -- texts ------------------------------------------------------------------------------------

    def write_text(self, group: VolumeGroup) -> None:
        """Write the group's text into every ring, unnamed."""
        text = self._encoded(group)
        written = 0
        self._choose_areas(group)
        for pv in group.pvs:
            target = self._pvs.get(pv.id)
            if target is None:
                continue  # missing; whether that is allowed was decided before
            for area in target.areas:
                if area.leaves:
                    continue
                area.header = header = self._usable_header(target, area)
                if header is None:
                    continue
                plan = mda.plan_text(header, text)
                disk = self._disk(target)
                for offset, data in plan.writes:
                    disk.write(offset, data)
                disk.flush()
                area.location = plan.location
                written += 1
        self._require_places(group, written)

    def _choose_areas(self, group: VolumeGroup) -> None:
        """Settle which areas are in use after the commit: as many as ``group.metadata_copies`` says.

        As in LVM2 (``_vg_adjust_ignored_mdas``), where that is 0 all stay as they are, if at least one is in use.
        Which ones are taken is left open there; here first those of different physical volumes.
        """
        used: list[tuple[int, _Area]] = []
        unused: list[tuple[int, _Area]] = []
        for pv in group.pvs:
            target = self._pvs.get(pv.id)
            if target is None:
                continue
            for area in target.areas:
                area.header = area.location = area.precommitted = None
                area.enters = area.leaves = False
                header = self._header_of(target, area)
                if header is not None or self._repair:
                    ignored = header is not None and header.ignored
                    (unused if ignored else used).append((area.number, area))
        wanted = group.metadata_copies
        if not wanted:
            wanted = max(len(used), 1)
        wanted = min(wanted, len(used) + len(unused))
        for _, area in sorted(unused, key=lambda pair: pair[0])[: max(wanted - len(used), 0)]:
            area.enters = True
        for _, area in sorted(used, key=lambda pair: pair[0])[wanted:]:
            area.leaves = True

    def precommit(self, group: VolumeGroup) -> None:
        """Name the text in every precommit slot."""
        for target, area in self._written(group):
            assert area.header is not None
            assert area.location is not None
            header = mda.precommit(area.header, area.location)
            area.precommitted = header
            self._write_header(target, header)

    def commit(self, group: VolumeGroup, first: tuple[Uuid, ...] = ()) -> None:
        """Name the text in every commit slot, on the physical volumes ``first`` first.

        Raises only if not one area has it.
        """
        failures: list[VmgrError] = []
        done = 0
        written = self._written(group)
        for target, area in sorted(written, key=lambda pair: pair[0].layout.id not in first):
            assert area.precommitted is not None
            header = mda.commit(area.precommitted)
            if area.enters:
                header = mda.with_use(header, ignored=False)
            try:
                self._write_header(target, header)
            except VmgrError as error:
                failures.append(error)
                continue
            done += 1
            area.header = header
            area.seen = (int(header.committed.size), header.committed.checksum)
            area.location = area.precommitted = None
        self._judge(group, done, failures)
        self._retire(group)

    def _retire(self, group: VolumeGroup) -> None:
        """Put the areas out of use that the group does without from now on; the text is in others by now."""
        for pv in group.pvs:
            target = self._pvs.get(pv.id)
            for area in target.areas if target is not None else ():
                if target is None or not area.leaves or area.header is None:
                    continue
                try:
                    area.header = mda.with_use(area.header, ignored=True)
                    self._write_header(target, area.header)
                except VmgrError as error:
                    self.warnings.append(
                        f"volume group {group.name}: a metadata area was not put out of use: {error.message}"
                    )
                area.leaves = False

    def revert(self, group: VolumeGroup) -> None:
        """Clear the precommit slots."""
        failures: list[VmgrError] = []
        for target, area in self._written(group):
            if area.precommitted is not None:
                try:
                    self._write_header(target, mda.revert(area.precommitted))
                except VmgrError as error:
                    failures.append(error)
            area.location = area.precommitted = None
        if failures:
            # The old text is still the committed one everywhere: this is only untidy.
            raise failures[0]

    def remove_text(self, group: VolumeGroup, pvs: tuple[Uuid, ...]) -> None:
        """Leave those of ``pvs`` that are there without a text."""
        failures: list[VmgrError] = []
        done = 0
        for pv in pvs:
            target = self._pvs.get(pv)
            if target is None:
                continue
            for area in target.areas:
                try:
                    header = self._header_of(target, area)
                    cleared = (
                        mda.clear(header) if header is not None else mda.new_header(target.layout.mdas[area.number])
                    )
                    self._write_header(target, cleared)
                except VmgrError as error:
                    failures.append(error)
                    continue
                done += 1
                area.header = cleared
                area.seen = (0, 0)
        if any(pv in self._pvs and self._pvs[pv].areas for pv in pvs):
            self._judge(group, done, failures)

    def _judge(self, group: VolumeGroup, done: int, failures: list[VmgrError]) -> None:
        if not failures:
            return
        if not done:
            raise failures[0]
        for error in failures:
            self.warnings.append(
                f"volume group {group.name}: one copy of the metadata could not be written: {error.message}"
            )

    # -- backup files -----------------------------------------------------------------------------

    def archive(self, group: VolumeGroup) -> None:
        """Keep the text from before in a file."""
        if self._archives.archive_enabled:
            from time import time

            text = self.texts_before.get(group.id) or self._backup_text(
                group, f"Created *before* executing '{self._command}'"
            )
            self._archives.write_archive(group.name, text, now=time())

    def backup(self, group: VolumeGroup, gone: bool) -> None:
        """Keep the text from after in a file, or remove that file."""
        if gone:
            self._archives.remove_backup(group.name)
        elif self._archives.backup_enabled:
            text = self._backup_text(group, f"Created *after* executing '{self._command}'")
            self._archives.write_backup(group.name, text)

    def _backup_length(self, group: VolumeGroup) -> int:
        return len(self._backup_text(group, ""))

    def _backup_text(self, group: VolumeGroup, description: str) -> bytes:
        return backup_text(group, self._targets, self._header(description), self._pieces)

    # -- devices and headers ----------------------------------------------------------------------

    def _target(self, pv: Uuid, group: VolumeGroup) -> _Target:
        target = self._pvs.get(pv)
        if target is None:
            raise DeviceError(
                f"physical volume {pv.dashed} of volume group {group.name} is missing", hint="connect its device"
            )
        return target

    def _disk(self, target: _Target) -> Disk:
        """The open device of a target, checked to be the one that was scanned."""
        if target.disk is None:
            disk = self._opened(target.device)
            try:
                self._check_identity(disk, target)
            except BaseException:
                disk.close()
                raise
            target.disk = disk
        return target.disk

    def _opened(self, path: str, *, exclusive: bool = False) -> Disk:
        """A device opened for writing, or to see whether it could be written to. Raises :class:`DeviceError`."""
        disk = self._open(path, write=self._write, exclusive=exclusive)
        if disk.read_only:
            disk.close()
            raise DeviceError(f"cannot write to {path}: it is read-only", hint=READ_ONLY_HINT)
        return disk

    def _check_identity(self, disk: Disk, target: _Target) -> None:
        import os

        if target.number is not None and (os.major(disk.number), os.minor(disk.number)) != target.number:
            raise DeviceError(
                f"{target.device} is another device than a moment ago",
                hint="nothing was written; run the command again",
            )
        self._label_of(disk, target.layout.id)

    @staticmethod
    def _label_of(disk: Disk, pv: Uuid) -> PvLayout:
        layout = decode_label(disk.read(Bytes(0), Bytes(LABEL_SCAN_SIZE)), disk.size)
        if layout is None or layout.id != pv:
            raise DeviceError(
                f"{disk.path} does not hold physical volume {pv.dashed} any more",
                hint="nothing was written; run the command again",
            )
        return layout

    def _header_of(self, target: _Target, area: _Area) -> mda.MdaHeader | None:
        """The header on disk; None if it is damaged."""
        if area.header is None:
            place = target.layout.mdas[area.number]
            raw = self._disk(target).read(place.offset, Bytes(mda.HEADER_SIZE))
            try:
                area.header = mda.decode_header(raw, place)
            except DamagedMetadata as error:
                area.problem = error.message
        return area.header

    def _usable_header(self, target: _Target, area: _Area) -> mda.MdaHeader | None:
        """The header of an area to be written; None for one that is ignored or damaged.

        Raises :class:`InUse` when the text in it is not the one that was scanned.
        """
        header = self._header_of(target, area)
        if header is None and self._repair:
            return mda.new_header(target.layout.mdas[area.number])
        if header is None or (header.ignored and not area.enters):
            return None
        now = (int(header.committed.size), header.committed.checksum)
        if area.seen is not None and area.seen != now and not area.enters:
            raise InUse(
                f"the metadata on {target.device} changed while this command ran",
                hint="nothing was written; does another program work without locks (--nolocking)? run it again",
            )
        return header

    def _written(self, group: VolumeGroup) -> list[tuple[_Target, _Area]]:
        found = []
        for pv in group.pvs:
            target = self._pvs.get(pv.id)
            if target is not None:
                found += [(target, area) for area in target.areas if area.location is not None]
        return found

    def _write_header(self, target: _Target, header: mda.MdaHeader) -> None:
        disk = self._disk(target)
        disk.write(header.start, mda.encode_header(header))
        disk.flush()


def _require_room(label: LabelPv, disk: Disk) -> None:
    if label.layout.size > disk.size:
        raise Refused(
            f"{label.device}: a physical volume of {label.layout.size} bytes does not fit on {disk.size} bytes"
        )


def backup_text(group: VolumeGroup, targets: Encoder, header: TextHeader, pieces: Pieces | None = None) -> bytes:
    """A group as a backup file holds it, with LVM2's comments. ``pieces``: see :func:`encode_group`."""
    from time import localtime, strftime

    def date(seconds: int) -> str:
        try:
            return strftime("%Y-%m-%d %T %z", localtime(seconds))
        except (OSError, OverflowError, ValueError):
            return "no time that this machine knows"

    return to_bytes(encode_group(group, targets, header, backup=True, date=date, pieces=pieces))
