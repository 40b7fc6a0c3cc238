"""Two plugins that claim one thing: vmgr's own wins, and of two strangers nobody can say which one is meant.

Loaded when a plugin is installed that is not vmgr's own; vmgr's own are held to this by its tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from vmgr.core.errors import PluginError

if TYPE_CHECKING:
    from vmgr.core.hooks import OptionSpec
    from vmgr.core.registered import LeftOut, Plugin


def without_conflicts(plugins: Iterable[Plugin], left_out: LeftOut) -> tuple[Plugin, ...]:
    """Those of ``plugins`` that claim nothing that another one has; the others go to ``left_out``."""
    plugins = tuple(plugins)
    faults: dict[str, PluginError] = {}
    holders: dict[object, tuple[Plugin, object]] = {}
    for plugin in plugins:
        for thing, words, meaning in _claims(plugin):
            other, theirs = holders.setdefault(thing, (plugin, meaning))
            if other is plugin or (meaning is not None and meaning == theirs):
                continue
            for error in rivals(plugin, other, words):
                faults.setdefault(error.plugin, error)
    for error in faults.values():
        left_out.add(error)
    return tuple(plugin for plugin in plugins if plugin.name not in faults)


def rivals(one: Plugin, other: Plugin, words: str) -> list[PluginError]:
    """The errors of those of two plugins that are left out because they claim one thing; ``words`` say what."""
    return [_clash(a, b, words) for a, b in ((one, other), (other, one)) if a.source or not b.source]


def _clash(plugin: Plugin, other: Plugin, words: str) -> PluginError:
    theirs = f"{other.name!r} (from {other.source})" if other.source else f"vmgr's own {other.name!r}"
    source = f" (from {plugin.source})" if plugin.source else ""
    return PluginError(
        f"target plugin {plugin.name!r}{source} claims {words}, as {theirs} does",
        hint="uninstall one of them" if plugin.source == "" or other.source else f"uninstall {plugin.package}",
        plugin=plugin.name,
        source=plugin.source,
    )


def _claims(plugin: Plugin) -> Iterator[tuple[object, str, object]]:
    """What a plugin claims: (thing, words for it, what it means by it, None where only one may have the thing)."""
    info = plugin.info
    yield ("name", info.name), f"the name {info.name!r}", None
    for word in info.types:
        yield ("type", word), f"the type {word!r}", None
    for body in info.bodies:
        yield ("body", body), f"the body {body.__name__}", None
    for column in info.columns:
        yield ("column", column.name), f"the column {column.name!r} otherwise", (column.kind, column.per_segment)
    for option in info.options:
        for command in option.commands:
            for name, meaning in _names(option):
                yield ("option", command, name), f"{command} {_flag(name)} otherwise", meaning


def _names(option: OptionSpec) -> Iterable[tuple[str, object]]:
    meaning = (
        option.name, option.kind, option.short, option.default_unit, option.signed, option.repeated, option.group,
    )  # fmt: skip
    return [(name, meaning) for name in (option.name, *option.aliases, option.short) if name]


def _flag(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
