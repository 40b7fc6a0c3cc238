"""Devices that hang, on a real kernel: one under another group's physical volume, and under one's own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.lab import run

VMGR = [sys.executable, "-m", "vmgr"]


def vmgr(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([*VMGR, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done


@pytest.fixture
def groups(make_disk: Callable[[float], str]) -> Iterator[str]:
    """``near`` on a plain disk, ``far`` on a mapped device; its path."""
    one, two = make_disk(64), make_disk(64)
    # Not from the disk's start: else the disk itself would look like the physical volume, too.
    run("dmsetup", "create", "stuck", "--table", f"0 65536 linear {two} 32768")
    run("dmsetup", "mknodes")
    vmgr("vgcreate", "near", one)
    vmgr("vgcreate", "far", "/dev/mapper/stuck")
    for group in ("near", "far"):
        vmgr("lvcreate", "-an", "-Zn", "-Wn", "-l1", "-n", "lv", group)
    yield "/dev/mapper/stuck"
    vmgr("vgchange", "-an", "near")


@pytest.fixture
def suspended(groups) -> Iterator[str]:
    run("dmsetup", "suspend", "stuck")
    yield groups
    subprocess.run(["dmsetup", "resume", "stuck"], check=False, capture_output=True)


@pytest.mark.parametrize("words", ["lvs near", "lvs", "lvchange --addtag x near/lv", "vgchange -ay"])
def test_who_does_not_need_the_device_goes_on_and_names_it(suspended, words):
    done = vmgr(*words.split())
    assert f"{suspended} is suspended and has not answered" in done.stderr
    assert "Waiting" not in done.stderr


def test_nothing_is_concluded_from_silence(suspended):
    """The group is not there for a command that means all: none of its volumes is activated, and none is lost."""
    assert "far" not in vmgr("vgs", "--noheadings", "-ovg_name").stdout.split()
    vmgr("vgchange", "-ay")
    run("dmsetup", "resume", "stuck")
    assert vmgr("lvs", "--noheadings", "-olv_attr", "far/lv").stdout.split() == ["-wi-------"]


def test_a_command_that_names_the_group_waits_until_the_device_answers(suspended):
    process = subprocess.Popen([*VMGR, "lvchange", "--addtag", "x", "far/lv"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith(
        f"  Waiting for {suspended} (suspended), which may hold a physical volume of volume group far"
    )
    assert process.poll() is None
    run("dmsetup", "resume", "stuck")
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert vmgr("lvs", "--noheadings", "-olv_tags", "far/lv").stdout.split() == ["x"]


def test_an_interrupt_ends_the_wait_at_once(suspended):
    # Whoever runs the tests may ignore the signal, and a program that starts so goes on ignoring it.
    heeds = "signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    command = [sys.executable, "-c", f"import os, signal, sys; {heeds}", *VMGR, "lvs", "far"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "Waiting for" in process.stderr.readline()
    time.sleep(0.2)  # it may be about to wait
    process.send_signal(2)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "interrupted" in said


@pytest.fixture
def slow(make_disk: Callable[[float], str]) -> Iterator[str]:
    """A group whose only device answers reads at once, and a write after three seconds; its path."""
    disk = make_disk(64)
    run("dmsetup", "create", "slow", "--table", f"0 65536 delay {disk} 32768 0 {disk} 32768 0")
    run("dmsetup", "mknodes")
    vmgr("vgcreate", "late", "/dev/mapper/slow")
    run("dmsetup", "load", "slow", "--table", f"0 65536 delay {disk} 32768 0 {disk} 32768 3000")
    run("dmsetup", "resume", "slow")
    yield "/dev/mapper/slow"
    subprocess.run(["dmsetup", "remove", "slow"], check=False, capture_output=True)


def test_a_write_that_hangs_after_its_reads_is_told_of_and_no_success_is_told_before_it_is_made(slow):
    done = vmgr("vgchange", "--addtag", "t", "late")
    assert f"Waiting for {slow}, which does not answer a " in done.stderr
    assert done.stderr.index("Waiting for") < done.stderr.index("successfully changed")
    assert vmgr("vgs", "--noheadings", "-ovg_tags", "late").stdout.split() == ["t"]
