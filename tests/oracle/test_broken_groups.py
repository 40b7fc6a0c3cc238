"""Groups whose metadata breaks the rules that keep data apart: shown, and not touched, where LVM2 refuses them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from tests.support.texts import committed, put

pytestmark = requires_lvm2

MIB = 1 << 20


def section(text: str, name: str) -> str:
    """The section ``name { ... }`` of a text as it is on disk."""
    match = re.search(rf"^{name} \{{\n.*?^\}}\n\}}\n", text, re.MULTILINE | re.DOTALL)
    assert match is not None, name
    return match[0]


def within(name: str, old: str, new: str) -> Callable[[str], str]:
    """Replace in one volume's section."""

    def edit(text: str) -> str:
        part = section(text, name)
        assert old in part, part
        return text.replace(part, part.replace(old, new, 1))

    return edit


def field(key: str, value: object, before: str) -> Callable[[str], str]:
    """Set a field that stands after ``before``."""

    def edit(text: str) -> str:
        at = text.index(before)
        return text[:at] + re.sub(rf"{key} = [^\n]+", f"{key} = {value}", text[at:], count=1)

    return edit


def same_id(text: str) -> str:
    ids = [re.search(r'id = "(.*)"', section(text, name))[1] for name in ("a", "b")]  # type: ignore[index]
    return text.replace(ids[1], ids[0])


BROKEN = {
    "two volumes share extents": (within("b", '"pv0", 4', '"pv0", 2'), "extents 2 to 3 are used 2 times, by a, b"),
    "one volume uses extents twice": (
        within("two", '"pv0", 12', '"pv0", 9'),
        "extent 9 is used 2 times, by two",
    ),
    "a stripe lies on another volume": (within("s", '"pv1", 0', '"pv1", 10'), "by s, t"),
    "both stripes are one place": (within("s", '"pv1", 0', '"pv0", 16'), "are used 2 times, by s"),
    "an area begins beyond the end": (within("a", '"pv0", 0', '"pv0", 900'), "not within what it lies on"),
    "an area reaches beyond the end": (field("pe_count", 13, "pv0 {"), "not within what it lies on"),
    "the PV has fewer extents than are used": (field("pe_count", 1, "pv0 {"), "not within what it lies on"),
    "the PV has no extents": (field("pe_count", 0, "pv0 {"), "not within what it lies on"),
    "a volume lies on itself": (within("a", '"pv0"', '"a"'), "a: an area is on the volume itself"),
    "volumes lie on each other": (
        lambda text: within("b", '"pv0", 4', '"a", 0')(within("a", '"pv0"', '"b"')(text)),
        "it lies on itself: ",
    ),
    "a volume lies on one that is not there": (within("a", '"pv0"', '"nobody"'), "refers to 'nobody'"),
    "two volumes have one UUID": (same_id, "two logical volumes have the UUID"),
    "a gap between segments": (
        within("two", "start_extent = 2", "start_extent = 3"),
        "two: a segment starts at extent 3, not at 2",
    ),
    "segments that overlap": (
        within("two", "start_extent = 2", "start_extent = 1"),
        "two: a segment starts at extent 1, not at 2",
    ),
    "a gap before the first segment": (within("a", "start_extent = 0", "start_extent = 1"), "starts at extent 1"),
    "fewer segments than counted": (within("a", "segment_count = 1", "segment_count = 2"), "segment_count = 2"),
    "an empty segment": (within("a", "extent_count = 4", "extent_count = 0"), "has length 0"),
    "a negative length": (within("a", "extent_count = 4", "extent_count = -4"), "extent_count = -4"),
    "more extents than can be counted": (
        within("a", "extent_count = 4", "extent_count = 4294967296"),
        "extent_count = 4294967296",
    ),
    "a length that is no multiple of the stripes": (
        within("s", "extent_count = 4", "extent_count = 3"),
        "volume s, segment1",
    ),
    "fewer stripes than counted": (within("s", "stripe_count = 2", "stripe_count = 3"), "volume s, segment1"),
}
"""How the text is changed, and what the warning says."""


@pytest.fixture
def lvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Lvm2(tmp_path / "lvm") as one:
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(one.dir))
        yield one


@pytest.fixture
def disks(lvm: Lvm2, tmp_path: Path) -> tuple[str, ...]:
    """A group ``vg`` on two disks: a, b (linear), two (of two segments), s (stripes), t on the second disk."""
    found = tuple(lvm.disk(tmp_path / name, 16 * MIB) for name in ("one", "two"))
    lvm.run("vgcreate", "-s", "256k", "vg", *found)
    new = ("lvcreate", "-an", "-y", "-Zn", "-Wn")
    for name in ("a", "b"):
        lvm.run(*new, "-l4", "-n", name, "vg", found[0])
    lvm.run(*new, "-l2", "-n", "two", "vg", f"{found[0]}:8-9")
    lvm.run("lvextend", "-l+2", "vg/two", f"{found[0]}:12-13")
    lvm.run(*new, "-l4", "-i2", "-n", "s", "vg", f"{found[0]}:16-20", f"{found[1]}:0-4")
    lvm.run(*new, "-l4", "-n", "t", "vg", f"{found[1]}:10-14")
    return found


def vmgr(*words: str, status: int = 0, kernel: bool = False) -> subprocess.CompletedProcess[str]:
    switch = () if kernel else ("--driverloaded", "n")
    command = [sys.executable, "-m", "vmgr", words[0], *switch, *words[1:]]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}{done.stderr}"
    assert "fault in vmgr" not in done.stderr
    return done


def content(disks: tuple[str, ...]) -> list[bytes]:
    return [Path(disk).read_bytes() for disk in disks]


READ_BY_LVM2 = {"two volumes have one UUID": 5, "volumes lie on each other": 0}
"""LVM2 lists these; the status with which it then refuses to write them, or does not."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_group_that_breaks_a_rule_is_shown_and_left_alone(name, lvm, disks, tmp_path):
    edit, says = BROKEN[name]
    good = committed(disks[0])
    bad = edit(good)
    assert bad != good
    for disk in disks:
        put(disk, bad)
    before = content(disks)
    lvm.run("vgs", "vg", status=0 if name in READ_BY_LVM2 else 5)
    if name in READ_BY_LVM2:
        lvm.run("vgchange", "--test", "--addtag", "x", "vg", status=READ_BY_LVM2[name])
    assert content(disks) == before
    shown = vmgr("vgs", "--noheadings", "--units", "b", "--nosuffix", "-o", "vg_name,vg_free", "vg", status=5)
    assert says in shown.stderr
    name, free = shown.stdout.split()
    assert name == "vg"
    assert int(free) >= 0
    vmgr("lvs", "-a", "--segments", "-o+devices,seg_le_ranges", "vg", status=5)
    refused = vmgr("lvcreate", "-an", "-Zn", "-Wn", "-l100%FREE", "-n", "new", "vg", status=5)
    assert says in refused.stderr
    assert "vgcfgrestore" in refused.stderr
    kept = tmp_path / "kept"
    vmgr("vgcfgbackup", "-f", str(kept), "vg")
    assert kept.read_text().strip() == bad.strip()
    vmgr("vgcfgrestore", "-f", str(kept), "vg", status=5)
    assert content(disks) == before
    text = tmp_path / "good"
    text.write_text(good)
    vmgr("vgcfgrestore", "-f", str(text), "vg")
    lvm.run("vgck", "vg")
    assert lvm.run("lvs", "--noheadings", "-o", "lv_name", "vg").split() == ["a", "b", "s", "t", "two"]


@pytest.mark.parametrize("name", ["two volumes share extents", "a volume lies on itself", "a negative length"])
def test_every_command_that_looks_tells_of_it_and_every_change_is_refused(name, lvm, disks):
    edit, says = BROKEN[name]
    bad = edit(committed(disks[0]))
    for disk in disks:
        put(disk, bad)
    before = content(disks)
    for words in (
        ("vgs",),
        ("lvs", "vg"),
        ("pvs", "--segments", "-o+lv_name,seg_pe_ranges"),
        ("vgdisplay", "-v", "vg"),
        ("lvdisplay", "-m", "vg"),
        ("pvdisplay", "-m"),
        ("pvscan",),
        ("vgscan",),
        ("lvscan",),
    ):
        shown = vmgr(*words, status=5)
        assert says in shown.stderr
        assert shown.stdout
    for words in (
        ("lvextend", "-l+1", "vg/t"),
        ("lvremove", "-y", "vg/t"),
        ("lvrename", "vg/t", "u"),
        ("vgchange", "--addtag", "x", "vg"),
        ("vgrename", "vg", "other"),
        ("vgremove", "-y", "-ff", "vg"),
        ("vgreduce", "vg", disks[1]),
        ("pvresize", disks[0]),
        ("vgck", "vg"),
        ("vgck", "--updatemetadata", "vg"),
    ):
        refused = vmgr(*words, status=5)
        assert "vgcfgrestore" in refused.stderr, refused.stderr
        assert says in refused.stderr
    assert content(disks) == before


def test_a_sound_group_beside_a_broken_one_is_reported_and_changed(lvm, disks, tmp_path):
    """Whoever asks for one group hears nothing of the other; whoever asks for all gets all, and status 5."""
    third = lvm.disk(tmp_path / "three", 16 * MIB)
    lvm.run("vgcreate", "fit", third)
    bad = BROKEN["two volumes share extents"][0](committed(disks[0]))
    for disk in disks:
        put(disk, bad)
    assert vmgr("vgs", "fit").stderr == ""
    vmgr("lvcreate", "-an", "-Zn", "-Wn", "-l1", "-n", "new", "fit")
    both = vmgr("vgs", "--noheadings", "-o", "vg_name", status=5)
    assert both.stdout.split() == ["fit", "vg"]


def test_a_backup_of_broken_metadata_does_not_cost_the_good_one(lvm, disks):
    """The backup is the way back: what was there is archived first, and listed with the rest."""
    vmgr("vgcfgbackup", "vg")
    good = (lvm.dir / "backup" / "vg").read_text()
    bad = BROKEN["two volumes share extents"][0](committed(disks[0]))
    for disk in disks:
        put(disk, bad)
    on = ("--config", "backup/archive=1")
    done = vmgr("vgcfgbackup", "vg")
    (kept,) = (lvm.dir / "archive").iterdir()
    assert str(kept) in done.stderr
    assert kept.read_text() == good
    assert (lvm.dir / "backup" / "vg").read_text().strip() == bad.strip()
    assert vmgr("vgcfgrestore", *on, "--list", "vg").stdout.count("File:") == 2
    vmgr("vgcfgrestore", *on, "-f", str(kept), "vg")
    lvm.run("vgck", "vg")
    before = max((lvm.dir / "archive").iterdir())
    assert before.read_text().strip() == bad.strip()
    assert vmgr("vgcfgrestore", *on, "--list", "vg").stdout.count("File:") == 3
