"""Volumes of which some devices run and others do not: named with what is missing, and only where it is."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.groups import TARGETS
from tests.unit.test_core_running import group, live
from vmgr.core.devices import stack
from vmgr.core.incomplete import incomplete
from vmgr.core.model import VolumeGroup
from vmgr.core.naming import dm_uuid
from vmgr.core.table import LiveDevice
from vmgr.doctor import devices
from vmgr.doctor.stacks import gaps

ALL = ("vg-origin", "vg-origin-real", "vg-copy", "vg-copy-cow")


def without(*names: str) -> tuple[VolumeGroup, dict[str, LiveDevice]]:
    """Everything is active, except for the devices called ``names``."""
    vg = group()
    return vg, {uuid: d for uuid, d in live(vg, "plain", "origin").items() if d.name not in names}


@pytest.mark.parametrize(
    ("gone", "missing"),
    [
        (("vg-origin",), {("origin", "vg-origin")}),
        (("vg-copy",), {("copy", "vg-copy")}),
        (("vg-copy", "vg-copy-cow"), {("copy", "vg-copy"), ("copy", "vg-copy-cow")}),
        (("vg-origin", "vg-copy"), {("origin", "vg-origin"), ("copy", "vg-copy")}),
        (
            ("vg-origin", "vg-copy", "vg-origin-real"),
            {("origin", "vg-origin"), ("copy", "vg-copy"), ("origin", "vg-origin-real")},
        ),
        (
            ("vg-origin", "vg-copy", "vg-copy-cow"),
            {("origin", "vg-origin"), ("copy", "vg-copy"), ("copy", "vg-copy-cow")},
        ),
    ],
)
def test_each_missing_device_is_named_with_its_volume(gone: tuple[str, ...], missing: set[tuple[str, str]]) -> None:
    vg, there = without(*gone)
    (found,) = incomplete(vg, there, TARGETS)
    assert set(found.missing) == missing
    assert set(found.left) == set(ALL) - set(gone)
    assert {lv.name for lv in found.volumes} == {"origin", "copy"}


@pytest.mark.parametrize("gone", [(), ALL, ("vg-plain",), ("vg-plain", *ALL)])
def test_what_runs_whole_or_not_at_all_is_in_order(gone: tuple[str, ...]) -> None:
    vg, there = without(*gone)
    assert incomplete(vg, there, TARGETS) == ()


def test_what_no_plugin_understands_is_left_out() -> None:
    vg, there = without()
    pool = dm_uuid(vg.id, vg.lv_by_name["pool"].id, "tpool")
    there[pool] = evolve(next(iter(there.values())), uuid=pool, name="vg-pool-tpool")
    assert incomplete(vg, there, TARGETS) == ()


def test_devices_of_another_group_are_nobody_s_parts() -> None:
    vg, there = without()
    other = {uuid.replace(vg.id, "x" * 32): d for uuid, d in there.items() if d.name != "vg-origin"}
    assert incomplete(vg, other, TARGETS) == ()


def test_the_finding_names_volume_group_device_and_the_command() -> None:
    vg, there = without("vg-origin")
    facts = devices.Facts(tuple(there.values()), True, True, gaps=gaps((vg,), there, TARGETS))
    (found,) = devices.check(facts)
    assert (found.id, found.state, found.fixable) == ("devices.missing", "problem", False)
    assert found.text.startswith("logical volume vg/origin misses its device vg-origin; ")
    assert found.remedy == "vmgr lvchange -ay vg/origin"
    assert found.facts["missing"] == ("vg-origin",)


def test_a_volume_that_is_skipped_at_activation_comes_back_all_the_same() -> None:
    vg, there = without("vg-origin")
    origin = vg.lv_by_name["origin"]
    vg = vg.with_lv(evolve(origin, flags=("ACTIVATION_SKIP",)))
    assert {d.uuid for d in stack(vg, [origin.id], TARGETS)} >= set(there) - {
        dm_uuid(vg.id, vg.lv_by_name["plain"].id)
    }
    (found,) = devices.check(devices.Facts((), True, True, gaps=gaps((vg,), there, TARGETS)))
    assert found.remedy == "vmgr lvchange -ay -K vg/origin"
