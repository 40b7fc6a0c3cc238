"""Telling of a call to the kernel that does not return: a write to a device that hangs, a suspend behind one.

Nobody can interrupt such a call, nor end the process that is in it, so the command says what it waits for. It is
a thread that says it, as the command itself is stopped then. The thread takes no signal: one that came to it would
interrupt the command while devices are suspended. Its stack is small, because a change locks all memory.
"""

from __future__ import annotations

import _thread
import signal
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 1.0
"""Seconds after which a waiting call is reported."""

_LOOKS = 5
"""How often within that time the thread looks."""

_STACK = 256 * 1024


class _Call:
    """A call in progress: what it waits for, and since when."""

    __slots__ = ("since", "what")

    def __init__(self, what: str) -> None:
        self.what = what
        self.since = monotonic()


class StallWatch:
    """Says through ``say`` what a call waits for that takes longer than ``patience`` seconds, once for each call.

    A context manager: it watches while it is open. ``say`` is called in a thread of its own.
    """

    def __init__(self, say: Callable[[str], object], *, patience: float = PATIENCE) -> None:
        self._say = say
        self._patience = patience
        self._call: _Call | None = None
        self._open = _thread.allocate_lock()

    def __enter__(self) -> StallWatch:
        self._open.acquire()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        size = _thread.stack_size(_STACK)
        try:
            _thread.start_new_thread(self._look, ())
        except RuntimeError:
            pass  # no thread can be had: the change is made all the same
        finally:
            _thread.stack_size(size)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.release()

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        """While a call is made that may not return; ``what`` says what is waited for, and goes on "Waiting for"."""
        before, self._call = self._call, _Call(what)
        try:
            yield
        finally:
            self._call = before

    def _look(self) -> None:
        told: _Call | None = None
        while not self._open.acquire(timeout=self._patience / _LOOKS):
            call = self._call
            if call is None or call is told or monotonic() - call.since < self._patience:
                continue
            told = call
            try:
                self._say(f"Waiting for {call.what}.")
            except Exception:
                break  # nobody hears it
        else:
            self._open.release()
