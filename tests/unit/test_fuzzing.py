"""Damaged inputs of every kind end in a VmgrError or are taken: a sample of what ``make proof`` runs for long."""

from __future__ import annotations

import pytest

from tests.proof.fuzz import KINDS, fuzz
from tests.proof.mutation import Mutator
from vmgr.core.errors import KernelError
from vmgr.dm import wire
from vmgr.system.devicesfile import DevicesFile


@pytest.mark.parametrize("name", KINDS)
def test_no_damaged_input_is_a_fault(name: str) -> None:
    found = fuzz(name, 0.5, seed=7)
    assert found["inputs"]
    assert found["faults"] == {}


def test_mutations_are_the_same_for_the_same_seed() -> None:
    def made(seed: int) -> list[bytes]:
        mutator = Mutator(seed, [b"lvs -a -o name 17", b"vgs"], (b"x",))
        return [mutator.next() for _ in range(200)]

    assert made(1) == made(1) != made(2)
    assert len(set(made(1))) > 150


@pytest.mark.parametrize("part", ["²", "9" * 5000, "-1", "x"])
def test_a_partition_number_that_is_none_is_no_partition(part: str, tmp_path) -> None:
    path = tmp_path / "system.devices"
    path.write_text(f"VERSION=1.1.{part}\nIDTYPE=devname IDNAME=/dev/a PART={part}\n")
    file = DevicesFile(str(path), str(tmp_path / "lock"))
    file.read()
    assert [entry.part for entry in file.entries] == [0]


@pytest.mark.parametrize("unpack", [wire.unpack_deps, lambda d: wire.unpack_names(d, (4, 0, 0))])
def test_an_answer_of_the_kernel_that_is_cut_short_is_an_error_of_the_kernel(unpack) -> None:
    with pytest.raises(KernelError, match="cannot be read"):
        unpack(b"\xff" * 13)
