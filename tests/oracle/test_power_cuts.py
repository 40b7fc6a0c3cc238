"""Power cuts during a commit, read by both tools: a sample of ``tests/proof/powercut.py``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof.powercut import Cutter, Write, cut, states
from tests.support.lvm2 import requires_lvm2


@pytest.fixture
def cutter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cutter]:
    monkeypatch.setenv("LVM_SYSTEM_DIR", "")  # the cutter sets it; this gives it back
    monkeypatch.setenv("LVM_SUPPRESS_FD_WARNINGS", "")
    made = Cutter(tmp_path)
    yield made
    made.close()


@requires_lvm2
def test_every_cut_leaves_the_old_group_or_the_new_one(cutter: Cutter) -> None:
    a, b, *_ = cutter.disks
    for path in (a, b):
        cutter.lvm.run("pvcreate", path)
    for line in (f"vgcreate -s 64k vg {a}", f"vgextend vg {b}", "lvcreate -an -Zn -Wn -l4 -n lin vg"):
        found = cut(cutter, line.split(), ["lvm"], time.monotonic() + 600)
        assert found.get("faults") == [], found
        assert int(str(found["states"])) > 5
        assert int(str(found["flushes"])) >= 4  # each area: the text, then its header, both flushed


def test_what_was_flushed_is_there_and_the_rest_may_be() -> None:
    import random

    writes = [Write(0, 0, b"a" * 512), Write(0, 0, None), Write(0, 512, b"b" * 1024), Write(1, 0, b"c" * 512)]
    found = {(bytes(x[0]), bytes(x[1])) for _, x in states([bytes(2048), bytes(512)], writes, random.Random(1))}
    a, b, zero = b"a" * 512, b"b" * 512, bytes(512)
    assert (zero * 4, zero) in found
    for first, second, third in ((zero, zero, zero), (b, zero, zero), (zero, b, zero), (b, b, zero), (b, b, b)):
        assert (a + first + second + zero, b"c" * 512 if third == b else zero) in found
    assert not [one for one, other in found if one.startswith(zero) and other != zero]
