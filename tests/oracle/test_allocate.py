"""The same request on the same group: vmgr's operations take the extents that Debian's lvm2 takes.

Sequences at random, from fixed seeds: linear and striped volumes created, extended, reduced, resized, removed,
renamed and changed, with every policy, PV lists with ranges, percentages, tags to cling to. After each step the
group that lvm2 wrote and the one that the operation made must be equal but for UUIDs and times, and what lvm2
refuses vmgr must refuse. Known to differ, on purpose:

- lvm2 calls it a success when an extension by a percentage found nothing at all; vmgr says why.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.support.versus import Versus
from vmgr.core.allocate import DEFAULT_RULES, AllocationRules

pytestmark = requires_lvm2

RULES = [
    DEFAULT_RULES,
    DEFAULT_RULES,
    AllocationRules(cling_tags=("a", "b")),
    AllocationRules(cling_tags=("*",), maximise_cling=False),
    AllocationRules(maximise_cling=False),
]


@pytest.mark.parametrize("seed", range(10))
def test_both_take_the_same_extents(seed: int, tmp_path: Path) -> None:
    """Twenty-five steps of a group's life, alike in both tools."""
    rng = random.Random(seed)
    sizes = [rng.randrange(8, 40) for _ in range(rng.randrange(1, 6))]
    tags = [rng.choice("abc") for _ in sizes]
    alloc = rng.choice(("normal", "normal", "anywhere", "cling", "contiguous"))
    with Lvm2(tmp_path / "lvm", global_="use_aio=0") as lvm:
        both = Versus(lvm, tmp_path, sizes, rules=RULES[seed % len(RULES)], tags=tags, alloc=alloc)
        for number in range(25):
            unlike = both.both(both.random_step(rng))
            assert not unlike, f"step {number}: {unlike}"


def test_a_fragmented_group(tmp_path: Path) -> None:
    """Runs of many lengths on three PVs: each policy picks the same ones for linear and striped volumes."""
    with Lvm2(tmp_path / "lvm", global_="use_aio=0") as lvm:
        both = Versus(lvm, tmp_path, (40, 30, 35))
        for number in range(12):
            device = both.devices[number % 3]
            step = both.create(f"w{number}", str(2 + number % 5), pvs=[device], alloc="contiguous")
            assert not both.both(step)
        for number in (1, 3, 4, 6, 8, 11):
            assert not both.both(both.remove(f"w{number}"))
        number = 0
        for alloc in ("contiguous", "cling", "normal", "anywhere"):
            for stripes in (0, 2, 3):
                for size in ("3", "6", "12", "30", "60%FREE", "100%FREE"):
                    number += 1
                    step = both.create(f"x{number}", size, stripes, alloc)
                    assert not both.both(step)
                    if f"x{number}" in both.group().lv_by_name:
                        assert not both.both(both.extend(f"x{number}", "+3", alloc=alloc))
                        assert not both.both(both.remove(f"x{number}"))
