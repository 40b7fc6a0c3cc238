"""What ``vmgr lab`` is asked for: sizes, disks, limits. Nothing is touched."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import InvalidSize, UsageError
from vmgr.core.units import Bytes
from vmgr.lab.options import Disk, check_memory, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1G", 1 << 30),
        ("100M", 100 << 20),
        ("100MiB", 100 << 20),
        ("512b", 512),
        ("1.5g", 3 << 29),
        ("0.5K", 512),
        ("2t", 2 << 40),
        (" 8k ", 8192),
    ],
)
def test_a_size_is_a_number_with_a_unit(text: str, size: int) -> None:
    assert parse_size(text) == Bytes(size)


@pytest.mark.parametrize(
    "text", ["", "G", "12", "-1G", "+1G", "1GG", "1 G", "1e3M", "0x10M", "1,5G", "١G", "nanM", "1.G", ".5G"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidSize) as caught:
        parse_size(text)
    assert "unit" in caught.value.hint


def test_a_fraction_of_a_byte_is_refused() -> None:
    with pytest.raises(InvalidSize):
        parse_size("1.5b")


@given(st.integers(0, 1 << 40), st.sampled_from("kmgKMG"))
def test_a_whole_size_is_exact(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number << {"k": 10, "m": 20, "g": 30}[unit.lower()]


@pytest.mark.parametrize(
    ("text", "disk"),
    [
        ("a.img", Disk("a.img")),
        ("a.img:1G", Disk("a.img", Bytes(1 << 30))),
        ("a.img:ro", Disk("a.img", None, True)),
        ("a.img:1G:rw", Disk("a.img", Bytes(1 << 30))),
        ("/x/with:colon", Disk("/x/with:colon")),
        ("/x/with:colon:64M", Disk("/x/with:colon", Bytes(64 << 20))),
        ("/dev/disk/by-path/pci-0:1f.2", Disk("/dev/disk/by-path/pci-0:1f.2")),
    ],
)
def test_a_disk_is_a_file_a_size_and_a_mode(text: str, disk: Disk) -> None:
    assert Disk.parse(text) == disk


@pytest.mark.parametrize(
    "text", [":1G", "", ":ro", "a:0M", "a:-1G", "a:5", "a:1023b", "a:8E", "a:99999999999E", "a:1G:ro", "a:1X"]
)
def test_a_disk_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Disk.parse(text)


@given(st.text(min_size=1))
def test_parsing_a_disk_raises_nothing_but_usage_errors(text: str) -> None:
    try:
        Disk.parse(text)
    except UsageError:
        pass


@pytest.mark.parametrize("size", [0, 1 << 20, 1 << 50])
def test_memory_has_bounds(size: int) -> None:
    with pytest.raises(InvalidSize):
        check_memory(Bytes(size))
