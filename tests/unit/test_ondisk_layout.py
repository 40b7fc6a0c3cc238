"""Where the parts of a new PV go. That LVM2 puts them there, too, is shown in ``tests/oracle``."""

from __future__ import annotations

from itertools import pairwise

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import Refused
from vmgr.core.ids import Uuid
from vmgr.core.pv import DiskArea, MdaArea, PvLayout
from vmgr.core.units import Bytes, Extents, Sectors
from vmgr.ondisk.label import LABEL_SCAN_SIZE, encode_label
from vmgr.ondisk.layout import data_start, extent_count, new_layout
from vmgr.ondisk.mda import MDA_SIZE_MIN

PV_ID = Uuid("p" * 32)
MIB = 1 << 20
sizes = st.integers(0, 40 * MIB).map(Bytes)
small = st.one_of(st.just(Bytes(0)), st.integers(1, 3 * MIB).map(Bytes))


def spans(layout: PvLayout, data_size: int) -> list[tuple[int, int]]:
    found = [(0, LABEL_SCAN_SIZE), (int(layout.data[0].offset), int(layout.data[0].offset) + data_size)]
    found += [(int(a.offset), int(a.offset) + int(a.size)) for a in (*layout.mdas, *layout.bootloader)]
    return sorted(found)


@given(
    sizes,
    st.integers(0, 2),
    st.none() | small,
    st.none() | st.integers(1, 3 * MIB).map(Bytes),
    small,
    small,
    st.none() | st.tuples(st.integers(1, 40 * MIB // 512), st.integers(0, 1000), small),
)
def test_nothing_overlaps(
    size: Bytes,
    copies: int,
    mda_size: Bytes | None,
    alignment: Bytes | None,
    offset: Bytes,
    bootloader: Bytes,
    old: tuple[int, int, Bytes] | None,
) -> None:
    """Whatever is asked for, the parts lie side by side within the device, or the request is refused."""
    fixed = {}
    extents = 0
    if old is not None:
        extents = old[1] * 4096
        fixed = {"data_start": Sectors(old[0]).bytes(), "data_size": Bytes(extents)}
        fixed |= {"bootloader_start": old[2].round_down(512)}
    try:
        layout = new_layout(
            PV_ID,
            size,
            mda_copies=copies,
            mda_size=mda_size,
            data_alignment=alignment,
            data_alignment_offset=offset,
            bootloader_size=bootloader,
            **fixed,
        )
    except Refused:
        return
    encode_label(layout)
    assert layout.size <= size
    assert len(layout.mdas) == copies
    assert all(area.size >= MDA_SIZE_MIN for area in layout.mdas)
    parts = spans(layout, extents)
    assert all(end <= start for (_, end), (start, _) in pairwise(parts))
    assert parts[-1][1] <= layout.size
    assert all(number % 512 == 0 for part in parts for number in part)
    if old is not None:
        assert data_start(layout) == old[0]
    room = int(layout.size) - int(layout.data[0].offset)
    behind = sum(int(a.size) for a in layout.mdas[1:])
    assert extent_count(layout, Sectors(8)) == max(room - behind, 0) // 4096


def test_the_usual_layout() -> None:
    """One area that ends where the data starts, at 1 MiB."""
    layout = new_layout(PV_ID, Bytes(64 * MIB))
    assert layout == PvLayout(
        id=PV_ID,
        size=Bytes(64 * MIB),
        data=(DiskArea(Bytes(MIB), Bytes(0)),),
        mdas=(MdaArea(Bytes(4096), Bytes(MIB - 4096)),),
    )
    assert extent_count(layout, Sectors(8192)) == 15


def test_a_restored_bootloader_area_is_left_alone() -> None:
    """The metadata area ends before it although there would be more room before the data."""
    layout = new_layout(
        PV_ID,
        Bytes(64 * MIB),
        data_start=Bytes(8 * MIB),
        bootloader_start=Bytes(2 * MIB),
        bootloader_size=Bytes(MIB),
    )
    assert layout.bootloader == (DiskArea(Bytes(2 * MIB), Bytes(MIB)),)
    assert layout.mdas == (MdaArea(Bytes(4096), Bytes(2 * MIB - 4096)),)


@pytest.mark.parametrize("size", [0, 512, 2 * MIB - 512])
def test_small_devices_are_refused(size: int) -> None:
    """Less than two MiB is no PV, unless lvm.conf says otherwise."""
    with pytest.raises(Refused, match=f"has {size} bytes"):
        new_layout(PV_ID, Bytes(size))


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"mda_copies": 3}, "3 metadata areas"),
        ({"data_alignment": Bytes(99 * MIB)}, "smaller than its data alignment"),
        ({"data_alignment": Bytes(MIB), "data_alignment_offset": Bytes(2 * MIB)}, "larger than the alignment"),
        ({"bootloader_size": Bytes(99 * MIB)}, "bootloader area"),
        ({"mda_size": Bytes(4096), "data_alignment": Bytes(4096)}, "no room for the first metadata area"),
        ({"data_start": Bytes(20 * MIB)}, "end beyond the end"),
        ({"data_start": Bytes(MIB), "data_size": Bytes(8 * MIB)}, "end beyond the end"),
        ({"data_start": Bytes(MIB), "data_size": Bytes(7 * MIB), "mda_copies": 2}, "second metadata area"),
        ({"mda_copies": 0, "data_alignment": Bytes(512)}, "within the space for the label"),
        ({"mda_copies": 0, "data_start": Bytes(512)}, "within the space for the label"),
        ({"data_start": Bytes(16384)}, "no room for the first metadata area"),
        ({"data_start": Bytes(MIB), "bootloader_size": Bytes(MIB)}, "would overlap the data"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict, what: str) -> None:
    """The message says which part has no place on the device of 8 MiB."""
    with pytest.raises(Refused, match=what):
        new_layout(PV_ID, Bytes(8 * MIB), **options)


def test_too_many_extents_are_refused() -> None:
    """The format counts extents in 32 bits."""
    layout = evolve(new_layout(PV_ID, Bytes(64 * MIB)), size=Bytes(1 << 50))
    assert extent_count(layout, Sectors(8192)) == Extents(((1 << 50) - MIB) // (4 * MIB))
    with pytest.raises(Refused, match="extents of 8 sectors"):
        extent_count(layout, Sectors(8))
