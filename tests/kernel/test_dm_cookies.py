"""udev's cookies beside dmsetup: the same list, the same flags, and each completes and releases the other's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from tests.support.dmsetup import LINK, OURS, THEIRS, Step, run_tool, same_answers
from tests.support.lab import run, udev_stopped, until
from vmgr.core.errors import KernelError, NotFound, UdevTimeout
from vmgr.dm import cookies
from vmgr.dm.client import DmClient

TOOLS = (THEIRS, OURS, LINK)


@pytest.fixture(autouse=True)
def _no_cookie_left(_machine: None) -> Iterator[None]:
    yield
    left = [hex(cookie.value) for cookie in cookies.cookies()]
    cookies.complete_all()
    assert left == []


def tool(name: str, *words: str, env: dict[str, str] | None = None) -> str:
    status, out, err = run_tool(name, words, env=env)
    assert status == 0, f"{name} {words}: {err}"
    return out


def value(cookie: int) -> int | None:
    """The semaphore's value; None when it is gone."""
    found = [entry.left for entry in cookies.cookies() if entry.value == cookie]
    return found[0] if found else None


def leads(name: str) -> bool:
    with DmClient.open(use_udev=False) as dm:
        device = dm.info(name=name)
    return device is not None and json.loads(tool(OURS, "info", "--json", name)) is not None


@pytest.mark.udev
def test_the_list_is_dmsetup_s() -> None:
    same_answers("udevcookies")
    made = [cookies.create(), int(tool(THEIRS, "udevcreatecookie"), 16), cookies.create()]
    same_answers("udevcookies")
    assert {entry.value for entry in cookies.cookies()} == set(made)
    assert cookies.complete(made[0])
    same_answers("udevcookies")
    assert tool(OURS, "cookies") == tool(THEIRS, "udevcookies")
    listed = json.loads(tool(OURS, "cookies", "--json"))["cookies"]
    assert [(entry["cookie"], entry["value"]) for entry in listed] == [
        (hex(entry.value), entry.left) for entry in cookies.cookies()
    ]
    assert {entry["value"] for entry in listed} == {0, 1}
    assert "3 semaphores with keys prefixed by 3405 (0xd4d) destroyed. 0 skipped." in tool(
        LINK, "udevcomplete_all", "-y"
    )


def test_flags_are_read_as_dmsetup_reads_them() -> None:
    flags = [0, 1, 0x6, 0x41, 0x60, 0x80, 0x100, 0xFFFF, 0x8001]
    same_answers(
        *(f"udevflags {hex(value << 16 | 0x1234)}" for value in flags),
        "udevflags 4198400",
        "udevflags 020200000",
        Step("udevflags 0", status=1),
        Step("udevflags nonsense", status=1),
        Step("udevflags 0x100000000", status=1),
        Step("udevflags 12x", status=1),
    )


@pytest.mark.udev
@pytest.mark.parametrize(
    ("maker", "user", "ender"),
    [
        (THEIRS, OURS, THEIRS),
        (OURS, THEIRS, OURS),
        (OURS, OURS, THEIRS),
        (THEIRS, LINK, OURS),
        (LINK, THEIRS, LINK),
        (OURS, OURS, OURS),
    ],
)
def test_a_cookie_of_one_is_used_and_released_by_the_others(maker: str, user: str, ender: str) -> None:
    """Nobody waits before the release, and then the nodes are there."""
    text = tool(maker, "udevcreatecookie").strip()
    assert text.startswith("0x0D4D")
    cookie = int(text, 16)
    with udev_stopped():
        tool(user, "create", "one", "--table", "0 8 zero", "--udevcookie", text)
        tool(user, "create", "two", "--table", "0 8 zero", env={"DM_UDEV_COOKIE": text})
        tool(user, "rename", "two", "three", "--udevcookie", text)
        assert value(cookie) == 4
    tool(ender, "udevreleasecookie", text)
    assert value(cookie) is None
    same_answers("info -c --noheadings -o name", "udevcookies")
    with DmClient.open() as dm:
        for name in ("one", "three"):
            device = dm.info(name=name)
            assert device is not None
            assert run("stat", "-Lc", "%Hr:%Lr", f"/dev/mapper/{name}").stdout.strip() == (
                f"{device.major}:{device.minor}"
            )
    tool(user, "remove", "one", "--retry")
    tool(user, "remove", "three", "--retry")


@pytest.mark.udev
def test_a_dmsetup_that_waits_goes_on_when_vmgr_completes_its_cookie() -> None:
    with udev_stopped():
        waiting = threading.Thread(target=run, args=("dmsetup", "create", "one", "--table", "0 8 zero"))
        waiting.start()
        until(lambda: any(entry.left == 1 for entry in cookies.cookies()), "dmsetup to wait")
        until(lambda: leads("one"), "the device")
        (entry,) = cookies.cookies()
        out = tool(OURS, "complete", hex(entry.value | 0x0041_0000))
        assert out.startswith("DM_COOKIE_COMPLETED=0x")
        waiting.join(30)
        assert not waiting.is_alive()


@pytest.mark.udev
@pytest.mark.parametrize("ender", TOOLS)
def test_all_cookies_but_young_ones_are_removed(ender: str) -> None:
    cookies.create()
    tool(THEIRS, "udevcreatecookie")
    words = ("complete", "--all", "--age", "1", "-y") if ender == OURS else ("udevcomplete_all", "-y", "1")
    tool(ender, *words)
    assert len(cookies.cookies()) == 2
    tool(ender, *(("complete", "--all", "-y") if ender == OURS else ("udevcomplete_all", "-y")))
    assert cookies.cookies() == ()


@pytest.mark.udev
def test_age_counts_from_the_last_change() -> None:
    import time

    cookie = cookies.create()
    now = time.time()
    assert cookies.complete_all(2, now=now + 110).skipped == (cookie,)
    assert cookies.complete_all(2, now=now + 130).completed == (cookie,)


@pytest.mark.udev
def test_without_a_yes_nothing_is_removed() -> None:
    cookie = cookies.create()
    for name in TOOLS:
        status, out, err = run_tool(name, ["udevcomplete_all"], "n\n")
        assert status == 0
        assert "NOT destroyed" in out + err
    assert value(cookie) == 1
    cookies.complete_all()


@pytest.mark.udev
def test_refusals_are_dmsetup_s() -> None:
    same_answers(
        Step("udevcomplete 0xd4d4321", status=1),
        Step("udevcomplete 0", status=1),
        Step("udevcomplete x", status=1),
        Step("udevcomplete", status=1),
        Step("udevcomplete 0x00410000", status=0),
        Step("udevreleasecookie 0xd4d4321", status=1),
        Step("udevreleasecookie 0x4321", status=1),
        Step("udevreleasecookie", status=1),
        Step("udevcomplete_all -y x", status=1),
        Step("udevflags", status=1),
    )


@pytest.mark.udev
@pytest.mark.parametrize("name", [OURS, LINK])
def test_a_command_with_a_cookie_that_is_not_there_changes_nothing(name: str) -> None:
    status, _, said = run_tool(name, ["create", "one", "--table", "0 8 zero", "--udevcookie", "0xd4d4321"])
    assert status in (1, 5)
    assert "there is no udev cookie 0xd4d4321" in said
    with DmClient.open() as dm:
        assert dm.info(name="one") is None


@pytest.mark.udev
def test_a_cookie_with_nothing_left_is_not_completed() -> None:
    cookie = cookies.create()
    assert cookies.complete(cookie)
    with pytest.raises(KernelError, match="no event left"):
        cookies.complete(cookie)
    for name in TOOLS:
        assert run_tool(name, ["udevcomplete", hex(cookie)])[0] != 0
    with pytest.raises(KernelError, match="more often than announced"):
        cookies.release(cookie)
    assert value(cookie) is None
    with pytest.raises(NotFound):
        cookies.release(cookie)


@pytest.mark.udev
def test_a_release_has_a_bound() -> None:
    cookie = cookies.create()
    with udev_stopped():
        tool(OURS, "create", "one", "--table", "0 8 zero", "--udevcookie", hex(cookie))
        with pytest.raises(UdevTimeout):
            cookies.release(cookie, timeout=0.2)
    assert value(cookie) is None


def test_without_udev_no_cookie_is_made_and_none_is_needed() -> None:
    same_answers(
        Step("udevcreatecookie", status=0, errors="any"),
        Step("udevcreatecookie --noudevsync", status=0, errors="any"),
    )
    same_answers(
        Step("udevcomplete 0xd4d4321", status=0), Step("udevreleasecookie 0xd4d4321", status=0), tools=(LINK,)
    )
    assert tool(OURS, "udevcreatecookie") == ""
    tool(OURS, "create", "one", "--table", "0 8 zero", "--udevcookie", "0xd4d4321")
    assert leads("one")


def test_without_udev_a_cookie_that_someone_made_is_released_at_once() -> None:
    cookie = cookies.create()
    tool(OURS, "udevreleasecookie", hex(cookie))
    assert value(cookie) is None
