"""What a killed resize left away: noted before it goes, found by the next command, forgotten once it is back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from attrs import evolve

from vmgr.contents.job import Job, Task
from vmgr.core.units import Bytes
from vmgr.system import putback
from vmgr.system.putback import Note, PutBack, left_away

VOLUME = f"LVM-{'g' * 32}{'v' * 32}"
AWAY = PutBack("/dev/vda", (254, 3), "/mnt/my data", "ext4", "rw,noatime")


@pytest.fixture(autouse=True)
def _one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is one block device."""
    monkeypatch.setattr(putback, "device_number", {"/dev/vda": (254, 3)}.get)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "run")


def found(folder: str, group: str = "g" * 32) -> list[PutBack]:
    return list(left_away(f"LVM-{group}", folder))


def test_what_is_away_is_found_for_its_group_alone_and_named_with_a_command_that_can_be_typed(folder):
    Note(VOLUME, folder).write(AWAY)
    assert found(folder, "h" * 32) == []
    assert found(folder) == [AWAY]
    by_hand = "mount -t ext4 -o rw,noatime /dev/vda '/mnt/my data'"
    assert str(AWAY).endswith(f"unmounted from /mnt/my data; mount it again: {by_hand}")
    swap = PutBack("/dev/vda", (254, 3), priority=7)
    Note(VOLUME, folder).write(swap)
    assert found(folder) == [swap]
    assert str(swap).endswith("swapped off; use it again: swapon -p 7 /dev/vda")
    assert evolve(swap, priority=-2).command == ("swapon", "/dev/vda")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": "/dev/vda"}', '{"path": 1, "number": 2}'])
def test_a_note_that_cannot_be_read_is_dropped(folder, text):
    Note(VOLUME, folder).write(AWAY)
    (file,) = Path(folder).iterdir()
    file.write_text(text)
    assert found(folder) == []
    assert os.listdir(folder) == []


def test_a_note_of_a_device_that_is_gone_or_is_another_now_is_dropped(folder):
    for other in (evolve(AWAY, number=(254, 4)), evolve(AWAY, path="/dev/nosuch")):
        Note(VOLUME, folder).write(other)
        assert found(folder) == []
        assert os.listdir(folder) == []


def test_what_is_mounted_again_by_whomever_is_not_put_back(folder, monkeypatch):
    mounted = next(iter(putback.mount_table()))._replace(number=(254, 3), place="/srv")
    Note(VOLUME, folder).write(AWAY)
    monkeypatch.setattr(putback, "mount_table", lambda: [mounted])
    assert not AWAY.needed
    assert found(folder) == []


def test_nobody_else_can_read_or_make_a_note(folder):
    Note(VOLUME, folder).write(AWAY)
    assert os.stat(folder).st_mode & 0o077 == 0
    (file,) = Path(folder).iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_where_nothing_can_be_noted_the_resize_goes_on(tmp_path):
    (tmp_path / "file").write_text("")
    Note(VOLUME, str(tmp_path / "file")).write(AWAY)
    assert Note(VOLUME, str(tmp_path / "file")).read() is None


def test_it_is_noted_before_it_goes_and_put_back_though_an_interrupt_follows(folder, monkeypatch):
    """Ctrl-C waits for the program's end, and comes then."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr("vmgr.contents.tools.run", lambda *words: commands.append(words))

    def unmounts() -> None:
        assert found(folder) == [AWAY]
        raise KeyboardInterrupt

    job = Job(Bytes(0), (Task("umount it", unmounts, away=AWAY),))
    job.note = Note(VOLUME, folder)
    with pytest.raises(KeyboardInterrupt):
        job.run_before(lambda _: None)
    assert commands == []
    job.close()
    assert commands == [AWAY.command]
    assert os.listdir(folder) == []


def test_what_cannot_be_put_back_stays_noted(folder, monkeypatch):
    def fails(*_: str) -> None:
        raise RuntimeError("no such folder")

    monkeypatch.setattr("vmgr.contents.tools.run", fails)
    job = Job(Bytes(0), (Task("umount it", lambda: None, away=AWAY),))
    job.note = Note(VOLUME, folder)
    job.run_before(lambda _: None)
    with pytest.raises(RuntimeError):
        job.close()
    assert found(folder) == [AWAY]
