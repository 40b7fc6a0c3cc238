"""What the kernel says when it refuses: its own words, who holds the device, and what it leaves in the header."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator

import pytest

from tests.support import lab
from tests.support.dm_conformance import line, started, words, zeros
from vmgr.core.table import KernelLine
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.failure import DmError, DmInUse
from vmgr.dm.kernel import IoctlKernel
from vmgr.dm.kmsg import KernelLog


@pytest.fixture
def dm() -> Iterator[DmClient]:
    with DmClient.open(use_udev=False) as dm:
        yield dm


def numbers(path: str) -> tuple[int, int]:
    found = os.stat(path).st_rdev
    return os.major(found), os.minor(found)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([line(0, 8, "linear", "")], "linear: Invalid argument count"),
        ([line(0, 8, "linear", "4000:1 0")], "linear: Device lookup failed"),
        ([line(0, 8, "no-such-target")], "no-such-target: unknown target type"),
        ([line(8, 8, "zero")], "zero: Gap in table"),
        ([], "no targets specified"),
    ],
)
def test_a_refused_table_is_explained_by_the_kernel(dm: DmClient, lines: list[KernelLine], says: str) -> None:
    dm.create("a")
    with pytest.raises(DmError, match=says) as caught:
        dm.load("a", lines)
    assert "dmesg" not in caught.value.hint
    assert any(says in text for text in caught.value.log)


def test_each_refusal_has_its_own_words_only(dm: DmClient) -> None:
    dm.create("a")
    for length in (2, 3):
        with pytest.raises(DmError) as caught:
            dm.load("a", [line(0, 8, "striped", f"{length} 7 7:0 0")])
        assert len([text for text in caught.value.log if "striped" in text]) == 1


def test_other_commands_are_explained_too(dm: DmClient) -> None:
    started(dm_rig(dm), "a")
    with pytest.raises(DmError, match="Target type does not support messages"):
        dm.message("a", 0, "hello")
    with pytest.raises(DmError, match="beyond the geometry limits"):
        dm.set_geometry("a", 1, 1, 1, 2)
    dm.set_uuid("a", "UUID-a")
    with pytest.raises(DmError, match="already set to UUID-a"):
        dm.set_uuid("a", "UUID-b")


def test_without_a_log_a_refusal_is_a_refusal_all_the_same() -> None:
    with DmClient(IoctlKernel(log=KernelLog("/dev/absent"))) as dm:
        dm.create("a")
        with pytest.raises(DmError, match="does not take that table") as caught:
            dm.load("a", [line(0, 8, "no-such-target")])
        assert caught.value.log == ()
        assert "dmesg" in caught.value.hint
        dm.remove("a")


def test_the_header_that_came_back_is_kept(dm: DmClient) -> None:
    dm.create("a")
    with pytest.raises(DmError) as caught:
        dm.load(by_name("a"), [line(0, 8, "no-such-target")])
    reply = caught.value.reply
    assert reply is not None
    assert (reply.version, reply.name, reply.target_count, reply.data) == (dm.version(), "a", 1, b"")
    with pytest.raises(DmError) as caught:
        dm.load(by_name("a"), [line(0, 8, "no-such-target", "secret")], secure=True)
    assert caught.value.reply is None
    assert caught.value.errno == errno.EINVAL


def test_busy_devices_say_who_holds_them(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """By its devices above and by open files; for a table, the device below that is held."""
    path = make_disk(4)
    rig = dm_rig(dm)
    lower = started(rig, "lower", [line(0, 4096, "linear", f"{words(numbers(path))} 0")])
    started(rig, "upper", [line(0, 2048, "linear", f"{words(lower)} 0")])
    with pytest.raises(DmInUse, match="used by the device upper"):
        dm.remove("lower")
    fd = os.open("/dev/mapper/upper", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with pytest.raises(DmInUse) as caught:
            dm.remove("upper")
        assert any(f"process {os.getpid()}" in text for text in caught.value.details)
    finally:
        os.close(fd)
    other = make_disk(1)
    fd = os.open(other, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        dm.create("third")
        with pytest.raises(DmInUse, match=f"process {os.getpid()}"):
            dm.load("third", [line(0, 8, "linear", f"{words(numbers(other))} 0")])
        with pytest.raises(DmInUse, match=f"process {os.getpid()}"):
            dm.load("third", [line(0, 8, "linear", f"{other} 0")])
    finally:
        os.close(fd)


def test_a_table_that_refers_to_its_own_device_by_a_path_is_refused_too(dm: DmClient) -> None:
    """A device that held itself open could never be removed."""
    before = started(dm_rig(dm), "a")
    os.symlink("/dev/mapper/a", "/run/another-name")
    try:
        for path in ("/dev/mapper/a", "/run/another-name"):
            with pytest.raises(DmError, match="its table refers to itself"):
                dm.load("a", [line(0, 8, "linear", f"{path} 0")])
            assert dm.info(name="a") == before
    finally:
        os.unlink("/run/another-name")
    dm.remove("a")


def test_a_frozen_file_system_is_told_from_an_open_device(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """The kernel says EBUSY for both."""
    path = make_disk(64)
    started(dm_rig(dm), "a", [line(0, 131072, "linear", f"{words(numbers(path))} 0")])
    lab.run("mkfs.ext4", "-q", "/dev/mapper/a")
    os.makedirs("/run/frozen", exist_ok=True)
    lab.run("mount", "/dev/mapper/a", "/run/frozen")
    try:
        lab.run("fsfreeze", "-f", "/run/frozen")
        try:
            with pytest.raises(DmInUse, match="its file system is frozen already"):
                dm.suspend("a")
            assert not dm.suspended()
        finally:
            lab.run("fsfreeze", "-u", "/run/frozen")
        dm.suspend("a")
        dm.resume("a")
    finally:
        lab.run("umount", "/run/frozen")


def test_a_device_that_another_s_target_holds_back_says_so(dm: DmClient, make_disk: Callable[[float], str]) -> None:
    """A suspended thin pool suspends its volumes internally."""
    if dm.target_version("thin-pool") is None:
        pytest.skip("expected: this kernel has no thin pools")
    meta, data = make_disk(4), make_disk(16)
    rig = dm_rig(dm)
    pool = started(
        rig, "pool", [line(0, 32768, "thin-pool", f"{words(numbers(meta))} {words(numbers(data))} 128 0")]
    )
    dm.message("pool", 0, "create_thin 0")
    started(rig, "thin", [line(0, 2048, "thin", f"{words(pool)} 0")])
    dm.suspend("pool")
    try:
        held = dm.info(name="thin")
        assert held is not None
        assert (held.internal_suspend, held.suspended) == (True, False)
    finally:
        dm.resume("pool")
    free = dm.info(name="thin")
    assert free is not None
    assert not free.internal_suspend


def test_geometry_is_what_the_device_tells(dm: DmClient) -> None:
    """``HDIO_GETGEO``: heads, sectors, cylinders, start."""
    import fcntl
    import struct

    started(dm_rig(dm), "a", zeros(2048))
    dm.set_geometry("a", 100, 16, 63, 5)
    fd = os.open("/dev/mapper/a", os.O_RDONLY | os.O_CLOEXEC)
    try:
        raw = fcntl.ioctl(fd, 0x0301, bytes(16))
    finally:
        os.close(fd)
    assert struct.unpack("=BBH4xQ", raw) == (16, 63, 100, 5)


class _Rig:
    """As much of the conformance suite's machine as its helpers need."""

    def __init__(self, dm: DmClient) -> None:
        self.dm = dm
        self.kernel = dm.kernel


def dm_rig(dm: DmClient):  # type: ignore[no-untyped-def]
    return _Rig(dm)
