"""A package outside of vmgr's tree adds a kind of volume, found by its entry point, with no change to vmgr."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from attrs import evolve

from tests.support.plugins import STAMP, a_group
from vmgr.core.amounts import SizeSpec
from vmgr.core.change import Change
from vmgr.core.devices import stack
from vmgr.core.errors import DamagedMetadata, UnclaimedSegment, UsageError
from vmgr.core.ids import LvName
from vmgr.core.model import UnknownBody, VolumeGroup
from vmgr.core.operations.create import create_volume
from vmgr.core.operations.extend import extend_volume
from vmgr.core.operations.reduce import reduce_volume
from vmgr.core.operations.remove import remove_volume
from vmgr.core.plan import plan_change
from vmgr.core.requests import CreateVolume, ExtendVolume, Options, ReduceVolume, RemoveVolume
from vmgr.core.steps import CreateDevice, WipeVolume
from vmgr.core.targets import Targets
from vmgr.core.units import Extents
from vmgr.ondisk.codec import TextHeader, decode_group, encode_group
from vmgr.registry import find_plugins, load_targets

EXAMPLE = Path(__file__).parents[2] / "examples" / "vmgr-delay"


@pytest.fixture
def targets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Targets:
    """All installed plugins, after the example has been installed as pip does it: its code and its entry points."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"vmgr_delay-{project['version']}.dist-info"
    info.mkdir()
    entries = project["entry-points"]["vmgr.targets"]
    lines = ["[vmgr.targets]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(EXAMPLE / "src"))
    monkeypatch.delitem(sys.modules, "vmgr_delay", raising=False)
    return load_targets()


def make(group: VolumeGroup, targets: Targets, options: Options = (("delay", 20),)) -> Change:
    request = CreateVolume(SizeSpec(Extents(3)), LvName("slow"), "delay", None, options)
    return create_volume(group, request, targets, STAMP)


def lines(group: VolumeGroup, targets: Targets) -> list[str]:
    found = stack(group, [lv.id for lv in group.lvs if lv.visible], targets)
    return [f"{t.start} {t.length} {t.target} {t.params(lambda r: '8:0')}" for d in found for t in d.table]


def test_it_is_found_beside_the_built_in_ones(targets: Targets) -> None:
    assert {info.name for info in targets.infos()} >= {"delay", "linear", "snapshot", "striped"}
    assert ("delay", "vmgr_delay", "vmgr_delay-0.1.0") in find_plugins()


def test_its_type_makes_a_volume(targets: Targets) -> None:
    change = make(a_group(), targets)
    assert change.after is not None
    assert lines(change.after, targets) == [f"0 {3 * 8192} delay 8:0 2048 20"]
    steps = plan_change(change, {}, targets).steps
    assert any(isinstance(step, CreateDevice) and step.device.name == "vg-slow" for step in steps)
    assert any(isinstance(step, WipeVolume) for step in steps)


def test_its_option_is_its_own(targets: Targets) -> None:
    assert [o.name for i in targets.infos() for o in i.options if "lvcreate" in o.commands].count("delay") == 1
    request = CreateVolume(SizeSpec(Extents(3)), LvName("x"), "linear", None, (("delay", 20),))
    with pytest.raises(UsageError, match="a linear volume takes no --delay"):
        create_volume(a_group(), request, targets, STAMP)
    with pytest.raises(UsageError, match="not possible"):
        make(a_group(), targets, (("delay", -1),))


def test_a_plain_request_is_not_its_own(targets: Targets) -> None:
    assert targets.choose(a_group(), CreateVolume(SizeSpec(Extents(3)), LvName("x"))).name == "linear"


def test_its_text_survives(targets: Targets) -> None:
    group = make(a_group(), targets).after
    assert group is not None
    text = encode_group(group, targets, TextHeader("", "h", 1, "d", "s", "p"))
    assert 'type = "delay"\ndelay = 20\n\narea = [\n"pv0", 0\n]\n' in text
    assert decode_group(text, targets).group == group
    with pytest.raises(DamagedMetadata, match="volume slow, segment1"):
        decode_group(text.replace("delay = 20", "delay = 2.5"), targets)


def test_without_the_package_its_volumes_are_kept_and_not_changed(targets: Targets) -> None:
    """What vmgr does not know it lists and writes back."""
    group = make(a_group(), targets).after
    assert group is not None
    header = TextHeader("", "h", 1, "d", "s", "p")
    text = encode_group(group, targets, header)
    from tests.support.stacks import TARGETS

    without = decode_group(text, TARGETS).group
    assert isinstance(without.lvs[0].segments[0].body, UnknownBody)
    assert without.has_unknown
    assert encode_group(without, TARGETS, header) == text
    with pytest.raises(UnclaimedSegment, match="no installed plugin knows segment type 'delay'"):
        stack(without, [without.lvs[0].id], TARGETS)


def test_its_volumes_are_extended_reduced_and_removed(targets: Targets) -> None:
    empty = a_group()
    group = make(empty, targets).after
    assert group is not None
    slow = group.lvs[0].id
    longer = extend_volume(group, ExtendVolume(slow, SizeSpec(Extents(2), "+")), targets, STAMP.part(1)).after
    assert longer is not None
    assert longer.lv_by_id[slow].size == 5
    assert all(line.endswith(" 20") for line in lines(longer, targets))
    shorter = reduce_volume(longer, ReduceVolume(slow, SizeSpec(Extents(1))), targets).after
    assert shorter is not None
    assert lines(shorter, targets) == ["0 8192 delay 8:0 2048 20"]
    gone = remove_volume(shorter, RemoveVolume(slow), targets).after
    assert gone == evolve(empty, seqno=gone.seqno if gone else 0)


def test_reports_show_its_column(targets: Targets) -> None:
    assert "delay" in {column.name for info in targets.infos() for column in info.columns}
    group = make(a_group(), targets).after
    assert group is not None
    facts = targets.describe(group, group.lvs[0], group.lvs[0].segments[0], None)
    assert (facts.segtype, dict(facts.values)["delay"]) == ("delay", 20)


def test_it_does_not_mix_with_other_kinds(targets: Targets) -> None:
    group = make(a_group(), targets).after
    assert group is not None
    request = ExtendVolume(group.lvs[0].id, SizeSpec(Extents(2), "+"), options=(("stripes", 1),))
    with pytest.raises(UsageError):
        extend_volume(group, request, targets, STAMP.part(1))
