"""Events on the kernel: what raises a device's number, who is told, and how waits end."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.support.lab import run, until, with_and_without_udev
from vmgr.core.table import KernelLine
from vmgr.core.units import Sectors
from vmgr.dm import abi
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.events import CHANGED, CREATED, REMOVED, Event, Events
from vmgr.dm.failure import DmNotFound
from vmgr.dm.wire import Request

MIB = 2048


@pytest.fixture
def dm(_machine: None) -> Iterator[DmClient]:
    with DmClient.open() as client:
        yield client


def number(path: str) -> str:
    found = os.stat(path).st_rdev
    return f"{os.major(found)}:{os.minor(found)}"


def line(target: str = "zero", params: str = "", size: int = MIB) -> KernelLine:
    return KernelLine(Sectors(0), Sectors(size), target, params)


def make(dm: DmClient, name: str, *lines: KernelLine) -> str:
    device = dm.create(name, f"U-{name}")
    dm.load(by_name(name), lines or [line()])
    dm.resume(by_name(name))
    return f"{device.major}:{device.minor}"


def told(events: tuple[Event, ...]) -> list[tuple[str, str, int]]:
    return [(event.kind, event.name, event.event_nr) for event in events]


@pytest.fixture
def snapshot(dm: DmClient, make_disk: Callable[[float], str]) -> Callable[[], None]:
    """A snapshot ``snap`` with hardly any room; the function fills it up, which is an event."""
    origin, store = number(make_disk(8)), make_disk(0.0625)
    make(dm, "snap", line("snapshot", f"{origin} {number(store)} P 8", 8 * MIB))

    def overflow() -> None:
        fd = os.open("/dev/mapper/snap", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, b"x" * (1 << 20))
            with pytest.raises(OSError, match="Input/output error"):
                os.fsync(fd)
        finally:
            os.close(fd)

    return overflow


def test_what_is_an_event_to_the_kernel_and_what_ends_its_poll(dm: DmClient) -> None:
    """The number is the device's; whoever polls is also told of what comes, goes and is swapped."""
    watch = dm.kernel.watch()
    found: dict[str, tuple[bool, int | None]] = {}

    def step(word: str, action: Callable[[], object]) -> None:
        watch.call(Request(abi.DEV_ARM_POLL))
        action()
        numbers = [entry.event_nr for entry in dm.names()]
        found[word] = watch.poll(0), numbers[0] if numbers else None

    try:
        step("create", lambda: dm.create("a"))
        step("load", lambda: dm.load("a", [line()]))
        step("resume", lambda: dm.resume("a"))
        step("suspend", lambda: dm.suspend("a"))
        step("resume again", lambda: dm.resume("a"))
        dm.load("a", [line(size=8)])
        step("swap", lambda: dm.resume("a"))
        step("message", lambda: dm.message("a", 0, "@stats_create - 8"))
        step("rename", lambda: dm.rename("a", "b"))
        step("uuid", lambda: dm.set_uuid("b", "U-b"))
        step("remove", lambda: dm.remove("b"))
    finally:
        watch.close()
    assert found == {
        "create": (True, 0), "load": (False, 0), "resume": (True, 0), "suspend": (False, 0),
        "resume again": (False, 0), "swap": (True, 0), "message": (False, 0), "rename": (True, 1),
        "uuid": (True, 2), "remove": (True, None),
    }  # fmt: skip


@with_and_without_udev
def test_what_dmsetup_does_is_told(dm: DmClient, udev: bool) -> None:
    make(dm, "a")
    with Events(dm) as events:
        run("dmsetup", "create", "new", "--table", "0 8 zero")
        run("dmsetup", "rename", "a", "z")
        run("dmsetup", "suspend", "z")
        run("dmsetup", "resume", "z")
        assert sorted(told(events.poll(30))) == [(CHANGED, "z", 1), (CREATED, "new", 0)]
        run("dmsetup", "remove", "new")
        run("dmsetup", "remove", "z")
        assert sorted(told(events.poll(30))) == [(REMOVED, "new", 0), (REMOVED, "z", 1)]
        assert events.poll() == ()


def test_a_snapshot_that_overflows_is_told(dm: DmClient, snapshot: Callable[[], None]) -> None:
    make(dm, "beside")
    with Events(dm) as events:
        thread = threading.Thread(target=snapshot)
        thread.start()
        assert told(events.poll(30)) == [(CHANGED, "snap", 1)]
        thread.join()
    assert dm.status("snap")[0].params == "Invalid"


def test_a_wait_for_a_snapshot_ends_with_its_event(dm: DmClient, snapshot: Callable[[], None]) -> None:
    thread = threading.Timer(0.1, snapshot)
    thread.start()
    device = dm.wait(by_name("snap"), 0, timeout=60)
    thread.join()
    assert device is not None
    assert device.event_nr == 1


def test_none_of_many_events_at_once_is_lost(dm: DmClient) -> None:
    """Another process renames as fast as it can; every number arrives, alone or in an item with others."""
    for name in ("a", "b", "c"):
        make(dm, name)
    script = (
        "from vmgr.dm.client import DmClient, by_uuid\n"
        "dm = DmClient.open()\n"
        "with dm.transaction():\n"
        "    for i in range(200):\n"
        "        dm.rename(by_uuid('U-' + 'abc'[i % 3]), f'n{i}')\n"
    )
    counts = {"U-a": 0, "U-b": 0, "U-c": 0}
    items = 0
    with Events(dm) as events:
        other = subprocess.Popen([sys.executable, "-c", script])
        while sum(counts.values()) < 200:
            for event in events.poll(60):
                items += 1
                assert event.kind == CHANGED
                assert event.since == counts[event.uuid]
                counts[event.uuid] = event.event_nr
        assert other.wait(60) == 0
        assert events.poll() == ()
    assert counts == {"U-a": 67, "U-b": 67, "U-c": 66}
    assert 3 <= items <= 200


def test_each_descriptor_has_an_arming_of_its_own(dm: DmClient) -> None:
    dm.create("a")
    watch = dm.kernel.watch()
    try:
        assert not watch.poll(0), "it counts from when it was opened"
        dm.rename("a", "b")
        dm.arm_poll()
        assert not dm.kernel.poll(0)
        assert watch.poll(0)
        watch.call(Request(abi.DEV_ARM_POLL))
        assert not watch.poll(0)
    finally:
        watch.close()


def test_a_poll_of_one_s_own_sees_the_descriptor(dm: DmClient) -> None:
    make(dm, "a")
    with Events(dm) as events:
        poller = select.epoll()
        poller.register(events, select.EPOLLIN)
        try:
            assert poller.poll(0) == []
            dm.rename("a", "b")
            assert poller.poll(30) == [(events.fileno(), select.EPOLLIN)]
            assert told(events.poll()) == [(CHANGED, "b", 1)]
            assert poller.poll(0) == []
        finally:
            poller.close()


# -- asyncio ----------------------------------------------------------------------------------------


def test_tasks_follow_several_devices_on_the_loop_s_own_poll(dm: DmClient, snapshot: Callable[[], None]) -> None:
    make(dm, "a")

    async def watch(name: str, count: int) -> list[tuple[str, str, int]]:
        async with Events(dm, [name]) as events:
            return told(tuple([await anext(events) for _ in range(count)]))

    async def main() -> list[list[tuple[str, str, int]]]:
        loop = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(watch(*what)) for what in (("a", 2), ("snap", 1), ("late", 2))]
        await asyncio.sleep(0)
        loop.call_later(0.02, dm.rename, "a", "b")
        loop.call_later(0.04, make, dm, "late")
        loop.call_later(0.06, dm.remove, "b")
        loop.call_later(0.08, dm.remove, "late")
        await asyncio.to_thread(snapshot)
        return await asyncio.wait_for(asyncio.gather(*tasks), 30)

    assert asyncio.run(main()) == [
        [(CHANGED, "b", 1), (REMOVED, "b", 1)],
        [(CHANGED, "snap", 1)],
        [(CREATED, "late", 0), (REMOVED, "late", 0)],
    ]


def test_a_cancelled_task_loses_nothing(dm: DmClient) -> None:
    make(dm, "a")

    async def main() -> Event:
        async with Events(dm) as events:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(events), 0.05)
            dm.rename("a", "b")
            return await asyncio.wait_for(anext(events), 30)

    assert asyncio.run(main()).name == "b"


# -- how waits end ----------------------------------------------------------------------------------

WAITER = """
import signal, sys
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.events import Events
from vmgr.dm.failure import DmNotFound
signal.signal(signal.SIGUSR1, lambda *_: print("handled", flush=True))
dm = DmClient.open()
try:
    if sys.argv[1] == "events":
        with Events(dm, ["a"]) as events:
            print("ready", flush=True)
            for event in events:
                print(event.kind, event.event_nr, flush=True)
                break
    else:
        timeout = 60 if sys.argv[1] == "bounded" else None
        dm.version()
        print("ready", flush=True)
        print("changed", dm.wait(by_name("a"), 0, timeout=timeout).event_nr, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
except DmNotFound:
    print("gone", flush=True)
"""

WAYS = pytest.mark.parametrize("way", ["events", "bounded", "endless"])


@pytest.fixture
def waiter(dm: DmClient, way: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for the device ``a``."""
    make(dm, "a")
    process = subprocess.Popen([sys.executable, "-c", WAITER, way], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def asleep(process: subprocess.Popen[str]) -> None:
    """Wait until it waits."""

    def sleeps() -> bool:
        with open(f"/proc/{process.pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "S"

    until(sleeps, "the process to wait")


def says(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@WAYS
def test_a_handled_signal_does_not_end_a_wait(dm: DmClient, waiter: subprocess.Popen[str]) -> None:
    asleep(waiter)
    for _ in range(3):
        waiter.send_signal(signal.SIGUSR1)
        assert says(waiter) == "handled"
        asleep(waiter)
    dm.rename("a", "b")
    assert says(waiter) == "changed 1"


@WAYS
def test_ctrl_c_ends_a_wait(dm: DmClient, waiter: subprocess.Popen[str]) -> None:
    asleep(waiter)
    waiter.send_signal(signal.SIGINT)
    assert says(waiter) == "interrupted"
    assert waiter.wait(30) == 0


@WAYS
def test_a_removal_ends_a_wait_and_is_not_held_up_by_it(
    dm: DmClient, waiter: subprocess.Popen[str], way: str
) -> None:
    asleep(waiter)
    dm.remove("a")
    assert says(waiter) == ("removed 0" if way == "events" else "gone")


@pytest.mark.parametrize("timeout", [None, 60.0])
def test_a_device_without_a_table_can_be_removed_while_it_is_waited_for(
    dm: DmClient, timeout: float | None
) -> None:
    """In DEV_WAIT the kernel would let nobody."""
    dm.create("empty")
    failures: list[type[BaseException]] = []

    def wait() -> None:
        with DmClient.open() as other:
            try:
                other.wait(by_name("empty"), 0, timeout=timeout)
            except DmNotFound as error:
                failures.append(type(error))

    thread = threading.Thread(target=wait)
    thread.start()
    threading.Event().wait(0.2)  # it waits by now, or looks later: both must end
    dm.remove("empty")
    thread.join(30)
    assert failures == [DmNotFound]
