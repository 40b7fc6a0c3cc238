"""The fake kernel's targets: which lines they accept, and what they print.

This does not model what targets do to data. Semantics: ``dm-linear.c``, ``dm-stripe.c``, ``dm-snap.c``,
``dm-zero.c`` and ``dm-target.c`` of Linux 6.1, with that kernel's versions.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, NamedTuple

from vmgr.core.table import KernelLine
from vmgr.dm import abi

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.dm.abi import Version

DEFAULT_CHUNK = 32
"""Sectors in a snapshot's chunk by default (``DM_CHUNK_SIZE_DEFAULT_SECTORS``)."""


class Refusal(Exception):
    """The fake kernel's negative return value."""

    def __init__(self, code: int) -> None:
        super().__init__(errno.errorcode.get(code, str(code)))
        self.errno = code


class Area(NamedTuple):
    """A range of a device (an ``abi.dev_number``) that a line refers to; ``length`` 0: the whole device."""

    dev: int
    start: int = 0
    length: int = 0


class FakeTarget:
    """A target that refers to no device and ignores its parameters, as ``error`` does.

    ``alone``: it must be the only line of its table.
    """

    alone = False

    def __init__(self, name: str, version: Version) -> None:
        self.name = name
        self.version = version

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """The line as the kernel prints it, and the areas that it refers to. Raises :class:`Refusal`."""
        return _with(line, ""), ()

    @property
    def measured_name(self) -> str:
        """The name at the start of a measurement."""
        return f"target_name={self.name},target_version={'.'.join(map(str, self.version))}"

    def store(self, line: KernelLine) -> tuple[int, int] | None:
        """The (origin, exception store) whose exceptions only one line in all devices can have; None: none."""
        return None

    def status(self, line: KernelLine, size: Callable[[int], int]) -> str:
        """The status of a healthy device; ``size`` gives a device's sectors."""
        return ""

    def measured(self, line: KernelLine) -> str:
        """The line's integrity measurement (``STATUSTYPE_IMA``)."""
        return ""

    def message(self, line: KernelLine, text: str) -> str | None:
        """The answer to a message, None for none. Raises :class:`Refusal`."""
        raise Refusal(errno.EINVAL)


class Bare(FakeTarget):
    """A target that takes no parameters."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Accept start and length only."""
        if line.params.split():
            raise Refusal(errno.EINVAL)
        return super().parse(line)


class AnyTarget(FakeTarget):
    """A target that is not modelled: every parameter that looks like a device is taken for one."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Keep the parameters as they are."""
        return _with(line, " ".join(line.params.split())), tuple(map(Area, abi.numbers_in(line.params)))


class Linear(FakeTarget):
    """``DEVICE START``."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Accept exactly two words."""
        words = line.params.split()
        if len(words) != 2:
            raise Refusal(errno.EINVAL)
        start = _number(words[1])
        dev = _device(words[0])
        return _with(line, f"{_words(dev)} {start}"), (Area(dev, start, int(line.length)),)

    def measured(self, line: KernelLine) -> str:
        """Device and start."""
        device, start = line.params.split()
        return f"{self.measured_name},device_name={device},start={start};"


class Striped(FakeTarget):
    """``STRIPES CHUNK [DEVICE START]...``."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Accept a length that is a multiple of the stripes, if that of each stripe is a multiple of the chunk."""
        words = line.params.split()
        if len(words) < 2:
            raise Refusal(errno.EINVAL)
        stripes, chunk = _number(words[0]), _number(words[1])
        if not stripes or not chunk or len(words) < 2 + 2 * stripes:
            raise Refusal(errno.EINVAL)
        if line.length % stripes or (line.length // stripes) % chunk:
            raise Refusal(errno.EINVAL)
        areas = tuple(
            Area(_device(words[2 + 2 * i]), _number(words[3 + 2 * i]), int(line.length) // stripes)
            for i in range(stripes)
        )
        places = " ".join(f"{_words(area.dev)} {area.start}" for area in areas)
        return _with(line, f"{stripes} {chunk} {places}"), areas

    def status(self, line: KernelLine, size: Callable[[int], int]) -> str:
        """The devices, and an A for each healthy one."""
        words = line.params.split()
        stripes = int(words[0])
        return f"{stripes} {' '.join(words[2::2])} 1 {'A' * stripes}"

    def measured(self, line: KernelLine) -> str:
        """Every stripe with its device and start."""
        words = line.params.split()
        parts = [
            f",stripe_{i}_device_name={words[2 + 2 * i]},stripe_{i}_physical_start={words[3 + 2 * i]}"
            f",stripe_{i}_status=A"
            for i in range(int(words[0]))
        ]
        return f"{self.measured_name},stripes={words[0]},chunk_size={words[1]}{''.join(parts)};"


class Origin(FakeTarget):
    """``DEVICE``."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Accept exactly one word."""
        words = line.params.split()
        if len(words) != 1:
            raise Refusal(errno.EINVAL)
        dev = _device(words[0])
        return _with(line, _words(dev)), (Area(dev, 0, int(line.length)),)


class Snapshot(FakeTarget):
    """``ORIGIN COW P|N|PO CHUNK [N FEATURE...]``. The store is always fresh, as if zeroed."""

    def parse(self, line: KernelLine) -> tuple[KernelLine, tuple[Area, ...]]:
        """Accept at least four words, and a chunk that is a power of two."""
        words = line.params.split()
        if len(words) < 4:
            raise Refusal(errno.EINVAL)
        origin, store, kind, chunk = _device(words[0]), _device(words[1]), words[2], _number(words[3])
        if kind not in ("P", "PO", "N") or origin == store or (chunk and chunk & (chunk - 1)):
            raise Refusal(errno.EINVAL)
        printed = " ".join((_words(origin), _words(store), kind, str(chunk), *words[4:]))
        return _with(line, printed), (Area(origin, 0, int(line.length)), Area(store))

    def store(self, line: KernelLine) -> tuple[int, int]:
        """Its two devices."""
        origin, store, *_ = line.params.split()
        return _device(origin), _device(store)

    def status(self, line: KernelLine, size: Callable[[int], int]) -> str:
        """Used sectors, all sectors, and those for metadata: a fresh store has its header and one area."""
        _, store, kind, chunk, *_ = line.params.split()
        used = 0 if kind == "N" else 2 * (int(chunk) or DEFAULT_CHUNK)
        return f"{used}/{size(_device(store))} {used}"

    def measured(self, line: KernelLine) -> str:
        """The two devices, and that the snapshot is valid."""
        origin, store, *_ = line.params.split()
        state = "snap_valid=y,snap_merge_failed=n,snapshot_overflowed=n"
        return f"{self.measured_name},snap_origin_name={origin},snap_cow_name={store},{state};"


def _with(line: KernelLine, params: str) -> KernelLine:
    return KernelLine(line.start, line.length, line.target, params)


def _number(word: str) -> int:
    if not word.isascii() or not word.isdigit():
        raise Refusal(errno.EINVAL)
    return int(word)


def _device(word: str) -> int:
    major, colon, minor = word.partition(":")
    if not (colon and major.isdigit() and minor.isdigit()):
        raise Refusal(errno.ENODEV)
    if int(major) >= abi.MAJORS or int(minor) >= abi.MINORS:
        raise Refusal(errno.EOVERFLOW)
    return abi.dev_number(int(major), int(minor))


def _words(dev: int) -> str:
    major, minor = abi.major_minor(dev)
    return f"{major}:{minor}"


TARGETS: tuple[FakeTarget, ...] = (
    FakeTarget("error", (1, 5, 0)),
    Bare("zero", (1, 1, 0)),
    Linear("linear", (1, 4, 0)),
    Striped("striped", (1, 6, 0)),
    Snapshot("snapshot", (1, 16, 0)),
    Origin("snapshot-origin", (1, 9, 0)),
    Snapshot("snapshot-merge", (1, 5, 0)),
)
