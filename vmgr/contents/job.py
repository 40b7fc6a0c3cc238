"""The steps on a volume's content before and after the change of the volume itself."""

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
    """How to resize a content. ``mode`` is one of the above; ``check`` runs the file system's check first."""

    dialogue: Dialogue
    mode: str = MANAGE
    check: bool = True


@frozen
class Task:
    """One step: ``text`` is the command as typed by hand.

    ``undo`` reverts a temporary change. ``away`` is a mount or swap area that the step turns off, and that is
    restored even after a kill: see :mod:`vmgr.system.putback`. ``check`` is for plans that are not run: it finds
    out, without changing anything, whether the step can succeed.
    """

    text: str
    run: Callable[[], object]
    undo: Callable[[], object] | None = None
    away: PutBack | None = None
    check: Callable[[], object] | None = None


@define(eq=False)
class Job:
    """The steps before the volume is changed, and those after it.

    :meth:`close` reverts temporary changes (a mount, swap turned off), also after a failure. ``moves``: something
    is temporarily mounted or unmounted. ``size`` is the future size of the content, in bytes. ``note`` records what
    is turned off.
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
        """Raise the error that a step would fail with, as far as it can be known without doing the step."""
        for task in (*self.before, *self.after):
            if task.check is not None:
                task.check()

    def run_before(self, say: Callable[[str], object]) -> None:
        """Do the steps before the volume's change, passing each to ``say`` first. Raises a failed step's error."""
        self._run(self.before, say)

    def run_after(self, say: Callable[[str], object]) -> None:
        """Do the steps after the volume's change."""
        self._run(self.after, say)

    def _run(self, tasks: tuple[Task, ...], say: Callable[[str], object]) -> None:
        for task in tasks:
            say(task.text)
            if task.away is not None and self.note is not None:
                self.note.write(task.away)
            if task.away is not None:  # before it runs, because an interrupt arrives only after it has run
                self._undo.append(partial(self._put_back, task.away))
            task.run()
            if task.undo is not None:
                self._undo.append(task.undo)

    def _put_back(self, away: PutBack) -> None:
        put_back(away)
        if self.note is not None:
            self.note.drop()

    def close(self) -> None:
        """Revert all temporary changes, then raise the first failure. May be called again."""
        failure: Exception | None = None
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure


def put_back(away: PutBack) -> None:
    """Restore the mount or swap area, if it is not already there."""
    from vmgr.contents.tools import run

    if away.needed:
        run(*away.command)
