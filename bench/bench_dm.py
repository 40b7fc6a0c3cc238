#!/usr/bin/env python3
"""Times the device-mapper library against Debian's dmsetup on one kernel, in one run, and prints ratios.

1000 devices are created, loaded and resumed, listed and removed: by the library in one process, and by
``dmsetup create --concise``, ``dmsetup table`` and ``dmsetup remove``. The two take turns; medians are printed, of
the ratios as well. Started outside of the lab it starts one (`vmgr lab`), which needs no root. Nothing is
asserted: machines differ, ratios drift, and a person reads this.

    bench/bench_dm.py [--devices N] [--runs N] [--udev] [--json] [--profile]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

BIN = Path(sys.executable).parent
PHASES = ("create, load, resume", "list tables", "remove")


def names(devices: int) -> list[str]:
    return [f"bench{i:05}" for i in range(devices)]


def concise(devices: int) -> str:
    return ";".join(f"{name},BENCH-{name},,rw,0 8 zero" for name in names(devices))


def library(devices: int) -> list[float]:
    """Seconds for each phase through the library, in this process."""
    from vmgr.dm.client import DmClient, by_name, by_uuid
    from vmgr.dm.tables import parse_concise

    wanted = parse_concise(concise(devices))
    marks = [time.perf_counter()]
    with DmClient.open() as dm:
        with dm.transaction():
            for device in wanted:
                dm.create(device.name, device.uuid)
                dm.load(by_uuid(device.uuid), device.lines)
                dm.resume(by_uuid(device.uuid))
        marks.append(time.perf_counter())
        listed = dm.devices(tables=True)
        assert len(listed) == devices
        marks.append(time.perf_counter())
        with dm.transaction():
            for device in wanted:
                dm.remove(by_name(device.name))
        marks.append(time.perf_counter())
    return [b - a for a, b in pairwise(marks)]


def timed(argv: list[str], text: str = "") -> float:
    """Wall seconds of a command, which must succeed."""
    start = time.perf_counter()
    done = subprocess.run(
        argv, input=text, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(argv[:4])} failed: {done.stderr}")
    return wall


def dmsetup(devices: int) -> list[float]:
    """Seconds for each phase through dmsetup, a process each."""
    return [
        timed(["dmsetup", "create", "--concise"], concise(devices)),
        timed(["dmsetup", "table"]),
        timed(["dmsetup", "remove", *names(devices)]),
    ]


def ours(devices: int) -> list[float]:
    """Seconds for each phase through the library, in a process of its own, and what is left of the process."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--work", "--devices", str(devices)], capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"the library failed: {done.stderr}")
    phases: list[float] = json.loads(done.stdout)
    return [*phases, wall - sum(phases)]


def profile(devices: int) -> None:
    """Where the library's time goes."""
    import cProfile
    import pstats

    library(2)
    profiler = cProfile.Profile()
    profiler.runcall(library, devices)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def compare(devices: int, runs: int, say: Callable[[str], None]) -> list[dict[str, object]]:
    a, b = [], []
    for i in range(runs + 1):
        if i % 2:  # neither always finds what the other left behind
            one, two = ours(devices), dmsetup(devices)
        else:
            two, one = dmsetup(devices), ours(devices)
        if i:
            a.append(one)
            b.append(two)
    say(f"{'':24} {'vmgr ms':>10} {'dmsetup ms':>10} {'ratio':>7}")
    rows: list[dict[str, object]] = []

    def row(what: str, mine: list[float], theirs: list[float]) -> None:
        ratio = statistics.median(x / y for x, y in zip(mine, theirs, strict=True))
        ms = statistics.median(mine) * 1000, statistics.median(theirs) * 1000
        rows.append({"what": what, "vmgr_ms": ms[0], "dmsetup_ms": ms[1], "ratio": ratio})
        say(f"{what:24} {ms[0]:10.1f} {ms[1]:10.1f} {ratio:6.2f}x")

    for number, phase in enumerate(PHASES):
        row(phase, [x[number] for x in a], [x[number] for x in b])
    row("all three", [sum(x[:3]) for x in a], [sum(x) for x in b])
    row("with starting Python", [sum(x) for x in a], [sum(x) for x in b])
    return rows


def main() -> int:
    """Run the comparison, in the lab."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000, help="devices to make (default 1000)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs of each (default 5)")
    parser.add_argument("--udev", action="store_true", help="with a systemd-udevd in the lab")
    parser.add_argument("--json", action="store_true", help="also print the rows as JSON")
    parser.add_argument("--profile", action="store_true", help="only show where the library's time goes")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.environ.get("VMGR_LAB") != "1":
        udev = "--udev" if options.udev else "--no-udev"
        lab = [str(BIN / "vmgr"), "lab", "--mem", "1G", udev, "--", sys.executable, os.path.abspath(__file__)]
        return subprocess.run([*lab, *sys.argv[1:]], check=False).returncode
    if options.work:
        print(json.dumps(library(options.devices)))
        return 0
    if options.profile:
        profile(options.devices)
        return 0
    version = subprocess.run(["dmsetup", "version"], check=False, capture_output=True, text=True).stdout.split("\n")
    print(
        f"vmgr on Python {sys.version.split()[0]} against dmsetup, {version[0]}, {options.devices} devices,"
        f" {'with' if options.udev else 'without'} udev; medians of {options.runs} pairs"
    )
    rows = compare(options.devices, options.runs, lambda text: print(text, flush=True))
    if options.json:
        print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
