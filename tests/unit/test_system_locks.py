"""Lock files: who excludes whom, what is left behind, and what a refusal says."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import threading

import pytest

from vmgr.core.errors import Interrupted, LockFailed, NotPermitted, Refused
from vmgr.system import locks as module
from vmgr.system.config import Config, parse
from vmgr.system.locks import Locks
from vmgr.system.rundir import StaleHints, forget_online


@pytest.fixture
def make(tmp_path):
    """Locks in one directory, each as of a command of its own, that do not wait."""
    made = []

    def one(**options) -> Locks:
        made.append(Locks(str(tmp_path / "lock"), **({"wait": False} | options)))
        return made[-1]

    one.dir = tmp_path / "lock"
    yield one
    for locks in made:
        locks.release_all()


def test_readers_share_and_writers_exclude(make):
    """Two shared locks at once; nothing beside an exclusive one."""
    with make().group("vg"), make().group("vg"), pytest.raises(LockFailed):
        make().group("vg", exclusive=True)
    with make().group("vg", exclusive=True):
        for exclusive in (True, False):
            with pytest.raises(LockFailed):
                make().group("vg", exclusive=exclusive)


def test_groups_do_not_exclude_each_other(make):
    """One lock per group, and one for all of them."""
    with make().group("a", exclusive=True), make().group("b", exclusive=True), make().all_groups(exclusive=True):
        assert sorted(os.listdir(make.dir)) == ["P_global", "V_a", "V_b"]


def test_lock_files_go_when_nobody_needs_them(make):
    """The last holder removes the file; an earlier one leaves it."""
    one, two = make().group("vg"), make().group("vg")
    one.release()
    assert os.listdir(make.dir) == ["V_vg"]
    two.release()
    assert os.listdir(make.dir) == []


def test_the_refusal_says_who_has_the_lock(make):
    """A person wants to know which command to wait for."""
    with make().group("vg", exclusive=True), pytest.raises(LockFailed) as caught:
        make().group("vg")
    assert f"process {os.getpid()} (" in caught.value.message
    assert "wait_for_locks" in caught.value.hint


def test_one_command_may_take_a_lock_twice(make):
    """The lock is held until it has been released as often as it was taken."""
    locks = make()
    with locks.group("vg", exclusive=True):
        with locks.group("vg"):
            pass
        with pytest.raises(LockFailed):
            make().group("vg")
    make().group("vg").release()


def test_the_global_lock_becomes_exclusive_when_asked_for(make):
    """Shared first, exclusive later, as pvchange does; a group's lock cannot."""
    locks = make()
    with locks.all_groups():
        make().all_groups().release()
        with locks.all_groups(exclusive=True), pytest.raises(LockFailed):
            make().all_groups()
    with locks.group("vg"), pytest.raises(LockFailed):
        locks.group("vg", exclusive=True)


def test_holds_tells_what_is_held(make):
    """The committer asks before it writes."""
    locks = make()
    assert not locks.holds("vg")
    with locks.group("vg"):
        assert locks.holds("vg")
        assert not locks.holds("vg", exclusive=True)
    with locks.all_groups(exclusive=True):
        assert locks.holds(None, exclusive=True)


@pytest.mark.parametrize("priority", [True, False])
def test_a_waiting_writer_is_not_overtaken_by_readers(make, priority):
    """With write priority a new reader queues behind a writer that waits; without it the reader gets in."""
    reader = make(write_priority=priority).group("vg")
    waits = threading.Event()
    writer = make(write_priority=priority, wait=True, on_wait=lambda *_: waits.set(), soon=0)
    thread = threading.Thread(target=lambda: writer.group("vg", exclusive=True).release())
    thread.start()
    assert waits.wait(10)
    late = make(write_priority=priority)
    if priority:
        with pytest.raises(LockFailed):
            late.group("vg")
    else:
        late.group("vg").release()
    reader.release()
    thread.join(10)
    assert not thread.is_alive()


def test_a_lock_file_that_is_removed_while_one_waits_is_taken_anew(make):
    """A lock on a file that is not there any more protects nothing."""
    first = make().group("vg", exclusive=True)
    waits = threading.Event()
    got = []
    second = make(wait=True, on_wait=lambda *_: waits.set(), soon=0)
    thread = threading.Thread(target=lambda: got.append(second.group("vg", exclusive=True)))
    thread.start()
    assert waits.wait(10)
    first.release()  # removes the file, or leaves it to the one who waits
    thread.join(10)
    with pytest.raises(LockFailed):
        make().group("vg")
    assert os.fstat(got[0].fd).st_ino == os.stat(make.dir / "V_vg").st_ino


def test_an_interrupt_ends_the_waiting(make):
    """Ctrl-C while waiting: nothing is held, and the error says what happened."""
    with make().group("vg", exclusive=True):
        main = threading.get_native_id()

        def interrupt() -> None:
            while not _in_flock(main):
                pass
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        locks = make(wait=True, on_wait=lambda *_: interrupt(), soon=0)
        with pytest.raises(Interrupted, match="giving up"):
            locks.group("vg")
        assert not locks.holds("vg")
    assert os.listdir(make.dir) == []


def _in_flock(thread: int) -> bool:
    """Whether the thread sleeps in ``flock(2)``: call 73 on x86-64, 32 on arm64."""
    with open(f"/proc/self/task/{thread}/syscall") as file:
        return file.read().startswith(("73 ", "32 "))


def test_without_locking_no_file_is_touched(make):
    """--nolocking."""
    with make(mode=module.NO_LOCKING).group("vg", exclusive=True), make(mode=module.NO_LOCKING).all_groups():
        assert not make.dir.exists()


def test_read_only_grants_reading_without_a_file_and_refuses_writing(make):
    """--readonly."""
    locks = make(mode=module.READ_ONLY)
    with locks.group("vg"), locks.all_groups():
        assert not make.dir.exists()
    with pytest.raises(Refused, match="--readonly"):
        locks.group("other", exclusive=True)


def test_metadata_read_only_takes_real_read_locks_and_refuses_writing(make):
    """global/metadata_read_only."""
    locks = make(metadata_read_only=True)
    with locks.group("vg"):
        assert os.listdir(make.dir) == ["V_vg"]
    with pytest.raises(Refused, match="metadata_read_only"):
        locks.group("vg", exclusive=True)
    with pytest.raises(Refused, match="metadata_read_only"):
        locks.all_groups(exclusive=True)
    with locks.group("vg", exclusive=True, activating=True):
        assert os.listdir(make.dir) == ["V_vg"]


def test_read_only_refuses_activation_too(make):
    with pytest.raises(Refused, match="--readonly"):
        make(mode=module.READ_ONLY).group("vg", exclusive=True, activating=True)


def test_an_unusable_directory_is_an_error_unless_ignored(tmp_path):
    """With --ignorelockingfailure and --sysinit reading and activation go on; changing does not."""
    (tmp_path / "file").write_text("")
    bad = str(tmp_path / "file" / "lock")
    with pytest.raises((LockFailed, NotPermitted)):
        Locks(bad).group("vg")
    relaxed = Locks(bad, mode=module.IGNORE_FAILURE)
    relaxed.group("a").release()
    relaxed.group("a", exclusive=True, activating=True).release()
    with pytest.raises((LockFailed, NotPermitted)):
        relaxed.group("a", exclusive=True)


@pytest.mark.parametrize("name", ["", "a/b", "..", "."])
def test_names_that_are_no_file_names_are_refused(make, name):
    """A lock file never lies outside of the directory."""
    with pytest.raises(LockFailed):
        make().group(name)


def test_settings_come_from_lvm_conf(tmp_path):
    """Directory, waiting, priority and read-only."""
    text = f'global {{ locking_dir="{tmp_path}" wait_for_locks=0 prioritise_write_locks=0 metadata_read_only=1 }}'
    locks = Locks.from_config(Config([parse(text, "test")]))
    assert (locks.directory, locks.wait, locks.write_priority, locks.metadata_read_only) == (
        str(tmp_path), False, False, True,
    )  # fmt: skip


def test_locks_are_not_inherited_by_programs_that_are_started(make):
    """A file system checker that runs on must not keep the lock."""
    with make().group("vg") as held:
        assert fcntl.fcntl(held.fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


# -- LVM2's hints ---------------------------------------------------------------------------------


@pytest.fixture
def hints(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hints").write_text("scan:/dev/sda\n")
    return StaleHints(str(tmp_path / "run"))


def test_the_exclusive_global_lock_empties_the_hints_of_lvm2(make, hints, tmp_path):
    """As LVM2's own commands do before they change which PVs there are, and with the hints locked meanwhile."""
    run = tmp_path / "run"
    locks = make(hints=hints)
    with locks.all_groups(), locks.group("vg", exclusive=True):
        assert (run / "hints").read_text() == "scan:/dev/sda\n"
        with locks.all_groups(exclusive=True):
            assert (run / "hints").read_text().startswith("# Created empty by vmgr")
            assert sorted(os.listdir(run)) == ["hints", "newhints"]
            with open(run / "hints") as file, pytest.raises(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    with open(run / "hints") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_without_lvm2s_directory_there_are_no_hints_to_empty(make, tmp_path):
    """A machine without LVM2 gets no files of it."""
    with make(hints=StaleHints(str(tmp_path / "none"))).all_groups(exclusive=True):
        assert not (tmp_path / "none").exists()


def test_a_deactivated_group_may_be_activated_by_itself_again(tmp_path):
    """The file that says "done already" goes; a missing one is fine."""
    (tmp_path / "vgs_online").mkdir()
    (tmp_path / "vgs_online" / "vg").write_text("")
    forget_online("vg", str(tmp_path))
    forget_online("vg", str(tmp_path))
    assert os.listdir(tmp_path / "vgs_online") == []


# -- waiting and doing without --------------------------------------------------------------------


def test_a_lock_that_is_waited_for_is_told_with_its_holder(make):
    with make().group("vg", exclusive=True):
        told: list[tuple[str, str]] = []
        said = threading.Event()

        def tell(path: str, holder: str) -> None:
            told.append((path, holder))
            said.set()

        waiting = make(wait=True, on_wait=tell, soon=0.01)
        thread = threading.Thread(target=lambda: waiting.group("vg").release())
        thread.start()
        assert said.wait(10)
    thread.join(10)
    ((path, holder),) = told
    assert path.endswith("V_vg")
    assert str(os.getpid()) in holder


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_readers_do_without_a_lock_where_no_file_can_be_made_and_say_so_once(make, monkeypatch, number):
    """A full or read-only file system keeps nobody from looking, and everybody from changing."""
    said: list[str] = []
    locks = make(on_none=said.append)
    real = os.open

    def full(path, *rest, **options):
        if str(path).startswith(str(make.dir) + "/"):
            raise OSError(number, os.strerror(number))
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", full)
    with locks.all_groups(), locks.group("vg"):
        (why,) = said
        assert os.strerror(number) in why
        assert "without a lock" in why
        with pytest.raises(LockFailed, match="cannot open lock file"):
            locks.all_groups(exclusive=True)
        with pytest.raises(LockFailed):
            locks.group("other", exclusive=True)


def test_readers_do_without_a_lock_where_the_directory_cannot_be_made(make, monkeypatch):
    said: list[str] = []

    def read_only(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "makedirs", read_only)
    with make(on_none=said.append).group("vg"):
        assert len(said) == 1
    with pytest.raises(LockFailed):
        make(on_none=said.append).group("vg", exclusive=True)
