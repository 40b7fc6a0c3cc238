"""Metadata areas: the header, the ring, and the order of writes that loses nothing."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgr.core.errors import DamagedMetadata, NoSpace, Refused
from vmgr.core.pv import MdaArea
from vmgr.core.units import Bytes
from vmgr.ondisk import mda
from vmgr.ondisk.crc import checksum
from vmgr.ondisk.mda import MdaHeader, RawLocation

START = 4096
SIZE = 16384
AREA = MdaArea(Bytes(START), Bytes(SIZE))
texts = st.integers(0, 2**32).flatmap(
    lambda n: st.integers(1, 7000).map(lambda size: (f"{n} ".encode() * size)[:size].replace(b"\0", b" "))
)


class Disk:
    """A device in memory."""

    def __init__(self, size: int = START + SIZE + 4096) -> None:
        self.data = bytearray(b"\xee" * size)

    def read(self, offset: Bytes, length: Bytes) -> bytes:
        return bytes(self.data[int(offset) : int(offset) + int(length)])

    def write(self, offset: int, data: bytes) -> None:
        self.data[int(offset) : int(offset) + len(data)] = data

    def header(self, area: MdaArea = AREA) -> MdaHeader:
        return mda.decode_header(self.read(area.offset, Bytes(512)), area)

    def text(self, area: MdaArea = AREA) -> bytes:
        return mda.read_text(self.header(area), self.read)

    def put_header(self, header: MdaHeader) -> None:
        self.write(header.start, mda.encode_header(header))


def fresh(area: MdaArea = AREA) -> Disk:
    disk = Disk(int(area.offset) + int(area.size) + 4096)
    disk.put_header(mda.new_header(area))
    return disk


def sequence(disk: Disk, text: bytes, area: MdaArea = AREA) -> list[tuple[int, bytes]]:
    """All writes of a change, in order: text, precommit, commit."""
    header = disk.header(area)
    plan = mda.plan_text(header, text)
    precommitted = mda.precommit(header, plan.location)
    committed = mda.commit(precommitted)
    writes = [(int(offset), data) for offset, data in plan.writes]
    return [*writes, *((int(h.start), mda.encode_header(h)) for h in (precommitted, committed))]


slots = st.builds(
    RawLocation,
    st.integers(512, SIZE - 1).map(Bytes),
    st.integers(1, SIZE - 512).map(Bytes),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
) | st.integers(0, 3).map(lambda flags: RawLocation(flags=flags))
headers = st.builds(MdaHeader, st.just(Bytes(START)), st.just(Bytes(SIZE)), slots, slots)


@given(headers)
def test_decode_after_encode_is_the_identity(header: MdaHeader) -> None:
    """A header that is written is read as it was, flags and both slots included."""
    assert mda.decode_header(mda.encode_header(header), AREA) == header


@given(headers, st.integers(0, 511), st.integers(1, 255))
def test_any_flipped_byte_of_a_header_is_noticed(header: MdaHeader, at: int, flip: int) -> None:
    """A header with one wrong byte is damaged."""
    sector = bytearray(mda.encode_header(header))
    sector[at] ^= flip
    with pytest.raises(DamagedMetadata):
        mda.decode_header(bytes(sector), AREA)


@given(st.binary(max_size=600))
def test_other_bytes_are_no_header(data: bytes) -> None:
    """Arbitrary bytes, also too few of them, are damage and not a crash."""
    with pytest.raises(DamagedMetadata):
        mda.decode_header(data, AREA)


def resealed(at: int, new: bytes) -> bytes:
    sector = bytearray(mda.encode_header(MdaHeader(AREA.offset, AREA.size, RawLocation(Bytes(512), Bytes(9)))))
    sector[at : at + len(new)] = new
    sector[:4] = checksum(bytes(sector[4:])).to_bytes(4, "little")
    return bytes(sector)


@pytest.mark.parametrize(
    ("at", "new", "what"),
    [
        (4, b"X", "magic"),
        (20, b"\x02", "version"),
        (24, b"\x00\x20", "starts at byte 8192"),
        (32, (SIZE + 512).to_bytes(8, "little"), "size"),
        (32, (512).to_bytes(8, "little"), "size"),
        (40, (511).to_bytes(8, "little"), "outside"),
        (40, SIZE.to_bytes(8, "little"), "outside"),
        (48, bytes(8), "outside"),
        (48, (SIZE - 511).to_bytes(8, "little"), "outside"),
    ],
)
def test_a_header_that_makes_no_sense_is_damaged(at: int, new: bytes, what: str) -> None:
    """A right checksum alone does not make a header: no text is looked for outside of its area."""
    with pytest.raises(DamagedMetadata, match=what):
        mda.decode_header(resealed(at, new), AREA)


@given(texts, st.data())
def test_any_flipped_byte_of_a_text_is_noticed(text: bytes, data: st.DataObject) -> None:
    """A text with one wrong byte is damaged, wherever the byte is and whether the text wraps or not."""
    disk = fresh()
    for version in (b"x" * data.draw(st.integers(1, 7000)), b"y" * data.draw(st.integers(1, 7000)), text):
        for offset, chunk in sequence(disk, version):
            disk.write(offset, chunk)
    pieces = mda.pieces(disk.header(), disk.header().committed)
    offset, length = data.draw(st.sampled_from(pieces))
    disk.data[int(offset) + data.draw(st.integers(0, int(length) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(DamagedMetadata):
        disk.text()


def test_an_area_without_text_reads_as_empty() -> None:
    """A fresh area holds no text, and that is no damage."""
    assert fresh().text() == b""


@settings(max_examples=30)
@given(st.lists(texts, min_size=20, max_size=60))
def test_the_ring_takes_any_number_of_versions(versions: list[bytes]) -> None:
    """Each version is read back; until its commit the former one is; nothing outside of the area changes."""
    disk = fresh()
    before = b""
    for text in versions:
        *writes, commit = sequence(disk, text)
        for offset, chunk in writes:
            assert offset >= START
            assert offset + len(chunk) <= START + SIZE
            disk.write(offset, chunk)
            assert disk.text() == before
        disk.write(*commit)
        assert disk.text() == text
        before = text
    assert disk.data[:START] == b"\xee" * START
    assert disk.data[START + SIZE :] == b"\xee" * 4096


def test_texts_go_round_the_end_of_the_ring() -> None:
    """A text that does not fit before the end goes on behind the header, again and again."""
    disk = fresh()
    wrapped = 0
    for n in range(50):
        text = bytes([n + 1]) * (3000 + 7 * n)
        for offset, chunk in sequence(disk, text):
            disk.write(offset, chunk)
        assert disk.text() == text
        wrapped += len(mda.pieces(disk.header(), disk.header().committed)) - 1
    assert wrapped >= 8


@given(texts, texts)
def test_texts_start_at_sectors_and_are_padded_to_sectors(first: bytes, second: bytes) -> None:
    """As LVM2 writes: the next text starts on a sector boundary and the last sector is filled with zeros."""
    disk = fresh()
    for text in (first, second):
        plan = mda.plan_text(disk.header(), text)
        assert plan.location.offset % 512 == 0
        assert all((int(offset) + len(chunk)) % 512 == 0 for offset, chunk in plan.writes)
        for offset, chunk in sequence(disk, text):
            disk.write(offset, chunk)


@given(texts, texts, st.data())
def test_a_cut_leaves_the_old_or_the_new_text(old: bytes, new: bytes, data: st.DataObject) -> None:
    """Power fails after any byte of the text's writes or between header sectors: one whole text is read."""
    disk = fresh()
    for text in (b"z" * data.draw(st.integers(1, 7000)), old):
        for offset, chunk in sequence(disk, text):
            disk.write(offset, chunk)
    writes = sequence(disk, new)
    step = data.draw(st.integers(0, len(writes) - 1))
    for offset, chunk in writes[:step]:
        disk.write(offset, chunk)
    offset, chunk = writes[step]
    if len(chunk) != 512 or offset != START:
        disk.write(offset, chunk[: data.draw(st.integers(0, len(chunk)))])
    assert disk.text() == old
    for offset, chunk in writes[step:]:
        disk.write(offset, chunk)
    assert disk.text() == new


@given(texts, texts, st.data())
def test_a_cut_within_a_header_costs_one_copy_at_most(old: bytes, new: bytes, data: st.DataObject) -> None:
    """With two areas written in turn, a cut at any byte, headers included, leaves a whole text to be found."""
    second = MdaArea(Bytes(START + SIZE), Bytes(SIZE))
    disk = fresh(second)
    disk.put_header(mda.new_header(AREA))
    areas = (AREA, second)
    for area in areas:
        for offset, chunk in sequence(disk, old, area):
            disk.write(offset, chunk)
    plans = [sequence(disk, new, area) for area in areas]
    # All texts first, then each header in all areas: the order of LVM2's vg_write, vg_precommit, vg_commit.
    writes = [w for plan in plans for w in plan[:-2]] + [plan[n] for n in (-2, -1) for plan in plans]
    step = data.draw(st.integers(0, len(writes) - 1))
    for offset, chunk in writes[:step]:
        disk.write(offset, chunk)
    offset, chunk = writes[step]
    disk.write(offset, chunk[: data.draw(st.integers(0, len(chunk)))])
    found = set()
    for area in areas:
        try:
            found.add(disk.text(area))
        except DamagedMetadata:
            continue
    assert found
    assert found <= {old, new}


@given(st.integers(0, SIZE))
def test_a_text_too_long_is_refused(size: int) -> None:
    """Half of the ring less a sector is the most that a text may have (the final NUL included)."""
    header = fresh().header()
    limit = (SIZE - 512) // 2 - 512
    assert header.max_text == limit
    if size + 1 <= limit:
        assert mda.plan_text(header, b"x" * size).location.size == size + 1
    else:
        with pytest.raises(NoSpace, match="does not fit"):
            mda.plan_text(header, b"x" * size)


def test_an_old_text_off_the_sector_boundary_is_not_padded_over() -> None:
    """Old versions of LVM2 started texts anywhere; the zeros behind a new text stop before such a one."""
    disk = fresh()
    text = b"o" * (SIZE - 5000 - 1)
    old = RawLocation(Bytes(5000), Bytes(SIZE - 5000), checksum(text + b"\0"))
    disk.write(START + 5000, text + b"\0")
    disk.put_header(disk.header()._replace(committed=old))
    for size in range(4600 - 512, 4999 - 512):
        trial = Disk()
        trial.data[:] = disk.data
        plan = mda.plan_text(disk.header(), b"n" * size)
        assert plan.location.offset == 512
        for offset, chunk in plan.writes:
            trial.write(offset, chunk)
        assert trial.text() == text


def test_an_overlap_is_refused() -> None:
    """A committed text longer than LVM2 allows today leaves no room; it is not overwritten."""
    header = fresh().header()._replace(committed=RawLocation(Bytes(512), Bytes(SIZE - 1024)))
    with pytest.raises(NoSpace):
        mda.plan_text(header, b"x" * 2000)


def test_revert_and_clear_forget_slots_and_keep_flags() -> None:
    """Revert drops the precommitted text, clear both; the mark "ignored" stays."""
    slot = RawLocation(Bytes(512), Bytes(10), 7, flags=1)
    header = MdaHeader(AREA.offset, AREA.size, slot, slot._replace(offset=Bytes(1024), flags=0))
    assert mda.revert(header) == MdaHeader(AREA.offset, AREA.size, slot)
    assert mda.clear(header) == MdaHeader(AREA.offset, AREA.size, RawLocation(flags=1))


def test_commit_without_precommit_is_refused() -> None:
    """There is nothing to commit in a header whose slot 1 is empty."""
    with pytest.raises(Refused):
        mda.commit(fresh().header())


def test_ignored_areas() -> None:
    """The text of an ignored area counts for nothing: writing starts at the front, precommit forgets it."""
    header = fresh(evolve(AREA, ignored=True)).header(evolve(AREA, ignored=True))
    assert header.ignored
    header = header._replace(committed=header.committed._replace(offset=Bytes(2048), size=Bytes(100)))
    plan = mda.plan_text(header, b"new")
    assert plan.location.offset == 512
    assert mda.precommit(header, plan.location).committed.empty


def test_free_space() -> None:
    """What pv_mda_free is made from: how much longer the text may become."""
    header = fresh().header()
    assert header.free == header.max_text
    assert header._replace(committed=RawLocation(Bytes(512), Bytes(100))).free == header.max_text - Bytes(100)
