"""Backups and archives: names, order, age, and what a failure leaves behind."""

from __future__ import annotations

import errno
import os
import re
import stat

import pytest

from vmgr.core.errors import NotFound, NotPermitted, VmgrError
from vmgr.system.archive import OTHER_DIRECTORY, OTHER_FILE, Archives
from vmgr.system.config import load

NOW = 1_700_000_000.0
DAY = 86400


@pytest.fixture
def archives(tmp_path):
    return Archives(str(tmp_path / "archive"), str(tmp_path / "backup"))


def age(path: str, days: float) -> None:
    os.utime(path, (NOW - days * DAY,) * 2)


def test_archives_are_numbered_upwards(archives):
    """GROUP_NNNNN-RANDOM.vg, each number once."""
    paths = [archives.write_archive("vg", b"%d" % n, now=NOW) for n in range(3)]
    assert [re.sub(r"-\d+\.vg$", "", os.path.basename(p)) for p in paths] == ["vg_00000", "vg_00001", "vg_00002"]
    assert [archives.read(file.path) for file in archives.list("vg")] == [b"0", b"1", b"2"]


def test_numbers_go_on_after_99999(archives):
    """The order is that of numbers, not of names."""
    os.makedirs(archives.archive_dir)
    for name in ("vg_99999-1.vg", "vg_100000-1.vg", "vg_00007-1.vg"):
        with open(f"{archives.archive_dir}/{name}", "w"):
            pass
    assert [file.index for file in archives.list("vg")] == [7, 99999, 100000]
    assert "vg_100001-" in archives.write_archive("vg", b"x", now=NOW)


def test_groups_with_names_alike_are_kept_apart(archives):
    """An underscore belongs to the group's name up to the last one."""
    archives.write_archive("vg", b"1", now=NOW)
    archives.write_archive("vg_00000-5", b"2", now=NOW)
    archives.write_archive("vg_a", b"3", now=NOW)
    assert [len(archives.list(name)) for name in ("vg", "vg_00000-5", "vg_a", "v")] == [1, 1, 1, 0]


@pytest.mark.parametrize(("count", "old", "left"), [(10, 10, 10), (15, 15, 10), (15, 3, 12), (15, 0, 15)])
def test_old_archives_go_when_there_are_enough(archives, count, old, left):
    """Older than 30 days and more than 10 of them: the oldest numbers go first."""
    for n in range(count - 1):
        path = archives.write_archive("vg", b"%d" % n, now=NOW - 40 * DAY)
        age(path, 31 if n < old else 29)
    archives.write_archive("vg", b"new", now=NOW)
    files = archives.list("vg")
    assert len(files) == left
    assert archives.read(files[-1].path) == b"new"


def test_permissions_follow_the_umask(archives):
    """Metadata is nobody else's: files 0600, directories 0700."""
    path = archives.write_archive("vg", b"x", now=NOW)
    backup = archives.write_backup("vg", b"x")
    places = (path, backup, os.path.dirname(path), os.path.dirname(backup))
    modes = [stat.S_IMODE(os.stat(place).st_mode) for place in places]
    assert modes == [0o600, 0o600, 0o700, 0o700]


def test_a_backup_replaces_the_one_before(archives):
    """One file for each group, with the newest text."""
    archives.write_backup("vg", b"1")
    archives.write_backup("vg", b"2")
    assert os.listdir(archives.backup_dir) == ["vg"]
    assert archives.read(archives.backup_path("vg")) == b"2"


def test_removing_a_backup_leaves_the_archives(archives):
    """A removed group can be brought back from its archive."""
    archives.write_archive("vg", b"1", now=NOW)
    archives.write_backup("vg", b"1")
    archives.remove_backup("vg")
    archives.remove_backup("vg")
    assert os.listdir(archives.backup_dir) == []
    assert len(archives.list("vg")) == 1


def test_switched_off_nothing_is_written(tmp_path):
    """archive=0, backup=0, -An, and LVM_SYSTEM_DIR="" leave no file."""
    env = {"LVM_SYSTEM_DIR": str(tmp_path)}
    for off in (
        Archives.from_config(load(["backup/backup=0 backup/archive=0"], environ=env)),
        Archives.from_config(load(environ=env), autobackup=False),
        Archives.from_config(load(environ={"LVM_SYSTEM_DIR": ""})),
    ):
        assert off.write_archive("vg", b"x", now=NOW) == ""
        assert off.write_backup("vg", b"x") == ""
        off.remove_backup("vg")
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_old_files_and_no_others(archives, monkeypatch):
    """A full disk: an error with the directory's name, the old backup in place, no temporary file."""
    archives.write_backup("vg", b"old")
    archives.write_archive("vg", b"old", now=NOW)

    def full(*_: object) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "write", full)
    for write in (
        lambda: archives.write_backup("vg", b"new"),
        lambda: archives.write_archive("vg", b"new", now=NOW),
    ):
        with pytest.raises(VmgrError, match="No space left on device") as caught:
            write()
        assert "-An" in caught.value.hint
    monkeypatch.undo()
    assert os.listdir(archives.backup_dir) == ["vg"]
    assert archives.read(archives.backup_path("vg")) == b"old"
    assert [archives.read(file.path) for file in archives.list("vg")] == [b"old"]
    assert len(os.listdir(archives.archive_dir)) == 1


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        (errno.ENOSPC, "free some space or"),
        (errno.EDQUOT, "free some space or"),
        (errno.EROFS, "mount its file system for writing (remount,rw) or"),
        (errno.EPERM, "let files be made there (lsattr -d shows what keeps them out) or"),
        (errno.EACCES, ""),
        (errno.EIO, ""),
    ],
)
def test_what_keeps_a_file_from_being_written_has_the_cure_that_helps(tmp_path, monkeypatch, reason, cure):
    """Space for lack of space, and -An only where something goes on without a backup."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("vmgr.system.ownership.require_own_directory", lambda _: None)  # not root's for others

    def fails(*_: object) -> int:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "open", fails)
    folder = str(tmp_path)
    hints = []
    for write in (
        lambda: Archives(folder, folder).write_archive("vg", b"x", now=NOW),
        lambda: Archives(folder, folder, otherwise=OTHER_DIRECTORY).write_backup("vg", b"x"),
        lambda: Archives(folder, folder).write_file(f"{folder}/mine", b"x", otherwise=OTHER_FILE),
        lambda: Archives(folder, folder).write_file(f"{folder}/system.devices", b"x"),
    ):
        with pytest.raises(VmgrError, match=re.escape(os.strerror(reason))) as caught:
            write()
        hints.append(caught.value.hint)
    assert all(hint.startswith(cure) for hint in hints[:3])
    assert ["-An" in hint for hint in hints] == [True, False, False, False]
    assert "lvm.conf" in hints[1]
    assert hints[1].endswith("vgcfgbackup --file FILE writes elsewhere")
    assert hints[2].endswith("name another file")
    assert hints[3] == cure.removesuffix(" or")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if reason in (errno.EPERM, errno.EACCES):
        with pytest.raises(NotPermitted) as caught:
            Archives(folder, folder).write_archive("vg", b"x", now=NOW)
        assert caught.value.hint == "run the command as root"


def test_a_text_is_whole_before_it_has_its_name(archives, monkeypatch):
    """The file is flushed before it is renamed, and the directory after it."""
    order = []
    for name in ("fsync", "rename", "link"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, name=name, real=real: (order.append(name), real(*a))[1])
    archives.write_backup("vg", b"x")
    assert order == ["fsync", "rename", "fsync"]
    order.clear()
    archives.write_archive("vg", b"x", now=NOW)
    assert order == ["fsync", "link", "fsync"]


def test_a_file_that_is_not_there(archives):
    """Restoring from nothing says where nothing was."""
    with pytest.raises(NotFound, match="no backup file"):
        archives.read(archives.backup_path("vg"))
    assert archives.list("vg") == []


def test_a_backup_tells_whose_it_is(archives):
    text = b'# a comment\ncontents = "Text Format Volume Group"\n\nold {\n\tid = "%s"\n\tseqno = 3\n}\n'
    assert archives.owner("old") == archives.owner("old", archived=True) == ""
    archives.write_archive("old", text % b"first-", now=1)
    archives.write_archive("old", text % b"aB-c0", now=2)
    assert archives.owner("old") == ""
    assert archives.owner("old", archived=True) == "aB-c0", "the last one counts"
    archives.write_backup("old", text % b"xy-z")
    assert archives.owner("old") == "xy-z"
    archives.write_backup("new", text % b"xy-z")
    assert archives.owner("new") == "", "a text of another name"
    for name in ("", "../backup/old", "."):
        assert archives.owner(name) == ""
