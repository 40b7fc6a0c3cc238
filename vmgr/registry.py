"""Finds target plugins through entry points, quickly enough to do it at every start.

``importlib.metadata`` costs more than the rest of an ordinary command. What is needed of it is one small
file for each installed distribution, so this reads those files itself; nothing is cached, so nothing can be stale.
Import-path entries that are not directories (zip files) are left to ``importlib.metadata``.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from vmgr.core.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vmgr.core.tabletype import TableType
    from vmgr.core.targets import Targets

GROUP = "vmgr.targets"


def _entries(text: str) -> list[tuple[str, str]]:
    """``(name, object)`` pairs of our group in the text of an ``entry_points.txt``."""
    found: list[tuple[str, str]] = []
    inside = False
    for line in text.splitlines():
        line = line.strip()
        if line.startswith("["):
            inside = line == f"[{GROUP}]"
        elif inside and "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.append((name.strip(), value.split("[")[0].strip()))
    return found


def _in_directory(directory: str) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    try:
        names = os.listdir(directory or ".")
    except OSError:
        return found
    for name in sorted(names):
        if not name.endswith((".dist-info", ".egg-info")):
            continue
        try:
            with open(os.path.join(directory, name, "entry_points.txt"), "rb") as file:
                raw = file.read()
        except OSError:
            continue
        if GROUP.encode() in raw:
            distribution = name.rpartition(".")[0]
            found += [(n, v, distribution) for n, v in _entries(raw.decode("utf-8", "replace"))]
    return found


def _elsewhere(path: str) -> list[tuple[str, str, str]]:
    from importlib.metadata import distributions

    return [
        (e.name, e.value, f"{d.name}-{d.version}")
        for d in distributions(path=[path])
        for e in d.entry_points
        if e.group == GROUP
    ]


def find_plugins() -> tuple[tuple[str, str, str], ...]:
    """All registered plugins: (name, object reference, distribution), first of each name on the path wins."""
    found: dict[tuple[str, str], str] = {}
    names: dict[str, str] = {}
    for path in sys.path:
        rows = _elsewhere(path) if path.endswith((".zip", ".egg")) and os.path.isfile(path) else _in_directory(path)
        for name, value, distribution in rows:
            other = names.setdefault(name, value)
            if other != value:
                raise PluginError(
                    f"two target plugins are called {name!r}: {other} and {value}",
                    hint="uninstall one of them; `pip list` shows what is installed",
                )
            found.setdefault((name, value), distribution)
    return tuple((name, value, distribution) for (name, value), distribution in found.items())


def unsafe_place(value: str) -> str:
    """Why root had better not import the plugin ``value`` (an object reference), in words; empty where it may.

    What root runs must be changeable by root alone. Whoever can change vmgr itself, or what it has imported, can
    do no more by a plugin: their places are as good as root's.
    """
    module_name = value.partition(":")[0]
    if os.geteuid() != 0 or module_name.startswith("vmgr."):
        return ""
    from importlib.util import find_spec

    from vmgr.system.ownership import changeable_by_others

    trusted, owners = _own_places()
    try:
        spec = find_spec(module_name.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return ""  # importing it will say so
    if spec is None:
        return ""
    for package in spec.submodule_search_locations or ():
        for folder, _, files in os.walk(package):
            for path in (folder, *(f"{folder}/{name}" for name in files)):
                why = changeable_by_others(path, owners, below=trusted)
                if why:
                    return why
    return changeable_by_others(spec.origin, owners, below=trusted) if spec.origin and spec.has_location else ""


def _own_places() -> tuple[set[str], set[int]]:
    """The directories that vmgr and what it needs were imported from, and whose they are."""
    import attr
    import pluggy

    import vmgr

    places = {os.path.realpath(os.path.dirname(m.__path__[0])) for m in (vmgr, attr, pluggy)}
    return places, {0, *(os.stat(place).st_uid for place in places)}


def load_targets(warn: Callable[[str], None] | None = None) -> Targets:
    """Import all registered plugins and put them behind the facade.

    As root, a plugin in a place that others can write to is left out, and ``warn`` is told; without ``warn`` that
    is an error, too. Raises :class:`PluginError` for a plugin that cannot be imported, naming it.
    """
    from vmgr.core.targets import Targets

    plugins: list[tuple[str, object]] = []
    for name, value, distribution in find_plugins():
        why = unsafe_place(value)
        if why:
            message = f"target plugin {name!r} (from {distribution}) is not loaded: {why}"
            if warn is None:
                raise PluginError(message, hint="give its files to root, or uninstall it")
            warn(f"{message}; give its files to root, or uninstall it")
            continue
        module_name, _, attribute = value.partition(":")
        try:
            __import__(module_name)
            plugin: object = sys.modules[module_name]
            for part in attribute.split(".") if attribute else ():
                plugin = getattr(plugin, part)
        except Exception as error:
            raise PluginError(
                f"target plugin {name!r} ({value}, from {distribution}) cannot be loaded: {error}",
                hint="mend or uninstall that package",
            ) from error
        plugins.append((name, plugin))
    if not plugins:
        raise PluginError(
            "no target plugin is installed",
            hint="vmgr's own targets are entry points: install the package instead of running from a bare checkout",
        )
    return Targets(plugins)


def table_types() -> tuple[type[TableType], ...]:
    """The types of table lines that the installed plugins provide, for :class:`vmgr.dm.tables.Tables`.

    Raises :class:`PluginError` as :func:`load_targets` does, and for a plugin whose types break the contract.
    """
    return load_targets().table_types()
