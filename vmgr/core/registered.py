"""Registered plugins: what pluggy makes of a plugin object, as hook functions that can be called one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from vmgr.core.errors import PluginError
from vmgr.core.guard import COLUMN_KINDS, broken, failed, guarded, undeclared
from vmgr.core.hooks import API_VERSION, PROJECT, TargetInfo, TargetSpec

REQUIRED = ("target_info", "decode_segment", "encode_segment", "segment_lines")


class Plugin:
    """One registered plugin: its declaration and its hook functions, each taking all the hook's arguments.

    ``name`` is that of its entry point, ``source`` its distribution (empty for vmgr's own plugins). ``fault`` is
    why it is left out since it was registered. ``columns`` has the types of values in those that it declares.
    """

    __slots__ = ("columns", "fault", "hooks", "info", "name", "source")

    def __init__(self, name: str, source: str, hooks: dict[str, Callable[..., Any]], info: TargetInfo) -> None:
        self.name = name
        self.source = source
        self.info = info
        self.hooks = hooks
        self.columns = {column.name: COLUMN_KINDS.get(column.kind, ()) for column in info.columns}
        self.fault: PluginError | None = None

    @property
    def package(self) -> str:
        """The name of its distribution, without the version."""
        return self.source.partition("-")[0]

    def has(self, hook: str) -> bool:
        """Whether the plugin implements a hook."""
        return hook in self.hooks

    def require_declared(self, hook: str, values: tuple[tuple[str, object], ...]) -> None:
        """Raise :class:`PluginError` for values of ``hook`` that are in none of the plugin's columns."""
        wrong = undeclared(self.columns, values)
        if wrong:
            raise broken(self.name, self.source, f"its hook {hook} returned {wrong}", hook=hook)

    def hook(self, hook: str) -> Callable[..., Any] | None:
        """Its implementation of a hook, None where it has none. Raises the fault of a plugin that is left out."""
        if self.fault is not None:
            raise self.fault
        return self.hooks.get(hook)


class LeftOut:
    """The plugins that are left out of a command.

    Without anybody to ``tell``, a plugin that cannot be used is an error.
    """

    __slots__ = ("errors", "tell")

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self.tell = tell
        self.errors: list[PluginError] = []

    def add(self, error: PluginError) -> None:
        """Leave out the plugin of ``error``. Raises ``error`` where that is nobody's fault, or nobody is told."""
        if self.tell is None or not error.plugin:
            raise error
        self.errors.append(error)
        hint = f"; {error.hint}" if error.hint else ""
        self.tell(f"{error.message}; it is left out, and its volumes are kept as they are{hint}")


def register(
    plugins: Iterable[tuple[str, object]], sources: Mapping[str, str], left_out: LeftOut
) -> tuple[Plugin, ...]:
    """Register ``plugins``, pairs of an entry-point name and a plugin object.

    ``sources`` has the distributions of those that are not vmgr's own. One that breaks the contract goes to
    ``left_out``. Whether two claim one thing is not looked at (:mod:`vmgr.core.conflicts`).
    """
    manager = _Manager(PROJECT)
    manager.add_hookspecs(TargetSpec)
    found: list[Plugin] = []
    functions: dict[str, dict[str, Any]] = {}
    # vmgr's own come first, so that what pluggy refuses twice is a stranger's.
    for name, plugin in sorted(plugins, key=lambda pair: pair[0] in sources):
        try:
            manager.register(plugin, name)
        except Exception as error:
            left_out.add(_unregistrable(name, sources.get(name, ""), error))
        else:
            functions[name] = {}
    specified: dict[str, tuple[str, ...]] = {}
    for hook, caller in vars(manager.hook).items():
        if hook.startswith("_"):
            continue
        if caller.spec is not None:
            specified[hook] = tuple(caller.spec.argnames)
        for impl in caller.get_hookimpls():
            if impl.plugin_name in functions:
                functions[impl.plugin_name][hook] = impl
    for name, hooks in functions.items():
        try:
            found.append(_admit(name, sources.get(name, ""), hooks, specified))
        except PluginError as error:
            left_out.add(error)
    return tuple(found)


def _unregistrable(name: str, source: str, error: Exception) -> PluginError:
    if isinstance(error, ValueError | pluggy.PluginValidationError):
        return broken(name, source, " ".join(str(error).split()))
    return failed(name, source, "registration", error)


class _Manager(pluggy.PluginManager):
    """pluggy's manager, which looks for hooks among a module's functions and not among all that it imports."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """What :data:`hookimpl` says of an attribute of a plugin; None for one that is no hook."""
        if type(plugin) is ModuleType:
            value = plugin.__dict__[name]
            return getattr(value, f"{PROJECT}_impl", None) if type(value) is FunctionType else None
        return super().parse_hookimpl_opts(plugin, name)


def _admit(name: str, source: str, impls: dict[str, Any], specified: Mapping[str, tuple[str, ...]]) -> Plugin:
    hooks: dict[str, Callable[..., Any]] = {}
    for hook, impl in impls.items():
        if hook not in specified:
            raise _no_hook(name, source, hook, specified)
        names = specified[hook]
        # An implementation may take a subset of a hook's arguments.
        takes = None if tuple(impl.argnames) == names else tuple(names.index(n) for n in impl.argnames)
        hooks[hook] = guarded(name, source, hook, impl.function, takes)
    missing = [hook for hook in REQUIRED if hook not in hooks]
    if missing:
        raise broken(name, source, f"it lacks {', '.join(missing)}")
    # What vmgr's own declare is held to the contract by its tests, instead of at every start.
    info = hooks["target_info"]() if source else impls["target_info"].function()
    if info.api_version != API_VERSION:
        raise PluginError(
            f"target plugin {name!r}{f' (from {source})' if source else ''} is made for version"
            f" {info.api_version} of the plugin contract, this vmgr has {API_VERSION}",
            hint="install a matching version of the plugin",
            plugin=name,
            source=source,
        )
    return Plugin(name, source, hooks, info)


def _no_hook(name: str, source: str, hook: str, specified: Iterable[str]) -> PluginError:
    from difflib import get_close_matches

    close = get_close_matches(hook, specified, n=2)
    return broken(
        name,
        source,
        f"there is no hook {hook}" + (f" (did its author mean {' or '.join(close)}?)" if close else ""),
        hook=hook,
    )
