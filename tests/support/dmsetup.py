"""The same commands through Debian's dmsetup, through ``vmgr dm`` and through a link called dmsetup that is vmgr.

Inside the lab::

    from tests.support.dmsetup import Hold, Release, Step, agree

    agree(
        "create one --table '0 8 zero'",
        Step("create two", stdin="0 8 error\\n"),
        Hold("one"),
        "remove one",                      # fails in each
        Release("one"),
        "info -c -o name,open",
    )

Each tool starts with nothing: no mapped devices, zeroed disks. After each step the state of the kernel and of
``/dev/mapper`` is taken, and all of it must be alike: exit statuses (``vmgr dm`` has 3 and 5 where dmsetup has
1), what was printed, every device's header, tables and dependencies, and the nodes. Numbers are compared as they
are: the kernel gives the same minor numbers to the same sequence. ``{0}`` and ``{1}`` in words and input stand
for the numbers (``7:0``) of the ``disks`` given, ``{path0}`` for their paths.

The state is read with :class:`vmgr.dm.query.DmReader`, which tests/kernel/test_dm_dmsetup.py holds to dmsetup.
vmgr runs in this interpreter, as a Python takes most of a second to start in the guest; it has its own files in
place of 0, 1 and 2, so that what its children print is seen, too.
"""

from __future__ import annotations

import difflib
import io
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support import lab
from vmgr.dm.client import DmClient, by_name

THEIRS, OURS, LINK = "dmsetup", "vmgr dm", "link dmsetup"


class Step:
    """One command line, without the tool's name in front.

    ``output`` False: standard output is not compared. ``same`` is applied to standard output and standard error
    before they are compared, to take out what must differ. ``errors`` says how standard error of dmsetup and of the
    link compare: ``alike`` (both say something, or neither does), ``same`` (to the byte) or ``any``.
    ``status`` is the exit status that dmsetup must have, None for any: a case that is meant to fail should say so.
    ``env`` is added to the environment.
    """

    def __init__(
        self,
        words: str | Sequence[str],
        *,
        stdin: str = "",
        output: bool = True,
        errors: str = "alike",
        same: Callable[[str], str] = str,
        status: int | None = None,
        env: dict[str, str] | None = None,
    ) -> None:
        self.words = shlex.split(words) if isinstance(words, str) else list(words)
        self.stdin = stdin
        self.output = output
        self.errors = errors
        self.same = same
        self.status = status
        self.env = env or {}

    def __repr__(self) -> str:
        return shlex.join(self.words)


class Hold:
    """Keep the mapped device ``name`` open until :class:`Release` of it, or the end of the run."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"(hold {self.name})"


class Release:
    """Close what :class:`Hold` opened."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"(release {self.name})"


class Do:
    """Call ``what()`` in each run: for what no tool is to do, such as spoiling a node."""

    def __init__(self, what: Callable[[], object], name: str = "(do)") -> None:
        self.what = what
        self.name = name

    def __repr__(self) -> str:
        return self.name


AnyStep = str | Step | Hold | Release | Do


class After:
    """What a step left: the command's end, and the state of the machine."""

    def __init__(self, status: int, stdout: str, stderr: str, state: dict[str, list[str]]) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr
        self.state = state


# -- one command ----------------------------------------------------------------------------------


@contextmanager
def _own_files(stdin: str, env: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Files of this process's own in place of 0, 1 and 2; yields the descriptors that have 1 and 2."""
    given, out, err = (os.memfd_create(name) for name in ("stdin", "stdout", "stderr"))
    os.write(given, os.fsencode(stdin))
    os.lseek(given, 0, os.SEEK_SET)
    streams = sys.stdin, sys.stdout, sys.stderr
    for stream in streams[1:]:
        stream.flush()
    saved = [os.dup(fd) for fd in (0, 1, 2)]
    before = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        for fd, ours in enumerate((given, out, err)):
            os.dup2(ours, fd)
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False, errors="surrogateescape")
        sys.stderr = os.fdopen(2, "w", closefd=False, errors="surrogateescape")
        yield out, err
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, ValueError):
                pass
        sys.stdin, sys.stdout, sys.stderr = streams
        for fd, kept in enumerate(saved):
            os.dup2(kept, fd)
            os.close(kept)
        os.close(given)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def in_process(argv: Sequence[str], stdin: str = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run vmgr's command line ``argv``, program name first, here: its status, output and errors."""
    from vmgr.cli.main import main

    with _own_files(stdin, env or {}) as (out, err):
        try:
            status = main(list(argv))
        except SystemExit as error:
            status = int(error.code or 0)
    texts = []
    for fd in (out, err):
        with open(fd, "rb") as file:
            file.seek(0)
            texts.append(os.fsdecode(file.read()))
    return status, *texts


def run_tool(
    tool: str, words: Sequence[str], stdin: str = "", env: dict[str, str] | None = None
) -> tuple[int, str, str]:
    """Run one command line through one of the three tools."""
    if tool == THEIRS:
        done = lab.run("dmsetup", *words, check=False, stdin=stdin, env=env)
        return done.returncode, done.stdout, done.stderr
    return in_process(["vmgr", "dm", *words] if tool == OURS else ["dmsetup", *words], stdin, env)


# -- the state of the machine ---------------------------------------------------------------------


def state() -> dict[str, list[str]]:
    """What the kernel has of each device, and what is in /dev/mapper: lines by device and by node.

    The node of a device without a table is left out. Nothing can open it, and dmsetup makes one at a resume, vmgr
    (and udev) does not.
    """
    found: dict[str, list[str]] = {}
    empty: set[str] = set()
    with DmClient.open(use_udev=False) as dm:
        for device in dm.devices(tables=True):
            dev = by_name(device.name)
            if not device.has_live:
                empty.add(device.name)
            queue = f"/sys/dev/block/{device.major}:{device.minor}/queue/read_ahead_kb"
            read_ahead = ""
            if os.path.exists(queue):
                with open(queue) as file:
                    read_ahead = file.read().strip()
            found[f"device {device.name}"] = [
                repr(device),
                f"waiting table {dm.table(dev, inactive=True)}",
                f"deps {dm.deps(dev)} waiting {dm.deps(dev, inactive=True)}",
                f"read ahead {read_ahead}",
            ]
    for entry in sorted(os.scandir("/dev/mapper"), key=lambda entry: entry.name):
        if entry.name not in empty:
            found[f"node {entry.name}"] = [_node(entry.path)]
    return found


def _node(path: str) -> str:
    status = os.lstat(path)
    what = f"mode {status.st_mode:o} owner {status.st_uid}:{status.st_gid}"
    if os.path.islink(path):
        return f"{what} -> {os.readlink(path)}"
    return f"{what} number {os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"


def reset(disks: Sequence[str] = ()) -> None:
    """No mapped device, no node but the control node, and zeroed disks."""
    lab.settle()
    failures = lab.remove_mapped(
        set()
    )  # a device that was suspended without a table cannot be resumed, but removed
    lab.settle()
    if lab.mapped_devices():
        pytest.fail("left behind:\n" + "\n".join(failures), pytrace=False)
    for disk in disks:
        lab.wipe(disk)


# -- a sequence -----------------------------------------------------------------------------------


def build(*steps: AnyStep, disks: Sequence[str] = ()) -> None:
    """Run the steps through dmsetup, each of which must succeed, and leave what they made."""
    places = _places(disks)
    for step in map(_step, steps):
        assert isinstance(step, Step | Do), f"not for building: {step}"
        if isinstance(step, Do):
            step.what()
            continue
        words = [_filled(word, places) for word in step.words]
        lab.run("dmsetup", *words, stdin=_filled(step.stdin, places), env=step.env)
    lab.settle()


def run_sequence(tool: str, steps: Sequence[AnyStep], disks: Sequence[str] = ()) -> list[After]:
    """Run the steps through one tool, from nothing; what each of them left."""
    reset(disks)
    places = _places(disks)
    held: dict[str, int] = {}
    found: list[After] = []

    try:
        for step in map(_step, steps):
            status, out, err = 0, "", ""
            if isinstance(step, Step):
                words = [_filled(word, places) for word in step.words]
                status, out, err = run_tool(tool, words, _filled(step.stdin, places), step.env)
            elif isinstance(step, Hold):
                held[step.name] = os.open(f"/dev/mapper/{step.name}", os.O_RDONLY | os.O_CLOEXEC)
            elif isinstance(step, Release):
                os.close(held.pop(step.name))
                lab.until(_none_is_going, "a removal that was deferred")
            else:
                step.what()
            lab.settle()
            found.append(After(status, out, err, state()))
    finally:
        for fd in held.values():
            os.close(fd)
        reset()
    return found


def _none_is_going() -> bool:
    """Whether no device that is closed still waits for its deferred removal, which the kernel does by and by."""
    with DmClient.open(use_udev=False) as dm:
        return not any(device.deferred_remove and not device.open_count for device in dm.devices())


def _step(step: AnyStep) -> Step | Hold | Release | Do:
    return Step(step) if isinstance(step, str) else step


def _places(disks: Sequence[str]) -> dict[str, str]:
    places = {f"path{at}": disk for at, disk in enumerate(disks)}
    return places | {str(at): _number(disk) for at, disk in enumerate(disks)}


def _filled(text: str, places: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: places.get(match[1], match[0]), text)


def _number(path: str) -> str:
    number = os.stat(path).st_rdev
    return f"{os.major(number)}:{os.minor(number)}"


def agree(*steps: AnyStep, disks: Sequence[str] = (), tools: Sequence[str] = (OURS, LINK)) -> list[After]:
    """Run the steps through dmsetup and through ``tools``; they must agree after each step. dmsetup's results."""
    wanted = run_sequence(THEIRS, steps, disks)
    for step, after in zip(steps, wanted, strict=True):
        if isinstance(step, Step) and step.status is not None and after.status != step.status:
            pytest.fail(f"dmsetup {step} ended with {after.status}\n{after.stdout}{after.stderr}", pytrace=False)
    for tool in tools:
        for at, after in enumerate(run_sequence(tool, steps, disks)):
            step = _step(steps[at])
            wrong = differences(tool, step, wanted[at], after)
            if wrong:
                before = "".join(f"  {earlier}\n" for earlier in steps[:at])
                pytest.fail(f"{tool} differs from dmsetup at: {step}\nafter\n{before}{wrong}", pytrace=False)
    return wanted


def same_answers(*questions: str | Step, tools: Sequence[str] = (OURS, LINK)) -> None:
    """Ask dmsetup and ``tools`` about the machine as it is now; the answers must be alike, and nothing changes.

    All differences are told together.
    """
    before, wrong = state(), []
    for question in questions:
        step = Step(question) if isinstance(question, str) else question
        wanted = After(*run_tool(THEIRS, step.words, step.stdin, step.env), {})
        if step.status is not None and wanted.status != step.status:
            wrong.append(f"dmsetup {step} ended with {wanted.status}\n{wanted.stdout}{wanted.stderr}")
        for tool in tools:
            found = After(*run_tool(tool, step.words, step.stdin, step.env), {})
            told = differences(tool, step, wanted, found)
            if told:
                wrong.append(f"{tool} {step}\n{told}")
    if state() != before:
        wrong.append(_diff("a question changed the state", _listed(before), _listed(state())))
    if wrong:
        pytest.fail("\n".join(wrong), pytrace=False)


def differences(tool: str, step: Step | Hold | Release | Do, wanted: After, found: After) -> str:
    """What differs after a step between dmsetup and another tool; empty if nothing does."""
    told = io.StringIO()
    if isinstance(step, Step):
        expected = wanted.status if tool == LINK else bool(wanted.status)
        if (found.status if tool == LINK else bool(found.status)) != expected:
            told.write(f"exit status: dmsetup {wanted.status}, {tool} {found.status}\n")
        if not step.output:
            pass
        elif step.same(wanted.stdout) != step.same(found.stdout):
            told.write(_diff("standard output", step.same(wanted.stdout), step.same(found.stdout)))
        if tool == LINK and step.errors != "any":
            theirs, ours = step.same(_said(wanted.stderr)), step.same(_said(found.stderr))
            if (step.errors == "same" and theirs != ours) or bool(theirs) != bool(ours):
                told.write(_diff("standard error", theirs, ours))
    if wanted.state != found.state:
        told.write(_diff("state", _listed(wanted.state), _listed(found.state)))
    if told.getvalue():
        told.write(f"dmsetup said:\n{wanted.stderr}{tool} said:\n{found.stderr}")
    return told.getvalue()


def _said(errors: str) -> str:
    """Without dmsetup's complaint that it cannot ask the node for the read-ahead of a device without a table."""
    return re.sub(r"(?m)^/dev/.*: open failed: No such .*\n", "", errors)


def _listed(found: dict[str, list[str]]) -> str:
    return "".join(f"{name}: {line}\n" for name, lines in found.items() for line in lines)


def _diff(what: str, theirs: str, ours: str) -> str:
    lines = difflib.unified_diff(theirs.splitlines(), ours.splitlines(), "dmsetup", "vmgr", lineterm="", n=1)
    text = "\n".join(lines)
    if not text and theirs != ours:
        text = f"{theirs!r}\n{ours!r}"
    return f"{what}:\n{text}\n"
