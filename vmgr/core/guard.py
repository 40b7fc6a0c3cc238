"""Every call of a plugin's hook goes through here: what it raises and what it returns is held to the contract.

A hook that fails, or returns what its annotation in :class:`vmgr.core.hooks.TargetSpec` does not allow, is a
:class:`PluginError` that names plugin and hook. The annotations are read as text, when a hook is
called for the first time: they name classes of modules that an ordinary command does not import.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from vmgr.core.errors import DamagedMetadata, PluginError, VmgrError
from vmgr.core.hooks import TargetSpec

Check = Callable[[object], str]
"""Says what is wrong with a value, in words that follow "it returned"; empty where nothing is."""

TELLING = frozenset(
    (
        "companions",
        "describe",
        "group_read",
        "group_written",
        "join_segments",
        "may_change",
        "parse_status",
        "pending",
        "pending",
        "removed_with",
        "segment_lines",
        "size_limit",
        "status_device",
        "table_types",
        "target_info",
    )
)
"""Hooks that have no reason to refuse anything: whatever they raise is a fault of the plugin."""

_MODULES = ("hooks", "model", "exchange", "table", "tabletype", "requests", "ids", "units", "tools")
_OWN_VALUES = ("vmgr.core.hooks", "vmgr.core.exchange")
_ALIASES = {"Fields": "tuple[tuple[str, object], ...]"}
_checks: dict[str, Check] = {}


def guarded(
    plugin: str, source: str, hook: str, function: Callable[..., Any], takes: tuple[int, ...] | None
) -> Callable[..., Any]:
    """A hook's function, to be called with all the hook's arguments, by position.

    ``takes`` are the places of the arguments that it takes, in its own order; None for all of them.
    """
    allowed: tuple[type[Exception], ...] = (PluginError,) if hook in TELLING else (VmgrError,)
    if hook == "decode_segment":
        allowed = DamagedMetadata, PluginError

    def call(*args: Any) -> Any:
        try:
            value = function(*args) if takes is None else function(*[args[i] for i in takes])
        except allowed:
            raise
        except (Exception, SystemExit) as error:
            raise failed(plugin, source, hook, error) from error
        check = _checks.get(hook) or _check_of(hook)
        wrong = check(value)
        if wrong:
            raise broken(plugin, source, f"its hook {hook} returned {wrong}", hook=hook)
        return value

    return call


def broken(plugin: str, source: str, what: str, *, hook: str = "", details: tuple[str, ...] = ()) -> PluginError:
    """The error of a plugin that broke the contract. ``source`` is its distribution, empty for vmgr's own."""
    package = source.partition("-")[0]
    return PluginError(
        f"target plugin {plugin!r}{f' (from {source})' if source else ''} breaks the plugin contract: {what}",
        hint=f"install a version of {package} that keeps to it, or uninstall that" if source else "",
        details=details,
        plugin=plugin,
        source=source,
        hook=hook,
    )


def failed(plugin: str, source: str, hook: str, error: BaseException) -> PluginError:
    """The error of a plugin whose hook raised ``error``. Where it did is in the details."""
    where, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where, trace = f"{code.co_filename}, line {trace.tb_lineno}, in {code.co_name}", trace.tb_next
    what = f"its hook {hook} raised {type(error).__name__}: {error}".rstrip(": ")
    return broken(plugin, source, what.splitlines()[0], hook=hook, details=(where,) if where else ())


COLUMN_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int,),
    "size": (int,),
    "percent": (float, int),
    "binary": (bool, int),
    "list": (tuple,),
}
"""What a value in a column of each kind is."""


def undeclared(columns: Mapping[str, tuple[type, ...]], values: tuple[tuple[str, object], ...]) -> str:
    """What is wrong with values for columns; ``columns`` are those that the plugin declared."""
    for name, value in values:
        kinds = columns.get(name)
        if kinds is None:
            return f"a value in column {name!r}, which it does not declare"
        if value is not None and not isinstance(value, kinds):
            return f"{_due(value, kinds[0].__name__)}, in column {name!r}"
    return ""


# -- what a hook may return -----------------------------------------------------------------------


def _check_of(hook: str) -> Check:
    annotation = getattr(TargetSpec, hook).__annotations__["return"]
    check = _checks[hook] = check_of(annotation)
    return check


def check_of(annotation: str) -> Check:
    """The check for an annotation: classes, ``None``, ``tuple[...]``, ``frozenset[...]``, ``type[...]``, unions."""
    annotation = _ALIASES.get(annotation, annotation)
    choices = _parts(annotation, "|")
    if len(choices) > 1:
        return _either(annotation, [check_of(choice) for choice in choices])
    name, _, inner = annotation.partition("[")
    if inner:
        inside = _parts(inner[:-1], ",")
        if name == "tuple":
            return _tuple(annotation, inside)
        if name == "frozenset":
            return _each(annotation, frozenset, check_of(inside[0]))
        if name == "type":
            return _subclass(annotation, _class(inside[0]))
        return _anything
    if name in ("object", "Any"):
        return _anything
    if name == "None":
        return lambda value: "" if value is None else _due(value, "None")
    kind = _class(name)
    if kind is None:
        return _anything
    if kind is float:
        return _instance(annotation, (float, int))
    return (
        _fields(kind)
        if kind.__module__ in _OWN_VALUES and hasattr(kind, "__attrs_attrs__")
        else _instance(annotation, kind)
    )


def _parts(text: str, mark: str) -> list[str]:
    """``text`` at each ``mark`` that stands outside of brackets."""
    found, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == mark and not depth:
            found.append(text[begin:at].strip())
            begin = at + 1
    return [*found, text[begin:].strip()]


def _class(name: str) -> type | None:
    """The class of that name; None where it is no class, but an alias."""
    import builtins

    found: object = getattr(builtins, name, None)
    for module in _MODULES:
        if found is not None:
            break
        __import__(f"vmgr.core.{module}")
        found = getattr(sys.modules[f"vmgr.core.{module}"], name, None)
    return found if isinstance(found, type) else None


def _due(value: object, what: str) -> str:
    kind = type(value).__name__
    given = "None" if value is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    return f"{given} where {what} is due"


def _anything(value: object) -> str:
    return ""


def _instance(annotation: str, kind: type | tuple[type, ...]) -> Check:
    return lambda value: "" if isinstance(value, kind) else _due(value, annotation)


def _subclass(annotation: str, kind: type | None) -> Check:
    return lambda value: (
        "" if isinstance(value, type) and kind is not None and issubclass(value, kind) else _due(value, annotation)
    )


def _either(annotation: str, checks: list[Check]) -> Check:
    def check(value: object) -> str:
        wrong = ""
        for one in checks:
            said = one(value)
            if not said:
                return ""
            # What is wrong inside of a value says more than that it is none of the choices.
            wrong = said if " in " in said else wrong
        return wrong or _due(value, annotation)

    return check


def _tuple(annotation: str, inside: list[str]) -> Check:
    if inside[-1] == "...":
        return _each(annotation, tuple, check_of(inside[0]))
    checks = [check_of(one) for one in inside]

    def check(value: object) -> str:
        if not isinstance(value, tuple) or len(value) != len(checks):
            return _due(value, annotation)
        for one, item in zip(checks, value, strict=True):
            wrong = one(item)
            if wrong:
                return wrong if " in " in wrong else f"{wrong}, in {annotation}"
        return ""

    return check


def _each(annotation: str, kind: type, inner: Check) -> Check:
    def check(value: object) -> str:
        if not isinstance(value, kind):
            return _due(value, annotation)
        for item in value:  # type: ignore[attr-defined]
            wrong = inner(item)
            if wrong:
                return wrong if " in " in wrong else f"{wrong}, in {annotation}"
        return ""

    return check


def _fields(kind: type) -> Check:
    """A value of the contract itself: its fields are checked, too."""
    checks: list[tuple[str, Check]] = []

    def check(value: object) -> str:
        if not isinstance(value, kind):
            return _due(value, kind.__name__)
        if not checks:
            checks.extend((field.name, check_of(field.type)) for field in kind.__attrs_attrs__)  # type: ignore[attr-defined]
        for name, one in checks:
            wrong = one(getattr(value, name))
            if wrong:
                return f"{wrong}, in {kind.__name__}.{name}"
        return ""

    return check
