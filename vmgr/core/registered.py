"""Registered plugins: what pluggy makes of a plugin object, as hook functions that can be called one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

import pluggy

from vmgr.core.errors import PluginError
from vmgr.core.hooks import API_VERSION, PROJECT, TargetInfo, TargetSpec

REQUIRED = ("target_info", "decode_segment", "encode_segment", "segment_lines")


class Plugin:
    """One registered plugin: its declaration and its hook functions, each taking all the hook's arguments."""

    __slots__ = ("hooks", "info", "name")

    def __init__(self, name: str, hooks: dict[str, Callable[..., Any]], info: TargetInfo) -> None:
        self.name = name
        self.info = info
        self.hooks = hooks

    def has(self, hook: str) -> bool:
        """Whether the plugin implements a hook."""
        return hook in self.hooks

    def hook(self, hook: str) -> Callable[..., Any] | None:
        """Its implementation of a hook, None where it has none."""
        return self.hooks.get(hook)


def register(plugins: Iterable[tuple[str, object]]) -> tuple[Plugin, ...]:
    """Register ``plugins``, pairs of an entry-point name and a plugin object.

    Raises :class:`PluginError` for one that breaks the contract.
    """
    manager = _Manager(PROJECT)
    manager.add_hookspecs(TargetSpec)
    functions: dict[str, dict[str, Callable[..., Any]]] = {}
    for name, plugin in plugins:
        try:
            manager.register(plugin, name)
        except (ValueError, pluggy.PluginValidationError) as error:
            raise PluginError(f"target plugin {name!r} cannot be registered: {error}") from error
        functions[name] = {}
    for hook_name, caller in vars(manager.hook).items():
        if hook_name.startswith("_"):
            continue
        argnames = tuple(caller.spec.argnames) if caller.spec else ()
        for impl in caller.get_hookimpls():
            functions[impl.plugin_name][hook_name] = _all_arguments(impl, argnames)
    return tuple(_admit(name, hooks) for name, hooks in functions.items())


def _all_arguments(impl: Any, names: tuple[str, ...]) -> Callable[..., Any]:
    """An implementation may take a subset of a hook's arguments; make it take them all, by position."""
    function: Callable[..., Any] = impl.function
    if tuple(impl.argnames) == names:
        return function
    wanted = tuple(names.index(n) for n in impl.argnames)

    def call(*args: Any) -> Any:
        return function(*(args[i] for i in wanted))

    return call


class _Manager(pluggy.PluginManager):
    """pluggy's manager, which looks for hooks among a module's functions and not among all that it imports."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> Any:
        """What :data:`hookimpl` says of an attribute of a plugin; None for one that is no hook."""
        if type(plugin) is ModuleType:
            value = plugin.__dict__[name]
            return getattr(value, f"{PROJECT}_impl", None) if type(value) is FunctionType else None
        return super().parse_hookimpl_opts(plugin, name)


def _admit(name: str, hooks: dict[str, Callable[..., Any]]) -> Plugin:
    missing = [hook for hook in REQUIRED if hook not in hooks]
    if missing:
        raise PluginError(
            f"target plugin {name!r} lacks {', '.join(missing)}",
            hint="vmgr-plugins(7) lists the hooks that every plugin needs",
        )
    info = hooks["target_info"]()
    if not isinstance(info, TargetInfo):
        raise PluginError(f"target plugin {name!r}: target_info must return a TargetInfo")
    if info.api_version != API_VERSION:
        raise PluginError(
            f"target plugin {name!r} is made for hook API {info.api_version}, this vmgr has {API_VERSION}",
            hint="install a matching version of the plugin",
        )
    return Plugin(name, hooks, info)
