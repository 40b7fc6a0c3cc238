"""The results of an examination: findings, and the repairs that go with them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

OK = "ok"
"""Nothing is wrong."""
NOTE = "note"
"""Worth knowing; no action is needed."""
WARNING = "warning"
"""It works, but with a limit, or it could not be examined."""
PROBLEM = "problem"
"""Something does not work, or is left over and should be removed. The remedy says how."""

STATES = (OK, NOTE, WARNING, PROBLEM)

Fact = str | int | bool | None | tuple[str, ...] | Mapping[str, str]
"""A value in JSON, for programs."""


@frozen
class Repair:
    """One safe change. ``kind`` says which (see :mod:`vmgr.doctor.repair`), ``arguments`` to what.

    ``does`` describes it for people, beginning with a verb: "make the control node ...".
    """

    kind: str
    does: str
    arguments: tuple[str | int, ...] = ()


@frozen
class Finding:
    """One result of the examination.

    ``id`` never changes its meaning (``control.missing``); ``subject`` is the module that found it; ``text`` is one
    sentence for people; ``remedy`` is the exact command that repairs it (with advice after a
    ``#``, so that it can be pasted into a shell) or a choice in words, empty if there is nothing to repair;
    ``repair`` is what ``--fix`` would do, None if a person must decide; ``facts`` are the values in the
    text, for programs.
    """

    id: str
    subject: str
    state: str
    text: str
    remedy: str = ""
    repair: Repair | None = None
    facts: Mapping[str, Fact] = field(factory=dict)

    @property
    def fixable(self) -> bool:
        """Whether ``--fix`` repairs it."""
        return self.repair is not None

    def as_json(self) -> dict[str, Fact | dict[str, Fact]]:
        """The finding as ``vmgr doctor --json`` prints it."""
        return {
            "id": self.id,
            "subject": self.subject,
            "state": self.state,
            "text": self.text,
            "remedy": self.remedy,
            "fixable": self.fixable,
            "facts": dict(self.facts),
        }


def typed(name: str) -> str:
    """A device's name or a path, quoted as an argument of a command in a shell."""
    from shlex import quote

    return f"-- {quote(name)}" if name.startswith("-") else quote(name)


def worst(findings: tuple[Finding, ...]) -> str:
    """The most severe state of ``findings``; ``ok`` if there are none."""
    return max((finding.state for finding in findings), key=STATES.index, default=OK)
