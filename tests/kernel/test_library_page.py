"""Every example of ``docs/library.md`` does what the page says, on a real kernel."""

from __future__ import annotations

import doctest
from collections.abc import Callable

from tests.support.library import examples


def test_the_examples_do_what_the_page_says(make_disk: Callable[[float], str]) -> None:
    found = examples((make_disk(64), make_disk(64)))
    said: list[str] = []
    results = doctest.DocTestRunner().run(found, out=said.append)
    assert not results.failed, "".join(said)
    assert results.attempted == len(found.examples) > 25
