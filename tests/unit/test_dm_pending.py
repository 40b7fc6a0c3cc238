"""What the client does beside the kernel: cookies, waiting, nodes and links, in transactions and out of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.dm_conformance import line, words, zeros
from vmgr.core.errors import KernelError, UdevTimeout
from vmgr.dm import abi
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.failure import DmError, NodeError
from vmgr.dm.udev import Udev
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

LINK = ("vg", "lv")


class FakeCookie:
    """Counts as the semaphore does, and remembers what became of it."""

    def __init__(self, udev: FakeUdev) -> None:
        self.base = 0x100 + len(udev.cookies)
        self.pending = 0
        self.waited: float | None = None
        self.removed = False
        self._udev = udev

    def announce(self) -> None:
        self.pending += 1

    def retract(self) -> None:
        self.pending -= 1

    def wait(self, timeout: float) -> None:
        self.waited = timeout
        self.remove()
        self._udev.act(self)

    def remove(self) -> None:
        self.removed = True


class FakeUdev:
    """A udev that makes the nodes when it is waited for: from the events that it saw, as the rules do."""

    def __init__(self, kernel: FakeKernel, nodes: FakeNodes) -> None:
        self.kernel, self.nodes = kernel, nodes
        self.timeout = 30.0
        self.behave()
        self.cookies: list[FakeCookie] = []
        self.stuck = False
        self.lazy = False
        self.none_left = False
        self.rescans: list[tuple[int, int]] = []
        self.prepared_before = -1

    def behave(self, **how: Any) -> None:
        """Be worked with as the real one with these arguments would be."""
        policy = Udev(**how)
        self.sync, self.rules, self.trusted = policy.sync, policy.rules, policy.trusted
        self.cookie, self.flags = policy.cookie, policy.flags

    def prepare(self) -> None:
        self.prepared_before = len(self.kernel.calls)

    def new_cookie(self) -> FakeCookie:
        if self.none_left:
            raise KernelError("no semaphore is left")
        self.cookies.append(FakeCookie(self))
        return self.cookies[-1]

    def lent_cookie(self) -> FakeCookie | None:
        if self.cookie and not self.cookies:
            self.cookies.append(FakeCookie(self))
        return self.cookies[0] if self.cookie else None

    def rescan(self, major: int, minor: int) -> None:
        self.rescans.append((major, minor))

    def act(self, cookie: FakeCookie) -> None:
        if self.stuck:
            raise UdevTimeout("udev is not done", hint="look at it")
        if self.lazy:
            return
        present = {device.name: device for device in DmClient(self.kernel, nodes=FakeNodes()).devices()}
        self.nodes.nodes = {n: (d.major, d.minor) for n, d in present.items() if d.has_live}
        self.nodes.links = {k: v for k, v in self.nodes.links.items() if v in present}
        for name, device in present.items():
            if name.count("-") == 1 and device.has_live:
                group, volume = name.split("-")
                self.nodes.links[group, volume] = name


class Bench:
    def __init__(self, with_udev: bool) -> None:
        self.kernel = FakeKernel({(7, 0): 20480})
        self.nodes = FakeNodes()
        self.udev = FakeUdev(self.kernel, self.nodes)
        self.said: list[str] = []
        udev: Any = self.udev if with_udev else None
        self.dm = DmClient(self.kernel, udev=udev, nodes=self.nodes, warn=self.said.append)

    def make(self, name: str = "vg-lv", link: tuple[str, str] | None = LINK) -> tuple[int, int]:
        self.dm.create(name, f"UUID-{name}")
        self.dm.load(by_name(name), zeros())
        device = self.dm.resume(by_name(name), link=link)
        return device.major, device.minor

    def event_numbers(self, *commands: abi.Command) -> list[int]:
        return [call.event_nr for call in self.kernel.calls if call.command in commands]


@pytest.fixture
def alone() -> Bench:
    return Bench(with_udev=False)


@pytest.fixture
def bench() -> Bench:
    return Bench(with_udev=True)


EVENTFUL = abi.DEV_SUSPEND, abi.DEV_REMOVE, abi.DEV_RENAME


def test_without_udev_nodes_and_links_follow_the_kernel(alone: Bench) -> None:
    number = alone.make()
    assert alone.nodes.nodes == {"vg-lv": number}
    assert alone.nodes.links == {LINK: "vg-lv"}
    alone.dm.rename("vg-lv", "vg-new", old_link=LINK, new_link=("vg", "new"))
    assert alone.nodes.nodes == {"vg-new": number}
    assert alone.nodes.links == {("vg", "new"): "vg-new"}
    alone.dm.remove("vg-new", link=("vg", "new"))
    assert alone.nodes.nodes == {}
    assert alone.nodes.links == {}
    assert alone.said == []


def test_without_udev_the_rules_are_told_to_keep_out(alone: Bench) -> None:
    """One may run all the same; it must not take away what was made here."""
    alone.make()
    alone.dm.remove("vg-lv")
    keep_out = abi.UDEV_PRIMARY_SOURCE | abi.UDEV_DISABLE_DM_RULES | abi.UDEV_DISABLE_SUBSYSTEM_RULES
    assert alone.event_numbers(*EVENTFUL) == [keep_out << 16] * 2


def test_every_event_carries_a_cookie_and_the_primary_source_flag(bench: Bench) -> None:
    bench.make()
    bench.dm.rename("vg-lv", "vg-new", old_link=LINK, new_link=("vg", "new"))
    bench.dm.remove("vg-new", link=("vg", "new"))
    assert bench.event_numbers(*EVENTFUL) == [
        abi.UDEV_PRIMARY_SOURCE << 16 | base for base in (0x100, 0x101, 0x102)
    ]
    assert all(cookie.waited == 30.0 and cookie.removed for cookie in bench.udev.cookies)


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, 0),
        ({"hidden": True}, 0x0E),
        ({"noscan": True}, 0x100),
        ({"low_priority": True}, 0x10),
        ({"hidden": True, "low_priority": True}, 0x1E),
        ({"udev_flags": abi.UDEV_DISABLE_DISK_RULES}, 0x04),
    ],
)
def test_flags_for_the_rules_are_lvm2_s(bench: Bench, options: dict[str, Any], flags: int) -> None:
    bench.dm.create("a")
    bench.dm.load("a", zeros())
    bench.dm.resume("a", **options)
    assert bench.event_numbers(abi.DEV_SUSPEND) == [(flags | 0x40) << 16 | 0x100]


KEEP_OUT = abi.UDEV_DISABLE_DM_RULES | abi.UDEV_DISABLE_SUBSYSTEM_RULES
COOKIE = 0x0D4D0100


@pytest.mark.parametrize(
    ("how", "flags", "base", "made"),
    [
        ({"sync": False}, abi.UDEV_DISABLE_LIBRARY_FALLBACK, 0, False),
        ({"rules": False}, KEEP_OUT, 0x100, True),
        ({"sync": False, "rules": False}, KEEP_OUT, 0, True),
        ({"verify": False}, abi.UDEV_DISABLE_LIBRARY_FALLBACK, 0x100, False),
        ({"cookie": COOKIE}, abi.UDEV_DISABLE_LIBRARY_FALLBACK, 0x100, False),
        ({"cookie": COOKIE, "sync": False}, abi.UDEV_DISABLE_LIBRARY_FALLBACK, 0, False),
        ({"cookie": COOKIE, "rules": False}, KEEP_OUT, 0x100, True),
    ],
)
def test_udev_is_worked_with_as_it_is_asked_for(
    bench: Bench, how: dict[str, Any], flags: int, base: int, made: bool
) -> None:
    """``made``: the client makes the node by itself, without a word about it; a lazy udev does not."""
    bench.udev.lazy = True
    bench.udev.behave(**how)
    number = bench.make()
    assert bench.event_numbers(abi.DEV_SUSPEND) == [(flags | abi.UDEV_PRIMARY_SOURCE) << 16 | base]
    assert bench.nodes.nodes == ({"vg-lv": number} if made else {})
    assert bench.said == []
    (cookie,) = bench.udev.cookies or [None]
    if base and "cookie" not in how:
        assert cookie is not None
        assert (cookie.waited, cookie.removed) == (30.0, True)
    elif cookie is not None:
        assert (cookie.waited, cookie.removed) == (None, False)
    bench.dm.rename("vg-lv", "vg-new", old_link=LINK, new_link=("vg", "new"))
    assert bench.nodes.nodes == ({"vg-new": number} if made else {})
    bench.dm.remove("vg-new", link=("vg", "new"))
    assert bench.nodes.nodes == bench.nodes.links == {}


def test_a_lent_cookie_outlives_a_refusal(bench: Bench) -> None:
    bench.udev.behave(cookie=COOKIE)
    bench.make()
    bench.kernel.call(Request(abi.DEV_CREATE, name="taken"))
    with pytest.raises(DmError):
        bench.dm.rename("vg-lv", "taken")
    (cookie,) = bench.udev.cookies
    assert (cookie.pending, cookie.removed) == (1, False)


def test_a_udev_that_is_trusted_and_does_not_answer_is_made_up_for(bench: Bench) -> None:
    bench.udev.behave(verify=False)
    bench.udev.stuck = True
    number = bench.make()
    assert bench.nodes.nodes == {"vg-lv": number}
    assert "making the nodes without it" in bench.said[0]


def test_a_node_is_renamed_with_its_device(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it keeps its owner, group and mode; also over several names in one transaction."""
    number = alone.make(link=None)
    added = []
    monkeypatch.setattr(alone.nodes, "add", lambda *node: added.append(alone.nodes.right(*node)))
    with alone.dm.transaction():
        alone.dm.rename("vg-lv", "vg-b")
        alone.dm.rename("vg-b", "vg-c")
    assert alone.nodes.nodes == {"vg-c": number}
    assert all(added), "right already when it comes to making nodes"


@pytest.mark.parametrize(
    ("uuid", "links", "hidden"),
    [
        ("LVM-x-cow", {}, True),
        ("LVM-x", {"old_link": LINK, "new_link": ("vg", "new")}, False),
        ("OTHER", {}, False),
        ("", {}, False),
    ],
)
def test_a_renamed_helper_of_lvm_stays_hidden(
    bench: Bench, uuid: str, links: dict[str, tuple[str, str]], hidden: bool
) -> None:
    bench.dm.create("vg-lv", uuid)
    bench.dm.rename(by_name("vg-lv"), "vg-new", **links)
    assert bench.event_numbers(abi.DEV_RENAME) == [((0x0E if hidden else 0) | 0x40) << 16 | 0x100]


def test_commands_without_events_have_no_cookie(bench: Bench) -> None:
    bench.dm.create("a")
    bench.dm.load("a", zeros())
    bench.dm.clear("a")
    bench.dm.info(name="a", table=True, status=True)
    assert bench.udev.cookies == []


def test_a_transaction_has_one_cookie_and_one_wait(bench: Bench) -> None:
    with bench.dm.transaction():
        for i in range(3):
            bench.make(f"vg-{i}", ("vg", str(i)))
        bench.dm.remove("vg-1", link=("vg", "1"))
        assert [cookie.waited for cookie in bench.udev.cookies] == [None]
        assert bench.nodes.nodes == {}
    (cookie,) = bench.udev.cookies
    assert cookie.waited is not None
    assert cookie.pending == 4
    assert set(bench.nodes.nodes) == {"vg-0", "vg-2"}
    assert bench.said == []


def test_transactions_nest_and_the_outermost_waits(bench: Bench) -> None:
    with bench.dm.transaction():
        with bench.dm.transaction():
            bench.make()
        assert [cookie.waited for cookie in bench.udev.cookies] == [None]
    assert [cookie.waited for cookie in bench.udev.cookies] == [30.0]


def test_sync_waits_in_the_middle(bench: Bench) -> None:
    with bench.dm.transaction() as transaction:
        number = bench.make()
        transaction.sync()
        assert bench.nodes.nodes == {"vg-lv": number}
        bench.dm.remove("vg-lv", link=LINK)
    assert [cookie.waited for cookie in bench.udev.cookies] == [30.0, 30.0]


def test_nothing_is_waited_for_while_something_is_suspended(bench: Bench) -> None:
    bench.make("vg-low", None)
    bench.udev.cookies.clear()
    bench.dm.suspend("vg-low")
    bench.make("vg-other", ("vg", "other"))
    bench.dm.sync()
    assert [cookie.waited for cookie in bench.udev.cookies] == [None]
    bench.dm.resume("vg-low")
    assert [cookie.waited for cookie in bench.udev.cookies] == [30.0]


def test_all_that_a_resume_needs_is_loaded_before_a_suspend(bench: Bench) -> None:
    bench.dm.create("a")
    assert bench.udev.prepared_before == -1
    bench.dm.suspend(by_name("a"))
    assert [call.command for call in bench.kernel.calls] == [abi.DEV_CREATE, abi.DEV_SUSPEND]
    assert bench.udev.prepared_before == 1


def test_a_busy_device_is_tried_again(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    alone.make()
    alone.kernel.hold("vg-lv")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            alone.kernel.release("vg-lv")

    monkeypatch.setattr("vmgr.dm.client.time.sleep", sleep)
    assert alone.dm.remove("vg-lv", link=LINK, retry=60)
    assert naps == [0.2] * 3
    assert alone.nodes.nodes == {}


def test_a_wait_is_armed_before_it_looks(alone: Bench) -> None:
    """Else an event in between would be slept through."""
    alone.make()
    alone.kernel.calls.clear()
    assert alone.dm.wait(by_name("vg-lv"), 0, timeout=0) is None
    assert [call.command for call in alone.kernel.calls] == [abi.DEV_ARM_POLL, abi.DEV_STATUS]


def test_a_failure_that_leaves_something_suspended_leaves_no_semaphore(bench: Bench) -> None:
    def fail() -> None:
        with bench.dm.transaction():
            bench.make()
            bench.dm.suspend("vg-lv")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [cookie.removed for cookie in bench.udev.cookies] == [True]


def test_a_refused_command_takes_its_announcement_back(bench: Bench) -> None:
    bench.make()
    bench.kernel.hold("vg-lv")
    with pytest.raises(DmError):
        bench.dm.remove("vg-lv")
    assert bench.udev.cookies[-1].pending == 0
    assert bench.udev.cookies[-1].removed
    assert bench.udev.cookies[-1].waited is None


def test_a_command_that_made_no_event_takes_its_announcement_back(bench: Bench) -> None:
    bench.make()
    bench.dm.resume("vg-lv", link=LINK)
    assert bench.udev.cookies[-1].pending == 0
    assert bench.udev.cookies[-1].removed


def test_a_refused_command_in_a_transaction_leaves_the_others_cookie(bench: Bench) -> None:
    bench.make("vg-held", None)
    bench.kernel.hold("vg-held")
    with bench.dm.transaction():
        number = bench.make()
        with pytest.raises(DmError):
            bench.dm.remove("vg-held")
    assert bench.udev.cookies[-1].pending == 1
    assert bench.udev.cookies[-1].waited is not None
    assert bench.nodes.nodes["vg-lv"] == number


def test_a_udev_that_does_not_answer_is_made_up_for(bench: Bench) -> None:
    bench.udev.stuck = True
    number = bench.make()
    assert bench.nodes.nodes == {"vg-lv": number}
    assert bench.nodes.links == {LINK: "vg-lv"}
    assert len(bench.said) == 2
    assert "udev is not done" in bench.said[0]
    assert "/dev/mapper/vg-lv" in bench.said[1]
    assert bench.dm.warnings == bench.said


def test_a_udev_that_did_not_answer_is_waited_for_briefly_from_then_on(bench: Bench) -> None:
    """Or a hundred volumes would take a hundred times the bound."""
    bench.udev.stuck = True
    bench.make("vg-a", None)
    bench.make("vg-b", None)
    assert [cookie.waited for cookie in bench.udev.cookies] == [30.0, 1.0]


def test_what_udev_s_rules_left_undone_is_made_up_for(bench: Bench) -> None:
    bench.udev.lazy = True
    number = bench.make()
    assert bench.nodes.nodes == {"vg-lv": number}
    assert bench.said == ["udev did not set up /dev/mapper/vg-lv, /dev/vg/lv; done without it"]


def test_a_resume_does_not_fail_for_want_of_a_semaphore(bench: Bench) -> None:
    """A device left suspended is worse than one that nobody waited for."""
    bench.udev.none_left = True
    number = bench.make()
    assert bench.nodes.nodes == {"vg-lv": number}
    assert bench.event_numbers(abi.DEV_SUSPEND) == [abi.UDEV_PRIMARY_SOURCE << 16]
    assert "no semaphore is left" in bench.said[0]


def test_a_volume_not_scanned_is_shown_later(bench: Bench) -> None:
    bench.dm.create("vg-lv")
    bench.dm.load("vg-lv", zeros())
    device = bench.dm.resume("vg-lv", noscan=True)
    assert bench.udev.rescans == []
    bench.dm.show("vg-lv", link=LINK)
    assert bench.udev.rescans == [(device.major, device.minor)]
    assert bench.nodes.links == {LINK: "vg-lv"}


def test_without_udev_the_link_comes_when_the_volume_is_shown(alone: Bench) -> None:
    alone.make(link=None)
    assert alone.nodes.links == {}
    alone.dm.show("vg-lv", link=LINK)
    assert alone.nodes.links == {LINK: "vg-lv"}


def test_swapped_names_end_where_they_belong(alone: Bench) -> None:
    one, two = alone.make("vg-a", ("vg", "a")), alone.make("vg-b", ("vg", "b"))
    with alone.dm.transaction():
        alone.dm.rename("vg-a", "vg-tmp", old_link=("vg", "a"))
        alone.dm.rename("vg-b", "vg-a", old_link=("vg", "b"), new_link=("vg", "a"))
        alone.dm.rename("vg-tmp", "vg-b", new_link=("vg", "b"))
    assert alone.nodes.nodes == {"vg-a": two, "vg-b": one}
    assert alone.nodes.links == {("vg", "a"): "vg-a", ("vg", "b"): "vg-b"}


def test_a_minor_used_again_in_a_transaction_confuses_nothing(alone: Bench) -> None:
    number = alone.make("vg-a", ("vg", "a"))
    with alone.dm.transaction():
        alone.dm.remove("vg-a", link=("vg", "a"))
        assert alone.make("vg-b", ("vg", "b")) == number
    assert alone.nodes.nodes == {"vg-b": number}
    assert alone.nodes.links == {("vg", "b"): "vg-b"}


def test_a_node_that_cannot_be_made_does_not_stop_the_others(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real = alone.nodes.add

    def add(name: str, major: int, minor: int) -> bool:
        if name == "vg-a":
            raise NodeError("cannot make the node vg-a: no space")
        return real(name, major, minor)

    def make_both() -> None:
        with alone.dm.transaction():
            alone.make("vg-a", None)
            alone.make("vg-b", None)

    monkeypatch.setattr(alone.nodes, "add", add)
    with pytest.raises(NodeError, match="vg-a") as caught:
        make_both()
    assert "vg-b" in alone.nodes.nodes
    assert alone.dm.info(name="vg-a") is not None
    assert "the kernel has done what was asked; `vmgr dm mknodes`" in caught.value.hint


def test_an_error_is_not_hidden_by_one_of_nodes(alone: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(name: str, major: int, minor: int) -> bool:
        raise NodeError("cannot make the node")

    def fail() -> None:
        with alone.dm.transaction():
            alone.make()
            raise ZeroDivisionError

    monkeypatch.setattr(alone.nodes, "add", add)
    with pytest.raises(ZeroDivisionError):
        fail()
    assert alone.said == ["cannot make the node"]


def test_close_finishes_what_is_pending(bench: Bench) -> None:
    bench.make("vg-low", None)
    bench.dm.suspend("vg-low")
    bench.make()
    bench.dm.close()
    assert all(cookie.removed for cookie in bench.udev.cookies)
    assert "vg-lv" in bench.nodes.nodes


def test_an_interrupted_command_takes_its_announcement_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.dm.create("a")
    bench.dm.load("a", zeros())
    real = bench.kernel.call

    def call(request: Request) -> Reply:
        if request.command is abi.DEV_SUSPEND:
            raise KeyboardInterrupt
        return real(request)

    monkeypatch.setattr(bench.kernel, "call", call)
    with pytest.raises(KeyboardInterrupt):
        bench.dm.resume(by_name("a"))
    assert bench.udev.cookies[-1].removed


def test_a_running_device_whose_new_table_proves_unfit_goes_on(bench: Bench) -> None:
    bench.make()
    bench.dm.load("vg-lv", [line(0, 20480, "linear", f"{words((7, 0))} 8")])
    with pytest.raises(DmError, match="does not fit"):
        bench.dm.resume("vg-lv", link=LINK)
    device = bench.dm.info(name="vg-lv", table=True)
    assert device is not None
    assert not device.suspended
    assert device.table == tuple(zeros())


def test_a_dry_run_can_start_from_what_a_kernel_has(alone: Bench) -> None:
    alone.make("vg-low", None)
    low = alone.dm.info(name="vg-low")
    assert low is not None
    alone.dm.create("vg-up", "UUID-up")
    alone.dm.load("vg-up", [line(0, 2048, "linear", f"{words(low)} 0")])
    alone.dm.resume("vg-up")
    alone.dm.suspend("vg-up")
    alone.kernel.hold("vg-up")
    before = alone.dm.devices(tables=True, status=True)

    copy = FakeKernel()
    copy.seed(reversed(before))
    dm = DmClient(copy, nodes=FakeNodes())
    assert dm.devices(tables=True, status=True) == before
    with pytest.raises(DmError):
        dm.remove("vg-low")
    assert alone.dm.devices(tables=True, status=True) == before
