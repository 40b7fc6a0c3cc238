"""The one JSON document that a command prints with ``--reportformat json`` or ``json_std``, whatever happens.

It has LVM2's members ``report`` and ``log``, and vmgr's own, ``vmgr``; ``vmgr-json(7)`` describes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.report.render import json_document, json_escape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vmgr.core.effects import Effect
    from vmgr.core.errors import VmgrError

    Json = Mapping[str, "Json"] | Sequence["Json"] | str | float | bool | None

VERSION = 1
"""Of the member ``vmgr``: it grows when a member goes or changes its meaning, not when one is added."""

FORMATS = ("json", "json_std")


def asked_for(command: str, words: Sequence[str]) -> bool:
    """Whether the words behind a command's name ask for a document, even if they are no valid command line."""
    before = ""
    for word in words:
        if word == "--":
            break
        if command == "doctor" and word == "--json":
            return True
        if _is_option(before) and word in FORMATS:
            return True
        option, equals, value = word.partition("=")
        if equals and _is_option(option) and value in FORMATS:
            return True
        before = word
    return False


def _is_option(word: str) -> bool:
    name = word.removeprefix("--").replace("-", "")
    return word.startswith("--") and bool(name) and "reportformat".startswith(name)


class Document:
    """A document that fills while its command runs.

    ``reports`` are the items of ``report``, as text. ``members`` are further members of the whole, ``own`` of the
    member ``vmgr``.
    """

    def __init__(self) -> None:
        self.reports: list[str] = []
        self.members: dict[str, Json] = {}
        self.own: dict[str, Json] = {}
        self.errors: list[VmgrError] = []
        self.warnings: list[str] = []
        self.changed: tuple[Effect, ...] = ()

    def text(self) -> str:
        """The document, with a final line feed."""
        own: dict[str, Json] = {
            "version": VERSION,
            "errors": [
                {"code": e.code, "message": e.message, "hint": e.hint, "details": list(e.details)}
                for e in self.errors
            ],
            "warnings": list(self.warnings),
            "changed": [{"action": e.action, "kind": e.kind, "name": e.name, "uuid": e.uuid} for e in self.changed],
            **self.own,
        }
        more = {**self.members, "vmgr": own}
        return json_document(
            self.reports, ('"log": [\n]', *(f'"{name}": {value_text(value)}' for name, value in more.items()))
        )


def value_text(value: Json) -> str:
    """A value as JSON over several lines. (The standard module takes a tenth of a report's time to import.)"""
    if isinstance(value, str):
        return f'"{json_escape(value)}"'
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return str(int(value) if isinstance(value, int) else value)
    if hasattr(value, "items"):
        return _block("{", [f'"{json_escape(name)}": {value_text(one)}' for name, one in value.items()], "}")
    return _block("[", [value_text(one) for one in value], "]")


def _block(start: str, items: Sequence[str], end: str) -> str:
    if not items:
        return f"{start}\n{end}"
    inner = ",\n".join(items).replace("\n", "\n    ")
    return f"{start}\n    {inner}\n{end}"
