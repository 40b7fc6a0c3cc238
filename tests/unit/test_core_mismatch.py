"""Live volumes are not moved to another device by a change that means something else."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve

from tests.support.rig import Rig
from tests.unit.test_commit import create, extend, snapshot
from vmgr.core.change import Change
from vmgr.core.errors import Refused
from vmgr.core.ids import Uuid
from vmgr.core.mismatch import require_in_place
from vmgr.core.plan import plan_change
from vmgr.core.table import LiveDevice
from vmgr.registry import load_targets

FOUND = {Uuid(f"{n:032d}"): f"7:{n}" for n in (1, 2)}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path / "dev")
    rig.do(create(rig, "data"))
    rig.do(snapshot(rig, "snap", "data"))
    rig.do(create(rig, "other"))
    return rig


def elsewhere(rig: Rig) -> dict[str, LiveDevice]:
    """What the kernel would have if the first disk had been 7:9 when the volumes were activated."""
    return {
        uuid: evolve(
            device,
            table=tuple(evolve(line, params=line.params.replace("7:1", "7:9")) for line in device.table or ()),
        )
        for uuid, device in rig.live.items()
    }


def test_a_change_that_would_move_a_volume_is_refused(rig: Rig) -> None:
    plan = rig.plan(extend(rig, "other", 4)(rig.group))
    require_in_place(plan, rig.live, FOUND)
    with pytest.raises(Refused, match=r"other runs on the device 7:9, on which none"):
        require_in_place(plan, elsewhere(rig), FOUND)


def test_a_refresh_says_that_it_is_meant(rig: Rig) -> None:
    group = rig.group
    change = Change(group, group, refresh=tuple(lv.id for lv in group.lvs if lv.visible))
    live = elsewhere(rig)
    require_in_place(plan_change(change, live, load_targets()), live, FOUND)
