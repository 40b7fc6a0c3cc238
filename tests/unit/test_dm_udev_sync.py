"""Cookies: real semaphores of this machine, and waiting with a clock of the test's own."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vmgr.core.errors import KernelError, NotFound, UdevTimeout, UsageError
from vmgr.dm import udev
from vmgr.dm.udev import Cookie, Semaphores, Udev


@pytest.fixture(scope="module")
def semaphores() -> Semaphores:
    return Semaphores()


def test_a_cookie_is_a_semaphore_that_others_find_by_its_value(semaphores: Semaphores) -> None:
    """As the rules do it: ``dmsetup udevcomplete VALUE``."""
    cookie = Udev().new_cookie()
    try:
        assert cookie.value >> 16 == 0x0D4D
        assert cookie.value & 0xFFFF == cookie.base != 0
        assert semaphores.find(cookie.value) == cookie.semid
        assert semaphores.value(cookie.semid) == 1
        cookie.announce()
        cookie.announce()
        assert semaphores.value(cookie.semid) == 3
        cookie.retract()
        assert semaphores.value(cookie.semid) == 2
        assert cookie.pending == 1
    finally:
        cookie.remove()
    assert semaphores.find(cookie.value) is None
    assert semaphores.value(cookie.semid) is None


def test_a_wait_ends_when_the_last_event_is_completed(semaphores: Semaphores) -> None:
    cookie = Udev().new_cookie()
    cookie.announce()
    timer = threading.Timer(0.05, semaphores.add, [cookie.semid, -1])
    timer.start()
    cookie.wait(timeout=30)
    timer.join()
    assert semaphores.find(cookie.value) is None


def test_a_wait_for_nothing_ends_at_once(semaphores: Semaphores) -> None:
    cookie = Udev().new_cookie()
    cookie.wait(timeout=30)
    assert semaphores.find(cookie.value) is None


def test_a_completed_event_before_the_wait_counts(semaphores: Semaphores) -> None:
    cookie = Udev().new_cookie()
    cookie.announce()
    semaphores.add(cookie.semid, -1)
    cookie.wait(timeout=30)
    assert semaphores.find(cookie.value) is None


def test_a_lost_event_ends_in_an_error_and_leaves_no_semaphore(semaphores: Semaphores) -> None:
    cookie = Udev().new_cookie()
    cookie.announce()
    cookie.announce()
    with pytest.raises(UdevTimeout, match="2 of 2") as caught:
        cookie.wait(timeout=0.05)
    assert hex(cookie.value) in caught.value.message
    assert "DM_DISABLE_UDEV" in caught.value.hint
    assert semaphores.find(cookie.value) is None


def test_a_removed_semaphore_ends_the_wait(semaphores: Semaphores) -> None:
    """``dmsetup udevcomplete_all`` removes it."""
    cookie = Udev().new_cookie()
    cookie.announce()
    timer = threading.Timer(0.05, semaphores.remove, [cookie.semid])
    timer.start()
    cookie.wait(timeout=30)
    assert semaphores.find(cookie.value) is None
    timer.join()
    cookie.wait(timeout=0.05)  # would raise UdevTimeout


def test_an_interrupt_leaves_no_semaphore(semaphores: Semaphores, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    waiting = Udev()
    cookie = waiting.new_cookie()
    cookie.announce()
    monkeypatch.setattr(waiting._semaphores, "wait_zero", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cookie.wait(timeout=30)
    assert semaphores.find(cookie.value) is None


def test_completing_too_often_does_no_harm(semaphores: Semaphores) -> None:
    cookie = Udev().new_cookie()
    semaphores.add(cookie.semid, -1)
    semaphores.add(cookie.semid, -1)
    assert semaphores.value(cookie.semid) == 0
    cookie.wait(timeout=30)


def test_a_taken_cookie_is_not_shared(semaphores: Semaphores, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Udev().new_cookie()
    try:
        numbers = [bytes(2), first.base.to_bytes(2, "little"), (first.base ^ 1 or 2).to_bytes(2, "little")]
        monkeypatch.setattr(udev.os, "urandom", lambda size: numbers.pop(0))
        second = Udev().new_cookie()
        second.remove()
        assert second.base not in (0, first.base)
    finally:
        first.remove()


def test_no_semaphore_left_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes
    import errno

    semaphores = Semaphores()

    def full(*_: object) -> int:
        ctypes.set_errno(errno.ENOSPC)
        return -1

    monkeypatch.setattr(semaphores, "_semget", full)
    with pytest.raises(KernelError) as caught:
        semaphores.create(0x0D4D0001)
    assert "/proc/sys/kernel/sem" in caught.value.hint


class Clock:
    """Time that passes only in waits; ``script`` says what udev does in each."""

    def __init__(self, value: int, script: list[Callable[[Clock], None]]) -> None:
        self.now, self.current, self.script, self.removed = 0.0, value, script, False

    def add(self, semid: int, amount: int) -> None:
        self.current += amount

    def value(self, semid: int) -> int:
        return self.current

    def remove(self, semid: int) -> None:
        self.removed = True

    def wait_zero(self, semid: int, timeout: float) -> bool:
        self.now += timeout
        if self.script:
            self.script.pop(0)(self)
        return self.current == 0


def cookie_with(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Cookie:
    monkeypatch.setattr(udev.time, "monotonic", lambda: clock.now)
    semaphores: Any = clock
    return Cookie(semaphores, 1, 1)


def test_progress_starts_the_bound_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand volumes may take longer than the bound; standing still may not."""

    def nothing(clock: Clock) -> None:
        pass

    def complete(clock: Clock) -> None:
        clock.current -= 1

    clock = Clock(4, [nothing, complete, nothing, complete, nothing, complete])
    cookie_with(clock, monkeypatch).wait(timeout=2.5)
    assert clock.now > 5
    assert clock.removed


def test_standing_still_ends_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    def complete(clock: Clock) -> None:
        clock.current -= 1

    clock = Clock(4, [complete])
    with pytest.raises(UdevTimeout):
        cookie_with(clock, monkeypatch).wait(timeout=2.5)
    assert clock.now == 1 + 2.5
    assert clock.removed


# -- whether there is a udev ---------------------------------------------------------------------------


def test_a_udev_runs_when_someone_listens_on_its_control_socket(tmp_path: Path) -> None:
    """A udevd that was killed leaves the socket's name behind: nobody would complete a cookie."""
    path = str(tmp_path / "control")
    elsewhere = tmp_path / "proc"
    (elsewhere / "net").mkdir(parents=True)
    (elsewhere / "net" / "unix").write_text("Num RefCount Protocol Flags Type St Inode Path\n")
    procs = "/proc", str(elsewhere)  # the second as in another network namespace than udevd's
    assert not any(udev.running(path, proc) for proc in procs)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        assert all(udev.running(path, proc) for proc in procs)
    assert os.path.exists(path)
    assert not any(udev.running(path, proc) for proc in procs)
    assert udev.running(path, "/no/such/directory"), "where nothing is told, the name counts"


NOTIFY = """# like lvm2's
ENV{DM_COOKIE}=="?*", RUN+="/bin/sh udevcomplete $env{DM_COOKIE}"
"""


def test_the_rules_must_be_installed_and_not_masked(tmp_path: Path) -> None:
    """Without the rule that completes cookies every wait would run into its bound."""
    site, lib = tmp_path / "etc", tmp_path / "lib"
    site.mkdir()
    lib.mkdir()
    directories = str(site), str(lib)
    assert not udev.rules_installed(directories)
    (lib / "95-dm-notify.rules").write_text(NOTIFY)
    assert not udev.rules_installed(directories), "nobody makes the names"
    (lib / "55-dm.rules").write_text("# names\n")
    assert udev.rules_installed(directories)
    (site / "95-dm-notify.rules").symlink_to(os.devnull)
    assert not udev.rules_installed(directories)
    (site / "95-dm-notify.rules").unlink()
    (site / "95-dm-notify.rules").touch()
    assert not udev.rules_installed(directories), "udev skips an empty file, and those of its name elsewhere"
    (site / "95-dm-notify.rules").write_text(NOTIFY.replace("/bin/sh", "/no/such/dmsetup"))
    assert not udev.rules_installed(directories), "what completes cookies is not there"


@pytest.mark.parametrize(
    ("runs", "rules", "dev_dir", "environ", "found"),
    [
        (True, True, "/dev", {}, True),
        (True, True, "/dev/", {}, True),
        (False, True, "/dev", {}, False),
        (True, False, "/dev", {}, False),
        (True, True, "/tmp", {}, False),
        (True, True, "/dev", {"DM_DISABLE_UDEV": "1"}, False),
        (True, True, "/dev", {"DM_DISABLE_UDEV": ""}, False),
    ],
)
def test_udev_is_relied_on_only_where_it_does_the_work(
    monkeypatch: pytest.MonkeyPatch, runs: bool, rules: bool, dev_dir: str, environ: dict[str, str], found: bool
) -> None:
    monkeypatch.setattr(udev, "running", lambda: runs)
    monkeypatch.setattr(udev, "rules_installed", lambda: rules)
    monkeypatch.setattr(udev, "SEMAPHORES", "/")
    assert (udev.detect(dev_dir, environ) is not None) == found
    monkeypatch.setattr(udev, "SEMAPHORES", "/no/such/file")
    assert udev.detect(dev_dir, environ) is None


def test_a_cookie_of_another_kind_is_refused() -> None:
    for value in (0x1234, 0x0D4D0000, 0x0D4E0001):
        with pytest.raises(UsageError, match="is not a cookie of the device mapper"):
            Udev(cookie=value)


def test_a_lent_cookie_must_exist_before_anything_is_suspended(semaphores: Semaphores) -> None:
    made = Udev().new_cookie()
    try:
        lent = Udev(cookie=made.value)
        lent.prepare()
        found = lent.lent_cookie()
        assert found is not None
        assert (found.base, found.semid) == (made.base, made.semid)
        assert Udev().lent_cookie() is None
    finally:
        made.remove()
    with pytest.raises(NotFound, match=f"there is no udev cookie {made.value:#x}"):
        Udev(cookie=made.value).prepare()


# -- the state for a person ------------------------------------------------------------------------------


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Arguments of ``udev_state`` for a udev that runs and has its rules, all in the test's own files."""
    for name in ("etc", "lib", "proc/net", "proc/sysvipc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lib/95-dm-notify.rules").write_text(NOTIFY)
    (tmp_path / "lib/55-dm.rules").write_text("# names\n")
    (tmp_path / "proc/sysvipc/sem").touch()
    (tmp_path / "proc/net/unix").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "control"))
        listener.listen()
        yield {
            "environ": {},
            "control": str(tmp_path / "control"),
            "directories": (str(tmp_path / "etc"), str(tmp_path / "lib")),
            "proc": str(tmp_path / "proc"),
        }


def test_a_udev_that_can_be_relied_on(machine: dict[str, Any]) -> None:
    state = udev.udev_state("/dev", **machine)
    assert state.usable
    assert state.reasons() == ()
    assert state.notify_rules.endswith("lib/95-dm-notify.rules")


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("environ", "DM_DISABLE_UDEV is set"),
        ("directory", "DM_DEV_DIR is not /dev"),
        ("gone", "udevd does not run"),
        ("killed", "udevd does not run"),
        ("masked", "etc/95-dm-notify.rules masks udev's rules"),
        ("empty", "etc/55-dm.rules masks udev's rules"),
        ("no names", "udev's rules 10-dm.rules are missing"),
        ("no notify", "udev's rules 95-dm-notify.rules are missing"),
        ("broken", "runs /no/dmsetup, which is missing"),
        ("semaphores", "no System V semaphores"),
    ],
)
def test_why_udev_is_not_relied_on_is_said(machine: dict[str, Any], tmp_path: Path, what: str, reason: str) -> None:
    notify, names = tmp_path / "lib/95-dm-notify.rules", tmp_path / "lib/55-dm.rules"
    if what == "environ":
        machine["environ"] = {"DM_DISABLE_UDEV": "1"}
    elif what == "gone":
        machine["control"] = str(tmp_path / "none")
    elif what == "killed":
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.bind(str(tmp_path / "dead"))
        machine["control"] = str(tmp_path / "dead")
    elif what == "masked":
        (tmp_path / "etc" / notify.name).symlink_to(os.devnull)
    elif what == "empty":
        (tmp_path / "etc" / names.name).touch()
    elif what == "no names":
        names.unlink()
    elif what == "no notify":
        notify.unlink()
    elif what == "broken":
        notify.write_text(NOTIFY.replace("/bin/sh", "/no/dmsetup"))
    elif what == "semaphores":
        (tmp_path / "proc/sysvipc/sem").unlink()
    state = udev.udev_state(str(tmp_path) if what == "directory" else "/dev", **machine)
    assert not state.usable
    (told,) = state.reasons()
    assert reason in told
