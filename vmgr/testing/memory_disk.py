"""Disks in memory, for dry runs and tests: the interface of :class:`vmgr.system.disk.Disk`, held to the same suite.

:class:`MemoryDisk` keeps the order of writes and flushes, so that a test can ask what would be on
the medium had the power failed at any moment: writes before the last flush are there, each
write after it may be there or not, whole or cut at a sector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import ref

from vmgr.core.errors import DeviceError
from vmgr.core.units import SECTOR_SIZE, Bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Self

    from vmgr.core.errors import VmgrError
    from vmgr.system.devices import Device

FLUSH = None
"""In :attr:`MemoryDisk.log`: a flush, between the writes ``(offset, data)``."""

Entry = tuple[int, bytes] | None


class Journal:
    """One order of events for several disks: ``events`` are (disk, write or flush)."""

    def __init__(self) -> None:
        self.events: list[tuple[MemoryDisk, Entry]] = []


class MemoryDisk:
    """A disk in memory. ``fail_writes`` and ``fail_reads`` make it a broken one."""

    number = 0
    logical_block = 512
    read_only = False

    def __init__(
        self, size: Bytes, *, path: str = "memory", content: bytes = b"", journal: Journal | None = None
    ) -> None:
        self.path = path
        # The journal has the disk in its events. A disk is large, and shall go with the last who uses it.
        self._journal = ref(journal) if journal is not None else None
        self.before = bytes(content).ljust(int(size), b"\0")
        self.data = bytearray(self.before)
        self.log: list[Entry] = []
        self.fail_writes = False
        self.fail_reads = False

    @property
    def size(self) -> Bytes:
        """The disk's length."""
        return Bytes(len(self.data))

    def read(self, offset: Bytes, length: Bytes) -> bytes:
        """As :meth:`vmgr.system.disk.Disk.read`."""
        if self.fail_reads:
            raise DeviceError(f"{self.path}: read of {length} bytes at byte {offset} failed: Input/output error")
        if offset + length > self.size:
            raise DeviceError(f"{self.path}: cannot read {length} bytes at byte {offset}: the device ends before")
        return bytes(self.data[int(offset) : int(offset) + int(length)])

    def write(self, offset: Bytes, data: bytes) -> None:
        """As :meth:`vmgr.system.disk.Disk.write`."""
        at = int(offset)
        if self.fail_writes:
            raise DeviceError(
                f"{self.path}: write of {len(data)} bytes at byte {offset} failed: Input/output error"
            )
        if at < 0 or at + len(data) > len(self.data):
            raise DeviceError(f"{self.path}: refusing to write {len(data)} bytes at byte {at}: past the end")
        if data:
            self._record((at, bytes(data)))
            self.data[at : at + len(data)] = data

    def zero(self, offset: Bytes, length: Bytes) -> None:
        """As :meth:`vmgr.system.disk.Disk.zero`."""
        self.write(offset, bytes(int(length)))

    def flush(self) -> None:
        """As :meth:`vmgr.system.disk.Disk.flush`."""
        if self.fail_writes:
            raise DeviceError(f"{self.path}: cannot flush: Input/output error")
        self._record(FLUSH)

    def close(self) -> None:
        """Nothing to do: the content stays."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _record(self, entry: Entry) -> None:
        self.log.append(entry)
        journal = self._journal() if self._journal is not None else None
        if journal is not None:
            journal.events.append((self, entry))


class MemoryReader:
    """A :class:`vmgr.system.reader.Reader` of memory disks, by path."""

    def __init__(self, disks: Mapping[str, MemoryDisk]) -> None:
        self.disks = disks
        self.reads: list[tuple[str, int, int]] = []
        self.silent: list[str] = []
        """Disks that do not answer; each wait ends with the answer of the first."""

    def read_many(self, wants: Sequence[tuple[Device, int, int]]) -> list[bytes | VmgrError]:
        """As :meth:`vmgr.system.reader.Reader.read_many`."""
        results: list[bytes | VmgrError] = []
        for device, offset, length in wants:
            if device.path in self.silent:
                from vmgr.system.reader import NoAnswer

                results.append(NoAnswer(f"{device.path} has not answered a read; what is on it is not known"))
                continue
            self.reads.append((device.path, offset, length))
            disk = self.disks[device.path]
            device.size = disk.size
            try:
                there = min(length, max(int(disk.size) - offset, 0))
                results.append(disk.read(Bytes(offset), Bytes(there)))
            except DeviceError as error:
                results.append(error)
        return results

    def answered(self, devices: Sequence[Device]) -> list[Device]:
        """As :meth:`vmgr.system.reader.Reader.answered`."""
        if not self.silent:
            return list(devices)
        path = self.silent.pop(0)
        return [device for device in devices if device.path == path]

    def close(self) -> None:
        """Nothing to do."""


def after_cut(before: bytes, log: Sequence[Entry], kept: Sequence[int]) -> bytes:
    """What a medium that held ``before`` holds after a power cut at the end of ``log``.

    Writes up to the last flush are there. Of the later ones, the n-th is there to ``kept[n]`` sectors
    (all of them where ``kept`` is shorter than that).
    """
    data = bytearray(before)
    last = max((n for n, entry in enumerate(log) if entry is FLUSH), default=-1)
    loose = 0
    for n, entry in enumerate(log):
        if entry is None:
            continue
        offset, part = entry
        if n > last:
            if loose < len(kept):
                # A drive writes whole sectors: cut at a sector's boundary of the disk, not of the data.
                part = part[: max(0, kept[loose] * SECTOR_SIZE - offset % SECTOR_SIZE)]
            loose += 1
        data[offset : offset + len(part)] = part
    return bytes(data)


def sector_count(entry: Entry) -> int:
    """How many sectors a write touches; 0 for a flush."""
    if entry is None:
        return 0
    offset, data = entry
    return -(-(offset + len(data)) // SECTOR_SIZE) - offset // SECTOR_SIZE


def prefixes(journal: Journal) -> Iterator[list[tuple[MemoryDisk, Entry]]]:
    """Every beginning of the journal, the empty one and the whole one included."""
    for n in range(len(journal.events) + 1):
        yield journal.events[:n]
