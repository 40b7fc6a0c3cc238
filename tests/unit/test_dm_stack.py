"""Stacks of devices: suspended, loaded, resumed and removed in order; set right again when a step fails."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vmgr.core.errors import InUse, NotFound, VmgrError
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi, critical
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.errnos import explain
from vmgr.dm.stack import (
    Removal,
    StackError,
    TableChange,
    load_stack,
    reload_stack,
    remove_stack,
    resume_stack,
    suspend_stack,
    suspended_stack,
)
from vmgr.dm.tree import DeviceTree
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

DISK, OTHER = "8:0", "8:16"


@pytest.fixture(autouse=True)
def _light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the memory lock, which costs more than all the rest."""
    monkeypatch.setattr(critical._Process, "lock", lambda *_: None)
    monkeypatch.setattr(critical._Process, "unlock", lambda *_: None)


class Kernel(FakeKernel):
    """A fake kernel in which chosen calls fail, and which notes what is asked of which device."""

    def __init__(self) -> None:
        super().__init__({(8, 0): 1 << 20, (8, 16): 1 << 20})
        self.failing: Callable[[int, Request], bool] = lambda _number, _request: False
        self.steps: list[tuple[str, str]] = []
        self.count = 0

    def call(self, request: Request) -> Reply:
        self.count += 1
        if self.failing(self.count, request):
            raise explain(request, errno.ENOMEM)
        reply = super().call(request)
        command = request.command
        if command in (abi.DEV_SUSPEND, abi.TABLE_LOAD, abi.TABLE_CLEAR, abi.DEV_REMOVE):
            word = "resume" if command is abi.DEV_SUSPEND and not request.flags & abi.SUSPEND else command.name
            self.steps.append((word, reply.name))
        return reply

    def watch_from_now(self) -> None:
        self.steps.clear()
        self.count = 0


def line(target: str = "zero", params: str = "", size: int = 8) -> KernelLine:
    return KernelLine(Sectors(0), Sectors(size), target, params)


class Bench:
    """``top`` on ``left`` and ``right``, both on ``low``, which is on a disk; ``beside`` on ``low``; ``alone``."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.nodes = FakeNodes()
        self.dm = DmClient(self.kernel, nodes=self.nodes)
        low = self.make("low", line("linear", f"{DISK} 0"))
        left, right = (self.make(name, line("linear", f"{low} 0")) for name in ("left", "right"))
        self.make(
            "top",
            line("linear", f"{left} 0"),
            KernelLine(Sectors(8), Sectors(8), "linear", f"{right} 0"),
        )
        self.make("beside", line("linear", f"{low} 0"))
        self.make("alone", line())
        self.low, self.left = low, left
        self.kernel.watch_from_now()

    def make(self, name: str, *lines: KernelLine) -> str:
        device = self.dm.create(name, f"U-{name}")
        self.dm.load(by_name(name), lines)
        self.dm.resume(by_name(name))
        return f"{device.major}:{device.minor}"

    def new_tables(self) -> tuple[TableChange, ...]:
        """For ``low``, ``left`` and ``top``, in an order that is not the one in which they must be loaded."""
        return (
            TableChange("top", [line("linear", f"{self.left} 0")]),
            TableChange("low", [line("linear", f"{OTHER} 0", 16)]),
            TableChange("left", [line("linear", f"{self.low} 8")]),
        )

    def state(self) -> dict[str, object]:
        """Everything that must be as it was after a failure."""
        saved, self.kernel.failing = self.kernel.failing, lambda _n, _r: False
        try:
            return {
                entry.name: (
                    self.dm.info(name=entry.name, table=True),
                    self.dm.table(by_name(entry.name), inactive=True),
                )
                for entry in self.dm.names()
            }
        finally:
            self.kernel.failing = saved

    def tables(self) -> dict[str, tuple[KernelLine, ...]]:
        return {device.name: device.table or () for device in self.dm.devices(tables=True)}

    def suspended(self) -> set[str]:
        return {device.name for device in self.dm.devices() if device.suspended}

    def steps(self, word: str) -> list[str]:
        return [name for step, name in self.kernel.steps if step == word]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def before(order: Sequence[str], first: str, second: str) -> bool:
    return order.index(first) < order.index(second)


# -- in order ---------------------------------------------------------------------------------------


def test_a_stack_is_suspended_from_the_top_down(bench: Bench) -> None:
    done = suspend_stack(bench.dm, "top")
    order = bench.steps("suspend")
    assert [device.name for device in done] == order
    assert order[0] == "top"
    assert set(order) == {"top", "left", "right"}, "low carries beside, too, which runs"
    assert bench.suspended() == set(order)


def test_a_device_that_others_use_is_suspended_with_the_last_of_them(bench: Bench) -> None:
    suspend_stack(bench.dm, "top", "beside")
    order = bench.steps("suspend")
    assert order[-1] == "low"
    assert set(order) == {"top", "left", "right", "beside", "low"}


def test_a_device_and_all_above_it_are_suspended_from_the_top_down(bench: Bench) -> None:
    suspend_stack(bench.dm, "low", above=True)
    order = bench.steps("suspend")
    assert set(order) == {"top", "left", "right", "beside", "low"}
    assert order[-1] == "low"
    assert before(order, "top", "left")
    assert before(order, "top", "right")


def test_what_somebody_else_suspended_stays_so(bench: Bench) -> None:
    """Also after a failure, when all the others run again."""
    bench.dm.suspend("left")
    assert [device.name for device in suspend_stack(bench.dm, "top")] == ["top", "right"]
    resume_stack(bench.dm, "right")
    bench.dm.resume("top")
    bench.dm.suspend("left")
    bench.kernel.failing = lambda _n, r: r.command is abi.DEV_SUSPEND and r.uuid == "U-low"
    with pytest.raises(StackError) as caught:
        suspend_stack(bench.dm, "low", above=True)
    assert bench.suspended() == {"left"}
    assert caught.value.suspended == ()


def test_a_stack_is_resumed_from_the_bottom_up(bench: Bench) -> None:
    suspend_stack(bench.dm, "low", above=True)
    done = resume_stack(bench.dm, "top", "beside")
    order = bench.steps("resume")
    assert [device.name for device in done] == order
    assert order[0] == "low"
    assert before(order, "left", "top")
    assert before(order, "right", "top")
    assert bench.suspended() == set()
    assert not bench.dm.suspended()


def test_tables_are_loaded_from_the_bottom_up_and_suspend_nothing(bench: Bench) -> None:
    done = load_stack(bench.dm, bench.new_tables())
    assert [device.name for device in done] == bench.steps("load") == ["low", "left", "top"]
    assert bench.steps("suspend") == []
    resume_stack(bench.dm, "top")
    assert bench.tables()["low"] == (line("linear", f"{OTHER} 0", 16),)


def test_a_reload_suspends_from_the_top_down_and_resumes_from_the_bottom_up(bench: Bench) -> None:
    done = reload_stack(bench.dm, bench.new_tables())
    assert bench.steps("load") == ["low", "left", "top"]
    down, up = bench.steps("suspend"), bench.steps("resume")
    assert set(down) == set(up) == {"top", "left", "right", "beside", "low"}, "all that lies on what changes"
    assert [device.name for device in done] == up
    assert down[-1] == up[0] == "low"
    assert before(down, "top", "left")
    assert before(up, "left", "top")
    steps = [step for step, _ in bench.kernel.steps]
    assert steps == ["load"] * 3 + ["suspend"] * 5 + ["resume"] * 5
    tables = bench.tables()
    assert tables["top"] == (line("linear", f"{bench.left} 0"),)
    assert tables["left"] == (line("linear", f"{bench.low} 8"),)
    assert bench.suspended() == set()


def test_a_new_stack_is_made_live_in_the_order_that_its_tables_ask_for() -> None:
    dm = DmClient(kernel := Kernel(), nodes=FakeNodes())
    upper, lower = dm.create("a-upper"), dm.create("b-lower")
    kernel.watch_from_now()
    reload_stack(
        dm,
        [
            TableChange(upper, [line("linear", f"{lower.major}:{lower.minor} 0")]),
            TableChange(lower, [line("linear", f"{DISK} 0")]),
        ],
    )
    assert kernel.steps == [
        ("load", "b-lower"), ("load", "a-upper"), ("resume", "b-lower"), ("resume", "a-upper"),
    ]  # fmt: skip


def test_an_origin_runs_after_its_snapshots_and_stops_before_them(bench: Bench) -> None:
    """The tables do not show it."""
    store = bench.make("store", line("linear", f"{OTHER} 0"))
    bench.make("origin", line("linear", f"{bench.low} 0"))
    bench.make("snap", line("zero"))
    bench.kernel.watch_from_now()
    reload_stack(
        bench.dm,
        [
            TableChange("origin", [line("snapshot-origin", bench.low)], after=("snap",)),
            TableChange("snap", [line("snapshot", f"{bench.low} {store} P 8")]),
        ],
    )
    assert bench.steps("suspend") == ["origin", "snap"]
    assert bench.steps("resume") == ["snap", "origin"]


def test_flags_go_with_every_step(bench: Bench) -> None:
    bench.kernel.calls.clear()
    reload_stack(
        bench.dm,
        [TableChange("top", [line()], read_only=True, secure=True, udev_flags=abi.UDEV_HIDDEN)],
        flush=False,
        freeze=False,
    )
    load = next(call for call in bench.kernel.calls if call.command is abi.TABLE_LOAD)
    assert load.flags == abi.READONLY | abi.SECURE_DATA
    suspend, resume = (call for call in bench.kernel.calls if call.command is abi.DEV_SUSPEND)
    assert suspend.flags == abi.SUSPEND | abi.NOFLUSH | abi.SKIP_LOCKFS
    assert resume.event_nr >> abi.UDEV_SHIFT & abi.UDEV_HIDDEN == abi.UDEV_HIDDEN


def test_a_device_without_a_table_is_left_alone(bench: Bench) -> None:
    bench.dm.create("empty")
    assert suspend_stack(bench.dm, "empty") == ()
    assert resume_stack(bench.dm, "empty") == ()


@pytest.mark.parametrize("call", [suspend_stack, resume_stack, remove_stack])
def test_a_device_that_is_not_there_changes_nothing(bench: Bench, call: Callable[..., object]) -> None:
    state = bench.state()
    with pytest.raises(NotFound):
        call(bench.dm, "top", "none")
    with pytest.raises(NotFound):
        reload_stack(bench.dm, [TableChange("top", [line()]), TableChange("none", [line()])])
    assert bench.state() == state


# -- while a stack is suspended ---------------------------------------------------------------------


def test_a_suspended_stack_is_resumed_at_the_end(bench: Bench) -> None:
    with suspended_stack(bench.dm, "left", above=True) as held:
        assert [device.name for device in held] == ["top", "left"]
        assert bench.suspended() == {"top", "left"}
        assert critical.held()
        bench.dm.load("left", [line("linear", f"{bench.low} 0", 8)])
        bench.dm.load("top", [line("linear", f"{bench.left} 0")])
    assert not critical.held()
    assert bench.steps("resume") == ["left", "top"]
    assert bench.tables()["top"] == (line("linear", f"{bench.left} 0"),)


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt()])
def test_a_body_that_fails_leaves_all_as_it_was(bench: Bench, error: BaseException) -> None:
    waiting = [line("linear", f"{bench.left} 0")]
    bench.dm.load("top", waiting)
    state = bench.state()
    with pytest.raises(type(error)), suspended_stack(bench.dm, "top", "left"):  # noqa: PT012
        bench.dm.load("left", [line()])
        raise error
    assert bench.state() == state, "a table that waited before waits on, the new one is dropped"


def test_an_interrupt_that_waited_for_the_critical_section_s_end_resumes_what_was_suspended(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It arrives when the signals are let in again, with all suspended and nobody to tell."""

    def interrupt(_: object) -> None:
        monkeypatch.undo()
        monkeypatch.setattr(critical._Process, "lock", lambda *_: None)
        monkeypatch.setattr(critical._Process, "unlock", lambda *_: None)
        raise KeyboardInterrupt

    monkeypatch.setattr(critical._Process, "unlock", interrupt)
    with pytest.raises(KeyboardInterrupt):
        suspend_stack(bench.dm, "top")
    assert bench.suspended() == set()
    assert bench.steps("resume") == bench.steps("suspend")[::-1]


def test_signals_wait_until_the_stack_runs_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the section as it is."""
    monkeypatch.undo()
    bench = Bench()
    seen: list[set[str]] = []
    old = signal.signal(signal.SIGUSR1, lambda *_: seen.append(bench.suspended()))
    try:
        with suspended_stack(bench.dm, "top"):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert seen == []
        assert seen == [set()]
    finally:
        signal.signal(signal.SIGUSR1, old)


# -- when a step fails ------------------------------------------------------------------------------


def run_with_failure(
    bench: Bench, work: Callable[[], object], failing: Callable[[int, Request], bool]
) -> VmgrError | None:
    bench.kernel.watch_from_now()
    bench.kernel.failing = failing
    try:
        work()
    except VmgrError as error:
        return error
    finally:
        bench.kernel.failing = lambda _n, _r: False
    return None


def how_many_calls(work: Callable[[Bench], object], prepare: Callable[[Bench], object]) -> int:
    bench = Bench()
    prepare(bench)
    bench.kernel.watch_from_now()
    work(bench)
    return bench.kernel.count


def nothing(_: Bench) -> None:
    pass


def waiting_tables(bench: Bench) -> None:
    bench.dm.load("low", [line("linear", f"{DISK} 8", 16)])
    bench.dm.load("top", [line()])


def suspended_with_new_tables(bench: Bench) -> None:
    load_stack(bench.dm, bench.new_tables())
    suspend_stack(bench.dm, "low", above=True)


def test_every_call_of_a_reload_failing_once_leaves_all_as_it_was_or_as_it_shall_be() -> None:
    for prepare in (nothing, waiting_tables):
        calls = how_many_calls(lambda bench: reload_stack(bench.dm, bench.new_tables()), prepare)
        reached = Bench()
        prepare(reached)
        reload_stack(reached.dm, reached.new_tables())
        wanted = reached.tables()
        for n in range(1, calls + 1):
            bench = Bench()
            prepare(bench)
            state, tables = bench.state(), bench.tables()
            error = run_with_failure(
                bench, lambda bench=bench: reload_stack(bench.dm, bench.new_tables()), lambda i, _r, n=n: i == n
            )
            assert bench.suspended() == set(), n
            assert not bench.dm.suspended(), n
            if isinstance(error, StackError):
                assert comparable(bench.state()) == comparable(state), n
                assert error.done == ()
                assert {"low", "left", "top"} <= set(error.undone), n
                assert error.suspended == ()
            elif error is not None:
                # Before anything was changed, or when nodes were looked after at the end.
                assert bench.tables() in (tables, wanted), n
            else:
                assert bench.tables() == wanted, n


def comparable(state: dict[str, object]) -> dict[str, object]:
    return {name: (info.table, info.suspended, info.read_only, waiting) for name, (info, waiting) in state.items()}  # type: ignore[attr-defined,misc]


@pytest.mark.parametrize("above", [False, True])
def test_every_call_of_a_suspend_failing_once_leaves_nothing_suspended(above: bool) -> None:
    """And no waiting table has become live by that."""
    devs = ("low",) if above else ("top", "beside")
    for prepare in (nothing, waiting_tables):
        calls = how_many_calls(lambda bench: suspend_stack(bench.dm, *devs, above=above), prepare)
        for n in range(1, calls + 1):
            bench = Bench()
            prepare(bench)
            state = bench.state()
            error = run_with_failure(
                bench, lambda bench=bench: suspend_stack(bench.dm, *devs, above=above), lambda i, _r, n=n: i == n
            )
            assert error is not None
            assert bench.state() == state, n
            assert not bench.dm.suspended()


def test_every_call_of_a_resume_failing_once_leaves_nothing_suspended() -> None:
    calls = how_many_calls(lambda bench: resume_stack(bench.dm, "top", "beside"), suspended_with_new_tables)
    for n in range(1, calls + 1):
        bench = Bench()
        old = bench.tables()
        suspended_with_new_tables(bench)
        error = run_with_failure(
            bench, lambda bench=bench: resume_stack(bench.dm, "top", "beside"), lambda i, _r, n=n: i == n
        )
        if isinstance(error, StackError):
            assert bench.suspended() == set(), n
            assert bench.tables() == old, n
            assert not any(device.has_inactive for device in bench.dm.devices()), n
        elif error is not None and bench.suspended():
            # The question which devices there are, or what they have, was refused: nothing was begun.
            assert bench.steps("resume") == [], n
        else:
            assert bench.tables() != old


def test_every_call_of_a_load_failing_once_leaves_every_slot_as_it_was() -> None:
    for prepare in (nothing, waiting_tables):
        calls = how_many_calls(lambda bench: load_stack(bench.dm, bench.new_tables()), prepare)
        for n in range(1, calls + 1):
            bench = Bench()
            prepare(bench)
            state = bench.state()
            error = run_with_failure(
                bench, lambda bench=bench: load_stack(bench.dm, bench.new_tables()), lambda i, _r, n=n: i == n
            )
            assert error is not None
            assert bench.state() == state, n


def test_every_call_of_a_removal_failing_once_says_truly_what_is_gone() -> None:
    everything = {"low", "left", "right", "top", "beside", "alone"}
    calls = how_many_calls(lambda bench: remove_stack(bench.dm, "top", "beside"), nothing)
    for n in range(1, calls + 1):
        bench = Bench()
        error = run_with_failure(
            bench, lambda bench=bench: remove_stack(bench.dm, "top", "beside"), lambda i, _r, n=n: i == n
        )
        left = {entry.name for entry in bench.dm.names()}
        assert bench.suspended() == set()
        if isinstance(error, StackError):
            assert set(error.done) == everything - left, n
            assert set(error.undone) == left - {"alone"}, n
        else:
            assert left in (everything, {"alone"}), n


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 6)), min_size=1, max_size=3))
@example([(24, 1), (28, 6)])  # what lies above could not be held, and what is below could not be asked about
def test_whatever_fails_the_error_names_what_is_left_suspended(failures: list[tuple[int, int]]) -> None:
    """Several failures, in a row too: what cannot be put back keeps what lies on it off the wrong data."""
    numbers = {first + i for first, length in failures for i in range(length)}
    bench = Bench()
    old = bench.tables()
    error = run_with_failure(bench, lambda: reload_stack(bench.dm, bench.new_tables()), lambda i, _r: i in numbers)
    left = bench.suspended()
    if isinstance(error, StackError):
        assert left <= set(error.suspended), "what cannot be asked any more may be suspended"
        running = bench.tables()
        for name, below in {"low": [], "left": ["low"], "top": ["left", "low"]}.items():
            if name not in left:
                kinds = {running[other] == old[other] for other in (name, *below)}
                assert len(kinds) == 1, "new tables run on new ones and old ones on old ones"
        assert set(error.done) == {name for name in running if running[name] != old[name]}
    else:
        assert left == set()


def test_a_table_that_cannot_be_put_back_keeps_those_above_suspended(bench: Bench) -> None:
    def failing(_: int, request: Request) -> bool:
        if request.uuid == "U-top" and request.command is abi.DEV_SUSPEND and not request.flags & abi.SUSPEND:
            bench.kernel.failing = lambda _n, r: r.uuid == "U-low" and r.command is abi.TABLE_LOAD
            return True
        return False

    error = run_with_failure(bench, lambda: reload_stack(bench.dm, bench.new_tables()), failing)
    assert isinstance(error, StackError)
    assert set(error.suspended) == bench.suspended()
    assert error.suspended == ("top",)
    assert error.done == ("low", "left"), "those two belong together"
    assert "left suspended" in error.details[-1]
    assert error.hint


def test_the_error_says_what_was_refused_and_by_whom(bench: Bench) -> None:
    changes = [*bench.new_tables(), TableChange("right", [line("no-such-target")])]
    with pytest.raises(StackError, match="load U-right") as caught:
        reload_stack(bench.dm, changes)
    assert caught.value.__cause__ is not None
    assert set(caught.value.undone) == {"low", "left", "right", "top"}
    assert caught.value.hint


def test_a_table_that_does_not_fit_what_lies_below_changes_nothing(bench: Bench) -> None:
    """Only a resume looks at that, when the lower ones are live already."""
    state = bench.state()
    changes = [
        TableChange("low", [line("linear", f"{OTHER} 0", 16)]),
        TableChange("left", [line("linear", f"{bench.low} 1000000")]),
    ]
    with pytest.raises(StackError, match="does not fit") as caught:
        reload_stack(bench.dm, changes)
    assert comparable(bench.state()) == comparable(state)
    assert caught.value.done == ()


def resumes_of(uuid: str) -> Callable[[int, Request], bool]:
    return lambda _n, r: r.uuid == uuid and r.command is abi.DEV_SUSPEND and not r.flags & abi.SUSPEND


def suspends_of(uuid: str) -> Callable[[int, Request], bool]:
    return lambda _n, r: r.uuid == uuid and r.command is abi.DEV_SUSPEND and bool(r.flags & abi.SUSPEND)


def test_earlier_tables_come_back_only_when_all_that_was_replaced_is_suspended_again(bench: Bench) -> None:
    once = iter([True])
    refused = resumes_of("U-top")
    run_with_failure(
        bench,
        lambda: reload_stack(bench.dm, bench.new_tables()),
        lambda n, r: refused(n, r) and next(once, False),
    )
    steps = bench.kernel.steps
    back = steps[[step for step, _ in steps].index("clear") :]
    assert [step for step in back if step[0] in ("suspend", "load")] == [
        ("suspend", "left"), ("suspend", "low"), ("load", "low"), ("load", "left"),
    ]  # fmt: skip
    assert back.index(("resume", "low")) < back.index(("resume", "left")) < back.index(("resume", "top"))


def test_a_device_that_cannot_be_resumed_after_a_failed_suspend_is_named(bench: Bench) -> None:
    def failing(number: int, request: Request) -> bool:
        return suspends_of("U-low")(number, request) or resumes_of("U-top")(number, request)

    error = run_with_failure(bench, lambda: suspend_stack(bench.dm, "low", above=True), failing)
    assert isinstance(error, StackError)
    assert error.suspended == ("top",)
    assert bench.suspended() == {"top"}


@pytest.mark.parametrize("failing", [suspends_of("U-low"), resumes_of("U-top")])
def test_a_failed_reload_does_not_resume_what_somebody_else_suspended(
    bench: Bench, failing: Callable[[int, Request], bool]
) -> None:
    bench.dm.suspend("left")
    old = bench.tables()
    changes = [change for change in bench.new_tables() if change.dev != "left"]
    once = iter([True])
    error = run_with_failure(
        bench, lambda: reload_stack(bench.dm, changes), lambda n, r: failing(n, r) and next(once, False)
    )
    assert isinstance(error, StackError)
    assert bench.suspended() == {"left"}
    assert bench.tables() == old


@pytest.mark.parametrize("failing", [resumes_of("U-low"), resumes_of("U-top")], ids=["before", "after"])
def test_a_changed_device_that_was_suspended_before_is_so_again_after_a_failure(
    bench: Bench, failing: Callable[[int, Request], bool]
) -> None:
    bench.dm.suspend("left")
    old = bench.tables()
    once = iter([True])
    error = run_with_failure(
        bench,
        lambda: reload_stack(bench.dm, bench.new_tables()),
        lambda n, r: failing(n, r) and next(once, False),
    )
    assert isinstance(error, StackError)
    assert bench.suspended() == {"left"}
    assert bench.tables() == old


def test_a_refused_table_leaves_none_waiting_in_a_device_that_is_new(bench: Bench) -> None:
    device = bench.dm.create("new")
    changes = [
        TableChange("low", [line("linear", f"{DISK} 999999999", 16)]),
        TableChange("new", [line("linear", f"{bench.low} 0")]),
    ]
    with pytest.raises(StackError):
        reload_stack(bench.dm, changes)
    assert bench.dm.info(name="new") == device


def test_a_new_device_that_got_its_first_table_before_the_failure_is_said_to_be_done(bench: Bench) -> None:
    """The kernel takes no live table away again."""
    new = bench.dm.create("new")
    numbers = f"{new.major}:{new.minor}"
    resumes = iter([False, True])
    bench.kernel.failing = lambda _, r: (
        r.command is abi.DEV_SUSPEND and not r.flags & abi.SUSPEND and next(resumes, False)
    )
    changes = [
        TableChange(by_name("new"), [line("linear", f"{OTHER} 0")]),
        TableChange(by_name("alone"), [line("linear", f"{numbers} 0")]),
    ]
    with pytest.raises(StackError) as caught:
        reload_stack(bench.dm, changes)
    assert bench.dm.table(by_name("new")) == tuple(changes[0].lines)
    assert caught.value.done == ("new",)
    assert "new" not in caught.value.undone


def test_tables_loaded_while_a_stack_is_suspended_are_taken_back_together(bench: Bench) -> None:
    old = bench.tables()
    with pytest.raises(StackError), suspended_stack(bench.dm, "low", above=True):  # noqa: PT012
        bench.dm.load("low", [line("linear", f"{OTHER} 0", 16)])
        bench.dm.load("left", [line("linear", f"{bench.low} 1000000")])
    assert bench.tables() == old
    assert bench.suspended() == set()


def test_a_critical_section_that_cannot_begin_leaves_all_as_it_was(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: object) -> None:
        raise MemoryError

    state = bench.state()
    monkeypatch.setattr(critical._Process, "lock", lock)
    with pytest.raises(MemoryError):
        reload_stack(bench.dm, bench.new_tables())
    assert bench.state() == state


def test_somebody_else_s_waiting_table_is_not_made_live_by_a_reload(bench: Bench) -> None:
    bench.dm.load("beside", [line()])
    state = bench.state()
    with pytest.raises(StackError, match="beside has an inactive table"):
        reload_stack(bench.dm, [TableChange("low", [line("linear", f"{OTHER} 0")])])
    assert bench.state() == state


# -- removing ---------------------------------------------------------------------------------------


def test_a_stack_is_removed_from_the_top_down_as_far_as_nothing_else_uses_it(bench: Bench) -> None:
    removal = remove_stack(bench.dm, "top")
    assert removal.removed[0] == "top"
    assert set(removal.removed) == {"top", "left", "right"}
    assert removal.kept == ("low",)
    assert {entry.name for entry in bench.dm.names()} == {"low", "beside", "alone"}


def test_all_tops_take_all_with_them(bench: Bench) -> None:
    removal = remove_stack(bench.dm, "top", "beside")
    assert set(removal.removed) == {"top", "left", "right", "beside", "low"}
    assert removal.removed[-1] == "low"
    assert bench.nodes.nodes.keys() == {"alone"}


def test_what_lies_on_a_device_can_be_removed_with_it(bench: Bench) -> None:
    removal = remove_stack(bench.dm, "left", above=True)
    assert removal == Removal(("top", "left"), (), ())


def test_a_device_with_a_user_is_refused_before_anything_is_removed(bench: Bench) -> None:
    state = bench.state()
    with pytest.raises(InUse, match="low is in use by"):
        remove_stack(bench.dm, "alone", "low")
    assert bench.state() == state


def test_a_waiting_table_counts_as_a_user(bench: Bench) -> None:
    bench.dm.load("alone", [line("linear", f"{bench.left} 0")])
    assert "left" in remove_stack(bench.dm, "top").kept


def test_a_device_that_is_open_ends_a_removal_and_says_what_is_gone(bench: Bench) -> None:
    bench.kernel.hold("left")
    with pytest.raises(StackError) as caught:
        remove_stack(bench.dm, "top")
    assert caught.value.code == InUse.code
    assert isinstance(caught.value.__cause__, InUse)
    assert caught.value.done[0] == "top"
    assert "left" in caught.value.undone


def test_a_deferred_removal_goes_when_the_last_user_does(bench: Bench) -> None:
    bench.kernel.hold("top")
    removal = remove_stack(bench.dm, "top", deferred=True)
    assert removal.removed == ()
    assert set(removal.deferred) == {"top", "left", "right"}
    assert removal.kept == ("low",)
    bench.kernel.release("top")
    assert {entry.name for entry in bench.dm.names()} == {"low", "beside", "alone"}


def test_a_busy_device_is_tried_again_within_one_bound_for_all(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = [node.name for node in DeviceTree.read(bench.dm, sys="").top_down("top")][1:3]
    bench.kernel.hold(order[0])
    bench.kernel.hold(order[1])
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        if clock[0] >= 3 and order[0] not in bench.steps("remove"):
            bench.kernel.release(order[0])

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    with pytest.raises(StackError) as caught:
        remove_stack(bench.dm, "top", retry=5)
    assert caught.value.done == ("top", order[0])
    assert caught.value.undone == (order[1],)
    assert 5 <= clock[0] < 5.5


def test_a_device_that_goes_by_itself_meanwhile_is_gone(bench: Bench) -> None:
    bench.dm.remove("beside")
    bench.dm.message("low", 0, "@cancel_deferred_remove")
    original = bench.kernel.call

    def call(request: Request) -> Reply:
        reply = original(request)
        if request.command is abi.DEV_REMOVE and request.uuid == "U-top":
            original(Request(abi.DEV_REMOVE, uuid="U-left"))
        return reply

    bench.kernel.call = call  # type: ignore[method-assign]
    assert set(remove_stack(bench.dm, "top").removed) == {"top", "left", "right", "low"}


@pytest.fixture(autouse=True)
def _nothing_held() -> Iterator[None]:
    yield
    assert not critical.held()
