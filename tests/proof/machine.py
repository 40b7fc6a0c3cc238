"""The machine of the kill matrix: five small disks with a group of every kind of volume, laid anew in no time.

Inside the lab only. A reset writes back the disks that differ, takes every device away and lays the archive and
backup files as they were; then the group is activated or not. The states are compared as reports of both tools.
"""

from __future__ import annotations

import contextlib
import gc
import io
import mmap
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from fcntl import ioctl
from pathlib import Path

from attrs import frozen

from tests.support import lab
from vmgr.cli.main import main
from vmgr.lab.guest.mapper import Mapper

DISKS = 5
SIZE_MIB = 4
SETTINGS = Path("/etc/lvm")
KEPT = ("archive", "backup")
SCRIPT = "/run/lvm2-commands"
GROUPS = ("vg", "spare")
"""What the names of the groups on this bench begin with."""

_LVS = "lv_full_name,lv_attr,lv_size,segtype,origin,devices,lv_tags,lv_major,lv_minor"
_PVS = "pv_name,vg_name,pv_attr,pv_size,pv_free,pv_tags"
_VGS = "vg_name,vg_attr,vg_extent_size,vg_free_count,lv_count,snap_count,vg_tags"
_FORM = ("--noheadings", "--nosuffix", "--units", "s")

_TABLE_STATUS, _DEV_STATUS = 12, 7
_STATUS_TABLE = 1 << 4
_SUSPENDED, _ACTIVE, _INACTIVE = 1 << 1, 1 << 5, 1 << 6


@frozen
class Done:
    """A command that ended: its status (None: it did not, in the time that it had), output and errors."""

    status: int | None
    out: str
    err: str


@frozen
class Mapped:
    """A device of the kernel."""

    name: str
    uuid: str
    path: str
    suspended: bool
    waiting: bool
    """A table was loaded and is not live."""
    table: tuple[str, ...]
    """Its live table, device numbers replaced by names."""


def vmgr_program(words: Sequence[str]) -> Callable[[], None]:
    """A program that is vmgr with these words, for a fresh child of this process: it never comes back."""

    def program() -> None:
        sys.argv = ["vmgr", *words]
        main()

    return program


def run_program(program: Callable[[], object], seconds: float = 60) -> Done:
    """Run ``program`` in a child; one that takes longer than ``seconds`` is killed."""
    out, err = os.memfd_create("out"), os.memfd_create("err")
    pid = os.fork()
    if pid == 0:
        try:
            quiet(out, err)
            program()
        finally:
            os._exit(126)
    return _awaited(pid, out, err, seconds)


def quiet(out: int, err: int) -> None:
    """Give this process no input and these files for its output."""
    null = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((null, 0), (out, 1), (err, 2)):
        os.dup2(fd, number)


def lvm(*words: str, seconds: float = 60) -> Done:
    """Run LVM2, the one in ``LVM2`` or this system's; the only word may be the name of a file with commands."""
    try:
        done = subprocess.run(
            [os.environ.get("LVM2") or "lvm", *words],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Done(None, "", "")
    return Done(done.returncode, done.stdout, done.stderr)


def _awaited(pid: int, out: int, err: int, seconds: float) -> Done:
    watch = os.pidfd_open(pid)
    ready, _, _ = select.select([watch], [], [], seconds)
    os.close(watch)
    status: int | None = None
    if not ready:
        os.kill(pid, signal.SIGKILL)
        release_all()  # it may wait for a suspended device, and then not even die
        os.waitpid(pid, 0)
    else:
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    texts = []
    for fd in (out, err):
        os.lseek(fd, 0, os.SEEK_SET)
        with os.fdopen(fd, "rb") as file:
            texts.append(file.read().decode(errors="replace"))
    return Done(status, *texts)


def release_all() -> None:
    """Resume every suspended device, on its live table."""
    mapper = Mapper()
    for name in mapper.names():
        with contextlib.suppress(OSError):
            if mapper.is_suspended(name):
                mapper.wake(name)
    mapper.close()


def mapped() -> dict[str, Mapped]:
    """Every device that the kernel has, by name; does not wait for suspended ones."""
    mapper = Mapper()
    try:
        names = {}
        found: dict[str, tuple[str, str, int, list[str]]] = {}
        for raw in mapper.names():
            head = mapper._call(_DEV_STATUS, raw)
            (flags,) = struct.unpack_from("=I", head, 28)
            (number,) = struct.unpack_from("=Q", head, 40)
            uuid = head[176 : head.index(0, 176)].decode()
            names[f"{os.major(number)}:{os.minor(number)}"] = raw.decode()
            found[raw.decode()] = (uuid, f"/dev/dm-{os.minor(number)}", flags, _table(mapper, raw))
    finally:
        mapper.close()
    return {
        name: Mapped(
            name,
            uuid,
            path,
            bool(flags & _SUSPENDED),
            bool(flags & _INACTIVE),
            tuple(" ".join(names.get(word, word) for word in line.split()) for line in table),
        )
        for name, (uuid, path, flags, table) in found.items()
    }


def _table(mapper: Mapper, name: bytes) -> list[str]:
    buffer = bytearray(1 << 16)
    struct.pack_into(
        "=3I7IQ128s129s7x", buffer, 0, 4, 0, 0, len(buffer), 312, 0, 0, _STATUS_TABLE, 0, 0, 0, name, b""
    )
    ioctl(mapper.fd, (3 << 30) | (312 << 16) | (0xFD << 8) | _TABLE_STATUS, buffer)
    _size, start, count = struct.unpack_from("=3I", buffer, 12)
    lines, at = [], start
    for _ in range(count):
        sector, length, _status, following = struct.unpack_from("=QQiI", buffer, at)
        target = bytes(buffer[at + 24 : at + 40]).split(b"\0")[0].decode()
        text = bytes(buffer[at + 40 : buffer.index(0, at + 40)]).decode()
        lines.append(f"{sector} {length} {target} {text}")
        at = start + following
    return lines


class Bench:
    """The disks and what they held when the bench was made."""

    def __init__(self) -> None:
        self._loops = lab.Loops()
        self.disks = tuple(self._loops.make(SIZE_MIB) for _ in range(DISKS))
        self._buffer = mmap.mmap(-1, SIZE_MIB << 20)
        self._images: list[bytes] = []
        self._files: dict[Path, bytes] = {}

    def make(self, lines: Sequence[Sequence[str]]) -> None:
        """Lay the state that resets go back to, with LVM2's commands or, after a ``vmgr``, with ours."""
        for words in lines:
            done = self.vmgr(*words[1:]) if words[0] == "vmgr" else lvm(*words)
            if done.status != 0:
                raise RuntimeError(f"{' '.join(words)}: {done.status}\n{done.out}{done.err}")

    def keep(self) -> None:
        """What is there now is what resets go back to."""
        lab.remove_mapped(set())
        self._images = [self._read(path) for path in self.disks]
        self._files = {
            path: path.read_bytes() for kept in KEPT for path in (SETTINGS / kept).rglob("*") if path.is_file()
        }
        # What the children of this process share with it need not be copied for each of them.
        gc.collect()
        gc.freeze()

    def reset(self, active: bool) -> None:
        """Everything as it was kept, the volumes active or not."""
        release_all()
        failures = lab.remove_mapped(set())
        if failures:
            raise RuntimeError("\n".join(failures))
        for path, image in zip(self.disks, self._images, strict=True):
            if self._read(path) != image:
                fd = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC)
                self._buffer[:] = image
                os.pwrite(fd, self._buffer, 0)
                os.close(fd)
        for kept in KEPT:
            for path in (SETTINGS / kept).glob("*"):
                if path not in self._files:
                    path.unlink()
        for path, content in self._files.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)
        shutil.rmtree("/run/lvm", ignore_errors=True)
        if active:
            done = lvm("vgchange", "-ay", "vg")
            if done.status != 0:
                raise RuntimeError(f"the group cannot be activated: {done.err}")

    def close(self) -> None:
        """Take all of it away."""
        release_all()
        lab.remove_mapped(set())
        self._loops.remove_all()

    def vmgr(self, *words: str, seconds: float = 60) -> Done:
        """Run vmgr in a child."""
        return run_program(vmgr_program(words), seconds)

    def _read(self, path: str) -> bytes:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        try:
            os.preadv(fd, [self._buffer], 0)
            return bytes(self._buffer)
        finally:
            os.close(fd)


# -- states as reports ----------------------------------------------------------------------------


@frozen
class State:
    """What reports say: lines of volumes, PVs and groups, and warnings."""

    lvs: tuple[str, ...]
    pvs: tuple[str, ...]
    vgs: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def idle(self) -> State:
        """The same with nothing said about activity: that is the 5th and the 6th letter of a volume's state."""
        return State(tuple(map(_idle, self.lvs)), self.pvs, self.vgs)

    def same(self, other: State) -> bool:
        """Whether both say the same; warnings apart."""
        return (self.lvs, self.pvs, self.vgs) == (other.lvs, other.pvs, other.vgs)

    def differences(self, other: State) -> str:
        """What only one of them says, ``-`` this one and ``+`` the other."""
        found = []
        for mine, theirs in ((self.lvs, other.lvs), (self.pvs, other.pvs), (self.vgs, other.vgs)):
            found += [f"-{line}" for line in mine if line not in theirs]
            found += [f"+{line}" for line in theirs if line not in mine]
        return "; ".join(found)


def _idle(line: str) -> str:
    name, attr, *rest = line.split("|")
    return "|".join((name, attr[:4] + "??" + attr[6:], *rest))


def _sorted(text: str) -> tuple[str, ...]:
    return tuple(sorted(line.strip() for line in text.splitlines() if line.strip()))


def state_by_vmgr() -> State:
    """The reports of vmgr, made in this process."""
    texts, warnings = [], []
    for words in (("lvs", "-a", "-o", _LVS), ("pvs", "-o", _PVS), ("vgs", "-o", _VGS)):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main(["vmgr", words[0], *_FORM, "--separator", "|", *words[1:]])
        texts.append(_sorted(out.getvalue()))
        warnings += _sorted(err.getvalue())
    return State(*texts, warnings=tuple(warnings))


def state_by_lvm2(*more: str) -> tuple[State, dict[str, str]]:
    """The reports of LVM2, and the names of all volumes by the beginning of their device-mapper UUID.

    ``more`` are commands that it runs afterwards.
    """
    form = " ".join(_FORM)
    script = (
        f"lvs {form} -a --separator | -o {_LVS}",
        f"pvs {form} --separator ! -o {_PVS}",
        f"vgs {form} --separator ~ -o {_VGS}",
        f"lvs {form} -a --separator = -o vg_uuid,lv_uuid,lv_name",
        "vgck",
        *more,
    )
    Path(SCRIPT).write_text("\n".join(("#!lvm", *script)) + "\n")
    done = lvm(SCRIPT)
    if done.status is None or done.status < 0:
        return State((), (), (), (f"LVM2 ended with {done.status}",)), {}
    kinds = {mark: [line for line in done.out.splitlines() if mark in line] for mark in "|!~="}
    ids = {}
    for line in kinds["="]:
        group, volume, name = line.strip().split("=")
        ids["LVM-" + group.replace("-", "") + volume.replace("-", "")] = name
    texts = [_sorted("\n".join(kinds[mark]).replace(mark, "|")) for mark in "|!~"]
    # The state of a group has six letters in LVM2 2.03.16, seven in 2.03.40.
    texts[2] = tuple(f"{name}|{attr[:6]}|{rest}" for name, attr, rest in (x.split("|", 2) for x in texts[2]))
    return State(*texts, warnings=_sorted(done.err)), ids


def nodes() -> dict[str, str]:
    """What is below /dev that is named after a mapped device or a volume: a link's goal, a node's number."""
    found = {}
    for entry in os.scandir("/dev/mapper"):
        if entry.name != "control":
            found[entry.path] = str(os.stat(entry.path).st_rdev)
    for entry in os.scandir("/dev"):
        if entry.is_dir(follow_symlinks=False) and entry.name.startswith(GROUPS):
            found[entry.path] = "directory"
            for link in os.scandir(entry.path):
                found[link.path] = os.path.realpath(link.path)
    return found
