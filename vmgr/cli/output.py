"""How what came of a request is printed, the same way for every changing command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import EXIT_OK, Interrupted, StoppedHalfway

if TYPE_CHECKING:
    from vmgr.app import Application
    from vmgr.cli.document import Json
    from vmgr.cli.invocation import Invocation
    from vmgr.core.errors import VmgrError
    from vmgr.outcome import Outcome


def conclude(app: Application, invocation: Invocation, outcome: Outcome, *, silent: bool = False) -> int:
    """Print an outcome; the exit status.

    In test mode the plans take the place of what was done. Where the command prints a JSON document
    (``--reportformat``), all of it goes in there. ``silent`` leaves out what was done, where LVM2's command
    says nothing either.
    """
    terminal = invocation.terminal
    test = invocation.flag("test")
    if terminal.document is not None:
        terminal.document.own |= _members(app, outcome, test=test)
        terminal.document.warnings += [
            n.removeprefix("WARNING: ") for n in outcome.notes if n.startswith("WARNING: ")
        ]
    else:
        for note in outcome.notes:
            terminal.note(f"Without --test: {note}" if test else note)
        if test:
            from vmgr.cli.plan_text import plan_text

            for plan in outcome.plans:
                terminal.data(plan_text(plan, app.targets), "plan")
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


def interruption(app: Application, invocation: Invocation, error: KeyboardInterrupt | Interrupted) -> VmgrError:
    """The error of a command that the user stopped: with what was changed until then, or that nothing was."""
    from vmgr.core.effects import sentence

    stopped = error if isinstance(error, Interrupted) else Interrupted("interrupted")
    changed = app.changed()
    if changed:
        return StoppedHalfway(
            f"{stopped.message}; what was done before that stays done",
            hint=stopped.hint or "the rest was not started; repeat the command to go on from here",
            details=(*stopped.details, *(f"done: {sentence(effect)}" for effect in changed)),
        )
    if stopped.message == "interrupted":
        stopped.message = "interrupted; nothing was changed"
    return stopped


def _members(app: Application, outcome: Outcome, *, test: bool) -> dict[str, Json]:
    """What the document's member ``vmgr`` has about an outcome. Plans hold the metadata twice: only in tests."""
    members: dict[str, Json] = {
        "test": test,
        "done": () if test else outcome.done,
        "notes": [note for note in outcome.notes if not note.startswith("WARNING: ")],
    }
    if test:
        from vmgr.cli.plan_text import plan_json

        members["plans"] = [plan_json(plan, app.targets) for plan in outcome.plans]
    return members
