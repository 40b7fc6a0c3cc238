"""Commands that are killed in the middle: before the N-th change that they make to kernel or disks.

The command runs in a fork of the calling process, which costs a guest far less than a new interpreter, and kills
itself: nothing is caught, nothing is cleaned up, and its locks are gone, as after any SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Callable
from typing import NamedTuple


class Ended(NamedTuple):
    """How a command ended: its status, or None where it was killed; and what it wrote."""

    status: int | None
    text: str


def run(*words: str, before: int | None = None) -> Ended:
    """Run ``vmgr WORDS``, killed before its change number ``before``, counted from 0; None: not killed."""
    with tempfile.TemporaryFile("w+", dir="/dev/shm") as output:
        child = os.fork()
        if not child:
            _be_vmgr(words, before, output.fileno())
        _, state = os.waitpid(child, 0)
        output.seek(0)
        text = output.read()
    if os.WIFSIGNALED(state):
        assert os.WTERMSIG(state) == signal.SIGKILL, text
        return Ended(None, text)
    return Ended(os.WEXITSTATUS(state), text)


def _be_vmgr(words: tuple[str, ...], before: int | None, output: int) -> None:
    from vmgr.cli.main import main
    from vmgr.dm import abi
    from vmgr.dm.kernel import IoctlKernel
    from vmgr.system.disk import Disk

    questions = (
        abi.VERSION, abi.LIST_DEVICES, abi.DEV_STATUS, abi.TABLE_STATUS, abi.TABLE_DEPS, abi.LIST_VERSIONS,
        abi.GET_TARGET_VERSION,
    )  # fmt: skip
    done = 0

    def count() -> None:
        nonlocal done
        if done == before:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    def counted(method: Callable[..., object]) -> Callable[..., object]:
        def call(self: object, *args: object, **kwargs: object) -> object:
            if method.__name__ != "call" or args[0].command not in questions:  # type: ignore[attr-defined]
                count()
            return method(self, *args, **kwargs)

        return call

    status = 70
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout = sys.stderr = open(os.dup(1), "w")  # noqa: SIM115 - for the rest of this process
        for owner, name in ((IoctlKernel, "call"), (Disk, "write"), (Disk, "zero")):
            setattr(owner, name, counted(getattr(owner, name)))
        status = main(["vmgr", *words])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 70
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
