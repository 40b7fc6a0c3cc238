"""What all unit tests are held to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _hands_off_the_machine() -> Iterator[None]:
    """No unit test makes or removes a node of this machine's: whoever runs them may have disks to lose."""
    before = nodes()
    yield
    if (after := nodes()) != before:
        pytest.fail(f"a unit test changed /dev/mapper: {sorted(before ^ after)}")


def nodes() -> set[str]:
    try:
        return set(os.listdir("/dev/mapper"))
    except OSError:
        return set()
