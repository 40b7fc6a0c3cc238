"""The example with hidden parts: it keeps to the contract, and becomes the devices that its page tells of."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.plugins import STAMP, a_group
from tests.unit.test_registry import distribution
from vmgr.core.amounts import SizeSpec
from vmgr.core.devices import stack
from vmgr.core.errors import InUse, UsageError
from vmgr.core.ids import LvName
from vmgr.core.model import VolumeGroup
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.requests import CreateVolume, ExtendVolume, Options
from vmgr.core.table import KernelLine, LiveDevice
from vmgr.core.targets import Targets
from vmgr.core.units import Extents, Sectors
from vmgr.registry import load_targets
from vmgr.testing.checks import PASSED, Sample, check_plugin

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "vmgr-era"


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Targets:
    """All installed plugins and the example."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    entries = project["entry-points"]["vmgr.targets"]
    distribution(tmp_path, "vmgr_era", "[vmgr.targets]\n" + "".join(f"{n} = {v}\n" for n, v in entries.items()))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    monkeypatch.delitem(sys.modules, "vmgr_era", raising=False)
    return load_targets()


def made(targets: Targets, options: Options = ()) -> VolumeGroup:
    request = CreateVolume(SizeSpec(Extents(5)), LvName("data"), "era", None, options)
    after = create_volume(a_group(), request, targets, STAMP).after
    assert after is not None
    return after


def test_it_keeps_to_the_contract(targets: Targets) -> None:
    results = check_plugin(targets, "era", [Sample("era", (("erablock", Sectors(8)),))])
    assert {result.outcome for result in results} == {PASSED}


def test_it_becomes_three_devices(targets: Targets) -> None:
    group = made(targets)
    devices = stack(group, [lv.id for lv in group.lvs if lv.visible], targets)
    assert {device.name for device in devices[:2]} == {"vg-data_edata", "vg-data_emeta"}
    assert devices[2].name == "vg-data"
    (line,) = devices[2].table
    names = {device.uuid: device.name for device in devices}
    assert line.params(lambda ref: names[ref.uuid]) == "vg-data_emeta vg-data_edata 1024"  # type: ignore[union-attr]
    assert [device.link for device in devices] == [None, None, ("vg", "data")]


def test_its_blocks_are_multiples_of_what_the_kernel_takes(targets: Targets) -> None:
    for size in (0, 4, 12):
        if size:
            with pytest.raises(UsageError, match="not possible"):
                made(targets, (("erablock", Sectors(size)),))
    assert made(targets, (("erablock", Sectors(16)),)).lv_by_name["data"].segments[0].body.block == 16  # type: ignore[attr-defined]


def test_it_is_extended_while_it_is_inactive(targets: Targets) -> None:
    group = made(targets)
    data = group.lv_by_name["data"]
    request = ExtendVolume(data.id, SizeSpec(Extents(3), "+"))
    after = extend_volume(group, request, targets, STAMP.part(7)).after
    assert after is not None
    assert [int(after.lv_by_name[name].size) for name in ("data", "data_edata", "data_emeta")] == [8, 8, 2]
    device: Any = LiveDevice("vg-data", f"LVM-{group.id}{data.id}", 253, 2)
    with pytest.raises(InUse, match="extended while it is not"):
        extend_volume(group, request, targets, STAMP.part(7), live={device.uuid: device})


def test_its_status_is_read(targets: Targets) -> None:
    group = made(targets)
    data, meta = group.lv_by_name["data"], group.lv_by_name["data_emeta"]
    line = KernelLine(Sectors(0), Sectors(8), "era", "8 26/2048 5 -")
    status = targets.parse_status(group, data, (line,))
    facts = targets.describe(group, data, data.segments[0], status)
    assert dict(facts.values) == {"era": 5, "metadata_percent": 100 * 26 / 2048}
    assert targets.describe(group, meta, meta.segments[0], None).kind == "e"


def test_the_page_shows_what_the_example_has() -> None:
    """Each block of Python on the page is text of the example."""
    page = (ROOT / "docs" / "writing-a-target.md").read_text("utf-8")
    source = " ".join((EXAMPLE / "src/vmgr_era/__init__.py").read_text("utf-8").split())
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 4
    for block in blocks:
        for part in block.split("...\n"):
            assert " ".join(part.split()) in source, part
