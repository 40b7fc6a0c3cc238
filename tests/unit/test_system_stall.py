"""What does not return is told of: by name, once, and without a change of what the command does."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from vmgr.core.units import Bytes
from vmgr.system import disk as disk_module
from vmgr.system.disk import Disk
from vmgr.system.stall import StallWatch

LONG = 60
"""Seconds after which a message that does not come is a failure."""


class Ear:
    """Hears messages; a call that hangs until one has come is made of :meth:`hangs`."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._came = threading.Event()

    def __call__(self, message: str) -> None:
        self.heard.append(message)
        self._came.set()

    def hangs(self) -> None:
        assert self._came.wait(LONG)
        self._came.clear()


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "image"
    path.write_bytes(bytes(1 << 16))
    return str(path)


def hanging(ear: Ear, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let the system call of this name hang until that is told of."""
    real = getattr(os, name)

    def call(*words: object) -> object:
        ear.hangs()
        return real(*words)

    monkeypatch.setattr(disk_module.os, name, call)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("open", "which does not open"),
        ("preadv", "which does not answer a read of 512 bytes at byte 1024"),
        ("pwritev", "which does not answer a write of 512 bytes at byte 1024"),
        ("fsync", "which does not answer a flush"),
    ],
)
def test_a_device_that_hangs_is_named_with_what_it_does_not_answer(ear, image, monkeypatch, call, said):
    """The write is made, once the device answers, and not before."""
    with StallWatch(ear, patience=0.01) as watch:
        if call == "open":
            hanging(ear, monkeypatch, call)
        with Disk.open(image, write=True, watch=watch) as disk:
            if call != "open":
                hanging(ear, monkeypatch, call)
            if call == "preadv":
                assert disk.read(Bytes(1024), Bytes(512)) == bytes(512)
            else:
                disk.write(Bytes(1024), b"x" * 512)
                disk.flush()
    assert f"Waiting for {image}, {said}." in ear.heard
    if call != "preadv":
        assert Path(image).read_bytes()[1024:1536] == b"x" * 512


def test_each_call_is_told_of_once_and_the_next_again(ear):
    with StallWatch(ear, patience=0.01) as watch:
        with watch.on("one"):
            ear.hangs()
            threading.Event().wait(0.1)  # ten times as long as it takes to be told again
        with watch.on("two"):
            ear.hangs()
    assert ear.heard == ["Waiting for one.", "Waiting for two."]


def test_what_goes_on_after_an_inner_call_is_waited_for_again(ear):
    with StallWatch(ear, patience=0.01) as watch, watch.on("the outer"):
        with watch.on("the inner"):
            ear.hangs()
        ear.hangs()
    assert ear.heard == ["Waiting for the inner.", "Waiting for the outer."]


def test_what_returns_at_once_is_not_told_of(ear, image):
    with StallWatch(ear, patience=LONG) as watch, Disk.open(image, write=True, watch=watch) as disk:
        disk.write(Bytes(0), b"y")
        disk.flush()
    assert ear.heard == []


def test_the_watcher_takes_no_signal_and_leaves_the_command_s_own(ear):
    """A signal that came to its thread would interrupt the command while devices are suspended."""
    before = set(os.listdir("/proc/self/task"))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with StallWatch(ear, patience=LONG):
        (thread,) = set(os.listdir("/proc/self/task")) - before
        status = Path(f"/proc/self/task/{thread}/status").read_text()
        blocked = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")), 16)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP):
            assert blocked >> (number - 1) & 1
        assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask


def test_nobody_who_hears_it_is_no_reason_to_fail(image):
    def gone(message: str) -> None:
        raise BrokenPipeError

    with StallWatch(gone, patience=0.001) as watch, watch.on("something"):
        threading.Event().wait(0.05)
        with Disk.open(image, write=True, watch=watch) as disk:
            disk.write(Bytes(0), b"y")
    assert Path(image).read_bytes()[:1] == b"y"
