"""UUIDs as LVM2 reads them, and names of groups that are one certain group."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.groups import a_group
from vmgr.core.errors import AmbiguousName, InvalidName, NotFound
from vmgr.core.ids import GroupName, Uuid, printed_uuid
from vmgr.core.view import GroupView, SystemView

PLAIN = st.text(st.sampled_from("0123456789ABCDEFxyz!#"), min_size=32, max_size=32)


@given(PLAIN, st.lists(st.integers(0, 31), max_size=40))
def test_hyphens_do_not_count_wherever_they_are(plain, places):
    text = "".join("-" * places.count(at) + character for at, character in enumerate(plain))
    assert Uuid(text) == plain
    assert Uuid(text).dashed == Uuid(plain).dashed
    assert Uuid(Uuid(text).dashed) == plain


@pytest.mark.parametrize("text", ["", "-" * 38, "a" * 31, "a" * 33, "a" * 31 + "_", "a" * 31 + "é", "a" * 31 + " "])
def test_anything_else_is_no_uuid(text):
    with pytest.raises(InvalidName, match="invalid UUID"):
        Uuid(text)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("8f0a2c-149f-3e11-ee8c-9002-42ac-120002", True),
        ("8f0a2c14-9f3e-11ee-8c90-0242ac120002", False),  # a group may be called so
        ("8f0a2c149f3e11ee8c900242ac120002", False),
        ("8f0a2c-149f-3e11-ee8c-9002-42ac-12000.", False),
        ("vg", False),
    ],
)
def test_a_group_is_named_by_its_uuid_as_reports_print_it(text, known):
    assert (printed_uuid(text) is not None) is known


def twins() -> tuple[SystemView, list[GroupView]]:
    from attrs import evolve

    groups = [evolve(a_group(3), name="twin", id=Uuid(letter * 32)) for letter in "ab"]
    views = [GroupView(group, {}) for group in groups]
    return SystemView(groups=tuple(views)), views


def test_a_name_that_two_groups_have_is_never_guessed_at():
    system, views = twins()
    with pytest.raises(AmbiguousName, match="multiple VGs found with the same name: twin") as caught:
        system.group("twin")
    assert len(caught.value.details) == 2
    for view in views:
        assert system.group(GroupName("twin", view.group.id)) is view
        assert system.group(view.group.id.dashed) is view


def test_a_group_that_has_gone_is_not_another_one_of_its_name():
    system, _ = twins()
    with pytest.raises(NotFound):
        system.group(GroupName("twin", Uuid("c" * 32)))
    with pytest.raises(NotFound, match="not found"):
        system.group(Uuid("c" * 32).dashed)


def test_the_name_of_a_certain_group_is_a_name():
    name = GroupName("vg", Uuid("a" * 32))
    assert name == "vg"
    assert f"{name}/lv" == "vg/lv"
