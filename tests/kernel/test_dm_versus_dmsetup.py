"""Debian's dmsetup, ``vmgr dm`` and a link called dmsetup that is vmgr: the same commands have the same effects."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.dmsetup import THEIRS, Hold, Release, Step, agree


def test_the_same_commands_twice_are_alike_in_all_that_is_compared(make_disk: Callable[[float], str]) -> None:
    agree(
        "create one --table '0 8 linear {0} 0'",
        Step("create two -u U2", stdin="0 8 zero\n8 8 error\n", status=0),
        Hold("one"),
        Step("remove one", status=1),
        Release("one"),
        "info -c",
        "rename one three",
        disks=[make_disk(4)],
        tools=(THEIRS,),
    )
