"""A table of command lines, run by LVM2 and by vmgr on equal disks: the same status, and the same on the disks.

Each row of ``commands.txt`` says what is on the disks before, the command, LVM2's exit status (2.03.16, and after a
slash 2.03.40's where it differs), what LVM2 changes, and vmgr's part: ``same``, or its status and the reason why it
does otherwise. Reasons are told in the manual; ``*`` stands for a status that matters less than the reason.

A third of the rows runs in ``make test``, all of them in ``make proof`` (``VMGR_WHOLE=1``).

``python -m tests.oracle.test_commands_lvm2 < LINES`` makes rows of lines ``STATE: COMMAND``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.equal_disks import EqualDisks, Result, effect
from tests.support.lvm2 import requires_lvm2

pytestmark = requires_lvm2

TABLE = Path(__file__).with_name("commands.txt")
STEP = 1 if os.environ.get("VMGR_WHOLE") else 3
REPORTS = {"lvs", "pvs", "vgs", "lvdisplay", "pvdisplay", "vgdisplay", "lvscan", "pvscan", "vgscan"}
"""Commands whose output is compared, too."""


def rows() -> Iterator[tuple[str, str, int, str, str]]:
    """(state, command, LVM2's status, its effect, vmgr's part) of each row."""
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            what, status, changed, ours = (part.strip() for part in line.split(" | "))
            state, _, command = what.partition(": ")
            yield state, command, int(status.partition("/")[0]), changed, ours


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EqualDisks]:
    with EqualDisks(tmp_path_factory.mktemp("equal")) as made:
        yield made


def comparable(command: str, result: Result) -> object:
    """What two runs must have in common."""
    words = command.split()
    if words[0] in REPORTS and result.status == 0 and "--test" not in words:
        return result.tree, result.output
    return result.tree


@pytest.mark.parametrize(("state", "command", "status", "changed", "ours"), list(rows())[::STEP])
def test_a_command_does_what_it_does_for_lvm2(
    disks: EqualDisks, state: str, command: str, status: int, changed: str, ours: str
) -> None:
    before = disks.before(state, command)
    theirs = disks.by_lvm2(state, command)
    assert (theirs.status, effect(before, theirs.tree)) == (status, changed), theirs.said
    mine = disks.by_vmgr(state, command)
    assert "Traceback" not in mine.said + mine.output
    if ours == "same":
        assert mine.status == status, mine.said
        assert comparable(command, mine) == comparable(command, theirs), mine.said
        return
    expected, _, reason = ours.partition(" ")
    assert reason
    assert str(mine.status) == expected, mine.said
    if mine.status:
        assert effect(before, mine.tree) == "nothing" or "goes on" in reason
    # A row that has become the same says so.
    assert (mine.status, comparable(command, mine)) != (status, comparable(command, theirs))


def test_the_reasons_for_differences_are_in_the_manual() -> None:
    """Each reason is a sentence of the manual page's list, word for word."""
    page = (Path(__file__).parents[2] / "man" / "vmgr-lvm2.7").read_text()
    text = " ".join(page.replace("\\(aq", "'").replace("\\-", "-").split())
    missing = {ours.partition(" ")[2] for *_, ours in rows() if ours != "same"}
    assert {reason for reason in missing if reason not in text} == set()


def main() -> None:
    """Print rows for the lines on standard input, with vmgr's part as it is now."""
    with tempfile.TemporaryDirectory() as folder, EqualDisks(Path(folder)) as made:
        for line in sys.stdin:
            state, _, command = line.strip().partition(": ")
            if not command or state.startswith("#"):
                continue
            before = made.before(state, command)
            theirs, mine = made.by_lvm2(state, command), made.by_vmgr(state, command)
            same = mine.status == theirs.status and comparable(command, mine) == comparable(command, theirs)
            part = (
                "same" if same else f"{mine.status} {' '.join(mine.said.split())[:90] or effect(before, mine.tree)}"
            )
            print(f"{line.strip()} | {theirs.status} | {effect(before, theirs.tree)} | {part}", flush=True)


if __name__ == "__main__":
    main()
