"""Mangling as the installed dmsetup does it: what it makes of a name, what it refuses, how it shows it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from vmgr.core.errors import InvalidName
from vmgr.dm.client import DmClient, by_name
from vmgr.dm.names import mangle, unmangle

NAMES = [
    "plain#+-.:=@_09azAZ",
    "with blank",
    "é",
    "a\\b",
    r"with\x20blank",
    r"\xzz",
    r"\x5cx20",
    r"a\x20 b",
    r" \x20",
    r"a\x2",
    "\\x",
    "a,~(b",
    "\x01\x7f",
    "-" + " " * 30,
    " " * 32,
    "n" * 127,
    "n" * 128,
    "'quoted' \"twice\"",
]


@pytest.fixture
def dm() -> Iterator[DmClient]:
    with DmClient.open(use_udev=False) as dm:
        yield dm


def dmsetup(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["dmsetup", "--noudevsync", *words], capture_output=True, text=True, errors="surrogateescape", check=False
    )


def ours(name: str, mode: str) -> str | None:
    """What we would call the device; None when we refuse."""
    from vmgr.dm.names import check_name

    try:
        mangled = mangle(name, mode)
        check_name(mangled)
    except InvalidName:
        return None
    return mangled


@pytest.mark.parametrize("mode", ["none", "auto", "hex"])
@pytest.mark.parametrize("name", NAMES)
def test_names_become_what_dmsetup_makes_of_them(dm: DmClient, name: str, mode: str) -> None:
    made = dmsetup("create", "--manglename", mode, "--notable", "--", name)
    found = [entry.name for entry in dm.names()]
    wanted = ours(name, mode)
    assert found == ([] if wanted is None else [wanted]), made.stderr
    assert (made.returncode == 0) == (wanted is not None)
    for entry in found:
        dm.remove(by_name(entry))


@pytest.mark.parametrize("name", [name for name in NAMES if ours(name, "auto") is not None])
def test_kernel_s_names_are_shown_as_dmsetup_shows_them(dm: DmClient, name: str) -> None:
    kernel_s = mangle(name, "auto")
    dm.create(kernel_s)
    shown = dmsetup(
        "info", "-c", "--noheadings", "--separator", "\n", "-o", "name,unmangled_name,mangled_name",
        "--manglename", "auto",
    )  # fmt: skip
    first, plain, mangled = shown.stdout.split("\n")[:3]
    assert first == plain == unmangle(kernel_s, "auto")
    assert mangled == kernel_s
    dm.remove(by_name(kernel_s))


def test_dmsetup_refuses_to_show_what_should_be_mangled_and_so_do_we(dm: DmClient) -> None:
    dm.create("with blank")
    assert dmsetup("info", "-c", "--manglename", "auto", "with blank").returncode != 0
    for mode in ("auto", "hex"):
        with pytest.raises(InvalidName):
            unmangle("with blank", mode)
    assert dmsetup("info", "-c", "--manglename", "none", "with blank").returncode == 0
    assert unmangle("with blank", "none") == "with blank"
    dm.remove(by_name("with blank"))
