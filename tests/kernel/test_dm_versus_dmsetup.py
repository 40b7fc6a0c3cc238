"""Debian's dmsetup, ``vmgr dm`` and a link called dmsetup that is vmgr: the same commands have the same effects.

After every step: exit status, what was printed, headers, tables, dependencies and nodes.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.dmsetup import LINK, OURS, THEIRS, AnyStep, Do, Hold, Release, Step, agree
from tests.support.lab import with_and_without_udev

MakeDisk = Callable[[float], str]


def refused(words: str, stdin: str = "", **more: object) -> Step:
    """A command that fails in dmsetup."""
    return Step(words, stdin=stdin, status=1, **more)  # type: ignore[arg-type]


def test_the_same_commands_twice_are_alike_in_all_that_is_compared(make_disk: MakeDisk) -> None:
    agree(
        "create one --table '0 8 linear {0} 0'",
        Step("create two -u U2", stdin="0 8 zero\n8 8 error\n", status=0),
        Hold("one"),
        refused("remove one"),
        Release("one"),
        "info -c",
        "rename one three",
        disks=[make_disk(4)],
        tools=(THEIRS,),
    )


@with_and_without_udev
def test_create_load_resume_rename_and_remove(make_disk: MakeDisk, udev: bool) -> None:
    agree(
        Step("create one", stdin="0 16 linear {0} 8\n", status=0),
        "create two -u U-2 --table '0 8 linear {0} 64'",
        "create three -n -u U-3",
        "load three --table '0 8 linear 254:0 0'",
        "table --inactive",
        "resume three",
        "reload three --table '0 16 linear 254:0 0'",
        "info three",
        "suspend three",
        "resume three",
        "table",
        "rename two four",
        "rename three five",
        "rename --setuuid one U-1",
        "info -c -o name,uuid",
        refused("remove one"),
        "remove five",
        "remove one four",
        "ls",
        disks=[make_disk(4)],
        tools=(OURS,) if udev else (OURS, LINK),
    )


def test_create_in_every_way(make_disk: MakeDisk, tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.write_text("# a table\n0 8 zero\n\n8 8 error\n")
    agree(
        f"create from-file {table}",
        f"create by-option --table {table}",
        "create -n plain",
        "create read-only -r --table '0 8 linear {0} 0'",
        "create with-minor -j 254 -m 77 --table '0 8 zero'",
        "create owned -U 1 -G 2 -M 640 --table '0 8 zero'",
        "create ahead --readahead 512 --table '0 8 zero'",
        "create ahead-more --readahead +2048 --table '0 8 zero'",
        "create ahead-none --readahead none --table '0 8 zero'",
        "create early --addnodeoncreate -n",
        "create late --addnodeonresume --table '0 8 zero'",
        "create --concise 'c1,,,,0 8 zero;c2,U-c2,90,ro,0 8 linear {0} 0,8 8 error'",
        Step("create --concise", stdin="c3,,,rw,0 8 zero"),
        "create 'a b' --table '0 8 zero'",
        "create a\\\\x20c --table '0 8 zero'",
        "create --manglename none a\\\\x20d --table '0 8 zero'",
        "info -c",
        refused("create plain -n"),
        refused("create other -u U-c2 -n"),
        refused("create other -j 254 -m 77 -n"),
        refused("create other --table '0 8 nosuch'"),
        refused("create other --table '0 8 linear 99:99 0'"),
        refused("create other --table '0 8 linear {0} 99999999'"),
        refused("create other --table '0 8'"),
        refused("create other", "garbage"),
        refused("create other", "0 8 zero\n16 8 zero\n"),
        refused("create"),
        refused("create a/b -n"),
        refused("create " + "n" * 128 + " -n"),
        refused("create other -n --table '0 8 zero'"),
        refused("create other -j 254 -n"),
        "remove_all -y",
        disks=[make_disk(4)],
    )


def test_changing_what_is_there(make_disk: MakeDisk) -> None:
    agree(
        "create one --table '0 2048 linear {0} 0'",
        "create two --table '0 8 zero'",
        "suspend one two",
        "info one two",
        "suspend one",
        "resume one two",
        "resume one",
        "suspend --noflush --nolockfs one",
        "resume --noflush --nolockfs one",
        Step("load one", stdin="0 4096 linear {0} 0\n"),
        "clear one",
        "clear one",
        "resume one",
        "load --readonly one --table '0 2048 linear {0} 0'",
        "resume one",
        "table --inactive one",
        refused("load one --table '0 8 nosuch'"),
        refused("load nosuch --table '0 8 zero'"),
        refused("resume nosuch"),
        "resume one",
        refused("clear nosuch"),
        "setgeometry two 10 20 30 0",
        refused("setgeometry two 10 20 30"),
        refused("setgeometry nosuch 1 1 1 0"),
        refused("message one 0 hello"),
        refused("message nosuch 0 hello"),
        refused("message one"),
        "message one 0 @stats_list",
        "message one 0 @stats_create - 1",
        "message one 0 @stats_list",
        "wipe_table one",
        "table",
        refused("wipe_table nosuch"),
        "wipe_table -f two",
        "wait two 5",
        "wait two 5 -v",
        refused("wait nosuch 5"),
        disks=[make_disk(4)],
    )


def test_names_and_uuids(make_disk: MakeDisk) -> None:
    agree(
        "create one --table '0 8 linear {0} 0'",
        "create two -u U-2 -n",
        refused("rename one two"),
        refused("rename one one"),
        refused("rename nosuch other"),
        refused("rename one a/b"),
        refused("rename one " + "n" * 128),
        refused("rename one ''"),
        "rename one 'new name'",
        "rename 'new name' one",
        "rename two three",
        refused("rename --setuuid three U-3"),
        refused("rename --setuuid one U-2"),
        "rename --setuuid one U-1",
        "rename one four",
        refused("rename four"),
        "create --manglename none 'x y' -n",
        "mangle",
        "mangle four",
        "info -c --manglename none -o name,uuid",
        "splitname vg-lv",
        "splitname vg--a-lv--b-layer",
        "splitname vg-lv-x LVM",
        "splitname a-b-c-d",
        "splitname a-b--c-d--e-f",
        "splitname a-",
        "splitname vg-lv other",
        "splitname vg-lv -o subsystem,lv_name --noheadings",
        refused("splitname"),
        "targets",
        "target-version linear",
        refused("target-version nosuch"),
        disks=[make_disk(4)],
    )


def test_removal(make_disk: MakeDisk) -> None:
    agree(
        "create one -u U-1 --table '0 8 linear {0} 0'",
        "create two --table '0 8 zero'",
        "create three --table '0 8 linear 254:1 0'",
        "create four -n",
        "create five --table '0 8 zero'",
        Hold("one"),
        refused("remove one"),
        refused("remove two"),
        "remove --deferred one",
        "info one",
        Release("one"),
        refused("remove one"),
        refused("remove nosuch"),
        refused("remove"),
        Hold("two"),
        refused("remove --force two"),
        "table two",
        Release("two"),
        "remove three two",
        "create six -u U-6 --table '0 8 zero'",
        "remove six",
        "create seven --table '0 8 zero'",
        "remove --retry seven",
        "create eight --table '0 8 zero'",
        "remove /dev/mapper/eight",
        "create nine --table '0 8 zero'",
        "create ten --table '0 8 linear 254:1 0'",
        "create eleven -n",
        "remove_all -y",
        "ls",
        "remove_all -y",
        disks=[make_disk(4)],
    )


def test_removal_by_force_and_by_selection(make_disk: MakeDisk) -> None:
    """What is left in the end makes ``vmgr dm`` fail; dmsetup only says so."""
    agree(
        "create one -u A-1 --table '0 8 linear {0} 0'",
        "create two -u A-2 --table '0 8 zero'",
        "create three -u B-3 --table '0 8 zero'",
        "create four -u B-4 --table '0 8 zero'",
        "suspend -S subsystem=A",
        "resume -S subsystem=A",
        "remove -S 'name=two'",
        "remove -S name=nosuch",
        "remove_all --force -y",
        disks=[make_disk(4)],
    )
    agree(
        "create one -u A-1 --table '0 8 linear {0} 0'",
        "create two --table '0 8 zero'",
        Hold("one"),
        Step("remove_all -f -y", status=0),
        "table",
        disks=[make_disk(4)],
        tools=(LINK,),
    )


def test_of_several_devices_the_first_that_is_missing_ends_a_command() -> None:
    """As dmsetup; ``vmgr dm`` finds out first, and changes none."""
    agree(
        "create one --table '0 8 zero'",
        "create two --table '0 8 zero'",
        refused("suspend one nosuch two"),
        refused("resume one nosuch two"),
        refused("remove one nosuch two"),
        refused("clear two nosuch"),
        tools=(LINK,),
    )


def test_nodes_are_made_and_repaired() -> None:
    def gone(name: str) -> Do:
        return Do(lambda: os.unlink(f"/dev/mapper/{name}"), f"(unlink {name})")

    def wrong() -> None:
        os.unlink("/dev/mapper/two")
        os.mknod("/dev/mapper/two", 0o60600, os.makedev(7, 0))

    agree(
        "create one --table '0 8 zero'",
        "create two --table '0 8 zero'",
        "create three -n",
        gone("one"),
        "mknodes one",
        gone("one"),
        "mknodes",
        Do(wrong, "(a wrong node)"),
        "mknodes",
        "remove one two three",
    )


# -- at random ------------------------------------------------------------------------------------

NAMES = ("a", "b", "c")
TABLES = (
    "0 8 zero",
    "0 8 error",
    "0 8 linear {0} 0",
    "0 16 linear {0} 8",
    "0 8 zero,8 8 error",
    "0 8 linear 254:0 0",
)


def any_step(dice: random.Random) -> AnyStep:
    """One command on one of a few devices, which may or may not fit what is there."""
    name, other = dice.choice(NAMES), dice.choice(NAMES)
    table = dice.choice(TABLES).replace(",", "\n")
    choices: list[Callable[[], AnyStep]] = [
        lambda: Step(["create", name], stdin=table),
        lambda: Step(["create", name, *dice.choice([[], ["-u", f"U-{other}"], ["-r"]])], stdin=table),
        lambda: f"create {name} -n",
        lambda: Step(["load", name, *dice.choice([[], ["-r"]])], stdin=table),
        lambda: f"suspend {dice.choice(['', '--noflush', '--nolockfs'])} {name}",
        lambda: f"resume {name}",
        lambda: f"resume {name}",
        lambda: f"clear {name}",
        lambda: f"rename {name} {other}",
        lambda: f"rename --setuuid {name} U-{other}",
        lambda: f"remove {dice.choice(['', '', '--deferred'])} {name}",
        lambda: f"wipe_table {name}",
        lambda: f"info {name}",
        lambda: "table",
        lambda: "deps --inactive",
    ]
    return dice.choice(choices)()


@pytest.mark.parametrize("seed", range(5))
def test_any_sequence(make_disk: MakeDisk, seed: int) -> None:
    dice = random.Random(seed)
    agree(*(any_step(dice) for _ in range(40)), disks=[make_disk(4)])
