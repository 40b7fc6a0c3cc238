#!/usr/bin/env python3
"""Times vmgr against Debian's lvm2 on the same loop devices, in one run, and prints ratios.

Needs root, loop devices and the `lvm` command. Each pair of commands is run in turn (vmgr, lvm2, vmgr, ...); CPU
is user plus system time, peak memory the largest resident set, as the kernel accounts them.
Medians are printed. Nothing is asserted: machines differ, ratios drift, and a person reads this.

    bench/bench.py [--runs N] [--sizes 1,1000,10000] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

BIN = Path(sys.executable).parent
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def uuid(n: int) -> str:
    """A UUID in LVM2's printed form, different for each ``n``."""
    digits = ""
    value = n * 2654435761 + 12345678901234567890
    for _ in range(32):
        value, digit = divmod(value, 62) if value else (n + len(digits) * 7, len(digits) % 62)
        digits += ALPHABET[digit]
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(digits[a:b] for a, b in pairwise(cuts))


def metadata(vg: str, pv_uuid: str, dev_size: int, pe_start: int, volumes: int) -> str:
    """The text of a group with ``volumes`` linear volumes of one extent each."""
    extent_size = 8
    pe_count = (dev_size - pe_start) // extent_size
    lines = [
        'contents = "Text Format Volume Group"\nversion = 1\ndescription = ""\ncreation_host = "bench"\n',
        f'creation_time = 1700000000\n{vg} {{\nid = "{uuid(1)}"\nseqno = 1\nformat = "lvm2"\n',
        'status = ["RESIZEABLE", "READ", "WRITE"]\nflags = []\n',
        f"extent_size = {extent_size}\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\nphysical_volumes {{\npv0 {{\n",
        f'id = "{pv_uuid}"\ndevice = "/dev/none"\nstatus = ["ALLOCATABLE"]\nflags = []\n',
        f"dev_size = {dev_size}\npe_start = {pe_start}\npe_count = {pe_count}\n}}\n}}\nlogical_volumes {{\n",
    ]
    for i in range(volumes):
        lines.append(
            f'vol{i:05} {{\nid = "{uuid(i + 10)}"\nstatus = ["READ", "WRITE", "VISIBLE"]\nflags = []\n'
            f'creation_time = 1700000000\ncreation_host = "bench"\nsegment_count = 1\nsegment1 {{\n'
            f'start_extent = 0\nextent_count = 1\ntype = "striped"\nstripe_count = 1\nstripes = [\n"pv0", {i}\n]\n'
            "}\n}\n"
        )
    lines.append("}\n}\n")
    return "".join(lines)


def run(argv: list[str], env: dict[str, str]) -> tuple[float, float, int]:
    """Run a command; returns (CPU seconds, wall seconds, peak resident KiB). It must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} failed: {errors.decode(errors='replace')}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss


@contextmanager
def loop_device(directory: Path, size: int) -> Iterator[str]:
    """A loop device over a sparse file of ``size`` bytes."""
    image = directory / "disk.img"
    with image.open("wb") as file:
        file.truncate(size)
    device = subprocess.run(
        ["losetup", "-f", "--show", image], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=False)
        image.unlink()


@contextmanager
def group(volumes: int) -> Iterator[dict[str, str]]:
    """The environment of a machine whose only group, ``bench``, has ``volumes`` volumes."""
    directory = Path(tempfile.mkdtemp(prefix="vmgr-bench-"))
    try:
        with loop_device(directory, 256 << 20) as device:
            (directory / "lvm.conf").write_text(
                f'devices {{ filter = [ "a|^{device}$|", "r|.*|" ] use_devicesfile = 0 }}\n'
                f'global {{ locking_dir = "{directory}/lock" }}\n'
                f'backup {{ backup_dir = "{directory}/backup" archive_dir = "{directory}/archive" }}\n'
                "activation { monitoring = 0 udev_sync = 0 udev_rules = 0 }\n"
            )
            env = {**os.environ, "LVM_SYSTEM_DIR": str(directory), "LC_ALL": "C"}
            env.pop("PYTHONDONTWRITEBYTECODE", None)

            def lvm(*words: str | Path) -> None:
                subprocess.run(["lvm", *words], env=env, check=True, capture_output=True)

            pv = uuid(5)
            text = directory / "text"
            text.write_text(metadata("bench", pv, (256 << 20) // 512, 102400, volumes))
            sizes = ["--metadatasize", "48m", "--dataalignment", "50m"]
            lvm("pvcreate", "-qq", "-y", *sizes, "--uuid", pv, "--restorefile", text, device)
            lvm("vgcfgrestore", "-f", text, "bench", "--driverloaded", "n")
            lvm("vgcfgbackup", "--driverloaded", "n")  # as on any real machine
            yield env
    finally:
        shutil.rmtree(directory, ignore_errors=True)


class Table:
    """Collects rows and prints them."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []

    def compare(
        self,
        name: str,
        ours: list[str],
        theirs: list[str],
        env: dict[str, str],
        runs: int,
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Run both commands ``runs`` times in turn, after one warm-up each."""
        a: list[tuple[float, float, int]] = []
        b: list[tuple[float, float, int]] = []
        for i in range(runs + 1):
            one = run(ours, env)
            after()
            two = run(theirs, env)
            after()
            if i:
                a.append(one)
                b.append(two)
        ratio = [statistics.median(x[k] / y[k] for x, y in zip(a, b, strict=True)) for k in range(3)]
        row: dict[str, object] = {
            "what": name,
            "vmgr_cpu_ms": statistics.median(x[0] for x in a) * 1000,
            "lvm2_cpu_ms": statistics.median(x[0] for x in b) * 1000,
            "cpu_ratio": ratio[0],
            "vmgr_wall_ms": statistics.median(x[1] for x in a) * 1000,
            "lvm2_wall_ms": statistics.median(x[1] for x in b) * 1000,
            "wall_ratio": ratio[1],
            "vmgr_peak_mib": statistics.median(x[2] for x in a) / 1024,
            "lvm2_peak_mib": statistics.median(x[2] for x in b) / 1024,
            "peak_ratio": ratio[2],
        }
        self.rows.append(row)
        print(
            f"{name:32} {row['vmgr_cpu_ms']:9.1f} {row['lvm2_cpu_ms']:9.1f} {ratio[0]:6.2f}x"
            f" {row['vmgr_wall_ms']:9.1f} {row['lvm2_wall_ms']:9.1f} {ratio[1]:6.2f}x"
            f" {row['vmgr_peak_mib']:7.1f} {row['lvm2_peak_mib']:7.1f} {ratio[2]:6.2f}x",
            flush=True,
        )


def main() -> int:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="counted runs of each command (default 7)")
    parser.add_argument("--sizes", default="1,1000,10000", help="volumes in the group (default 1,1000,10000)")
    parser.add_argument("--json", action="store_true", help="also print the rows as JSON")
    options = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("lvm") is None:
        print("bench needs root, loop devices and the lvm command (Debian: lvm2)", file=sys.stderr)
        return 1
    vmgr = str(BIN / "vmgr")
    version = (
        subprocess.run(["lvm", "version"], check=False, capture_output=True, text=True)
        .stdout.split("\n")[0]
        .strip()
    )
    print(f"vmgr on Python {sys.version.split()[0]} against lvm2, {version}; medians of {options.runs} pairs")
    print(
        f"{'':32} {'CPU ms':>9} {'':>9} {'':>7} {'wall ms':>9} {'':>9} {'':>7} {'MiB':>7} {'':>7} {'':>7}\n"
        f"{'command':32} {'vmgr':>9} {'lvm2':>9} {'ratio':>7} {'vmgr':>9} {'lvm2':>9} {'ratio':>7}"
        f" {'vmgr':>7} {'lvm2':>7} {'ratio':>7}"
    )
    table = Table()
    no_kernel = ["--driverloaded", "n"]
    for volumes in (int(s) for s in options.sizes.split(",")):
        with group(volumes) as env:
            if volumes == 1:
                table.compare("version", [vmgr, "version"], ["lvm", "version", *no_kernel], env, options.runs)
            table.compare(f"lvs, {volumes}", [vmgr, "lvs"], ["lvm", "lvs", *no_kernel], env, options.runs)
            if volumes < 10000:
                continue
            table.compare(f"vgs, {volumes}", [vmgr, "vgs"], ["lvm", "vgs", *no_kernel], env, options.runs)
            create = ["lvcreate", "-an", "-Zn", "-Wn", "-qq", "-y", "-l1", "-n", "new", "bench"]
            undo = ["lvm", "lvremove", "-qq", "-y", *no_kernel, "bench/new"]

            def remove(env: dict[str, str] = env, undo: list[str] = undo) -> None:
                subprocess.run(undo, env=env, check=True, capture_output=True)

            table.compare(
                f"lvcreate -an, {volumes}",
                [vmgr, *create],
                ["lvm", *create, *no_kernel],
                env,
                max(3, options.runs // 2),
                after=remove,
            )
    if options.json:
        print(json.dumps(table.rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
