"""``plugins``: what target plugins are installed, and what they add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, from_spec
from vmgr.cli.options_report import REPORTFORMAT
from vmgr.core.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.app import Application
    from vmgr.cli.document import Json
    from vmgr.cli.invocation import Invocation
    from vmgr.core.hooks import TargetInfo


def run(app: Application, invocation: Invocation) -> int:
    """List plugins in a table, or tell all about those that are named."""
    from vmgr.registry import find_plugins

    infos = {info.name: info for info in app.targets.infos()}
    found = {name: distribution for name, _, distribution in find_plugins()}
    sources = {name: found.get(entry, "") for name, entry in app.targets.entry_points().items()}
    for name in invocation.arguments:
        if name not in infos:
            raise NotFound(f"no target plugin is called {name!r}", hint=f"there are: {', '.join(sorted(infos))}")
    chosen = [infos[name] for name in invocation.arguments] or list(infos.values())
    terminal = invocation.terminal
    if terminal.document is not None:
        terminal.begin_document().members["plugins"] = _json(chosen, sources)
    elif invocation.arguments or terminal.verbose:
        terminal.data("\n".join(details(info, sources.get(info.name, "")) for info in chosen))
    else:
        terminal.data(table(chosen, sources))
    return 0


def table(infos: list[TargetInfo], sources: Mapping[str, str]) -> str:
    """One line for each plugin, under headings."""
    rows = [("Plugin", "From", "Types", "What it is")]
    rows += [(i.name, sources.get(i.name, ""), ",".join(i.types), i.summary) for i in infos]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "".join(
        "  " + " ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]) + "\n"
        for row in rows
    )


def details(info: TargetInfo, source: str) -> str:
    """All that a plugin declares, in lines."""
    lines = [
        f"{info.name}: {info.summary}",
        f"  from:            {source}",
        f"  plugin contract: {info.api_version}",
    ]
    lines.append(f"  types:           {', '.join(info.types) or 'none'}")
    lines.append(f"  in metadata:     {', '.join(info.segment_types)}")
    kernel = (f"{k.name} {'.'.join(map(str, k.version))}" for k in info.kernel_targets)
    lines.append(f"  kernel targets:  {', '.join(kernel) or 'none'}")
    for spec in info.options:
        option = from_spec(spec, info.name)
        value = f" {option.value_name}" if option.takes_value else ""
        lines.append(f"  option {option.flags}{value} ({', '.join(spec.commands)}): {spec.help}")
    lines += [f"  column {column.name}: {column.help}" for column in info.columns]
    return "".join(f"  {line}\n" for line in lines)


def _json(infos: list[TargetInfo], sources: Mapping[str, str]) -> list[Json]:
    return [
        {
            "name": info.name,
            "from": sources.get(info.name, ""),
            "summary": info.summary,
            "api_version": info.api_version,
            "types": info.types,
            "segment_types": info.segment_types,
            "kernel_targets": {k.name: ".".join(map(str, k.version)) for k in info.kernel_targets},
            "options": {o.name: {"commands": o.commands, "help": o.help} for o in info.options},
            "columns": {c.name: c.help for c in info.columns},
        }
        for info in infos
    ]


DECLARED = {
    "plugins": Command(
        "plugins",
        "List the installed target plugins and what they add.",
        usages=("[PLUGIN ...]",),
        run=run,
        arguments=(Argument("PLUGIN", "a plugin to tell all about", needed=False, many=True),),
        options=(
            REPORTFORMAT,
        ),
    )
}  # fmt: skip
