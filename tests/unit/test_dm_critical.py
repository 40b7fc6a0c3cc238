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
    from vmgr.testing.fake_kernel import FakeKernel
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


SIGNALS = """
import os, signal, sys
from vmgr.dm.critical import critical_section

steps = []
numbers = [signal.Signals[name] for name in sys.argv[1:]]
for number in numbers:
    if number != signal.SIGINT:
        signal.signal(number, lambda n, _: steps.append(signal.Signals(n).name))
try:
    with critical_section(reserve=0):
        for number in numbers:
            os.kill(os.getpid(), number)
        steps.append("end")
        with critical_section(reserve=0):
            pass
        steps.append("after an inner section")
except KeyboardInterrupt:
    steps.append("SIGINT")
assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
print(*steps, sep=",")
"""


@pytest.mark.parametrize("names", [["SIGHUP", "SIGTERM", "SIGTSTP", "SIGALRM", "SIGUSR1"], ["SIGINT"]])
def test_signals_wait_for_the_end_of_the_section(names: list[str]) -> None:
    """A process that ends or stops with a device suspended leaves everyone waiting for it."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALS, *names], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, second, *rest = done.stdout.strip().split(",")
    assert (first, second) == ("end", "after an inner section")
    assert sorted(rest) == sorted(names)


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
