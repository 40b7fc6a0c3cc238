"""Disk images are made sparse, never overwritten, never shared by two labs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmgr.core.errors import AlreadyExists, InUse, InvalidSize, NotFound, UsageError, VmgrError
from vmgr.core.units import Bytes
from vmgr.lab.disks import close_images, device_name, open_images
from vmgr.lab.options import Disk

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before, "a descriptor was left open"


def opened(*disks: Disk) -> list[str]:
    images = open_images(disks)
    close_images(images)
    return [image.path for image in images]


def test_a_missing_image_is_made_sparse() -> None:
    opened(Disk("a.img", Bytes(1024 * MIB)))
    found = os.stat("a.img")
    assert found.st_size == 1024 * MIB
    assert found.st_blocks == 0


def test_an_existing_image_keeps_its_bytes() -> None:
    Path("a.img").write_bytes(b"x" * MIB)
    opened(Disk("a.img", Bytes(MIB)))
    assert Path("a.img").read_bytes() == b"x" * MIB


def test_an_image_of_another_size_is_refused_and_kept() -> None:
    Path("a.img").write_bytes(b"x" * MIB)
    with pytest.raises(AlreadyExists):
        opened(Disk("a.img", Bytes(2 * MIB)))
    assert os.path.getsize("a.img") == MIB


@pytest.mark.parametrize(
    ("second", "error"),
    [
        (Disk("missing.img"), NotFound),
        (Disk("no/such/dir.img", Bytes(MIB)), NotFound),
        (Disk("."), UsageError),
        (Disk("first.img"), UsageError),
        (Disk("/dev/null"), UsageError),
        (Disk("empty.img"), InvalidSize),
        (Disk("dangling", Bytes(MIB)), NotFound),
        (Disk("huge.img", Bytes((8 << 60) - 512)), InvalidSize),
    ],
)
def test_one_bad_disk_and_no_image_is_made(second: Disk, error: type[VmgrError]) -> None:
    Path("empty.img").touch()
    os.symlink("nowhere", "dangling")
    before = sorted(os.listdir())
    with pytest.raises(error):
        opened(Disk("first.img", Bytes(MIB)), second)
    assert sorted(os.listdir()) == before


def test_one_image_under_two_names_is_noticed() -> None:
    Path("a.img").write_bytes(bytes(MIB))
    os.link("a.img", "b.img")
    with pytest.raises(UsageError, match="the same disk image"):
        opened(Disk("a.img"), Disk("b.img"))


def test_an_image_in_use_is_refused() -> None:
    held = open_images((Disk("a.img", Bytes(MIB)),))
    try:
        with pytest.raises(InUse):
            opened(Disk("a.img"))
        with pytest.raises(InUse):
            opened(Disk("a.img", read_only=True))
    finally:
        close_images(held)
    opened(Disk("a.img"))


def test_readers_share_an_image() -> None:
    Path("a.img").write_bytes(bytes(MIB))
    held = open_images((Disk("a.img", read_only=True),))
    try:
        assert opened(Disk("a.img", read_only=True)) == [image.path for image in held]
    finally:
        close_images(held)


def test_more_disks_than_the_kernel_has_room_for_are_refused() -> None:
    with pytest.raises(UsageError, match="16"):
        opened(*(Disk(f"{number}.img", Bytes(MIB)) for number in range(17)))
    assert os.listdir() == []


def test_disks_are_named_in_order() -> None:
    assert [device_name(0), device_name(1), device_name(15)] == ["/dev/ubda", "/dev/ubdb", "/dev/ubdp"]
