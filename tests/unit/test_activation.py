"""The device-mapper side of a plan: what it refuses to touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.rig import Rig
from tests.unit.test_commit import create
from tests.unit.test_system_signatures import SWAP, put
from vmgr.activation import KernelDevices
from vmgr.core.change import Wipe
from vmgr.core.errors import Interrupted, KernelError
from vmgr.core.ids import Uuid
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


STORE = (0, b"SnAp\1\0\0\0\1\0\0\0\x08\0\0\0")


class Wiping:
    """A new volume on whose extents ``parts`` lie, and a user who answers ``answer``."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parts: object, answer: bool) -> None:
        rig = Rig(tmp_path / "dev")
        (self.device,) = [
            step.device for step in rig.plan(create(rig, "data")(rig.group)).steps if isinstance(step, CreateDevice)
        ]
        self.node = Path(put(rig.dev_dir / "mapper" / "vg-data", *parts))  # type: ignore[misc]
        self.asked: list[str] = []
        self.told: list[str] = []
        self._answer = answer
        self._devices = KernelDevices(
            DmClient(rig.kernel, dev_dir=str(rig.dev_dir)),
            {},
            ask=self.ask,
            say=lambda _: None,
            tell=self.told.append,
            dev_dir=str(rig.dev_dir),
        )
        monkeypatch.setattr(self._devices, "_check_node", lambda *_: None)

    def ask(self, question: str) -> bool:
        self.asked.append(question)
        return self._answer

    def wipe(self, *, zero: bool = True) -> bytes:
        self._devices.wipe(self.device, Wipe(Uuid("0" * 32), zero=zero))
        return self.node.read_bytes()


def test_a_signature_that_nobody_agrees_to_lose_is_kept_and_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiping = Wiping(tmp_path, monkeypatch, SWAP, answer=False)
    before = wiping.node.read_bytes()
    with pytest.raises(Interrupted, match="there is no new volume"):
        wiping.wipe()
    assert wiping.node.read_bytes() == before
    assert not wiping.told


def test_a_signature_that_goes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What destroys something says what, also when nobody had to be asked."""
    wiping = Wiping(tmp_path, monkeypatch, SWAP, answer=True)
    assert b"SWAPSPACE2" not in wiping.wipe(zero=False)
    assert len(wiping.asked) == 1
    assert len(wiping.told) == 1
    assert wiping.told[0].startswith("Wiping swap signature on ")


def test_what_a_removed_snapshot_left_goes_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is nobody's data, and a kernel that finds the header goes on with the dead snapshot."""
    wiping = Wiping(tmp_path, monkeypatch, [STORE], answer=False)
    assert not any(wiping.wipe(zero=False)[:4])
    assert wiping.told
    assert not wiping.asked
