#!/usr/bin/env python3
"""Times commands over many volumes of one group against Debian's lvm2, in one run, and prints ratios and growth.

Without a kernel (`--driverloaded n`, a loop device, root): removing and tagging all volumes, removing and renaming
the group, renaming and extending one volume. With ``--kernel`` the same and more on live devices: activating,
refreshing and deactivating all. Started outside of the lab that starts one (`vmgr lab`), which needs no root.

CPU is user plus system time of the command, peak memory the largest resident set; the two take turns from the same
state, and medians are printed, of the ratios as well. A run of lvm2 is cut off after 120 seconds and printed as
"more than". Growth is the exponent of vmgr's CPU time, less that for a group of one volume, from one size to the
next: 1 is linear. Nothing is asserted: machines differ, ratios drift, and a person reads this.

    bench/bench_lists.py [--sizes 1000,10000] [--runs N] [--only WORD,...] [--json]
    bench/bench_lists.py --kernel [--sizes 500,1000] [--mem 2G] [--runs N] [--only WORD,...] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import BIN, loop_device, metadata, uuid

LIMIT = 120.0
"""Seconds after which a command is cut off."""

DISK = 512 << 20
KEPT = 80 << 20
"""The start of the disk, with its label and metadata area: what is put back before each run."""

VMGR = str(BIN / "vmgr")
GROUP = "bench"
RENAMED = "other"


class Case(NamedTuple):
    """A command that both run. ``active``: on a group whose volumes are active; ``kernel``: only there."""

    what: str
    words: tuple[str, ...]
    active: bool = False
    kernel: bool = False


CASES = (
    Case("activate all", ("vgchange", "-ay", GROUP), kernel=True),
    Case("refresh all", ("vgchange", "--refresh", GROUP), active=True, kernel=True),
    Case("nodes of all", ("vgmknodes", GROUP), active=True, kernel=True),
    Case("deactivate all", ("vgchange", "-an", GROUP), active=True, kernel=True),
    Case("tag all", ("lvchange", "--addtag", "t", GROUP), active=True),
    Case("rename the group", ("vgrename", GROUP, RENAMED), active=True),
    Case("rename one", ("lvrename", GROUP, "vol00000", "new"), active=True),
    Case("extend one", ("lvextend", "-l+1", f"{GROUP}/vol00000"), active=True),
    Case("remove all", ("lvremove", "-y", GROUP), active=True),
    Case("remove the group", ("vgremove", "-f", "-y", GROUP), active=True),
)


class Usage(NamedTuple):
    """What a run took: seconds, KiB; ``cut``: it was cut off."""

    cpu: float
    peak: float
    cut: bool = False


LAUNCHER = """
import os, select, sys
limit, *argv = sys.argv[1:]
pid = os.fork()
if pid == 0:
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.execvp(argv[0], argv)
ended = select.select([os.pidfd_open(pid)], [], [], float(limit))[0]
if not ended:
    os.kill(pid, 9)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_utime + usage.ru_stime, usage.ru_maxrss, bool(ended), os.waitstatus_to_exitcode(status))
"""
"""A process's peak memory counts from the fork on, so a small one starts what is measured."""


def run(argv: list[str], env: dict[str, str]) -> Usage:
    """Run a command, which must succeed or be cut off."""
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(LIMIT), *argv]
    done = subprocess.run(launch, env=env, capture_output=True, text=True, check=False)
    try:
        cpu, peak, ended, status = done.stdout.split()
    except ValueError:
        raise SystemExit(f"{' '.join(argv)} could not be started: {done.stderr}") from None
    if ended == "True" and status != "0":
        raise SystemExit(f"{' '.join(argv)} failed: {done.stderr[-2000:]}")
    return Usage(float(cpu), float(peak), ended != "True")


class Machine:
    """A disk with the group, and what it takes to put it back as it was."""

    def __init__(self, directory: Path, device: str, volumes: int, kernel: bool) -> None:
        self.directory = directory
        self.device = device
        self.kernel = kernel
        self.options = [] if kernel else ["--driverloaded", "n"]
        (directory / "lvm.conf").write_text(
            f'devices {{ filter = [ "a|^{device}$|", "r|.*|" ] use_devicesfile = 0 types = [ "ubd", 16 ] }}\n'
            f'global {{ locking_dir = "{directory}/lock" use_lvmpolld = 0 }}\n'
            f'backup {{ backup_dir = "{directory}/backup" archive_dir = "{directory}/archive" }}\n'
            "activation { monitoring = 0 udev_sync = 0 udev_rules = 0 verify_udev_operations = 0 }\n"
        )
        self.env = {**os.environ, "LVM_SYSTEM_DIR": str(directory), "LC_ALL": "C"}
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)
        text = directory / "text"
        text.write_text(metadata(GROUP, uuid(5), DISK // 512, 2 * KEPT // 1024, volumes))
        sizes = ["--metadatasize", f"{(KEPT >> 20) - 10}m", "--dataalignment", f"{KEPT >> 20}m"]
        self.lvm("pvcreate", "-qq", "-ff", "-y", *sizes, "--uuid", uuid(5), "--restorefile", str(text), device)
        self.lvm("vgcfgrestore", "-f", str(text), GROUP)
        self.lvm("vgcfgbackup")
        with open(device, "rb") as disk:
            self._kept = disk.read(KEPT).rstrip(b"\0")
        self._backup = (directory / "backup" / GROUP).read_bytes()
        self._active = False

    def lvm(self, *words: str) -> None:
        """Run lvm2, for what is not measured."""
        self._prepare(["lvm", *words, *self.options])

    def vmgr(self, *words: str) -> None:
        """Run vmgr, for what is not measured."""
        self._prepare([VMGR, *words])

    def _prepare(self, argv: list[str]) -> None:
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)} failed: {done.stderr}")

    def reset(self, active: bool) -> None:
        """Put the disk back, with the group's volumes active or not."""
        if self.kernel:
            subprocess.run(["dmsetup", "remove_all"], check=True, capture_output=True)
            for path in (f"/dev/{GROUP}", f"/dev/{RENAMED}"):
                shutil.rmtree(path, ignore_errors=True)
            subprocess.run(["dmsetup", "mknodes"], check=True, capture_output=True)
        with open(self.device, "r+b") as disk:
            disk.write(self._kept + bytes(KEPT - len(self._kept)))
            disk.flush()
            os.fsync(disk.fileno())
        shutil.rmtree(self.directory / "archive", ignore_errors=True)
        shutil.rmtree(self.directory / "backup", ignore_errors=True)
        (self.directory / "backup").mkdir()
        (self.directory / "backup" / GROUP).write_bytes(self._backup)
        if active and self.kernel:
            self.vmgr("vgchange", "-ay", GROUP)


@contextmanager
def machine(volumes: int, kernel: bool) -> Iterator[Machine]:
    """A machine whose only group has ``volumes`` volumes."""
    directory = Path(tempfile.mkdtemp(prefix="vmgr-bench-"))
    try:
        if kernel:
            yield Machine(directory, "/dev/ubda", volumes, True)
        else:
            with loop_device(directory, DISK) as device:
                yield Machine(directory, device, volumes, False)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def compare(one: Machine, case: Case, runs: int, patient: bool) -> tuple[list[Usage], list[Usage]]:
    """Run both in turn. lvm2 is not tried again once it was cut off, nor at all unless ``patient``."""
    ours: list[Usage] = []
    theirs: list[Usage] = []
    for _ in range(runs):
        one.reset(case.active)
        ours.append(run([VMGR, *case.words, *one.options], one.env))
        if not patient or any(usage.cut for usage in theirs):
            theirs.append(Usage(LIMIT, 0, True))
            continue
        one.reset(case.active)
        theirs.append(run(["lvm", *case.words, *one.options], one.env))
    one.reset(False)
    return ours, theirs


def row(case: Case, volumes: int, ours: list[Usage], theirs: list[Usage]) -> dict[str, object]:
    """The medians of a comparison."""
    pairs = list(zip(ours, theirs, strict=True))
    cut = any(usage.cut for usage in theirs)
    return {
        "what": case.what,
        "volumes": volumes,
        "vmgr_cpu_ms": statistics.median(u.cpu for u in ours) * 1000,
        "lvm2_cpu_ms": statistics.median(u.cpu for u in theirs) * 1000,
        "lvm2_cut_off": cut,
        "cpu_ratio": None if cut else statistics.median(a.cpu / b.cpu for a, b in pairs),
        "vmgr_peak_mib": statistics.median(u.peak for u in ours) / 1024,
        "lvm2_peak_mib": statistics.median(u.peak for u in theirs) / 1024,
        "peak_ratio": None if cut else statistics.median(a.peak / b.peak for a, b in pairs),
        "growth": None,
    }


def show(found: dict[str, object]) -> str:
    """A row as a line."""

    def ratio(key: str) -> str:
        value = found[key]
        return "-" if value is None else f"{value:.2f}"

    theirs = f">{LIMIT * 1000:.0f}" if found["lvm2_cut_off"] else f"{found['lvm2_cpu_ms']:.0f}"
    peak = "-" if found["lvm2_cut_off"] else f"{found['lvm2_peak_mib']:.1f}"
    return (
        f"{found['what']:18} {found['volumes']:>6} {found['vmgr_cpu_ms']:9.0f} {theirs:>9} {ratio('cpu_ratio'):>7}"
        f" {found['vmgr_peak_mib']:8.1f} {peak:>8} {ratio('peak_ratio'):>7} {ratio('growth'):>7}"
    )


def measure(options: argparse.Namespace, say: Callable[[str], None]) -> list[dict[str, object]]:
    """All comparisons, the sizes in order."""
    wanted = [
        case
        for case in CASES
        if (options.kernel or not case.kernel) and (not options.only or any(w in case.what for w in options.only))
    ]
    sizes = sorted(int(size) for size in options.sizes.split(","))
    say(
        f"{'':18} {'':>6} {'CPU ms':>9} {'':>9} {'':>7} {'MiB':>8}\n"
        f"{'command':18} {'of':>6} {'vmgr':>9} {'lvm2':>9} {'ratio':>7} {'vmgr':>8} {'lvm2':>8} {'ratio':>7}"
        f" {'growth':>7}"
    )
    start: dict[str, float] = {}
    last: dict[str, tuple[int, float, bool]] = {}
    rows: list[dict[str, object]] = []
    for volumes in [1, *sizes]:
        with machine(volumes, options.kernel) as one:
            for case in wanted:
                patient = volumes > 1 and not (case.what in last and last[case.what][2])
                ours, theirs = compare(one, case, options.runs, patient)
                found = row(case, volumes, ours, theirs)
                cpu = float(statistics.median(u.cpu for u in ours))
                if volumes == 1:
                    start[case.what] = cpu
                    continue
                beyond = max(cpu - start[case.what], 1e-3)
                if case.what in last:
                    before, spent, _ = last[case.what]
                    found["growth"] = math.log(beyond / spent) / math.log(volumes / before)
                last[case.what] = volumes, beyond, bool(found["lvm2_cut_off"])
                rows.append(found)
                say(show(found))
    return rows


def main() -> int:
    """Run all comparisons, in the lab if they are to see a kernel."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", action="store_true", help="on live devices, in the lab")
    parser.add_argument("--sizes", default="", help="volumes (default 1000,10000; in the lab 500,1000)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each command (default 3)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=(), help="only what has these words")
    parser.add_argument("--mem", default="2G", help="the lab's memory (default 2G; 4000 volumes need 4G)")
    parser.add_argument("--json", action="store_true", help="also print the rows as JSON")
    options = parser.parse_args()
    options.sizes = options.sizes or ("500,1000" if options.kernel else "1000,10000")
    if options.kernel and os.environ.get("VMGR_LAB") != "1":
        with tempfile.TemporaryDirectory() as directory:
            lab = [VMGR, "lab", "--mem", options.mem, "--no-udev", "--time-limit", "7200"]
            lab += ["--disk", f"{directory}/disk.img:{DISK >> 20}M", "--", sys.executable]
            lab += [os.path.abspath(__file__)]
            return subprocess.run([*lab, *sys.argv[1:]], check=False).returncode
    if shutil.which("lvm") is None or (os.geteuid() != 0):
        print("bench_lists needs root, loop devices and the lvm command (Debian: lvm2)", file=sys.stderr)
        return 1
    said = subprocess.run(["lvm", "version"], check=False, capture_output=True, text=True).stdout
    print(
        f"vmgr on Python {sys.version.split()[0]} against lvm2, {said.splitlines()[0].strip()},"
        f" {'live devices' if options.kernel else 'no kernel'}; medians of {options.runs} pairs"
    )
    rows = measure(options, lambda text: print(text, flush=True))
    if options.json:
        print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
