"""The safe repairs of ``--fix``, a function for each kind. Nothing else in this package changes anything.

A repair is safe if it cannot lose data: nodes and links, the module, left-over semaphores. No
suspended device is resumed here, and no file is removed that is not a device node or a link.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.errors import KernelError, Refused, VmgrError
from vmgr.doctor.examine import examine
from vmgr.doctor.finding import Repair
from vmgr.doctor.machine import look
from vmgr.doctor.nodes import certain, reader_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vmgr.dm.query import DmReader
    from vmgr.doctor.examine import Question
    from vmgr.doctor.finding import Finding

ORDER = ("load-module", "control", "nodes", "migrate", "cookie")
"""Kinds of repairs, in the order in which each makes the next one possible."""

ROUNDS = 10
"""The most examinations: a loaded module reveals problems of the control node, and that reveals those of nodes."""


@frozen
class Done:
    """The result of one repair. ``error`` is why it failed, None if it did not."""

    repair: Repair
    error: VmgrError | None = None


@frozen
class Result:
    """The repairs that ``--fix`` did, and the findings of the last examination."""

    done: tuple[Done, ...]
    left: tuple[Finding, ...]


def fix(question: Question, say: Callable[[str], None] = lambda text: None) -> Result:
    """Examine, repair, and examine again, until no repair is left.

    ``say`` is called before each repair with a description that follows "Fixing:".
    """
    done: list[Done] = []
    tried: set[tuple[object, ...]] = set()
    findings = examine(question)
    for _ in range(ROUNDS):
        todo = [r for r in repairs(findings) if (r.kind, r.arguments) not in tried]
        if not todo:
            break
        # One kind at a time, because the problems of the next kind may become visible only now.
        first = [r for r in todo if r.kind == todo[0].kind]
        tried |= {(r.kind, r.arguments) for r in first}
        for repair in first:
            say(repair.does)
        came = _run(question, first)
        for one in came:
            if one.repair not in first:
                say(one.repair.does)  # repaired together with the others
        done += came
        findings = examine(question)
    return Result(tuple(done), findings)


def repairs(findings: Sequence[Finding]) -> list[Repair]:
    """The repairs for findings, each once, in order."""
    found: dict[tuple[object, ...], Repair] = {}
    for finding in findings:
        if finding.repair is not None:
            found.setdefault((finding.repair.kind, finding.repair.arguments), finding.repair)
    return sorted(found.values(), key=lambda repair: ORDER.index(repair.kind))


def _run(question: Question, batch: Sequence[Repair]) -> list[Done]:
    """Do repairs of one kind."""
    try:
        if batch[0].kind == "nodes":
            return _nodes(question, batch)
    except VmgrError as error:
        return [Done(repair, error) for repair in batch]
    done = []
    for repair in batch:
        try:
            _ONE[repair.kind](question, repair)
        except VmgrError as error:
            done.append(Done(repair, error))
        except OSError as problem:
            done.append(Done(repair, KernelError(f"{problem.filename or repair.does}: {problem.strerror}")))
        else:
            done.append(Done(repair))
    return done


def _load_module(question: Question, repair: Repair) -> None:
    from vmgr.dm.module import load_module

    load_module()


def _control(question: Question, repair: Repair) -> None:
    from vmgr.dm.control import repair_control

    repair_control(question.roots.dev, question.roots.proc)


def _cookie(question: Question, repair: Repair) -> None:
    """Remove a cookie, unless it has changed since the examination."""
    from vmgr.dm.semaphores import Semaphores
    from vmgr.doctor.cookies import gather, may_go

    value, semid = repair.arguments
    for cookie in gather(question.roots, question.now).cookies:
        if (cookie.value, cookie.semid) == (value, semid):
            if not may_go(cookie):
                raise Refused(f"the cookie {value:#x} is in use again: it stays")
            Semaphores().remove(cookie.semid)
            return


@contextmanager
def _sure_reader(question: Question) -> Iterator[DmReader]:
    """A reader that knows every device. The repair would remove the nodes of devices that it does not know."""
    machine = look(question.roots, ask=question.ask)
    try:
        reader = reader_of(machine) if certain(machine) else None
        if reader is None:
            raise KernelError(
                f"nodes were left as they are: the kernel cannot be queried ({machine.asked.why or 'no answer'})",
                hint="vmgr doctor control kernel",
            )
        yield reader
    finally:
        machine.close()


def _migrate(question: Question, repair: Repair) -> None:
    from vmgr.dm.migration import migrate

    roots = question.roots
    with _sure_reader(question) as reader:
        migrate(reader, dev_dir=roots.dev, proc=roots.proc)


def _nodes(question: Question, batch: Sequence[Repair]) -> list[Done]:
    """Repair all nodes at once. The library reports path by path what it leaves."""
    from vmgr.dm import directory

    roots = question.roots
    with _sure_reader(question) as reader:
        result = directory.repair(reader, dev_dir=roots.dev, proc=roots.proc, run=roots.run)
    failed = {problem.path: problem.text for problem in result.left}
    asked = {str(repair.arguments[0]) for repair in batch}
    done = [Done(Repair("nodes", p.action, (p.path,))) for p in result.done if p.path not in asked]
    for repair in batch:
        text = failed.get(str(repair.arguments[0]))
        done.append(Done(repair, KernelError(text) if text is not None else None))
    return done


_ONE: dict[str, Callable[[Question, Repair], None]] = {
    "load-module": _load_module,
    "control": _control,
    "cookie": _cookie,
    "migrate": _migrate,
}
