"""Puts the figures of a run of ``make proof`` into docs/reliability.md, between its markers.

``python -m tests.proof.report FOLDER``: the folder has what the parts printed, lines of JSON, in ``kill-*.json``,
``powercut-*.json`` and ``fuzz-*.json``, and ``run.json`` about the run. Ends with 1 if there was a fault.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- begin: {} -->", "<!-- end: {} -->"
HEALERS = {"again": "the same command", "refresh": "vgchange --refresh", "lvm2": "LVM2's vgchange --refresh"}

Line = dict[str, object]


def read(folder: Path, what: str) -> list[Line]:
    """The objects that the parts of one kind printed."""
    return [
        json.loads(line)
        for path in sorted(folder.glob(f"{what}*.json"))
        for line in path.read_text().splitlines()
        if line.startswith("{")
    ]


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """A table of Markdown."""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(str(cell) for cell in row) + " |"


def kill(lines: list[Line]) -> tuple[list[str], int]:
    """The kill matrix as text, and the number of its faults."""
    text: list[str] = []
    rows, faults = [], 0
    verdicts = [line for line in lines if "healer" in line]
    ends = {line["command"]: line for line in lines if "ran" in line}
    broken = {line["command"]: line["error"] for line in lines if "error" in line}
    kinds: Counter[str] = Counter()
    found: list[str] = []
    for command in dict.fromkeys(line["command"] for line in lines):
        mine = [line for line in verdicts if line["command"] == command]
        cells = []
        for healer in HEALERS:
            some = [line for line in mine if line["healer"] == healer]
            good = sum(not line["faults"] for line in some)
            cells.append(f"{good} of {len(some)}")
        for line in mine:
            wrong = [str(fault) for fault in line["faults"]]  # type: ignore[attr-defined]
            kinds.update({fault.split(":")[0] for fault in wrong})
            if wrong:
                faults += 1
                found.append(
                    f"{command}, killed before `{line['at']}`, then {HEALERS[str(line['healer'])]}: {wrong[0]}"
                )
        lost = sum(any(str(f).startswith("lost") for f in line["faults"]) for line in mine)  # type: ignore[attr-defined]
        end = ends.get(command, {})
        ran = len({line["point"] for line in mine})
        rows.append((command, end.get("calls", "?"), end.get("points", "?"), ran, *cells, lost))
    points = {(line["command"], line["point"]) for line in verdicts}
    text.append(
        f"{len(points)} points of {len(rows)} commands, {len(verdicts)} runs; every run on fresh disks."
        f" Healed: {len(verdicts) - faults}. Lost data: {kinds['lost']}. Left suspended: {kinds['suspended']}."
    )
    text.append("")
    text += table(["command", "calls", "points", "killed at", *HEALERS.values(), "lost"], rows)
    left = sum(bool(line["left"]) for line in verdicts if line["healer"] == "lvm2")
    text += [
        "",
        "After LVM2's `vgchange --refresh` devices of volumes that no metadata know, or without a table, were there"
        f" at {left} points;",
    ]
    text += ["vmgr's next command put them in order where the table counts the run as healed."]
    outdated = sum(bool(line.get("outdated")) for line in verdicts)
    if outdated:
        text += [
            f"At {outdated} points both tools told of a physical volume that had left the group and kept its text;",
            "`vgck --updatemetadata`, which both name, came next there.",
        ]
    if found or broken:
        text += ["", f"Not healed, the first of each command ({len(found)} runs in all):", ""]
        first: dict[str, str] = {}
        for line in found:
            first.setdefault(line.split(",")[0], line)
        text += [f"- {line[:300]}" for line in first.values()]
        text += [f"- {command}: could not be tried: {error}" for command, error in broken.items()]
    return text, faults + len(broken)


def powercut(lines: list[Line]) -> tuple[list[str], int]:
    """The power-cut matrix as text, and the number of its faults."""
    rows, faults = [], 0
    wrong: list[str] = []
    done = [line for line in lines if "states" in line]
    otherwise = 0
    for layout in dict.fromkeys(str(line["layout"]) for line in done):
        mine = [line for line in done if line["layout"] == layout]
        bad = [f"{line['command']}: {fault}" for line in mine for fault in line["faults"]]  # type: ignore[attr-defined]
        # A group that is being renamed has its old name on some disks and the new one on others for a moment. By
        # its UUID it is one group to vmgr; what LVM2 makes of that state is its own.
        theirs = [fault for fault in bad if fault.startswith("vgrename:") and "LVM2" in fault]
        bad = [fault for fault in bad if fault not in theirs]
        otherwise += len(theirs)
        wrong += bad
        sums = [sum(int(str(line[key])) for line in mine) for key in ("writes", "flushes", "states")]
        cut_short = sum(bool(line.get("cut short")) for line in mine)
        rows.append((layout, len(mine), *sums, len(bad), cut_short))
        faults += len(bad)
    errors = [line for line in lines if "error" in line]
    text = list(
        table(["disks", "commands", "writes", "flushes", "states read by both", "faults", "not tried whole"], rows)
    )
    crashes = sum(int(str(line["crashes"])) for line in lines if "crashes" in line)
    text += ["", f"LVM2 crashed on {crashes} of these states."]
    if otherwise:
        text += [
            f"Where a `vgrename` is cut and disks have two names, LVM2 read otherwise {otherwise} times:",
            "2.03.16 the group by its older name, 2.03.40 two groups that each miss disks. vmgr shows one, whole.",
        ]
    text += [f"- {line[:300]}" for line in wrong[:10]]
    text += [f"- could not be tried: {line['error']}" for line in errors]
    return text, faults + len(errors)


def fuzz(lines: list[Line]) -> tuple[list[str], int]:
    """The fuzzing figures as text, and the number of faults."""
    kinds: dict[str, list[int]] = {}
    faults: dict[str, str] = {}
    for line in lines:
        if "kind" in line:
            sums = kinds.setdefault(str(line["kind"]), [0, 0, 0])
            sums[0] += int(str(line["inputs"]))
            sums[1] += int(str(line["accepted"]))
            mine = line["faults"]
            assert isinstance(mine, dict)
            sums[2] += len(mine)
            faults.update(mine)
    total = sum(sums[0] for sums in kinds.values())
    text = [f"{total:,} damaged inputs in all; {len(faults)} kinds of exception that are no VmgrError.", ""]
    text += table(
        ["what", "inputs", "taken as they were", "faults"], ((k, *(f"{n:,}" for n in v)) for k, v in kinds.items())
    )
    by: dict[str, list[int]] = {}
    for line in lines:
        if "lvm2" in line:
            sums = by.setdefault(str(line["lvm2"]), [0, 0, 0])
            for n, key in enumerate(("inputs", "crashes", "did not end")):
                sums[n] += int(str(line[key]))
    text.append("")
    for version, (count, crashes, late) in by.items():
        text.append(
            f"Of {count:,} damaged metadata texts, LVM2 {version} crashed on {crashes}; {late} did not end."
        )
    text += [f"- {fault}" for fault in faults]
    return text, len(faults)


def put(page: str, name: str, text: Sequence[str]) -> str:
    """The page with ``text`` between the markers of this name."""
    begin, end = BEGIN.format(name), END.format(name)
    head, found, rest = page.partition(begin)
    _, there, tail = rest.partition(end)
    if not found or not there:
        raise SystemExit(f"{PAGE} has no markers for {name}")
    return "\n".join([head + begin, *text, end]) + tail


def main() -> None:
    """Write the page."""
    folder = Path(sys.argv[1])
    page, faults = PAGE.read_text(), 0
    about = json.loads((folder / "run.json").read_text())
    page = put(page, "run", [f"- {key}: {value}" for key, value in about.items()])
    for name, make in (("kill", kill), ("powercut", powercut), ("fuzz", fuzz)):
        lines = read(folder, name)
        if lines:
            text, count = make(lines)
            page, faults = put(page, name, text), faults + count
            print(f"{name}: {text[0]} Faults: {count}")
    PAGE.write_text(page)
    print(f"{PAGE.name} is written; {faults} faults")
    raise SystemExit(1 if faults else 0)


if __name__ == "__main__":
    main()
