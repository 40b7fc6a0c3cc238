"""Checks what a Python program hands to :mod:`vmgr.app`, and names what is wrong with it.

The annotations of requests and methods say what is taken, a field's metadata which words and numbers. It is done
when a method is called, not when a request is made: a class with validators costs start-up time, and the command
line's requests are right already.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import NOTHING, evolve

from vmgr.core.amounts import CHOICES
from vmgr.core.errors import UsageError
from vmgr.core.requests import LEAST, NAMES, PVS, VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHOICES_OF: dict[tuple[str, str], tuple[str, ...]] = {
    ("RunOptions", "fs"): ("checksize", "resize", "resize_fsadm", "ignore"),
    ("RunOptions", "fs_mode"): ("manage", "nochange", "offline"),
}
"""The words that a text may be, by class and field, of a class that every command loads."""

PER_CALL = ("autobackup", "background", "check_fs", "force", "fs", "fs_mode", "interval", "poll", "test")
"""Fields of :class:`~vmgr.outcome.RunOptions` that may be given for one call."""

REQUESTS = {
    **dict.fromkeys(("Activate", "ChangeGroup", "ChangePv", "CreateGroup", "CreatePv"), "vmgr.core.group_requests"),
    **dict.fromkeys(
        ("ChangeVolume", "ConvertVolume", "CreateVolume", "ExtendVolume", "ReduceVolume", "RemoveVolume",
         "RenameVolume", "RepairVolume", "ResizeVolume"), "vmgr.core.requests"),
}  # fmt: skip
"""The module of each request."""

_HOMES = {
    **REQUESTS,
    "GroupRequest": "vmgr.core.group_requests",
    "PvRange": "vmgr.core.requests",
    "RunOptions": "vmgr.outcome",
    "Subject": "vmgr.core.subject",
    **dict.fromkeys(("Percent", "SizeSpec"), "vmgr.core.amounts"),
    **dict.fromkeys(("Sectors", "Extents", "Bytes"), "vmgr.core.units"),
    **dict.fromkeys(("Tag", "Uuid", "LvName", "VgName"), "vmgr.core.ids"),
}
"""The module of each class that annotations name."""

_HINTS = {
    "SizeSpec": "a size is a text such as '100m', '+1g', '50%FREE'",
    "Sectors": "a size is in Sectors(N), of 512 bytes each",
    "Tag": "a tag is a text",
    "Uuid": "a UUID is a Uuid('...')",
    "Subject": "a group is named 'vg', a volume 'vg/lv', all that carry a tag '@tag'",
    "PvRange": "a physical volume is a path, as '/dev/sdb' or '/dev/sdb:0-99', or '@tag'",
}

_SEE = "see help(vmgr.core.requests)"
_SEE_APP = "see help(vmgr.app)"

_PLAIN: dict[str, type] = {"str": str, "int": int, "bool": bool, "None": type(None)}


def bound(
    method: Callable[..., object], arguments: Sequence[object], named: Mapping[str, object]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a declared method of the application is called with, by name, and the options for this call.

    Texts become what they name, and fields the request that they are of. Raises :class:`UsageError`.
    """
    code, name = method.__code__, method.__name__
    names = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    positional = names[: code.co_argcount - 1]
    if len(arguments) > len(positional):
        raise UsageError(f"{name}() takes {', '.join(positional)} in this order, and no more", hint=_SEE_APP)
    defaults = dict(zip(reversed(positional), reversed(method.__defaults__ or ()), strict=False))
    given = {**defaults, **(method.__kwdefaults__ or {}), **dict(zip(positional, arguments, strict=False))}
    options: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    for key, value in named.items():
        (given if key in names else options if key in PER_CALL else fields)[key] = value
    for key in names:
        if key not in given:
            raise UsageError(f"{name}() needs {key}", hint=_SEE_APP)
        annotation = str(method.__annotations__[key])
        cls = _request_of(annotation)
        if cls is not None and given[key] is None:
            given[key], fields = _made(name, cls, given, fields), {}
        elif cls is not None and fields and type(given[key]).__name__ in REQUESTS:
            given[key], fields = _with_fields(name, given[key], fields), {}
        else:
            given[key] = _written(annotation, given[key])
        _check(f"{name}(): {key}", _canonical(annotation), given[key])
    if fields:
        raise _unknown(name, next(iter(fields)), (*names, *PER_CALL))
    if options:
        from vmgr.outcome import RunOptions

        check_value(RunOptions(**options))
    return given, options


def _request_of(annotation: str) -> Any:
    """The request that a parameter takes, the first of several; or None."""
    word = annotation.partition(" | ")[0]
    return getattr(import_module(REQUESTS[word]), word) if word in REQUESTS else None


def _made(name: str, cls: Any, given: dict[str, Any], fields: dict[str, Any]) -> Any:
    """A request of its fields. A volume may be named with its group: ``vg/lv``."""
    known = {field.name: field for field in cls.__attrs_attrs__}
    vg = given.get("vg")
    if "lv" in known and "lv" not in fields and isinstance(vg, str) and "/" in vg:
        given["vg"], _, fields["lv"] = vg.partition("/")
    for field in fields:
        if field not in known:
            raise _unknown(name, field, (*known, *PER_CALL))
    for field in known.values():
        if field.default is NOTHING and field.name not in fields:
            hint = f"name the volume with its group: {name}('vg/lv', ...)" if field.name == "lv" else _SEE_APP
            raise UsageError(f"{name}() needs {field.name}", hint=hint)
    return cls(**fields)


def _with_fields(name: str, request: Any, fields: dict[str, Any]) -> Any:
    known = [field.name for field in request.__attrs_attrs__]
    for field in fields:
        if field not in known:
            raise _unknown(name, field, (*known, *PER_CALL))
    return evolve(request, **fields)


def _unknown(name: str, word: str, known: Sequence[str]) -> UsageError:
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return UsageError(
        f"{name}() has no argument {word!r}", hint=f"did you mean {close[0]!r}?" if close else _SEE_APP
    )


_WRITTEN = {"Names": "Sequence[str]", "Requests": "Sequence[GroupRequest]", "Subjects": "Sequence[Subject]"}
_BECOMES = {**_WRITTEN, "RequestsByGroup": "Mapping[str, Sequence[GroupRequest]]", "Size": "Sectors"}
"""What may be written as one or as several, and what it becomes."""


def _canonical(annotation: str) -> str:
    """An annotation of :mod:`vmgr.app` with what its short words become."""
    word, _, rest = annotation.partition(" | ")
    word = _BECOMES.get(word, word)
    return f"{word} | {rest}" if rest else word


def _written(annotation: str, value: Any) -> Any:
    """What a text, or one thing where several may be given, stands for."""
    word = annotation.partition(" | ")[0]
    if word == "Size":
        from vmgr.core.requests import to_sectors

        return to_sectors(value)
    if word == "RequestsByGroup" and isinstance(value, Mapping):
        return {vg: _written("Requests", some) for vg, some in value.items()}
    if word not in _WRITTEN or value is None:
        return value
    items = value if isinstance(value, tuple | list) else (value,)
    if word == "Subjects":
        from vmgr.core.subject import Subject

        return tuple(Subject.parse(item) if isinstance(item, str) else item for item in items)
    return items


def check_options(options: object) -> None:
    """Check the options of an application. Raises :class:`UsageError`."""
    _check("open_application(): options", "RunOptions", options)


def check_call(method: Callable[..., object], arguments: tuple[object, ...], named: Mapping[str, object]) -> None:
    """Check what a method is called with, its first argument left out. Raises :class:`UsageError`."""
    code = method.__code__
    names = code.co_varnames[1 : code.co_argcount]
    for name, value in (*zip(names, arguments, strict=False), *named.items()):
        annotation = method.__annotations__.get(name, "object")
        _check(f"{method.__name__}(): {name}", str(annotation), value)


def check_value(value: object) -> None:
    """Check the fields of a request, and of what is in it. Raises :class:`UsageError`."""
    name = type(value).__name__
    for field in type(value).__attrs_attrs__:  # type: ignore[attr-defined]
        meant = str(field.type)
        of = field.metadata.get(NAMES)
        if of == VOLUME:
            meant = meant.replace("Uuid", "str")
        elif of == PVS:
            meant = "tuple[PvRange | str, ...]"
        words = field.metadata.get(CHOICES, ()) or CHOICES_OF.get((name, field.name), ())
        _check(f"{name}.{field.name}", meant, getattr(value, field.name), words, field.metadata.get(LEAST, 0))


def _check(where: str, annotation: str, value: object, choices: Sequence[str] = (), least: int = 0) -> None:
    alternatives = list(_split(annotation, " | "))
    if not any(_fits(one, value) for one in alternatives):
        kinds = [_plain(one) for one in alternatives]
        hint = next((_HINTS[word] for word in _HINTS if any(word in one for one in alternatives)), "")
        raise UsageError(f"{where} is {value!r}, not {' or '.join(kinds)}", hint=hint or _SEE)
    if isinstance(value, int) and not isinstance(value, bool) and value < least:
        raise UsageError(f"{where} is {value!r}, which is below {least}", hint=_SEE)
    if choices and value is not None and value not in choices:
        from difflib import get_close_matches

        close = get_close_matches(str(value), choices, n=1)
        words = ", ".join(repr(word) for word in choices)
        hint = f"did you mean {close[0]!r}?" if close else _SEE
        raise UsageError(f"{where} is {value!r}, not one of {words}", hint=hint)
    for item in value if isinstance(value, tuple | list) else (value,):
        if type(item).__name__ in _HOMES and hasattr(type(item), "__attrs_attrs__"):
            check_value(item)


def _fits(annotation: str, value: object) -> bool:
    kind, bracket, inside = annotation.partition("[")
    if bracket:
        inside = inside.removesuffix("]")
        if kind == "Callable":
            return callable(value)
        if kind == "Mapping":
            keys, values = _split(inside, ", ")
            return isinstance(value, Mapping) and all(_fits(keys, k) and _fits(values, v) for k, v in value.items())
        if kind in ("Sequence", "tuple"):
            wanted: type | tuple[type, ...] = tuple if kind == "tuple" else (tuple, list)
            if not isinstance(value, wanted):
                return False
            items: list[object] = list(value)  # type: ignore[call-overload]
            if kind == "tuple" and not inside.endswith("..."):
                kinds = list(_split(inside, ", "))
                return len(kinds) == len(items) and all(map(_fits, kinds, items))
            allowed = list(_split(inside.removesuffix(", ..."), " | "))
            return all(any(_fits(one, item) for one in allowed) for item in items)
        return True
    if kind == "Options":
        return isinstance(value, tuple) and all(
            isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and _fits_option(one[1])
            for one in value
        )
    if kind == "object":
        return True
    if kind in ("int", "str"):
        # A unit, or a UUID where a plain text is meant, is no mistake in a text; a yes is one in a number.
        return isinstance(value, _PLAIN[kind]) and not isinstance(value, bool)
    return isinstance(value, _PLAIN[kind] if kind in _PLAIN else getattr(import_module(_HOMES[kind]), kind))


def _fits_option(value: object) -> bool:
    from vmgr.core.amounts import SizeSpec

    if isinstance(value, tuple):
        return all(map(_fits_option, value))
    return isinstance(value, int | str | SizeSpec)


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts of an annotation, brackets kept together."""
    depth, begin, at = 0, 0, 0
    while at < len(text):
        depth += {"[": 1, "]": -1}.get(text[at], 0)
        if not depth and text.startswith(separator, at):
            yield text[begin:at]
            begin = at = at + len(separator)
            continue
        at += 1
    yield text[begin:]


def _plain(annotation: str) -> str:
    kind, bracket, inside = annotation.partition("[")
    if kind in ("Sequence", "tuple") and bracket:
        item = inside.removesuffix("]").removesuffix(", ...")
        return f"a {'tuple' if kind == 'tuple' else 'list or tuple'} of {item}"
    names = {"str": "a text", "int": "a whole number", "bool": "True or False", "None": "None"}
    return names.get(kind, f"a {kind}" if kind != "Options" else "a tuple of (option, value)")
