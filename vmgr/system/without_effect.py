"""Which settings of a configuration have no effect in vmgr, and what a command has to say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.system.config import as_flag
from vmgr.system.disregarded import DISREGARDED, ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmgr.system.config import Config, Value
    from vmgr.system.disregarded import Disregarded


def disregarded(config: Config) -> Iterator[tuple[str, Value]]:
    """The settings that ``config`` sets and vmgr does not obey, with their values, sorted by name.

    One whose value is LVM2's default, or says what vmgr does anyhow, is left out.
    """
    from vmgr.system.settings import DEFAULTS

    for path in sorted(config.paths()):
        value = config.raw(path)
        if path in DEFAULTS or value is None or path.startswith(ELSEWHERE):
            continue
        known = DISREGARDED.get(path)
        if known is not None and _is(value, known):
            continue
        yield path, value


def _is(value: Value, known: Disregarded) -> bool:
    """Whether a value is LVM2's default, or says what vmgr does."""
    for same in (known.default, known.like):
        if isinstance(same, bool):
            if as_flag(value) == same:
                return True
        elif same is not None and value == same:
            return True
    return False


def told_by(config: Config, command: str, options: frozenset[str]) -> tuple[str, ...]:
    """What ``command``, given these options, has to say about settings that data depend on; mostly nothing."""
    found = []
    for path, known in DISREGARDED.items():
        value = config.raw(path) if known.data else None
        if value is None or _is(value, known):
            continue
        for word in known.told_by:
            name, _, option = word.partition(" --")
            if name == command and (not option or option in options):
                found.append(f"{path} = {shown(value)} in the configuration has no effect: {known.why}")
                break
    return tuple(found)


def shown(value: Value) -> str:
    """A value as lvm.conf writes it."""
    if isinstance(value, tuple):
        return f"[ {', '.join(map(shown, value))} ]"
    return f'"{value}"' if isinstance(value, str) else str(value)
