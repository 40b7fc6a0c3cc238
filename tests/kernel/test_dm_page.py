"""Every example of ``docs/device-mapper.md`` does what the page says, on the kernel."""

from __future__ import annotations

from itertools import groupby

import pytest

from tests.support import lab
from tests.support.page import examples, run

SECTIONS = [list(group) for _, group in groupby(examples(), key=lambda example: example.section)]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section[0].section)
@lab.with_and_without_udev
def test_each_section_does_what_it_says(section: list, udev: bool) -> None:
    """The examples of a section build on each other, those of two sections do not."""
    names: dict[str, object] = {"__name__": "__main__"}
    for example in section:
        printed = run(example, names)
        if example.section == "Nodes and udev" and not example.output:
            assert printed in ("", f"udev is {'' if udev else 'not '}relied on\n")
        else:
            assert printed == example.output
    assert lab.mapped_devices() == set()
