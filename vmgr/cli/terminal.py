"""The person at the other end: what is printed where, and how questions are asked.

Data go to standard output, everything said to a person goes to standard error, each line indented by
two blanks as LVM2 does. Where vmgr is called by LVM2's names, what was done, remarks and progress go to standard
output, because scripts look for them there. A question that nobody can answer is answered no.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vmgr.core.errors import Interrupted
from vmgr.core.escapes import escape_controls

if TYPE_CHECKING:
    from typing import TextIO

    from vmgr.cli.document import Document
    from vmgr.core.errors import VmgrError

INDENT = "  "

PROGRAMS = frozenset(("blkid", "btrfs", "cryptsetup", "fsck", "mkswap", "systemd", "udev", "vmgr"))
"""Beginnings of messages that are not English words."""


class Terminal:
    """A dialogue on the standard streams.

    ``verbose`` is how often ``-v`` was given, ``quiet`` how often ``-q``: once leaves out what was done, twice also
    answers questions with no.
    """

    def __init__(self, *, verbose: int = 0, debug: int = 0, quiet: int = 0, yes: bool = False) -> None:
        self.indent = INDENT
        """What each line on standard error begins with."""
        self.raw_to_files = False
        """Whether a file or a pipe gets names as they are, as dmsetup gives them."""
        self.as_lvm2 = False
        """Whether vmgr was called by a name of LVM2's: ``lvm``, ``lvcreate``."""
        self.closed = False
        """Whether there is no standard output. Printing data is then a failure, printing remarks is not."""
        self.document: Document | None = None
        """The JSON document that goes to standard output at the end, where one was asked for."""
        self.configure(verbose=verbose, debug=debug, quiet=quiet, yes=yes)

    def configure(self, *, verbose: int, debug: int, quiet: int, yes: bool) -> None:
        """Take what the command line says, once it has been parsed."""
        self._said = bool(verbose), bool(debug), bool(quiet)
        self.level = 0 if quiet else verbose + 3 * debug
        self.verbose = verbose
        self.quiet = quiet
        self._yes = yes

    def settle(self, *, verbose: int, silent: bool, prefix: str) -> None:
        """Take what lvm.conf's ``log`` section says, as far as the command line says nothing."""
        self.indent = prefix
        told_verbose, told_debug, told_quiet = self._said
        if told_quiet:
            return
        if silent:
            self.quiet = 2
        if not told_verbose and not told_debug:
            self.level = max(verbose, 0)  # as in LVM2, only -v changes which columns are shown

    # -- standard output --------------------------------------------------------------------------

    def data(self, text: str, paint: str = "") -> None:
        """Write ``text`` to standard output, control characters made visible.

        ``paint`` names what of :mod:`vmgr.cli.colour` gives it colour, where it is shown on a terminal that has it.
        """
        shown = self.is_shown()
        text = text if self.raw_to_files and not shown else escape_controls(text)
        if paint and shown:
            from vmgr.cli import colour

            if colour.is_wanted(sys.stdout):
                text = getattr(colour, paint)(text)
        self.drawn(text)

    def drawn(self, text: str) -> None:
        """Write ``text`` that may steer the terminal: whatever came from elsewhere in it has been made visible."""
        if text and sys.stdout is not None:
            sys.stdout.write(text)

    @staticmethod
    def is_shown() -> bool:
        """Whether standard output is a terminal."""
        return sys.stdout is not None and sys.stdout.isatty()

    def lines(self, text: str, paint: str = "") -> None:
        """Write lines that begin with two blanks, with ``log/prefix`` in place of these."""
        if self.indent != INDENT:
            text = "".join(self.indent + line.removeprefix(INDENT) for line in text.splitlines(keepends=True))
        self.data(text, paint)

    def begin_document(self) -> Document:
        """The JSON document, started if needed. Any other output on standard output would make it invalid."""
        if self.document is None:
            from vmgr.cli.document import Document

            self.document = Document()
        return self.document

    def end_document(self) -> None:
        """Write the document, if there is one."""
        if self.document is not None:
            self.data(self.document.text())
            self.document = None

    # -- standard error ---------------------------------------------------------------------------

    def done(self, message: str) -> None:
        """Say what was done. (LVM2 says it on standard output; called as vmgr, that is for data alone.)"""
        if not self.quiet:
            self._result(message)

    def note(self, message: str) -> None:
        """Say something that the user may want to know."""
        if self.quiet:
            return
        if message.startswith("WARNING:"):
            self._error_line(message)
        else:
            self._result(message)

    def warn(self, message: str) -> None:
        """Say at once what the user should know."""
        if self.document is not None:
            self.document.warnings.append(message.removeprefix("WARNING: "))
        self._error_line(message if message.startswith("WARNING:") else f"WARNING: {message}", "YELLOW")

    def say(self, message: str) -> None:
        """Say something whatever ``-q`` asks for."""
        self._error_line(message)

    def progress(self, message: str) -> None:
        """Tell how far a long process is."""
        if not self.quiet:
            self._result(message)

    def detail(self, message: str, level: int = 1) -> None:
        """Say what is being done, if ``-v`` asks for it."""
        if self.level >= level:
            self._error_line(message)

    def error(self, error: VmgrError) -> None:
        """Say what went wrong: the message, its details (none twice that ends the message), and what to do."""
        if self.document is not None:
            self.document.errors.append(error)
        self._error_line(capitalised(error.message) if self.as_lvm2 else error.message, "RED")
        for line in error.details:
            if not error.message.endswith(f": {line}"):
                self._error_line(INDENT + line)
        if error.hint:
            self._error_line(f"({error.hint})")

    def _result(self, message: str) -> None:
        """Say what LVM2 says on standard output (its ``log_print``)."""
        if not self.as_lvm2 or self.document is not None:
            self._error_line(message)
        elif not self.closed:
            self.data("".join(f"{self.indent}{line}\n" for line in message.splitlines()))
            self._flush()

    @staticmethod
    def _flush() -> None:
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError):
            pass  # whoever wrote to it hears of it at the end

    def _error_line(self, text: str, colour: str = "") -> None:
        stream = sys.stderr
        if stream is None:
            return
        self._flush()
        try:
            lines = [escape_controls(line) for line in text.splitlines()]
            if colour and stream.isatty():
                from vmgr.cli import colour as colours

                if colours.is_wanted(stream):
                    lines = [colours.paint(line, getattr(colours, colour)) for line in lines]
            stream.write("".join(f"{self.indent}{line}\n" for line in lines))
            stream.flush()
        except (OSError, ValueError):
            pass  # there is nobody to tell

    # -- questions --------------------------------------------------------------------------------

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question on standard error, and read the answer from standard input.

        Only ``y`` or ``yes`` on a line of its own is a yes. End of file, or a closed input, is a no. Raises
        :class:`Interrupted` when the user presses Ctrl-C.
        """
        if self._yes:
            return True
        prompt = f"{question.removesuffix(' [y/n]: ').removesuffix(' [y/n]').rstrip()} [y/n]: "
        if self.quiet > 1 or sys.stdin is None:
            self._prompt(prompt + "[n]\n")
            return False
        try:
            return self._answer(prompt, sys.stdin)
        except KeyboardInterrupt:
            self._prompt("\n")
            raise Interrupted("interrupted") from None

    def secret(self, question: str) -> str | None:
        """Ask for a passphrase on the terminal; None if there is no terminal, or all answers are to be no."""
        if self.quiet > 1 or sys.stdin is None or not sys.stdin.isatty():
            return None
        from getpass import getpass

        try:
            return getpass(question)
        except EOFError:
            return None

    def _answer(self, prompt: str, stream: TextIO) -> bool:
        self._prompt(prompt)
        try:
            line = stream.readline()
        except (OSError, ValueError):
            line = ""
        if not line:
            self._prompt("[n]\n")
            return False
        answer = line.strip().lower()
        if answer not in ("y", "yes", "n", "no", ""):
            self.warn(f"the answer {answer[:12]!r} is not a clear yes, so it is a no")
        return answer in ("y", "yes")

    def _prompt(self, text: str) -> None:
        if sys.stderr is not None:
            try:
                sys.stderr.write(escape_controls(text))
                sys.stderr.flush()
            except (OSError, ValueError):
                pass


def capitalised(message: str) -> str:
    """A message as LVM2's begin. Names of programs and commands, paths and what is quoted stay as they are."""
    word = message.partition(" ")[0]
    if not (word.isalpha() and word.islower()) or word in PROGRAMS or word[:2] in ("lv", "pv", "vg"):
        return message
    return message[0].upper() + message[1:]


def flush_output() -> OSError | None:
    """Flush standard output; the error if that fails, after which nothing more will be written to it."""
    if sys.stdout is None:
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        discard_output()
        return error
    return None


def discard_output() -> None:
    """Let standard output lead nowhere, so that the interpreter's own flush at exit cannot fail."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.close(null)
    except OSError:
        pass
