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
    """All registered plugins: (name, object reference, distribution). Of one that is found twice, the first."""
    found: dict[tuple[str, str], str] = {}
    for path in sys.path:
        rows = _elsewhere(path) if path.endswith((".zip", ".egg")) and os.path.isfile(path) else _in_directory(path)
        for name, value, distribution in rows:
            found.setdefault((name, value), distribution)
    return tuple((name, value, distribution) for (name, value), distribution in found.items())


def _is_own(value: str, distribution: str) -> bool:
    """Whether a plugin comes with vmgr."""
    return value.startswith("vmgr.plugins.") and distribution.partition("-")[0] == "vmgr"


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

    A plugin that cannot be used is left out, and ``warn`` is told once: one that cannot be imported, breaks the
    contract, claims what another has, or, as root, lies where others can write. Without ``warn`` that is
    a :class:`PluginError`, now or when it shows.
    """
    from vmgr.core.registered import LeftOut
    from vmgr.core.targets import Targets

    left_out = LeftOut(warn)
    entries = find_plugins()
    if not entries:
        raise PluginError(
            "no target plugin is installed",
            hint="vmgr's own targets are entry points: install the package instead of running from a bare checkout",
        )
    plugins: list[tuple[str, object]] = []
    sources: dict[str, str] = {}
    for name, value, distribution in entries:
        own = _is_own(value, distribution)
        try:
            if not own:
                _require_own_name(name, value, distribution, entries)
            plugins.append((name, _imported(name, value, distribution)))
        except PluginError as error:
            left_out.add(error)
        else:
            if not own:
                sources[name] = distribution
    return Targets(plugins, sources, left_out)


def _require_own_name(name: str, value: str, distribution: str, entries: tuple[tuple[str, str, str], ...]) -> None:
    """Raise :class:`PluginError` for a stranger with another plugin's name: vmgr's own is meant, or neither."""
    for other, theirs, source in entries:
        if other == name and theirs != value:
            package, rival = distribution.partition("-")[0], source.partition("-")[0]
            raise PluginError(
                f"target plugin {name!r} ({value}, from {distribution}) has the name of a plugin ({theirs}) from"
                f" {source}",
                hint=f"uninstall {package}" if _is_own(theirs, source) else f"uninstall {package} or {rival}",
                plugin=name,
                source=distribution,
            )


def _imported(name: str, value: str, distribution: str) -> object:
    """The plugin object that an entry point refers to. Raises :class:`PluginError`."""
    why = unsafe_place(value)
    if why:
        raise PluginError(
            f"target plugin {name!r} (from {distribution}) is not loaded: {why}",
            hint="give its files to root, or uninstall it",
            plugin=name,
            source=distribution,
        )
    module_name, _, attribute = value.partition(":")
    try:
        __import__(module_name)
        plugin: object = sys.modules[module_name]
        for part in attribute.split(".") if attribute else ():
            plugin = getattr(plugin, part)
    except (Exception, SystemExit) as error:
        package = distribution.partition("-")[0]
        raise PluginError(
            f"target plugin {name!r} ({value}, from {distribution}) cannot be loaded:"
            f" {type(error).__name__}: {error}".rstrip(": "),
            hint=f"pip install --force-reinstall {package}  # or pip uninstall {package}",
            plugin=name,
            source=distribution,
        ) from error
    return plugin


def table_types(warn: Callable[[str], None] | None = None) -> tuple[type[TableType], ...]:
    """The types of table lines that the installed plugins provide, for :class:`vmgr.dm.tables.Tables`.

    What cannot be used is left out, and told, as :func:`load_targets` does.
    """
    return load_targets(warn).table_types()
