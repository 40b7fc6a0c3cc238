"""The command line is parsed as LVM2 parses it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.cli.declare import Argument, Command, Option
from vmgr.cli.parse import check, parse
from vmgr.core.amounts import Percent, SizeSpec
from vmgr.core.errors import InvalidSize, UsageError
from vmgr.core.units import Extents, Sectors

OPTIONS = (
    Option("activate", "activation", "", "a", aliases=("available",)),
    Option("addtag", "tag", "", many=True),
    Option("alloc", "word", "", choices=("normal", "cling")),
    Option("extents", "extents", "", "l", sign="+-"),
    Option("force", "count", "", "f"),
    Option("help", "flag", "", "h"),
    Option("major", "number", "", "j"),
    Option("name", "text", "", "n"),
    Option("noheadings", "flag", ""),
    Option("nosuffix", "flag", ""),
    Option("permission", "permission", "", "p"),
    Option("readahead", "readahead", "", "r"),
    Option("size", "size", "", "L", sign="+-"),
    Option("verbose", "count", "", "v"),
    Option("vgmetadatacopies", "copies", ""),
    Option("yes", "flag", "", "y"),
    Option("zero", "yesno", "", "Z"),
)
COMMAND = Command("lvtry", "Try.", usages=("VG",), options=OPTIONS, unsupported=("mirrors/m", "nosync"))


def values(*words: str) -> dict[str, object]:
    return parse(COMMAND, OPTIONS, words).values


def arguments(*words: str) -> list[str]:
    return parse(COMMAND, OPTIONS, words).arguments


@pytest.mark.parametrize("words", [["--noheadings"], ["--noh"], ["--no-headings"], ["--no-h"], ["--n-o-h"]])
def test_a_long_option_may_be_shortened_and_its_hyphens_do_not_count(words):
    assert values(*words) == {"noheadings": True}


@pytest.mark.parametrize(
    "words", [["--size=1g"], ["--size", "1g"], ["-L1g"], ["-L", "1g"], ["-yL1g"], ["-yL", "1g"], ["--si", "1g"]]
)
def test_a_value_follows_after_an_equals_sign_or_as_the_next_word_or_in_the_cluster(words):
    assert values(*words)["size"] == SizeSpec(Sectors(2097152))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-an"], {"activate": "n"}),
        (["-aey"], {"activate": "y"}),
        (["-aay"], {"activate": "ay"}),
        (["--available", "y"], {"activate": "y"}),
        (["-l100%FREE"], {"extents": SizeSpec(Percent(100, "FREE"))}),
        (["-l", "+50%v"], {"extents": SizeSpec(Percent(50, "VG"), "+")}),
        (["-l7"], {"extents": SizeSpec(Extents(7))}),
        (["-L+1g"], {"size": SizeSpec(Sectors(2097152), "+")}),
        (["-L", "-1m"], {"size": SizeSpec(Sectors(2048), "-")}),
        (["-vvv"], {"verbose": 3}),
        (["-vyv", "-v"], {"verbose": 3, "yes": True}),
        (["-ff", "--force"], {"force": 3}),
        (["-Zn"], {"zero": False}),
        (["-Z", "y"], {"zero": True}),
        (["-pr"], {"permission": "r"}),
        (["-p", "wr"], {"permission": "rw"}),
        (["-rauto"], {"readahead": -1}),
        (["-r", "none"], {"readahead": 0}),
        (["-r", "8k"], {"readahead": 16}),
        (["-r256"], {"readahead": 256}),
        (["-j", "253"], {"major": 253}),
        (["--vgmetadatacopies", "all"], {"vgmetadatacopies": 2**32 - 1}),
        (["--vgmetadatacopies", "unmanaged"], {"vgmetadatacopies": 0}),
        (["--vgmetadatacopies", "2"], {"vgmetadatacopies": 2}),
        (["--addtag", "@a", "--addt", "b"], {"addtag": ("a", "b")}),
        (["-n", "-odd"], {"name": "-odd"}),
        (["--name=--x"], {"name": "--x"}),
        (["--name="], {"name": ""}),
        (["--alloc", "cling"], {"alloc": "cling"}),
        (["-?"], {"help": True}),
    ],
)
def test_options_mean_what_they_mean_to_lvm2(words, expected):
    assert values(*words) == expected


def test_options_and_arguments_mix_and_two_hyphens_end_the_options():
    parsed = parse(COMMAND, OPTIONS, ["vg", "-y", "/dev/sdb:0-9", "--noh", "-", "--", "-L", "--yes"])
    assert parsed.arguments == ["vg", "/dev/sdb:0-9", "-", "-L", "--yes"]
    assert parsed.values == {"yes": True, "noheadings": True}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--nos"], "ambiguous"),  # nosuffix and LVM2's nosync, which vmgr does not have
        (["--no"], "--noheadings, --nosuffix, --nosync"),
        (["--bogus"], "unknown option --bogus"),
        (["-X"], "unknown option -X"),
        (["-yX"], "unknown option -X"),
        (["--size"], "needs a value"),
        (["-L"], "needs a value"),
        (["--noheadings=1"], "takes no value"),
        (["--="], "unknown option"),
        (["-y", "-y"], "-y/--yes may not be repeated"),
        (["-L1", "--size", "2"], "-L/--size may not be repeated"),
        (["--mirrors", "1"], "vmgr does not make RAID volumes yet (--mirrors)"),
        (["-m1"], "vmgr does not make RAID volumes yet (--mirrors)"),
        (["--mirr", "1"], "vmgr does not make RAID volumes yet (--mirrors)"),
        (["-Zmaybe"], "neither y nor n"),
        (["--alloc", "best"], "not one of normal, cling"),
        (["-ax"], "'x' is not y, n or ay"),
        (["-pw"], "'w' is not r or rw"),
        (["--addtag", "a b"], "invalid tag"),
    ],
)
def test_a_wrong_option_is_refused_with_status_3_and_says_why(words, says):
    with pytest.raises(UsageError) as caught:
        values(*words)
    assert says in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "words",
    [
        ["-L", "5x"],
        ["-L", ""],
        ["-L+-1"],
        ["-L1e400"],
        ["-L99999999999999999999g"],
        ["-l", "10%FOO"],
        ["-l", "99999999999999999999"],
        ["-j", "-1"],
        ["-j", "99999999999999999999999"],
        ["-j", "٣"],
        ["-r", "lots"],
        ["-r", "-1"],
    ],
)
def test_a_size_or_number_that_makes_no_sense_names_its_option(words):
    with pytest.raises(InvalidSize) as caught:
        values(*words)
    assert caught.value.message.startswith("invalid value for -")


def test_an_unknown_option_is_answered_with_similar_ones():
    with pytest.raises(UsageError) as caught:
        values("--noheadngs")
    assert caught.value.hint == "did you mean --noheadings?"


def test_an_option_that_plugins_add_is_no_longer_refused():
    mirrors = Option("mirrors", "number", "", "m")
    assert parse(COMMAND, (*OPTIONS, mirrors), ["-m1"]).values == {"mirrors": 1}


@given(st.lists(st.text(max_size=12), max_size=8))
def test_whatever_is_typed_is_parsed_or_refused_as_usage(words):
    try:
        parsed = parse(COMMAND, OPTIONS, words)
    except UsageError:
        return
    assert all(isinstance(word, str) for word in parsed.arguments)
    assert set(parsed.values) <= {option.name for option in OPTIONS}


@given(st.data())
def test_every_unique_beginning_of_a_name_means_that_option(data):
    names = [option.name for option in OPTIONS] + ["available", "mirrors", "nosync"]
    flag = data.draw(st.sampled_from([o.name for o in OPTIONS if o.kind == "flag"]))
    start = flag[: data.draw(st.integers(1, len(flag)))]
    if start != flag and sum(name.startswith(start) for name in names) > 1:
        with pytest.raises(UsageError):
            values(f"--{start}")
    else:
        assert values(f"--{start}") == {flag: True}


# -- arguments and combinations -------------------------------------------------------------------

PAIR = Command(
    "lvpair",
    "Pair.",
    usages=("VG [PV ...]",),
    arguments=(Argument("VG", "the group"), Argument("PV", "a PV", needed=False, many=True)),
    options=OPTIONS,
    one_of=(("size", "extents"),),
    exclusive=(("size", "extents"),),
)
ALONE = Command("lvalone", "Alone.", usages=("VG",), arguments=(Argument("VG", "the group"),), options=OPTIONS)


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        (PAIR, ["-L1"], "lvpair needs VG: the group"),
        (PAIR, ["vg"], "lvpair needs one of --size, --extents"),
        (PAIR, ["vg", "-L1", "-l1"], "--size and --extents exclude each other"),
        (ALONE, ["vg", "more"], "lvalone takes no argument 'more'"),
    ],
)
def test_missing_and_surplus_parts_are_named(command, words, says):
    parsed = parse(command, OPTIONS, words)
    with pytest.raises(UsageError) as caught:
        check(command, parsed)
    assert says in caught.value.message


@pytest.mark.parametrize(("command", "words"), [(PAIR, ["vg", "-L1", "a", "b", "c"]), (ALONE, ["vg"])])
def test_complete_command_lines_pass(command, words):
    check(command, parse(command, OPTIONS, words))
