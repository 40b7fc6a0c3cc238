"""Fixtures of the tests that need a real device mapper. They run inside the lab, and only there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab

if lab.IN_LAB:
    # The guest's /tmp shows the host's; pytest would tidy up its old directories there, one whiteout each.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/run")
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", "/tmp/hypothesis")

HERE = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "udev: runs with systemd-udevd; every other test runs without")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip all of these outside the lab; inside, run those with udev last, to start it once."""
    mine = [item for item in items if HERE in item.path.parents]
    if not lab.IN_LAB:
        for item in mine:
            item.add_marker(pytest.mark.skip(reason=lab.WHY_SKIPPED))
        return
    items.sort(key=lambda item: item.get_closest_marker("udev") is not None)


@pytest.fixture(autouse=True)
def _machine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Give each test the udev that it wants, and leave no device-mapper device behind."""
    lab.set_udev(request.node.get_closest_marker("udev") is not None)
    before = lab.mapped_devices()
    yield
    lab.settle()
    failures = lab.remove_mapped(before)
    lab.settle()
    if failures:
        pytest.fail("left behind:\n" + "\n".join(failures), pytrace=False)


@pytest.fixture
def loops(_machine: None) -> Iterator[lab.Loops]:
    """Loop devices, gone after the test; must outlive nothing that lies on them."""
    loops = lab.Loops()
    yield loops
    lab.settle()
    # What lies on the disks goes first: the autouse fixture's turn comes only after this one's.
    failures = lab.remove_mapped(set()) + loops.remove_all()
    if failures:
        pytest.fail("left behind:\n" + "\n".join(failures), pytrace=False)


@pytest.fixture
def make_disk(loops: lab.Loops) -> Callable[[float], str]:
    """``make_disk(size_mib) -> path``: a fresh block device, all zeros, gone after the test."""
    return loops.make


@pytest.fixture
def disks(_machine: None) -> tuple[str, ...]:
    """The block devices of the lab's ``--disk`` images, wiped."""
    found = tuple(lab.lab_disks())
    if not found:
        pytest.skip("the lab was started without --disk")
    for path in found:
        lab.wipe(path)
    return found
