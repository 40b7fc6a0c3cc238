"""What all tests share: the same surroundings wherever they are started, a time limit, and no skip unexpected.

No clock decides about right and wrong. A test that does not come to an end is ended, and named.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, settings

# A machine may be slow, and slower while something else runs: no example fails for the time it takes.
settings.register_profile("vmgr", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vmgr")

TIME_LIMIT = 900
"""Seconds that a test has, its set-up and its end apart: far more than any needs on a busy machine."""


def set_surroundings() -> None:
    """Take away what depends on who started the tests: a shell's background, cron, systemd, a terminal.

    What a shell starts with ``&`` has SIGINT ignored, nohup ignores SIGHUP, and cron gives neither a home nor the
    folders of administrators' programs.
    """
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP, signal.SIGUSR1, signal.SIGCHLD):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) in (signal.SIG_IGN, signal.SIG_DFL):
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.umask(0o022)
    for name in list(os.environ):
        if name.startswith(("LC_", "LVM_", "PYTHON")) or name in _MISLEADING:
            del os.environ[name]
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ.setdefault("HOME", tempfile.gettempdir())
    os.environ.setdefault("TERM", "dumb")
    path = os.environ.get("PATH", "").split(":")
    wanted = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
    os.environ["PATH"] = ":".join(filter(None, (*path, *(part for part in wanted if part not in path))))


_MISLEADING = ("LANG", "LANGUAGE", "COLUMNS", "LINES", "NO_COLOR", "CLICOLOR", "FORCE_COLOR", "TZ", "DM_DEV_DIR")

set_surroundings()


@contextmanager
def limited(what: str) -> Iterator[None]:
    """Fail with ``what`` when the time limit is over; where that fails, end the run and show where it is."""

    def over(_number: int, _frame: object) -> None:
        pytest.fail(f"{what} did not end within {TIME_LIMIT} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, TIME_LIMIT)
    faulthandler.dump_traceback_later(TIME_LIMIT + 60, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    with limited(f"the set-up of {item.nodeid}"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with limited(item.nodeid):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    with limited(f"the end of {item.nodeid}"):
        return (yield)


# A suite that several test modules import; said here, because whoever imports it first decides.
pytest.register_assert_rewrite("tests.support.dm_conformance")

EXPECTED = "expected:"
"""A skip whose reason begins with this word is allowed in CI, too; the reason says why."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if not reason.startswith(EXPECTED):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} was skipped in CI: {reason}"
    return report
