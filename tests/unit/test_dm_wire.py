"""Requests and replies survive the way into bytes and back, and broken ones are noticed."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import InvalidName, InvalidSize, KernelError
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi, wire
from vmgr.dm.wire import NameEntry, Reply, Request

U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
VERSIONS = st.sampled_from([(4, 0, 0), (4, 37, 0), (4, 38, 0), (4, 44, 0), (4, 45, 0), (4, 48, 0)])


def texts(most: int, least: int = 0) -> st.SearchStrategy[str]:
    """Strings as the kernel keeps them: any bytes but NUL."""
    return st.binary(min_size=least, max_size=most).map(
        lambda raw: raw.replace(b"\0", b"x").decode("utf-8", "surrogateescape")
    )


LINES = st.lists(
    st.builds(
        KernelLine,
        U64.map(Sectors),
        U64.map(Sectors),
        texts(15),
        texts(300).map(lambda text: text.rstrip(" ")),
    ),
    max_size=20,
)


def test_the_layouts_are_the_kernel_s() -> None:
    """Sizes from linux/dm-ioctl.h on every 64-bit and 32-bit machine: no field moves with the word size."""
    assert abi.HEADER.size == 312
    assert abi.TARGET.size == 40
    assert abi.NAME_ENTRY.size == 12
    assert abi.DEPS.size == 8
    assert abi.TARGET_VERSION.size == 16
    assert abi.MESSAGE.size == 8


def test_the_numbers_of_the_ioctls_are_the_kernel_s() -> None:
    """As strace prints them, from linux/dm-ioctl.h."""
    assert abi.VERSION.code == 0xC138FD00
    assert abi.DEV_CREATE.code == 0xC138FD03
    assert abi.GET_TARGET_VERSION.code == 0xC138FD11
    assert [command.nr for command in abi.COMMANDS] == list(range(18))
    assert len({command.name for command in abi.COMMANDS}) == 18


def test_no_two_flags_share_a_bit_or_a_name() -> None:
    assert len({flag.bit for flag in abi.FLAGS}) == len({flag.name for flag in abi.FLAGS}) == len(abi.FLAGS)
    for command in abi.COMMANDS:
        allowed = sum(flag.bit for flag in abi.FLAGS if flag.goes_in)
        assert command.flags & ~allowed == 0, command.name


def test_flags_have_names() -> None:
    assert abi.flag_names(abi.READONLY | abi.SUSPEND | abi.EXISTS) == ("readonly", "suspend")
    assert abi.flag_names(1 << 30) == ("0x40000000",)


@given(major=st.integers(0, 4095), minor=st.integers(0, (1 << 20) - 1))
def test_device_numbers_survive(major: int, minor: int) -> None:
    assert abi.major_minor(abi.dev_number(major, minor)) == (major, minor)


@pytest.mark.parametrize(("major", "minor", "number"), [(254, 0, 0xFE00), (253, 3, 0xFD03), (7, 256, 0x100700)])
def test_device_numbers_are_the_kernel_s(major: int, minor: int, number: int) -> None:
    """huge_encode_dev of linux/kdev_t.h."""
    assert abi.dev_number(major, minor) == number


@given(
    command=st.sampled_from(abi.COMMANDS), name=texts(127), uuid=texts(128), dev=U64, flags=U32, event=U32,
    count=U32, data=st.binary(max_size=200),
)  # fmt: skip
def test_requests_survive(
    command: abi.Command, name: str, uuid: str, dev: int, flags: int, event: int, count: int, data: bytes
) -> None:
    request = Request(command, name, uuid, dev, flags, event, count, data)
    buffer = bytearray(wire.request_size(request))
    wire.pack_request(buffer, request)
    back = wire.unpack_request(buffer, command)
    assert back.data[: len(data)] == data
    assert back._replace(data=data) == request


@given(
    version=st.tuples(U32, U32, U32), count=U32, opened=st.integers(-(2**31), 2**31 - 1), flags=U32, event=U32,
    dev=U64, name=texts(127), uuid=texts(128), data=st.binary(max_size=200),
)  # fmt: skip
def test_replies_survive(
    version: abi.Version,
    count: int,
    opened: int,
    flags: int,
    event: int,
    dev: int,
    name: str,
    uuid: str,
    data: bytes,
) -> None:
    reply = Reply(version, count, opened, flags, event, dev, name, uuid, data)
    buffer = bytearray(abi.DATA_START + len(data) + 8)
    wire.pack_reply(buffer, reply)
    assert wire.unpack_reply(buffer) == reply


@given(lines=LINES)
def test_tables_survive(lines: list[KernelLine]) -> None:
    assert wire.unpack_table(wire.pack_table(lines), len(lines)) == tuple(lines)


@given(lines=LINES)
def test_status_lines_survive(lines: list[KernelLine]) -> None:
    assert wire.unpack_status(wire.pack_status(lines), len(lines)) == tuple(lines)


@given(lines=LINES)
def test_each_line_of_a_table_starts_on_a_multiple_of_8(lines: list[KernelLine]) -> None:
    """The kernel reads 64-bit fields there."""
    data = wire.pack_table(lines)
    assert len(data) % 8 == 0
    offset = 0
    for _ in lines:
        offset += abi.TARGET.unpack_from(data, offset)[3]
        assert offset % 8 == 0
    assert offset == len(data)


@given(lines=LINES.filter(bool), cut=st.integers(1, 60))
def test_status_cut_short_is_noticed(lines: list[KernelLine], cut: int) -> None:
    """Never a line made of what lies behind: either all lines are there or it is an error."""
    data = wire.pack_status(lines)
    last = len(wire.pack_status(lines[:-1]))
    short = data[: max(0, min(len(data) - cut, last + 39))]
    with pytest.raises(KernelError, match="outside"):
        wire.unpack_status(short, len(lines))


@given(
    entries=st.lists(
        st.builds(NameEntry, st.integers(1, 2**64 - 1), texts(127, 1), U32, st.none() | texts(128)), max_size=20
    ),
    version=VERSIONS,
)
def test_name_lists_survive(entries: list[NameEntry], version: abi.Version) -> None:
    """Older kernels tell less."""
    expected = []
    for entry in entries:
        if version < (4, 38, 0):
            entry = entry._replace(event_nr=None)
        if version < (4, 45, 0):
            entry = entry._replace(uuid=None)
        expected.append(entry)
    assert wire.unpack_names(wire.pack_names(entries, version), version) == tuple(expected)


def test_an_empty_name_list_as_the_kernel_sends_it() -> None:
    assert wire.unpack_names(b"", (4, 47, 0)) == ()
    assert wire.unpack_names(bytes(16), (4, 47, 0)) == ()


def test_a_name_list_as_linux_6_1_sent_it() -> None:
    """Recorded from interface 4.47: two devices, the second without a UUID."""
    data = bytes.fromhex("00fe000000000000280000006100000000000000010000005555494400000000") + bytes(8)
    data += struct.pack("=QI", 0xFE01, 0) + b"b\0\0\0" + struct.pack("=II", 3, 2)
    assert wire.unpack_names(data, (4, 47, 0)) == (NameEntry(0xFE00, "a", 0, "UUID"), NameEntry(0xFE01, "b", 3, ""))


@given(devs=st.lists(U64, max_size=30))
def test_dependencies_survive(devs: list[int]) -> None:
    assert wire.unpack_deps(wire.pack_deps(devs)) == tuple(devs)


def test_no_table_has_no_dependencies() -> None:
    assert wire.unpack_deps(b"") == ()


@given(versions=st.lists(st.tuples(texts(15, 1), st.tuples(U32, U32, U32)), max_size=20))
def test_target_versions_survive(versions: list[tuple[str, abi.Version]]) -> None:
    assert wire.unpack_versions(wire.pack_versions(versions)) == tuple(versions)


@given(sector=U64, text=texts(300))
def test_messages_survive(sector: int, text: str) -> None:
    assert wire.unpack_message(wire.pack_message(sector, text)) == (sector, text)


@pytest.mark.parametrize(
    "request_",
    [
        Request(abi.DEV_CREATE, name="n" * 128),
        Request(abi.DEV_CREATE, name="a", uuid="u" * 129),
        Request(abi.DEV_CREATE, name="é" * 64),
        Request(abi.DEV_CREATE, name="a\0b"),
        Request(abi.DEV_STATUS, uuid="a\0b"),
    ],
)
def test_names_that_do_not_fit_are_refused(request_: Request) -> None:
    """Cut short they would mean another device."""
    with pytest.raises(InvalidName):
        wire.pack_request(bytearray(1024), request_)


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_numbers_that_do_not_fit_are_refused_in_words(number: int) -> None:
    for pack in (
        lambda: wire.pack_table([KernelLine(Sectors(0), Sectors(number), "zero", "")]),
        lambda: wire.pack_secret_table([KernelLine(Sectors(number), Sectors(8), "zero", "")]),
        lambda: wire.pack_message(number, "text"),
        lambda: wire.pack_secret_message(number, "text"),
        lambda: wire.pack_request(bytearray(1024), Request(abi.DEV_WAIT, "a", event_nr=number)),
    ):
        with pytest.raises(InvalidSize, match="out of range"):
            pack()


def test_parameters_with_a_nul_are_refused() -> None:
    with pytest.raises(InvalidName):
        wire.pack_table([KernelLine(Sectors(0), Sectors(8), "linear", "7:0 \x000")])


def test_the_last_byte_of_a_target_s_name_is_not_read() -> None:
    """The kernel does not write it: it may hold anything."""
    lines = [KernelLine(Sectors(0), Sectors(8), "snapshot-origin", "254:0")]
    data = bytearray(wire.pack_status(lines))
    data[39] = ord("k")
    assert wire.unpack_status(bytes(data), 1) == tuple(lines)


def test_a_long_target_name_is_refused() -> None:
    with pytest.raises(KernelError, match="longer than 15 bytes"):
        wire.pack_table([KernelLine(Sectors(0), Sectors(8), "x" * 16, "")])
