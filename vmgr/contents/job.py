"""What is to be done to a volume's content around the change of the volume itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.units import Bytes
    from vmgr.outcome import Dialogue
    from vmgr.system.putback import Note, PutBack

MANAGE, NOCHANGE, OFFLINE = "manage", "nochange", "offline"
"""What may be done to mounts (``--fsmode``): whatever is needed; nothing; resize while it is unmounted."""


@frozen
class Manner:
    """How a content may be resized. ``mode`` is one of the above, ``check`` runs the file system's check first."""

    dialogue: Dialogue
    mode: str = MANAGE
    check: bool = True


@frozen
class Task:
    """One step: ``text`` is the command as typed by hand.

    ``undo`` puts back what it changed for the time. ``away`` is what it takes away from the rest of the system, and
    what comes back even after a kill: see :mod:`vmgr.system.putback`. ``check`` finds out, for a plan that is not
    run, whether the step can succeed, where only doing it tells; it changes nothing.
    """

    text: str
    run: Callable[[], object]
    undo: Callable[[], object] | None = None
    away: PutBack | None = None
    check: Callable[[], object] | None = None


@define(eq=False)
class Job:
    """The steps before the volume is changed, and those after it.

    What must come back whatever happens (a mount, swap in use) comes back in :meth:`close`. ``moves`` says that
    something is mounted or unmounted for the time. ``size`` is what the content will have, in bytes. ``note`` is
    where it is written what is away.
    """

    size: Bytes
    before: tuple[Task, ...] = ()
    after: tuple[Task, ...] = ()
    moves: bool = False
    note: Note | None = field(default=None, init=False)
    _undo: list[Callable[[], object]] = field(factory=list, init=False)

    @property
    def steps(self) -> tuple[str, ...]:
        """The commands, in order, for people."""
        return tuple(task.text for task in (*self.before, *self.after))

    def check(self) -> None:
        """Raise what would keep the steps from being done, as far as it can be known without doing them."""
        for task in (*self.before, *self.after):
            if task.check is not None:
                task.check()

    def run_before(self, say: Callable[[str], object]) -> None:
        """Do what comes before the volume's change, each step said first. Raises what keeps it from being done."""
        self._run(self.before, say)

    def run_after(self, say: Callable[[str], object]) -> None:
        """Do what comes after the volume's change."""
        self._run(self.after, say)

    def _run(self, tasks: tuple[Task, ...], say: Callable[[str], object]) -> None:
        for task in tasks:
            say(task.text)
            if task.away is not None and self.note is not None:
                self.note.write(task.away)
            if task.away is not None:  # before it runs: an interrupt reaches us when it has run
                self._undo.append(partial(self._put_back, task.away))
            task.run()
            if task.undo is not None:
                self._undo.append(task.undo)

    def _put_back(self, away: PutBack) -> None:
        put_back(away)
        if self.note is not None:
            self.note.drop()

    def close(self) -> None:
        """Put back what was changed for the time; all of it, then raise the first failure. May be called again."""
        failure: Exception | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


def put_back(away: PutBack) -> None:
    """Mount it where it was, as it was, or swap to it again; nothing where that is so."""
    from vmgr.contents.tools import run

    if away.needed:
        run(*away.command)
