"""Groups that other hosts may use: shared under locks, another host's, exported. vmgr lets go of them at most."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import kernel_tables, lvm, vmgr

FAILED = 5
KINDS = {
    "sanlock": (r"^(\s*)max_lv = 0", r'\1lock_type = "sanlock"\n\1lock_args = "1.0.0:lvmlock"\n\1max_lv = 0'),
    "dlm": (r"^(\s*)max_lv = 0", r'\1lock_type = "dlm"\n\1lock_args = "1.0.0:cluster"\n\1max_lv = 0'),
    "clvm": (r'status = \["RESIZEABLE", ', 'status = ["CLUSTERED", "RESIZEABLE", '),
    "foreign": (r"^(\s*)max_lv = 0", r'\1system_id = "other"\n\1max_lv = 0'),
    "exported": (r'status = \["RESIZEABLE", ', 'status = ["EXPORTED", "RESIZEABLE", '),
}
WHY = {
    "sanlock": "lock type sanlock requires lvmlockd",
    "dlm": "lock type dlm requires lvmlockd",
    "clvm": "clustered volume group",
    "foreign": "it belongs to system ID 'other'",
    "exported": "is exported",
}
SHARED = ("sanlock", "dlm", "clvm")


class Owned:
    """A group ``tank`` with the volume ``one``, on one disk, that is somebody else's, too."""

    def __init__(self, kind: str, disk: str, spare: str, folder: Path) -> None:
        self.kind, self.disk, self.spare = kind, disk, spare
        vmgr("vgcreate", "tank", disk)
        vmgr("lvcreate", "-an", "-L8m", "-n", "one", "tank")
        self._file = folder / "text"
        lvm("vgcfgbackup", "-f", str(self._file), "tank")

    def become(self, *, active: bool) -> None:
        """Make it what it is, with its volume active here or not."""
        if active:
            lvm("lvchange", "-ay", "tank/one")
        pattern, new = KINDS[self.kind]
        text, count = re.subn(pattern, new, self._file.read_text(), count=1, flags=re.MULTILINE)
        assert count
        self._file.write_text(text)
        lvm("vgcfgrestore", "-f", str(self._file), "tank", "--force", "-y")


@pytest.fixture(params=list(KINDS))
def owned(request: pytest.FixtureRequest, make_disk: Callable[[float], str], tmp_path: Path) -> Owned:
    return Owned(request.param, make_disk(64), make_disk(32), tmp_path)


def test_nothing_in_it_is_activated_or_changed(owned: Owned) -> None:
    """Another host may have its volumes active, or be changing them: without its locks nobody can know."""
    owned.become(active=False)
    commands = [
        *(["lvchange", "-ay", "tank/one"], ["vgchange", "-aay", "tank"], ["vgchange", "-ay", "tank"]),
        *(["vgchange", "--refresh", "tank"], ["lvchange", "--refresh", "tank/one"], ["vgmknodes", "tank"]),
        *(["lvcreate", "-an", "-L8m", "tank"], ["lvremove", "-y", "tank/one"], ["lvextend", "-l+1", "tank/one"]),
        *(["lvrename", "tank", "one", "two"], ["lvchange", "--addtag", "t", "tank/one"]),
        *(
            ["vgchange", "--addtag", "t", "tank"],
            ["vgextend", "tank", owned.spare],
            ["vgremove", "-ff", "-y", "tank"],
        ),
        *(["vgreduce", "--removemissing", "tank"], ["vgck", "--updatemetadata", "tank"]),
        *(["pvchange", "-xn", owned.disk], ["pvresize", owned.disk], ["pvremove", owned.disk]),
        ["pvcreate", owned.disk],
    ]
    if owned.kind != "exported":
        commands.append(["vgrename", "tank", "other"])
    before = Path(owned.disk).read_bytes()[: 1 << 20]
    for words in commands:
        done = vmgr(*words, status=FAILED)
        if not words[0].startswith("pv"):
            assert WHY[owned.kind] in done.stderr, words
    assert not kernel_tables()
    assert Path(owned.disk).read_bytes()[: 1 << 20] == before


def test_commands_about_all_groups_go_round_it(owned: Owned) -> None:
    """The boot unit's, for example: a group that is not this host's is no failure."""
    owned.become(active=False)
    for words in (["vgchange", "-aay"], ["vgchange", "-ay"], ["vgchange", "-an"], ["vgck"], ["vgmknodes"]):
        done = vmgr(*words)
        if owned.kind in SHARED and words != ["vgchange", "-an"]:
            assert f"needs {owned.kind} locks" in done.stderr
    assert not kernel_tables()


@pytest.mark.parametrize(
    "words", [("lvchange", "-an", "tank/one"), ("vgchange", "-an", "tank"), ("vgchange", "-an")]
)
def test_what_is_active_can_be_let_go_of(owned: Owned, words: tuple[str, ...]) -> None:
    owned.become(active=True)
    done = vmgr(*words)
    if owned.kind == "exported" and len(words) == 2:
        assert list(kernel_tables()) == ["tank-one"], "as for LVM2, without a name it is not meant"
        vmgr("vgchange", "-an", "tank")
    assert not kernel_tables()
    if owned.kind == "foreign":
        assert "Possible data corruption" in done.stderr


def shown(*words: str, status: int | None = 0, tool: Callable[..., object] = vmgr) -> list[str]:
    """Group names that a report prints."""
    out = tool(*words, "--noheadings", "-o", "vg_name", status=status).stdout  # type: ignore[attr-defined]
    return [line.strip() for line in out.splitlines() if line.strip()]


def test_reports_show_it_as_lvm2_does(owned: Owned) -> None:
    """Of all groups, those that hosts share are left out unless asked for; one that is named is shown."""
    owned.become(active=False)
    for words in (["vgs"], ["pvs"], ["lvs"], ["vgs", "--shared"], ["vgs", "--foreign"], ["vgdisplay", "-C"]):
        if owned.kind == "clvm" and "--shared" in words:
            continue  # LVM2 never shows it; here it can be seen what it is
        assert shown(*words) == shown(*words, tool=lvm), words
    if owned.kind in SHARED:
        assert shown("vgs", "--config", "global/use_lvmlockd=1") == (["tank"] if owned.kind != "clvm" else [])
        assert shown("vgs", "tank", status=FAILED) == ["tank"]
        done = vmgr("vgs", "-o", "vg_lock_type", "--noheadings", "tank", status=FAILED)
        assert done.stdout.strip() == ("" if owned.kind == "clvm" else owned.kind)
        assert WHY[owned.kind] in done.stderr
        assert shown("vgs", "--shared", "tank") == ["tank"]


def test_volumes_of_another_hosts_group_that_are_active_here_are_shown(
    make_disk: Callable[[float], str], tmp_path: Path
) -> None:
    group = Owned("foreign", make_disk(64), make_disk(32), tmp_path)
    group.become(active=True)
    for words in (["vgs"], ["vgs", "tank"], ["lvs", "tank"]):
        assert shown(*words) == shown(*words, tool=lvm) == ["tank"]
        assert "Possible data corruption" in vmgr(*words).stderr
    vmgr("lvchange", "--refresh", "tank/one", status=FAILED)
    vmgr("lvremove", "-y", "tank/one", status=FAILED)
    lab.run("dmsetup", "remove", "tank-one")
