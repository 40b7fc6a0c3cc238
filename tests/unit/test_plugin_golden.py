"""For the same metadata vmgr makes the devices that LVM2 made, and says of them what LVM2 said."""

from __future__ import annotations

import re

import pytest

from tests.support.stacks import STACKS, TARGETS, Stack, load_stack
from vmgr.core.devices import stack
from vmgr.core.model import UnknownBody
from vmgr.core.naming import dm_uuid
from vmgr.core.units import Sectors
from vmgr.ondisk.codec import TextHeader, decode_group, encode_group

ACTIVE = [name for name in STACKS if load_stack(name).live]


@pytest.fixture(params=STACKS)
def made(request: pytest.FixtureRequest) -> Stack:
    return load_stack(request.param)


@pytest.fixture(params=ACTIVE)
def running(request: pytest.FixtureRequest) -> Stack:
    return load_stack(request.param)


def visible(stack: Stack) -> list:
    return [lv.id for lv in stack.group.lvs if lv.visible]


def test_there_are_fixtures_of_every_kind() -> None:
    assert {"linear", "striped", "snapshot", "snapshots", "merge-started", "merge-pending"} <= set(STACKS)


def test_all_devices_have_lvm2_s_names_and_uuids(running: Stack) -> None:
    devices = stack(running.group, visible(running), TARGETS, running.live)
    assert {(d.name, d.uuid) for d in devices} == {(d.name, d.uuid) for d in running.live.values()}


def test_all_tables_equal_lvm2_s(running: Stack) -> None:
    for device in stack(running.group, visible(running), TARGETS, running.live):
        live = running.live[device.uuid]
        assert live.table is not None
        assert running.shown(device) == [str(line) for line in live.table]


def test_the_same_devices_are_read_only(running: Stack) -> None:
    for device in stack(running.group, visible(running), TARGETS, running.live):
        assert device.read_only == running.live[device.uuid].read_only


def test_each_device_comes_after_those_that_it_needs_or_must_follow(running: Stack) -> None:
    seen: set[str] = set()
    for device in stack(running.group, visible(running), TARGETS, running.live):
        assert seen.issuperset(device.needs())
        assert seen.issuperset(device.after)
        seen.add(device.uuid)


def test_the_same_devices_have_links(running: Stack) -> None:
    # Where a merge has to wait, LVM2 leaves the snapshot's link until it next looks at the devices.
    waits = "merging_store" in running.text and "vg-snap" in running.links
    links = {d.name: d.link for d in stack(running.group, visible(running), TARGETS, running.live) if d.link}
    assert links == {name: link for name, link in running.links.items() if not (waits and name == "vg-snap")}


def test_persistent_numbers_are_lvm2_s() -> None:
    made = load_stack("linear")
    numbered = [d for d in stack(made.group, visible(made), TARGETS) if d.numbers]
    assert [(d.name, d.numbers) for d in numbered] == [("vg-ro--v.1+x", (254, 77))]


def test_one_volume_of_a_family_brings_up_all_of_it() -> None:
    made = load_stack("snapshots")
    for name in ("base", "snap", "snap-2"):
        assert len(stack(made.group, [made.group.lv_by_name[name].id], TARGETS)) == 6


def test_no_segment_is_unknown(made: Stack) -> None:
    assert not any(isinstance(s.body, UnknownBody) or s.extra for lv in made.group.lvs for s in lv.segments)


def test_visible_volumes_are_those_that_lvs_lists_without_brackets(made: Stack) -> None:
    listed = {row["LV"] for row in made.rows}
    assert {lv.name for lv in made.group.lvs if lv.visible} == {n for n in listed if not n.startswith("[")}
    hidden = {lv.name for lv in made.group.lvs if not lv.visible}
    assert {n.strip("[]") for n in listed if n.startswith("[")} == {
        n for n in hidden if not re.fullmatch(r"snapshot\d+", n)
    }


def _bare(text: str) -> list[str]:
    """The lines of a group's section without comments, blank lines and indentation."""
    return [line for row in text.splitlines() if (line := re.sub(r"\s*#.*", "", row).strip())]


def test_the_text_that_is_written_is_lvm2_s(made: Stack) -> None:
    text = encode_group(made.group, TARGETS, TextHeader("", "h", 1, "d", "s", "p"))
    theirs = made.text[made.text.index(f"{made.group.name} {{") :]
    assert _bare(text[: text.index("# Generated")]) == _bare(theirs)
    assert decode_group(text, TARGETS).group == made.group


def test_the_model_breaks_no_rule(made: Stack) -> None:
    for lv in made.group.lvs:
        assert TARGETS.check_volume(made.group, lv) == ()


def _percent(value: object) -> str:
    return "" if value is None else f"{value:.2f}"


def _size(value: object) -> str:
    return "" if value is None else str(int(value))  # type: ignore[call-overload]


def test_reports_say_what_lvs_says(made: Stack) -> None:
    group = made.group
    at: dict[str, int] = {}
    for row in made.rows:
        name = row["LV"].strip("[]")
        volume = group.lv_by_name[name]
        segment = volume.segments[at.get(name, 0)]
        at[name] = at.get(name, 0) + 1
        status = None
        if dm_uuid(group.id, volume.id) in made.live:
            lines = made.live[TARGETS.status_device(group, volume, made.live)].status
            assert lines
            status = TARGETS.parse_status(group, volume, lines)
        facts = TARGETS.describe(group, volume, segment, status)
        values = dict(facts.values)
        assert facts.segtype == row["Type"]
        assert (facts.kind or "-") == row["Attr"][0]
        assert (facts.target or "-") == row["Attr"][6]
        assert (facts.state[:1] or row["Attr"][4].replace("I", "a")) == row["Attr"][4]
        assert str(values["stripes"]) == row["#Str"]
        assert _size(values["stripe_size"]) == row["Stripe"]
        assert _size(values.get("chunk_size", Sectors(0))) == row["Chunk"]
        origin = values.get("origin")
        assert (group.lv_by_id[origin].name if origin else "") == row["Origin"]
        assert _size(values.get("origin_size")) == row["OSize"]
        assert _percent(values.get("data_percent")) == row["Data%"]
        assert _percent(values.get("snap_percent")) == row["Snap%"]
        assert ("merging" if values.get("lv_merging") else "") == row["Merging"]
        assert {None: "unknown", True: "snapshot invalid", False: ""}[values.get("lv_snapshot_invalid")] == row[
            "SnapInvalid"
        ]
        assert {None: "unknown", False: ""}[values.get("lv_merge_failed")] == row["MergeFailed"]
