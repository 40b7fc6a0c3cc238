"""The same command by LVM2 and by vmgr on equal disks: what each says, and what it leaves on them.

Four loop devices, ``D1`` to ``D4`` in command lines, get the same contents before each run. What is on them
afterwards is told by LVM2, whoever wrote it, in words that two runs have in common: without UUIDs, times and names
of hosts.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from attrs import frozen

from tests.support.lvm2 import Lvm2
from vmgr.cli.main import main
from vmgr.ondisk.text import parse

MIB = 1 << 20
SIZE = 12 * MIB
COUNT = 4

STATES: dict[str, tuple[str, ...]] = {
    "blank": (),
    "pvs": ("pvcreate D1 D2 D3",),
    "group": (
        "pvcreate D3",
        "vgcreate -s 256k --addtag g vg D1 D2",
        "pvchange --addtag p D2",
    ),
    "volumes": (
        "pvcreate D3",
        "vgcreate -s 256k --addtag g vg D1 D2",
        "pvchange --addtag p D2",
        "lvcreate -an -Zn -Wn -l 4 -n a --addtag t vg D1",
        "lvcreate -an -Zn -Wn -l 4 -i 2 -I 64k -n b vg",
        "lvcreate -an -Zn -Wn -l 2 -n c -p r vg D2",
    ),
    "snapshot": (
        "vgcreate -s 256k vg D1 D2",
        "lvcreate -an -Zn -Wn -l 8 -n a vg D1",
        "vmgr lvcreate -an -s -l 4 -n s vg/a",
        "lvcreate -an -Zn -Wn -l 2 -n c vg",
    ),
    "two": (
        "vgcreate -s 256k vg D1",
        "vgcreate -s 256k other D2 D3",
        "lvcreate -an -Zn -Wn -l 2 -n a vg",
        "lvcreate -an -Zn -Wn -l 2 -n x --addtag t other",
    ),
    "exported": ("vgcreate -s 256k vg D1 D2", "vgexport vg"),
    "ends": ("pvcreate --metadatacopies 2 D1", "vgcreate -s 256k vg D1 D2"),
}
"""What is on the disks before a command: the commands that make it so."""


@frozen
class Result:
    """What a command did: its exit status, standard output without device names, and what is on the disks then."""

    status: int
    output: str
    tree: Mapping[str, object]
    said: str = ""


class EqualDisks:
    """A context manager around the four disks and LVM2's surroundings for them."""

    def __init__(self, directory: Path) -> None:
        self.lvm = Lvm2(directory / "lvm")
        self.directory = directory
        self.states: dict[str, tuple[bytes, ...]] = {}
        self.trees: dict[tuple[str, bool], Mapping[str, object]] = {}

    def __enter__(self) -> EqualDisks:
        for number in range(1, COUNT + 1):
            self.lvm.disk(self.directory / f"disk{number}", SIZE)
        self.lvm.run("version")  # writes lvm.conf
        (self.lvm.dir / "profile").mkdir()
        (self.lvm.dir / "profile" / "fine.profile").write_text("activation { thin_pool_autoextend_threshold=80 }\n")
        (self.lvm.dir / "profile" / "cmd.profile").write_text("report { headings=0 }\n")
        (self.lvm.dir / "profile" / "odd.profile").write_text('devices { dir="/x" }\n')
        return self

    def __exit__(self, *exc: object) -> None:
        self.lvm.release()

    # -- contents ---------------------------------------------------------------------------------

    def prepare(self, state: str) -> None:
        """Put the contents called ``state`` on the disks."""
        if state not in self.states:
            self._write(tuple(bytes(SIZE) for _ in self.lvm.devices))
            self._tidy()
            for command in STATES[state]:
                if command.startswith("vmgr "):  # LVM2 makes snapshots only where there is a device mapper
                    status, _, said = self._vmgr(self._words(command.removeprefix("vmgr ")))
                else:
                    done = self._lvm(self._words(command), program="lvm")
                    status, said = done.returncode, done.stdout + done.stderr
                assert status == 0, f"{command}: {said}"
            self.states[state] = tuple(Path(device).read_bytes() for device in self.lvm.devices)
        self._write(self.states[state])
        self._tidy()

    def _write(self, contents: tuple[bytes, ...]) -> None:
        for device, data in zip(self.lvm.devices, contents, strict=True):
            with open(device, "r+b", buffering=0) as file:
                for at in range(0, SIZE, MIB):
                    file.seek(at)
                    if file.read(MIB) != data[at : at + MIB]:
                        file.seek(at)
                        file.write(data[at : at + MIB])
                os.fsync(file.fileno())

    def _tidy(self) -> None:
        for name in ("backup", "archive", "devices", "cache"):
            shutil.rmtree(self.lvm.dir / name, ignore_errors=True)
        for left in self.directory.glob("out*"):
            left.unlink()

    # -- running ----------------------------------------------------------------------------------

    def _words(self, line: str) -> list[str]:
        names = {f"D{n}": device for n, device in enumerate(self.lvm.devices, 1)} | {"OUT": f"{self.directory}/out"}
        text = re.sub(r"\b(D[1-4]|OUT)\b", lambda match: names[match[1]], line)
        return shlex.split(text)

    def _lvm(self, words: list[str], program: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words[:1], "--driverloaded", "n", *words[1:]] if text is None else [program],
            env=self.environ(), input=text, stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def environ(self) -> dict[str, str]:
        """The surroundings of both."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/root",
            "LC_ALL": "C",
            "TZ": "UTC0",
            "LVM_SYSTEM_DIR": str(self.lvm.dir),
            "LVM_SUPPRESS_FD_WARNINGS": "1",
        }

    def before(self, state: str, command: str) -> Mapping[str, object]:
        """What is on the disks before ``command``, in the words of :meth:`tree`."""
        key = state, command.startswith("pvresize")
        if key not in self.trees:
            self.prepare(state)
            self.trees[key] = self.tree(command)
        return self.trees[key]

    def by_lvm2(self, state: str, line: str, program: str = "lvm") -> Result:
        """Run a command by LVM2."""
        self.prepare(state)
        done = self._lvm(self._words(line), program)
        return Result(done.returncode, self._plain(done.stdout), self.tree(line), done.stderr)

    def by_vmgr(self, state: str, line: str) -> Result:
        """Run a command by vmgr, in this process."""
        self.prepare(state)
        status, out, said = self._vmgr(self._words(line))
        return Result(status, self._plain(out), self.tree(line), said)

    def _vmgr(self, words: list[str]) -> tuple[int, str, str]:
        out, errors = io.StringIO(), io.StringIO()
        before, environ = dict(os.environ), self.environ()
        os.environ.clear()
        os.environ.update(environ)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), _no_input():
                status = main(["vmgr", words[0], "--driverloaded", "n", *words[1:]])
        finally:
            os.environ.clear()
            os.environ.update(before)
        return status, out.getvalue(), errors.getvalue()

    def _plain(self, text: str) -> str:
        for number, device in enumerate(self.lvm.devices, 1):
            text = re.sub(rf"{re.escape(device)}\b *", f"D{number} ", text)
        text = re.sub(r"\b[\w]{6}(-[\w]{4}){5}-[\w]{6}\b", "UUID", text)
        text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
        return "\n".join(line.rstrip() for line in text.splitlines())

    # -- what is there ----------------------------------------------------------------------------

    def tree(self, command: str = "") -> dict[str, object]:
        """What LVM2 finds on the disks: groups as nested mappings, physical volumes as facts, files by name.

        Which areas are in use is left to chance by LVM2, so their number is told. After ``pvresize`` LVM2's text
        takes a device for shorter than it is; that is left out.
        """
        folder = self.directory / "text"
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        columns = (
            "pv_name,vg_name,pv_attr,pv_size,dev_size,pe_start,pv_mda_count,pv_mda_size,pv_ba_start,pv_ba_size,pv_tags,"
            "pv_mda_used_count"
        )
        done = self._lvm(
            [],
            "lvm",
            f"vgcfgbackup --driverloaded n -f {folder}/%s\n"
            f"pvs --driverloaded n --noheadings --units s --separator | -o {columns}\n",
        )
        tree: dict[str, object] = {}
        names = {device: f"D{number}" for number, device in enumerate(self.lvm.devices, 1)}
        for line in done.stdout.splitlines():
            fields = line.strip().split("|")
            if len(fields) == len(columns.split(",")) and fields[0] in names:
                tree[f"pv {names[fields[0]]}"] = dict(zip(columns.split(",")[1:], fields[1:], strict=True))
        used = sum(int(facts.pop("pv_mda_used_count")) for facts in tree.values())  # type: ignore[attr-defined]
        for path in sorted(folder.iterdir()):
            tree[f"vg {path.name}"] = _normal(parse(path.read_text())[path.name], names)
        if command.startswith("pvresize"):
            for name, group in tree.items():
                if name.startswith("vg ") and isinstance(group, dict):
                    for facts in group["physical_volumes"].values():
                        facts.pop("dev_size")
        tree["areas in use"] = used
        tree["files"] = sorted(path.name for path in self.directory.glob("out*"))
        return tree


@contextlib.contextmanager
def _no_input() -> Iterator[None]:
    import sys

    old = sys.stdin
    with open(os.devnull) as nothing:
        sys.stdin = nothing
        try:
            yield
        finally:
            sys.stdin = old


_PASSING = ("id", "seqno", "creation_time", "creation_host")


def _normal(group: object, names: Mapping[str, str]) -> object:
    """A group without what no two runs have in common, its physical volumes by the names of their disks."""
    assert isinstance(group, Mapping)
    pvs = {key: names.get(str(pv["device"]), "?") for key, pv in group.get("physical_volumes", {}).items()}

    def plain(value: object) -> object:
        if isinstance(value, Mapping):
            return {pvs.get(key, key): plain(item) for key, item in value.items() if key not in _PASSING}
        if isinstance(value, tuple):
            return tuple(pvs.get(item, item) if isinstance(item, str) else item for item in value)
        return names.get(value, value) if isinstance(value, str) else value

    return plain(group)


def effect(before: object, after: object) -> str:
    """What changed, in few words: ``nothing``, or the names of what is new, gone or different."""
    assert isinstance(before, Mapping)
    assert isinstance(after, Mapping)
    found: list[str] = []
    for key in sorted({*before, *after}):
        if key not in before:
            found.append(f"+{key}")
        elif key not in after:
            found.append(f"-{key}")
        elif before[key] != after[key]:
            inside = _inside(before[key], after[key])
            if any(words.startswith("vg_name=") for words in inside):
                inside = [words for words in inside if words.startswith("vg_name=")]  # the rest follows from that
            found.append(f"{key}: {', '.join(inside)}")
    return "; ".join(found) or "nothing"


def _inside(before: object, after: object) -> list[str]:
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        return [f"{after}"]
    found: list[str] = []
    for key in sorted({*before, *after}):
        if before.get(key) == after.get(key):
            continue
        if key in ("logical_volumes", "physical_volumes"):
            kind = key[:1] + "v"
            old, new = before.get(key, {}), after.get(key, {})
            found += [f"+{kind} {name}" for name in new if name not in old]
            found += [f"-{kind} {name}" for name in old if name not in new]
            found += [
                f"{kind} {name} {', '.join(_inside(old[name], new[name]))}"
                for name in new
                if name in old and old[name] != new[name]
            ]
        elif key not in after:
            found.append(f"-{key}")
        elif isinstance(after[key], Mapping):
            found.append(key)
        else:
            value = after[key]
            found.append(f"{key}={','.join(map(str, value)) if isinstance(value, tuple) else value}")
    return found
