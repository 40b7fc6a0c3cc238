"""What the lines of the built-in targets mean, and what becomes of lines that nobody understands."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar, Self

import pytest
from attrs import evolve, frozen
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stacks import STACKS, TARGETS, load_stack
from vmgr.core.errors import InvalidTable, PluginError
from vmgr.core.hooks import hookimpl
from vmgr.core.table import KernelLine
from vmgr.core.tabletype import TableType
from vmgr.core.targets import Targets
from vmgr.core.units import Sectors
from vmgr.dm.tables import Tables, TypedLine, typed_line
from vmgr.plugins import error, linear, striped, zero
from vmgr.plugins.error.table import ErrorTable
from vmgr.plugins.linear.table import LinearTable
from vmgr.plugins.snapshot.table import FEATURES, STORES, MergeTable, OriginTable, SnapshotTable
from vmgr.plugins.striped.table import StripedTable
from vmgr.plugins.zero.table import ZeroTable
from vmgr.registry import table_types

TYPES = TARGETS.table_types()
TABLES = Tables(TYPES)

DEVICE = st.one_of(
    st.tuples(st.integers(0, 4095), st.integers(0, (1 << 20) - 1)).map("{0[0]}:{0[1]}".format),
    st.sampled_from(["/dev/sda", "/dev/mapper/a\\x20b"]),
)
SECTORS = st.integers(0, (1 << 64) - 1).map(Sectors)
CHUNK = st.one_of(st.just(0), st.integers(0, 30).map(lambda n: 1 << n)).map(Sectors)
SNAPSHOT = (DEVICE, DEVICE, st.sampled_from(STORES), CHUNK, st.lists(st.sampled_from(FEATURES)).map(tuple))


def has_chunk(value: SnapshotTable) -> bool:
    return value.kind != "N" or value.chunk != 0


VALUES = {
    LinearTable: st.builds(LinearTable, DEVICE, SECTORS),
    StripedTable: st.builds(
        StripedTable,
        st.integers(1, (1 << 32) - 1).map(Sectors),
        st.lists(st.tuples(DEVICE, SECTORS), min_size=1, max_size=4).map(tuple),
    ),
    OriginTable: st.builds(OriginTable, DEVICE),
    SnapshotTable: st.builds(SnapshotTable, *SNAPSHOT).filter(has_chunk),
    MergeTable: st.builds(MergeTable, *SNAPSHOT).filter(has_chunk),
    ZeroTable: st.just(ZeroTable()),
    ErrorTable: st.just(ErrorTable()),
}


def line(target: str, params: str = "") -> KernelLine:
    return KernelLine(Sectors(0), Sectors(8), target, params)


def test_every_installed_kernel_target_has_a_type() -> None:
    declared = {target.name for info in TARGETS.infos() for target in info.kernel_targets}
    assert {each.target for each in TYPES} == declared
    assert set(VALUES) == set(TYPES)
    assert set(TYPES) <= set(table_types())


@given(st.one_of(*VALUES.values()))
def test_a_value_s_parameters_are_read_back_as_the_value(value: TableType) -> None:
    made = typed_line(Sectors(0), Sectors(8), value)
    assert made.target == value.target
    assert TABLES.parse(made) == TypedLine(made, value)


@pytest.mark.parametrize("name", STACKS)
def test_every_line_that_the_kernel_printed_is_understood_and_printed_back(name: str) -> None:
    for device in load_stack(name).live.values():
        for typed in TABLES.parse_all(device.table or ()):
            assert typed.reason == ""
            assert typed.value is not None
            assert typed.value.params() == typed.line.params


@pytest.mark.parametrize(
    ("target", "params", "devices"),
    [
        ("linear", "8:0 2048", ("8:0",)),
        ("striped", "2 128 8:0 0 8:16 4096", ("8:0", "8:16")),
        ("snapshot-origin", "254:1", ("254:1",)),
        ("snapshot", "254:1 254:2 P 8 1 discard_zeroes_cow", ("254:1", "254:2")),
        ("snapshot-merge", "254:1 254:2 PO 8", ("254:1", "254:2")),
        ("zero", "", ()),
        ("error", "", ()),
    ],
)
def test_a_line_knows_its_devices(target: str, params: str, devices: tuple[str, ...]) -> None:
    value = TABLES.parse(line(target, params)).value
    assert value is not None
    assert value.devices == devices
    assert value.params() == params


@pytest.mark.parametrize(
    ("target", "params", "said"),
    [
        ("linear", "8:0", "linear: '8:0' is not DEVICE START"),
        ("linear", "8:0 0 1", "is not DEVICE START"),
        ("linear", "8:0 -1", "the start '-1' is not a number"),
        ("linear", "8:0 18446744073709551616", "is not between"),
        ("striped", "2 8 8:0 0", "with 2 stripes"),
        ("striped", "0 8 8:0 0", "the number of stripes 0 is not between 1"),
        ("striped", "1 0 8:0 0", "the chunk size 0 is not between 1"),
        ("striped", "1 8 8:0 0 8:1 0", "with 1 stripes"),
        ("snapshot-origin", "", "is not DEVICE"),
        ("snapshot", "8:0 8:1 P", "is not ORIGIN STORE"),
        ("snapshot", "8:0 8:1 X 8", "the kind of store 'X' is none of P, PO, N"),
        ("snapshot", "8:0 8:1 P 12", "the chunk size 12 is not a power of 2"),
        ("snapshot", "8:0 8:1 N 0", "needs a chunk size"),
        ("snapshot", "8:0 8:1 P 8 2 discard_zeroes_cow", "announces 2 features and has 1"),
        ("snapshot", "8:0 8:1 P 8 1 fast", "the feature 'fast'"),
        ("snapshot", "8:0 8:1 P 8 x", "the number of features 'x' is not a number"),
        ("zero", "a", "zero: it takes no parameters, and not 'a'"),
        ("crypt", "a b c", "no installed plugin knows the target 'crypt'"),
    ],
)
def test_a_line_that_is_not_understood_stays_text_and_says_why(target: str, params: str, said: str) -> None:
    typed = TABLES.parse(line(target, params))
    assert (typed.line, typed.value) == (line(target, params), None)
    assert said in typed.reason


@given(st.sampled_from([each.target for each in TYPES]), st.text())
def test_no_parameters_make_a_parser_fail(target: str, params: str) -> None:
    typed = TABLES.parse(line(target, params))
    assert (typed.value is None) == bool(typed.reason)
    assert "its parser failed" not in typed.reason


def test_a_parser_that_fails_does_not_take_the_line_away() -> None:
    class Broken(TableType):
        target: ClassVar[str] = "broken"

        @classmethod
        def parse(cls, params: str) -> Self:
            raise IndexError("list index out of range")

    typed = Tables([Broken]).parse(line("broken", "a"))
    assert typed == TypedLine(
        line("broken", "a"), None, "broken: its parser failed: IndexError: list index out of range"
    )


# -- what plugins may return ----------------------------------------------------------------------


@frozen(repr=False)
class OtherZero(TableType):
    target: ClassVar[str] = "zero"


def _with(name: str, *types: object, kernel_target: str = "") -> Targets:
    """A plugin like ``error``, under another name and with other types."""
    from vmgr.core.hooks import KernelTarget
    from vmgr.core.model import SegmentBody

    class Body(SegmentBody):
        __slots__ = ()

    info = evolve(
        error.PLUGIN.target_info(),
        name=name,
        segment_types=(name,),
        types=(name,),
        bodies=(Body,),
        kernel_targets=(KernelTarget(kernel_target or name),),
    )

    @hookimpl
    def target_info():  # type: ignore[no-untyped-def]
        return info

    @hookimpl
    def table_types():  # type: ignore[no-untyped-def]
        return types

    plugin = SimpleNamespace(
        target_info=target_info,
        table_types=table_types,
        decode_segment=error.PLUGIN.decode_segment,
        encode_segment=error.PLUGIN.encode_segment,
        segment_lines=error.PLUGIN.segment_lines,
    )
    return Targets([("linear", linear), ("zero", zero.PLUGIN), (name, plugin)], {"mine": "stranger-1.0"})


def test_two_plugins_with_a_type_for_one_target_are_named() -> None:
    with pytest.raises(PluginError, match=r"'mine' .* claims lines of 'zero', as vmgr's own 'zero' does"):
        _with("mine", OtherZero, kernel_target="zero").table_types()


def test_a_plugin_has_types_for_its_own_targets_only() -> None:
    with pytest.raises(PluginError, match=r"'mine' .*: it has a type for lines of 'zero', which is not one of"):
        _with("mine", OtherZero).table_types()


@pytest.mark.parametrize("bad", [object(), str, TableType])
def test_what_is_no_type_is_refused(bad: object) -> None:
    with pytest.raises(PluginError, match="'mine'"):
        _with("mine", bad).table_types()


def test_a_plugin_without_the_hook_has_none() -> None:
    plugin = SimpleNamespace(**{k: v for k, v in vars(striped).items() if k != "table_types"})
    assert Targets([("striped", plugin)]).table_types() == ()


def test_an_ordinary_command_loads_no_type() -> None:
    """Each class costs start-up time, and a report needs none of these."""
    code = (
        "import sys; from vmgr.registry import load_targets; load_targets();"
        "print([m for m in sys.modules if m.endswith('.table') and 'plugins' in m or m.endswith('.tabletype')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_example_s_lines_have_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "vmgr-delay" / "src"))
    for module in ("vmgr_delay", "vmgr_delay.table"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    import vmgr_delay

    tables = Tables(Targets([("delay", vmgr_delay)]).table_types())
    for params in ("8:0 0 20", "8:0 0 20 8:16 8 30", "8:0 0 1 8:0 0 2 8:0 0 3"):
        value = tables.parse(line("delay", params)).value
        assert value is not None
        assert value.params() == params
        assert value.devices == tuple(params.split()[::3])
    for params in ("8:0 0", "8:0 0 20 8:16", "8:0 x 20", " ".join(["8:0 0 20"] * 4)):
        assert tables.parse(line("delay", params)).value is None


def test_an_invalid_table_is_what_a_type_raises() -> None:
    with pytest.raises(InvalidTable):
        LinearTable.parse("x")
