"""Where data starts on a new physical volume, by what the device wants."""

from __future__ import annotations

import pytest

from vmgr.core.errors import Refused
from vmgr.system import topology
from vmgr.system.config import Config, parse
from vmgr.system.devices import Device

MIB = 2048


def config(text: str = "") -> Config:
    return Config([parse(text, "test")], system_dir="")


@pytest.fixture
def device(monkeypatch):
    """A device with the given sysfs attributes."""

    def make(**attributes: str) -> Device:
        known = {name.replace("__", "/"): value for name, value in attributes.items()}
        monkeypatch.setattr(Device, "attribute", lambda self, name: known.get(name, ""))
        return Device("/dev/x", 8, 0)

    return make


@pytest.mark.parametrize(
    ("attributes", "text", "sectors"),
    [
        ({}, "", MIB),
        ({}, "devices/default_data_alignment=3", 3 * MIB),
        ({}, "devices/default_data_alignment=0", MIB),
        ({}, "devices/data_alignment=64", 128),
        ({"queue__optimal_io_size": "1572864"}, "devices/data_alignment=64", 128),
        ({"queue__minimum_io_size": "4096", "queue__optimal_io_size": "0"}, "", MIB),
        ({"queue__optimal_io_size": "1572864"}, "", 3072),
        ({"queue__optimal_io_size": "1572864"}, "devices/data_alignment_detection=0", MIB),
        ({"queue__minimum_io_size": "98304", "queue__optimal_io_size": "196608"}, "", 384),
        ({"queue__optimal_io_size": "100"}, "", MIB),
        ({"md__chunk_size": "524288", "md__level": "raid5", "md__raid_disks": "4"}, "", 3072),
        ({"md__chunk_size": "524288", "md__level": "raid5", "md__raid_disks": "3"}, "", MIB),
        ({"md__chunk_size": "524288", "md__level": "raid6", "md__raid_disks": "5"}, "", 3072),
        ({"md__chunk_size": "393216", "md__level": "raid10", "md__raid_disks": "4"}, "", 768),
        (
            {"md__chunk_size": "524288", "md__level": "raid5", "md__raid_disks": "4"},
            "devices/md_chunk_alignment=0",
            MIB,
        ),
        ({"md__chunk_size": "0", "md__level": "raid1", "md__raid_disks": "2"}, "", MIB),
        ({"md__chunk_size": "524288", "md__level": "linear", "md__raid_disks": "3"}, "", MIB),
    ],
)
def test_alignment_follows_the_device(device, attributes, text, sectors):
    """A wish that divides what is there already changes nothing; one that does not replaces it."""
    assert topology.data_alignment(device(**attributes), config(text)) == sectors


@pytest.mark.parametrize(
    ("value", "text", "sectors"),
    [
        ("3584", "", 7), ("0", "", 0), ("-1", "", 0), ("", "", 0),
        ("3584", "devices/data_alignment_offset_detection=0", 0),
    ],
)  # fmt: skip
def test_the_offset_is_the_devices(device, value, text, sectors):
    """In sectors; a misaligned device (-1) has none."""
    assert topology.data_alignment_offset(device(alignment_offset=value), config(text)) == sectors


@pytest.mark.parametrize(("value", "size"), [("4096", 4096), ("512", 512), ("", 512)])
def test_the_block_size(device, value, size):
    """What the device takes; 512 bytes where nothing is known."""
    assert topology.logical_block(device(queue__logical_block_size=value)) == size


def test_devices_of_one_group_agree_in_their_blocks(monkeypatch):
    """512 and 4096 do not go together, unless lvm.conf says so."""
    monkeypatch.setattr(Device, "attribute", lambda self, name: {0: "512", 1: "512", 2: "4096"}[self.minor])
    one, two, big = (Device(f"/dev/d{n}", 8, n) for n in range(3))
    topology.check_block_sizes([one, two], config())
    topology.check_block_sizes([one, big], config("devices/allow_mixed_block_sizes=1"))
    with pytest.raises(Refused, match="/dev/d0 has 512 bytes, /dev/d2 has 4096 bytes"):
        topology.check_block_sizes([one, big], config())
