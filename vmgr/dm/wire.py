"""Requests and replies of the device mapper as bytes, in both directions. Pure: no ioctl is made here.

For each structure there is a ``pack`` and an ``unpack``, side by side: with the real kernel a program needs one
direction of each, :mod:`vmgr.testing.fake_kernel` needs the other. The kernel's strings are bytes. They are
decoded as UTF-8, and bytes that are not UTF-8 become surrogate escapes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import NamedTuple, ParamSpec, TypeVar

from vmgr.core.errors import InvalidName, InvalidSize, KernelError
from vmgr.core.table import DM_NAME_MAX, DM_UUID_MAX, KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi
from vmgr.dm.abi import Command, Version

_header = abi.HEADER
_target = abi.TARGET
_name_entry = abi.NAME_ENTRY
_name_tail = abi.NAME_TAIL

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Request(NamedTuple):
    """One call to the kernel. A device is named by one of ``uuid``, ``name`` and ``dev`` (``abi.dev_number``).

    ``event_nr`` is the event number to wait for, or the udev cookie and flags of commands
    that cause a uevent. ``data`` follows the header; secret data is a ``bytearray``, so that it can be wiped.
    """

    command: Command
    name: str = ""
    uuid: str = ""
    dev: int = 0
    flags: int = 0
    event_nr: int = 0
    target_count: int = 0
    data: bytes | bytearray = b""


class Reply(NamedTuple):
    """The header as the kernel filled it, and the data after it. Secret data is a ``bytearray``."""

    version: Version
    target_count: int = 0
    open_count: int = 0
    flags: int = 0
    event_nr: int = 0
    dev: int = 0
    name: str = ""
    uuid: str = ""
    data: bytes | bytearray = b""


class NameEntry(NamedTuple):
    """A device in the kernel's list. None: this kernel's list lacks the field."""

    dev: int
    name: str
    event_nr: int | None = None
    uuid: str | None = None


# -- what the kernel says ---------------------------------------------------------------------------


def _from_kernel(unpack: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make ``unpack`` raise :class:`KernelError` for bytes that are not what the kernel documents."""

    @wraps(unpack)
    def checked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return unpack(*args, **kwargs)
        except (struct.error, ValueError) as error:
            raise KernelError(
                f"the device mapper's answer cannot be read ({unpack.__name__}: {error})",
                hint="see the kernel log; vmgr may not know the interface of this kernel's device mapper",
            ) from None

    return checked


# -- strings ----------------------------------------------------------------------------------------


def encode(text: str) -> bytes:
    """The kernel's bytes for ``text``, without a final NUL. A NUL inside is refused: it would end the string."""
    raw = text.encode("utf-8", "surrogateescape")
    if b"\0" in raw:
        raise InvalidName(f"{text!r} contains a NUL character")
    return raw


def decode(raw: bytes | bytearray) -> str:
    """The text of a NUL-padded field."""
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def wipe(data: bytes | bytearray) -> None:
    """Overwrite a secret in a ``bytearray``. Other bytes stay until their memory is reused."""
    if isinstance(data, bytearray):
        data[:] = bytes(len(data))


def _out_of_range(what: str) -> InvalidSize:
    return InvalidSize(f"{what} is out of range")


def _aligned(size: int) -> int:
    return -(-size // abi.ALIGNMENT) * abi.ALIGNMENT


def pack_text(text: str) -> bytes:
    """A string as the data of a rename or a geometry."""
    return encode(text) + b"\0"


def unpack_text(data: bytes | bytearray) -> str:
    """The string at the start of ``data``."""
    return decode(data)


# -- header -----------------------------------------------------------------------------------------


def request_size(request: Request, room: int = 0) -> int:
    """Bytes of buffer that a request needs, with ``room`` for the reply's data."""
    return abi.DATA_START + max(_aligned(len(request.data)), room)


def pack_request(buffer: bytearray, request: Request, size: int | None = None) -> None:
    """Write ``request`` at the start of ``buffer``, of which the kernel may use ``size`` bytes (default: all).

    Raises :class:`InvalidName` for a name or UUID longer than the kernel's fields, and :class:`InvalidSize` for
    a number too large for them. The version sent is the lowest that has the command, so that every later kernel
    accepts it.
    """
    name, uuid = encode(request.name), encode(request.uuid)
    if len(name) > DM_NAME_MAX:
        raise InvalidName(f"device name {request.name!r} is longer than {DM_NAME_MAX} bytes")
    if len(uuid) > DM_UUID_MAX:
        raise InvalidName(f"device UUID {request.uuid!r} is longer than {DM_UUID_MAX} bytes")
    try:
        _header.pack_into(
            buffer, 0, *request.command.since, len(buffer) if size is None else size, abi.DATA_START,
            request.target_count, 0, request.flags, request.event_nr, request.dev, name, uuid,
        )  # fmt: skip
    except struct.error:
        raise _out_of_range(f"event number {request.event_nr} or device number {request.dev}") from None
    if request.data:
        buffer[abi.DATA_START : abi.DATA_START + len(request.data)] = request.data


def unpack_request(buffer: bytes | bytearray, command: Command) -> Request:
    """The request in ``buffer``. The header gives the size of the data after it."""
    _, _, _, size, start, count, _, flags, event_nr, dev, name, uuid = _header.unpack_from(buffer)
    return Request(command, decode(name), decode(uuid), dev, flags, event_nr, count, bytes(buffer[start:size]))


def pack_reply(buffer: bytearray, reply: Reply) -> None:
    """Write ``reply`` as the kernel does."""
    size = abi.DATA_START + len(reply.data) if reply.data else _header.size - 7
    _header.pack_into(
        buffer, 0, *reply.version, size, abi.DATA_START, reply.target_count, reply.open_count,
        reply.flags, reply.event_nr, reply.dev, encode(reply.name), encode(reply.uuid),
    )  # fmt: skip
    buffer[abi.DATA_START : abi.DATA_START + len(reply.data)] = reply.data


def unpack_reply(buffer: bytes | bytearray, *, secret: bool = False) -> Reply:
    """The reply in ``buffer``. Its data is empty unless the header says that the kernel wrote some."""
    v0, v1, v2, size, start, count, opened, flags, event_nr, dev, name, uuid = _header.unpack_from(buffer)
    data: bytes | bytearray = b""
    if size > start:
        data = bytearray(memoryview(buffer)[start:size]) if secret else bytes(memoryview(buffer)[start:size])
    return Reply((v0, v1, v2), count, opened, flags, event_nr, dev, decode(name), decode(uuid), data)


# -- tables and status ------------------------------------------------------------------------------


def _pack_line(line: KernelLine, next_offset: int, parameters: bytes) -> bytes:
    target = encode(line.target)
    if len(target) > abi.TARGET_NAME_MAX:
        raise KernelError(f"target name {line.target!r} is longer than {abi.TARGET_NAME_MAX} bytes")
    try:
        return _target.pack(line.start, line.length, 0, next_offset, target) + parameters
    except struct.error:
        raise _out_of_range(f"start {int(line.start)} or length {int(line.length)}") from None


def pack_secret_table(lines: Sequence[KernelLine]) -> bytearray:
    """As :func:`pack_table`, in memory that :func:`wipe` can wipe, and without any other copy of the parameters."""
    sizes = [_aligned(_target.size + _encoded_size(line.params, _escaped) + 1) for line in lines]
    data = bytearray(sum(sizes))
    offset = 0
    for line, size in zip(lines, sizes, strict=True):
        data[offset : offset + _target.size] = _pack_line(line, size, b"")
        _encode_into(data, offset + _target.size, line.params, _escaped)
        offset += size
    return data


def _encoded_size(text: str, coded: Callable[[str], bytes] = encode) -> int:
    return sum(len(coded(character)) for character in text)


def _encode_into(data: bytearray, offset: int, text: str, coded: Callable[[str], bytes] = encode) -> None:
    """Character by character, because a whole string's bytes could not be wiped afterwards."""
    for character in text:
        raw = coded(character)
        data[offset : offset + len(raw)] = raw
        offset += len(raw)


def _escaped(params: str) -> bytes:
    """Parameters for a load, with doubled backslashes, because the kernel reads them as escapes
    (``dm_split_args``).

    libdevmapper doubles them as well (``_add_target``), so that a table can name a node such as ``a\\x20b``.
    """
    return encode(params).replace(b"\\", b"\\\\")


def pack_table(lines: Iterable[KernelLine]) -> bytes:
    """A table as the data of a load; each ``next`` counts from the start of its own line."""
    parts = []
    for line in lines:
        parameters = _escaped(line.params) + b"\0"
        size = _aligned(_target.size + len(parameters))
        parts.append(_pack_line(line, size, parameters).ljust(size, b"\0"))
    return b"".join(parts)


def unpack_table(data: bytes | bytearray, count: int) -> tuple[KernelLine, ...]:
    """The ``count`` lines in the data of a load. Raises ``ValueError`` when they are not all there."""
    lines, offset = [], 0
    for _ in range(count):
        line, following = _unpack_line(data, offset)
        if "\\" in line.params:
            line = KernelLine(line.start, line.length, line.target, line.params.replace("\\\\", "\\"))
        lines.append(line)
        offset += following
    return tuple(lines)


def pack_status(lines: Iterable[KernelLine]) -> bytes:
    """Status or table lines as the kernel returns them: each ``next`` counts from the start of the first."""
    parts, offset = [], 0
    for line in lines:
        parameters = encode(line.params) + b"\0"
        size = _aligned(_target.size + len(parameters))
        offset += size
        parts.append(_pack_line(line, offset, parameters).ljust(size, b"\0"))
    return b"".join(parts)


@_from_kernel
def unpack_status(data: bytes | bytearray, count: int) -> tuple[KernelLine, ...]:
    """The ``count`` lines that the kernel returned. Raises :class:`KernelError` when they are not all there."""
    lines, offset = [], 0
    for _ in range(count):
        line, offset = _unpack_line(data, offset)
        lines.append(line)
    return tuple(lines)


def _unpack_line(data: bytes | bytearray, offset: int) -> tuple[KernelLine, int]:
    if offset < 0 or offset + _target.size > len(data):
        raise ValueError(f"target at offset {offset} lies outside the {len(data)} bytes of data")
    start, length, _, following, target = _target.unpack_from(data, offset)
    begin = offset + _target.size
    end = data.find(b"\0", begin)
    with memoryview(data) as view:  # a slice of the data itself would be a copy, of a secret perhaps
        params = str(view[begin : end if end >= 0 else len(data)], "utf-8", "surrogateescape")
    # The kernel never writes the name's last byte, so "snapshot-origin" is followed by a stale byte of the buffer.
    # Some targets end their text with a blank.
    name = decode(target[: abi.TARGET_NAME_MAX])
    return KernelLine(Sectors(start), Sectors(length), name, params.rstrip(" ")), following


# -- the list of devices ----------------------------------------------------------------------------


def pack_names(entries: Sequence[NameEntry], version: Version) -> bytes:
    """The device list as a kernel of interface ``version`` returns it."""
    if not entries:
        return bytes(_aligned(_name_entry.size))
    parts = []
    for i, entry in enumerate(entries):
        body = encode(entry.name) + b"\0"
        body = body.ljust(_aligned(_name_entry.size + len(body)) - _name_entry.size, b"\0")
        if version >= abi.NAME_LIST_UUID_SINCE:
            flags = 0
            if entry.uuid is not None:
                flags = abi.NAME_LIST_HAS_UUID if entry.uuid else abi.NAME_LIST_HAS_NO_UUID
            body += _name_tail.pack(entry.event_nr or 0, flags)
            if entry.uuid:
                body += encode(entry.uuid) + b"\0"
        elif version >= abi.NAME_LIST_EVENT_SINCE:
            body += _name_tail.pack(entry.event_nr or 0, 0)
        size = _aligned(_name_entry.size + len(body))
        following = size if i + 1 < len(entries) else 0
        parts.append((_name_entry.pack(entry.dev, following) + body).ljust(size, b"\0"))
    return b"".join(parts)


@_from_kernel
def unpack_names(data: bytes | bytearray, version: Version) -> tuple[NameEntry, ...]:
    """The devices in the reply to a list, in the kernel's order."""
    if len(data) < _name_entry.size:
        return ()
    has_event, has_uuid = version >= abi.NAME_LIST_EVENT_SINCE, version >= abi.NAME_LIST_UUID_SINCE
    entries = []
    offset = 0
    while True:
        dev, following = _name_entry.unpack_from(data, offset)
        if not dev:
            break
        begin = offset + _name_entry.size
        end = data.index(b"\0", begin)
        name = data[begin:end].decode("utf-8", "surrogateescape")
        event_nr: int | None = None
        uuid: str | None = None
        if has_event:
            tail = _aligned(end + 1)
            event_nr, flags = _name_tail.unpack_from(data, tail)
            if has_uuid:
                uuid = "" if flags & abi.NAME_LIST_HAS_NO_UUID else None
                if flags & abi.NAME_LIST_HAS_UUID:
                    tail += _name_tail.size
                    uuid = data[tail : data.index(b"\0", tail)].decode("utf-8", "surrogateescape")
        entries.append(NameEntry(dev, name, event_nr, uuid))
        if not following:
            break
        offset += following
    return tuple(entries)


# -- dependencies, target versions, messages ----------------------------------------------------------


def pack_deps(devs: Sequence[int]) -> bytes:
    """Device numbers (``abi.dev_number``) as the reply to a query for dependencies."""
    return abi.DEPS.pack(len(devs)) + struct.pack(f"={len(devs)}Q", *devs)


@_from_kernel
def unpack_deps(data: bytes | bytearray) -> tuple[int, ...]:
    """The device numbers in the reply to a query for dependencies; none if there is no table."""
    if len(data) < abi.DEPS.size:
        return ()
    (count,) = abi.DEPS.unpack_from(data)
    return struct.unpack_from(f"={count}Q", data, abi.DEPS.size)


def pack_versions(versions: Sequence[tuple[str, Version]]) -> bytes:
    """Targets and their versions as the kernel lists them."""
    parts = []
    for i, (name, version) in enumerate(versions):
        body = encode(name) + b"\0"
        size = _aligned(abi.TARGET_VERSION.size + len(body))
        following = size if i + 1 < len(versions) else 0
        parts.append((abi.TARGET_VERSION.pack(following, *version) + body).ljust(size, b"\0"))
    return b"".join(parts)


@_from_kernel
def unpack_versions(data: bytes | bytearray) -> tuple[tuple[str, Version], ...]:
    """The targets in a list of versions, in the kernel's order."""
    versions: list[tuple[str, Version]] = []
    offset = 0
    while offset + abi.TARGET_VERSION.size < len(data):
        following, v0, v1, v2 = abi.TARGET_VERSION.unpack_from(data, offset)
        begin = offset + abi.TARGET_VERSION.size
        end = data.find(b"\0", begin)
        name = data[begin : end if end >= 0 else len(data)].decode("utf-8", "surrogateescape")
        versions.append((name, (v0, v1, v2)))
        if not following:
            break
        offset += following
    return tuple(versions)


def pack_message(sector: int, text: str) -> bytes:
    """A message to the target at ``sector``."""
    return _packed_sector(sector) + encode(text) + b"\0"


def _packed_sector(sector: int) -> bytes:
    try:
        return abi.MESSAGE.pack(sector)
    except struct.error:
        raise _out_of_range(f"sector {sector}") from None


def pack_secret_message(sector: int, text: str) -> bytearray:
    """As :func:`pack_message`, in memory that :func:`wipe` can wipe."""
    data = bytearray(abi.MESSAGE.size + _encoded_size(text) + 1)
    data[: abi.MESSAGE.size] = _packed_sector(sector)
    _encode_into(data, abi.MESSAGE.size, text)
    return data


def unpack_message(data: bytes | bytearray) -> tuple[int, str]:
    """The sector and the text of a message."""
    (sector,) = abi.MESSAGE.unpack_from(data)
    return sector, decode(data[abi.MESSAGE.size :])
