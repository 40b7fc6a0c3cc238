"""``--test`` says what would happen: a plan that it prints can be carried out, and what would fail is refused."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import lab
from tests.support.tools import kernel_tables, lvm, vmgr

FAILED = 5


def both(*words: str) -> str:
    """Why a command is refused, with ``--test`` and without; nothing is changed by either."""
    said = []
    for test in (("--test",), ()):
        done = vmgr(words[0], *test, *words[1:], status=FAILED)
        assert not done.stdout, "no plan is printed for what cannot be done"
        said.append(
            done.stderr.replace(
                "  TEST MODE: Metadata will NOT be updated and volumes will not be (de)activated.\n", ""
            )
        )
    # The text's length is that with the command in it.
    assert re.sub(r"now \d+", "", said[0]).splitlines()[-2:] == re.sub(r"now \d+", "", said[1]).splitlines()[-2:]
    return said[0]


@pytest.fixture
def tank(make_disk: Callable[[float], str]) -> str:
    """A group of one disk with the active volume ``data``; the disk's path."""
    disk = make_disk(64)
    vmgr("vgcreate", "tank", disk)
    vmgr("lvcreate", "-L8m", "-n", "data", "tank")
    return disk


def test_a_full_metadata_area(make_disk: Callable[[float], str]) -> None:
    vmgr("vgcreate", "--metadatasize", "32k", "--dataalignment", "4k", "tank", make_disk(64))
    for number in range(40):
        tag = f"{number:02}{'t' * 900}"
        if vmgr("vgchange", "--addtag", tag, "tank", status=None).returncode:
            break
    else:
        pytest.fail("the metadata area did not fill up")
    assert "does not fit in a metadata area" in both("vgchange", "--addtag", "x" * 1000, "tank")
    assert "does not fit in a metadata area" in both("vgchange", "--addtag", "t" * 900, "tank")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 64 KiB, for archives."""
    place = tmp_path / "files"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("which", ["archive", "backup"])
@pytest.mark.parametrize("state", ["full", "read-only"])
def test_no_room_for_the_archive_or_the_backup(tank: str, folder: Path, which: str, state: str) -> None:
    if state == "full":
        with open(folder / "filler", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    before = lvm("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout
    config = f'backup {{ {which}_dir = "{folder}" }}'
    said = both("lvcreate", "-L8m", "-n", "more", "tank", "--config", config)
    assert {"full": "No space left", "read-only": "Read-only file system"}[state] in said
    assert lvm("vgs", "--noheadings", "-o", "vg_seqno", "tank").stdout == before
    assert list(kernel_tables()) == ["tank-data"]
    vmgr("lvcreate", "--test", "-An", "-L8m", "-n", "more", "tank", "--config", config)


def test_a_device_that_cannot_be_written_to(tank: str, make_disk: Callable[[float], str]) -> None:
    disk = make_disk(32)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True, capture_output=True)
    subprocess.run(["blockdev", "--setro", disk], check=True)
    for words in (["vgextend", "-y", "tank", disk], ["pvcreate", "-y", disk], ["vgcreate", "-y", "new", disk]):
        assert "read-only" in both(*words)
    lab.run("blkid", "-p", disk)  # what was on it still is
    subprocess.run(["blockdev", "--setrw", disk], check=True)
    subprocess.run(["blockdev", "--setro", tank], check=True)
    assert "read-only" in both("lvcreate", "-an", "-L8m", "tank")
    assert "read-only" in both("lvremove", "-y", "tank/data")
    assert list(kernel_tables()) == ["tank-data"]
    subprocess.run(["blockdev", "--setrw", tank], check=True)


def test_a_disk_is_wiped_only_once_all_else_is_certain(tank: str, make_disk: Callable[[float], str]) -> None:
    """The group's own disk refuses the change: the file system on the new one is still there."""
    disk = make_disk(32)
    subprocess.run(["mkfs.ext4", "-q", disk], check=True, capture_output=True)
    subprocess.run(["blockdev", "--setro", tank], check=True)
    both("vgextend", "-y", "tank", disk)
    subprocess.run(["blockdev", "--setrw", tank], check=True)
    assert Path(disk).read_bytes()[1080:1082] == b"\x53\xef"


def test_a_name_that_the_kernel_has_given_to_another_device(tank: str) -> None:
    lab.run("dmsetup", "create", "tank-more", "--table", "0 8 zero")
    assert "another device called tank-more" in both("lvcreate", "-L8m", "-n", "more", "tank")
    lab.run("dmsetup", "remove", "tank-more")


def test_a_device_that_is_in_use(tank: str) -> None:
    subprocess.run(["mkfs.ext4", "-q", "/dev/tank/data"], check=True, capture_output=True)
    os.makedirs("/run/here", exist_ok=True)
    subprocess.run(["mount", "/dev/tank/data", "/run/here"], check=True)
    for words in (["lvremove", "-y", "tank/data"], ["vgchange", "-an", "tank"], ["pvcreate", tank]):
        both(*words)
    subprocess.run(["umount", "/run/here"], check=True)


def test_without_a_device_mapper(tank: str) -> None:
    for words in (["lvcreate", "-L8m", "tank"], ["lvchange", "-ay", "tank/data"], ["vgchange", "-an", "tank"]):
        both(*words, "--driverloaded", "n")
    vmgr("lvcreate", "--test", "-an", "-L8m", "tank", "--driverloaded", "n")


def test_a_plan_that_is_printed_is_carried_out_and_begins_with_a_summary(tank: str) -> None:
    before = Path(tank).read_bytes()[: 1 << 20]
    words = ["-L8m", "-n", "more", "tank"]
    done = vmgr("lvcreate", "--test", *words)
    summary = done.stdout.splitlines()[0].strip()
    assert summary.startswith(
        "Plan for volume group tank: volume group tank changed, logical volume tank/more created"
    )
    assert " (seqno 2 to 3), in " in summary
    assert Path(tank).read_bytes()[: 1 << 20] == before
    assert list(kernel_tables()) == ["tank-data"]
    vmgr("lvcreate", *words)
