"""What is to be done to a volume's content around the change of the volume itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.units import Bytes
    from vmgr.outcome import Dialogue

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
    """One step: ``text`` is the command as typed by hand, ``undo`` puts back what it changed for the time."""

    text: str
    run: Callable[[], object]
    undo: Callable[[], object] | None = None


@frozen(eq=False)
class Job:
    """The steps before the volume is changed, and those after it.

    What must come back whatever happens (a mount, swap in use) comes back in :meth:`close`. ``moves`` says that
    something is mounted or unmounted for the time. ``size`` is what the content will have, in bytes.
    """

    size: Bytes
    before: tuple[Task, ...] = ()
    after: tuple[Task, ...] = ()
    moves: bool = False
    _undo: list[Callable[[], object]] = field(factory=list, init=False)

    @property
    def steps(self) -> tuple[str, ...]:
        """The commands, in order, for people."""
        return tuple(task.text for task in (*self.before, *self.after))

    def run_before(self, say: Callable[[str], object]) -> None:
        """Do what comes before the volume's change, each step said first. Raises what keeps it from being done."""
        self._run(self.before, say)

    def run_after(self, say: Callable[[str], object]) -> None:
        """Do what comes after the volume's change."""
        self._run(self.after, say)

    def _run(self, tasks: tuple[Task, ...], say: Callable[[str], object]) -> None:
        for task in tasks:
            say(task.text)
            task.run()
            if task.undo is not None:
                self._undo.append(task.undo)

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
