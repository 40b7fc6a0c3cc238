"""Labels and PV headers."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.ondisk import layouts
from vmgr.core.errors import DamagedMetadata, Refused
from vmgr.core.ids import Uuid
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import Bytes
from vmgr.ondisk.crc import checksum
from vmgr.ondisk.label import LABEL_SCAN_SIZE, decode_label, encode_label, wipe_label

LAYOUT = PvLayout(
    id=Uuid("0" * 31 + "z"),
    size=Bytes(64 << 20),
    data=(DiskArea(Bytes(1 << 20), Bytes(0)),),
    mdas=(MdaArea(Bytes(4096), Bytes(1044480)),),
    ext_flags=1,
)


def head_of(*layouts: PvLayout) -> bytes:
    head = bytearray(LABEL_SCAN_SIZE)
    for layout in layouts:
        head[layout.label_sector * 512 : layout.label_sector * 512 + 512] = encode_label(layout)
    return bytes(head)


def test_the_checksum_is_lvm2s() -> None:
    """The known checksum of a known label, as LVM2's own code computes it: see tests/golden for whole images."""
    assert checksum(b"") == 0xF597A6CF


@given(layouts())
def test_decode_after_encode_is_the_identity(layout: PvLayout) -> None:
    """What is written is read, from whichever of the four sectors."""
    assert decode_label(head_of(layout)) == layout


@given(layouts(), st.integers(0, 511), st.integers(1, 255))
def test_any_flipped_byte_is_noticed(layout: PvLayout, at: int, flip: int) -> None:
    """A label with one wrong byte is reported as damaged, or is no label; it is never believed."""
    head = bytearray(head_of(layout))
    head[layout.label_sector * 512 + at] ^= flip
    try:
        assert decode_label(bytes(head)) is None
        assert at < 8  # only without its magic word is a label not ours
    except DamagedMetadata:
        assert at >= 8


@given(st.binary(max_size=LABEL_SCAN_SIZE))
def test_other_devices_are_not_ours(head: bytes) -> None:
    """Bytes without a label, few or many, give None."""
    assert decode_label(head) is None


def test_a_damaged_label_does_not_hide_a_good_one() -> None:
    """The good label in sector 3 is used although sector 0 holds a damaged one."""
    good = evolve(LAYOUT, label_sector=3)
    head = bytearray(head_of(evolve(LAYOUT, label_sector=0), good))
    head[100] ^= 1
    assert decode_label(bytes(head)) == good


def test_the_first_of_two_labels_counts() -> None:
    """As in LVM2, a further valid label is not looked at."""
    first = evolve(LAYOUT, label_sector=1)
    assert decode_label(head_of(first, evolve(LAYOUT, id=Uuid("1" * 32), label_sector=2))) == first


def test_a_label_in_the_wrong_sector_is_damaged() -> None:
    """A label says which sector it lies in; a copy of it elsewhere is not believed."""
    sector = encode_label(LAYOUT)
    with pytest.raises(DamagedMetadata, match="says that it lies in sector 1"):
        decode_label(bytes(1024) + sector)


def test_a_label_of_another_format_is_not_ours() -> None:
    """A valid label with another type word belongs to somebody else."""
    sector = bytearray(encode_label(LAYOUT))
    sector[24:32] = b"OTHER001"
    sector[16:20] = checksum(bytes(sector[20:])).to_bytes(4, "little")
    assert decode_label(bytes(512) + bytes(sector)) is None


@pytest.mark.parametrize(
    ("at", "new", "what"),
    [
        (20, b"\xff\x01\0\0", "header starts at byte 511"),
        (32, b"\xff", "UUID"),
        (72, b"\x01" * 440, "does not end"),
    ],
)
def test_a_label_that_makes_no_sense_is_damaged(at: int, new: bytes, what: str) -> None:
    """A right checksum alone does not make a label."""
    sector = bytearray(encode_label(LAYOUT))
    sector[at : at + len(new)] = new
    sector[16:20] = checksum(bytes(sector[20:])).to_bytes(4, "little")
    with pytest.raises(DamagedMetadata, match=what):
        decode_label(bytes(512) + bytes(sector))


def test_the_device_size_stands_in_for_a_missing_one() -> None:
    """A header with size 0 takes the size that the device has."""
    head = head_of(evolve(LAYOUT, size=Bytes(0)))
    layout = decode_label(head, Bytes(123 << 20))
    assert layout is not None
    assert layout.size == 123 << 20


@pytest.mark.parametrize(
    "change",
    [
        {"label_sector": 4},
        {"data": ()},
        {"data": (DiskArea(Bytes(0), Bytes(0)),)},
        {"mdas": (MdaArea(Bytes(4096), Bytes(4096)),) * 30},
    ],
)
def test_what_the_format_cannot_hold_is_refused(change: dict[str, object]) -> None:
    """A layout that would not be read back as it is, is not written."""
    with pytest.raises(Refused):
        encode_label(evolve(LAYOUT, **change))


@given(st.lists(st.integers(0, 3), unique=True), st.binary(min_size=512, max_size=512))
def test_wiping_takes_labels_and_nothing_else(sectors: list[int], other: bytes) -> None:
    """After the writes there is no label left, and sectors without one are as they were."""
    head = bytearray(other * 4)
    for number in sectors:
        head[number * 512 : number * 512 + 512] = encode_label(evolve(LAYOUT, label_sector=number))
    for offset, data in wipe_label(bytes(head)):
        head[int(offset) : int(offset) + len(data)] = data
    assert decode_label(bytes(head)) is None
    for number in range(4):
        assert head[number * 512 : number * 512 + 512] == (bytes(512) if number in sectors else other)


def test_wiping_takes_damaged_labels_too() -> None:
    """A label that fails its checksum is still a label to be wiped."""
    head = bytearray(head_of(LAYOUT))
    head[600] ^= 1
    assert [int(offset) for offset, _ in wipe_label(bytes(head))] == [512]
