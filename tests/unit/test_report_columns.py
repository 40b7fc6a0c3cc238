"""The catalogue agrees with itself, and columns are found as LVM2 finds them."""

from __future__ import annotations

import pytest

from tests.support.report_toy import TARGETS
from vmgr.core.errors import UsageError
from vmgr.core.targets import Targets
from vmgr.plugins import snapshot
from vmgr.registry import load_targets
from vmgr.report import groups, physical, segments, volumes
from vmgr.report.catalog import SPECIAL, Column, canonical
from vmgr.report.columns import (
    ANY_LV,
    DEFAULTS,
    LABEL,
    LV,
    LVSTATUS,
    PV,
    PVSEG,
    ROWS,
    SEG,
    VG,
    catalog,
)
from vmgr.report.target_columns import HELP, LAYOUT

SNAPSHOTS = snapshot.target_info().columns
KINDS = {"string", "number", "size", "percent", "binary", "list", "time"}
CATALOG = catalog(TARGETS)
NAMES = {str(row[0]): row for row in ROWS}


def test_names_differ_even_without_underscores() -> None:
    assert len({canonical(name) for name in NAMES}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_row_is_well_formed(row: tuple) -> None:
    name, section, kind, heading, width, text = row[:6]
    assert kind in KINDS
    assert heading
    assert width >= 0
    assert text.endswith(".")
    assert bin(section).count("1") == 1
    if kind == "binary":
        assert row[6], f"{name} has no word for yes"


def test_a_targets_column_is_known_without_it_and_explained_by_it() -> None:
    """It looks the same; only the plugin knows what it means."""
    without, own = catalog(Targets([])), catalog(load_targets())
    for name in ("origin", "snap_percent"):
        plain, told = (c.column(c.need(name, "lv", "column")) for c in (without, own))
        assert (plain.heading, plain.kind, plain.width) == (told.heading, told.kind, told.width)
        assert (plain.help, told.help) == (HELP, next(spec.help for spec in SNAPSHOTS if spec.name == name))
    assert own.column(own.need("vdo_slab_size", "seg", "column")).help == HELP


def test_the_core_has_values_for_no_targets_column() -> None:
    known = {*volumes.VALUES, *segments.VALUES, *groups.VALUES, *physical.VALUES}
    assert not known & set(LAYOUT)


@pytest.mark.parametrize(
    ("values", "sections"),
    [(volumes.VALUES, ANY_LV), (groups.VALUES, VG), (physical.VALUES, PV | LABEL), (physical.RUN_VALUES, PVSEG),
     (segments.VALUES, SEG)],
)  # fmt: skip
def test_values_are_given_to_columns_of_their_own_section(values: dict, sections: int) -> None:
    for name in values:
        assert int(NAMES[name][1]) & sections


def test_every_column_of_groups_and_runs_has_a_value() -> None:
    for name, row in NAMES.items():
        if row[1] == VG:
            assert name in groups.VALUES
        if row[1] == PVSEG:
            assert name in physical.RUN_VALUES


def test_default_columns_exist() -> None:
    for kind, texts in DEFAULTS.items():
        prefix = {"lvs": "lv", "vgs": "vg", "pvs": "pv", "segs": "seg", "pvsegs": "pvseg"}[kind]
        for name in ",".join(texts).split(","):
            assert CATALOG.find(name, prefix) is not None, name


@pytest.mark.parametrize(
    ("name", "prefix", "found"),
    [
        ("lv_name", "vg", "lv_name"), ("name", "lv", "lv_name"), ("name", "vg", "vg_name"),
        ("name", "pv", "pv_name"),
        ("LVName", "pv", "lv_name"), ("l_v_n_a_m_e", "pv", "lv_name"), ("size", "seg", "seg_size"),
        ("start", "pvseg", "pvseg_start"), ("uuid", "lv", "lv_uuid"), ("origin", "lv", "origin"),
        ("tags", "seg", "seg_tags"), ("snap_percent", "lv", "snap_percent"), ("selected", "lv", "selected"),
        ("toy_count", "lv", "toy_count"), ("toyparts", "seg", "toy_parts"),
    ],
)  # fmt: skip
def test_names_match_without_case_underscores_and_the_reports_own_prefix(
    name: str, prefix: str, found: str
) -> None:
    at = CATALOG.find(name, prefix)
    assert at is not None
    assert CATALOG.column(at).name == found


@pytest.mark.parametrize(("name", "prefix"), [("name", "seg"), ("lvs_name", "lv"), ("", "lv"), ("size", "vgs")])
def test_other_names_match_nothing(name: str, prefix: str) -> None:
    assert CATALOG.find(name, prefix) is None


def test_groups_of_columns_are_sections() -> None:
    assert CATALOG.group("vg_all", "lv", LV) == VG
    assert CATALOG.group("PVALL", "lv", LV) == PV | LABEL
    assert CATALOG.group("all", "vg", VG | LVSTATUS) == VG | LVSTATUS
    assert CATALOG.group("all", "lv", LV) == ANY_LV
    assert CATALOG.group("everything", "lv", LV) == 0
    assert {CATALOG.column(at).name for at in CATALOG.in_sections(PVSEG)} == {"pvseg_start", "pvseg_size"}


def test_an_unknown_column_is_refused_with_those_that_are_close() -> None:
    with pytest.raises(UsageError) as refused:
        CATALOG.need("lv_nam", "lv", "column")
    assert refused.value.message == "unrecognised column 'lv_nam'"
    assert "lv_name" in refused.value.hint
    with pytest.raises(UsageError) as refused:
        CATALOG.need("xyzzy", "lv", "column")
    assert "help" in refused.value.hint


def test_plugins_add_columns_and_share_those_that_exist() -> None:
    added = [CATALOG.column(at) for at in CATALOG.in_sections(LVSTATUS | SEG)]
    names = [column.name for column in added if column.added]
    assert names == ["toy_friend", "toy_count", "toy_room", "toy_joy", "toy_broken", "toy_parts"]
    assert [column.heading for column in added if column.name == "data_percent"] == ["Data%"]


def test_help_lists_every_column_under_its_section() -> None:
    text = CATALOG.help()
    for name in (*NAMES, "toy_count", "lv_all", "vg_all", "pvseg_all"):
        assert f"    {name} " in text
    for title in ("Logical Volume Fields", "Volume Group Fields", "Physical Volume Label Fields", "Special Fields"):
        assert f"  {title}\n  {'-' * len(title)}\n" in text
    kinds = CATALOG.help(groups=False, kinds=True)
    assert "lv_all " not in kinds
    assert "Size of the volume. [size]" in kinds
    assert "[unselectable number]" in kinds


def test_width_zero_is_the_headings() -> None:
    assert Column(("x", SPECIAL, "string", "Heading", 0, "Help.")).width == 7
    assert Column(("x", SPECIAL, "string", "Heading", 3, "Help.")).width == 3
