"""What file systems say of themselves, read from images that their own programs made; and the order of steps."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmgr.contents import superblocks
from vmgr.contents.job import Job, Task
from vmgr.contents.superblocks import read_superblock
from vmgr.contents.tools import need, path_of, run
from vmgr.core.errors import NotFound, VmgrError
from vmgr.core.units import Bytes
from vmgr.dm.programs import environment, find_program

MIB = 1 << 20

IMAGES = {
    "ext2": (40, ("mkfs.ext2", "-q", "-F", "-L", "home")),
    "ext4": (40, ("mkfs.ext4", "-q", "-F", "-L", "home", "-O", "64bit")),
    "xfs": (320, ("mkfs.xfs", "-q", "-L", "home")),
    "btrfs": (130, ("mkfs.btrfs", "-q", "-L", "home")),
    "swap": (40, ("mkswap", "-L", "home")),
}
"""For each kind: the size of its image in MiB, and what makes it."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, made = tmp_path_factory.mktemp("images"), {}
    for kind, (size, (program, *options)) in IMAGES.items():
        path = find_program(program)
        assert path is not None, f"{program} is missing; tools/setup test installs what the tests need"
        made[kind] = folder / kind
        with open(made[kind], "wb") as file:
            file.truncate(size * MIB)
        subprocess.run([path, *options, made[kind]], check=True, capture_output=True, env=environment())
    return made


@pytest.mark.parametrize("kind", IMAGES)
def test_a_file_system_s_size_is_that_of_the_device_it_was_made_on(images: dict[str, Path], kind: str) -> None:
    found = read_superblock(str(images[kind]), kind)
    assert found.size == IMAGES[kind][0] * MIB
    assert found.used < found.size
    assert found.label == "home"
    assert len(found.uuid) == 36
    assert found.number == (1 if kind == "btrfs" else 0)


def test_an_ext_file_system_without_64_bit_numbers_has_a_largest_size(images: dict[str, Path]) -> None:
    assert read_superblock(str(images["ext4"]), "ext4").largest is None
    assert read_superblock(str(images["ext2"]), "ext2").largest == ((1 << 32) - 1) * 1024


def test_what_is_used_grows_with_what_is_written(images: dict[str, Path], tmp_path: Path) -> None:
    """debugfs puts a file in, without a mount."""
    image, data = tmp_path / "image", tmp_path / "data"
    shutil.copy(images["ext4"], image)
    data.write_bytes(b"x" * (8 * MIB))
    before = read_superblock(str(image), "ext4").used
    debugfs = find_program("debugfs")
    assert debugfs is not None
    subprocess.run([debugfs, "-w", "-R", f"write {data} data", image], check=True, capture_output=True)
    assert read_superblock(str(image), "ext4").used - before >= 8 * MIB


def test_quotas_of_an_xfs_become_the_options_that_keep_them() -> None:
    data = bytearray(512)
    data[:4] = b"XFSB"
    data[176:178] = (0x0001 | 0x0002 | 0x0008).to_bytes(2, "big")
    found = superblocks.xfs(bytes(data))
    assert found is not None
    assert found.quota == "uquota,pqnoenforce"


@pytest.mark.parametrize("kind", IMAGES)
@settings(max_examples=60)
@given(data=st.data())
def test_damaged_superblocks_are_read_or_refused_and_nothing_else(
    images: dict[str, Path], kind: str, data: st.DataObject
) -> None:
    with images[kind].open("rb") as file:
        raw = bytearray(file.read(128 << 10))
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.sampled_from((0, 1024, 4086, 65536))) + data.draw(st.integers(0, 400))
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.sampled_from((len(raw), 70000, 1100, 3, 0)))
    read = {"ext2": superblocks.ext, "ext4": superblocks.ext}.get(kind) or getattr(superblocks, kind)
    found = read(bytes(raw[:cut]))
    assert found is None or found.size >= 0


# -- programs -------------------------------------------------------------------------------------


def test_programs_are_found_whatever_the_caller_s_path_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    for name in ("e2fsck", "resize2fs", "mkswap"):
        assert os.path.basename(path_of(name)) == name
        assert os.access(path_of(name), os.X_OK)


def test_a_program_that_is_missing_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vmgr.contents.tools.find_program", lambda name: None)
    with pytest.raises(NotFound, match="xfs_growfs is not installed") as raised:
        need("xfs_growfs")
    assert "apt-get install xfsprogs" in raised.value.hint


def test_a_program_that_fails_says_why_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(VmgrError, match="resize2fs failed with status 1") as raised:
        run("resize2fs", str(tmp_path / "nothing"))
    assert any("No such file" in line for line in raised.value.details)


def test_ctrl_c_waits_for_the_end_of_a_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program is in a process group of its own, so that the terminal's interrupt is not its."""
    import os
    import signal
    import threading

    mark = tmp_path / "done"
    monkeypatch.setattr("vmgr.contents.tools.path_of", lambda name: "/bin/sh")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            run("sh", "-c", f"sleep 1; echo yes > {mark}")
    finally:
        signal.signal(signal.SIGINT, before)
    assert mark.read_text() == "yes\n"


# -- steps ----------------------------------------------------------------------------------------


def test_what_was_changed_for_the_time_comes_back_last_first_though_a_step_fails() -> None:
    done: list[str] = []

    def fails() -> None:
        raise VmgrError("no")

    job = Job(
        Bytes(1),
        before=(
            Task("a", lambda: done.append("a"), lambda: done.append("undo a")),
            Task("b", lambda: done.append("b"), lambda: done.append("undo b")),
            Task("c", fails, lambda: done.append("undo c")),
        ),
    )
    said: list[str] = []
    with pytest.raises(VmgrError):
        job.run_before(said.append)
    job.close()
    job.close()
    assert done == ["a", "b", "undo b", "undo a"]
    assert said == ["a", "b", "c"]


def test_one_thing_that_cannot_be_put_back_does_not_keep_the_others() -> None:
    done: list[str] = []

    def fails() -> None:
        raise VmgrError("busy")

    job = Job(Bytes(1), (Task("a", lambda: None, lambda: done.append("a")), Task("b", lambda: None, fails)))
    job.run_before(lambda _: None)
    with pytest.raises(VmgrError, match="busy"):
        job.close()
    assert done == ["a"]
