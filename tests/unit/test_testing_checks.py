"""The checks of a plugin: vmgr's own pass them, and each finds the fault that it is for."""

from __future__ import annotations

import pytest
from attrs import evolve

from tests.support.odd_target import INFO, Odd, declaring, encoding, raising
from tests.unit.test_plugin_trust import OWN
from vmgr.core.errors import NotFound
from vmgr.core.hooks import VolumeFacts, hookimpl
from vmgr.core.registered import LeftOut
from vmgr.core.table import TargetLine
from vmgr.core.targets import Targets
from vmgr.core.units import Extents, Sectors
from vmgr.testing.checks import FAILED, PASSED, SKIPPED, Result, Sample, check_plugin


def checked(plugin: object, *samples: Sample) -> tuple[Result, ...]:
    left_out = LeftOut(lambda _: None)
    return check_plugin(Targets([*OWN, ("odd", plugin)], {"odd": "odd-1.0"}, left_out), "odd", samples)


def failed(results: tuple[Result, ...]) -> dict[str, str]:
    return {result.check: result.text for result in results if result.outcome == FAILED}


@pytest.mark.parametrize("name", [name for name, _ in OWN])
def test_vmgrs_own_plugins_pass(name: str) -> None:
    results = check_plugin(Targets(OWN), name)
    assert {result.outcome for result in results} == {PASSED}
    assert len(results) == 8


def test_options_of_a_sample_are_given() -> None:
    results = check_plugin(Targets(OWN), "striped", [Sample("striped", (("stripes", 3),), Extents(9))])
    assert {result.outcome for result in results} == {PASSED}


def test_a_type_that_cannot_be_made_so_is_skipped_with_the_reason() -> None:
    results = check_plugin(Targets(OWN), "striped", [Sample("striped", (("stripes", 1000),))])
    assert [result.outcome for result in results] == [PASSED, SKIPPED]
    assert "Sample" in results[1].text


def test_a_plugin_that_keeps_to_the_contract_passes() -> None:
    assert failed(checked(declaring(manual="An odd volume is odd."))) == {}


class ShortTable(Odd):
    @hookimpl
    def segment_lines(self, group, segment):
        (line,) = Odd.segment_lines(self, group, segment)
        return (evolve(line, length=line.length - Sectors(8)),)


class Gap(Odd):
    @hookimpl
    def segment_lines(self, group, segment):
        (line,) = Odd.segment_lines(self, group, segment)
        return (evolve(line, start=line.start + Sectors(8)),)


class WrongCut(Odd):
    @hookimpl
    def cut_segment(self, segment, start, length):
        return segment.body


class StrangeName(Odd):
    @hookimpl
    def layers(self, base):
        return (evolve(base, name="elsewhere"),)


class OneName(Odd):
    @hookimpl
    def layers(self, base):
        below = evolve(base, uuid=f"{base.uuid}-below", link=None)
        return below, base


class TwoValues(Odd):
    @hookimpl
    def describe(self):
        return VolumeFacts("odd", values=(("odder", 7),))


class Unreadable(Odd):
    @hookimpl
    def segment_lines(self, segment):
        return (TargetLine(segment.start.sectors(Sectors(1)), Sectors(1), "no such target"),)


@pytest.mark.parametrize(
    ("plugin", "check", "words"),
    [
        (declaring(), "declaration", "TargetInfo lacks manual"),
        (encoding(forgets=True), "is made", "OddBody.areas was written as"),
        (ShortTable(), "is made", "checked: the table has 1528 sectors, the volume 1536"),
        (Gap(), "is made", "a table line starts at sector 8 instead of 0"),
        (WrongCut(), "mapped once", ""),
        (StrangeName(), "names and UUIDs", "the device elsewhere is not named after the group"),
        (OneName(), "names and UUIDs", "two of its devices have one name"),
        (TwoValues(), "described", "a value in column 'odder', which it does not declare"),
        (raising("messages"), "activated", "its hook messages raised KeyError"),
        (raising("companions"), "kill", "its hook companions raised KeyError"),
        (raising("check_volume"), "is made", "its hook check_volume raised KeyError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Odd) else None,
)
def test_each_check_finds_its_fault(plugin: object, check: str, words: str) -> None:
    (text,) = [text for title, text in failed(checked(plugin)).items() if check in title]
    assert words in text


def test_a_name_that_nobody_has_is_refused() -> None:
    with pytest.raises(NotFound, match="no target plugin is called 'odd'"):
        check_plugin(Targets(OWN), "odd")
    assert INFO.name == "odd"
