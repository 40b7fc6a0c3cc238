"""Running a program of the system to its end."""

from __future__ import annotations

import subprocess
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from vmgr.dm.programs import environment

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finished(NamedTuple):
    """What came of a program: its exit status, and what it wrote."""

    status: int
    output: str
    errors: str
    interrupted: bool

    @property
    def last_words(self) -> tuple[str, ...]:
        """The last lines that it said: its errors, or its output where there are none."""
        return tuple((self.errors.strip() or self.output.strip()).splitlines()[-5:])


def run_to_end(path: str, arguments: Sequence[str], *, secret: str | None = None) -> Finished:
    """Run the program at ``path``; ``secret`` is its standard input.

    Ctrl-C does not reach it: what is interrupted while it resizes or repairs is destroyed. ``interrupted`` tells of
    it. Raises ``OSError`` where the program cannot be started.
    """
    source = subprocess.DEVNULL if secret is None else subprocess.PIPE
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [path, *arguments], stdin=source, stdout=out, stderr=err, env=environment(), process_group=0
        )
        if secret is not None and process.stdin is not None:
            try:
                process.stdin.write(secret.encode(errors="surrogateescape"))
                process.stdin.close()
            except BrokenPipeError:
                pass  # the program's own message says why it did not read
        interrupted = False
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return Finished(process.returncode, texts[0], texts[1], interrupted)
