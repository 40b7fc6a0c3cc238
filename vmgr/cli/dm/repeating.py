"""``--count`` and ``--interval``: reports that are made again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.core.errors import UsageError

if TYPE_CHECKING:
    from vmgr.cli.invocation import Invocation

LARGEST = (1 << 31) - 1
"""dmsetup keeps both in an ``int``."""


def repetition(invocation: Invocation) -> tuple[int, int]:
    """How many times a report is made (-1: until interrupted), and the seconds in between.

    Raises :class:`UsageError`.
    """
    count, interval = invocation.text("count"), invocation.text("interval")
    seconds = 1 if interval is None else _whole(interval, "--interval", least=1)
    if count is None:
        return (1 if interval is None else -1), seconds
    return _whole(count, "--count") or -1, seconds


def _whole(text: str, option: str, *, least: int = 0) -> int:
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= LARGEST:
        hint = f"give a whole number from {least} to {LARGEST}"
        raise UsageError(f"invalid value for {option}: {text!r}", hint=hint)
    return int(text)
