"""The power-cut matrix: every write of every commit, cut off, torn and reordered, read by vmgr and by LVM2.

``python -m tests.proof.powercut [--seconds N] [--part I/N]``; needs root and loop devices, or the lab. Prints JSON:
an object for each command, with the faults that were found.

The writes of a command are recorded from outside (:mod:`tests.proof.tracer`). After each of them the power fails.
What was flushed on a disk before is there; of what was written to it since, any part may be, in whole sectors.
Then both tools read the disks. Each shows the group as before the command or as after it, and both the same.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import mmap
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from tests.proof.tracer import file_of, memory_at, trace
from tests.support.lvm2 import Lvm2
from vmgr.cli.main import main as vmgr_main

SECTOR = 512
MIB = 1 << 20
DISKS = 4
RANDOM = 12
"""States with random sectors of the loose writes, after each write."""

_LVS = "vg_name,lv_name,lv_attr,lv_size,segtype,origin,devices,lv_tags"
_VGS = "vg_name,vg_attr,vg_extent_size,vg_free_count,pv_count,lv_count,vg_tags"
_PVS = "pv_name,vg_name,pv_size,pv_free,pv_tags"
_FORM = ("--noheadings", "--nosuffix", "--units", "s", "--separator", "|")

LAYOUTS: dict[str, tuple[str, ...]] = {
    "one area on each disk": (),
    "two areas on each disk": ("--pvmetadatacopies", "2"),
    "areas so small that each text wraps soon": ("--metadatasize", "32k", "--dataalignment", "64k"),
}
TAGS = tuple(f"{letter * 1000}" for letter in "pqrstuv")
"""Added to the group on small areas, LVM2's smallest: a text of 9 KiB wraps in the ring at every third command."""

SCRIPT = (
    "vgcreate -s 64k vg {a} {b}",
    "lvcreate -an -Zn -Wn -l8 -n lin vg",
    "lvcreate -an -Zn -Wn -i2 -I4k -l8 -n str vg",
    "lvcreate -an -s -l4 -n snap vg/lin",
    "vgextend vg {c}",
    "lvextend -l12 vg/lin",
    "lvreduce -y -l6 vg/str",
    "lvchange --addtag one vg/lin",
    "pvchange --addtag three {a}",
    "lvrename vg str other",
    "lvchange -pr vg/other",
    "vgchange --addtag two vg",
    "vgcfgrestore -y -f {saved} vg",
    "vgrename vg vgnew",
    "vgrename vgnew vg",
    "lvextend -l6 vg/snap",
    "lvremove -y vg/snap",
    "lvremove -y vg/other",
    "pvresize -y --setphysicalvolumesize 3m {c}",
    "vgreduce vg {c}",
    "pvremove {c}",
    "pvcreate {c}",
    "pvcreate {d}",
    "lvremove -y vg/lin",
    "vgremove vg",
    "pvremove {d}",
)
"""The commands, one after the other on the same disks."""


@frozen
class Write:
    """A write as it was recorded: the number of the disk, and ``data`` at byte ``offset``; None is a flush."""

    disk: int
    offset: int
    data: bytes | None


@frozen
class Shown:
    """What a tool says of the disks."""

    groups: tuple[str, ...]
    pvs: tuple[str, ...]


class Cutter:
    """Four disks, both tools looking at nothing else."""

    def __init__(self, directory: Path) -> None:
        self.lvm = Lvm2(directory / "lvm")
        self.files = [directory / f"disk{n}" for n in range(DISKS)]
        self.disks = [self.lvm.disk(path, 4 * MIB) for path in self.files]
        self.lvm.run("version")  # writes lvm.conf, with these disks in its filter
        self.env = {"LVM_SYSTEM_DIR": str(self.lvm.dir), "LVM_SUPPRESS_FD_WARNINGS": "1"}
        os.environ.update(self.env)
        self.maps = []
        for path in self.files:
            with open(path, "r+b") as file:
                self.maps.append(mmap.mmap(file.fileno(), 4 * MIB))
        self.saved = directory / "saved"
        self.script = directory / "script"
        self.crashes = 0

    def close(self) -> None:
        """Let go of the disks."""
        for each in self.maps:
            each.close()
        self.lvm.release()

    def images(self) -> list[bytes]:
        """What the disks hold."""
        return [bytes(each) for each in self.maps]

    def lay(self, images: Sequence[bytes]) -> None:
        """Make the disks hold this."""
        for each, image in zip(self.maps, images, strict=True):
            if each[:] != image:
                each[:] = image

    def record(self, words: Sequence[str]) -> tuple[int | None, list[Write], str]:
        """Run a vmgr command; its status, what it wrote to the disks, and what it said."""
        found: list[Write] = []

        def see(pid: int, call: str, arguments: list[int]) -> None:
            path = file_of(pid, arguments[0])
            if path in self.disks:
                found.extend(_writes(pid, call, arguments, self.disks.index(path)))

        out = os.memfd_create("out")

        def program() -> None:
            for number in (1, 2):
                os.dup2(out, number)
            sys.argv = ["vmgr", words[0], "--driverloaded", "n", *words[1:]]
            vmgr_main()

        done = trace(program, seconds=120, see=see)
        os.lseek(out, 0, os.SEEK_SET)
        with os.fdopen(out, "rb") as file:
            said = file.read().decode(errors="replace")
        return done.status, found, said

    def by_vmgr(self) -> Shown:
        """What vmgr says, in this process."""
        texts = []
        for words in (("vgs", "-o", _VGS), ("lvs", "-a", "-o", _LVS), ("pvs", "-o", _PVS)):
            out = io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
                vmgr_main(["vmgr", words[0], "--driverloaded", "n", *_FORM, *words[1:]])
            texts.append(_lines(out.getvalue()))
        return Shown((*texts[0], *texts[1]), texts[2])

    def by_lvm2(self, program: str) -> Shown | None:
        """What LVM2 says; None where it crashed."""
        form = " ".join(_FORM[:4])
        script = "".join(
            f"{name} --driverloaded n {form} --separator {mark} {rest}\n"
            for name, mark, rest in (
                ("vgs", "~", f"-o {_VGS}"),
                ("lvs", "|", f"-a -o {_LVS}"),
                ("pvs", "!", f"-o {_PVS}"),
            )
        )
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C", **self.env}
        self.script.write_text(f"#!lvm\n{script}")
        done = subprocess.run(
            [program, str(self.script)],
            env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        if done.returncode < 0:
            self.crashes += 1
            return None
        by = {mark: _lines("\n".join(x for x in done.stdout.splitlines() if mark in x)) for mark in "~|!"}
        plain = {mark: tuple(line.replace(mark, "|") for line in lines) for mark, lines in by.items()}
        plain["~"] = tuple(map(_group, plain["~"]))
        return Shown((*plain["~"], *plain["|"]), plain["!"])


def _lines(text: str) -> tuple[str, ...]:
    return tuple(sorted(line.strip() for line in text.splitlines() if line.strip()))


def _group(line: str) -> str:
    """A line about a group with the six letters of its state that LVM2 2.03.16 has; 2.03.40 has a seventh."""
    name, attr, *rest = line.split("|")
    return "|".join((name, attr[:6], *rest))


def _writes(pid: int, call: str, arguments: list[int], disk: int) -> Iterator[Write]:
    _, pointer, count, offset = arguments[:4]
    if call in ("fsync", "fdatasync"):
        yield Write(disk, 0, None)
    elif call in ("pwritev", "pwritev2"):
        for n in range(count):
            vector = memory_at(pid, pointer + 16 * n, 16)
            base, length = (int.from_bytes(vector[k : k + 8], "little") for k in (0, 8))
            yield Write(disk, offset, memory_at(pid, base, length))
            offset += length
    elif call == "pwrite64":
        yield Write(disk, offset, memory_at(pid, pointer, count))
    elif call == "ioctl" and count and pointer & 0xFFFF == 0x127F:  # BLKZEROOUT
        start, length = (int.from_bytes(memory_at(pid, count + k, 8), "little") for k in (0, 8))
        yield Write(disk, start, bytes(length))
    else:
        raise RuntimeError(f"{call} on a disk: a way to write that this record does not know")


def states(
    before: Sequence[bytes], writes: Sequence[Write], rng: random.Random
) -> Iterator[tuple[str, list[bytes]]]:
    """Every state of the disks that a power cut during ``writes`` is tried with, and what it is."""
    solid = [bytearray(image) for image in before]
    loose: dict[int, list[Write]] = {}
    yield "before the first write", [bytes(image) for image in solid]
    for number, write in enumerate(writes, 1):
        if write.data is None:
            for each in loose.pop(write.disk, []):
                _apply(solid, each)
            continue
        loose.setdefault(write.disk, []).append(write)
        every = [each for some in loose.values() for each in some]
        pieces = [_sectors(each) for each in every]
        for chosen in itertools.product((False, True), repeat=len(every)) if len(every) <= 6 else ():
            kept = [piece for yes, some in zip(chosen, pieces, strict=True) if yes for piece in some]
            yield f"write {number}: {''.join('-+'[yes] for yes in chosen)}", _with(solid, kept)
        rest = [piece for some in pieces[:-1] for piece in some]
        for length in range(1, min(len(pieces[-1]), 64)):
            yield f"write {number}: {length} sectors of it", _with(solid, rest + pieces[-1][:length])
        both = rest + pieces[-1]
        if len(both) > 1:
            for _ in range(RANDOM):
                yield f"write {number}: some sectors", _with(solid, [p for p in both if rng.random() < 0.5])
    for some in loose.values():
        for each in some:
            _apply(solid, each)
    yield "after the last write", [bytes(image) for image in solid]


def _apply(images: list[bytearray], write: Write) -> None:
    assert write.data is not None
    images[write.disk][write.offset : write.offset + len(write.data)] = write.data


def _sectors(write: Write) -> list[Write]:
    assert write.data is not None
    return [
        Write(write.disk, write.offset + at, write.data[at : at + SECTOR])
        for at in range(0, len(write.data), SECTOR)
    ]


def _with(solid: Sequence[bytearray], pieces: Sequence[Write]) -> list[bytes]:
    images = [bytearray(image) for image in solid]
    for piece in pieces:
        _apply(images, piece)
    return [bytes(image) for image in images]


def cut(cutter: Cutter, words: Sequence[str], judges: Sequence[str], end: float) -> dict[str, object]:
    """Run one command on the disks as they are, and read every state that a power cut may leave of it."""
    rng = random.Random(" ".join(words))
    before, shown = cutter.images(), cutter.by_vmgr()
    status, writes, said = cutter.record(words)
    result: dict[str, object] = {"command": " ".join(words[:1])}
    if status != 0:
        return {**result, "error": f"{' '.join(words)} ended with {status}: {said}"}
    after, wanted = cutter.images(), cutter.by_vmgr()
    seen: set[tuple[int, ...]] = set()
    faults: list[str] = []
    count = 0
    for what, images in states(before, writes, rng):
        key = tuple(map(hash, images))
        if key in seen:
            continue
        if time.monotonic() > end:
            result["cut short"] = True
            break
        seen.add(key)
        count += 1
        cutter.lay(images)
        mine = cutter.by_vmgr()
        faults += (f"vmgr, {what}: {fault}" for fault in _faults(mine, shown, wanted))
        for judge in judges:
            theirs = cutter.by_lvm2(judge)
            if theirs is None:
                continue
            faults += (f"LVM2, {what}: {fault}" for fault in _faults(theirs, shown, wanted))
            if theirs.groups != mine.groups:
                faults.append(f"{what}: LVM2 shows {theirs.groups} and vmgr {mine.groups}")
    cutter.lay(after)
    return {
        **result,
        "writes": sum(write.data is not None for write in writes),
        "flushes": sum(write.data is None for write in writes),
        "states": count,
        "faults": faults,
    }


def _faults(shown: Shown, before: Shown, after: Shown) -> Iterator[str]:
    if shown.groups not in (before.groups, after.groups):
        yield f"neither old nor new: {set(shown.groups) ^ set(after.groups)}"
    known = {line.split("|")[0] for line in (*before.pvs, *after.pvs)}
    # One that leaves or joins a group need not be listed in between: LVM2 hides a disk with an older text.
    kept = {line.split("|")[0] for line in before.pvs if _group_of(line) in map(_group_of, after.pvs)}
    names = {line.split("|")[0] for line in shown.pvs}
    if lost := kept - names:
        yield f"lost: {lost}"
    if odd := {name for name in names - known if not name.startswith("[")}:
        yield f"from nowhere: {odd}"


def _group_of(line: str) -> tuple[str, ...]:
    """The disk and its group in a line about a PV."""
    return tuple(line.split("|")[:2])


def main() -> None:
    """Print what was found for each command of each layout."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=1e9, help="for all of it")
    parser.add_argument("--part", default="1/1", help="I/N: every N-th layout, from the I-th")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the loop devices go
    judges = list(filter(None, ("lvm", os.environ.get("LVM2"))))
    end = time.monotonic() + options.seconds
    for number, (layout, more) in enumerate(LAYOUTS.items()):
        if number % parts != part - 1:
            continue
        with tempfile.TemporaryDirectory(prefix="vmgr-cut-") as directory:
            cutter = Cutter(Path(directory))
            try:
                for line in _layout(cutter, more, judges, end):
                    print(json.dumps({"layout": layout, **line}), flush=True)
            finally:
                cutter.close()


def _layout(cutter: Cutter, more: Sequence[str], judges: Sequence[str], end: float) -> Iterator[dict[str, object]]:
    for path in cutter.disks[:3]:
        cutter.lvm.run("pvcreate", *more, path)
    names = {**dict(zip("abcd", cutter.disks, strict=True)), "saved": str(cutter.saved)}
    for line in SCRIPT:
        words = [word.format(**names) for word in line.split()]
        if words[0] == "pvresize" and "--pvmetadatacopies" in more:
            continue  # vmgr refuses it: the second area lies at the end
        if words[0] == "vgchange":
            cutter.lvm.run("vgcfgbackup", "-f", str(cutter.saved), "vg")
        yield cut(cutter, words, judges, end)
        if words[0] == "vgcreate" and "--metadatasize" in more:
            cutter.lvm.run("vgchange", *(f"--addtag={tag}" for tag in TAGS), "vg")
    yield {"crashes": cutter.crashes}


if __name__ == "__main__":
    main()
