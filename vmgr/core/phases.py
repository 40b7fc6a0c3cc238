"""A plan, and the phases in which its steps are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from vmgr.core.step import COMMITS, RESUMES, SUSPENDS

if TYPE_CHECKING:
    from vmgr.core.change import Change
    from vmgr.core.step import Step


@frozen
class Phases:
    """A plan's steps by how they are run.

    ``head``, then the turn (``suspends``, ``commits``, ``resumes``), then ``tail``. What is done in the turn is
    done whole or taken back, the commit with it.
    """

    head: tuple[Step, ...]
    suspends: tuple[Step, ...]
    commits: tuple[Step, ...]
    resumes: tuple[Step, ...]
    tail: tuple[Step, ...]


@frozen
class Plan:
    """Steps in order, for the changes of one group or of several."""

    changes: tuple[Change, ...]
    steps: tuple[Step, ...]

    @property
    def commit_at(self) -> int | None:
        """Index of the first commit among the steps; None if no metadata changes."""
        for i, step in enumerate(self.steps):
            if step.turn == COMMITS:
                return i
        return None

    @property
    def phases(self) -> Phases:
        """The steps in their phases."""
        steps = self.steps
        turn = self.commit_at
        if turn is None:
            turn = self._resumes_at()
        first = turn
        while first and steps[first - 1].turn == SUSPENDS:
            first -= 1
        resume = turn
        while resume < len(steps) and steps[resume].turn == COMMITS:
            resume += 1
        tail = resume
        while first < turn and tail < len(steps) and steps[tail].turn == RESUMES:
            tail += 1
        return Phases(steps[:first], steps[first:turn], steps[turn:resume], steps[resume:tail], steps[tail:])

    def _resumes_at(self) -> int:
        """Where, without a commit, what was suspended is resumed; the end if nothing is."""
        for i, step in enumerate(self.steps):
            if step.turn == RESUMES and i and self.steps[i - 1].turn == SUSPENDS:
                return i
        return len(self.steps)
