"""A table of command lines, run by LVM2 and by vmgr on equal disks: the same status, and the same on the disks.

Each row of ``commands.txt`` says what is on the disks before, the command, LVM2's exit status (2.03.16, and after a
slash 2.03.40's where it differs), what LVM2 changes (2.03.40 after ``//``, or nothing where it fails), and vmgr's
part: ``same``, or its status and the reason why it does otherwise; that the two differ is a reason, too. Reasons
are told in the manual; ``*`` stands for a status that matters less than the reason.

The ``lvm`` on PATH judges, and its version says which of the two it is held to.

A third of the rows runs in ``make test``, all of them in ``make proof`` (``VMGR_WHOLE=1``).

``python -m tests.oracle.test_commands_lvm2 < LINES`` makes rows of lines ``STATE: COMMAND``.
"""

from __future__ import annotations

import os
import re
import subprocess
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


Row = tuple[str, str, str, str, str]


def rows() -> Iterator[Row]:
    """(state, command, LVM2's statuses, its effects, vmgr's part) of each row."""
    for line in TABLE.read_text().splitlines():
        if line and not line.startswith("#"):
            what, status, changed, ours = (part.strip() for part in line.split(" | "))
            state, _, command = what.partition(": ")
            yield state, command, status, changed, ours


def expected(statuses: str, effects: str, newer: bool) -> tuple[int, str]:
    """LVM2's status and effect, those of the newer version where they are asked for and differ."""
    status, _, other = statuses.partition("/")
    changed, _, instead = effects.partition(" // ")
    if not newer or not other:
        return int(status), changed
    return int(other), instead or ("nothing" if int(other) else changed)


@pytest.fixture(scope="module")
def newer() -> bool:
    """Whether the lvm that judges is newer than 2.03.16, as 2.03.40 is."""
    said = subprocess.run(["lvm", "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"LVM version: +(\d+)\.(\d+)\.(\d+)", said)
    assert found, said
    return tuple(map(int, found.groups())) > (2, 3, 16)


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EqualDisks]:
    with EqualDisks(tmp_path_factory.mktemp("equal")) as made:
        yield made


def comparable(command: str, result: Result, newer: bool = False) -> object:
    """What two runs must have in common.

    LVM2 2.03.40 shows a seventh letter of a group, and makes columns of pvscan no wider than names are.
    """
    words = command.split()
    if words[0] in REPORTS and result.status == 0 and "--test" not in words:
        if not newer:
            return result.tree, result.output
        plain = re.sub(r"\b([rw][z-][x-][p-][a-z][cs-])-(?= )", r"\1", result.output)
        return result.tree, [line.split() for line in plain.splitlines()]
    return result.tree


@pytest.mark.parametrize(("state", "command", "statuses", "effects", "ours"), list(rows())[::STEP])
def test_a_command_does_what_it_does_for_lvm2(
    disks: EqualDisks, newer: bool, state: str, command: str, statuses: str, effects: str, ours: str
) -> None:
    before = disks.before(state, command)
    theirs = disks.by_lvm2(state, command)
    assert (theirs.status, effect(before, theirs.tree)) == expected(statuses, effects, newer), theirs.said
    mine = disks.by_vmgr(state, command)
    assert "Traceback" not in mine.said + mine.output
    status, changed = expected(statuses, effects, newer=False)
    same = comparable(command, mine, newer) == comparable(command, theirs, newer)
    part, _, reason = ours.partition(" ")
    assert reason or (part == "same" and "/" not in statuses)
    if part == "same":
        assert mine.status == status, mine.said
        assert same if theirs.status == status else effect(before, mine.tree) == changed, mine.said
        return
    assert str(mine.status) == part, mine.said
    if mine.status:
        assert effect(before, mine.tree) == "nothing" or "goes on" in reason
    # A row that has become the same says so.
    if theirs.status == status:
        assert (mine.status, same) != (status, True)


def test_the_reasons_for_differences_are_in_the_manual() -> None:
    """Each reason is a sentence of the manual page's list, word for word."""
    page = (Path(__file__).parents[2] / "man" / "vmgr-lvm2.7").read_text()
    text = " ".join(page.replace("\\(aq", "'").replace("\\-", "-").split())
    missing = {ours.partition(" ")[2] for *_, ours in rows()} - {""}
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
