"""Which columns and rows a report has, in what order, and how it is laid out."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.support.report_toy import TARGETS, a_group, live, plain, system, uuid
from vmgr.core.errors import UsageError
from vmgr.core.ids import Tag
from vmgr.core.table import LiveDevice
from vmgr.core.view import SystemView
from vmgr.report import ReportRequest, prepare


def text(
    request: ReportRequest, view: SystemView | None = None, devices: dict[str, LiveDevice] | None = None
) -> str:
    return prepare(request, TARGETS).text(system() if view is None else view, devices or {})


def cells(columns: str, kind: str = "lvs", devices: dict[str, LiveDevice] | None = None, **fields: object) -> list:
    """Rows of cells, without headings."""
    request = ReportRequest(kind, columns=(columns,), separator="|", headings=0, **fields)  # type: ignore[arg-type]
    view = fields.pop("view", None)
    assert view is None
    return [line[2:].split("|") for line in text(request, None, devices).splitlines()]


def names(*options: str, kind: str = "lvs", **fields: object) -> list[str]:
    request = ReportRequest(kind, columns=options, **fields)  # type: ignore[arg-type]
    return [column.name for column in prepare(request, TARGETS).columns]


# -- which columns --------------------------------------------------------------------------------


def test_columns_are_added_left_out_and_replaced_in_order() -> None:
    plain_names = names()
    assert plain_names[:4] == ["lv_name", "vg_name", "lv_attr", "lv_size"]
    assert names("+devices") == [*plain_names, "devices"]
    assert names("-lv_name,attr") == [n for n in plain_names if n not in ("lv_name", "lv_attr")]
    assert names("name,size") == ["lv_name", "lv_size"]
    assert names("name", "+size", "-name", "+tags") == ["lv_size", "lv_tags"]
    assert names("+size", "name") == ["lv_name"]
    assert names(",name,,size,") == ["lv_name", "lv_size"]


def test_leaving_out_takes_the_last_of_equal_columns_and_minds_no_absent_one() -> None:
    assert names("name,size,name", "-lv_name") == ["lv_name", "lv_size"]
    assert names("name", "-size") == ["lv_name"]


def test_settings_replace_defaults() -> None:
    settings: dict[str, str | int] = {"lvs_cols": "vg_name", "lvs_cols_verbose": "lv_uuid", "lvs_sort": "lv_size"}
    assert names(settings=settings) == ["vg_name"]
    assert names(settings=settings, verbose=1) == ["lv_uuid"]
    assert names("+lv_name", settings=settings) == ["vg_name", "lv_name"]
    assert names(segments=True) == ["lv_name", "vg_name", "lv_attr", "stripes", "segtype", "seg_size"]


def test_all_includes_what_other_columns_bring_in() -> None:
    alone = names("all", sort="lv_name")
    assert "vg_name" not in alone
    assert {"lv_uuid", "lv_attr", "lv_kernel_major", "data_percent", "toy_count"} <= set(alone)
    assert "vg_free" in names("all")  # the default order is by group
    assert "vg_free" in names("all,vg_name", sort="lv_name")
    assert names("pvseg_all", kind="pvs") == ["pvseg_start", "pvseg_size"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ("lv_nane",)}, "unrecognised column 'lv_nane'"),
        ({"columns": ("+",)}, None),
        ({"columns": ("",)}, "empty list of columns"),
        ({"columns": ("#nothing",)}, "unrecognised column 'nothing'"),
        ({"sort": "-nothing"}, "unrecognised sort key 'nothing'"),
        ({"sort": "lv_name,-"}, "missing column name in sort order 'lv_name,-'"),
        ({"format": "xml"}, "unknown report format 'xml'"),
        ({"units": "q"}, "invalid units 'q'"),
        ({"columns": ("+pv_name",)}, "lvs cannot show columns of volumes and of physical volumes together"),
        ({"select": "pvseg_start=1"}, "lvs cannot show columns of volumes and of physical volumes together"),
        ({"select": "nothing=1"}, "unrecognised column in selection 'nothing'"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_read(fields: dict, message: str | None) -> None:
    if message is None:
        prepare(ReportRequest("lvs", **fields), TARGETS)
        return
    with pytest.raises(UsageError) as refused:
        prepare(ReportRequest("lvs", **fields), TARGETS)
    assert refused.value.message == message
    assert refused.value.exit_code == 3


def test_help_replaces_the_report() -> None:
    assert prepare(ReportRequest("lvs"), TARGETS).help == ""
    for option in ("help", "+help", "?"):
        assert "lv_name" in prepare(ReportRequest("lvs", columns=(option,)), TARGETS).help
    shown = prepare(ReportRequest("lvs", select="help"), TARGETS).help
    assert "since" in shown
    assert "[string list]" in shown


# -- which rows -----------------------------------------------------------------------------------


def test_hidden_volumes_are_listed_with_all_or_by_name() -> None:
    assert [row[0] for row in cells("lv_name")] == ["a", "friend", "strange", "toy"]
    assert [row[0] for row in cells("lv_name", all=True)] == ["a", "friend", "[leg]", "strange", "toy"]
    assert cells("lv_name", only=frozenset((uuid("leg"), uuid("a")))) == [["a"], ["[leg]"]]
    assert cells("lv_name", only=frozenset()) == []


def test_a_volume_of_a_copied_group_can_be_told_from_the_original() -> None:
    view = system(a_group("one"), a_group("two"))
    columns = ReportRequest("lvs", columns=("lv_full_name",), headings=0)
    both = columns._replace(only=frozenset((uuid("a"),)))
    assert text(both, view).split() == ["one/a", "two/a"]
    one = columns._replace(only=frozenset((uuid("two") + uuid("a"),)))
    assert text(one, view).split() == ["two/a"]


def test_volumes_of_an_exported_group_are_not_listed() -> None:
    group = a_group(status=("RESIZEABLE", "READ", "WRITE", "EXPORTED"))
    assert text(ReportRequest("lvs"), system(group)) == ""
    assert "wzx-n-" in text(ReportRequest("vgs"), system(group))
    assert text(ReportRequest("pvs"), system(group)).count("ax-") == 2


def test_a_group_may_be_picked_and_shown_by_its_parts() -> None:
    view = system(a_group("one"), a_group("two"))
    only = frozenset((uuid("two"),))
    assert text(ReportRequest("vgs", columns=("vg_name",), only=only, headings=0), view).split() == ["two"]
    parts = ReportRequest("vgs", columns=("vg_name,lv_name",), only=only, headings=0, separator="/")
    assert text(parts, view).split() == ["two/a", "two/toy", "two/friend", "two/strange"]
    parts = ReportRequest("vgs", columns=("vg_name,pv_name,pv_used",), only=only, headings=0, separator=",")
    assert text(parts, view).split() == ["two,/dev/pv0,32.00m", "two,/dev/pv1,0"]


def test_runs_of_physical_volumes_include_free_ones() -> None:
    rows = cells("pv_name,pvseg_start,pvseg_size,lv_name,segtype", "pvs", segments=True)
    assert rows == [
        ["/dev/pv0", "0", "5", "a", "linear"],
        ["/dev/pv0", "5", "2", "[leg]", "linear"],
        ["/dev/pv0", "7", "1", "friend", "linear"],
        ["/dev/pv0", "8", "92", "", "free"],
        ["/dev/pv1", "0", "100", "", "free"],
    ]


def test_a_missing_physical_volume_is_unknown_and_marked() -> None:
    view = system(missing=("pv0",))
    request = ReportRequest("pvs", columns=("pv_name,pv_attr,pv_missing,dev_size",), separator="|", headings=0)
    assert "  [unknown]|a-m|missing|0 " in text(request, view).splitlines()
    words = request._replace(settings={"two_word_unknown_device": 1})
    assert "  unknown device|a-m|missing|0 " in text(words, view).splitlines()
    attrs = ReportRequest("lvs", columns=("lv_name,lv_attr",), separator="|", headings=0, all=True)
    shown = dict(line[2:].split("|") for line in text(attrs, view).splitlines())
    assert {name: letters[8] for name, letters in shown.items()} == {
        "a": "p", "friend": "p", "[leg]": "p", "strange": "-", "toy": "p",
    }  # fmt: skip
    assert text(ReportRequest("vgs", columns=("vg_attr",), headings=0), view).strip() == "wz-pn-"


# -- order ----------------------------------------------------------------------------------------


def test_rows_are_sorted_by_each_key_in_its_direction() -> None:
    assert [row[0] for row in cells("lv_name", sort="-lv_size,lv_name")] == ["strange", "a", "toy", "friend"]
    assert [row[0] for row in cells("lv_name", sort="lv_size,-lv_name")] == ["friend", "toy", "a", "strange"]
    assert [row[0] for row in cells("lv_name", sort="-lv_name,lv_name")] == ["toy", "strange", "friend", "a"]
    assert [row[0] for row in cells("lv_name", sort="")] == ["a", "toy", "friend", "strange"]


def test_undefined_numbers_come_last_and_sizes_sort_by_size() -> None:
    assert [row[0] for row in cells("lv_name", sort="toy_count,lv_name")] == ["toy", "a", "friend", "strange"]
    assert [row[0] for row in cells("lv_name", sort="-toy_room,lv_name")] == ["a", "friend", "strange", "toy"]


def test_unbuffered_rows_are_neither_sorted_nor_aligned_with_each_other() -> None:
    request = ReportRequest("lvs", columns=("lv_name,lv_size",), buffered=False)
    assert text(request) == "  LV   LSize \n  a    20.00m\n  toy  8.00m\n  friend 4.00m\n  strange 36.00m\n"
    assert text(request._replace(sort="lv_name")).splitlines()[2].startswith("  friend")


# -- what plugins say -----------------------------------------------------------------------------


def test_plugins_columns_show_what_they_say_and_nothing_for_others() -> None:
    group = a_group()
    devices = live(group, "toy", status="12.5")
    columns = "lv_name,toy_friend,toy_count,toy_room,toy_joy,toy_broken,data_percent"
    assert cells(columns, devices=devices) == [
        ["a", "", "", "", "", "unknown", ""],
        ["friend", "", "", "", "", "unknown", ""],
        ["strange", "", "", "", "", "unknown", ""],
        ["toy", "friend", "3", "2.00m", "12.50", "", "12.50"],
    ]
    assert cells("lv_name,toy_joy,toy_broken", devices=live(group, "toy", status="100"))[3] == [
        "toy",
        "100.00",
        "broken",
    ]
    assert cells("lv_name,toy_parts", segments=True)[3] == ["toy", "wheel,door"]


def test_plugins_letters_go_into_the_attributes() -> None:
    group = a_group()
    inactive = {row[0]: row[1] for row in cells("lv_name,lv_attr", all=True)}
    assert inactive == {
        "a": "-wi-------", "friend": "-wi---F---", "[leg]": "-wi-------", "strange": "-wi---u---",
        "toy": "Twi---tzh-",
    }  # fmt: skip
    for fields, letters in (
        ({"open_count": 2}, "TwiIotzh-"), ({"suspended": True}, "Twii-tzh-"),
        ({"has_live": False, "has_inactive": True}, "Twii-tzh-"), ({"has_live": False}, "Twid-tzh-"),
        ({"read_only": True}, "TRiI-tzh-"),
    ):  # fmt: skip
        devices = live(group, "toy", status="1", **fields)
        shown = dict(cells("lv_name,lv_attr", devices=devices))["toy"]
        assert shown == letters[:3] + "-" + letters[3:], fields


def test_the_core_s_letters_come_from_status_and_the_kernel() -> None:
    view = system(
        a_group(
            "vg",
            plain("ro", 20, 1, "READ", "VISIBLE"),
            plain("locked", 21, 1, "READ", "WRITE", "VISIBLE", "LOCKED", alloc="contiguous"),
            plain("minor", 22, 1, "READ", "WRITE", "VISIBLE", "FIXED_MINOR", minor=7, alloc="anywhere"),
            plain("skip", 23, 1, alloc="cling", flags=("ACTIVATION_SKIP",)),
            plain("move", 24, 1, "READ", "WRITE", "VISIBLE", "PVMOVE", alloc="normal"),
            plain("conv", 25, 1, "READ", "WRITE", "VISIBLE", "CONVERTING", alloc="cling_by_tags"),
        )
    )
    request = ReportRequest("lvs", columns=("lv_name,lv_attr",), separator="|", headings=0)
    shown = dict(line[2:].split("|") for line in text(request, view).splitlines())
    assert shown == {
        "a": "-wi-------", "friend": "-wi---F---", "strange": "-wi---u---", "toy": "Twi---tzh-", "ro": "-ri-------",
        "locked": "-wC-------", "minor": "-wam------", "skip": "-wl------k", "move": "p-n---m---",
        "conv": "cwt-------",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({}, ["active", "active locally", "254", "3", "writeable", "", "live table present", "", ""]),
        ({"suspended": True, "open_count": 1, "has_inactive": True, "read_only": True},
         ["active", "active locally", "254", "3", "read-only-override", "suspended", "live table present",
          "inactive table present", "open"]),
    ],
)  # fmt: skip
def test_columns_about_the_device_show_what_the_kernel_has(fields: dict, row: list[str]) -> None:
    columns = (
        "lv_active,lv_active_locally,lv_kernel_major,lv_kernel_minor,lv_permissions,lv_suspended,lv_live_table,"
        "lv_inactive_table,lv_device_open"
    )
    devices = live(a_group(), "a", **fields)
    assert cells(columns, devices=devices, only=frozenset((uuid("a"),))) == [row]
    assert cells(columns, only=frozenset((uuid("a"),))) == [
        ["", "", "-1", "-1", "unknown", "unknown", "unknown", "unknown", "unknown"]
    ]


def test_read_ahead_in_the_kernel_comes_from_the_caller() -> None:
    report = prepare(ReportRequest("lvs", columns=("lv_name,lv_kernel_read_ahead",), headings=0), TARGETS)
    devices = live(a_group(), "a")
    shown = report.text(
        system(), devices, read_ahead=lambda major, minor: 256 if (major, minor) == (254, 3) else None
    )
    assert shown.split() == ["a", "128.00k", "friend", "-1", "strange", "-1", "toy", "-1"]


def test_roles_layouts_and_parents_follow_the_structure() -> None:
    assert cells("lv_name,lv_layout,lv_role,lv_parent", all=True) == [
        ["a", "linear", "public", ""],
        ["friend", "linear", "public,befriended", ""],
        ["[leg]", "linear", "private", "toy"],
        ["strange", "odd", "public", ""],
        ["toy", "toy", "public", ""],
    ]


def test_what_lies_beneath_is_shown_in_words_and_ranges() -> None:
    assert cells("lv_name,devices,seg_pe_ranges,seg_le_ranges", all=True) == [
        ["a", "/dev/pv0(0)", "/dev/pv0:0-4", "/dev/pv0:0-4"],
        ["friend", "/dev/pv0(7)", "/dev/pv0:7-7", "/dev/pv0:7-7"],
        ["[leg]", "/dev/pv0(5)", "/dev/pv0:5-6", "/dev/pv0:5-6"],
        ["strange", "", "", ""],
        ["toy", "leg(0)", "leg:0-1", "[leg]:0-1"],
    ]


# -- layout ---------------------------------------------------------------------------------------


def test_columns_are_aligned_and_headings_cut_to_their_width() -> None:
    request = ReportRequest("lvs", columns=("lv_name,lv_size,data_percent,lv_fixed_minor",))
    assert text(request).splitlines()[:2] == [
        "  LV      LSize  Data%  FixMin    ",
        "  a       20.00m                  ",
    ]
    assert text(ReportRequest("lvs", columns=("lv_initial_image_sync",))).splitlines()[0] == "  InitImgSyn"


def test_full_headings_are_column_names() -> None:
    request = ReportRequest("lvs", columns=("lv_name,seg_count",), headings=2)
    assert text(request).splitlines()[:2] == ["  lv_name seg_count", "  a               1"]


def test_binary_values_may_be_numbers() -> None:
    assert cells("lv_name,lv_merging,lv_suspended,lv_autoactivation", binary=True)[0] == ["a", "0", "-1", "1"]
    settings: dict[str, str | int] = {"binary_values_as_numeric": 1}
    assert cells("lv_name,lv_autoactivation", settings=settings)[0] == ["a", "1"]


def test_lists_are_sorted_and_separated_as_told() -> None:
    assert cells("lv_tags")[0] == ["b2,t1"]
    assert cells("lv_tags", settings={"list_item_separator": ";"})[0] == ["b2;t1"]


def test_times_follow_the_format() -> None:
    assert cells("lv_time", settings={"time_format": "%s"})[0] == ["1700000000"]
    assert cells("lv_time")[1] == [""]


def test_empty_columns_can_be_left_out() -> None:
    columns = "lv_name,lv_tags,origin,toy_count,pool_lv"
    request = ReportRequest("lvs", columns=(columns,), separator="|", settings={"compact_output": 1})
    assert text(request).splitlines()[0] == "  LV|LV Tags|#Toys|"
    some = ReportRequest("lvs", columns=(columns, "#origin,lv_tags"), separator="|")
    assert text(some).splitlines()[0] == "  LV|LV Tags|#Toys|Pool"
    some = some._replace(columns=(columns,), settings={"compact_output_cols": "pool_lv"})
    assert text(some).splitlines()[0] == "  LV|LV Tags|Origin|#Toys|"


def test_a_report_without_rows_is_empty_unless_it_is_json() -> None:
    assert text(ReportRequest("lvs"), SystemView()) == ""
    assert json.loads(text(ReportRequest("lvs", format="json"), SystemView())) == {"report": [{"lv": []}]}


def test_selected_rows_can_be_marked_instead_of_picked() -> None:
    assert cells("lv_name,selected", select="lv_name=a") == [
        ["a", "1"],
        ["friend", "0"],
        ["strange", "0"],
        ["toy", "0"],
    ]
    assert cells("lv_name", select="lv_name=a") == [["a"]]


def test_json_has_a_string_for_each_cell() -> None:
    request = ReportRequest(
        "lvs", columns=("lv_name,lv_size,seg_count,lv_tags",), format="json", aligned=True, headings=0
    )
    found = json.loads(text(request))["report"][0]["lv"]
    assert found[0] == {"lv_name": "a", "lv_size": "20.00m", "seg_count": "1", "lv_tags": "b2,t1"}
    kinds = {
        kind: list(json.loads(text(ReportRequest(kind, format="json")))["report"][0]) for kind in ("vgs", "pvs")
    }
    assert kinds == {"vgs": ["vg"], "pvs": ["pv"]}


def test_standard_json_has_numbers_lists_and_null() -> None:
    columns = "lv_name,lv_size,seg_count,lv_tags,toy_count,toy_joy,lv_merging,lv_major,lv_suspended"
    request = ReportRequest("lvs", columns=(columns,), format="json_std")
    found = json.loads(text(request, devices=live(a_group(), "toy", status="12.5")))["report"][0]["lv"]
    assert found[0] == {
        "lv_name": "a", "lv_size": "20.00m", "seg_count": 1, "lv_tags": ["b2", "t1"], "toy_count": None,
        "toy_joy": None, "lv_merging": 0, "lv_major": -1, "lv_suspended": -1,
    }  # fmt: skip
    assert found[3] == {
        "lv_name": "toy", "lv_size": "8.00m", "seg_count": 1, "lv_tags": [], "toy_count": 3, "toy_joy": 12.5,
        "lv_merging": 0, "lv_major": -1, "lv_suspended": 0,
    }  # fmt: skip


TAGS = st.text("abc019._+/=!:#&-", min_size=1, max_size=8).filter(lambda t: not t.startswith("-")).map(Tag)


@given(
    sizes=st.lists(st.integers(1, 10**6), max_size=12),
    tags=st.lists(st.lists(TAGS, max_size=3, unique=True), min_size=12, max_size=12),
    separator=st.sampled_from([None, " | ", "%s", "%d%%"]),
)
def test_every_row_of_an_aligned_report_is_as_long_as_its_headings(
    sizes: list[int], tags: list[list[Tag]], separator: str | None
) -> None:
    lvs = tuple(plain(f"v{n}", 0, size, tags=tuple(tags[n])) for n, size in enumerate(sizes))
    view = system(evolve(a_group(), lvs=lvs))
    columns = "lv_name,lv_size,lv_tags,seg_count,lv_attr,lv_uuid,vg_name,vg_size"
    request = ReportRequest("lvs", columns=(columns,), separator=separator, aligned=True)
    lines = text(request, view).splitlines()
    assert len(lines) == (len(sizes) + 1 if sizes else 0)
    assert len({len(line) for line in lines}) <= 1
    rows = json.loads(text(request._replace(format="json"), view))["report"][0]["lv"]
    for line, row in zip(lines[1:], rows, strict=True):
        for cell in row.values():
            assert cell in line


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from("abc")), max_size=20))
def test_sorting_is_stable_and_complete(shapes: list[tuple[int, str]]) -> None:
    lvs = tuple(plain(f"v{n:02}", 0, size, tags=(Tag(tag),)) for n, (size, tag) in enumerate(shapes))
    view = system(evolve(a_group(), lvs=lvs))
    request = ReportRequest("lvs", columns=("lv_name",), sort="-lv_size,lv_tags", headings=0)
    expected = sorted(lvs, key=lambda lv: (-int(lv.size), lv.tags))
    assert text(request, view).split() == [str(lv.name) for lv in expected]


# -- what is not known ----------------------------------------------------------------------------

OF_THE_KERNEL = (
    "lv_active,lv_active_locally,lv_active_remotely,lv_active_exclusively,lv_suspended,lv_live_table,"
    "lv_inactive_table,lv_device_open"
)
"""Columns that only the kernel can answer for every volume."""


def test_what_only_the_kernel_knows_is_unknown_without_it_and_not_no() -> None:
    request = ReportRequest("lvs", columns=(f"lv_attr,{OF_THE_KERNEL}",), separator="|", headings=0)
    for line in prepare(request, TARGETS).text(system(), None).splitlines():
        letters, *others = line[2:].split("|")
        assert letters[4:6] == "XX"
        assert set(others) == {"unknown"}
    for line in prepare(request, TARGETS).text(system(), {}).splitlines():
        letters, active, *others = line[2:].split("|")
        assert letters[4:6] == "--"
        assert (active, *others[:3]) == ("", "", "", "")


def test_every_column_about_activity_asks_the_kernel() -> None:
    for column in OF_THE_KERNEL.split(","):
        assert prepare(ReportRequest("lvs", columns=(column,)), TARGETS).needs_live, column


@pytest.mark.parametrize(
    ("criteria", "without", "inactive"),
    [("lv_active=unknown", True, False), ("lv_active=active", False, False), ('lv_active=""', False, True),
     ("lv_active_locally=unknown", True, False), ("lv_active_locally=0", False, True)],
)  # fmt: skip
def test_a_selection_takes_what_is_unknown_for_neither_yes_nor_no(
    criteria: str, without: bool, inactive: bool
) -> None:
    report = prepare(ReportRequest("lvs", columns=("lv_name",), select=criteria, headings=0), TARGETS)
    assert bool(report.text(system(), None)) is without
    assert bool(report.text(system(), {})) is inactive
