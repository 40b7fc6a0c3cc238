"""Events of devices, on the fake: none is lost, none told twice, whoever waits and however the wait ends."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgr.core.errors import AmbiguousName
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi
from vmgr.dm.client import DmClient, by_name, by_number, by_uuid
from vmgr.dm.events import CHANGED, CREATED, REMOVED, Event, Events
from vmgr.dm.failure import DmNotFound, Unsupported
from vmgr.dm.wire import Reply, Request
from vmgr.testing.fake_kernel import FakeKernel, FakeNodes

VERSIONS = [(4, 36, 0), (4, 37, 0), (4, 38, 0), (4, 44, 0), (4, 47, 0)]
"""Lists without event numbers, with them, and with UUIDs."""


class Bench:
    """Devices ``a`` and ``b``, with tables."""

    def __init__(self, kernel: FakeKernel | None = None) -> None:
        self.kernel = kernel or FakeKernel()
        self.dm = DmClient(self.kernel, nodes=FakeNodes())
        self.make("a")
        self.make("b")

    def make(self, name: str) -> None:
        self.dm.create(name, f"U-{name}")
        self.dm.load(by_name(name), [KernelLine(Sectors(0), Sectors(8), "zero", "")])
        self.dm.resume(by_name(name))


@pytest.fixture(params=VERSIONS, ids=lambda version: ".".join(map(str, version)))
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(FakeKernel(version=request.param))


@pytest.fixture
def descriptors() -> Iterator[None]:
    """None is left open."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


pytestmark = pytest.mark.usefixtures("descriptors")


def told(events: tuple[Event, ...]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.name, event.event_nr) for event in events]


# -- what is told -----------------------------------------------------------------------------------


def test_nothing_is_told_of_what_was_before(bench: Bench) -> None:
    bench.kernel.event("a")
    with Events(bench.dm) as events:
        assert events.poll() == ()
        assert {seen.name: seen.event_nr for seen in events.devices().values()} == {"a": 1, "b": 0}


def test_several_events_between_two_looks_are_one_item(bench: Bench) -> None:
    with Events(bench.dm) as events:
        for _ in range(3):
            bench.kernel.event("a")
        (event,) = events.poll()
        assert event == Event(CHANGED, "a", "U-a", (254, 0), 3, 0)
        assert events.poll() == ()
        bench.kernel.event("a")
        (event,) = events.poll()
        assert (event.since, event.event_nr) == (3, 4)


def test_devices_that_come_and_go_are_told_apart(bench: Bench) -> None:
    with Events(bench.dm) as events:
        bench.make("c")
        bench.kernel.event("b")
        bench.dm.remove("a")
        assert told(events.poll()) == [(REMOVED, "a", 0), (CHANGED, "b", 1), (CREATED, "c", 0)]


@pytest.mark.parametrize("number", [0, 2])
def test_a_number_that_another_device_has_by_now_is_two_devices(bench: Bench, number: int) -> None:
    """Wherever its event number stands."""
    bench.kernel.event("a")
    with Events(bench.dm) as events:
        bench.dm.remove("a")
        bench.make("c")
        for _ in range(number):
            bench.kernel.event("c")
        assert bench.dm.info(name="c").minor == 0  # type: ignore[union-attr]
        assert told(events.poll()) == [(REMOVED, "a", 1), (CREATED, "c", number)]


def test_a_device_made_anew_under_its_old_name_and_number_is_two_devices(bench: Bench) -> None:
    """Its event number began anew."""
    bench.kernel.event("a")
    with Events(bench.dm) as events:
        bench.dm.remove("a")
        bench.make("a")
        assert told(events.poll()) == [(REMOVED, "a", 1), (CREATED, "a", 0)]


def test_a_rename_is_a_change_of_one_device(bench: Bench) -> None:
    with Events(bench.dm) as events:
        bench.dm.rename("a", "z")
        (event,) = events.poll()
        assert (event.kind, event.name, event.old_name, event.event_nr) == (CHANGED, "z", "a", 1)


def test_a_uuid_that_is_set_is_a_change_of_one_device(bench: Bench) -> None:
    bench.dm.create("plain")
    with Events(bench.dm) as events:
        bench.dm.set_uuid("plain", "U-plain")
        assert [(event.kind, event.uuid) for event in events.poll()] == [(CHANGED, "U-plain")]


def test_numbers_start_again_after_the_largest(bench: Bench) -> None:
    bench.kernel._state.by_name("a").event_nr = 2**32 - 1
    with Events(bench.dm) as events:
        bench.kernel._state.by_name("a").event_nr = 0
        bench.kernel._state.tell()
        assert told(events.poll()) == [(CHANGED, "a", 0)]


# -- which devices ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dev", ["a", "U-a", by_name("a"), by_uuid("U-a"), by_number(254, 0)])
def test_only_the_devices_asked_for_are_told_of(bench: Bench, dev: object) -> None:
    with Events(bench.dm, [dev]) as events:  # type: ignore[list-item]
        bench.kernel.event("b")
        bench.kernel.event("a")
        assert told(events.poll()) == [(CHANGED, "a", 1)]
        bench.dm.rename("a", "z")
        assert told(events.poll()) == [(CHANGED, "z", 2)], "it is followed"
        bench.dm.remove("z")
        bench.dm.remove("b")
        assert told(events.poll()) == [(REMOVED, "z", 2)]


@pytest.mark.parametrize("dev", ["c", "U-c", by_name("c"), by_uuid("U-c"), by_number(254, 2)])
def test_a_device_may_be_asked_for_before_it_is_there(bench: Bench, dev: object) -> None:
    with Events(bench.dm, [dev]) as events:  # type: ignore[list-item]
        assert events.poll() == ()
        bench.make("c")
        assert told(events.poll()) == [(CREATED, "c", 0)]


def test_a_device_that_was_read_counts_from_then(bench: Bench) -> None:
    """What happened in between is told, so that nothing is missed between reading a device and watching it."""
    a, b = bench.dm.info(name="a"), bench.dm.info(name="b")
    assert a is not None
    assert b is not None
    bench.kernel.event("a")
    bench.dm.remove("b")
    with Events(bench.dm, [a, b]) as events:
        assert told(events.poll()) == [(REMOVED, "b", 0), (CHANGED, "a", 1)]


def test_a_word_with_two_meanings_is_refused(bench: Bench) -> None:
    bench.dm.create("U-a")
    with pytest.raises(AmbiguousName):
        Events(bench.dm, ["U-a"])


def test_no_devices_are_asked_for(bench: Bench) -> None:
    with Events(bench.dm, []) as events:
        bench.kernel.event("a")
        assert events.poll() == ()


def test_a_kernel_without_polling_is_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="armpoll"):
        Events(Bench(FakeKernel(version=(4, 35, 0))).dm)


# -- nothing is lost --------------------------------------------------------------------------------


class Sudden(FakeKernel):
    """A kernel in which something happens right after a call of one kind."""

    def __init__(self) -> None:
        super().__init__()
        self.after: dict[int, Callable[[], object]] = {}

    def call(self, request: Request) -> Reply:
        reply = super().call(request)
        happen = self.after.pop(request.command.nr, None)
        if happen is not None:
            happen()
        return reply


def test_an_event_between_the_look_and_the_wait_ends_the_wait() -> None:
    kernel = Sudden()
    bench = Bench(kernel)
    with Events(bench.dm) as events:
        kernel.after[abi.LIST_DEVICES.nr] = lambda: kernel.event("a")
        assert told(events.poll(60)) == [(CHANGED, "a", 1)]


def test_arming_and_waiting_on_the_reader_disturbs_nothing(bench: Bench) -> None:
    with Events(bench.dm) as events:
        bench.kernel.event("a")
        bench.dm.arm_poll()
        assert bench.dm.wait("a", 0) is not None
        assert select.select([events], [], [], 0)[0] == [events]
        assert told(events.poll()) == [(CHANGED, "a", 1)]
        assert select.select([events], [], [], 0)[0] == [], "it is armed again"


def test_two_who_look_each_see_all(bench: Bench) -> None:
    with Events(bench.dm) as one, Events(bench.dm, ["a"]) as two:
        bench.kernel.event("a")
        assert told(one.poll()) == told(two.poll()) == [(CHANGED, "a", 1)]


ACTIONS = st.lists(st.sampled_from(["event a", "event b", "rename", "remove", "make", "look", "uuid"]), max_size=25)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.sampled_from(VERSIONS))
def test_what_is_told_leads_from_what_was_to_what_is(actions: list[str], version: tuple[int, int, int]) -> None:
    """Whatever happens between two looks, and wherever they fall."""
    bench = Bench(FakeKernel(version=version))
    fresh = iter(range(1000))
    with Events(bench.dm) as events:
        known = {numbers: (seen.name, seen.event_nr) for numbers, seen in events.devices().items()}

        def apply(items: tuple[Event, ...]) -> None:
            for event in items:
                assert (event.numbers in known) == (event.kind != CREATED)
                if event.kind == CHANGED:
                    old_name, old_number = known[event.numbers]
                    assert event.since == old_number
                    assert event.old_name == ("" if old_name == event.name else old_name)
                if event.kind == REMOVED:
                    assert known.pop(event.numbers) == (event.name, event.event_nr)
                else:
                    known[event.numbers] = event.name, event.event_nr

        for action in [*actions, "look"]:
            names = [entry.name for entry in bench.dm.names()]
            word = action.split()
            if word[0] == "event" and word[1] in names:
                bench.kernel.event(word[1])
            elif action == "rename" and names:
                bench.dm.rename(by_name(names[0]), f"n{next(fresh)}")
            elif action == "remove" and names:
                bench.dm.remove(by_name(names[-1]))
            elif action == "make":
                bench.make(f"m{next(fresh)}")
            elif action == "uuid":
                bench.dm.set_uuid(bench.dm.create(f"u{next(fresh)}"), f"U{next(fresh)}")
            elif action == "look":
                apply(events.poll())
        now = {(d.major, d.minor): (d.name, d.event_nr) for d in bench.dm.devices()}
        assert known == now


# -- waiting ----------------------------------------------------------------------------------------


def later(call: Callable[[], object]) -> threading.Timer:
    """``call`` from another thread, as another process would."""
    timer = threading.Timer(0.05, call)
    timer.start()
    return timer


def test_a_loop_gets_one_event_after_the_other(bench: Bench) -> None:
    with Events(bench.dm) as events:
        bench.kernel.event("a")
        bench.kernel.event("b")
        assert [next(events).name, next(events).name] == ["a", "b"]
        thread = later(lambda: bench.kernel.event("b"))
        assert next(events).event_nr == 2
        thread.join()


def test_a_loop_ends_when_nothing_happens_for_its_timeout(bench: Bench) -> None:
    bench_events = Events(bench.dm, timeout=0)
    with bench_events as events:
        bench.kernel.event("a")
        assert [event.name for event in events] == ["a"]
        assert list(events) == []
        bench.kernel.event("b")
        assert [event.name for event in events] == ["b"]


def test_events_of_others_do_not_end_a_wait_and_do_not_stretch_it(bench: Bench) -> None:
    with Events(bench.dm, ["a"]) as events:
        thread = later(lambda: (bench.kernel.event("b"), bench.kernel.event("a")))
        assert told(events.poll(60)) == [(CHANGED, "a", 1)]
        thread.join()
        bench.kernel.event("b")
        assert events.poll(0.01) == ()


def test_closing_ends_it(bench: Bench) -> None:
    events = Events(bench.dm)
    bench.kernel.event("a")
    events.close()
    events.close()
    assert list(events) == []
    with pytest.raises(ValueError, match="closed"):
        events.poll()
    with pytest.raises(ValueError, match="closed"):
        events.fileno()


def test_ctrl_c_ends_a_wait_and_loses_nothing(bench: Bench) -> None:
    with Events(bench.dm) as events:
        thread = later(lambda: (bench.kernel.event("a"), os.kill(os.getpid(), signal.SIGINT)))
        found: list[str] = []
        with pytest.raises(KeyboardInterrupt):  # noqa: PT012
            while True:
                found += [event.name for event in events.poll(60)]
        thread.join()
        found += [event.name for event in events.poll()]
        assert found == ["a"]


def test_a_signal_with_a_handler_does_not_end_a_wait(bench: Bench) -> None:
    handled = []
    old = signal.signal(signal.SIGUSR1, lambda *_: handled.append(1))
    try:
        with Events(bench.dm) as events:
            first = later(lambda: os.kill(os.getpid(), signal.SIGUSR1))
            second = threading.Timer(0.15, lambda: bench.kernel.event("a"))
            second.start()
            assert told(events.poll(60)) == [(CHANGED, "a", 1)]
            first.join()
            second.join()
            assert handled == [1]
    finally:
        signal.signal(signal.SIGUSR1, old)


# -- asyncio ----------------------------------------------------------------------------------------


def test_a_task_gets_events_as_they_come(bench: Bench) -> None:
    async def main() -> list[tuple[str, int]]:
        found = []
        async with Events(bench.dm) as events:
            loop = asyncio.get_running_loop()
            loop.call_later(0.02, bench.kernel.event, "a")
            loop.call_later(0.05, bench.kernel.event, "b")
            async for event in events:
                found.append((event.name, event.event_nr))
                if event.name == "b":
                    return found
        return found

    assert asyncio.run(main()) == [("a", 1), ("b", 1)]


def test_several_tasks_with_several_devices_each_get_their_own(bench: Bench) -> None:
    async def watch(name: str, count: int) -> list[str]:
        async with Events(bench.dm, [name]) as events:
            return [(await anext(events)).name for _ in range(count)]

    async def main() -> list[list[str]]:
        loop = asyncio.get_running_loop()
        for i in range(6):
            loop.call_later(0.01 * (i + 1), bench.kernel.event, "ab"[i % 2])
        return await asyncio.gather(watch("a", 3), watch("b", 3), watch("a", 1))

    assert asyncio.run(main()) == [["a"] * 3, ["b"] * 3, ["a"]]


def test_a_cancelled_wait_loses_nothing_and_can_be_repeated(bench: Bench) -> None:
    async def main() -> str:
        async with Events(bench.dm) as events:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(events), 0.01)
            waiting = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            bench.kernel.event("a")
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not asyncio.get_running_loop().remove_reader(events), "nothing of it is left in the loop"
            return (await anext(events)).name

    assert asyncio.run(main()) == "a"


def test_an_async_loop_ends_when_nothing_happens_for_its_timeout(bench: Bench) -> None:
    async def main() -> list[str]:
        async with Events(bench.dm, timeout=0.05) as events:
            asyncio.get_running_loop().call_later(0.01, bench.kernel.event, "a")
            return [event.name async for event in events]

    assert asyncio.run(main()) == ["a"]


def test_closing_ends_a_task_s_wait(bench: Bench) -> None:
    async def main() -> list[Event]:
        events = Events(bench.dm)
        asyncio.get_running_loop().call_later(0.01, events.close)
        return [event async for event in events]

    assert asyncio.run(main()) == []


def test_closing_leaves_a_descriptor_of_the_same_number_alone(bench: Bench) -> None:
    """The number may belong to somebody else by the time that the waiting task comes to its turn."""

    async def main() -> bool:
        loop = asyncio.get_running_loop()
        events = Events(bench.dm)
        waiting = asyncio.ensure_future(anext(events, None))
        await asyncio.sleep(0)
        number = events.fileno()
        events.close()
        other = os.eventfd(0)
        try:
            assert other == number
            called = asyncio.Event()
            loop.add_reader(other, called.set)
            assert await waiting is None
            os.eventfd_write(other, 1)
            await asyncio.wait_for(called.wait(), 30)
            return loop.remove_reader(other)
        finally:
            os.close(other)

    assert asyncio.run(main())


def test_two_tasks_may_not_wait_on_one(bench: Bench) -> None:
    async def main() -> None:
        async with Events(bench.dm) as events:
            first = asyncio.ensure_future(anext(events))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await anext(events)
            bench.kernel.event("a")
            assert (await first).name == "a"

    asyncio.run(main())


def test_a_flood_of_events_lets_other_tasks_run(bench: Bench) -> None:
    async def main() -> int:
        turns = 0
        async with Events(bench.dm) as events:
            stopped = False

            async def other() -> None:
                nonlocal stopped
                for _ in range(5):
                    await asyncio.sleep(0)
                stopped = True

            task = asyncio.ensure_future(other())
            bench.kernel.event("a")
            async for _ in events:
                turns += 1
                if stopped or turns > 1000:
                    break
                bench.kernel.event("a")
            await task
        return turns

    assert asyncio.run(main()) <= 10


def test_ctrl_c_ends_an_async_loop(bench: Bench) -> None:
    async def main() -> None:
        async with Events(bench.dm) as events:
            asyncio.get_running_loop().call_later(0.02, os.kill, os.getpid(), signal.SIGINT)
            async for _ in events:
                pass

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(main())


# -- one device -------------------------------------------------------------------------------------


def test_a_wait_follows_its_device_through_a_rename() -> None:
    kernel = Sudden()
    bench = Bench(kernel)
    kernel.after[abi.DEV_STATUS.nr] = lambda: bench.dm.rename(by_name("a"), "z")
    device = bench.dm.wait(by_name("a"), 0, timeout=60)
    assert device is not None
    assert (device.name, device.event_nr) == ("z", 1)


def test_a_wait_ends_with_its_device() -> None:
    kernel = Sudden()
    bench = Bench(kernel)
    kernel.after[abi.DEV_STATUS.nr] = lambda: bench.dm.remove(by_name("a"))
    with pytest.raises(DmNotFound):
        bench.dm.wait(by_name("a"), 0, timeout=60)


def test_a_wait_takes_no_other_device_of_that_number_for_its_own() -> None:
    kernel = Sudden()
    bench = Bench(kernel)
    kernel.after[abi.DEV_STATUS.nr] = lambda: (bench.dm.remove(by_name("a")), bench.make("c"))
    with pytest.raises(DmNotFound):
        bench.dm.wait(by_name("a"), 0, timeout=60)


def test_an_older_kernel_waits_by_itself_and_knows_no_bound() -> None:
    bench = Bench(FakeKernel(version=(4, 35, 0)))
    bench.kernel.event("a")
    device = bench.dm.wait("a", 0)
    assert device is not None
    assert device.event_nr == 1
    assert abi.DEV_WAIT in [call.command for call in bench.kernel.calls]
    with pytest.raises(Unsupported, match="armpoll"):
        bench.dm.wait("a", 0, timeout=1)
