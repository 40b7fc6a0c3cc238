"""A physical volume that is away blocks what needs it, and nothing else: the same commands as with LVM2."""

from __future__ import annotations

import contextlib
import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main

pytestmark = requires_lvm2

FAILED = 5
MIB = HEAD = 1 << 20


def vmgr(*words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """In this process, without a device mapper."""
    command = ["vmgr", words[0], "--driverloaded", "n", *words[1:]]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    done = subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())
    assert status in (None, code), f"{command}: {done.stdout}{done.stderr}"
    return done


def lvm(*words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    """LVM2, without a device mapper."""
    command = ["lvm", words[0], "--driverloaded", "n", *words[1:]]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert status in (None, done.returncode), f"{command}: {done.stdout}{done.stderr}"
    return done


class Group:
    """``tank`` on the disks a and b: ``on_a`` and ``on_b`` on one each, ``both`` on both; and a spare disk c."""

    def __init__(self, tools: Lvm2, folder: Path) -> None:
        self.a, self.b, self.c = (tools.disk(folder / name, 32 * MIB) for name in "abc")
        tools.run("version")  # writes lvm.conf, with these devices in its filter
        self.config = (tools.dir / "lvm.conf").read_text()
        self.text = folder / "now"
        lvm("vgcreate", "tank", self.a, self.b)
        for name, where in (("on_a", [self.a]), ("on_b", [self.b]), ("both", ["-i2", self.a, self.b])):
            lvm("lvcreate", "-an", "-Zn", "-l2", "-n", name, "tank", *where)
        listed = ", ".join(f'"a|^{path}$|"' for path in (self.a, self.c))
        self.away = ("--config", f'devices/filter=[{listed}, "r|.*|"]')
        self.save()

    def save(self) -> None:
        """Remember the metadata, to come back to."""
        self.heads = {path: Path(path).read_bytes()[:HEAD] for path in (self.a, self.b, self.c)}

    def back(self) -> None:
        """As it was."""
        for path, head in self.heads.items():
            with open(path, "r+b") as file:
                file.write(head)

    def metadata(self, *more: str) -> str:
        """The group's metadata without what is different each time; empty without a group."""
        if lvm("vgcfgbackup", "-f", str(self.text), "tank", *more, status=None).returncode:
            return ""
        lines = self.text.read_text().splitlines()
        return "\n".join(line for line in lines[lines.index("tank {") :] if not _PASSING(line))

    def marked(self, *more: str) -> int:
        """How many PVs the metadata mark as missing."""
        return self.metadata(*more).count('flags = ["MISSING"]')


_PASSING = re.compile(r"\s*(id|seqno|creation_time|creation_host|device|tags_time)\b").match


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    with Lvm2(tmp_path / "lvm") as tools:
        monkeypatch.setenv("LVM_SYSTEM_DIR", str(tools.dir))
        yield Group(tools, tmp_path)


POSSIBLE = [
    *("lvremove -y tank/on_a", "lvremove -y tank/on_b", "lvremove -y tank/both", "lvremove -y tank"),
    *("vgremove -f tank", "vgremove -ff -y tank", "vgchange --addtag t tank", "vgextend tank {c}"),
    *("lvchange --addtag t tank/on_a", "lvchange --addtag t tank/on_b", "lvchange -pr tank/on_b"),
    *("lvchange -r 256 tank/on_a", "lvchange -ky tank/on_a", "lvchange --alloc anywhere tank/on_a"),
    *("vgreduce --removemissing --force tank", "vgck --updatemetadata tank"),
]
REFUSED = [
    *("lvcreate -an -Zn -l1 -n x tank", "lvcreate -an -Zn -l1 -n x tank {a}", "lvcreate -s -an -l1 -n x tank/on_a"),
    *("lvextend -l+1 tank/on_a", "lvreduce -f -l-1 tank/on_a", "lvrename tank on_a other", "vgrename tank other"),
    *("vgreduce tank {a}", "vgreduce -a tank", "pvchange -xn {a}", "pvchange --addtag t {a}", "pvresize {a}"),
    *("vgchange -l 9 tank", "vgchange -p 9 tank", "vgchange -s 2m tank", "vgchange --alloc anywhere tank"),
    *("vgchange --addtag t -l 9 tank", "vgchange -xn tank"),
    "vgck tank",
]


def test_lvm2_does_the_same_while_a_physical_volume_is_away(group: Group) -> None:
    wrong = []
    for command in (*POSSIBLE, *REFUSED):
        words = command.format(a=group.a, c=group.c).split()
        states = []
        for tool in (lvm, vmgr):
            done = tool(*words, *group.away, status=None)
            states.append((done.returncode, group.metadata(*group.away)))
            if tool is vmgr and command in REFUSED and words[0] not in ("vgck", "lvchange"):
                assert "while PVs are missing" in done.stderr, command
                assert "vgextend --restoremissing tank" in done.stderr
            group.back()
        assert states[0][0] == (FAILED if command in REFUSED else 0), command
        if states[0] != states[1]:
            wrong.append((command, *states))
    assert not wrong


def test_one_that_is_back_is_used_once_somebody_says_so(group: Group) -> None:
    """What was written meanwhile is not on it. Until then it counts as missing, to both tools."""
    vmgr("vgchange", "--addtag", "meanwhile", "tank", *group.away)
    assert group.marked() == 1
    group.save()
    for tool in (lvm, vmgr):
        done = tool("vgs", "--noheadings", "-o", "vg_attr,vg_missing_pv_count", "tank")
        assert done.stdout.split()[1] == "1"
        assert done.stdout.split()[0][3] == "p"
        assert "was previously updated while PV" in done.stderr
        tool("lvcreate", "-an", "-Zn", "-l1", "tank", status=FAILED)
        tool("lvremove", "-y", "tank/on_a")
        assert group.marked() == 1
        tool("vgextend", "--restoremissing", "tank", group.b)
        assert group.marked() == 0
        tool("lvcreate", "-an", "-Zn", "-l1", "tank")
        group.back()


def test_one_that_is_back_and_carries_nothing_is_welcome(group: Group) -> None:
    vmgr("lvremove", "-y", "tank/on_b", "tank/both", *group.away)
    assert group.marked(*group.away) == 1
    group.save()
    for tool in (lvm, vmgr):
        done = tool("vgs", "--noheadings", "-o", "vg_missing_pv_count", "tank")
        assert done.stdout.strip() == "0"
        assert "has unused reappeared PV" in done.stderr
        tool("lvcreate", "-an", "-Zn", "-l1", "tank")
        assert group.marked() == 0
        group.back()
