"""The selection language: what parses, what is refused and how, and which rows pass."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.report_toy import TARGETS, a_group, live, plain, system
from vmgr.core.errors import UsageError
from vmgr.core.ids import Tag
from vmgr.report import ReportRequest, prepare
from vmgr.report.columns import catalog
from vmgr.report.comparisons import reserved_words
from vmgr.report.selection import parse_selection

CATALOG = catalog(TARGETS)
GROUP = a_group("vg", plain("big", 20, 60, tags=(Tag("t1"),)), plain("in-use", 8, 1, created=1_700_003_600))
VIEW = system(GROUP)
DEVICES = live(GROUP, "toy", status="12.5")


def passing(criteria: str, kind: str = "lvs") -> list[str]:
    """Names of the volumes (or PVs) that pass."""
    name = {"lvs": "lv_name", "pvs": "pv_name", "vgs": "vg_name"}[kind]
    request = ReportRequest(kind, columns=(name,), select=criteria, headings=0, now=1_700_000_000)
    return prepare(request, TARGETS).text(VIEW, DEVICES).split()


ALL = ["a", "big", "friend", "in-use", "strange", "toy"]


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ("", ALL),
        ("all", ALL),
        (" ALL ", ALL),
        ("lv_name=a", ["a"]),
        ("name = 'a'", ["a"]),
        ('name="in-use"', ["in-use"]),
        ("lv_name!=a", ALL[1:]),
        ("lvname=a||lvname=toy", ["a", "toy"]),
        ("lv_name=a # lv_name=toy", ["a", "toy"]),
        ("size>4m && size<36m", ["a", "toy"]),
        ("size>4m,size<36m", ["a", "toy"]),
        ("size=4m || size=240m && tags=t1", ["big", "friend", "in-use"]),
        ("(size=4m || size=240m) && tags=t1", ["big"]),
        ("!(size=4m || tags=t1)", ["strange", "toy"]),
        ("((size=4m))", ["friend", "in-use"]),
        ("size>=36", ["big", "strange"]),
        ("size=0.234375g", ["big"]),
        ("size<5000000b", ["friend", "in-use"]),
        ("size=8192s", ["friend", "in-use"]),
        ("size<=4.2M", ["friend", "in-use"]),
        ("tags=t1", ["a", "big"]),
        ("tags={t1,b2}", ["a"]),
        ("tags=[t1]", ["big"]),
        ("tags=[b2 && t1]", ["a"]),
        ("tags={b2||zz}", ["a"]),
        ("tags=[t1#b2]", ["a", "big"]),
        ('tags=""', ["friend", "in-use", "strange", "toy"]),
        ("tags!=t1", ["friend", "in-use", "strange", "toy"]),
        ("tags={'t1' , \"b2\"}", ["a"]),
        ("tags={t1}", ["a", "big"]),
        ("name=~i", ["big", "friend", "in-use"]),
        ("name=~^i", ["in-use"]),
        ("name!~'[a-m]$'", ["toy"]),
        ("name=~'^(a|toy)$'", ["a", "toy"]),
        ("name=~{big}", ["big"]),
        ("name=~in\\-use", ["in-use"]),
        ("toy_count=3", ["toy"]),
        ("toy_count!=3", ALL[:-1]),
        ("toy_count=undefined", ALL[:-1]),
        ("toy_count>0", ["toy"]),
        ("toy_count<9", ["toy"]),
        ("toy_count=-1", ALL[:-1]),
        ("toy_room=2m", ["toy"]),
        ("toy_room<9m", ["toy"]),
        ("toy_room!=2m", ALL[:-1]),
        ("data_percent=12.5", ["toy"]),
        ("data_percent<50%", ["toy"]),
        ("data_percent!=3", ["toy"]),
        ("toy_broken=no", ["toy"]),
        ("toy_broken=broken", []),
        ("toy_broken=unknown", ALL[:-1]),
        ("lv_active=active", ["toy"]),
        ("lv_active_locally=locally", ["toy"]),
        ('lv_active_locally="active locally"', ["toy"]),
        ("lv_permissions=rw", ["toy"]),
        ("lv_permissions=unknown", ALL[:-1]),
        ("lv_health_status=undefined", ALL),
        ("lv_read_ahead=auto", ALL),
        ("lv_read_ahead!=auto", []),
        ("lv_read_ahead>4k", []),
        ("vg_mda_copies=unmanaged", ALL),
        ("lv_time=@1700000000", ["a"]),
        ("lv_time>@1700000000", ["in-use"]),
        ("lv_time<1990", ["big", "friend", "strange", "toy"]),
        ("lv_time since 2000", ["a", "in-use"]),
        ("lv_time!=2023", ["big", "friend", "strange", "toy"]),
        ("stripes=1 && segtype=linear", ["a", "big", "friend", "in-use"]),
        ("toy_parts={door}", ["toy"]),
        ("vg_name=vg && vg_extent_count>150", ALL),
        ("lv_minor=undef", ALL),
    ],
)
def test_rows_pass(criteria: str, names: list[str]) -> None:
    assert passing(criteria) == sorted(set(names))


@pytest.mark.parametrize(
    ("criteria", "devices"),
    [("pv_used=0", ["/dev/pv1"]), ("pv_name=~1$", ["/dev/pv1"]), ("pv_attr=a--", ["/dev/pv0", "/dev/pv1"]),
     ("pv_in_use='in use'", ["/dev/pv0", "/dev/pv1"]), ("pv_missing=missing", [])],
)  # fmt: skip
def test_physical_volumes_pass(criteria: str, devices: list[str]) -> None:
    assert passing(criteria, "pvs") == devices


@pytest.mark.parametrize(
    ("criteria", "what"),
    [
        ("lv_name", "expected an operator such as = or >= at ''"),
        ("lv_name ~ a", "expected an operator such as = or >= at '~ a'"),
        ("= a", "expected the name of a column at '= a'"),
        ("lv_name=a lv_name=b", "expected && or || at 'lv_name=b'"),
        ("lv_name=a &&", "expected the name of a column at ''"),
        ("(lv_name=a", "expected ) at ''"),
        ("lv_name=a)", "expected && or || at ')'"),
        ("!lv_name=a", "expected ( after ! at 'lv_name=a'"),
        ("lv_name='a", "missing ' at \"'a\""),
        ("lv_name>a", "> goes with numbers, sizes, percentages and times, and lv_name is a string at 'a'"),
        ("lv_tags>a", "> goes with numbers, sizes, percentages and times, and lv_tags is a list at 'a'"),
        ("lv_tags=~a", "=~ goes with strings only, and lv_tags is a list at 'a'"),
        ("lv_size=~1", "=~ goes with strings only, and lv_size is a size at '1'"),
        ("lv_size since 1", "since goes with times only, and lv_size is a size at ' 1'"),
        ("lv_size=big", "expected a size at 'big'"),
        ("lv_size=4x", "unknown unit at 'x'"),
        ("seg_count=x", "expected a number at 'x'"),
        ("seg_count=5%", "expected a number, not a percentage, at '%'"),
        ("data_percent=101", "a percentage is at most 100, at ''"),
        ("data_percent=x", "expected a percentage at 'x'"),
        ("lv_name=~'[a'", "regular expression: unterminated character set at position 0, at \"'[a'\""),
        ("lv_name=~'(?i)a'", "regular expression: nothing before ?, at \"'(?i)a'\""),
        ("tags=[a,b||c]", "a list has one kind of operator, not before at ''"),
        ("tags=[a,b}", "the list must end with ], not before at ''"),
        ("tags=[a b]", "expected ] at 'b]'"),
        ("tags=[a", "expected ] at ''"),
        ("selected=1", "column selected cannot be selected by at 'selected=1'"),
    ],
)
def test_what_does_not_parse_is_refused_where_it_stands(criteria: str, what: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_selection(criteria, CATALOG, "lv", 0)
    assert refused.value.message.startswith(f"selection: {what}".split(" at ")[0])
    assert refused.value.hint


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(UsageError, match="unrecognised column in selection 'lv_sizes'") as refused:
        parse_selection("lv_sizes=1", CATALOG, "lv", 0)
    assert "lv_size" in refused.value.hint


def test_words_about_the_present_need_a_clock() -> None:
    with pytest.raises(UsageError, match="without a clock"):
        parse_selection("lv_time since yesterday", CATALOG, "lv", None)


def test_every_reserved_word_is_understood() -> None:
    for at in range(len(CATALOG._rows)):
        column = CATALOG.column(at)
        if column.kind in ("binary", "string", "number"):
            for _, words in reserved_words(column):
                for word in words:
                    parse_selection(
                        f'{column.name}="{word}"' if column.section < 1 << 30 else "all", CATALOG, "lv", 0
                    )


# -- properties -----------------------------------------------------------------------------------

TERMS = st.sampled_from(
    ["size>4m", "size=240m", "name=~i", "tags=t1", "tags={t1,b2}", "toy_count>1", "toy_count!=2", "data_percent<50",
     "lv_time since 2000", "lv_merging=no", "lv_read_ahead=auto", "toy_room<1g"]
)  # fmt: skip


def expressions() -> st.SearchStrategy[str]:
    return st.recursive(
        TERMS,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["&&", "||", ",", "#", " && ", " || "]), inner).map("".join),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"!({text})"),
        ),
        max_leaves=6,
    )


@given(expressions())
def test_a_selection_and_its_negation_divide_the_rows(criteria: str) -> None:
    chosen, others = passing(criteria), passing(f"!({criteria})")
    assert sorted(chosen + others) == ALL


@given(expressions(), expressions())
def test_and_and_or_are_intersection_and_union(one: str, two: str) -> None:
    first, second = set(passing(one)), set(passing(two))
    assert set(passing(f"({one}) && ({two})")) == first & second
    assert set(passing(f"({one}) || ({two})")) == first | second


@given(st.text("lv_name=<>!~&|,#()[]{}'\" ab10%.@-", max_size=24))
def test_any_text_parses_or_is_refused_politely(text: str) -> None:
    with contextlib.suppress(UsageError):
        parse_selection(text, CATALOG, "lv", 0)
