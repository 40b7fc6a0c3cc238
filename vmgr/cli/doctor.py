"""``doctor``: examine what the device mapper and vmgr need, and name the command that repairs each problem."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, NotPermitted, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmgr.cli.document import Json
    from vmgr.cli.invocation import Invocation
    from vmgr.doctor.examine import Question
    from vmgr.doctor.finding import Finding
    from vmgr.doctor.repair import Done

SUBJECTS = (
    "kernel", "targets", "plugins", "permissions", "control", "major", "udev", "cookies", "devices", "nodes",
    "locks", "lvm2", "settings",
)  # fmt: skip
"""What may be named: :data:`vmgr.doctor.examine.SUBJECTS`, which help has no need to load."""

_SUBJECT_WIDTH = max(map(len, SUBJECTS))
_STATES = {"ok": "ok", "note": "note", "warning": "warning", "problem": "PROBLEM"}
_STATE_WIDTH = 7


def run(invocation: Invocation) -> int:
    """Examine the machine or a given kernel; with ``--fix``, repair what is safe to repair."""
    from vmgr.doctor.examine import examine
    from vmgr.doctor.finding import PROBLEM
    from vmgr.doctor.repair import fix, repairs

    question = _question(invocation)
    terminal = invocation.terminal
    test, wanted = invocation.flag("test"), invocation.flag("fix")
    done: tuple[Done, ...] = ()
    refused: NotPermitted | None = None
    if wanted and not test and os.geteuid() == 0:
        result = fix(question, lambda does: terminal.done(f"Fixing: {does}."))
        findings, done = result.left, result.done
    else:
        findings = examine(question)
        if wanted and not test and repairs(findings):
            refused = NotPermitted("nothing was repaired: only root can", hint="sudo vmgr doctor --fix")
    if terminal.document is not None or invocation.flag("json"):
        terminal.begin_document().members |= _members(findings, done, test=test)
    else:
        shown = [f for f in findings if f.state == PROBLEM] if terminal.quiet else findings
        terminal.data(text_of(shown, width=_width(), test=test, verbose=terminal.verbose), "findings")
        terminal.note(summary(findings, repaired=wanted and not test, test=test))
    for one in done:
        if one.error is not None:
            terminal.error(one.error)
    if refused is not None:
        terminal.error(refused)
    failed = any(finding.state == PROBLEM for finding in findings) or any(one.error is not None for one in done)
    return EXIT_FAILED if failed or refused is not None else EXIT_OK


def _question(invocation: Invocation) -> Question:
    """What is to be examined. Raises :class:`UsageError` for a subject that does not exist or does not fit."""
    from vmgr.doctor.examine import OF_A_KERNEL, Question
    from vmgr.doctor.roots import Roots

    config, directory = invocation.text("kernel-config") or "", invocation.text("kernel-dir") or ""
    given = bool(config or directory)
    for subject in invocation.arguments:
        if subject not in SUBJECTS:
            raise UsageError(f"no subject is called {subject!r}", hint=f"subjects: {', '.join(SUBJECTS)}")
        if given and subject not in OF_A_KERNEL:
            raise UsageError(
                f"a kernel that is given cannot be examined for {subject}",
                hint=f"leave it out, or --kernel-config and --kernel-dir; they go with {', '.join(OF_A_KERNEL)}",
            )
    if given and invocation.flag("fix"):
        raise UsageError("--fix repairs this machine, not a kernel that is given", hint="leave one of them out")
    settings = invocation.text("config")
    return Question(
        Roots(dev=_device_directory(invocation)),
        tuple(invocation.arguments),
        config,
        directory,
        (settings,) if settings else (),
        ask=invocation.yesno("driverloaded") is not False,
    )


def _device_directory(invocation: Invocation) -> str:
    """The directory of nodes, as every command finds it; the default where lvm.conf cannot be read."""
    from vmgr.core.errors import VmgrError
    from vmgr.system.config import load

    settings = invocation.text("config")
    try:
        return load((settings,) if settings else ()).dev_dir
    except VmgrError:
        directory = os.environ.get("DM_DEV_DIR", "")
        return directory if directory.startswith("/") else "/dev"


# -- for people -----------------------------------------------------------------------------------


def text_of(findings: Sequence[Finding], *, width: int = 0, test: bool = False, verbose: int = 0) -> str:
    """Findings as lines under their subjects: state, text, and what to do. ``width`` 0: texts are not wrapped."""
    lines = []
    before = ""
    margin = " " * (2 + _SUBJECT_WIDTH + 2 + _STATE_WIDTH + 2)
    for finding in findings:
        subject = finding.subject if finding.subject != before else ""
        before = finding.subject
        head = f"  {subject:<{_SUBJECT_WIDTH}}  {_STATES[finding.state]:<{_STATE_WIDTH}}  "
        lines.append(_wrapped(head, finding.text, margin, width))
        if finding.remedy:
            lines.append(f"{margin}-> {finding.remedy}")
        if finding.repair is not None:
            words = f"--fix would {finding.repair.does}" if test else f"or vmgr doctor --fix {finding.subject}"
            lines.append(f"{margin}   {words}")
        if verbose:
            lines += [
                f"{margin}{key}: {_value(value)}" for key, value in finding.facts.items() if value is not None
            ]
    return "".join(f"{line}\n" for line in lines)


def _wrapped(head: str, text: str, margin: str, width: int) -> str:
    """``text`` after ``head``, further lines after ``margin``, none wider than ``width`` if that can be.

    A command between backquotes is not broken: it can be copied whole.
    """
    import re

    lines = [head]
    for word in re.findall(r"[^\s`]*`[^`]*`\S*|\S+", text):
        line = lines[-1]
        blank = "" if line in (head, margin) else " "
        if width and blank and len(line) + 1 + len(word) > width:
            lines.append(margin + word)
        else:
            lines[-1] = line + blank + word
    return "\n".join(lines)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}".rstrip() for key, inner in value.items()) or "none"
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _width() -> int:
    """The terminal's width; 0 if standard output is not a terminal, so that scripts get one line per text."""
    try:
        width = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return 0
    return max(width, 60) if width else 0


def summary(findings: Sequence[Finding], *, repaired: bool, test: bool) -> str:
    """The last line: how many of each state, and what can be done about it."""
    from vmgr.doctor.finding import PROBLEM, WARNING

    problems = sum(1 for finding in findings if finding.state == PROBLEM)
    warnings = sum(1 for finding in findings if finding.state == WARNING)
    fixable = sum(1 for finding in findings if finding.fixable)
    text = f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}"
    if not problems and not warnings:
        return "Everything is as it should be."
    if test:
        return f"{text}. Nothing was changed."
    if repaired:
        return f"{text} left."
    if not fixable:
        return f"{text}."
    whole = problems + warnings
    which = f"{fixable} of them" if fixable < whole else "it" if whole == 1 else "them"
    return f"{text}; vmgr doctor --fix repairs {which}."


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'' if number == 1 else 's'}"


# -- for programs ---------------------------------------------------------------------------------


def _members(findings: Sequence[Finding], done: Sequence[Done], *, test: bool) -> dict[str, Json]:
    """What the doctor adds to the JSON document."""
    from vmgr.doctor.finding import STATES, worst
    from vmgr.doctor.repair import repairs

    return {
        "state": worst(tuple(findings)),
        "counts": {state: sum(1 for finding in findings if finding.state == state) for state in STATES},
        "findings": [finding.as_json() for finding in findings],
        "fixes": [
            {"kind": r.kind, "does": r.does, "done": False, "error": None}
            for r in (repairs(findings) if test else ())
        ]
        + [
            {
                "kind": one.repair.kind,
                "does": one.repair.does,
                "done": one.error is None,
                "error": None if one.error is None else one.error.message,
            }
            for one in done
        ],
    }


DECLARED = {
    "doctor": Command(
        "doctor",
        "Find out what is wrong with the device mapper, nodes, udev and locks, and how to repair it.",
        usages=("[--fix] [SUBJECT ...]", "--kernel-config FILE | --kernel-dir DIR [kernel] [targets] [plugins]"),
        run_alone=run,
        arguments=(
            Argument(
                "SUBJECT",
                f"what to examine: {', '.join(SUBJECTS)}; all if there is none",
                needed=False,
                many=True,
                choices=SUBJECTS,
            ),
        ),
        options=(
            Option("fix", "flag", "Repair what can be repaired safely, report each repair, and examine again."),
            Option("json", "flag", "Print the findings as JSON, for programs."),
            Option(
                "reportformat",
                "word",
                "The format of output: json is the same as --json.",
                choices=("basic", "json", "json_std"),
            ),
            Option(
                "kernel-config",
                "text",
                "Examine the kernel with this configuration (.config, /boot/config-VERSION, /proc/config.gz; gzip"
                " or not) in place of this machine.",
                metavar="File",
            ),
            Option(
                "kernel-dir",
                "text",
                "Examine the kernel in this source or build directory, or in /lib/modules/VERSION, in place of this"
                " machine.",
                metavar="Dir",
            ),
        ),
    )
}  # fmt: skip
