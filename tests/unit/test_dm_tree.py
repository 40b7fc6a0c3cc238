"""The device tree: what is found in it, in which order it is walked, how it is drawn."""

from __future__ import annotations

import errno
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgr.core.errors import AmbiguousName, NotFound, UsageError
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi
from vmgr.dm.client import DmClient, by_name, by_number, by_uuid
from vmgr.dm.errnos import explain
from vmgr.dm.tree import DeviceTree, Numbers, TreeNode
from vmgr.dm.tree_drawing import TreeStyle, draw
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

DISK = "8:0"


def client(kernel: FakeKernel | None = None) -> DmClient:
    return DmClient(kernel or FakeKernel({(8, 0): 1 << 20, (8, 16): 1 << 20}), nodes=FakeNodes())


def make(dm: DmClient, name: str, *below: str, uuid: str = "") -> str:
    """A device of linear pieces of ``below``, or of zeros; its number."""
    lines = [KernelLine(Sectors(8 * i), Sectors(8), "linear", f"{dev} 0") for i, dev in enumerate(below)] or [
        KernelLine(Sectors(0), Sectors(8), "zero", "")
    ]
    device = dm.create(name, uuid)
    dm.load(by_name(name), lines)
    dm.resume(by_name(name))
    return f"{device.major}:{device.minor}"


def read(dm: DmClient) -> DeviceTree:
    return DeviceTree.read(dm, sys="")


@pytest.fixture
def stack() -> DeviceTree:
    """``top`` and ``other`` on ``low``, ``top`` on a disk as well, ``low`` on the disk; ``alone`` on nothing."""
    dm = client()
    low = make(dm, "low", DISK, uuid="U-low")
    make(dm, "top", low, DISK, uuid="U-top")
    make(dm, "other", low)
    make(dm, "alone")
    return read(dm)


# -- finding ----------------------------------------------------------------------------------------


def test_a_node_is_found_by_all_its_names(stack: DeviceTree) -> None:
    node = stack["low"]
    assert (node.name, node.uuid, node.number, node.numbers) == ("low", "U-low", "254:0", (254, 0))
    for words in (
        "U-low",
        "254:0",
        by_name("low"),
        by_uuid("U-low"),
        by_number(254, 0),
        (254, 0),
        node,
        node.device,
    ):
        assert stack[words] is node  # type: ignore[index]
    assert "low" in stack
    assert stack["8:0"].device is None


@pytest.mark.parametrize("dev", ["", "none", by_name("U-low"), by_uuid("low"), by_number(8, 16), (8, 16)])
def test_what_is_not_there_is_not_found(stack: DeviceTree, dev: object) -> None:
    assert stack.find(dev) is None  # type: ignore[arg-type]
    assert dev not in stack
    with pytest.raises(NotFound):
        stack[dev]  # type: ignore[index]


def test_a_device_that_is_another_one_by_now_is_not_found() -> None:
    dm = client()
    make(dm, "a", uuid="one")
    old = dm.info(name="a")
    assert old is not None
    dm.remove("a")
    make(dm, "a", uuid="two")
    assert old not in read(dm)


def test_a_word_with_two_meanings_is_refused() -> None:
    dm = client()
    make(dm, "x", uuid="y")
    make(dm, "y")
    with pytest.raises(AmbiguousName):
        read(dm).find("y")


def test_disks_are_called_by_their_kernel_names(tmp_path: object) -> None:
    import os

    dm = client()
    make(dm, "a", DISK, "8:16")
    os.makedirs(f"{tmp_path}/dev/block")
    os.symlink("../../devices/pci/block/sda", f"{tmp_path}/dev/block/8:0")
    tree = DeviceTree.read(dm, sys=str(tmp_path))
    assert [node.label for node in tree.bottom] == ["8:16", "sda"]
    assert tree["sda"].numbers == (8, 0)
    assert draw(tree, TreeStyle(kernel_name=True)) == "a (254:0)\n |- (8:16)\n `- <sda> (8:0)\n"


# -- order ------------------------------------------------------------------------------------------


def names(nodes: tuple[TreeNode, ...]) -> list[str]:
    return [node.label for node in nodes]


def test_tops_and_bottoms(stack: DeviceTree) -> None:
    assert names(stack.top) == ["alone", "other", "top"]
    assert names(stack.bottom) == ["alone", "8:0"]
    assert names(stack.used_by("low")) == ["other", "top"]
    assert names(stack.uses("top")) == ["8:0", "low"]


def test_stacks_from_both_ends(stack: DeviceTree) -> None:
    assert names(stack.bottom_up("top")) == ["8:0", "low", "top"]
    assert names(stack.top_down("top")) == ["top", "low", "8:0"]
    assert names(stack.top_down("low", above=True)) in (["top", "other", "low"], ["other", "top", "low"])
    assert set(names(stack.bottom_up())) == {"8:0", "low", "top", "other", "alone"}
    assert set(names(stack.below("other"))) == {"other", "low", "8:0"}


def test_a_walk_shows_what_several_use_once_under_each(stack: DeviceTree) -> None:
    assert [(visit.depth, visit.node.label, visit.last) for visit in stack.walk()] == [
        (0, "alone", False),
        (0, "other", False), (1, "low", True), (2, "8:0", True),
        (0, "top", True), (1, "8:0", False), (1, "low", True), (2, "8:0", True),
    ]  # fmt: skip
    assert [visit.node.label for visit in stack.walk("low", inverted=True)] == ["low", "other", "top"]


def test_an_order_heeds_what_tables_do_not_show() -> None:
    dm = client()
    real = make(dm, "real", DISK)
    origin, snapshot = make(dm, "origin", real), make(dm, "snapshot", real)
    tree = read(dm)
    numbers = [tree[dev].numbers for dev in (origin, snapshot)]
    assert names(tree.ordered(["origin", "snapshot", "real"], {numbers[0]: [numbers[1]]})) == [
        "real", "snapshot", "origin",
    ]  # fmt: skip
    assert names(tree.ordered(["snapshot", "origin"], {numbers[1]: [numbers[0]]})) == ["origin", "snapshot"]


@st.composite
def graphs(draw: st.DrawFn) -> DmClient:
    """Up to ten devices, each on some of those before it."""
    dm = client()
    there = [DISK, "8:16"]
    for i in range(draw(st.integers(0, 10))):
        below = draw(st.lists(st.sampled_from(there), unique=True, max_size=4))
        there.append(make(dm, draw(st.sampled_from("abcdef")) + str(i), *below))
    return dm


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data())
def test_each_device_comes_after_what_it_lies_on(dm: DmClient, data: st.DataObject) -> None:
    tree = read(dm)
    starts = data.draw(st.lists(st.sampled_from(tree.nodes), max_size=3)) if tree.nodes else []
    for above in (False, True):
        order = tree.bottom_up(*starts, above=above)
        assert len(set(order)) == len(order)
        place = {node.numbers: i for i, node in enumerate(order)}
        for node in order:
            assert all(place[n] < place[node.numbers] for n in node.uses if n in place)
            if not above:
                assert all(n in place for n in node.uses), "everything below belongs to it"
            elif starts:
                assert all(n in place for n in node.used_by), "everything above belongs to it"
        assert tree.top_down(*starts, above=above) == order[::-1]


@settings(max_examples=60, deadline=None)
@given(graphs(), st.data())
def test_a_part_keeps_the_order_of_the_whole_also_at_a_distance(dm: DmClient, data: st.DataObject) -> None:
    """A device that is not in the part stands between two that are."""
    tree = read(dm)
    part = data.draw(st.lists(st.sampled_from(tree.nodes), unique=True)) if tree.nodes else []
    order = tree.ordered(part)
    assert set(order) == set(part)
    place = {node.numbers: i for i, node in enumerate(order)}
    for node in order:
        assert all(place[n.numbers] <= place[node.numbers] for n in tree.below(node) if n.numbers in place)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_a_tree_is_the_kernel_s_dependencies_and_nothing_else(dm: DmClient) -> None:
    tree = read(dm)
    assert {node.name for node in tree.nodes if node.device} == {entry.name for entry in dm.names()}
    edges = {(n.numbers, used) for n in tree.nodes for used in n.uses}
    assert edges == {((254, d.minor), used) for d in dm.devices() for used in dm.deps(d)}
    assert edges == {(user, n.numbers) for n in tree.nodes for user in n.used_by}
    assert tree == read(dm)
    assert hash(tree) == hash(read(dm))


def test_a_ring_is_followed_once_round() -> None:
    device = client().create("a")
    ring: tuple[Numbers, ...] = ((254, 1), (254, 2), (254, 3))
    nodes = tuple(
        TreeNode(n, device, uses=(ring[(i + 1) % 3],), used_by=(ring[i - 1],)) for i, n in enumerate(ring)
    )
    tree = DeviceTree(nodes)
    assert [visit.node.numbers for visit in tree.walk(ring[0])] == [*ring, ring[0]]
    assert len(tree.bottom_up()) == 3
    assert len(tree.above(ring[1])) == 3
    assert draw(tree, TreeStyle()) == ""


def test_a_tree_as_deep_as_you_like_is_read_and_walked() -> None:
    dm = client()
    below = DISK
    for i in range(1100):
        below = make(dm, f"d{i}", below)
    tree = read(dm)
    assert len(tree.bottom_up(below)) == 1101
    assert max(visit.depth for visit in tree.walk()) == 1100
    assert draw(tree, TreeStyle()).count("\n") == 99, "dmsetup draws no more levels"


# -- reading ----------------------------------------------------------------------------------------


class Vanishing(FakeKernel):
    """A kernel in which a device goes away right after the list was read."""

    gone: Numbers | None = None

    def call(self, request: Request) -> Reply:
        if request.command is abi.TABLE_DEPS and abi.major_minor(request.dev) == self.gone:
            raise explain(request, errno.ENXIO)
        return super().call(request)


@pytest.mark.parametrize("name", ["low", "top"])
def test_a_device_that_goes_away_meanwhile_is_left_out(name: str) -> None:
    kernel = Vanishing({(8, 0): 1 << 20})
    dm = client(kernel)
    low = make(dm, "low", DISK)
    make(dm, "top", low)
    kernel.gone = read(dm)[name].numbers
    tree = read(dm)
    assert name not in tree
    assert all(set(node.uses) <= {n.numbers for n in tree.nodes} for node in tree.nodes)
    assert all(set(node.used_by) <= {n.numbers for n in tree.nodes} for node in tree.nodes)


def test_one_question_for_each_device_is_asked() -> None:
    kernel = FakeKernel({(8, 0): 1 << 20})
    dm = client(kernel)
    low = make(dm, "low", DISK)
    make(dm, "top", low, DISK)
    kernel.calls.clear()
    read(dm)
    assert [call.command.name for call in kernel.calls] == ["list", "deps", "deps"]


# -- showing ----------------------------------------------------------------------------------------


def test_a_tree_is_plain_data_for_programs(stack: DeviceTree) -> None:
    rows = json.loads(json.dumps(stack.as_json()))
    assert len(rows) == len(stack)
    by_number = {row["number"]: row for row in rows}
    assert by_number["254:0"] == {
        "number": "254:0", "major": 254, "minor": 0, "kernel_name": "", "mapped": True, "name": "low",
        "uuid": "U-low", "suspended": False, "read_only": False, "open_count": 2, "live_table": True,
        "waiting_table": False, "uses": ["8:0"], "used_by": ["254:2", "254:1"],
    }  # fmt: skip
    assert by_number["8:0"]["mapped"] is False
    assert "name" not in by_number["8:0"]


def test_drawing(stack: DeviceTree) -> None:
    assert draw(stack, TreeStyle()) == (
        "alone (254:3)\n"
        "other (254:2)\n"
        " `-low (254:0)\n"
        "    `- (8:0)\n"
        "top (254:1)\n"
        " |- (8:0)\n"
        " `-low (254:0)\n"
        "    `- (8:0)\n"
    )
    assert draw(stack, TreeStyle.parse("compact", utf8=True)) == (
        "alone (254:3)\n"
        "other (254:2)───low (254:0)─── (8:0)\n"
        "top (254:1)─┬─ (8:0)\n"
        "            └─low (254:0)─── (8:0)\n"
    )
    assert draw(stack, TreeStyle.parse("inverted,open"), columns=20, unmangle=str.upper) == (
        "ALONE (254:3) [0]\n"
        " (8:0)\n"
        " |-LOW (254:0) [...\n"
        " |  |-OTHER (254...\n"
        " |  `-TOP (254:1...\n"
        " `-TOP (254:1) [...\n"
    )


def test_options_may_be_cut_short_and_the_first_that_fits_counts() -> None:
    assert TreeStyle.parse("") == TreeStyle()
    assert TreeStyle.parse("", utf8=True) == TreeStyle(symbols="utf")
    assert TreeStyle.parse("b,no,not,u,ut,in,c,") == TreeStyle(
        kernel_name=True, device=False, truncate=False, uuid=True, symbols="utf", inverted=True, compact=True
    )
    assert TreeStyle.parse("nodevice,,") == TreeStyle(), "an empty word is the start of the first"


@pytest.mark.parametrize("words", ["x", "active,x,open", "devices", " active"])
def test_unknown_options_are_refused(words: str) -> None:
    with pytest.raises(UsageError, match="Tree options not recognised: "):
        TreeStyle.parse(words)
