"""The page that takes the installation guide of 2003 step by step: its commands do what it says."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.guide import steps
from vmgr.dm.module import HERE, module_state

BIN = Path(__file__).parents[2] / ".venv/bin"


def without_users() -> None:
    """Unload the modules that use the device mapper's, and close what earlier tests left to the collector."""
    gc.collect()
    for user in sorted(os.listdir("/sys/module/dm_mod/holders")):
        lab.unload(user)


@pytest.fixture
def _module(_machine: None) -> Iterator[None]:
    """The module without users at first; the kernel's own major, and no configuration, afterwards."""
    before = module_state().major
    users = os.listdir("/sys/module/dm_mod/holders")
    without_users()
    yield
    if os.path.islink("/dev/device-mapper"):
        os.unlink("/dev/device-mapper")
    if os.path.lexists(HERE.config):
        os.unlink(HERE.config)
    for name in lab.mapped_devices():
        lab.run("dmsetup", "remove", name, check=False)
    lab.unload()
    for module in (f"dm_mod major={before}", *users):
        lab.run("modprobe", *module.split())
    lab.until(lambda: os.path.exists("/dev/mapper/control"), "the control node")


@pytest.mark.usefixtures("_module")
def test_each_step_does_what_it_says() -> None:
    found = [step for step in steps() if step.runs]
    assert len(found) > 6
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}
    for step in found:
        # Step 1 and its like report; what they find is the lab's.
        done = lab.run("sh", "-ec", f"exec 2>&1\n{step.script}", env=env)
        assert step.printed(done.stdout), f"line {step.line} of the page:\n{done.stdout}"
