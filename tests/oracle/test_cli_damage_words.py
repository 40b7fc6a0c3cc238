"""What is damaged, old or missing is told with the words that monitoring looks for in what LVM2 says."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests.support.lvm2 import Lvm2, requires_lvm2
from vmgr.cli.main import main

pytestmark = requires_lvm2

MIB = 1 << 20
MDA = 4096
"""Where the first metadata area of a PV starts."""


class Place:
    """Three disks, and both tools on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lvm = Lvm2(folder / "lvm")
        self.disks = [self.lvm.disk(folder / name, 32 * MIB) for name in "abc"]
        self.lvm.run("version")

    def lvm2(self, *words: str) -> tuple[int, str]:
        environ = {"PATH": os.environ["PATH"], "LC_ALL": "C", "LVM_SYSTEM_DIR": str(self.lvm.dir)}
        done = subprocess.run(
            ["lvm", words[0], "--driverloaded", "n", *words[1:]],
            env={**environ, "LVM_SUPPRESS_FD_WARNINGS": "1"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stderr

    def vmgr(self, *words: str) -> tuple[int, str]:
        err = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(err):
            status = main(["lvm", words[0], "--driverloaded", "n", *words[1:]])
        return status, err.getvalue()


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path)
    monkeypatch.setenv("LVM_SYSTEM_DIR", str(made.lvm.dir))
    monkeypatch.setattr("sys.stdin", io.StringIO())
    yield made
    made.lvm.release()


def both(place: Place, line: str, *words: str) -> None:
    """Run a command that changes nothing by both tools: what both say has all of ``words``."""
    for tool in (place.lvm2, place.vmgr):
        _, said = tool(*line.split())
        for word in words:
            assert word in said, f"{tool.__name__} {line}: {said}"


def overwrite(device: str, offset: int, data: bytes) -> None:
    with open(device, "r+b", buffering=0) as file:
        file.seek(offset)
        file.write(data)
        os.fsync(file.fileno())


def test_a_damaged_header(place):
    a, b, _ = place.disks
    place.lvm.run("vgcreate", "vg", a, b)
    overwrite(a, MDA + 24, b"X")
    for command in ("vgs", "pvs", "lvs"):
        both(place, command, "checksum", a)


def test_an_old_copy(place):
    a, b, _ = place.disks
    place.lvm.run("vgcreate", "vg", a, b)
    shutil.copyfile(a, place.folder / "old")
    place.lvm.run("vgchange", "--addtag", "new", "vg")
    with open(place.folder / "old", "rb") as old:
        overwrite(a, 0, old.read(MIB))
    both(place, "vgs", "gnoring metadata seqno 1 on", a, "for seqno 2")


def test_a_physical_volume_that_is_away(place):
    a, b, _ = place.disks
    place.lvm.run("vgcreate", "vg", a, b)
    both(place, f"vgs --devices {a}", "missing PV")


def test_a_group_whose_metadata_are_gone(place):
    a, b, _ = place.disks
    place.lvm.run("vgcreate", "--metadatacopies", "1", "vg", a, b)
    overwrite(a, MDA, bytes(512 * 8))
    for command in ("pvcreate", "pvremove", "vgcreate new"):
        both(place, f"{command} --devices {a} {a}", "metadata is missing")


def test_two_groups_of_one_name(place):
    for disk in place.disks[:2]:
        place.lvm.run("vgcreate", "--devices", disk, "twin", disk)
    both(place, "vgs twin", "ultiple VGs found with the same name")
