"""A command that is killed leaves what the next one heals: a sample of the kill matrix, ``tests/proof/kill.py``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.proof.commands import commands
from tests.proof.machine import DISKS

NAMES = [command.name for command in commands([""] * DISKS)]

Sample = Callable[[str], list[dict[str, object]]]


@pytest.fixture(scope="module")
def sample() -> Iterator[Sample]:
    """``sample(name)``: what the matrix found at one point of a command. It forks, so it is a small process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.proof.kill", "--names", "--sample", "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def found(name: str) -> list[dict[str, object]]:
        stdin.write(f"{name}\n")
        stdin.flush()
        lines: list[dict[str, object]] = []
        while not lines or not {"error", "ran"} & set(lines[-1]):
            lines.append(json.loads(stdout.readline()))
        return lines

    yield found
    stdin.close()
    assert process.wait() == 0
    stdout.close()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_command_leaves_is_healed(name: str, sample: Sample) -> None:
    found = sample(name)
    assert "error" not in found[-1], found[-1]
    faults = [
        f"killed before {line['at']}, then {line['healer']} (status {line['status']}): {fault}\n{line['said']}"
        for line in found
        for fault in line.get("faults", ())  # type: ignore[attr-defined]
    ]
    assert not faults, "\n".join(faults)
