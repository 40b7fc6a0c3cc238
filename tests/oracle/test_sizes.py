"""Sizes are printed, and read, as Debian's lvm2 does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.core.errors import InvalidSize
from vmgr.core.sizes import UNIT, display_size, parse_sectors, parse_units
from vmgr.core.units import Sectors

pytestmark = requires_lvm2

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
SIZES = [5 * MIB, 7 * MIB + 1536, 999 * MIB, GIB - 512, GIB, 5 * GIB + 17 * MIB, 1000**4, 3 * TIB]
"""Lengths of devices in bytes; the files are sparse."""


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lvm2, dict[str, Sectors]]]:
    directory = tmp_path_factory.mktemp("sizes")
    with Lvm2(directory / "lvm", global_="use_aio=0") as lvm:
        found = {lvm.disk(directory / f"{n}.img", size): Sectors(size // 512) for n, size in enumerate(SIZES)}
        lvm.run("pvcreate", *found)
        yield lvm, found


@pytest.mark.parametrize("suffix", [True, False])
@pytest.mark.parametrize(
    "units", [*"hHrRbBsSkKmMgGtTpPeE", "4k", "4K", "512b", "3s", "1k", "1.5k", "2.5m", "7.25G", "10g"]
)
def test_devices_sizes_are_printed_alike(disks: tuple[Lvm2, dict[str, Sectors]], units: str, suffix: bool) -> None:
    lvm, found = disks
    words = () if suffix else ("--nosuffix",)
    text = lvm.run("pvs", "--noheadings", "--units", units, *words, "-o", "pv_name,dev_size")
    theirs = dict(line.split(maxsplit=1) for line in text.splitlines())
    parsed = parse_units(units)
    ours = {device: display_size(size, parsed, suffix=suffix, form=UNIT) for device, size in found.items()}
    assert {device: theirs[device].strip() for device in ours} == ours


@pytest.mark.parametrize("units", ["", "x", "kk", "4", "0k", "k4"])
def test_bad_units_are_refused_by_both(disks: tuple[Lvm2, dict[str, Sectors]], units: str) -> None:
    lvm, _ = disks
    lvm.run("pvs", "--units", units, status=3)
    with pytest.raises(InvalidSize):
        parse_units(units)


@pytest.mark.parametrize(
    "text",
    [
        "1",
        "1.5m",
        ".5g",
        "1M",
        "3001k",
        "2049k",
        "5000s",
        "1048576b",
        "0.01t",
        "1g",
        "2.0001g",
        "7.m",
        "1gb",
        "0.3g",
    ],
)
def test_sizes_are_read_alike(disks: tuple[Lvm2, dict[str, Sectors]], text: str) -> None:
    """``--setphysicalvolumesize`` shows to the sector what lvm2 made of a size."""
    lvm, found = disks
    size = parse_sectors(text)
    device = max(found, key=lambda d: found[d])
    lvm.run("pvcreate", "-y", "--setphysicalvolumesize", text, device)
    shown = lvm.run("pvs", "--noheadings", "--nosuffix", "--units", "s", "-o", "pv_size", device)
    assert int(shown) == size


@pytest.mark.parametrize("text", ["", "g", "1x", "--1g", "513b", "16e", "1..5g", "-1g"])
def test_what_is_no_size_is_refused_by_both(disks: tuple[Lvm2, dict[str, Sectors]], text: str) -> None:
    lvm, found = disks
    device = max(found, key=lambda d: found[d])
    with pytest.raises(AssertionError, match="exit status"):
        lvm.run("pvcreate", "-y", "--setphysicalvolumesize", text, device)
    with pytest.raises(InvalidSize):
        parse_sectors(text)
