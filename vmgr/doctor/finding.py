"""What an examination says: findings, and the repairs that go with them."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

OK = "ok"
"""As it should be."""
NOTE = "note"
"""Worth knowing; nothing need be done."""
WARNING = "warning"
"""It works, but with a limit, or it could not be looked at."""
PROBLEM = "problem"
"""Something does not work, or is left over and should be put right. The remedy says how."""

STATES = (OK, NOTE, WARNING, PROBLEM)

Fact = str | int | bool | None | tuple[str, ...] | Mapping[str, str]
"""What programs read in JSON."""


@frozen
class Repair:
    """One safe change. ``kind`` says which (:mod:`vmgr.doctor.repair` knows them), ``arguments`` to what.

    ``does`` is the sentence's beginning that tells a person what is done: "make the control node ...".
    """

    kind: str
    does: str
    arguments: tuple[str | int, ...] = ()


@frozen
class Finding:
    """One thing that was looked at.

    ``id`` never changes its meaning (``control.missing``); ``subject`` is the module that found it; ``text`` is one
    sentence for a person; ``remedy`` is the exact command that repairs it (what a person should know of it behind a
    ``#``, so that it can be pasted into a shell) or a choice in words, empty where there is nothing to repair;
    ``repair`` is what ``--fix`` would do, None where a person must decide; ``facts`` are the values behind the
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
    """A device's name or a path as it can be typed behind a command in a shell, whatever characters it has."""
    from shlex import quote

    return f"-- {quote(name)}" if name.startswith("-") else quote(name)


def worst(findings: tuple[Finding, ...]) -> str:
    """The gravest state among ``findings``; ``ok`` when there are none."""
    return max((finding.state for finding in findings), key=STATES.index, default=OK)
