"""Names are understood in all the ways in which LVM2's users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.cli.names import group, subject, subjects, volume
from vmgr.core.errors import InvalidName, UsageError
from vmgr.core.subject import Subject

NONE: dict[str, str] = {}
DEFAULT = {"LVM_VG_NAME": "def"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("vg", Subject("vg")),
        ("vg/lv", Subject("vg", "lv")),
        ("vg//lv", Subject("vg", "lv")),
        ("vg/", Subject("vg")),
        ("/dev/vg/lv", Subject("vg", "lv")),
        ("//dev/vg/lv", Subject("vg", "lv")),
        ("/dev/vg", Subject("vg")),
        ("/dev/mapper/vg-lv", Subject("vg", "lv")),
        ("/dev/mapper/my--vg-my--lv", Subject("my-vg", "my-lv")),
        ("@tag", Subject(tag="tag")),
    ],
)
def test_a_group_or_volume_may_be_named_in_many_ways(text, expected):
    assert subject(text, NONE) == expected


def test_a_word_alone_is_a_volume_where_the_environment_names_a_group():
    assert subject("lv", DEFAULT) == Subject("def", "lv")
    assert subject("vg/lv", DEFAULT) == Subject("vg", "lv")
    assert subject("/dev/vg", DEFAULT) == Subject("vg")


def test_another_device_directory_is_honoured():
    assert subject("/tmp/dev/vg/lv", NONE, "/tmp/dev") == Subject("vg", "lv")
    with pytest.raises(InvalidName):
        subject("/dev/vg/lv", NONE, "/tmp/dev")


@pytest.mark.parametrize(
    "text", ["vg/lv/more", "/etc/passwd", "bad!name", "", "/", "-x", "vg/lv!", "@", "/dev/mapper/vg-lv-real", ".."]
)
def test_what_is_no_name_is_refused_with_status_3(text):
    with pytest.raises(UsageError) as caught:
        subject(text, NONE)
    assert caught.value.exit_code == 3


def test_each_subject_counts_once():
    assert subjects(["vg/a", "/dev/vg/a", "vg/b"], NONE) == (Subject("vg", "a"), Subject("vg", "b"))


def test_a_command_for_volumes_refuses_a_group():
    assert volume("vg/lv", NONE) == Subject("vg", "lv")
    assert volume("lv", DEFAULT) == Subject("def", "lv")
    with pytest.raises(UsageError, match="needs its group's name"):
        volume("lv", NONE)
    with pytest.raises(UsageError, match="names a group"):
        volume("/dev/vg", NONE)


def test_a_command_for_groups_refuses_a_volume():
    assert group("vg") == "vg"
    assert group("/dev/vg") == "vg"
    with pytest.raises(InvalidName, match="is not a group"):
        group("vg/lv")


@given(st.text(max_size=40), st.sampled_from([NONE, DEFAULT]))
def test_any_text_is_a_name_or_refused_as_usage(text, environ):
    try:
        found = subject(text, environ)
    except UsageError:
        return
    assert found.vg or found.tag
