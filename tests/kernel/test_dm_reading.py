"""What ``vmgr dm`` and a link called dmsetup say of devices is what Debian's dmsetup says, to the byte."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.dmsetup import LINK, OURS, Step, agree, build, run_tool, same_answers
from vmgr.cli.dm.columns import ROWS

LONG = "a-name-that-is-longer-than-any-column-is-wide-to-begin-with"
LVM = "LVM-" + "v" * 32 + "l" * 32

CONCISE = ";".join((
    f"origin-real,{LVM}-real,,,0 2048 linear {{0}} 0",
    f"vg--one-lv--two,{LVM},,,0 2048 snapshot-origin 254:0",
    f"cow,{LVM}-cow,,,0 1024 linear {{1}} 0",
    f"vg--one-snap,{LVM}2,,,0 2048 snapshot 254:0 254:2 P 8",
    f"{LONG},,,ro,0 8 zero ,8 8 error,16 64 striped 2 8 {{0}} 4096 {{1}} 4096",
    "both,,,,0 8 zero",
    "held-back,,,,0 8 zero",
    "going,,,,0 8 zero",
    "odd-uuid,u u,,,0 8 zero",
))  # fmt: skip
EVERYTHING = (
    Step(["create", "--concise", CONCISE]),
    "create 'sp ace, odd;one\\\\' -n",
    "create waiting -n",
    Step("load waiting", stdin="0 16 linear {0} 64\n"),
    Step("load both --readonly", stdin="0 8 linear {1} 128\n8 8 error\n"),
    "suspend held-back",
)
"""Devices of every kind. The minor numbers are those that the kernel gives in this order."""


COLUMNS = ",".join(str(row[0]) for row in ROWS if row[0] not in ("blkdevname", "help", "?"))
"""Those that every device has something for."""


@pytest.fixture
def everything(make_disk: Callable[[float], str]) -> Iterator[None]:
    build(*EVERYTHING, disks=[make_disk(8), make_disk(8)])
    fd = os.open("/dev/mapper/going", os.O_RDONLY)
    try:
        build("remove --deferred going")
        yield
    finally:
        os.close(fd)
        lab.run("dmsetup", "resume", "held-back")


def test_with_no_device_at_all() -> None:
    same_answers(
        "info", "info -c", "info -c --noheadings -o name", "ls", "ls --tree", "ls --target zero",
        "ls --exec true", "deps", "status", "table", "table --inactive", "table --concise", "info -c -S name=a",
        "deps -S name=a",
        Step("info nosuch", status=1, errors="same"), Step("info -c nosuch", status=1, errors="same"),
        Step("table nosuch", status=1),
        Step("deps nosuch", status=1), Step("status -u nosuch", status=1), Step("info -j 254 -m 7", status=1),
        Step("info ''", status=1), Step("table /dev/mapper/nosuch", status=1),
    )  # fmt: skip


def test_info_says_the_same(everything: None) -> None:
    same_answers(
        "info", "info going", "info held-back both", "info --inactive both", "info --inactive waiting held-back",
        "info -u 'u u'", "info -j 254 -m 3", "info /dev/mapper/both", "info /dev/dm-0", "info --noopencount both",
        "info -v both", "info 'sp ace, odd;one\\'", "info --manglename none", "info -u 'u u' both",
        Step("info both nosuch held-back", status=1), Step("info -j 254", status=1),
        Step("info -o name", status=1),
    )  # fmt: skip


def test_columns_are_the_same(everything: None) -> None:
    same_answers(
        "info -c", "info -C", "info --columns", "info -c both", "info -c both going", "info -c --noheadings",
        f"info -c --noheadings -o {COLUMNS}", f"info -c -o {COLUMNS}", f"info -c --nameprefixes -o {COLUMNS}",
        "info -c -o blkdevs_used", "info -c -o blkdevname both going",
        "info -c -o name_all", "info -c -o tree_all", "info -c -o splitname_all", "info -c -o deps_all,name",
        "info -c -o NAME,DevNo,tables__loaded", "info -c -o name,all", "info -c -o name,,uuid", "info -c -o +devno",
        "info -c -o name,name", "info -c -o ''", "info -c --inactive", "info -c --inactive -o name,devnos_used",
        "info -c --manglename none -o name,mangled_name,unmangled_name,uuid",
        "info -c --manglename hex -o name,mangled_name,unmangled_name both",
        Step("info -c -o nme", status=1), Step("info -c -o +", status=1), Step("info -c -o name,", status=1),
        Step("info -c -o -name", status=1), Step("info -c -o infoname", status=1), Step("info -c nosuch", status=1),
        Step("info -c both nosuch", status=1),
    )  # fmt: skip
    # A device without a table has no such name: there dmsetup leaves out its row and fails, vmgr dm its name.
    same_answers(Step("info -c -o blkdevname,name", status=1), tools=[LINK])
    assert {row["name"]: row["blkdevname"] for row in answer("info -c -o name,blkdevname --json")}["cow"] == "dm-2"


def test_columns_are_laid_out_the_same(everything: None) -> None:
    options = (
        "--separator=", "--separator=|", "--unquoted", "--unbuffered", "--rows", "--rows --noheadings",
        "--rows --separator=|", "--nameprefixes", "--nameprefixes --unquoted", "--nameprefixes --rows",
        "--nameprefixes --noheadings", "--nameprefixes --rows --unquoted --noheadings", "--count 1",
        "--noheadings --separator=|",
    )  # fmt: skip
    same_answers(
        *(f"info -c -o name,minor,attr {option}" for option in options), "info -c --count 2 --interval 1 both"
    )


def test_devices_are_sorted_and_selected_the_same(everything: None) -> None:
    same_answers(
        "info -c -O name", "info -c -O -name", "info -c -O open,-minor", "info -c -o name -O +uuid,name",
        "info -c -O ''", "info -c -o name -O devnos_using_dev,name", "info -c -o name -O -device_count,-name",
        "info -c -S name=both", "info -c -S 'open>0'", "info -c -S 'name=~^vg'", "info -c -S 'minor>=3 && minor<6'",
        "info -c -S '!(subsystem=LVM)' -o name", "info -c -S 'vg_name=\"vg-one\" || suspended=Suspended'",
        "info -c -S 'devnos_used=254:0' -o name", "info -c -o name,selected -S segments=2", "info -c -S all",
        "info -c -S ''", "info -c both -S name=going",
        "deps -S 'segments=1'", "table -S 'name=~^vg'", "status -S name=both both", "table -S name=nosuch",
        Step("info -c -S foo=1", status=1), Step("info -c -S 'name>1'", status=1), Step("info -c -O nme", status=1),
        Step("table -S foo=1", status=1), Step("info -c nosuch -S name=both", status=1),
    )  # fmt: skip


def test_without_columns_dmsetup_pays_no_regard_to_what_is_for_columns(everything: None) -> None:
    same_answers(
        "info both -S name=going", "info -S name=going", "info -o blkdev", "info -O name both", "info --rows both",
        tools=[LINK],
    )  # fmt: skip


def test_tables_statuses_and_dependencies_are_the_same(everything: None) -> None:
    same_answers(
        "table", "table both", "table both going", "table --inactive", "table --inactive both waiting",
        "table --target linear", "table --target zero both", "table --target nosuch", "table -v", "table -v both",
        "table --showkeys", "table --concise", "table --concise both waiting", "table --concise --target linear",
        "table --concise --inactive", "table --concise -v", "table -u 'u u'", "table -j 254 -m 4",
        "table 'sp ace, odd;one\\'", "table --manglename none",
        "status", "status --noflush", "status --inactive", "status --target snapshot", "status -v", "status cow -v",
        "deps", "deps both", "deps both cow", "deps -o devname", "deps -o blkdevname", "deps -o devno",
        "deps -o b", "deps -o b,devno", "deps -o d cow", "deps -o ''", "deps --inactive", "deps -v", "deps -v cow",
        Step("table both nosuch", status=1), Step("table nosuch both", status=1),
        Step("deps -o foo", status=1), Step("deps -o b,foo,d", status=1), Step("deps cow nosuch", status=1),
    )  # fmt: skip


def test_lists_and_trees_are_the_same(everything: None) -> None:
    utf8 = {"LC_ALL": "C.UTF-8"}
    same_answers(
        "ls", "ls -v", "ls -o blkdevname", "ls -o devname", "ls -o devno", "ls --target linear",
        "ls --target nosuch", "ls --inactive --target linear", "ls --manglename none",
        Step("ls --tree", env=utf8), Step("ls --tree", env={"LC_ALL": "C"}), "ls --tree -o ascii",
        "ls --tree -o utf,compact", "ls --tree -o vt100", "ls --tree -o inverted,nodevice",
        "ls --tree -o active,open,rw,uuid,notrunc", "ls --tree -o blkdevname,compact,inverted,ascii",
        Step("ls --tree -o foo", status=1), Step("ls -o foo", status=1), Step("ls both", status=1),
    )  # fmt: skip


def test_programs_are_run_for_the_same_devices() -> None:
    agree(
        "create one --table '0 8 zero'", "create two --table '0 8 error'", "create three --table '0 8 zero'",
        "ls --exec 'echo one  two'", "ls --target zero --exec echo", "table --exec echo one", "ls --exec false",
        "ls --target error --exec echo", "status --exec 'echo hi' two", Step("ls --exec ''", status=1),
    )  # fmt: skip


def test_a_program_is_given_the_node_that_is_there() -> None:
    """dmsetup gives it the name in plain characters, and makes a second node of that name first."""
    build("create 'a b' --table '0 8 zero'")
    assert run_tool(OURS, ["ls", "--exec", "stat -c %t"])[:2] == (0, "fe\n")


def test_columns_are_as_wide_as_what_is_seen() -> None:
    """dmsetup counts the bytes of names, so that it shifts what follows those that are not ASCII."""
    build("create ünï --table '0 8 zero'", "create a-name-longer-than-the-column --table '0 8 zero'")
    same_answers(
        Step("info -c", same=lambda text: re.sub(" +", " ", text)), "info ünï", "table", "ls",
        Step("info --manglename none ünï", status=1),
    )  # fmt: skip
    rows = run_tool(OURS, ["info", "-c", "-o", "name,major"])[1].splitlines()
    assert {row.index("254") for row in rows[1:]} == {len(rows[1]) - 3}


def test_devices_of_lvm2_are_told_of_the_same(make_disk: Callable[[float], str]) -> None:
    disk = make_disk(64)
    lab.run("pvcreate", "-qq", "-y", disk)
    lab.run("vgcreate", "-qq", "a-vg", disk)
    lab.run("lvcreate", "-qq", "-y", "-l4", "-n", "origin", "a-vg")
    lab.run("lvcreate", "-qq", "-y", "-l2", "-s", "-n", "s-1", "a-vg/origin")
    same_answers(
        "info", "info -c -o +subsystem,vg_name,lv_name,lv_layer,tree_all,deps_all", "table", "deps -o devname",
        "ls --tree -o uuid,open", "info -c -S 'lv_layer=cow' -o name,lv_name", "info /dev/a-vg/s-1",
    )  # fmt: skip
    lab.run("vgchange", "-qq", "-an", "a-vg")


def test_a_link_called_dmsetup_is_a_dmsetup(tmp_path: Path) -> None:
    """As processes of their own, as a user starts them."""
    build("create one -u U-1 --table '0 8 zero'")
    link = tmp_path / "dmsetup"
    link.symlink_to(Path(sys.executable).with_name("vmgr"))
    for words, env in (
        (["info", "-c"], {}),
        (["ls", "--tree"], {"LANG": "C", "LC_ALL": ""}),
        (["remove", "two"], {}),
    ):
        theirs, ours = (lab.run(program, *words, check=False, env=env) for program in ("dmsetup", str(link)))
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout)
        assert bool(ours.stderr) == bool(theirs.stderr)
    assert lab.run(str(link), "remove", "one").stdout == ""
    assert not lab.mapped_devices()


# -- JSON -----------------------------------------------------------------------------------------


def answer(words: str) -> list[dict]:
    status, out, err = run_tool(OURS, words.split())
    assert (status, err) == (0, "")
    return json.loads(out)["devices"]


def test_json_has_numbers_lists_and_truth_values(everything: None) -> None:
    by_name = {row["name"]: row for row in answer("info --json")}
    assert by_name["both"]["live_table"] is by_name["both"]["waiting_table"] is True
    assert by_name["held-back"]["suspended"] is True
    assert by_name[LONG]["read_only"] is True
    assert by_name["going"]["deferred_remove"] is True
    assert by_name["going"]["open_count"] == 1
    assert by_name["waiting"]["read_ahead"] is None or by_name["waiting"]["read_ahead"] >= 0
    (row,) = answer("info -c -o name,minor,suspended,names_using_dev,devnos_used,blkdevname --json cow")
    assert row == {
        "name": "cow", "minor": 2, "suspended": False, "names_using_dev": ["vg--one-snap"],
        "devnos_used": row["devnos_used"], "blkdevname": "dm-2",
    }  # fmt: skip
    assert len(row["devnos_used"]) == 1


def test_json_of_tables_has_their_lines_and_what_is_known_of_them(everything: None) -> None:
    rows = {row["name"]: row["table"] for row in answer("table --json")}
    assert rows["waiting"] == []
    assert [line["target"] for line in rows[LONG]] == ["zero", "error", "striped"]
    assert rows["vg--one-snap"][0]["params"] == "254:0 254:2 P 8"
    assert "fields" in rows["vg--one-snap"][0]
    assert {row["name"] for row in answer("table --json --target linear")} == {"origin-real", "cow"}


def test_json_of_lists_dependencies_and_trees(everything: None) -> None:
    listed = answer("ls --json")
    assert {"name": "origin-real", "major": 254, "minor": 0, "kernel_name": "dm-0"} in listed
    (row,) = answer("deps --json vg--one-snap")
    assert {dep["name"] for dep in row["dependencies"]} == {"cow", "origin-real"}
    tree = {row["name"]: row for row in answer("ls --tree --json") if row["mapped"]}
    assert tree["cow"]["used_by"] == ["254:3"]
    assert {row["name"] for row in answer("info --tree --json vg--one-snap") if row["mapped"]} == {
        "vg--one-snap", "cow", "origin-real",
    }  # fmt: skip
    assert [row["name"] for row in answer("status --json both")] == ["both"]


def test_no_device_is_an_empty_list() -> None:
    for words in ("info", "info -c", "ls", "ls --tree", "deps", "status", "table", "ls --target zero"):
        assert answer(f"{words} --json") == []


def test_help_on_columns_lists_every_column_that_dmsetup_has_but_those_of_statistics() -> None:
    def names(text: str) -> list[str]:
        return [line.split()[0] for line in text.splitlines() if " - " in line]

    status, out, _ = run_tool(OURS, ["info", "-c", "-o", "help"])
    theirs = names(lab.run("dmsetup", "info", "-c", "-o", "help").stderr)
    assert status == 0
    assert names(out) == theirs[: theirs.index("stats_all")] + theirs[theirs.index("selected") :]
    status, out, err = run_tool(LINK, ["info", "-c", "-o", "help"])
    assert status == 0
    assert "names_using_dev" in err
