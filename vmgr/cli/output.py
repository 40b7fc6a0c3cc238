"""How what came of an order is printed, the same way for every changing command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import EXIT_OK

if TYPE_CHECKING:
    from vmgr.cli.application import Application
    from vmgr.cli.invocation import Invocation
    from vmgr.outcome import Outcome


def conclude(app: Application, invocation: Invocation, outcome: Outcome, *, silent: bool = False) -> int:
    """Print an outcome; the exit status.

    In test mode the plans take the place of what was done. ``--reportformat json`` prints both as one
    object. ``silent`` leaves out what was done, where LVM2's command says nothing either.
    """
    terminal = invocation.terminal
    test = invocation.flag("test")
    if invocation.text("reportformat") == "json":
        terminal.data(_json(app, outcome, test=test))
    else:
        for note in outcome.notes:
            terminal.note(f"Without --test: {note}" if test else note)
        if test:
            from vmgr.cli.plan_text import plan_text

            for plan in outcome.plans:
                terminal.data(plan_text(plan, app.targets))
        elif not silent:
            for message in outcome.done:
                terminal.done(message)
    said: set[tuple[object, ...]] = set()
    for error in outcome.errors:
        words = (error.message, error.details, error.hint)
        if words not in said:  # volumes that fail together fail for one reason
            said.add(words)
            terminal.error(error)
    return max((error.exit_code for error in outcome.errors), default=EXIT_OK)


def _json(app: Application, outcome: Outcome, *, test: bool) -> str:
    import json

    from vmgr.cli.plan_text import plan_json

    value = {
        "test": test,
        "done": [] if test else list(outcome.done),
        "notes": list(outcome.notes),
        "errors": [
            {"code": e.code, "message": e.message, "hint": e.hint, "details": list(e.details)}
            for e in outcome.errors
        ],
        "plans": [plan_json(plan, app.targets) for plan in outcome.plans],
    }
    return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
