"""With the kernel's devices as they were, the report is what LVM2's ``lvs`` printed, byte for byte."""

from __future__ import annotations

import re

import pytest

from tests.support.stacks import GOLDEN, STACKS, TARGETS, Stack, load_stack
from vmgr.core.view import GroupView, SystemView
from vmgr.report import DisplayRequest, ReportRequest, display, prepare, scan_lines, select

COLUMNS = (
    "vg_name,lv_name,lv_attr,segtype,stripes,stripe_size,chunk_size,origin,origin_size,data_percent,snap_percent,"
    "lv_merging,lv_merge_failed,lv_snapshot_invalid,lv_size,lv_full_name"
)
"""Those of ``make_lvm2_stacks.sh``."""


def system(made: Stack) -> SystemView:
    return SystemView((GroupView(made.group, {}),))


def here(made: Stack) -> SystemView:
    """The same with no physical volume missing, as if each had been found."""
    from types import MappingProxyType

    found = MappingProxyType({pv.id: _Found(pv.device) for pv in made.group.pvs})
    return SystemView((GroupView(made.group, found),))  # type: ignore[arg-type]


class _Found:
    mdas = ()

    def __init__(self, device: str) -> None:
        self.device = device


@pytest.mark.parametrize("name", STACKS)
def test_lvs_prints_what_lvm2_printed(name: str) -> None:
    made = load_stack(name)
    request = ReportRequest(
        "lvs", columns=(COLUMNS,), all=True, segments=True, units="s", suffix=False, separator="|"
    )
    report = prepare(request, TARGETS)
    assert report.text(here(made), made.live) == (GOLDEN / f"lvm2-{name}" / "lvs.txt").read_text()


@pytest.mark.parametrize("name", STACKS)
def test_a_report_asks_for_status_exactly_where_a_type_has_one(name: str) -> None:
    report = prepare(ReportRequest("lvs"), TARGETS)
    assert report.needs_live
    assert report.wants_status(system(load_stack(name))) == (name not in ("linear", "striped", "nowhere-mixed"))


def test_a_report_without_live_columns_asks_the_kernel_nothing() -> None:
    report = prepare(ReportRequest("lvs", columns=("lv_name,lv_size,vg_free",)), TARGETS)
    assert not report.needs_live
    assert not report.wants_status(system(load_stack("snapshot")))
    assert prepare(ReportRequest("lvs", columns=("lv_name,lv_active",)), TARGETS).needs_live
    assert prepare(ReportRequest("lvs", columns=("lv_name",), select="lv_kernel_minor>1"), TARGETS).needs_live


def test_a_missing_physical_volume_shows_in_the_letters() -> None:
    made = load_stack("snapshot")
    report = prepare(ReportRequest("lvs", columns=("lv_name,lv_attr,lv_health_status",)), TARGETS)
    text = report.text(system(made), {})
    assert re.findall(r"(\w+) +(\S+) +partial", text) == [("base", "owi---s-p-"), ("snap", "swi---s-p-")]


def test_a_volume_that_is_mere_bookkeeping_is_never_listed() -> None:
    made = load_stack("snapshots")
    assert [lv.name for lv in made.group.lvs if not lv.visible]
    for only in (None, frozenset(lv.id for lv in made.group.lvs)):
        report = prepare(ReportRequest("lvs", columns=("lv_name",), all=True, only=only), TARGETS)
        assert report.text(here(made), {}).split() == ["LV", "base", "snap", "snap-2"]


def test_a_merging_volume_is_hidden_unless_it_is_named_or_all_are_asked_for() -> None:
    made = load_stack("merge-started")
    names = ReportRequest("lvs", columns=("lv_name",))
    snap = made.group.lv_by_name["snap"].id
    assert "snap" not in prepare(names, TARGETS).text(here(made), {}).split()
    assert "[snap]" in prepare(names._replace(all=True), TARGETS).text(here(made), {})
    assert "[snap]" in prepare(names._replace(only=frozenset((snap,))), TARGETS).text(here(made), {})
    unmarked = names._replace(all=True, settings={"mark_hidden_devices": 0})
    assert "snap" in prepare(unmarked, TARGETS).text(here(made), {}).split()


def test_a_group_counts_its_volumes_and_snapshots() -> None:
    report = prepare(ReportRequest("vgs", columns=("lv_count,snap_count",), headings=0), TARGETS)
    assert report.text(here(load_stack("snapshots")), {}).split() == ["3", "2"]
    assert report.text(here(load_stack("linear")), {}).split() == ["3", "0"]


def test_ancestors_and_descendants_follow_the_origins() -> None:
    report = prepare(ReportRequest("lvs", columns=("lv_name,lv_ancestors,lv_descendants",), separator="|"), TARGETS)
    lines = report.text(here(load_stack("snapshots")), {}).split()
    assert lines[1:] == ["base||snap,snap-2", "snap|base|", "snap-2|base|"] or "base||snap,snap-2" in lines


def test_displays_tell_origins_and_copies() -> None:
    made = load_stack("snapshots")
    text = display(DisplayRequest("lv"), here(made), made.live, TARGETS)
    assert "LV snapshot status     source of\n                         snap [active]\n" in text
    assert "LV snapshot status     active destination for base\n" in text
    assert "Allocated to snapshot  0.00%\n" in text
    assert "COW-table size         8.00 MiB\n" in text
    assert "Snapshot chunk size    4.00 KiB\n" in text
    inactive = display(DisplayRequest("lv"), here(made), {}, TARGETS)
    assert "LV snapshot status     INACTIVE destination for base\n" in inactive
    assert "LV Status              NOT available\n" in inactive
    assert "LV Status" not in display(DisplayRequest("lv"), here(made), None, TARGETS)


def test_a_lost_snapshot_is_inactive_to_displays_and_scans() -> None:
    made = load_stack("snapshot-invalid")
    assert "snap [INACTIVE]" in display(DisplayRequest("lv"), here(made), made.live, TARGETS)
    lines = scan_lines(DisplayRequest("lv"), here(made), made.live, TARGETS).splitlines()
    assert [line.split("[")[0] for line in lines] == [
        "  ACTIVE   Original '/dev/vg/base' ",
        "  inactive Snapshot '/dev/vg/snap' ",
    ]


def test_selection_gives_a_test_of_uuids() -> None:
    made = load_stack("snapshots")
    chosen = select("lvs", "origin=base && data_percent<1", here(made), made.live, TARGETS)
    assert {lv.name for lv in made.group.lvs if chosen(lv.id)} == {"snap", "snap-2"}
    assert not select("vgs", "vg_name=other", here(made), {}, TARGETS)(made.group.id)
    assert select("vgs", "lv_name=snap", here(made), {}, TARGETS)(made.group.id)
