"""The guest is a machine that kernel tests can stand on."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.support import lab
from tests.support.lab import read_at, run, sectors, with_and_without_udev, write_at

MakeDisk = Callable[[float], str]


def test_a_made_disk_has_its_size_and_reads_as_zeros(make_disk: MakeDisk) -> None:
    disk = make_disk(8)
    assert sectors(disk) == 8 * 2048
    assert read_at(disk, 0, 8 << 20) == bytes(8 << 20)


def test_two_made_disks_are_two(make_disk: MakeDisk) -> None:
    first, second = make_disk(4), make_disk(4)
    write_at(first, 4096, b"first")
    assert first != second
    assert read_at(second, 4096, 5) == bytes(5)


@with_and_without_udev
def test_a_mapped_device_gets_its_node(make_disk: MakeDisk, udev: bool) -> None:
    """dmsetup returns when the node is there, made by udev as a link or by dmsetup itself."""
    disk = make_disk(4)
    run("dmsetup", "create", "one", "--table", f"0 2048 linear {disk} 0")
    assert os.path.islink("/dev/mapper/one") == udev
    write_at("/dev/mapper/one", 512, b"through")
    assert read_at(disk, 512, 7) == b"through"


@with_and_without_udev
def test_lvm2_makes_a_volume_and_a_snapshot(make_disk: MakeDisk, udev: bool) -> None:
    """Modules that lvm2 asks for by modprobe (dm-snapshot) are found."""
    disk = make_disk(64)
    run("pvcreate", "-y", disk)
    run("vgcreate", "labvg", disk)
    run("lvcreate", "-y", "-L", "8M", "-n", "origin", "labvg")
    run("lvcreate", "-y", "-L", "4M", "-s", "-n", "snap", "labvg/origin")
    assert {"labvg-origin", "labvg-snap"} <= lab.mapped_devices()
    assert os.path.exists("/dev/labvg/snap")


def test_suspended_devices_do_not_outlive_their_test(make_disk: MakeDisk) -> None:
    disk = make_disk(4)
    run("dmsetup", "create", "stuck", "--table", f"0 2048 linear {disk} 0")
    run("dmsetup", "suspend", "stuck")
    assert lab.remove_mapped(set()) == []
    assert lab.mapped_devices() == set()
    assert os.listdir("/dev/mapper") == ["control"]


def test_a_device_in_use_is_reported_by_the_clean_up(make_disk: MakeDisk) -> None:
    disk = make_disk(4)
    run("dmsetup", "create", "busy", "--table", f"0 2048 linear {disk} 0")
    held = os.open("/dev/mapper/busy", os.O_RDONLY)
    try:
        assert lab.remove_mapped(set()) == ["cannot remove busy: Device or resource busy"]
    finally:
        os.close(held)


def test_the_kernel_loads_a_target_by_itself() -> None:
    """request_module finds the modules too."""
    run("dmsetup", "create", "zeros", "--table", "0 8 zero")
    assert "zero" in run("dmsetup", "targets").stdout


@pytest.mark.parametrize("path", ["/tmp", "/var/tmp", "/etc/lvm", "/run/lock", "/mnt", "/dev/shm"])
def test_scratch_places_are_writable(path: str) -> None:
    name = f"{path}/written-by-the-guest"
    with open(name, "w") as target:
        target.write("x")
    os.unlink(name)


def test_the_rest_of_the_tree_is_read_only() -> None:
    with pytest.raises(OSError, match="Read-only file system"):
        os.open("/usr/written-by-the-guest", os.O_WRONLY | os.O_CREAT)


def test_randomness_does_not_wait() -> None:
    assert len(os.getrandom(64, os.GRND_NONBLOCK)) == 64


def test_the_lab_s_disks_can_be_wiped_and_written(disks: tuple[str, ...]) -> None:
    write_at(disks[0], 1 << 20, b"data")
    lab.wipe(disks[0])
    assert read_at(disks[0], 1 << 20, 4) == bytes(4)
