"""The critical section: memory locked, everything loaded, and all of it undone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vmgr.dm import critical
from vmgr.dm.critical import critical_section

PROGRAM = """
import sys
from vmgr.dm.critical import critical_section, held

def locked():
    with open("/proc/self/status") as f:
        return next(int(row.split()[1]) for row in f if row.startswith("VmLck"))

import os
before = locked(), os.nice(0)
with critical_section(reserve=1 << 20) as section:
    assert held()
    inside = locked(), os.nice(0), section.locked
    loaded = set(sys.modules)
    with critical_section():
        pass
    assert held() and locked() == inside[0], "an inner section ends nothing"
    from vmgr.dm.client import DmClient
    from vmgr.dm.fake import FakeKernel
after = locked(), os.nice(0)
assert not held()
assert before == after, (before, after)
print(before, inside, "ctypes" in loaded and "vmgr.dm.udev" in loaded and "vmgr.dm.holders" in loaded)
"""


def test_memory_is_locked_inside_and_only_there() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, inside, loaded = done.stdout.replace("(", "").split(")")
    assert before.startswith("0,")
    assert loaded.strip() == "True"
    size, nice, locked = (word.strip(", ") for word in inside.split(", ") if word.strip(", "))
    if locked == "False":
        pytest.skip("expected: locking memory is for root, or within RLIMIT_MEMLOCK")
    assert int(size) > 1024
    if os.geteuid() == 0:
        assert int(nice) == critical.PRIORITY


def test_a_process_that_may_not_lock_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """No privilege makes it slower or less safe, never wrong."""
    with critical_section(priority=None, reserve=0) as first:
        assert critical.held()
        del first

    class Libc:
        @staticmethod
        def mlockall(flags: int) -> int:
            return -1

        @staticmethod
        def munlockall() -> int:
            raise AssertionError("nothing was locked")

    monkeypatch.setattr(critical._process, "_libc", Libc)
    with critical_section(priority=None, reserve=0) as section:
        assert not section.locked
        assert critical.held()
    assert not critical.held()


def test_an_error_inside_ends_the_section(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        with critical_section(priority=None, reserve=0):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not critical.held()
