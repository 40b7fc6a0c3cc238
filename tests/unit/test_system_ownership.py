"""Files of ours where others can write: no link is followed, nothing that is somebody else's is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmgr.core.errors import NotPermitted, Refused
from vmgr.system.archive import Archives
from vmgr.system.locks import Locks
from vmgr.system.ownership import changeable_by_others, open_own, open_unlinked, require_own_directory

ME = (os.geteuid(),)
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="expected: only root can make files of another user")


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A directory like /tmp."""
    place = tmp_path / "public"
    place.mkdir()
    place.chmod(0o1777)
    return place


def test_a_private_directory_is_nobody_elses(tmp_path: Path) -> None:
    """Also below /tmp, which is sticky; and so is what is not there yet."""
    assert changeable_by_others(str(tmp_path), ME) == ""
    assert changeable_by_others(str(tmp_path / "absent" / "file"), ME) == ""


def test_a_sticky_directory_guards_what_is_in_it_and_not_itself(public: Path) -> None:
    own = public / "own"
    own.mkdir(0o700)
    assert changeable_by_others(str(own), ME) == ""
    assert changeable_by_others(str(public), ME) == f"everybody can write to {public}"


def test_each_directory_on_the_way_counts(tmp_path: Path) -> None:
    deep = tmp_path / "open" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    assert changeable_by_others(str(deep), ME) == f"everybody can write to {tmp_path / 'open'}"
    (tmp_path / "link").symlink_to(deep)
    assert changeable_by_others(str(tmp_path / "link"), ME) == f"everybody can write to {tmp_path / 'open'}"


@as_root
def test_another_users_and_a_groups_places_are_named(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, 0)
    assert changeable_by_others(str(tmp_path), (0,)) == f"{tmp_path} belongs to user nobody"
    os.chown(tmp_path, 0, NOBODY)
    tmp_path.chmod(0o775)
    assert changeable_by_others(str(tmp_path), (0,)) == f"group nogroup can write to {tmp_path}"


def test_no_planted_link_is_followed_by_a_lock(public: Path) -> None:
    """What it leads to stays as it is."""
    victim = public.parent / "victim"
    victim.write_text("precious")
    (public / "P_global").symlink_to(victim)
    with pytest.raises(NotPermitted, match=r"P_global: it is a link, in a directory that others can write to"):
        Locks(str(public), write_priority=False).all_groups()
    assert victim.read_text() == "precious"


def test_no_pipe_hard_link_or_device_is_taken_for_a_lock(public: Path) -> None:
    flags = os.O_CREAT | os.O_RDWR
    os.mkfifo(public / "pipe")
    with pytest.raises(NotPermitted, match="it is not a plain file"):
        open_own(str(public / "pipe"), flags)
    (public / "one").write_text("x")
    os.link(public / "one", public / "two")
    with pytest.raises(NotPermitted, match="another name"):
        open_own(str(public / "two"), flags | os.O_TRUNC)
    assert (public / "one").read_text() == "x"


@as_root
def test_another_users_file_is_not_taken_for_a_lock(public: Path) -> None:
    (public / "V_vg").write_text("")
    os.chown(public / "V_vg", NOBODY, NOBODY)
    with pytest.raises(NotPermitted, match="V_vg: it belongs to user nobody"):
        open_own(str(public / "V_vg"), os.O_RDWR)


def test_a_lock_directory_that_is_a_planted_link_is_refused(public: Path) -> None:
    elsewhere = public.parent / "elsewhere"
    elsewhere.mkdir()
    (public / "lvm").symlink_to(elsewhere)
    with pytest.raises(NotPermitted, match="lvm: it is a link"):
        Locks(str(public / "lvm")).all_groups()
    assert not list(elsewhere.iterdir())


@as_root
def test_a_directory_of_another_user_is_refused(public: Path) -> None:
    (public / "lvm").mkdir()
    os.chown(public / "lvm", NOBODY, NOBODY)
    with pytest.raises(NotPermitted, match="belongs to user nobody"):
        require_own_directory(str(public / "lvm"))


def test_archives_and_backups_follow_no_planted_directory(public: Path) -> None:
    (public / "backup").symlink_to(public.parent)
    archives = Archives(str(public / "backup"), str(public / "backup"))
    with pytest.raises(NotPermitted, match="it is a link"):
        archives.write_backup("vg", b"text")
    with pytest.raises(NotPermitted, match="it is a link"):
        archives.write_archive("vg", b"text", now=0)
    assert not (public.parent / "vg").exists()


def test_no_backup_is_read_through_a_planted_link(public: Path, tmp_path: Path) -> None:
    """Where nobody else can write a link is the user's own."""
    secret = tmp_path / "secret"
    secret.write_text("text")
    (public / "backup").symlink_to(secret)
    with pytest.raises(NotPermitted, match="it is a link, in a directory that others can write to"):
        Archives("", "").read(str(public / "backup"))
    (tmp_path / "own").symlink_to(secret)
    os.close(open_unlinked(str(tmp_path / "own")))


def test_a_backup_goes_into_a_pipe_and_replaces_none(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    Archives("", "").write_file(str(pipe), b"text")
    assert os.read(reader, 100) == b"text"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_backup_goes_to_the_null_device_and_leaves_it_there() -> None:
    before = os.stat(os.devnull)
    Archives("", "").write_file(os.devnull, b"text")
    assert os.stat(os.devnull).st_ino == before.st_ino


def test_a_backup_replaces_no_directory(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="it is a directory"):
        Archives("", "").write_file(str(tmp_path), b"text")


@as_root
def test_a_backup_replaces_no_block_device(tmp_path: Path) -> None:
    node = tmp_path / "disk"
    os.mknod(node, 0o60600, os.makedev(7, 0))
    with pytest.raises(Refused, match="it is a block device"):
        Archives("", "").write_file(str(node), b"text")
    assert node.is_block_device()
