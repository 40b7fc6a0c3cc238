"""``vmgr dm``'s changing subcommands beside Debian's dmsetup: statuses, streams, and what is left of a failure.

What every subcommand does to devices is in test_dm_versus_dmsetup.py; here are the ways to say which device,
``-v``, selections, batches, and processes of their own that are interrupted or cannot write.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.dmsetup import LINK, Hold, Release, Step, agree, reset, run_tool
from vmgr.dm.client import DmClient

MakeDisk = Callable[[float], str]
VMGR = str(Path(__file__).parents[2] / ".venv" / "bin" / "vmgr")


def refused(words: str, stdin: str = "", **more: object) -> Step:
    return Step(words, stdin=stdin, status=1, **more)  # type: ignore[arg-type]


def test_verbose_shows_the_device_where_dmsetup_does() -> None:
    agree(
        "create -v one -u U-1 --table '0 8 zero'",
        "create -v two -n",
        "suspend -v one",
        "resume -v one",
        "load -v two --table '0 8 error'",
        "clear -v two",
        "load -v -u U-1 --table '0 16 zero'",
        "resume -v -u U-1",
        "suspend one",
        "resume -v one --readahead 64",
        "info one",
        "suspend -v one two",
        "resume -v one",
        "rename -v one three",
        "wipe_table -v three",
        "wait -v three",
        "remove -v three two",
    )


def test_a_device_may_be_named_by_uuid_or_number_everywhere() -> None:
    agree(
        "create one -u U-1 --table '0 8 zero'",
        "create two -u U-2 -j 254 -m 9 --table '0 8 zero'",
        "suspend -u U-1",
        "suspend --major 254 --minor 9",
        "load -u U-1 --table '0 16 zero'",
        Step("load -j 254 -m 9", stdin="0 16 zero\n"),
        "resume -u U-1",
        "clear -j 254 -m 9",
        "resume -j 254 -m 9",
        "message -u U-1 0 @stats_list",
        "message -j 254 -m 9 0 @stats_list",
        refused("load -u U-1 one two"),
        refused("suspend -u U-9"),
        refused("suspend -j 254 -m 99"),
        refused("suspend -j 254"),
    )  # (Removed so, a device leaves its node behind in dmsetup.)


def test_a_selection_says_which_devices_are_meant() -> None:
    agree(
        "create one -u A-1 --table '0 8 zero'",
        "create two -u A-2 --table '0 8 zero'",
        "create three -u B-3 --table '0 8 zero'",
        "load one --table '0 16 zero'",
        "load three --table '0 16 zero'",
        "clear -S subsystem=A",
        "wipe_table -S name=two",
        "suspend -S 'name=~t'",
        "resume -S suspended=Suspended",
        refused("remove -S nosuch=1"),
        "remove -S subsystem=A",
    )


def test_what_a_batch_did_before_a_failure_stays() -> None:
    agree(
        refused("create --concise 'a,,,,0 8 zero;b,U-B,,,0 8 zero;c,,,,0 8 nosuch;d,,,,0 8 zero'"),
        refused("create --concise 'e,,,,0 8 zero;a,,,,0 8 zero;f,,,,0 8 zero'"),
        refused("create --concise 'g,,,,0 8 linear 254:0 0,8 8 linear 254:99 0'"),
        "info -c",
        "remove a b e",
    )


def test_a_table_of_fifty_thousand_lines() -> None:
    text = "".join(f"{at * 8} 8 {'zero' if at % 2 else 'error'}\n" for at in range(50_000))
    agree(Step("create big", stdin=text, status=0), "info big", "remove big")


def test_force_makes_a_held_device_fail() -> None:
    agree(
        "create one --table '0 8 zero'",
        Hold("one"),
        refused("remove -f one"),
        refused("remove -f --retry one"),
        "table",
        "remove -f --deferred one",
        Release("one"),
        "ls",
        refused("remove -f nosuch"),
        "create two -n",
        "remove -f two",
    )


def test_measurements_and_strange_names() -> None:
    agree(
        "create one --table '0 8 zero'",
        "create 'two words' -u 'u u' --table '0 8 error'",
        "create three -n",
        "measure",
        "measure one",
        "measure one 'two words'",
        "measure -S name=one",
        "mangle",
        "mangle --manglename hex",
        "mangle --manglename none",
        refused("mangle nosuch"),
        refused("create x --manglename other -n"),
        refused("create 'mixed \\\\x20 up' -n"),
        refused("create 'twice\\\\x5cx20' -n"),
        "remove three",
    )


def test_as_dmsetup_options_that_mean_nothing_are_ignored_and_the_last_one_counts() -> None:
    agree(
        "-c -o name --count 1 create one -G 5 --table '0 8 error' --table '0 8 zero'",
        "--noop --retry suspend -fy one",
        "resume --sep x one",
        "-- remove one",
        Step("remove one", status=1),
        Step("--nosuch ls", status=1),
        Step("--no ls", status=1),
        Step("-j", status=1),
        Step("lss", status=1),
        Step("remove_all one", status=1),
        Step("--help", status=0),
        Step("help", status=0),
        Step("", status=1),
        tools=(LINK,),
    )


def test_a_wrong_batch_makes_nothing_where_dmsetup_begins_it() -> None:
    """On purpose: what is wrong in the text is found before anything is done."""
    reset()
    try:
        assert run_tool(LINK, ["create", "--concise", "a,,,,0 8 zero;b,,x,,0 8 zero"])[0] == 1
        with DmClient.open(use_udev=False) as dm:
            assert dm.names() == ()
    finally:
        reset()


def spawn(*words: str, program: str = VMGR, **more: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )  # type: ignore[call-overload, no-any-return]


def asleep(process: subprocess.Popen[str]) -> None:
    """Wait until a process has opened the control node and sleeps, as one does that waits for an event."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        folder = f"/proc/{process.pid}"
        state = Path(folder, "stat").read_text().rpartition(")")[2].split()[0]
        for fd in os.listdir(f"{folder}/fd"):
            try:
                if state == "S" and os.readlink(f"{folder}/fd/{fd}").endswith("mapper/control"):
                    return
            except FileNotFoundError:
                pass  # closed meanwhile
        time.sleep(0.02)
    pytest.fail("it does not wait")


@pytest.mark.parametrize(("name", "status"), [("vmgr", 5), ("dmsetup", 130)])
def test_a_wait_can_be_interrupted(name: str, status: int, tmp_path: Path) -> None:
    reset()
    link = tmp_path / name
    link.symlink_to(VMGR)
    with DmClient.open(use_udev=False) as dm:
        dm.create("one")
    with spawn(*(["dm"] if name == "vmgr" else []), "wait", "one", program=str(link)) as process:
        try:
            asleep(process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (status, "")
            assert "Traceback" not in err
        finally:
            process.kill()
            reset()


def test_a_full_disk_and_a_reader_that_went_away_are_told_from_what_was_done(tmp_path: Path) -> None:
    reset()
    try:
        with open("/dev/full", "w") as full:
            words = [VMGR, "dm", "create", "one", "-v", "--table", "0 8 zero"]
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 5
        assert "what the command did is done" in done.stderr
        with DmClient.open(use_udev=False) as dm:
            assert [entry.name for entry in dm.names()] == ["one"]
        table = "".join(f"{at * 8} 8 zero\n" for at in range(20_000))
        assert lab.run(VMGR, "dm", "create", "big", check=False, stdin=table).returncode == 0
        reader = subprocess.run(
            ["sh", "-c", f"{VMGR} dm table big | head -n 1"], capture_output=True, text=True, check=False
        )
        assert (reader.stdout, reader.stderr) == ("0 8 zero \n", "")
    finally:
        reset()
