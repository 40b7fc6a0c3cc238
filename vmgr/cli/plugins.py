"""``plugins``: what target plugins are installed, and what they add."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmgr.cli.declare import Argument, Command, Option, from_spec
from vmgr.cli.options_report import REPORTFORMAT
from vmgr.core.errors import EXIT_FAILED, EXIT_OK, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vmgr.app import Application
    from vmgr.cli.document import Json
    from vmgr.cli.invocation import Invocation
    from vmgr.core.errors import VmgrError
    from vmgr.core.hooks import TargetInfo
    from vmgr.core.targets import Targets


def run(app: Application, invocation: Invocation) -> int:
    """List plugins in a table, tell all about those that are named, check them, or begin a new one."""
    from vmgr.registry import find_plugins

    name = invocation.values.get("new")
    if isinstance(name, str):
        return _begin(name, invocation)
    targets = app.targets
    infos = {info.name: info for info in targets.infos()}
    found = {name: distribution for name, _, distribution in find_plugins()}
    sources = {name: found.get(entry, "") for name, entry in targets.entry_points().items()}
    for name in invocation.arguments:
        if name not in infos:
            raise _no_plugin(name, targets, infos)
    chosen = [infos[name] for name in invocation.arguments] or list(infos.values())
    if invocation.values.get("check"):
        return _check(chosen, targets, invocation)
    terminal = invocation.terminal
    if terminal.document is not None:
        members = terminal.begin_document().members
        members["plugins"] = _json(chosen, sources)
        members["left_out"] = _left_out(targets)
    elif invocation.arguments or terminal.verbose:
        terminal.data("\n".join(details(info, sources.get(info.name, "")) for info in chosen))
    else:
        terminal.data(table(chosen, sources))
    return EXIT_OK


def _no_plugin(name: str, targets: Targets, infos: Mapping[str, TargetInfo]) -> VmgrError:
    for error in targets.left_out.errors:
        if error.plugin == name:
            return error
    return NotFound(f"no target plugin is called {name!r}", hint=f"there are: {', '.join(sorted(infos))}")


def _begin(name: str, invocation: Invocation) -> int:
    from pathlib import Path

    from vmgr.testing.scaffold import make

    place = make(name, Path())
    invocation.terminal.say(f"{place}: pip install -e {place}, then vmgr plugins --check {name}")
    return EXIT_OK


def _check(chosen: list[TargetInfo], targets: Targets, invocation: Invocation) -> int:
    """The report of :func:`vmgr.testing.checks.check_plugin`. The status tells whether all is in order."""
    from vmgr.testing.checks import FAILED, check_plugin

    terminal = invocation.terminal
    results = {info.name: check_plugin(targets, info.name) for info in chosen}
    if terminal.document is not None:
        terminal.begin_document().members["checks"] = [
            {"plugin": name, "check": r.check, "outcome": r.outcome, "text": r.text}
            for name, found in results.items()
            for r in found
        ]
    else:
        for name, found in results.items():
            lines = [f"{name}: {r.outcome:7} {r.check}{f': {r.text}' if r.text else ''}" for r in found]
            terminal.data("".join(f"  {line}\n" for line in lines))
    bad = any(r.outcome == FAILED for found in results.values() for r in found)
    return EXIT_FAILED if bad or targets.left_out.errors else EXIT_OK


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
    """All that a plugin declares, in lines, and its manual."""
    import re
    from textwrap import wrap

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
    for paragraph in re.split(r"\n\s*\n", info.manual.strip()) if info.manual.strip() else ():
        lines += ["", *wrap(" ".join(paragraph.split()), 76, initial_indent="  ", subsequent_indent="  ")]
    return "".join(f"  {line}\n" if line else "\n" for line in lines)


def _left_out(targets: Targets) -> list[Json]:
    return [
        {"name": error.plugin, "from": error.source, "why": error.message, "hint": error.hint}
        for error in targets.left_out.errors
    ]


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
        usages=("[PLUGIN ...]", "--check [PLUGIN ...]", "--new NAME"),
        run=run,
        arguments=(Argument("PLUGIN", "a plugin to tell all about", needed=False, many=True),),
        options=(
            Option("check", "flag", "Try plugins against the plugin contract, on a machine in memory."),
            Option("new", "text", "Begin a plugin: a package vmgr-NAME in the current directory.", metavar="NAME"),
            REPORTFORMAT,
        ),
        exclusive=(("check", "new"),),
    )
}  # fmt: skip
