"""The device-mapper side of a plan: what it refuses to touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rig import Rig
from tests.unit.test_commit import create
from vmgr.activation import KernelDevices
from vmgr.core.change import Wipe
from vmgr.core.errors import KernelError
from vmgr.core.steps import CreateDevice
from vmgr.dm.client import DmClient


def test_what_stands_in_the_place_of_a_volumes_node_is_not_wiped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that does not lead to the new device leads to somebody else's data."""
    rig = Rig(tmp_path / "dev")
    plan = rig.do(create(rig, "data"))
    (device,) = [step.device for step in plan.steps if isinstance(step, CreateDevice)]
    node = tmp_path / "dev" / "mapper" / "vg-data"
    node.unlink(missing_ok=True)
    node.write_bytes(b"precious" * 4096)
    client = DmClient(rig.kernel, dev_dir=str(rig.dev_dir))
    devices = KernelDevices(client, {}, ask=lambda _: True, say=lambda _: None, dev_dir=str(rig.dev_dir))
    monkeypatch.setattr(client, "show", lambda *_, **__: None)
    with pytest.raises(KernelError, match="not wiping"):
        devices.wipe(device, Wipe(rig.group.lv_by_name["data"].id, zero=True, signatures=True))
    assert node.read_bytes() == b"precious" * 4096
