"""Fuzzing: damaged inputs of every kind that vmgr reads; an exception that is no VmgrError is a fault.

``python -m tests.proof.fuzz [--seconds N] [--seed N]``. Prints JSON: an object for each kind, at last one for LVM2,
which gets a few of the same metadata texts on a disk. Inputs that crash LVM2 are counted and not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.proof.mutation import Mutator
from tests.support import machine
from vmgr.core.errors import VmgrError
from vmgr.core.pv import MdaArea
from vmgr.core.table import KernelLine
from vmgr.core.units import Bytes, Sectors
from vmgr.ondisk import label, mda
from vmgr.ondisk.crc import checksum
from vmgr.testing.machine import layout

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
SLOW = 20
"""Seconds after which an input counts as one that hangs."""

Kind = tuple[list[bytes], tuple[bytes, ...], Callable[[bytes], object]]


def _texts() -> list[bytes]:
    return [path.read_bytes() for path in sorted(GOLDEN.glob("*/metadata.vg"))]


def _lines(name: str) -> list[bytes]:
    found = {}
    for path in sorted(GOLDEN.glob(f"*/{name}.txt")):
        for line in path.read_bytes().splitlines():
            _, colon, rest = line.partition(b": ")
            if colon and rest:
                found[rest] = None
    return list(found)


def _metadata() -> Kind:
    from vmgr.core.structure import broken_rules
    from vmgr.core.validate import validate
    from vmgr.ondisk.codec import decode_group
    from vmgr.registry import load_targets

    targets = load_targets()

    def run(data: bytes) -> None:
        text = data.decode(errors="replace")
        found = decode_group(text, targets, [])
        for volume in found.group.lvs:
            _ = volume.segments, volume.size
        broken_rules(found.group)
        validate(found.group, targets)

    words = (
        b"{",
        b"}",
        b"[",
        b"]",
        b'"',
        b"=",
        b"[]",
        b"-1",
        b'""',
        b"segment_count = 0",
        b"seqno",
        b"stripes",
        b"\0",
        b"#",
    )
    return _texts(), words, run


def _labels() -> Kind:
    seeds = [label.encode_label(layout(n, 8 << 20, n)) for n in (1, 2)]
    heads = [bytes(512) + seed.ljust(512, b"\0") + bytes(1024) for seed in seeds]

    def run(data: bytes) -> None:
        for sector in range(min(4, len(data) // 512)):  # right checksums, so that what they protect is reached
            part = bytearray(data[sector * 512 : sector * 512 + 512])
            part[16:20] = checksum(bytes(part[20:])).to_bytes(4, "little")
            data = data[: sector * 512] + bytes(part) + data[sector * 512 + 512 :]
        label.decode_label(data, Bytes(8 << 20))

    return heads, (b"LABELONE", b"LVM2 001", bytes(16), b"\xff" * 8), run


def _headers() -> Kind:
    area = MdaArea(Bytes(4096), Bytes((1 << 20) - 4096))
    empty = mda.new_header(area)
    text = b"x" * 3000
    seeds = [mda.encode_header(empty)]
    seeds.append(mda.encode_header(mda.commit(mda.precommit(empty, mda.plan_text(empty, text).location))))

    def run(data: bytes) -> None:
        rest = data[4:512]
        header = mda.decode_header(checksum(rest).to_bytes(4, "little") + rest, area)
        for slot in (header.committed, header.precommitted):
            mda.pieces(header, slot)
            mda.read_text(header, lambda offset, length: bytes(min(int(length), 1 << 20)), slot)
        mda.plan_text(header, text)

    return seeds, (b"\xff" * 8, bytes(8), b" LVM2 x[5A%r0N*>"), run


def _images() -> Kind:
    """Whole disks, label to text, through the scan."""
    world = machine.World(1, 2 << 20)
    world.label(layout(1, 2 << 20))
    start = bytes(world.disks["/dev/d1"].data[:12288])
    texts = _texts()
    area = MdaArea(Bytes(4096), Bytes((1 << 20) - 4096))
    seeds = []
    for text in texts:
        head = mda.new_header(area)
        plan = mda.plan_text(head, text + b"\0")
        image = bytearray(start.ljust(1 << 16, b"\0"))
        image[4096:4608] = mda.encode_header(mda.commit(mda.precommit(head, plan.location)))
        for offset, part in plan.writes:
            image[int(offset) : int(offset) + len(part)] = part
        seeds.append(bytes(image))

    def run(data: bytes) -> None:
        disk = world.disks["/dev/d1"]
        disk.data[: 1 << 16] = data[: 1 << 16].ljust(1 << 16, b"\0")
        sector = bytes(disk.data[4100:4608])
        disk.data[4096:4100] = checksum(sector).to_bytes(4, "little")
        view = world.view()
        for group in view.groups:
            _ = group.group.name, group.problems

    return seeds, (b"{", b"}", b"\0" * 16), run


def _config() -> Kind:
    from vmgr.system import config

    seeds = [b'devices { filter = [ "a|loop|", "r|.*|" ] scan = "/dev" }\nglobal/locking_type = 1\n']
    path = Path("/etc/lvm/lvm.conf")
    if path.exists():
        text = path.read_bytes()
        seeds += [bytes(part) for part in text.split(b"\n\n") if b"=" in part][:60]

    def run(data: bytes) -> None:
        layer = config.parse(data.decode("utf-8", "surrogateescape"), "it")
        one = config.Config([layer])
        for name in ("devices/filter", "devices/scan", "global/locking_type", "activation/volume_list"):
            for read in (one.raw, one.words_if_set, one.flag, one.number, one.text):
                with contextlib.suppress(VmgrError, KeyError):
                    read(name)

    return seeds, (b"{", b"}", b"=", b"[", b"]", b'"', b"@", b"#", b"\\", b"devices"), run


def _devices_file() -> Kind:
    from vmgr.system.devicesfile import DevicesFile

    place = tempfile.mkdtemp(prefix="vmgr-fuzz-", dir="/dev/shm")
    path = Path(place, "system.devices")
    seeds = [
        b"# LVM uses devices listed in this file.\n# Created by LVM command lvmdevices pid 1\nVERSION=1.1.12\n"
        b"IDTYPE=sys_wwid IDNAME=naa.5000 DEVNAME=/dev/sda PVID=cRbqVgKXxyAh4xQm9Zj1b9eJcQFTPVOL PART=1\n"
        b"IDTYPE=loop_file IDNAME=/tmp/image DEVNAME=/dev/loop0 PVID=.\nSYSTEMID=x\n"
    ]
    file = DevicesFile(str(path), f"{place}/lock", system_id="x")

    def run(data: bytes) -> None:
        path.write_bytes(data)
        file.read()
        for entry in file.entries:
            str(entry)

    return (
        seeds,
        (b"IDTYPE=devname", b"IDNAME=", b"PART=99999999999", b"VERSION=1.1", b"\0", b"\r", "PART=²".encode()),
        run,
    )


def _tables() -> Kind:
    from vmgr.dm.tables import Tables, parse_concise, parse_table
    from vmgr.registry import table_types

    tables = Tables(table_types())

    def run(data: bytes) -> None:
        text = data.decode("utf-8", "surrogateescape")
        for read in (lambda: tables.parse_all(parse_table(text)), lambda: parse_concise(text)):
            with contextlib.suppress(VmgrError):
                read()

    return (
        [*_lines("table"), b"a,,1,rw,0 8 zero;b,u,,ro,0 8 linear 7:0 0"],
        (b"-1", b"8:0", b"/dev/x", b",", b";", b"\\"),
        run,
    )


def _statuses() -> Kind:
    from tests.support.plugins import a_group, area, create
    from vmgr.dm.tables import Tables
    from vmgr.registry import load_targets, table_types

    targets, tables = load_targets(), Tables(table_types())
    group = create(a_group(), "x", [[area(0, 0, 1)]])[0]

    def run(data: bytes) -> None:
        words = data.decode("utf-8", "surrogateescape").split(" ", 3)
        target, params = (words + [""] * 4)[2:4]
        for name in (target, "snapshot", "snapshot-merge", "striped", "linear"):
            line = KernelLine(Sectors(0), Sectors(8), name, params)
            with contextlib.suppress(VmgrError):
                targets.parse_status(group, group.lvs[0], (line,))
            with contextlib.suppress(VmgrError):
                tables.parse(line)

    seeds = [
        *_lines("status"),
        b"0 8 snapshot 16/2048 16",
        b"0 8 snapshot Invalid",
        b"0 8 snapshot-merge Merge failed",
    ]
    return seeds, (b"Invalid", b"Overflow", b"/", b"-", b"16/0", b"0/0"), run


def _replies() -> Kind:
    from vmgr.dm import abi, wire

    lines = (KernelLine(Sectors(0), Sectors(8), "linear", "7:0 0"), KernelLine(Sectors(8), Sectors(8), "zero", ""))
    version = (4, 47, 0)
    bodies = [
        wire.pack_status(lines),
        wire.pack_names([wire.NameEntry(1, "a", 1, "u"), wire.NameEntry(2, "b", 0, None)], version),
        wire.pack_deps([1, 2, 3]),
        wire.pack_versions([("linear", (1, 4, 0)), ("striped", (1, 6, 0))]),
        wire.pack_table(lines),
        wire.pack_message(0, "x y"),
    ]
    seeds = []
    for body in bodies:
        buffer = bytearray(4096)
        wire.pack_reply(buffer, wire.Reply(version, 2, 1, 0, 3, 4, "name", "uuid", body))
        seeds.append(bytes(buffer[: abi.HEADER.size + len(body) + 64]))

    def run(data: bytes) -> None:
        with contextlib.suppress(VmgrError):
            wire.unpack_reply(bytearray(data.ljust(abi.HEADER.size, b"\0")))  # the buffer is ours
        body = data[abi.HEADER.size :]
        for read in (
            lambda: wire.unpack_status(body, 2),
            lambda: wire.unpack_names(body, version),
            lambda: wire.unpack_names(body, (4, 0, 0)),
            lambda: wire.unpack_deps(body),
            lambda: wire.unpack_versions(body),
        ):
            with contextlib.suppress(VmgrError):
                read()

    return seeds, (b"\xff" * 4, bytes(8)), run


def _command_lines() -> Kind:
    from vmgr.cli.options_common import COMMON
    from vmgr.cli.parse import check, parse
    from vmgr.cli.registry import COMMANDS, load

    commands = {}
    for name in COMMANDS:
        with contextlib.suppress(VmgrError):
            commands[name] = load(name)
    seeds = [
        b"lvcreate -y -s -l 100%ORIGIN -n snap vg/lin", b"lvcreate -i2 -I64k -L1.5g -n x vg /dev/sda:0-10",
        b"lvs -a -o+devices,lv_tags --sort -lv_size --units s --select lv_size>1g vg", b"lvextend -l+9%FREE vg/l",
        b"vgcreate --addtag x -s 4m --metadatasize 1m vg /dev/a /dev/b", b"vgchange -aay --sysinit vg",
        b"pvcreate --uuid x --restorefile y -ff --dataalignment 1m /dev/a", b"lvconvert --merge @tag vg/snap",
        b"vgs --reportformat json -o all --config a/b=1", b"lvchange -pr -ay --addtag x @t", b"pvs -S pv_size=1",
    ]  # fmt: skip
    options = {name: (*command.options, *COMMON) for name, command in commands.items()}

    def run(data: bytes) -> None:
        name, *words = data.decode("utf-8", "surrogateescape").split(" ")
        command = commands.get(name) or commands["lvs"]
        parsed = parse(command, options[command.name], words)
        check(command, parsed)

    words = [option.encode() for command in seeds for option in (command.decode().split())]
    return seeds, (*words, b"--", b"-", b"--x=", b"-L", b"1e9", b"%FREE", b"@", b"=", b"\xff"), run


KINDS: dict[str, Callable[[], Kind]] = {
    "labels": _labels,
    "metadata area headers": _headers,
    "metadata texts": _metadata,
    "whole disks": _images,
    "lvm.conf": _config,
    "devices files": _devices_file,
    "tables": _tables,
    "status lines": _statuses,
    "replies of the kernel": _replies,
    "command lines": _command_lines,
}


def fuzz(name: str, seconds: float, seed: int) -> dict[str, object]:
    """Mutate inputs of one kind for a time; what was found."""
    seeds, words, run = KINDS[name]()
    mutator = Mutator(seed, seeds, words)
    faults: dict[str, str] = {}
    count = accepted = 0
    end = time.monotonic() + seconds

    def over(_number: int, _frame: object) -> None:
        raise TimeoutError(f"took longer than {SLOW} s")

    before = signal.signal(signal.SIGALRM, over)
    data = b""
    try:
        while time.monotonic() < end:
            signal.setitimer(signal.ITIMER_REAL, SLOW)
            for _ in range(50):
                data = mutator.next()
                count += 1
                try:
                    run(data)
                    accepted += 1
                except VmgrError:
                    pass
                except Exception as error:
                    place = traceback.extract_tb(error.__traceback__)[-1]
                    key = f"{type(error).__name__} in {Path(place.filename).name}, {place.name}"
                    faults.setdefault(key, f"{error}: {data!r}"[:2000])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return {"kind": name, "inputs": count, "accepted": accepted, "faults": faults}


def ask_lvm2(seconds: float, seed: int) -> Iterator[dict[str, object]]:
    """Give LVM2 damaged metadata texts on a disk; count how often it crashes."""
    from tests.support.lvm2 import Lvm2

    mutator = Mutator(seed, _texts(), (b"{", b"}", b"[", b"]", b'"', b"-1"))
    area = MdaArea(Bytes(4096), Bytes((1 << 20) - 4096))
    for program in filter(None, ("lvm", os.environ.get("LVM2"))):
        count = crashes = late = 0
        with tempfile.TemporaryDirectory(prefix="vmgr-fuzz-") as directory, Lvm2(Path(directory, "lvm")) as lvm:
            image = Path(directory, "disk")
            disk = lvm.disk(image, 4 << 20)
            lvm.run("pvcreate", disk)
            version = lvm.run("version").split()[2]
            env = {"PATH": os.environ["PATH"], "LVM_SYSTEM_DIR": str(lvm.dir), "LVM_SUPPRESS_FD_WARNINGS": "1"}
            if program != "lvm":
                version = subprocess.run(
                    [program, "version"], env=env, capture_output=True, text=True, check=False
                ).stdout.split()[2]
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                head = mda.new_header(area)
                plan = mda.plan_text(head, mutator.next() + b"\0")
                with open(image, "r+b") as file:
                    for offset, part in plan.writes:
                        file.seek(int(offset))
                        file.write(part)
                    file.seek(4096)
                    file.write(mda.encode_header(mda.commit(mda.precommit(head, plan.location))))
                count += 1
                try:
                    done = subprocess.run(
                        [program, "lvs", "-a", "--driverloaded", "n"],
                        env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False,
                    )  # fmt: skip
                    crashes += done.returncode < 0 or done.returncode > 128
                except subprocess.TimeoutExpired:
                    late += 1
        yield {"lvm2": version, "inputs": count, "crashes": crashes, "did not end": late}


def main() -> None:
    """Share the time among the kinds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60, help="for all kinds together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="kinds whose name has this in it")
    parser.add_argument("--lvm2", type=float, default=0, help="seconds for each LVM2; needs root and loop devices")
    options = parser.parse_args()
    chosen = [name for name in KINDS if options.only in name]
    for name in chosen:
        print(json.dumps(fuzz(name, options.seconds / len(chosen), options.seed)), flush=True)
    if options.lvm2:
        for line in ask_lvm2(options.lvm2, options.seed):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
