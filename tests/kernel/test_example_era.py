"""The example with hidden parts on a real kernel: its eras go on, its data stay, and nothing is left of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from tests.unit.test_example_era import targets
from vmgr.app import open_application
from vmgr.core.targets import Targets
from vmgr.dm.address import by_name
from vmgr.dm.client import DmClient
from vmgr.dm.kernel import IoctlKernel
from vmgr.outcome import RunOptions

__all__ = ["targets"]


def test_eras_and_data_outlive_an_extension(make_disk: Callable[[float], str], targets: Targets) -> None:
    disk, written = make_disk(128), os.urandom(1 << 20)
    client = DmClient(IoctlKernel())

    def era() -> int:
        (line,) = client.status(by_name("tank-data"))
        return int(line.params.split()[2])

    with open_application(RunOptions(yes=True), targets=targets) as app:
        app.vgcreate("tank", [disk])
        app.lvcreate("tank", name="data", size="32m", type="era")
        Path("/dev/tank/data").write_bytes(written)
        before = era()
        client.message(by_name("tank-data"), 0, "checkpoint")
        app.activate(["tank/data"], mode="n")
        app.lvextend("tank/data", size="+16m")
        app.activate(["tank/data"], mode="y")
        assert era() > before
        assert Path("/dev/tank/data").read_bytes()[: len(written)] == written
        app.lvremove(["tank/data"])
        assert not [device for device in client.devices() if device.name.startswith("tank-")]
