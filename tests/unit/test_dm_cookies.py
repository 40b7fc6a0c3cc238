"""Cookies as an administrator sees them: with real semaphores of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmgr.core.errors import KernelError, NotFound, UdevTimeout, UsageError
from vmgr.dm import cookies, semaphores
from vmgr.dm.semaphores import Semaphores


def state(value: int) -> cookies.CookieState | None:
    return next((entry for entry in cookies.cookies() if entry.value == value), None)


def test_a_cookie_that_is_made_is_listed_until_it_is_released() -> None:
    value = cookies.create()
    found = state(value)
    assert found is not None
    assert found.left == 1
    assert found.changed >= found.operated - 1 > 0
    cookies.release(value, timeout=5)
    assert state(value) is None
    with pytest.raises(NotFound):
        cookies.release(value)
    with pytest.raises(NotFound):
        cookies.complete(value)


def test_completing_counts_down_and_heeds_no_flags() -> None:
    value = cookies.create()
    calls = Semaphores()
    semid = calls.find(value)
    assert semid is not None
    calls.add(semid, 2)
    assert cookies.complete(value & 0xFFFF | 0x0041_0000)
    assert cookies.complete(value)
    found = state(value)
    assert found is not None
    assert found.left == 1
    cookies.release(value)


def test_nothing_but_flags_is_no_cookie() -> None:
    assert not cookies.complete(0x0041_0000)


def test_a_release_ends_at_its_bound_and_leaves_nothing() -> None:
    value = cookies.create()
    calls = Semaphores()
    semid = calls.find(value)
    assert semid is not None
    calls.add(semid, 1)
    with pytest.raises(UdevTimeout, match="1 of 1"):
        cookies.release(value, timeout=0)
    assert state(value) is None


def test_a_cookie_completed_too_often_is_removed_and_told() -> None:
    value = cookies.create()
    cookies.complete(value)
    with pytest.raises(KernelError, match="no event left"):
        cookies.complete(value)
    with pytest.raises(KernelError, match="more often than announced"):
        cookies.release(value)
    assert state(value) is None


def test_only_cookies_of_an_age_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others' semaphores, and others' cookies on this machine, are not this test's to remove."""
    value = cookies.create()
    found = state(value)
    assert found is not None
    monkeypatch.setattr(cookies, "cookies", lambda: (found,))
    found = found._replace(operated=found.changed + 30)
    born = found.operated
    assert cookies.complete_all(1, now=born + 59) == ((), (value,), ())
    assert cookies.complete_all(1, now=born + 60) == ((value,), (), ())
    assert cookies.complete_all(0, now=born) == ((value,), (), ()), "one that is gone is as good as removed"
    assert Semaphores().find(value) is None


def test_the_kernel_s_list_is_read_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "sysvipc").mkdir()
    (tmp_path / "sysvipc/sem").write_text(
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n"
        " 223154275          0   600          1     0     0     0     0          0 1795372573\n"
        "-559038737          3   644          9  1000   100  1000   100 1795372574 1795372573\n"
        "damaged\n"
    )
    assert semaphores.listed(str(tmp_path)) == (
        (0x0D4D1063, 0, 0, 0, 1795372573),
        (0xDEADBEEF, 3, 1000, 1795372574, 1795372573),
    )
    assert semaphores.listed(str(tmp_path / "none")) == ()
    assert cookies.cookies(str(tmp_path / "none")) == ()


@given(st.integers(1, 0xFFFF_FFFF))
def test_a_number_is_read_in_any_base_of_c(value: int) -> None:
    for text in (str(value), hex(value), f"0X{value:X}", f"0{value:o}", f" +{value}"):
        assert cookies.parse_cookie(text) == value


@pytest.mark.parametrize("text", ["", "0", "x", "-1", "0x", "0x1g", "12 3", "08", "0o7", "1_0", "0x100000000", "٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a cookie"):
        cookies.parse_cookie(text)


@given(st.integers(0, 0xFFFF))
def test_every_flag_has_a_variable(flags: int) -> None:
    names = cookies.decode_flags(flags << 16 | 0x1234)
    assert len(names) == len(set(names)) == flags.bit_count()
    assert ("DM_UDEV_PRIMARY_SOURCE_FLAG" in names) == bool(flags & 0x40)
    assert ("DM_UDEV_FLAG7" in names) == bool(flags & 0x80)
    assert ("DM_SUBSYSTEM_UDEV_FLAG0" in names) == bool(flags & 0x100)
