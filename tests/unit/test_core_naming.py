"""Names of devices taken apart as libdevmapper does it."""

from __future__ import annotations

import random
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.cli.main import main
from vmgr.core.naming import dm_name, split_dm_name

NAMES = st.text(st.sampled_from("ab._-"), min_size=1, max_size=8).filter(lambda name: name[0] != "-")


@given(NAMES, NAMES, st.one_of(st.just(""), st.sampled_from(["real", "cow", "tpool", "x-y"])))
def test_a_name_comes_apart_into_what_it_was_made_of(vg, lv, layer):
    assert split_dm_name(dm_name(vg, lv, layer)) == (vg, lv, layer)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a-b-c-d", ("a", "b", "c")),
        ("a-b-c-d-e", ("a", "b", "c")),
        ("a-b--c-d--e-f", ("a", "b-c", "d-e")),
        ("vg", ("vg", "", "")),
        ("vg-", ("vg-", "", "")),
        ("-a", ("", "a", "")),
        ("--", ("-", "", "")),
        ("", ("", "", "")),
    ],
)
def test_what_follows_the_layer_is_left_out_as_dmsetup_leaves_it_out(name, parts):
    assert split_dm_name(name) == parts


def test_splitname_prints_it(capsys):
    assert main(["vmgr", "dm", "splitname", "--noheadings", "-c", "--separator", ":", "a-b-c-d"]) == 0
    assert capsys.readouterr().out == "a:b:c\n"


@pytest.mark.skipif(not shutil.which("dmsetup"), reason="expected: dmsetup is not installed")
def test_dmsetup_takes_names_apart_alike():
    """Names of hyphens and letters at random."""
    chance = random.Random(7)
    for _ in range(60):
        name = "a" + "".join(chance.choice("-ab") for _ in range(chance.randrange(12)))
        done = subprocess.run(
            ["dmsetup", "splitname", "--noheadings", "-c", "--separator", ":", name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.rstrip("\n").split(":") == list(split_dm_name(name)), name
