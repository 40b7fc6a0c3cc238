"""Writes ``docs/library.md``, the reference of vmgr for Python programs, from the docstrings.

Usage: ``tools/library.py [PAGE]``.
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

from vmgr import app, outcome
from vmgr.core import amounts, errors, group_requests, model, requests, subject, view
from vmgr.services import appearance, backups

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "library.md"

CLASSES: dict[str, tuple[type, ...]] = {
    "Requests for volumes": (
        requests.CreateVolume, requests.ExtendVolume, requests.ReduceVolume, requests.ResizeVolume,
        requests.ChangeVolume, requests.ConvertVolume, requests.RepairVolume, requests.RenameVolume,
        requests.RemoveVolume,
    ),
    "Requests for groups, physical volumes and activation": (
        group_requests.CreatePv, group_requests.ChangePv, group_requests.CreateGroup, group_requests.ChangeGroup,
        group_requests.Activate,
    ),
    "Values in requests": (subject.Subject, amounts.SizeSpec, amounts.Percent, requests.PvRange),
    "How it is run, and what came of it": (
        outcome.RunOptions, outcome.Dialogue, outcome.Outcome, appearance.Appearance, backups.ArchiveView,
    ),
    "What there is": (
        view.SystemView, view.GroupView, view.PvView, model.VolumeGroup, model.PhysicalVolume, model.LogicalVolume,
    ),
}  # fmt: skip
"""The sections of the page about classes, in order."""


def _reference(match: re.Match[str]) -> str:
    """A reference as code; a tilde asks for the last part of the name alone."""
    return f"`{match[2].rpartition('.')[2] if match[1] else match[2]}`"


def markdown(text: str) -> str:
    """A docstring's reStructuredText as Markdown: references become code, headings and examples their own."""
    text = re.sub(r":\w+:`(~?)([^`<]*?)(?: <[^>]*>)?`", _reference, text)
    text = re.sub(r"``(.+?)``", r"`\1`", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^(.+)\n-{3,}$", r"## \1\n", text)
    blocks: list[str] = []
    for block in re.split(r"\n{2,}", text):
        if block.startswith("    ") and blocks:
            blocks[-1] = re.sub(r"::$", ":", blocks[-1])
            block = f"```python\n{textwrap.dedent(block)}\n```"
        blocks.append(block)
    return "\n\n".join(block for block in blocks if block)


def doc(thing: Any) -> str:
    """The docstring of a class or function. Raises ``ValueError`` where there is none."""
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"{thing} has no docstring")
    return markdown(text)


def signature(function: Any) -> str:
    """``(vg: str, ...)`` as it stands in the source."""
    found = inspect.signature(function)
    parameters = [p for p in found.parameters.values() if p.name != "self"]
    text = str(found.replace(parameters=parameters)).replace(" -> ", " → ")
    return re.sub(r"'([^']+)'", r"\1", text)  # annotations are texts


def methods(cls: type) -> list[str]:
    """The public methods and properties of a class, in the order of the source."""
    lines = []
    for name, value in vars(cls).items():
        if name.startswith("_"):
            continue
        function = value.fget if isinstance(value, property) else getattr(value, "func", value)
        if not inspect.isfunction(function):
            continue
        head = f"`{name}`" if function is not value else f"`{name}{signature(function)}`"
        lines.append(f"- {head}\n\n{textwrap.indent(doc(function), '  ')}")
    return lines


def takes(field: Any) -> str:
    """What may be written for a field: what its converter takes, or its type; and its words."""
    converter = field.converter
    kind = str(field.type)
    if converter is not None:
        kind = str(next(value for name, value in converter.__annotations__.items() if name != "return"))
    elif field.metadata.get(requests.NAMES) == requests.VOLUME:
        kind = kind.replace("Uuid", "str")
    words = field.metadata.get(amounts.CHOICES, ())
    shown = "`" + kind.replace("|", "\\|") + "`"
    return shown + (": " + ", ".join(f"`{word}`" for word in words if word) if words else "")


def fields(cls: Any) -> list[str]:
    """A table of the fields of an attrs class; nothing for another."""
    if not hasattr(cls, "__attrs_attrs__"):
        return []
    rows = ["| field | takes | default |", "|---|---|---|"]
    for field in cls.__attrs_attrs__:
        if field.name.startswith("_"):
            continue
        has_default = getattr(field.default, "name", "") != "NOTHING" and "NOTHING" not in repr(field.default)
        default = f"`{field.default!r}`" if has_default and "Factory" not in repr(field.default) else ""
        rows.append(f"| `{field.name}` | {takes(field)} | {default} |")
    return ["\n".join(rows)]


def error_table() -> str:
    """All errors with what programs and scripts know them by."""
    rows = ["| error | is a | `code` | `exit_code` | when |", "|---|---|---|---|---|"]
    for name, cls in vars(errors).items():
        if isinstance(cls, type) and issubclass(cls, errors.VmgrError):
            when = doc(cls).split("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            rows.append(f"| `{name}` | `{cls.__bases__[0].__name__}` | `{cls.code}` | {cls.exit_code} | {when} |")
    return "\n".join(rows)


def page() -> str:
    """The whole page."""
    parts = [
        "<!-- Written by tools/library.py from the docstrings; change those. -->",
        "# vmgr for Python programs",
        markdown(inspect.cleandoc(app.__doc__ or "")),
        "## The application",
        f"`open_application{signature(app.open_application)}`",
        doc(app.open_application),
        f"### Application\n\n{doc(app.Application)}",
        "In signatures `Names` is one text or a list of them, `Subjects` one of `vg`, `vg/lv`, `@tag` or a list of"
        " them, `Requests` one request or a list of them, and `Size` a text as after `-L`, or `Sectors`.",
        "\n\n".join(methods(app.Application)),
    ]
    for heading, classes in CLASSES.items():
        parts.append(f"## {heading}")
        for cls in classes:
            parts += [f"### {cls.__name__}", f"`{cls.__module__}.{cls.__name__}`", doc(cls), *fields(cls)]
            own = methods(cls)
            if own:
                parts.append("\n\n".join(own))
    parts += ["## Errors", doc(errors.VmgrError), f"All are in `{errors.__name__}`.", error_table()]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    (Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE).write_text(page())
