"""What all tests share: no clock decides, and in CI a skip that nobody expected is a failure."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# A machine may be slow, and slower while something else runs: no example fails for the time it takes.
settings.register_profile("vmgr", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vmgr")

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
