"""The kill matrix: commands, killed at every call that changes something, and what the next command makes of it.

Runs inside the lab: ``python -m tests.proof.kill [--only WORD] [--sample N] [--part I/N]``. Prints JSON, one
object a line: one for each point and healer, and one for each command at its end.

A point is a state: that before the n-th call that changes something, or after the last. Calls in between that only
read make no other. Each point is made three times, each time on fresh disks, and one of three things happens next:
the same command again, ``vgchange --refresh``, and LVM2's ``vgchange --refresh``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator

from attrs import asdict, frozen

from tests.proof import machine
from tests.proof.commands import Killed, build, commands
from tests.proof.machine import Done, Mapped, State
from tests.proof.tracer import trace
from tests.support import lab

AGAIN, REFRESH, LVM2 = "again", "refresh", "lvm2"
HEALERS = (AGAIN, REFRESH, LVM2)
LIMIT = 60.0
"""Seconds that a step has."""


@frozen
class Verdict:
    """What was found at a point after the healer had run; nothing in ``faults`` is what shall be."""

    command: str
    point: int
    at: str
    healer: str
    status: int | None
    faults: tuple[str, ...]
    left: tuple[str, ...] = ()
    """What LVM2 leaves to vmgr's next command, which does it: devices of volumes that no metadata know, or
    without a table."""
    said: str = ""
    outdated: bool = False
    """Whether both told of a PV that left the group and keeps its text, and ``vgck --updatemetadata`` was given."""


@frozen
class Baseline:
    """A command that nobody killed: the states before and after it, and what the volumes held."""

    before: State
    after: State
    data: dict[str, tuple[bytes, ...]]
    points: tuple[tuple[int, str], ...]
    """The number of each call that changes something, from 1, and what it is; at last the command's end."""
    calls: int
    between: tuple[State, ...] = ()
    """The states after commands that the command stands for, of which only the first may have been done."""


class Matrix:
    """Points of commands on one bench."""

    def __init__(self) -> None:
        self.bench = machine.Bench()
        build(self.bench)
        self.commands = commands(self.bench.disks)
        # Import what commands need before they are forked off.
        for words in (
            ["vgchange", "-ay", "vg"],
            ["lvcreate", "-s", "-l1", "-n", "x", "vg/org"],
            ["lvremove", "-y", "vg/x"],
        ):
            self.bench.vmgr(*words)
        machine.state_by_vmgr()
        import vmgr.activation
        import vmgr.app
        import vmgr.commit
        import vmgr.core.plan
        import vmgr.services.activation
        import vmgr.services.volumes  # noqa: F401

        machine.run_program(lambda: os._exit(0))

    def close(self) -> None:
        """Take the bench away."""
        self.bench.close()

    def baseline(self, command: Killed) -> Baseline:
        """Run the command to its end. Raises RuntimeError if it does not do its work."""
        self.bench.reset(command.active)
        before = machine.state_by_vmgr()
        data = [self._data()]
        found = self._trace(command, None)
        if found.status != command.ends:
            raise RuntimeError(f"{command.name} ended with {found.status}: {self._said}")
        self._settled(command)
        after = machine.state_by_vmgr()
        theirs, _ = machine.state_by_lvm2()
        if not after.same(theirs):
            raise RuntimeError(f"{command.name}: LVM2 sees otherwise: {after.differences(theirs)}")
        data.append(self._data())
        between = []
        if command.begins:
            self.bench.reset(command.active)
            self.bench.vmgr(*command.begins)
            between.append(machine.state_by_vmgr())
        names = {name for part in data for name in part}
        points = [(n, str(e)) for n, e in enumerate(found.events, 1) if e.changes]
        points.append((len(found.events) + 1, "end"))
        held = {name: tuple(part[name] for part in data if name in part) for name in names}
        return Baseline(before, after, held, tuple(points), len(found.events), tuple(between))

    def _settled(self, command: Killed) -> None:
        """Wait until a merge that runs in the background has ended."""
        if "--merge" in command.words:
            for _ in range(40):
                self.bench.vmgr("vgchange", "--poll", "y", "vg")
                if not any("merge" in line for device in machine.mapped().values() for line in device.table):
                    return
                time.sleep(0.25)

    def _trace(self, command: Killed, kill_at: int | None):
        out, err = os.memfd_create("out"), os.memfd_create("err")

        def program() -> None:
            machine.quiet(out, err)
            machine.vmgr_program(command.words)()

        found = trace(program, kill_at=kill_at, seconds=LIMIT)
        if found.late:
            machine.release_all()
        os.lseek(err, 0, os.SEEK_SET)
        self._said = os.read(err, 4000).decode(errors="replace").strip()
        os.close(out)
        os.close(err)
        return found

    # -- one point --------------------------------------------------------------------------------

    def point(self, command: Killed, baseline: Baseline, point: int, healer: str) -> Verdict:
        """Kill the command at a point, let the healer do its work, and look at what there is."""
        number, what = baseline.points[point]
        self.bench.reset(command.active)
        killed = self._trace(command, number)
        at = str(killed.killed_at) if killed.killed_at else "end"
        if killed.late:
            return Verdict(command.name, point, what, healer, None, ("hang: the command did not get to the point",))
        done = self._heal(command, healer)
        faults: list[str] = []
        left: tuple[str, ...] = ()
        if done.status is None:
            faults.append(f"hang: {healer} did not end in {LIMIT:g} s")
        elif done.status < 0 or done.status > 5 or "Traceback" in done.err or "fault in vmgr" in done.err:
            faults.append(f"crash: {healer} ended with {done.status}")
        if healer == LVM2 and not faults:
            devices = machine.mapped()
            # A device without a table holds nothing up. LVM2 tries to resume it, in vain.
            suspended = [d.name for d in devices.values() if d.suspended and d.table]
            faults += [f"suspended: {name}" for name in suspended]
            _, ids = machine.state_by_lvm2()
            left = tuple(
                dict.fromkeys((*_strays(devices, ids), *(d.name for d in devices.values() if not d.table)))
            )
            if not suspended and self.bench.vmgr("vgchange", "--refresh").status is None:
                faults.append("hang: vgchange --refresh after LVM2's")
        outdated = False
        if not any(fault.startswith("hang") for fault in faults):
            outdated = self._update()
            faults += self._judge(command, baseline, healer, done)
        said = "\n".join(filter(None, (done.out.strip(), done.err.strip())))[-600:] if faults else ""
        return Verdict(command.name, point, at, healer, done.status, tuple(faults), left, said, outdated)

    def _heal(self, command: Killed, healer: str) -> Done:
        if healer == AGAIN:
            return self.bench.vmgr(*(command.again or command.words), seconds=LIMIT)
        if healer == REFRESH:
            return self.bench.vmgr("vgchange", "--refresh", seconds=LIMIT)
        return machine.lvm("vgchange", "--refresh", seconds=LIMIT)

    def _update(self) -> bool:
        """Where a PV has left the group and keeps its older text, do what the warning says; whether there is one.

        LVM2 does not list such a PV, vmgr does, and both say what clears it: the next change of the group.
        """
        if not any("outdated PV" in warning for warning in machine.state_by_vmgr().warnings):
            return False
        self.bench.vmgr("vgck", "--updatemetadata", "vg")
        return True

    def _judge(self, command: Killed, baseline: Baseline, healer: str, done: Done) -> Iterator[str]:
        devices = machine.mapped()
        suspended = [d.name for d in devices.values() if d.suspended]
        yield from (f"suspended: {name}" for name in suspended)
        if suspended:
            machine.release_all()
            return
        yield from (f"waiting table: {d.name}" for d in devices.values() if d.waiting)
        yield from (f"no table: {d.name}" for d in devices.values() if not d.table)
        if "--merge" in command.words:
            self._settled(command)
            devices = machine.mapped()
        state = machine.state_by_vmgr()
        theirs, ids = machine.state_by_lvm2()
        if not theirs.lvs and theirs.warnings and theirs.warnings[0].startswith("LVM2 ended"):
            yield f"lvm2: {theirs.warnings[0]}"
            return
        if not state.same(theirs):
            yield f"disagree: {state.differences(theirs)}"
        yield from (f"stray: {name}" for name in _strays(devices, ids))
        wanted = [baseline.after] if healer == AGAIN else [baseline.before, *baseline.between, baseline.after]
        if healer == AGAIN and done.status == 0 and not state.same(baseline.after):
            yield f"not done: {baseline.after.differences(state)}"
        elif not any(state.idle().same(one.idle()) for one in wanted) and not self._merges(command, baseline):
            yield f"neither old nor new: {wanted[-1].idle().differences(state.idle())}"
        if "--merge" in command.words:
            devices = machine.mapped()  # which _merges may have changed
        yield from self._lost(baseline, devices, ids)
        yield from self._isolated(devices, ids)
        yield from self._as_lvm2_makes_it(devices, merging="--merge" in command.words)

    def _lost(self, baseline: Baseline, devices: dict[str, Mapped], ids: dict[str, str]) -> Iterator[str]:
        for name, data in self._data(devices, ids).items():
            kept = baseline.data.get(name)
            if kept and not any(_begins_alike(data, one) for one in kept):
                yield f"lost: {name} does not hold what it held"

    def _data(
        self, devices: dict[str, Mapped] | None = None, ids: dict[str, str] | None = None
    ) -> dict[str, bytes]:
        """What the volumes that are active hold, by their names."""
        if devices is None or ids is None:
            devices = machine.mapped()
            _, ids = machine.state_by_lvm2()
        found = {}
        for device in devices.values():
            name = ids.get(device.uuid)
            if name is not None and device.table and os.path.exists(device.path):
                try:
                    found[name] = lab.read_at(device.path, 0, lab.sectors(device.path) * 512)
                except OSError as error:
                    found[name] = str(error).encode()
        return found

    def _isolated(self, devices: dict[str, Mapped], ids: dict[str, str]) -> Iterator[str]:
        """Write to each origin: its snapshots must not change by it."""
        before = self._data(devices, ids)
        written = set()
        for device in devices.values():
            name = ids.get(device.uuid)
            if name is not None and any(line.split()[2] == "snapshot-origin" for line in device.table):
                lab.write_at(device.path, 6 * 65536, lab.pattern(99, 65536))
                written.add(name)
        if written:
            after = self._data(devices, ids)
            for name in before.keys() - written:
                if before[name] != after.get(name):
                    yield f"lost: {name} changed when its origin was written to"

    def _merges(self, command: Killed, baseline: Baseline) -> bool:
        """Whether a merge is written down and begins at the next activation, as one of a volume in use does."""
        if "--merge" not in command.words:
            return False
        machine.lvm("vgchange", "-an")
        machine.lvm("vgchange", "-ay")
        self._settled(command)
        return machine.state_by_vmgr().idle().same(baseline.after.idle())

    def _as_lvm2_makes_it(self, devices: dict[str, Mapped], *, merging: bool) -> Iterator[str]:
        """LVM2 deactivates and activates: nothing is left in between, and the same devices are there again.

        ``merging``: a merge may begin by that, and then other devices are there.
        """
        nodes = set(machine.nodes())
        before = {d.name: d for d in devices.values()}
        machine.lvm("vgchange", "-an")
        yield from (f"stray: {name} stays when LVM2 deactivates" for name in machine.mapped())
        leftover = sorted(set(machine.nodes()))
        yield from (f"node: {path} stays" for path in leftover)
        machine.lvm("vgchange", "-ay")
        if merging:
            return
        now = machine.mapped()
        for name, device in before.items():
            other = now.get(name)
            if other is None:
                yield f"table: LVM2 makes no {name}"
            elif (other.uuid, other.table) != (device.uuid, device.table):
                yield f"table: {name} is {device.table}, and LVM2 makes {other.table}"
        for path in sorted(nodes - set(machine.nodes())):
            yield f"node: {path} is not LVM2's"
        yield from (
            f"node: {path} was missing"
            for path in sorted(set(machine.nodes()) - nodes)
            if os.path.basename(path) in before and path.startswith("/dev/mapper/")
        )


def _begins_alike(one: bytes, other: bytes) -> bool:
    length = min(len(one), len(other))
    # The sector that the test itself writes to an origin (see _isolated) comes later.
    return one[:length] == other[:length]


def _strays(devices: dict[str, Mapped], ids: dict[str, str]) -> list[str]:
    """Devices of volumes that no group on the disks has."""
    return [d.name for d in devices.values() if d.uuid.startswith("LVM-") and d.uuid[:68] not in ids]


def sample(count: int, wanted: int, turn: int) -> list[int]:
    """``wanted`` of ``count`` points, spread evenly; another ``turn`` gives others."""
    if wanted <= 0 or wanted >= count:
        return list(range(count))
    step = count / wanted
    return sorted({int((k + (turn % 7) / 7) * step) % count for k in range(wanted)})


def run(matrix: Matrix, command: Killed, wanted: int = 0, turn: int = 0) -> Iterator[dict[str, object]]:
    """All points of a command, or ``wanted`` of them, each with every healer."""
    started = time.monotonic()
    try:
        baseline = matrix.baseline(command)
    except RuntimeError as error:
        yield {"command": command.name, "error": str(error)}
        return
    chosen = sample(len(baseline.points), wanted, turn)
    for number, point in enumerate(chosen):
        # A sample takes one healer a point, in turn.
        for healer in HEALERS if not wanted else (HEALERS[(number + turn) % 3],):
            yield asdict(matrix.point(command, baseline, point, healer))
    yield {
        "command": command.name,
        "calls": baseline.calls,
        "points": len(baseline.points),
        "ran": len(chosen),
        "seconds": round(time.monotonic() - started),
    }


def main() -> None:
    """Print what was found at the points asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="", help="commands whose name has this in it")
    parser.add_argument("--sample", type=int, default=0, help="points of each command; 0: all")
    parser.add_argument("--part", default="1/1", help="I/N: every N-th command, from the I-th")
    parser.add_argument(
        "--names", action="store_true", help="commands by their names, one a line of standard input"
    )
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    matrix = Matrix()
    for turn, command in enumerate(_chosen(matrix.commands, options)):
        if turn % parts == part - 1:
            for line in run(matrix, command, options.sample, matrix.commands.index(command)):
                print(json.dumps(line), flush=True)
    matrix.close()


def _chosen(known: tuple[Killed, ...], options: argparse.Namespace) -> Iterator[Killed]:
    if options.names:
        by_name = {command.name: command for command in known}
        for line in sys.stdin:
            yield by_name[line.rstrip("\n")]
    else:
        yield from (command for command in known if options.only in command.name)


if __name__ == "__main__":
    main()
